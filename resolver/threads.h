/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.h -- the threads beside the main one, which owns them all. Each worker is one event
 * loop and all it owns: listeners, TCP connections, a forwarder, a policy reader; the main
 * thread's own worker has no listeners, and the main thread runs its loop. The auditor runs
 * the audit writer, the verifier reads the whole policy store now and then, the keeper reads and
 * writes the file of the cache.
 *
 * The listening sockets (listen.c) are served by udp.c, in batches; and tcp.c (RFC 7766), several
 * questions on one connection, answered in the order in which the answers come.
 */
#ifndef RESOLVER_THREADS_H
#define RESOLVER_THREADS_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "audit/writer.h"
#include "cache/snapshot.h"
#include "resolver/forward.h"
#include "store/store.h"

struct event_base;
struct udp; /* a worker's sockets */
struct tcp; /* a worker's connections */

/* Binds UDP and TCP on every server.listen, once for each of n workers. *out, from malloc:
 * n * 2 * server.n_listen sockets, those of a worker together, UDP before TCP. 0; -ENOMEM, or
 * -EINVAL with sentences in d that say which setting to change: then the process is expected to end,
 * and its sockets with it. */
int listen_bind(const struct settings *, int n, int **out, struct diags *d);

/* Starts a thread that gets none of the process's signals. 0 or -errno. */
int thread_start(pthread_t *, void *(*run)(void *), void *arg);

/* A settings generation is used by whoever has it as its newest, and by each flight that
 * began with it; the last to release it frees it. Any thread; NULL is fine. */
void generation_release(struct settings *);

struct worker {
    struct worker_stats stats; /* any thread may read */
    int policy_error;          /* why it has no policy for life, though there is a store: errno */
    unsigned n_workers;
    /* The worker's own. */
    struct event_base *base;
    struct io *io;
    struct view *view; /* newest */
    struct forwarder *forwarder;
    struct audit_ring *ring; /* borrowed; NULL: no audit */
    struct cache *cache;
    struct ratelimit *ratelimit; /* borrowed */
    struct random random;
    struct policy_reader *policy;
    struct health *health; /* newest; NULL: none yet */
    struct scratch scratch;
    struct udp *udp; /* NULL: it has no listeners */
    struct tcp *tcp;
    atomic_bool alive; /* any thread may clear it */
    int mail[2];       /* a pipe of jobs, which any thread may leave; wakes the loop */
    struct event *on_mail;
};

/* listeners: of listen_bind(), half of them UDP, then half TCP; the worker owns and closes
 * them. The generation's use is handed over; cache, store (NULL: no policy), ratelimit, loops and ring
 * (NULL: no audit) are borrowed. NULL when out of memory: then the process is expected to end. */
struct worker *worker_new(struct cache *, struct store *, struct ratelimit *, struct loops *,
                          struct settings *, const int *, int half, struct audit_ring *ring,
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
/* To be posted: the worker has come to its mail, and sets worker.alive. */
void worker_beat(struct worker *, void *);
/* To be posted: the health of the KMS hosts from now on, whose use is handed over. */
void worker_learn(struct worker *, void *health);

/* A share of a limit: never less than one. */
static inline unsigned worker_share(const struct worker *w, uint32_t limit)
{
    return (limit + w->n_workers - 1) / w->n_workers;
}

/* The listening sockets of one transport, each an event whose argument it is. */
struct listeners {
    struct worker *w; /* borrowed */
    struct io_timer rest;
    int n;
    struct listener {
        struct listeners *all;
        struct event event;
    } * list; /* owned, with their descriptors */
};

/* Each is waited for; call is called with it. False: out of memory. */
bool listen_begin(struct listeners *, struct worker *, const int *, int n, event_callback_fn call);
/* It fails, is counted, and rests for a moment, since it stays readable: it would be woken without end. */
void listen_rest(struct listener *);
void listen_end(struct listeners *);

/* After every answer to a question, sent or not: counts, and pushes the audit event. */
void listen_done(struct worker *, struct query *, enum answer);

/* Each serves the listeners and owns their descriptors from here on. NULL when out of
 * memory: then the process ends. */
struct udp *udp_new(struct worker *, const int *, int n);
struct tcp *tcp_new(struct worker *, const int *, int n);
void udp_free(struct udp *); /* NULL is fine */
void tcp_free(struct tcp *); /* nothing waits for them; NULL is fine */

/* A late answer. Never blocks; what cannot be sent is counted. TCP: one for each question that was
 * forwarded, of no length if it has no answer; it goes to nobody if the connection has ended. */
void udp_send(struct udp *, const struct client *, const uint8_t *, size_t);
void tcp_send(const struct client *, const uint8_t *, size_t);

struct auditor {
    struct audit_writer *writer; /* NULL: nothing is recorded */
    pthread_t thread;            /* of the writer */
    char dir[512];
    int box[2]; /* a pipe of notes */
};

/* Opens the audit's store, records the start before any question, and starts the thread. The rings, and
 * their list, are borrowed. 0; -errno with a sentence in d: then there is no writer and the daemon goes on
 * without. */
int auditor_start(struct auditor *, const struct settings *, struct audit_ring *const *rings, int n,
                  struct diags *d);
/* Queues a control record (stop, settings, policy...). settings: NULL, or new limits and outputs. Never
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

/* Keeps the answers over a restart, in a file: it is read at the start and written each round_ms, if
 * any have come since, and at the end. Each time is a thread of its own, as with the verifier; the
 * answers of the workers are newer than those of the file, and wait for nothing. */
struct keeper {
    struct cache *cache; /* borrowed; NULL: nothing is kept */
    uint64_t round_ms;
    uint64_t stale_ms;   /* cache.serve-stale of the newest settings */
    char error[128];     /* why the last file was not written; "": it was */
    uint64_t written_ms; /* wall clock of that which is there; 0: none of this process */
    /* Its own. */
    char path[1100];
    struct snapshot file;
    uint32_t *scopes;
    pthread_t thread;
    bool running, writes;
    uint64_t began_ms, inserts; /* of the cache, when it was written last */
    int rc;
};
/* Begins to read the file; with cache.persist: no, removes it. */
void keeper_start(struct keeper *, struct cache *, const struct settings *, uint64_t round_ms);
void keeper_tick(struct keeper *); /* some times a second. Logs what came of it */
/* Nothing of the file comes back: what is going to be flushed would. */
void keeper_forget(struct keeper *);
/* The workers have ended: writes, within half a second or some more what has the time. */
void keeper_stop(struct keeper *);

#endif
