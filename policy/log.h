/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h -- one record per change: who, when, why, what. The last one tells
 * serial and time of the policy.
 */
#ifndef POLICY_LOG_H
#define POLICY_LOG_H

#include "policy/model.h"
#include "store/store.h"

struct policy_log_entry {
    uint64_t serial, time_ms, digest;
    char author[64], claimed[64], reason[256], summary[512];
};

enum { LOG_RULES = 64 };
struct log_rules { /* whose rules moved */
    unsigned n;
    bool more; /* than fit: such an entry is shown for every rule */
    char names[LOG_RULES][POLICY_NAME];
};

int log_append(struct store_txn *, const struct policy_log_entry *,
               const struct log_rules *); /* 0, -errno */
/* Serial and time of the last entry; time 0 when it is damaged, both when there is none. 0, -errno. */
int log_last(struct store_txn *, uint64_t *serial, uint64_t *time_ms);
/* Removes entries older than that, a bounded number each time. 0, -errno. */
int log_prune(struct store_txn *, uint64_t before_ms);

/* The entries since then that concern the rule (NULL: all). Nothing is open during a visit,
 * and not 0 stops. -EBADMSG: one is damaged. */
typedef int policy_log_visit(void *context, const struct policy_log_entry *);
int policy_log_each(struct store *, uint64_t since_ms, const char *rule, policy_log_visit *,
                    void *context);

#endif
