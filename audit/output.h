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

#include "audit/ledger.h"
#include "base/addr.h"
#include "base/number.h"

enum audit_format { AUDIT_ECS, AUDIT_CEF, AUDIT_TEXT_LINE };
enum { AUDIT_OUTPUTS = 16, AUDIT_OUTPUT_TO = 256 };

struct audit_target {
    const char *to; /* an endpoint (base/addr.h); the output's name */
    uint32_t format;
    uint32_t facility; /* of syslog */
};

struct audit_output_report {
    char to[AUDIT_OUTPUT_TO];
    uint64_t behind;   /* records that it has not got */
    uint64_t moved_ms; /* wall clock: when it got the last one, or was found to lack none */
    int error;         /* errno of the last failure; 0 again when it has got more */
};

struct audit_outputs; /* opaque */

/* dir is "STATE/audit"; borrowed. start: starts a thread. NULL: out of memory. */
struct audit_outputs *audit_outputs_new(const char *dir,
                                        int (*start)(pthread_t *, void *(*)(void *), void *));
/* From now on these, at most AUDIT_OUTPUTS. Files are opened again. Any thread, as is report, which
 * returns how many. */
void audit_outputs_set(struct audit_outputs *, const struct audit_target *, int n);
int audit_outputs_report(struct audit_outputs *, struct audit_output_report[AUDIT_OUTPUTS]);
/* What is left is sent, for 300 ms at most. Then the writer saves for the last time; then free. */
void audit_outputs_end(struct audit_outputs *);
void audit_outputs_free(struct audit_outputs *); /* NULL is fine */

/* The writer. Is there something to save? Saves it within a transaction: the cursors, and a gap
 * record for what was removed before an output got it; a new output begins with the next record.
 * 0 or -errno. And once the transaction has been done. */
bool audit_outputs_changed(struct audit_outputs *);
int audit_outputs_save(struct audit_outputs *, struct audit_store *, struct ledger *, struct now);
void audit_outputs_saved(struct audit_outputs *, struct audit_store *);

#endif
