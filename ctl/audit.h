/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h -- what the audit verbs share: what the options ask for, as SQL, and
 * lists of rows.
 */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include "audit/read.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

/* One value of an option. */
enum audit_option {
    OF_CLIENT = 1,
    OF_NETWORK = 2,
    OF_SUFFIX = 4,
    OF_OUTCOME = 8,
    OF_RULE = 16,
    OF_TARGET = 32,
    OF_ALL = 63
};
struct audit_term {
    enum audit_option option;
    const char *events, *own; /* the condition on an event, on a row of its own table */
    char *value;              /* owned */
};

/* What the options ask for. Several values of one option: any of them. */
enum { AUDIT_FILTERS = 64 };
struct audit_filter {
    uint64_t since_ms, until_ms; /* 0 = open */
    struct audit_term terms[6 * AUDIT_FILTERS];
    int n_terms;
    unsigned given;   /* options that have values */
    const char *sort; /* NULL: the table's own order */
    bool ascending, order_given;
    uint64_t limit; /* 0 = all */
    bool limit_given, names, no_host;
};

/* A statement with its parameters. */
struct audit_sql {
    struct str text;
    struct audit_value values[6 * AUDIT_FILTERS + 8];
    int n;
    char buf[65536];
};

/* ctl/audit_filter.c. 0 or an exit code, message printed. The filter is to be freed either way. */
int audit_filter_read(struct ctl *, struct audit_filter *);
void audit_filter_free(struct audit_filter *);
/* Begins a statement; adds a text with a number for each of its `?`. */
void audit_sql_begin(struct audit_sql *, const char *text);
void audit_sql_add(struct audit_sql *, const char *text, int64_t number);
/* Adds " AND ..." for each option of the set, as of events or of rows of its own. */
void audit_sql_filter(struct audit_sql *, const struct audit_filter *, unsigned options, bool own);
/* All of them and the time, as of events. */
void audit_sql_events(struct audit_sql *, const struct audit_filter *);

/* A list that a verb prints: rows of a table or view. */
struct audit_list {
    const char *plural;
    unsigned own;                /* options that its rows can answer */
    const char *table, *id;      /* "client c", "c.id" */
    const char *where;           /* which of them */
    const char *select;          /* its fields */
    const char *order;           /* by this field, the largest first */
    const struct column *all;    /* columns of --csv and --sort */
    const struct column *narrow; /* those of a table */
    const char *foot;
};

/* ctl/audit_open.c. *out NULL and 0: there is no audit yet, which has been said. */
int audit_open(struct ctl *, struct audit_reader **out);
int audit_fault(struct ctl *, struct audit_reader *, int err); /* message for an error of reading */
/* Runs it; rows may be NULL. 0 or an exit code. */
int audit_run(struct ctl *, struct audit_reader *, const struct audit_sql *, json_t *rows);
int audit_exec(struct ctl *, struct audit_reader *, const char *sql);
/* The rows of a list that pass, in order, at most limit (0: all). */
int audit_rows(struct ctl *, struct audit_reader *, const struct audit_list *,
               const struct audit_filter *, uint64_t limit, json_t *rows);
/* Is `sort` a column of it? 0 or EXIT_USAGE. */
int audit_sort_check(const struct audit_filter *, const struct column *);
/* Tables of the ledger anew from the events that pass: they stand before the stored ones. */
int audit_ledger_of_events(struct ctl *, struct audit_reader *, const struct audit_filter *);
/* Sets "name" in rows that have an "address": PTR as of now. */
void audit_rows_names(struct ctl *, json_t *rows);
/* The outcomes of a row of the ledger: "7 filled, 2 missing". */
const char *audit_outcomes_print(const json_t *row, char out[256]);

/* The newest events that pass, at most limit: temp.found. */
int audit_find_newest(struct ctl *, struct audit_reader *, const struct audit_filter *,
                      uint64_t limit);

extern const struct audit_list audit_clients, audit_event_list;

int audit_run_summary(struct ctl *);
int audit_run_clients(struct ctl *);
int audit_run_client(struct ctl *);
int audit_run_suffixes(struct ctl *);
int audit_run_targets(struct ctl *);
int audit_run_rules(struct ctl *);
int audit_run_events(struct ctl *);

#endif
