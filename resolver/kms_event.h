/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_event.h -- a question and what became of it as an audit event in q->event.
 */
#ifndef RESOLVER_KMS_EVENT_H
#define RESOLVER_KMS_EVENT_H

#include "resolver/query.h"

/* A discovery question that was decided on q->real. rcode: what the client is told. */
void kms_event_decided(const struct view *, struct query *, const struct policy_decision *,
                       uint16_t rcode, struct now);
/* One that was not, or another question: refused by access, an UPDATE, left unanswered. */
void kms_event_note(const struct view *, struct query *, enum kms_outcome, enum kms_reason,
                    uint16_t rcode, const char *text, struct now);
/* A SOA question at a discovery name: how a KMS host looks for where to publish.
 * Not recorded for a client whose address a pool gives for one of its hosts. */
void kms_event_soa(const struct view *, struct query *, uint16_t rcode, struct now);
/* A discovery question that went whole to a server (TSIG): what came back, or
 * NULL for nothing. Any other question: no event. */
void kms_event_whole(const struct view *, struct query *, const uint8_t *reply, size_t len,
                     const struct addr *server, struct now);

#endif
