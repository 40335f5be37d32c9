/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cache.c -- what goes in comes out: the right entry, as old as it is,
 * or nothing. Most of it is lines of text:
 *
 *   put KEY FROM-TO     entries with these numbers; a # in the key is the number; of a key with
 *                       +no and +nx NODATA and NXDOMAIN
 *   add KEY NUMBER      the same as from an earlier time: it is kept, or the next says `not added`
 *   get KEY FROM-TO     each is there with its number
 *   gone KEY FROM-TO    none is
 *   use KEY FROM-TO     each is put and asked for a few times
 *   at MS               what is asked from now on is so much later
 *   ttl KEY = TTL       "expired TTL", or of an entry that is alive
 *   flush NAME = N, below NAME = N, all = N    so many go
 *   each NAME TYPE = SUM TTL    of the numbers of all that is found; "*": any
 *   used * TYPE = SUM TTL, unused * TYPE = SUM TTL    of those alone
 *   COUNTER = N
 *   twins               from now on all keys have one hash
 */
#include <malloc.h>

#include "base/str.h"
#include "cache/cache.h"
#include "wire/reply.h"
#include "tests/unit/rows.h"

enum { MIB = 1 << 20, START = 1000000, TTL = 300, MISS = -1 };

static struct cache *c; /* of the test */
static uint64_t now_ms = START;
static bool twins;

static const struct hash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

static const struct word {
    const char *word;
    struct cache_key k;
} words[] = {
    {"aaaa", {.type = TYPE_AAAA}},        {"mx", {.type = TYPE_MX}},
    {"ch", {.class = CLASS_CH}},          {"decision", {.kind = CACHE_DECISION}},
    {"do", {.bits = CACHE_DO}},           {"cd", {.bits = CACHE_CD}},
    {"failure", {.bits = CACHE_FAILURE}}, {"route", {.scope = 1}},
    {"far", {.scope = 1u << 31}},
};

/* NAME+WORD..., with the number for a #. The name lives until 64 more keys were made. */
static struct cache_key key_of(const char *pattern, unsigned number)
{
    static struct name names[64];
    static unsigned n;
    struct name *name = &names[n++ % ARRAY_LEN(names)];
    struct cache_key k = {.name = name};
    const char *at = strchrnul(pattern, '#');
    char text[200], *rest = text;

    snprintf(text, sizeof text, "%.*s", (int)(at - pattern), pattern);
    if (*at == '#')
        snprintf(text + strlen(text), 100, "%u%s", number, at + 1);
    assert_int_equal(name_parse(name, strsep(&rest, "+")), 0);
    for (const char *word; (word = strsep(&rest, "+")) != NULL;)
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strcmp(words[i].word, word) == 0) {
                k.type |= words[i].k.type;
                k.class |= words[i].k.class;
                k.kind |= words[i].k.kind;
                k.bits |= words[i].k.bits;
                k.scope |= words[i].k.scope;
            }
    k.class = k.class != 0 ? k.class : CLASS_IN;
    k.type = k.type != 0 ? k.type : TYPE_A;
    cache_key_init(c, &k);
    k.hash = twins ? 0x1230000 : k.hash;
    return k;
}

static const struct cache_facts facts = {.stored_ms = START, .expires_ms = START + TTL * 1000};

/* A reply with an address, which is the number. */
static bool put(const char *pattern, unsigned number, bool add)
{
    struct cache_key k = key_of(pattern, number);
    struct cache_facts f = facts;
    const struct message m = {.qname = *k.name, .qtype = TYPE_A, .qclass = CLASS_IN};
    uint8_t image[512];
    struct writer w = writer_make(image, sizeof image);

    image_begin(&w, &m, RCODE_NOERROR);
    image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, TTL, 4);
    writer_u32(&w, number);
    f.verdict = strstr(pattern, "+no") != NULL   ? VERDICT_NODATA
                : strstr(pattern, "+nx") != NULL ? VERDICT_NXDOMAIN
                                                 : VERDICT_PRESENT;
    if (add)
        return cache_add(c, &k, &f, image, w.len);
    cache_put(c, &k, &f, image, w.len, NULL, 0);
    return true;
}

/* The number, and what is left of its TTL; or MISS. */
static int get(const char *pattern, unsigned number, uint32_t *ttl, bool *expired)
{
    struct cache_key k = key_of(pattern, number);
    enum cache_result result;
    uint8_t image[512];
    struct cache_facts f;
    size_t len;

    cache_prefetch(c, &k);
    result = cache_get(c, &k, now_ms, image, sizeof image, &len, &f);
    if (result == CACHE_MISS)
        return MISS;
    *expired = result == CACHE_EXPIRED;
    *ttl = bytes_u32(image + len - 10);
    return (int)bytes_u32(image + len - 4);
}

/* Octets that only this number has. */
static void content(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 56);
    }
}

static void put_sized(const struct cache_key *k, size_t len, uint64_t seed)
{
    uint8_t bytes[DNS_MAX_MESSAGE + 1];

    content(bytes, len, seed);
    cache_put(c, k, &facts, bytes, len, &seed, sizeof seed);
}

/* The number that was put, whose octets are those of the image; or MISS. */
static int get_sized(const struct cache_key *k)
{
    struct cache_facts f;
    uint64_t seed;
    uint8_t got[sizeof seed + DNS_MAX_MESSAGE], want[DNS_MAX_MESSAGE];
    size_t len;

    if (cache_get(c, k, START, got, sizeof got, &len, &f) == CACHE_MISS)
        return MISS;
    memcpy(&seed, got, sizeof seed);
    content(want, len - sizeof seed, seed);
    assert_memory_equal(got + sizeof seed, want, len - sizeof seed);
    return (int)seed;
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_stats(c, &s);
    assert_int_equal(s.inserts - s.replaced - s.evicted - s.flushed, s.entries);
    assert_true((s.entries == 0) == (s.bytes == 0));
    return s;
}

static int set_up(void **state)
{
    c = cache_new(MIB, &secret);
    return c == NULL;
}

static int tear_down(void **state)
{
    if (c != NULL)
        cache_free(c);
    c = NULL;
    now_ms = START;
    twins = false;
    return 0;
}

struct seen {
    const struct name *name; /* NULL: any */
    unsigned n, sum, most;
    uint32_t ttl;
};

static bool see(void *context, const struct cache_key *k, const struct cache_facts *f,
                const uint8_t *image, size_t len)
{
    struct seen *seen = context;

    assert_int_equal(k->kind, CACHE_ANSWER);
    assert_true(seen->name == NULL || name_equal_fold(seen->name, k->name));
    assert_int_equal(f->stored_ms, START);
    stats(); /* no lock is held */
    seen->n++;
    seen->sum += bytes_u32(image + len - 4);
    seen->ttl = bytes_u32(image + len - 10);
    return seen->n != seen->most;
}

static const char *const counters[] = {
#define X(name) #name,
    CACHE_STATS(X)
#undef X
        NULL};

static const char *const walks[] = {"each", "used", "unused", NULL}; /* by enum cache_use */

/* What is seen, for the words before the "=". */
static void look(const char *verb, const char *key, const char *type, char *out, size_t size)
{
    const struct name *name = key == NULL || *key == '*' ? NULL : key_of(key, 0).name;
    struct cache_stats s = stats();
    int at = str_index(counters, verb);
    struct seen seen = {.name = name};
    bool expired = false;

    if (at >= 0) {
        snprintf(out, size, "%ju", (uintmax_t)((uint64_t *)&s)[at]);
    } else if (strcmp(verb, "ttl") == 0) {
        get(key, 0, &seen.ttl, &expired);
        snprintf(out, size, "%s%u", expired ? "expired " : "", seen.ttl);
    } else if (str_index(walks, verb) >= 0) {
        const struct cache_select select = {
            .name = name, .type = (uint16_t)atoi(type), .use = (unsigned)str_index(walks, verb)};

        cache_each(c, &select, now_ms, see, &seen);
        snprintf(out, size, "%u %u", seen.sum, seen.ttl);
    } else {
        snprintf(out, size, "%zu", cache_flush(c, name, verb[0] == 'b'));
    }
}

static void run_line(char *line)
{
    char *want = strstr(line, " = "), *rest = line, *verb, *key, got[64];
    uint32_t ttl;
    bool expired;

    if (want != NULL)
        *want = '\0';
    verb = strsep(&rest, " ");
    key = strsep(&rest, " ");
    if (strcmp(verb, "twins") == 0) {
        twins = true;
    } else if (strcmp(verb, "at") == 0) {
        now_ms = (uint64_t)(START + atoll(key));
    } else if (want != NULL) {
        look(verb, key, rest, got, sizeof got);
        if (strcmp(got, want + 3) != 0)
            fail_msg("%s: %s, not %s", verb, got, want + 3);
    } else {
        for (int n = atoi(strsep(&rest, "-")), to = rest != NULL ? atoi(rest) : n; n <= to; n++) {
            bool is_old = verb[0] == 'a' || verb[0] == 'n';

            if (verb[0] != 'g')
                assert_true(put(key, (unsigned)n, is_old) == (verb[0] != 'n'));
            for (int times = verb[0] == 'p' || is_old ? 0
                             : verb[0] == 'g'         ? 1
                                                      : 5;
                 times > 0; times--)
                assert_int_equal(get(key, (unsigned)n, &ttl, &expired), verb[1] == 'o' ? MISS : n);
        }
    }
}

static const struct script {
    const char *what, *lines;
} scripts[] = {
    {"miss, hit, replace", "gone www.example 1\nput www.example 1\nget www.example 1\n"
                           "put www.example 2\nget www.example 2\nentries = 1\ninserts = 2\n"
                           "replaced = 1\nlookups_hit = 2\nlookups_missed = 1\nsize = 1048576\n"},
    {"an answer becomes older, and an expired one has its TTL as stored",
     "put x.y 1\nttl x.y = 300\nat 999\nttl x.y = 300\nat 1000\nttl x.y = 299\n"
     "at 150000\nttl x.y = 150\nat 299999\nttl x.y = 1\nat 300000\nttl x.y = expired 300\n"
     "at 86400000\nttl x.y = expired 300\nlookups_expired = 2\n"
     "at -5\nttl x.y = 300\n" /* a clock read earlier by another thread */},
    {"a decision does not", "put x.y+decision 1\nat 150000\nttl x.y+decision = 300\n"},
    /* Names of one hash: the bucket has eight ways. Of those that nobody has used the oldest
     * goes; the name that was used stays; and one that is fetched anew keeps the credit of its
     * older self. None is ever taken for another. */
    {"collision: eight", "twins\nput n#.example 0-7\nget n#.example 0-7\nevicted = 0\n"},
    {"collision: nine", "twins\nput n#.example 0-8\ngone n#.example 0\nget n#.example 1-8\n"
                        "evicted = 1\nentries = 8\n"},
    {"collision: the first was used", "twins\nput n#.example 0\nget n#.example 0\n"
                                      "put n#.example 1-19\nget n#.example 0\n"
                                      "gone n#.example 1-12\nget n#.example 13-19\n"},
    {"collision: the first was used and came anew",
     "twins\nput n#.example 0\nget n#.example 0\nput n#.example 0\nput n#.example 1-19\n"
     "get n#.example 0\ngone n#.example 1-12\nget n#.example 13-19\n"},
    {"flush", "put example 1\nput www.example 2\nput www.example+aaaa 2\n"
              "put www.example+decision 2\nput a.www.example 4\nput b.a.www.example 8\n"
              "put xwww.example 16\nput other 32\nput . 64\n"
              "below nothing.example = 0\nflush WWW.Example = 3\n"
              "gone www.example+decision 2\neach * 0 = 125 300\n"
              "put www.example 2\nbelow wWw.eXample = 3\neach * 0 = 113 300\n"
              "flush . = 1\neach * 0 = 49 300\nbelow example = 2\neach * 0 = 32 300\n"
              "put example+decision 1\nflushed = 9\nall = 2\nentries = 0\nbytes = 0\n"
              "put . 1\nput other 2\nbelow . = 2\n"},
    {"each", "put www.example 1\nput www.example+route 2\nput www.example+mx 4\n"
             "put www2.example 8\nput www.example+decision 16\nat 10000\n"
             "each www.example 0 = 7 290\neach www.example 1 = 3 290\n"
             "each www.example 28 = 0 0\nat 300000\neach www.example 15 = 4 300\n"},
    {"each: used, unused",
     "put a.example 1\nput b.example 2\nput b.example+decision 2\nput c.example+mx 4\n"
     "get b.example 2\nget c.example+mx 4\nget b.example+decision 2\n"
     "used * 0 = 6 300\nunused * 0 = 1 300\nused * 1 = 2 300\nunused * 1 = 1 300\n"},
    {"an older answer takes no place from a newer one",
     "add x.y 1\nget x.y 1\nnot-added x.y 2\nget x.y 1\nput x.y 3\nnot-added x.y 4\nget x.y 3\n"
     "add x.y+mx 5\nget x.y+mx 5\ninserts = 3\nreplaced = 1\nevicted = 0\n"},
    {"an older answer takes no place from another: of one hash",
     "twins\nadd n#.example 0-7\nnot-added n#.example 8\nget n#.example 0-7\n"
     "flush n3.example = 1\nadd n#.example 8\nevicted = 0\n"},
    {"an older answer takes no place from another: the reserve stays free",
     "put busy.example 0-6999\nentries = 1\nnot-added x.y 1\nget busy.example 6999\n"},
    {"what there is, by kind",
     "put a.example 1\nput b.example 2\nput a.example+no+mx 1\nput c.example+nx 1\n"
     "put d.example+nx 1\nput e.example+nx 1\nput a.example+failure 1\nput a.example+nx+failure 1\n"
     "put a.example+decision 1\nput b.example+nx+decision 1\n"
     "positive = 2\nnodata = 1\nnxdomain = 3\nfailures = 1\ndecisions = 2\nentries = 9\n"
     "positive_bytes = 288\nnodata_bytes = 144\nnxdomain_bytes = 432\nfailures_bytes = 144\n"
     "decisions_bytes = 288\nbytes = 1296\n"
     "put a.example+nx 1\npositive = 1\nnxdomain = 4\nflush a.example = 4\n"
     "positive = 1\nnodata = 0\nnodata_bytes = 0\nnxdomain = 3\nfailures = 0\ndecisions = 1\n"
     "failures_bytes = 0\ndecisions_bytes = 144\nentries = 5\nbytes = 720\n"},
    {"what there is, by kind, when it is evicted",
     "put n#.example+nx 0-9999\nput p#.example 0-9999\nnxdomain = 0\nnxdomain_bytes = 0\n"},
    /* A cache of 1 MiB holds 6,000 of these: a flood of names that nobody asks for twice passes
     * through it. */
    {"names in use stay in a flood",
     "use hot#.example 0-199\nput flood#.example 0-9999\nget hot#.example 0-199\n"
     "put flood#.example 0-9999\nget hot#.example 0-199\n"},
    {"names that were in use give way", "use old#.example 0-99\nget old#.example 0-99\n"
                                        "put flood#.example 0-35999\ngone old#.example 0-99\n"},
    /* Entries in use are all carried past the tail: a whole lap of garbage and of their own
     * copies does not lose or mix up any. */
    {"who replaces a name evicts no other",
     "use kept#.example 0-499\nput busy.example 0-6999\nget kept#.example 0-499\n"
     "get busy.example 6999\nentries = 501\nevicted = 0\n"},
};

static void check_script(void **state)
{
    const struct script *s = *state;
    char *text = strdup(s->lines), *save;

    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        run_line(line);
    free(text);
}

/* Two keys never mix, not even when all of the hash is equal; and the hash is of all of the key,
 * and of what nobody knows. */
static void keys_never_mix(void **state)
{
    static const char *const others[] = {
        "wwx.example",         "example",           "www.example.x",
        "www.example+aaaa",    "www.example+ch",    "www.example+decision",
        "www.example+do",      "www.example+cd",    "www.example+do+cd",
        "www.example+failure", "www.example+route", "www.example+far",
    };
    struct cache *d = cache_new(CACHE_MIN_SIZE, &(struct hash_key){1, 2});
    struct cache_key k = key_of("www.example", 0), same = key_of("www.example", 0);
    uint32_t ttl;
    bool expired;

    assert_true(same.hash == k.hash);
    cache_key_init(d, &same);
    assert_true(same.hash != k.hash);
    cache_free(d);
    for (size_t i = 0; i < 2 * ARRAY_LEN(others); i++) {
        const char *other = others[i % ARRAY_LEN(others)];

        twins = i >= ARRAY_LEN(others);
        assert_true(twins || key_of(other, 0).hash != k.hash);
        put("www.example", 1, false);
        assert_int_equal(get(other, 0, &ttl, &expired), MISS);
        put(other, 2, false);
        assert_int_equal(get(other, 0, &ttl, &expired), 2);
        assert_int_equal(get("www.example", 0, &ttl, &expired), 1);
        cache_flush(c, NULL, true);
    }
}

static const struct fit_row {
    const char *what;
    size_t head, room; /* the image has 60 bytes */
    enum cache_result want;
} fit_rows[] = {
    {"fit: exactly", 100, 160, CACHE_HIT},
    {"fit: no head", 0, 100, CACHE_HIT},
    {"fit: the largest head", CACHE_MAX_HEAD, CACHE_MAX_HEAD + 60, CACHE_HIT},
    {"fit: too large", 100, 159, CACHE_MISS},
};

static void check_fit(void **state)
{
    const struct fit_row *r = *state;
    struct cache_key k = key_of("www.example+decision", 0);
    struct cache_facts f;
    uint8_t in[CACHE_MAX_HEAD + 60], out[CACHE_MAX_HEAD + 60];
    size_t len;

    content(in, sizeof in, 1);
    cache_put(c, &k, &facts, in + r->head, 60, in, r->head);
    assert_int_equal(cache_get(c, &k, START, out, r->room, &len, &f), r->want);
    assert_int_equal(len, r->want == CACHE_HIT ? r->head + 60 : 0);
    assert_memory_equal(out, in, len);
}

static void too_large_is_refused(void **state)
{
    struct cache_key k = key_of("www.example+decision", 0);
    uint8_t head[CACHE_MAX_HEAD + 1] = {0};

    put_sized(&k, DNS_MAX_MESSAGE, 1);
    put_sized(&k, DNS_MAX_MESSAGE + 1, 2);
    cache_put(c, &k, &facts, NULL, 0, head, sizeof head);
    assert_int_equal(get_sized(&k), 1); /* the older one is still there */
    assert_int_equal(stats().refused, 2);
    assert_int_equal(stats().inserts, 1);
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
    struct seen seen = {0};
    struct cache_stats s;
    size_t heap;
    long before;

    mapped_bytes(); /* stdio has its buffers now, and ldns */
    name_parse(&(struct name){0}, "a-random-name-4294967295.example");
    before = mapped_bytes();
    c = cache_new(SIZE, &secret);
    assert_non_null(c);
    assert_true(mapped_bytes() - before <= SIZE);
    heap = mallinfo2().uordblks;
    for (unsigned i = 0; i < NAMES; i++)
        put("a-random-name-#.example", i * 2654435761u, false);
    assert_int_equal(mallinfo2().uordblks, heap);
    s = stats();
    assert_int_equal(s.size, SIZE);
    assert_in_range(s.bytes, SIZE * 8 / 10, SIZE);
    assert_int_equal(s.inserts, NAMES);
    cache_each(c, &(struct cache_select){.below = true}, START, see, &seen);
    assert_int_equal(seen.n, s.entries);
    assert_int_equal(cache_flush(c, NULL, true), s.entries);
    tear_down(NULL);
    assert_int_equal(mapped_bytes(), before);
}

/* Sizes from nothing to the largest, in the smallest cache, and all are in use: the ring's end is
 * met in every way. A look-up gives the last that was put, or nothing. */
static void ring_wraps_with_many_sizes(void **state)
{
    enum { NAMES = 4000, PUTS = 20000 };
    uint64_t last[NAMES] = {0}, random = 1;
    unsigned hits = 0;

    for (uint64_t i = 1; i <= PUTS; i++) {
        unsigned at;

        random = random * 6364136223846793005u + 1442695040888963407u;
        at = i < NAMES ? (unsigned)i : (unsigned)(random >> 33) % NAMES;
        last[at] = i;
        for (int looks = 0; looks < 6; looks++) {
            struct cache_key k = key_of("n#.example+decision", at);
            int got;

            if (looks == 0) /* the large ones need more than is kept free */
                put_sized(&k, i % 500 == 0 ? DNS_MAX_MESSAGE : random >> 56 << 1, i);
            got = get_sized(&k);
            assert_true(got == MISS || got == (int)last[at]);
            hits += got != MISS;
            at = looks < 4 ? at : (at + 1) % NAMES;
        }
    }
    assert_true(hits > PUTS * 5);
    stats();
}

TESTS("cache", ROWS_WITH(scripts, check_script, set_up, tear_down),
      ROWS_WITH(fit_rows, check_fit, set_up, tear_down),
      TEST_WITH(keys_never_mix, set_up, tear_down),
      TEST_WITH(too_large_is_refused, set_up, tear_down),
      TEST_WITH(budget_is_exact, NULL, tear_down),
      TEST_WITH(ring_wraps_with_many_sizes, set_up, tear_down))
