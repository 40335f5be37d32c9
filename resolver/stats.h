/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.h -- the counters of a worker, which adds to its own struct (relaxed, one writer); the
 * API sums them. A new counter is a row in WORKER_COUNTERS and the line that counts.
 */
#ifndef RESOLVER_STATS_H
#define RESOLVER_STATS_H

#include <stdint.h>

/* clang-format off */
/* The outcomes, kms_passed to kms_update, are in the order of the enum. */
#define WORKER_COUNTERS(X) \
    X(queries) /* questions received */ \
    X(queries_udp) /* of these over UDP */ \
    X(queries_tcp) /* of these over TCP */ \
    X(answers) /* answers sent */ \
    X(dropped) /* questions not answered */ \
    X(ignored) /* packets that are no questions: short, QR=1, port 0 */ \
    X(formerr) \
    X(notimp) \
    X(badvers) \
    X(refused) /* answered REFUSED by access */ \
    X(access_dropped) /* dropped by access */ \
    X(rate_dropped) /* above limits.client-rate: not answered */ \
    X(rate_slipped) /* above limits.client-rate: answered with TC=1 */ \
    X(large_cut) /* above limits.client-large-rate: answered with TC=1 */ \
    X(any_cut) /* ANY over UDP: answered with TC=1 */ \
    X(cookies) /* questions with a cookie */ \
    X(cookies_valid) /* of these with a valid server cookie */ \
    X(truncated) /* answers cut, TC=1 */ \
    X(cache_hits) \
    X(cache_misses) \
    X(cache_stale) /* expired answers given or decided on (RFC 8767) */ \
    X(nxdomain_cut) /* answered NXDOMAIN since a name above does not exist (RFC 8020) */ \
    X(prefetched) /* answers asked for again before their end */ \
    X(special) /* special names answered here */ \
    X(no_slot) /* answered SERVFAIL: no place, or no route */ \
    X(gave_way) /* questions given up for newer ones: too many in flight */ \
    X(unanswered) /* questions left unanswered: too many wait for the name */ \
    X(discarded) /* answers not sent over UDP: older than limits.discard-timeout */ \
    X(joined) /* questions that joined one already asked */ \
    X(servfail) \
    X(rd0_refused) /* RD=0 and not known: REFUSED */ \
    X(kms_questions) /* KMS discovery questions (and updates, access-refused ones) */ \
    X(kms_passed) \
    X(kms_filled) \
    X(kms_replaced) \
    X(kms_filtered) \
    X(kms_denied) \
    X(kms_missing) \
    X(kms_failed) \
    X(kms_blocked) \
    X(kms_update) \
    X(kms_decision_hits) /* KMS decisions from the cache */ \
    X(kms_hosts) /* KMS hosts answered with the policy's addresses */ \
    X(kms_coherent) /* NXDOMAIN made NODATA at a filled name */ \
    X(kms_deadline) /* KMS questions that met their deadline */ \
    X(kms_damaged) /* decisions on damaged policy records */ \
    X(kms_hosts_down) /* decisions whose pool has a host that is down */ \
    X(kms_pinned) /* decisions for the one host of a pool that is pinned */ \
    X(audit_dropped) /* events dropped, ring full */ \
    X(upstream_queries) /* questions sent to servers */ \
    X(upstream_replies) /* replies accepted */ \
    X(upstream_mismatch) /* replies ignored: an attribute did not match */ \
    X(upstream_malformed) /* replies ignored: not well-formed */ \
    X(upstream_timeouts) /* tries without a reply in time */ \
    X(upstream_tcp) /* tries over TCP */ \
    X(upstream_tls) /* tries over TLS */ \
    X(upstream_connections) /* connections to servers: several tries share one */ \
    X(upstream_tls_connections) /* of these over TLS */ \
    X(upstream_resumed) /* of these with the session of an earlier one */ \
    X(upstream_again) /* tries made again: the server had closed the connection */ \
    X(upstream_errors) /* tries that failed: socket errors, SERVFAIL, REFUSED */ \
    X(upstream_loops) /* probes that came back to us: a server asks us what we ask it */ \
    X(rebinding) /* replies that had addresses which are not public, and have not any more */ \
    X(upstream_case) /* tries without random case: the server breaks it */ \
    X(tcp_connections) /* TCP connections accepted */ \
    X(tcp_refused) /* TCP connections refused: limits */ \
    X(tcp_displaced) /* TCP connections closed: idle longest when another came, limits */ \
    X(tcp_timeouts) /* TCP connections closed: idle */ \
    X(send_errors) /* answers that could not be sent */ \
    X(receive_errors) /* errors on receiving */
/* clang-format on */

struct worker_stats {
#define X(name) uint64_t name;
    WORKER_COUNTERS(X)
#undef X
};

/* Adds one; the only writer is the worker, readers see a whole number. */
#define COUNT_AT(number) __atomic_store_n(number, *(number) + 1, __ATOMIC_RELAXED)
#define COUNT(stats, name) COUNT_AT(&(stats)->name)

#endif
