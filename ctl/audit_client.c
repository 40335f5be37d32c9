/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_client.c -- audit client IP: its row of the ledger, the suffixes that it
 * tried, and its last events in words.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit/json.h"
#include "base/number.h"
#include "wire/present.h"

enum { LAST = 20, WORDS = 4096 };

struct story {
    struct audit_filter filter;
    bool json;
    struct audit_tail last; /* texts, or ECS objects */
    uint64_t damaged;
};

static json_t *line_of(const struct audit_event *e)
{
    char words[WORDS], line[WORDS + NAME_TEXT + 64], name[NAME_TEXT], time[NUMBER_TEXT];

    audit_event_words(e, words, sizeof words);
    snprintf(line, sizeof line, "%s  %s  %s", time_print_local(e->wall_ms, time),
             name_print(&e->qname, name), words);
    return audit_json_text(line);
}

static int take(void *context, const struct audit_event *e, const char *host)
{
    struct story *s = context;

    if (e->kind == AUDIT_EVENT && audit_filter_event(&s->filter, e))
        audit_tail_add(&s->last, s->json ? audit_event_json(e, host) : line_of(e));
    return 0;
}

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

static json_t *suffix_rows(const struct ledger_client *row)
{
    json_t *rows = json_array();
    char text[NAME_TEXT];

    for (int i = 0; i < row->n_suffixes; i++) {
        const struct ledger_suffix *s = &row->suffixes[i];

        json_array_append_new(
            rows, json_pack("{s:s,s:s,s:s,s:I}", "suffix", name_print(&s->suffix, text), "verdict",
                            audit_verdict_names[s->verdict], "outcome",
                            audit_outcome_names[s->outcome], "asked", (json_int_t)s->last_ms));
    }
    return rows;
}

static void tell(struct ctl *c, const struct ledger_client *row, const json_t *object,
                 const json_t *events)
{
    json_t *suffixes = suffix_rows(row), *line;
    size_t i;

    table_print_object(c, fields, object);
    putchar('\n');
    table_print(c, "suffixes", suffix_columns, suffixes);
    if (json_array_size(events) > 0)
        putchar('\n');
    json_array_foreach(events, i, line) ctl_line("%s", json_string_value(line));
    if (json_array_size(events) == 0)
        ctl_note("its events are older than audit.retention, or above the rates: the ledger is all "
                 "that is left");
    ctl_note("an address is not a machine (NAT, DHCP); a machine with a cached host asks nothing, "
             "and other resolvers "
             "it asks are not seen here");
    json_decref(suffixes);
}

static int print_story(struct ctl *c, struct audit_reader *r, struct story *s,
                       const struct ledger_client *row)
{
    json_t *object = audit_client_row(row), *list = json_array(), *events;
    char outcomes[256];
    int rc = audit_each_event(r, &s->filter.range, take, s, &s->damaged);

    json_array_append_new(list, object);
    (void)json_object_set_new(object, "outcomes",
                              json_string(audit_outcomes_print(&row->counts, outcomes)));
    if (s->filter.names)
        audit_rows_names(c, list);
    events = audit_tail_take(&s->last);
    if (rc == 0 && c->format == FORMAT_TABLE) {
        tell(c, row, object, events);
    } else if (rc == 0) {
        (void)json_object_set(object, "events", events);
        table_print_object(c, fields, object);
    }
    audit_damaged(s->damaged);
    json_decref(events);
    json_decref(list);
    return rc != 0 ? audit_fault(c, rc) : 0;
}

int audit_run_client(struct ctl *c)
{
    struct ledger_client row;
    struct audit_reader *r;
    struct story s = {.json = c->format == FORMAT_JSON};
    struct addr a;
    int code, rc;

    if (addr_parse(&a, c->argv[0], 0) != 0)
        return ctl_fail(EXIT_USAGE, "%s: not an address", c->argv[0]);
    code = audit_filter_read(c, &s.filter);
    if (code == 0 && s.filter.n_clients > 0)
        return ctl_fail(EXIT_USAGE, "--client does not fit: the client is named already");
    if (code == 0)
        code = audit_open(c, &r);
    if (code != 0)
        return code;
    s.last.limit = s.filter.limit_given ? s.filter.limit : LAST;
    memcpy(s.filter.clients[0].ip, a.ip, sizeof a.ip);
    s.filter.clients[0].len = 128;
    s.filter.n_clients = 1;
    rc = r != NULL ? ledger_client_get(r, &a, &row) : -ENOENT;
    if (rc == -ENOENT)
        code = ctl_fail(EXIT_NOT_FOUND,
                        "%s asked for no KMS host, or not through this forwarder (with "
                        "audit.client-address: prefix, name its network)",
                        c->argv[0]);
    else
        code = rc != 0 ? audit_fault(c, rc) : print_story(c, r, &s, &row);
    audit_reader_close(r);
    return code;
}
