/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sample.h -- events to test with.
 */
#ifndef TESTS_UNIT_AUDIT_SAMPLE_H
#define TESTS_UNIT_AUDIT_SAMPLE_H

#include <string.h>

#include "audit/event.h"
#include "wire/present.h"
#include "wire/types.h"

static inline struct name sample_name(const char *text)
{
    struct name n;

    if (name_parse(&n, text) != 0)
        memset(&n, 0, sizeof n);
    return n;
}

static inline struct addr sample_addr(const char *text)
{
    struct addr a;

    if (addr_parse(&a, text, 0) != 0)
        memset(&a, 0, sizeof a);
    return a;
}

/* A question that no rule decides: NXDOMAIN. */
static inline struct audit_event sample_missing(const char *client, const char *qname, uint16_t id,
                                                uint64_t ms)
{
    struct audit_event e = {
        .kind = AUDIT_EVENT, .wall_ms = ms, .mono_ms = ms, .transport = AUDIT_UDP};

    e.client = sample_addr(client);
    e.qname = sample_name(qname);
    e.qtype = TYPE_SRV;
    e.id = id;
    e.flags = DNS_RD;
    e.verdict = VERDICT_NXDOMAIN;
    e.outcome = OUTCOME_MISSING;
    e.reason = REASON_NO_RULE;
    e.rcode = e.real_rcode = RCODE_NXDOMAIN;
    return e;
}

static inline struct audit_event sample_filled(const char *client, const char *qname, uint16_t id,
                                               uint64_t ms)
{
    struct audit_event e = sample_missing(client, qname, id, ms);

    e.outcome = OUTCOME_FILLED;
    e.reason = REASON_RULE;
    e.rcode = RCODE_NOERROR;
    strcpy(e.rule, "merged-domains");
    e.policy_serial = 42;
    e.n_answer = 1;
    e.answer[0] = (struct audit_host){sample_name("kms01.contoso.com"), 1688};
    return e;
}

#endif
