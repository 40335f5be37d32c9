/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_text.c -- the text forms of a policy: what is refused and where, and
 * that what is written reads back as the same policy.
 */
#include "policy/change.h"
#include "policy/model.h"
#include "tests/unit/rows.h"

#define HEAD "waymark-policy: 1\n"
#define POOL "pools: {p: [k.c.d]}\n"
#define RULE(fields) POOL "rules: {r: {suffixes: [x.y], " fields "}}"
#define TWO                                                                                        \
    "pools:\n  a: [kms01.contoso.com]\nrules:\n"                                                   \
    "  one: {suffixes: [x.example], pool: aa}\n"                                                   \
    "  two: {suffixes: [y.example], pool: a, tttl: 5m}"

/* What is given is a policy, and exported is `canonical`; that again is itself. */
static const struct round {
    const char *name, *text, *canonical;
} rounds[] = {
    {"empty", "", ""},
    {"empty sections", "networks:\npools:\nrules:\napproved: []\n", ""},
    {"networks are sorted, without doubles",
     "networks: {b: [10.0.0.0/8, 10.0.0.0/8], a: [fd00::/8, 10.0.0.0/8, 192.0.2.1, 10.0.0.0/8]}\n",
     "networks:\n  a: [10.0.0.0/8, 192.0.2.1/32, fd00::/8]\n  b: [10.0.0.0/8]\n"},
    {"one prefix needs no list", "networks: {a: 10.0.0.0/8}\n", "networks:\n  a: [10.0.0.0/8]\n"},
    {"hosts, all forms, and approved ones",
     "approved: [b.c.d:99, A.c.d]\npools:\n  q: {allow-public: yes, hosts: [\"k.c.d,address=8.8.8.8"
     "\"]}\n  p:\n  - {target: K2.c.d, priority: 10, weight: 5, port: 1700, addresses: "
     "[10.0.0.9, fd00::1], probe: no}\n  - k1.c.d:1688\n  - k1.c.d:1689\n",
     "pools:\n  p:\n    - k1.c.d\n    - {target: k1.c.d, port: 1689}\n"
     "    - {target: k2.c.d, port: 1700, priority: 10, weight: 5, addresses: [10.0.0.9, "
     "fd00::1], probe: no}\n  q:\n    hosts:\n"
     "      - {target: k.c.d, addresses: [8.8.8.8]}\n    allow-public: yes\napproved: [a.c.d, "
     "b.c.d:99]\n"},
    {"how the hosts of a pool are given",
     "pools: {q: {hosts: [k.c.d], pin-clients: 50}, p: {hosts: k.c.d, choice: pin}, r: {hosts: "
     "[k.c.d], choice: all}}\n",
     "pools:\n  p:\n    hosts:\n      - k.c.d\n    choice: pin\n"
     "  q:\n    hosts:\n      - k.c.d\n    pin-clients: 50\n  r:\n    - k.c.d\n"},
    {"rule with defaults said",
     POOL "rules: {r: {suffixes: [B.c, a.c, b.c.], action: fill, when: [missing], mode: live, ttl: "
          "300, pool: p, break-dnssec: no, comment: \"\"}}\n",
     "pools:\n  p:\n    - k.c.d\nrules:\n  r:\n    suffixes: [a.c, b.c]\n    pool: p\n"},
    {"rule with everything",
     POOL "rules: {r: {suffixes: [\"*\", ., x], networks: [any], action: fill, when: [failed, "
          "missing], mode: shadow, ttl: 2m, pool: p, from: 2026-11-22T09:00:00.5+01:00, until: "
          "2027-01-31T18:00:00+01:00, break-dnssec: yes, comment: \"a: b\"}}\n",
     "pools:\n  p:\n    - k.c.d\nrules:\n  r:\n    suffixes: [\".\", \"*\", x]\n    networks: "
     "[any]\n    when: [missing, failed]\n    pool: p\n"
     "    ttl: 2m\n    mode: shadow\n    from: 2026-11-22T08:00:00Z\n    until: "
     "2027-01-31T17:00:00Z\n    break-dnssec: yes\n    comment: \"a: b\"\n"},
    {"what a rule may just say",
     POOL "rules: {a: {suffixes: [x], action: replace, pool: p, ttl: 30s}, b: {suffixes: [x], "
          "action: replace, when: [unapproved], pool: p, ttl: 1d}, c: {suffixes: [\"*.a.b\"], "
          "action: filter, when: [unapproved], from: 2026-01-01T00:00:00Z, until: "
          "2026-01-01T00:00:01Z}}\n",
     "pools:\n  p:\n    - k.c.d\nrules:\n"
     "  a:\n    suffixes: [x]\n    action: replace\n    pool: p\n    ttl: 30s\n"
     "  b:\n    suffixes: [x]\n    action: replace\n    when: [unapproved]\n    pool: p\n"
     "    ttl: 1d\n"
     "  c:\n    suffixes: [\"*.a.b\"]\n    action: filter\n    from: 2026-01-01T00:00:00Z\n"
     "    until: 2026-01-01T00:00:01Z\n"},
    {"actions without a pool, a long list, raw UTF-8",
     "rules: {d: {suffixes: [aaaaaaaaaaaaaaaaaaaaaaaa.example, bbbbbbbbbbbbbbbbbbbbbb.example, "
     "ccccccccccccccccccccc.example], action: deny}, f: {suffixes: f\xc3\xbcr.x, action: filter, "
     "comment: f\xc3\xbcr}, o: {suffixes: [], action: pass}}\n",
     "rules:\n  d:\n    suffixes:\n      - aaaaaaaaaaaaaaaaaaaaaaaa.example\n"
     "      - bbbbbbbbbbbbbbbbbbbbbb.example\n      - ccccccccccccccccccccc.example\n"
     "    action: deny\n"
     "  f:\n    suffixes: [\"f\\\\195\\\\188r.x\"]\n    action: filter\n    comment: "
     "\"f\xc3\xbcr\"\n"
     "  o:\n    suffixes: []\n    action: pass\n"},
    {"names that look like something else",
     "networks: {\"no\": [10.0.0.0/8], \"1\": [10.0.0.0/8]}\n",
     "networks:\n  1: [10.0.0.0/8]\n  no: [10.0.0.0/8]\n"},
};

static void round_trips(void **state)
{
    const struct round *r = *state;
    char text[1024];

    snprintf(text, sizeof text, HEAD "%s", r->text);
    for (int pass = 0; pass < 2; pass++) {
        struct policy p;
        struct diags d = {0};
        char *out = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&out, &len);

        if (policy_text_read(&p, "f", text, strlen(text), &d) != 0)
            fail_msg("pass %d: %s", pass, d.n > 0 ? d.list[0] : "?");
        assert_int_equal(d.all, 0);
        assert_int_equal(policy_text_write(&p, f), 0);
        fclose(f);
        assert_string_equal(out + strlen(HEAD), r->canonical);
        snprintf(text, sizeof text, "%s", out);
        free(out);
        policy_fini(&p);
        diags_fini(&d);
    }
}

enum { BARE = 1 /* without the first line */ };

/* A text, behind the first line, and all that is said of it: "LINE:COLUMN PART-OF-WORDS", a line
 * for each; what its rules name that is not there comes last. */
static const struct refusal {
    const char *text, *want;
    unsigned flags;
} refusals[] = {
    {"networks: {}", "1:1 waymark-policy: 1", BARE},
    {"waymark-policy: 2", "1:17 is out of range: only 1 works", BARE},
    {"- a", "1:1 mapping", BARE},
    {"network: {}", "2:1 did you mean networks?"},
    {"rules:\n  r:\n    sufixes: [x]\n    action: deny", "4:5 did you mean suffixes?"},
    {"networks: {a: [10.0.0.0/8]}\nnetworks: {b: [10.0.0.0/8]}", "3:1 networks"},
    {"rules:\n  r:\n    suffixes: [*]", "4:16 quote"},
    {"networks: {a: [10.0.0.1/8]}", "2:16 has bits behind its length"},
    {"networks: {a: [dmz]}", "2:16 is not an address or a prefix"},
    {"networks: {any: [10.0.0.0/8]}", "2:12 reserved"},
    {"networks: {a: []}", "2:15 a network is empty"},
    {"pools: {p: [10.0.0.9]}", "2:13 IP address"},
    {"pools: {p: [{target: kms01}]}", "2:22 no dot"},
    {"pools: {p: [{port: 1}]}", "2:13 a host needs target"},
    {"pools: {p: [{target: a.b, port: 0}]}", "2:33 1 to 65535"},
    {"pools: {p: [\"a.b,address=8.8.8.8\"]}", "2:9 allow-public"},
    {"pools: {p: []}", "2:9 no host"},
    {"pools: {p: {hosts: [a.b], choice: pn}}", "2:35 is none of all, pin"},
    {"pools: {p: {hosts: [a.b], pin-clients: 0}}", "2:40 1 to 50"},
    {"pools: {p: [a.b, c.d, \"a.b,priority=1\"]}", "2:9 host a.b:1688 is there twice"},
    {"pools: {p: [\"a.b,address=fd00::1,address=2600::1\"]}", "2:9 the public address 2600::1"},
    {POOL "rules: {r: {suffixes: [_vlmcs._tcp.a.b], pool: p}}", "3:24 _vlmcs._tcp"},
    {POOL "rules: {r: {suffixes: [a], action: fil, pool: p}}", "3:36 is none of fill, replace"},
    {POOL "rules: {r: {suffixes: [a], when: [nxdomain], pool: p}}", "3:35 missing, failed"},
    {POOL "rules: {r: {suffixes: [a], when: [], pool: p}}", "3:34 leave it out"},
    {POOL "rules: {r: {suffixes: [a], until: +14d, pool: p}}", "3:35 time like"},
    {POOL "rules: {r: {suffixes: [a], until: \"09:00\", pool: p}}", "3:35 time like"},
    {POOL "rules: {r: {suffixes: [a], ttl: 10s, pool: p}}", "3:33 30s to 1d"},
    {"rules: {r: {suffixes: [a]}}", "2:9 needs a pool"},
    {RULE("when: [failed], pool: p"), "3:9 [missing, failed]"},
    {RULE("when: [missing, present], pool: p"), "3:9 to hide an answer use action replace"},
    {RULE("when: [unapproved], pool: p"), "3:9 to hide an answer use action replace"},
    {RULE("action: replace, when: [missing], pool: p"), "3:9 replace takes no when"},
    {RULE("action: replace, when: [unapproved, missing], pool: p"), "3:9 replace takes no when"},
    {RULE("action: filter, pool: p"), "3:9 filter delivers no pool"},
    {RULE("action: filter, when: [missing]"), "3:9 filter takes no when"},
    {RULE("action: deny, pool: p"), "3:9 deny delivers no pool"},
    {RULE("action: pass, when: [present]"), "3:9 pass takes no when"},
    {RULE("action: deny, from: 2026-01-01T00:00:00Z, until: 2026-01-01T00:00:00Z"),
     "3:9 never valid"},
    {"rules: {r: {suffixes: [a.b, \"*.com\"], action: deny}}", "2:9 suffix *.com is so wide"},
    {POOL "rules: {r: {suffixes: [\"*\"], pool: p}}", "3:9 needs networks"},
    {"rules: {r: {suffixes: [a], pool: }}", "2:28 no value"},
    {"networks: {a: [x], b: [y]}\npools: {p: [10.0.0.1]}\nrules: {r: {action: x}}",
     "2:16 is not an address or a prefix\n\n\n"},
    {"tests: [{suffix: a, expect: filled}]", "2:9 client"},
    {"tests: [{suffix: a, client: 10.0.0.1}]", "2:9 expect"},
    {"pools: {p: [{target: a.b, addresses: x}]}",
     "2:38 addresses: \"x\" is not an IP address that a client can connect to"},
    {"pools: {p: [{target: a.b, weight: 65536}]}",
     "2:35 weight: \"65536\" is out of range: 0 to 65535"},
    {"pools: {p: [{target: a.b, prot: 1}]}",
     "2:27 unknown key \"prot\" in a host; did you mean port?"},
    {"pools: {p: [[a.b]]}", "2:13 a host must be one value"},
    {"pools: {p: }", "2:9 hosts has no value"},
    {"pools: {p: {allow-public: yes}}", "2:9 a pool needs hosts"},
    {"pools: {P: [a.b]}", "2:9 pool \"P\": has characters other than a-z 0-9 . _ -"},
    {"networks: {a: {b: c}}", "2:15 a network must be a list: [a, b]"},
    {"approved: [a.b, c]",
     "2:17 \"c\" has no dot; give the full name of the host, like kms01.contoso.com"},
    {"rules: {R: {suffixes: [a], action: deny}}",
     "2:9 rule \"R\": has characters other than a-z 0-9 . _ -"},
    {"rules: {r: {suffixes: [a], networks: [A], action: deny}}",
     "2:39 networks: \"A\" has characters other than a-z 0-9 . _ -"},
    {"rules: {r: {suffixes: [a], pool: P}}",
     "2:34 pool: \"P\" has characters other than a-z 0-9 . _ -"},
    {POOL "rules: {r: {suffixes: [a], when: {a: b}, pool: p}}", "3:34 when must be a list: [a, b]"},
    {POOL "rules: {r: {suffixes: [a], ttl: 30500ms, pool: p}}",
     "3:33 ttl: \"30500ms\" is not a duration in whole seconds"},
    {POOL "rules: {r: {suffixes: [a], ttl: 2d, pool: p}}",
     "3:33 ttl: \"2d\" is out of range: 30s to 1d"},
    {POOL "rules: {r: {suffixes: [a], break-dnssec: 1, pool: p}}",
     "3:42 break-dnssec: \"1\" is not yes or no"},
    {"tests: {a: b}", "2:8 tests must be a list"},
    {"tests: [{suffix: a, client: b, expect: filled}]", "2:29 client: \"b\" is not an IP address"},
    {"tests: [{suffix: a, client: 10.0.0.1, real-host: a.b, expect: filled}]",
     "2:39 real-host is what the real DNS names: it needs verdict: present"},
    {POOL "rules: {r: {suffixes: [a], networks: [[x], any, {a: b}], pool: p}}",
     "3:39 networks must be one value\n"},
    {"pools: {p: [{target: k.c.d, addresses: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, "
     "10.0.0.6, 10.0.0.7, 10.0.0.8, 10.0.0.9]}]}",
     "2:40 addresses has 9 elements; at most 8 are allowed"},
    {"tests: [{suffix: a, client: 10.0.0.1, verdict: \"-\", expect: filled}]",
     "2:48 verdict: \"-\" is none of nxdomain, nodata"},
    {"tests: [{suffix: a, client: 10.0.0.1, expect: blocked}]",
     "2:47 expect: \"blocked\" is none of passed, filled, replaced, filtered, denied, missing, "
     "failed"},
    {"tests: [{suffix: \"*.a\", client: 10.0.0.1, expect: filled}]", "2:18 one suffix"},
    {"pools: {p: [k.c.d]}\nnetworks: {kiosks: [10.0.0.0/8]}\n"
     "rules: {a: {suffixes: [x.y], pool: q}, b: {suffixes: [x.y], pool: p, networks: [kiosk, "
     "any]}, "
     "c: {suffixes: [x.y], pool: p}}",
     "4:9 rule a: there is no pool q\n4:40 did you mean kiosks"},
    /* Problems keep their place when all is sorted. */
    {"pools:\n  q: [k.c.d]\n  p:\n    - l.c.d\nrules:\n  z:\n    suffixes: [x.y]\n    pool: x\n"
     "    networks:\n      - no2\n      - any\n      - no1\n  a: {suffixes: [x.y], pool: q}",
     "7:3 there is no network no1\n7:3 there is no network no2\n7:3 there is no pool x"},
    {TWO, "6:41 tttl"},
    /* What is wrong in a list does not hide the rest of it. */
    {POOL "rules: {r: {suffixes: [x.y], pool: p, networks: [No, any, lab]}}",
     "3:50 networks: \"No\" has characters other than"},
};

static void refused(void **state)
{
    const struct refusal *r = *state;
    const char *want = r->want;
    char text[1024];
    struct policy p;
    struct diags d = {0};

    snprintf(text, sizeof text, "%s%s\n", r->flags & BARE ? "" : HEAD, r->text);
    if (policy_text_read(&p, "f", text, strlen(text), &d) == 0) {
        assert_int_equal(policy_references(&p, &d), -EINVAL);
        policy_fini(&p);
    }
    for (size_t i = 0; i < d.n; i++) {
        size_t place = strspn(want, "0123456789:"), n = place + (place > 0);
        char words[200];

        snprintf(words, sizeof words, "%.*s", (int)strcspn(want + n, "\n"), want + n);
        if (strncmp(d.list[i], "f:", 2) != 0 || strncmp(d.list[i] + 2, want, place) != 0 ||
            strstr(d.list[i], words) == NULL)
            fail_msg("%s", d.list[i]);
        want += n + strlen(words);
        if (i + 1 < d.n)
            assert_int_equal(*want++, '\n');
    }
    assert_string_equal(want, "");
    diags_fini(&d);
}

TESTS("text", ROWS(rounds, round_trips), ROWS(refusals, refused))
