/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.h -- what must hold between options.
 */
#ifndef SETTINGS_RULES_H
#define SETTINGS_RULES_H

#include "settings/read.h"

/* Checks r->s; problems are reported where the option was written, as far as
 * r->origin knows. 0 or -EINVAL. */
int rules_check(struct reader *r);

/* IPv4 and IPv6 have nets of their own: ::/0 holds no IPv4 address. */
bool rules_is_v4_net(const struct prefix *);
/* Inside 127.0.0.0/8, or ::1. */
bool rules_is_loopback_net(const struct prefix *);

#endif
