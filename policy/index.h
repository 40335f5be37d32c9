/* SPDX-License-Identifier: BSD-2-Clause
 *
 * index.h -- which rules have a suffix that matches a name?
 */
#ifndef POLICY_INDEX_H
#define POLICY_INDEX_H

#include "policy/records.h"

struct index_hit {
    enum suffix_kind kind;
    unsigned labels;         /* of the suffix */
    struct store_bytes rule; /* its name, not ended by NUL; borrowed from the map */
};
typedef int index_visit(void *context, const struct index_hit *); /* not 0 stops */

/* Visits the entries that match, from the longest suffix to `*`. suffix is the
 * question's name without _vlmcs._tcp. 0, what the visitor said, or -EBADMSG:
 * an entry that matches, or one beside the place where it would be, is damaged
 * (a key that fell over looks like one that is not there). */
int index_walk(struct store_txn *, const struct name *suffix, index_visit *, void *context);

/* Visits the entries that nearly match: suffix names a parent only, or all
 * below the name but not the name, then up to `below` entries below it. */
int index_walk_near(struct store_txn *, const struct name *suffix, unsigned below, index_visit *,
                    void *context);

/* Visits the rules that give a pool with addresses of this host. 0, what the visitor said,
 * or -EBADMSG. */
int index_walk_host(struct store_txn *, const struct name *target, index_visit *, void *context);

#endif
