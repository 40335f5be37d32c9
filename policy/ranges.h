/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.h -- networks flattened: sorted ranges of addresses, each with the
 * networks that all its addresses are in. They cover every address, so that a
 * range that is lost is noticed.
 */
#ifndef POLICY_RANGES_H
#define POLICY_RANGES_H

#include "policy/model.h"
#include "policy/store.h"

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

/* Makes the ranges be those of the networks of the transaction; none without networks. 0;
 * -E2BIG an address is in more than POLICY_CLIENT_NETWORKS of them; -EBADMSG a network is
 * damaged; -errno. */
int ranges_derive(struct store_txn *);

/* Reads the value of a range. False when damaged, or when ip is not in this range. */
bool range_read(struct cursor *, const uint8_t ip[16], struct policy_client *);
/* The client at an address: one look-up. 0; -EBADMSG, and the range says so. */
int policy_client_find(struct policy_reader *, const struct addr *, struct policy_client *out);

#endif
