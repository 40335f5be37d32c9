/* SPDX-License-Identifier: BSD-2-Clause
 *
 * health.h -- which KMS hosts can be reached.
 *
 *   health.c   as answers use it: what a probe means for a host's state, and which hosts of a
 *              pool a client is given
 *   probe.c    the main thread finds it out: it resolves the hosts of the pools by its own
 *              worker's forwarder, and tries each by a TCP connection. No octet is sent to a host
 *
 * What is known becomes a struct health of all hosts, which nobody changes after it was handed
 * out; a worker uses its newest, and the last user frees it. The clients that a pinned host was
 * given to are counted in memory of the whole process, by all workers, without a lock.
 */
#ifndef RESOLVER_HEALTH_H
#define RESOLVER_HEALTH_H

#include <stdatomic.h>

#include "policy/decide.h"

enum { HEALTH_TARGETS = 1024, PIN_SLOTS = 64 };
_Static_assert(PIN_SLOTS > (int)POLICY_PIN_MAX, "one slot is always free");

/* How a probe ended. UNKNOWN: it says nothing of the host. */
enum health_error {
    HEALTH_FINE,
    HEALTH_REFUSED,
    HEALTH_TIMED_OUT,
    HEALTH_NO_ROUTE,
    HEALTH_UNRESOLVED, /* its name does not exist, or has no address */
    HEALTH_ERRORS,
    HEALTH_UNKNOWN = HEALTH_ERRORS,
};
extern const char *const health_errors[HEALTH_ERRORS]; /* "refused" */

/* Clients that a host was given to in the last 30 days, as a KMS host counts them; a slot is the
 * client's hash and the day of its last answer, 0: free. */
struct pin {
    _Atomic uint64_t seen[PIN_SLOTS];
};

struct health_target {
    struct name target; /* folded; */
    uint16_t port;      /* as an approved host begins */
    bool is_probed;     /* no: it is never down */
    bool is_pinned;     /* its addresses are those of the policy */
    bool is_down;
    uint8_t row;             /* probes that did not end as the state says, without a break */
    enum health_error error; /* of the last failure; FINE: none yet */
    uint64_t since_ms;       /* wall clock: it has been in this state; 0: not probed yet */
    uint8_t n_addresses;
    struct addr addresses[POLICY_HOST_ADDRESSES];
    uint32_t ttl; /* with which they may be given, when they were resolved */
    struct pin *pin;
};

struct health {
    _Atomic uint32_t users;
    uint32_t epoch;                 /* another one with each change */
    size_t n, left;                 /* left: hosts that are not tried, since there are too many */
    struct health_target targets[]; /* sorted as approved hosts are */
};
void health_release(struct health *); /* any thread; NULL is fine */

/* Counts a probe: after `fall` failures in a row a host is down, after `rise` good ones up. True:
 * its state, or the error that is told of it, is another one. */
bool health_note(struct health_target *, enum health_error, unsigned rise, unsigned fall,
                 uint64_t wall_ms);
/* What an errno of connect(2) means; ours, like a want of descriptors, is UNKNOWN. */
enum health_error health_error_of(int err);

/* Which hosts of a decision are given: bit i is hosts[i]. */
struct health_choice {
    uint64_t given, down; /* all are given when all are down */
    int pinned;           /* the one host that is given until it has enough clients, or -1 */
    const struct health_target *targets[POLICY_POOL_HOSTS]; /* NULL: nothing is known */
};
/* health NULL: all are up. counts: the client is pointed to the pinned host by this. */
void health_choose(const struct health *, const struct policy_decision *, const struct addr *client,
                   uint64_t wall_ms, bool counts, struct health_choice *out);

/* Is the client given the pinned host, which fewer than `most` have been given before? */
bool pin_takes(struct pin *, unsigned most, const struct addr *client, uint64_t wall_ms,
               bool counts);

/* ---- probe.c ---- */

struct prober; /* opaque; the main thread's */
struct worker;

/* The workers, n of them and behind them the one whose loop the main thread runs, are borrowed.
 * NULL when out of memory. */
struct prober *prober_new(struct worker *const *workers, int n);
/* Ends all that is under way, before the workers are freed; then free() it. */
void prober_stop(struct prober *);

#endif
