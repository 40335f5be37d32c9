/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_host.h -- addresses of KMS hosts that the real DNS has not.
 *
 * A pool may give the addresses of its hosts. They go along with the SRV
 * records, but a client may ask for them by itself; where the host's name does
 * not resolve (a workgroup, a DMZ, a public route), it would be pointed to a
 * host that it cannot find.
 */
#ifndef RESOLVER_KMS_HOST_H
#define RESOLVER_KMS_HOST_H

#include "resolver/kms.h"

/* False for all but the hosts with addresses, and a few others; almost free,
 * since each negative answer asks. */
bool kms_may_be_host(const struct view *, const struct query *);
/* Answers q from the policy: true, and the length in q->out_len. False: what the
 * real DNS says stands: nxdomain, nodata, or a verdict that is failed. */
bool kms_host_answer(const struct view *, struct query *, enum kms_verdict, bool is_signed,
                     bool is_stale, struct now);

#endif
