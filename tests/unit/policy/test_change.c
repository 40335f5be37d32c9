/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_change.c -- whole policies into a real store, and what is there then.
 */
#include "fixture.h"

#include "policy/text.h"

#define HEAD "waymark-policy: 1\n"
#define LISTS                                                                                      \
    "networks:\n  a: [10.0.0.0/8]\npools:\n  p:\n    - k.c.d\n  q:\n    - l.c.d\napproved: "       \
    "[x.c.d]\n"
#define ONE "  one:\n    suffixes: [a.b, c.d]\n    networks: [a]\n    pool: p\n"
#define TWO                                                                                        \
    "  two:\n    suffixes: [\".\", \"*\", \"*.x.b\", e.f]\n    networks: [a, any]\n    action: "   \
    "replace\n"                                                                                    \
    "    when: [unapproved]\n    pool: q\n    ttl: 77s\n    mode: shadow\n"                        \
    "    from: 2026-01-01T00:00:00Z\n    until: 2027-01-01T00:00:00Z\n    break-dnssec: yes\n"     \
    "    comment: all of it\n"
#define STORED HEAD LISTS "rules:\n" ONE TWO

/* Applies the text; the result of policy_change_put(). */
static int apply(struct fixture *f, const char *text, enum policy_how how, struct diags *d)
{
    struct policy_change change = {.log = {.author = "test", .time_ms = 1}};
    struct policy p;
    int rc;

    assert_int_equal(policy_text_read(&p, "f", text, strlen(text), false, d), 0);
    rc = policy_change_put(f->store, &change, &p, how, d);
    policy_fini(&p);
    return rc;
}

static char *exported(struct fixture *f, uint64_t *serial)
{
    struct policy p;
    char *out = NULL;
    size_t len;
    FILE *to = open_memstream(&out, &len);

    assert_int_equal(policy_load(f->store, &p, serial), 0);
    policy_sort(&p);
    assert_int_equal(policy_text_write(&p, to), 0);
    fclose(to);
    policy_fini(&p);
    return out;
}

static const struct row {
    const char *name, *text;
    enum policy_how how;
    const char *then; /* NULL: refused, and nothing is changed */
    const char *words;
} rows[] = {
    {"the same, merged", STORED, POLICY_MERGE, STORED},
    {"the same, replaced", STORED, POLICY_REPLACE, STORED},
    {"replace by nothing", HEAD, POLICY_REPLACE, HEAD},
    {"merge: nothing goes", HEAD "approved: [z.c.d]\nnetworks: {b: [10.1.0.0/16]}\n", POLICY_MERGE,
     HEAD "networks:\n  a: [10.0.0.0/8]\n  b: [10.1.0.0/16]\npools:\n  p:\n    - k.c.d\n  q:\n"
          "    - l.c.d\napproved: [x.c.d, z.c.d]\nrules:\n" ONE TWO},
    {"merge: a rule of the same name is replaced, its pool is in the store",
     HEAD "rules: {one: {suffixes: [z.z], pool: q}}\n", POLICY_MERGE,
     HEAD LISTS "rules:\n  one:\n    suffixes: [z.z]\n    pool: q\n" TWO},
    {"merge: a rule without suffixes loses those it had",
     HEAD "rules: {two: {suffixes: [], action: deny}}\n", POLICY_MERGE,
     HEAD LISTS "rules:\n" ONE "  two:\n    suffixes: []\n    action: deny\n"},
    {"join: suffixes join, the head stays",
     HEAD "pools: {p: [k.c.d]}\nrules: {one: {suffixes: [c.d, z.z], pool: p}, three: {suffixes: "
          "[y.y], pool: p}}\n",
     POLICY_JOIN,
     HEAD LISTS "rules:\n  one:\n    suffixes: [a.b, c.d, z.z]\n    networks: [a]\n    pool: p\n"
                "  three:\n    suffixes: [y.y]\n    pool: p\n" TWO},
    {"replace: the pool of the store does not count",
     HEAD "rules: {one: {suffixes: [z.z], pool: q}}\n", POLICY_REPLACE, NULL, "no pool q"},
    {"merge: a pool that is nowhere", HEAD "rules: {one: {suffixes: [z.z], pool: r}}\n",
     POLICY_MERGE, NULL, "no pool r"},
    {"merge: a network that is nowhere",
     HEAD "rules: {one: {suffixes: [z.z], pool: q, networks: [a, b]}}\n", POLICY_MERGE, NULL,
     "no network b"},
};

static void policy_is_applied(void **state)
{
    const struct row *row = *state;
    uint64_t before, after;
    struct fixture f;
    struct diags d;
    char *out;

    diags_init(&d);
    fixture_folder(&f);
    fixture_open(&f);
    assert_int_equal(apply(&f, STORED, POLICY_REPLACE, &d), 0);
    free(exported(&f, &before));
    assert_int_equal(apply(&f, row->text, row->how, &d) == 0, row->then != NULL);
    if (row->then == NULL) {
        assert_has(d.list[0], row->words);
        assert_has(d.list[0], "f:2:");
    }
    out = exported(&f, &after);
    assert_string_equal(out, row->then != NULL ? row->then : STORED);
    assert_int_equal(after == before, strcmp(out, STORED) == 0);
    free(out);
    diags_fini(&d);
    fixture_remove(&f);
}

/* What the rows of a list say they did. The list outlives its transaction: in another one it
 * says the same. */
static void rows_say_what_they_did(void **state)
{
    static const char text[] = HEAD "networks: {b: [10.0.0.0/8]}\npools: {p: [k.c.d], q: [m.c.d]}\n"
                                    "approved: [y.c.d]\nrules:\n"
                                    "  one: {suffixes: [c.d, x.y, y.z], pool: p}\n"
                                    "  three: {suffixes: [x.y], pool: p}\n";
    static const char *const states[] = {"same", "new", "changed", "gone"};
    struct fixture *f = *state;
    struct policy_change *t;
    struct policy_counts n;
    struct policy p;

    assert_int_equal(apply(f, STORED, POLICY_REPLACE, NULL), 0);
    assert_int_equal(policy_text_read(&p, "f", text, strlen(text), true, NULL), 0);
    t = fixture_begin(f, 1);
    assert_int_equal(policy_change_make(t, &p, POLICY_REPLACE), 0);
    for (int times = 0; times < 2; times++) {
        char raw[500];
        struct str said;

        str_init(&said, raw, sizeof raw);
        assert_int_equal(policy_change_apply(t, NULL), 0);
        for (const struct change *c = t->list; c < t->list + t->n; c++)
            str_addf(&said, "%s %s +%zu -%zu, ", c->kind == POLICY_APPROVED ? "ok" : c->is.name,
                     states[c->state], c->more, c->less);
        assert_string_equal(raw, "b new +0 -0, a gone +0 -0, p same +0 -0, q changed +0 -0, "
                                 "ok new +0 -0, ok gone +0 -0, one changed +2 -1, "
                                 "three new +1 -0, two gone +0 -4, ");
        assert_int_equal(policy_counts_read(t->txn, &n), 0);
        assert_int_equal(n.suffixes, 4);
        policy_change_abort(t);
        assert_int_equal(policy_change_begin(t, f->store), 0);
    }
    policy_change_abort(t);
    policy_change_fini(t);
    policy_fini(&p);
}

TESTS("change", ROWS(rows, policy_is_applied), FIXTURE_TEST(rows_say_what_they_did))
