/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache.c -- entries, the shards that they lie in, and the cache of all shards.
 *
 *   one mapping of max_bytes:  struct cache | shards | buckets of all | rings
 *
 *   hash ─▶ bucket: tag ref freq ×8 ─▶ ring:  ....[entry][entry][pad]|[entry]....
 *                                             tail ─▶                    ─▶ head
 *
 *   entry:  struct entry | name | head | image | 0..7 unused
 *
 * The control block lies in the mapping too, so that the limit holds for everything.
 *
 * What the index does not point to is garbage: a replaced or flushed entry is only taken out of
 * the index. Room is made at the tail: garbage goes, an entry that was used since its last turn is
 * copied to the head with one use less (CLOCK), any other is evicted. So a flood of names that are
 * asked once passes through and leaves the names that people ask for.
 *
 * Work per insertion is bounded: TURN_STEPS entries get their turn, and a few more when it is
 * large. It takes its room from a reserve, as long as there is one, instead of evicting entries
 * that are in use. A full bucket evicts its least used way. There are no chains, so an attacker
 * who finds colliding names can push out eight names and slows down no look-up.
 *
 * What lies there by kind is counted where an entry comes or goes; a look-up counts nothing of it.
 *
 * Walks over the whole cache hold a lock for an entry at a time: none changes its way, so one that
 * lives through the walk is met once. Expired entries stay until they are replaced or evicted:
 * cache.serve-stale needs them.
 *
 * Invariants: an entry with tag != 0 lies in [tail, tail + used); no entry crosses the end of the
 * ring (a pad fills what is left there); used <= ring_units.
 */
#include "cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* 1/INDEX_PART of a shard is for buckets: about 4 of 8 ways are used at 160 bytes an entry. */
enum {
    ENTRY_UNIT = 8, /* bytes; the ring counts in these */
    BUCKET_WAYS = 8,
    FREQ_MAX = 3,
    TURN_STEPS = 16,
    MAX_SHARDS = 64,
    SHARD_BYTES = 1 << 20,
    RESERVE_PART = 32, /* of a ring, to be kept free */
    INDEX_PART = 12,
    PAGE = 4096,
};

/* A pad is the unused end of the ring: it has the first two fields alone. */
struct entry {
    uint16_t units; /* of the whole run */
    bool is_pad;
    uint8_t name_len;
    uint32_t len; /* of head and image */
    struct cache_key key;
    struct cache_facts facts;
};

/* Bytes of the largest entry, which has the largest of each part. */
enum {
    ENTRY_MAX =
        sizeof(struct entry) + NAME_MAX_WIRE + CACHE_MAX_HEAD + DNS_MAX_MESSAGE + ENTRY_UNIT - 1
};

/* One cache line. Of each way the low bits of the hash (tag 0: it is empty), the place in
 * the ring, and the look-ups since the tail came by, at most FREQ_MAX. */
struct bucket {
    uint16_t tag[BUCKET_WAYS];
    uint32_t ref[BUCKET_WAYS];
    uint8_t freq[BUCKET_WAYS];
    uint8_t unused[8];
};

struct shard {
    _Alignas(64) pthread_mutex_t lock; /* held by who calls a function with a shard */
    uint64_t *ring;                    /* ring_units; part of the cache's one mapping */
    uint32_t ring_units;
    uint32_t head, tail, used; /* units, here too */
    struct cache_stats stats;  /* but for entries, bytes and size */
};

struct cache {
    struct hash_key key;
    size_t map_bytes, max_bytes;
    struct bucket *buckets; /* of all shards, one after the other; n_buckets is of one */
    uint32_t n_buckets, n_shards;
    _Atomic uint64_t forgiven_ms;
    struct shard shards[];
};

static uint32_t shard_index(const struct cache *c, uint64_t hash)
{
    return (uint32_t)(hash >> 48) & (c->n_shards - 1);
}

/* Where the key's bucket is. The low 16 bits of the hash are the tag and the top bits choose the
 * shard, so the middle ones choose the bucket. Reads only what never changes. */
static struct bucket *bucket_of(const struct cache *c, uint64_t hash)
{
    return c->buckets + (size_t)shard_index(c, hash) * c->n_buckets +
           (((hash >> 16 & UINT32_MAX) * c->n_buckets) >> 32);
}

static inline struct entry *shard_entry(const struct shard *s, uint32_t ref)
{
    return (struct entry *)(void *)(s->ring + ref);
}

_Static_assert(12 * ENTRY_MAX <= CACHE_MIN_SIZE, "an entry and the end of the ring must fit");
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
_Static_assert(sizeof(struct entry) == 88, "struct entry has become larger");
_Static_assert(ENTRY_MAX / ENTRY_UNIT <= UINT16_MAX, "units is 16 bits");

/* The entry with this key, or NULL; *way is its place in the key's bucket. Tags are compared
 * without branches, so that the compiler may compare all at once. */
static struct entry *shard_find(const struct shard *s, const struct bucket *b,
                                const struct cache_key *key, unsigned *way)
{
    uint16_t tag = (uint16_t)(key->hash | 1);
    unsigned mask = 0;

    for (unsigned i = 0; i < BUCKET_WAYS; i++)
        mask |= (unsigned)(b->tag[i] == tag) << i;
    for (; mask != 0; mask &= mask - 1) {
        unsigned i = (unsigned)__builtin_ctz(mask);
        struct entry *e = shard_entry(s, b->ref[i]);
        const struct cache_key *k = &e->key;

        *way = i;
        if (k->hash == key->hash && k->type == key->type && k->class == key->class &&
            k->kind == key->kind && k->bits == key->bits && k->scope == key->scope &&
            e->name_len == key->name->len && memcmp(e + 1, key->name->data, e->name_len) == 0)
            return e;
    }
    return NULL;
}

/* An entry has come or, with -1, goes. */
static void count_entry(struct shard *s, const struct entry *e, int sign)
{
    struct cache_stats *stats = &s->stats;
    uint64_t *n = &stats->positive;

    if (e->key.kind == CACHE_DECISION)
        n = &stats->decisions;
    else if ((e->key.bits & CACHE_FAILURE) != 0)
        n = &stats->failures;
    else if (e->facts.verdict == VERDICT_NODATA)
        n = &stats->nodata;
    else if (e->facts.verdict == VERDICT_NXDOMAIN)
        n = &stats->nxdomain;
    n[0] += (uint64_t)sign;
    n[1] += (uint64_t)(sign * e->units * ENTRY_UNIT); /* its bytes stand behind it */
}

/* Takes the entry out of the index. */
static void shard_forget(struct shard *s, struct bucket *b, unsigned way)
{
    count_entry(s, shard_entry(s, b->ref[way]), -1);
    b->tag[way] = 0;
    b->freq[way] = 0;
}

/* Is there room for a run of so many units, where the end of the ring may be too short, and more? */
static bool has_room(const struct shard *s, uint32_t units, uint32_t more)
{
    uint32_t to_end = s->ring_units - s->head;
    uint32_t cost = units <= to_end ? units : to_end + units;

    return cost + more <= s->ring_units - s->used;
}

static uint32_t claim(struct shard *s, uint32_t units)
{
    uint32_t to_end = s->ring_units - s->head, at;

    if (units > to_end) {
        struct entry *pad = shard_entry(s, s->head);

        /* It may be one unit long: no field behind these two exists. */
        pad->units = (uint16_t)to_end;
        pad->is_pad = true;
        s->used += to_end;
        s->head = 0;
    }
    at = s->head;
    s->used += units;
    s->head = at + units == s->ring_units ? 0 : at + units;
    return at;
}

/* The entry at the tail gets its turn: it goes, or when it was used and may be
 * kept, it moves to the head. */
static void turn(const struct cache *c, struct shard *s, bool keep_used)
{
    struct entry *e = shard_entry(s, s->tail);
    uint32_t units = e->units;
    struct bucket *b = e->is_pad ? NULL : bucket_of(c, e->key.hash);
    unsigned i = 0;

    while (b && i < BUCKET_WAYS && (b->tag[i] == 0 || b->ref[i] != s->tail))
        i++;
    if (b == NULL || i == BUCKET_WAYS) {
        /* A pad, or garbage. */
    } else if (keep_used && b->freq[i] > 0 && has_room(s, units, 0)) {
        uint32_t to = claim(s, units);

        memcpy(shard_entry(s, to), e, (size_t)units * ENTRY_UNIT);
        b->ref[i] = to;
        b->freq[i]--;
    } else {
        shard_forget(s, b, i);
        s->stats.evicted++;
    }
    s->used -= units;
    s->tail = s->tail + units == s->ring_units ? 0 : s->tail + units;
}

/* A place of so many units that the index knows by the key; an older entry
 * with the key is gone. The caller fills it before the lock is released. */
static struct entry *shard_insert(const struct cache *c, struct shard *s,
                                  const struct cache_key *key, uint32_t units)
{
    struct bucket *b = bucket_of(c, key->hash);
    struct entry *e;
    unsigned way = 0;
    uint8_t freq = 0;
    uint64_t best = UINT64_MAX;
    size_t steps = TURN_STEPS + units / 8;

    /* Room first: it may drop the older entry, or move it. A large one uses up more of the
     * reserve. */
    for (; steps > 0 && s->used > 0 && !has_room(s, units, s->ring_units / RESERVE_PART); steps--)
        turn(c, s, true);
    while (!has_room(s, units, 0))
        turn(c, s, false);
    if (shard_find(s, b, key, &way)) {
        freq = b->freq[way]; /* a name does not become unpopular by its TTL */
        shard_forget(s, b, way);
        s->stats.replaced++;
    } else {
        /* An empty way, or else the least used and of those the oldest one, evicted. */
        for (unsigned i = 0; i < BUCKET_WAYS && best > 0; i++) {
            uint32_t ref = b->ref[i];
            uint32_t from_tail = ref >= s->tail ? ref - s->tail : ref + (s->ring_units - s->tail);
            uint64_t rank = b->tag[i] == 0 ? 0 : 1 + ((uint64_t)b->freq[i] << 32 | from_tail);

            if (rank < best) {
                best = rank;
                way = i;
            }
        }
        if (best > 0) {
            shard_forget(s, b, way);
            s->stats.evicted++;
        }
    }
    b->tag[way] = (uint16_t)(key->hash | 1);
    b->ref[way] = claim(s, units);
    b->freq[way] = freq;
    s->stats.inserts++;
    e = shard_entry(s, b->ref[way]);
    e->units = (uint16_t)units;
    return e;
}

struct cache *cache_new(size_t max_bytes, const struct hash_key *key)
{
    size_t map_bytes = max_bytes & ~(size_t)(PAGE - 1);
    size_t control, share, ring_bytes;
    struct cache *c;
    char *rings;

    c = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c == MAP_FAILED)
        return NULL;
    madvise(c, map_bytes, MADV_HUGEPAGE); /* a wish: it fails on kernels without them */
    c->key = *key;
    c->max_bytes = max_bytes;
    c->map_bytes = map_bytes;
    c->n_shards = 1;
    while (c->n_shards < MAX_SHARDS && max_bytes / (2 * c->n_shards) >= SHARD_BYTES)
        c->n_shards *= 2;
    control = sizeof *c + c->n_shards * sizeof *c->shards;
    share = (map_bytes - control) / c->n_shards;
    c->buckets = (struct bucket *)(void *)((char *)c + control);
    c->n_buckets = (uint32_t)(share / INDEX_PART / sizeof(struct bucket));
    ring_bytes = (share - c->n_buckets * sizeof(struct bucket)) & ~(size_t)63;
    rings = (char *)(c->buckets + (size_t)c->n_buckets * c->n_shards);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        struct shard *s = &c->shards[i];

        pthread_mutex_init(&s->lock, NULL);
        s->ring = (uint64_t *)(void *)(rings + i * ring_bytes);
        s->ring_units = (uint32_t)(ring_bytes / ENTRY_UNIT);
    }
    return c;
}

void cache_free(struct cache *c)
{
    munmap(c, c->map_bytes);
}

void cache_key_init(const struct cache *c, struct cache_key *key)
{
    const uint16_t fields[] = {key->type, key->class, (uint16_t)(key->scope >> 16),
                               (uint16_t)key->scope, (uint16_t)(key->kind << 8 | key->bits)};
    uint8_t bytes[sizeof fields + NAME_MAX_WIRE] UNINITIALIZED;

    memcpy(mempcpy(bytes, fields, sizeof fields), key->name->data, key->name->len);
    key->hash = hash_bytes(&c->key, bytes, sizeof fields + key->name->len);
}

void cache_forgive(struct cache *c, uint64_t now_ms)
{
    atomic_store(&c->forgiven_ms, now_ms);
}

uint64_t cache_forgiven_ms(const struct cache *c)
{
    return atomic_load(&c->forgiven_ms);
}

void cache_prefetch(const struct cache *c, const struct cache_key *key)
{
    __builtin_prefetch(bucket_of(c, key->hash));
}

static void make_older(const struct cache_key *key, const struct cache_facts *f, uint64_t now_ms,
                       uint8_t *image, size_t len)
{
    uint64_t age_s = now_ms > f->stored_ms ? (now_ms - f->stored_ms) / 1000 : 0;

    if (key->kind == CACHE_ANSWER && age_s > 0 && now_ms < f->expires_ms)
        image_age(image, len, (uint32_t)age_s, 0, UINT32_MAX);
}

enum cache_result cache_get(struct cache *c, const struct cache_key *key, uint64_t now_ms,
                            uint8_t *out, size_t size, size_t *len, struct cache_facts *facts)
{
    struct shard *s = &c->shards[shard_index(c, key->hash)];
    struct bucket *b = bucket_of(c, key->hash);
    enum cache_result result = CACHE_MISS;
    const struct entry *e;
    unsigned way;

    *len = 0;
    pthread_mutex_lock(&s->lock);
    e = shard_find(s, b, key, &way);
    if (e && e->len <= size) {
        if (e->len > 0) /* or out may be NULL */
            memcpy(out, (const uint8_t *)(e + 1) + e->name_len, e->len);
        *len = e->len;
        *facts = e->facts;
        if (b->freq[way] < FREQ_MAX) /* the line of a popular entry stays clean */
            b->freq[way]++;
        result = now_ms < e->facts.expires_ms ? CACHE_HIT : CACHE_EXPIRED;
    }
    s->stats.lookups_hit += result == CACHE_HIT;
    s->stats.lookups_missed += result == CACHE_MISS;
    s->stats.lookups_expired += result == CACHE_EXPIRED;
    pthread_mutex_unlock(&s->lock);
    if (result == CACHE_HIT)
        make_older(key, facts, now_ms, out, *len);
    return result;
}

static uint32_t units_of(const struct cache_key *key, size_t len)
{
    return (uint32_t)((sizeof(struct entry) + key->name->len + len + ENTRY_UNIT - 1) / ENTRY_UNIT);
}

static void fill(struct shard *s, struct entry *e, const struct cache_key *key,
                 const struct cache_facts *facts, const uint8_t *image, size_t len,
                 const void *head, size_t head_len)
{
    uint8_t *to = (uint8_t *)(e + 1);

    e->is_pad = false;
    e->name_len = key->name->len;
    e->len = (uint32_t)(head_len + len);
    e->key = *key;
    e->facts = *facts;
    memcpy(to, key->name->data, e->name_len);
    if (head_len > 0)
        memcpy(to + e->name_len, head, head_len);
    if (len > 0)
        memcpy(to + e->name_len + head_len, image, len);
    count_entry(s, e, 1);
}

void cache_put(struct cache *c, const struct cache_key *key, const struct cache_facts *facts,
               const uint8_t *image, size_t len, const void *head, size_t head_len)
{
    struct shard *s = &c->shards[shard_index(c, key->hash)];
    bool fits = len <= DNS_MAX_MESSAGE && head_len <= CACHE_MAX_HEAD;
    uint32_t units = units_of(key, head_len + len);

    pthread_mutex_lock(&s->lock);
    if (fits)
        fill(s, shard_insert(c, s, key, units), key, facts, image, len, head, head_len);
    s->stats.refused += !fits;
    pthread_mutex_unlock(&s->lock);
}

bool cache_add(struct cache *c, const struct cache_key *key, const struct cache_facts *facts,
               const uint8_t *image, size_t len)
{
    struct shard *s = &c->shards[shard_index(c, key->hash)];
    const struct bucket *b = bucket_of(c, key->hash);
    uint32_t units = units_of(key, len);
    unsigned way = 0;
    bool fits;

    pthread_mutex_lock(&s->lock);
    fits = len <= DNS_MAX_MESSAGE && shard_find(s, b, key, &way) == NULL &&
           has_room(s, units, s->ring_units / RESERVE_PART);
    for (way = 0; fits && way < BUCKET_WAYS && b->tag[way] != 0;)
        way++;
    fits = fits && way < BUCKET_WAYS;
    if (fits)
        fill(s, shard_insert(c, s, key, units), key, facts, image, len, NULL, 0);
    pthread_mutex_unlock(&s->lock);
    return fits;
}

static bool is_meant(const struct cache_select *select, const struct entry *e, unsigned freq,
                     struct name *own)
{
    const struct name *name = select->name;
    struct cursor at = cursor_make(e + 1, e->name_len);

    if ((select->type != 0 && e->key.type != select->type) ||
        (select->use != CACHE_USED_OR_NOT && (select->use == CACHE_USED) != (freq > 0)))
        return false;
    name_read_plain(&at, own);
    return name == NULL || (select->below ? name_is_under(own, name) : name_equal_fold(own, name));
}

static bool is_empty(const struct bucket *b)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < BUCKET_WAYS; i++)
        tags |= b->tag[i];
    return tags == 0;
}

size_t cache_each(struct cache *c, const struct cache_select *select, uint64_t now_ms,
                  cache_visit *visit, void *context)
{
    uint8_t image[DNS_MAX_MESSAGE];
    size_t n_found = 0;
    struct entry found = {.units = 0};
    struct name own;

    for (size_t n = 0; n < (size_t)c->n_shards * c->n_buckets * BUCKET_WAYS; n++) {
        struct bucket *b = &c->buckets[n / BUCKET_WAYS];
        struct shard *s = &c->shards[n / BUCKET_WAYS / c->n_buckets];
        unsigned way = n % BUCKET_WAYS;
        bool fits = false;

        pthread_mutex_lock(&s->lock);
        if (b->tag[way] != 0) {
            const struct entry *e = shard_entry(s, b->ref[way]);

            fits = (visit == NULL || e->key.kind == CACHE_ANSWER) &&
                   is_meant(select, e, b->freq[way], &own);
            if (fits && visit) {
                found = *e;
                memcpy(image, (const uint8_t *)(e + 1) + e->name_len, e->len);
            } else if (fits) {
                shard_forget(s, b, way);
                s->stats.flushed++;
            }
        } else if (way == 0 && is_empty(b)) {
            n += BUCKET_WAYS - 1;
        }
        pthread_mutex_unlock(&s->lock);
        n_found += fits;
        if (!fits || visit == NULL)
            continue;
        found.key.name = &own;
        make_older(&found.key, &found.facts, now_ms, image, found.len);
        if (!visit(context, &found.key, &found.facts, image, found.len))
            break;
    }
    return n_found;
}

void cache_stats(struct cache *c, struct cache_stats *sum)
{
    *sum = (struct cache_stats){.entries = 0};
    for (uint32_t i = 0; i < c->n_shards; i++) {
        const struct cache_stats *stats = &c->shards[i].stats;

        pthread_mutex_lock(&c->shards[i].lock);
        for (size_t k = 0; k < sizeof *sum / sizeof(uint64_t); k++)
            ((uint64_t *)sum)[k] += ((const uint64_t *)stats)[k];
        pthread_mutex_unlock(&c->shards[i].lock);
    }
    for (const uint64_t *n = &sum->positive; n <= &sum->decisions; n += 2) {
        sum->entries += n[0];
        sum->bytes += n[1];
    }
    sum->size = c->max_bytes;
}
