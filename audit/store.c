/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the audit's database as its one writer uses it.
 *
 * One file in WAL mode, which stays when the last process ends: so the group can
 * read without the right to write. What is not ours is refused before anything
 * is written. A full disk or a damage ends a transaction and nothing else.
 */
#include "audit/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/event.h"
#include "audit/schema.h"
#include "base/str.h"

enum { GET, ADD, PUT, ROW_STATEMENTS };

struct audit_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
    sqlite3_stmt *rows[STORE_TABLES][ROW_STATEMENTS];
};

#define STORE_TEXT(name, sql) sql,
static const char *const statements[] = {STORE_LIST(STORE_TEXT)};
static const struct {
    const char *name, *columns;
    int n;
} tables[STORE_TABLES] = {
    {"client", SCHEMA_CLIENT, N_CLIENT}, {"suffix", SCHEMA_NAME, N_NAME},
    {"host", SCHEMA_NAME, N_NAME},       {"rule", SCHEMA_NAME, N_NAME},
    {"hour", SCHEMA_COMMON, N_COMMON},
};

int store_error(struct sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_INTERRUPT:
        return -ETIMEDOUT;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return -EACCES;
    default:
        return sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -EIO;
    }
}

/* --- open and close ----------------------------------------------------------- */

static int read_pragma(sqlite3 *db, const char *sql, int *out)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        *out = sqlite3_column_int(s, 0);
    }
    rc = store_error(db, rc);
    sqlite3_finalize(s);
    return rc;
}

int store_check(struct sqlite3 *db, const char *path, struct diags *d)
{
    int application = 0, format = 0, objects = 0, rc;

    if ((rc = read_pragma(db, "SELECT count(*) FROM sqlite_master", &objects)) != 0 ||
        (rc = read_pragma(db, "PRAGMA application_id", &application)) != 0 ||
        (rc = read_pragma(db, "PRAGMA user_version", &format)) != 0) {
        if (rc == -EBADMSG)
            diags_add(d, path, 0, 0,
                      "is not an audit database or is damaged; move it away to begin a new one, "
                      "or put back a backup");
        return rc;
    }
    if (objects == 0 && application == 0 && format == 0)
        return 1;
    if (application == SCHEMA_APPLICATION && format == SCHEMA_FORMAT)
        return 0;
    if (application == SCHEMA_APPLICATION && format > SCHEMA_FORMAT)
        diags_add(d, path, 0, 0,
                  "has a newer format; install the Waymark that wrote it, or move the file away to "
                  "begin a new one");
    else
        diags_add(d, path, 0, 0,
                  "is a database of something else; move it away to begin a new one");
    return -EBADMSG;
}

static void add_words(struct str *s, const char *table, const char *const *words)
{
    for (int i = 0; words[i] != NULL; i++)
        str_addf(s, "INSERT INTO %s VALUES(%d,'%s');", table, i, words[i]);
}

/* All of it or nothing. */
static int create(sqlite3 *db)
{
    char text[16384];
    struct str s;

    str_init(&s, text, sizeof text);
    str_addf(&s,
             "PRAGMA auto_vacuum=INCREMENTAL;PRAGMA journal_mode=WAL;BEGIN;"
             "PRAGMA application_id=%d;PRAGMA user_version=%d;",
             SCHEMA_APPLICATION, SCHEMA_FORMAT);
    str_add(&s, schema_tables);
    add_words(&s, "outcome", outcome_names);
    add_words(&s, "verdict", verdict_names);
    str_add(&s, schema_views);
    str_add(&s, "COMMIT");
    return s.cut ? SQLITE_TOOBIG : sqlite3_exec(db, text, NULL, NULL, NULL);
}

static int prepare(struct audit_store *s, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

/* The columns of the table, as they are named or as parameters from ?2 on. */
static int prepare_table(struct audit_store *s, int t)
{
    const char *name = tables[t].name, *columns = tables[t].columns;
    char sql[1024], marks[256];
    struct str m;
    int rc;

    str_init(&m, marks, sizeof marks);
    for (int i = 0; i <= tables[t].n; i++) /* the sketch stands last */
        str_addf(&m, "%s?%d", i > 0 ? "," : "", i + 2);
    snprintf(sql, sizeof sql, "SELECT id,%s,sketch FROM %s WHERE %s=?", columns, name,
             t == STORE_HOUR ? "id" : "name");
    rc = prepare(s, sql, &s->rows[t][GET]);
    snprintf(sql, sizeof sql, "INSERT INTO %s(id,%s,sketch,name) VALUES(?1,%s,?%d)", name, columns,
             marks, tables[t].n + 3);
    if (rc == SQLITE_OK)
        rc = prepare(s, sql, &s->rows[t][ADD]);
    snprintf(sql, sizeof sql, "UPDATE %s SET (%s,sketch)=(%s) WHERE id=?1", name, columns, marks);
    return rc == SQLITE_OK ? prepare(s, sql, &s->rows[t][PUT]) : rc;
}

static int configure(struct audit_store *s, uint64_t wal_bytes)
{
    const uint64_t page = 4096;
    char sql[256];
    int rc, yes = 1;

    snprintf(sql, sizeof sql,
             "PRAGMA synchronous=NORMAL;PRAGMA cache_size=-16384;PRAGMA temp_store=MEMORY;"
             "PRAGMA trusted_schema=OFF;PRAGMA wal_autocheckpoint=%llu;"
             "PRAGMA journal_size_limit=%llu",
             (unsigned long long)(wal_bytes / page), (unsigned long long)wal_bytes);
    rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
    for (int i = 0; i < STORE_STATEMENTS && rc == SQLITE_OK; i++)
        rc = prepare(s, statements[i], &s->statements[i]);
    for (int t = 0; t < STORE_TABLES && rc == SQLITE_OK; t++)
        rc = prepare_table(s, t);
    return store_error(s->db, rc);
}

/* The rights do not depend on the umask; the files beside it get those of the
 * database. Not ours: then its owner has set them. */
static int make_file(const char *dir, const char *path)
{
    int fd;

    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return -errno;
    (void)!chmod(dir, 0750);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    (void)!fchmod(fd, 0640);
    close(fd);
    return 0;
}

char *store_path(const char *dir)
{
    char *path;

    return asprintf(&path, "%s/audit.db", dir) < 0 ? NULL : path;
}

static int open_path(struct audit_store *s, const char *dir, const char *path, uint64_t wal_bytes,
                     struct diags *d)
{
    int rc = make_file(dir, path);

    if (rc == 0) {
        rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        rc = s->db == NULL ? -ENOMEM : store_error(s->db, rc);
    }
    if (rc == 0) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, 1000);
        rc = store_check(s->db, path, d);
        if (rc == -EBADMSG)
            return rc;
    }
    if (rc == 1)
        rc = store_error(s->db, create(s->db));
    if (rc == 0)
        rc = configure(s, wal_bytes);
    if (rc != 0)
        diags_add(d, path, 0, 0, "cannot be opened: %s", strerror(-rc));
    return rc;
}

int store_open(struct audit_store **out, const char *dir, uint64_t wal_bytes, struct diags *d)
{
    struct audit_store *s = calloc(1, sizeof *s);
    char *path = store_path(dir);
    int rc = s != NULL && path != NULL ? open_path(s, dir, path, wal_bytes, d) : -ENOMEM;

    free(path);
    if (rc == 0)
        *out = s;
    else
        store_close(s);
    return rc;
}

void store_close(struct audit_store *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < STORE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    for (int t = 0; t < STORE_TABLES; t++)
        for (int i = 0; i < ROW_STATEMENTS; i++)
            sqlite3_finalize(s->rows[t][i]);
    sqlite3_close(s->db);
    free(s);
}

/* --- statements ------------------------------------------------------------------ */

/* One step; a statement that gives no more rows is reset. */
static int step(struct audit_store *s, sqlite3_stmt *q)
{
    int rc;

    errno = 0;
    rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        return 1;
    rc = store_error(s->db, rc);
    if (rc == -EIO && errno > 0)
        rc = -errno; /* a COMMIT does not keep the number */
    sqlite3_reset(q);
    return rc;
}

int store_run(struct audit_store *s, enum store_statement which, int64_t *out, const char *in, ...)
{
    sqlite3_stmt *q = s->statements[which];
    va_list args;
    int rc;

    va_start(args, in);
    for (int i = 0; in[i] != '\0'; i++)
        if (in[i] == 'i')
            sqlite3_bind_int64(q, i + 1, va_arg(args, int64_t));
        else
            sqlite3_bind_text(q, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
    va_end(args);
    do
        rc = step(s, q);
    while (rc == 1 && out == NULL);
    for (int i = 0; rc == 1 && i < sqlite3_column_count(q); i++)
        out[i] = sqlite3_column_int64(q, i);
    sqlite3_reset(q);
    return rc;
}

int64_t store_changes(struct audit_store *s)
{
    return sqlite3_changes64(s->db);
}

/* A failed statement may have ended the transaction already. */
void store_rollback(struct audit_store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_row_get(struct audit_store *s, enum store_table table, const char *name,
                  struct store_row *row)
{
    sqlite3_stmt *q = s->rows[table][GET];
    int rc, n = tables[table].n;
    size_t size;

    if (name != NULL)
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int64(q, 1, row->id);
    rc = step(s, q);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    row->id = sqlite3_column_int64(q, 0);
    for (int i = 0; i < n; i++)
        row->n[i] = sqlite3_column_int64(q, i + 1);
    size = (size_t)sqlite3_column_bytes(q, n + 1);
    if (size > sizeof row->sketch)
        size = sizeof row->sketch;
    if (size > 0)
        memcpy(row->sketch, sqlite3_column_blob(q, n + 1), size);
    row->n_sketch = (uint8_t)(size / sizeof *row->sketch);
    sqlite3_reset(q);
    return 0;
}

int store_row_put(struct audit_store *s, enum store_table table, const char *name,
                  const struct store_row *row)
{
    sqlite3_stmt *q = s->rows[table][name != NULL ? ADD : PUT];
    int n = tables[table].n;

    sqlite3_bind_int64(q, 1, row->id);
    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(q, i + 2, row->n[i]);
    if (row->n_sketch > 0)
        sqlite3_bind_blob(q, n + 2, row->sketch, (int)(row->n_sketch * sizeof *row->sketch),
                          SQLITE_STATIC);
    else
        sqlite3_bind_null(q, n + 2);
    if (name != NULL)
        sqlite3_bind_text(q, n + 3, *name != '\0' ? name : NULL, -1, SQLITE_STATIC);
    return step(s, q);
}

int store_count(struct audit_store *s, enum store_table table, int64_t *rows, int64_t *last_id)
{
    sqlite3_stmt *q = NULL;
    char sql[256];
    int rc;

    snprintf(sql, sizeof sql,
             "SELECT count(*)-(SELECT count(*) FROM %s WHERE name='(other)'),"
             "ifnull((SELECT seq FROM sqlite_sequence WHERE name='%s'),0) FROM %s",
             tables[table].name, tables[table].name, tables[table].name);
    rc = store_error(s->db, sqlite3_prepare_v2(s->db, sql, -1, &q, NULL));
    if (rc == 0)
        rc = step(s, q);
    if (rc == 1) {
        *rows = sqlite3_column_int64(q, 0);
        *last_id = sqlite3_column_int64(q, 1);
        rc = 0;
    }
    sqlite3_finalize(q);
    return rc;
}

void store_random(void *out, size_t size)
{
    sqlite3_randomness((int)size, out);
}
