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

#include "policy/decide.h"
#include "wire/present.h"

/* --- check ---------------------------------------------------------------- */

static bool has_route(const struct settings *s, const struct suffix *suffix)
{
    if (suffix->kind == SUFFIX_ANY || suffix->kind == SUFFIX_BARE)
        return true; /* the default servers are what there is to ask */
    for (int i = 0; i < s->n_routes; i++)
        if (s->routes[i].zone.labels > 0 && name_is_under(&suffix->name, &s->routes[i].zone))
            return true;
    return false;
}

char *policy_unrouted(const struct settings *s, const struct suffix *all, size_t n, size_t *count)
{
    struct suffix *without = ctl_alloc(NULL, n * sizeof *without);
    char *list = NULL;

    *count = 0;
    for (size_t i = 0; i < n; i++)
        if (!has_route(s, &all[i]))
            without[(*count)++] = all[i];
    if (*count > 0)
        list = policy_list(POLICY_RULE, without, *count);
    free(without);
    return list;
}

static void add_finding(void *context, const char *subject, const char *text)
{
    json_array_append_new(context, json_pack("{s:s, s:s}", "subject", subject, "text", text));
}

/* Only where some zones have a route: else the default servers are all there is. */
static void check_routes(const struct settings *s, const struct policy *p, json_t *rows)
{
    bool any = false;

    for (int i = 0; i < s->n_routes; i++)
        any = any || s->routes[i].zone.labels > 0;
    for (size_t i = 0; any && i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        char *list, *subject, *text;
        size_t n;

        if (r->action != ACTION_FILL || r->mode == MODE_OFF)
            continue;
        list = policy_unrouted(s, r->suffixes, r->n_suffixes, &n);
        if (list == NULL)
            continue;
        subject = ctl_text("rule %s", r->name);
        text =
            ctl_text("no route for %s: the default servers say whether a record is missing", list);
        add_finding(rows, subject, text);
        free(text);
        free(subject);
        free(list);
    }
}

static void check_mode(const struct settings *s, const struct policy *p, json_t *rows)
{
    bool live = false;

    for (size_t i = 0; i < p->n_rules; i++)
        live = live || p->rules[i].mode == MODE_LIVE;
    if (live && s->kms.mode == MODE_OFF)
        add_finding(rows, "kms.mode", "is off: no rule can act");
    if (live && s->kms.mode == MODE_SHADOW)
        add_finding(rows, "kms.mode", "is shadow: rules are recorded, and none is delivered");
}

static const struct column finding_columns[] = {
    {"subject", "SUBJECT", COLUMN_TEXT}, {"text", "FINDING", COLUMN_TEXT}, {0}};

int policy_check_verb(struct ctl *c)
{
    struct policy p;
    uint64_t serial;
    json_t *rows;
    size_t n;
    int code = c->argc > 0 ? policy_file_read(c->argv[0], true, &p, NULL)
                           : policy_open_read(c, &p, &serial);

    if (code != 0)
        return code;
    rows = json_array();
    policy_check(&p, c->now.wall_ms, add_finding, rows);
    check_routes(c->settings, &p, rows);
    check_mode(c->settings, &p, rows);
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

static const struct column test_columns[] = {{"line", "LINE", COLUMN_NUMBER},
                                             {"suffix", "SUFFIX", COLUMN_TEXT},
                                             {"client", "CLIENT", COLUMN_TEXT},
                                             {"verdict", "VERDICT", COLUMN_TEXT},
                                             {"expect", "EXPECT", COLUMN_TEXT},
                                             {"outcome", "GOT", COLUMN_TEXT},
                                             {"rule", "RULE", COLUMN_TEXT},
                                             {"result", "RESULT", COLUMN_TEXT},
                                             {0}};

/* What the real DNS names: a host of the test; for unapproved, one that nobody
 * can approve; else "." -- the one target that is never unapproved. */
static void real_answer(const struct policy_test *t, struct policy_real *real, struct srv *srv)
{
    *real = (struct policy_real){.verdict = t->verdict};
    if (t->verdict != VERDICT_PRESENT && t->verdict != VERDICT_UNAPPROVED)
        return;
    *srv = (struct srv){.port = POLICY_KMS_PORT, .ttl = 300, .target = t->real_host};
    if (t->real_host.labels == 0 && t->verdict == VERDICT_UNAPPROVED)
        name_parse(&srv->target, "unapproved.invalid");
    *real = (struct policy_real){.verdict = VERDICT_PRESENT, .srv = srv, .n_srv = 1};
}

static bool delivers(const struct policy_decision *d, const struct policy_real *real,
                     const struct name *host)
{
    if (d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED) {
        for (unsigned i = 0; i < d->n_hosts; i++)
            if (name_equal_fold(&d->hosts[i].target, host))
                return true;
        return false;
    }
    if (d->outcome != OUTCOME_PASSED && d->outcome != OUTCOME_FILTERED)
        return false;
    for (int i = 0; i < real->n_srv; i++)
        if (!(d->outcome == OUTCOME_FILTERED && d->unapproved[i]) &&
            name_equal_fold(&real->srv[i].target, host))
            return true;
    return false;
}

static json_t *test_row(const struct policy_test *t, const struct policy_decision *d,
                        const char *result)
{
    char client[ADDR_TEXT], host[NAME_TEXT], *expect;
    json_t *row;

    expect = ctl_text("%s%s%s", t->has_expect ? outcome_names[t->expect] : "",
                      t->has_expect && t->has_host ? " " : "",
                      t->has_host ? name_print(&t->host, host) : "");
    row =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "line", (json_int_t)t->line, "suffix",
                  t->suffix_text, "client", addr_print(&t->client, client), "verdict",
                  verdict_names[t->verdict], "expect", expect, "outcome", outcome_names[d->outcome],
                  "rule", d->rule[0] ? json_string(d->rule) : json_null(), "result", result);
    free(expect);
    return row;
}

/* 1 passed, 0 failed, or -errno. */
static int run_test(struct ctl *c, struct policy_reader *r, const struct policy_test *t,
                    json_t *rows)
{
    struct policy_client client;
    struct policy_ask ask = {
        .qname = &t->qname, .client = &client, .wall_ms = c->now.wall_ms, .limit = MODE_LIVE};
    static struct policy_decision d; /* large */
    struct policy_real real;
    const char *result = "ok";
    struct srv srv;
    int rc = policy_client_find(r, &t->client, &client);

    if (rc != 0)
        return rc;
    real_answer(t, &real, &srv);
    policy_decide(r, &ask, &real, &d);
    if (t->has_expect && d.outcome != t->expect)
        result = "FAILED: other outcome";
    else if (t->has_host && !delivers(&d, &real, &t->host))
        result = "FAILED: host not given";
    json_array_append_new(rows, test_row(t, &d, result));
    return strcmp(result, "ok") == 0;
}

static int run_tests(struct ctl *c, struct store *store, const struct policy_tests *tests)
{
    struct policy_reader *r = policy_reader_new(store);
    json_t *rows = json_array();
    size_t failed = 0;
    int rc = r == NULL ? -ENOMEM : 0, code;

    for (size_t i = 0; i < tests->n && rc >= 0; i++) {
        rc = policy_reader_begin(r); /* once a test: a rule may change meanwhile */
        if (rc != 0)
            break;
        rc = run_test(c, r, &tests->at[i], rows);
        failed += rc == 0;
        policy_reader_end(r);
    }
    if (rc < 0) {
        code = policy_failed(c, "decide", rc);
    } else {
        table_print(c, "tests", test_columns, rows);
        code =
            failed > 0 ? ctl_fail(EXIT_PROBLEMS, "%zu of %zu tests failed", failed, tests->n) : 0;
        if (failed == 0)
            ctl_note("%zu tests passed", tests->n);
    }
    policy_reader_free(r);
    json_decref(rows);
    return code;
}

/* A store that holds p, and is nowhere. */
static int open_filled(struct ctl *c, const struct policy *p, struct store **store)
{
    const struct policy_change change = {.author = "test", .now_ms = c->now.wall_ms};
    struct diags d;
    int code = policy_open_temporary(c, store), rc;

    if (code != 0)
        return code;
    diags_init(&d);
    rc = policy_change_put(*store, &change, p, POLICY_REPLACE, &d);
    diags_fini(&d);
    if (rc == 0)
        return 0;
    store_close(*store);
    return policy_failed(c, "write a temporary store", rc);
}

int policy_test(struct ctl *c)
{
    const char *file = ctl_option(c, "--policy");
    struct policy_tests tests = {0};
    struct store *store;
    struct policy p;
    int code = policy_file_read(c->argv[0], false, &p, &tests);

    if (code != 0)
        return code;
    policy_fini(&p);
    if (tests.n == 0) {
        code = ctl_fail(EXIT_INVALID, "%s has no section tests:", c->argv[0]);
    } else if (file != NULL) { /* no state of the daemon is touched */
        code = policy_file_read(file, true, &p, NULL);
        if (code == 0) {
            code = open_filled(c, &p, &store);
            policy_fini(&p);
        }
    } else {
        code = policy_open(c, STORE_READ, &store);
    }
    if (code == 0) {
        code = run_tests(c, store, &tests);
        store_close(store);
    }
    policy_tests_fini(&tests);
    return code;
}
