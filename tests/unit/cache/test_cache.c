/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cache.c -- what goes in comes out: the right entry, as old as it is,
 * or nothing.
 *
 * Images are made by hand: a header, the question, and A records. Tests of
 * room and eviction use decisions, whose image may be any bytes; content() then
 * derives them from a number, so that a mix-up of entries is seen.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/cache.h"
#include "wire/reply.h"
#include "tests/unit/rows.h"

enum { MIB = 1 << 20, START = 1000000, TTL = 300 };

static struct cache *c; /* of the test */

static const struct hash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

/* --- helpers -------------------------------------------------------------- */

static struct name name_of(const char *dotted)
{
    struct name n = {0};

    for (size_t len; *dotted != '\0'; dotted += len + (dotted[len] == '.')) {
        len = strcspn(dotted, ".");
        n.data[n.len] = (uint8_t)len;
        memcpy(n.data + n.len + 1, dotted, len);
        n.len = (uint8_t)(n.len + 1 + len);
        n.labels++;
    }
    n.len++;
    return n;
}

/* The name lives until 64 more keys were made by this thread. */
static struct cache_key key(const char *dotted, uint8_t kind)
{
    static _Thread_local struct name names[64];
    static _Thread_local unsigned n;
    struct name *name = &names[n++ % ARRAY_LEN(names)];
    struct cache_key k = {.name = name, .type = TYPE_A, .class = CLASS_IN, .kind = kind};

    *name = name_of(dotted);
    cache_key_init(c, &k);
    return k;
}

/* A decision of a name of its own. */
static struct cache_key numbered(const char *prefix, unsigned i)
{
    char text[64];

    snprintf(text, sizeof text, "%s%u.example", prefix, i);
    return key(text, CACHE_DECISION);
}

/* Names of one bucket. */
static struct cache_key same_hash(unsigned i)
{
    struct cache_key k = numbered("n", i);

    k.kind = CACHE_ANSWER;
    k.hash = 0x1230000;
    return k;
}

/* A reply with n A records at the name, 192.0.2.host. */
static size_t image_of(uint8_t *out, const struct name *name, unsigned n, uint8_t host)
{
    const uint8_t ip[4] = {192, 0, 2, host};
    const struct message m = {.qname = *name, .qtype = TYPE_A, .qclass = CLASS_IN};
    struct writer w = writer_make(out, 512);

    image_begin(&w, &m, RCODE_NOERROR);
    for (unsigned i = 0; i < n; i++) {
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, TTL, sizeof ip);
        writer_bytes(&w, ip, sizeof ip);
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

/* Keeps an answer with one A record. */
static void put_answer(const struct cache_key *k, uint8_t host)
{
    struct cache_facts f = facts();
    uint8_t image[512];
    size_t len = image_of(image, k->name, 1, host);

    assert_int_equal(cache_put(c, k, &f, image, len, NULL, 0), 0);
}

/* The last octet of the answer's address; -1 on a miss. */
static int get_answer(const struct cache_key *k)
{
    struct cache_facts f;
    uint8_t image[512];
    size_t len;

    if (cache_get(c, k, START, image, sizeof image, &len, &f, NULL, NULL) == CACHE_MISS)
        return -1;
    assert_memory_equal(image + DNS_HEADER, k->name->data, k->name->len);
    return image[len - 1];
}

static void content(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

static int put_content(const struct cache_key *k, size_t len, uint64_t seed)
{
    struct cache_facts f = facts();
    uint8_t bytes[DNS_MAX_MESSAGE + 1];

    content(bytes, len, seed);
    return cache_put(c, k, &f, bytes, len, &seed, sizeof seed);
}

/* True on a hit, whose bytes are those that its note says. */
static bool get_content(const struct cache_key *k, uint64_t *seed)
{
    struct cache_facts f;
    uint8_t got[DNS_MAX_MESSAGE], want[DNS_MAX_MESSAGE];
    size_t len, note_len = sizeof *seed;

    if (cache_get(c, k, START, got, sizeof got, &len, &f, seed, &note_len) == CACHE_MISS)
        return false;
    assert_int_equal(note_len, sizeof *seed);
    content(want, len, *seed);
    assert_memory_equal(got, want, len);
    return true;
}

/* The same for a decision that numbered() names, whose content is that of its number. */
static void put_numbered(const char *prefix, unsigned i)
{
    struct cache_key k = numbered(prefix, i);

    assert_int_equal(put_content(&k, 60, i), 0);
}

static bool get_numbered(const char *prefix, unsigned i)
{
    struct cache_key k = numbered(prefix, i);
    uint64_t seed = i;
    bool hit = get_content(&k, &seed);

    assert_int_equal(seed, i);
    return hit;
}

static void count_visit(void *context, const struct cache_key *k, const struct cache_facts *f,
                        const uint8_t *image, size_t len)
{
    (void)k, (void)f, (void)image, (void)len;
    ++*(size_t *)context;
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_stats(c, &s);
    return s;
}

static int setup_of(size_t size)
{
    c = cache_new(size, &secret);
    return c == NULL;
}

static int setup(void **state)
{
    return setup_of(MIB);
}

static int setup_large(void **state)
{
    return setup_of(4 * MIB);
}

static int teardown(void **state)
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
    struct cache_key k = key("www.example", CACHE_ANSWER);
    struct cache_facts f = facts();
    uint8_t image[512], out[512];
    size_t len = image_of(image, k.name, 3, 1), out_len;

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
    uint16_t type, class;
    uint8_t kind, bits;
    uint32_t scope;
} key_rows[] = {
    {"key: another name", "wwx.example", TYPE_A, CLASS_IN, CACHE_ANSWER, 0, 0},
    {"key: the name above", "example", TYPE_A, CLASS_IN, CACHE_ANSWER, 0, 0},
    {"key: same octets, other labels", "www.example.x", TYPE_A, CLASS_IN, CACHE_ANSWER, 0, 0},
    {"key: another type", "www.example", TYPE_AAAA, CLASS_IN, CACHE_ANSWER, 0, 0},
    {"key: another class", "www.example", TYPE_A, CLASS_CH, CACHE_ANSWER, 0, 0},
    {"key: a decision", "www.example", TYPE_A, CLASS_IN, CACHE_DECISION, 0, 0},
    {"key: DO", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, CACHE_DO, 0},
    {"key: CD", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, CACHE_CD, 0},
    {"key: DO and CD", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, CACHE_DO | CACHE_CD, 0},
    {"key: its failure", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, CACHE_FAILURE, 0},
    {"key: another route", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, 0, 1},
    {"key: a high bit of the route", "www.example", TYPE_A, CLASS_IN, CACHE_ANSWER, 0, 1u << 31},
};

/* Two keys never mix, not even when all of the hash is equal. */
static void check_key(void **state)
{
    const struct key_row *r = *state;
    struct cache_key k = key("www.example", CACHE_ANSWER), o = key(r->name, r->kind);

    o.type = r->type;
    o.class = r->class;
    o.bits = r->bits;
    o.scope = r->scope;
    cache_key_init(c, &o);
    assert_true(o.hash != k.hash);
    for (int equal_hash = 0; equal_hash < 2; equal_hash++) {
        put_answer(&k, 1);
        assert_int_equal(get_answer(&o), -1);
        if (o.kind == CACHE_ANSWER) {
            put_answer(&o, 2);
            assert_int_equal(get_answer(&o), 2);
        }
        assert_int_equal(get_answer(&k), 1);
        cache_flush(c, NULL, false);
        o.hash = k.hash;
    }
}

static void test_hash_is_secret(void **state)
{
    const struct hash_key other = {1, 2};
    struct cache *d = cache_new(CACHE_MIN_SIZE, &other);
    struct cache_key k = key("www.example", CACHE_ANSWER), same = key("www.example", CACHE_ANSWER);

    assert_true(same.hash == k.hash);
    cache_key_init(d, &same);
    assert_true(same.hash != k.hash);
    cache_free(d);
}

/* --- one entry ------------------------------------------------------------ */

static void test_miss_hit_replace(void **state)
{
    struct cache_key k = key("www.example", CACHE_ANSWER);
    struct cache_stats s;

    assert_int_equal(get_answer(&k), -1);
    put_answer(&k, 1);
    assert_int_equal(get_answer(&k), 1);
    s = stats();
    put_answer(&k, 2);
    assert_int_equal(get_answer(&k), 2);
    assert_int_equal(stats().bytes, s.bytes);
    s = stats();
    assert_int_equal(s.entries, 1);
    assert_int_equal(s.inserts, 2);
    assert_int_equal(s.replaced, 1);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 1);
    assert_int_equal(s.size, MIB);
}

static void test_facts_come_back(void **state)
{
    struct cache_key k = key("www.example", CACHE_ANSWER);
    struct cache_facts f, got;
    uint8_t image[512];
    size_t len = image_of(image, k.name, 1, 1);

    memset(&f, 0, sizeof f); /* compared with what is between the members */
    f.stored_ms = START;
    f.expires_ms = START + 1;
    f.rcode = 3;
    f.verdict = VERDICT_NXDOMAIN;
    f.has_rrsig = f.has_cname = f.rotates = true;
    f.rtt_ms = 65535;
    memset(&f.server, 0x5a, sizeof f.server);
    assert_int_equal(cache_put(c, &k, &f, image, len, NULL, 0), 0);
    for (int i = 0; i < 2; i++) {
        cache_get(c, &k, START, image, sizeof image, &len, &got, NULL, NULL);
        assert_memory_equal(&got, &f, sizeof f);
    }
}

static void test_failure(void **state)
{
    struct cache_key k = key("www.example", CACHE_ANSWER);
    struct cache_facts f = {.stored_ms = START,
                            .expires_ms = START + 5000,
                            .rcode = 0xffff,
                            .verdict = VERDICT_TIMEOUT};
    struct cache_facts got;
    size_t len = 99;

    assert_int_equal(cache_put(c, &k, &f, NULL, 0, NULL, 0), 0);
    assert_int_equal(cache_get(c, &k, START + 4999, NULL, 0, &len, &got, NULL, NULL), CACHE_HIT);
    assert_int_equal(len, 0);
    assert_int_equal(got.verdict, VERDICT_TIMEOUT);
    assert_int_equal(got.rcode, 0xffff);
    assert_int_equal(cache_get(c, &k, START + 5000, NULL, 0, &len, &got, NULL, NULL),
                     CACHE_EXPIRED);
    put_answer(&k, 1);
    assert_int_equal(get_answer(&k), 1);
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
    struct cache_key k = key("www.example", CACHE_DECISION);
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

static void test_too_large_is_refused(void **state)
{
    struct cache_key k = key("www.example", CACHE_DECISION);
    struct cache_facts f = facts();
    uint8_t note[CACHE_MAX_NOTE + 1] = {0};
    uint64_t seed;

    assert_int_equal(put_content(&k, DNS_MAX_MESSAGE, 1), 0);
    assert_int_equal(put_content(&k, DNS_MAX_MESSAGE + 1, 2), -E2BIG);
    assert_int_equal(cache_put(c, &k, &f, NULL, 0, note, sizeof note), -E2BIG);
    assert_true(get_content(&k, &seed)); /* the older one is still there */
    assert_int_equal(seed, 1);
    assert_int_equal(stats().refused, 2);
    assert_int_equal(stats().inserts, 1);
}

static void test_size_too_small(void **state)
{
    assert_null(cache_new(CACHE_MIN_SIZE - 1, &secret));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(setup_of(CACHE_MIN_SIZE), 0);
    cache_free(NULL);
}

/* --- room ----------------------------------------------------------------- */

/* 200 names asked now and then keep their place while 60,000 names that
 * nobody asks for twice pass through a cache that holds 5,000. */
static void test_flood_keeps_hot_names(void **state)
{
    enum { HOT = 200, FLOOD = 60000 };
    unsigned lost = 0;

    for (unsigned i = 0; i < HOT; i++) {
        put_numbered("hot", i);
        assert_true(get_numbered("hot", i));
    }
    for (unsigned i = 0; i < FLOOD; i++) {
        put_numbered("flood", i);
        if (i % 10 == 0 && !get_numbered("hot", i / 10 % HOT)) {
            lost++;
            put_numbered("hot", i / 10 % HOT);
        }
    }
    assert_in_range(lost, 0, 2);
    assert_true(stats().evicted > FLOOD / 2);
}

/* A cache full of names in use still takes new ones: work is bounded. */
static void test_all_hot_still_takes_new(void **state)
{
    for (unsigned i = 0; i < 20000; i++) {
        put_numbered("n", i);
        for (int used = 0; used < 4; used++)
            assert_true(get_numbered("n", i));
    }
}

/* Entries in use are all carried past the tail: a whole lap of garbage and of
 * their own copies does not lose or mix up any. */
static void test_replacing_one_name_evicts_none(void **state)
{
    enum { KEPT = 500 };
    struct cache_key b = key("busy.example", CACHE_DECISION);

    for (unsigned i = 0; i < KEPT; i++) {
        put_numbered("kept", i);
        assert_true(get_numbered("kept", i));
    }
    for (unsigned i = 0; i < 1200; i++) /* one lap and a part of 1 MiB */
        assert_int_equal(put_content(&b, 1000, i), 0);
    for (unsigned i = 0; i < KEPT; i++)
        assert_true(get_numbered("kept", i));
    assert_int_equal(stats().entries, KEPT + 1);
    assert_int_equal(stats().evicted, 0);
}

static long mapped_pages(void)
{
    long pages = -1;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pages), 1);
    fclose(f);
    return pages;
}

/* The limit holds for all memory, and most of it holds entries. */
static void test_budget_is_exact(void **state)
{
    enum { SIZE = 16 * MIB + 5000, NAMES = 200000 };
    long before, taken;
    struct cache_stats s;
    size_t heap, seen = 0;

    mapped_pages(); /* stdio has its buffers now */
    before = mapped_pages();
    assert_int_equal(setup_of(SIZE), 0);
    taken = mapped_pages() - before;
    assert_true(taken * sysconf(_SC_PAGESIZE) <= SIZE);
    heap = mallinfo2().uordblks;
    for (unsigned i = 0; i < NAMES; i++) {
        struct cache_key k = numbered("a-random-name-", i * 2654435761u);

        k.kind = CACHE_ANSWER;
        cache_key_init(c, &k);
        put_answer(&k, (uint8_t)i);
        assert_int_equal(get_answer(&k), (uint8_t)i);
    }
    assert_int_equal(mallinfo2().uordblks, heap);
    s = stats();
    assert_int_equal(s.size, SIZE);
    assert_in_range(s.bytes, SIZE * 8 / 10, SIZE);
    assert_int_equal(s.inserts, NAMES);
    assert_int_equal(s.inserts - s.evicted, s.entries);
    cache_each(c, NULL, 0, START, count_visit, &seen);
    assert_int_equal(seen, s.entries);
    assert_int_equal(cache_flush(c, NULL, false), s.entries);
    s = stats();
    assert_int_equal(s.entries, 0);
    assert_int_equal(s.bytes, 0);
    teardown(NULL);
    assert_int_equal(mapped_pages(), before);
}

/* Sizes from nothing to the largest, in the smallest cache: the ring's end is
 * met in every way. A look-up gives the last that was put, or nothing. */
static void test_ring_wraps_with_many_sizes(void **state)
{
    enum { NAMES = 120, PUTS = 6000 };
    uint64_t last[NAMES] = {0}, seed, random = 1;
    unsigned hits = 0;
    struct cache_stats s;

    assert_int_equal(setup_of(CACHE_MIN_SIZE), 0);
    for (uint64_t i = 1; i <= PUTS; i++) {
        struct cache_key k, l;
        unsigned put, get, shift;

        random = random * 6364136223846793005u + 1442695040888963407u;
        put = (unsigned)(random >> 33) % NAMES;
        get = (unsigned)(random >> 43) % NAMES;
        shift = (unsigned)(random >> 61) + 2;
        k = numbered("n", put);
        l = numbered("n", get);
        last[put] = i;
        assert_int_equal(put_content(&k, (random >> 20 & 0xffff) >> (shift & 7), i), 0);
        if (get_content(&l, &seed)) {
            assert_int_equal(seed, last[get]);
            hits++;
        }
    }
    s = stats();
    assert_true(hits > PUTS / 4);
    assert_int_equal(s.inserts - s.replaced - s.evicted, s.entries);
}

/* Names of one hash: the bucket has eight ways. Of those that nobody has used the oldest goes,
 * be it at the very tail; the name that was used stays; and one that is fetched anew keeps the
 * credit of its older self. None is ever taken for another. */
static const struct collision_row {
    const char *what;
    unsigned names;
    bool used, anew;
    unsigned there; /* of the first name; the last seven are there too */
} collision_rows[] = {
    {"collision: eight", 8, false, false, true},
    {"collision: nine", 9, false, false, false},
    {"collision: the first was used", 20, true, false, true},
    {"collision: the first was used and came anew", 20, true, true, true},
};

static void check_collision(void **state)
{
    const struct collision_row *r = *state;
    struct cache_key first = same_hash(0);

    for (unsigned i = 0; i < r->names; i++) {
        struct cache_key k = same_hash(i);

        assert_int_equal(get_answer(&k), -1);
        put_answer(&k, (uint8_t)i);
        if (i == 0 && r->used)
            assert_int_equal(get_answer(&k), 0);
        if (i == 0 && r->anew)
            put_answer(&k, 100);
    }
    assert_int_equal(stats().entries, 8);
    assert_int_equal(stats().evicted, r->names - 8);
    assert_int_equal(get_answer(&first), !r->there ? -1 : r->anew ? 100 : 0);
    for (unsigned i = 1; i < r->names; i++) {
        struct cache_key k = same_hash(i);

        assert_int_equal(get_answer(&k), i + 7 + !r->there < r->names ? -1 : (int)i);
    }
}

/* --- flush and each ------------------------------------------------------- */

static const char *const flush_names[] = {
    "example", "www.example", "a.www.example", "b.a.www.example", "xwww.example", "other", "",
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
    {"flush: the root alone", "", false, 0x40},
    {"flush: everything below the root", "", true, 0x7f},
    {"flush: all", NULL, false, 0x7f},
};

static void check_flush(void **state)
{
    const struct flush_row *r = *state;
    struct name n = name_of(r->name != NULL ? r->name : "");
    struct cache_key keys[ARRAY_LEN(flush_names)][3];
    size_t gone;

    /* Each name in three variants: all of them must go. */
    for (unsigned i = 0; i < ARRAY_LEN(flush_names); i++)
        for (unsigned v = 0; v < 3; v++) {
            keys[i][v] = key(flush_names[i], v == 2 ? CACHE_DECISION : CACHE_ANSWER);
            keys[i][v].type = v == 1 ? TYPE_AAAA : TYPE_A;
            cache_key_init(c, &keys[i][v]);
            if (v < 2)
                put_answer(&keys[i][v], (uint8_t)i);
            else
                assert_int_equal(put_content(&keys[i][v], 10, i), 0);
        }
    gone = cache_flush(c, r->name != NULL ? &n : NULL, r->below);
    assert_int_equal(gone, 3 * __builtin_popcount(r->gone));
    assert_int_equal(stats().flushed, gone);
    assert_int_equal(stats().entries, 3 * ARRAY_LEN(flush_names) - gone);
    for (unsigned i = 0; i < ARRAY_LEN(flush_names); i++) {
        uint64_t seed;
        bool want = (r->gone >> i & 1) == 0;

        assert_int_equal(get_answer(&keys[i][0]), want ? (int)i : -1);
        assert_int_equal(get_answer(&keys[i][1]), want ? (int)i : -1);
        assert_int_equal(get_content(&keys[i][2], &seed), want);
    }
}

struct seen {
    unsigned n, types, scopes;
    uint32_t ttl;
};

static void note_visit(void *context, const struct cache_key *k, const struct cache_facts *f,
                       const uint8_t *image, size_t len)
{
    struct seen *seen = context;
    struct name n = name_of("www.example");

    assert_true(name_equal(k->name, &n));
    assert_int_equal(k->name->labels, 2);
    assert_int_equal(k->kind, CACHE_ANSWER);
    assert_int_equal(f->stored_ms, START);
    seen->n++;
    seen->types |= 1u << k->type;
    seen->scopes |= 1u << k->scope;
    seen->ttl = ttl_of(image, len, 1, 0);
    assert_int_equal(get_answer(k), k->type); /* no lock is held */
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
    const struct each_row *r = *state;
    struct seen seen = {0};
    struct cache_key k = key("www.example", CACHE_ANSWER), d = key("www.example", CACHE_DECISION);
    struct cache_key o = key("www2.example", CACHE_ANSWER);

    put_answer(&k, TYPE_A);
    k.scope = 5;
    cache_key_init(c, &k);
    put_answer(&k, TYPE_A);
    k.scope = 0;
    k.type = TYPE_MX;
    cache_key_init(c, &k);
    put_answer(&k, TYPE_MX);
    put_answer(&o, 1);
    assert_int_equal(put_content(&d, 10, 1), 0);
    cache_each(c, k.name, r->type, r->now_ms, note_visit, &seen);
    assert_int_equal(seen.n, r->n);
    assert_int_equal(seen.types, r->types);
    assert_int_equal(seen.scopes, r->scopes);
    assert_int_equal(seen.ttl, r->ttl);
}

/* --- threads -------------------------------------------------------------- */

/* Each thread puts and gets the same few names, one of them also flushes. */
static void *hammer(void *context)
{
    uint64_t seed, hits = 0;

    for (unsigned i = 0; i < 20000; i++) {
        struct cache_key k = numbered("n", i * 7 % 64);

        cache_prefetch(c, &k);
        if (i % 3 == 0)
            put_content(&k, i % 700, i);
        else
            hits += get_content(&k, &seed);
        if (i % 5000 == 4999)
            cache_flush(c, k.name, true);
    }
    return hits > 0 ? context : NULL;
}

static void test_two_threads(void **state)
{
    pthread_t other;
    void *result;
    struct cache_stats s;
    size_t left;

    assert_int_equal(pthread_create(&other, NULL, hammer, c), 0);
    assert_non_null(hammer(c));
    assert_int_equal(pthread_join(other, &result), 0);
    assert_non_null(result);
    s = stats();
    assert_int_equal(s.inserts, 2 * 6667);
    assert_int_equal(s.hits + s.misses, 2 * 13333);
    assert_int_equal(s.inserts - s.replaced - s.evicted - s.flushed, s.entries);
    left = cache_flush(c, NULL, false);
    assert_int_equal(left, s.entries);
}

/* --- all ------------------------------------------------------------------ */

int main(void)
{
    ROWS_WITH(age_rows, check_age, setup, teardown);
    ROWS_WITH(key_rows, check_key, setup, teardown);
    ROWS_WITH(fit_rows, check_fit, setup, teardown);
    ROWS_WITH(flush_rows, check_flush, setup_large, teardown);
    ROWS_WITH(each_rows, check_each, setup_large, teardown);
    TEST_WITH(test_hash_is_secret, setup, teardown);
    TEST_WITH(test_miss_hit_replace, setup, teardown);
    TEST_WITH(test_facts_come_back, setup, teardown);
    TEST_WITH(test_failure, setup, teardown);
    TEST_WITH(test_too_large_is_refused, setup, teardown);
    TEST_WITH(test_size_too_small, NULL, teardown);
    TEST_WITH(test_flood_keeps_hot_names, setup, teardown);
    TEST_WITH(test_all_hot_still_takes_new, setup, teardown);
    TEST_WITH(test_replacing_one_name_evicts_none, setup, teardown);
    TEST_WITH(test_budget_is_exact, NULL, teardown);
    TEST_WITH(test_ring_wraps_with_many_sizes, NULL, teardown);
    ROWS_WITH(collision_rows, check_collision, setup, teardown);
    TEST_WITH(test_two_threads, setup, teardown);
    return RUN("cache");
}
