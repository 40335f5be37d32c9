/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone.h -- a policy as SRV lines of a zone file, in and out.
 */
#ifndef CTL_ZONE_H
#define CTL_ZONE_H

#include <stdio.h>

#include "policy/model.h"

/* Equal sets of hosts become one pool, named after the first host's first label,
 * and the rule fill-POOL. skipped counts records that were left. The policy is
 * sorted. 0, -EINVAL with every problem in d, -ENOMEM. */
int zone_read(struct policy *out, const char *file, const char *text, size_t len, size_t *skipped,
              struct diags *d);
/* What a zone cannot say stands there as a comment. 0 or -EIO. */
int zone_write(const struct policy *, FILE *);
/* The name that a pool gets from its first host: the first label. */
void zone_pool_name(const struct name *target, char out[POLICY_NAME]);

#endif
