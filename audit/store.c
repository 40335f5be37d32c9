/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the audit store: an LMDB environment of its own, so that its
 * writer lock never meets that of the policy.
 *
 *   value = version (1) | XXH3 of the payload, seeded with that of its key (8) | payload
 *
 * One unnamed database. NOMETASYNC: a power cut may lose the last commit and
 * nothing else. Never WRITEMAP: a full disk would be a SIGBUS. The map is the
 * same in every process and never resized: address space, not memory.
 *
 * LMDB does not notice a truncated file; reading behind its end is a SIGBUS.
 * So before the file is mapped it must reach the last page that its meta page
 * names. LMDB may leave pages at the end unwritten when they are free again, so
 * the file is made long enough for all that a transaction may have taken before
 * it is committed: a kill right behind the commit finds it so.
 */
#include "audit/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/guard.h"

enum { FORMAT = 1, VALUE_VERSION = 1, VALUE_HEAD = 9 };
enum { SPARE_PAGES = 256, SURPLUS = 32 << 20 };
static const size_t map_bytes = (size_t)32 << 30;

struct audit_txn {
    struct audit_store *store;
    MDB_txn *mdb;
    MDB_cursor *cursor; /* opened at the first walk */
    uint64_t writes;    /* puts and deletions */
    uint64_t begun;     /* pages of the tree when it began */
    uint64_t tree;      /* and now */
    uint64_t growth;    /* pages by which the writes made it grow */
    unsigned depth;     /* of the tree, the greatest */
};

struct audit_store {
    MDB_env *env;
    MDB_dbi dbi;
    bool write;
    char *dir;            /* owned */
    struct audit_txn txn; /* in use while txn.mdb is set */
};

static int store_error(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return -ENOSPC;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_READERS_FULL:
        return -EAGAIN;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return -EBADMSG;
    default:
        return rc > 0 ? -rc : rc == 0 ? 0 : -EIO;
    }
}

/* --- the check before the file is mapped ------------------------------------ */

/* Places in an LMDB meta page of a 64-bit machine. */
enum {
    META_MAGIC = 16,
    META_VERSION = 20,
    META_PSIZE = 40,
    META_LAST = 136,
    META_TXN = 144,
    META_SIZE = 152
};
struct meta {
    uint32_t magic, version, psize;
    uint64_t last, txn;
};

static bool meta_read(int fd, off_t at, struct meta *m)
{
    uint8_t p[META_SIZE];

    if (pread(fd, p, sizeof p, at) != (ssize_t)sizeof p)
        return false;
    memcpy(&m->magic, p + META_MAGIC, 4);
    memcpy(&m->version, p + META_VERSION, 4);
    memcpy(&m->psize, p + META_PSIZE, 4);
    memcpy(&m->last, p + META_LAST, 8);
    memcpy(&m->txn, p + META_TXN, 8);
    return m->magic == 0xBEEFC0DE;
}

enum check { CHECK_GOOD, CHECK_FOREIGN, CHECK_NEWER, CHECK_SHORT };

static enum check file_check(int fd, uint64_t *size, uint64_t *need)
{
    struct meta a, b;
    struct stat st;

    if (fstat(fd, &st) == 0 && st.st_size == 0)
        return CHECK_GOOD; /* just made */
    if (!meta_read(fd, 0, &a))
        return CHECK_FOREIGN;
    if (a.version != 1)
        return CHECK_NEWER;
    if (a.psize < 512 || a.psize > 65536 || (a.psize & (a.psize - 1)) != 0)
        return CHECK_FOREIGN;
    if (meta_read(fd, (off_t)a.psize, &b) && b.txn > a.txn)
        a = b;
    if (fstat(fd, &st) != 0 || a.last >= (uint64_t)map_bytes / 512)
        return CHECK_FOREIGN;
    *size = (uint64_t)st.st_size;
    *need = (a.last + 1) * a.psize;
    return *size < *need ? CHECK_SHORT : CHECK_GOOD;
}

/* An older version lengthened the file after its commit: give it a moment. */
static int path_check(const char *path, struct diags *d)
{
    uint64_t size = 0, need = 0;
    enum check found = CHECK_GOOD;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (int i = 0; i < 10 && (found = file_check(fd, &size, &need)) == CHECK_SHORT; i++)
        poll(NULL, 0, 2);
    close(fd);
    switch (found) {
    case CHECK_GOOD:
        return 0;
    case CHECK_FOREIGN:
        diags_add(d, path, 0, 0,
                  "is not an audit store or is damaged; move it away to begin a new one, or put "
                  "back a backup");
        break;
    case CHECK_NEWER:
        diags_add(d, path, 0, 0,
                  "was written by a newer LMDB; install the Waymark that wrote it, or move the "
                  "file away");
        break;
    case CHECK_SHORT:
        diags_add(d, path, 0, 0,
                  "is truncated: %llu bytes where %llu are needed; move it away to begin a new "
                  "one, or put back a backup",
                  (unsigned long long)size, (unsigned long long)need);
        break;
    }
    return -EBADMSG;
}

/* --- the length of the file

   What a transaction takes at the end of the file: copies of the pages of the
   tree that it writes, each once and only on the way to what it changes; the
   pages by which the tree grows; and the list of free pages, which has less than
   16 octets for each page of the file and is written anew, some of it twice. */

static uint64_t tree_pages(struct audit_txn *t)
{
    MDB_stat s;

    if (mdb_stat(t->mdb, t->store->dbi, &s) != 0)
        return 0;
    if (s.ms_depth > t->depth)
        t->depth = s.ms_depth;
    return s.ms_branch_pages + s.ms_leaf_pages;
}

/* After each write of a value of that many octets; 0: a deletion. */
static void note_growth(struct audit_txn *t, size_t len)
{
    uint64_t now = tree_pages(t);

    t->writes++;
    t->growth += now > t->tree ? now - t->tree : 0;
    t->tree = now;
    if (len >= 1024) /* it may have pages of its own */
        t->growth += len / 4096 + 2;
}

/* Makes the file reach `more` pages behind the last of the last state. Longer
 * by more than surplus: cuts it. */
static int fit_file(struct audit_store *s, uint64_t more, uint64_t surplus)
{
    uint64_t limit = map_bytes, need;
    MDB_envinfo info;
    struct stat st;
    MDB_stat ms;
    int fd, rc;

    if ((rc = mdb_env_info(s->env, &info)) != 0 || (rc = mdb_env_stat(s->env, &ms)) != 0 ||
        (rc = mdb_env_get_fd(s->env, &fd)) != 0)
        return rc;
    need = (info.me_last_pgno + 1 + more) * ms.ms_psize;
    if (need > limit)
        need = limit; /* LMDB takes no page behind it */
    if (fstat(fd, &st) != 0)
        return errno;
    if ((uint64_t)st.st_size >= need && (uint64_t)st.st_size - need <= surplus)
        return 0;
    return ftruncate(fd, (off_t)need) == 0 ? 0 : errno;
}

static int make_room(struct audit_txn *t)
{
    uint64_t copies = t->writes * (4 * (uint64_t)t->depth + 8), more;
    MDB_envinfo info;
    int rc = mdb_env_info(t->store->env, &info);

    if (rc != 0)
        return rc;
    more = (copies < t->begun ? copies : t->begun) + t->growth;
    return fit_file(t->store, more + (info.me_last_pgno + more) / 32 + SPARE_PAGES, UINT64_MAX);
}

/* Under the writer's lock, or another one's new pages could be cut off. That it
 * cannot be done now is no loss. */
static void give_back(struct audit_store *s, uint64_t surplus)
{
    MDB_txn *txn;

    if (mdb_txn_begin(s->env, NULL, 0, &txn) != 0)
        return;
    (void)!fit_file(s, 0, surplus);
    mdb_txn_abort(txn);
}

/* --- open and close ----------------------------------------------------------- */

/* The rights do not depend on the umask. Not ours: then its owner has set them. */
static void set_rights(const char *dir)
{
    char path[4096];

    (void)!chmod(dir, 0750);
    if (snprintf(path, sizeof path, "%s/data.mdb", dir) < (int)sizeof path)
        (void)!chmod(path, 0640);
    if (snprintf(path, sizeof path, "%s/lock.mdb", dir) < (int)sizeof path)
        (void)!chmod(path, 0660);
}

static void on_assertion(MDB_env *env, const char *text) /* LMDB would end the process */
{
    (void)env, (void)text, guard_give_up();
}

static int env_open(struct audit_store *s)
{
    unsigned flags = MDB_NOTLS | (s->write ? (unsigned)MDB_NOMETASYNC : (unsigned)MDB_RDONLY);
    MDB_txn *txn;
    int dead, rc;

    if ((rc = mdb_env_create(&s->env)) != 0)
        return rc;
    if ((rc = mdb_env_set_assert(s->env, on_assertion)) != 0 ||
        (rc = mdb_env_set_mapsize(s->env, map_bytes)) != 0 ||
        (rc = mdb_env_open(s->env, s->dir, flags, 0660)) != 0 ||
        (rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)) != 0)
        goto fail;
    rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    mdb_txn_abort(txn); /* the unnamed database needs no commit */
    if (rc != 0)
        goto fail;
    (void)mdb_reader_check(s->env, &dead);
    if (s->write)
        set_rights(s->dir);
    return 0;
fail:
    mdb_env_close(s->env);
    s->env = NULL;
    return rc;
}

static const uint8_t format_name[] = {STORE_META, 'f', 'o', 'r', 'm', 'a', 't'};
static const struct bytes format_key = {format_name, sizeof format_name};

/* Writes the format into a new store, refuses one that is newer. */
static int format_check(struct audit_store *s, const char *path, struct diags *d)
{
    const uint8_t mine = FORMAT;
    struct audit_txn *txn;
    struct bytes v;
    int rc = audit_txn_begin(&txn, s);
    uint8_t format;

    if (rc != 0)
        return rc;
    rc = audit_txn_get(txn, format_key, &v);
    format = rc == 0 && v.len == 1 ? v.at[0] : 0;
    rc = rc == -ENOENT && audit_txn_bytes(txn) > 0 ? -EBADMSG : rc; /* a new one is empty */
    if (rc == -ENOENT && s->write) {
        rc = audit_txn_put(txn, format_key, (struct bytes){&mine, 1});
        if (rc == 0)
            return audit_txn_commit(txn);
    }
    audit_txn_abort(txn);
    if (rc == 0 && format != FORMAT) {
        diags_add(d, path, 0, 0,
                  format > FORMAT ? "has a newer format; install the Waymark that wrote it, or "
                                    "move the file away to begin a new store"
                                  : "is not an audit store; move it away to begin a new one");
        return -EBADMSG;
    }
    if (rc == -EBADMSG)
        diags_add(d, path, 0, 0,
                  "is damaged; move it away to begin a new one, or put back a backup");
    return rc;
}

static int open_checked(struct audit_store *s, const char *path, struct diags *d)
{
    int rc;

    if (s->write && mkdir(s->dir, 0750) != 0 && errno != EEXIST) {
        rc = -errno;
        diags_add(d, s->dir, 0, 0, "cannot be made: %s", strerror(-rc));
        return rc;
    }
    rc = path_check(path, d);
    if (rc == -EBADMSG || (rc == -ENOENT && !s->write))
        return rc;
    if (rc == 0 || rc == -ENOENT) {
        rc = store_error(env_open(s));
        if (rc == 0)
            rc = format_check(s, path, d);
        if (rc == -EBADMSG && d != NULL && d->all == 0)
            diags_add(d, path, 0, 0,
                      "is not an audit store or is damaged; move it away to begin a new one");
    }
    if (rc != 0 && rc != -EBADMSG && rc != -ENOENT)
        diags_add(d, path, 0, 0, "cannot be opened: %s", strerror(-rc));
    return rc;
}

int audit_store_open(struct audit_store **out, const char *dir, bool write, struct diags *d)
{
    struct audit_store *s = calloc(1, sizeof *s);
    char *path = NULL;
    int rc = -ENOMEM;

    if (s == NULL)
        return rc;
    s->write = write;
    s->dir = strdup(dir);
    if (s->dir != NULL && asprintf(&path, "%s/data.mdb", dir) >= 0) {
        guarded(rc, open_checked(s, path, d));
        free(path);
    }
    if (rc == -EFAULT) { /* what LMDB has opened cannot be given back */
        s->env = NULL, s->txn.mdb = NULL, rc = -EBADMSG;
        diags_add(d, dir, 0, 0, "is damaged; move it away, or put back a backup");
    }
    if (rc != 0) {
        audit_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void audit_store_close(struct audit_store *s)
{
    if (s == NULL)
        return;
    if (s->txn.mdb != NULL)
        audit_txn_abort(&s->txn);
    if (s->write && s->env != NULL)
        give_back(s, 0);
    mdb_env_close(s->env); /* NULL is fine */
    free(s->dir);
    free(s);
}

/* --- transactions ---------------------------------------------------------------- */

/* After a failed write of a meta page LMDB refuses everything until it is opened anew. */
int audit_txn_begin(struct audit_txn **out, struct audit_store *s)
{
    unsigned flags = s->write ? 0 : MDB_RDONLY;
    int rc = 0, dead;

    if (s->env == NULL)
        rc = env_open(s);
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, flags, &s->txn.mdb);
    if (rc == MDB_PANIC) {
        mdb_env_close(s->env);
        s->env = NULL;
        rc = env_open(s);
        if (rc == 0)
            rc = mdb_txn_begin(s->env, NULL, flags, &s->txn.mdb);
    } else if (rc == MDB_READERS_FULL && mdb_reader_check(s->env, &dead) == 0 && dead > 0) {
        rc = mdb_txn_begin(s->env, NULL, flags, &s->txn.mdb);
    }
    if (rc != 0) {
        s->txn.mdb = NULL;
        return store_error(rc);
    }
    s->txn = (struct audit_txn){.store = s, .mdb = s->txn.mdb};
    s->txn.begun = s->txn.tree = tree_pages(&s->txn);
    *out = &s->txn;
    return 0;
}

static void close_cursor(struct audit_txn *t)
{
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    t->cursor = NULL;
}

int audit_txn_commit(struct audit_txn *t)
{
    struct audit_store *s = t->store;
    int rc = s->write ? make_room(t) : 0, fd = -1;

    close_cursor(t);
    if (rc == 0)
        rc = mdb_txn_commit(t->mdb);
    else
        mdb_txn_abort(t->mdb);
    t->mdb = NULL;
    (void)mdb_env_get_fd(s->env, &fd);
    rc = file_write_error(fd, store_error(rc));
    if (s->write)
        give_back(s, SURPLUS);
    return rc;
}

void audit_txn_abort(struct audit_txn *t)
{
    if (t == NULL || t->mdb == NULL)
        return;
    close_cursor(t);
    mdb_txn_abort(t->mdb);
    t->mdb = NULL;
}

/* --- values ------------------------------------------------------------------------ */

static MDB_val to_val(struct bytes b)
{
    return (MDB_val){b.len, (void *)(uintptr_t)b.at};
}

static uint64_t checksum(MDB_val key, const uint8_t *payload, size_t len)
{
    return XXH3_64bits_withSeed(payload, len, XXH3_64bits(key.mv_data, key.mv_size));
}

/* The payload of a stored value; false when it is damaged. */
static bool value_open(MDB_val key, MDB_val value, struct bytes *payload)
{
    const uint8_t *p = value.mv_data;
    uint64_t sum;

    *payload = (struct bytes){NULL, 0};
    if (value.mv_size < VALUE_HEAD || p[0] != VALUE_VERSION)
        return false;
    memcpy(&sum, p + 1, sizeof sum);
    *payload = (struct bytes){p + VALUE_HEAD, value.mv_size - VALUE_HEAD};
    return sum == checksum(key, payload->at, payload->len);
}

int audit_txn_get(struct audit_txn *t, struct bytes key, struct bytes *payload)
{
    MDB_val k = to_val(key), v;
    int rc = mdb_get(t->mdb, t->store->dbi, &k, &v);

    if (rc != 0)
        return store_error(rc);
    return value_open(k, v, payload) ? 0 : -EBADMSG;
}

static int put(struct audit_txn *t, struct bytes key, struct bytes head, struct bytes tail,
               unsigned flags)
{
    MDB_val k = to_val(key), v = {VALUE_HEAD + head.len + tail.len, NULL};
    uint64_t sum;
    uint8_t *p;
    int rc = mdb_put(t->mdb, t->store->dbi, &k, &v, flags | MDB_RESERVE);

    if (rc != 0)
        return store_error(rc);
    note_growth(t, v.mv_size);
    p = v.mv_data;
    p[0] = VALUE_VERSION;
    if (head.len > 0)
        memcpy(p + VALUE_HEAD, head.at, head.len);
    if (tail.len > 0)
        memcpy(p + VALUE_HEAD + head.len, tail.at, tail.len);
    sum = checksum(to_val(key), p + VALUE_HEAD, head.len + tail.len);
    memcpy(p + 1, &sum, sizeof sum);
    return 0;
}

int audit_txn_put(struct audit_txn *t, struct bytes key, struct bytes payload)
{
    return put(t, key, payload, (struct bytes){NULL, 0}, 0);
}

int audit_txn_append(struct audit_txn *t, struct bytes key, struct bytes head, struct bytes tail)
{
    return put(t, key, head, tail, MDB_APPEND);
}

int audit_txn_del(struct audit_txn *t, struct bytes key)
{
    MDB_val k = to_val(key);
    int rc = mdb_del(t->mdb, t->store->dbi, &k, NULL);

    note_growth(t, 0);
    return store_error(rc);
}

static int walk(struct audit_txn *t, struct bytes from, MDB_cursor_op op, struct entry *out)
{
    MDB_val k = to_val(from), v;
    int rc = t->cursor == NULL ? mdb_cursor_open(t->mdb, t->store->dbi, &t->cursor) : 0;

    if (rc == 0)
        rc = mdb_cursor_get(t->cursor, &k, &v, op);
    if (rc != 0)
        return store_error(rc);
    out->key = (struct bytes){k.mv_data, k.mv_size};
    out->ok = value_open(k, v, &out->payload);
    return 0;
}

int audit_txn_seek(struct audit_txn *t, struct bytes key, struct entry *out)
{
    return walk(t, key, MDB_SET_RANGE, out);
}

int audit_txn_next(struct audit_txn *t, struct entry *out)
{
    return walk(t, (struct bytes){NULL, 0}, MDB_NEXT, out);
}

int audit_txn_before(struct audit_txn *t, struct bytes key, struct entry *out)
{
    int rc = walk(t, key, MDB_SET_RANGE, out);

    if (rc == -ENOENT)
        return walk(t, (struct bytes){NULL, 0}, MDB_LAST, out);
    return rc == 0 ? walk(t, (struct bytes){NULL, 0}, MDB_PREV, out) : rc;
}

int audit_txn_del_here(struct audit_txn *t)
{
    int rc = mdb_cursor_del(t->cursor, 0);

    note_growth(t, 0);
    return store_error(rc);
}

uint64_t audit_txn_bytes(struct audit_txn *t)
{
    MDB_stat st;

    if (mdb_stat(t->mdb, t->store->dbi, &st) != 0)
        return 0;
    return (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * (uint64_t)st.ms_psize;
}

/* --- keys ---------------------------------------------------------------------------- */

struct bytes audit_key_number(uint8_t out[9], uint8_t table, uint64_t v)
{
    out[0] = table;
    for (int i = 8; i > 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
    return (struct bytes){out, 9};
}

uint64_t audit_key_value(struct bytes key)
{
    uint64_t v = 0;

    if (key.len != 9)
        return 0;
    for (int i = 1; i < 9; i++)
        v = v << 8 | key.at[i];
    return v;
}
