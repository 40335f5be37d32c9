/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_audit.c -- the filters of the audit verbs, the order of rows, and how an
 * event reads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "ctl/audit.h"
#include "tests/unit/audit/sample.h"

static const uint64_t now_ms = 1700000000000;

/* A command line of options alone; the pairs end with NULL. */
static int read_filter(const char *const *options, struct audit_filter *f)
{
    static struct ctl_option known[8];
    static struct ctl c;
    int n = 0;

    memset(&c, 0, sizeof c);
    c.now.wall_ms = now_ms;
    for (; options[0] != NULL; options += 2, n++) {
        known[n] = (struct ctl_option){.name = options[0], .value = "X"};
        c.given[n].option = &known[n];
        c.given[n].value = options[1];
    }
    c.n_given = n;
    return audit_filter_read(&c, f);
}

static const struct match_row {
    const char *what;
    const char *options[9];
    int code;   /* of reading */
    bool match; /* the event below */
} rows[] = {
    {"no filter", {NULL}, 0, true},
    {"address", {"--client", "10.20.4.7"}, 0, true},
    {"another address", {"--client", "10.20.4.8"}, 0, false},
    {"prefix", {"--client", "10.20.0.0/16"}, 0, true},
    {"one of two clients", {"--client", "10.9.9.9", "--client", "10.20.4.7"}, 0, true},
    {"not an address", {"--client", "kms01"}, EXIT_USAGE, false},
    {"network of the event", {"--network", "kiosks"}, 0, true},
    {"another network", {"--network", "dmz"}, 0, false},
    {"suffix in another case", {"--suffix", "FABRIKAM.local"}, 0, true},
    {"the whole name as suffix", {"--suffix", "_vlmcs._tcp.fabrikam.local"}, 0, true},
    {"a suffix above is not it", {"--suffix", "local"}, 0, false},
    {"below a suffix", {"--suffix", "*.local"}, 0, true},
    {"below does not mean itself", {"--suffix", "*.fabrikam.local"}, 0, false},
    {"not a name", {"--suffix", "a..b"}, EXIT_USAGE, false},
    {"outcome", {"--outcome", "filled"}, 0, true},
    {"another outcome", {"--outcome", "missing"}, 0, false},
    {"no such outcome", {"--outcome", "fild"}, EXIT_USAGE, false},
    {"rule", {"--rule", "merged-domains"}, 0, true},
    {"another rule", {"--rule", "merged"}, 0, false},
    {"target of our answer", {"--target", "kms01.contoso.com"}, 0, true},
    {"target of the real answer", {"--target", "old.contoso.com:1688"}, 0, true},
    {"target with another port", {"--target", "kms01.contoso.com:1689"}, 0, false},
    {"not a port", {"--target", "kms01.contoso.com:x"}, EXIT_USAGE, false},
    {"all of several options", {"--client", "10.20.4.7", "--rule", "other"}, 0, false},
    {"not a time", {"--since", "soon"}, EXIT_USAGE, false},
    {"since after until", {"--since", "1d", "--until", "2d"}, EXIT_USAGE, false},
    {"not a limit", {"--limit", "many"}, EXIT_USAGE, false},
};

static struct audit_event sample(void)
{
    struct audit_event e =
        sample_filled("10.20.4.7:49155", "_vlmcs._tcp.Fabrikam.local", 7, now_ms);

    e.n_networks = 1;
    strcpy(e.networks[0], "kiosks");
    e.n_real = 1;
    e.real[0] = (struct audit_host){sample_name("old.contoso.com"), 1688};
    return e;
}

static void check_match(void **state)
{
    const struct match_row *r = *state;
    struct audit_event e = sample();
    struct audit_filter f;

    assert_int_equal(read_filter(r->options, &f), r->code);
    if (r->code == 0)
        assert_int_equal(audit_filter_event(&f, &e), r->match);
}

static void control_records_pass_only_without_filters(void **state)
{
    struct audit_event e = {.kind = AUDIT_GAP};
    struct audit_filter f;

    (void)state;
    assert_int_equal(read_filter((const char *const[]){"--since", "1d", NULL}, &f), 0);
    assert_true(audit_filter_event(&f, &e));
    assert_int_equal(f.range.since_ms, now_ms - 86400000);
    assert_int_equal(read_filter((const char *const[]){"--rule", "x", NULL}, &f), 0);
    assert_false(audit_filter_event(&f, &e));
}

static void what_the_ledger_cannot_answer(void **state)
{
    struct audit_filter f;

    (void)state;
    read_filter((const char *const[]){"--client", "10.0.0.1", NULL}, &f);
    assert_false(audit_filter_needs_events(&f, OWN_CLIENT));
    assert_true(audit_filter_needs_events(&f, OWN_SUFFIX));
    read_filter((const char *const[]){"--until", "1d", NULL}, &f);
    assert_true(audit_filter_needs_events(&f, OWN_CLIENT));
    read_filter((const char *const[]){"--limit", "3", NULL}, &f);
    assert_false(audit_filter_needs_events(&f, 0));
}

/* --- order ------------------------------------------------------------------------ */

static const struct column columns[] = {
    {"name", "NAME", COLUMN_TEXT}, {"n", "N", COLUMN_NUMBER}, {0}};

static const struct order_row {
    const char *what, *sort, *limit, *want;
} orders[] = {
    {"the table's own: numbers from the largest", NULL, "0", "cab"},
    {"words from a to z", "name", "0", "abc"},
    {"falling", "-name", "0", "cba"},
    {"rising", "+n", "0", "bac"},
    {"cut", "n", "2", "ca"},
};

static void check_order(void **state)
{
    const struct order_row *r = *state;
    json_t *list = json_pack("[{s:s,s:i},{s:s,s:i},{s:s,s:i}]", "name", "a", "n", 2, "name", "b",
                             "n", 1, "name", "c", "n", 10);
    const char *const with[] = {"--limit", r->limit, "--sort", r->sort, NULL}, *const without[] = {
                                                                                   "--limit",
                                                                                   r->limit, NULL};
    struct audit_filter f;
    char got[4] = "";

    assert_int_equal(read_filter(r->sort != NULL ? with : without, &f), 0);
    assert_int_equal(audit_rows_order(&f, columns, "n", &list), 0);
    for (size_t i = 0; i < json_array_size(list) && i < 3; i++)
        strcat(got, json_string_value(json_object_get(json_array_get(list, i), "name")));
    assert_string_equal(got, r->want);
    json_decref(list);
}

static void tail_keeps_the_last(void **state)
{
    struct audit_tail three = {.limit = 3}, all = {0};
    json_t *list;

    (void)state;
    for (int i = 0; i < 200; i++) {
        audit_tail_add(&three, json_integer(i));
        audit_tail_add(&all, json_integer(i));
    }
    list = audit_tail_take(&three);
    assert_int_equal(json_array_size(list), 3);
    assert_int_equal(json_integer_value(json_array_get(list, 0)), 197);
    json_decref(list);
    list = audit_tail_take(&all);
    assert_int_equal(json_array_size(list), 200);
    assert_int_equal(json_integer_value(json_array_get(list, 199)), 199);
    json_decref(list);
}

/* --- words --------------------------------------------------------------------------- */

static void words(void **state)
{
    struct audit_event e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, now_ms);
    char text[512];

    (void)state;
    e.server = sample_addr("10.9.0.53:53");
    e.real_ms = 51;
    audit_event_words(&e, text, sizeof text);
    assert_string_equal(
        text, "missing (no-rule), answer NXDOMAIN; the real DNS: nxdomain from 10.9.0.53, 51 ms; "
              "Windows shows 0x8007232B");
    e = sample_filled("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, now_ms);
    e.cached = e.repeat = true;
    audit_event_words(&e, text, sizeof text);
    assert_string_equal(
        text,
        "filled by rule merged-domains, answer kms01.contoso.com:1688; the real DNS: nxdomain from "
        "the cache; a repeat");
    e = (struct audit_event){.kind = AUDIT_GAP, .lost = 5};
    audit_event_words(&e, text, sizeof text);
    assert_string_equal(text, "gap: 5 questions were not recorded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_records_pass_only_without_filters),
        cmocka_unit_test(what_the_ledger_cannot_answer),
        cmocka_unit_test(tail_keeps_the_last),
        cmocka_unit_test(words),
    };
    struct CMUnitTest match[ARRAY_LEN(rows)], order[ARRAY_LEN(orders)];
    int failed;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        match[i] =
            (struct CMUnitTest){rows[i].what, check_match, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        order[i] = (struct CMUnitTest){orders[i].what, check_order, NULL, NULL,
                                       (void *)(uintptr_t)&orders[i]};
    failed = cmocka_run_group_tests_name("audit filters", match, NULL, NULL);
    failed += cmocka_run_group_tests_name("audit order", order, NULL, NULL);
    return failed + cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
