/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- the policy in its store: readers for the daemon's workers, counts,
 * and the tool's reading of the whole.
 */
#ifndef POLICY_READ_H
#define POLICY_READ_H

#include "policy/records.h"

/* Which names may be hosts with addresses: each negative answer asks. */
struct host_filter {
    bool known; /* in that state */
    uint64_t state, bits[32];
};

struct policy_reader {          /* one per thread */
    struct store_txn *txn;      /* what needs a page that cannot be had is answered as damaged */
    uint64_t serial, serial_of; /* a state; 0: none */
    struct host_filter hosts;
};
/* NULL and errno: EUSERS all places are taken, ENOMEM, ... */
struct policy_reader *policy_reader_new(struct store *);
void policy_reader_free(struct policy_reader *);
/* Between store_reader_begin() and _end() of its txn. */
uint64_t policy_reader_serial(struct policy_reader *);

struct policy_counts {
    uint64_t serial, networks, pools, rules, suffixes, approved, bytes;
    uint64_t digest;
    uint64_t time_ms;
};
int policy_store_counts(struct store *, struct policy_counts *);    /* one thread at a time */
int policy_counts_read(struct store_txn *, struct policy_counts *); /* without bytes */

/* The whole policy, at most 1,000 records a transaction; -EAGAIN when it moved meanwhile
 * and the read must start again (callers loop). */
int policy_load(struct store *, struct policy *out, uint64_t *serial);

#endif
