/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- the audit store as ordered keys and values. Private to audit/;
 * store.c is the only file of this folder that knows LMDB and xxHash.
 *
 * Every value carries a version octet and a checksum that also covers its key;
 * callers see the payload only. Tables are told apart by the first octet of a
 * key; events have the greatest, so that a new one is always appended.
 */
#ifndef AUDIT_STORE_H
#define AUDIT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"

enum {
    STORE_META = 'M',
    STORE_CLIENT = 'C',
    STORE_HOUR = 'H',
    STORE_RULE = 'R',
    STORE_SUFFIX = 'S',
    STORE_TARGET = 'T',
    STORE_EVENT = 'e'
};
enum { STORE_KEY_MAX = 300 };

struct audit_store; /* opaque; one per process and directory */
struct audit_txn;   /* opaque; one at a time for a store */

struct bytes {
    const uint8_t *at;
    size_t len;
}; /* borrowed */

/* 0; -EBADMSG with path and remedy in d; -ENOENT (reading only); -errno with a
 * sentence in d. write: makes the directory and the files if need be. */
int audit_store_open(struct audit_store **, const char *dir, bool write, struct diags *d);
void audit_store_close(struct audit_store *);

/* -errno everywhere; a full disk or map is -ENOSPC. */
int audit_txn_begin(struct audit_txn **, struct audit_store *);
int audit_txn_commit(struct audit_txn *); /* gone either way */
void audit_txn_abort(struct audit_txn *); /* NULL is fine */

/* The payload lives until the next change or the end. 0, -ENOENT, -EBADMSG damaged. */
int audit_txn_get(struct audit_txn *, struct bytes key, struct bytes *payload);
int audit_txn_put(struct audit_txn *, struct bytes key, struct bytes payload);
/* key must be greater than every other; the payload is head and tail joined. */
int audit_txn_append(struct audit_txn *, struct bytes key, struct bytes head, struct bytes tail);
int audit_txn_del(struct audit_txn *, struct bytes key); /* 0, -ENOENT */

/* The first entry with a key >= the given one / the one behind / the last with
 * a key < the given one. -ENOENT at the end. A damaged value: 0 with *ok false,
 * so that a walk can go on. */
struct entry {
    struct bytes key, payload;
    bool ok;
};
int audit_txn_seek(struct audit_txn *, struct bytes key, struct entry *);
int audit_txn_next(struct audit_txn *, struct entry *);
int audit_txn_before(struct audit_txn *, struct bytes key, struct entry *);
int audit_txn_del_here(struct audit_txn *); /* what the walk stands on; next gives the one behind */

uint64_t audit_txn_bytes(struct audit_txn *); /* in use, without free pages */

/* Keys. out needs 9 octets. */
struct bytes audit_key_number(uint8_t out[9], uint8_t table, uint64_t);
uint64_t audit_key_value(struct bytes key); /* of such a key; 0 if it is none */

#endif
