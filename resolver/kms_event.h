/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_event.h -- a question and its decision as an audit event in q->event.
 */
#ifndef RESOLVER_KMS_EVENT_H
#define RESOLVER_KMS_EVENT_H

#include "resolver/kms.h"

/* The usual one. rcode: what the client is told. The networks are those of
 * scratch->client, which kms_answer() has set. */
void kms_event(const struct view *, struct query *, const struct kms_real *,
               const struct policy_decision *, uint16_t rcode, struct now);
/* Refused or dropped by access. */
void kms_event_blocked(const struct view *, struct query *, bool dropped, struct now);
/* Not answered: too many wait for the name. The client asks again. */
void kms_event_unanswered(const struct view *, struct query *, struct now);
/* An UPDATE for a discovery name. */
void kms_event_update(const struct view *, struct query *, const struct name *owner, struct now);
/* A SOA question at a discovery name: how a KMS host looks for where to publish.
 * Not recorded for a client whose address a pool gives for one of its hosts. */
void kms_event_soa(const struct view *, struct query *, enum kms_outcome, uint16_t rcode,
                   const struct addr *server, struct now);

/* A discovery question that went whole to a server (TSIG): what came back, or
 * NULL for nothing. Any other question: no event. */
void kms_event_whole(const struct view *, struct query *, const uint8_t *reply, size_t len,
                     const struct addr *server, struct now);

#endif
