/* SPDX-License-Identifier: BSD-2-Clause
 *
 * real.c -- what the real DNS says of a question, with the TTLs with which it is delivered: the
 * first client gets what later ones get from the cache.
 */
#include "resolver/query.h"

enum {
    NEGATIVE_WITHOUT_SOA_S =
        30, /* such loops end within half a minute; RFC 2308 5 would not keep it at all */
    FAILURE_MS = 5000, /* RFC 9520: at least 1 s, at most 5 min */
};

enum kms_verdict real_verdict(uint16_t rcode)
{
    static const uint8_t verdicts[16] = {[RCODE_NOERROR] = VERDICT_NODATA,
                                         [RCODE_SERVFAIL] = VERDICT_SERVFAIL,
                                         [RCODE_NXDOMAIN] = VERDICT_NXDOMAIN,
                                         [RCODE_REFUSED] = VERDICT_REFUSED};

    if (rcode == RCODE_TIMEOUT)
        return VERDICT_TIMEOUT;
    return rcode < 16 && verdicts[rcode] != 0 ? verdicts[rcode] : VERDICT_OTHER;
}

bool real_is_negative(const struct real *r)
{
    return r->image != NULL && (r->verdict == VERDICT_NXDOMAIN || r->verdict == VERDICT_NODATA);
}

int real_ede(const struct real *r)
{
    if (r->stale)
        return r->verdict == VERDICT_NXDOMAIN ? EDE_STALE_NX : EDE_STALE;
    if (r->image != NULL)
        return EDE_NONE;
    if (r->verdict == VERDICT_NONE)
        return EDE_NOT_AUTHORITATIVE;
    if (r->cached)
        return EDE_CACHED_ERROR;
    return r->verdict == VERDICT_TIMEOUT ? EDE_NO_REACHABLE : EDE_NETWORK_ERROR;
}

/* How long a negative answer may be good, at most. */
static uint64_t negative_ms(const struct view *v, bool kms_name)
{
    const struct settings *s = v->settings;

    return kms_name && s->kms.max_negative_ttl_ms < s->cache.max_negative_ttl_ms
               ? s->kms.max_negative_ttl_ms
               : s->cache.max_negative_ttl_ms;
}

/* Marks the targets beside which a public address stands that may not ask here: one that may is our
 * own, whoever else could reach it. */
static void mark_public(const struct view *v, const struct real *r)
{
    struct rr_walk walk;
    struct addr a;
    struct rr rr;

    rr_walk_init(&walk, r->image, r->len);
    while (rr_walk_next(&walk, &rr)) {
        if (!rr_address(&rr, r->image, &a) || addr_is(&a, ADDR_PRIVATE) ||
            settings_access(v->settings, &a, NULL) == ACCESS_ALLOW)
            continue;
        for (int i = 0; i < r->n_srv; i++)
            v->scratch->srv[i].is_public |= name_equal_fold(rr.owner, &v->scratch->srv[i].target);
    }
}

/* The records that a decision is made on; an answer that cannot be read is `other`. */
static void read_srv_set(const struct view *v, struct query *q)
{
    struct real *r = &q->real;

    if (!q->kms || r->verdict != VERDICT_PRESENT || r->supposed)
        return;
    r->n_srv = srv_read(r->image, r->len, v->scratch->srv);
    if (r->n_srv <= 0 || r->n_srv > SRV_MAX) {
        r->verdict = VERDICT_OTHER;
        r->n_srv = 0;
    }
    if (r->n_srv > 0)
        mark_public(v, r);
}

/* What is kept under the key, into r: fresh, or expired as far as serve-stale still allows. */
static enum cache_result read_kept(const struct view *v, const struct cache_key *key,
                                   struct now now, uint8_t *image, size_t size, struct real *r)
{
    struct cache_facts f;
    size_t len;
    enum cache_result found =
        cache_get(v->cache, key, now.mono_ms, image, size, &len, &f, NULL, NULL);

    /* Never a failure, nor what was over when it came (expires_ms 0). */
    if (found == CACHE_MISS || (found == CACHE_EXPIRED &&
                                ((key->bits & CACHE_FAILURE) != 0 || f.expires_ms == 0 ||
                                 now.mono_ms - f.expires_ms >= v->settings->cache.serve_stale_ms)))
        return CACHE_MISS;
    *r = (struct real){.verdict = (enum kms_verdict)f.verdict,
                       .image = image,
                       .len = len,
                       .rcode = f.rcode,
                       .has_rrsig = f.has_rrsig,
                       .has_cname = f.has_cname,
                       .rotates = f.rotates,
                       .cached = true,
                       .stale = found == CACHE_EXPIRED,
                       .server = f.server,
                       .ms = f.rtt_ms,
                       .left_ms = found == CACHE_HIT ? f.expires_ms - now.mono_ms : 0};
    return found;
}

/* Did asking for it fail lately, so that it is not asked again yet (RFC 9520)? */
static bool find_failure(const struct view *v, const struct cache_key *key, struct now now,
                         struct real *r)
{
    /* With the hash of the answer: both lie in one bucket, and a look-up that has missed
     * the answer finds the failure without another hash. */
    struct cache_key failure = *key;

    failure.bits |= CACHE_FAILURE;
    return read_kept(v, &failure, now, NULL, 0, r) == CACHE_HIT;
}

bool real_known(const struct view *v, const struct cache_key *key, struct now now, uint8_t *out,
                size_t size, struct real *r)
{
    return read_kept(v, key, now, out, size, r) == CACHE_HIT || find_failure(v, key, now, r);
}

/* An entry, into q->real. It is looked for in q->out, whence it need not be copied, but that
 * of a discovery question; in a datagram's buffer a long one has no room. */
static enum cache_result find_entry(const struct view *v, struct query *q, struct now now,
                                    bool in_scratch)
{
    uint8_t *image = in_scratch ? v->scratch->image : q->out;
    size_t size = in_scratch ? sizeof v->scratch->image : q->out_size;
    enum cache_result found = read_kept(v, &q->key, now, image, size, &q->real);
    struct real *r = &q->real;
    uint32_t cap_s = UINT32_MAX;

    if (found == CACHE_MISS && size < DNS_MAX_MESSAGE)
        return find_entry(v, q, now, true);
    if (found == CACHE_MISS)
        return found;
    /* A negative answer at a discovery name shall not be known for long. */
    if (q->kms_name && real_is_negative(r))
        cap_s = (uint32_t)(negative_ms(v, true) / 1000);
    if (r->stale && cap_s > STALE_TTL_S)
        cap_s = STALE_TTL_S;
    if (r->stale || r->left_ms / 1000 > cap_s)
        image_age(image, r->len, 0, r->stale ? cap_s : 0, cap_s);
    read_srv_set(v, q);
    return found;
}

bool real_look(const struct view *v, struct query *q, const struct real *came, struct now now)
{
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    uint64_t negative = negative_ms(v, q->kms_name);
    struct real *r = &q->real, failure;
    enum cache_result found;
    int rcode;

    if (came != NULL &&
        (came->supposed || (came->image != NULL && !(q->kms && came->unfinished)))) {
        *r = *came;
        read_srv_set(v, q);
        return true;
    }
    if (came != NULL) {
        if (find_entry(v, q, now, true) == CACHE_MISS)
            *r = real_of_failure(came->unfinished ? RCODE_UNUSABLE : came->rcode, &came->server,
                                 came->ms);
        r->pending = came->pending;
        return true;
    }
    if ((rcode = special_answer(q, (uint32_t)(negative / 1000), &w)) >= 0) {
        COUNT(v->stats, special);
        *r = real_of_failure((uint16_t)rcode, NULL, 0);
        r->left_ms = negative;
        r->local = true;
        r->image = w.start;
        r->len = w.len;
        return true;
    }
    found = find_entry(v, q, now, q->kms);
    if (found != CACHE_HIT && find_failure(v, &q->key, now, found == CACHE_MISS ? r : &failure))
        found = CACHE_HIT;
    if (found == CACHE_HIT) {
        COUNT(v->stats, cache_hits);
        return true;
    }
    COUNT(v->stats, cache_misses);
    if ((q->message.flags & DNS_RD) == 0) { /* nothing may be asked, and nothing is known */
        COUNT(v->stats, rd0_refused);
        *r = (struct real){.verdict = VERDICT_NONE};
        return true;
    }
    if (q->route != NULL)
        return false;
    *r = real_of_failure(RCODE_REFUSED, NULL, 0); /* nobody to ask: as if it failed */
    return true;
}

struct real real_of_failure(uint16_t rcode, const struct addr *server, uint32_t ms)
{
    struct real r = {.verdict = real_verdict(rcode), .rcode = rcode, .ms = ms};

    if (server != NULL)
        r.server = *server;
    return r;
}

struct real real_of_reply(const struct view *v, const struct cache_key *key, uint8_t *image,
                          size_t len, const struct reply_facts *f, const struct addr *server,
                          uint32_t took_ms)
{
    const struct settings *s = v->settings;
    struct real r = real_of_failure(f->rcode, server, took_ms);
    uint64_t ms = (uint64_t)f->ttl * 1000, cap_ms;
    uint32_t ttl_s;

    if (f->kind == REPLY_FAILURE)
        return r;
    if (f->kind == REPLY_POSITIVE)
        r.verdict = VERDICT_PRESENT;
    else if (f->kind == REPLY_REFERRAL || f->kind == REPLY_CNAME)
        r.verdict = VERDICT_OTHER;
    r.image = image;
    r.len = len;
    r.has_rrsig = f->has_rrsig;
    r.has_cname = f->has_cname;
    r.rotates = f->rotates;
    r.unfinished = f->kind == REPLY_CNAME;
    r.cacheable = f->cacheable;
    cap_ms = negative_ms(v, key->class == CLASS_IN && name_is_vlmcs(key->name));
    /* How long it is good: a referral is no answer to keep. */
    if (!f->has_soa && NEGATIVE_WITHOUT_SOA_S * 1000 < cap_ms)
        cap_ms = NEGATIVE_WITHOUT_SOA_S * 1000;
    if (f->kind == REPLY_REFERRAL)
        ms = 0;
    else if (real_is_negative(&r))
        ms = ms < cap_ms ? ms : cap_ms;
    else if (ms < s->cache.min_ttl_ms)
        ms = s->cache.min_ttl_ms;
    else if (ms > s->cache.max_ttl_ms)
        ms = s->cache.max_ttl_ms;
    ttl_s = (uint32_t)(ms / 1000);
    r.left_ms = ms;
    /* A negative answer's TTL is also that of its SOA (RFC 2308 5), or a resolver in
     * front would count anew. */
    if (real_is_negative(&r) || ttl_s != f->ttl)
        image_age(image, len, 0, !real_is_negative(&r) && ttl_s > f->ttl ? ttl_s : 0, ttl_s);
    return r;
}

void real_keep(const struct view *v, const struct cache_key *key, const struct real *r,
               struct now now)
{
    struct cache_facts facts = {.stored_ms = now.mono_ms,
                                .verdict = (uint8_t)r->verdict,
                                .rcode = r->rcode,
                                .has_rrsig = r->has_rrsig,
                                .has_cname = r->has_cname,
                                .rotates = r->rotates,
                                .server = r->server,
                                .rtt_ms = (uint16_t)(r->ms < UINT16_MAX ? r->ms : UINT16_MAX)};
    struct cache_key kept = *key;

    if (r->image != NULL && !r->cacheable)
        return;
    if (r->image == NULL) {
        kept.bits |= CACHE_FAILURE;
        facts.expires_ms = now.mono_ms + FAILURE_MS;
    } else if (r->left_ms > 0) { /* else of no use; but what was kept before is of none, too */
        facts.expires_ms = now.mono_ms + r->left_ms;
    }
    (void)cache_put(v->cache, &kept, &facts, r->image, r->len, NULL, 0);
}
