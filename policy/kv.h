/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kv.h -- ordered keys and checked values: all that policy/ sees of LMDB.
 *
 * A stored value is 8 octets of XXH3, one of version, then the payload. The
 * hash covers key, version and payload, so a value that was moved to another
 * key is damaged too. Spans point into the map: they last until the end of the
 * transaction, or until the next put or del when it writes.
 */
#ifndef POLICY_KV_H
#define POLICY_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/guard.h"

struct policy_store;
struct policy_reader;
struct kv; /* one transaction */

enum { KV_KEY_MAX = 511 }; /* what Debian's LMDB was built with */

struct kv_key {
    size_t len; /* 0: what it was built from does not fit */
    uint8_t at[KV_KEY_MAX];
};
struct kv_bytes {
    const uint8_t *at;
    size_t len;
};
struct kv_entry {
    struct kv_bytes key, value;
};

static inline bool kv_begins(const struct kv_bytes *key, const struct kv_key *prefix)
{
    return key->len >= prefix->len && memcmp(key->at, prefix->at, prefix->len) == 0;
}

static inline int kv_compare(const struct kv_bytes *a, const struct kv_key *b)
{
    int c = memcmp(a->at, b->at, a->len < b->len ? a->len : b->len);

    return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

/* 0 and *out, or -errno. A writer waits for another writer. */
int kv_begin(struct policy_store *, bool write, struct kv **out);
void kv_end(struct kv *);   /* reader: done; writer: nothing was. NULL is fine */
int kv_commit(struct kv *); /* gone either way */
struct kv *policy_reader_kv(struct policy_reader *); /* between begin and end; borrowed */
uint64_t kv_state(const struct kv *);                /* which state of the store is seen */

/* 0; -ENOENT; -EBADMSG the value is damaged; -errno. */
int kv_get(struct kv *, const struct kv_key *, struct kv_bytes *value);
/* First entry at or behind the key, then its neighbours. -ENOENT: none. With
 * -EBADMSG the entry's key is set, its value empty, and a scan may go on. */
int kv_seek(struct kv *, const struct kv_key *, struct kv_entry *);
int kv_next(struct kv *, struct kv_entry *);
int kv_prev(struct kv *, struct kv_entry *);

/* A failed write spoils the transaction: kv_commit() then fails as well. */
enum kv_change { KV_SAME, KV_ADDED, KV_REPLACED };
int kv_put(struct kv *, const struct kv_key *, const void *payload,
           size_t len);                         /* enum kv_change or -errno */
int kv_del(struct kv *, const struct kv_key *); /* 0, -ENOENT, -errno; damaged ones go too */

/* How the writes so far moved the sum of the hashes of the live records. */
uint64_t kv_digest_delta(const struct kv *);
int kv_failed(const struct kv *);    /* the first failed write, or 0 */
bool kv_repaired(const struct kv *); /* a damaged value was overwritten or removed */

/* The sum of the hashes of the live records, read from all of them. */
int kv_sum(struct kv *, uint64_t *sum);

/* A value as it is stored: its payload, 0 or -EBADMSG, and what the digest counts of it. */
int kv_value(const struct kv_bytes *key, const struct kv_bytes *stored, struct kv_bytes *payload,
             uint64_t *hashed);

/* rc = call, which reads the map; -EIO when it met a fault now or since the
 * reader began. The fault is counted. */
#define kv_guarded(rc, kv, call)                                                                   \
    do {                                                                                           \
        if (kv_faulted(kv)) {                                                                      \
            (rc) = -EIO;                                                                           \
        } else {                                                                                   \
            guarded(rc, call);                                                                     \
            (rc) = kv_settle(kv, rc);                                                              \
        }                                                                                          \
    } while (0)
bool kv_faulted(const struct kv *);
int kv_settle(struct kv *, int rc);

#endif
