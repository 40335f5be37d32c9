/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.h -- a table of fixed size of what was seen lately. Before the writer
 * stores an event it asks here whether the client has resent a packet, and
 * whether the rates of this client and of all clients allow one more event.
 *
 * The table consists of sets of four places, found by a hash. A new item takes
 * the place of its set whose ms is the smallest. So a flood of new items makes
 * the table forget old ones and has no other effect.
 */
#ifndef AUDIT_RECENT_H
#define AUDIT_RECENT_H

#include "audit/event.h"

struct recent; /* opaque */

struct recent_place {
    uint64_t hash; /* 0 = empty */
    uint64_t ms;   /* the user's: of its last or its first use */
    uint64_t value;
};

struct recent *recent_new(size_t sets); /* a power of two; NULL: out of memory */
void recent_free(struct recent *);
void recent_clear(struct recent *);
/* The place of the hash. Not seen lately: *found false, ms and value 0. */
struct recent_place *recent_find(struct recent *, uint64_t hash, bool *found);

struct limiter {
    uint32_t all_rate, client_rate; /* events a second, 0 = no limit */
    struct recent_place all;        /* its value: thousandths of a token; hash 0: not begun */
    struct recent *seen;            /* clients and questions */
};

/* Takes a token of both rates, or none and returns false. A client may save up
 * for 10 s, all together for 1 s. */
bool limiter_take(struct limiter *, const struct addr *, uint64_t mono_ms);
/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. */
bool limiter_repeat(struct limiter *, const struct audit_event *);

#endif
