/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_text.c -- the text forms of a policy: what is refused and where, and
 * that what is written reads back as the same policy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "policy/change.h"
#include "policy/model.h"
#include "policy/text.h"
#include "tests/unit/rows.h"

#define HEAD "waymark-policy: 1\n"
#define POOL HEAD "pools: {p: [k.c.d]}\n"

static char *written(const struct policy *p, int (*writer)(const struct policy *, FILE *))
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);

    assert_non_null(f);
    assert_int_equal(writer(p, f), 0);
    fclose(f);
    return out;
}

/* What is given is a policy, and exported is `canonical`; that again is itself. */
static const struct round {
    const char *name, *text, *canonical;
} rounds[] = {
    {"empty", HEAD, HEAD},
    {"empty sections", HEAD "networks:\npools:\nrules:\napproved: []\n", HEAD},
    {"networks are sorted, without doubles",
     HEAD "networks: {b: [10.0.0.0/8], a: [fd00::/8, 10.0.0.0/8, 192.0.2.1, 10.0.0.0/8]}\n",
     HEAD "networks:\n  a: [10.0.0.0/8, 192.0.2.1/32, fd00::/8]\n  b: [10.0.0.0/8]\n"},
    {"one prefix needs no list", HEAD "networks: {a: 10.0.0.0/8}\n",
     HEAD "networks:\n  a: [10.0.0.0/8]\n"},
    {"hosts, all forms",
     HEAD "pools:\n  p:\n  - {target: K2.c.d, priority: 10, weight: 5, port: 1700, addresses: "
          "[10.0.0.9, fd00::1], probe: no}\n  - k1.c.d:1688\n  - k1.c.d:1689\n",
     HEAD "pools:\n  p:\n    - k1.c.d\n    - {target: k1.c.d, port: 1689}\n"
          "    - {target: k2.c.d, port: 1700, priority: 10, weight: 5, addresses: [10.0.0.9, "
          "fd00::1], probe: no}\n"},
    {"allow-public", HEAD "pools: {p: {allow-public: yes, hosts: [\"k.c.d,address=8.8.8.8\"]}}\n",
     HEAD "pools:\n  p:\n    allow-public: yes\n    hosts:\n      - {target: k.c.d, addresses: "
          "[8.8.8.8]}\n"},
    {"approved", HEAD "approved: [b.c.d:99, A.c.d]\n", HEAD "approved: [a.c.d, b.c.d:99]\n"},
    {"rule with defaults said",
     POOL "rules: {r: {suffixes: [B.c, a.c, b.c.], action: fill, when: [missing], mode: live, ttl: "
          "300, pool: p, break-dnssec: no, comment: \"\"}}\n",
     HEAD "pools:\n  p:\n    - k.c.d\nrules:\n  r:\n    suffixes: [a.c, b.c]\n    pool: p\n"},
    {"rule with everything",
     POOL "rules: {r: {suffixes: [\"*\", ., x], networks: [any], action: fill, when: [failed, "
          "missing], mode: shadow, ttl: 2m, pool: p, from: 2026-11-22T09:00:00.5+01:00, until: "
          "2027-01-31T18:00:00+01:00, break-dnssec: yes, comment: \"a: b\"}}\n",
     HEAD "pools:\n  p:\n    - k.c.d\nrules:\n  r:\n    suffixes: [\"*\", \".\", x]\n    networks: "
          "[any]\n    when: [missing, failed]\n    pool: p\n"
          "    ttl: 2m\n    mode: shadow\n    from: 2026-11-22T08:00:00.500Z\n    until: "
          "2027-01-31T17:00:00Z\n    break-dnssec: yes\n    comment: \"a: b\"\n"},
    {"actions without a pool",
     HEAD "rules: {d: {suffixes: [x], action: deny}, f: {suffixes: x, action: filter}, o: "
          "{suffixes: [], action: pass}}\n",
     HEAD "rules:\n  d:\n    suffixes: [x]\n    action: deny\n  f:\n    suffixes: [x]\n    action: "
          "filter\n  o:\n    suffixes: []\n    action: pass\n"},
    {"a long list stands below",
     HEAD "rules: {d: {suffixes: [aaaaaaaaaaaaaaaaaaaaaaaa.example, "
          "bbbbbbbbbbbbbbbbbbbbbb.example, ccccccccccccccccccccc.example], action: deny}}\n",
     HEAD
     "rules:\n  d:\n    suffixes:\n      - aaaaaaaaaaaaaaaaaaaaaaaa.example\n      - "
     "bbbbbbbbbbbbbbbbbbbbbb.example\n      - ccccccccccccccccccccc.example\n    action: deny\n"},
    {"raw UTF-8",
     HEAD "rules: {d: {suffixes: [f\xc3\xbcr.example], action: deny, comment: f\xc3\xbcr}}\n",
     HEAD "rules:\n  d:\n    suffixes: [\"f\\\\195\\\\188r.example\"]\n    action: deny\n    "
          "comment: \"f\xc3\xbcr\"\n"},
    {"names that look like something else",
     HEAD "networks: {\"no\": [10.0.0.0/8], \"1\": [10.0.0.0/8]}\n",
     HEAD "networks:\n  1: [10.0.0.0/8]\n  no: [10.0.0.0/8]\n"},
};

static void round_trips(void **state)
{
    const struct round *r = *state;
    const char *text = r->text;

    for (int pass = 0; pass < 2; pass++) {
        struct policy p;
        struct diags d;
        char *out;

        diags_init(&d);
        if (policy_text_read(&p, NULL, "f", text, strlen(text), false, &d) != 0)
            fail_msg("pass %d: %s", pass, d.n > 0 ? d.list[0].text : "?");
        assert_int_equal(d.all, 0);
        out = written(&p, policy_text_write);
        assert_string_equal(out, r->canonical);
        free(out);
        policy_fini(&p);
        diags_fini(&d);
        text = r->canonical;
    }
}

/* Refused: the place of the first problem, and a part of its words. */
static const struct refusal {
    const char *name, *text;
    unsigned line, column;
    const char *words;
    unsigned all; /* problems; 0: one */
} refusals[] = {
    {"no version", "networks: {}\n", 1, 1, "waymark-policy: 1"},
    {"other version", "waymark-policy: 2\n", 1, 17, "\"2\" is a form"},
    {"not a mapping", "- a\n", 1, 1, "mapping"},
    {"unknown section", HEAD "network: {}\n", 2, 1, "did you mean networks?"},
    {"unknown key of a rule", HEAD "rules:\n  r:\n    sufixes: [x]\n    action: deny\n", 4, 5,
     "did you mean suffixes?"},
    {"duplicate key", HEAD "networks: {a: [10.0.0.0/8]}\nnetworks: {b: [10.0.0.0/8]}\n", 3, 1,
     "networks"},
    {"star without quotes", HEAD "rules:\n  r:\n    suffixes: [*]\n", 4, 0, "quote"},
    {"prefix with host bits", HEAD "networks: {a: [10.0.0.1/8]}\n", 2, 16,
     "has bits behind its length"},
    {"prefix is none", HEAD "networks: {a: [dmz]}\n", 2, 16, "is not an address or a prefix"},
    {"network any", HEAD "networks: {any: [10.0.0.0/8]}\n", 2, 12, "reserved"},
    {"network without a prefix", HEAD "networks: {a: []}\n", 2, 12, "no prefix"},
    {"target is an address", HEAD "pools: {p: [10.0.0.9]}\n", 2, 13, "IP address"},
    {"target without a dot", HEAD "pools: {p: [{target: kms01}]}\n", 2, 22, "no dot"},
    {"host without a target", HEAD "pools: {p: [{port: 1}]}\n", 2, 13, "a host needs target"},
    {"port 0", HEAD "pools: {p: [{target: a.b, port: 0}]}\n", 2, 33, "1 to 65535"},
    {"port is no number", HEAD "pools: {p: [{target: a.b, port: x}]}\n", 2, 33,
     "port: \"x\" is not a number"},
    {"public address", HEAD "pools: {p: [\"a.b,address=8.8.8.8\"]}\n", 2, 9, "allow-public"},
    {"pool without hosts", HEAD "pools: {p: []}\n", 2, 9, "no host"},
    {"host twice", HEAD "pools: {p: [a.b, a.b]}\n", 2, 9, "twice"},
    {"whole name as suffix", POOL "rules: {r: {suffixes: [_vlmcs._tcp.a.b], pool: p}}\n", 3, 24,
     "_vlmcs._tcp"},
    {"action", POOL "rules: {r: {suffixes: [a], action: fil, pool: p}}\n", 3, 36,
     "did you mean fill?"},
    {"verdict as when", POOL "rules: {r: {suffixes: [a], when: [nxdomain], pool: p}}\n", 3, 35,
     "missing, failed"},
    {"empty when", POOL "rules: {r: {suffixes: [a], when: [], pool: p}}\n", 3, 34, "leave it out"},
    {"relative time", POOL "rules: {r: {suffixes: [a], until: +14d, pool: p}}\n", 3, 35,
     "time like"},
    {"time of the day", POOL "rules: {r: {suffixes: [a], until: \"09:00\", pool: p}}\n", 3, 35,
     "time like"},
    {"ttl", POOL "rules: {r: {suffixes: [a], ttl: 10s, pool: p}}\n", 3, 33, "30s to 1d"},
    {"fill without a pool", HEAD "rules: {r: {suffixes: [a]}}\n", 2, 9, "needs a pool"},
    {"wide without networks", POOL "rules: {r: {suffixes: [\"*\"], pool: p}}\n", 3, 9,
     "needs networks"},
    {"key without a value", HEAD "rules: {r: {suffixes: [a], pool: }}\n", 2, 28, "no value"},
    {"every problem is told",
     HEAD "networks: {a: [x], b: [y]}\npools: {p: [10.0.0.1]}\nrules: {r: {action: x}}\n", 2, 16,
     "is not an address or a prefix", 4},
    {"test without a client", HEAD "tests: [{suffix: a, expect: filled}]\n", 2, 9, "client"},
    {"test that expects nothing", HEAD "tests: [{suffix: a, client: 10.0.0.1}]\n", 2, 9, "expect"},
    {"addresses in a mapping", HEAD "pools: {p: [{target: a.b, addresses: {x: y}}]}\n", 2, 38,
     "addresses must be a list: [a, b]"},
    {"list in a list of addresses", HEAD "pools: {p: [{target: a.b, addresses: [[x]]}]}\n", 2, 39,
     "addresses must be one value"},
    {"address that is none", HEAD "pools: {p: [{target: a.b, addresses: x}]}\n", 2, 38,
     "addresses: \"x\" is not an IP address that a client can connect to"},
    {"priority that is no number", HEAD "pools: {p: [{target: a.b, priority: x}]}\n", 2, 37,
     "priority: \"x\" is not a number"},
    {"weight above 16 bits", HEAD "pools: {p: [{target: a.b, weight: 65536}]}\n", 2, 35,
     "weight: \"65536\" is out of range: 0 to 65535"},
    {"probe that is neither", HEAD "pools: {p: [{target: a.b, probe: maybe}]}\n", 2, 34,
     "probe: \"maybe\" is not yes or no"},
    {"unknown key of a host", HEAD "pools: {p: [{target: a.b, prot: 1}]}\n", 2, 27,
     "unknown key \"prot\" in a host; did you mean port?"},
    {"list for a host", HEAD "pools: {p: [[a.b]]}\n", 2, 13, "a host must be one value"},
    {"pool without a value", HEAD "pools: {p: }\n", 2, 9, "hosts has no value"},
    {"pool of allow-public alone", HEAD "pools: {p: {allow-public: yes}}\n", 2, 9,
     "a pool needs hosts"},
    {"name of a pool", HEAD "pools: {P: [a.b]}\n", 2, 9,
     "pool \"P\": has characters other than a-z 0-9 . _ -"},
    {"pools in a list", HEAD "pools: [p]\n", 2, 8, "pools must be a mapping (key: value)"},
    {"list in a network", HEAD "networks: {a: [[10.0.0.0/8]]}\n", 2, 16,
     "a network must be one value"},
    {"network in a mapping", HEAD "networks: {a: {b: c}}\n", 2, 15,
     "a network must be a list: [a, b]"},
    {"approved that is none", HEAD "approved: [a.b, c]\n", 2, 17,
     "\"c\" has no dot; give the full name of the host, like kms01.contoso.com"},
    {"name of a rule", HEAD "rules: {R: {suffixes: [a], action: deny}}\n", 2, 9,
     "rule \"R\": has characters other than a-z 0-9 . _ -"},
    {"rule that is a list", HEAD "rules: {r: [a]}\n", 2, 12,
     "a rule must be a mapping (key: value)"},
    {"list in the suffixes", HEAD "rules: {r: {suffixes: [[a]], action: deny}}\n", 2, 24,
     "suffixes must be one value"},
    {"suffixes in a mapping", HEAD "rules: {r: {suffixes: {a: b}, action: deny}}\n", 2, 23,
     "suffixes must be a list: [a, b]"},
    {"name of a network in a rule",
     HEAD "rules: {r: {suffixes: [a], networks: [A], action: deny}}\n", 2, 39,
     "networks: \"A\" has characters other than a-z 0-9 . _ -"},
    {"name of a pool in a rule", HEAD "rules: {r: {suffixes: [a], pool: P}}\n", 2, 34,
     "pool: \"P\" has characters other than a-z 0-9 . _ -"},
    {"when in a mapping", POOL "rules: {r: {suffixes: [a], when: {a: b}, pool: p}}\n", 3, 34,
     "when must be a list: [a, b]"},
    {"ttl that is none", POOL "rules: {r: {suffixes: [a], ttl: long, pool: p}}\n", 3, 33,
     "ttl: \"long\" is not a duration like 300s, 5m or 1h"},
    {"ttl of parts of a second", POOL "rules: {r: {suffixes: [a], ttl: 30500ms, pool: p}}\n", 3, 33,
     "ttl: \"30500ms\" is not a whole number of seconds from 30s to 1d"},
    {"ttl above a day", POOL "rules: {r: {suffixes: [a], ttl: 2d, pool: p}}\n", 3, 33,
     "ttl: \"2d\" is not a whole number of seconds from 30s to 1d"},
    {"break-dnssec that is neither", POOL "rules: {r: {suffixes: [a], break-dnssec: 1, pool: p}}\n",
     3, 42, "break-dnssec: \"1\" is not yes or no"},
    {"comment in a list", POOL "rules: {r: {suffixes: [a], comment: [x], pool: p}}\n", 3, 37,
     "comment must be one value"},
    {"mode", POOL "rules: {r: {suffixes: [a], mode: life, pool: p}}\n", 3, 34,
     "mode: \"life\" is none of off, shadow, live; did you mean live?"},
    {"tests in a mapping", HEAD "tests: {a: b}\n", 2, 8, "tests must be a list"},
    {"test that is a word", HEAD "tests: [a]\n", 2, 9, "a test must be a mapping (key: value)"},
    {"client that is none", HEAD "tests: [{suffix: a, client: b, expect: filled}]\n", 2, 29,
     "client: \"b\" is not an IP address"},
    {"real host of no record",
     HEAD "tests: [{suffix: a, client: 10.0.0.1, real-host: a.b, expect: filled}]\n", 2, 39,
     "real-host is what the real DNS names: it needs verdict: present"},
    {"a list among the networks",
     POOL "rules: {r: {suffixes: [a], networks: [[x], any, {a: b}], pool: p}}\n", 3, 39,
     "networks must be one value", 2},
    {"nine addresses",
     HEAD "pools: {p: [{target: k.c.d, addresses: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, "
          "10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8, 10.0.0.9]}]}\n",
     2, 40, "addresses has 9 elements; at most 8 are allowed"},
    {"verdict of a test",
     HEAD "tests: [{suffix: a, client: 10.0.0.1, verdict: \"-\", expect: filled}]\n", 2, 48,
     "verdict: \"-\" is none of nxdomain, nodata"},
    {"outcome that no test can have",
     HEAD "tests: [{suffix: a, client: 10.0.0.1, expect: blocked}]\n", 2, 47,
     "expect: \"blocked\" is none of passed, filled, replaced, filtered, denied, "
     "missing, failed"},
    {"test of a wildcard", HEAD "tests: [{suffix: \"*.a\", client: 10.0.0.1, expect: filled}]\n", 2,
     18, "one suffix"},
};

static void refused(void **state)
{
    const struct refusal *r = *state;
    struct policy p;
    struct diags d;

    diags_init(&d);
    assert_int_equal(policy_text_read(&p, NULL, "f.yaml", r->text, strlen(r->text), false, &d),
                     -EINVAL);
    assert_string_equal(d.list[0].file, "f.yaml");
    if (d.list[0].line != r->line || (r->column != 0 && d.list[0].column != r->column) ||
        d.all != (r->all != 0 ? r->all : 1) || strstr(d.list[0].text, r->words) == NULL)
        fail_msg("%u:%u of %zu: %s", d.list[0].line, d.list[0].column, d.all, d.list[0].text);
    diags_fini(&d);
}

static void tests_are_read(void **state)
{
    static const char text[] = HEAD
        "tests:\n"
        "  - {suffix: fabrikam.local, client: 10.20.4.7, verdict: nxdomain, expect: filled, host: "
        "KMS01.contoso.com}\n"
        "  - {suffix: ., client: fd00::1, verdict: present, real-host: old.c.d, expect: passed}\n";
    struct policy_tests t;
    struct policy p;

    assert_int_equal(policy_text_read(&p, &t, "f", text, strlen(text), false, NULL), 0);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.list[0].line, 3);
    assert_string_equal(t.list[0].suffix_text, "fabrikam.local");
    assert_true(name_is_vlmcs(&t.list[0].qname));
    assert_int_equal(t.list[0].qname.labels, 4);
    assert_true(t.list[0].has_host && t.list[0].has_expect);
    assert_int_equal(t.list[0].expect, OUTCOME_FILLED);
    assert_int_equal(t.list[0].host.data[1], 'k');
    assert_int_equal(t.list[1].verdict, VERDICT_PRESENT);
    assert_int_equal(t.list[1].real_host.labels, 3);
    assert_false(t.list[1].has_host);
    policy_tests_fini(&t);
    policy_fini(&p);
}

#define WHOLE                                                                                      \
    HEAD "pools:\n  a: [kms01.contoso.com]\nrules:\n"                                              \
         "  one: {suffixes: [x.example], pool: aa}\n"                                              \
         "  two: {suffixes: [y.example], pool: a, tttl: 5m}\n"

/* All that is said of a text: what cannot be read, else what its rules name that is not there; of
 * a file that must stand alone both. */
static const struct problems_row {
    const char *name, *text;
    bool whole;
    struct {
        unsigned line, column;
        const char *words;
    } want[4];
} problems_rows[] = {
    {"what is named and not there",
     POOL "networks: {kiosks: [10.0.0.0/8]}\n"
          "rules: {a: {suffixes: [x.y], pool: q}, b: {suffixes: [x.y], pool: p, networks: "
          "[kiosk, any]}, c: {suffixes: [x.y], pool: p}}\n",
     false,
     {{4, 36, "rule a: there is no pool q"}, {4, 81, "did you mean kiosks"}}},
    {"problems keep their place when all is sorted",
     HEAD
     "pools:\n  q: [k.c.d]\n  p:\n    - l.c.d\nrules:\n  z:\n    suffixes: [x.y]\n    pool: x\n"
     "    networks:\n      - no2\n      - any\n      - no1\n  a: {suffixes: [x.y], pool: q}\n",
     false,
     {{13, 9, "there is no network no1"},
      {11, 9, "there is no network no2"},
      {9, 11, "there is no pool x"}}},
    {"a part of a policy", WHOLE, false, {{6, 41, "tttl"}}},
    {"a whole policy", WHOLE, true, {{6, 41, "tttl"}, {5, 38, "there is no pool aa"}}},
    {"what is wrong in a list does not hide the rest of it",
     POOL "rules: {r: {suffixes: [x.y], pool: p, networks: [No, any, lab]}}\n",
     true,
     {{3, 50, "networks: \"No\" has characters other than"}, {3, 59, "there is no network lab"}}},
};

static void all_problems(void **state)
{
    const struct problems_row *r = *state;
    struct policy p;
    struct diags d;
    unsigned n = 0;

    diags_init(&d);
    if (policy_text_read(&p, NULL, "f", r->text, strlen(r->text), r->whole, &d) == 0) {
        assert_int_equal(policy_references(&p, &d), -EINVAL);
        policy_fini(&p);
    }
    for (; r->want[n].words != NULL; n++)
        if (d.n <= n || d.list[n].line != r->want[n].line ||
            d.list[n].column != r->want[n].column || strcmp(d.list[n].file, "f") != 0 ||
            strstr(d.list[n].text, r->want[n].words) == NULL)
            fail_msg("%u:%u: %s", d.list[n].line, d.list[n].column, d.list[n].text);
    assert_int_equal(d.all, n);
    diags_fini(&d);
}

int main(void)
{
    ROWS(rounds, round_trips);
    ROWS(refusals, refused);
    TEST(tests_are_read);
    ROWS(problems_rows, all_problems);
    return RUN("text");
}
