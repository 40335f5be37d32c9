/* SPDX-License-Identifier: BSD-2-Clause
 *
 * limit.h -- how many events a second are stored as such: of one client, of all.
 */
#ifndef AUDIT_LIMIT_H
#define AUDIT_LIMIT_H

#include "base/addr.h"

struct limiter; /* opaque */

struct limiter *limiter_new(void); /* NULL: out of memory */
void limiter_free(struct limiter *);
/* Per second; 0 = no limit. A client may save up for 10 s, all together for 1 s. */
void limiter_set(struct limiter *, uint32_t all, uint32_t client);
/* Takes a token of both, or none and returns false. */
bool limiter_take(struct limiter *, const struct addr *, uint64_t mono_ms);

#endif
