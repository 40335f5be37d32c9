/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.c -- what a client gets: the order of judgement, and ordinary names.
 *
 *   access -> parse -> policy (kms.c) -> special names -> cache -> upstream
 *
 * Read answer_read() and answer_query() as lists of rules, top to bottom. A
 * rule that applies returns. Nothing here knows a socket, a clock or a lock.
 */
#include "resolver/answer.h"

#include <string.h>

#include "resolver/identity.h"
#include "resolver/kms.h"
#include "resolver/kms_event.h"
#include "resolver/kms_host.h"
#include "resolver/special.h"
#include "wire/reply.h"

enum {
    NEGATIVE_WITHOUT_SOA_S =
        30, /* such loops end within half a minute; RFC 2308 5 would not keep it at all */
    FAILURE_MS = 5000, /* RFC 9520: at least 1 s, at most 5 min */
};

/* RFC 7828 3.3.2: how long the connection may stay without a question, to who
 * asks over it; 0: not said. */
static uint16_t keepalive_of(const struct view *v, const struct query *q)
{
    if (!q->message.edns.keepalive || q->client.transport != AUDIT_TCP)
        return 0;
    return (uint16_t)(v->settings->limits.tcp_idle_ms / 100); /* an hour at most */
}

struct reply_options answer_dress(const struct view *v, const struct query *q)
{
    bool named = q->message.edns.nsid && !v->settings->server.hide_identity;

    return (struct reply_options){.query = &q->message,
                                  .question = q->question,
                                  .limit = q->limit,
                                  .ede = EDE_NONE,
                                  .keepalive = keepalive_of(v, q),
                                  .nsid = named ? v->settings->server.name : NULL};
}

bool answer_may_have_ad(const struct query *q)
{
    return q->route != NULL && q->route->trust_ad &&
           (q->message.edns.do_bit || (q->message.flags & DNS_AD) != 0);
}

static enum answer send_error(const struct view *v, struct query *q, uint16_t rcode, int ede)
{
    struct reply_options dress = answer_dress(v, q);

    dress.ede = ede;
    q->out_len = reply_empty(&dress, rcode, 0, q->out, q->out_size);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

void answer_servfail(const struct view *v, struct query *q, int ede)
{
    COUNT(v->stats, servfail);
    (void)send_error(v, q, RCODE_SERVFAIL, ede);
}

/* The client's question octets, with its case, for the way back. */
static void keep_question(struct query *q)
{
    struct cursor c = cursor_make(q->wire, q->wire_len);
    const uint8_t *from;
    size_t len = q->message.question_len;

    cursor_take(&c, DNS_HEADER);
    from = cursor_take(&c, len);
    if (from != NULL && len <= sizeof q->question)
        memcpy(q->question, from, len);
    else
        q->message.question_len = 0;
}

static void set_limit(struct query *q)
{
    size_t can =
        q->client.transport == AUDIT_UDP ? message_udp_limit(&q->message.edns) : DNS_MAX_MESSAGE;

    q->limit = can < q->out_size ? can : q->out_size;
}

void answer_prepare(const struct view *v, struct query *q)
{
    const struct message *m = &q->message;

    set_limit(q);
    q->route = view_route(v, &m->qname, m->qtype);
    q->key = (struct cache_key){
        .name = &m->qname,
        .type = q->kms ? TYPE_SRV : m->qtype,
        .class = m->qclass,
        .kind = CACHE_ANSWER,
        .bits = (uint8_t)((m->edns.do_bit ? CACHE_DO : 0) | (m->flags & DNS_CD ? CACHE_CD : 0)),
        .scope = q->route != NULL ? q->route->id : 0,
    };
    cache_key_init(v->cache, &q->key);
}

/* A client that may not ask learns nothing, not even that its packet is bad;
 * but a discovery question of it is recorded. */
static enum answer refuse_access(const struct view *v, struct query *q, enum access_action action,
                                 struct now now)
{
    bool readable = message_read_query(&q->message, q->wire, q->wire_len) == MESSAGE_OK;

    keep_question(q);
    set_limit(q);
    q->message.edns.nsid = false;
    if (readable && q->message.opcode == OPCODE_QUERY && name_is_vlmcs(&q->message.qname) &&
        (q->message.qtype == TYPE_SRV || q->message.qtype == TYPE_ANY))
        kms_event_blocked(v, q, action == ACCESS_DROP, now);
    if (action == ACCESS_DROP) {
        COUNT(v->stats, access_dropped);
        return ANSWER_DROP;
    }
    COUNT(v->stats, refused);
    return send_error(v, q, RCODE_REFUSED, EDE_PROHIBITED);
}

/* The first discovery name that an UPDATE would change. RDATA is passed over:
 * deletions have none, whatever their type (RFC 2136 2.5). */
static bool find_updated_name(const struct query *q, struct name *owner)
{
    struct cursor c = cursor_make(q->wire, q->wire_len);
    unsigned prerequisites = q->message.counts[1], records = prerequisites + q->message.counts[2];

    cursor_take(&c, (size_t)DNS_HEADER + q->message.question_len);
    for (unsigned i = 0; i < records && !c.bad; i++) {
        name_read(&c, owner);
        cursor_take(&c, 8);
        cursor_take(&c, cursor_u16(&c));
        if (i >= prerequisites && !c.bad && name_is_vlmcs(owner))
            return true;
    }
    return false;
}

/* An UPDATE is never forwarded and never done. A KMS host that tries to publish
 * itself through us is worth a record. */
static enum answer refuse_update(const struct view *v, struct query *q, struct now now)
{
    struct name owner;

    if (find_updated_name(q, &owner))
        kms_event_update(v, q, &owner, now);
    return send_error(v, q, RCODE_REFUSED, EDE_NOT_SUPPORTED);
}

static enum answer answer_fault(const struct view *v, struct query *q, enum message_fault fault)
{
    switch (fault) {
    case MESSAGE_FORMERR:
        COUNT(v->stats, formerr);
        return send_error(v, q, RCODE_FORMERR, EDE_NONE);
    case MESSAGE_NOTIMP:
        COUNT(v->stats, notimp);
        return send_error(v, q, RCODE_NOTIMP, EDE_NONE);
    case MESSAGE_BADVERS:
        COUNT(v->stats, badvers);
        return send_error(v, q, RCODE_BADVERS, EDE_NONE);
    case MESSAGE_OK:
    case MESSAGE_IGNORE:
        break;
    }
    COUNT(v->stats, ignored);
    return ANSWER_DROP;
}

/* Shorter than a header, a reply, or from a port nobody can ask from: silence,
 * so that no two servers can be made to talk to each other. */
static bool is_no_question(const struct query *q)
{
    struct cursor c = cursor_make(q->wire, q->wire_len);
    uint16_t flags;

    cursor_u16(&c);
    flags = cursor_u16(&c);
    return q->wire_len < DNS_HEADER || (flags & DNS_QR) != 0 || q->client.addr.port == 0;
}

enum answer answer_read(const struct view *v, struct query *q, struct now now)
{
    struct message *m = &q->message;
    enum access_action access;
    enum message_fault fault;

    q->kms = q->kms_name = q->whole = q->has_event = false;
    q->out_len = 0;
    q->route = NULL;
    if (is_no_question(q)) {
        COUNT(v->stats, ignored);
        return ANSWER_DROP;
    }
    COUNT(v->stats, queries);
    access = settings_access(v->settings, v->machine, v->n_machine, &q->client.addr);
    if (UNLIKELY(access != ACCESS_ALLOW))
        return refuse_access(v, q, access, now);
    fault = message_read_query(m, q->wire, q->wire_len);
    keep_question(q);
    set_limit(q);
    if (UNLIKELY(fault != MESSAGE_OK))
        return answer_fault(v, q, fault);
    if (m->opcode == OPCODE_UPDATE)
        return refuse_update(v, q, now);
    if (UNLIKELY(m->qclass == CLASS_CH) && identity_answer(v, q))
        return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
    if (m->qclass == CLASS_CH || m->qtype == TYPE_AXFR || m->qtype == TYPE_IXFR)
        return send_error(v, q, RCODE_REFUSED, EDE_NOT_SUPPORTED);
    q->whole = m->tsig || m->qtype == TYPE_TKEY;
    q->kms_name = name_is_vlmcs(&m->qname) && m->qclass == CLASS_IN && !q->whole;
    q->kms = q->kms_name && (m->qtype == TYPE_SRV || m->qtype == TYPE_ANY);
    answer_prepare(v, q);
    return ANSWER_FORWARD;
}

/* Not from a reply: SERVFAIL, REFUSED. */
static enum answer send_failure(const struct view *v, struct query *q, uint16_t rcode, int ede,
                                struct now now)
{
    static const struct addr nobody;

    if (rcode == RCODE_SERVFAIL && kms_may_be_host(v, q) &&
        kms_host_answer(v, q, VERDICT_SERVFAIL, false, false, now))
        return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
    if (rcode == RCODE_SERVFAIL)
        COUNT(v->stats, servfail);
    if (q->kms_name && q->message.qtype == TYPE_SOA)
        kms_event_soa(v, q, OUTCOME_FAILED, rcode, &nobody, now);
    return send_error(v, q, rcode, ede);
}

static void set_rcode(uint8_t *image, size_t len, uint16_t rcode)
{
    uint16_t flags = dns_flags(image, len);

    dns_set_flags(image, len, (uint16_t)((flags & ~(15 | DNS_AD)) | rcode));
}

struct ordinary { /* a reply, from the cache or just come */
    uint8_t *image;
    size_t len; /* may be edited */
    uint16_t rcode;
    bool negative, has_cname, has_rrsig;
    bool rotates; /* it is from the cache, where every client finds the same order */
    int ede;
    struct addr server;
};

/* Where this client's SRV question would be filled, an NXDOMAIN for another
 * type becomes NODATA, or resolvers in front of us would hide the SRV (RFC
 * 8020). */
static void fit_discovery_name(const struct view *v, struct query *q, struct ordinary *o,
                               struct now now)
{
    bool is_signed = o->has_rrsig && q->message.edns.do_bit;

    if (o->rcode == RCODE_NXDOMAIN && !o->has_cname && kms_would_fill(v, q, is_signed, now)) {
        COUNT(v->stats, kms_coherent);
        o->rcode = RCODE_NOERROR;
        set_rcode(o->image, o->len, RCODE_NOERROR);
    }
}

void answer_rotate(const struct view *v, struct query *q)
{
    if (v->settings->cache.rotate)
        image_rotate(q->out, q->out_len, q->key.type, random_u16(v->random));
}

static enum answer deliver(const struct view *v, struct query *q, struct ordinary *o,
                           struct now now)
{
    struct reply_options dress = answer_dress(v, q);

    if (o->negative && !o->has_cname && kms_may_be_host(v, q) &&
        kms_host_answer(v, q, o->rcode == RCODE_NXDOMAIN ? VERDICT_NXDOMAIN : VERDICT_NODATA,
                        o->has_rrsig, o->ede != EDE_NONE, now))
        return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
    if (q->kms_name) {
        fit_discovery_name(v, q, o, now);
        if (q->message.qtype == TYPE_SOA)
            kms_event_soa(v, q, o->negative ? OUTCOME_MISSING : OUTCOME_PASSED, o->rcode,
                          &o->server, now);
    }
    dress.ede = o->ede;
    dress.ad = answer_may_have_ad(q);
    q->out_len = reply_from_image(&dress, o->image, o->len, q->out, q->out_size);
    if (UNLIKELY(o->rotates))
        answer_rotate(v, q);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

static bool is_negative(uint8_t kind)
{
    return kind == REPLY_NODATA || kind == REPLY_NXDOMAIN;
}

static void from_facts(struct ordinary *o, const struct cache_facts *f)
{
    o->ede = EDE_NONE;
    o->rcode = f->rcode;
    o->negative = is_negative(f->reply_kind);
    o->has_cname = f->has_cname;
    o->has_rrsig = f->has_rrsig;
    o->rotates = f->rotates;
    o->server = f->server;
}

bool answer_is_servable(const struct view *v, const struct cache_facts *f, struct now now)
{
    return f->expires_ms != 0 && now.mono_ms - f->expires_ms < v->settings->cache.serve_stale_ms;
}

/* RFC 8767: an answer whose time is over, when no better one is to be had. */
static bool from_stale(const struct view *v, struct query *q, struct now now, enum answer *result)
{
    struct cache_facts facts;
    struct ordinary o = {.image = v->scratch->image};
    uint16_t ttl_at[IMAGE_TTLS];
    int n;

    if (cache_get(v->cache, &q->key, now.mono_ms, NULL, o.image, sizeof v->scratch->image, &o.len,
                  &facts, NULL, NULL) != CACHE_EXPIRED ||
        !answer_is_servable(v, &facts, now))
        return false;
    if ((n = image_ttls(o.image, o.len, ttl_at, IMAGE_TTLS)) > 0)
        image_set_ttls(o.image, o.len, ttl_at, n, STALE_TTL_S);
    from_facts(&o, &facts);
    o.ede = facts.rcode == RCODE_NXDOMAIN ? EDE_STALE_NX : EDE_STALE;
    *result = deliver(v, q, &o, now);
    return true;
}

/* With the hash of the answer: both lie in one bucket, and a look-up that has
 * missed the answer finds the failure without another hash. */
static struct cache_key failure_key(const struct cache_key *answer)
{
    struct cache_key key = *answer;

    key.bits |= CACHE_FAILURE;
    return key;
}

bool answer_failed_lately(const struct view *v, const struct cache_key *key, struct now now,
                          struct cache_facts *facts)
{
    const struct cache_key failure = failure_key(key);
    size_t len;

    return cache_get(v->cache, &failure, now.mono_ms, NULL, NULL, 0, &len, facts, NULL, NULL) ==
           CACHE_HIT;
}

bool answer_known(const struct view *v, const struct cache_key *key, struct now now, uint8_t *out,
                  size_t size, struct got *got)
{
    struct cache_facts facts;
    size_t len = 0;
    bool hit = cache_get(v->cache, key, now.mono_ms, NULL, out, size, &len, &facts, NULL, NULL) ==
               CACHE_HIT;

    if (!hit && !answer_failed_lately(v, key, now, &facts))
        return false;
    *got = (struct got){.kind = hit ? GOT_REPLY : GOT_FAILURE,
                        .image = out,
                        .len = len,
                        .rcode = facts.rcode,
                        .server = facts.server,
                        .ms = facts.rtt_ms};
    return true;
}

static bool find_cached(const struct view *v, const struct query *q, struct now now,
                        struct ordinary *o, struct cache_facts *facts)
{
    o->image = q->out;
    if (cache_get(v->cache, &q->key, now.mono_ms, NULL, q->out, q->out_size, &o->len, facts, NULL,
                  NULL) == CACHE_HIT)
        return true;
    if (q->out_size >= DNS_MAX_MESSAGE)
        return false;
    o->image = v->scratch->image; /* perhaps only too long for a datagram's buffer */
    return cache_get(v->cache, &q->key, now.mono_ms, NULL, o->image, sizeof v->scratch->image,
                     &o->len, facts, NULL, NULL) == CACHE_HIT;
}

static enum answer from_cache(const struct view *v, struct query *q, struct now now)
{
    struct cache_facts facts;
    struct ordinary o;
    enum answer result;

    if (find_cached(v, q, now, &o, &facts)) {
        COUNT(v->stats, cache_hits);
        from_facts(&o, &facts);
        return deliver(v, q, &o, now);
    }
    if (answer_failed_lately(v, &q->key, now, &facts)) {
        COUNT(v->stats, cache_hits);
        return from_stale(v, q, now, &result)
                   ? result
                   : send_failure(v, q, RCODE_SERVFAIL, EDE_CACHED_ERROR, now);
    }
    COUNT(v->stats, cache_misses);
    if ((q->message.flags & DNS_RD) == 0) { /* nothing may be asked, and nothing is known */
        COUNT(v->stats, rd0_refused);
        return send_failure(v, q, RCODE_REFUSED, EDE_NOT_AUTHORITATIVE, now);
    }
    if (q->route == NULL) /* nobody to ask */
        return send_failure(v, q, RCODE_SERVFAIL, EDE_NO_REACHABLE, now);
    return ANSWER_FORWARD;
}

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* How long a reply is good, ms; 0: not kept. */
static uint64_t lifetime(const struct view *v, const struct reply_facts *f, bool kms_name)
{
    const struct settings *s = v->settings;
    uint64_t ms = (uint64_t)f->ttl * 1000, cap = s->cache.max_negative_ttl_ms;

    if (f->kind == REPLY_POSITIVE || f->kind == REPLY_CNAME)
        return ms == 0 && s->cache.min_ttl_ms == 0
                   ? 0
                   : clamp(ms, s->cache.min_ttl_ms, s->cache.max_ttl_ms);
    if (!is_negative((uint8_t)f->kind))
        return 0; /* referrals are no answers to keep */
    if (kms_name && s->kms.max_negative_ttl_ms < cap)
        cap = s->kms.max_negative_ttl_ms;
    if (!f->has_soa && NEGATIVE_WITHOUT_SOA_S * 1000 < cap)
        cap = NEGATIVE_WITHOUT_SOA_S * 1000;
    return clamp(ms, 0, cap);
}

/* The image with the TTLs that min-ttl, max-ttl and the negative limits allow;
 * in the scratch if they differ from what was sent. A negative answer's TTL is
 * also that of its SOA (RFC 2308 5), or a resolver in front would count anew. */
static const uint8_t *fit_ttls(const struct view *v, const struct got *got, uint64_t ms)
{
    uint16_t ttl_at[IMAGE_TTLS];
    uint8_t *copy = v->scratch->second;
    uint32_t ttl_s = (uint32_t)(ms / 1000);
    bool negative = is_negative((uint8_t)got->facts->kind);
    int n;

    if ((ttl_s == got->facts->ttl && !negative) ||
        (n = image_ttls(got->image, got->len, ttl_at, IMAGE_TTLS)) < 0)
        return got->image;
    memcpy(copy, got->image, got->len);
    if (negative || ttl_s < got->facts->ttl)
        image_age(copy, got->len, ttl_at, n, 0, ttl_s);
    else
        image_set_ttls(copy, got->len, ttl_at, n, ttl_s);
    return copy;
}

const uint8_t *answer_fit(const struct view *v, const struct got *got, bool kms_name,
                          uint32_t *ttl_s)
{
    uint64_t ms = lifetime(v, got->facts, kms_name);

    *ttl_s = (uint32_t)(ms / 1000);
    return fit_ttls(v, got, ms);
}

static bool is_failure(const struct got *got)
{
    return got->kind != GOT_REPLY || got->facts->kind == REPLY_FAILURE;
}

static enum answer from_got(const struct view *v, struct query *q, const struct got *got,
                            struct now now)
{
    struct ordinary o = {.len = got->len, .ede = EDE_NONE, .server = got->server};
    const uint8_t *image;
    enum answer result;

    if (is_failure(got)) {
        if (from_stale(v, q, now, &result))
            return result;
        if (got->kind == GOT_DEADLINE)
            return ANSWER_WAIT;
        return send_failure(v, q, RCODE_SERVFAIL,
                            got->kind == GOT_FAILURE && got->rcode == RCODE_TIMEOUT
                                ? EDE_NO_REACHABLE
                                : EDE_NETWORK_ERROR,
                            now);
    }
    o.rcode = got->facts->rcode;
    o.negative = is_negative((uint8_t)got->facts->kind);
    o.has_cname = got->facts->has_cname;
    o.has_rrsig = got->facts->has_rrsig;
    /* The first answer has the TTLs that later ones begin with. */
    o.image = v->scratch->second;
    image = fit_ttls(v, got, lifetime(v, got->facts, q->kms_name));
    if (image != o.image)
        memcpy(o.image, image, got->len);
    return deliver(v, q, &o, now);
}

enum answer answer_query(const struct view *v, struct query *q, const struct got *got,
                         struct now now)
{
    if (UNLIKELY(q->whole)) /* goes as it is to one server and comes back as it is */
        return got == NULL ? ANSWER_FORWARD
                           : send_failure(v, q, RCODE_SERVFAIL, EDE_NO_REACHABLE, now);
    if (UNLIKELY(q->kms))
        return kms_answer(v, q, got, now);
    if (got != NULL)
        return from_got(v, q, got, now);
    if (special_answer(v, q, now))
        return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
    return from_cache(v, q, now);
}

void answer_keep(const struct view *v, const struct cache_key *key, const struct got *got,
                 bool kms_name, struct now now)
{
    struct cache_facts facts = {.stored_ms = now.mono_ms,
                                .server = got->server,
                                .rtt_ms = (uint16_t)(got->ms > UINT16_MAX ? UINT16_MAX : got->ms)};
    uint64_t ms;

    if (got->kind == GOT_DEADLINE)
        return;
    facts.rcode = got->kind == GOT_REPLY ? got->facts->rcode : got->rcode;
    if (is_failure(got)) {
        const struct cache_key failure = failure_key(key);

        facts.failure = true;
        facts.reply_kind = REPLY_FAILURE;
        facts.expires_ms = now.mono_ms + FAILURE_MS;
        (void)cache_put(v->cache, &failure, &facts, NULL, 0, NULL, 0);
        return;
    }
    if (!got->facts->cacheable)
        return;
    ms = lifetime(v, got->facts, kms_name);
    facts.reply_kind = (uint8_t)got->facts->kind;
    facts.has_rrsig = got->facts->has_rrsig;
    facts.has_cname = got->facts->has_cname;
    facts.rotates = got->facts->rotates;
    /* Of no use, but what was kept before is of none from now on, either. */
    facts.expires_ms = ms > 0 ? now.mono_ms + ms : 0;
    (void)cache_put(v->cache, key, &facts, fit_ttls(v, got, ms), got->len, NULL, 0);
}
