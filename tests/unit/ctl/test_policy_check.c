/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_policy_check.c -- what `policy check` finds in a policy, and what it leaves in peace.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"
#include "ctl/policy.h"
#include "tests/unit/rows.h"

#define TWO_POOLS                                                                                  \
    "waymark-policy: 1\nnetworks: {n: [10.0.0.0/8], m: [10.1.0.0/16]}\npools: {p: [k.c.d], q: "    \
    "[l.c.d]}\nrules:\n"
/* Uses what would be reported as unused. */
#define USED " zz: {suffixes: [zz], networks: [n, m], pool: p}\n zy: {suffixes: [zy], pool: q}\n"
#define NOW UINT64_C(1800000000000) /* 2027-01-15 */

static const struct row {
    const char *name, *rules;
    const char *expect; /* "" = nothing */
} rows[] = {
    {"clean", " a: {suffixes: [x], pool: p}\n", ""},
    {"mode off", " a: {suffixes: [x], pool: p, mode: off}\n",
     "rule a: never acts: its mode is off\n"},
    {"expired", " a: {suffixes: [x], pool: p, until: 2026-01-01T00:00:00Z}\n",
     "rule a: never acts: it expired at 2026-01-01T00:00:00Z\n"},
    {"not yet valid is fine", " a: {suffixes: [x], pool: p, from: 2028-01-01T00:00:00Z}\n", ""},
    {"no suffix", " a: {suffixes: [], pool: p}\n", "rule a: never acts: it has no suffix\n"},
    {"any and others", " a: {suffixes: [x], networks: [any, n], pool: p}\n",
     "rule a: names any beside other networks; any covers them all\n"},
    {"catch-all", " a: {suffixes: [\"*\"], networks: [any], pool: p}\n",
     "rule a: action fill for every suffix of every client: a catch-all\n"},
    {"underscore", " a: {suffixes: [_msdcs.x], pool: p}\n",
     "rule a: suffix _msdcs.x begins with an underscore; no domain of a client does\n"},
    {"address", " a: {suffixes: [10.0.0.1], pool: p}\n",
     "rule a: suffix 10.0.0.1 looks like an address\n"},
    {"hidden", " a: {suffixes: [x], pool: p}\n b: {suffixes: [x], pool: q}\n",
     "rule b: can never act: for x, rule a has the same scope and is tried first, by its name\n"},
    {"hidden for some", " a: {suffixes: [x, y], pool: p}\n b: {suffixes: [x, y, z], pool: q}\n",
     "rule b: never acts for x and 1 more suffixes, rule a has the same scope and is tried first, "
     "by its name\n"},
    {"front takes less",
     " a: {suffixes: [x], pool: p}\n b: {suffixes: [x], pool: q, when: [missing, failed]}\n",
     "rule b: is in a tie with rule a for x; only the order of their names decides\n"},
    {"other verdicts", " a: {suffixes: [x], pool: p}\n b: {suffixes: [x], action: filter}\n", ""},
    {"deny takes all", " a: {suffixes: [x], action: deny}\n b: {suffixes: [x], pool: p}\n",
     "rule b: can never act: for x, rule a has the same scope and is tried first, by its name\n"},
    {"a shadow rule is a trial",
     " a: {suffixes: [x], pool: p}\n b: {suffixes: [x], pool: q, mode: shadow}\n", ""},
    {"other networks",
     " a: {suffixes: [x], networks: [n], pool: p}\n b: {suffixes: [x], networks: [m], pool: q}\n",
     ""},
    {"network and everybody",
     " a: {suffixes: [x], networks: [n], pool: p}\n b: {suffixes: [x], pool: q}\n", ""},
    {"one network in common",
     " a: {suffixes: [x], networks: [n], pool: p}\n b: {suffixes: [x], networks: [n, m], pool: "
     "q}\n",
     "rule b: is in a tie with rule a for x; only the order of their names decides\n"},
    {"one after the other",
     " a: {suffixes: [x], pool: p, until: 2028-01-01T00:00:00Z}\n b: {suffixes: [x], pool: q, "
     "from: 2028-01-01T00:00:00Z}\n",
     ""},
    {"front ends before",
     " a: {suffixes: [x], pool: p, until: 2028-01-01T00:00:00Z}\n b: {suffixes: [x], pool: q}\n",
     "rule b: is in a tie with rule a for x; only the order of their names decides\n"},
    {"both end together",
     " a: {suffixes: [x], pool: p, until: 2028-01-01T00:00:00Z}\n b: {suffixes: [x], pool: q, "
     "until: 2028-01-01T00:00:00Z}\n",
     "rule b: can never act: for x, rule a has the same scope and is tried first, by its name\n"},
    {"x beside *.x", " a: {suffixes: [x.y], pool: p}\n b: {suffixes: [\"*.x.y\"], pool: q}\n",
     "rule b: has *.x.y, while rule a decides otherwise for x.y itself\n"},
    {"x beside *.z", " a: {suffixes: [x.y], pool: p}\n b: {suffixes: [\"*.z.y\"], pool: q}\n", ""},
    {"x beside *.x, for others",
     " a: {suffixes: [x.y], networks: [n], pool: p}\n b: {suffixes: [\"*.x.y\"], networks: [m], "
     "pool: q}\n",
     ""},
    {"x beside *.x, on trial",
     " a: {suffixes: [x.y], pool: p}\n b: {suffixes: [\"*.x.y\"], pool: q, mode: shadow}\n", ""},
    {"x beside *.x, the same said",
     " a: {suffixes: [x.y], pool: p}\n b: {suffixes: [\"*.x.y\"], pool: p}\n", ""},
};

static size_t findings(const char *text, char *out, size_t size)
{
    const json_t *row;
    struct policy p;
    struct diags d;
    struct str s;
    json_t *found;
    size_t n, i;

    diags_init(&d);
    if (policy_text_read(&p, NULL, "f", text, strlen(text), false, &d) != 0)
        fail_msg("%s", d.n > 0 ? d.list[0] : "?");
    diags_fini(&d);
    str_init(&s, out, size);
    found = policy_findings(&p, NOW);
    n = json_array_size(found);
    json_array_foreach(found, i, row)
        str_addf(&s, "%s: %s\n", json_string_value(json_object_get(row, "subject")),
                 json_string_value(json_object_get(row, "text")));
    json_decref(found);
    policy_fini(&p);
    return n;
}

static void rule_findings(void **state)
{
    const struct row *r = *state;
    char text[2048], out[4096];
    size_t n;

    snprintf(text, sizeof text, TWO_POOLS "%s" USED, r->rules);
    n = findings(text, out, sizeof out);
    assert_string_equal(out, r->expect);
    assert_int_equal(n, r->expect[0] != '\0');
}

static void object_findings(void **state)
{
    char out[4096];
    size_t n =
        findings("waymark-policy: 1\nnetworks: {n: [10.0.0.0/8, 0.0.0.0/0], m: [10.0.0.0/8]}\n"
                 "pools: {p: [k.c.d]}\nrules: {r: {suffixes: [x], networks: [n], action: deny}}\n",
                 out, sizeof out);

    assert_string_equal(
        out,
        "network m: no rule uses it\n"
        "pool p: no rule delivers it; its hosts count as approved\n"
        "network n: 0.0.0.0/0 is every client; the network any is meant for that\n"
        "network n: has prefix 10.0.0.0/8 as network m has: neither is nearer to its clients\n");
    assert_int_equal(n, 4);
}

int main(void)
{
    ROWS(rows, rule_findings);
    TEST(object_findings);
    return RUN("policy check");
}
