/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.h -- runs of keys: read some, delete all, make a table be these.
 */
#ifndef POLICY_SCAN_H
#define POLICY_SCAN_H

#include "policy/kv.h"
#include "policy/records.h"

/* Calls for each key that begins with prefix; the key is a copy, so the
 * visitor may write. Damaged values are visited as well. Not 0 stops. */
typedef int scan_visit(void *context, const struct kv_key *);
int scan_keys(struct kv *, const struct kv_key *prefix, scan_visit *, void *context);

/* Deletes them; how many, or -errno. */
int64_t scan_delete(struct kv *, const struct kv_key *prefix);

/* Record i of a table that is derived from others, in the order of keys. */
typedef void scan_make(void *context, size_t i, struct kv_key *, struct writer *);
/* Makes the table hold exactly the n records of make(), each of at most 4,096
 * octets; writes only what differs. */
int scan_replace(struct kv *, enum policy_table, size_t n, scan_make *, void *context);

#endif
