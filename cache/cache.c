/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache.c -- the shards, and what the rest of the program may do with them.
 *
 *   one mapping of max_bytes:  struct cache | shards | buckets of all | rings
 *
 * The control block lies in the mapping too, so that the limit holds for
 * everything. A shard is chosen by the top bits of the hash. Work that needs
 * no lock (packing, finding TTLs, hashing) is done outside it. Walks over the
 * whole cache hold a lock for a few buckets at a time: entries never change
 * their way, so an entry that lives through the walk is met once.
 *
 * Expired entries stay until they are replaced or evicted: nothing runs when
 * nobody asks, and serve-stale wants them.
 */

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "cache/shard.h"
#include "wire/reply.h"

enum {
    MAX_SHARDS = 64,
    SHARD_BYTES = 1 << 20, /* aimed at: below that a shard holds too few entries */
    INDEX_PART = 12,       /* 1/12 for buckets: about 4 of 8 ways used at 160 bytes an entry */
    HUGE_PAGE = 2 << 20,
    WALK_BUCKETS = 64, /* a flush holds a lock for so many */
};

struct cache {
    struct hash_key key;
    size_t map_bytes, max_bytes;
    struct bucket *buckets; /* n_buckets of shard 0, then those of shard 1 ... */
    uint32_t n_buckets, n_shards;
    struct shard shards[];
};

_Static_assert(12 * ENTRY_MAX <= CACHE_MIN_SIZE, "an entry and the end of the ring must fit");
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

/* Zeroed pages; large mappings lie so that huge pages fit. NULL on failure. */
static void *map(size_t bytes)
{
    size_t slack = bytes >= 4 * (size_t)HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t front;

    if (p == MAP_FAILED)
        return NULL;
    if (slack == 0)
        return p;
    front = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (front > 0)
        munmap(p, front);
    if (slack > front)
        munmap(p + front + bytes, slack - front);
    madvise(p + front, bytes, MADV_HUGEPAGE); /* a wish: fails on kernels without them */
    return p + front;
}

/* Deals the mapping out: behind the control block to buckets, the rest to rings. */
static void lay_out(struct cache *c)
{
    size_t control = sizeof *c + c->n_shards * sizeof *c->shards;
    size_t share = (c->map_bytes - control) / c->n_shards;
    size_t ring_bytes;
    char *rings;

    c->buckets = (struct bucket *)(void *)((char *)c + control);
    c->n_buckets = (uint32_t)(share / INDEX_PART / sizeof(struct bucket));
    ring_bytes = (share - c->n_buckets * sizeof(struct bucket)) & ~(size_t)63;
    rings = (char *)(c->buckets + (size_t)c->n_buckets * c->n_shards);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        struct shard *s = &c->shards[i];

        pthread_mutex_init(&s->lock, NULL);
        s->buckets = c->buckets + (size_t)i * c->n_buckets;
        s->n_buckets = c->n_buckets;
        s->ring = (uint64_t *)(void *)(rings + i * ring_bytes);
        s->ring_units = (uint32_t)(ring_bytes / ENTRY_UNIT);
        s->reserve = s->ring_units / 32;
    }
}

struct cache *cache_new(size_t max_bytes, const struct hash_key *key)
{
    size_t page = 4096;
    struct cache *c;

    /* Units are counted in 32 bits for each shard. */
    if (max_bytes < CACHE_MIN_SIZE || max_bytes / MAX_SHARDS / ENTRY_UNIT >= UINT32_MAX) {
        errno = EINVAL;
        return NULL;
    }
    c = map(max_bytes & ~(page - 1));
    if (c == NULL)
        return NULL;
    c->key = *key;
    c->max_bytes = max_bytes;
    c->map_bytes = max_bytes & ~(page - 1);
    c->n_shards = 1;
    while (c->n_shards < MAX_SHARDS && max_bytes / (2 * c->n_shards) >= SHARD_BYTES)
        c->n_shards *= 2;
    lay_out(c);
    return c;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->n_shards; i++)
        pthread_mutex_destroy(&c->shards[i].lock);
    munmap(c, c->map_bytes);
}

void cache_key_init(const struct cache *c, struct cache_key *key)
{
    uint8_t bytes[10 + NAME_MAX_WIRE];

    memcpy(bytes, &key->type, 2);
    memcpy(bytes + 2, &key->class, 2);
    memcpy(bytes + 4, &key->scope, 4);
    bytes[8] = key->kind;
    bytes[9] = key->bits;
    memcpy(bytes + 10, key->name->at, key->name->len);
    key->hash = hash_bytes(&c->key, bytes, 10u + key->name->len);
}

static uint32_t shard_index(const struct cache *c, uint64_t hash)
{
    return (uint32_t)(hash >> 48) & (c->n_shards - 1);
}

/* Reads only what never changes: not even the shard's line is shared. */
void cache_prefetch(const struct cache *c, const struct cache_key *key)
{
    PREFETCH(c->buckets + (size_t)shard_index(c, key->hash) * c->n_buckets +
             bucket_index(key->hash, c->n_buckets));
}

enum cache_result cache_get(struct cache *c, const struct cache_key *key, uint64_t now_ms,
                            uint8_t *out, size_t size, size_t *len, struct cache_facts *facts,
                            void *note, size_t *note_len)
{
    struct shard *s = &c->shards[shard_index(c, key->hash)];
    struct entry_out to = {out, note, size, note != NULL ? *note_len : 0};
    enum cache_result result = CACHE_MISS;
    struct entry *e;
    struct way way;

    pthread_mutex_lock(&s->lock);
    e = shard_find(s, key, &way);
    if (e != NULL && entry_copy(e, now_ms, &to)) {
        *facts = e->facts;
        if (way.bucket->freq[way.at] < FREQ_MAX) /* the line of a popular entry stays clean */
            way.bucket->freq[way.at]++;
        result = now_ms < e->facts.expires_ms ? CACHE_HIT : CACHE_EXPIRED;
    }
    s->stats.hits += result == CACHE_HIT;
    s->stats.misses += result == CACHE_MISS;
    s->stats.expired += result == CACHE_EXPIRED;
    pthread_mutex_unlock(&s->lock);
    *len = result != CACHE_MISS ? to.image_len : 0;
    if (note != NULL)
        *note_len = result != CACHE_MISS ? to.note_len : 0;
    return result;
}

int cache_put(struct cache *c, const struct cache_key *key, const struct cache_facts *facts,
              const uint8_t *image, size_t len, const void *note, size_t note_len)
{
    struct shard *s = &c->shards[shard_index(c, key->hash)];
    struct entry_body body;
    int n = 0, rc = len > DNS_MAX_MESSAGE || note_len > CACHE_MAX_NOTE ? -E2BIG : 0;

    assert(key->kind <= CACHE_DECISION);
    if (rc == 0 && key->kind == CACHE_ANSWER && len > 0 &&
        (n = image_ttls(image, len, body.ttl_pos, ENTRY_MAX_TTLS)) < 0)
        rc = -EINVAL;
    body.image = image;
    body.image_len = len;
    body.note = note;
    body.note_len = note_len;
    body.n_ttl = (size_t)n;
    pthread_mutex_lock(&s->lock);
    if (rc == 0) {
        size_t units = entry_units(key, &body);

        entry_write(shard_insert(s, key, units), units, key, facts, &body);
    } else {
        s->stats.refused++;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static bool is_wanted(const struct entry *e, const struct name *name, bool below)
{
    struct name own;

    if (name == NULL)
        return true;
    entry_name(e, &own);
    return below ? name_is_under(&own, name) : name_equal_fold(&own, name);
}

size_t cache_flush(struct cache *c, const struct name *name, bool below)
{
    size_t flushed = 0;

    for (uint32_t i = 0; i < c->n_shards; i++) {
        struct shard *s = &c->shards[i];

        for (size_t n = 0; n < (size_t)s->n_buckets * BUCKET_WAYS;) {
            pthread_mutex_lock(&s->lock);
            do {
                struct bucket *b = &s->buckets[n / BUCKET_WAYS];
                unsigned way = n % BUCKET_WAYS;

                if (b->tag[way] != 0 && is_wanted(shard_entry(s, b->ref[way]), name, below)) {
                    shard_forget(s, b, way);
                    s->stats.flushed++;
                    flushed++;
                }
            } while (++n % (WALK_BUCKETS * BUCKET_WAYS) != 0 &&
                     n < (size_t)s->n_buckets * BUCKET_WAYS);
            pthread_mutex_unlock(&s->lock);
        }
    }
    return flushed;
}

void cache_each(struct cache *c, const struct name *name, uint16_t type, uint64_t now_ms,
                cache_visit *visit, void *context)
{
    uint8_t image[DNS_MAX_MESSAGE];

    for (uint32_t i = 0; i < c->n_shards; i++) {
        struct shard *s = &c->shards[i];

        for (size_t n = 0; n < (size_t)s->n_buckets * BUCKET_WAYS; n++) {
            const struct bucket *b = &s->buckets[n / BUCKET_WAYS];
            struct entry_out out = {.image = image, .image_len = sizeof image};
            const struct entry *e = NULL;
            struct cache_facts facts;
            struct cache_key key;
            struct name own;

            pthread_mutex_lock(&s->lock);
            if (b->tag[n % BUCKET_WAYS] != 0)
                e = shard_entry(s, b->ref[n % BUCKET_WAYS]);
            if (e != NULL && (e->kind != CACHE_ANSWER || (type != 0 && e->type != type) ||
                              !is_wanted(e, name, false)))
                e = NULL;
            if (e != NULL) {
                entry_name(e, &own);
                key = (struct cache_key){.name = &own,
                                         .type = e->type,
                                         .class = e->class,
                                         .kind = e->kind,
                                         .bits = e->bits,
                                         .scope = e->scope,
                                         .hash = e->hash};
                facts = e->facts;
                entry_copy(e, now_ms, &out); /* always fits */
            }
            pthread_mutex_unlock(&s->lock);
            if (e != NULL)
                visit(context, &key, &facts, image, out.image_len);
        }
    }
}

void cache_stats(struct cache *c, struct cache_stats *sum)
{
    *sum = (struct cache_stats){.size = c->max_bytes};
    for (uint32_t i = 0; i < c->n_shards; i++) {
        struct shard *s = &c->shards[i];

        pthread_mutex_lock(&s->lock);
        sum->hits += s->stats.hits;
        sum->misses += s->stats.misses;
        sum->expired += s->stats.expired;
        sum->inserts += s->stats.inserts;
        sum->replaced += s->stats.replaced;
        sum->evicted += s->stats.evicted;
        sum->refused += s->stats.refused;
        sum->flushed += s->stats.flushed;
        sum->entries += s->stats.entries;
        sum->bytes += s->live * ENTRY_UNIT;
        pthread_mutex_unlock(&s->lock);
    }
}
