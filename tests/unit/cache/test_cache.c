/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cache.c -- what goes in comes out: the right entry, as old as it is,
 * or nothing.
 *
 * Only an answer that becomes older is looked into: elsewhere an image may be any octets. They are
 * made of a number that the note holds, so that a mix-up of entries is seen.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "cache/cache.h"
#include "wire/present.h"
#include "wire/reply.h"
#include "tests/unit/rows.h"

enum { MIB = 1 << 20, START = 1000000, TTL = 300, MISS = -1 };

static struct cache *c; /* of the test */

static const struct hash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

/* --- helpers -------------------------------------------------------------- */

/* The name lives until 64 more keys were made by this thread. */
static struct cache_key key_of(struct cache_key k, const char *dotted)
{
    static _Thread_local struct name names[64];
    static _Thread_local unsigned n;
    struct name *name = &names[n++ % ARRAY_LEN(names)];

    assert_int_equal(name_parse(name, dotted), 0);
    k.name = name;
    k.class = k.class != 0 ? k.class : CLASS_IN;
    k.type = k.type != 0 ? k.type : TYPE_A;
    cache_key_init(c, &k);
    return k;
}
#define KEY(dotted, ...) key_of((struct cache_key){__VA_ARGS__}, dotted)

/* A decision of a name of its own. */
static struct cache_key numbered(const char *prefix, unsigned i)
{
    char text[64];

    snprintf(text, sizeof text, "%s%u.example", prefix, i);
    return KEY(text, .kind = CACHE_DECISION);
}

/* A reply with n A records at the name. */
static size_t image_of(uint8_t *out, const struct name *name, unsigned n)
{
    const struct message m = {.qname = *name, .qtype = TYPE_A, .qclass = CLASS_IN};
    struct writer w = writer_make(out, 512);

    image_begin(&w, &m, RCODE_NOERROR);
    for (unsigned i = 0; i < n; i++) {
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, TTL, 4);
        writer_bytes(&w, "\300\0\2\1", 4);
    }
    return w.len;
}

/* The TTL of record i of n in an image of image_of(). */
static uint32_t ttl_of(const uint8_t *image, size_t len, unsigned n, unsigned i)
{
    return bytes_u32(image + len - (size_t)16 * (n - i) + 6);
}

static struct cache_facts facts(void)
{
    return (struct cache_facts){.stored_ms = START, .expires_ms = START + TTL * 1000};
}

static void content(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

static int put_sized(const struct cache_key *k, size_t len, uint64_t seed)
{
    struct cache_facts f = facts();
    uint8_t bytes[DNS_MAX_MESSAGE + 1];

    content(bytes, len, seed);
    return cache_put(c, k, &f, bytes, len, &seed, sizeof seed);
}

static void put(const struct cache_key *k, uint64_t seed)
{
    assert_int_equal(put_sized(k, 60, seed), 0);
}

/* The number that was put, whose octets are those of the image; or MISS. */
static int get(const struct cache_key *k)
{
    struct cache_facts f;
    uint8_t got[DNS_MAX_MESSAGE], want[DNS_MAX_MESSAGE];
    size_t len, note_len = sizeof(uint64_t);
    uint64_t seed;

    if (cache_get(c, k, START, got, sizeof got, &len, &f, &seed, &note_len) == CACHE_MISS)
        return MISS;
    assert_int_equal(note_len, sizeof seed);
    content(want, len, seed);
    assert_memory_equal(got, want, len);
    return (int)seed;
}

static void put_numbered(const char *prefix, unsigned i)
{
    struct cache_key k = numbered(prefix, i);

    put(&k, i);
}

static bool has_numbered(const char *prefix, unsigned i)
{
    struct cache_key k = numbered(prefix, i);
    int seed = get(&k);

    assert_true(seed == MISS || seed == (int)i);
    return seed != MISS;
}

static void count_visit(void *context, const struct cache_key *k, const struct cache_facts *f,
                        const uint8_t *image, size_t len)
{
    ++*(size_t *)context;
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_stats(c, &s);
    assert_int_equal(s.inserts - s.replaced - s.evicted - s.flushed, s.entries);
    return s;
}

static int set_up(void **state)
{
    c = cache_new(MIB, &secret);
    return c == NULL;
}

static int set_up_four_shards(void **state)
{
    c = cache_new(4 * MIB, &secret);
    return c == NULL;
}

static int tear_down(void **state)
{
    cache_free(c);
    c = NULL;
    return 0;
}

/* --- age ------------------------------------------------------------------ */

static const struct age_row {
    const char *what;
    int64_t after_ms;
    enum cache_result want;
    uint32_t ttl;
} age_rows[] = {
    {"age: at once", 0, CACHE_HIT, TTL},
    {"age: not yet a second", 999, CACHE_HIT, TTL},
    {"age: one second", 1000, CACHE_HIT, TTL - 1},
    {"age: half its life", TTL * 500, CACHE_HIT, TTL / 2},
    {"age: last millisecond", TTL * 1000 - 1, CACHE_HIT, 1},
    {"age: over, TTLs as stored", TTL * 1000, CACHE_EXPIRED, TTL},
    {"age: over for a day", 86400000, CACHE_EXPIRED, TTL},
    {"age: a clock read earlier by another thread", -5, CACHE_HIT, TTL},
};

static void check_age(void **state)
{
    const struct age_row *r = *state;
    struct cache_key k = KEY("www.example", 0);
    struct cache_facts f = facts();
    uint8_t image[512], out[512];
    size_t len = image_of(image, k.name, 3), out_len;

    assert_int_equal(cache_put(c, &k, &f, image, len, NULL, 0), 0);
    cache_prefetch(c, &k);
    assert_int_equal(cache_get(c, &k, (uint64_t)(START + r->after_ms), out, sizeof out, &out_len,
                               &f, NULL, NULL),
                     r->want);
    assert_int_equal(out_len, len);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ttl_of(out, out_len, 3, i), r->ttl);
    assert_memory_equal(out, image, len - 48); /* header and question untouched */
}

/* --- keys ----------------------------------------------------------------- */

static const struct key_row {
    const char *what, *name;
    struct cache_key k;
} key_rows[] = {
    {"key: another name", "wwx.example"},
    {"key: the name above", "example"},
    {"key: same octets, other labels", "www.example.x"},
    {"key: another type", "www.example", {.type = TYPE_AAAA}},
    {"key: another class", "www.example", {.class = CLASS_CH}},
    {"key: a decision", "www.example", {.kind = CACHE_DECISION}},
    {"key: DO", "www.example", {.bits = CACHE_DO}},
    {"key: CD", "www.example", {.bits = CACHE_CD}},
    {"key: DO and CD", "www.example", {.bits = CACHE_DO | CACHE_CD}},
    {"key: its failure", "www.example", {.bits = CACHE_FAILURE}},
    {"key: another route", "www.example", {.scope = 1}},
    {"key: a high bit of the route", "www.example", {.scope = 1u << 31}},
};

/* Two keys never mix, not even when all of the hash is equal. */
static void check_key(void **state)
{
    const struct key_row *r = *state;
    struct cache_key k = KEY("www.example", 0), o = key_of(r->k, r->name);

    assert_true(o.hash != k.hash);
    for (int equal_hash = 0; equal_hash < 2; equal_hash++) {
        put(&k, 1);
        assert_int_equal(get(&o), MISS);
        put(&o, 2);
        assert_int_equal(get(&o), 2);
        assert_int_equal(get(&k), 1);
        cache_flush(c, NULL, false);
        o.hash = k.hash;
    }
}

static void hash_is_secret(void **state)
{
    struct cache *d = cache_new(CACHE_MIN_SIZE, &(struct hash_key){1, 2});
    struct cache_key k = KEY("www.example", 0), same = KEY("www.example", 0);

    assert_true(same.hash == k.hash);
    cache_key_init(d, &same);
    assert_true(same.hash != k.hash);
    cache_free(d);
}

/* --- one entry ------------------------------------------------------------ */

static void miss_hit_replace(void **state)
{
    struct cache_key k = KEY("www.example", 0);
    struct cache_stats s;
    uint64_t bytes;

    assert_int_equal(get(&k), MISS);
    put(&k, 1);
    assert_int_equal(get(&k), 1);
    bytes = stats().bytes;
    put(&k, 2);
    assert_int_equal(get(&k), 2);
    s = stats();
    assert_int_equal(s.bytes, bytes);
    assert_int_equal(s.entries, 1);
    assert_int_equal(s.inserts, 2);
    assert_int_equal(s.replaced, 1);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.size, MIB);
}

/* Of a failure, which has no image. */
static void facts_come_back(void **state)
{
    struct cache_key k = KEY("www.example", .bits = CACHE_FAILURE);
    struct cache_facts f, got;
    size_t len = 99;

    memset(&f, 0, sizeof f); /* compared with what is between the members */
    f.stored_ms = START;
    f.expires_ms = START + 5000;
    f.rcode = 0xffff;
    f.verdict = VERDICT_TIMEOUT;
    f.has_rrsig = f.has_cname = f.rotates = true;
    f.rtt_ms = 65535;
    memset(&f.server, 0x5a, sizeof f.server);
    assert_int_equal(cache_put(c, &k, &f, NULL, 0, NULL, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cache_get(c, &k, f.expires_ms - 1 + i, NULL, 0, &len, &got, NULL, NULL),
                         i == 0 ? CACHE_HIT : CACHE_EXPIRED);
        assert_int_equal(len, 0);
        assert_memory_equal(&got, &f, sizeof f);
    }
    assert_int_equal(stats().expired, 1);
}

static const struct fit_row {
    const char *what;
    size_t note_put, note_room, image_room; /* the image has 60 bytes */
    enum cache_result want;
} fit_rows[] = {
    {"fit: exactly", 100, 100, 60, CACHE_HIT},
    {"fit: room to spare", 1, 1024, 512, CACHE_HIT},
    {"fit: no note", 0, 100, 60, CACHE_HIT},
    {"fit: the largest note", CACHE_MAX_NOTE, CACHE_MAX_NOTE, 60, CACHE_HIT},
    {"fit: note too large", 100, 99, 60, CACHE_MISS},
    {"fit: image too large", 100, 100, 59, CACHE_MISS},
    {"fit: no room at all", 100, 0, 0, CACHE_MISS},
};

static void check_fit(void **state)
{
    const struct fit_row *r = *state;
    struct cache_key k = KEY("www.example", .kind = CACHE_DECISION);
    struct cache_facts f = facts();
    uint8_t image[60], note[CACHE_MAX_NOTE], out[600], note_out[2000];
    size_t len, note_len = r->note_room;

    content(image, sizeof image, 1);
    content(note, sizeof note, 2);
    memset(out, 0xee, sizeof out);
    memset(note_out, 0xee, sizeof note_out);
    assert_int_equal(cache_put(c, &k, &f, image, sizeof image, note, r->note_put), 0);
    assert_int_equal(cache_get(c, &k, START, out, r->image_room, &len, &f, note_out, &note_len),
                     r->want);
    assert_int_equal(len, r->want == CACHE_HIT ? sizeof image : 0);
    assert_int_equal(note_len, r->want == CACHE_HIT ? r->note_put : 0);
    assert_memory_equal(out, image, len);
    assert_memory_equal(note_out, note, note_len);
    assert_int_equal(out[len], 0xee);
    assert_int_equal(note_out[note_len], 0xee);
    /* Who does not ask for the note gets the image all the same. */
    assert_int_equal(cache_get(c, &k, START, out, sizeof out, &len, &f, NULL, NULL), CACHE_HIT);
}

static void too_large_is_refused(void **state)
{
    struct cache_key k = KEY("www.example", .kind = CACHE_DECISION);
    struct cache_facts f = facts();
    uint8_t note[CACHE_MAX_NOTE + 1] = {0};

    assert_int_equal(put_sized(&k, DNS_MAX_MESSAGE, 1), 0);
    assert_int_equal(put_sized(&k, DNS_MAX_MESSAGE + 1, 2), -E2BIG);
    assert_int_equal(cache_put(c, &k, &f, NULL, 0, note, sizeof note), -E2BIG);
    assert_int_equal(get(&k), 1); /* the older one is still there */
    assert_int_equal(stats().refused, 2);
    assert_int_equal(stats().inserts, 1);
    assert_null(cache_new(CACHE_MIN_SIZE - 1, &secret));
    assert_int_equal(errno, EINVAL);
    cache_free(NULL);
}

/* --- room ----------------------------------------------------------------- */

/* 200 names asked now and then keep their place while 60,000 names that
 * nobody asks for twice pass through a cache that holds 5,000. */
static void flood_keeps_hot_names(void **state)
{
    enum { HOT = 200, FLOOD = 60000 };
    unsigned lost = 0;

    for (unsigned i = 0; i < HOT; i++) {
        put_numbered("hot", i);
        assert_true(has_numbered("hot", i));
    }
    for (unsigned i = 0; i < FLOOD; i++) {
        put_numbered("flood", i);
        if (i % 10 == 0 && !has_numbered("hot", i / 10 % HOT)) {
            lost++;
            put_numbered("hot", i / 10 % HOT);
        }
    }
    assert_in_range(lost, 0, 2);
    assert_true(stats().evicted > FLOOD / 2);
}

/* A cache full of names in use still takes new ones: work is bounded. */
static void all_hot_still_takes_new(void **state)
{
    for (unsigned i = 0; i < 20000; i++) {
        put_numbered("n", i);
        for (int used = 0; used < 4; used++)
            assert_true(has_numbered("n", i));
    }
}

/* Entries in use are all carried past the tail: a whole lap of garbage and of
 * their own copies does not lose or mix up any. */
static void replacing_one_name_evicts_none(void **state)
{
    enum { KEPT = 500 };
    struct cache_key b = KEY("busy.example", .kind = CACHE_DECISION);

    for (unsigned i = 0; i < KEPT; i++) {
        put_numbered("kept", i);
        assert_true(has_numbered("kept", i));
    }
    for (unsigned i = 0; i < 1200; i++) /* one lap and a part of 1 MiB */
        assert_int_equal(put_sized(&b, 1000, i), 0);
    for (unsigned i = 0; i < KEPT; i++)
        assert_true(has_numbered("kept", i));
    assert_int_equal(stats().entries, KEPT + 1);
    assert_int_equal(stats().evicted, 0);
}

static long mapped_bytes(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pages), 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* The limit holds for all memory, and most of it holds entries. */
static void budget_is_exact(void **state)
{
    enum { SIZE = 16 * MIB + 5000, NAMES = 200000 };
    size_t heap, seen = 0, entries;
    struct cache_stats s;
    long before;

    mapped_bytes(); /* stdio has its buffers now, and ldns */
    name_parse(&(struct name){0}, "a-random-name-4294967295.example");
    before = mapped_bytes();
    c = cache_new(SIZE, &secret);
    assert_non_null(c);
    assert_true(mapped_bytes() - before <= SIZE);
    heap = mallinfo2().uordblks;
    for (unsigned i = 0; i < NAMES; i++) {
        struct cache_key k = numbered("a-random-name-", i * 2654435761u);

        k.kind = CACHE_ANSWER;
        cache_key_init(c, &k);
        put(&k, i);
        assert_int_equal(get(&k), i);
    }
    assert_int_equal(mallinfo2().uordblks, heap);
    s = stats();
    entries = s.entries;
    assert_int_equal(s.size, SIZE);
    assert_in_range(s.bytes, SIZE * 8 / 10, SIZE);
    assert_int_equal(s.inserts, NAMES);
    cache_each(c, NULL, 0, START, count_visit, &seen);
    assert_int_equal(seen, entries);
    assert_int_equal(cache_flush(c, NULL, false), entries);
    assert_int_equal(stats().entries, 0);
    assert_int_equal(stats().bytes, 0);
    tear_down(NULL);
    assert_int_equal(mapped_bytes(), before);
}

/* Sizes from nothing to the largest, in the smallest cache: the ring's end is
 * met in every way. A look-up gives the last that was put, or nothing. */
static void ring_wraps_with_many_sizes(void **state)
{
    enum { NAMES = 120, PUTS = 6000 };
    uint64_t last[NAMES] = {0}, random = 1;
    unsigned hits = 0;

    for (uint64_t i = 1; i <= PUTS; i++) {
        struct cache_key k, l;
        unsigned put, look;
        int got;

        random = random * 6364136223846793005u + 1442695040888963407u;
        put = (unsigned)(random >> 33) % NAMES;
        look = (unsigned)(random >> 43) % NAMES;
        k = numbered("n", put);
        l = numbered("n", look);
        last[put] = i;
        assert_int_equal(put_sized(&k, (random >> 20 & 0xffff) >> (((random >> 61) + 2) & 7), i),
                         0);
        got = get(&l);
        assert_true(got == MISS || got == (int)last[look]);
        hits += got != MISS;
    }
    assert_true(hits > PUTS / 4);
    stats();
}

/* Names of one hash: the bucket has eight ways. Of those that nobody has used the oldest goes,
 * be it at the very tail; the name that was used stays; and one that is fetched anew keeps the
 * credit of its older self. None is ever taken for another. */
static const struct collision_row {
    const char *what;
    unsigned names;
    bool used, anew;
    int first; /* what is there of it; the last seven are there too */
} collision_rows[] = {
    {"collision: eight", 8, false, false, 0},
    {"collision: nine", 9, false, false, MISS},
    {"collision: the first was used", 20, true, false, 0},
    {"collision: the first was used and came anew", 20, true, true, 100},
};

static void check_collision(void **state)
{
    const struct collision_row *r = *state;
    unsigned kept = r->first == MISS ? 8 : 7;
    struct cache_key all[20];

    for (unsigned i = 0; i < r->names; i++) {
        all[i] = numbered("n", i);
        all[i].hash = 0x1230000;
        assert_int_equal(get(&all[i]), MISS);
        put(&all[i], i);
        if (i == 0 && r->used)
            assert_int_equal(get(&all[0]), 0);
        if (i == 0 && r->anew)
            put(&all[0], 100);
    }
    assert_int_equal(stats().entries, 8);
    assert_int_equal(stats().evicted, r->names - 8);
    assert_int_equal(get(&all[0]), r->first);
    for (unsigned i = 1; i < r->names; i++)
        assert_int_equal(get(&all[i]), i + kept < r->names ? MISS : (int)i);
}

/* --- flush and each ------------------------------------------------------- */

static const char *const flush_names[] = {
    "example", "www.example", "a.www.example", "b.a.www.example", "xwww.example", "other", ".",
};

static const struct flush_row {
    const char *what, *name; /* NULL: all */
    bool below;
    unsigned gone; /* bit i: flush_names[i] */
} flush_rows[] = {
    {"flush: one name", "www.example", false, 0x02},
    {"flush: in any case", "WWW.Example", false, 0x02},
    {"flush: a name and below", "www.example", true, 0x0e},
    {"flush: below, in any case", "wWw.eXample", true, 0x0e},
    {"flush: a whole zone", "example", true, 0x1f},
    {"flush: a name that is not there", "nothing.example", true, 0},
    {"flush: the root alone", ".", false, 0x40},
    {"flush: everything below the root", ".", true, 0x7f},
    {"flush: all", NULL, false, 0x7f},
};

static void check_flush(void **state)
{
    static const struct cache_key variants[] = {
        {.type = TYPE_A}, {.type = TYPE_AAAA}, {.kind = CACHE_DECISION}}; /* all of them go */
    const struct flush_row *r = *state;
    struct cache_key keys[ARRAY_LEN(flush_names)][ARRAY_LEN(variants)];
    size_t gone;

    for (unsigned i = 0; i < ARRAY_LEN(flush_names); i++)
        for (unsigned v = 0; v < ARRAY_LEN(variants); v++) {
            keys[i][v] = key_of(variants[v], flush_names[i]);
            put(&keys[i][v], i);
        }
    gone = cache_flush(c, r->name != NULL ? KEY(r->name, 0).name : NULL, r->below);
    assert_int_equal(gone, 3 * __builtin_popcount(r->gone));
    assert_int_equal(stats().flushed, gone);
    for (unsigned i = 0; i < ARRAY_LEN(flush_names); i++)
        for (unsigned v = 0; v < ARRAY_LEN(variants); v++)
            assert_int_equal(get(&keys[i][v]), r->gone >> i & 1 ? MISS : (int)i);
}

struct seen {
    unsigned n, types, scopes;
    uint32_t ttl;
};

static void note_visit(void *context, const struct cache_key *k, const struct cache_facts *f,
                       const uint8_t *image, size_t len)
{
    struct seen *seen = context;
    struct cache_key www = KEY("www.example", 0);

    assert_true(name_equal(k->name, www.name));
    assert_int_equal(k->name->labels, 2);
    assert_int_equal(k->kind, CACHE_ANSWER);
    assert_int_equal(f->stored_ms, START);
    seen->n++;
    seen->types |= 1u << k->type;
    seen->scopes |= 1u << k->scope;
    seen->ttl = ttl_of(image, len, 1, 0);
    stats(); /* no lock is held */
}

static const struct each_row {
    const char *what;
    uint16_t type;
    uint64_t now_ms;
    unsigned n, types, scopes;
    uint32_t ttl;
} each_rows[] = {
    {"each: any type", 0, START + 10000, 3, 1 << TYPE_A | 1 << TYPE_MX, 1 << 0 | 1 << 5, TTL - 10},
    {"each: one type", TYPE_A, START, 2, 1 << TYPE_A, 1 << 0 | 1 << 5, TTL},
    {"each: expired ones too", TYPE_MX, START + TTL * 1000, 1, 1 << TYPE_MX, 1 << 0, TTL},
    {"each: no such type", TYPE_AAAA, START, 0, 0, 0, 0},
};

static void check_each(void **state)
{
    static const struct {
        const char *name;
        struct cache_key k;
    } entries[] = {
        {"www.example", {.type = TYPE_A}},         {"www.example", {.type = TYPE_A, .scope = 5}},
        {"www.example", {.type = TYPE_MX}},        {"www2.example", {.type = TYPE_A}},
        {"www.example", {.kind = CACHE_DECISION}},
    };
    const struct each_row *r = *state;
    struct cache_facts f = facts();
    struct seen seen = {0};
    uint8_t image[512];

    for (unsigned i = 0; i < ARRAY_LEN(entries); i++) {
        struct cache_key k = key_of(entries[i].k, entries[i].name);

        cache_put(c, &k, &f, image, image_of(image, k.name, 1), NULL, 0);
    }
    cache_each(c, KEY("www.example", 0).name, r->type, r->now_ms, note_visit, &seen);
    assert_memory_equal(&seen, &((struct seen){r->n, r->types, r->scopes, r->ttl}), sizeof seen);
}

/* --- threads -------------------------------------------------------------- */

/* Each thread puts and gets the same few names, and flushes. */
static void *hammer(void *context)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < 20000; i++) {
        struct cache_key k = numbered("n", i * 7 % 64);

        cache_prefetch(c, &k);
        if (i % 3 == 0)
            put_sized(&k, i % 700, i);
        else
            hits += get(&k) != MISS;
        if (i % 5000 == 4999)
            cache_flush(c, k.name, true);
    }
    return hits > 0 ? context : NULL;
}

static void two_threads(void **state)
{
    struct cache_stats s;
    pthread_t other;
    void *result;

    assert_int_equal(pthread_create(&other, NULL, hammer, c), 0);
    assert_non_null(hammer(c));
    assert_int_equal(pthread_join(other, &result), 0);
    assert_non_null(result);
    s = stats();
    assert_int_equal(s.inserts, 2 * 6667);
    assert_int_equal(s.hits + s.misses, 2 * 13333);
    assert_int_equal(cache_flush(c, NULL, false), s.entries);
}

TESTS("cache", ROWS_WITH(age_rows, check_age, set_up, tear_down),
      ROWS_WITH(key_rows, check_key, set_up, tear_down),
      ROWS_WITH(fit_rows, check_fit, set_up, tear_down),
      ROWS_WITH(flush_rows, check_flush, set_up_four_shards, tear_down),
      ROWS_WITH(each_rows, check_each, set_up_four_shards, tear_down),
      ROWS_WITH(collision_rows, check_collision, set_up, tear_down),
      TEST_WITH(hash_is_secret, set_up, tear_down), TEST_WITH(miss_hit_replace, set_up, tear_down),
      TEST_WITH(facts_come_back, set_up, tear_down),
      TEST_WITH(too_large_is_refused, set_up, tear_down),
      TEST_WITH(flood_keeps_hot_names, set_up, tear_down),
      TEST_WITH(all_hot_still_takes_new, set_up, tear_down),
      TEST_WITH(replacing_one_name_evicts_none, set_up, tear_down),
      TEST_WITH(budget_is_exact, NULL, tear_down),
      TEST_WITH(ring_wraps_with_many_sizes, set_up, tear_down),
      TEST_WITH(two_threads, set_up, tear_down))
