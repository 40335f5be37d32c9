/* SPDX-License-Identifier: BSD-2-Clause
 *
 * real.h -- what the real DNS says of a question (struct real in query.h): a
 * special name, an entry of the cache, a reply that has come, or the fact that
 * there is none. Images have the TTLs with which they are delivered.
 */
#ifndef RESOLVER_REAL_H
#define RESOLVER_REAL_H

#include "resolver/query.h"

enum { STALE_TTL_S = 30 /* RFC 8767 5 */ };

enum real_look { REAL_FOUND, REAL_ASK, REAL_REFUSED };
/* What the real DNS says, into q->real: of what came, or (came NULL) of what is known here;
 * its image lies in q->out or scratch->image then. ASK: the servers must be asked; REFUSED:
 * they must not (RD=0). Where what came is no answer (for a discovery question a chain of
 * CNAMEs without its end is none, either), an expired entry that serve-stale still allows
 * takes its place (RFC 8767). */
enum real_look real_look(const struct view *, struct query *, const struct real *came, struct now);

/* A reply, as it is given to each client and kept: its image gets the TTLs that the
 * settings allow. kms_name: it is of a discovery name. server and ms are the caller's. */
struct real real_of_reply(const struct view *, uint8_t *image, size_t len,
                          const struct reply_facts *, bool kms_name);
/* No reply that is of use. rcode: what the servers say, RCODE_TIMEOUT and RCODE_UNUSABLE included. */
struct real real_of_failure(uint16_t rcode, const struct addr *server, uint32_t ms);

/* Keeps what came under the question that was asked; called once for each. A failure
 * is kept beside an older answer, which may still be served (RFC 8767, 9520). */
void real_keep(const struct view *, const struct cache_key *, const struct real *, struct now);

/* What the cache knows of a question, as if it had just come; its image is in out. */
bool real_known(const struct view *, const struct cache_key *, struct now, uint8_t *out,
                size_t size, struct real *);

/* The verdict on a reply without an answer. */
enum kms_verdict real_verdict(uint16_t rcode);
/* No answer, no better name for it: EDE_NONE for an answer in time. */
int real_ede(const struct real *);
bool real_is_negative(const struct real *);

#endif
