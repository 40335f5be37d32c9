/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen.h -- the listening sockets, and what serving them needs of the worker:
 * shared by udp.c and tcp.c.
 */
#ifndef RESOLVER_LISTEN_H
#define RESOLVER_LISTEN_H

#include "audit/ring.h"
#include "base/diag.h"
#include "resolver/forward.h"

struct event_base;

struct listener {
    int fd; /* bound; for TCP listening */
    struct addr addr;
    bool tcp;
    bool wildcard;
};

/* Binds UDP and TCP on every server.listen, once for each of n workers
 * (SO_REUSEPORT). *out: n * n_each listeners, those of a worker together; from
 * malloc, the caller owns the descriptors. 0; -EINVAL with sentences in d that
 * say who holds the port and which setting to change; -ENOMEM. */
int listen_bind(const struct settings *, int n, struct listener **out, int *n_each,
                struct diags *d);

struct listen {
    struct event_base *base;
    struct io *io;
    const struct view *view; /* newest; the worker changes it */
    struct forwarder *forwarder;
    struct worker_stats *stats;
    struct audit_ring *ring; /* borrowed; NULL: no audit */
    unsigned n_workers;      /* limits are divided by them */
};

/* A share of a limit: never less than one. */
static inline unsigned listen_share(const struct listen *l, uint32_t limit)
{
    return (limit + l->n_workers - 1) / l->n_workers;
}

/* answer_read() with counters. After ANSWER_DROP all is done: it was no question, or
 * access says so. */
enum answer listen_read(struct listen *, struct query *, struct now);

/* After every answer, sent or not: counts, and pushes the audit event. */
void listen_done(struct listen *, struct query *, enum answer);

#endif
