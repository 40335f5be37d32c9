/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.c -- KMS discovery questions, see kms.h.
 *
 * One question's walk in kms_answer():
 *   1 no policy, or kms.mode off      the real answer, recorded so
 *   2 a kept decision                 the same answer, newly rotated
 *   3 rules that need no real answer  deny, unconditional replace
 *   4 the real answer                 special names; cache; else ask; else (RD=0) refuse
 *   5 decide, build, record, keep
 *
 * A kept decision's stamp is (policy state, health epoch, settings
 * generation): any change makes it a miss, so nothing is ever flushed for a
 * change of policy. And it holds between two moments of the wall clock, the
 * last and the next from or until of a candidate: that clock may be set, while
 * all else here ends by the monotonic one. Decisions on failed, stale or
 * uncached verdicts are not kept: the next question may find the DNS better.
 */
#include "resolver/kms.h"

#include <string.h>

#include "resolver/kms_event.h"
#include "resolver/kms_note.h"
#include "resolver/special.h"
#include "wire/reply.h"

enum { UNCONDITIONAL_MS = 3600 * 1000 /* a decision without a verdict ends some time, too */ };

static bool is_pool(const struct policy_decision *d)
{
    return d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED;
}

bool kms_find_client(const struct view *v, const struct addr *addr)
{
    v->scratch->client.n_networks = 0;
    if (!view_policy(v))
        return false;
    (void)policy_client_find(v->policy, addr,
                             &v->scratch->client); /* damage is in its range, and decided on */
    return true;
}

struct policy_ask kms_ask(const struct view *v, const struct query *q, struct now now)
{
    return (struct policy_ask){.qname = &q->message.qname,
                               .client = &v->scratch->client,
                               .wall_ms = now.wall_ms,
                               .limit = v->settings->kms.mode,
                               .do_bit = q->message.edns.do_bit};
}

bool kms_would_fill(const struct view *v, const struct query *q, bool is_signed, struct now now)
{
    const struct policy_real nothing = {.verdict = VERDICT_NXDOMAIN, .is_signed = is_signed};
    struct policy_decision *d = &v->scratch->decision;
    struct policy_ask ask;

    if (!kms_find_client(v, &q->client.addr))
        return false;
    ask = kms_ask(v, q, now);
    policy_decide(v->policy, &ask, &nothing, d);
    return is_pool(d);
}

static enum kms_verdict verdict_of_failure(uint16_t rcode)
{
    switch (rcode) {
    case RCODE_TIMEOUT:
        return VERDICT_TIMEOUT;
    case RCODE_SERVFAIL:
        return VERDICT_SERVFAIL;
    case RCODE_REFUSED:
        return VERDICT_REFUSED;
    default:
        return VERDICT_OTHER;
    }
}

static enum kms_verdict verdict_of_kind(uint8_t kind, uint16_t rcode)
{
    switch ((enum reply_kind)kind) {
    case REPLY_POSITIVE:
        return VERDICT_PRESENT;
    case REPLY_NODATA:
        return VERDICT_NODATA;
    case REPLY_NXDOMAIN:
        return VERDICT_NXDOMAIN;
    case REPLY_REFERRAL:
    case REPLY_CNAME:
        return VERDICT_OTHER;
    case REPLY_FAILURE:
        break;
    }
    return verdict_of_failure(rcode);
}

/* The records of a present answer; one that cannot be read is `other`. */
static void read_srv(const struct view *v, const struct query *q, struct kms_real *r)
{
    r->n_srv = 0;
    if (r->verdict != VERDICT_PRESENT || q->key.type != TYPE_SRV)
        return;
    r->n_srv = srv_read(r->image, r->len, v->scratch->srv, SRV_MAX);
    if (r->n_srv <= 0 || r->n_srv > SRV_MAX) {
        r->verdict = VERDICT_OTHER;
        r->n_srv = 0;
    }
}

/* The verdict of an entry, fresh or expired. */
static void real_of_entry(const struct view *v, const struct query *q, const struct cache_facts *f,
                          size_t len, bool fresh, struct now now, struct kms_real *r)
{
    *r = (struct kms_real){.image = v->scratch->image,
                           .len = len,
                           .verdict = verdict_of_kind(f->reply_kind, f->rcode),
                           .rcode = f->rcode,
                           .has_rrsig = f->has_rrsig,
                           .has_cname = f->has_cname,
                           .rotates = f->rotates,
                           .cached = true,
                           .stale = !fresh,
                           .server = f->server,
                           .ms = f->rtt_ms};
    if (fresh) {
        r->ttl_s = (uint32_t)((f->expires_ms - now.mono_ms) / 1000);
        r->expires_ms = f->expires_ms;
    }
    read_srv(v, q, r);
}

bool kms_real_cached(const struct view *v, const struct query *q, bool stale_too, struct now now,
                     struct kms_real *r)
{
    struct cache_facts f, failure;
    size_t len = 0;
    enum cache_result found = cache_get(v->cache, &q->key, now.mono_ms, NULL, v->scratch->image,
                                        sizeof v->scratch->image, &len, &f, NULL, NULL);
    bool failed = found != CACHE_HIT && answer_failed_lately(v, &q->key, now, &failure);
    bool servable =
        found == CACHE_EXPIRED && (stale_too || failed) && answer_is_servable(v, &f, now);

    if (found == CACHE_HIT || servable) {
        real_of_entry(v, q, &f, len, found == CACHE_HIT, now, r);
        return true;
    }
    if (!failed)
        return false;
    *r = (struct kms_real){.verdict = verdict_of_failure(failure.rcode),
                           .rcode = failure.rcode,
                           .cached = true,
                           .server = failure.server,
                           .ms = failure.rtt_ms,
                           .ttl_s = (uint32_t)((failure.expires_ms - now.mono_ms) / 1000)};
    return true;
}

bool kms_real_local(const struct view *v, const struct query *q, struct kms_real *r)
{
    uint32_t ttl_s = kms_negative_ttl(v);
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    int rcode = special_rcode(q);

    if (rcode < 0)
        return false;
    special_image(q, (uint16_t)rcode, ttl_s, &w);
    *r = (struct kms_real){.verdict = rcode == RCODE_NXDOMAIN ? VERDICT_NXDOMAIN : VERDICT_NODATA,
                           .image = v->scratch->image,
                           .len = w.len,
                           .rcode = (uint16_t)rcode,
                           .ttl_s = ttl_s,
                           .local = true};
    return true;
}

/* RFC 8767: what was true until lately, when nothing better is to be had. A
 * failure that is in the cache is no better either. */
static bool real_stale(const struct view *v, const struct query *q, struct now now,
                       struct kms_real *r)
{
    return kms_real_cached(v, q, true, now, r) && r->image != NULL;
}

void kms_real_got(const struct view *v, const struct query *q, const struct got *got,
                  struct now now, struct kms_real *r)
{
    const struct reply_facts *f = got->facts;
    uint32_t ttl_s;

    bool usable = got->kind == GOT_REPLY && f->kind != REPLY_FAILURE && f->kind != REPLY_CNAME;

    if (!usable && real_stale(v, q, now, r))
        return;
    *r = (struct kms_real){.verdict = VERDICT_TIMEOUT,
                           .rcode = RCODE_TIMEOUT,
                           .server = got->server,
                           .ms = got->ms,
                           .cached = got->cached};
    if (got->kind == GOT_DEADLINE)
        return;
    r->rcode = got->kind != GOT_REPLY   ? got->rcode
               : f->kind == REPLY_CNAME ? RCODE_UNUSABLE
                                        : f->rcode;
    if (!usable) {
        r->verdict = verdict_of_failure(r->rcode);
        return;
    }
    r->image = answer_fit(v, got, true, &ttl_s);
    r->len = got->len;
    if (r->image != got->image) { /* the other buffer is for what is made of it */
        memcpy(v->scratch->image, r->image, got->len);
        r->image = v->scratch->image;
    }
    r->has_rrsig = f->has_rrsig;
    r->has_cname = f->has_cname;
    r->ttl_s = f->has_soa || f->kind == REPLY_POSITIVE ? ttl_s : 0;
    r->verdict = verdict_of_kind((uint8_t)f->kind, f->rcode);
    read_srv(v, q, r);
}

/* ---- the answer */

static int ede_of(const struct policy_decision *d, const struct kms_real *r)
{
    if (d->reason == REASON_RULE && policy_actions[d->action].ede != EDE_NONE)
        return policy_actions[d->action].ede;
    if (d->outcome == OUTCOME_FAILED)
        return r->verdict == VERDICT_TIMEOUT ? EDE_NO_REACHABLE : EDE_NETWORK_ERROR;
    return !r->stale ? EDE_NONE : r->verdict == VERDICT_NXDOMAIN ? EDE_STALE_NX : EDE_STALE;
}

/* What an image may have before the OPT must be given room. */
static size_t room_of(const struct query *q)
{
    enum { OPT_WITH_EDE = 17 };

    return q->limit - (q->message.edns.present ? OPT_WITH_EDE : 0);
}

/* Writes q->out, records. */
static enum answer send(const struct view *v, struct query *q, const struct kms_real *r,
                        const struct policy_decision *d, const uint8_t *image, size_t len,
                        struct now now)
{
    bool explain = v->settings->kms.explain_in_edns && d->rule[0] != '\0';
    struct reply_options dress = answer_dress(v, q);
    uint16_t rcode = RCODE_SERVFAIL;

    if (d->reason == REASON_DAMAGED)
        COUNT(v->stats, kms_damaged);
    dress.ede = ede_of(d, r);
    dress.ede_text = explain ? d->rule : NULL;
    dress.ad = answer_may_have_ad(q); /* only the image of a real answer has it */
    if (len > 0) {
        rcode = dns_rcode(image, len);
        q->out_len = reply_from_image(&dress, image, len, q->out, q->out_size);
        if (r->rotates && !is_pool(d))
            answer_rotate(v, q);
    } else {
        COUNT(v->stats, servfail);
        q->out_len = reply_empty(&dress, RCODE_SERVFAIL, 0, q->out, q->out_size);
    }
    kms_event(v, q, r, d, rcode, now);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

/* ---- kept decisions */

static void decision_key(const struct view *v, const struct query *q, struct cache_key *key)
{
    *key = (struct cache_key){.name = &q->message.qname,
                              .type = TYPE_SRV,
                              .class = CLASS_IN,
                              .kind = CACHE_DECISION,
                              .bits = q->key.bits,
                              .scope = v->scratch->client.range};
    cache_key_init(v->cache, key);
}

static void decision_stamp(const struct view *v, uint64_t stamp[3])
{
    stamp[0] = policy_reader_state(v->policy);
    stamp[1] = v->health_epoch;
    stamp[2] = v->settings->generation;
}

static void keep_decision(const struct view *v, const struct query *q, const struct kms_real *r,
                          const struct policy_decision *d, const uint8_t *image, size_t len,
                          struct now now)
{
    struct cache_facts facts = {
        .stored_ms = now.mono_ms, .rcode = r->rcode, .rotates = r->rotates, .server = r->server};
    uint8_t note[CACHE_MAX_NOTE];
    struct cache_key key;
    size_t note_len;

    facts.expires_ms = d->verdict == VERDICT_NONE ? now.mono_ms + UNCONDITIONAL_MS : r->expires_ms;
    if (facts.expires_ms <= now.mono_ms || d->reason == REASON_DAMAGED)
        return;
    if ((note_len = kms_note_write(d, r, v->scratch->srv, note, sizeof note)) == 0)
        return;
    decision_stamp(v, facts.stamp);
    decision_key(v, q, &key);
    if (kms_image_is_ours(r, d))
        len = 0;
    (void)cache_put(v->cache, &key, &facts, len > 0 ? image : NULL, len, note, note_len);
}

/* The same client range asked before, and nothing has changed since. */
static bool kept_decision(const struct view *v, struct query *q, struct now now,
                          enum answer *result)
{
    struct policy_decision *d = &v->scratch->decision;
    uint8_t note[CACHE_MAX_NOTE];
    size_t note_len = sizeof note, len = 0;
    const uint8_t *image = v->scratch->image;
    struct kms_real r;
    struct cache_facts f;
    struct cache_key key;
    uint64_t stamp[3];
    uint16_t ttl_at[IMAGE_TTLS];
    int n;

    decision_stamp(v, stamp);
    decision_key(v, q, &key);
    if (cache_get(v->cache, &key, now.mono_ms, stamp, v->scratch->image, sizeof v->scratch->image,
                  &len, &f, note, &note_len) != CACHE_HIT ||
        kms_note_read(note, note_len, d, &r, v->scratch->srv) != 0 || now.wall_ms < d->since_ms ||
        now.wall_ms >= d->until_ms)
        return false;
    r.rotates = f.rotates;
    COUNT(v->stats, kms_decision_hits);
    if (len == 0) {
        len = kms_image(v, q, &r, d, room_of(q), &image);
    } else if ((n = image_ttls(v->scratch->image, len, ttl_at, IMAGE_TTLS)) > 0) {
        image_age(v->scratch->image, len, ttl_at, n, (uint32_t)((now.mono_ms - f.stored_ms) / 1000),
                  UINT32_MAX);
    }
    *result = send(v, q, &r, d, image, len, now);
    return true;
}

/* ---- the walk */

/* Without a policy, or switched off: what the real DNS said. */
static void decide_nothing(const struct view *v, const struct kms_real *r,
                           struct policy_decision *d)
{
    policy_decision_none(d, r->verdict,
                         v->settings->kms.mode == MODE_OFF ? REASON_OFF : REASON_NO_RULE);
}

struct policy_real kms_policy_real(const struct view *v, const struct query *q,
                                   const struct kms_real *r)
{
    return (struct policy_real){.verdict = r->verdict,
                                .srv = v->scratch->srv,
                                .n_srv = r->n_srv,
                                .is_signed = q->message.edns.do_bit && r->has_rrsig};
}

void kms_decide(const struct view *v, const struct query *q, const struct policy_ask *ask,
                const struct kms_real *r, struct policy_decision *d)
{
    const struct policy_real real = kms_policy_real(v, q, r);

    if (ask == NULL)
        decide_nothing(v, r, d);
    else
        policy_decide(v->policy, ask, &real, d);
}

bool kms_unconditional(const struct view *v, const struct query *q, const struct policy_ask *ask,
                       struct policy_decision *d)
{
    struct policy_match m;

    (void)q;
    policy_match(v->policy, ask, &m);
    return policy_decide_blind(v->policy, ask, &m, d);
}

/* Builds the answer that was decided, keeps the decision, sends. */
static enum answer carry_out(const struct view *v, struct query *q, bool keep,
                             const struct kms_real *r, const struct policy_decision *d,
                             struct now now)
{
    const uint8_t *image;
    size_t len = kms_image(v, q, r, d, room_of(q), &image);

    if (keep)
        keep_decision(v, q, r, d, image, len, now);
    return send(v, q, r, d, image, len, now);
}

/* Decides on r and sends. At a deadline without a rule that takes it: waits. */
static enum answer judge(const struct view *v, struct query *q, const struct policy_ask *ask,
                         const struct kms_real *r, bool deadline, struct now now)
{
    struct policy_decision *d = &v->scratch->decision;

    kms_decide(v, q, ask, r, d);
    if (deadline) {
        if (d->outcome == OUTCOME_FAILED)
            return ANSWER_WAIT;
        COUNT(v->stats, kms_deadline);
    }
    return carry_out(v, q, ask != NULL, r, d, now);
}

static enum answer refuse_rd0(const struct view *v, struct query *q, struct now now)
{
    struct reply_options dress = answer_dress(v, q);
    struct kms_real nothing = {.verdict = VERDICT_NONE};
    struct policy_decision *d = &v->scratch->decision;

    COUNT(v->stats, rd0_refused);
    decide_nothing(v, &nothing, d);
    d->outcome = OUTCOME_FAILED;
    d->reason = REASON_RD0;
    dress.ede = EDE_NOT_AUTHORITATIVE;
    q->out_len = reply_empty(&dress, RCODE_REFUSED, 0, q->out, q->out_size);
    kms_event(v, q, &nothing, d, RCODE_REFUSED, now);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

enum answer kms_answer(const struct view *v, struct query *q, const struct got *got, struct now now)
{
    const struct got nobody = {.kind = GOT_FAILURE, .rcode = RCODE_REFUSED};
    bool has_client = kms_find_client(v, &q->client.addr);
    struct policy_ask ask = kms_ask(v, q, now);
    const struct policy_ask *policy = has_client && v->settings->kms.mode != MODE_OFF ? &ask : NULL;
    struct kms_real r = {.verdict = VERDICT_NONE};
    enum answer result;

    if (got != NULL) {
        kms_real_got(v, q, got, now, &r);
        return judge(v, q, policy, &r, got->kind == GOT_DEADLINE, now);
    }
    if (policy != NULL && kept_decision(v, q, now, &result))
        return result;
    if (policy != NULL && kms_unconditional(v, q, policy, &v->scratch->decision))
        return carry_out(v, q, true, &r, &v->scratch->decision, now);
    if (kms_real_local(v, q, &r)) {
        COUNT(v->stats, special);
        return judge(v, q, policy, &r, false, now);
    }
    if (kms_real_cached(v, q, false, now, &r)) {
        COUNT(v->stats, cache_hits);
        return judge(v, q, policy, &r, false, now);
    }
    COUNT(v->stats, cache_misses);
    if ((q->message.flags & DNS_RD) == 0)
        return refuse_rd0(v, q, now);
    if (q->route == NULL) { /* nobody to ask: as if it had failed */
        kms_real_got(v, q, &nobody, now, &r);
        return judge(v, q, policy, &r, false, now);
    }
    return ANSWER_FORWARD;
}
