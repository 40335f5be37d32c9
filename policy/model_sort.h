/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model_sort.h -- the one order of a struct policy, and look-ups in it.
 */
#ifndef POLICY_MODEL_SORT_H
#define POLICY_MODEL_SORT_H

#include "policy/model.h"

/* Sorts and drops doubles: the order that readers make and writers want. */
void policy_sort(struct policy *);
void policy_network_sort(struct policy_network *);
void policy_pool_sort(struct policy_pool *);
void policy_rule_sort(struct policy_rule *);
/* Look-ups in a sorted policy; borrowed, NULL when there is none. */
struct policy_network *policy_find_network(const struct policy *, const char *name);
struct policy_pool *policy_find_pool(const struct policy *, const char *name);
struct policy_rule *policy_find_rule(const struct policy *, const char *name);

#endif
