/* SPDX-License-Identifier: BSD-2-Clause
 *
 * probe.h -- the main thread finds out which KMS hosts can be reached: it resolves the hosts of
 * the pools by its own worker's forwarder, tries each by a TCP connection, and hands what changed
 * to all workers (health.h). No octet is sent to a host.
 */
#ifndef RESOLVER_PROBE_H
#define RESOLVER_PROBE_H

#include "resolver/threads.h"

enum { PROBER_SOCKETS = 512 }; /* at most at once */

struct prober; /* opaque; the main thread's */

/* The workers, n of them and behind them the one whose loop the main thread runs, are borrowed.
 * NULL when out of memory. */
struct prober *prober_new(struct worker *const *workers, int n);
/* Ends all that is under way; before the workers are freed. */
void prober_stop(struct prober *);
void prober_free(struct prober *); /* after them */

/* What is known; borrowed until the loop goes on. NULL: nothing yet. */
const struct health *prober_health(const struct prober *);

#endif
