/* SPDX-License-Identifier: BSD-2-Clause
 *
 * derived.h -- the tables that are made from others: ranges of addresses from
 * the networks, approved targets from the pools and the list.
 */
#ifndef POLICY_DERIVED_H
#define POLICY_DERIVED_H

#include "policy/kv.h"

int derive_ranges(struct kv *);   /* 0, -E2BIG (ranges.h), -EBADMSG, -errno */
int derive_approved(struct kv *); /* 0, -EBADMSG, -errno */

#endif
