/* SPDX-License-Identifier: BSD-2-Clause
 *
 * env.h -- an open store as policy/ sees it: the environment of store.c, and
 * what is known of its health.
 */
#ifndef POLICY_ENV_H
#define POLICY_ENV_H

#include <stdatomic.h>

#include "policy/store.h"

struct MDB_env;

struct policy_store {
    struct MDB_env *env;
    unsigned dbi, page_size;
    int fd;                     /* of data.mdb, the environment's */
    char *dir;                  /* owned */
    bool unlocked;              /* nobody is told which pages are read */
    bool barred;                /* a fault came while LMDB may have held the lock of the places */
    struct policy_reader *look; /* for policy_store_counts(); NULL: there was no place */
    atomic_bool refused;        /* the tree is damaged: no reader begins any more */
    _Atomic uint64_t faults;
};

/* dir is set. 0 or -errno; in any case env_close() is due. */
int env_open(struct policy_store *, enum policy_access);
void env_close(struct policy_store *);

#endif
