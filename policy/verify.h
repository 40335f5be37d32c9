/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.h -- is an open store well?
 */
#ifndef POLICY_VERIFY_H
#define POLICY_VERIFY_H

#include <stdatomic.h>

#include "policy/store.h"

#define POLICY_REMEDY                                                                              \
    "stop waymarkd, move that folder away, restore a backup or import a policy, start waymarkd"

struct policy_health {
    bool unlocked;   /* the folder is read-only: nobody else may write it either */
    bool refused;    /* no reader begins: pages are damaged */
    uint64_t faults; /* reads that the disk, or a damaged page, broke off */
};
struct policy_health policy_store_health(struct policy_store *); /* any thread */

/* Reads everything, without a lock or a reader's place; takes a while. 0; -EBADMSG
 * and one sentence in d: damaged are records, which decisions find, or pages: then
 * no reader begins until a later verification finds them sound; -EAGAIN it changed
 * all the time; -ECANCELED *stop was set; -errno. Any thread. */
int policy_store_verify(struct policy_store *, const atomic_bool *stop, struct diags *d);

#endif
