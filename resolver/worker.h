/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h -- one event loop and all it owns: listeners, TCP connections, a
 * forwarder, an audit ring, a policy reader. One thread runs it; the main
 * thread's own worker has no listeners and runs on the main base.
 *
 * Others talk to a worker only by worker_post(). A worker never waits for
 * anybody.
 */
#ifndef RESOLVER_WORKER_H
#define RESOLVER_WORKER_H

#include <stdatomic.h>

#include "audit/ring.h"
#include "resolver/forward.h"

struct worker; /* opaque */
struct event_base;

/* A settings generation as workers share it. `pins` counts its users: each
 * worker that has it as its newest, and each flight that began with it. The
 * main thread pins it once for each worker before it posts it, and frees a
 * generation that is not the newest when nobody pins it. worker_new() and
 * worker_set_generation() take over such a pin; the worker gives it back when
 * the next generation comes or when it is freed. */
struct generation {
    struct settings *settings; /* owned */
    struct access_rule *machine;
    int n_machine; /* owned */
    _Atomic uint32_t pins;
};

/* What all workers share; owned by main, outlives them. */
struct shared {
    struct cache *cache;
    struct policy_store *policy; /* NULL: not usable; then decisions are `no rules` */
    struct hash_key hash_key;
};

struct listener {
    int fd;
    struct addr addr;
    bool tcp;
    bool wildcard;
};

/* base: the event base to run on, or NULL to make one. listeners: sockets that
 * are bound (SO_REUSEPORT) and, for TCP, listening; the worker owns and closes
 * them. ring is borrowed; NULL: no audit. NULL when out of memory. */
struct worker *worker_new(const struct shared *, struct generation *, struct event_base *base,
                          struct listener *, int n_listeners, struct audit_ring *ring,
                          unsigned n_workers);
void worker_free(struct worker *);

/* Runs the loop until worker_stop() was posted. The thread's main function. */
void worker_run(struct worker *);

/* Any thread: fn runs in the worker's thread, in order. 0 or -ENOBUFS (64 wait). */
int worker_post(struct worker *, void (*fn)(struct worker *, void *), void *);
/* To be posted: */
void worker_set_generation(struct worker *, void *generation);
void worker_stop(struct worker *,
                 void *unused); /* closes listeners, answers what waits, ends worker_run */

/* For the worker's own thread. */
const struct view *worker_view(struct worker *); /* of the newest generation it has */
struct forwarder *worker_forwarder(struct worker *);
const struct worker_stats *worker_stats(const struct worker *); /* any thread may read */
/* Why it has no policy for life, though there is a store: errno; 0: it has. Any thread. */
int worker_policy_error(const struct worker *);

#endif
