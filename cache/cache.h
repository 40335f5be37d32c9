/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache.h -- answers we keep, shared by all workers.
 *
 * Two kinds of entries live in one cache and one budget:
 *   answers    images made by reply_read() (wire/reply.h), and failures
 *   decisions  KMS answers that the policy made, with a head that says when
 *              they are valid: opaque here
 * The cache copies in and copies out; no pointer into it leaves. It allocates
 * at cache_new() and never again. All functions but new and free may be called
 * by any thread; a shard's mutex is held for the time of one copy.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/addr.h"
#include "wire/kms.h"
#include "wire/reply.h"

struct cache; /* opaque */

enum cache_kind { CACHE_ANSWER, CACHE_DECISION };
/* CACHE_FAILURE: not the answer but the fact that there was none (RFC 9520); it
 * lies beside the answer, so that one may have expired while the other counts. */
enum { CACHE_DO = 1, CACHE_CD = 2, CACHE_FAILURE = 4 };
enum { CACHE_NO_TYPE = 0 /* of an NXDOMAIN that counts for all types and below (RFC 8020) */ };
/* The smallest cache has one shard, of which the largest entry is a 13th. */
enum { CACHE_MAX_HEAD = 1040, CACHE_MIN_SIZE = 1 << 20 };

/* The name is folded, and borrowed. scope: the hash of an answer's route; the range of a
 * decision's client. cache_key_init() sets the hash. */
struct cache_key {
    const struct name *name;
    uint64_t hash;
    uint32_t scope;
    uint16_t type, class;
    uint8_t kind, bits;
};

/* What is known about an entry, kept beside its image. */
struct cache_facts {
    uint64_t stored_ms, expires_ms; /* monotonic */
    struct addr server;             /* who said it */
    uint16_t rtt_ms;
    uint16_t rcode;  /* of a failure: what the server said; or RCODE_TIMEOUT */
    uint8_t verdict; /* enum kms_verdict; other than of an answer: no image, only the fact */
    bool has_rrsig : 1, has_cname : 1, filtered : 1;
    bool rotates : 1; /* image_rotate() may be used on the image */
};

enum cache_result {
    CACHE_MISS,
    CACHE_HIT,
    CACHE_EXPIRED, /* found, but its time is over: for serve-stale */
};

/* clang-format off */
/* Inserts include those that replaced an older self. The first three are of now: bytes are
 * those of live entries, size is the configured limit. And so are the last, by what an entry is:
 * an answer of one of three kinds, a failure, a decision. */
#define CACHE_STATS(X) X(entries) X(bytes) X(size) X(lookups_hit) X(lookups_missed) X(lookups_expired) \
    X(inserts) X(replaced) X(evicted) X(refused) X(flushed) X(positive) X(positive_bytes) \
    X(nodata) X(nodata_bytes) X(nxdomain) X(nxdomain_bytes) X(failures) X(failures_bytes) \
    X(decisions) X(decisions_bytes)
/* clang-format on */
struct cache_stats {
#define X(name) uint64_t name;
    CACHE_STATS(X)
#undef X
};

/* max_bytes is exact: index and ring together, and the control block. Not below CACHE_MIN_SIZE,
 * nor above what settings allow. NULL when out of memory. */
struct cache *cache_new(size_t max_bytes, const struct hash_key *key);
void cache_free(struct cache *);

void cache_key_init(const struct cache *, struct cache_key *);
void cache_prefetch(const struct cache *, const struct cache_key *);

/* Copies the entry out: facts, and the image with TTLs aged to now (each at least 0); one that
 * does not fit is a miss. An expired entry is copied with TTLs as stored; the caller sets them
 * (image_age). A decision comes back as it was put, behind its head. */
enum cache_result cache_get(struct cache *, const struct cache_key *, uint64_t now_ms, uint8_t *out,
                            size_t size, size_t *len, struct cache_facts *);

/* Keeps an entry and replaces its older self. image may be NULL with len 0 (failures) and has at
 * most DNS_MAX_MESSAGE bytes. head: up to CACHE_MAX_HEAD bytes, or NULL. What is larger
 * is refused and counted: the older entry stays. */
void cache_put(struct cache *, const struct cache_key *, const struct cache_facts *,
               const uint8_t *image, size_t len, const void *head, size_t head_len);

/* Keeps an answer if none is there under the key, and if none must go for it: what is known from
 * earlier makes no room for itself. False: it was not kept. */
bool cache_add(struct cache *, const struct cache_key *, const struct cache_facts *,
               const uint8_t *image, size_t len);

/* At the name, or at it and below; or all. Of a type, or (0) any; looked up lately, not, or both. */
struct cache_select {
    const struct name *name; /* folded; NULL: all */
    bool below;
    uint16_t type;
    enum cache_use { CACHE_USED_OR_NOT, CACHE_USED, CACHE_UNUSED } use;
};
/* Calls back for each answer that is meant with a copy, expired ones too, until that returns false.
 * No lock is held during the callback. How many. Takes as long as the cache is large; never called
 * by a worker. NULL: forgets each entry that is meant, decisions as well. */
typedef bool cache_visit(void *context, const struct cache_key *, const struct cache_facts *,
                         const uint8_t *image, size_t len);
size_t cache_each(struct cache *, const struct cache_select *, uint64_t now_ms, cache_visit *,
                  void *context);
/* Forgets every entry there, of whatever type, scope and kind. */
#define cache_flush(c, at, or_below)                                                               \
    cache_each(c, &(struct cache_select){.name = (at), .below = (or_below)}, 0, NULL, NULL)

/* A server that was dead is back: failures of questions asked before now say nothing any more. */
void cache_forgive(struct cache *, uint64_t now_ms);
uint64_t cache_forgiven_ms(const struct cache *); /* the last time; 0: never */

void cache_stats(struct cache *, struct cache_stats *);

#endif
