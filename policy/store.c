/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.c -- the policy database: the thin layer over LMDB.
 *
 * One environment, one unnamed database, full sync. Every value is checked
 * when it is read: LMDB itself has no checksums and hands out whatever the
 * disk gave back. What is stored where is in records.h.
 *
 * The map size is fixed and the same in every process: mdb_env_set_mapsize()
 * on an open environment kills its readers. Reader slots are bound to the
 * transaction objects (MDB_NOTLS), so a worker keeps one for its life and
 * renews and resets it.
 */
#include "policy/store.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <lmdb.h>
#include <xxhash.h>

#include "base/file.h"
#include "policy/env.h"
#include "policy/records.h"
#include "policy/store_file.h"

enum { VALUE_VERSION = 1, HASH = 8, HEAD = HASH + 1, SPARE_PAGES = 256 };
static const size_t map_size = (size_t)16 << 30; /* address space, not memory */

struct kv {
    struct policy_store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    bool write, at_end, repaired;
    bool faulted;          /* nothing more is read until the reader begins again */
    int failed;            /* first error of a write */
    uint64_t delta;        /* of the digest */
    uint64_t tree, growth; /* pages: of the tree now; that the writes may have taken at the end */
};

struct policy_reader {
    struct kv kv;
    bool known; /* state is that of state_id */
    uint64_t state_id;
    struct policy_state state;
    struct host_filter hosts;
};

/* LMDB's numbers and errno's, as -errno. */
static int translate(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_KEYEXIST:
        return -EEXIST;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_TXN_FULL:
        return -E2BIG;
    case MDB_READERS_FULL:
        return -EUSERS;
    case MDB_BAD_VALSIZE:
        return -ENAMETOOLONG;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return -EBADMSG;
    default:
        return rc > 0 ? -rc : -EIO;
    }
}

/* --- values --------------------------------------------------------------- */

static uint64_t hash(const MDB_val *key, const uint8_t *from_version, size_t len)
{
    return XXH3_64bits_withSeed(from_version, len, XXH3_64bits(key->mv_data, key->mv_size));
}

static uint64_t stored_hash(const MDB_val *value)
{
    uint64_t h = 0;

    if (value->mv_size >= HEAD)
        memcpy(&h, value->mv_data, HASH);
    return h;
}

static bool is_intact(const MDB_val *key, const MDB_val *value)
{
    const uint8_t *p = value->mv_data;

    return value->mv_size >= HEAD && p[HASH] == VALUE_VERSION &&
           stored_hash(value) == hash(key, p + HASH, value->mv_size - HASH);
}

static int open_value(const MDB_val *key, const MDB_val *value, struct kv_bytes *out)
{
    if (!is_intact(key, value)) {
        *out = (struct kv_bytes){NULL, 0};
        return -EBADMSG;
    }
    *out = (struct kv_bytes){(const uint8_t *)value->mv_data + HEAD, value->mv_size - HEAD};
    return 0;
}

int kv_value(const struct kv_bytes *key, const struct kv_bytes *stored, struct kv_bytes *payload,
             uint64_t *hashed)
{
    const MDB_val k = {key->len, (void *)(uintptr_t)key->at},
                  v = {stored->len, (void *)(uintptr_t)stored->at};

    *hashed = stored_hash(&v);
    return open_value(&k, &v, payload);
}

/* --- the length of the file

   A page that is taken at the end of the file and given back by the same
   transaction is never written, so LMDB may leave the file shorter than the
   last page that its meta page counts. store_file.c takes that for a file cut
   short. So before a commit the file is made long enough for whatever the
   transaction took (holes cost nothing), and after it the rest is given back.
   Both under the writers' lock, or another writer's new pages could be cut off.

   What it took: each page of the tree is copied once at most, later work finds
   it dirty; every other page makes the tree grow. What deletions set free is
   used again first, and counts again here when it is. */

static uint64_t tree_pages(struct kv *kv)
{
    MDB_stat s;

    return mdb_stat(kv->txn, kv->store->dbi, &s) == 0 ? s.ms_branch_pages + s.ms_leaf_pages : 0;
}

/* After each write of a value of that many octets; 0: a deletion. */
static void note_growth(struct kv *kv, size_t len)
{
    uint64_t now = tree_pages(kv);

    kv->growth += now > kv->tree ? now - kv->tree : 0;
    kv->tree = now;
    if (len > kv->store->page_size / 4) /* it may have pages of its own */
        kv->growth += len / kv->store->page_size + 2;
}

/* The list of free pages has less than 16 octets for each page of the file; it
 * is written anew by the commit, some of it twice. */
static int make_room(struct kv *kv)
{
    const struct policy_store *store = kv->store;
    MDB_envinfo info;
    int rc = mdb_env_info(store->env, &info);
    uint64_t more = kv->growth;

    if (rc != 0)
        return translate(rc);
    return store_file_fit(store->fd, more + (info.me_last_pgno + more) / 32 + SPARE_PAGES, map_size,
                          false);
}

/* That it cannot be done now is no loss: the next change does it. */
static void give_back(struct policy_store *store)
{
    MDB_txn *txn;

    if (mdb_txn_begin(store->env, NULL, 0, &txn) != 0)
        return;
    (void)!store_file_fit(store->fd, 0, map_size, true);
    mdb_txn_abort(txn);
}

/* --- transactions --------------------------------------------------------- */

static int open_txn(struct kv *kv, struct policy_store *store, bool write)
{
    int rc;

    *kv = (struct kv){.store = store, .write = write};
    rc = mdb_txn_begin(store->env, NULL, write ? 0 : MDB_RDONLY, &kv->txn);
    if (rc == MDB_READERS_FULL && policy_store_sweep(store) > 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &kv->txn);
    if (rc == 0) {
        kv->tree = kv->growth = write ? tree_pages(kv) : 0;
        rc = mdb_cursor_open(kv->txn, store->dbi, &kv->cursor);
        if (rc != 0)
            mdb_txn_abort(kv->txn);
    }
    return translate(rc);
}

static int close_txn(struct kv *kv)
{
    mdb_cursor_close(kv->cursor);
    mdb_txn_abort(kv->txn);
    return 0;
}

int kv_begin(struct policy_store *store, bool write, struct kv **out)
{
    struct kv *kv = malloc(sizeof *kv);
    int rc;

    if (kv == NULL)
        return -ENOMEM;
    rc = open_txn(kv, store, write);
    if (rc != 0) {
        free(kv);
        return rc;
    }
    *out = kv;
    return 0;
}

void kv_end(struct kv *kv)
{
    if (kv == NULL)
        return;
    close_txn(kv);
    free(kv);
}

int kv_commit(struct kv *kv)
{
    struct policy_store *store = kv->store;
    int rc = kv->failed;

    if (rc == 0)
        rc = make_room(kv);
    if (rc != 0) {
        kv_end(kv);
        return rc;
    }
    mdb_cursor_close(kv->cursor);
    rc = file_write_error(store->fd, translate(mdb_txn_commit(kv->txn)));
    free(kv);
    give_back(store);
    return rc;
}

uint64_t kv_state(const struct kv *kv)
{
    return mdb_txn_id(kv->txn);
}

uint64_t kv_digest_delta(const struct kv *kv)
{
    return kv->delta;
}

int kv_failed(const struct kv *kv)
{
    return kv->failed;
}

bool kv_repaired(const struct kv *kv)
{
    return kv->repaired;
}

/* --- reading -------------------------------------------------------------- */

static MDB_val key_val(const struct kv_key *k)
{
    return (MDB_val){k->len, (void *)(uintptr_t)k->at};
}

int kv_get(struct kv *kv, const struct kv_key *key, struct kv_bytes *value)
{
    MDB_val k = key_val(key), v;
    int rc = mdb_get(kv->txn, kv->store->dbi, &k, &v);

    return rc == 0 ? open_value(&k, &v, value) : translate(rc);
}

static int step(struct kv *kv, MDB_val *k, MDB_cursor_op op, struct kv_entry *out)
{
    MDB_val v;
    int rc = mdb_cursor_get(kv->cursor, k, &v, op);

    kv->at_end = rc == MDB_NOTFOUND;
    if (rc != 0) {
        out->key = out->value = (struct kv_bytes){NULL, 0};
        /* -EBADMSG promises a key: a broken tree has none to go on from. */
        rc = translate(rc);
        return rc == -EBADMSG ? -EIO : rc;
    }
    out->key = (struct kv_bytes){k->mv_data, k->mv_size};
    return open_value(k, &v, &out->value);
}

int kv_seek(struct kv *kv, const struct kv_key *key, struct kv_entry *out)
{
    MDB_val k = key_val(key);
    int rc = step(kv, &k, MDB_SET_RANGE, out);

    /* A flipped bit in a branch page leads to the wrong leaf. */
    if (rc == 0 && kv_compare(&out->key, key) < 0)
        return -EBADMSG;
    return rc;
}

int kv_next(struct kv *kv, struct kv_entry *out)
{
    MDB_val k;

    return step(kv, &k, MDB_NEXT, out);
}

int kv_prev(struct kv *kv, struct kv_entry *out)
{
    MDB_val k;

    return step(kv, &k, kv->at_end ? MDB_LAST : MDB_PREV, out);
}

/* --- writing -------------------------------------------------------------- */

static int spoil(struct kv *kv, int rc)
{
    if (kv->failed == 0)
        kv->failed = rc;
    return rc;
}

static void fill_value(const MDB_val *key, MDB_val *value, const void *payload, size_t len)
{
    uint8_t *p = value->mv_data;
    uint64_t h;

    p[HASH] = VALUE_VERSION;
    if (len > 0)
        memcpy(p + HEAD, payload, len);
    h = hash(key, p + HASH, len + 1);
    memcpy(p, &h, HASH);
}

int kv_put(struct kv *kv, const struct kv_key *key, const void *payload, size_t len)
{
    bool live = table_is_live(key->at[0]);
    MDB_val k = key_val(key), v = {len + HEAD, NULL};
    int rc = mdb_put(kv->txn, kv->store->dbi, &k, &v, MDB_NOOVERWRITE | MDB_RESERVE);
    enum kv_change change = KV_ADDED;

    if (rc == MDB_KEYEXIST) {
        bool intact = is_intact(&k, &v);
        uint64_t old = stored_hash(&v);

        if (intact && v.mv_size == len + HEAD &&
            (len == 0 || memcmp((const uint8_t *)v.mv_data + HEAD, payload, len) == 0))
            return KV_SAME;
        v = (MDB_val){len + HEAD, NULL};
        rc = mdb_put(kv->txn, kv->store->dbi, &k, &v, MDB_RESERVE);
        kv->repaired |= !intact;
        change = KV_REPLACED;
        if (live)
            kv->delta -= old;
    }
    if (rc != 0)
        return spoil(kv, translate(rc));
    note_growth(kv, len + HEAD);
    fill_value(&k, &v, payload, len);
    if (live)
        kv->delta += stored_hash(&v);
    return (int)change;
}

int kv_del(struct kv *kv, const struct kv_key *key)
{
    MDB_val k = key_val(key), v;
    int rc = mdb_get(kv->txn, kv->store->dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return -ENOENT;
    if (rc == 0) {
        kv->repaired |= !is_intact(&k, &v);
        if (table_is_live(key->at[0]))
            kv->delta -= stored_hash(&v);
        rc = mdb_del(kv->txn, kv->store->dbi, &k, NULL);
        note_growth(kv, 0);
    }
    return rc == 0 ? 0 : spoil(kv, translate(rc));
}

int kv_sum(struct kv *kv, uint64_t *sum)
{
    MDB_val k, v;
    int rc;

    *sum = 0;
    for (rc = mdb_cursor_get(kv->cursor, &k, &v, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(kv->cursor, &k, &v, MDB_NEXT))
        if (table_is_live(*(const uint8_t *)k.mv_data))
            *sum += stored_hash(&v);
    return rc == MDB_NOTFOUND ? 0 : translate(rc);
}

/* --- readers -------------------------------------------------------------- */

int kv_settle(struct kv *kv, int rc)
{
    if (rc != -EFAULT)
        return rc;
    kv->faulted = true;
    atomic_fetch_add(&kv->store->faults, 1);
    return -EIO;
}

bool kv_faulted(const struct kv *kv)
{
    return kv->faulted;
}

static int open_reader(struct kv *kv, struct policy_store *store)
{
    int rc;

    if (store->barred)
        return -EIO;
    guarded(rc, open_txn(kv, store, false));
    store->barred |= rc == -EFAULT;
    return kv_settle(kv, rc);
}

struct policy_reader *policy_reader_new(struct policy_store *store)
{
    struct policy_reader *r = calloc(1, sizeof *r);
    int rc = r != NULL ? open_reader(&r->kv, store) : -ENOMEM;

    if (rc != 0) {
        free(r);
        errno = -rc;
        return NULL;
    }
    mdb_txn_reset(r->kv.txn);
    return r;
}

void policy_reader_free(struct policy_reader *r)
{
    int rc;

    if (r == NULL)
        return;
    guarded(rc, close_txn(&r->kv));
    (void)rc;
    free(r);
}

static int begin(struct kv *kv)
{
    int rc = mdb_txn_renew(kv->txn);

    return translate(rc == 0 ? mdb_cursor_renew(kv->txn, kv->cursor) : rc);
}

int policy_reader_begin(struct policy_reader *r)
{
    int rc;

    if (atomic_load(&r->kv.store->refused))
        return -EBADMSG;
    r->kv.faulted = false;
    guarded(rc, begin(&r->kv));
    if (rc != 0)
        policy_reader_end(r);
    return kv_settle(&r->kv, rc);
}

void policy_reader_end(struct policy_reader *r)
{
    int rc;

    guarded(rc, (mdb_txn_reset(r->kv.txn), 0));
    (void)kv_settle(&r->kv, rc);
}

uint64_t policy_reader_state(const struct policy_reader *r)
{
    return kv_state(&r->kv);
}

struct kv *policy_reader_kv(struct policy_reader *r)
{
    return &r->kv;
}

struct host_filter *policy_reader_hosts(struct policy_reader *r)
{
    uint64_t id = kv_state(&r->kv);

    r->hosts.known = r->hosts.known && r->hosts.state == id;
    r->hosts.state = id;
    return &r->hosts;
}

bool policy_reader_summary(struct policy_reader *r, struct policy_state *out)
{
    uint64_t id = kv_state(&r->kv);

    if (!r->known || r->state_id != id) {
        r->known = state_read(&r->kv, &r->state) == 0;
        r->state_id = id;
    }
    *out = r->state;
    return r->known;
}

uint64_t policy_reader_serial(struct policy_reader *r)
{
    struct policy_state s;

    return policy_reader_summary(r, &s) ? s.serial : 0;
}

int policy_store_sweep(struct policy_store *store)
{
    int dead = 0, rc = 0;

    if (!store->barred)
        guarded(rc, mdb_reader_check(store->env, &dead));
    store->barred |= rc == -EFAULT;
    return rc == 0 ? dead : 0;
}

/* --- open and close ------------------------------------------------------- */

/* LMDB tells a damaged page by ending the process. */
static void on_assertion(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    guard_give_up();
}

/* Who may not write the lock file can tell no writer what is read, so nobody may
 * write meanwhile; `status` says so. Should somebody do it all the same (another
 * mount of the same folder): pages of a state are written over by the second
 * change after it at the earliest, a transaction here lasts microseconds in the
 * daemon and milliseconds in the tool, and each value has its checksum. */
static unsigned flags_of(struct policy_store *s, enum policy_access access)
{
    if (access == POLICY_WRITE)
        return MDB_NOTLS;
    s->unlocked = store_file_lockable(s->dir) != 0;
    return MDB_NOTLS | MDB_RDONLY | (s->unlocked ? MDB_NOLOCK : 0);
}

int env_open(struct policy_store *s, enum policy_access access)
{
    MDB_stat stat;
    MDB_txn *txn;
    int rc;

    if ((rc = mdb_env_create(&s->env)) != 0 ||
        (rc = mdb_env_set_assert(s->env, on_assertion)) != 0 ||
        (rc = mdb_env_set_mapsize(s->env, map_size)) != 0 ||
        (rc = mdb_env_set_maxreaders(s->env, POLICY_READERS)) != 0 ||
        (rc = mdb_env_open(s->env, s->dir, flags_of(s, access), 0660)) != 0)
        return translate(rc);
    store_file_modes(s->dir);
    policy_store_sweep(s);
    if ((rc = mdb_env_get_fd(s->env, &s->fd)) != 0 || (rc = mdb_env_stat(s->env, &stat)) != 0 ||
        (rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)) != 0)
        return translate(rc);
    s->page_size = stat.ms_psize;
    if ((rc = mdb_dbi_open(txn, NULL, 0, &s->dbi)) != 0) {
        mdb_txn_abort(txn);
        return translate(rc);
    }
    return translate(mdb_txn_commit(txn));
}

void env_close(struct policy_store *s)
{
    if (s->env != NULL)
        mdb_env_close(s->env);
}
