/* SPDX-License-Identifier: BSD-2-Clause
 *
 * output.h -- copies of the records, as lines: to files, and to syslog servers by UDP, TCP and
 * UNIX sockets.
 *
 * A thread for each reads the database and sends: a receiver that is slow or dead keeps up
 * neither answers nor commits, nor the other outputs. Each has a cursor, the number of the last
 * record that it got, which the audit's one writer keeps in the database.
 */
#ifndef AUDIT_OUTPUT_H
#define AUDIT_OUTPUT_H

#include <pthread.h>

#include "audit/store.h"
#include "base/addr.h"

enum audit_format { AUDIT_ECS, AUDIT_CEF, AUDIT_TEXT_LINE };
enum { AUDIT_OUTPUTS = 16 };

struct audit_target {
    const char *to; /* an endpoint (base/addr.h); the output's name */
    uint32_t format;
    uint32_t facility; /* of syslog */
};

struct audit_outputs; /* opaque */

/* dir is "STATE/audit". NULL: out of memory. */
struct audit_outputs *audit_outputs_new(const char *dir);
/* From now on these, at most AUDIT_OUTPUTS, each in a thread that is started so. Any thread. */
typedef int audit_start(pthread_t *, void *(*)(void *), void *);
void audit_outputs_set(struct audit_outputs *, const struct audit_target *, int n, audit_start *);
/* Of each: to; behind, how many records it has not got; error, why it takes none, or null; moved, when
 * (wall clock) it got the last one, or was found to lack none. Any thread. */
json_t *audit_outputs_report(struct audit_outputs *);
/* What is left is sent, for 300 ms at most. Then the writer saves for the last time; then free. */
void audit_outputs_end(struct audit_outputs *);
void audit_outputs_free(struct audit_outputs *); /* NULL is fine */

/* The writer. Is there something to save? Saves the cursors at the beginning of a transaction, where
 * that of a new output comes from, and those that the writer moved. And once it has been
 * done, with the number of the newest record. */
bool audit_outputs_changed(struct audit_outputs *);
void audit_outputs_save(struct audit_outputs *, struct audit_store *);
void audit_outputs_saved(struct audit_outputs *, long long newest);

#endif
