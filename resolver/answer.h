/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.h -- what a client gets. The whole of Waymark's judgement is behind
 * these functions: access, parse, policy, special names, cache. Pure: same
 * view and arguments, same answer; no socket, clock, malloc or log; the only
 * outside read is the policy map.
 *
 * The order access, parse, policy, cache, upstream, policy is fixed: a cached
 * answer never reaches a refused client; an NXDOMAIN cached for a parent never
 * hides a policy name.
 *
 * Walk of a question:
 *   answer_read(q)              FORWARD here means: go on with
 *   answer_query(q, NULL)       SEND, DROP, or FORWARD: the real DNS must be asked
 *   answer_query(q, got)        SEND (never FORWARD; WAIT only for GOT_DEADLINE)
 * After SEND or DROP, q->has_event says whether an audit event is to be pushed.
 */
#ifndef RESOLVER_ANSWER_H
#define RESOLVER_ANSWER_H

#include "resolver/query.h"
#include "resolver/view.h"
#include "wire/reply.h"

/* No image has more TTLs. */
enum { IMAGE_TTLS = REPLY_MAX_RRS };
enum { STALE_TTL_S = 30 /* RFC 8767 5 */ };

enum answer { ANSWER_SEND, ANSWER_FORWARD, ANSWER_DROP, ANSWER_WAIT };

/* Access, strict parse of q->wire, key and hash, route. Sets all of q but
 * client, arrived, wire and out, which the caller has set. */
enum answer answer_read(const struct view *, struct query *, struct now);
/* The part of answer_read that a restored waiter needs: limit, route, key. */
void answer_prepare(const struct view *, struct query *);

enum got_kind {
    GOT_REPLY,    /* image and facts of an accepted reply */
    GOT_FAILURE,  /* no server gave a usable reply: rcode says what they said,
                   * RCODE_TIMEOUT and RCODE_UNUSABLE included */
    GOT_DEADLINE, /* the KMS deadline passed; nothing yet */
};
struct got {
    enum got_kind kind;
    const uint8_t *image;
    size_t len;                      /* GOT_REPLY; borrowed; never in scratch->second */
    const struct reply_facts *facts; /* GOT_REPLY */
    uint16_t rcode;                  /* GOT_FAILURE, GOT_DEADLINE */
    struct addr server;
    uint32_t ms; /* who, how long; any = nobody */
    bool cached; /* explain: it came from the cache */
};

/* GOT_FAILURE and GOT_DEADLINE look for an expired entry that serve-stale still
 * allows (RFC 8767); a deadline may be set for every name. */
enum answer answer_query(const struct view *, struct query *, const struct got *got, struct now);

/* SERVFAIL with an EDE code: too busy, stopping. Not for discovery questions,
 * which are decided and recorded whatever happens: give them GOT_FAILURE. */
void answer_servfail(const struct view *, struct query *, int ede);

/* What every answer to this client is sent with; the caller adds AD and EDE. */
struct reply_options answer_dress(const struct view *, const struct query *);

/* May the AD of a reply go on? Only to a client that knows it (RFC 6840 5.7). */
bool answer_may_have_ad(const struct query *);

/* The records of an answer in q->out from another one on, if the settings want
 * it; only where the facts say `rotates`. */
void answer_rotate(const struct view *, struct query *);

/* Did asking for it fail lately, so that it is not asked again yet (RFC 9520)? */
bool answer_failed_lately(const struct view *, const struct cache_key *, struct now,
                          struct cache_facts *);

/* May an expired entry still be served (RFC 8767)? Not one that was over when it
 * came: expires_ms 0. */
bool answer_is_servable(const struct view *, const struct cache_facts *, struct now);

/* What the cache knows of a question, as if it had just come: true and *got, whose
 * image is in out and which has no facts. */
bool answer_known(const struct view *, const struct cache_key *, struct now, uint8_t *out,
                  size_t size, struct got *);

/* The image of a reply with the TTLs that the settings allow, and how long it is
 * good: what the first client gets is what later ones get from the cache. In
 * scratch->second if it is not the image that came. */
const uint8_t *answer_fit(const struct view *, const struct got *, bool kms_name, uint32_t *ttl_s);

/* Keeps a reply under the question that was asked (TTL limits of settings,
 * RFC 2308 and 9520 applied); called once per upstream question. A failure is
 * kept beside an older answer, which may still be served (RFC 8767). */
void answer_keep(const struct view *, const struct cache_key *, const struct got *, bool kms_name,
                 struct now);

#endif
