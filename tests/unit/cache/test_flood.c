/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_flood.c -- names that are asked once, as in a random-subdomain attack or a crawl: they take
 * no memory beyond the cache's size, and the names that people ask for stay.
 *
 * WAYMARK_FLOOD=5000000 in the environment makes each row that long, the caches 32 times as large, and
 * prints what was measured: make flood.
 */
#include "cache/cache.h"
#include "wire/reply.h"
#include "tests/unit/rows.h"

enum { MIB = 1 << 20, TTL_MS = 300000 };

static const struct flood_row {
    const char *what;
    size_t size;
    unsigned names;  /* asked once */
    unsigned hot;    /* asked again and again, in a random order */
    unsigned each;   /* new names between two questions for a hot one */
    unsigned second; /* new names in a second, which is how fast the hot ones expire */
    bool negative;
} flood_rows[] = {
    {"flood of answers", 2 * MIB, 100000, 500, 1, 100000, false},
    {"flood of NXDOMAIN", 2 * MIB, 100000, 500, 1, 100000, true},
    {"flood, hot names asked seldom", 2 * MIB, 100000, 200, 8, 100000, false},
    {"flood, hot names are half of the cache", 2 * MIB, 100000, 5000, 1, 100000, false},
    {"flood, hot names expire all the time", 2 * MIB, 100000, 500, 1, 100, false},
    {"flood, the smallest cache", MIB, 100000, 200, 1, 100000, true},
};

static const struct hash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};
static uint64_t state = 88172645463325252u;

static uint32_t draw(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

/* Of its own: not what the program and its libraries have in files. The kernel counts that anew. */
static long resident_bytes(void)
{
    char line[200];
    long kib = -1;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "Anonymous: %ld", &kib);
    fclose(f);
    return kib * 1024;
}

/* The name is asked; a miss is fetched and kept. Was it a hit? */
static bool ask(struct cache *c, char set, unsigned number, bool negative, uint64_t now_ms)
{
    const struct cache_facts facts = {.stored_ms = now_ms,
                                      .expires_ms = now_ms + TTL_MS,
                                      .verdict = negative ? VERDICT_NXDOMAIN : VERDICT_PRESENT};
    struct message m = {.qtype = TYPE_A, .qclass = CLASS_IN};
    struct cache_key k = {.name = &m.qname, .type = TYPE_A, .class = CLASS_IN};
    uint8_t image[512];
    struct writer w = writer_make(image, sizeof image);
    struct cache_facts found;
    char text[40];
    size_t len;
    int n = snprintf(text + 1, sizeof text - 1, "%c%08u", set, number);

    text[0] = (char)n;
    memcpy(text + 1 + n, "\7example", 9);
    m.qname = (struct name){.len = (uint8_t)(n + 10), .labels = 2};
    memcpy(m.qname.data, text, m.qname.len);
    cache_key_init(c, &k);
    if (cache_get(c, &k, now_ms, image, sizeof image, &len, &found) == CACHE_HIT)
        return true;
    image_begin(&w, &m, negative ? RCODE_NXDOMAIN : RCODE_NOERROR);
    if (negative)
        image_soa(&w, SECTION_AUTHORITY, (size_t)DNS_HEADER + 1 + (size_t)n, 300);
    else
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, 300, 4);
    if (!negative)
        writer_u32(&w, number);
    cache_put(c, &k, &facts, image, w.len, NULL, 0);
    return false;
}

static void check_flood(void **unused)
{
    const struct flood_row *r = *unused;
    const char *more = getenv("WAYMARK_FLOOD");
    unsigned names = more ? (unsigned)atoi(more) : r->names, asked = 0, hits = 0, again = 0;
    size_t size = more ? 32 * r->size : r->size;
    unsigned hot = more ? 32 * r->hot : r->hot;
    struct cache *c;
    struct cache_stats s;
    long before, grown;

    ask(c = cache_new(CACHE_MIN_SIZE, &secret), 'w', 0, false, 1);
    cache_free(c);
    before = resident_bytes();
    c = cache_new(size, &secret);
    for (unsigned i = 0; i < 4 * hot; i++) /* an ordinary day before it */
        ask(c, 'h', i % hot, false, 1);
    for (unsigned i = 0; i < names; i++) {
        uint64_t now_ms = 1 + (uint64_t)i * 1000 / r->second / (more ? 32 : 1);

        again += ask(c, 'f', i, r->negative, now_ms);
        if (i % r->each != 0)
            continue;
        asked++;
        hits += ask(c, 'h', draw(hot), false, now_ms);
    }
    grown = resident_bytes() - before;
    cache_stats(c, &s);
    if (more)
        printf(
            "%u names, cache %zu MiB, %u hot: %.2f %% of their questions hit; grown by %.2f MiB; "
            "%ju entries of %.0f octets, %.1f %% of the size\n",
            names, size / MIB, hot, 100.0 * hits / asked, (double)grown / MIB, (uintmax_t)s.entries,
            (double)s.bytes / (double)s.entries, 100.0 * (double)s.bytes / (double)size);
    assert_int_equal(again, 0);
    if (hits * 100.0 < asked * 95.0)
        fail_msg("%u of %u questions for hot names hit", hits, asked);
#if !defined __SANITIZE_THREAD__ &&                                                                \
    !defined __SANITIZE_ADDRESS__ /* which remember octets of their own for each */
    assert_in_range(grown, size / 2, size + size / 10);
#endif
    cache_free(c);
}

TESTS("flood", ROWS(flood_rows, check_flood))
