/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_audit.c -- what the audit verbs read for their options, over an audit
 * with one event, and how an event reads.
 */
#include "ctl/audit.h"

#include "audit/schema.h"
#include "tests/unit/audit/bench.h"

static const uint64_t now_ms = bench_start_ms;
static struct bench bench;
static struct settings settings;

static struct ctl c;

/* A command line of options alone; the pairs end with NULL. */
static int read_filter(const char *const *options, struct audit_filter *f)
{
    static struct ctl_option known[8];
    int n = 0;

    memset(&c, 0, sizeof c);
    c.settings = &settings;
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
} matches[] = {
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

/* How many of the rows pass. */
static int64_t count(const char *table, const struct audit_filter *f, unsigned own)
{
    struct audit_reader *r = NULL;
    json_t *rows = json_array();
    struct audit_sql q;
    int64_t n;

    assert_int_equal(audit_reader_open(&r, bench.dir, NULL), 0);
    audit_sql_begin(&q, "SELECT count(*) AS n FROM ");
    str_addf(&q.text, "%s WHERE 1", table);
    if (own != 0)
        audit_sql_filter(&q, f, own, true);
    else
        audit_sql_events(&q, f);
    assert_int_equal(audit_run(&c, r, &q, rows), 0);
    n = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
    json_decref(rows);
    audit_reader_close(r);
    return n;
}

static void check_match(void **state)
{
    const struct match_row *r = *state;
    struct audit_filter f;

    assert_int_equal(read_filter(r->options, &f), r->code);
    if (r->code == 0)
        assert_int_equal(count("(SELECT * FROM events WHERE kind='event')", &f, 0), r->match);
    audit_filter_free(&f);
}

static void control_records_pass_only_without_filters(void **state)
{
    struct audit_filter f;

    (void)state;
    assert_int_equal(read_filter((const char *const[]){"--since", "1d", NULL}, &f), 0);
    assert_int_equal(f.since_ms, now_ms - DAY_MS);
    assert_int_equal(count("events", &f, 0), 2);
    audit_filter_free(&f);
    assert_int_equal(read_filter((const char *const[]){"--rule", "merged-domains", NULL}, &f), 0);
    assert_int_equal(count("events", &f, 0), 1);
    audit_filter_free(&f);
}

/* --- tables ------------------------------------------------------------------------ */

static const struct own_row {
    const char *what;
    const char *options[3];
    const char *table;
    unsigned own;
    int64_t rows;
} owns[] = {
    {"clients by prefix", {"--client", "10.20.0.0/16"}, "clients", OF_CLIENT, 1},
    {"no clients of another", {"--client", "10.21.0.0/16"}, "clients", OF_CLIENT, 0},
    {"suffixes below", {"--suffix", "*.local"}, "suffixes", OF_SUFFIX, 1},
    {"suffixes not their end", {"--suffix", "rikam.local"}, "suffixes", OF_SUFFIX, 0},
    {"targets without port", {"--target", "KMS01.contoso.com"}, "targets", OF_TARGET, 1},
    {"targets not their end", {"--target", "contoso.com"}, "targets", OF_TARGET, 0},
    {"rules", {"--rule", "merged-domains"}, "rules", OF_RULE, 1},
};

static void check_own(void **state)
{
    const struct own_row *r = *state;
    struct audit_filter f;

    assert_int_equal(read_filter(r->options, &f), 0);
    assert_int_equal(count(r->table, &f, r->own), r->rows);
    audit_filter_free(&f);
}

static const struct column columns[] = {
    {"name", "NAME", COLUMN_TEXT}, {"n", "N", COLUMN_NUMBER}, {0}};
static const struct audit_list list = {
    "rows",
    0,
    "(SELECT 1 AS i,'a' AS w,2 AS v UNION VALUES(2,'b',1),(3,'c',10),(4,'d',NULL)) t",
    "i",
    "1",
    "w AS name,v AS n",
    "n",
    columns,
    columns,
    ""};

static const struct order_row {
    const char *what, *sort, *limit, *want;
    int code;
} orders[] = {
    {"the table's own: numbers from the largest, what is unknown last", NULL, "0", "cabd", 0},
    {"words from a to z", "name", "0", "abcd", 0},
    {"falling", "-name", "0", "dcba", 0},
    {"rising", "+n", "0", "bacd", 0},
    {"cut", "n", "2", "ca", 0},
    {"no such column", "nme", "2", "", EXIT_USAGE},
};

static void check_order(void **state)
{
    const struct order_row *o = *state;
    const char *const options[] = {"--limit", o->limit, o->sort != NULL ? "--sort" : NULL, o->sort,
                                   NULL};
    struct audit_reader *r = NULL;
    json_t *rows = json_array();
    struct audit_filter f;
    char got[8] = "";

    assert_int_equal(read_filter(options, &f), 0);
    assert_int_equal(audit_sort_check(&f, columns), o->code);
    assert_int_equal(audit_reader_open(&r, bench.dir, NULL), 0);
    if (o->code == 0)
        assert_int_equal(audit_rows(&c, r, &list, &f, f.limit, rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++)
        strcat(got, json_string_value(json_object_get(json_array_get(rows, i), "name")));
    assert_string_equal(got, o->want);
    json_decref(rows);
    audit_reader_close(r);
}

/* --- words --------------------------------------------------------------------------- */

static const struct words_row {
    const char *what, *want;
} words[] = {
    {"sequence=1", "filled by rule merged-domains, answer kms01.contoso.com:1688; the real DNS: "
                   "nxdomain old.contoso.com:1688 from 10.9.0.53, 51 ms"},
    {"sequence=2", "start: waymarkd 0.1.0"},
    {"sequence=4",
     "missing (no-rule), answer NXDOMAIN; the real DNS: nxdomain from the cache; "
     "Windows shows 0x8007232B; with the rules in shadow: replaced by rule s; a repeat"},
    {"sequence=5", "gap: 5 questions were not recorded, since 2023-11-14 22:13:20: x"},
};

static void check(const char *expression, const struct words_row *r)
{
    char sql[8192], got[1024];

    snprintf(sql, sizeof sql, "SELECT %s FROM events WHERE %s", expression, r->what);
    bench_query(&bench, sql, got);
    assert_string_equal(got, r->want);
}

static void check_words(void **state)
{
    check(audit_words, *state);
}

static const struct words_row objects[] = {
    {"sequence=1",
     "{\"@timestamp\":\"2023-11-14T22:13:20.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"network\"],\"type\":[\"protocol\"],"
     "\"dataset\":\"waymark.audit\",\"action\":\"kms-discovery\",\"sequence\":1,"
     "\"outcome\":\"success\",\"duration\":0},\"client\":{\"ip\":\"10.20.4.7\","
     "\"port\":49155},\"network\":{\"transport\":\"udp\",\"protocol\":\"dns\"},"
     "\"dns\":{\"id\":\"7\",\"type\":\"answer\","
     "\"question\":{\"name\":\"_vlmcs._tcp.Fabrikam.local\",\"type\":\"SRV\"},"
     "\"header_flags\":[\"RD\"],\"response_code\":\"NOERROR\",\"answers\":[{\"type\":\"SRV\","
     "\"data\":\"kms01.contoso.com:1688\"}]},\"rule\":{\"name\":\"merged-domains\"},"
     "\"waymark\":{\"suffix\":\"fabrikam.local\",\"outcome\":\"filled\",\"reason\":\"rule\","
     "\"repeat\":false,\"cached\":false,\"policy_serial\":42,\"networks\":[\"kiosks\"],"
     "\"verdict\":{\"name\":\"nxdomain\",\"server\":\"10.9.0.53:53\","
     "\"response_code\":\"NXDOMAIN\",\"ms\":51,\"hosts\":[\"old.contoso.com:1688\"],"
     "\"unapproved\":[]}}}"},
    {"sequence=5",
     "{\"@timestamp\":\"1970-01-01T00:00:00.000Z\",\"ecs\":{\"version\":\"8.11.0\"},"
     "\"observer\":{\"name\":\"dns1\",\"product\":\"Waymark\",\"type\":\"dns-forwarder\"},"
     "\"event\":{\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],"
     "\"dataset\":\"waymark.audit\",\"action\":\"audit-gap\",\"sequence\":5},"
     "\"waymark\":{\"text\":\"x\",\"count\":5,\"from\":\"2023-11-14T22:13:20.000Z\"}}"},
};

static void check_ecs(void **state)
{
    check(audit_ecs, *state);
}

static int fill_words(void **state)
{
    struct audit_event e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, now_ms);

    (void)state;
    e.cached = true;
    e.would = OUTCOME_REPLACED;
    strcpy(e.would_rule, "s");
    bench_push(&bench, &e);
    bench_push(&bench, &e);
    audit_writer_step(bench.w, bench.now, true);
    e = (struct audit_event){.kind = AUDIT_GAP, .lost = 5, .lost_from_ms = now_ms, .text = "x"};
    audit_ring_push(bench.ring, &e);
    audit_writer_step(bench.w, bench.now, true);
    return 0;
}

static int start(void **state)
{
    struct audit_event e = sample();

    (void)state;
    setenv("TZ", "UTC", 1);
    bench_start(&bench);
    settings.server.state_dir = bench.root;
    e.server = sample_addr("10.9.0.53:53");
    e.real_ms = 51;
    bench_push(&bench, &e);
    audit_writer_step(bench.w, bench.now, true);
    audit_writer_control(bench.w, AUDIT_START, bench.now, "waymarkd 0.1.0");
    audit_writer_step(bench.w, bench.now, true);
    return 0;
}

#define GROUP(name, rows, check, begin)                                                            \
    do {                                                                                           \
        struct CMUnitTest tests[ARRAY_LEN(rows)];                                                  \
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)                                               \
            tests[i] =                                                                             \
                (struct CMUnitTest){rows[i].what, check, NULL, NULL, (void *)(uintptr_t)&rows[i]}; \
        failed += cmocka_run_group_tests_name(name, tests, begin, NULL);                           \
    } while (0)

int main(void)
{
    const struct CMUnitTest control[] = {
        cmocka_unit_test(control_records_pass_only_without_filters)};
    int failed = 0;

    GROUP("audit filters", matches, check_match, start);
    GROUP("audit tables", owns, check_own, NULL);
    GROUP("audit order", orders, check_order, NULL);
    failed += cmocka_run_group_tests_name("audit", control, NULL, NULL);
    GROUP("audit words", words, check_words, fill_words);
    GROUP("audit objects", objects, check_ecs, NULL);
    bench_end(&bench);
    return failed;
}
