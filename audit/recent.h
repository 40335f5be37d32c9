/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.h -- a table of fixed size of what was seen lately, known by its hash.
 *
 * Sets of four places; what is new takes the place of its set whose ms is the
 * smallest. So a flood of new things makes the table forget, and no more.
 */
#ifndef AUDIT_RECENT_H
#define AUDIT_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
