/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.h -- is the audit what was recorded? Reads all records, and makes the chain anew.
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include "audit/chain.h"
#include "audit/store.h"

struct audit_verified {
    long long first, last; /* records; 0: there are none */
    uint8_t head[CHAIN_HEAD];
    long long found;  /* the record with which the wanted head ended; 0: none */
    char broken[200]; /* the first problem; "": the chain is whole */
};

/* wanted: a head that was told before, or NULL. tell: called now and then, with how many records
 * are done, of all; may be NULL. A daemon may go on to write meanwhile. 0 or -errno. */
int audit_verify(struct audit_store *, const uint8_t *wanted,
                 void (*tell)(void *context, long long done, long long all), void *context,
                 struct audit_verified *out);

#endif
