/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot.h -- the answers of a cache in one file, over a restart.
 *
 * Answers alone: a failure is over soon, and a decision is of the policy and the hosts as they are
 * now. Times are written as wall clock, since the other clock begins anew at each boot. The file is
 * written under another name, synchronised and renamed, so that it is there whole or not at all.
 *
 * What is read is believed as little as a packet. Each block has a checksum, which shows damage and
 * no malice: each answer is read by reply_read() as if a server had sent it, its question is the
 * key, and what is kept is what that reader writes. Nothing takes the place of what is there.
 */
#ifndef CACHE_SNAPSHOT_H
#define CACHE_SNAPSHOT_H

#include <stdatomic.h>

#include "base/str.h"
#include "cache/cache.h"

/* What another thread may tell the one that is at work. FINISH: it ends with what has been written. */
enum snapshot_order { SNAPSHOT_GO, SNAPSHOT_FINISH, SNAPSHOT_ABANDON };

struct snapshot {
    const char *path; /* PATH.new is its other name */
    struct now now;
    uint64_t stale_ms;      /* an answer is of use for so long after its end */
    const uint32_t *scopes; /* to read: those that are asked for */
    size_t n_scopes;
    atomic_int order;
    /* What came of it. */
    uint64_t answers, refused; /* refused: read, and no answer */
    bool cut;                  /* not all was written: FINISH */
    char why[160];             /* of -EBADMSG, in words that follow the path */
};

/* Writes the answers, those first that were asked for lately. 0; -ECANCELED; -ENOSPC also when the
 * disk would have less than 32 MiB left; -errno: the file is as it was. */
int snapshot_write(struct snapshot *, struct cache *);
/* Adds the answers of the file, at most as many octets of it as the cache has. 0; -ENOENT;
 * -ECANCELED; -EBADMSG: it is not ours, of another format, of the future or damaged, where what
 * stands before the damage is kept; -errno. */
int snapshot_read(struct snapshot *, struct cache *);
/* The same of an open file. */
int snapshot_read_from(struct snapshot *, struct cache *, int fd);

/* --- The form: a header; blocks, the last of them empty. Numbers are big-endian.
 *   header   8 magic, 2 format, 6 zero, 8 when it was written, 8 checksum
 *   block    4 octets of records, 4 records; records; 8 checksum of header, place and all before
 *   record   8 stored, 8 expires, 4 scope, 1 bits (and 128: filtered), 16 2 4 server, 2 ms,
 *            2 octets; an image */
enum { SNAPSHOT_FORMAT = 1, SNAPSHOT_HEADER = 32, SNAPSHOT_BLOCK = 8, SNAPSHOT_SUM = 8 };
enum { SNAPSHOT_RECORD = 47, SNAPSHOT_MAX = 256 * 1024 /* octets of a block */ };

/* Writes a header, and returns its checksum. */
uint64_t snapshot_header(uint8_t out[SNAPSHOT_HEADER], uint64_t wall_ms);
/* Completes the block, of which the records are there: its beginning and its checksum. */
void snapshot_seal(struct writer *, uint32_t records, uint64_t header_sum, uint64_t place);

#endif
