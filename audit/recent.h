/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.h -- a table of fixed size of what was seen lately, and what the writer
 * asks it of an event before that is stored: is it one that its client resends,
 * and do the rates of one client and of all allow it?
 *
 * Sets of four places, found by a hash; what is new takes the place of its set
 * whose ms is the smallest. So a flood of new things makes the table forget, and
 * no more.
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
