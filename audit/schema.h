/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schema.h -- columns and words of the audit's tables, for store.c, which makes
 * the tables, and for who asks them. waymark-audit(5) documents the views over
 * them; the tables are private and may change with the format.
 */
#ifndef AUDIT_SCHEMA_H
#define AUDIT_SCHEMA_H

enum { SCHEMA_FORMAT = 1, SCHEMA_APPLICATION = 0x57594d4b /* "WYMK" */ };

/* clang-format off */
/* Columns behind the id, in their order: tables, statements and rows in memory are made of these lists. */
#define SCHEMA_OUTCOMES(X) X(passed) X(filled) X(replaced) X(filtered) X(denied) X(missing) X(failed) X(blocked)
#define SCHEMA_COUNTS(X) X(questions) X(attempts) SCHEMA_OUTCOMES(X) X(updates) /* which the tool calls update */
#define SCHEMA_COMMON(X) X(first) X(last) X(event) SCHEMA_COUNTS(X) /* of every table of the ledger */
#define SCHEMA_OF_CLIENT(X) X(host) X(host_at) X(no_host_since) X(cadence_s)
#define SCHEMA_OF_NAME(X) X(verdict) X(outcome) X(rule) X(delivered) X(would) X(unapproved) X(clients)
#define SCHEMA_SLOT(X) X(suffix) X(last) X(verdict) X(outcome)
#define SCHEMA_EVENT(X) X(ms) X(client) X(port) X(suffix) X(asked) X(dns_id) X(bits) X(answer) X(networks) \
    X(serial) X(real_ms) X(latency_us) X(previous)
/* clang-format on */

/* What a list becomes: ",first,last", a number for sizes, and members of a struct. */
#define SCHEMA_COLUMN(name) "," #name
#define SCHEMA_ONE(name) +1
#define SCHEMA_MEMBER(name) int64_t name;
#define SCHEMA_CLIENT SCHEMA_COMMON(SCHEMA_COLUMN) SCHEMA_OF_CLIENT(SCHEMA_COLUMN)
#define SCHEMA_NAME SCHEMA_COMMON(SCHEMA_COLUMN) SCHEMA_OF_NAME(SCHEMA_COLUMN)
#define SCHEMA_HOUR SCHEMA_COMMON(SCHEMA_COLUMN)

/* Texts of a column that are parted by spaces, as a JSON array. */
#define SCHEMA_LIST(x) "json('['||iif(" x "='','',replace(json_quote(" x "),' ','\",\"'))||']')"
/* A word of an enum, by its number. */
#define SCHEMA_WORD(list, n) "(SELECT word FROM " list " WHERE id=" n ")"
#define SCHEMA_ISO(ms) "strftime('%Y-%m-%dT%H:%M:%fZ'," ms "/1000.0,'unixepoch')"

/* The two kinds of table of the ledger. Numbers are not given twice: others name them. */
#define SCHEMA_LEDGER(table, columns)                                                              \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY AUTOINCREMENT" columns                          \
    ",sketch,name TEXT UNIQUE);"
#define SCHEMA_SUFFIXES(table)                                                                     \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY" SCHEMA_SLOT(SCHEMA_COLUMN) ");"
/* The rows of client_suffix (s) of a client (n). */
#define SCHEMA_SLOTS "s.id BETWEEN 16*n.id AND 16*n.id+15"

#endif
