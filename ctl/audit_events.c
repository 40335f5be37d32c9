/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_events.c -- audit events, and how an event reads.
 *
 * Without --limit, --json prints all events in their order, one object a line; a
 * table or CSV shows the newest. -f prints lines without a table's head and
 * reads what came since every half second.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/schema.h"
#include "base/number.h"

enum { TABLE_LIMIT = 1000, CSV_LIMIT = 1000000, FOLLOW_FIRST = 10, FOLLOW_MS = 500, STEP = 1000 };

/* clang-format off */
static const struct column columns[] = {
    {"time", "TIME", COLUMN_TIME}, {"address", "CLIENT", COLUMN_TEXT}, {"question", "NAME", COLUMN_TEXT},
    {"outcome", "OUTCOME", COLUMN_TEXT}, {"reason", "REASON", COLUMN_TEXT}, {"rule", "RULE", COLUMN_TEXT},
    {"verdict", "VERDICT", COLUMN_TEXT}, {"answer", "ANSWER", COLUMN_LIST}, {0}};
static const struct column columns_csv[] = {
    {"time", "TIME", COLUMN_TIME}, {"sequence", "SEQUENCE", COLUMN_NUMBER}, {"forwarder", "FORWARDER", COLUMN_TEXT},
    {"address", "CLIENT", COLUMN_TEXT}, {"name", "CLIENT NAME", COLUMN_TEXT}, {"question", "NAME", COLUMN_TEXT},
    {"type", "TYPE", COLUMN_TEXT}, {"repeat", "REPEAT", COLUMN_TEXT}, {"outcome", "OUTCOME", COLUMN_TEXT},
    {"reason", "REASON", COLUMN_TEXT}, {"rule", "RULE", COLUMN_TEXT}, {"verdict", "VERDICT", COLUMN_TEXT},
    {"answer", "ANSWER", COLUMN_LIST}, {"client_error", "WINDOWS SHOWS", COLUMN_TEXT},
    {"policy_serial", "SERIAL", COLUMN_NUMBER}, {"latency_us", "LATENCY", COLUMN_NUMBER}, {0}};
/* clang-format on */

/* The hosts of the answer, or what it is without one. */
#define ANSWER                                                                                     \
    "CASE WHEN answer<>'' THEN answer WHEN response='NOERROR' THEN 'NODATA' ELSE response END"

static struct audit_list event_list(const struct ctl *c)
{
    static char row[8192], ecs[8192];
    struct audit_list l = {"events",
                           0,
                           "events",
                           "sequence",
                           "sequence IN(SELECT row FROM found)",
                           NULL,
                           "sequence",
                           columns_csv,
                           columns,
                           "a client with a cached host asks nothing; NAT and DHCP blur who asked; "
                           "other resolvers are not here"};

    /* The sentence of a control record stands in the widest cell. */
    snprintf(
        row, sizeof row,
        "ms AS time,sequence AS sequence,forwarder AS forwarder,address AS address,"
        "iif(kind='event',question,%s) AS question,type AS type,iif(kind='event',repeat,NULL) AS "
        "\"repeat?\",iif(kind='event',outcome,kind) AS outcome,reason AS reason,rule AS rule,"
        "verdict AS verdict," SCHEMA_LIST(
            ANSWER) " AS \"answer[]\",client_error AS client_error,"
                    "policy_serial AS policy_serial,latency_us AS latency_us",
        audit_words);
    snprintf(ecs, sizeof ecs, "sequence AS sequence,%s AS \"ecs[]\"", audit_ecs);
    l.select = c->format == FORMAT_JSON ? ecs : row;
    return l;
}

/* --- printing ------------------------------------------------------------------------ */

static void print_line(const json_t *row)
{
    const char *address = json_string_value(json_object_get(row, "address"));
    const json_t *list = json_object_get(row, "answer"), *item;
    const char *const keys[] = {"outcome", "reason", "rule", "verdict"};
    char time[NUMBER_TEXT], text[2048];
    struct str s;
    size_t i;

    str_init(&s, text, sizeof text);
    str_addf(&s, "%s  %-15s  %-40s",
             time_print_local((uint64_t)json_integer_value(json_object_get(row, "time")), time),
             address != NULL ? address : "-", json_string_value(json_object_get(row, "question")));
    for (i = 0; address != NULL && i < ARRAY_LEN(keys); i++) {
        const char *word = json_string_value(json_object_get(row, keys[i]));

        str_addf(&s, "  %-8s", word != NULL && *word != '\0' ? word : "-");
    }
    json_array_foreach(list, i, item)
        str_addf(&s, "%s%s", i > 0 ? " " : "  ", json_string_value(item));
    ctl_line("%s", text);
}

/* Line by line: ECS objects, or texts. */
static int print_lines(const struct ctl *c, const json_t *rows)
{
    size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0, i;
    const json_t *row;

    json_array_foreach(rows, i, row)
    {
        if (c->format == FORMAT_JSON) {
            json_dumpf(json_object_get(row, "ecs"), stdout, JSON_COMPACT | ascii);
            putchar('\n');
        } else {
            print_line(row);
        }
    }
    return ferror(stdout) ? EXIT_FAILED : 0;
}

static uint64_t limit_for(const struct ctl *c, const struct audit_filter *f, bool lines)
{
    if (f->limit_given)
        return f->limit;
    if (lines && f->since_ms == 0)
        return FOLLOW_FIRST;
    return c->format == FORMAT_TABLE ? TABLE_LIMIT : CSV_LIMIT;
}

static int print_newest(struct ctl *c, struct audit_reader *r, const struct audit_list *l,
                        struct audit_filter *f, bool lines)
{
    uint64_t limit = limit_for(c, f, lines);
    json_t *rows = json_array();
    int code = r != NULL ? audit_find_newest(c, r, f, limit) : 0;

    if (f->sort == NULL) { /* as they came */
        f->sort = l->order;
        f->order_given = f->ascending = true;
    }
    if (code == 0 && r != NULL)
        code = audit_rows(c, r, l, f, 0, rows);
    if (code == 0 && f->names && c->format != FORMAT_JSON)
        audit_rows_names(c, rows);
    if (code == 0 && (lines || c->format == FORMAT_JSON))
        code = print_lines(c, rows);
    else if (code == 0 && (json_array_size(rows) > 0 || c->format == FORMAT_CSV))
        table_print(c, l->plural, c->format == FORMAT_TABLE ? l->narrow : l->all, rows);
    else if (code == 0)
        ctl_note("no events match");
    if (code == 0 && json_array_size(rows) == limit && !f->limit_given && !lines)
        ctl_note("the newest %zu events; --limit 0 prints all", json_array_size(rows));
    json_decref(rows);
    return code;
}

/* All that pass with numbers above *at, as they are read. */
static int print_all(struct ctl *c, struct audit_reader *r, const struct audit_list *l,
                     const struct audit_filter *f, int64_t *at)
{
    int64_t first, last;
    struct audit_sql q;
    int rc = audit_span(r, f->since_ms, f->until_ms, &first, &last), code = 0;

    if (rc != 0)
        return audit_fault(c, r, rc);
    if (*at < first - 1)
        *at = first - 1;
    while (code == 0 && *at < last) {
        int64_t end = *at + STEP < last ? *at + STEP : last;
        json_t *rows = json_array();

        audit_sql_begin(&q, "");
        str_addf(&q.text, "SELECT %s FROM events", l->select);
        audit_sql_add(&q, " WHERE sequence>?", *at);
        audit_sql_add(&q, " AND sequence<=?", end);
        audit_sql_events(&q, f);
        str_add(&q.text, " ORDER BY sequence");
        code = audit_run(c, r, &q, rows);
        if (code == 0 && f->names && c->format != FORMAT_JSON)
            audit_rows_names(c, rows);
        if (code == 0)
            code = print_lines(c, rows);
        *at = end;
        json_decref(rows);
    }
    return code;
}

/* --- -f --------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The database may come to be while we wait. */
static int follow(struct ctl *c, struct audit_reader **r, const struct audit_list *l,
                  struct audit_filter *f, int64_t at)
{
    struct sigaction action = {.sa_handler = on_signal};
    char *path = ctl_text("%s/audit", c->settings->server.state_dir);
    int code = 0;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    f->since_ms = 0;
    while (!interrupted && code == 0) {
        fflush(stdout);
        poll(NULL, 0, FOLLOW_MS);
        if (*r != NULL || audit_reader_open(r, path, NULL) == 0)
            code = print_all(c, *r, l, f, &at);
    }
    free(path);
    return code;
}

/* --- the verb ------------------------------------------------------------------------------- */

static int check(const struct ctl *c, const struct audit_filter *f, bool lines)
{
    if (lines && c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "-f prints lines or --json, not --csv");
    if (lines && (f->until_ms > 0 || f->sort != NULL))
        return ctl_fail(
            EXIT_USAGE,
            "-f goes on for ever and in the order of time: --until and --sort do not fit");
    if (f->sort != NULL && c->format == FORMAT_JSON)
        return ctl_fail(EXIT_USAGE,
                        "--json prints events in the order of time: --sort does not fit");
    return audit_sort_check(f, columns_csv);
}

static int print_events(struct ctl *c, struct audit_reader **r, struct audit_filter *f, bool lines)
{
    struct audit_list l = event_list(c);
    int64_t at = 0, last = 0;
    int code = 0;

    if (*r != NULL)
        (void)audit_number(*r, "SELECT max(id) FROM event", NULL, 0, &last);
    if (*r != NULL && c->format == FORMAT_JSON && (f->limit_given ? f->limit == 0 : !lines))
        code = print_all(c, *r, &l, f, &at);
    else if (*r != NULL || c->format == FORMAT_CSV)
        code = print_newest(c, *r, &l, f, lines);
    if (code == 0 && lines) {
        f->sort = NULL;
        return follow(c, r, &l, f, at > last ? at : last);
    }
    if (code == 0 && *r != NULL && c->format == FORMAT_TABLE)
        ctl_note("%s", l.foot);
    return code;
}

int audit_run_events(struct ctl *c)
{
    bool lines = ctl_option(c, "-f") != NULL;
    struct audit_reader *r = NULL;
    struct audit_filter f;
    int code = audit_filter_read(c, &f);

    if (code == 0)
        code = check(c, &f, lines);
    if (code == 0)
        code = audit_open(c, &r);
    if (code == 0)
        code = print_events(c, &r, &f, lines);
    audit_reader_close(r);
    audit_filter_free(&f);
    return code;
}
