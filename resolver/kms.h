/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.h -- KMS discovery questions, `_vlmcs._tcp.<suffix>` SRV and ANY, and the
 * addresses of the hosts that they are answered with: what the real DNS says
 * (q->real) and what the policy says meet here.
 */
#ifndef RESOLVER_KMS_H
#define RESOLVER_KMS_H

#include "resolver/query.h"

/* answer_query() for a discovery question. */
enum answer kms_answer(const struct view *, struct query *, const struct real *came, struct now);

/* Would the SRV question of this client at this name be filled, were it
 * NXDOMAIN? For the coherence of other types. is_signed: this NXDOMAIN is, and
 * the client has DO. */
bool kms_would_fill(const struct view *, struct query *, bool is_signed, struct now);

/* A pool may give the addresses of its hosts. They go along with the SRV records, but a
 * client may ask for them by itself; where the host's name does not resolve (a workgroup,
 * a DMZ, a public route), it would be pointed to a host that it cannot find.
 * Answers q from the policy: true and *result. False: what the real DNS says, that there is
 * no such address or nothing at all, stands. Almost free for all but the hosts. */
bool kms_host_answer(const struct view *, struct query *, struct now, enum answer *result);

/* The question as the policy wants it; q->networks are known. */
struct policy_ask kms_ask(const struct view *, const struct query *, struct now);

/* Audit events, into q->event. A question that the policy has not decided: refused by
 * access, an UPDATE, left unanswered. rcode: what the client is told. */
void kms_event_note(const struct view *, struct query *, enum kms_outcome, enum kms_reason,
                    uint16_t rcode, const char *text, struct now);
/* A SOA question at a discovery name: how a KMS host looks for where to publish.
 * Not recorded for a client whose address a pool gives for one of its hosts. */
void kms_event_soa(const struct view *, struct query *, uint16_t rcode, struct now);
/* A discovery question that went whole to a server (TSIG): what came back, or
 * NULL for nothing. Any other question: no event. */
void kms_event_passthrough(const struct view *, struct query *, const uint8_t *reply, size_t len,
                           const struct addr *server, struct now);

#endif
