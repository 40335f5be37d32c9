/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verbs.c -- joins the tables, in the order in which --help shows them.
 */
#include "ctl/verbs.h"

#include <stddef.h>

const struct ctl_verb *const ctl_verbs[] = {ctl_daemon_verbs, ctl_policy_verbs, ctl_audit_verbs,
                                            NULL};
