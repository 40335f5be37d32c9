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

/* A settings generation as workers share it. `pins` counts its users: each
 * worker that has it as its newest, and each flight that began with it. The
 * main thread pins it once for each worker before it hands it over, and frees a
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
    struct store *policy; /* NULL: not usable; then decisions are `no rules` */
    struct hash_key hash_key;
};

struct worker_job {
    void (*run)(struct worker *, void *);
    void *arg;
};
enum { WORKER_JOBS = 64 };

struct worker {
    struct worker_stats stats; /* any thread may read */
    int policy_error;          /* why it has no policy for life, though there is a store: errno */
    struct listen listen;      /* for its own thread: the newest view, the forwarder, the loop */
    /* The worker's own. */
    const struct shared *shared;
    struct random random;
    struct io_event *io;
    struct worker_view *views; /* owned: one for each generation that is still in use */
    struct policy_reader *policy;
    bool policy_begun;
    struct scratch *scratch;
    struct udp *udp; /* NULL: it has no listeners */
    struct tcp *tcp;
    /* What any thread may leave, under the lock; wakes the loop. */
    struct {
        pthread_mutex_t lock;
        struct generation *generation; /* pinned; NULL: none is new */
        struct worker_job jobs[WORKER_JOBS];
        unsigned first, n;
        bool stop;
        int fd; /* an eventfd */
        struct event *event;
    } mailbox;
};

/* listeners: sockets that are bound (SO_REUSEPORT) and, for TCP, listening; the
 * worker owns and closes them. ring is borrowed; NULL: no audit. NULL when out of
 * memory. */
struct worker *worker_new(const struct shared *, struct generation *, const struct listener *,
                          int n_listeners, struct audit_ring *ring, unsigned n_workers);
void worker_free(struct worker *);

/* Runs the loop until worker_stop() was called. The thread's main function. */
void worker_run(struct worker *);

/* Any thread: the generation from now on. It takes the place of one that the worker
 * has not taken up yet. */
void worker_set_generation(struct worker *, struct generation *);
/* Any thread: answers what waits, closes the listeners, ends worker_run(). */
void worker_stop(struct worker *);
/* Any thread: the job runs in the worker's thread, in order. 0 or -ENOBUFS. */
int worker_post(struct worker *, void (*run)(struct worker *, void *), void *arg);

#endif
