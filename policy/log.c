/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.c -- one record per change.
 *
 *   serial (key) ─▶ time 8 | digest 8 | author, claimed, reason, summary | more 1 |
 *                   rules: how many 1, then their names
 */
#include "policy/log.h"

#include <errno.h>

#include "policy/records.h"

enum { RECORD = 8192, PRUNE = 1000 };

int log_append(struct store_txn *t, const struct policy_log_entry *e, const struct log_rules *rules)
{
    uint8_t value[RECORD];
    struct writer w = writer_make(value, sizeof value);
    struct store_key k;
    int rc;

    writer_u64(&w, e->time_ms);
    writer_u64(&w, e->digest);
    text_write(&w, e->author, sizeof e->author);
    text_write(&w, e->claimed, sizeof e->claimed);
    text_write(&w, e->reason, sizeof e->reason);
    text_write(&w, e->summary, sizeof e->summary);
    writer_u8(&w, rules->more);
    writer_u8(&w, (uint8_t)rules->n);
    for (unsigned i = 0; i < rules->n; i++)
        text_write(&w, rules->names[i], sizeof rules->names[i]);
    key_serial(&k, e->serial);
    rc = store_put(t, &k, value, w.len);
    return rc < 0 ? rc : 0;
}

int log_last(struct store_txn *t, uint64_t *serial, uint64_t *time_ms)
{
    const struct store_key behind = {1, {TABLE_LOG + 1}}, table = {1, {TABLE_LOG}};
    struct store_record r;
    struct cursor c;
    int rc = store_seek(t, &behind, 0, &r);

    *serial = *time_ms = 0;
    if (rc == 0 || rc == -EBADMSG || rc == -ENOENT)
        rc = store_prev(t, &table, 1, &r);
    if (rc == -ENOENT)
        return 0;
    if (rc != 0 && rc != -EBADMSG)
        return rc;
    c = cursor_make(r.key.data + 1, r.key.len - 1);
    *serial = cursor_u64(&c);
    if (c.bad)
        return -EBADMSG;
    c = cursor_make(r.value.data, r.value.len);
    *time_ms = cursor_u64(&c);
    return 0;
}

int log_prune(struct store_txn *t, uint64_t before_ms)
{
    const struct store_key table = {1, {TABLE_LOG}};

    for (unsigned i = 0; i < PRUNE; i++) {
        struct store_record r;
        struct store_key k;
        int rc = store_seek(t, &table, 1, &r);
        struct cursor c = cursor_make(r.value.data, r.value.len);

        /* A damaged entry that is first is of no use either: it goes. */
        if ((rc != 0 && rc != -EBADMSG) || (rc == 0 && cursor_u64(&c) >= before_ms))
            return rc == -ENOENT ? 0 : rc;
        store_key_copy(&k, &r.key);
        rc = store_del(t, &k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int policy_log_each(struct store *store, uint64_t since_ms, const char *rule,
                    policy_log_visit *visit, void *context)
{
    struct policy_log_entry e = {.serial = 0};
    int rc = 0;

    while (rc == 0) {
        struct store_record r;
        struct store_key k;
        struct store_txn *t;
        struct cursor key, c;
        bool concerned;

        rc = store_begin(store, false, &t);
        if (rc != 0)
            return rc;
        key_serial(&k, e.serial + 1);
        rc = store_seek(t, &k, 1, &r);
        if (rc != 0) {
            store_end(t);
            return rc == -ENOENT ? 0 : rc;
        }
        key = cursor_make(r.key.data + 1, r.key.len - 1);
        c = cursor_make(r.value.data, r.value.len);
        e.serial = cursor_u64(&key);
        e.time_ms = cursor_u64(&c);
        e.digest = cursor_u64(&c);
        text_read(&c, e.author, sizeof e.author);
        text_read(&c, e.claimed, sizeof e.claimed);
        text_read(&c, e.reason, sizeof e.reason);
        text_read(&c, e.summary, sizeof e.summary);
        concerned = cursor_u8(&c) != 0 || rule == NULL;
        for (unsigned n = cursor_u8(&c); n > 0 && !c.bad; n--) {
            struct store_bytes name = record_text(&c);

            concerned |= rule != NULL && !c.bad && record_text_is(&name, rule);
        }
        store_end(t);
        if (key.bad || c.bad)
            return -EBADMSG;
        if (concerned && e.time_ms >= since_ms)
            rc = visit(context, &e); /* nothing is open meanwhile */
    }
    return rc;
}
