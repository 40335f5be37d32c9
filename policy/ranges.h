/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.h -- networks flattened: sorted ranges of addresses, each with the
 * networks that all its addresses are in. They cover every address, so that a
 * range that is lost is noticed.
 */
#ifndef POLICY_RANGES_H
#define POLICY_RANGES_H

#include "policy/decide.h"
#include "store/store.h"
#include "wire/cursor.h"

/* Makes the ranges be those of the networks of the transaction; none without networks. 0;
 * -E2BIG an address is in more than POLICY_CLIENT_NETWORKS of them; -EBADMSG a network is
 * damaged; -errno. */
int ranges_derive(struct store_txn *);

/* Reads the value of a range. False when damaged, or when ip is not in this range. */
bool range_read(struct cursor *, const uint8_t ip[16], struct policy_client *);

#endif
