/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.h -- the counters of a worker.
 *
 * A worker adds to its own struct (relaxed, one writer); the API sums them. A
 * new counter is a row in WORKER_COUNTERS and the line that counts.
 */
#ifndef RESOLVER_STATS_H
#define RESOLVER_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "wire/kms.h"

/* clang-format off */
#define WORKER_COUNTERS(X) \
    X(queries) X(queries_udp) X(queries_tcp) \
    X(answers) X(dropped) X(truncated) \
    X(ignored) /* packets that are no questions: short, QR=1, port 0 */ \
    X(formerr) X(notimp) X(badvers) X(servfail) \
    X(refused) X(access_dropped) /* by the access list */ \
    X(rd0_refused) /* RD=0 and not known */ \
    X(cache_hits) X(cache_misses) \
    X(special) /* names answered here */ \
    X(no_slot) /* SERVFAIL: no place, or no route */ \
    X(gave_way) /* given up for newer ones: too many in flight */ \
    X(unanswered) /* too many wait for the name */ \
    X(joined) /* one that was already asked */ \
    X(kms_questions) /* with updates, and those that access refused */ \
    /* Outcomes, in the order of the enum. */ \
    X(kms_passed) X(kms_filled) X(kms_replaced) X(kms_filtered) X(kms_denied) \
    X(kms_missing) X(kms_failed) X(kms_blocked) X(kms_update) \
    X(kms_decision_hits) /* decisions from the cache */ \
    X(kms_hosts) /* KMS hosts answered with the policy's addresses */ \
    X(kms_coherent) /* NXDOMAIN made NODATA at a filled name */ \
    X(kms_deadline) X(kms_damaged) /* decisions at the deadline; on damaged records */ \
    X(audit_dropped) /* events: the ring was full */ \
    X(upstream_queries) X(upstream_replies) X(upstream_tcp) \
    X(upstream_mismatch) X(upstream_malformed) /* replies ignored */ \
    X(upstream_timeouts) X(upstream_errors) /* errors: of sockets, SERVFAIL, REFUSED */ \
    X(upstream_case) /* tries without random case: the server breaks it */ \
    X(tcp_connections) X(tcp_refused) X(tcp_timeouts) \
    X(tcp_displaced) /* idle longest when another came */ \
    X(send_errors) X(receive_errors)
/* clang-format on */

struct worker_stats {
#define X(name) uint64_t name;
    WORKER_COUNTERS(X)
#undef X
};

/* Adds one; the only writer is the worker, readers see a whole number. */
#define COUNT(stats, name) __atomic_store_n(&(stats)->name, (stats)->name + 1, __ATOMIC_RELAXED)

/* One of the rows kms_passed to kms_update. */
static inline void count_outcome(struct worker_stats *s, enum kms_outcome outcome)
{
    uint64_t *row = (uint64_t *)(void *)s + offsetof(struct worker_stats, kms_passed) / sizeof *row;

    row += outcome - OUTCOME_PASSED;
    __atomic_store_n(row, *row + 1, __ATOMIC_RELAXED);
}

#endif
