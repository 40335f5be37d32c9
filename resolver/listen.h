/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen.h -- what a listener needs of its worker.
 */
#ifndef RESOLVER_LISTEN_H
#define RESOLVER_LISTEN_H

#include "resolver/forward.h"

struct event_base;

struct listen {
    struct event_base *base;
    struct io *io;
    const struct view *view; /* newest; the worker changes it */
    struct forwarder *forwarder;
    struct worker_stats *stats;
    void (*record)(void *context, struct query *); /* pushes the event of an answer */
    void *context;
    unsigned n_workers; /* limits are divided by them */
};

/* A share of a limit: never less than one. */
static inline unsigned listen_share(const struct listen *l, uint32_t limit)
{
    return (limit + l->n_workers - 1) / l->n_workers;
}

#endif
