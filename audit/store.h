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

#include "audit/schema.h"
#include "base/compiler.h"
#include "base/diag.h"

struct audit_store; /* opaque */
struct sqlite3;

/* 0; -EBADMSG with path and remedy in d; -errno with a sentence in d. Makes the
 * directory and the file if need be. wal_bytes: how long the log may become
 * before it is written into the database. */
int audit_store_open(struct audit_store **, const char *dir, uint64_t wal_bytes, struct diags *d);
void audit_store_close(struct audit_store *);
/* The file of the directory; freed by the caller, NULL: out of memory. */
char *audit_store_path(const char *dir);
/* Is this an audit of our format? 0; 1 it is empty; -EBADMSG with a sentence in
 * d; -errno. Writes nothing. */
int audit_store_check(struct sqlite3 *, const char *path, struct diags *d);
/* What the library says, as -errno: a full disk is -ENOSPC, damage -EBADMSG. */
int audit_store_error(struct sqlite3 *, int rc);

enum store_table {
    STORE_CLIENT, /* the ledger's */
    STORE_SUFFIX,
    STORE_HOST,
    STORE_RULE,
    STORE_HOUR,
    STORE_LEDGER,
    STORE_SLOT = STORE_LEDGER,
    STORE_EVENT,
    STORE_ANSWER,
    STORE_TEXT,
    STORE_CONTROL,
    STORE_TABLES
};

enum { STORE_SLOTS = 16 /* suffixes of a client */, STORE_SKETCH = 32 };
enum { STORE_NUMBERS = 1 SCHEMA_COMMON(SCHEMA_ONE) SCHEMA_OF_NAME(SCHEMA_ONE) };

/* A row of the ledger: its numbers, and for names the smallest hashes of their clients. */
struct store_row {
    union {
        int64_t numbers[STORE_NUMBERS];
        struct {
            int64_t id;
            SCHEMA_COMMON(SCHEMA_MEMBER)
            union {
                struct {
                    SCHEMA_OF_CLIENT(SCHEMA_MEMBER)
                };
                struct {
                    SCHEMA_OF_NAME(SCHEMA_MEMBER)
                };
            };
        };
    };
    const char *name; /* borrowed; NULL: the row is in the database already */
    uint8_t n_sketch;
    uint32_t sketch[STORE_SKETCH]; /* a client's row ends before */
};
/* Rows of client_suffix and of event. */
union store_slot {
    int64_t numbers[1 SCHEMA_SLOT(SCHEMA_ONE)];
    struct {
        int64_t id;
        SCHEMA_SLOT(SCHEMA_MEMBER)
    };
};
union store_event {
    int64_t numbers[1 SCHEMA_EVENT(SCHEMA_ONE)];
    struct {
        int64_t id;
        SCHEMA_EVENT(SCHEMA_MEMBER)
    };
};

/* By its name, an hour by row->id. 0, -ENOENT, -errno. */
int audit_store_get(struct audit_store *, enum store_table, const char *name, struct store_row *);
/* The suffixes of a client; how many, or -errno. */
int audit_store_get_slots(struct audit_store *, int64_t client, union store_slot[STORE_SLOTS]);
/* Takes a row of the ledger, of client_suffix or of event, new or changed. The
 * numbers are copied, the rest is borrowed until audit_store_flush(): many rows of a
 * table are written by one statement. row: of the ledger only, else NULL. */
int audit_store_put(struct audit_store *, enum store_table, const int64_t *numbers,
                    const struct store_row *row);
int audit_store_flush(struct audit_store *);
/* Adds a row of another table: an i (int64_t) or t (text, NULL is NULL) for each
 * of its columns; those at the end without one are NULL. */
int audit_store_insert(struct audit_store *, enum store_table, const char *types, ...);

/* SQL that is run now and then, with an int64_t for each `?`. 1 and the numbers of
 * its first row in out; 0 it gave none; -errno. out NULL: runs to its end, 0. */
int audit_store_sql(struct audit_store *, int64_t *out, const char *sql, ...);
void audit_store_rollback(struct audit_store *);
/* How many rows of the ledger's table there are without (other), and the last number. */
int audit_store_count(struct audit_store *, enum store_table, int64_t *rows, int64_t *last_id);
/* Removes rows of the ledger that were last touched before that time, and that
 * no event from first_event on names. */
int audit_store_sweep(struct audit_store *, int64_t before_ms, int64_t first_event);

#endif
