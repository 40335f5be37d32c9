/* SPDX-License-Identifier: BSD-2-Clause
 *
 * derived.h -- what is made from other records: ranges of addresses from the
 * networks; approved targets and addresses of hosts from the pools and the
 * list; hosts with addresses from the pools and the rules that give them; the
 * state from all of them.
 */
#ifndef POLICY_DERIVED_H
#define POLICY_DERIVED_H

#include "policy/records.h"

int derive_ranges(struct kv *);  /* 0, -E2BIG (ranges.h), -EBADMSG, -errno */
int derive_targets(struct kv *); /* 0, -EBADMSG, -errno */
int derive_hosts(struct kv *);   /* 0, -errno */
/* The state as it must be, when its record is damaged: reads every record. 0, -errno. */
int derive_state(struct kv *, struct policy_state *);

#endif
