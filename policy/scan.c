/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.c -- runs of keys.
 *
 * Keys are copied out a batch at a time and the cursor is placed anew for the
 * next one: no cursor has to live through a deletion.
 */
#include "policy/scan.h"

#include <errno.h>
#include <stdlib.h>

enum { BATCH = 256, RECORD = 4096 };

struct batch {
    size_t n;
    struct kv_key keys[BATCH];
};

/* The keys behind `after` (NULL: from the first). */
static int read_batch(struct kv *kv, const struct kv_key *prefix, const struct kv_key *after,
                      struct batch *b)
{
    struct kv_entry e;
    int rc = kv_seek(kv, after != NULL ? after : prefix, &e);

    b->n = 0;
    while ((rc == 0 || rc == -EBADMSG) && kv_begins(&e.key, prefix) && b->n < BATCH) {
        if (after == NULL || e.key.len != after->len ||
            memcmp(e.key.at, after->at, after->len) != 0) {
            struct kv_key *k = &b->keys[b->n++];

            k->len = e.key.len; /* at most KV_KEY_MAX, or LMDB is not the one we know */
            memcpy(k->at, e.key.at, e.key.len <= KV_KEY_MAX ? e.key.len : 0);
            if (k->len > KV_KEY_MAX)
                return -EIO;
        }
        rc = kv_next(kv, &e);
    }
    return rc == -ENOENT || rc == -EBADMSG ? 0 : rc;
}

int scan_keys(struct kv *kv, const struct kv_key *prefix, scan_visit *visit, void *context)
{
    struct batch *b = malloc(sizeof *b);
    struct kv_key last;
    bool more = false;
    int rc;

    if (b == NULL)
        return -ENOMEM;
    do {
        rc = read_batch(kv, prefix, more ? &last : NULL, b);
        for (size_t i = 0; i < b->n && rc == 0; i++)
            rc = visit(context, &b->keys[i]);
        more = b->n == BATCH;
        if (more)
            last = b->keys[BATCH - 1];
    } while (rc == 0 && more);
    free(b);
    return rc;
}

struct deletion {
    struct kv *kv;
    int64_t n;
};

static int delete_one(void *context, const struct kv_key *key)
{
    struct deletion *d = context;

    d->n++;
    return kv_del(d->kv, key);
}

int64_t scan_delete(struct kv *kv, const struct kv_key *prefix)
{
    struct deletion d = {kv, 0};
    int rc = scan_keys(kv, prefix, delete_one, &d);

    return rc != 0 ? rc : d.n;
}

struct merge {
    struct kv *kv;
    scan_make *make;
    void *context;
    size_t at, n;
};

static int key_compare(const struct kv_key *a, const struct kv_key *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->at, b->at, len);

    return c != 0 ? c : a->len < b->len ? -1 : a->len > b->len;
}

static int delete_if_stale(void *context, const struct kv_key *key)
{
    struct merge *m = context;
    uint8_t value[RECORD];
    struct kv_key k;

    for (; m->at < m->n; m->at++) {
        struct writer w = writer_make(value, sizeof value);
        int c;

        m->make(m->context, m->at, &k, &w);
        c = key_compare(&k, key);
        if (c == 0)
            return 0;
        if (c > 0)
            break;
    }
    return kv_del(m->kv, key);
}

int scan_replace(struct kv *kv, enum policy_table table, size_t n, scan_make *make, void *context)
{
    struct merge m = {kv, make, context, 0, n};
    uint8_t value[RECORD];
    struct kv_key k;
    int rc;

    key_named(&k, table, "");
    rc = scan_keys(kv, &k, delete_if_stale, &m);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        struct writer w = writer_make(value, sizeof value);

        make(context, i, &k, &w);
        rc = w.full ? -EIO : kv_put(kv, &k, value, w.len);
    }
    return rc < 0 ? rc : 0;
}
