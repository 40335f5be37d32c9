/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.h -- the verb `query`: a real question to the daemon, as from any stub resolver.
 */
#ifndef CTL_QUERY_H
#define CTL_QUERY_H

#include "ctl/ctl.h"

int query_run(struct ctl *);

#endif
