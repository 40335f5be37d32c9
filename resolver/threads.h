/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.h -- the threads beside the main one, which owns them all. Each worker is one event
 * loop and all it owns: listeners, TCP connections, a forwarder, a policy reader; the main
 * thread's own worker has no listeners, and the main thread runs its loop. The auditor runs
 * the audit writer, the verifier reads the whole policy store now and then.
 */
#ifndef RESOLVER_THREADS_H
#define RESOLVER_THREADS_H

#include <pthread.h>
#include <stdatomic.h>

#include "audit/writer.h"
#include "resolver/listen.h"
#include "store/store.h"

struct event;
struct worker;

/* Starts a thread that gets none of the process's signals. 0 or -errno. */
int thread_start(pthread_t *, void *(*run)(void *), void *arg);

/* A settings generation is used by whoever has it as its newest, and by each flight that
 * began with it; the last to release it frees it. Any thread; NULL is fine. */
void generation_release(struct settings *);

struct worker {
    struct worker_stats stats; /* any thread may read */
    int policy_error;          /* why it has no policy for life, though there is a store: errno */
    struct listen listen;      /* for its own thread: the newest view, the forwarder, the loop */
    /* The worker's own. */
    struct cache *cache;
    struct random random;
    struct policy_reader *policy;
    struct health *health; /* newest; NULL: none yet */
    struct scratch scratch;
    struct udp *udp; /* NULL: it has no listeners */
    struct tcp *tcp;
    int mail[2]; /* a pipe of jobs, which any thread may leave; wakes the loop */
    struct event *on_mail;
};

/* listeners: of listen_bind(), half of them UDP, then half TCP; the worker owns and closes
 * them. The generation's use is handed over; cache, store (NULL: no policy) and ring (NULL: no
 * audit) are borrowed. NULL when out of memory: then the process is expected to end. */
struct worker *worker_new(struct cache *, struct store *, struct settings *,
                          const struct listener *, int half, struct audit_ring *ring,
                          unsigned n_workers);
void worker_free(struct worker *);

/* Runs the worker's loop until its end. A thread's main function. */
void *worker_run(void *worker);

/* Any thread: run(worker, arg) is called in the worker's thread, in order. */
void worker_post(struct worker *, void (*run)(struct worker *, void *arg), void *arg);
/* To be posted: the generation from now on, whose use is handed over (out of memory: the one
 * before stays); the end: what waits is answered, the listeners close. */
void worker_take(struct worker *, void *generation);
void worker_end(struct worker *, void *);
/* To be posted: the health of the KMS hosts from now on, whose use is handed over. */
void worker_learn(struct worker *, void *health);

struct auditor {
    struct audit_writer *writer; /* NULL: nothing is recorded */
    struct audit_outputs *outputs;
    pthread_t thread; /* of the writer */
    char dir[512];
    int box[2]; /* a pipe of notes */
};

/* Opens the audit's store and starts the thread. The rings, and their list, are borrowed. 0; -errno with
 * a sentence in d: then there is no writer and the daemon goes on without. */
int auditor_start(struct auditor *, const struct settings *, struct audit_ring *const *rings, int n,
                  struct diags *d);
/* Queues a control record (start, settings, policy...). settings: NULL, or new limits and outputs. Never
 * waits: while the disk keeps the thread busy, more than some hundred are dropped. */
void auditor_note(struct auditor *, enum audit_kind, const char *text, const struct settings *);
/* Everything in the rings is written; the producers must have ended. */
void auditor_stop(struct auditor *);

/* Verifies at the first tick, then each round_ms; when it is asked to, then pause_ms after
 * the last time at the earliest. Each time is a thread of its own, which ends with it. */
struct verifier {
    struct store *store; /* borrowed */
    uint64_t pause_ms, round_ms;
    bool asked;           /* something has changed */
    uint64_t verified_ms; /* wall clock of the last time; 0: none yet */
    char found[600];      /* then; "": all is well */
    /* Its own. */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    uint64_t began_ms;
    int rc;
    struct diags diags;
};
void verifier_tick(struct verifier *); /* some times a second. Logs what was found */
void verifier_stop(struct verifier *); /* within milliseconds */

#endif
