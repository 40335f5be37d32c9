/* SPDX-License-Identifier: BSD-2-Clause
 *
 * record.c -- events in their sequence, and the totals.
 *
 *   'e' sequence   host length (1) | host | encoded event
 *   'M' "totals"   version (1) | numbers
 */
#include "audit/record.h"

#include <errno.h>
#include <string.h>

#include "audit/codec.h"

enum { VERSION = 1, TOTALS_MAX = 256 };

static const uint8_t totals_name[] = {STORE_META, 't', 'o', 't', 'a', 'l', 's'};
static const struct bytes totals_key = {totals_name, sizeof totals_name};

static int totals_decode(struct totals *t, struct bytes v)
{
    struct cursor c = cursor_make(v.at, v.len);
    uint8_t kinds;

    memset(t, 0, sizeof *t);
    if (cursor_u8(&c) != VERSION)
        return -EBADMSG;
    t->recorded = codec_get_number(&c);
    t->counted = codec_get_number(&c);
    t->dropped = codec_get_number(&c);
    t->last_sequence = codec_get_number(&c);
    kinds = codec_get_below(&c, LEDGER_KINDS + 1);
    for (int k = 0; k < kinds; k++)
        t->rows[k] = codec_get_number(&c);
    t->pruned = codec_get_number(&c);
    t->prune_count = codec_get_number(&c);
    t->prune_upto_ms = codec_get_number(&c);
    return c.bad || cursor_left(&c) > 0 ? -EBADMSG : 0;
}

static int last_key(struct audit_txn *txn, uint64_t *sequence)
{
    static const uint8_t behind[] = {STORE_EVENT + 1};
    struct entry e;
    int rc = audit_txn_before(txn, (struct bytes){behind, 1}, &e);

    *sequence = 0;
    if (rc == 0 && e.key.at[0] == STORE_EVENT)
        *sequence = audit_key_value(e.key);
    return rc == -ENOENT ? 0 : rc;
}

int totals_load(struct audit_txn *txn, struct totals *t)
{
    uint64_t last;
    struct bytes v;
    int rc = audit_txn_get(txn, totals_key, &v);

    if (rc == 0)
        rc = totals_decode(t, v);
    if (rc == -ENOENT || rc == -EBADMSG)
        memset(t, 0, sizeof *t);
    else if (rc != 0)
        return rc;
    rc = last_key(txn, &last);
    if (last > t->last_sequence)
        t->last_sequence = last;
    return rc;
}

int totals_save(struct audit_txn *txn, const struct totals *t)
{
    uint8_t buf[TOTALS_MAX];
    struct writer w = writer_make(buf, sizeof buf);

    writer_u8(&w, VERSION);
    codec_put_number(&w, t->recorded);
    codec_put_number(&w, t->counted);
    codec_put_number(&w, t->dropped);
    codec_put_number(&w, t->last_sequence);
    writer_u8(&w, LEDGER_KINDS);
    for (int k = 0; k < LEDGER_KINDS; k++)
        codec_put_number(&w, t->rows[k]);
    codec_put_number(&w, t->pruned);
    codec_put_number(&w, t->prune_count);
    codec_put_number(&w, t->prune_upto_ms);
    return audit_txn_put(txn, totals_key, (struct bytes){buf, w.len});
}

int record_append(struct audit_txn *txn, struct totals *t, const char *host, uint8_t *encoded,
                  size_t len)
{
    uint8_t head[RECORD_HOST], key[9];
    size_t host_len = strnlen(host, RECORD_HOST - 1);
    uint64_t sequence = t->last_sequence + 1;
    int rc;

    head[0] = (uint8_t)host_len;
    memcpy(head + 1, host, host_len);
    audit_event_stamp(encoded, len, sequence, false, NULL);
    rc = audit_txn_append(txn, audit_key_number(key, STORE_EVENT, sequence),
                          (struct bytes){head, 1 + host_len}, (struct bytes){encoded, len});
    if (rc == 0)
        t->last_sequence = sequence;
    return rc;
}

int record_append_event(struct audit_txn *txn, struct totals *t, const char *host,
                        const struct audit_event *e)
{
    uint8_t buf[1024]; /* control records have no hosts and networks */
    size_t len = audit_event_encode(e, buf, sizeof buf);

    return len > 0 ? record_append(txn, t, host, buf, len) : -EMSGSIZE;
}

int record_read(const struct entry *entry, struct audit_event *e, char host[RECORD_HOST])
{
    struct cursor c = cursor_make(entry->payload.at, entry->payload.len);
    uint8_t n;
    const uint8_t *name;

    if (!entry->ok)
        return -EBADMSG;
    n = cursor_u8(&c);
    name = cursor_take(&c, n);
    if (name == NULL || audit_event_decode(e, c.at, cursor_left(&c)) != 0)
        return -EBADMSG;
    memcpy(host, name, n);
    host[n] = '\0';
    return e->sequence == audit_key_value(entry->key) ? 0 : -EBADMSG;
}
