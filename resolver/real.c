/* SPDX-License-Identifier: BSD-2-Clause
 *
 * real.c -- what the real DNS says of a question, with the TTLs with which it is delivered: the
 * first client gets what later ones get from the cache.
 */
#include "resolver/query.h"

enum {
    NEGATIVE_WITHOUT_SOA_S =
        30, /* such loops end within half a minute; RFC 2308 5 would not keep it at all */
    FAILURE_MS = 5000,          /* RFC 9520 3.2: the first one */
    PREFETCH_LIFE_MS = 10000,   /* what lives shorter is not worth it */
    FAILURE_FORGET_MS = 300000, /* one that is over for so long: the next is a first one */
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
    return r->image && (r->said.verdict == VERDICT_NXDOMAIN || r->said.verdict == VERDICT_NODATA);
}

int real_ede(const struct real *r)
{
    if (r->stale)
        return r->said.verdict == VERDICT_NXDOMAIN ? EDE_STALE_NX : EDE_STALE;
    if (r->image)
        return r->said.filtered ? EDE_FILTERED : EDE_NONE;
    if (r->said.verdict == VERDICT_NONE)
        return EDE_NOT_AUTHORITATIVE;
    if (r->cached)
        return EDE_CACHED_ERROR;
    return r->said.verdict == VERDICT_TIMEOUT ? EDE_NO_REACHABLE : EDE_NETWORK_ERROR;
}

/* How long a negative answer may be good, at most. */
static uint64_t negative_ms(const struct view *v, bool kms_name)
{
    const struct settings *s = v->settings;

    return kms_name && s->kms.max_negative_ttl_ms < s->cache.max_negative_ttl_ms
               ? s->kms.max_negative_ttl_ms
               : s->cache.max_negative_ttl_ms;
}

/* The records that a decision is made on; an answer that cannot be read is `other`. Marked are the
 * targets beside which a public address stands that may not ask here: one that may is our own,
 * whoever else could reach it. */
static void read_srv_set(const struct view *v, struct query *q)
{
    struct real *r = &q->real;
    struct rr_walk walk UNINITIALIZED;
    struct addr a;

    if (!q->kms || r->said.verdict != VERDICT_PRESENT || r->supposed)
        return;
    r->n_srv = srv_read(r->image, r->len, v->scratch->srv);
    if (r->n_srv <= 0 || r->n_srv > SRV_MAX) {
        r->said.verdict = VERDICT_OTHER;
        r->n_srv = 0;
        return;
    }
    rr_walk_init(&walk, r->image, r->len);
    while (rr_walk_next(&walk)) {
        if (!rr_address(&walk.rr, r->image, &a) || addr_is(&a, ADDR_PRIVATE) ||
            settings_access(v->settings, &a, NULL) == ACCESS_ALLOW)
            continue;
        for (int i = 0; i < r->n_srv; i++)
            v->scratch->srv[i].is_public |=
                name_equal_fold(walk.rr.owner, &v->scratch->srv[i].target);
    }
}

bool real_is_stale(const struct settings *s, const struct cache_key *key,
                   const struct cache_facts *f, struct now now)
{
    return (key->bits & CACHE_FAILURE) == 0 && f->expires_ms != 0 && f->expires_ms <= now.mono_ms &&
           now.mono_ms - f->expires_ms < s->cache.serve_stale_ms;
}

/* What is kept under the key, into r: fresh, or expired as far as serve-stale still allows. */
static enum cache_result read_kept(const struct view *v, const struct cache_key *key,
                                   struct now now, uint8_t *image, size_t size, struct real *r)
{
    const struct cache_facts *f = &r->said;
    enum cache_result found;

    *r = (struct real){.image = image, .cached = true};
    found = cache_get(v->cache, key, now.mono_ms, image, size, &r->len, &r->said);
    if (found == CACHE_EXPIRED && !real_is_stale(v->settings, key, f, now))
        found = CACHE_MISS;
    r->stale = found == CACHE_EXPIRED;
    r->left_ms = found == CACHE_HIT ? f->expires_ms - now.mono_ms : 0;
    return found;
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

/* Did asking for it fail lately, so that it is not asked again yet (RFC 9520)? Where an expired
 * answer can be given instead, not for STALE_RECHECK_MS. What was asked before some dead server came
 * back says nothing: whichever it needed, of its route or at the end of a chain. With the hash of the
 * answer: both lie in one bucket, and it is found without another one. */
static bool failed_lately(const struct view *v, struct query *q, enum cache_result found,
                          struct now now)
{
    const uint64_t answered_ms = q->real.said.stored_ms;
    struct cache_key key = q->key;
    struct real failure;

    key.bits |= CACHE_FAILURE;
    if ((read_kept(v, &key, now, NULL, 0, &failure) != CACHE_HIT &&
         !(found == CACHE_EXPIRED && failure.said.stored_ms > answered_ms &&
           now.mono_ms - failure.said.stored_ms < STALE_RECHECK_MS)) ||
        failure.said.stored_ms <= answered_ms || /* of another worker, which waited longer */
        failure.said.stored_ms < cache_forgiven_ms(v->cache) + failure.said.rtt_ms)
        return false;
    if (found == CACHE_MISS)
        q->real = failure;
    return true;
}

/* Does the name, or one above it, not exist, so that this one does not, either (RFC 8020)? Then that
 * is q->real. Not of names that the policy may fill; nor with DO, since the proof is another one.
 * What is above the zone of the route, or of another route, was told by others. */
static bool is_cut_off(const struct view *v, struct query *q, struct now now)
{
    uint8_t *kept = v->scratch->second;
    const struct name *full = q->key.name;
    struct cache_key key = q->key;
    struct real denial;
    struct rewrite out;
    struct rr_walk walk;
    struct name name;
    unsigned skip = 0;

    if (!v->settings->cache.nxdomain_cut || q->kms_name || q->route == NULL ||
        (key.bits & CACHE_DO) != 0)
        return false;
    key.name = &name;
    key.type = CACHE_NO_TYPE;
    do {
        if (skip + q->route->zone.labels > full->labels || skip == full->labels)
            return false;
        name_parent(full, skip++, &name);
        cache_key_init(v->cache, &key);
    } while (read_kept(v, &key, now, kept, DNS_MAX_MESSAGE, &denial) != CACHE_HIT ||
             denial.said.verdict != VERDICT_NXDOMAIN ||
             denial.said.has_cname); /* who asked for type 0? */
    rewrite_begin(&out, v->scratch->image, DNS_MAX_MESSAGE, dns_flags(kept, denial.len),
                  &q->message);
    rr_walk_init(&walk, kept, denial.len);
    while (rr_walk_next(&walk))
        rewrite_put(&out, kept, &walk.rr, walk.rr.ttl);
    q->real = denial;
    q->real.image = out.w.start;
    q->real.len = out.w.len;
    COUNT(v->stats, nxdomain_cut);
    return true;
}

bool real_ends_soon(const struct view *v, const struct cache_facts *f, struct now now)
{
    const uint64_t life_ms = f->expires_ms - f->stored_ms;

    return (f->expires_ms - now.mono_ms) * 10 < life_ms && life_ms >= PREFETCH_LIFE_MS &&
           v->settings->cache.prefetch;
}

bool real_look(const struct view *v, struct query *q, const struct real *came, struct now now)
{
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    uint64_t negative = negative_ms(v, q->kms_name);
    struct real *r = &q->real;
    enum cache_result found;
    int rcode;

    if (came && (came->supposed || (came->image != NULL && !(q->kms && came->unfinished)))) {
        *r = *came;
        read_srv_set(v, q);
        return true;
    }
    if (came) {
        if (find_entry(v, q, now, true) == CACHE_MISS)
            *r = real_of_failure(came->unfinished ? RCODE_UNUSABLE : came->said.rcode,
                                 &came->said.server, came->said.rtt_ms);
        r->pending = came->pending;
        if (r->stale)
            COUNT(v->stats, cache_stale);
        return true;
    }
    if ((rcode = special_answer(v, q, (uint32_t)(negative / 1000), &w)) >= 0) {
        COUNT(v->stats, special);
        *r = real_of_failure((uint16_t)rcode, NULL, 0);
        r->left_ms = negative;
        r->local = true;
        r->image = w.start;
        r->len = w.len;
        return true;
    }
    found = find_entry(v, q, now, q->kms);
    q->prefetch = found == CACHE_HIT && real_ends_soon(v, &r->said, now) &&
                  (q->message.flags & DNS_RD) != 0 && !failed_lately(v, q, found, now);
    if (found == CACHE_HIT || failed_lately(v, q, found, now) ||
        (found == CACHE_MISS && is_cut_off(v, q, now))) {
        COUNT(v->stats, cache_hits);
        if (r->stale)
            COUNT(v->stats, cache_stale);
        return true;
    }
    COUNT(v->stats, cache_misses);
    if ((q->message.flags & DNS_RD) == 0) { /* nothing may be asked, and nothing is known */
        COUNT(v->stats, rd0_refused);
        *r = (struct real){.said.verdict = VERDICT_NONE};
        return true;
    }
    if (q->route)
        return false;
    *r = real_of_failure(RCODE_REFUSED, NULL, 0); /* nobody to ask: as if it failed */
    return true;
}

struct real real_of_failure(uint16_t rcode, const struct addr *server, uint32_t ms)
{
    struct real r = {.said = {.verdict = (uint8_t)real_verdict(rcode),
                              .rcode = rcode,
                              .rtt_ms = (uint16_t)(ms < UINT16_MAX ? ms : UINT16_MAX)}};

    if (server)
        r.said.server = *server;
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
        r.said.verdict = VERDICT_PRESENT;
    else if (f->kind == REPLY_REFERRAL || f->kind == REPLY_CNAME)
        r.said.verdict = VERDICT_OTHER;
    r.image = image;
    r.len = len;
    r.said.has_rrsig = f->has_rrsig;
    r.said.has_cname = f->has_cname;
    r.said.rotates = f->rotates;
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

/* An address of it, or a hint of it, is one of this network. */
static bool leads_inside(const struct rr *rr, const uint8_t *image)
{
    struct cursor c = cursor_make(image + rr->rdata_pos, rr->rdlength);
    uint16_t key, size;
    struct addr a;
    bool is_v4;

    if (rr_address(rr, image, &a))
        return addr_is(&a, ADDR_INSIDE);
    if (rr->class != CLASS_IN || (rr->type != TYPE_SVCB && rr->type != TYPE_HTTPS))
        return false;
    (void)cursor_u16(&c);
    while ((size = cursor_u8(&c)) > 0) /* the target's labels, never compressed (RFC 9460 2.2) */
        cursor_take(&c, size);
    while (cursor_left(&c) > 0 && !c.bad) {
        key = cursor_u16(&c);
        size = cursor_u16(&c);
        is_v4 = key == SVCB_IPV4HINT;
        if (!is_v4 && key != SVCB_IPV6HINT) {
            cursor_take(&c, size);
            continue;
        }
        for (unsigned n = size / (is_v4 ? 4u : 16u); n > 0; n--) {
            const uint8_t *ip = cursor_take(&c, is_v4 ? 4 : 16);

            if (ip == NULL)
                return true; /* it cannot be read, by us */
            a = addr_from_octets(ip, is_v4 ? 4 : 16);
            if (addr_is(&a, ADDR_INSIDE))
                return true;
        }
    }
    return c.bad;
}

/* A signature over records of which some may go. */
static bool signs_addresses(const struct rr *rr, const uint8_t *image)
{
    uint16_t of = rr->type == TYPE_RRSIG ? bytes_u16(image + rr->rdata_pos) : 0;

    return of == TYPE_A || of == TYPE_AAAA || of == TYPE_SVCB || of == TYPE_HTTPS;
}

int real_filter(const struct view *v, uint8_t *image, size_t *len, struct reply_facts *f)
{
    bool left = false, found = false, is_read;
    struct message m;
    struct rewrite r;
    struct rr_walk w;

    if (message_read_head(&m, image, *len) != 0)
        return -EBADMSG;
    rr_walk_records(&w, &m, image, *len);
    while (rr_walk_next(&w))
        found |= leads_inside(&w.rr, image);
    is_read = !w.c.bad;
    if (!found || !is_read)
        return is_read ? 0 : -EBADMSG;
    COUNT(v->stats, rebinding);
    rewrite_begin(&r, v->scratch->second, DNS_MAX_MESSAGE, m.flags & (uint16_t)~DNS_AD, &m);
    rr_walk_records(&w, &m, image, *len);
    while (rr_walk_next(&w)) {
        r.apart = w.rr.type == m.qtype && w.rr.section == SECTION_ANSWER; /* it may be rotated */
        if (leads_inside(&w.rr, image) || signs_addresses(&w.rr, image))
            continue;
        left |= r.apart;
        if (!rewrite_put(&r, image, &w.rr, w.rr.ttl))
            return -EMSGSIZE;
    }
    memcpy(image, v->scratch->second, r.w.len);
    *len = r.w.len;
    if (f->kind == REPLY_POSITIVE && !left && m.qtype != TYPE_ANY) {
        f->kind = REPLY_NODATA;
        f->has_soa = f->rotates = false;
    }
    return 1;
}

void real_keep(const struct view *v, const struct cache_key *key, const struct real *r,
               struct now now)
{
    const uint64_t most_ms = v->settings->cache.max_failure_ttl_ms;
    struct cache_facts facts = r->said, last, since;
    struct cache_key kept = *key;
    uint8_t *unused = v->scratch->image;
    uint64_t ms = r->left_ms;
    enum cache_result found;
    size_t len;

    if (r->image && !r->cacheable)
        return;
    /* After a failure the question is not asked again for twice as long as after the one before, if
     * nothing has come since, and that was not at the same time (of another worker). */
    if (r->image == NULL) {
        ms = FAILURE_MS;
        kept.bits |= CACHE_FAILURE;
        found = cache_get(v->cache, &kept, now.mono_ms, NULL, 0, &len, &last);
        if (found != CACHE_MISS && now.mono_ms < last.expires_ms + FAILURE_FORGET_MS &&
            (cache_get(v->cache, key, now.mono_ms, unused, DNS_MAX_MESSAGE, &len, &since) ==
                 CACHE_MISS ||
             since.stored_ms <= last.stored_ms))
            ms = (last.expires_ms - last.stored_ms) * (found == CACHE_EXPIRED ? 2 : 1);
        ms = ms < most_ms ? ms : most_ms;
    }
    facts.stored_ms = now.mono_ms;
    /* 0: it is of no use; but what was kept before is of none, too */
    facts.expires_ms = ms > 0 ? now.mono_ms + ms : 0;
    cache_put(v->cache, &kept, &facts, r->image, r->len, NULL, 0);
    if (v->settings->cache.nxdomain_cut && r->image && ms > 0 && (kept.bits & CACHE_DO) == 0 &&
        r->said.verdict == VERDICT_NXDOMAIN && !r->said.has_cname) {
        kept.type = CACHE_NO_TYPE;
        cache_key_init(v->cache, &kept);
        cache_put(v->cache, &kept, &facts, r->image, r->len, NULL, 0);
    }
}
