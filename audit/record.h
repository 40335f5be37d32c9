/* SPDX-License-Identifier: BSD-2-Clause
 *
 * record.h -- the two kinds of record that writer, pruning and reader share:
 * the events in their sequence, and the totals. Private to audit/.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include "audit/event.h"
#include "audit/ledger.h"
#include "audit/store.h"

enum { RECORD_HOST = 256 };

/* One record, changed in the transaction that changes what it counts. */
struct totals {
    uint64_t recorded, counted, dropped; /* questions, over the life of the store */
    uint64_t last_sequence;
    uint64_t rows[LEDGER_KINDS];
    uint64_t pruned;                     /* records removed, over the life of the store */
    uint64_t prune_count, prune_upto_ms; /* removed since the last prune record, up to when */
};

/* A store without totals has all 0; damaged ones begin anew behind the last event. */
int totals_load(struct audit_txn *, struct totals *);
int totals_save(struct audit_txn *, const struct totals *);

/* Appends an encoded event under the next sequence number, which it stamps. */
int record_append(struct audit_txn *, struct totals *, const char *host, uint8_t *encoded,
                  size_t len);
int record_append_event(struct audit_txn *, struct totals *, const char *host,
                        const struct audit_event *);
/* The event of an entry; 0, -EBADMSG. */
int record_read(const struct entry *, struct audit_event *, char host[RECORD_HOST]);

#endif
