/* SPDX-License-Identifier: BSD-2-Clause
 *
 * accept.h -- what is refused on entry: the checks of model.h, and what depends
 * on other objects: a network or a pool that a rule names and that is not there,
 * or that is to go and is in use.
 */
#ifndef POLICY_ACCEPT_H
#define POLICY_ACCEPT_H

#include "policy/records.h"

/* What becomes of the suffixes of a rule: it has those that it comes with, it
 * gets them as well, or it keeps those of the store. */
enum accept_suffixes { ACCEPT_SET, ACCEPT_ADDED, ACCEPT_KEPT };

/* 0; told in d: -EINVAL, -ENOENT what a rule names is not there; -ENAMETOOLONG a
 * name of octets 0 and 1 does not fit into a key; -errno. */
int accept_network(const struct policy_network *, struct diags *d);
int accept_pool(const struct policy_pool *, struct diags *d);
/* What the rule names is in p or in the store; either may be NULL. */
int accept_rule(const struct policy *p, struct store_txn *, bool alone, const struct policy_rule *,
                enum accept_suffixes, struct diags *d);
/* Each network and pool that the rules of a policy name is in it. 0 or -EINVAL. */
int accept_references(const struct policy *p, struct diags *d);
/* No rule uses the network or pool of that name. 0; -EBUSY, each such rule told. */
int accept_removal(struct store_txn *, enum policy_table, const char *name, struct diags *d);

#endif
