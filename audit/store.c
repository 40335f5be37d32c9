/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the audit's database, as its one writer and its readers use it.
 *
 * One file in WAL mode. Its log stays when the last process ends, so that the group can read
 * without the right to write. A database of another program is refused before anything is written.
 * A full disk or a damaged page makes a transaction fail and has no other effect.
 *
 *   event     one row a question or control record; its id is the sequence
 *   answer    what events have in common, or all that a control record says; its id
 *             is that of the first event that names it
 *   client suffix host rule hour   the ledger
 *   chain     a segment of the chain over the records (chain.h): its id is that of the first
 *   blind     what stands in the chain for the client of a record that was forgotten by itself
 *   output    how far each output has come
 *   client_suffix   the last 16 suffixes of a client: id is 16 * client + place
 *
 * Times are Unix time in ms, 0 or NULL where there is none. An event names the
 * one before of the same client, so that a client's story needs no index. Its client
 * and suffix are numbers of the ledger's rows, or texts where the ledger has none.
 */
#include "audit/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"

enum { FORMAT = 4, APPLICATION = 0x57594d4b /* "WYMK" */ };
enum { CHECK_EVERY = 10000 /* instructions of SQLite */, QUERY_MS = 5000 /* at most */ };

struct audit_store {
    sqlite3 *db;
    struct chain *chain;  /* for digest() */
    uint64_t deadline_ms; /* of a reader's statement */
    bool writes;
    int error; /* the first one, until it is taken */
};

/* clang-format off */
/* Numbers of the ledger are not given twice. */
#define TABLE(name, columns) "CREATE TABLE " name "(id INTEGER PRIMARY KEY" columns ");"
#define LEDGER(name, columns) TABLE(name, " AUTOINCREMENT,name TEXT UNIQUE" columns ",sketch")
static const char schema_tables[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY,value INTEGER NOT NULL)WITHOUT ROWID;"
    "INSERT INTO meta VALUES('recorded',0),('counted',0),('dropped',0);"
    "CREATE TABLE output(name TEXT PRIMARY KEY,sequence INTEGER NOT NULL)WITHOUT ROWID;"
    TABLE("outcome", ",word") TABLE("verdict", ",word")
    TABLE("chain", SQL_CHAIN) TABLE("blind", ",digest")
    LEDGER("client", SQL_CLIENT ",salt,digest") LEDGER("suffix", SQL_NAME) LEDGER("host", SQL_NAME)
    LEDGER("rule", SQL_NAME) LEDGER("hour", SQL_HOUR)
    TABLE("client_suffix", SQL_SLOT) TABLE("event", SQL_EVENT) TABLE("answer", SQL_ANSWER);

#define COUNTS SQL_COUNTS(SQL_COLUMN)
#define BIT(bit, yes) "iif(bits&" bit ",'" yes "','')"
#define OF(table, id) "iif(typeof(" id ")='text'," id ",(SELECT name FROM " table " WHERE id=" id "))"
static const char schema_views[] =
    "CREATE VIEW events AS SELECT e.id AS sequence,ms," SQL_ISO("ms") " AS time,kind,forwarder,"
    OF("client", "e.client") " AS address,port,iif(bits&64,'tcp','udp') AS transport,networks,"
    "coalesce(asked,'_vlmcs._tcp'||rtrim('.'||" OF("suffix", "e.suffix") ",'.')) AS question,"
    OF("suffix", "e.suffix") " AS suffix,type,dns_id AS id,"
    "trim(" BIT("8", "RD ") "||" BIT("16", "CD ") "||" BIT("32", "AD ") "||" BIT("4", "DO") ") AS flags,"
    "bits&1 AS repeat,(bits&2)/2 AS cached,outcome,reason,rule,serial AS policy_serial,"
    "verdict,server,real_rcode,real_ms,real_hosts,unapproved,response,a.answer,"
    "iif(error>0,printf('0x%08X',2147942400+error),NULL) AS client_error,"
    "would,would_rule,latency_us,note,count,at AS at_ms,previous "
    "FROM event e LEFT JOIN answer a ON a.id=e.answer;"
    "CREATE VIEW clients AS SELECT "
    SQL_CLIENTS(SQL_ISO, COUNTS, ",(SELECT group_concat(u.name,' ') FROM " SQL_SUFFIXES ") AS suffixes")
    ",nullif(cadence_s,0) AS cadence_s FROM client n;"
    "CREATE VIEW suffixes AS SELECT " SQL_NAMES(SQL_ISO, COUNTS, "suffix") " FROM suffix n;"
    "CREATE VIEW targets AS SELECT "
    SQL_NAMES(SQL_ISO, COUNTS ",delivered,n.unapproved>0 AS unapproved," SQL_FIRST(SQL_ISO), "target")
    " FROM host n;"
    "CREATE VIEW rules AS SELECT " SQL_NAMES(SQL_ISO, COUNTS ",would", "rule") " FROM rule n;"
    "CREATE VIEW hours AS SELECT " SQL_ISO("id*3600000") " AS hour" COUNTS " FROM hour;"
    "CREATE VIEW gaps AS SELECT e.id AS sequence," SQL_ISO("ms") " AS time,kind,count,"
    SQL_ISO("nullif(at,0)") " AS since,forwarder,note "
    "FROM answer a JOIN event e ON e.id=a.id WHERE kind IN('gap','start','stop','prune','forget');";
/* clang-format on */

/* What the library says, as -errno: a full disk is -ENOSPC, damage -EBADMSG. */
static int error_of(sqlite3 *db, int rc)
{
    static const struct {
        int code, error;
    } errors[] = {
        {SQLITE_FULL, ENOSPC},     {SQLITE_NOMEM, ENOMEM},        {SQLITE_CORRUPT, EBADMSG},
        {SQLITE_NOTADB, EBADMSG},  {SQLITE_INTERRUPT, ETIMEDOUT}, {SQLITE_BUSY, EBUSY},
        {SQLITE_READONLY, EACCES},
    };

    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if ((rc & 0xff) == errors[i].code)
            return -errors[i].error;
    return sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -EIO;
}

static void within(sqlite3_context *context, int n, sqlite3_value **v)
{
    const char *address = (const char *)sqlite3_value_text(v[0]);
    const char *net = (const char *)sqlite3_value_text(v[1]);
    struct prefix prefix;
    struct addr a;

    (void)n;
    sqlite3_result_int(context, address != NULL && net != NULL && addr_parse(&a, address, 0) == 0 &&
                                    prefix_parse(&prefix, net) == NULL &&
                                    prefix_contains(&prefix, a.ip));
}

/* Is it an address that anybody on the Internet can have? */
static void is_public(sqlite3_context *context, int n, sqlite3_value **v)
{
    const char *address = (const char *)sqlite3_value_text(v[0]);
    struct addr a;

    (void)n;
    sqlite3_result_int(context, address != NULL && addr_parse(&a, address, 0) == 0 &&
                                    !addr_is(&a, ADDR_PRIVATE));
}

/* The /24 or /64 of an address; other texts stay. */
static void net_of(sqlite3_context *context, int n, sqlite3_value **v)
{
    const char *address = (const char *)sqlite3_value_text(v[0]);
    char text[PREFIX_TEXT];
    struct prefix net;
    struct addr a;

    (void)n;
    if (address == NULL || addr_parse(&a, address, 0) != 0) {
        sqlite3_result_value(context, v[0]);
        return;
    }
    net.len = addr_is_v4(&a) ? 96 + 24 : 64;
    memcpy(net.ip, a.ip, sizeof net.ip);
    prefix_mask(net.ip, net.len);
    sqlite3_result_text(context, prefix_print(&net, text), -1, SQLITE_TRANSIENT);
}

/* The digest of its arguments, as the chain has it (chain.h). */
static void digest(sqlite3_context *context, int n, sqlite3_value **v)
{
    const struct audit_store *s = sqlite3_user_data(context);
    uint8_t out[CHAIN_DIGEST];

    chain_begin(s->chain, NULL);
    for (int i = 0; i < n; i++)
        chain_sql(s->chain, v[i]);
    chain_end(s->chain, out);
    sqlite3_result_blob(context, out, sizeof out, SQLITE_TRANSIENT);
}

static const struct function {
    const char *name;
    int arguments;
    void (*call)(sqlite3_context *, int, sqlite3_value **);
} functions[] = {
    {"within", 2, within}, {"public", 1, is_public}, {"net", 1, net_of}, {"digest", -1, digest}};

static int over_time(void *context)
{
    const struct audit_store *s = context;

    return clock_now().mono_ms > s->deadline_ms;
}

int audit_store_prepare(struct audit_store *s, const char *sql, sqlite3_stmt **q)
{
    return error_of(s->db, sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, q, NULL));
}

int audit_store_step(struct audit_store *s, sqlite3_stmt *q)
{
    int rc;

    if (s->error != 0)
        return s->error;
    errno = 0;
    if (!sqlite3_stmt_busy(q)) /* it begins: its rows have this time together */
        s->deadline_ms = clock_now().mono_ms + QUERY_MS;
    rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        return 1;
    rc = error_of(s->db, rc);
    if (rc == -EIO && errno > 0)
        rc = -errno; /* a COMMIT does not keep the number */
    sqlite3_reset(q);
    audit_store_fail(s, rc);
    return rc;
}

void audit_store_fail(struct audit_store *s, int rc)
{
    if (s->writes && s->error == 0)
        s->error = rc;
}

int audit_store_error(struct audit_store *s)
{
    const int rc = s->error;

    s->error = 0;
    return rc;
}

/* Is this an audit of our format? 1; 0 it is empty; -EBADMSG with a sentence in
 * d; -errno. Writes nothing. */
static int check(struct audit_store *s, const char *path, struct diags *d)
{
    const char *why = "is a database of something else; move it away to begin a new one";
    long long v[3] = {0}; /* application, format, how many tables */
    int rc = audit_sql(s, v,
                       "PRAGMA trusted_schema=OFF;"
                       "SELECT application_id,user_version,(SELECT count(*) FROM sqlite_master)"
                       " FROM pragma_application_id,pragma_user_version");

    if (rc != 1 && rc != -EBADMSG)
        return rc;
    if (rc == 1 && v[0] == 0 && v[1] == 0 && v[2] == 0)
        return 0;
    if (rc != 1)
        why = "is not an audit database or is damaged; move it away to begin a new one, "
              "or put back a backup";
    else if (v[0] == APPLICATION && v[1] == FORMAT)
        return 1;
    else if (v[0] == APPLICATION)
        why = v[1] > FORMAT ? "has a newer format; install the Waymark that wrote it, or move "
                              "the file away to begin a new one"
                            : "has an older format; move it away to begin a new one";
    diags_tell(d, "%s %s", path, why);
    return -EBADMSG;
}

/* All of it or nothing. */
static int create(struct audit_store *s)
{
    int rc = audit_sql(
        s, NULL,
        "PRAGMA page_size=4096;PRAGMA auto_vacuum=INCREMENTAL;PRAGMA journal_mode=WAL;BEGIN;"
        "PRAGMA application_id=%d;PRAGMA user_version=%d;%s%s",
        APPLICATION, FORMAT, schema_tables, schema_views);

    for (int i = 0; i < OUTCOMES && rc == 0; i++)
        rc = audit_sql(s, NULL, "INSERT INTO outcome VALUES(%d,'%s')", i, outcome_names[i]);
    for (int i = 0; i < VERDICTS && rc == 0; i++)
        rc = audit_sql(s, NULL, "INSERT INTO verdict VALUES(%d,'%s')", i, verdict_names[i]);
    return rc == 0 ? audit_sql(s, NULL, "COMMIT") : rc;
}

/* The rights do not depend on the umask; the files beside it get those of the
 * database. Not ours: then its owner has set them. */
static int make_database_file(const char *dir, const char *path)
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

int audit_store_open(struct audit_store **out, const char *dir, uint64_t wal_bytes, struct diags *d)
{
    const bool makes = wal_bytes > 0 || dir == NULL;
    const int flags = (makes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX;
    struct audit_store *s = calloc(1, sizeof *s);
    char path[PATH_MAX] = ":memory:";
    int rc = 0, yes = 1;

    if (s == NULL || (s->chain = chain_new()) == NULL) {
        free(s);
        return -ENOMEM;
    }
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a lock for each allocation */
    if (dir) {
        snprintf(path, sizeof path, "%s/audit.db", dir);
        rc = wal_bytes > 0 ? make_database_file(dir, path) : access(path, R_OK) != 0 ? -errno : 0;
    }
    if (rc == 0) {
        rc = sqlite3_open_v2(path, &s->db, flags, NULL);
        rc = s->db == NULL ? -ENOMEM : error_of(s->db, rc);
    }
    if (rc == 0) {
        sqlite3_busy_timeout(s->db, 1000);
        sqlite3_progress_handler(s->db, wal_bytes > 0 ? 0 : CHECK_EVERY, over_time, s);
    }
    for (size_t i = 0; i < ARRAY_LEN(functions) && rc == 0; i++)
        rc = error_of(s->db,
                      sqlite3_create_function(s->db, functions[i].name, functions[i].arguments,
                                              SQLITE_UTF8, s, functions[i].call, NULL, NULL));
    if (rc == 0)
        rc = check(s, path, d);
    if (rc == 0)
        rc = makes ? create(s) : -ENOENT;
    if (rc >= 0 && wal_bytes > 0) {
        (void)sqlite3_file_control(s->db, "main", SQLITE_FCNTL_PERSIST_WAL, &yes);
        /* FULL: NORMAL syncs the log at checkpoints alone, and a power cut takes all since then. */
        rc = audit_sql(s, NULL,
                       "PRAGMA synchronous=FULL;PRAGMA cache_size=-4096;PRAGMA temp_store=MEMORY;"
                       "PRAGMA wal_autocheckpoint=%llu;PRAGMA journal_size_limit=%llu",
                       (unsigned long long)(wal_bytes / 4096), (unsigned long long)wal_bytes);
    }
    s->writes = wal_bytes > 0;
    if (rc >= 0) {
        *out = s;
        return 0;
    }
    if (wal_bytes > 0 && rc != -EBADMSG)
        diags_tell(d, "%s cannot be opened: %s", path, strerror(-rc));
    audit_store_close(s);
    return rc;
}

void audit_store_close(struct audit_store *s)
{
    sqlite3_stmt *q;

    if (s == NULL)
        return;
    while (s->db != NULL && (q = sqlite3_next_stmt(s->db, NULL)) != NULL)
        sqlite3_finalize(q);
    sqlite3_close(s->db);
    chain_free(s->chain);
    free(s);
}

/* The library makes every path a full one, which may lead through folders that are closed to us. */
static int keep_path(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)n, "%s", path) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

int audit_store_copy(struct audit_store *s, const char *path,
                     void (*progress)(const void *context, size_t done, size_t all),
                     const void *context)
{
    enum { PAGES = 1000 }; /* between two words about it */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640), rc, step = 0;
    static sqlite3_vfs files;
    sqlite3_backup *copy = NULL;
    sqlite3 *to = NULL;

    if (fd < 0 || close(fd) != 0)
        return -errno;
    files = *sqlite3_vfs_find(NULL);
    files.zName = "as-written";
    files.xFullPathname = keep_path;
    (void)sqlite3_vfs_register(&files, 0);
    rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, files.zName);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(to, "PRAGMA journal_mode=OFF", NULL, NULL,
                          NULL); /* it may as well be gone */
    rc = to == NULL ? -ENOMEM : error_of(to, rc);
    /* All of it is read in one transaction: nothing begins anew when the daemon writes. */
    if (rc == 0)
        rc = audit_sql(s, NULL, "BEGIN;SELECT count(*) FROM sqlite_master");
    if (rc == 0 && (copy = sqlite3_backup_init(to, "main", s->db, "main")) == NULL)
        rc = error_of(to, sqlite3_errcode(to));
    while (copy != NULL && (step = sqlite3_backup_step(copy, PAGES)) == SQLITE_OK)
        progress(context, (size_t)(sqlite3_backup_pagecount(copy) - sqlite3_backup_remaining(copy)),
                 (size_t)sqlite3_backup_pagecount(copy));
    if (copy) {
        rc = error_of(to, step);
        (void)sqlite3_backup_finish(copy);
    }
    (void)audit_sql(s, NULL, "ROLLBACK"); /* of a read */
    sqlite3_close(to);
    (void)sqlite3_vfs_unregister(&files);
    if (rc != 0)
        unlink(path);
    return rc;
}

json_t *audit_json_text(const char *text)
{
    json_t *v = json_string(text); /* NULL: not UTF-8 */
    char buf[1024];
    struct str s;

    if (v)
        return v;
    str_init(&s, buf, sizeof buf);
    str_add_escaped(&s, text, strlen(text));
    return json_string(buf);
}

json_t *audit_windows_json(uint32_t code, enum kms_outcome outcome)
{
    const struct windows_row row = windows_find(code, outcome);
    char text[16];

    snprintf(text, sizeof text, "0x%08X", (unsigned)code);
    /* clang-format off */
    return json_pack("{s:s?,s:s,s:s,s:s,s:s,s:s}",
                     "code", code != 0 ? text : NULL,
                     "text", row.text,
                     "article", row.article,
                     "remedy", row.remedy,
                     "slmgr", row.slmgr,
                     "powershell", row.powershell);
    /* clang-format on */
}

/* Appends a row: an object with a field for each column; "x[]" is JSON. 0; -ENOMEM. */
static int append_row(sqlite3_stmt *q, json_t *rows)
{
    json_t *row = json_object(), *value;

    for (int i = 0; i < sqlite3_column_count(q); i++) {
        const char *name = sqlite3_column_name(q, i);
        const int type = sqlite3_column_type(q, i);
        const char *cell = (const char *)sqlite3_column_text(q, i);
        const size_t len = strcspn(name, "[");
        const bool is_json = strcmp(name + len, "[]") == 0;

        if (cell == NULL)
            value = json_null();
        else if (is_json)
            value = json_loads(cell, JSON_DECODE_ANY, NULL);
        else if (type == SQLITE_INTEGER)
            value = json_integer(sqlite3_column_int64(q, i));
        else if (type == SQLITE_FLOAT)
            value = json_real(sqlite3_column_double(q, i));
        else
            value = audit_json_text(cell);
        (void)json_object_setn_new(row, name, is_json ? len : strlen(name), value);
    }
    return json_array_append_new(rows, row) == 0 ? 0 : -ENOMEM;
}

int audit_query(struct audit_store *s, const char *sql, const char *text, json_t *rows)
{
    sqlite3_stmt *q;
    int rc = sql ? s->error : -ENOMEM;

    for (; rc == 0 && *sql != '\0'; sqlite3_finalize(q)) {
        rc = error_of(s->db, sqlite3_prepare_v2(s->db, sql, -1, &q, &sql));
        if (rc == 0 && text != NULL)
            sqlite3_bind_text(q, 1, text, -1, SQLITE_STATIC);
        while (rc == 0 && (rc = audit_store_step(s, q)) == 1)
            rc = rows ? append_row(q, rows) : 0;
    }
    audit_store_fail(s, rc);
    return rc;
}

/* What somebody's own statement may do. */
static int may_read(void *context, int action, const char *a, const char *b, const char *c,
                    const char *d)
{
    const bool may = action == SQLITE_SELECT || action == SQLITE_READ ||
                     action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE;

    (void)context, (void)a, (void)b, (void)c, (void)d;
    return may ? SQLITE_OK : SQLITE_DENY;
}

int audit_ask(struct audit_store *s, const char *sql, long long most, json_t *names, json_t *rows,
              struct diags *d)
{
    sqlite3_stmt *q = NULL, *other = NULL;
    const char *rest = sql;
    int rc, at;

    sqlite3_set_authorizer(s->db, may_read, NULL);
    rc = error_of(s->db, sqlite3_prepare_v2(s->db, sql, -1, &q, &rest));
    at = sqlite3_error_offset(s->db);
    if (rc != 0 && at >= 0)
        diags_tell(d, "%s, at character %d", sqlite3_errmsg(s->db), at + 1);
    else if (rc != 0)
        diags_tell(d,
                   sqlite3_errcode(s->db) == SQLITE_AUTH ? "only what reads is run (SQLite: %s)"
                                                         : "%s; the views are in waymark-audit(5)",
                   sqlite3_errmsg(s->db));
    else if (q == NULL || sqlite3_prepare_v2(s->db, rest, -1, &other, NULL) != SQLITE_OK ||
             other != NULL)
        diags_tell(d, "one statement is run, no more and no less");
    for (int i = 0; i < sqlite3_column_count(q) && d->n == 0; i++) {
        const char *name = sqlite3_column_name(q, i);

        for (int k = 0; k < i; k++) /* rows have a field for each */
            if (strcmp(name, sqlite3_column_name(q, k)) == 0)
                diags_tell(d, "two columns are called %s: rename one with AS", name);
        json_array_append_new(names, audit_json_text(name));
    }
    while (d->n == 0 && (rc = audit_store_step(s, q)) == 1 && most-- > 0)
        (void)append_row(q, rows);
    if (rc < 0 && rc != -ETIMEDOUT && d->n == 0)
        diags_tell(d, "%s", sqlite3_errmsg(s->db));
    sqlite3_finalize(q);
    sqlite3_finalize(other);
    return d->n > 0 ? -EINVAL : rc;
}

int audit_sql(struct audit_store *s, long long *out, const char *fmt, ...)
{
    json_t *rows = json_array(), *value;
    int rc, n = 0;
    const char *key;
    va_list args;
    char *sql;

    va_start(args, fmt);
    sql = sqlite3_vmprintf(fmt, args);
    va_end(args);
    rc = audit_query(s, rows ? sql : NULL, NULL, rows);
    if (out)
        json_object_foreach(json_array_get(rows, 0), key, value) out[n++] =
            json_integer_value(value);
    json_decref(rows);
    sqlite3_free(sql);
    return rc != 0 ? rc : n > 0;
}

/* --- is it what was recorded? --------------------------------------------------------
 *
 * The chain is made anew, segment by segment, each a statement. What retention removes meanwhile is
 * no problem. */

/* clang-format off */
/* The first segment from a record on that has records, the first record of all, and what joins the
 * chain with each record of the segment, as ledger.c has it. */
static const char segment_sql[] =
    "SELECT c.id,c.last,c.before,c.head,(SELECT min(id) FROM event),e.id,ms,"
    "(SELECT digest('answer'" SQL_ANSWER ") FROM answer a WHERE a.id=e.answer),"
    "iif(e.client NOTNULL,ifnull(b.digest,digest(n.digest,e.id)),NULL),"
    "iif(e.suffix NOTNULL,digest(iif(typeof(e.suffix)='integer',s.name,e.suffix)),NULL),"
    "asked,port,dns_id,bits,serial,real_ms,latency_us FROM"
    " (SELECT * FROM chain WHERE id>=? AND last>=(SELECT ifnull(min(id),0) FROM event)"
    " ORDER BY id LIMIT 1) c"
    " LEFT JOIN event e ON e.id BETWEEN c.id AND c.last LEFT JOIN client n ON n.id=e.client"
    " LEFT JOIN suffix s ON s.id=e.suffix LEFT JOIN blind b ON b.id=e.id ORDER BY e.id";
enum { ID, LAST, BEFORE, HEAD, LEAST, RECORD };
/* clang-format on */

struct verifier {
    struct audit_store *store;
    struct chain *chain;
    sqlite3_stmt *q;
    const uint8_t *wanted;
    struct audit_verified *out;
    uint8_t head[CHAIN_HEAD]; /* of the segment, as it was recorded */
    long long last;           /* of it */
    bool began;               /* there was one before it, which is whole */
};

/* Its first record, or none: can it be the one behind the records so far? */
static bool begin_segment(struct verifier *v)
{
    const long long least = sqlite3_column_int64(v->q, LEAST);
    const uint8_t *before = sqlite3_column_blob(v->q, BEFORE);

    if (least > v->out->last + 1) { /* what was before it was removed meanwhile */
        v->out->first = least;
        v->out->last = least - 1;
        v->began = false;
    }
    v->last = sqlite3_column_int64(v->q, LAST);
    if (sqlite3_column_int64(v->q, ID) != v->out->last + 1 || v->last <= v->out->last ||
        v->last == INT64_MAX || /* or there is none behind it */
        sqlite3_column_bytes(v->q, BEFORE) != CHAIN_HEAD ||
        sqlite3_column_bytes(v->q, HEAD) != CHAIN_HEAD ||
        (v->began && memcmp(v->out->head, before, CHAIN_HEAD) != 0))
        return false;
    memcpy(v->head, sqlite3_column_blob(v->q, HEAD), CHAIN_HEAD);
    chain_begin(v->chain, before);
    return true;
}

/* The next one. 1: its records are as recorded, or v->out says they are not; 0: none; -errno. */
static int verify_segment(struct verifier *v)
{
    struct audit_verified *out = v->out;
    bool whole = false;
    int rc, n = 0;

    sqlite3_bind_int64(v->q, 1, out->last + 1);
    for (; (rc = audit_store_step(v->store, v->q)) == 1; n++) {
        if (n == 0)
            whole = begin_segment(v);
        for (int i = RECORD; i < sqlite3_column_count(v->q); i++)
            chain_sql(v->chain, sqlite3_column_value(v->q, i));
        if (v->wanted == NULL || out->found > 0)
            continue;
        chain_head(v->chain, out->head);
        if (memcmp(out->head, v->wanted, CHAIN_HEAD) == 0)
            out->found = sqlite3_column_int64(v->q, RECORD);
    }
    if (rc < 0 || n == 0)
        return rc;
    chain_head(v->chain, out->head);
    v->began = whole && memcmp(out->head, v->head, CHAIN_HEAD) == 0;
    if (!v->began)
        snprintf(out->broken, sizeof out->broken,
                 "records %lld to %lld are not those that were recorded: some were changed, "
                 "added or removed",
                 out->last + 1, v->last);
    out->last = v->last;
    return 1;
}

int audit_verify(struct audit_store *store, const uint8_t *wanted,
                 void (*tell)(const void *context, size_t done, size_t all), const void *context,
                 struct audit_verified *out)
{
    struct verifier v = {.store = store, .chain = chain_new(), .wanted = wanted, .out = out};
    json_t *rows = json_array();
    long long ends[3] = {0}; /* and are records missing before the first, and none says so? */
    int rc = v.chain ? audit_store_prepare(store, segment_sql, &v.q) : -ENOMEM;

    if (rc == 0)
        rc = audit_sql(store, ends,
                       "SELECT ifnull(min(id),0),max(ifnull(max(id),0),"
                       "(SELECT ifnull(max(last),0) FROM chain)),"
                       "min(id)>1 AND NOT EXISTS(SELECT 1 FROM answer WHERE kind='prune') AS cut "
                       "FROM event");
    *out = (struct audit_verified){.first = ends[0], .last = ends[0] > 0 ? ends[0] - 1 : 0};
    if (ends[2] != 0)
        snprintf(out->broken, sizeof out->broken,
                 "records 1 to %lld were removed, and no record says so", out->last);
    /* Not farther: of what comes meanwhile a segment is read while it grows. */
    while (rc > 0 && out->last < ends[1] && out->broken[0] == '\0' && (rc = verify_segment(&v)) > 0)
        if (tell)
            tell(context, (size_t)out->last - (size_t)ends[0], (size_t)ends[1] - (size_t)ends[0]);
    chain_free(v.chain);
    if (rc == 0 && out->last < ends[1])
        snprintf(out->broken, sizeof out->broken,
                 "records %lld to %lld were added behind the end of the chain", out->last + 1,
                 ends[1]);
    if (rc >= 0 && out->broken[0] == '\0')
        rc = audit_query(store,
                         "SELECT name FROM client WHERE salt NOTNULL AND digest IS NOT "
                         "digest(salt,name) LIMIT 1",
                         NULL, rows);
    if (json_array_size(rows) > 0)
        snprintf(out->broken, sizeof out->broken,
                 "client %s had another address when it was recorded",
                 json_string_value(json_object_get(json_array_get(rows, 0), "name")));
    json_decref(rows);
    return rc < 0 ? rc : 0;
}
