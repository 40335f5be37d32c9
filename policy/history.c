/* SPDX-License-Identifier: BSD-2-Clause
 *
 * history.c -- the table of what changes took away (history.h).
 *
 *     K serial 8, piece 4 -> octets kept before it 8 | key length 2, value length 4, key, value | ...
 *
 * The first number grows with all that is ever kept, so two look-ups tell how much there is. A piece
 * is as long as is good for LMDB, which gives values of that size pages of their own.
 */
#include "policy/history.h"

#include <stdlib.h>

enum { PIECE = 32000, FRONT = 8, ENTRY = 2 + 4 };
#define NOT_THERE UINT32_MAX
static const struct store_key table = {1, {TABLE_KEPT}};

/* A piece: whose, which, and what was kept before it. The cursor stands at its first entry. */
static bool read_piece(const struct store_record *r, uint64_t *serial, uint32_t *n,
                       uint64_t *before, struct cursor *entries)
{
    struct cursor key = cursor_make(r->key.data + 1, r->key.len - 1);

    *serial = cursor_u64(&key);
    *n = (uint32_t)cursor_number(&key, 4);
    *entries = cursor_make(r->value.data, r->value.len);
    *before = cursor_u64(entries);
    return !key.bad && !entries->bad;
}

int history_begin(struct history *h, struct store_txn *t, uint64_t serial, uint64_t most)
{
    struct store_record r;
    struct cursor entries;
    uint64_t last;
    uint32_t n;
    int rc = serial_last(t, TABLE_KEPT, &r);

    history_free(h);
    *h = (struct history){.serial = serial, .most = most, .left = most == 0};
    if (rc == -ENOENT)
        return 0;
    if (rc == 0 && !read_piece(&r, &last, &n, &h->before, &entries))
        rc = -EBADMSG;
    h->before += r.value.len;
    return rc;
}

void history_free(struct history *h)
{
    free(h->piece);
    h->piece = NULL;
}

void history_keep(struct history *h, const struct store_key *k, const struct store_bytes *value)
{
    size_t len = value != NULL ? value->len : 0, need;
    struct writer w;
    uint8_t *more;

    if (h->left || h->failed)
        return;
    h->len = h->len == 0 ? FRONT : h->len;
    need = h->len + ENTRY + k->len + len;
    if (need > h->room) {
        more = realloc(h->piece, 2 * need);
        if (more == NULL) {
            h->failed = true;
            return;
        }
        h->piece = more;
        h->room = 2 * need;
    }
    w = writer_make(h->piece + h->len, h->room - h->len);
    writer_u16(&w, (uint16_t)k->len);
    writer_u32(&w, value != NULL ? (uint32_t)len : NOT_THERE);
    writer_bytes(&w, k->data, k->len);
    if (value != NULL)
        writer_bytes(&w, value->data, len);
    h->len += w.len;
}

/* A write that fails spoils the transaction. */
void history_write(struct history *h, struct store_txn *t, bool last)
{
    struct writer front = writer_make(h->piece, FRONT), key;
    struct store_key k;

    if (h->len < (last ? FRONT : PIECE))
        return;
    h->left = h->left || h->size + h->len > h->most;
    if (h->left)
        return;
    writer_u64(&front, h->before + h->size);
    serial_key(&k, TABLE_KEPT, h->serial);
    key = writer_make(k.data + k.len, sizeof k.data - k.len);
    writer_u32(&key, h->n);
    k.len += key.len;
    (void)store_put(t, &k, h->piece, h->len);
    h->size += h->len;
    h->n++;
    h->len = 0;
}

int history_end(struct history *h, struct store_txn *t)
{
    struct cursor entries;
    struct store_record r;
    uint64_t first, serial, before;
    struct store_key k;
    uint32_t n;
    int rc = serial_first(t, TABLE_LOG, &first);

    history_write(h, t, true);
    if (h->failed)
        return -ENOMEM;
    while (rc == 0 && (rc = store_step(t, STORE_SEEK, &table, 1, &r)) == 0) {
        if (!read_piece(&r, &serial, &n, &before, &entries))
            return -EBADMSG;
        /* A change goes whole; and one stays while the log has the policy that was before it. */
        if (n == 0 && !h->left && (first == 1 || serial > first) &&
            h->before + h->size - before <= h->most)
            break;
        store_key_copy(&k, &r.key);
        rc = store_del(t, &k);
    }
    return rc == -ENOENT ? 0 : rc;
}

int history_oldest(struct store_txn *t, uint64_t present, uint64_t *out)
{
    int rc = serial_first(t, TABLE_KEPT, out);

    *out = *out == 0 ? present : *out - 1;
    return rc;
}

/* Those of a piece, behind the n that there are. */
static int read_entries(struct cursor *c, struct store_record **all, size_t *n)
{
    while (cursor_left(c) > 0) {
        struct store_record *list = policy_list_add(*all, *n, sizeof *list);
        size_t key_len = cursor_u16(c), len = cursor_number(c, 4);
        bool was_there = len != NOT_THERE;

        if (list == NULL)
            return -ENOMEM;
        *all = list;
        list += (*n)++;
        list->key = (struct store_bytes){cursor_take(c, key_len), key_len};
        if (was_there)
            list->value = (struct store_bytes){cursor_take(c, len), len};
        if (c->bad || key_len < 2)
            return -EBADMSG;
    }
    return 0;
}

int history_read(struct store_txn *t, uint64_t since, struct store_record **all, size_t *n)
{
    enum store_step step = STORE_SEEK;
    struct cursor entries;
    struct store_record r;
    struct store_key k;
    uint64_t serial, before;
    uint32_t piece;
    int rc;

    *all = NULL;
    *n = 0;
    serial_key(&k, TABLE_KEPT, since + 1);
    while ((rc = store_step(t, step, &k, 1, &r)) == 0) {
        step = STORE_NEXT;
        if (!read_piece(&r, &serial, &piece, &before, &entries))
            return -EBADMSG;
        rc = read_entries(&entries, all, n);
        if (rc != 0)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}
