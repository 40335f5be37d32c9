/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prune.h -- retention by days and by bytes. Private to audit/.
 */
#ifndef AUDIT_PRUNE_H
#define AUDIT_PRUNE_H

#include "audit/record.h"
#include "audit/writer.h"

/* When to look next (monotonic), and what is not finished. */
struct prune {
    uint64_t age_ms, sweep_ms;
    bool going_on;
    uint64_t removed; /* records, since the start */
};

/* bytes: what the database takes after a commit. */
bool prune_due(const struct prune *, const struct audit_limits *, uint64_t bytes, uint64_t mono_ms);
/* One step in a transaction of its own. 0 or -errno (tried again in a minute);
 * *swept: rows of the ledger are gone. */
int prune_step(struct prune *, struct audit_store *, struct records *, const struct audit_limits *,
               struct now, bool *swept);
uint64_t prune_bytes(struct audit_store *); /* in use, without free pages */

#endif
