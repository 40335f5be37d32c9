/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_upstream.c -- what is learnt of a server, and forgotten.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "resolver/upstream.h"

/* What happens to a server, one letter each: r reply, t question without one, a
 * the same question again without one, f the socket failed; and what it is then. */
static const struct row {
    const char *what, *events;
    enum upstream_state want;
} rows[] = {
    {"never asked", "", UPSTREAM_UNKNOWN},
    {"one reply", "r", UPSTREAM_UP},
    {"one timeout of a new server", "t", UPSTREAM_UNKNOWN},
    {"one timeout of a good server", "rt", UPSTREAM_UP},
    {"two timeouts in a row", "rtt", UPSTREAM_DOWN},
    {"two timeouts of a new server", "tt", UPSTREAM_DOWN},
    {"one question, silent to all its tries", "rtaa", UPSTREAM_UP},
    {"silent to a second question", "rtaat", UPSTREAM_DOWN},
    {"two timeouts, not in a row", "rtrtr", UPSTREAM_UP},
    {"refused twice", "rff", UPSTREAM_DOWN},
    {"refused and silent", "rft", UPSTREAM_DOWN},
    {"down for long, then one reply", "rtttttttttr", UPSTREAM_UP},
};

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, text, 53), 0);
    return a;
}

static void test_state(void **state)
{
    const struct row *r = *state;
    struct addr a = address("192.0.2.53");
    struct upstreams u;
    struct upstream *s;

    assert_int_equal(upstreams_init(&u), 0);
    s = upstream_get(&u, &a, 1);
    for (const char *p = r->events; *p != '\0'; p++) {
        s->report.queries++;
        if (*p == 'r')
            upstream_replied(s, 10, RCODE_NOERROR);
        else if (*p == 't')
            upstream_silent(s, false);
        else if (*p == 'a')
            upstream_silent(s, true);
        else
            upstream_failed(s, ECONNREFUSED);
    }
    assert_int_equal(s->report.state, r->want);
    assert_int_equal(s->report.queries, strlen(r->events));
    assert_int_equal(s->report.state == UPSTREAM_DOWN, r->want == UPSTREAM_DOWN);
    upstreams_fini(&u);
}

static void test_rtt_follows(void **state)
{
    struct addr a = address("192.0.2.53");
    struct upstreams u;
    struct upstream *s;

    (void)state;
    assert_int_equal(upstreams_init(&u), 0);
    s = upstream_get(&u, &a, 1);
    upstream_replied(s, 80, RCODE_NOERROR);
    assert_int_equal(s->report.rtt_ms, 80);
    for (int i = 0; i < 60; i++)
        upstream_replied(s, 10, RCODE_NOERROR);
    assert_in_range(s->report.rtt_ms, 9, 12);
    upstream_replied(s, 10, RCODE_SERVFAIL);
    assert_int_equal(s->report.errors, 1);
    assert_int_equal(s->report.last_error, 1000 + RCODE_SERVFAIL);
    upstreams_fini(&u);
}

/* Case and EDNS: once may be forged, twice in a row is believed for a quarter
 * of an hour. */
static void test_learns(void **state)
{
    const uint64_t until = 1000 + UPSTREAM_FORGET_MS;
    struct addr a = address("192.0.2.53");
    struct upstreams u;
    struct upstream *s;

    (void)state;
    assert_int_equal(upstreams_init(&u), 0);
    s = upstream_get(&u, &a, 1);
    assert_true((s->no_case_ms <= 1000) && (s->no_edns_ms <= 1000));
    upstream_case(s, false, 1000);
    upstream_case(s, true, 1000);
    upstream_case(s, false, 1000);
    assert_true((s->no_case_ms <= 1000));
    upstream_case(s, false, 1000);
    assert_false((s->no_case_ms <= 1000));
    assert_false((s->no_case_ms <= until - 1));
    assert_true((s->no_case_ms <= until));
    assert_true((s->no_edns_ms <= 1000));
    upstream_edns_missed(s, 900, 990);
    upstream_edns(s, 995); /* between two misses: forgotten */
    upstream_edns_missed(s, 990, 999);
    assert_true((s->no_edns_ms <= 1000));
    upstream_edns_missed(s, 998, 1000); /* asked before that was known: the same miss */
    assert_true((s->no_edns_ms <= 1000));
    upstream_edns_missed(s, 999, 1000);
    assert_false((s->no_edns_ms <= until - 1));
    assert_true((s->no_edns_ms <= until));
    upstreams_fini(&u);
}

static void test_suspects_edns(void **state)
{
    struct addr a = address("192.0.2.53");
    struct upstreams u;
    struct upstream *s;

    (void)state;
    assert_int_equal(upstreams_init(&u), 0);
    s = upstream_get(&u, &a, 1);
    assert_false(upstream_suspect_edns(s, 1000));
    upstream_failed(s, ECONNREFUSED); /* says nothing of EDNS */
    assert_false(upstream_suspect_edns(s, 1000));
    upstream_replied(s, 10, RCODE_NOERROR);
    upstream_silent(s, false);
    assert_true(upstream_suspect_edns(s, 1000));
    upstream_edns(s, 1000);
    assert_false(upstream_suspect_edns(s, 1000 + UPSTREAM_FORGET_MS - 1));
    assert_true(upstream_suspect_edns(s, 1000 + UPSTREAM_FORGET_MS));
    upstream_silent(s, false); /* down: what was known may have changed */
    assert_true(upstream_suspect_edns(s, 1000));
    upstreams_fini(&u);
}

static void test_found_by_address(void **state)
{
    struct addr a = address("192.0.2.53"), b = address("192.0.2.53:5300"),
                c = address("2001:db8::53");
    struct upstreams u;
    struct upstream *s;

    (void)state;
    assert_int_equal(upstreams_init(&u), 0);
    s = upstream_get(&u, &a, 1);
    assert_ptr_equal(upstream_get(&u, &a, 2), s);
    assert_ptr_equal(upstream_find(&u, &a), s);
    assert_null(upstream_find(&u, &b));
    assert_ptr_not_equal(upstream_get(&u, &b, 3), s);
    assert_ptr_not_equal(upstream_get(&u, &c, 3), s);
    upstreams_fini(&u);
}

/* A full table: the server that was longest not wanted gives way, never one
 * that is being asked. */
static void test_full_table(void **state)
{
    struct addr a = address("10.0.0.0"), first = a, second;
    struct upstreams u;

    (void)state;
    assert_int_equal(upstreams_init(&u), 0);
    for (int i = 0; i < UPSTREAM_MAX; i++) {
        a.ip[14] = (uint8_t)(i >> 8);
        a.ip[15] = (uint8_t)i;
        if (i == 0)
            first = a;
        if (i == 1)
            second = a;
        assert_non_null(upstream_get(&u, &a, 100 + (uint64_t)i));
    }
    u.servers[0].users = 1;
    a.ip[13] = 9;
    assert_non_null(upstream_get(&u, &a, 1000));
    assert_non_null(upstream_find(&u, &first));
    assert_null(upstream_find(&u, &second));
    assert_non_null(upstream_find(&u, &a));
    for (int i = 0; i < UPSTREAM_MAX; i++)
        u.servers[i].users = 1;
    a.ip[13] = 10;
    assert_null(upstream_get(&u, &a, 1001));
    upstreams_fini(&u);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 5];
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_rtt_follows),   cmocka_unit_test(test_learns),
        cmocka_unit_test(test_suspects_edns), cmocka_unit_test(test_found_by_address),
        cmocka_unit_test(test_full_table),
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        tests[i] =
            (struct CMUnitTest){rows[i].what, test_state, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        tests[ARRAY_LEN(rows) + i] = others[i];
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
