/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the only file that knows LMDB.
 *
 * One environment, one unnamed database, full sync. Every value is checked when
 * it is read: LMDB itself has no checksums and hands out whatever the disk gave
 * back. The map size is fixed and the same in every process:
 * mdb_env_set_mapsize() on an open environment kills its readers. Places of
 * readers are bound to the transaction objects (MDB_NOTLS), so a thread keeps
 * one for its life, and begins and ends it.
 *
 * A new store is made beside and linked into its place with its mark in it: so
 * a file of that name is never one in the making.
 *
 * A tool works on what it has read whole before, so that it neither ends in the
 * middle nor makes damage greater: to change a store, its values too, and one that
 * is damaged anywhere is not changed. A daemon must answer at once: it serves the
 * store as it is, each read guarded, and reads it whole beside that.
 *
 * The file. LMDB maps it and trusts it: a page that its meta page names and that
 * the file does not reach is SIGBUS at the first access, and an empty file it
 * takes for a new one. So the file is looked at before LMDB sees it. And LMDB may
 * leave the file shorter than the last page that its meta page counts: a page
 * that is taken at the end and given back by the same transaction is never
 * written. So before a commit the file is made long enough for whatever the
 * transaction took (holes cost nothing), and after it the rest is given back;
 * both under the writers' lock, or another writer's new pages could be cut off.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <lmdb.h>
#include <xxhash.h>

enum { VALUE_VERSION = 1, HASH = 8, HEAD = HASH + 1, BATCH = 1000 };
/* What one write takes at most, in a tree of ten levels: each page on its way and a neighbour
 * are copied, and may be split. Many of them are not: holes cost nothing. */
enum { PAGES_OF_WRITE = 32, SPARE_PAGES = 256 };
static const size_t map_size = (size_t)16 << 30; /* address space, not memory */
/* This record keeps its form, its value head too, forever: by it an older
 * version knows a newer store. Mark, then one octet of version. */
static const struct store_key format_key = {7, "Mformat"};
static const uint8_t format[] = "waymark-policy\4";      /* the NUL behind is not stored */
static const struct store_key state_key = {6, "Mstate"}; /* struct store_counts */

struct store_txn {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    bool is_change;             /* else a reader's */
    bool at_end;                /* the cursor is behind the last record */
    bool faulted;               /* nothing more is read until the reader begins again */
    struct store_counts counts; /* of the state counts_of; 0: of none */
    uint64_t counts_of;
    /* A change: */
    int failed;      /* first error of a write */
    uint64_t digest; /* when it began */
    uint64_t taken;  /* pages that it may have taken at the end of the file, at most */
};

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    unsigned page_size;
    int fd;                /* of data.mdb, the environment's */
    char *dir;             /* owned */
    struct store_txn *own; /* a reader */
    bool unlocked;         /* nobody is told which pages are read */
    bool barred;           /* a fault came while LMDB may have held the lock of the places */
    atomic_bool refused;   /* the tree is damaged: no reader begins any more */
    _Atomic uint64_t faults;
};

/* LMDB's numbers and errno's, as -errno; what LMDB does not like is damage. */
static int translate(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_READERS_FULL:
        return -EUSERS;
    case MDB_BAD_VALSIZE:
        return -ENAMETOOLONG;
    default:
        return rc > 0 ? -rc : -EBADMSG;
    }
}

/* --- values --------------------------------------------------------------- */

static uint64_t hash(const MDB_val *key, const uint8_t *from_version, size_t len)
{
    return XXH3_64bits_withSeed(from_version, len, XXH3_64bits(key->mv_data, key->mv_size));
}

static int open_value(const MDB_val *key, const MDB_val *value, struct store_bytes *out)
{
    const uint8_t *p = value->mv_data;
    uint64_t h;

    *out = (struct store_bytes){NULL, 0};
    if (value->mv_size < HEAD || p[HASH] != VALUE_VERSION)
        return -EBADMSG;
    memcpy(&h, p, HASH);
    if (h != hash(key, p + HASH, value->mv_size - HASH))
        return -EBADMSG;
    *out = (struct store_bytes){p + HEAD, value->mv_size - HEAD};
    return 0;
}

/* --- counts --------------------------------------------------------------- */

/* A record more, or less, which is sound. */
static void count_value(struct store_counts *c, const MDB_val *key, const MDB_val *value, bool more)
{
    char table = *(const char *)key->mv_data;
    uint64_t h;

    memcpy(&h, value->mv_data, HASH);
    if (strchr(STORE_UNSUMMED, table) == NULL)
        c->digest += more ? h : -h;
    c->tables[table & 63] += more ? 1 : UINT64_MAX;
}

const struct store_counts *store_counts(struct store_txn *t)
{
    uint64_t id = store_state(t);
    struct store_bytes v;

    if (t->counts_of == id)
        return &t->counts;
    if (store_get(t, &state_key, &v) != 0 || v.len != sizeof t->counts)
        return NULL;
    memcpy(&t->counts, v.data, sizeof t->counts);
    t->counts_of = id;
    return &t->counts;
}

/* --- transactions --------------------------------------------------------- */

static int open_txn(struct store_txn *t, struct store *s, bool change)
{
    int rc;

    *t = (struct store_txn){.store = s, .is_change = change};
    rc = mdb_txn_begin(s->env, NULL, change ? 0 : MDB_RDONLY, &t->txn);
    if (rc == MDB_READERS_FULL && store_sweep(s) > 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
    if (rc == 0) {
        rc = mdb_cursor_open(t->txn, s->dbi, &t->cursor);
        if (rc != 0)
            mdb_txn_abort(t->txn);
    }
    return translate(rc);
}

static int close_txn(struct store_txn *t)
{
    mdb_cursor_close(t->cursor);
    mdb_txn_abort(t->txn);
    return 0;
}

int store_settle(struct store_txn *t, int rc)
{
    if (rc == -EFAULT) {
        t->faulted = true;
        atomic_fetch_add(&t->store->faults, 1);
    }
    return t->faulted ? -EIO : rc;
}

struct store_txn *store_reader_new(struct store *s)
{
    struct store_txn *volatile t = calloc(1, sizeof *t); /* volatile: for setjmp() */
    int rc = t == NULL ? -ENOMEM : s->barred ? -EIO : 0;

    if (rc == 0) {
        guarded(rc, open_txn(t, s, false));
        s->barred |= rc == -EFAULT;
        rc = store_settle(t, rc);
    }
    if (rc != 0) {
        free(t);
        errno = -rc;
        return NULL;
    }
    mdb_txn_reset(t->txn);
    return t;
}

void store_reader_free(struct store_txn *t)
{
    int rc;

    if (t == NULL)
        return;
    guarded(rc, close_txn(t));
    (void)rc; /* whoever closes has no more use for it */
    free(t);
}

static int renew(struct store_txn *t)
{
    int rc = mdb_txn_renew(t->txn);

    return translate(rc == 0 ? mdb_cursor_renew(t->txn, t->cursor) : rc);
}

int store_reader_begin(struct store_txn *t)
{
    int rc;

    if (atomic_load(&t->store->refused))
        return -EBADMSG;
    t->faulted = false;
    guarded(rc, renew(t));
    if (rc != 0)
        store_end(t);
    return store_settle(t, rc);
}

int store_begin(struct store *s, bool write, struct store_txn **out)
{
    struct store_txn *t = write ? malloc(sizeof *t) : s->own;
    int rc;

    if (t == NULL)
        return -ENOMEM;
    rc = write ? open_txn(t, s, true) : store_reader_begin(t);
    if (rc == 0 && write && store_counts(t) == NULL && s->own != NULL) { /* else it is made */
        close_txn(t);
        rc = -EBADMSG;
    }
    if (rc != 0 && write)
        free(t);
    if (rc != 0)
        return rc;
    t->digest = t->counts.digest;
    *out = t;
    return 0;
}

void store_end(struct store_txn *t)
{
    int rc;

    if (t != NULL && t->is_change) {
        close_txn(t);
        free(t);
    } else if (t != NULL) {
        guarded(rc, (mdb_txn_reset(t->txn), 0));
        (void)store_settle(t, rc);
    }
}

uint64_t store_size(struct store *s)
{
    MDB_envinfo info;

    return mdb_env_info(s->env, &info) == 0 ? (info.me_last_pgno + 1) * s->page_size : 0;
}

int store_commit(struct store_txn *t)
{
    enum { HARDLY_ANY_ROOM = 1 << 20 };
    const struct store_counts now = t->counts;
    struct store *s = t->store;
    struct statvfs disk;
    uint64_t pages, octets;
    struct stat st;
    int rc = t->failed != 0 ? t->failed : store_put(t, &state_key, &now, sizeof now);

    /* The list of free pages has less than 16 octets for each page of the file; it is
     * written anew by the commit, some of it twice. */
    pages = t->taken + (store_size(s) / s->page_size + t->taken) / 32 + SPARE_PAGES;
    octets = store_size(s) + pages * s->page_size;
    if (octets > map_size)
        octets = map_size;
    if (rc >= 0 && fstat(s->fd, &st) != 0)
        rc = -errno;
    if (rc >= 0 && (uint64_t)st.st_size < octets && ftruncate(s->fd, (off_t)octets) != 0)
        rc = -errno;
    if (rc < 0) {
        store_end(t);
        return rc;
    }
    mdb_cursor_close(t->cursor);
    rc = translate(mdb_txn_commit(t->txn));
    /* LMDB says EIO of a write that a full disk has cut short. */
    if (rc == -EIO && fstatvfs(s->fd, &disk) == 0 && disk.f_frsize > 0 &&
        disk.f_bavail < HARDLY_ANY_ROOM / disk.f_frsize)
        rc = -ENOSPC;
    /* What is too much is given back. That it cannot be done now is no loss: the next
     * change does it. */
    if (mdb_txn_begin(s->env, NULL, 0, &t->txn) == 0) {
        (void)!ftruncate(s->fd, (off_t)store_size(s));
        mdb_txn_abort(t->txn);
    }
    free(t);
    return rc;
}

uint64_t store_state(const struct store_txn *t)
{
    return mdb_txn_id(t->txn);
}

int store_differs(const struct store_txn *t)
{
    return t->failed != 0 ? t->failed : t->counts.digest != t->digest;
}

/* --- reading -------------------------------------------------------------- */

static MDB_val key_val(const struct store_key *k)
{
    return (MDB_val){k->len, (void *)(uintptr_t)k->data};
}

int store_get(struct store_txn *t, const struct store_key *key, struct store_bytes *value)
{
    MDB_val k = key_val(key), v;
    int rc = mdb_get(t->txn, t->store->dbi, &k, &v);

    return rc == 0 ? open_value(&k, &v, value) : translate(rc);
}

int store_compare(const struct store_bytes *a, const struct store_key *b)
{
    int c = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

    return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

void store_key_copy(struct store_key *to, const struct store_bytes *from)
{
    to->len = from->len <= STORE_KEY_MAX ? from->len : 0;
    memcpy(to->data, from->data, to->len);
}

int store_step(struct store_txn *t, enum store_step where, const struct store_key *key,
               size_t prefix, struct store_record *out)
{
    static const MDB_cursor_op ops[] = {
        [STORE_SEEK] = MDB_SET_RANGE,
        [STORE_AFTER] = MDB_SET_RANGE,
        [STORE_NEXT] = MDB_NEXT,
        [STORE_PREV] = MDB_PREV,
    };
    bool from_end = where == STORE_PREV && t->at_end;
    MDB_val k = key_val(key), v;
    int rc = mdb_cursor_get(t->cursor, &k, &v, from_end ? MDB_LAST : ops[where]);

    if (rc == 0 && where == STORE_AFTER && k.mv_size == key->len &&
        memcmp(k.mv_data, key->data, key->len) == 0)
        rc = mdb_cursor_get(t->cursor, &k, &v, MDB_NEXT);
    t->at_end = rc == MDB_NOTFOUND;
    *out = (struct store_record){.key = {NULL, 0}};
    if (rc != 0) { /* -EBADMSG promises a key: a broken tree has none to go on from */
        rc = translate(rc);
        return rc == -EBADMSG ? -EIO : rc;
    }
    if (k.mv_size < prefix || memcmp(k.mv_data, key->data, prefix) != 0)
        return -ENOENT;
    out->key = (struct store_bytes){k.mv_data, k.mv_size};
    /* A flipped bit in a branch page leads to the wrong leaf. */
    if (ops[where] == MDB_SET_RANGE && store_compare(&out->key, key) < 0)
        return -EBADMSG;
    return open_value(&k, &v, &out->value);
}

int store_each(struct store *s, uint64_t *state, const struct store_key *prefix, store_visit *visit,
               void *context)
{
    struct store_key place = *prefix;
    int rc = 0, n = BATCH;

    while (rc == 0 && n == BATCH) {
        struct store_record r;
        struct store_txn *t;

        rc = store_begin(s, false, &t);
        if (rc != 0)
            return rc;
        if (state != NULL && *state == 0)
            *state = store_state(t);
        rc = state == NULL || *state == store_state(t)
                 ? store_step(t, STORE_AFTER, &place, prefix->len, &r)
                 : -EAGAIN;
        for (n = 0; rc == 0 && n < BATCH; n++) {
            store_key_copy(&place, &r.key);
            rc = visit(context, &r);
            if (rc == 0)
                rc = store_step(t, STORE_NEXT, prefix, prefix->len, &r);
        }
        store_end(t);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* --- writing -------------------------------------------------------------- */

static int fail(struct store_txn *t, int rc)
{
    rc = translate(rc);
    t->failed = t->failed != 0 ? t->failed : rc;
    return rc;
}

int store_put(struct store_txn *t, const struct store_key *key, const void *value, size_t len)
{
    MDB_val k = key_val(key), v = {len + HEAD, NULL};
    int rc = mdb_put(t->txn, t->store->dbi, &k, &v, MDB_NOOVERWRITE | MDB_RESERVE);
    int change = STORE_ADDED;
    struct store_bytes old;
    uint8_t *p;
    uint64_t h;

    if (rc == MDB_KEYEXIST) {
        if (open_value(&k, &v, &old) != 0)
            return fail(t, MDB_CORRUPTED);
        if (old.len == len && (len == 0 || memcmp(old.data, value, len) == 0))
            return STORE_SAME;
        count_value(&t->counts, &k, &v, false);
        v = (MDB_val){len + HEAD, NULL};
        rc = mdb_put(t->txn, t->store->dbi, &k, &v, MDB_RESERVE);
        change = STORE_REPLACED;
    }
    if (rc != 0)
        return fail(t, rc);
    t->taken += PAGES_OF_WRITE + len / t->store->page_size;
    p = v.mv_data;
    p[HASH] = VALUE_VERSION;
    if (len > 0)
        memcpy(p + HEAD, value, len);
    h = hash(&k, p + HASH, len + 1);
    memcpy(p, &h, HASH);
    count_value(&t->counts, &k, &v, true);
    return change;
}

int store_del(struct store_txn *t, const struct store_key *key)
{
    MDB_val k = key_val(key), v;
    struct store_bytes old;
    int rc = mdb_get(t->txn, t->store->dbi, &k, &v);

    if (rc != 0)
        return rc == MDB_NOTFOUND ? -ENOENT : fail(t, rc);
    if (open_value(&k, &v, &old) != 0)
        return fail(t, MDB_CORRUPTED);
    count_value(&t->counts, &k, &v, false);
    t->taken += PAGES_OF_WRITE;
    return fail(t, mdb_del(t->txn, t->store->dbi, &k, NULL));
}

/* --- the whole ------------------------------------------------------------- */

enum { WHY = PAGES_WHY + 32 };
struct sight {
    uint64_t records, damaged;
    struct store_counts all, stated;
};

static int see(void *context, const struct store_record *r)
{
    struct sight *s = context;
    struct store_bytes value;
    MDB_val k, v;

    if (r == NULL) {
        *s = (struct sight){.records = 0};
        return 0;
    }
    k = (MDB_val){r->key.len, (void *)(uintptr_t)r->key.data};
    v = (MDB_val){r->value.len, (void *)(uintptr_t)r->value.data};
    s->records++;
    if (open_value(&k, &v, &value) != 0) {
        s->damaged++;
        return 0;
    }
    count_value(&s->all, &k, &v, true);
    if (store_compare(&r->key, &state_key) == 0 && value.len == sizeof s->stated)
        memcpy(&s->stated, value.data, value.len);
    return 0;
}

/* Reads the pages, then each value. 0; -EBADMSG, and why; -EAGAIN, -ECANCELED, -errno.
 * *whole: no page is damaged. */
static int verify(int fd, const atomic_bool *stop, bool *whole, char why[WHY])
{
    struct sight s = {.records = 0};
    struct pages_walk walk = {.visit = see, .context = &s, .stop = stop};
    int rc = pages_walk(fd, &walk);

    *whole = rc == 0;
    if (rc == -EBADMSG)
        snprintf(why, WHY, "%s; no rule acts", walk.why);
    if (rc != 0 || (s.damaged == 0 && s.all.digest == s.stated.digest))
        return rc;
    if (s.damaged > 0)
        snprintf(why, WHY, "is damaged: %llu of its %llu records; the others act",
                 (unsigned long long)s.damaged, (unsigned long long)s.records);
    else
        snprintf(why, WHY, "is damaged: its records are not what their sum says");
    return -EBADMSG;
}

/* --- the files ------------------------------------------------------------ */

/* "DIR/data.mdb WHAT; REMEDY". */
static int damaged(const struct store *s, struct diags *d, const char *what)
{
    diags_add(d, NULL, 0, 0, "%s/data.mdb %s; " STORE_REMEDY, s->dir, what);
    return -EBADMSG;
}

/* 0; -ENOENT there is no store, and nothing says that there was one; -EBADMSG, told; -errno. */
static int look_at_files(const struct store *s, const char *data, const char *lock,
                         enum store_access mode, struct diags *d)
{
    struct pages_walk walk = {.brief = mode == STORE_SERVE};
    bool whole;
    bool was_there = access(lock, F_OK) == 0; /* asked first: the file is there before the lock */
    int rc = -EBADMSG, fd = open(data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char why[WHY];
    struct stat st;

    if (fd < 0 && (errno != ENOENT || !was_there))
        return -errno;
    if (fd < 0)
        return damaged(s, d, "is missing, where lock.mdb says that there was a store");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        snprintf(why, sizeof why, "is no file");
    else if (st.st_size == 0)
        snprintf(why, sizeof why, "is empty");
    else if (mode == STORE_WRITE)
        rc = verify(fd, NULL, &whole, why);
    else if ((rc = pages_walk(fd, &walk)) == -EBADMSG)
        snprintf(why, sizeof why, "%s", walk.why);
    close(fd); /* LMDB's locks are on the other file, so this drops none */
    /* Nobody can tell while others write without a pause, and they looked before they began. */
    return rc == -EBADMSG ? damaged(s, d, why) : rc == -EAGAIN ? 0 : rc;
}

/* --- open and close ------------------------------------------------------- */

/* LMDB tells a damaged page by ending the process. */
static void on_assertion(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    guard_give_up();
}

static int open_env(struct store *s, const char *dir, unsigned flags)
{
    MDB_stat stat;
    MDB_txn *txn;
    int rc;

    if ((rc = mdb_env_create(&s->env)) != 0 ||
        (rc = mdb_env_set_assert(s->env, on_assertion)) != 0 ||
        (rc = mdb_env_set_mapsize(s->env, map_size)) != 0 ||
        (rc = mdb_env_set_maxreaders(s->env, STORE_PLACES)) != 0 ||
        (rc = mdb_env_open(s->env, dir, MDB_NOTLS | flags, 0660)) != 0 ||
        (rc = mdb_env_get_fd(s->env, &s->fd)) != 0 || (rc = mdb_env_stat(s->env, &stat)) != 0 ||
        (rc = mdb_txn_begin(s->env, NULL, flags & MDB_RDONLY, &txn)) != 0)
        return translate(rc);
    s->page_size = stat.ms_psize;
    rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    mdb_txn_abort(txn);
    return translate(rc);
}

/* An empty store with its mark, unless another process is faster. */
static int make_new_store(const char *dir, const char *data)
{
    struct store s = {.fd = -1};
    char path[PATH_MAX], made[PATH_MAX];
    struct store_txn *t;
    int rc;

    if (snprintf(path, sizeof path, "%s/new-XXXXXX", dir) >= PATH_MAX - 9)
        return -ENAMETOOLONG;
    if ((mkdir(dir, 0750) != 0 && errno != EEXIST) || mkdtemp(path) == NULL)
        return -errno;
    snprintf(made, sizeof made, "%.*s/data.mdb", PATH_MAX - 10, path);
    rc = open_env(&s, path, MDB_NOLOCK);
    if (rc == 0 && (rc = store_begin(&s, true, &t)) == 0) {
        (void)store_put(t, &format_key, format, sizeof format - 1); /* or the commit fails */
        rc = store_commit(t);
    }
    if (rc == 0 && (fchmod(s.fd, 0640) != 0 || (link(made, data) != 0 && errno != EEXIST)))
        rc = -errno;
    mdb_env_close(s.env);
    unlink(made);
    rmdir(path);
    return rc;
}

static int open_files(struct store *s, enum store_access mode, struct diags *d)
{
    const size_t n = sizeof format - 2; /* of the mark, without its version */
    unsigned flags = mode == STORE_WRITE ? 0 : MDB_RDONLY, known = format[n], found;
    char data[PATH_MAX], lock[PATH_MAX];
    struct store_bytes v;
    struct store_txn *t;
    int rc;

    if (snprintf(data, sizeof data, "%s/data.mdb", s->dir) >= PATH_MAX ||
        snprintf(lock, sizeof lock, "%s/lock.mdb", s->dir) >= PATH_MAX)
        return -ENAMETOOLONG;
    rc = look_at_files(s, data, lock, mode, d);
    if (rc == -ENOENT && mode != STORE_READ) /* SERVE too: what comes later is then seen */
        rc = make_new_store(s->dir, data);
    if (rc != 0)
        return rc;
    /* Who may not write the lock file can tell no writer what is read, so nobody may
     * write meanwhile; `status` says so. Should somebody do it all the same (another
     * mount of the same folder): pages of a state are written over by the second
     * change after it at the earliest, a transaction here lasts microseconds in the
     * daemon and milliseconds in the tool, and each value has its checksum. */
    s->unlocked = mode != STORE_WRITE && access(lock, W_OK) != 0 &&
                  (errno != ENOENT || access(s->dir, W_OK) != 0);
    rc = open_env(s, s->dir, flags | (s->unlocked ? MDB_NOLOCK : 0));
    if (rc != 0)
        return rc;
    /* It may have been made under any umask, and readers must be able to write it. Who does
     * not own it cannot do this, and need not. */
    (void)!chmod(lock, 0660);
    store_sweep(s);
    s->own = store_reader_new(s);
    if (s->own == NULL)
        return -errno;
    rc = store_begin(s, false, &t);
    if (rc != 0)
        return rc;
    rc = store_get(t, &format_key, &v);
    found = rc == 0 && v.len == n + 1 && memcmp(v.data, format, n) == 0 ? v.data[n] : 0;
    store_end(t);
    if (found == 0)
        return damaged(s, d, "is damaged, or another program's");
    if (found == known)
        return 0;
    diags_add(d, NULL, 0, 0,
              "%s was written by %s Waymark (format %u, this one knows %u); %s, or move it away "
              "and import a policy",
              s->dir, found > known ? "a newer" : "an older", found, known,
              found > known ? "upgrade" : "export it with that one");
    return -EBADMSG;
}

int store_open(struct store **out, const char *dir, enum store_access access, struct diags *d)
{
    static const struct {
        int err;
        const char *text;
    } sentences[] = {
        {-ENOENT, " holds no policy yet; waymarkctl policy import or policy fill makes one"},
        {-EACCES, ": permission denied; run as root or as the user that waymarkd runs as"},
        {-EPERM, ": permission denied; run as root or as the user that waymarkd runs as"},
        {-EAGAIN, " is in use by a process in another container with the same process number; "
                  "run the tool in the container of waymarkd"},
    };
    struct store *s = calloc(1, sizeof *s);
    size_t before = d != NULL ? d->all : 0;
    const char *what;
    int rc = -ENOMEM;

    guard_install();
    if (s != NULL && (s->dir = strdup(dir)) != NULL) {
        guarded(rc, open_files(s, access, d));
    }
    if (rc == -EFAULT)
        rc = damaged(s, d, "is damaged, or the disk cannot read it");
    if (rc == 0) {
        *out = s;
        return 0;
    }
    store_close(s);
    if (d == NULL || d->all > before)
        return rc;
    what = NULL;
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
        if (sentences[i].err == rc)
            what = sentences[i].text;
    if (what != NULL)
        diags_add(d, NULL, 0, 0, "%s%s", dir, what);
    else
        diags_add(d, NULL, 0, 0,
                  "%s cannot be opened: %s; mend that and restart waymarkd, or " STORE_REMEDY, dir,
                  strerror(-rc));
    return rc;
}

void store_close(struct store *s)
{
    int rc = 0;

    if (s == NULL)
        return;
    store_reader_free(s->own);
    if (s->env != NULL)
        guarded(rc, (mdb_env_close(s->env), 0));
    (void)rc;
    free(s->dir);
    free(s);
}

int store_sweep(struct store *s)
{
    int dead = 0, rc = 0;

    if (!s->barred)
        guarded(rc, mdb_reader_check(s->env, &dead));
    s->barred |= rc == -EFAULT;
    return rc == 0 ? dead : 0;
}

/* --- health --------------------------------------------------------------- */

struct store_health store_health(struct store *s)
{
    return (struct store_health){s->unlocked, atomic_load(&s->refused), atomic_load(&s->faults)};
}

/* A reader finds damage in what it needs, and in nothing else: a page that was swapped
 * for another takes records away without a trace. So everything is read once. */
int store_verify(struct store *store, const atomic_bool *stop, struct diags *d)
{
    bool whole;
    char why[WHY];
    int rc = verify(store->fd, stop, &whole, why);

    if (rc == 0 || rc == -EBADMSG)
        atomic_store(&store->refused, !whole);
    return rc == -EBADMSG ? damaged(store, d, why) : rc;
}
