/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_summary.c -- audit summary: how many asked, and what became of it.
 *
 * The outcomes are those of the hours from --since to --until (7 days), from the
 * ledger; with any other filter, of the events that pass it.
 */
#include "ctl/audit.h"

#include <stdio.h>
#include <string.h>

#include "audit/ledger.h"
#include "base/number.h"

static const uint64_t day_ms = 86400000, hour_ms = 3600000;

struct summary {
    struct audit_totals totals;
    struct ledger_counts counts; /* of the period */
    uint64_t clients, no_host;   /* of the ledger, or of the events that pass */
};

static int add_hour(void *context, const struct ledger_hour *h)
{
    struct summary *s = context;

    s->counts.questions += h->counts.questions;
    s->counts.attempts += h->counts.attempts;
    for (int i = 0; i < AUDIT_OUTCOMES; i++)
        s->counts.outcomes[i] += h->counts.outcomes[i];
    return 0;
}

static int add_client(void *context, const struct ledger_client *r)
{
    struct summary *s = context;

    s->clients++;
    s->no_host += r->no_host_since_ms > 0;
    return 0;
}

static int add_row(void *context, struct bytes key, struct bytes row)
{
    struct ledger_client client;
    struct ledger_hour hour;

    if (key.at[0] == STORE_CLIENT && ledger_client_decode(&client, row.at, row.len) == 0)
        return add_client(context, &client);
    if (key.at[0] == STORE_HOUR && ledger_hour_decode(&hour, row.at, row.len) == 0)
        return add_hour(context, &hour);
    return 0;
}

static int gather(struct audit_reader *r, const struct audit_filter *f, bool events,
                  struct summary *s)
{
    struct audit_scan scan;
    int rc = audit_totals(r, &s->totals);

    if (rc != 0)
        return rc;
    if (!events) {
        rc = ledger_each_hour(r, f->range.since_ms - f->range.since_ms % hour_ms, f->range.until_ms,
                              add_hour, s);
        return rc == 0 ? ledger_each_client(r, add_client, s) : rc;
    }
    rc = audit_scan(r, f, &scan);
    if (rc == 0)
        rc = ledger_each_row(scan.ledger, add_row, s);
    audit_damaged(scan.damaged);
    ledger_free(scan.ledger);
    return rc;
}

static void set(json_t *o, const char *key, uint64_t v)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *object_of(const struct summary *s, const struct audit_filter *f, uint64_t now_ms)
{
    json_t *o = json_object();
    char text[256], size[NUMBER_TEXT];

    set(o, "since", f->range.since_ms);
    set(o, "until", f->range.until_ms > 0 ? f->range.until_ms : now_ms);
    audit_counts_row(o, &s->counts);
    (void)json_object_set_new(o, "outcomes", json_string(audit_outcomes_print(&s->counts, text)));
    set(o, "clients", s->clients);
    set(o, "clients_without_host", s->no_host);
    set(o, "suffixes", s->totals.suffixes);
    set(o, "all_questions", s->totals.recorded + s->totals.counted + s->totals.dropped);
    set(o, "recorded", s->totals.recorded);
    set(o, "counted", s->totals.counted);
    set(o, "dropped", s->totals.dropped);
    set(o, "records", s->totals.records);
    set(o, "first_record", s->totals.first_ms);
    set(o, "last_record", s->totals.last_ms);
    set(o, "store_bytes", s->totals.bytes);
    snprintf(text, sizeof text, "%llu = %llu recorded + %llu counted + %llu dropped",
             (unsigned long long)(s->totals.recorded + s->totals.counted + s->totals.dropped),
             (unsigned long long)s->totals.recorded, (unsigned long long)s->totals.counted,
             (unsigned long long)s->totals.dropped);
    (void)json_object_set_new(o, "account", json_string(text));
    (void)json_object_set_new(o, "store_size",
                              json_string(size_print(s->totals.bytes & ~1023ull, size)));
    return o;
}

static const struct column fields[] = {
    {"since", "since", COLUMN_TIME},
    {"until", "until", COLUMN_TIME},
    {"questions", "questions", COLUMN_NUMBER},
    {"attempts", "attempts", COLUMN_NUMBER},
    {"outcomes", "outcomes", COLUMN_TEXT},
    {"clients", "clients", COLUMN_NUMBER},
    {"clients_without_host", "without a host", COLUMN_NUMBER},
    {"suffixes", "suffixes, ever", COLUMN_NUMBER},
    {"account", "questions, ever", COLUMN_TEXT},
    {"records", "records kept", COLUMN_NUMBER},
    {"first_record", "oldest record", COLUMN_TIME},
    {"last_record", "newest record", COLUMN_TIME},
    {"store_size", "store", COLUMN_TEXT},
    {0},
};

int audit_run_summary(struct ctl *c)
{
    struct audit_filter f, others;
    struct summary s = {0};
    struct audit_reader *r;
    bool events;
    json_t *o;
    int code = audit_filter_read(c, &f), rc;

    if (code == 0)
        code = audit_open(c, &r);
    if (code != 0)
        return code;
    others = f;
    others.range = (struct audit_range){0};
    events = audit_filter_needs_events(&others, 0);
    if (f.range.since_ms == 0)
        f.range.since_ms = c->now.wall_ms > 7 * day_ms ? c->now.wall_ms - 7 * day_ms : 0;
    rc = r != NULL ? gather(r, &f, events, &s) : 0;
    audit_reader_close(r);
    if (rc != 0)
        return audit_fault(c, rc);
    if (r == NULL && c->format == FORMAT_TABLE)
        return EXIT_DONE;
    o = object_of(&s, &f, c->now.wall_ms);
    table_print_object(c, fields, o);
    json_decref(o);
    if (c->format == FORMAT_TABLE)
        ctl_note(
            "%s; clients with a cached host, behind NAT, or with other resolvers are not seen here",
            events ? "from the events that match" : "whole hours");
    return EXIT_DONE;
}
