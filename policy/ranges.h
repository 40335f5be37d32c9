/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.h -- networks flattened: sorted ranges of addresses, each with the
 * networks that all its addresses are in. They cover every address, so that a
 * range that is lost is noticed.
 */
#ifndef POLICY_RANGES_H
#define POLICY_RANGES_H

#include "policy/decide.h"
#include "policy/model.h"
#include "wire/cursor.h"
#include "wire/writer.h"

struct range_member {
    uint32_t network; /* index */
    uint8_t len;      /* of its longest prefix that holds the range */
};
struct range {
    uint8_t first[16], last[16];
    uint32_t number;  /* equal for ranges with equal members; 0 for those with none */
    uint32_t members; /* index */
    uint8_t n;        /* 0..POLICY_CLIENT_NETWORKS, longest prefix first, then by name */
};
struct ranges {
    struct range *at; /* owned, like members */
    size_t n;
    struct range_member *members;
    size_t n_members;
};

/* networks sorted by name; no ranges without networks. 0; -E2BIG an address is in more than
 * POLICY_CLIENT_NETWORKS of them; -ENOMEM. ranges_fini() in any case. */
int ranges_build(struct ranges *, const struct policy_network *networks, size_t n);
void ranges_fini(struct ranges *);

enum { RANGE_RECORD_MAX = 21 + POLICY_CLIENT_NETWORKS * (1 + POLICY_NAME) };
void range_write(struct writer *, const struct ranges *, const struct range *,
                 const struct policy_network *);
/* False when damaged, or when ip is not in this range. */
bool range_read(struct cursor *, const uint8_t ip[16], struct policy_client *);

#endif
