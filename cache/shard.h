/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shard.h -- one part of the cache: an index, a ring of entries, a mutex.
 * Private to cache/. The caller holds the mutex; see shard.c for the layout.
 */
#ifndef CACHE_SHARD_H
#define CACHE_SHARD_H

#include <pthread.h>

#include "cache/entry.h"

enum { BUCKET_WAYS = 8, FREQ_MAX = 3 };

struct bucket {                /* one cache line */
    uint16_t tag[BUCKET_WAYS]; /* 16 bits of the hash; 0: the way is empty */
    uint32_t ref[BUCKET_WAYS]; /* place in the ring, in units */
    uint8_t freq[BUCKET_WAYS]; /* look-ups since the tail came by, at most FREQ_MAX */
    uint8_t unused[8];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct bucket *buckets; /* n_buckets; part of the cache's one mapping */
    uint64_t *ring;         /* ring_units; likewise */
    uint32_t n_buckets, ring_units;
    uint32_t head, tail, used; /* units; [tail, tail + used) holds entries and pads */
    uint32_t reserve;          /* units that an insertion tries to leave free */
    uint64_t live;             /* units of the entries that the index knows */
    struct cache_stats stats;  /* bytes and size are filled in by cache_stats() */
};

struct way {
    struct bucket *bucket;
    unsigned at;
};

/* Where the key's bucket is, among n. The low 16 bits of the hash are the tag
 * and the top bits choose the shard, so the middle ones choose the bucket. */
static inline uint32_t bucket_index(uint64_t hash, uint32_t n)
{
    return (uint32_t)(((hash >> 16 & UINT32_MAX) * n) >> 32);
}

static inline struct entry *shard_entry(const struct shard *s, uint32_t ref)
{
    return (struct entry *)(void *)(s->ring + ref);
}

/* The entry with this key, or NULL; *way is its place in the index. */
struct entry *shard_find(const struct shard *, const struct cache_key *, struct way *);
/* A place of so many units that the index knows by the key; an older entry
 * with the key is gone. The caller writes it before the lock is released. */
struct entry *shard_insert(struct shard *, const struct cache_key *, size_t units);
/* Takes the entry out of the index; its bytes stay until the tail comes by. */
void shard_forget(struct shard *, struct bucket *, unsigned way);

#endif
