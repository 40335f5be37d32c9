/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h -- one event loop and all it owns: listeners, TCP connections, a
 * forwarder, a policy reader. One thread runs it; the main thread's own worker has
 * no listeners, and the main thread runs its loop.
 *
 * Others talk to a worker by the functions for any thread. A worker never waits
 * for anybody.
 */
#ifndef RESOLVER_WORKER_H
#define RESOLVER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "resolver/listen.h"

struct event;
struct worker;

/* A settings generation is used by whoever has it as its newest, and by each flight that
 * began with it; the last to release it frees it. Any thread; NULL is fine. */
void generation_release(struct settings *);

/* What all workers share; owned by main, outlives them. */
struct shared {
    struct cache *cache;
    struct store *policy; /* NULL: not usable; then decisions are `no rules` */
};

struct worker {
    struct worker_stats stats; /* any thread may read */
    int policy_error;          /* why it has no policy for life, though there is a store: errno */
    struct listen listen;      /* for its own thread: the newest view, the forwarder, the loop */
    /* The worker's own. */
    const struct shared *shared;
    struct random random;
    struct policy_reader *policy;
    bool policy_begun;
    struct scratch *scratch;
    struct udp *udp; /* NULL: it has no listeners */
    struct tcp *tcp;
    /* What any thread may leave. */
    _Atomic(struct settings *) next; /* NULL: none is new */
    int mail[2];                     /* a pipe of jobs; wakes the loop */
    struct event *on_mail;
};

/* listeners: of listen_bind(), half of them UDP, then half TCP; the worker owns and
 * closes them. The generation's use is handed over. ring is borrowed; NULL: no audit.
 * NULL when out of memory: then the process is expected to end. */
struct worker *worker_new(const struct shared *, struct settings *, const struct listener *,
                          int half, struct audit_ring *ring, unsigned n_workers);
void worker_free(struct worker *);

/* Runs the worker's loop until worker_stop() was called. A thread's main function. */
void *worker_run(void *worker);

/* Any thread: the generation from now on; its use is handed over. It takes the place
 * of one that the worker has not taken up yet. */
void worker_set_generation(struct worker *, struct settings *);
/* Any thread: answers what waits, closes the listeners, ends worker_run(). */
void worker_stop(struct worker *);
/* Any thread: run(worker, arg) is called in the worker's thread, in order. */
void worker_post(struct worker *, void (*run)(struct worker *, void *arg), void *arg);

#endif
