/* SPDX-License-Identifier: BSD-2-Clause
 *
 * repeat.h -- is this question one that its client resends?
 */
#ifndef AUDIT_REPEAT_H
#define AUDIT_REPEAT_H

#include "audit/event.h"

struct repeats; /* opaque */

struct repeats *repeats_new(void); /* NULL: out of memory */
void repeats_free(struct repeats *);
/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. */
bool repeats_check(struct repeats *, const struct audit_event *);

#endif
