/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.h -- the threads beside the workers: the auditor runs the audit writer,
 * the verifier reads the whole policy store now and then. All of it is for the main
 * thread.
 */
#ifndef RESOLVER_THREADS_H
#define RESOLVER_THREADS_H

#include <pthread.h>

#include "audit/writer.h"
#include "settings/settings.h"
#include "store/store.h"

/* Starts a thread that gets none of the process's signals. 0 or -errno. */
int thread_start(pthread_t *, void *(*run)(void *), void *arg);

struct auditor; /* opaque; NULL is fine but for its stats: nothing is recorded */

/* Opens the audit's store and starts the thread. The rings are borrowed. 0; -errno with
 * a sentence in d: then there is no auditor and the daemon goes on without. */
int auditor_start(struct auditor **, const struct settings *, struct audit_ring *const *rings,
                  int n, struct diags *d);
/* Queues a control record (start, settings, policy...). settings: NULL, or new limits. Never
 * waits: while the disk keeps the thread busy, more than some hundred are dropped. */
void auditor_note(struct auditor *, enum audit_kind, const char *text, const struct settings *);
void auditor_stats(struct auditor *, struct audit_writer_stats *);
/* Everything in the rings is written; the producers must have ended. */
void auditor_stop(struct auditor *);

/* Verifies at the first tick, then each round_ms; when it is asked to, then pause_ms after
 * the last time at the earliest. Each time is a thread of its own, which ends with it. */
struct verifier {
    struct store *store; /* borrowed; NULL: there is nothing to verify */
    uint64_t pause_ms, round_ms;
    bool asked;           /* something has changed */
    uint64_t verified_ms; /* wall clock of the last time; 0: none yet */
    char found[600];      /* then; "": all is well */
    /* Its own. */
    pthread_t thread;
    bool running;
    atomic_bool done, stop;
    uint64_t began_ms;
    int rc;
    struct diags diags;
};
void verifier_tick(struct verifier *); /* some times a second. Logs what was found */
void verifier_stop(struct verifier *); /* within milliseconds */

#endif
