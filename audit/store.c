/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the audit's database as its one writer uses it.
 *
 * One file in WAL mode. Its log stays when the last process ends, so that the
 * group can read without the right to write. A database of another program is
 * refused before anything is written. A full disk or a damaged page makes a
 * transaction fail and has no other effect.
 *
 *   event     one row a question or control record; its id is the sequence
 *   answer    what became of a question: few kinds of it, named by number
 *   text      what repeats otherwise: lists of networks, names in odd case, and
 *             clients and suffixes for which the ledger has no row (as -id)
 *   epoch     event, answer and text that came next when the numbering of
 *             answers and texts began anew: what only older events name can go
 *   control   the rest of an event that is no question
 *   client suffix host rule hour   the ledger
 *   client_suffix   the last 16 suffixes of a client: id is 16 * client + place
 *
 * Times are Unix time in ms, 0 or NULL where there is none. An event names the
 * one before of the same client, so that a client's story needs no index.
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

#include "base/str.h"
#include "wire/kms.h"

enum { WAITING = 128, SQL_TEXT = 2048 };

/* Rows of a table that wait for audit_store_flush(). */
struct waiting {
    int n;
    struct {
        int64_t numbers[STORE_NUMBERS];
        const char *name;
        const struct store_row *row; /* for its sketch */
    } rows[WAITING];
};

struct audit_store {
    sqlite3 *db;
    sqlite3_stmt *get[STORE_LEDGER], *get_slots, *put[STORE_TABLES];
    struct waiting waiting[STORE_ANSWER];
    /* SQLite reads those of one of them, which is being written, as the table `waiting`. */
    enum store_table writing;
    int place;
    sqlite3_vtab vtab;
    sqlite3_vtab_cursor cursor;
};

/* clang-format off */
static const char schema_tables[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY,value INTEGER NOT NULL)WITHOUT ROWID;"
    "INSERT INTO meta VALUES('recorded',0),('counted',0),('dropped',0);"
    "CREATE TABLE event(id INTEGER PRIMARY KEY" SCHEMA_EVENT(SCHEMA_COLUMN) ");"
    "CREATE TABLE answer(id INTEGER PRIMARY KEY,forwarder,type,outcome,reason,verdict,server,real_rcode,real_hosts,"
    "unapproved,response,answer,error,rule,would,would_rule,note);"
    "CREATE TABLE text(id INTEGER PRIMARY KEY,text);"
    "CREATE TABLE epoch(event INTEGER PRIMARY KEY,answer,text);"
    "CREATE TABLE control(id INTEGER PRIMARY KEY,forwarder,kind,note,count,at);"
    SCHEMA_SUFFIXES("client_suffix")
    "CREATE TABLE outcome(id INTEGER PRIMARY KEY,word TEXT);"
    "CREATE TABLE verdict(id INTEGER PRIMARY KEY,word TEXT);"
    SCHEMA_LEDGER("client", SCHEMA_CLIENT)
    SCHEMA_LEDGER("suffix", SCHEMA_NAME)
    SCHEMA_LEDGER("host", SCHEMA_NAME)
    SCHEMA_LEDGER("rule", SCHEMA_NAME)
    SCHEMA_LEDGER("hour", SCHEMA_HOUR);

#define COUNTS SCHEMA_COUNTS(SCHEMA_COLUMN)
#define TEXT(id) "(SELECT text FROM text WHERE id=" id ")"
#define BIT(bit, yes) "iif(e.bits&" bit ",'" yes "','')"
#define OF(table, id) "iif(" id ">0,(SELECT name FROM " table " WHERE id=" id ")," TEXT("-" id) ")"
#define NAMED(kind, table, own) \
    "CREATE VIEW " table " AS SELECT name AS " kind ",clients" COUNTS "," own \
    SCHEMA_WORD("verdict", "n.verdict") " AS last_verdict," SCHEMA_WORD("outcome", "n.outcome") " AS last_outcome," \
    "(SELECT r.name FROM rule r WHERE r.id=n.rule) AS last_rule," SCHEMA_ISO("first") " AS first_asked," SCHEMA_ISO("last") " AS last_asked"

static const char schema_views[] =
    "CREATE VIEW events AS SELECT e.id AS sequence,e.ms AS ms," SCHEMA_ISO("e.ms") " AS time,coalesce(k.kind,'event') AS kind,"
    "coalesce(a.forwarder,k.forwarder) AS forwarder," OF("client", "e.client") " AS address,e.port AS port,"
    "iif(e.bits&64,'tcp','udp') AS transport," TEXT("e.networks") " AS networks,"
    "iif(e.asked," TEXT("e.asked") ",'_vlmcs._tcp'||rtrim('.'||" OF("suffix", "e.suffix") ",'.')) AS question,"
    OF("suffix", "e.suffix") " AS suffix,a.type AS type,e.dns_id AS id,"
    "trim(" BIT("8", "RD ") "||" BIT("16", "CD ") "||" BIT("32", "AD ") "||" BIT("4", "DO") ") AS flags,"
    "e.bits&1 AS repeat,(e.bits&2)/2 AS cached,a.outcome AS outcome,a.reason AS reason,a.rule AS rule,"
    "e.serial AS policy_serial,a.verdict AS verdict,a.server AS server,a.real_rcode AS real_rcode,e.real_ms AS real_ms,"
    "a.real_hosts AS real_hosts,a.unapproved AS unapproved,a.response AS response,a.answer AS answer,"
    "iif(a.error>0,printf('0x%08X',2147942400+a.error),NULL) AS client_error,a.would AS would,a.would_rule AS would_rule,"
    "e.latency_us AS latency_us,coalesce(a.note,k.note) AS note,k.count AS count,k.at AS at_ms,e.previous AS previous "
    "FROM event e LEFT JOIN answer a ON a.id=e.answer LEFT JOIN control k ON e.answer IS NULL AND k.id=e.id;"
    "CREATE VIEW clients AS SELECT name AS address," SCHEMA_ISO("first") " AS first_asked," SCHEMA_ISO("last") " AS last_asked" COUNTS ","
    "(SELECT o.word FROM client_suffix s JOIN outcome o ON o.id=s.outcome WHERE " SCHEMA_SLOTS " ORDER BY s.last DESC LIMIT 1)"
    " AS last_outcome,"
    "(SELECT group_concat(u.name,' ') FROM client_suffix s JOIN suffix u ON u.id=s.suffix WHERE " SCHEMA_SLOTS ") AS suffixes,"
    "(SELECT h.name FROM host h WHERE h.id=n.host) AS last_host," SCHEMA_ISO("nullif(host_at,0)") " AS last_host_at,"
    SCHEMA_ISO("nullif(no_host_since,0)") " AS no_host_since,nullif(cadence_s,0) AS cadence_s FROM client n;"
    NAMED("suffix", "suffixes", "") " FROM suffix n;"
    NAMED("target", "targets", "delivered,unapproved,") " FROM host n;"
    NAMED("rule", "rules", "would,") " FROM rule n;"
    "CREATE VIEW hours AS SELECT " SCHEMA_ISO("id*3600000") " AS hour" COUNTS " FROM hour;"
    "CREATE VIEW gaps AS SELECT k.id AS sequence," SCHEMA_ISO("e.ms") " AS time,kind,count," SCHEMA_ISO("nullif(at,0)") " AS since,forwarder,note "
    "FROM control k JOIN event e ON e.id=k.id WHERE kind IN('gap','start','stop','prune');";
/* clang-format on */

static const struct {
    const char *name, *columns;
    int n; /* with the id */
} tables[STORE_TABLES] = {
    [STORE_CLIENT] = {"client", SCHEMA_CLIENT,
                      1 SCHEMA_COMMON(SCHEMA_ONE) SCHEMA_OF_CLIENT(SCHEMA_ONE)},
    [STORE_SUFFIX] = {"suffix", SCHEMA_NAME, STORE_NUMBERS},
    [STORE_HOST] = {"host", SCHEMA_NAME, STORE_NUMBERS},
    [STORE_RULE] = {"rule", SCHEMA_NAME, STORE_NUMBERS},
    [STORE_HOUR] = {"hour", SCHEMA_HOUR, 1 SCHEMA_COMMON(SCHEMA_ONE)},
    [STORE_SLOT] = {"client_suffix", SCHEMA_SLOT(SCHEMA_COLUMN), 1 SCHEMA_SLOT(SCHEMA_ONE)},
    [STORE_EVENT] = {"event", SCHEMA_EVENT(SCHEMA_COLUMN), 1 SCHEMA_EVENT(SCHEMA_ONE)},
    [STORE_ANSWER] = {"answer", NULL, 17},
    [STORE_TEXT] = {"text", NULL, 2},
    [STORE_CONTROL] = {"control", NULL, 6},
};

int audit_store_error(struct sqlite3 *db, int rc)
{
    static const struct {
        int code, error;
    } errors[] = {
        {SQLITE_FULL, ENOSPC},         {SQLITE_NOMEM, ENOMEM}, {SQLITE_CORRUPT, EBADMSG},
        {SQLITE_NOTADB, EBADMSG},      {SQLITE_BUSY, EBUSY},   {SQLITE_LOCKED, EBUSY},
        {SQLITE_INTERRUPT, ETIMEDOUT}, {SQLITE_PERM, EACCES},  {SQLITE_AUTH, EACCES},
        {SQLITE_READONLY, EACCES},
    };

    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if ((rc & 0xff) == errors[i].code)
            return -errors[i].error;
    return sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -EIO;
}

/* --- rows that wait, as a table ------------------------------------------------ */

static int waiting_connect(sqlite3 *db, void *context, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **error)
{
    struct audit_store *s = context;
    char sql[SQL_TEXT];
    struct str text;

    (void)argc, (void)argv, (void)error;
    str_init(&text, sql, sizeof sql);
    str_add(&text, "CREATE TABLE x(");
    for (int i = 0; i < STORE_NUMBERS; i++)
        str_addf(&text, "n%d,", i);
    str_add(&text, "sketch,name)");
    *out = &s->vtab;
    return sqlite3_declare_vtab(db, sql);
}

static int waiting_disconnect(sqlite3_vtab *table)
{
    (void)table;
    return SQLITE_OK;
}

static int waiting_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table, (void)info;
    return SQLITE_OK;
}

static int waiting_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    *out = &container_of(table, struct audit_store, vtab)->cursor;
    return SQLITE_OK;
}

static int waiting_close(sqlite3_vtab_cursor *cursor)
{
    (void)cursor;
    return SQLITE_OK;
}

static int waiting_first(sqlite3_vtab_cursor *cursor, int plan, const char *text, int n,
                         sqlite3_value **values)
{
    (void)plan, (void)text, (void)n, (void)values;
    container_of(cursor, struct audit_store, cursor)->place = 0;
    return SQLITE_OK;
}

static int waiting_next(sqlite3_vtab_cursor *cursor)
{
    container_of(cursor, struct audit_store, cursor)->place++;
    return SQLITE_OK;
}

static int waiting_end(sqlite3_vtab_cursor *cursor)
{
    const struct audit_store *s = container_of(cursor, struct audit_store, cursor);

    return s->place >= s->waiting[s->writing].n;
}

static int waiting_column(sqlite3_vtab_cursor *cursor, sqlite3_context *to, int i)
{
    const struct audit_store *s = container_of(cursor, struct audit_store, cursor);
    const struct waiting *w = &s->waiting[s->writing];
    const struct store_row *row = w->rows[s->place].row;

    if (i < STORE_NUMBERS)
        sqlite3_result_int64(to, w->rows[s->place].numbers[i]);
    else if (i > STORE_NUMBERS)
        sqlite3_result_text(to, w->rows[s->place].name, -1, SQLITE_STATIC);
    else if (s->writing != STORE_CLIENT && row->n_sketch > 0)
        sqlite3_result_blob(to, row->sketch, (int)(row->n_sketch * sizeof *row->sketch),
                            SQLITE_STATIC);
    return SQLITE_OK;
}

static const sqlite3_module waiting_module = {
    .xConnect = waiting_connect,
    .xDisconnect = waiting_disconnect,
    .xBestIndex = waiting_plan,
    .xOpen = waiting_open,
    .xClose = waiting_close,
    .xFilter = waiting_first,
    .xNext = waiting_next,
    .xEof = waiting_end,
    .xColumn = waiting_column, /* nobody asks for a rowid */
};

/* --- open and close ----------------------------------------------------------- */

int audit_store_check(struct sqlite3 *db, const char *path, struct diags *d)
{
    const char *why = "is a database of something else; move it away to begin a new one";
    int application = 0, format = 0, objects = 0, rc;
    sqlite3_stmt *q = NULL;

    rc = sqlite3_prepare_v2(db,
                            "SELECT application_id,user_version,(SELECT count(*) FROM "
                            "sqlite_master) FROM pragma_application_id,pragma_user_version",
                            -1, &q, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        application = sqlite3_column_int(q, 0);
        format = sqlite3_column_int(q, 1);
        objects = sqlite3_column_int(q, 2);
    }
    rc = audit_store_error(db, rc);
    sqlite3_finalize(q);
    if (rc != 0 && rc != -EBADMSG)
        return rc;
    if (rc == 0 && application == SCHEMA_APPLICATION && format == SCHEMA_FORMAT)
        return 0;
    if (rc == 0 && objects == 0 && application == 0 && format == 0)
        return 1;
    if (rc != 0)
        why = "is not an audit database or is damaged; move it away to begin a new one, "
              "or put back a backup";
    else if (application == SCHEMA_APPLICATION && format > SCHEMA_FORMAT)
        why = "has a newer format; install the Waymark that wrote it, or move the file away to "
              "begin a new one";
    diags_add(d, path, 0, 0, "%s", why);
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

static int prepare(struct audit_store *s, sqlite3_stmt **out, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static int prepare(struct audit_store *s, sqlite3_stmt **out, const char *fmt, ...)
{
    char sql[SQL_TEXT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(sql, sizeof sql, fmt, args);
    va_end(args);
    return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

/* The statement that writes rows of the table, those that wait or one of its own. */
static int prepare_put(struct audit_store *s, enum store_table t)
{
    const char *name = tables[t].name, *columns = tables[t].columns;
    char list[512], update[512];
    struct str l, u;

    str_init(&l, list, sizeof list);
    str_init(&u, update, sizeof update);
    for (int i = 1; i < tables[t].n; i++)
        str_addf(&l, columns != NULL ? ",n%d" : ",?", i);
    for (const char *c = columns; c != NULL; c = strchr(c + 1, ','))
        str_addf(&u, ",excluded.%.*s", (int)strcspn(c + 1, ","), c + 1);
    if (columns == NULL)
        return prepare(s, &s->put[t], "INSERT INTO %s VALUES(?%s)", name, list);
    if (t >= STORE_LEDGER)
        return prepare(s, &s->put[t], "INSERT%s INTO %s(id%s) SELECT n0%s FROM waiting",
                       t == STORE_SLOT ? " OR REPLACE" : "", name, columns, list);
    /* The name of a row stays, and its place in the index. */
    return prepare(s, &s->put[t],
                   "INSERT INTO %s(id%s,sketch,name) SELECT n0%s,sketch,name FROM waiting WHERE 1 "
                   "ON CONFLICT(id) DO UPDATE SET (sketch%s)=(excluded.sketch%s)",
                   name, columns, list, columns, update);
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
    if (rc == SQLITE_OK)
        rc = sqlite3_create_module(s->db, "waiting", &waiting_module, s);
    for (int t = 0; t < STORE_TABLES && rc == SQLITE_OK; t++)
        rc = prepare_put(s, (enum store_table)t);
    for (int t = 0; t < STORE_LEDGER && rc == SQLITE_OK; t++)
        rc = prepare(s, &s->get[t], "SELECT id%s,sketch FROM %s WHERE %s=?", tables[t].columns,
                     tables[t].name, t == STORE_HOUR ? "id" : "name");
    if (rc == SQLITE_OK)
        rc = prepare(s, &s->get_slots,
                     "SELECT id%s FROM client_suffix WHERE id BETWEEN ?1 AND ?1+15 ORDER BY id",
                     tables[STORE_SLOT].columns);
    return audit_store_error(s->db, rc);
}

char *audit_store_path(const char *dir)
{
    char *path;

    return asprintf(&path, "%s/audit.db", dir) < 0 ? NULL : path;
}

int audit_store_open(struct audit_store **out, const char *dir, uint64_t wal_bytes, struct diags *d)
{
    struct audit_store *s = calloc(1, sizeof *s);
    char *path = audit_store_path(dir);
    int fd = -1, rc = s != NULL && path != NULL ? 0 : -ENOMEM;

    /* The rights do not depend on the umask; the files beside it get those of the
     * database. Not ours: then its owner has set them. */
    if (rc == 0 && mkdir(dir, 0750) != 0 && errno != EEXIST)
        rc = -errno;
    if (rc == 0) {
        (void)!chmod(dir, 0750);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        rc = fd < 0 ? -errno : 0;
    }
    if (rc == 0) {
        (void)!fchmod(fd, 0640);
        close(fd);
        rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        rc = s->db == NULL ? -ENOMEM : audit_store_error(s->db, rc);
    }
    if (rc == 0) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, 1000);
        rc = audit_store_check(s->db, path, d);
        if (rc == -EBADMSG)
            goto fail;
    }
    if (rc == 1)
        rc = audit_store_error(s->db, create(s->db));
    if (rc == 0)
        rc = configure(s, wal_bytes);
    if (rc == 0) {
        free(path);
        *out = s;
        return 0;
    }
    diags_add(d, path, 0, 0, "cannot be opened: %s", strerror(-rc));
fail:
    free(path);
    audit_store_close(s);
    return rc;
}

void audit_store_close(struct audit_store *s)
{
    if (s == NULL)
        return;
    for (int t = 0; t < STORE_TABLES; t++)
        sqlite3_finalize(s->put[t]);
    for (int t = 0; t < STORE_LEDGER; t++)
        sqlite3_finalize(s->get[t]);
    sqlite3_finalize(s->get_slots);
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
    rc = audit_store_error(s->db, rc);
    if (rc == -EIO && errno > 0)
        rc = -errno; /* a COMMIT does not keep the number */
    sqlite3_reset(q);
    return rc;
}

int audit_store_sql(struct audit_store *s, int64_t *out, const char *sql, ...)
{
    sqlite3_stmt *q = NULL;
    int rc = audit_store_error(s->db, sqlite3_prepare_v2(s->db, sql, -1, &q, NULL));
    va_list args;

    va_start(args, sql);
    for (int i = 1; i <= sqlite3_bind_parameter_count(q); i++)
        sqlite3_bind_int64(q, i, va_arg(args, int64_t));
    va_end(args);
    if (rc == 0)
        do
            rc = step(s, q);
        while (rc == 1 && out == NULL);
    for (int i = 0; rc == 1 && i < sqlite3_column_count(q); i++)
        out[i] = sqlite3_column_int64(q, i);
    sqlite3_finalize(q);
    return rc;
}

int audit_store_insert(struct audit_store *s, enum store_table table, const char *types, ...)
{
    sqlite3_stmt *q = s->put[table];
    va_list args;

    sqlite3_clear_bindings(q);
    va_start(args, types);
    for (int i = 0; types[i] != '\0'; i++)
        if (types[i] == 'i')
            sqlite3_bind_int64(q, i + 1, va_arg(args, int64_t));
        else
            sqlite3_bind_text(q, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
    va_end(args);
    return step(s, q);
}

/* A failed statement may have ended the transaction already. */
void audit_store_rollback(struct audit_store *s)
{
    for (int t = 0; t < STORE_ANSWER; t++)
        s->waiting[t].n = 0;
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- rows --------------------------------------------------------------------------- */

int audit_store_get(struct audit_store *s, enum store_table table, const char *name,
                    struct store_row *row)
{
    sqlite3_stmt *q = s->get[table];
    int rc, n = tables[table].n;
    size_t size;

    if (table == STORE_HOUR)
        sqlite3_bind_int64(q, 1, row->id);
    else
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    rc = step(s, q);
    if (rc != 1)
        return rc == 0 ? -ENOENT : rc;
    for (int i = 0; i < n; i++)
        row->numbers[i] = sqlite3_column_int64(q, i);
    size = (size_t)sqlite3_column_bytes(q, n);
    if (size > 0 && size <= sizeof row->sketch) {
        memcpy(row->sketch, sqlite3_column_blob(q, n), size);
        row->n_sketch = (uint8_t)(size / sizeof *row->sketch);
    }
    sqlite3_reset(q);
    return 0;
}

int audit_store_get_slots(struct audit_store *s, int64_t client,
                          union store_slot slots[STORE_SLOTS])
{
    int rc, n = 0;

    sqlite3_bind_int64(s->get_slots, 1, STORE_SLOTS * client);
    for (; (rc = step(s, s->get_slots)) == 1; n++)
        for (size_t i = 0; i < ARRAY_LEN(slots->numbers); i++)
            slots[n].numbers[i] = sqlite3_column_int64(s->get_slots, (int)i);
    return rc == 0 ? n : rc;
}

static int write_waiting(struct audit_store *s, enum store_table table)
{
    int rc;

    s->writing = table;
    rc = s->waiting[table].n > 0 ? step(s, s->put[table]) : 0;
    s->waiting[table].n = 0;
    return rc;
}

int audit_store_put(struct audit_store *s, enum store_table table, const int64_t *numbers,
                    const struct store_row *row)
{
    struct waiting *w = &s->waiting[table];
    int rc = w->n == WAITING ? write_waiting(s, table) : 0;

    memcpy(w->rows[w->n].numbers, numbers, (size_t)tables[table].n * sizeof *numbers);
    w->rows[w->n].name = row != NULL ? row->name : NULL;
    w->rows[w->n++].row = row;
    return rc;
}

int audit_store_flush(struct audit_store *s)
{
    int rc = 0;

    for (int t = 0; t < STORE_ANSWER && rc == 0; t++)
        rc = write_waiting(s, (enum store_table)t);
    return rc;
}

int audit_store_count(struct audit_store *s, enum store_table table, int64_t *rows,
                      int64_t *last_id)
{
    const char *name = tables[table].name;
    char sql[SQL_TEXT];
    int64_t n[2] = {0};
    int rc;

    snprintf(sql, sizeof sql,
             "SELECT (SELECT count(*) FROM %s)-(SELECT count(*) FROM %s WHERE name='(other)'),"
             "ifnull((SELECT seq FROM sqlite_sequence WHERE name='%s'),0)",
             name, name, name);
    rc = audit_store_sql(s, n, sql);
    *rows = n[0];
    *last_id = n[1];
    return rc == 1 ? 0 : rc;
}

int audit_store_sweep(struct audit_store *s, int64_t before_ms, int64_t first_event)
{
    int rc = audit_store_sql(s, NULL, "DELETE FROM client_suffix WHERE last<?", before_ms);
    char sql[SQL_TEXT];

    for (int t = 0; t < STORE_LEDGER && rc == 0; t++) {
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE last<? AND event<?", tables[t].name);
        rc = audit_store_sql(s, NULL, sql, before_ms, first_event);
    }
    return rc;
}
