/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h -- one record per change: who, when, why, what. Reading it is
 * policy_log_each() in store.h.
 */
#ifndef POLICY_LOG_H
#define POLICY_LOG_H

#include "policy/kv.h"
#include "policy/store.h"

enum { LOG_RULES = 64 };
struct log_rules { /* whose rules moved */
    unsigned n;
    bool more; /* than fit: such an entry is shown for every rule */
    char names[LOG_RULES][POLICY_NAME];
};

int log_append(struct kv *, const struct policy_log_entry *,
               const struct log_rules *); /* 0, -errno */
/* Serial and time of the last entry; time 0 when it is damaged, both when there is none. 0, -errno. */
int log_last(struct kv *, uint64_t *serial, uint64_t *time_ms);
/* Removes entries older than that, a bounded number each time. 0, -errno. */
int log_prune(struct kv *, uint64_t before_ms);

#endif
