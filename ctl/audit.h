/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h -- what the audit verbs share: the audit opened, what the options ask
 * for, as SQL, and lists of rows.
 */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include "audit/store.h"
#include "ctl/ctl.h"

/* What is asked for, as bits. An event can answer OF_EVENTS; a client has been given no host;
 * a host is not approved. */
enum { OF_CLIENT = 1, OF_NETWORK = 2, OF_SUFFIX = 4, OF_OUTCOME = 8, OF_RULE = 16, OF_TARGET = 32 };
enum { OF_EVENTS = 63, OF_NO_HOST = 64, OF_UNAPPROVED = 128 };

struct audit {
    struct ctl *c;
    int code;                  /* the exit code of what failed; what comes after does nothing */
    char *path;                /* of its directory */
    struct audit_store *store; /* an empty one while there is no audit */
    bool absent;
    uint64_t since_ms, until_ms; /* 0 = open */
    uint64_t now_ms;             /* what is asked for is as of then */
    unsigned given;
    json_t *asked;             /* [[option,value]] */
    json_t *rows;              /* of the verb */
    char sort[80];             /* SQL; "": the table's own order */
    long long limit;           /* 0: not given; -1: all */
    bool narrowed, has_policy; /* the ledger is that of the events that pass; reports.c */
};

/* A list that a verb prints: rows of a table or view. */
struct audit_list {
    const char *name, *help; /* of a report */
    const char *plural;
    unsigned own;           /* what its rows can answer */
    const char *table, *id; /* "client n", "n.id" */
    const char *select;     /* its fields */
    const char *order;      /* SQL */
    const char *columns;    /* as table_print() has them */
    const char *foot;       /* what it cannot know */
    struct audit_bars {
        const char *title, *label, *value; /* SQL over the fields */
        int mark;
    } bars;           /* of a report's page */
    const char *make; /* SQL that prepares its tables, or NULL */
    bool asks_policy;
};

/* --- ctl/audit.c: rows of `client n`, in lists, reports and the story of one. */
/* clang-format off */
#define AUDIT_WIDE(name) "|" #name ":n/9"
#define AUDIT_CLIENT_COLUMNS "address=CLIENT|name/1|first_asked:time/9|last_asked:time/2|questions:n/9|attempts:n/4" \
    SQL_OUTCOMES(AUDIT_WIDE) "|update:n/9|last_outcome=LAST|suffixes:list/6|last_host/3" \
    "|last_host_at:time/9=GIVEN|no_host_since:time/1|cadence_ms:span/5=EVERY"
#define AUDIT_COUNTS ",questions,attempts" SQL_OUTCOMES(SQL_COLUMN) ",updates AS \"update\""
/* What a time is, and what it is in the details. */
#define AUDIT_CLIENTS(TIME, DETAIL) SQL_CLIENTS(TIME, AUDIT_COUNTS, \
    ",(SELECT json_group_array(u.name) FROM " SQL_SUFFIXES ") AS \"suffixes[]\"" \
    ",(SELECT json_group_array(json_object('suffix',u.name,'verdict'," SQL_WORD("verdict", "s.verdict") \
    ",'outcome'," SQL_WORD("outcome", "s.outcome") ",'last_asked'," DETAIL("s.last") ")) FROM " SQL_SUFFIXES \
    ") AS \"suffix_details[]\"") ",1000*nullif(cadence_s,0) AS cadence_ms"
/* clang-format on */

/* Reads the options of the filter, checks --sort against the columns (NULL: none),
 * and opens the audit. The code, as of all below that have one; a message is printed. audit_end()
 * either way, which returns it, too. */
int audit_begin(struct audit *, struct ctl *, const char *sortable);
int audit_end(struct audit *);

/* Runs a statement; rows may be NULL. */
int audit_run(struct audit *, json_t *rows, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What the reader returned becomes the code; an error is said. */
int audit_code(struct audit *, int err);
/* The numbers of its first row. */
#define audit_number(a, out, ...)                                                                  \
    ((a)->code != 0 ? (a)->code : audit_code(a, audit_sql((a)->store, out, __VA_ARGS__)))
/* Runs a statement with a JSON value, which it takes, as its parameter: [[option,value]] becomes what
 * is asked for. */
void audit_take(struct audit *, const char *sql, json_t *value);
#define AUDIT_TAKE_ASKED "INSERT INTO asked SELECT value->>0,value->>1 FROM json_each(?)"
/* Those with the largest value, as {label, value}, with their places in a chart of 720 by height and
 * that of a line at the mark (0: none). */
int audit_bars(struct audit *, const struct audit_list *, const struct audit_bars *, json_t *rows);
/* The rows of a list that pass, in order, at most limit (-1: all), with the names
 * of clients if wanted. */
int audit_rows(struct audit *, const struct audit_list *, long long limit, json_t *rows);
/* Prints them, with remarks. */
void audit_print(struct audit *, const struct audit_list *, long long limit);
/* Once, if something is asked that rows of a list with these filters of its own cannot answer: makes
 * the ledger's tables anew from the events that pass, temporary ones that hide the stored. */
void audit_narrow(struct audit *, unsigned own);

/* The name under which a client is recorded; an exit code. And its row, if it has one. */
int audit_client_name(const struct ctl *, const char *text, char out[ADDR_TEXT]);
int audit_story(struct audit *, const char *address, json_t *rows);

/* --- ctl/reports.c. All rows of a report ("stuck", "wrong-suffix"), as objects with the fields of
 * its --json, between audit_begin() and audit_end(). */
int audit_report(struct audit *, const char *name, json_t *rows);
int report_run(struct ctl *); /* `audit report`, and the lists of the ledger */

#endif
