/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shard.c -- where entries are found, placed and dropped.
 *
 *   hash ─▶ bucket: tag ref freq ×8 ─▶ ring:  ....[entry][entry][pad]|[entry]....
 *                                             tail ─▶                    ─▶ head
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
 * more when it is large. As long as there is a reserve an insertion lives on
 * it instead of evicting entries that are in use; only when the reserve is
 * gone do these go too. A full bucket evicts its least used way: no chains, so whoever finds
 * colliding names can push out eight names and slow down none.
 *
 * Invariants: an entry with tag != 0 lies in [tail, tail + used); no entry
 * crosses the end of the ring (a pad fills what is left there); live <= used
 * <= ring_units.
 */
#include "cache/shard.h"

enum { TURN_STEPS = 16 };

static uint16_t tag_of(uint64_t hash)
{
    uint16_t tag = (uint16_t)hash;

    return tag != 0 ? tag : 1;
}

static struct bucket *bucket_of(const struct shard *s, uint64_t hash)
{
    return s->buckets + bucket_index(hash, s->n_buckets);
}

/* Without branches, so that the compiler may compare all tags at once. */
static unsigned ways_with_tag(const struct bucket *b, uint16_t tag)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < BUCKET_WAYS; i++)
        mask |= (unsigned)(b->tag[i] == tag) << i;
    return mask;
}

struct entry *shard_find(const struct shard *s, const struct cache_key *key, struct way *way)
{
    struct bucket *b = bucket_of(s, key->hash);

    for (unsigned m = ways_with_tag(b, tag_of(key->hash)); m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctz(m);
        struct entry *e = shard_entry(s, b->ref[i]);

        if (entry_matches(e, key)) {
            *way = (struct way){b, i};
            return e;
        }
    }
    return NULL;
}

void shard_forget(struct shard *s, struct bucket *b, unsigned way)
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

static void make_room(struct shard *s, uint32_t units)
{
    uint32_t steps = TURN_STEPS + units / 8; /* a large entry uses up more of the reserve */

    for (; steps > 0 && s->used > 0 && cost(s, units) + s->reserve > room(s); steps--)
        turn(s, true);
    while (cost(s, units) > room(s))
        turn(s, false);
}

/* An empty way, or else the least used and of those the oldest one, evicted. */
static unsigned free_way(struct shard *s, struct bucket *b)
{
    unsigned best = 0;
    uint64_t best_rank = UINT64_MAX;

    for (unsigned i = 0; i < BUCKET_WAYS; i++) {
        uint32_t ref = b->ref[i];
        uint32_t from_tail = ref >= s->tail ? ref - s->tail : ref + (s->ring_units - s->tail);
        uint64_t rank = (uint64_t)b->freq[i] << 32 | from_tail;

        if (b->tag[i] == 0)
            return i;
        if (rank < best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    shard_forget(s, b, best);
    s->stats.evicted++;
    return best;
}

struct entry *shard_insert(struct shard *s, const struct cache_key *key, size_t units)
{
    struct bucket *b = bucket_of(s, key->hash);
    struct way way = {b, 0};
    uint8_t freq = 0;

    make_room(s, (uint32_t)units); /* first: it may drop the older entry, or move it */
    if (shard_find(s, key, &way) != NULL) {
        freq = b->freq[way.at]; /* a name does not become unpopular by its TTL */
        shard_forget(s, b, way.at);
        s->stats.replaced++;
    } else {
        way.at = free_way(s, b);
    }
    b->tag[way.at] = tag_of(key->hash);
    b->ref[way.at] = claim(s, (uint32_t)units);
    b->freq[way.at] = freq;
    s->live += units;
    s->stats.entries++;
    s->stats.inserts++;
    return shard_entry(s, b->ref[way.at]);
}
