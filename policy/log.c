/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.c -- one record per change.
 *
 *   serial (key) ─▶ time 8 | digest 8 | author, claimed, reason, summary: length 2
 *                   and text each | more 1 | rules: count 1, length 1 and text each
 */
#include "policy/log.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/records.h"

enum { RECORD = 8192, PRUNE = 1000, BATCH = 64 };

static void put(struct writer *w, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);

    writer_u16(w, (uint16_t)len);
    writer_bytes(w, text, len);
}

int log_append(struct kv *kv, const struct policy_log_entry *e, const struct log_rules *rules)
{
    uint8_t value[RECORD];
    struct writer w = writer_make(value, sizeof value);
    struct kv_key k;
    int rc;

    writer_u64(&w, e->time_ms);
    writer_u64(&w, e->digest);
    put(&w, e->author, sizeof e->author);
    put(&w, e->claimed, sizeof e->claimed);
    put(&w, e->reason, sizeof e->reason);
    put(&w, e->summary, sizeof e->summary);
    writer_u8(&w, rules->more);
    writer_u8(&w, (uint8_t)rules->n);
    for (unsigned i = 0; i < rules->n; i++) {
        size_t len = strnlen(rules->names[i], POLICY_NAME - 1);

        writer_u8(&w, (uint8_t)len);
        writer_bytes(&w, rules->names[i], len);
    }
    key_number(&k, TABLE_LOG, e->serial);
    rc = kv_put(kv, &k, value, w.len);
    return rc < 0 ? rc : 0;
}

static void get(struct cursor *c, char *out, size_t size)
{
    size_t len = cursor_u16(c);
    const uint8_t *p = cursor_take(c, len);

    out[0] = '\0';
    if (p == NULL || len >= size)
        c->bad = true;
    else if (len > 0)
        memcpy(out, p, len);
    if (!c->bad)
        out[len] = '\0';
}

static bool entry_read(const struct kv_entry *from, struct policy_log_entry *e, const char *rule,
                       bool *wanted)
{
    struct cursor k = cursor_make(from->key.at + 1, from->key.len - 1);
    struct cursor c = cursor_make(from->value.at, from->value.len);
    unsigned n;

    e->serial = cursor_u64(&k);
    e->time_ms = cursor_u64(&c);
    e->digest = cursor_u64(&c);
    get(&c, e->author, sizeof e->author);
    get(&c, e->claimed, sizeof e->claimed);
    get(&c, e->reason, sizeof e->reason);
    get(&c, e->summary, sizeof e->summary);
    *wanted = cursor_u8(&c) != 0 || rule == NULL;
    n = cursor_u8(&c);
    while (n-- > 0 && !c.bad) {
        struct kv_bytes t = record_text(&c);

        if (rule != NULL && !c.bad && record_text_is(&t, rule))
            *wanted = true;
    }
    return !c.bad && !k.bad;
}

int log_last(struct kv *kv, uint64_t *serial, uint64_t *time_ms)
{
    struct kv_key behind = {.len = 1, .at = {TABLE_LOG + 1}}, table;
    struct kv_entry e;
    struct cursor c;
    int rc = kv_seek(kv, &behind, &e);

    *serial = *time_ms = 0;
    key_named(&table, TABLE_LOG, "");
    if (rc == 0 || rc == -EBADMSG || rc == -ENOENT)
        rc = kv_prev(kv, &e);
    if (rc == -ENOENT || (e.key.at != NULL && !kv_begins(&e.key, &table)))
        return 0;
    if (rc != 0 && rc != -EBADMSG)
        return rc;
    c = cursor_make(e.key.at + 1, e.key.len - 1);
    *serial = cursor_u64(&c);
    if (c.bad)
        return -EBADMSG;
    c = cursor_make(e.value.at, e.value.len);
    *time_ms = cursor_u64(&c);
    return 0;
}

int log_prune(struct kv *kv, uint64_t before_ms)
{
    struct kv_key table, k;
    int rc = 0;

    key_named(&table, TABLE_LOG, "");
    for (unsigned i = 0; i < PRUNE; i++) {
        struct kv_entry e;

        rc = kv_seek(kv, &table, &e);
        if (rc == -ENOENT || (rc == 0 && !kv_begins(&e.key, &table)))
            return 0;
        if (rc == 0) {
            struct cursor c = cursor_make(e.value.at, e.value.len);

            if (cursor_u64(&c) >= before_ms)
                return 0;
        }
        if ((rc != 0 && rc != -EBADMSG) || !kv_begins(&e.key, &table) || e.key.len > KV_KEY_MAX)
            return 0; /* a damaged entry that is first is of no use either: it goes */
        k.len = e.key.len;
        memcpy(k.at, e.key.at, e.key.len);
        rc = kv_del(kv, &k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Up to BATCH entries from serial *from on; moves *from behind them. */
static int read_batch(struct policy_store *store, uint64_t *from, uint64_t since_ms,
                      const char *rule, struct policy_log_entry *out, unsigned *n, bool *more)
{
    struct kv_key table, k;
    struct kv_entry e;
    struct kv *kv;
    unsigned seen = 0;
    int rc = kv_begin(store, false, &kv);

    *n = 0;
    if (rc != 0)
        return rc;
    key_named(&table, TABLE_LOG, "");
    key_number(&k, TABLE_LOG, *from);
    for (rc = kv_seek(kv, &k, &e); rc == 0 || rc == -EBADMSG; rc = kv_next(kv, &e)) {
        bool wanted;

        if (!kv_begins(&e.key, &table) || *n == BATCH || seen++ == 1000)
            break;
        if (rc != 0 || !entry_read(&e, &out[*n], rule, &wanted)) {
            rc = -EBADMSG;
            goto damaged;
        }
        *from = out[*n].serial + 1;
        if (wanted && out[*n].time_ms >= since_ms)
            ++*n;
    }
    *more = *n == BATCH || seen > 1000;
    rc = rc == -ENOENT || rc == -EBADMSG ? 0 : rc;
damaged:
    kv_end(kv);
    return rc;
}

int policy_log_each(struct policy_store *store, uint64_t since_ms, const char *rule,
                    policy_log_visit *visit, void *context)
{
    struct policy_log_entry *batch = calloc(BATCH, sizeof *batch);
    uint64_t from = 0;
    bool more = true;
    unsigned n;
    int rc = 0;

    if (batch == NULL)
        return -ENOMEM;
    while (more && rc == 0) {
        more = false;
        rc = read_batch(store, &from, since_ms, rule, batch, &n, &more);
        /* Nothing is open while the visitor prints. */
        for (unsigned i = 0; i < n && rc == 0; i++)
            rc = visit(context, &batch[i]);
    }
    free(batch);
    return rc;
}
