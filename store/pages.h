/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages.h -- the pages of an LMDB file, read without LMDB.
 *
 * LMDB maps the file and trusts every octet of it. This reads the file with
 * pread(2) and believes nothing: not the counts, not the lengths, not that a
 * page lies where its number says.
 */
#ifndef STORE_PAGES_H
#define STORE_PAGES_H

#include "store/store.h"

enum { PAGES_WHY = 120 };
struct pages_walk {
    /* Of each record in the order of keys, as it lies there; NULL: only the pages count. */
    store_visit *visit;
    void *context;
    const atomic_bool *stop; /* NULL, or set by another thread: -ECANCELED */
    bool brief;              /* only: are the first pages sound, and is the last one there? */
    char why[PAGES_WHY];     /* with -EBADMSG: "is damaged: page 17 is used twice" */
};
/* Every page of the newest state: is it whole, is it used exactly once, does a
 * search find each key? 0; -EBADMSG; -EAGAIN the state moved meanwhile, so it is
 * not known; what visit returned; -errno. No lock is taken. */
int pages_walk(int fd, struct pages_walk *);

#endif
