/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_events.c -- audit events, and how an event reads.
 *
 * Without --limit, --json prints each event as it is read, one object a line; a
 * table or CSV keeps the newest. -f prints lines without a table's head and
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

#include "audit/json.h"
#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"

enum { TABLE_LIMIT = 1000, CSV_LIMIT = 1000000, FOLLOW_FIRST = 10, FOLLOW_MS = 500 };

/* --- words ---------------------------------------------------------------------------- */

static void add_hosts(struct str *s, const struct audit_host *hosts, uint8_t n)
{
    char text[AUDIT_HOST_TEXT];

    for (uint8_t i = 0; i < n; i++) {
        if (i > 0)
            str_add(s, " ");
        str_add(s, audit_host_print(&hosts[i], text));
    }
}

static void control_words(const struct audit_event *e, struct str *s)
{
    char time[NUMBER_TEXT];

    str_add(s, audit_kind_names[e->kind]);
    if (e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE)
        str_addf(s, ": %llu %s%s%s", (unsigned long long)e->lost,
                 e->kind == AUDIT_GAP ? "questions were not recorded" : "records removed",
                 e->lost_from_ms == 0   ? ""
                 : e->kind == AUDIT_GAP ? ", since "
                                        : ", up to ",
                 e->lost_from_ms == 0 ? "" : time_print_local(e->lost_from_ms, time));
    if (e->text[0] != '\0')
        str_addf(s, ": %s", e->text);
}

static void verdict_words(const struct audit_event *e, struct str *s)
{
    char server[ADDR_TEXT];

    if (e->verdict == AUDIT_V_NONE)
        return;
    str_addf(s, "; the real DNS: %s", audit_verdict_names[e->verdict]);
    if (e->n_real > 0) {
        str_add(s, " ");
        add_hosts(s, e->real, e->n_real);
    }
    if (e->cached)
        str_add(s, " from the cache");
    else if (!addr_is_any(&e->server))
        str_addf(s, " from %s, %u ms", addr_print(&e->server, server), e->real_ms);
}

/* "filled by rule x (kms01:1688); the real DNS: nxdomain from ..., 51 ms; Windows shows 0x..." */
void audit_event_words(const struct audit_event *e, char *out, size_t size)
{
    uint32_t code = audit_client_error(e);
    char text[TYPE_TEXT];
    struct str s;

    str_init(&s, out, size);
    if (e->kind != AUDIT_EVENT) {
        control_words(e, &s);
        return;
    }
    str_add(&s, audit_outcome_names[e->outcome]);
    if (e->reason == AUDIT_SIGNED)
        str_addf(&s, " (signed: rule %s may not touch it)", e->rule);
    else if (e->rule[0] != '\0')
        str_addf(&s, " by rule %s", e->rule);
    else
        str_addf(&s, " (%s)", audit_reason_names[e->reason]);
    str_add(&s, ", answer ");
    if (e->n_answer > 0)
        add_hosts(&s, e->answer, e->n_answer);
    else
        str_add(&s, e->rcode == 0 ? "without a host" : rcode_print(e->rcode, text));
    verdict_words(e, &s);
    if (code != 0)
        str_addf(&s, "; Windows shows 0x%08X", code);
    if (e->would != 0)
        str_addf(&s, "; with the rules in shadow: %s%s%s", audit_outcome_names[e->would],
                 e->would_rule[0] != '\0' ? " by rule " : "", e->would_rule);
    if (e->repeat)
        str_add(&s, "; a repeat");
}

/* --- rows ------------------------------------------------------------------------------ */

static const struct column columns[] = {
    {"time", "TIME", COLUMN_TIME},
    {"address", "CLIENT", COLUMN_TEXT},
    {"question", "NAME", COLUMN_TEXT},
    {"outcome", "OUTCOME", COLUMN_TEXT},
    {"reason", "REASON", COLUMN_TEXT},
    {"rule", "RULE", COLUMN_TEXT},
    {"verdict", "VERDICT", COLUMN_TEXT},
    {"answer", "ANSWER", COLUMN_LIST},
    {0},
};
static const struct column columns_csv[] = {
    {"time", "TIME", COLUMN_TIME},
    {"sequence", "SEQUENCE", COLUMN_NUMBER},
    {"forwarder", "FORWARDER", COLUMN_TEXT},
    {"address", "CLIENT", COLUMN_TEXT},
    {"name", "CLIENT NAME", COLUMN_TEXT},
    {"question", "NAME", COLUMN_TEXT},
    {"type", "TYPE", COLUMN_TEXT},
    {"repeat", "REPEAT", COLUMN_TEXT},
    {"outcome", "OUTCOME", COLUMN_TEXT},
    {"reason", "REASON", COLUMN_TEXT},
    {"rule", "RULE", COLUMN_TEXT},
    {"verdict", "VERDICT", COLUMN_TEXT},
    {"answer", "ANSWER", COLUMN_LIST},
    {"client_error", "WINDOWS SHOWS", COLUMN_TEXT},
    {"policy_serial", "SERIAL", COLUMN_NUMBER},
    {"latency_us", "LATENCY", COLUMN_NUMBER},
    {0},
};

static void set(json_t *o, const char *key, json_t *value)
{
    (void)json_object_set_new(o, key, value);
}

static json_t *answer_json(const struct audit_event *e)
{
    json_t *list = json_array();
    char text[AUDIT_HOST_TEXT];

    for (uint8_t i = 0; i < e->n_answer; i++)
        json_array_append_new(list, json_string(audit_host_print(&e->answer[i], text)));
    if (e->n_answer == 0)
        json_array_append_new(list,
                              json_string(e->rcode == 0 ? "NODATA" : rcode_print(e->rcode, text)));
    return list;
}

json_t *audit_event_row(const struct audit_event *e, const char *host)
{
    json_t *o = json_object();
    uint32_t code = audit_client_error(e);
    char text[NAME_TEXT];

    set(o, "time", json_integer((json_int_t)e->wall_ms));
    set(o, "sequence", json_integer((json_int_t)e->sequence));
    set(o, "forwarder", audit_json_text(host));
    if (e->kind != AUDIT_EVENT) {
        audit_event_words(e, text, sizeof text);
        set(o, "question", audit_json_text(text)); /* the widest cell */
        set(o, "outcome", json_string(audit_kind_names[e->kind]));
        return o;
    }
    set(o, "address", json_string(addr_print(&e->client, text)));
    set(o, "question", json_string(name_print(&e->qname, text)));
    set(o, "type", json_string(type_print(e->qtype, text)));
    set(o, "repeat", json_boolean(e->repeat));
    set(o, "outcome", json_string(audit_outcome_names[e->outcome]));
    set(o, "reason", json_string(audit_reason_names[e->reason]));
    set(o, "rule", audit_json_text(e->rule));
    set(o, "verdict",
        json_string(e->verdict != AUDIT_V_NONE ? audit_verdict_names[e->verdict] : ""));
    set(o, "answer", answer_json(e));
    if (code != 0) {
        snprintf(text, sizeof text, "0x%08X", code);
        set(o, "client_error", json_string(text));
    }
    set(o, "policy_serial", json_integer((json_int_t)e->policy_serial));
    set(o, "latency_us", json_integer(e->latency_us));
    return o;
}

/* --- printing: as they come, or the newest -------------------------------------------------- */

struct printing {
    struct ctl *c;
    const struct audit_filter *filter;
    bool at_once;           /* print as they come */
    struct audit_tail tail; /* else */
    uint64_t sequence;      /* of the last event read */
    bool lines;             /* -f: no table */
};

static json_t *make_row(const struct printing *p, const struct audit_event *e, const char *host)
{
    return p->c->format == FORMAT_JSON ? audit_event_json(e, host) : audit_event_row(e, host);
}

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

/* Takes the row. */
static void print_row(const struct printing *p, json_t *row)
{
    if (p->c->format == FORMAT_JSON) {
        json_dumpf(row, stdout, JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
        putchar('\n');
    } else {
        print_line(row);
    }
    json_decref(row);
}

static int take(void *context, const struct audit_event *e, const char *host)
{
    struct printing *p = context;

    p->sequence = e->sequence;
    if (!audit_filter_event(p->filter, e))
        return 0;
    if (!p->at_once) {
        audit_tail_add(&p->tail, make_row(p, e, host));
        return 0;
    }
    print_row(p, make_row(p, e, host));
    return ferror(stdout) ? -EIO : 0;
}

static int print_kept(struct printing *p)
{
    const struct column *all = p->c->format == FORMAT_TABLE ? columns : columns_csv;
    json_t *rows = audit_tail_take(&p->tail), *row;
    size_t i, n = json_array_size(rows);
    int code = 0;

    if (p->filter->sort != NULL && p->c->format != FORMAT_JSON)
        code = audit_rows_order(p->filter, columns_csv, NULL, &rows);
    if (code == 0 && p->filter->names && p->c->format != FORMAT_JSON)
        audit_rows_names(p->c, rows);
    if (code == 0 && (p->lines || p->c->format == FORMAT_JSON)) {
        json_array_foreach(rows, i, row) print_row(p, json_incref(row));
    } else if (code == 0 && (n > 0 || p->c->format == FORMAT_CSV)) {
        table_print(p->c, "events", all, rows);
    } else if (code == 0) {
        ctl_note("no events match");
    }
    if (p->tail.n > n && !p->filter->limit_given && !p->lines)
        ctl_note("the newest %zu of %llu events; --limit 0 prints all", n,
                 (unsigned long long)p->tail.n);
    json_decref(rows);
    return code;
}

static int print_events(struct printing *p, struct audit_reader *r)
{
    uint64_t damaged = 0;
    int rc = r != NULL ? audit_each_event(r, &p->filter->range, take, p, &damaged) : 0, code = 0;

    if (rc == -EIO && ferror(stdout))
        code = EXIT_FAILED;
    else if (rc != 0)
        code = audit_fault(p->c, rc);
    else if (!p->at_once)
        code = print_kept(p);
    audit_damaged(damaged);
    return code;
}

/* --- -f --------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The store may come to be while we wait. */
static int follow(struct printing *p, struct audit_reader **r)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct audit_range range = {0};
    char *path = ctl_text("%s/audit", p->c->settings->server.state_dir);
    uint64_t damaged;
    int rc = 0;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    p->at_once = true;
    while (!interrupted && rc == 0) {
        fflush(stdout);
        poll(NULL, 0, FOLLOW_MS);
        if (*r == NULL && audit_reader_open(r, path, NULL) != 0)
            continue;
        range.after_sequence = p->sequence;
        rc = audit_each_event(*r, &range, take, p, &damaged);
    }
    free(path);
    return rc != 0 ? audit_fault(p->c, rc) : 0;
}

static uint64_t limit_for(const struct ctl *c, const struct audit_filter *f, bool lines)
{
    if (f->limit_given)
        return f->limit;
    if (lines && f->range.since_ms == 0)
        return FOLLOW_FIRST;
    return c->format == FORMAT_TABLE ? TABLE_LIMIT : CSV_LIMIT;
}

int audit_run_events(struct ctl *c)
{
    struct audit_filter f;
    struct printing p = {.c = c, .filter = &f, .lines = ctl_option(c, "-f") != NULL};
    struct audit_reader *r;
    int code;

    if (p.lines && c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "-f prints lines or --json, not --csv");
    code = audit_filter_read(c, &f);
    if (code == 0 && p.lines && (f.range.until_ms > 0 || f.sort != NULL))
        return ctl_fail(
            EXIT_USAGE,
            "-f goes on for ever and in the order of time: --until and --sort do not fit");
    if (code == 0 && f.sort != NULL && c->format == FORMAT_JSON)
        return ctl_fail(EXIT_USAGE,
                        "--json prints events in the order of time: --sort does not fit");
    if (code == 0)
        code = audit_open(c, &r);
    if (code != 0)
        return code;
    p.tail.limit = limit_for(c, &f, p.lines);
    p.at_once = c->format == FORMAT_JSON && (f.limit_given ? f.limit == 0 : !p.lines);
    if (r != NULL || c->format == FORMAT_CSV)
        code = print_events(&p, r);
    if (code == 0 && p.lines)
        code = follow(&p, &r);
    else if (code == 0 && r != NULL && c->format == FORMAT_TABLE)
        ctl_note("a client with a cached host asks nothing; NAT and DHCP blur who asked; other "
                 "resolvers are not here");
    audit_reader_close(r);
    return code;
}
