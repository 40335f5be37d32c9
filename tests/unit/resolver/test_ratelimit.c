/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_ratelimit.c -- the accounts of clients: what a second gives, who shares one, which of those
 * above slip, and that a flood of made-up clients frees nobody.
 */
#include "base/addr.h"
#include "base/random.h"
#include "resolver/ratelimit.h"
#include "tests/unit/rows.h"

enum { NOW_MS = 1000000000 };
static const struct hash_key key = {3, 4};

static enum ratelimit_verdict take(struct ratelimit *r, const char *client, uint32_t rate,
                                   uint32_t slip, uint64_t now_ms)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, client, 53), 0);
    return ratelimit_take(r, &a, RATE_QUESTIONS, rate, slip, now_ms);
}

static bool is_over(struct ratelimit *r, const char *client, uint32_t rate, uint64_t now_ms)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, client, 53), 0);
    return ratelimit_is_over(r, &a, RATE_QUESTIONS, rate, now_ms);
}

/* How many of n pass at that time. */
static int passes(struct ratelimit *r, const char *client, uint32_t rate, int n, uint64_t now_ms)
{
    int passed = 0;

    for (int i = 0; i < n; i++)
        passed += take(r, client, rate, 0, now_ms) == RATE_PASS;
    return passed;
}

/* A second's worth at once; then as many as the time gives; never more than a second's. */
static const struct rate_row {
    const char *name;
    uint32_t rate;
    int at_once, after_half, after_an_hour;
} rate_rows[] = {
    {"1 a second", 1, 1, 0, 1},
    {"2 a second", 2, 2, 1, 2},
    {"7 a second", 7, 7, 3, 7},
    {"100 a second", 100, 100, 50, 100},
    {"100000 a second", 100000, 100000, 51200, 100000},
};

static void check_rate(void **state)
{
    const struct rate_row *r = *state;
    struct ratelimit *l = ratelimit_new(&key);
    const int n = 2 * (int)r->rate;
    uint64_t ms = NOW_MS;

    assert_false(is_over(l, "192.0.2.1", r->rate, ms));
    assert_int_equal(passes(l, "192.0.2.1", r->rate, n, ms), r->at_once);
    assert_true(is_over(l, "192.0.2.1", r->rate, ms));
    assert_int_equal(passes(l, "192.0.2.1", r->rate, n, ms += 500), r->after_half);
    assert_int_equal(passes(l, "192.0.2.1", r->rate, n, ms += 3600 * 1000), r->after_an_hour);
    /* Asking on and on gives the rate, no less. */
    for (int i = 0; i < 2000; i++)
        (void)take(l, "192.0.2.1", r->rate, 0, ++ms);
    assert_in_range(passes(l, "192.0.2.1", r->rate, n, ms + 1000), r->at_once - 1, r->at_once);
    free(l);
}

static const struct client_row {
    const char *name, *one, *other;
    bool same;
} client_rows[] = {
    {"the same", "192.0.2.1", "192.0.2.1", true},
    {"another port", "192.0.2.1:1", "192.0.2.1:2", true},
    {"a neighbour does not pay", "192.0.2.1", "192.0.2.0", false},
    {"IPv6 of one /56", "2001:db8:0:ff::1", "2001:db8:0:0:1::", true},
    {"IPv6 of two /56", "2001:db8:0:ff::1", "2001:db8:0:100::1", false},
    {"link-local", "fe80::1%1", "fe80::2%1", false},
};

static void check_client(void **state)
{
    const struct client_row *r = *state;
    struct ratelimit *l = ratelimit_new(&key);

    assert_int_equal(passes(l, r->one, 5, 9, NOW_MS), 5);
    assert_int_equal(passes(l, r->other, 5, 9, NOW_MS), r->same ? 0 : 5);
    free(l);
}

static const struct slip_row {
    const char *name;
    uint32_t slip;
    const char *want; /* of those above: d or s */
} slip_rows[] = {
    {"slip 0", 0, "dddddddddddd"}, {"slip 1", 1, "ssssssssssss"},   {"slip 2", 2, "dsdsdsdsdsds"},
    {"slip 3", 3, "ddsddsddsdds"}, {"slip 10", 10, "dddddddddsdd"},
};

/* Each so-many-th of those above, also when some pass in between. */
static void check_slip(void **state)
{
    const struct slip_row *r = *state;
    struct ratelimit *l = ratelimit_new(&key);
    uint64_t ms = NOW_MS;
    char got[32] = "";

    assert_int_equal(passes(l, "192.0.2.1", 4, 4, ms), 4);
    while (strlen(got) < strlen(r->want)) {
        enum ratelimit_verdict v = take(l, "192.0.2.1", 4, r->slip, ms);

        if (v == RATE_PASS)
            continue;
        strcat(got, v == RATE_SLIP ? "s" : "d");
        ms += strlen(got) % 3 == 0 ? 250 : 0; /* one passes */
    }
    assert_string_equal(got, r->want);
    free(l);
}

static void accounts_are_apart(void **state)
{
    struct ratelimit *l = ratelimit_new(&key);
    struct addr a;

    assert_int_equal(addr_parse(&a, "192.0.2.1", 53), 0);
    assert_int_equal(passes(l, "192.0.2.1", 5, 9, NOW_MS), 5);
    assert_int_equal(ratelimit_take(l, &a, RATE_LARGE, 5, 0, NOW_MS), RATE_PASS);
    assert_int_equal(take(l, "192.0.2.1", 5, 0, NOW_MS), RATE_DROP);
    free(l);
}

/* A million made-up clients with a question each, ten times what the table holds: who is above the
 * limit stays so, and who is not is not stopped. */
static void a_flood_frees_nobody(void **state)
{
    struct ratelimit *l = ratelimit_new(&key);
    struct addr a;
    char client[32];
    int freed = 0;

    for (int i = 0; i < 100; i++) {
        snprintf(client, sizeof client, "192.0.2.%d", i);
        assert_int_equal(passes(l, client, 1000, 2000, NOW_MS), 1000);
    }
    assert_int_equal(addr_parse(&a, "10.0.0.0", 53), 0);
    for (uint32_t i = 0; i < 1000000; i++) {
        memcpy(a.ip + 13, (uint8_t[]){(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 3);
        assert_int_equal(ratelimit_take(l, &a, RATE_QUESTIONS, 1000, 0, NOW_MS), RATE_PASS);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(client, sizeof client, "192.0.2.%d", i);
        freed += take(l, client, 1000, 0, NOW_MS) == RATE_PASS;
    }
    assert_int_equal(freed, 0);
    assert_int_equal(passes(l, "198.51.100.1", 1000, 2000, NOW_MS), 1000);
    free(l);
}

/* Of clients with one of two questions left, those that a flood of others frees. */
static void find_freed(const struct hash_key *k, bool freed[100])
{
    struct ratelimit *l = ratelimit_new(k);
    struct addr a;
    char client[32];

    for (int i = 0; i < 100; i++) {
        snprintf(client, sizeof client, "192.0.2.%d", i);
        assert_int_equal(take(l, client, 2, 0, NOW_MS), RATE_PASS);
    }
    assert_int_equal(addr_parse(&a, "10.0.0.0", 53), 0);
    for (uint32_t i = 0; i < 2 * 65536; i++) {
        memcpy(a.ip + 14, (uint8_t[]){(uint8_t)(i >> 9), (uint8_t)(i >> 1)}, 2);
        (void)ratelimit_take(l, &a, RATE_QUESTIONS, 2, 0, NOW_MS);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(client, sizeof client, "192.0.2.%d", i);
        freed[i] = passes(l, client, 2, 3, NOW_MS) == 2;
    }
    free(l);
}

/* So nobody can choose neighbours that make us forget an account. */
static void who_lies_beside_whom_is_secret(void **state)
{
    const struct hash_key other = {3, 5};
    bool freed[2][100];

    find_freed(&key, freed[0]);
    find_freed(&other, freed[1]);
    assert_memory_not_equal(freed[0], freed[1], sizeof freed[0]);
}

/* The times begin anew after 37 hours: who asked last before that is not taken for one above. */
static void time_begins_anew(void **state)
{
    const uint64_t round_ms = UINT64_C(1) << 27;
    struct ratelimit *l = ratelimit_new(&key);

    assert_int_equal(passes(l, "192.0.2.1", 5, 9, round_ms - 10), 5);
    assert_int_equal(passes(l, "192.0.2.1", 5, 9, round_ms + 10), 0); /* over the end */
    assert_int_equal(passes(l, "192.0.2.1", 5, 9, round_ms + 300), 1);
    assert_int_equal(passes(l, "192.0.2.1", 5, 9, round_ms + 5000), 5);
    assert_int_equal(passes(l, "192.0.2.1", 5, 9, round_ms + 70000000), 5); /* the other half */
    free(l);
}

TESTS("ratelimit", ROWS(rate_rows, check_rate), ROWS(client_rows, check_client),
      ROWS(slip_rows, check_slip), TEST(accounts_are_apart), TEST(a_flood_frees_nobody),
      TEST(who_lies_beside_whom_is_secret), TEST(time_begins_anew))
