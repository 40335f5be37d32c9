/* SPDX-License-Identifier: BSD-2-Clause
 *
 * txn.h -- a change in the making: shared by txn.c and txn_rule.c only.
 */
#ifndef POLICY_TXN_H
#define POLICY_TXN_H

#include "base/str.h"
#include "policy/kv.h"
#include "policy/log.h"
#include "policy/records.h"

struct policy_txn {
    struct kv *kv;
    struct policy_state state; /* counts as they are now; the rest as it was */
    bool networks_moved, targets_moved, rules_moved;
    bool rebuilt; /* the state was damaged: it is written again, whatever else differs */
    uint64_t history_ms;
    struct policy_log_entry entry;
    struct str summary; /* of entry.summary */
    struct log_rules rules;
};

/* Remembers that this rule is concerned. */
void txn_touch(struct policy_txn *, const char *rule);
/* kv_put() that moves *count when the record is new; 0, 1 it differs, -errno. */
int txn_put(struct policy_txn *, const struct kv_key *, const struct writer *, uint64_t *count);
/* kv_del() likewise. 0, -ENOENT, -errno. */
int txn_del(struct policy_txn *, const struct kv_key *, uint64_t *count);

#endif
