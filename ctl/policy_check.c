/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_check.c -- what is wrong with a policy that the store takes.
 *
 * `policy check`: the findings of policy/check.c, and those that need the
 * settings: suffixes without a route, and kms.mode.
 *
 * `policy test`: the section `tests:` of a file, decided by the daemon's own
 * code on the present store, or, with --policy, on a store made of that file in
 * a temporary folder. kms.mode does not count here: a test says what the rules
 * do, also while the switch is off.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/decide.h"
#include "wire/present.h"

/* --- check ---------------------------------------------------------------- */

size_t policy_unrouted(struct str *list, const struct settings *s, const struct suffix *all,
                       size_t n)
{
    struct suffix *without = ctl_alloc(NULL, n * sizeof *without);
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        /* Of * and . the default servers are what there is to ask. */
        bool has_route = all[i].kind == SUFFIX_ANY || all[i].kind == SUFFIX_BARE;

        for (int k = 0; k < s->n_routes && !has_route; k++)
            has_route =
                s->routes[k].zone.labels > 0 && name_is_under(&all[i].name, &s->routes[k].zone);
        if (!has_route)
            without[count++] = all[i];
    }
    policy_list(list, POLICY_RULE, without, count);
    free(without);
    return count;
}

static void add_finding(void *rows, const char *subject, const char *text)
{
    json_array_append_new(rows, json_pack("{s:s, s:s}", "subject", subject, "text", text));
}

static const struct column finding_columns[] = {
    {"subject", "SUBJECT", COLUMN_TEXT}, {"text", "FINDING", COLUMN_TEXT}, {0}};

int policy_check_verb(struct ctl *c)
{
    const struct settings *s = c->settings;
    bool has_routes = false, live = false;
    char text[POLICY_TEXT], subject[POLICY_NAME + 8];
    struct policy p;
    json_t *rows;
    size_t n;
    int code = c->argc > 0 ? policy_file_read(c->argv[0], POLICY_WHOLE, &p, NULL, NULL)
                           : policy_read(c, NULL, &p, NULL);

    if (code != 0)
        return code;
    rows = json_array();
    policy_check(&p, c->now.wall_ms, add_finding, rows);
    /* What only the settings tell: where no zone has a route, the default servers are all there is. */
    for (int i = 0; i < s->n_routes; i++)
        has_routes = has_routes || s->routes[i].zone.labels > 0;
    for (size_t i = 0; i < p.n_rules; i++) {
        const struct policy_rule *r = &p.rules[i];
        struct str words;

        live = live || r->mode == MODE_LIVE;
        str_init(&words, text, sizeof text);
        str_add(&words, "no route for ");
        if (!has_routes || r->action != ACTION_FILL || r->mode == MODE_OFF ||
            policy_unrouted(&words, s, r->suffixes, r->n_suffixes) == 0)
            continue;
        snprintf(subject, sizeof subject, "rule %s", r->name);
        str_add(&words, ": the default servers say whether a record is missing");
        add_finding(rows, subject, text);
    }
    if (live && s->kms.mode == MODE_OFF)
        add_finding(rows, "kms.mode", "is off: no rule can act");
    if (live && s->kms.mode == MODE_SHADOW)
        add_finding(rows, "kms.mode", "is shadow: decisions are recorded, and none is delivered");
    n = json_array_size(rows);
    if (n > 0 || c->format != FORMAT_TABLE)
        table_print(c, "findings", finding_columns, rows);
    else
        ctl_line("no findings");
    json_decref(rows);
    policy_fini(&p);
    return n > 0 ? EXIT_PROBLEMS : 0;
}

/* --- test ----------------------------------------------------------------- */

/* clang-format off */
static const struct column test_columns[] = {
    {"line", "LINE", COLUMN_NUMBER}, {"suffix", "SUFFIX", COLUMN_TEXT}, {"client", "CLIENT", COLUMN_TEXT},
    {"verdict", "VERDICT", COLUMN_TEXT}, {"expect", "EXPECT", COLUMN_TEXT}, {"outcome", "GOT", COLUMN_TEXT},
    {"rule", "RULE", COLUMN_TEXT}, {"result", "RESULT", COLUMN_TEXT}, {0}};
/* clang-format on */

/* srv: what the real DNS names, or NULL. */
static bool delivers(const struct policy_decision *d, const struct srv *srv,
                     const struct name *host)
{
    for (unsigned i = 0; i < d->n_hosts; i++)
        if ((d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED) &&
            name_equal_fold(&d->hosts[i].target, host))
            return true;
    return srv != NULL && name_equal_fold(&srv->target, host) &&
           (d->outcome == OUTCOME_PASSED || (d->outcome == OUTCOME_FILTERED && !d->unapproved[0]));
}

/* 1 passed, 0 failed, or -errno. */
static int run_test(struct ctl *c, struct policy_reader *r, const struct policy_test *t,
                    json_t *rows)
{
    bool present = t->verdict == VERDICT_PRESENT || t->verdict == VERDICT_UNAPPROVED;
    struct srv srv = {.port = POLICY_KMS_PORT, .ttl = 300, .target = t->real_host};
    struct policy_real real = {
        .verdict = present ? VERDICT_PRESENT : t->verdict, .srv = &srv, .n_srv = present};
    struct policy_client client;
    struct policy_ask ask = {
        .qname = &t->qname, .client = &client, .wall_ms = c->now.wall_ms, .limit = MODE_LIVE};
    static struct policy_decision d; /* large */
    char address[ADDR_TEXT], host[NAME_TEXT], *expect;
    const char *result = "ok";
    int rc = policy_client_find(r, &t->client, &client);

    if (rc != 0)
        return rc;
    /* A host that is not named is ".", the one that is never unapproved, or one
     * that nobody can approve. */
    if (t->real_host.labels == 0 && t->verdict == VERDICT_UNAPPROVED)
        name_parse(&srv.target, "unapproved.invalid");
    policy_decide(r, &ask, &real, &d);
    if (t->has_expect && d.outcome != t->expect)
        result = "FAILED: other outcome";
    else if (t->has_host && !delivers(&d, present ? &srv : NULL, &t->host))
        result = "FAILED: host not given";
    expect = ctl_text("%s%s%s", t->has_expect ? outcome_names[t->expect] : "",
                      t->has_expect && t->has_host ? " " : "",
                      t->has_host ? name_print(&t->host, host) : "");
    json_array_append_new(
        rows,
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "line", (json_int_t)t->line, "suffix",
                  t->suffix_text, "client", addr_print(&t->client, address), "verdict",
                  verdict_names[t->verdict], "expect", expect, "outcome", outcome_names[d.outcome],
                  "rule", d.rule[0] ? json_string(d.rule) : json_null(), "result", result));
    free(expect);
    return strcmp(result, "ok") == 0;
}

static int run_tests(struct ctl *c, struct store *store, const struct policy_tests *tests)
{
    struct policy_reader *r = policy_reader_new(store);
    json_t *rows = json_array();
    size_t failed = 0;
    int rc = r == NULL ? -ENOMEM : 0, code = 0;

    for (size_t i = 0; i < tests->n && rc >= 0; i++) {
        rc = store_reader_begin(r->txn); /* once a test: a rule may change meanwhile */
        if (rc != 0)
            break;
        rc = run_test(c, r, &tests->list[i], rows);
        failed += rc == 0;
        store_reader_end(r->txn);
    }
    policy_reader_free(r);
    if (rc < 0)
        code = policy_failed(c, "decide", rc);
    else
        table_print(c, "tests", test_columns, rows);
    json_decref(rows);
    if (rc >= 0 && failed > 0)
        code = ctl_fail(EXIT_PROBLEMS, "%zu of %zu tests failed", failed, tests->n);
    else if (rc >= 0)
        ctl_note("%zu tests passed", tests->n);
    return code;
}

int policy_test(struct ctl *c)
{
    const struct policy_change change = {.author = "test", .now_ms = c->now.wall_ms};
    const char *file = ctl_option(c, "--policy");
    struct policy_tests tests = {0};
    struct store *store;
    struct policy p;
    int code = policy_file_read(c->argv[0], POLICY_PART, &p, &tests, NULL), rc = 0;

    if (code != 0)
        return code;
    policy_fini(&p);
    if (tests.n == 0)
        return ctl_fail(EXIT_INVALID, "%s has no section tests:", c->argv[0]);
    if (file == NULL) {
        code = policy_open(c, STORE_READ, &store);
    } else { /* a store that holds the file, and is nowhere */
        code = policy_file_read(file, POLICY_WHOLE, &p, NULL, NULL);
        if (code == 0) {
            code = policy_open_temporary(c, &store);
            rc = code == 0 ? policy_change_put(store, &change, &p, POLICY_REPLACE, NULL) : 0;
            policy_fini(&p);
        }
        if (code == 0 && rc != 0) {
            store_close(store);
            code = policy_failed(c, "write a temporary store", rc);
        }
    }
    if (code == 0) {
        code = run_tests(c, store, &tests);
        store_close(store);
    }
    policy_tests_fini(&tests);
    return code;
}
