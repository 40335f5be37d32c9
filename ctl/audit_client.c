/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_client.c -- audit client IP: its row of the ledger, the suffixes that it
 * tried, and its last events in words. Each event names the one before of the
 * same client: the story is read from its end.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/schema.h"
#include "base/addr.h"
#include "base/number.h"

enum { LAST = 20 };

static const struct column fields[] = {
    {"address", "client", COLUMN_TEXT},
    {"name", "name", COLUMN_TEXT},
    {"first_asked", "first asked", COLUMN_TIME},
    {"last_asked", "last asked", COLUMN_TIME},
    {"questions", "questions", COLUMN_NUMBER},
    {"attempts", "attempts", COLUMN_NUMBER},
    {"outcomes", "outcomes", COLUMN_TEXT},
    {"cadence_ms", "asks every", COLUMN_DURATION_MS},
    {"last_host", "last host", COLUMN_TEXT},
    {"last_host_at", "given", COLUMN_TIME},
    {"no_host_since", "no host since", COLUMN_TIME},
    {0},
};
static const struct column suffix_columns[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT},
    {"verdict", "REAL DNS", COLUMN_TEXT},
    {"outcome", "OUTCOME", COLUMN_TEXT},
    {"asked", "LAST ASKED", COLUMN_TIME},
    {0},
};

/* The client's events that pass, newest first. */
static int read_events(struct ctl *c, struct audit_reader *r, const struct audit_filter *f,
                       json_t *rows)
{
    struct audit_sql q;

    audit_sql_begin(&q, "WITH RECURSIVE chain(row) AS(SELECT event FROM client WHERE name=?"
                        " UNION ALL SELECT e.previous FROM chain JOIN event e ON e.id=row)"
                        "SELECT ");
    q.values[q.n++] = (struct audit_value){.text = c->argv[0]};
    if (c->format == FORMAT_JSON)
        str_addf(&q.text, "%s AS \"event[]\"", audit_ecs);
    else
        str_addf(&q.text, "ms,question,%s AS words", audit_words);
    str_add(&q.text, " FROM chain CROSS JOIN events ON sequence=row WHERE 1");
    audit_sql_events(&q, f);
    audit_sql_add(&q, " LIMIT ?", !f->limit_given ? LAST : f->limit > 0 ? (int64_t)f->limit : -1);
    return audit_run(c, r, &q, rows);
}

static json_t *line_of(const json_t *row)
{
    char text[8192], time[NUMBER_TEXT];
    uint64_t ms = (uint64_t)json_integer_value(json_object_get(row, "ms"));

    snprintf(text, sizeof text, "%s  %s  %s", time_print_local(ms, time),
             json_string_value(json_object_get(row, "question")),
             json_string_value(json_object_get(row, "words")));
    return audit_json_text(text);
}

static int read_suffixes(struct ctl *c, struct audit_reader *r, json_t *rows)
{
    struct audit_sql q;

    audit_sql_begin(
        &q,
        "SELECT u.name AS suffix," SCHEMA_WORD("verdict", "s.verdict") " AS verdict," SCHEMA_WORD(
            "outcome", "s.outcome") " AS outcome,s.last AS asked "
                                    "FROM client n JOIN client_suffix s ON " SCHEMA_SLOTS
                                    " JOIN suffix u ON u.id=s.suffix WHERE n.name=?");
    q.values[q.n++] = (struct audit_value){.text = c->argv[0]};
    return audit_run(c, r, &q, rows);
}

static int print_story(struct ctl *c, struct audit_reader *r, const struct audit_filter *f,
                       json_t *object)
{
    json_t *found = json_array(), *events = json_array(), *suffixes = json_array(), *row;
    int code = read_events(c, r, f, found);
    char outcomes[256];
    size_t i;

    (void)json_object_set_new(object, "outcomes",
                              json_string(audit_outcomes_print(object, outcomes)));
    json_array_foreach(found, i, row) /* the oldest first */
        json_array_insert_new(events, 0,
                              c->format == FORMAT_JSON ? json_incref(json_object_get(row, "event"))
                                                       : line_of(row));
    if (code == 0 && c->format == FORMAT_TABLE)
        code = read_suffixes(c, r, suffixes);
    if (code == 0 && c->format != FORMAT_TABLE)
        (void)json_object_set(object, "events", events);
    if (code == 0)
        table_print_object(c, fields, object);
    if (code == 0 && c->format == FORMAT_TABLE) {
        putchar('\n');
        table_print(c, "suffixes", suffix_columns, suffixes);
        if (json_array_size(events) > 0)
            putchar('\n');
        json_array_foreach(events, i, row) ctl_line("%s", json_string_value(row));
        if (json_array_size(events) == 0)
            ctl_note("its events are older than audit.retention, or above the rates: the ledger is "
                     "all that is left");
        ctl_note("an address is not a machine (NAT, DHCP); a machine with a cached host asks "
                 "nothing, and other resolvers it asks are not seen here");
    }
    json_decref(found);
    json_decref(events);
    json_decref(suffixes);
    return code;
}

static int tell(struct ctl *c, struct audit_reader *r, struct audit_filter *f)
{
    struct audit_filter client = {.terms = {{OF_CLIENT, NULL, "address=?", NULL}}, .n_terms = 1};
    json_t *rows = json_array();
    char text[ADDR_TEXT];
    struct addr a;
    int code = 0;

    (void)addr_parse(&a, c->argv[0], 0);
    a.port = 0;
    a.scope = 0;
    client.terms[0].value = (char *)(uintptr_t)addr_print(&a, text);
    c->argv[0] = text; /* as it is stored */
    if (r != NULL)
        code = audit_rows(c, r, &audit_clients, &client, 1, rows);
    if (code == 0 && json_array_size(rows) == 0)
        code = ctl_fail(EXIT_NOT_FOUND,
                        "%s asked for no KMS host, or not through this forwarder (with "
                        "audit.client-address: prefix, name its network)",
                        c->argv[0]);
    if (code == 0 && f->names)
        audit_rows_names(c, rows);
    if (code == 0)
        code = print_story(c, r, f, json_array_get(rows, 0));
    json_decref(rows);
    return code;
}

int audit_run_client(struct ctl *c)
{
    struct audit_reader *r = NULL;
    struct audit_filter f;
    struct addr a;
    int code;

    if (addr_parse(&a, c->argv[0], 0) != 0)
        return ctl_fail(EXIT_USAGE, "%s: not an address", c->argv[0]);
    code = audit_filter_read(c, &f);
    if (code == 0 && (f.given & OF_CLIENT) != 0)
        code = ctl_fail(EXIT_USAGE, "--client does not fit: the client is named already");
    if (code == 0)
        code = audit_open(c, &r);
    if (code == 0)
        code = tell(c, r, &f);
    audit_reader_close(r);
    audit_filter_free(&f);
    return code;
}
