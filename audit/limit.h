/* SPDX-License-Identifier: BSD-2-Clause
 *
 * limit.h -- what the writer asks of an event before it is stored: is it one
 * that its client resends, and do the rates of one client and of all allow it?
 */
#ifndef AUDIT_LIMIT_H
#define AUDIT_LIMIT_H

#include "audit/event.h"

struct limiter; /* opaque */

struct limiter *limiter_new(void); /* NULL: out of memory */
void limiter_free(struct limiter *);
/* Per second; 0 = no limit. A client may save up for 10 s, all together for 1 s. */
void limiter_set(struct limiter *, uint32_t all, uint32_t client);
/* Takes a token of both, or none and returns false. */
bool limiter_take(struct limiter *, const struct addr *, uint64_t mono_ms);
/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. */
bool limiter_repeat(struct limiter *, const struct audit_event *);

#endif
