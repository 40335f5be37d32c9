/* SPDX-License-Identifier: BSD-2-Clause
 *
 * candidate.h -- one rule seen from one question: does it stand for election,
 * and before which others? Shared by decide.c and explain.c.
 */
#ifndef POLICY_CANDIDATE_H
#define POLICY_CANDIDATE_H

#include "policy/decide.h"
#include "policy/index.h"
#include "policy/records.h"

struct candidate {
    struct rule_view rule;
    struct kv_bytes name;  /* borrowed from the map */
    enum suffix_kind kind; /* of the suffix that matches */
    unsigned labels;
    enum kms_mode mode; /* with kms.mode as the upper limit */
    bool in_network, is_early, is_late;
    int network; /* index into the client's, the innermost; -1: every client */
};

/* Reads the rule of a hit. 0, or -EBADMSG. */
int candidate_read(struct candidate *, struct kv *, const struct policy_ask *,
                   const struct index_hit *);

/* Stands for election now, live or shadow? */
bool candidate_stands(const struct candidate *);

/* The order of trial: < 0 when a comes first. */
int candidate_compare(const struct candidate *a, const struct candidate *b,
                      const struct policy_client *);

/* The verdicts at which it acts; every bit for deny, pass, plain replace. */
unsigned candidate_when(const struct candidate *);
/* Acts whatever the real DNS says, and delivers nothing of it. */
bool candidate_is_unconditional(const struct candidate *);

/* The name of the question without _vlmcs._tcp. */
void policy_suffix_of(const struct name *qname, struct name *suffix);

#endif
