/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- the audit's database: its file, the columns of its tables, SQL for who
 * reads it, and what its one writer needs.
 *
 * waymark-audit(5) documents the views; the tables are private and may change with the format.
 */
#ifndef AUDIT_STORE_H
#define AUDIT_STORE_H

#include <jansson.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/compiler.h"
#include "base/str.h"
#include "wire/kms.h"

/* clang-format off */
/* Columns behind the id, in their order: tables, statements and rows in memory are made of these lists. */
#define SQL_OUTCOMES(X) X(passed) X(filled) X(replaced) X(filtered) X(denied) X(missing) X(failed) X(blocked)
#define SQL_COUNTS(X) X(questions) X(attempts) SQL_OUTCOMES(X) X(updates) /* which the tool calls update */
#define SQL_COMMON(X) X(last) X(first) X(event) SQL_COUNTS(X) /* of every table of the ledger */
#define SQL_OF_CLIENT(X) X(host) X(host_at) X(no_host_since) X(cadence_s)
#define SQL_OF_NAME(X) X(verdict) X(outcome) X(rule) X(delivered) X(would) X(clients) X(unapproved) X(asker) X(told)

/* What a list becomes: ",first,last", and a number for sizes. */
#define SQL_COLUMN(name) "," #name
#define SQL_ONE(name) +1
#define SQL_HOUR SQL_COMMON(SQL_COLUMN)
#define SQL_CLIENT SQL_HOUR SQL_OF_CLIENT(SQL_COLUMN)
#define SQL_NAME SQL_HOUR SQL_OF_NAME(SQL_COLUMN)
#define SQL_SLOT ",suffix,last,verdict,outcome"
#define SQL_EVENT ",ms,answer,client,suffix,asked,port,dns_id,bits,serial,real_ms,latency_us,previous"
#define SQL_CHAIN ",last,before,head"
#define SQL_ANSWER ",error,count,at,forwarder,kind,note,type,outcome,reason,verdict,server,real_rcode,real_hosts," \
    "unapproved,response,answer,rule,would,would_rule,networks"

/* Texts of a column that are parted by spaces, as a JSON array. */
#define SQL_LIST(x) "json('['||iif(" x "='','',replace(json_quote(" x "),' ','\",\"'))||']')"
/* A word of an enum, by its number. */
#define SQL_WORD(list, n) "(SELECT word FROM " list " WHERE id=" n ")"
#define SQL_BOOL(x) "iif(" x ",'true','false')"
#define SQL_ISO(ms) "strftime('%Y-%m-%dT%H:%M:%fZ'," ms "/1000.0,'unixepoch')"
#define SQL_MS(ms) ms

/* The rows of client_suffix (s) of a client (n), and the suffix (u) of each. */
#define SQL_SLOTS "s.id BETWEEN 16*n.id AND 16*n.id+15"
#define SQL_SUFFIXES "client_suffix s JOIN suffix u ON u.id=s.suffix WHERE " SQL_SLOTS

/* Fields of a row (n) as views and lists have them, with some of their own behind a comma; what a
 * time is there: SQL_ISO, SQL_MS. */
#define SQL_TIMES(TIME) TIME("n.first") " AS first_asked," TIME("n.last") " AS last_asked"
#define SQL_CLIENTS(TIME, counts, suffixes) \
    "n.name AS address," SQL_TIMES(TIME) counts \
    ",(SELECT " SQL_WORD("outcome", "s.outcome") " FROM client_suffix s WHERE " SQL_SLOTS \
    " ORDER BY s.last DESC LIMIT 1) AS last_outcome" suffixes \
    ",(SELECT h.name FROM host h WHERE h.id=n.host) AS last_host," \
    TIME("nullif(n.host_at,0)") " AS last_host_at," \
    TIME("nullif(n.no_host_since,0)") " AS no_host_since"
#define SQL_NAMES(TIME, counts, kind) \
    "n.name AS " kind ",n.clients AS clients" counts \
    "," SQL_WORD("verdict", "n.verdict") " AS last_verdict" \
    "," SQL_WORD("outcome", "n.outcome") " AS last_outcome" \
    ",(SELECT r.name FROM rule r WHERE r.id=n.rule) AS last_rule," SQL_TIMES(TIME)
/* Of a host that the policy did not approve when the real DNS named it last: since when, who asked
 * then, which server said so; the numbers are those of the stored tables. */
#define SQL_FIRST(TIME) \
    TIME("nullif(n.unapproved,0)") " AS unapproved_since," \
    "(SELECT name FROM main.client WHERE id=n.asker) AS asked_by," \
    "(SELECT server FROM main.answer WHERE id=n.told) AS through"
/* clang-format on */

struct audit_store; /* opaque */

/* To write: makes the directory and the file if need be. wal_bytes: how long the log may become
 * before it is written into the database; 0: to read; dir NULL: an empty one. 0; -ENOENT nothing to
 * read; -EBADMSG with path and remedy in d; -errno, for the writer with a sentence in d. */
int audit_store_open(struct audit_store **, const char *dir, uint64_t wal_bytes, struct diags *d);
void audit_store_close(struct audit_store *);
/* Writes a new file with what the database held when it began, whoever writes meanwhile.
 * progress: is told how many pages of how many are done. 0 or -errno: there is no file then. */
int audit_store_copy(struct audit_store *, const char *path,
                     void (*progress)(const void *context, size_t done, size_t all),
                     const void *context);

/* --- to read ------------------------------------------------------------------------
 *
 * A query is one short transaction: all its rows are in memory before the caller
 * sees the first, and after 5 s it is ended. So nothing that reads keeps the
 * daemon from writing its log into the database. */

/* Runs statements, with the text as their parameter (NULL: it has none), and appends their rows to
 * the array (NULL: it has none). A column is a field; "x[]" is JSON and becomes field x. Functions
 * beside SQLite's own: within(address, prefix), public(address), net(address), its /24 or /64. 0;
 * -ETIMEDOUT; -errno. */
int audit_query(struct audit_store *, const char *sql, const char *text, json_t *rows);
/* The same, with the numbers of its first row in out (or NULL). 1; 0 it gave none; -errno. */
int audit_sql(struct audit_store *, long long *out, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Somebody's own statement, which may only read: the names of its columns, and at most so many rows;
 * 1: there are more. -EINVAL with what is wrong in d; -ETIMEDOUT; 0. After it the store does
 * nothing else. */
int audit_ask(struct audit_store *, const char *sql, long long most, json_t *names, json_t *rows,
              struct diags *d);

/* Is the audit what was recorded? */
struct audit_verified {
    long long first, last; /* records; 0: there are none */
    uint8_t head[CHAIN_HEAD];
    long long found;  /* the record with which the wanted head ended; 0: none */
    char broken[200]; /* the first problem; "": the chain is whole */
};
/* Reads all records, and makes the chain anew. wanted: a head that was told before, or NULL. tell:
 * called now and then, with how many records are done, of all; may be NULL. A daemon may go on to
 * write meanwhile. 0 or -errno. */
int audit_verify(struct audit_store *, const uint8_t *wanted,
                 void (*tell)(const void *context, size_t done, size_t all), const void *context,
                 struct audit_verified *out);
/* Text that may hold any octets, as a JSON string. */
json_t *audit_json_text(const char *);

/* What Windows shows, with its story (wire/kms.h), as the API has it. */
json_t *audit_windows_json(uint32_t code, enum kms_outcome);

/* --- to write: private to audit/ ----------------------------------------------------- */

struct sqlite3_stmt;

/* In a store that writes, the first error, perhaps one of the caller's own, is that of all statements
 * behind it, until it is taken: 0 or -errno. */
void audit_store_fail(struct audit_store *, int rc);
int audit_store_error(struct audit_store *);
/* A statement, which ends with the store; one step of it: 1 a row, 0 the end, and it can
 * be begun again. Or -errno. */
int audit_store_prepare(struct audit_store *, const char *sql, struct sqlite3_stmt **);
int audit_store_step(struct audit_store *, struct sqlite3_stmt *);

#endif
