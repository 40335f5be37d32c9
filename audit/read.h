/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- the audit as the tool reads it: SQL over the tables and views, rows
 * as JSON objects.
 *
 * A query is one short transaction: all its rows are in memory before the caller
 * sees the first, and after 5 s it is ended. So nothing that reads keeps the
 * daemon from writing its log into the database.
 */
#ifndef AUDIT_READ_H
#define AUDIT_READ_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"

struct audit_reader; /* opaque */

int audit_reader_open(struct audit_reader **, const char *dir,
                      struct diags *d); /* 0, -ENOENT, -EBADMSG, -errno */
void audit_reader_close(struct audit_reader *);

/* A parameter: a text, or (NULL) a number. */
struct audit_value {
    const char *text;
    int64_t number;
};
/* Runs one statement and appends its rows to the array (NULL: it has none). A
 * column is a field; "x[]" is JSON and becomes field x, "x?" is a boolean. Apart
 * from SQLite's own there are two functions: within(address, prefix), and
 * below(name, ".parent"). 0; -ETIMEDOUT; -errno. */
int audit_query(struct audit_reader *, const char *sql, const struct audit_value *, int n,
                json_t *rows);
/* Only the first number of the first row; 0 when there is none. */
int audit_number(struct audit_reader *, const char *sql, const struct audit_value *, int n,
                 int64_t *out);
/* Why the last query failed, in SQLite's words. */
const char *audit_reader_message(const struct audit_reader *);
/* Numbers between which all events lie with since <= ms < until (0 = open), and a few more. */
int audit_span(struct audit_reader *, uint64_t since_ms, uint64_t until_ms, int64_t *first,
               int64_t *last);
/* Text that may hold any octets, as a JSON string. */
json_t *audit_json_text(const char *);

#endif
