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

#include "audit/schema.h"
#include "base/number.h"

static const uint64_t day_ms = 86400000, hour_ms = 3600000;

/* clang-format off */
#define SUM(column) "ifnull(sum(" column "),0) AS "
#define META(key) "(SELECT value FROM meta WHERE name='" key "') AS " key

/* ?1 the first hour, ?2 until. */
static const char summary_sql[] =
    "SELECT * FROM (SELECT " SUM("questions") "questions," SUM("attempts") "attempts," SUM("passed") "passed,"
    SUM("filled") "filled," SUM("replaced") "replaced," SUM("filtered") "filtered," SUM("denied") "denied,"
    SUM("missing") "missing," SUM("failed") "failed," SUM("blocked") "blocked," SUM("updates") "\"update\" "
    "FROM hour WHERE id>=?1 AND id*3600000<?2),"
    "(SELECT count(*) AS clients," SUM("no_host_since>0") "clients_without_host FROM client),"
    "(SELECT (SELECT count(*) FROM main.suffix WHERE name<>'(other)') AS suffixes),"
    "(SELECT recorded+counted+dropped AS all_questions,* FROM (SELECT " META("recorded") "," META("counted") "," META("dropped") ")),"
    "(SELECT ifnull((SELECT max(id) FROM event)-(SELECT min(id) FROM event)+1,0) AS records,"
    "(SELECT ms FROM event ORDER BY id LIMIT 1) AS first_record,(SELECT ms FROM event ORDER BY id DESC LIMIT 1) AS last_record),"
    "(SELECT (p.page_count-f.freelist_count)*s.page_size AS store_bytes FROM "
    "pragma_page_count p,pragma_freelist_count f,pragma_page_size s)";
/* clang-format on */

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

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static int read_summary(struct ctl *c, struct audit_reader *r, const struct audit_filter *f,
                        json_t **out)
{
    json_t *rows = json_array();
    struct audit_sql q;
    int code;

    audit_sql_begin(&q, summary_sql);
    audit_sql_add(&q, "", (int64_t)(f->since_ms / hour_ms));
    audit_sql_add(&q, "", f->until_ms > 0 ? (int64_t)f->until_ms : INT64_MAX);
    code = audit_run(c, r, &q, rows);
    *out = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    return code;
}

/* What is said in words beside the numbers. */
static void add_words(json_t *o, const struct audit_filter *f, uint64_t now_ms)
{
    char text[256], size[NUMBER_TEXT];

    (void)json_object_set_new(o, "since", json_integer((json_int_t)f->since_ms));
    (void)json_object_set_new(o, "until",
                              json_integer((json_int_t)(f->until_ms > 0 ? f->until_ms : now_ms)));
    (void)json_object_set_new(o, "outcomes", json_string(audit_outcomes_print(o, text)));
    snprintf(text, sizeof text, "%lld = %lld recorded + %lld counted + %lld dropped",
             (long long)number(o, "all_questions"), (long long)number(o, "recorded"),
             (long long)number(o, "counted"), (long long)number(o, "dropped"));
    (void)json_object_set_new(o, "account", json_string(text));
    (void)json_object_set_new(
        o, "store_size",
        json_string(size_print((uint64_t)number(o, "store_bytes") & ~1023ull, size)));
}

static int print_summary(struct ctl *c, struct audit_reader *r, struct audit_filter *f)
{
    json_t *o = json_object();
    int code = 0;

    for (const struct column *k = fields; k->key != NULL; k++)
        if (k->kind == COLUMN_NUMBER)
            (void)json_object_set_new(o, k->key, json_integer(0));
    if (f->since_ms == 0)
        f->since_ms = c->now.wall_ms > 7 * day_ms ? c->now.wall_ms - 7 * day_ms : 0;
    if (r != NULL && f->given != 0)
        code = audit_ledger_of_events(c, r, f);
    if (r != NULL) {
        json_decref(o);
        o = NULL;
        if (code == 0)
            code = read_summary(c, r, f, &o);
    }
    if (code == 0) {
        add_words(o, f, c->now.wall_ms);
        table_print_object(c, fields, o);
        if (c->format == FORMAT_TABLE)
            ctl_note("%s; clients with a cached host, behind NAT, or with other resolvers are not "
                     "seen here",
                     f->given != 0 ? "from the events that match" : "whole hours");
    }
    json_decref(o);
    return code;
}

int audit_run_summary(struct ctl *c)
{
    struct audit_reader *r = NULL;
    struct audit_filter f;
    int code = audit_filter_read(c, &f);

    if (code == 0)
        code = audit_open(c, &r);
    if (code == 0 && (r != NULL || c->format != FORMAT_TABLE))
        code = print_summary(c, r, &f);
    audit_reader_close(r);
    audit_filter_free(&f);
    return code;
}
