/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy_check.c -- what `policy check` finds in a policy, and what it leaves in peace.
 */
#include "ctl/policy.h"
#include "tests/unit/rows.h"

/* Uses what would be reported as unused. */
#define HEAD                                                                                       \
    "waymark-policy: 1\nnetworks: {n: [10.0.0.0/8], m: [10.1.0.0/16]}\n"                           \
    "pools: {p: [k.c.d], q: [l.c.d]}\n"                                                            \
    "rules:\n zz: {suffixes: [zz], networks: [n, m], pool: p}\n zy: {suffixes: [zy], pool: q}\n"
#define NOW UINT64_C(1800000000000) /* 2027-01-15 */
#define FROM ", from: 2028-01-01T00:00:00Z"
#define UNTIL ", until: 2028-01-01T00:00:00Z"
#define SAME "rule a has the same scope and is tried first, by its name"
#define TIE "is in a tie with rule a for x; only the order of their names decides"

static const struct row {
    const char *name, *a, *b; /* the rules, from their suffixes on; b may be NULL */
    const char *expect;       /* of the last rule; NULL: nothing */
} rows[] = {
    {"clean", "[x], pool: p"},
    {"mode off", "[x], pool: p, mode: off", NULL, "never acts: its mode is off"},
    {"expired", "[x], pool: p, until: 2026-01-01T00:00:00Z", NULL,
     "never acts: it expired at 2026-01-01T00:00:00Z"},
    {"not yet valid is fine", "[x], pool: p" FROM},
    {"no suffix", "[], pool: p", NULL, "never acts: it has no suffix"},
    {"any and others", "[x], networks: [any, n], pool: p", NULL,
     "names any beside other networks; any covers them all"},
    {"catch-all", "[\"*\"], networks: [any], pool: p", NULL,
     "action fill for every suffix of every client: a catch-all"},
    {"all of a network", "[\"*\"], networks: [n], pool: p"},
    {"underscore", "[_msdcs.x], pool: p", NULL,
     "suffix _msdcs.x begins with an underscore; no domain of a client does"},
    {"address", "[10.0.0.1], pool: p", NULL, "suffix 10.0.0.1 looks like an address"},
    {"hidden", "[x], pool: p", "[x], pool: q", "can never act: for x, " SAME},
    {"hidden for some", "[x, y], pool: p", "[x, y, z], pool: q",
     "never acts for x and 1 more suffixes, " SAME},
    {"front takes less", "[x], pool: p", "[x], pool: q, when: [missing, failed]", TIE},
    {"front begins later", "[x], pool: p" FROM, "[x], pool: q", TIE},
    {"other verdicts", "[x], pool: p", "[x], action: filter"},
    {"deny takes all", "[x], action: deny", "[x], pool: p", "can never act: for x, " SAME},
    {"a shadow rule is a trial", "[x], pool: p", "[x], pool: q, mode: shadow"},
    {"other networks", "[x], networks: [n], pool: p", "[x], networks: [m], pool: q"},
    {"network and everybody", "[x], networks: [n], pool: p", "[x], pool: q"},
    {"one network in common", "[x], networks: [n], pool: p", "[x], networks: [n, m], pool: q", TIE},
    {"one after the other", "[x], pool: p" UNTIL, "[x], pool: q" FROM},
    {"one before the other", "[x], pool: p" FROM, "[x], pool: q" UNTIL},
    {"front ends before", "[x], pool: p" UNTIL, "[x], pool: q", TIE},
    {"both end together", "[x], pool: p" UNTIL, "[x], pool: q" UNTIL,
     "can never act: for x, " SAME},
    {"x beside *.x", "[x.y], pool: p", "[\"*.x.y\"], pool: q",
     "has *.x.y, while rule a decides otherwise for x.y itself"},
    {"x beside *.z", "[x.y], pool: p", "[\"*.z.y\"], pool: q"},
    {"x beside *.x, for others", "[x.y], networks: [n], pool: p",
     "[\"*.x.y\"], networks: [m], pool: q"},
    {"x beside *.x, on trial", "[x.y], pool: p", "[\"*.x.y\"], pool: q, mode: shadow"},
    {"x beside *.x, the same said", "[x.y], pool: p", "[\"*.x.y\"], pool: p"},
};

/* What is found in the policy must be these lines, or, when they are NULL, so many. */
static void expect_findings(const char *policy, const char *expect, size_t n)
{
    char *text = NULL;
    size_t size, i;
    FILE *f = open_memstream(&text, &size);
    const json_t *row;
    struct policy p;
    json_t *found;

    if (policy_text_read(&p, "f", policy, strlen(policy), false, NULL) != 0)
        fail_msg("not read: %s", policy);
    found = policy_findings(&p, NOW);
    json_array_foreach(found, i, row)
        fprintf(f, "%s: %s\n", json_string_value(json_object_get(row, "subject")),
                json_string_value(json_object_get(row, "text")));
    fclose(f);
    if (expect != NULL)
        assert_string_equal(text, expect);
    else
        assert_int_equal(json_array_size(found), n);
    json_decref(found);
    policy_fini(&p);
    free(text);
}

static void rule_findings(void **state)
{
    const struct row *r = *state;
    char policy[2048], expect[256] = "";

    snprintf(policy, sizeof policy, HEAD " a: {suffixes: %s}\n%s%s%s", r->a,
             r->b != NULL ? " b: {suffixes: " : "", r->b != NULL ? r->b : "",
             r->b != NULL ? "}\n" : "");
    if (r->expect != NULL)
        snprintf(expect, sizeof expect, "rule %s: %s\n", r->b != NULL ? "b" : "a", r->expect);
    expect_findings(policy, expect, 0);
}

static void object_findings(void **state)
{
    expect_findings(
        "waymark-policy: 1\nnetworks: {n: [10.0.0.0/8, 0.0.0.0/0], m: [10.0.0.0/8]}\n"
        "pools: {p: [k.c.d]}\nrules: {r: {suffixes: [x], networks: [n], action: deny}}\n",
        "network m: no rule uses it\n"
        "network n: 0.0.0.0/0 is every client; the network any is meant for that\n"
        "network n: has prefix 10.0.0.0/8 as network m has: neither is nearer to its clients\n"
        "pool p: no rule delivers it; its hosts count as approved\n",
        0);
}

/* 21 rules with one suffix are 210 pairs. */
static void many_pairs(void **state)
{
    char policy[2048];
    int n = snprintf(policy, sizeof policy, "waymark-policy: 1\npools: {p: [k.c.d]}\nrules:\n");

    for (char c = 'a'; c < 'a' + 21; c++)
        n += snprintf(policy + n, sizeof policy - (size_t)n, " %c: {suffixes: [x], pool: p}\n", c);
    expect_findings(policy, NULL, 200 + 1);
}

TESTS("policy check", TEST(many_pairs), ROWS(rows, rule_findings), TEST(object_findings))
