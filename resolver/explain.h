/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.h -- what a client would get for a question, and why: for the daemon and the tool.
 * Nothing is recorded, and no decision is kept. The client is taken for one that uses TCP, so its
 * answer is not cut, and that sends EDNS only when it asks for DNSSEC.
 */
#ifndef RESOLVER_EXPLAIN_H
#define RESOLVER_EXPLAIN_H

#include <jansson.h>

#include "resolver/query.h"

enum { EXPLAIN_TEXT = 1400 };

static inline const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* One explanation; about 100 KB, from the heap of the caller. */
struct explain {
    /* The question, by explain_read(). supposed: what the real DNS is supposed to say, then no
     * server is asked; VERDICT_NONE: ask. A supposed `present` or `unapproved` has no records: the
     * answer shows a placeholder for them, and `unapproved` stands for a set without any approved
     * target. */
    struct name qname; /* as written */
    uint16_t qtype;
    struct addr client;
    bool dnssec; /* it sets DO */
    enum kms_verdict supposed;

    struct query q; /* for forwarder_ask() */
    enum access_action access;

    /* What a client is told at kms.upstream-deadline if nothing has come by then: found
     * before the real DNS is asked. outcome 0: it waits on. */
    enum kms_outcome at_deadline;
    char rule_at_deadline[POLICY_NAME];
    char text_at_deadline[EXPLAIN_TEXT];
    struct worker_stats stats;
    uint8_t wire[512], out[DNS_MAX_MESSAGE];
};

/* Reads a question, from texts of which all but the name may be NULL: SRV, 127.0.0.1, no verdict. 0
 * or -EINVAL. */
int explain_read(struct explain *, const char *name, const char *type, const char *client,
                 const char *verdict, struct diags *);

/* The records of a message, in the sections from first to last, as text; an OPT is none. */
json_t *explain_records(const uint8_t *wire, size_t len, enum section first, enum section last);

/* The explanation as the API tells it; the caller's. NULL: the real DNS must be asked for e->q;
 * call again with what came. The caller ends the policy reader after each call. */
json_t *explain_run(struct explain *, const struct view *, const struct real *came, struct now);

#endif
