/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the only file that knows LMDB.
 *
 * One environment, one unnamed database, full sync. LMDB has no checksums: each value has one.
 * The map size is the same in every process: mdb_env_set_mapsize() on an open environment kills
 * its readers. Places of readers are bound to the transaction objects (MDB_NOTLS), so a thread
 * keeps one for its life.
 *
 * A new store is made beside and linked into its place with its mark in it: so a file of that name
 * is never one in the making. LMDB trusts the file, and takes an empty one for a new one: so it is
 * looked at before LMDB sees it. Who reads what of it whole, and what a seal is: docs/adr/0009.
 */
#include "store/store.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>
#include <xxhash.h>

enum { VALUE_VERSION = 1, HASH = 8, HEAD = HASH + 1, SEAL_S = 3600 };
static const size_t map_size = (size_t)16 << 30; /* address space, not memory */
/* This record keeps its form, its value head too, forever: by it an older
 * version knows a newer store. Mark, then one octet of version. */
static const struct store_key format_key = {7, "Mformat"};
static const uint8_t format[] = "waymark-policy\6";      /* the NUL behind is not stored */
static const struct store_key state_key = {6, "Mstate"}; /* struct store_counts */

struct store_txn {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    bool faulted;               /* nothing more is read until the reader begins again */
    struct store_counts counts; /* of the state counts_of; 0: of none */
    uint64_t counts_of;
    /* A change: */
    int failed;      /* first error of a write */
    uint64_t digest; /* when it began */
};

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    int fd;                  /* of data.mdb, the environment's */
    char *dir;               /* owned */
    struct store_txn *own;   /* a reader */
    struct store_txn change; /* the writer */
    struct timespec sound;   /* when the file changed that was found sound, all of it */
    bool unlocked;           /* nobody is told which pages are read */
    bool barred;             /* a fault came while LMDB may have held the lock of the places */
    atomic_bool refused;     /* the tree is damaged: no reader begins any more */
    _Atomic uint64_t faults;
};

/* LMDB's numbers and errno's, as -errno; what LMDB does not like is damage. */
static int translate(int rc)
{
    return rc == MDB_NOTFOUND       ? -ENOENT
           : rc == MDB_MAP_FULL     ? -ENOSPC
           : rc == MDB_READERS_FULL ? -EUSERS
           : rc == MDB_BAD_VALSIZE  ? -ENAMETOOLONG
           : rc < 0                 ? -EBADMSG
                                    : -rc;
}

static MDB_val val_of(const struct store_key *k)
{
    return (MDB_val){k->len, (void *)(uintptr_t)k->data};
}

static struct store_bytes bytes_of(const MDB_val *v)
{
    return (struct store_bytes){v->mv_data, v->mv_size};
}

static uint64_t hash(const struct store_bytes *key, const uint8_t *from_version, size_t len)
{
    return XXH3_64bits_withSeed(from_version, len, XXH3_64bits(key->data, key->len));
}

/* As it is stored, to what was put. */
static int open_value(const struct store_bytes *key, struct store_bytes *value)
{
    const struct store_bytes v = *value;
    uint64_t h;

    *value = (struct store_bytes){NULL, 0};
    if (v.len < HEAD || v.data[HASH] != VALUE_VERSION)
        return -EBADMSG;
    memcpy(&h, v.data, HASH);
    if (h != hash(key, v.data + HASH, v.len - HASH))
        return -EBADMSG;
    *value = (struct store_bytes){v.data + HEAD, v.len - HEAD};
    return 0;
}

/* A record more, or less, which is sound; its value as it is stored. */
static void count_value(struct store_counts *c, const struct store_bytes *key, const void *value,
                        bool more)
{
    uint8_t table = key->data[0];
    uint64_t h;

    memcpy(&h, value, HASH);
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

static int open_txn(struct store_txn *t, struct store *s)
{
    int rc;

    *t = (struct store_txn){.store = s};
    rc = mdb_txn_begin(s->env, NULL, t == &s->change ? 0 : MDB_RDONLY, &t->txn);
    if (rc == 0 && (rc = mdb_cursor_open(t->txn, s->dbi, &t->cursor)) != 0) {
        mdb_txn_abort(t->txn);
        t->txn = NULL;
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
        guarded(rc, open_txn(t, s));
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
    struct store_txn *t = write ? &s->change : s->own;
    int rc = write ? open_txn(t, s) : store_reader_begin(t);

    if (rc != 0)
        return rc;
    if (write && store_counts(t) == NULL && s->own) { /* else it is made */
        store_end(t);
        return -EBADMSG;
    }
    t->digest = t->counts.digest;
    *out = t;
    return 0;
}

void store_end(struct store_txn *t)
{
    int rc;

    if (t == NULL)
        return;
    if (t == &t->store->change) {
        close_txn(t);
    } else {
        guarded(rc, (mdb_txn_reset(t->txn), 0));
        (void)store_settle(t, rc);
    }
}

/* The nanoseconds of the time at which a file has changed that is sound in that state. Any
 * other write gives it the time of a clock, and a copy is another file. */
static long seal(const struct stat *st, time_t seconds, uint64_t state)
{
    const uint64_t what[] = {st->st_ino, (uint64_t)seconds, state};

    return (long)(XXH3_64bits(what, sizeof what) % 1000000000);
}

int store_commit(struct store_txn *t)
{
    const struct store_counts now = t->counts;
    uint64_t state = store_state(t);
    struct store *s = t->store;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL)}};
    struct stat st;
    bool sound;
    int rc = t->failed != 0 ? t->failed : store_put(t, &state_key, &now, sizeof now);

    if (rc < 0) {
        store_end(t);
        return rc;
    }
    sound = fstat(s->fd, &st) == 0 && memcmp(&st.st_mtim, &s->sound, sizeof s->sound) == 0;
    mdb_cursor_close(t->cursor);
    rc = translate(mdb_txn_commit(t->txn));
    if (rc != 0 || !sound)
        return rc;
    times[1].tv_nsec = seal(&st, times[1].tv_sec, state);
    if (futimens(s->fd, times) == 0)
        s->sound = times[1];
    return 0;
}

uint64_t store_state(const struct store_txn *t)
{
    return mdb_txn_id(t->txn);
}

int store_differs(const struct store_txn *t)
{
    return t->failed != 0 ? t->failed : t->counts.digest != t->digest;
}

int store_get(struct store_txn *t, const struct store_key *key, struct store_bytes *value)
{
    const struct store_bytes name = {key->data, key->len};
    MDB_val k = val_of(key), v;
    int rc = mdb_get(t->txn, t->store->dbi, &k, &v);

    if (rc != 0)
        return translate(rc);
    *value = bytes_of(&v);
    return open_value(&name, value);
}

int store_compare(const struct store_bytes *a, const struct store_key *b)
{
    int c = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

    return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

void store_key_copy(struct store_key *to, const struct store_bytes *from)
{
    to->len = from->len <= STORE_KEY_MAX ? from->len : 0; /* of a damaged page, any */
    memcpy(to->data, from->data, to->len);
}

int store_step(struct store_txn *t, enum store_step where, const struct store_key *key,
               size_t prefix, struct store_record *out)
{
    const MDB_cursor_op op = where == STORE_NEXT   ? MDB_NEXT
                             : where == STORE_PREV ? MDB_PREV /* the last one at the end */
                                                   : MDB_SET_RANGE;
    MDB_val k = val_of(key), v;
    int rc = mdb_cursor_get(t->cursor, &k, &v, op);

    if (rc == 0 && where == STORE_AFTER && k.mv_size == key->len &&
        memcmp(k.mv_data, key->data, key->len) == 0)
        rc = mdb_cursor_get(t->cursor, &k, &v, MDB_NEXT);
    *out = (struct store_record){.key = {NULL, 0}};
    if (rc != 0) { /* -EBADMSG promises a key: a broken tree has none to go on from */
        rc = translate(rc);
        return rc == -EBADMSG ? -EIO : rc;
    }
    if (k.mv_size < prefix || memcmp(k.mv_data, key->data, prefix) != 0)
        return -ENOENT;
    *out = (struct store_record){bytes_of(&k), bytes_of(&v)};
    /* A flipped bit in a branch page leads to the wrong leaf. */
    if (op == MDB_SET_RANGE && store_compare(&out->key, key) < 0)
        return -EBADMSG;
    return open_value(&out->key, &out->value);
}

static int fail(struct store_txn *t, int rc)
{
    rc = translate(rc);
    t->failed = t->failed != 0 ? t->failed : rc;
    return rc;
}

int store_put(struct store_txn *t, const struct store_key *key, const void *value, size_t len)
{
    const struct store_bytes name = {key->data, key->len};
    MDB_val k = val_of(key), v = {len + HEAD, NULL};
    int rc = mdb_put(t->txn, t->store->dbi, &k, &v, MDB_NOOVERWRITE | MDB_RESERVE);
    int change = STORE_ADDED;
    struct store_bytes old;
    uint8_t *p;
    uint64_t h;

    if (rc == MDB_KEYEXIST) {
        old = bytes_of(&v);
        if (open_value(&name, &old) != 0)
            return fail(t, MDB_CORRUPTED);
        if (old.len == len && memcmp(old.data, value, len) == 0)
            return STORE_SAME;
        count_value(&t->counts, &name, v.mv_data, false);
        v.mv_size = len + HEAD;
        rc = mdb_put(t->txn, t->store->dbi, &k, &v, MDB_RESERVE);
        change = STORE_REPLACED;
    }
    if (rc != 0)
        return fail(t, rc);
    p = v.mv_data;
    p[HASH] = VALUE_VERSION;
    memcpy(p + HEAD, value, len);
    h = hash(&name, p + HASH, len + 1);
    memcpy(p, &h, HASH);
    count_value(&t->counts, &name, p, true);
    return change;
}

int store_del(struct store_txn *t, const struct store_key *key)
{
    const struct store_bytes name = {key->data, key->len};
    MDB_val k = val_of(key), v;
    struct store_bytes old;
    int rc = mdb_get(t->txn, t->store->dbi, &k, &v);

    if (rc != 0)
        return rc == MDB_NOTFOUND ? -ENOENT : fail(t, rc);
    old = bytes_of(&v);
    if (open_value(&name, &old) != 0)
        return fail(t, MDB_CORRUPTED);
    count_value(&t->counts, &name, v.mv_data, false);
    return fail(t, mdb_del(t->txn, t->store->dbi, &k, NULL));
}

/* "DIR/data.mdb WHAT; REMEDY" */
#define damaged(s, d, what, ...)                                                                   \
    (diags_tell(d, "%s/data.mdb " what "; " STORE_REMEDY, (s)->dir, ##__VA_ARGS__), -EBADMSG)

struct sight {
    uint64_t records, damaged;
    struct store_counts all, stated;
};

static void see(void *context, const struct store_record *r)
{
    struct sight *s = context;
    struct store_bytes value;

    s->records++;
    value = r->value;
    if (open_value(&r->key, &value) != 0) {
        s->damaged++;
        return;
    }
    count_value(&s->all, &r->key, r->value.data, true);
    if (store_compare(&r->key, &state_key) == 0 && value.len == sizeof s->stated)
        memcpy(&s->stated, value.data, value.len);
}

/* A reader finds damage in what it needs, and in nothing else: a page that was swapped
 * for another takes records away without a trace. So everything is read once. */
int store_verify(struct store *s, enum store_access how, const atomic_bool *stop, struct diags *d)
{
    enum { TRIES = 5, PAUSE_MS = 4 }; /* it may be that a first page is just being written */
    enum { SOON = 4 << 20 };          /* octets that are read in some milliseconds */
    struct sight seen;
    struct stat st;
    struct pages_walk walk = {
        .visit = how == STORE_WRITE ? see : NULL,
        .context = &seen,
        .stop = stop,
        /* LMDB may search a damaged page for ever. A large store is walked while it serves. */
        .brief = how == STORE_SERVE && fstat(s->fd, &st) == 0 && st.st_size > SOON,
    };
    int rc = -EAGAIN;

    for (int i = 0; i < TRIES && (rc == -EAGAIN || rc == -EBADMSG); i++) {
        poll(NULL, 0, i > 0 ? PAUSE_MS : 0);
        seen = (struct sight){.records = 0};
        rc = pages_walk(s->fd, &walk);
    }
    if (rc == 0 || rc == -EBADMSG)
        atomic_store(&s->refused, rc != 0);
    if (rc == -EBADMSG)
        return damaged(s, d, "%s; no rule acts", walk.why);
    if (rc == 0 && seen.damaged > 0)
        return damaged(s, d, "is damaged: %llu of its %llu records; the others act",
                       (unsigned long long)seen.damaged, (unsigned long long)seen.records);
    if (rc == 0 && seen.all.digest != seen.stated.digest)
        return damaged(s, d, "is damaged: its records are not what their sum says");
    return rc;
}

/* 0; -ENOENT there is no store, and nothing says that there was one; -EBADMSG, told; -errno. */
static int look_at_files(struct store *s, const char *data, const char *lock,
                         enum store_access mode, struct diags *d)
{
    bool was_there = access(lock, F_OK) == 0; /* asked first: the file is there before the lock */
    struct pages_walk brief = {.brief = true};
    struct stat st;
    time_t age;
    int rc = 0;

    s->fd = open(data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0 && (errno != ENOENT || !was_there))
        return -errno;
    if (s->fd < 0)
        return damaged(s, d, "is missing, where lock.mdb says that there was a store");
    /* Was it left like this by a change, lately, of a store that was sound? */
    age = fstat(s->fd, &st) == 0 ? time(NULL) - st.st_mtim.tv_sec : -1;
    if (age < 0 || age >= SEAL_S || pages_walk(s->fd, &brief) != 0 ||
        st.st_mtim.tv_nsec != seal(&st, st.st_mtim.tv_sec, brief.state))
        rc = store_verify(s, mode, NULL, d);
    if (rc == 0 && mode == STORE_WRITE)
        s->sound = st.st_mtim;
    close(s->fd); /* LMDB's locks are on the other file, so this drops none */
    /* Nobody can tell while others write without a pause, and they looked before they began. */
    return rc == -EAGAIN ? 0 : rc;
}

/* LMDB tells a damaged page by ending the process. */
static void on_assertion(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    guard_give_up();
}

static int open_env(struct store *s, const char *dir, unsigned flags)
{
    MDB_txn *txn;
    int rc;

    if ((rc = mdb_env_create(&s->env)) != 0 ||
        (rc = mdb_env_set_assert(s->env, on_assertion)) != 0 ||
        (rc = mdb_env_set_mapsize(s->env, map_size)) != 0 ||
        (rc = mdb_env_set_maxreaders(s->env, STORE_PLACES)) != 0 ||
        (rc = mdb_env_open(s->env, dir, MDB_NOTLS | flags, 0660)) != 0 ||
        (rc = mdb_env_get_fd(s->env, &s->fd)) != 0 ||
        (rc = mdb_txn_begin(s->env, NULL, flags & MDB_RDONLY, &txn)) != 0)
        return translate(rc);
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
    if (rc == -ENOENT && mode != STORE_READ && /* SERVE too: what comes later is then seen */
        (rc = make_new_store(s->dir, data)) == 0)
        rc = look_at_files(s, data, lock, mode, d);
    if (rc != 0)
        return rc;
    /* Who may not write the lock file can tell no writer what is read, so nobody may write
     * meanwhile; `status` says so. Should somebody do it all the same (another mount of the
     * folder): the second change from then on writes over what is read, and sums tell. */
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
    if (s->barred)
        return -EFAULT;
    rc = s->own == NULL ? -errno : store_begin(s, false, &t);
    if (rc != 0)
        return rc;
    rc = store_get(t, &format_key, &v);
    found = rc == 0 && v.len == n + 1 && memcmp(v.data, format, n) == 0 ? v.data[n] : 0;
    store_end(t);
    if (found == 0)
        return damaged(s, d, "is damaged, or another program's");
    if (found == known)
        return 0;
    diags_tell(d,
               "%s was written by %s Waymark (format %u, this one knows %u); %s, or move it away "
               "and import a policy",
               s->dir, found > known ? "a newer" : "an older", found, known,
               found > known ? "upgrade" : "export it with that one");
    return -EBADMSG;
}

int store_open(struct store **out, const char *dir, enum store_access access, struct diags *d)
{
    struct store *s = calloc(1, sizeof *s);
    int rc = -ENOMEM;

    guard_install();
    if (s && (s->dir = strdup(dir)) != NULL) {
        guarded(rc, open_files(s, access, d));
    }
    if (rc == -EFAULT)
        rc = damaged(s, d, "is damaged, or the disk cannot read it");
    if (rc == 0) {
        *out = s;
        return 0;
    }
    store_close(s);
    if (d && d->all == 0)
        diags_tell(d, "%s cannot be opened: %s; mend that and restart waymarkd, or " STORE_REMEDY,
                   dir, strerror(-rc));
    return rc;
}

void store_close(struct store *s)
{
    int rc = 0;

    if (s == NULL)
        return;
    store_reader_free(s->own);
    if (s->env)
        guarded(rc, (mdb_env_close(s->env), 0));
    (void)rc; /* whoever closes has no more use for it */
    free(s->dir);
    free(s);
}

int store_copy(struct store *s, const char *dir)
{
    char path[PATH_MAX];
    int fd, rc = 0;

    if (snprintf(path, sizeof path, "%s/data.mdb", dir) >= PATH_MAX)
        return -ENAMETOOLONG;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    guarded(rc, mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT));
    rc = rc == -EFAULT ? -EIO : translate(rc);
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    close(fd);
    if (rc != 0)
        unlink(path);
    return rc;
}

/* LMDB holds its files open and comes back to no name. */
int store_open_nowhere(struct store **out, const char *folder, struct store *copied)
{
    char path[PATH_MAX], file[PATH_MAX + 16];
    int rc = 0;

    if (snprintf(path, sizeof path, "%s/waymark-XXXXXX", folder) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (mkdtemp(path) == NULL)
        return -errno;
    if (copied)
        rc = store_copy(copied, path);
    if (rc == 0)
        rc = store_open(out, path, STORE_WRITE, NULL);
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s.mdb", path, i == 0 ? "data" : "lock");
        unlink(file);
    }
    rmdir(path);
    return rc;
}

int store_sweep(struct store *s)
{
    int dead = 0, rc = 0;

    if (!s->barred)
        guarded(rc, mdb_reader_check(s->env, &dead));
    s->barred |= rc == -EFAULT;
    return rc == 0 ? dead : 0;
}

struct store_health store_health(struct store *s)
{
    struct stat st;

    return (struct store_health){
        .bytes = fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : 0,
        .unlocked = s->unlocked,
        .refused = atomic_load(&s->refused),
        .faults = atomic_load(&s->faults),
    };
}
