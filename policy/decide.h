/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decide.h -- (question, client, policy, what the real DNS said) -> decision.
 *
 * Pure but for reading the policy map: same arguments and state, same result.
 * No allocation; the result lives in the caller's struct.
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "policy/store.h"
#include "wire/srv.h"

enum { POLICY_CLIENT_NETWORKS = 16 };
#define POLICY_RANGE_DAMAGED UINT32_MAX

/* A client as the policy sees it; one cursor step. */
struct policy_client {
    struct addr addr;
    uint32_t range;     /* number of the range of addresses, for the decision cache; equal for
                            addresses in the same networks; POLICY_RANGE_DAMAGED: policy_decide
                            answers with reason DAMAGED */
    uint8_t n_networks; /* innermost first */
    char networks[POLICY_CLIENT_NETWORKS][POLICY_NAME];
    struct prefix prefixes[POLICY_CLIENT_NETWORKS]; /* the one of each that contains the client */
};
int policy_client_find(struct policy_reader *, const struct addr *,
                       struct policy_client *out); /* 0, -EBADMSG damaged */

struct policy_ask {
    const struct name *qname; /* folded, name_is_vlmcs(); or a host */
    const struct policy_client *client;
    uint64_t wall_ms;
    enum kms_mode limit; /* kms.mode */
    bool do_bit;
};

/* What the real DNS said. srv are its records when the verdict is PRESENT (the
 * caller need not tell UNAPPROVED: policy_decide does); is_signed: DO and RRSIGs. */
struct policy_real {
    enum kms_verdict verdict;
    const struct srv *srv;
    int n_srv;
    bool is_signed;
};

struct policy_would {
    enum kms_outcome outcome; /* 0: no rule in shadow matches */
    char rule[POLICY_NAME];
};

struct policy_decision {
    enum kms_outcome outcome;
    enum kms_reason reason;
    enum kms_verdict verdict;  /* with UNAPPROVED told apart */
    enum policy_action action; /* of the rule, when reason is RULE */
    char rule[POLICY_NAME];    /* "" = none */
    char pool[POLICY_NAME];
    uint64_t serial;
    uint32_t ttl;
    uint8_t n_hosts; /* filled, replaced */
    struct policy_host hosts[POLICY_POOL_HOSTS];
    bool drop[SRV_MAX]; /* filtered: which of real->srv go */
    uint8_t n_unapproved;
    bool unapproved[SRV_MAX];
    struct policy_would would;
    /* Wall clock, of a from or until of a candidate: the last (0 none) and the next
     * (UINT64_MAX none). In between the decision is the same. */
    uint64_t since_ms, until_ms;
};

/* Must the real DNS be asked? False when the first candidate is deny or an
 * unconditional replace (and the client did not set DO): then policy_decide
 * with VERDICT_NONE gives the whole decision. */
int policy_needs_real(struct policy_reader *, const struct policy_ask *, bool *needs);

/* The decision. 0; damage is a decision too (reason DAMAGED, the real answer). */
int policy_decide(struct policy_reader *, const struct policy_ask *, const struct policy_real *,
                  struct policy_decision *out);

/* May a pool give the address of a host of this name? False is certain, and almost free. */
bool policy_may_be_host(struct policy_reader *, const struct name *);
/* Of which pool are the addresses of the host ask->qname, when the real DNS has
 * none (missing), or failed and the rule acts then? Filled or replaced by the
 * rule nearest to the client, whatever its suffixes. 0, as above. */
int policy_decide_host(struct policy_reader *, const struct policy_ask *,
                       const struct policy_real *, struct policy_decision *out);

/* Every rule that matters for an explanation, in the order of trial, then the
 * near misses (other network, not valid now, off, a name above or below). */
struct policy_trial {
    char rule[POLICY_NAME];
    bool acts;
    char why[160]; /* "client is not in dmz" */
};
typedef void policy_trial_visit(void *context, const struct policy_trial *);
int policy_explain(struct policy_reader *, const struct policy_ask *, const struct policy_real *,
                   struct policy_decision *out, policy_trial_visit *, void *context);

/* Is (target, port) approved: in any pool, or listed? */
int policy_is_approved(struct policy_reader *, const struct name *target, uint16_t port, bool *yes);
/* Is this one of the addresses that pools give for their hosts? One look-up. 0, -EBADMSG. */
int policy_is_host_address(struct policy_reader *, const struct addr *, bool *yes);

#endif
