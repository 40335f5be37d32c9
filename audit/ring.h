/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ring.h -- a worker's way to the writer: 8 MiB of bytes, variable records,
 * one producer, one consumer, no lock. A full ring drops the newest and counts.
 */
#ifndef AUDIT_RING_H
#define AUDIT_RING_H

#include "audit/event.h"

struct audit_ring; /* opaque */

struct audit_ring *audit_ring_new(size_t bytes); /* power of two; NULL when out of memory */
void audit_ring_free(struct audit_ring *);

/* Producer. Packs the event straight into the ring; false when it is full
 * (then counted as dropped, with the time). Wait-free, no allocation. */
bool audit_ring_push(struct audit_ring *, const struct audit_event *);

/* Consumer. The oldest record, or NULL; it stays valid until release. */
const uint8_t *audit_ring_peek(struct audit_ring *, size_t *len);
void audit_ring_release(struct audit_ring *);

uint64_t audit_ring_dropped(const struct audit_ring *); /* ever; any thread */
/* Consumer: what was dropped since the last call, and when it began. */
uint64_t audit_ring_take_dropped(struct audit_ring *, uint64_t *first_wall_ms);

#endif
