/* SPDX-License-Identifier: BSD-2-Clause
 *
 * record.h -- events and control records as rows of the database. Private to
 * audit/.
 *
 * What repeats from event to event is stored once and named by a number. The
 * writer remembers these numbers for a day, or until the process ends; then it
 * begins new ones and notes that in a row of `epoch`. When old events are removed,
 * that row tells which stored texts nothing names any more.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "audit/event.h"
#include "audit/ledger.h"
#include "audit/recent.h"
#include "audit/store.h"
#include "base/hash.h"

struct records {
    struct audit_store *store;
    struct recent *known; /* hash of an answer or text: its number */
    char forwarder[256];
    struct hash_key secret;
    bool begun;                  /* the numbers below are known; false after a rollback */
    uint64_t epoch_at_ms;        /* monotonic */
    int64_t event, answer, text; /* the next ones */
};

/* Before each record, in a transaction: makes known what number it gets. 0 or -errno. */
int records_next(struct records *, uint64_t mono_ms);
/* Appends an event or a control record under that number. */
int records_add(struct records *, const struct audit_event *, const struct ledger_ids *);

#endif
