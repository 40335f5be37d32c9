/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h -- what the audit verbs share: filters, rows of the ledger or of a
 * ledger made from events, and rows as JSON for the tables.
 */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include "audit/read.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

enum { AUDIT_FILTERS = 64 };

struct audit_suffix {
    struct name name;
    bool below;
}; /* below: "*.corp.example" */
struct audit_target {
    struct name name;
    uint16_t port;
}; /* port 0 = any */

/* What the options ask for. Several values of one option: any of them. */
struct audit_filter {
    struct audit_range range;
    struct prefix clients[AUDIT_FILTERS];
    int n_clients;
    struct audit_suffix suffixes[AUDIT_FILTERS];
    int n_suffixes;
    struct audit_target targets[AUDIT_FILTERS];
    int n_targets;
    const char *networks[AUDIT_FILTERS];
    int n_networks; /* borrowed from the line */
    const char *rules[AUDIT_FILTERS];
    int n_rules;
    uint32_t outcomes; /* bits; 0 = all */
    const char *sort;
    bool ascending, order_given; /* NULL: the table's own order */
    uint64_t limit;
    bool limit_given; /* 0 = all */
    bool names, no_host;
};

/* ctl/audit_filter.c. 0 or an exit code, message printed. */
int audit_filter_read(struct ctl *, struct audit_filter *);
bool audit_filter_event(const struct audit_filter *,
                        const struct audit_event *); /* all but the time */
bool audit_filter_client(const struct audit_filter *, const struct addr *);
bool audit_filter_suffix(const struct audit_filter *, const struct name *);
bool audit_filter_target(const struct audit_filter *, const struct name *, uint16_t port);
bool audit_filter_rule(const struct audit_filter *, const char *rule);
/* Is anything asked for that only events know, apart from `own` ones? */
enum audit_own { OWN_CLIENT = 1, OWN_SUFFIX = 2, OWN_TARGET = 4, OWN_RULE = 8 };
bool audit_filter_needs_events(const struct audit_filter *, unsigned own);

/* ctl/audit_open.c. *out NULL and 0: there is no store yet, which has been said. */
int audit_open(struct ctl *, struct audit_reader **out);
int audit_fault(struct ctl *, int err); /* the message for an error of reading */
void audit_damaged(uint64_t n);         /* the warning, if there are any */
/* A ledger from the events that pass the filter. Free with ledger_free(). */
struct ledger;
struct audit_scan {
    struct ledger *ledger;
    uint64_t events, damaged, oldest_ms;
};
int audit_scan(struct audit_reader *, const struct audit_filter *, struct audit_scan *);

/* ctl/audit_rows.c: rows as JSON objects (new references), sorted and cut. */
json_t *audit_client_row(const struct ledger_client *);
json_t *audit_name_row(const struct ledger_name *, enum ledger_table);
void audit_counts_row(json_t *, const struct ledger_counts *);
/* Sorts by the filter's key (else by `fallback`, largest first), cuts to limit. 0 or EXIT_USAGE. */
int audit_rows_order(const struct audit_filter *, const struct column *, const char *fallback,
                     json_t **rows);
/* Sets "name" in rows that have an "address": PTR as of now. */
void audit_rows_names(struct ctl *, json_t *rows);
const char *audit_outcomes_print(const struct ledger_counts *,
                                 char out[256]); /* "7 filled, 2 missing" */

/* The last rows of many, in their order. limit 0: all. */
struct audit_tail {
    json_t **at;
    uint64_t limit, n;
    size_t size;
};
void audit_tail_add(struct audit_tail *, json_t *row); /* takes the row */
json_t *audit_tail_take(struct audit_tail *);          /* an array; the tail is empty then */

/* ctl/audit_events.c: how an event reads. */
void audit_event_words(const struct audit_event *, char *out, size_t size);
json_t *audit_event_row(const struct audit_event *, const char *host);

int audit_run_summary(struct ctl *);
int audit_run_clients(struct ctl *);
int audit_run_client(struct ctl *);
int audit_run_suffixes(struct ctl *);
int audit_run_targets(struct ctl *);
int audit_run_rules(struct ctl *);
int audit_run_events(struct ctl *);

#endif
