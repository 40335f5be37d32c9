/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages.h -- the pages of data.mdb, read without LMDB.
 *
 * LMDB maps the file and trusts every octet of it. This reads the file with
 * pread(2) and believes nothing: not the counts, not the lengths, not that a
 * page lies where its number says.
 */
#ifndef POLICY_PAGES_H
#define POLICY_PAGES_H

#include <stdatomic.h>

#include "policy/kv.h"

struct pages_tree {
    uint32_t flags, depth; /* no padding: compared as octets */
    uint64_t branches, leaves, overflow, entries, root;
};
struct pages_meta { /* of a state of the file */
    uint32_t page_size;
    struct pages_tree trees[2]; /* of the free pages; of what is stored */
    uint64_t last, txn;         /* the last page; the transaction that wrote it */
};
/* The newest state. 0; -EBADMSG: no two meta pages of one file; -errno. */
int pages_meta(int fd, struct pages_meta *);

/* A key, and its value with head. Not 0 stops. */
typedef int pages_visit(void *context, const struct kv_bytes *key, const struct kv_bytes *value);
enum { PAGES_WHY = 80 };
struct pages_walk {
    pages_visit *visit; /* NULL: then only the pages are of interest */
    void *context;
    const atomic_bool *stop; /* NULL, or set by another thread: -ECANCELED */
    char why[PAGES_WHY];     /* with -EBADMSG: "page 17 has another number" */
};
/* Every page of the newest state: is it whole, is it used exactly once, does a
 * search find each key? 0; -EBADMSG; -EAGAIN the state moved meanwhile, so it is
 * not known; what visit returned; -errno. No lock is taken. */
int pages_walk(int fd, struct pages_walk *);

#endif
