/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_upstream.c -- what is learnt of a server, and forgotten.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "resolver/upstream.h"
#include "tests/unit/rows.h"

/* What happens to a server, a word each, in the same millisecond:
 *   r[MS] reply, x with NXDOMAIN, e with SERVFAIL, t question without reply, a the same again without,
 *   f its socket failed, case nocase the case of a reply, edns good reply to a question with
 *   EDNS, miss[MS] a question of MS before was answered without alone, +MS time passes
 * and what it is then: state, RTT, and what else is not as at the start. */
static const struct row {
    const char *what, *events, *want;
} rows[] = {
    {"never asked", "", "unknown 0"},
    {"one reply", "r", "up 10"},
    {"one timeout of a new server", "t", "unknown 0 suspect"},
    {"one timeout of a good server", "r t", "up 10 suspect"},
    {"two timeouts in a row", "r t t", "down 10 suspect"},
    {"two timeouts of a new server", "t t", "down 0 suspect"},
    {"one question, silent to all its tries", "r t a a", "up 10 suspect"},
    {"silent to a second question", "r t a a t", "down 10 suspect"},
    {"two timeouts, not in a row", "r t r t r", "up 10"},
    {"refused twice", "r f f", "down 10"},
    {"refused and silent", "r f t", "down 10 suspect"},
    {"silent and refused", "r t f", "down 10"},
    {"down for long, then one reply", "r t t t t t t t t t r", "up 10"},
    {"an error is a reply", "t t e", "up 10 error=1002"},
    {"a denial is no error", "x", "up 10"},
    {"the RTT begins with the first", "r80", "up 80"},
    {"a reply at once takes a millisecond", "r0", "up 1"},
    {"the RTT goes an eighth of the way", "r80 r0", "up 70"},
    {"and another", "r80 r160", "up 90"},
    {"one wrong case may be forged", "nocase", "unknown 0"},
    {"two are believed", "nocase nocase", "unknown 0 nocase"},
    {"two that are not in a row are not", "nocase case nocase", "unknown 0"},
    {"for a quarter of an hour", "nocase nocase +899999", "unknown 0 nocase"},
    {"and no longer", "nocase nocase +900000", "unknown 0"},
    {"then two are needed again", "nocase nocase +900000 nocase", "unknown 0"},
    {"one answer without EDNS may be chance", "miss", "unknown 0"},
    {"two are believed for a quarter of an hour", "miss +1 miss +899999", "unknown 0 noedns"},
    {"and then forgotten", "miss +1 miss +900000", "unknown 0"},
    {"questions that were asked together are one miss", "miss +10 miss11", "unknown 0"},
    {"one that was asked after it is another", "miss +10 miss10", "unknown 0 noedns"},
    {"EDNS between them", "miss +1 edns +1 miss", "unknown 0 edns"},
    {"EDNS is known for a quarter of an hour", "r edns t +899999", "up 10 edns"},
    {"and then forgotten", "r edns t +900000", "up 10 suspect"},
    {"down: it may have changed", "r edns t t", "down 10 suspect"},
};

static void test_row(void **state)
{
    static const char *const states[] = {"unknown", "up", "down"};
    const struct row *r = *state;
    struct upstream s = {.silent = 0};
    char events[128], is[128];
    uint64_t now_ms = 1000000;
    int n;

    snprintf(events, sizeof events, "%s", r->events);
    for (char *w = strtok(events, " "); w != NULL; w = strtok(NULL, " ")) {
        uint32_t ms = (uint32_t)atoi(w + strcspn(w, "0123456789"));

        if (w[0] == '+')
            now_ms += ms;
        else if (strcmp(w, "r") == 0 || strcmp(w, "x") == 0 || strcmp(w, "e") == 0)
            upstream_replied(&s, 10,
                             w[0] == 'r'   ? RCODE_NOERROR
                             : w[0] == 'x' ? RCODE_NXDOMAIN
                                           : RCODE_SERVFAIL);
        else if (w[0] == 'r')
            upstream_replied(&s, ms, RCODE_NOERROR);
        else if (w[0] == 't' || w[0] == 'a' || w[0] == 'f')
            upstream_no_reply(&s, w[0] == 'f' ? ECONNREFUSED : ETIMEDOUT, w[0] == 'a');
        else if (w[0] == 'm')
            upstream_learn(&s.no_edns, false, now_ms - ms, now_ms);
        else if (strcmp(w, "edns") == 0) {
            upstream_learn(&s.no_edns, true, now_ms, now_ms);
            s.knows_edns_ms = now_ms + UPSTREAM_FORGET_MS;
        } else
            upstream_learn(&s.no_case, w[0] == 'c', now_ms, now_ms);
    }
    n = snprintf(is, sizeof is, "%s %u%s%s%s%s", states[s.report.state], s.report.rtt_ms,
                 s.no_case.until_ms > now_ms ? " nocase" : "",
                 s.no_edns.until_ms > now_ms ? " noedns" : "",
                 upstream_knows_edns(&s, now_ms) ? " edns" : "",
                 upstream_suspect_edns(&s, now_ms) ? " suspect" : "");
    if (s.report.last_error >= 1000)
        snprintf(is + n, sizeof is - (size_t)n, " error=%d", s.report.last_error);
    assert_string_equal(is, r->want);
}

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, text, 53), 0);
    return a;
}

static void test_found_by_address(void **state)
{
    struct addr a = address("192.0.2.53"), b = address("192.0.2.53:5300"),
                c = address("2001:db8::53");
    static struct upstreams u;
    struct upstream *s;

    s = upstream_get(&u, &a, 1);
    assert_ptr_equal(upstream_get(&u, &a, 2), s);
    assert_int_equal(s->wanted_ms, 2);
    assert_ptr_equal(upstream_find(&u, &a), s);
    assert_null(upstream_find(&u, &b));
    assert_ptr_not_equal(upstream_get(&u, &b, 3), s);
    assert_ptr_not_equal(upstream_get(&u, &c, 3), s);
}

/* A full table: the server that was longest not wanted gives way, never one that is
 * being asked or will be probed. */
static void test_full_table(void **state)
{
    struct addr a = address("10.0.0.0"), all[UPSTREAM_MAX];
    static struct upstreams u;

    for (int i = 0; i < UPSTREAM_MAX; i++) {
        a.ip[15] = (uint8_t)i;
        all[i] = a;
        assert_non_null(upstream_get(&u, &a, 100 + (uint64_t)(i == 3 ? 0 : i)));
    }
    u.servers[3].users = 1;
    u.servers[0].probe_timer.at_ms = 1;
    a.ip[13] = 9;
    assert_non_null(upstream_get(&u, &a, 1000));
    assert_int_equal(u.n, UPSTREAM_MAX);
    assert_non_null(upstream_find(&u, &all[0]));
    assert_null(upstream_find(&u, &all[1]));
    assert_non_null(upstream_find(&u, &all[2]));
    assert_non_null(upstream_find(&u, &all[3]));
    assert_non_null(upstream_find(&u, &a));
    for (int i = 0; i < UPSTREAM_MAX; i++)
        u.servers[i].users = 1;
    a.ip[13] = 10;
    assert_null(upstream_get(&u, &a, 1001));
}

int main(void)
{
    ROWS(rows, test_row);
    TEST(test_found_by_address);
    TEST(test_full_table);
    return RUN("upstream");
}
