/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit.h -- what the audit verbs share: the audit opened, what the options ask
 * for, as SQL, and lists of rows.
 */
#ifndef CTL_AUDIT_H
#define CTL_AUDIT_H

#include "audit/store.h"
#include "base/str.h"
#include "ctl/ctl.h"

/* What is asked for, as bits. An event can answer OF_EVENTS; a client has been given no host;
 * the address is that of audit_begin(); events are in the table picked; a host is not approved. */
enum { OF_CLIENT = 1, OF_NETWORK = 2, OF_SUFFIX = 4, OF_OUTCOME = 8, OF_RULE = 16, OF_TARGET = 32 };
enum { OF_EVENTS = 63, OF_NO_HOST = 64, OF_ADDRESS = 128, OF_PICKED = 256, OF_UNAPPROVED = 512 };
enum { AUDIT_WHERE = 2048 };

struct audit {
    struct ctl *c;
    char *path;                /* of its directory */
    struct audit_store *store; /* an empty one while there is no audit */
    bool absent;
    uint64_t since_ms, until_ms; /* 0 = open */
    unsigned given;
    json_t *asked;    /* [[option,value]] */
    const char *sort; /* NULL: the table's own order */
    bool ascending, order_given;
    long long limit; /* 0: not given; -1: all */
    bool narrowed;   /* the ledger is that of the events that pass */
};

/* A list that a verb prints: rows of a table or view. */
struct audit_list {
    const char *plural;
    unsigned own;           /* what its rows can answer */
    const char *table, *id; /* "client n", "n.id" */
    const char *select;     /* its fields */
    const char *order;      /* by this field, the largest first */
    const struct column *columns;
    const char *foot;
};

/* --- ctl/audit.c: rows of `client n` and `host n`, in lists and reports. */
extern const struct column audit_client_columns[], audit_target_columns[];
/* clang-format off */
#define AUDIT_COUNTS ",questions,attempts" SQL_OUTCOMES(SQL_COLUMN) ",updates AS \"update\""
/* TIME: what a time is in the details. */
#define AUDIT_CLIENTS(TIME) SQL_CLIENTS(SQL_MS, AUDIT_COUNTS, \
    ",(SELECT json_group_array(u.name) FROM " SQL_SUFFIXES ") AS \"suffixes[]\"" \
    ",(SELECT json_group_array(json_object('suffix',u.name,'verdict'," SQL_WORD("verdict", "s.verdict") \
    ",'outcome'," SQL_WORD("outcome", "s.outcome") ",'last_asked'," TIME("s.last") ")) FROM " SQL_SUFFIXES \
    ") AS \"suffix_details[]\"") ",1000*nullif(cadence_s,0) AS cadence_ms"
/* Is another port of the host approved? Then its name is between HOST: and HOST:; (which is behind :9). */
#define AUDIT_TARGETS SQL_NAMES(SQL_MS, AUDIT_COUNTS ",delivered," SQL_BOOL("unapproved") " AS \"unapproved[]\"," SQL_FIRST(SQL_MS) \
    ",iif(n.unapproved,iif(EXISTS(SELECT 1 FROM host h WHERE NOT h.unapproved AND h.name>rtrim(n.name,'0123456789')" \
    " AND h.name<rtrim(n.name,'0123456789')||';'),'port','host or address'),NULL) AS differs,NULL AS state,NULL AS state_since,NULL AS last_error", "target")
/* clang-format on */

/* --- ctl/audit_rows.c. Reads the options of the filter, checks --sort against the columns (NULL: none),
 * and opens the audit. address: of a client, which lists are then about; NULL: none.
 * 0 or an exit code, message printed; audit_end() either way. */
int audit_begin(struct audit *, struct ctl *, const struct column *sortable, const char *address);
void audit_end(struct audit *);
/* Opens the audit, or what may have come to be meanwhile. -errno; no message. */
int audit_open(struct audit *, struct diags *);

/* Runs a statement; rows may be NULL. 0 or an exit code, as of all below. */
int audit_run(struct audit *, json_t *rows, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What the reader returned as an exit code; an error is said. */
int audit_code(struct audit *, int err);
/* The numbers of its first row. */
#define audit_number(a, out, ...) audit_code(a, audit_sql((a)->store, out, __VA_ARGS__))
/* " AND ..." for all that is asked of an event. */
const char *audit_where(const struct audit *, char out[AUDIT_WHERE]);
/* Numbers between which all events lie that --since and --until let pass. */
int audit_span(struct audit *, long long *first, long long *last);
/* Those with the largest value, as {label, value}: SQL over the fields of the list. */
int audit_bars(struct audit *, const struct audit_list *, const char *label, const char *value,
               json_t *rows);
/* The rows of a list that pass, in order, at most limit (-1: all), with the names
 * of clients if wanted. */
int audit_rows(struct audit *, const struct audit_list *, long long limit, json_t *rows);
/* Prints them, with remarks. */
int audit_print(struct audit *, const struct audit_list *, long long limit);

/* --- ctl/audit_events.c. Puts the newest events that pass, at most limit (-1: all), into the table
 * picked. */
int audit_pick(struct audit *, long long limit);
/* Makes the ledger's tables anew from the events that pass: temporary ones that hide the stored. */
int audit_ledger(struct audit *);
/* The same, once, if something is asked that rows of a list with these filters of its own cannot
 * answer. */
int audit_narrow(struct audit *, unsigned own);

/* --- ctl/audit.c. The name under which a client is recorded; an exit code. And the row of the one
 * that audit_begin() named so. */
int audit_client_name(const struct ctl *, const char *text, char out[ADDR_TEXT]);
int audit_story(struct audit *, json_t *rows);

/* --- ctl/reports.c. All rows of a report ("stuck", "wrong-suffix"), as objects with the fields of
 * its --json, between audit_begin() and audit_end(). */
int audit_report(struct audit *, const char *name, json_t *rows);
int report_run(struct ctl *);

#endif
