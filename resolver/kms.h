/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.h -- KMS discovery questions: `_vlmcs._tcp.<suffix>` SRV and ANY.
 *
 * What the real DNS said (cache, reply, failure, deadline) and what the policy
 * says meet here: policy/decide.c decides, kms_image.c builds the answer,
 * kms_event.c fills the audit event, kms_note.c is for keeping the decision.
 */
#ifndef RESOLVER_KMS_H
#define RESOLVER_KMS_H

#include "resolver/answer.h"

/* What is known of the real answer while one question is judged. */
struct kms_real {
    enum kms_verdict verdict;
    const uint8_t *image;
    size_t len; /* the real answer; NULL when there is none */
    uint16_t rcode;
    bool has_rrsig, has_cname;
    bool rotates; /* it is from the cache, where every client finds the same order */
    bool cached, stale;
    bool local; /* a special name: nobody is asked */
    struct addr server;
    uint32_t ms;
    uint64_t expires_ms; /* of a fresh cached verdict; 0 = a decision on it is not kept */
    uint32_t ttl_s;      /* left */
    int n_srv;           /* in scratch->srv */
};

/* answer_query() for a discovery question. */
enum answer kms_answer(const struct view *, struct query *, const struct got *, struct now);

/* Would the SRV question of this client at this name be filled, were it
 * NXDOMAIN? For the coherence of other types. is_signed: this NXDOMAIN is, and
 * the client has DO. */
bool kms_would_fill(const struct view *, const struct query *, bool is_signed, struct now);

/* Who asks, into scratch->client; false: there is no policy to ask. */
bool kms_find_client(const struct view *, const struct addr *);
/* The question as policy_decide() wants it; kms_find_client() comes first. */
struct policy_ask kms_ask(const struct view *, const struct query *, struct now);
/* Is (question, client) decided without asking the real DNS? Then *d is the decision. */
bool kms_unconditional(const struct view *, const struct query *, const struct policy_ask *,
                       struct policy_decision *d);

/* The cached verdict, if there is one (then true, also when it is a failure),
 * and the verdict of a reply. Of other types than SRV without the records. */
bool kms_real_cached(const struct view *, const struct query *, bool stale_too, struct now,
                     struct kms_real *);
void kms_real_got(const struct view *, const struct query *, const struct got *, struct now,
                  struct kms_real *);

/* The verdict on a special name, see special.h; false: it is an ordinary one. */
bool kms_real_local(const struct view *, const struct query *, struct kms_real *);

struct policy_real kms_policy_real(const struct view *, const struct query *,
                                   const struct kms_real *);
/* The decision; ask NULL: there is no policy, or it is switched off. */
void kms_decide(const struct view *, const struct query *, const struct policy_ask *ask,
                const struct kms_real *, struct policy_decision *);

/* Is the answer made by us, of nothing that the real DNS said? Then it is made anew
 * each time, and has its whole TTL. */
bool kms_image_is_ours(const struct kms_real *, const struct policy_decision *);
/* The image of the answer that a decision delivers, in scratch->second (or the
 * real one); 0 when there is none (SERVFAIL). */
size_t kms_image(const struct view *, const struct query *, const struct kms_real *,
                 const struct policy_decision *, size_t room, const uint8_t **image);

/* The TTL that is given for `ttl`: half a minute at most when the verdict may
 * soon be another, so that a hiccup does not hide a good record for longer. */
uint32_t kms_ttl(const struct kms_real *, const struct policy_decision *, uint32_t ttl);
uint32_t kms_negative_ttl(const struct view *); /* of a negative answer at most */

#endif
