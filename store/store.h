/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- ordered keys and checked values in one file of LMDB: readers for
 * threads, and one writer at a time in all processes.
 *
 * One transaction per change: what it holds is there whole or not at all, also after a power
 * cut. A reader sees one state from begin to end. The first octet of a key names its table; "M"
 * is the store's own: the mark of its format, and counts and sum of what is stored.
 *
 * A stored value is 8 octets of XXH3 over key, version and content, one of version, then what
 * was put. Bytes that are given out point into the map: they last until the end of the
 * transaction, or until its next put or del.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/guard.h"

struct store;     /* opaque; one per process and directory */
struct store_txn; /* opaque; one thread at a time */

enum { STORE_KEY_MAX = 511, STORE_PLACES = 512 }; /* for readers, in all processes */
/* READ and WRITE are for a tool: every page is looked at first, and to WRITE all that is
 * stored, of which nothing may be damaged, unless it is as a change has left it within the
 * hour. SERVE reads and waits for that only of a small store: store_verify() tells what shows later. */
enum store_access { STORE_READ, STORE_WRITE, STORE_SERVE };

#define STORE_UNSUMMED                                                                             \
    "KLM" /* tables that the digest is not made of: what a change leaves anyway */
#define STORE_REMEDY                                                                               \
    "stop waymarkd, move that folder away, restore a backup or import a policy, start waymarkd"
struct store_key {
    size_t len; /* 0: what it was built from does not fit */
    uint8_t data[STORE_KEY_MAX];
};
struct store_bytes {
    const uint8_t *data;
    size_t len;
};
struct store_record {
    struct store_bytes key, value; /* no value (NULL): it is damaged */
};
struct store_counts {
    uint64_t digest;     /* the sum of the hashes of what is stored, whatever their order */
    uint64_t tables[64]; /* records by the lower 6 bits of their table */
};
struct store_health {
    uint64_t bytes;  /* of the file */
    bool unlocked;   /* the folder is read-only, nobody else may write it either */
    bool refused;    /* no reader begins, since pages are damaged */
    uint64_t faults; /* reads that the disk, or a damaged page, broke off */
};

/* All but STORE_READ make it if need be. A store that is unreadable, of another format,
 * truncated or damaged, or of which only traces are there: -EBADMSG; missing, with STORE_READ:
 * -ENOENT; else -errno. d is empty and gets one sentence with path and remedy; or NULL. */
int store_open(struct store **, const char *dir, enum store_access, struct diags *d);
void store_close(struct store *); /* NULL is fine */
/* Writes DIR/data.mdb, which is not there yet, with the newest state, whoever reads and changes
 * meanwhile, and without unused pages. 0 or -errno: nothing is left of it. */
int store_copy(struct store *, const char *dir);
/* An empty store, or a copy of one, to be written, in a folder within `folder` that is gone
 * already: closing it frees all. */
int store_open_nowhere(struct store **, const char *folder, struct store *copied);
/* Now and then, by one thread: clears places of dead readers; how many. */
int store_sweep(struct store *);
struct store_health store_health(struct store *); /* any thread */
/* Reads the first pages (SERVE, of a large store), all of them (READ), or the values, too (WRITE), without a lock or
 * a reader's place. 0; -EBADMSG and one sentence in d: damaged are records, which their readers
 * find, or pages: then no reader begins until a later verification finds them sound; -EAGAIN it
 * changed all the time; -ECANCELED *stop was set; -errno. Any thread. */
int store_verify(struct store *, enum store_access, const atomic_bool *stop, struct diags *d);

/* A reader for the life of a thread; NULL and errno: EUSERS all places are taken, ... */
struct store_txn *store_reader_new(struct store *);
void store_reader_free(struct store_txn *); /* NULL is fine */
/* Begins a read of the newest state, until store_end(); cheap enough for each batch of
 * questions. 0; -EBADMSG the store was found unfit; -errno. A page that cannot be had ends
 * no process: what needed it is -EIO. */
int store_reader_begin(struct store_txn *);

/* A change (waits for another writer), or a read with the store's own reader: that one
 * thread at a time. 0 or -errno. */
int store_begin(struct store *, bool write, struct store_txn **out);
/* Of a change: nothing was, and it is gone. NULL is fine. */
void store_end(struct store_txn *);
int store_commit(struct store_txn *); /* with a sync; gone either way */

uint64_t store_state(const struct store_txn *);              /* which state is seen */
const struct store_counts *store_counts(struct store_txn *); /* NULL: damaged */
static inline uint64_t store_count(const struct store_counts *c, char table)
{
    return c->tables[table & 63];
}
/* Of a change so far: 1 the digest differs; 0; -errno of the first write that failed. */
int store_differs(const struct store_txn *);

/* 0; -ENOENT; -EBADMSG the value is damaged; -errno. */
int store_get(struct store_txn *, const struct store_key *, struct store_bytes *value);
/* The first record at or behind the key (SEEK), or behind it (AFTER), and the neighbours of
 * what was found last, if it begins with the first `prefix` octets of the key, else -ENOENT.
 * With -EBADMSG the value is damaged and the key is set (a broken tree, which has none, is
 * -EIO): one may go on. */
enum store_step { STORE_SEEK, STORE_AFTER, STORE_NEXT, STORE_PREV };
int store_step(struct store_txn *, enum store_step, const struct store_key *, size_t prefix,
               struct store_record *);
/* Each record that begins with the key. The loop ends when its body sets rc to anything but 0,
 * and with -ENOENT behind the last. */
#define STORE_EACH(rc, txn, key, record)                                                           \
    for ((rc) = store_step(txn, STORE_SEEK, key, (key)->len, record); (rc) == 0;                   \
         (rc) = (rc) != 0 ? (rc) : store_step(txn, STORE_NEXT, key, (key)->len, record))
int store_compare(const struct store_bytes *, const struct store_key *);
void store_key_copy(struct store_key *, const struct store_bytes *);

/* A failed write spoils the transaction: store_commit() then fails as well. */
enum { STORE_SAME, STORE_ADDED, STORE_REPLACED };
int store_put(struct store_txn *, const struct store_key *, const void *value, size_t len);
int store_del(struct store_txn *, const struct store_key *); /* 0, -ENOENT, -errno */

/* rc = call, which reads the map; -EIO when it met a fault now or since the
 * reader began. The fault (-EFAULT) is counted. */
#define store_guarded(rc, txn, call)                                                               \
    do {                                                                                           \
        (rc) = store_settle(txn, 0);                                                               \
        if ((rc) == 0)                                                                             \
            guarded(rc, call);                                                                     \
        (rc) = store_settle(txn, rc);                                                              \
    } while (0)
int store_settle(struct store_txn *, int rc);

/* --- pages.c: the file, read without LMDB ---------------------------------- */

enum { PAGES_WHY = 120 };
struct pages_walk {
    /* Of each record in the order of keys, as it lies there. NULL: only the pages count. */
    void (*visit)(void *context, const struct store_record *);
    void *context;
    const atomic_bool *stop; /* NULL, or set by another thread: -ECANCELED */
    bool brief;              /* only: are the first pages sound? */
    uint64_t state;          /* that was found */
    char why[PAGES_WHY];     /* with -EBADMSG: "is damaged: page 17 is used twice" */
};
/* Every page of the newest state: is it whole, is it used exactly once, does a search find
 * each key? 0; -EBADMSG; -EAGAIN the state moved meanwhile, so it is not known; -errno. No lock
 * is taken. */
int pages_walk(int fd, struct pages_walk *);

#endif
