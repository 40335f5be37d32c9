/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.h -- what is suspicious in a policy that entry does not refuse.
 */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy/model.h"

/* Each finding is a sentence about its subject. Returns how many. */
typedef void policy_finding(void *context, const char *subject, const char *text);
size_t policy_check(const struct policy *, uint64_t now_ms, policy_finding *, void *context);

#endif
