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

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages_record {
    const uint8_t *key, *value;
    size_t key_len, value_len;
};
/* Not 0 stops. */
typedef int pages_visit(void *context, const struct pages_record *);

enum { PAGES_WHY = 120 };
struct pages_walk {
    pages_visit *visit; /* of each record in the order of keys; NULL: only the pages count */
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
