/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache.h -- answers we keep, shared by all workers.
 *
 * Two kinds of entries live in one cache and one budget:
 *   answers    images made by reply_read() (wire/reply_read.h), and failures
 *   decisions  KMS answers that the policy made: opaque here; the note says
 *              when they are valid
 * The cache copies in and copies out; no pointer into it leaves. It allocates
 * at cache_new() and never again. All functions but new and free may be called
 * by any thread; a shard's mutex is held for the time of one copy.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/addr.h"
#include "base/random.h"
#include "wire/kms.h"
#include "wire/reply_read.h"

struct cache; /* opaque */

enum cache_kind { CACHE_ANSWER, CACHE_DECISION };
/* CACHE_FAILURE: not the answer but the fact that there was none (RFC 9520); it
 * lies beside the answer, so that one may have expired while the other counts. */
enum { CACHE_DO = 1, CACHE_CD = 2, CACHE_FAILURE = 4 };
/* The smallest cache has one shard, of which the largest entry is a 13th. */
enum { CACHE_MAX_NOTE = 1040, CACHE_MIN_SIZE = 1 << 20 };

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
    bool has_rrsig : 1, has_cname : 1;
    bool rotates : 1; /* image_rotate() may be used on the image */
};

enum cache_result {
    CACHE_MISS,
    CACHE_HIT,
    CACHE_EXPIRED, /* found, but its time is over: for serve-stale */
};

/* Inserts include those that replaced an older self. The last three are of now: bytes are
 * those of live entries, size is the configured limit. */
struct cache_stats {
    uint64_t hits, misses, expired;
    uint64_t inserts, replaced, evicted, refused, flushed;
    uint64_t entries, bytes, size;
};

/* max_bytes is exact: index and ring together, and the control block. NULL
 * when out of memory, or (errno EINVAL) when max_bytes is below CACHE_MIN_SIZE. */
struct cache *cache_new(size_t max_bytes, const struct hash_key *key);
void cache_free(struct cache *);

void cache_key_init(const struct cache *, struct cache_key *);
void cache_prefetch(const struct cache *, const struct cache_key *);

/* Copies the entry out: image with TTLs aged to now (each at least 0), facts, and the note if
 * note is not NULL (*note_len: in its size, out its length). An image or a note that does not
 * fit is a miss. An expired entry is copied with TTLs as stored; the caller sets them
 * (image_age). The image of a decision is opaque and comes back as it was put. */
enum cache_result cache_get(struct cache *, const struct cache_key *, uint64_t now_ms, uint8_t *out,
                            size_t size, size_t *len, struct cache_facts *, void *note,
                            size_t *note_len);

/* Keeps an entry and replaces its older self. image may be NULL with len 0 (failures) and has at
 * most DNS_MAX_MESSAGE bytes. note: up to CACHE_MAX_NOTE opaque bytes, or NULL. What is larger
 * is refused (-E2BIG) and counted: the older entry stays. */
int cache_put(struct cache *, const struct cache_key *, const struct cache_facts *,
              const uint8_t *image, size_t len, const void *note, size_t note_len);

/* Forgets every entry at the name (all types, scopes and kinds), or at it and below, or all
 * (name NULL). Returns how many. Takes as long as the cache is large; never called by a worker. */
size_t cache_flush(struct cache *, const struct name *name, bool below);

/* Calls back for each answer entry at the name (NULL: at every name; any type
 * when type is 0) with a copy, expired ones too; for the administrator's
 * `cache get`. No lock is held during the callback. Takes as long as a flush. */
typedef void cache_visit(void *context, const struct cache_key *, const struct cache_facts *,
                         const uint8_t *image, size_t len);
void cache_each(struct cache *, const struct name *name, uint16_t type, uint64_t now_ms,
                cache_visit *, void *context);

void cache_stats(struct cache *, struct cache_stats *);

#endif
