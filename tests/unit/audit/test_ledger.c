/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_ledger.c -- what events do to rows; rows as bytes, also hostile ones.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/ledger.h"
#include "base/compiler.h"
#include "tests/unit/audit/sample.h"

static const uint64_t t0 = 1700000000000, minute = 60000;

static struct ledger_sizes sizes_of(uint64_t most)
{
    return (struct ledger_sizes){.most = {most, most, most, most}};
}

/* The row under a table's letter whose text is wanted; the first when NULL. */
struct wanted {
    uint8_t table;
    const char *text;
    struct ledger_client client;
    struct ledger_name_row name;
    struct ledger_hour hour;
    int found;
};

static int want(void *context, struct bytes key, struct bytes row)
{
    struct wanted *w = context;
    char text[NAME_TEXT];

    if (key.at[0] != w->table)
        return 0;
    switch (key.at[0]) {
    case STORE_CLIENT:
        assert_int_equal(ledger_client_decode(&w->client, row.at, row.len), 0);
        addr_print(&w->client.client, text);
        break;
    case STORE_HOUR:
        assert_int_equal(ledger_hour_decode(&w->hour, row.at, row.len), 0);
        w->found++;
        return 0;
    default:
        assert_int_equal(ledger_name_decode(&w->name, row.at, row.len), 0);
        if (key.at[0] == STORE_RULE)
            strcpy(text, w->name.name.rule);
        else
            name_print(&w->name.name.name, text);
    }
    if (w->text != NULL && strcmp(text, w->text) != 0)
        return 0;
    w->found++;
    return 1;
}

static struct wanted row_of(struct ledger *l, uint8_t table, const char *text)
{
    struct wanted w = {.table = table, .text = text};

    ledger_each_row(l, want, &w);
    return w;
}

static void add(struct ledger *l, struct audit_event e)
{
    struct ledger_sizes sizes = sizes_of(1000);

    assert_int_equal(ledger_add(l, &e, &sizes), 0);
}

static void client_story(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct wanted w;

    (void)state;
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.Corp.example", 1, t0));
    w = row_of(l, STORE_CLIENT, "10.0.0.1");
    assert_int_equal(w.client.no_host_since_ms, t0);
    assert_int_equal(w.client.last_host_ms, 0);
    add(l, sample_missing("10.0.0.1:2", "_vlmcs._tcp.corp.example", 2, t0 + 2 * minute));
    add(l, sample_filled("10.0.0.1:3", "_vlmcs._tcp.fabrikam.local", 3, t0 + 4 * minute));
    w = row_of(l, STORE_CLIENT, "10.0.0.1");
    assert_int_equal(w.client.first_ms, t0);
    assert_int_equal(w.client.last_ms, t0 + 4 * minute);
    assert_int_equal(w.client.counts.questions, 3);
    assert_int_equal(w.client.counts.attempts, 3);
    assert_int_equal(w.client.counts.outcomes[AUDIT_MISSING], 2);
    assert_int_equal(w.client.counts.outcomes[AUDIT_FILLED], 1);
    assert_int_equal(w.client.no_host_since_ms, 0); /* it has one now */
    assert_int_equal(w.client.last_host_ms, t0 + 4 * minute);
    assert_int_equal(w.client.last_host.port, 1688);
    assert_int_equal(w.client.cadence_s, 120);
    assert_int_equal(w.client.n_suffixes, 2); /* in whatever case */
    assert_int_equal(w.client.suffixes[0].last_ms, t0 + 2 * minute);
    assert_int_equal(w.client.suffixes[1].outcome, AUDIT_FILLED);
    assert_int_equal(w.client.client.port, 0);
    ledger_free(l);
}

static void a_repeat_is_no_attempt(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct audit_event e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0);
    struct wanted w;

    (void)state;
    add(l, e);
    e.repeat = true;
    e.wall_ms += 2 * minute;
    add(l, e);
    w = row_of(l, STORE_CLIENT, NULL);
    assert_int_equal(w.client.counts.questions, 2);
    assert_int_equal(w.client.counts.attempts, 1);
    assert_int_equal(w.client.cadence_s, 0);
    w = row_of(l, STORE_HOUR, NULL);
    assert_int_equal(w.hour.counts.attempts, 1);
    ledger_free(l);
}

static void what_asks_for_no_host_changes_none(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct audit_event e = sample_filled("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0);
    struct wanted w;

    (void)state;
    add(l, e);
    e = sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 2, t0 + 1);
    e.qtype = TYPE_SOA;
    add(l, e);
    e.qtype = TYPE_SRV;
    e.outcome = AUDIT_UPDATE;
    add(l, e);
    w = row_of(l, STORE_CLIENT, NULL);
    assert_int_equal(w.client.no_host_since_ms, 0);
    assert_int_equal(w.client.counts.questions, 3);
    ledger_free(l);
}

static void oldest_suffix_gives_way(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    char name[64];
    struct wanted w;
    bool first = false, second = false;
    struct name s0 = sample_name("s0.example"), s1 = sample_name("s1.example");

    (void)state;
    for (uint16_t i = 0; i < LEDGER_SUFFIXES; i++) {
        snprintf(name, sizeof name, "_vlmcs._tcp.s%u.example", i);
        add(l, sample_missing("10.0.0.1:1", name, i, t0 + i));
    }
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.s0.example", 99, t0 + 99));
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.new.example", 100, t0 + 100));
    w = row_of(l, STORE_CLIENT, NULL);
    assert_int_equal(w.client.n_suffixes, LEDGER_SUFFIXES);
    for (int i = 0; i < w.client.n_suffixes; i++) {
        first |= name_equal(&w.client.suffixes[i].suffix, &s0);
        second |= name_equal(&w.client.suffixes[i].suffix, &s1);
    }
    assert_true(first);
    assert_false(second);
    ledger_free(l);
}

static void targets_once_each(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct audit_event e = sample_filled("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0);
    struct wanted w;

    (void)state;
    e.n_real = 3;
    e.real[0] = (struct audit_host){sample_name("OLD.contoso.com"), 1688};
    e.real[1] = (struct audit_host){sample_name("old.contoso.com"), 1688}; /* the same */
    e.real[2] = e.answer[0];
    e.n_unapproved = 1;
    e.unapproved[0] = e.real[0];
    add(l, e);
    w = row_of(l, STORE_TARGET, "old.contoso.com");
    assert_int_equal(w.found, 1);
    assert_int_equal(w.name.name.counts.questions, 1);
    assert_int_equal(w.name.name.delivered, 0);
    assert_true(w.name.name.unapproved);
    w = row_of(l, STORE_TARGET, "kms01.contoso.com");
    assert_int_equal(w.name.name.counts.questions, 1);
    assert_int_equal(w.name.name.delivered, 1);
    assert_false(w.name.name.unapproved);
    ledger_free(l);
}

static void rules_and_shadow(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct audit_event e = sample_filled("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0);
    struct wanted w;

    (void)state;
    strcpy(e.would_rule, "in-shadow");
    e.would = AUDIT_REPLACED;
    add(l, e);
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0)); /* no rule, no row */
    w = row_of(l, STORE_RULE, "merged-domains");
    assert_int_equal(w.name.name.counts.questions, 1);
    assert_int_equal(w.name.name.would, 0);
    w = row_of(l, STORE_RULE, "in-shadow");
    assert_int_equal(w.name.name.counts.questions, 0);
    assert_int_equal(w.name.name.would, 1);
    assert_int_equal(row_of(l, STORE_RULE, "").found, 0);
    ledger_free(l);
}

static const struct distinct_row {
    const char *what;
    int clients;
    uint64_t least, most;
} distinct[] = {
    {"one client", 1, 1, 1},
    {"few are counted exactly", 31, 31, 31},
    {"many are estimated", 5000, 2500, 10000},
};

static void check_distinct(void **state)
{
    const struct distinct_row *r = *state;
    struct ledger *l = ledger_new(NULL, NULL);
    struct ledger_sizes sizes = sizes_of(1000000);
    struct wanted w;

    for (int i = 0; i < r->clients; i++) {
        struct audit_event e = sample_missing("10.0.0.0:1", "_vlmcs._tcp.corp.example", 1, t0);

        e.client.ip[14] = (uint8_t)(i >> 8);
        e.client.ip[15] = (uint8_t)i;
        assert_int_equal(ledger_add(l, &e, &sizes), 0);
        assert_int_equal(ledger_add(l, &e, &sizes), 0); /* again is the same client */
    }
    w = row_of(l, STORE_SUFFIX, NULL);
    assert_in_range(w.name.name.clients_hint, r->least, r->most);
    assert_int_equal(w.name.name.counts.questions, 2 * r->clients);
    assert_int_equal(sizes.rows[LEDGER_OF_CLIENTS], r->clients);
    ledger_free(l);
}

static void hours(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    const uint64_t hour = 3600000, start = t0 - t0 % hour;
    struct wanted w;

    (void)state;
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, start));
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 2, start + hour - 1));
    w = row_of(l, STORE_HOUR, NULL);
    assert_int_equal(w.found, 1);
    assert_int_equal(w.hour.start_ms, start);
    assert_int_equal(w.hour.counts.outcomes[AUDIT_MISSING], 2);
    add(l, sample_missing("10.0.0.1:1", "_vlmcs._tcp.corp.example", 3, start + hour));
    assert_int_equal(row_of(l, STORE_HOUR, NULL).found, 2);
    ledger_free(l);
}

static void other_row(void **state)
{
    struct ledger *l = ledger_new(NULL, NULL);
    struct ledger_sizes sizes = sizes_of(2);
    struct audit_event e;
    struct wanted w;

    (void)state;
    for (int i = 0; i < 5; i++) {
        e = sample_filled("10.0.0.0:1", "_vlmcs._tcp.corp.example", 1, t0);
        e.client.ip[15] = (uint8_t)i;
        assert_int_equal(ledger_add(l, &e, &sizes), 0);
    }
    assert_int_equal(sizes.rows[LEDGER_OF_CLIENTS], 2);
    w = row_of(l, STORE_CLIENT, "::");
    assert_true(w.client.other);
    assert_int_equal(w.client.counts.questions, 3);
    w = row_of(l, STORE_CLIENT, "10.0.0.1");
    assert_false(w.client.other);
    ledger_free(l);
}

static int load_damaged(void *context, struct bytes key, uint8_t *out, size_t *len)
{
    (void)context;
    (void)key;
    memset(out, 0xff, 20); /* the store's checksum was right, the content is not */
    *len = 20;
    return 0;
}

static int load_fails(void *context, struct bytes key, uint8_t *out, size_t *len)
{
    (void)context;
    (void)key;
    (void)out;
    (void)len;
    return -EIO;
}

static void stored_rows(void **state)
{
    struct ledger *l = ledger_new(load_damaged, NULL);
    struct ledger_sizes sizes = sizes_of(10);
    struct audit_event e = sample_filled("10.0.0.1:1", "_vlmcs._tcp.corp.example", 1, t0);

    (void)state;
    assert_int_equal(ledger_add(l, &e, &sizes), 0); /* begins anew */
    assert_int_equal(row_of(l, STORE_CLIENT, NULL).client.counts.questions, 1);
    assert_int_equal(sizes.rows[LEDGER_OF_CLIENTS], 0); /* it was there */
    ledger_free(l);
    l = ledger_new(load_fails, NULL);
    assert_int_equal(ledger_add(l, &e, &sizes), -EIO);
    ledger_free(l);
}

/* --- rows as bytes ---------------------------------------------------------------------- */

static struct ledger_client full_client(void)
{
    struct ledger_client r = {.client = sample_addr("2001:db8::1"),
                              .first_ms = 1,
                              .last_ms = UINT64_MAX,
                              .last_host_ms = 3,
                              .no_host_since_ms = 4,
                              .cadence_s = UINT32_MAX,
                              .other = true};

    r.counts.questions = 300;
    r.counts.attempts = 200;
    for (uint64_t i = 0; i < AUDIT_OUTCOMES; i++)
        r.counts.outcomes[i] = i << 30;
    r.last_host = (struct audit_host){sample_name("kms01.contoso.com"), 1688};
    r.n_suffixes = LEDGER_SUFFIXES;
    for (uint8_t i = 0; i < LEDGER_SUFFIXES; i++)
        r.suffixes[i] = (struct ledger_suffix){sample_name("corp.example"), i % AUDIT_VERDICTS,
                                               i % AUDIT_OUTCOMES, i};
    return r;
}

static void client_bytes(void **state)
{
    struct ledger_client r = full_client(), got;
    uint8_t buf[LEDGER_ROW_MAX], again[LEDGER_ROW_MAX];
    size_t len = ledger_client_encode(&r, buf, sizeof buf);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(ledger_client_decode(&got, buf, len), 0);
    assert_true(addr_same(&got.client, &r.client));
    assert_int_equal(got.first_ms, r.first_ms);
    assert_int_equal(got.last_ms, r.last_ms);
    assert_int_equal(got.last_host_ms, r.last_host_ms);
    assert_int_equal(got.no_host_since_ms, r.no_host_since_ms);
    assert_int_equal(got.cadence_s, r.cadence_s);
    assert_true(got.other);
    assert_memory_equal(&got.counts, &r.counts, sizeof r.counts);
    assert_true(name_equal(&got.last_host.target, &r.last_host.target));
    assert_int_equal(got.suffixes[5].verdict, r.suffixes[5].verdict);
    assert_int_equal(got.suffixes[5].last_ms, r.suffixes[5].last_ms);
    assert_int_equal(ledger_client_encode(&got, again, sizeof again), len);
    assert_memory_equal(buf, again, len);
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(ledger_client_decode(&got, buf, n), -EBADMSG);
        assert_int_equal(ledger_client_encode(&r, again, n), 0);
    }
}

/* Rows with the longest names fit into what a store takes. */
static void largest_client(void **state)
{
    struct ledger_client r = full_client();
    uint8_t buf[LEDGER_ROW_MAX];

    (void)state;
    for (int i = 0; i < LEDGER_SUFFIXES; i++) {
        struct name *n = &r.suffixes[i].suffix;

        n->len = 255;
        n->labels = 127;
        memset(n->at, 1, 254);
        n->at[254] = 0;
        r.suffixes[i].last_ms = UINT64_MAX;
    }
    r.last_host.target = r.suffixes[0].suffix;
    assert_true(ledger_client_encode(&r, buf, sizeof buf) > 0);
}

static void name_bytes(void **state)
{
    struct ledger_name_row r = {.name = {.name = sample_name("corp.example"),
                                         .port = 1688,
                                         .first_ms = 1,
                                         .last_ms = 2,
                                         .delivered = 3,
                                         .would = 4,
                                         .last_verdict = 5,
                                         .last_outcome = 6,
                                         .unapproved = true,
                                         .other = true}},
                           got;
    uint8_t buf[LEDGER_ROW_MAX];
    size_t len;

    (void)state;
    strcpy(r.name.rule, "merged-domains");
    strcpy(r.name.last_rule, "other-rule");
    r.name.counts.questions = 77;
    r.n_sketch = 3;
    r.sketch[0] = 1;
    r.sketch[1] = 70000;
    r.sketch[2] = UINT32_MAX;
    len = ledger_name_encode(&r, buf, sizeof buf);
    assert_int_equal(ledger_name_decode(&got, buf, len), 0);
    assert_true(name_equal(&got.name.name, &r.name.name));
    assert_string_equal(got.name.rule, r.name.rule);
    assert_string_equal(got.name.last_rule, r.name.last_rule);
    assert_int_equal(got.name.port, 1688);
    assert_int_equal(got.name.delivered, 3);
    assert_int_equal(got.name.would, 4);
    assert_int_equal(got.name.last_verdict, 5);
    assert_int_equal(got.name.last_outcome, 6);
    assert_true(got.name.unapproved && got.name.other);
    assert_int_equal(got.name.clients_hint, 3);
    assert_int_equal(got.sketch[1], 70000);
    for (size_t n = 0; n < len; n++)
        assert_int_equal(ledger_name_decode(&got, buf, n), -EBADMSG);
    r.sketch[1] = 1; /* not sorted */
    len = ledger_name_encode(&r, buf, sizeof buf);
    assert_int_equal(ledger_name_decode(&got, buf, len), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_story),
        cmocka_unit_test(a_repeat_is_no_attempt),
        cmocka_unit_test(what_asks_for_no_host_changes_none),
        cmocka_unit_test(oldest_suffix_gives_way),
        cmocka_unit_test(targets_once_each),
        cmocka_unit_test(rules_and_shadow),
        cmocka_unit_test(hours),
        cmocka_unit_test(other_row),
        cmocka_unit_test(stored_rows),
        cmocka_unit_test(client_bytes),
        cmocka_unit_test(largest_client),
        cmocka_unit_test(name_bytes),
    };
    struct CMUnitTest rows[ARRAY_LEN(distinct)];
    int failed;

    for (size_t i = 0; i < ARRAY_LEN(distinct); i++)
        rows[i] = (struct CMUnitTest){distinct[i].what, check_distinct, NULL, NULL,
                                      (void *)(uintptr_t)&distinct[i]};
    failed = cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("distinct clients", rows, NULL, NULL);
}
