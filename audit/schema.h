/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schema.h -- the tables of the audit, their views, and what is said in SQL
 * about an event. waymark-audit(5) documents the views; the tables are ours.
 */
#ifndef AUDIT_SCHEMA_H
#define AUDIT_SCHEMA_H

enum { SCHEMA_FORMAT = 1, SCHEMA_APPLICATION = 0x57594d4b /* "WYMK" */ };

/* Columns that every table of the ledger has, in this order, and those that
 * follow in the table of clients and in those of names. */
#define SCHEMA_OUTCOMES "passed,filled,replaced,filtered,denied,missing,failed,blocked,updates"
#define SCHEMA_COUNTS "questions,attempts," SCHEMA_OUTCOMES
#define SCHEMA_COMMON "first,last,event," SCHEMA_COUNTS
#define SCHEMA_CLIENT SCHEMA_COMMON ",host,host_at,no_host_since,cadence_s"
#define SCHEMA_NAME SCHEMA_COMMON ",verdict,outcome,rule,delivered,would,unapproved,clients"

/* Texts of a column that are parted by spaces, as a JSON array. */
#define SCHEMA_LIST(x) "json('['||iif(" x "='','',replace(json_quote(" x "),' ','\",\"'))||']')"
/* A word of an enum, by its number. */
#define SCHEMA_WORD(list, n) "(SELECT word FROM " list " WHERE id=" n ")"

/* The two kinds of table of the ledger. Numbers are not given twice: others name them. */
#define SCHEMA_LEDGER(table, columns)                                                              \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY AUTOINCREMENT," columns                         \
    ",sketch,name TEXT UNIQUE);"
#define SCHEMA_SUFFIXES(table)                                                                     \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY,suffix,last,verdict,outcome);"
/* The rows of client_suffix (s) of a client (c). */
#define SCHEMA_SLOTS "s.id BETWEEN 16*c.id AND 16*c.id+15"

extern const char schema_tables[], schema_views[];
/* Expressions over the view events: the event as one object in the words of the
 * Elastic Common Schema, and as one sentence. */
extern const char audit_ecs[], audit_words[];

#endif
