/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache.c -- entries, the shards that they lie in, and the cache of all shards.
 *
 *   one mapping of max_bytes:  struct cache | shards | buckets of all | rings
 *
 *   hash ─▶ bucket: tag ref freq ×8 ─▶ ring:  ....[entry][entry][pad]|[entry]....
 *                                             tail ─▶                    ─▶ head
 *
 *   entry:  struct entry | ttl_pos[n_ttl] | name | note | image | 0..7 unused
 *
 * The control block lies in the mapping too, so that the limit holds for
 * everything. A shard is chosen by the top bits of the hash. Work that needs
 * no lock (packing, finding TTLs, hashing) is done outside it. Offsets of the TTLs
 * are kept so that a look-up never walks the image.
 *
 * An entry is written at the head and never moved while it is alive, save by
 * the tail. What the index does not point to is garbage and costs nothing: a
 * replaced or flushed entry is only taken out of the index. Room is made at
 * the tail: garbage goes, an entry that was used since its last turn is
 * copied to the head with one use less (CLOCK), any other is evicted. So a
 * flood of names that are asked once passes through and leaves the names that
 * people ask for.
 *
 * Work per insertion is bounded: TURN_STEPS entries get their turn, and a few
 * more when it is large. An insertion takes its room from a reserve, as long as
 * there is one, instead of evicting entries that are in use. A full bucket
 * evicts its least used way. There are no chains, so an attacker who finds
 * colliding names can push out eight names and slows down no look-up.
 *
 * Walks over the whole cache hold a lock for a few buckets at a time: entries
 * never change their way, so an entry that lives through the walk is met once.
 * Expired entries stay until they are replaced or evicted: nothing runs in the
 * background, and cache.serve-stale needs them.
 *
 * Invariants: an entry with tag != 0 lies in [tail, tail + used); no entry
 * crosses the end of the ring (a pad fills what is left there); live <= used
 * <= ring_units.
 */
#include "cache/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "wire/reply.h"

enum {
    ENTRY_UNIT = 8, /* bytes; the ring counts in these */
    ENTRY_MAX_TTLS = REPLY_MAX_RRS,
    BUCKET_WAYS = 8,
    FREQ_MAX = 3,
    TURN_STEPS = 16,
    MAX_SHARDS = 64,
    SHARD_BYTES = 1 << 20, /* aimed at: below that a shard holds too few entries */
    INDEX_PART = 12,       /* 1/12 for buckets: about 4 of 8 ways used at 160 bytes an entry */
    HUGE_PAGE = 2 << 20,
    WALK_BUCKETS = 64, /* a flush holds a lock for so many */
};

struct entry {
    uint16_t units; /* of the whole run */
    bool is_pad;    /* not an entry: the unused end of the ring; these two are all of it */
    uint8_t kind, bits, name_len;
    uint16_t type;
    uint64_t hash; /* leads back to the bucket when the tail comes by */
    uint32_t scope;
    uint16_t class, image_len, note_len, n_ttl;
    struct cache_facts facts;
};

/* Where cache_get() wants it; note may be NULL. Sizes in, lengths out. */
struct entry_out {
    uint8_t *image;
    void *note;
    size_t image_len, note_len;
};

/* Bytes of the largest entry, which has the largest of each part. */
enum {
    ENTRY_MAX = sizeof(struct entry) + ENTRY_MAX_TTLS * sizeof(uint16_t) + NAME_MAX_WIRE +
                CACHE_MAX_NOTE + DNS_MAX_MESSAGE + ENTRY_UNIT - 1
};

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

struct cache {
    struct hash_key key;
    size_t map_bytes, max_bytes;
    struct bucket *buckets; /* n_buckets of shard 0, then those of shard 1 ... */
    uint32_t n_buckets, n_shards;
    struct shard shards[];
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

_Static_assert(12 * ENTRY_MAX <= CACHE_MIN_SIZE, "an entry and the end of the ring must fit");
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
_Static_assert(sizeof(struct entry) == 80, "struct entry has become larger");
_Static_assert(ENTRY_MAX / ENTRY_UNIT <= UINT16_MAX, "units is 16 bits");
_Static_assert(DNS_MAX_MESSAGE <= UINT16_MAX, "image_len is 16 bits");

/* ---- entries ---- */

/* The parts, in their order. */
static const uint16_t *ttls_of(const struct entry *e)
{
    return (const uint16_t *)(e + 1);
}

static const uint8_t *name_of(const struct entry *e)
{
    return (const uint8_t *)(ttls_of(e) + e->n_ttl);
}

static const uint8_t *note_of(const struct entry *e)
{
    return name_of(e) + e->name_len;
}

static uint8_t *append(uint8_t *to, const void *from, size_t n)
{
    if (n == 0)
        return to; /* either may be NULL */
    memcpy(to, from, n);
    return to + n;
}

/* False, and nothing written, when a part does not fit. Ages the TTLs of an
 * answer that is alive at now_ms. */
static bool entry_copy(const struct entry *e, uint64_t now_ms, struct entry_out *out)
{
    uint64_t stored_ms = e->facts.stored_ms;
    uint64_t age_s = now_ms > stored_ms ? (now_ms - stored_ms) / 1000 : 0;

    if (e->image_len > out->image_len || (out->note != NULL && e->note_len > out->note_len))
        return false;
    append(out->image, note_of(e) + e->note_len, e->image_len);
    out->image_len = e->image_len;
    if (out->note != NULL)
        append(out->note, note_of(e), e->note_len);
    out->note_len = e->note_len;
    if (e->n_ttl > 0 && age_s > 0 && now_ms < e->facts.expires_ms)
        image_age(out->image, e->image_len, ttls_of(e), e->n_ttl,
                  age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX, UINT32_MAX);
    return true;
}

static void entry_name(const struct entry *e, struct name *out)
{
    struct cursor c = cursor_make(name_of(e), e->name_len);

    name_read_plain(&c, out);
}

/* ---- shards; the caller holds the mutex ---- */

static uint16_t tag_of(uint64_t hash)
{
    uint16_t tag = (uint16_t)hash;

    return tag != 0 ? tag : 1;
}

static struct bucket *bucket_of(const struct shard *s, uint64_t hash)
{
    return s->buckets + bucket_index(hash, s->n_buckets);
}

/* The entry with this key, or NULL; *way is its place in the index. Tags are compared
 * without branches, so that the compiler may compare all at once. */
static struct entry *shard_find(const struct shard *s, const struct cache_key *key, struct way *way)
{
    struct bucket *b = bucket_of(s, key->hash);
    uint16_t tag = tag_of(key->hash);
    unsigned mask = 0;

    for (unsigned i = 0; i < BUCKET_WAYS; i++)
        mask |= (unsigned)(b->tag[i] == tag) << i;
    for (; mask != 0; mask &= mask - 1) {
        unsigned i = (unsigned)__builtin_ctz(mask);
        struct entry *e = shard_entry(s, b->ref[i]);

        if (e->hash != key->hash || e->type != key->type || e->class != key->class ||
            e->kind != key->kind || e->bits != key->bits || e->scope != key->scope ||
            e->name_len != key->name->len || memcmp(name_of(e), key->name->data, e->name_len) != 0)
            continue;
        *way = (struct way){b, i};
        return e;
    }
    return NULL;
}

/* Takes the entry out of the index; its bytes stay until the tail comes by. */
static void shard_forget(struct shard *s, struct bucket *b, unsigned way)
{
    s->live -= shard_entry(s, b->ref[way])->units;
    s->stats.entries--;
    b->tag[way] = 0;
    b->freq[way] = 0;
}

/* Units to claim for a run of so many: the end of the ring may be too short. */
static uint32_t cost(const struct shard *s, uint32_t units)
{
    uint32_t to_end = s->ring_units - s->head;

    return units <= to_end ? units : to_end + units;
}

static uint32_t room(const struct shard *s)
{
    return s->ring_units - s->used;
}

/* Moves the head over a run of so many units; there is room for its cost. */
static uint32_t claim(struct shard *s, uint32_t units)
{
    uint32_t to_end = s->ring_units - s->head;
    uint32_t at;

    s->used += cost(s, units);
    if (units > to_end) {
        struct entry *pad = shard_entry(s, s->head);

        /* It may be one unit long: no field behind these two exists. */
        pad->units = (uint16_t)to_end;
        pad->is_pad = true;
        s->head = 0;
    }
    at = s->head;
    s->head = at + units == s->ring_units ? 0 : at + units;
    return at;
}

/* The entry at the tail gets its turn: it goes, or when it was used and may be
 * kept, it moves to the head. */
static void turn(struct shard *s, bool keep_used)
{
    struct entry *e = shard_entry(s, s->tail);
    uint32_t units = e->units;
    struct bucket *b;
    unsigned i = BUCKET_WAYS;

    if (!e->is_pad) {
        b = bucket_of(s, e->hash);
        for (i = 0; i < BUCKET_WAYS; i++) {
            if (b->tag[i] != 0 && b->ref[i] == s->tail)
                break;
        }
    }
    if (i == BUCKET_WAYS) {
        /* A pad, or garbage. */
    } else if (keep_used && b->freq[i] > 0 && cost(s, units) <= room(s)) {
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
 * with the key is gone. The caller writes it before the lock is released. */
static struct entry *shard_insert(struct shard *s, const struct cache_key *key, uint32_t units)
{
    struct bucket *b = bucket_of(s, key->hash);
    struct way way = {b, 0};
    uint8_t freq = 0;
    uint64_t best = UINT64_MAX;
    size_t steps = TURN_STEPS + units / 8; /* a large entry uses up more of the reserve */

    /* Room first: it may drop the older entry, or move it. */
    for (; steps > 0 && s->used > 0 && cost(s, units) + s->reserve > room(s); steps--)
        turn(s, true);
    while (cost(s, units) > room(s))
        turn(s, false);
    if (shard_find(s, key, &way) != NULL) {
        freq = b->freq[way.at]; /* a name does not become unpopular by its TTL */
        shard_forget(s, b, way.at);
        s->stats.replaced++;
    } else {
        /* An empty way, or else the least used and of those the oldest one, evicted. */
        for (unsigned i = 0; i < BUCKET_WAYS && best > 0; i++) {
            uint32_t ref = b->ref[i];
            uint32_t from_tail = ref >= s->tail ? ref - s->tail : ref + (s->ring_units - s->tail);
            uint64_t rank = b->tag[i] == 0 ? 0 : 1 + ((uint64_t)b->freq[i] << 32 | from_tail);

            if (rank < best) {
                best = rank;
                way.at = i;
            }
        }
        if (best > 0) {
            shard_forget(s, b, way.at);
            s->stats.evicted++;
        }
    }
    b->tag[way.at] = tag_of(key->hash);
    b->ref[way.at] = claim(s, units);
    b->freq[way.at] = freq;
    s->live += units;
    s->stats.entries++;
    s->stats.inserts++;
    return shard_entry(s, b->ref[way.at]);
}

/* ---- the cache ---- */

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

struct cache *cache_new(size_t max_bytes, const struct hash_key *key)
{
    size_t page = 4096, control, share, ring_bytes;
    struct cache *c;
    char *rings;

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
    /* Behind the control block come the buckets, and then the rings. */
    control = sizeof *c + c->n_shards * sizeof *c->shards;
    share = (c->map_bytes - control) / c->n_shards;
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
    memcpy(bytes + 10, key->name->data, key->name->len);
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
    int n = 0, rc = len > DNS_MAX_MESSAGE || note_len > CACHE_MAX_NOTE ? -E2BIG : 0;
    uint16_t ttl_pos[ENTRY_MAX_TTLS];
    struct entry *e;
    uint32_t units;
    size_t ttls;
    uint8_t *to;

    assert(key->kind <= CACHE_DECISION);
    if (rc == 0 && key->kind == CACHE_ANSWER && len > 0 &&
        (n = image_ttls(image, len, ttl_pos, ENTRY_MAX_TTLS)) < 0)
        rc = -EINVAL;
    pthread_mutex_lock(&s->lock);
    if (rc != 0) {
        s->stats.refused++;
        pthread_mutex_unlock(&s->lock);
        return rc;
    }
    ttls = (size_t)n * sizeof *ttl_pos;
    units = (uint32_t)((sizeof *e + ttls + key->name->len + note_len + len + ENTRY_UNIT - 1) /
                       ENTRY_UNIT);
    assert(units * ENTRY_UNIT <= ENTRY_MAX);
    e = shard_insert(s, key, units);
    *e = (struct entry){
        .units = (uint16_t)units,
        .kind = key->kind,
        .bits = key->bits,
        .name_len = key->name->len,
        .type = key->type,
        .hash = key->hash,
        .scope = key->scope,
        .class = key->class,
        .image_len = (uint16_t)len,
        .note_len = (uint16_t)note_len,
        .n_ttl = (uint16_t)n,
        .facts = *facts,
    };
    to = append((uint8_t *)(e + 1), ttl_pos, ttls);
    to = append(to, key->name->data, key->name->len);
    to = append(to, note, note_len);
    append(to, image, len);
    pthread_mutex_unlock(&s->lock);
    return 0;
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
