/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decide.h -- (question, client, policy, what the real DNS said) -> decision, and why.
 *
 * Pure but for reading the policy map: same arguments and state, same result. No allocation.
 * Damage is a decision, too: the real answer, with reason DAMAGED.
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "policy/records.h"
#include "wire/reply.h"

struct policy_ask {
    const struct name *qname; /* folded; a discovery name, or a host whose addresses are sought */
    const struct policy_client *client;
    uint64_t wall_ms;
    enum kms_mode limit; /* kms.mode */
    bool do_bit;
};

/* What the real DNS said. srv are its records when the verdict is PRESENT (the
 * caller need not tell UNAPPROVED: the decision does); is_signed: DO and RRSIGs. */
struct policy_real {
    enum kms_verdict verdict;
    const struct srv *srv;
    int n_srv;
    bool is_signed;
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
    uint8_t n_hosts, n_unapproved; /* hosts: filled, replaced */
    uint8_t pinned;                /* clients that get one of them alone, see policy_pinned() */
    bool unapproved[SRV_MAX];      /* which of real->srv; filtered: these go */
    struct {
        enum kms_outcome outcome; /* 0: no rule in shadow matches */
        char rule[POLICY_NAME];
    } would;
    /* Wall clock, of a from or until of a matching rule: the last (0 none) and the
     * next (UINT64_MAX none). In between the decision is the same. */
    uint64_t since_ms, until_ms;
    struct policy_host hosts[POLICY_POOL_HOSTS]; /* last: large, and only n_hosts are written */
};
/* No rule acts: what the real DNS said. */
void policy_decision_none(struct policy_decision *, enum kms_verdict, enum kms_reason);

/* A rule and its place in the order of trial. */
struct policy_best {
    struct store_bytes name, value; /* borrowed from the map; no name: there is none */
    int scope;                      /* length of the client's prefix; -1: every client */
    unsigned nearness;              /* labels of the suffix */
};
/* The best rules for a question, whatever the real DNS says; as long as the transaction lasts. */
enum { POLICY_CASES = 6, BEST_LIVE = 0, BEST_SHADOW = 1 /* rules in shadow take part */ };
struct policy_match {
    int rc; /* not 0: something is damaged */
    bool has_shadow;
    uint64_t since_ms, until_ms;
    struct policy_best best[POLICY_CASES][2];
};
void policy_match(struct policy_reader *, const struct policy_ask *, struct policy_match *out);

/* Is it decided without the real DNS? By a first rule that is deny or an unconditional replace,
 * when the client did not set DO. */
bool policy_decide_blind(struct policy_reader *, const struct policy_ask *,
                         const struct policy_match *, struct policy_decision *out);
void policy_decide_matched(struct policy_reader *, const struct policy_ask *,
                           const struct policy_match *, const struct policy_real *,
                           struct policy_decision *out);
/* The two in one. A host is filled or replaced when the real DNS has no address (missing),
 * or failed and the rule acts then, by the rule nearest to the client, whatever its suffixes. */
void policy_decide(struct policy_reader *, const struct policy_ask *, const struct policy_real *,
                   struct policy_decision *out);

/* Is the host in a pool, or listed as approved? With room for a pool: and if it has a public address,
 * listed, or in a pool that allows those? 1; 0; -errno. Within store_guarded(). */
int policy_is_approved(struct policy_reader *, const struct name *target, uint16_t port,
                       struct policy_pool *);

/* Every rule that matters for an explanation of the decision, in the order of trial, then
 * those that may not act (other network, not valid now, off) and the near misses (a parent of
 * the name). What is damaged is left out: the decision says so. How many. */
struct policy_trial {
    enum { TRIAL_ABLE, TRIAL_UNABLE, TRIAL_NEAR } class; /* may act, may not, has another suffix */
    struct policy_best best;
    bool acts, fills;                 /* fills: if it matched, and nothing were there */
    char rule[POLICY_NAME], why[160]; /* "client is not in dmz" */
};
size_t policy_explain(struct policy_reader *, const struct policy_ask *,
                      const struct policy_decision *, struct policy_trial *out, size_t max);

/* Is this one of the addresses that pools give for their hosts? One look-up; false when what
 * would tell is damaged. */
bool policy_is_host_address(struct policy_reader *, const struct addr *);

#endif
