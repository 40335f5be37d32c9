/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.h -- the networks of a client. The networks of the policy are flattened
 * to sorted ranges of addresses, each with the networks that contain all its
 * addresses. The ranges cover every address, so a lost range is noticed.
 */
#ifndef POLICY_RANGES_H
#define POLICY_RANGES_H

#include "policy/records.h"

enum { POLICY_CLIENT_NETWORKS = 16 };
#define POLICY_RANGE_DAMAGED UINT32_MAX

/* A client as the policy sees it; one cursor step. */
struct policy_client {
    struct addr addr;
    uint32_t range;     /* number of the range of addresses, for the decision cache; equal for
                            addresses in the same networks; POLICY_RANGE_DAMAGED: policy_decide
                            answers with reason DAMAGED */
    uint8_t n_networks; /* innermost first */
    char networks[POLICY_CLIENT_NETWORKS][POLICY_NAME];
    struct prefix prefixes[POLICY_CLIENT_NETWORKS]; /* the one of each that contains the client */
};
int policy_client_find(struct policy_reader *, const struct addr *,
                       struct policy_client *out); /* 0, -EBADMSG damaged */

/* Makes the ranges be those of the networks of the transaction; none without networks. 0;
 * -E2BIG an address is in more than POLICY_CLIENT_NETWORKS of them; -EBADMSG a network is
 * damaged; -errno. */
int ranges_derive(struct store_txn *);

/* Reads the value of a range. False when damaged, or when ip is not in this range. */
bool range_read(const struct store_bytes *value, const uint8_t ip[16], struct policy_client *);

#endif
