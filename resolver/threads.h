/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.h -- the two threads beside the workers: the auditor runs the audit
 * writer, the verifier reads the whole policy store now and then.
 */
#ifndef RESOLVER_THREADS_H
#define RESOLVER_THREADS_H

#include "audit/writer.h"
#include "settings/settings.h"
#include "store/store.h"

struct auditor;  /* opaque; NULL is fine but for its stats: nothing is recorded */
struct verifier; /* opaque; NULL is fine but for what it found */
enum { VERIFIER_TEXT = 600 };

/* Opens the audit's store and starts the thread. The rings are borrowed. 0; -errno with
 * a sentence in d: then there is no auditor and the daemon goes on without. */
int auditor_start(struct auditor **, const struct settings *, struct audit_ring *const *rings,
                  int n, struct diags *d);
/* Queues a control record (start, settings, policy...); any thread. */
void auditor_note(struct auditor *, enum audit_kind, const char *text);
void auditor_reload(struct auditor *, const struct settings *);
void auditor_stats(struct auditor *, struct audit_writer_stats *);
/* Everything in the rings is written; the producers must have ended. */
void auditor_stop(struct auditor *);

/* Verifies at the start, then each round_ms; when it is asked to, then pause_ms after the
 * last time at the earliest. The store is borrowed. 0 or -errno. Logs what it finds. */
int verifier_start(struct verifier **, struct store *, uint64_t pause_ms, uint64_t round_ms);
void verifier_ask(struct verifier *); /* something changed */
/* The wall clock of the last verification, 0: none yet; and what it found, "": all is well. */
uint64_t verifier_found(struct verifier *, char out[VERIFIER_TEXT]);
void verifier_stop(struct verifier *); /* within milliseconds */

#endif
