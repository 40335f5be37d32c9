/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- the audit's database as its one writer uses it. Private to audit/;
 * store.c and read.c are the only files that know SQLite.
 */
#ifndef AUDIT_STORE_H
#define AUDIT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

struct audit_store; /* opaque */
struct sqlite3;

/* 0; -EBADMSG with path and remedy in d; -errno with a sentence in d. Makes the
 * directory and the file if need be. wal_bytes: how long the log may become
 * before it is written into the database. */
int store_open(struct audit_store **, const char *dir, uint64_t wal_bytes, struct diags *d);
void store_close(struct audit_store *);
/* The file of the directory; freed by the caller, NULL: out of memory. */
char *store_path(const char *dir);
/* Is this an audit of our format? 0; 1 it is empty; -EBADMSG with a sentence in
 * d; -errno. Writes nothing. */
int store_check(struct sqlite3 *, const char *path, struct diags *d);
/* What the library says, as -errno: a full disk is -ENOSPC, damage -EBADMSG. */
int store_error(struct sqlite3 *, int rc);

/* The ledger's tables. A row: its number, what it counts (n), and for names the
 * smallest hashes of their clients. */
enum store_table { STORE_CLIENT, STORE_SUFFIX, STORE_HOST, STORE_RULE, STORE_HOUR, STORE_TABLES };
enum store_number {
    N_FIRST,
    N_LAST,
    N_EVENT, /* the last one that names this row */
    N_QUESTIONS,
    N_ATTEMPTS,
    N_OUTCOMES, /* nine, from OUTCOME_PASSED on */
    N_COMMON = N_OUTCOMES + 9,
    N_HOST = N_COMMON, /* of a client */
    N_HOST_AT,
    N_NO_HOST_SINCE,
    N_CADENCE_S,
    N_CLIENT,
    N_VERDICT = N_COMMON, /* of a name */
    N_OUTCOME,
    N_RULE,
    N_DELIVERED,
    N_WOULD,
    N_UNAPPROVED,
    N_CLIENTS,
    N_NAME
};
enum { STORE_SKETCH = 32 };
struct store_row {
    int64_t id;
    int64_t n[N_NAME];
    uint8_t n_sketch;
    uint32_t sketch[STORE_SKETCH];
};
/* By its name, an hour by row->id. 0, -ENOENT, -errno. */
int store_row_get(struct audit_store *, enum store_table, const char *name, struct store_row *);
/* name NULL: the row is there already. */
int store_row_put(struct audit_store *, enum store_table, const char *name,
                  const struct store_row *);

/* All other statements, by name; STORE_LIST is the only place that knows them. */
#define STORE_LIST(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ADD_META, "UPDATE meta SET value=value+?2 WHERE name=?1")                                    \
    X(ADD_EVENT, "INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                          \
    X(ADD_ANSWER, "INSERT INTO answer VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")                  \
    X(ADD_TEXT, "INSERT INTO text VALUES(?,?)")                                                    \
    X(ADD_EPOCH, "INSERT OR REPLACE INTO epoch VALUES(?,?,?)")                                     \
    X(ADD_CONTROL, "INSERT INTO control VALUES(?,?,?,?,?,?)")                                      \
    X(ADD_NOTE, "INSERT INTO control(id,forwarder,kind,note) VALUES(?,?,?,?)")                     \
    X(ADD_MARK, "INSERT INTO event(id,ms) VALUES(?,?)")                                            \
    X(LAST_IDS, "SELECT max((SELECT ifnull(max(id),0)FROM event),"                                 \
                "(SELECT ifnull(max(event),1)FROM epoch)-1),"                                      \
                "max((SELECT ifnull(max(id),0)FROM answer),"                                       \
                "(SELECT ifnull(max(answer),1)FROM epoch)-1),"                                     \
                "max((SELECT ifnull(max(id),0)FROM text),"                                         \
                "(SELECT ifnull(max(text),1)FROM epoch)-1)")                                       \
    X(GET_SLOT, "SELECT id,suffix,last,verdict,outcome FROM client_suffix "                        \
                "WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1")                                    \
    X(PUT_SLOT, "INSERT OR REPLACE INTO client_suffix VALUES(?,?,?,?,?)")                          \
    X(FIRST_EVENT, "SELECT id FROM event ORDER BY id LIMIT 1")                                     \
    X(FIRST_YOUNGER, "SELECT id FROM event WHERE ms>=? AND id<? ORDER BY id LIMIT 1")              \
    X(LATEST, "SELECT max(ms) FROM event WHERE id<?")                                              \
    X(CUT_EVENTS, "DELETE FROM event WHERE id<?")                                                  \
    X(CUT_CONTROLS, "DELETE FROM control WHERE id<?")                                              \
    X(OLDEST_EPOCH,                                                                                \
      "SELECT event,answer,text FROM epoch WHERE event<=? ORDER BY event DESC LIMIT 1")            \
    X(CUT_EPOCHS, "DELETE FROM epoch WHERE event<?")                                               \
    X(CUT_ANSWERS, "DELETE FROM answer WHERE id<?")                                                \
    X(CUT_TEXTS, "DELETE FROM text WHERE id<?")                                                    \
    X(SWEEP_CLIENTS, "DELETE FROM client WHERE last<?1 AND event<?2")                              \
    X(SWEEP_SUFFIXES, "DELETE FROM suffix WHERE last<?1 AND event<?2")                             \
    X(SWEEP_HOSTS, "DELETE FROM host WHERE last<?1 AND event<?2")                                  \
    X(SWEEP_RULES, "DELETE FROM rule WHERE last<?1 AND event<?2")                                  \
    X(SWEEP_HOURS, "DELETE FROM hour WHERE last<?1 AND 1<?2")                                      \
    X(SWEEP_SLOTS, "DELETE FROM client_suffix WHERE last<?")                                       \
    X(VACUUM, "PRAGMA incremental_vacuum(2000)")                                                   \
    X(PAGES, "SELECT p.page_count-f.freelist_count,f.freelist_count,s.page_size FROM "             \
             "pragma_page_count p,pragma_freelist_count f,pragma_page_size s")
#define STORE_ENUM(name, sql) STORE_##name,
enum store_statement { STORE_LIST(STORE_ENUM) STORE_STATEMENTS };

/* Runs one: `in` has a letter for each parameter, i (int64_t) or t (text, NULL
 * is NULL). 1 and the numbers of its first row in out; 0 it gave none; -errno.
 * out NULL: runs it to its end, 0. */
int store_run(struct audit_store *, enum store_statement, int64_t *out, const char *in, ...);
/* Rows that the last statement removed. */
int64_t store_changes(struct audit_store *);
void store_rollback(struct audit_store *);
/* How many rows of the ledger's table there are without (other), and the last number. */
int store_count(struct audit_store *, enum store_table, int64_t *rows, int64_t *last_id);
/* A secret that changes with each start. */
void store_random(void *out, size_t size);

#endif
