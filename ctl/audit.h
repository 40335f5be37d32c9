/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h -- what the audit verbs share: the audit opened, what the options ask
 * for, as SQL with bound parameters, and lists of rows.
 */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include "audit/read.h"
#include "audit/schema.h"
#include "base/str.h"
#include "ctl/ctl.h"

/* Options that name what is wanted; several values of one: any of them. */
enum {
    OF_CLIENT = 1,
    OF_NETWORK = 2,
    OF_SUFFIX = 4,
    OF_OUTCOME = 8,
    OF_RULE = 16,
    OF_TARGET = 32,
    OF_ALL = 63
};

/* One value of such an option. */
struct audit_term {
    unsigned option;
    const char *events, *own; /* the condition on an event, on a row of its own table */
    char *value;              /* owned */
};

enum { AUDIT_TERMS = 257 }; /* as many options as a line has, and one */
struct audit {
    struct ctl *c;
    struct audit_reader *reader; /* NULL: there is no audit yet, which has been said */
    uint64_t since_ms, until_ms; /* 0 = open */
    struct audit_term terms[AUDIT_TERMS];
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
    struct audit_value values[AUDIT_TERMS + 8];
    int n;
    char buf[65536];
};

/* A list that a verb prints: rows of a table or view. */
struct audit_list {
    const char *plural;
    unsigned own;           /* options that its rows can answer */
    const char *table, *id; /* "client n", "n.id" */
    const char *where;      /* which of them */
    const char *select;     /* its fields */
    const char *order;      /* by this field, the largest first */
    const struct column *columns;
    const char *foot;
};

/* Reads the options of the filter, checks --sort against the columns (NULL: none),
 * and opens the audit. 0 or an exit code, message printed; audit_end() either way. */
int audit_begin(struct audit *, struct ctl *, const struct column *sortable);
void audit_end(struct audit *);
/* The audit may have come to be meanwhile; no message. */
bool audit_reopen(struct audit *);

/* Begins a statement; adds a text with a number for each of its `?`. */
void audit_sql_begin(struct audit_sql *, const char *text);
void audit_sql_add(struct audit_sql *, const char *text, int64_t number);
/* Adds " AND ..." for all that the options ask of an event. */
void audit_sql_events(struct audit_sql *, const struct audit *);
/* Runs it; rows may be NULL. 0 or an exit code, as of all below. */
int audit_run(struct audit *, const struct audit_sql *, json_t *rows);
int audit_exec(struct audit *, const char *sql);
int audit_first_number(struct audit *, const char *sql, int64_t *out);
/* Numbers of the events between --since and --until. */
int audit_numbers(struct audit *, int64_t *first, int64_t *last);
/* The rows of a list that pass, in order, at most limit (0: all), with the names
 * of clients if wanted. */
int audit_rows(struct audit *, const struct audit_list *, uint64_t limit, json_t *rows);
void audit_add_names(struct audit *, json_t *rows); /* "name": PTR as of now */

int audit_events(struct ctl *); /* the verb */
/* Expressions over the view events: the event as one object in the words of the
 * Elastic Common Schema, and as one sentence. */
extern const char audit_ecs[], audit_words[];

#endif
