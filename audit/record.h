/* SPDX-License-Identifier: BSD-2-Clause
 *
 * record.h -- events and control records as rows of the database. Private to
 * audit/.
 *
 * What repeats from event to event is stored once and named by a number. The
 * numbers are known for a day, or until the process ends; then they begin anew
 * and a row of `epoch` says so, which tells what can go with the old events.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "audit/event.h"
#include "audit/ledger.h"
#include "audit/store.h"

struct records; /* opaque */

struct records *records_new(struct audit_store *, const char *forwarder); /* NULL: no memory */
void records_free(struct records *);
/* The number that the next record gets; 0 and -errno. In a transaction. */
int records_next(struct records *, uint64_t mono_ms, int64_t *sequence);
/* Appends an event or a control record under that number. */
int records_add(struct records *, const struct audit_event *, const struct ledger_ids *);
/* After a rollback: nothing is known. */
void records_clear(struct records *);

#endif
