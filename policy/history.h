/* SPDX-License-Identifier: BSD-2-Clause
 *
 * history.h -- what a change of the policy takes away: the records that it touches, as they were.
 *
 * Kept are networks, pools, rules, listed hosts, and of a rule's suffixes each key; the rest
 * follows from these. A rule that comes into being says in one entry that it was not there, and
 * its suffixes then say nothing: so what a million of them cost is their own records.
 *
 * The kept changes are the last ones, without a gap: each of the serials behind the oldest that
 * can be restored has its pieces, numbered from 0.
 */
#ifndef POLICY_HISTORY_H
#define POLICY_HISTORY_H

#include "policy/records.h"

enum { HISTORY_MOST = 64 << 20 }; /* octets of all that is kept */

struct history { /* of a change that is being made */
    uint64_t serial, most;
    uint64_t before; /* octets that earlier changes kept, since ever */
    uint64_t size;   /* and this one, in the pieces that are written */
    uint32_t n;      /* these */
    bool left;       /* more than `most`: it is not kept, nor can what was before it be restored */
    bool failed;     /* no memory */
    uint8_t *piece;  /* owned: the one that is being filled */
    size_t len, room;
};

/* The change that makes this serial. 0 or -errno. */
int history_begin(struct history *, struct store_txn *, uint64_t serial, uint64_t most);
/* A record as it is before it is put or removed. NULL: it is not there. */
void history_keep(struct history *, const struct store_key *, const struct store_bytes *value);
/* Writes the piece when it is long enough, or the last one: no octet that the map gave out lasts. */
void history_write(struct history *, struct store_txn *, bool last);
/* Writes the last piece, and removes what is over the limit, and what is older than the log.
 * 0 or -errno. */
int history_end(struct history *, struct store_txn *);
void history_free(struct history *); /* twice is fine */

/* The oldest serial that can be restored, at most the present one. 0 or -errno. */
int history_oldest(struct store_txn *, uint64_t present, uint64_t *out);
/* All that the changes behind that serial took away, in their order; the octets are those of the
 * map, and a record without a value was not there. A list from malloc, also with an error. A change
 * that should be there and is missing is not noticed: the digest of what comes out tells. */
int history_read(struct store_txn *, uint64_t since, struct store_record **list, size_t *n);

#endif
