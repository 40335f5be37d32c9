/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.h -- what a client would get for a question, and why: the decision
 * itself, made once more over a view without counters; nothing is recorded, and
 * no decision is kept.
 *
 * The client is taken for one that uses TCP, so its answer is not cut, and that
 * sends EDNS only when it asks for DNSSEC.
 */
#ifndef RESOLVER_EXPLAIN_H
#define RESOLVER_EXPLAIN_H

#include "resolver/query.h"
#include "wire/present.h"

enum { EXPLAIN_TRIALS = 64, EXPLAIN_RECORDS = 32, EXPLAIN_RECORD = 600, EXPLAIN_TEXT = 1400 };

/* One explanation; about 400 KB, from the heap of the caller. */
struct explain {
    /* The question. supposed: what the real DNS is supposed to say, then no server is
     * asked; VERDICT_NONE: ask. A supposed `present` or `unapproved` has no records: the
     * answer shows a placeholder for them, and `unapproved` stands for a set without any
     * approved target. */
    struct name qname;
    uint16_t qtype;
    struct addr client;
    bool dnssec; /* it sets DO */
    enum kms_verdict supposed;

    /* What a client is told at kms.upstream-deadline if nothing has come by then:
     * found before the real DNS is asked. outcome 0: it waits on. */
    enum kms_outcome at_deadline;
    char rule_at_deadline[POLICY_NAME];
    char text_at_deadline[EXPLAIN_TEXT];
    bool stale_at_deadline;

    enum access_action access;
    const struct access_rule *access_rule; /* NULL: the default */

    /* What the real DNS says, with q.real; VERDICT_NONE: it is not asked. */
    enum kms_verdict verdict;
    char server[EXPLAIN_TEXT]; /* "" unknown; of those that gave no answer all are named */
    char route[NAME_TEXT];     /* zone; "" none */

    int n_trials;
    struct policy_trial trials[EXPLAIN_TRIALS];

    /* The decision. outcome and reason are 0 for ordinary names. */
    enum kms_outcome outcome;
    enum kms_reason reason;
    char rule[POLICY_NAME];
    char text[EXPLAIN_TEXT];
    char late[2 * EXPLAIN_TEXT]; /* "" the reply was in time, or that makes no difference */

    /* The answer. */
    bool silent; /* none: dropped */
    uint16_t rcode;
    bool has_ttl;
    uint32_t ttl_s;
    int n_records;
    char records[EXPLAIN_RECORDS][EXPLAIN_RECORD]; /* answer section */
    uint32_t windows;                              /* 0: none */
    const char *windows_text;
    char hint[EXPLAIN_TEXT]; /* "" none: the command that would fill this */

    struct query q; /* who asks: its networks; what is known; for forwarder_resolve() */
    struct worker_stats stats;
    uint8_t wire[512], out[DNS_MAX_MESSAGE];
};

/* False: the real DNS must be asked for e->q; call again with what came. The
 * caller ends the policy reader (view_policy_end) after each call. */
bool explain_run(struct explain *, const struct view *, const struct real *came, struct now);

#endif
