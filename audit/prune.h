/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prune.h -- what is too old, or too much, goes; a bounded number at a time.
 */
#ifndef AUDIT_PRUNE_H
#define AUDIT_PRUNE_H

#include "audit/record.h"
#include "audit/writer.h"

struct prune {
    uint64_t age_ms, size_ms, sweep_ms; /* monotonic: when to look again; 0 = at once */
    bool by_age, by_size, sweeping;     /* in the middle of it */
    uint8_t sweep_at[STORE_KEY_MAX];    /* where the sweep of the ledger goes on */
    size_t sweep_len;
    uint64_t removed; /* records, since the start */
};

bool prune_due(const struct prune *, uint64_t mono_ms);
/* One transaction. 0 or -errno; then it is tried again in a minute. */
int prune_step(struct prune *, struct audit_store *, const struct audit_limits *, const char *host,
               struct now);

#endif
