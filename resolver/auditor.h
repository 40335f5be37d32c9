/* SPDX-License-Identifier: BSD-2-Clause
 *
 * auditor.h -- the thread that runs the audit writer.
 */
#ifndef RESOLVER_AUDITOR_H
#define RESOLVER_AUDITOR_H

#include "audit/writer.h"
#include "settings/settings.h"

struct auditor; /* opaque */

/* Opens the store and starts the thread. The rings are borrowed. 0; -errno with
 * a sentence in d: then there is no auditor and the daemon goes on without. */
int auditor_start(struct auditor **, const struct settings *, struct audit_ring *const *rings,
                  int n, struct diags *d);
/* Queues a control record (start, settings, policy...); any thread. */
void auditor_note(struct auditor *, enum audit_kind, const char *text); /* NULL auditor is fine */
void auditor_reload(struct auditor *, const struct settings *);
void auditor_stats(struct auditor *, struct audit_writer_stats *);
/* Damage in the store has ended the thread: nothing is recorded any more. */
bool auditor_is_dead(struct auditor *);
/* Everything in the rings is written; the producers must have ended. */
void auditor_stop(struct auditor *);

#endif
