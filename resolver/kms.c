/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.c -- KMS discovery questions, and the addresses of the hosts that answer them.
 *
 * One question's walk, kms_answer():
 *   1 no policy, or kms.mode off      the real answer, recorded so
 *   2 a kept decision                 the same answer, newly rotated
 *   3 rules that need no real answer  deny, unconditional replace
 *   4 the real answer                 special names; cache; else ask; else (RD=0) refuse
 *   5 decide, build, record, keep
 *
 * Of a decision its image and its audit event are kept, with a stamp (policy state, settings
 * generation, health of the hosts): any change makes it a miss. It is valid between the last and
 * the next `from` or `until` of a candidate, which are compared at each use, since the wall clock
 * may be set.
 * Decisions on failed, stale or uncached verdicts are not kept: the next question may get a
 * better answer; nor those for a pinned host, which counts its clients. Images of our own are built
 * in scratch->second.
 */
#include "resolver/query.h"

enum {
    UNCONDITIONAL_MS = 3600 * 1000, /* a decision without a verdict ends some time, too */
    HOST_TTL_MAX_S = 300,
    HOST_ADDRESSES = 4 * POLICY_HOST_ADDRESSES,
};

struct policy_ask kms_ask(const struct view *v, const struct query *q, struct now now)
{
    return (struct policy_ask){.qname = &q->message.qname,
                               .client = &q->networks,
                               .wall_ms = now.wall_ms,
                               .limit = v->settings->kms.mode,
                               .do_bit = q->message.edns.do_bit};
}

static bool is_pool(enum kms_outcome outcome)
{
    return outcome == OUTCOME_FILLED || outcome == OUTCOME_REPLACED;
}

/* What the rules make of that verdict; q->networks are known. */
static const struct policy_decision *decide_on(const struct view *v, const struct query *q,
                                               enum kms_verdict verdict, bool is_signed,
                                               struct now now)
{
    const struct policy_real real = {.verdict = verdict, .is_signed = is_signed};
    const struct policy_ask ask = kms_ask(v, q, now);

    policy_decide(v->policy, &ask, &real, &v->scratch->decision);
    return &v->scratch->decision;
}

bool kms_would_fill(const struct view *v, struct query *q, bool is_signed, struct now now)
{
    return query_find_networks(v, q) &&
           is_pool(decide_on(v, q, VERDICT_NXDOMAIN, is_signed, now)->outcome);
}

/* The TTL that is given for `ttl`: half a minute at most when the verdict may
 * soon be another, so that a hiccup does not hide a good record for longer. */
static uint32_t ttl_given(const struct real *r, const struct policy_decision *d, uint64_t ttl)
{
    bool unsure = r->stale || verdict_word(d->verdict) == WORD_FAILED;

    return unsure && ttl > STALE_TTL_S ? STALE_TTL_S : (uint32_t)ttl;
}

static void write_address(struct writer *w, enum section section, size_t owner_pos,
                          const struct addr *a, uint32_t ttl)
{
    uint16_t len = addr_is_v4(a) ? 4 : 16;

    image_record(w, section, owner_pos, len == 4 ? TYPE_A : TYPE_AAAA, ttl, len);
    writer_bytes(w, a->ip + 16 - len, len);
}

/* What the decision delivers: its length, 0 when there is nothing (SERVFAIL). `ours`: of
 * nothing that the real DNS says, so that its TTLs are whole each time. */
static size_t make_image(const struct view *v, const struct query *q,
                         const struct policy_decision *d, const uint8_t **image, bool *ours)
{
    struct writer w = writer_make(v->scratch->second, DNS_MAX_MESSAGE);
    const struct real *r = &q->real;
    const struct health_choice *choice = &v->scratch->choice;
    const bool pool = is_pool(d->outcome);
    const uint32_t ttl = pool ? ttl_given(r, d, d->ttl) : 0;

    *image = w.start;
    *ours = true;
    image_begin(&w, &q->message, RCODE_NOERROR);
    for (int i = 0; pool && i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[i];

        if ((choice->given >> i & 1) == 0)
            continue;
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_SRV, ttl, 6u + h->target.len);
        writer_u16(&w, h->priority);
        writer_u16(&w, h->weight);
        writer_u16(&w, h->port);
        writer_bytes(&w, h->target.data, h->target.len); /* RFC 2782: never compressed */
    }
    /* The addresses of the hosts: those of the policy, else those that the name has, as far as known. */
    for (int i = 0; pool && i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[i];
        const struct health_target *t = choice->targets[i];
        const bool resolved = h->n_addresses == 0 && t && !t->is_pinned;
        const struct addr *list = resolved ? t->addresses : h->addresses;
        const int n = resolved ? t->n_addresses : h->n_addresses;

        for (int k = 0; k < n && (choice->given >> i & 1) != 0; k++) {
            /* Its name is written out, too: records that move are pointed at by none. */
            writer_bytes(&w, h->target.data, h->target.len);
            write_address(&w, SECTION_ADDITIONAL, 0, &list[k],
                          resolved && ttl > t->ttl ? t->ttl : ttl);
        }
    }
    if (pool)
        return w.full ? 0 : w.len;
    /* A negative answer of our own: with a SOA, or resolvers in front would ask again
     * each time, and stubs keep it as long as they like (RFC 2308 5). */
    if ((d->outcome == OUTCOME_DENIED && !real_is_negative(r)) ||
        (d->outcome == OUTCOME_FILTERED && (r->image == NULL || d->n_unapproved >= r->n_srv))) {
        image_soa(&w, SECTION_AUTHORITY, DNS_HEADER,
                  ttl_given(r, d, v->settings->kms.max_negative_ttl_ms / 1000));
        return w.len;
    }
    *ours = false;
    if (d->outcome == OUTCOME_FILTERED)
        return srv_filter(r->image, r->len, v->scratch->srv, r->n_srv, d->unapproved, w.start,
                          DNS_MAX_MESSAGE);
    *image = r->image;
    return r->image ? r->len : 0;
}

/* Behind a space, if there is room. */
static void add_word(char *list, size_t size, const char *word)
{
    const size_t len = strlen(list);

    if (len + 1 + strlen(word) < size)
        sprintf(list + len, "%s%s", len > 0 ? " " : "", word);
}

/* What an event has of the question; of the large struct only what is used is set. */
static void event_asked(const struct view *v, struct query *q, struct now now)
{
    struct cursor as_asked = cursor_make(q->question, q->message.question_len);
    struct audit_event *e = &q->event;

    e->wall_ms = now.wall_ms;
    e->mono_ms = now.mono_ms;
    e->client = q->client.addr;
    e->transport = q->client.transport;
    name_read(&as_asked, &e->qname); /* with the client's case */
    e->qtype = q->message.qtype;
    e->id = q->message.id;
    e->flags = q->message.flags;
    e->edns_do = q->message.edns.do_bit;
    e->networks[0] = '\0';
    if (query_find_networks(v, q))
        for (int i = 0; i < q->networks.n_networks; i++)
            add_word(e->networks, sizeof e->networks, q->networks.networks[i]);
    q->has_event = true;
}

void kms_event_note(const struct view *v, struct query *q, enum kms_outcome outcome,
                    enum kms_reason reason, uint16_t rcode, const char *text, struct now now)
{
    struct audit_event *e = &q->event;

    memset(e, 0, offsetof(struct audit_event, qname));
    memset(&e->server, 0,
           offsetof(struct audit_event, rule) - offsetof(struct audit_event, server));
    event_asked(v, q, now);
    e->outcome = (uint8_t)outcome;
    e->reason = (uint8_t)reason;
    e->rcode = rcode;
    e->rule[0] = e->would_rule[0] = '\0';
    e->real[0] = e->answer[0] = e->unapproved[0] = '\0';
    str_copy(e->text, sizeof e->text, text);
}

static void tell_host(char list[AUDIT_HOSTS], const struct name *target, uint16_t port)
{
    char host[NAME_TEXT + 8] UNINITIALIZED;

    name_print(target, host);
    sprintf(host + strlen(host), ":%u", port);
    add_word(list, AUDIT_HOSTS, host);
}

/* A discovery question that was decided on q->real; rcode: what the client is told. */
static void event_decided(const struct view *v, struct query *q, const struct policy_decision *d,
                          uint16_t rcode, struct now now)
{
    const struct srv *srv = v->scratch->srv;
    const struct real *r = &q->real;
    struct audit_event *e = &q->event;

    kms_event_note(v, q, d->outcome, d->reason, rcode, "", now);
    e->cached = r->cached;
    e->verdict = (uint8_t)d->verdict;
    e->server = r->said.server;
    e->real_rcode = r->said.rcode;
    e->real_ms = r->said.rtt_ms;
    e->policy_serial = d->serial;
    str_copy(e->rule, sizeof e->rule, d->rule);
    e->would = (uint8_t)d->would.outcome;
    str_copy(e->would_rule, sizeof e->would_rule, d->would.rule);
    for (int i = 0; i < r->n_srv && i < SRV_MAX; i++) {
        tell_host(e->real, &srv[i].target, srv[i].port);
        if (d->unapproved[i])
            tell_host(e->unapproved, &srv[i].target, srv[i].port);
        if (d->outcome == OUTCOME_PASSED || (d->outcome == OUTCOME_FILTERED && !d->unapproved[i]))
            tell_host(e->answer, &srv[i].target, srv[i].port);
    }
    if (is_pool(d->outcome))
        for (int i = 0; i < d->n_hosts; i++)
            if (v->scratch->choice.given >> i & 1)
                tell_host(e->answer, &d->hosts[i].target, d->hosts[i].port);
}

/* In front of the packed event. */
struct kept {
    uint64_t stamp[3], since_ms, until_ms;
    size_t packed; /* octets of the event */
    int ede;
    bool ours;
};

/* stamp: what must be the same for a kept decision to be good. */
static struct cache_key kept_key(const struct view *v, const struct query *q, uint64_t stamp[3])
{
    const struct health *h = *v->health;
    struct cache_key key = q->key;

    stamp[0] = store_state(v->policy->txn);
    stamp[1] = v->settings->generation << 32 | (h ? h->epoch : 0);
    stamp[2] = q->networks.key;
    key.kind = CACHE_DECISION;
    key.scope = (uint32_t)q->networks.key;
    cache_key_init(v->cache, &key);
    return key;
}

/* q->event is made. A pool's records are shuffled, for clients which take the first whatever its
 * priority is (Vista, Server 2008). */
static enum answer send_decided(const struct view *v, struct query *q, const uint8_t *image,
                                size_t len, int ede)
{
    const struct audit_event *e = &q->event;
    enum answer result = query_send(v, q, len > 0 ? image : NULL, len, RCODE_SERVFAIL, ede,
                                    v->settings->kms.explain_in_edns ? e->rule : NULL);

    if (!is_pool(e->outcome))
        query_rotate(v, q);
    else if (strchr(e->answer, ' '))
        image_shuffle_srv(q->out, q->out_len, v->random);
    return result;
}

/* The same client range asked before, and nothing has changed since. */
static bool find_kept(const struct view *v, struct query *q, struct now now, enum answer *result)
{
    uint64_t stamp[3];
    const struct cache_key key = kept_key(v, q, stamp);
    uint8_t *image = v->scratch->image;
    size_t len, head;
    struct cache_facts f;
    struct kept k;

    if (cache_get(v->cache, &key, now.mono_ms, image, sizeof v->scratch->image, &len, &f) !=
            CACHE_HIT ||
        real_ends_soon(v, &f, now)) /* then the real answer is looked at, and asked for again */
        return false;
    memcpy(&k, image, sizeof k);
    head = sizeof k + k.packed;
    if (memcmp(k.stamp, stamp, sizeof stamp) != 0 || now.wall_ms < k.since_ms ||
        now.wall_ms >= k.until_ms)
        return false;
    COUNT(v->stats, kms_decision_hits);
    audit_event_unpack(&q->event, image + sizeof k, k.packed);
    event_asked(v, q, now);
    q->event.cached = true;
    q->real = (struct real){.cached = true, .said.rotates = f.rotates};
    if (!k.ours)
        image_age(image + head, len - head, (uint32_t)((now.mono_ms - f.stored_ms) / 1000), 0,
                  UINT32_MAX);
    *result = send_decided(v, q, image + head, len - head, k.ede);
    return true;
}

/* Builds, records and sends what was decided; keeps it, unless it may soon be another. */
static enum answer carry_out(const struct view *v, struct query *q, bool keep, struct now now)
{
    const struct policy_decision *d = &v->scratch->decision;
    const struct real *r = &q->real;
    struct health_choice *c = &v->scratch->choice;
    const uint64_t good_ms = d->verdict == VERDICT_NONE ? UNCONDITIONAL_MS
                             : r->cached && r->image    ? r->left_ms
                                                        : 0;
    struct cache_facts facts = {
        .stored_ms = now.mono_ms, .expires_ms = now.mono_ms + good_ms, .rotates = r->said.rotates};
    struct kept k = {.since_ms = d->since_ms, .until_ms = d->until_ms};
    uint8_t head[CACHE_MAX_HEAD] UNINITIALIZED;
    const uint8_t *image;
    struct cache_key key;
    size_t len;

    if (is_pool(d->outcome)) {
        health_choose(*v->health, d, &q->client.addr, now.wall_ms, !v->trace, c);
        if (c->down != 0)
            COUNT(v->stats, kms_hosts_down);
        if (c->pinned >= 0)
            COUNT(v->stats, kms_pinned);
        keep = keep && c->pinned < 0;
    }
    len = make_image(v, q, d, &image, &k.ours);
    if (d->reason == REASON_DAMAGED)
        COUNT(v->stats, kms_damaged);
    if (d->reason == REASON_RULE && policy_actions[d->action].outcome != 0)
        k.ede = policy_actions[d->action].ede;
    else
        k.ede = real_ede(r);
    event_decided(v, q, d, len > 0 ? dns_rcode(image, len) : RCODE_SERVFAIL, now);
    if (keep && !v->trace && len > 0 && good_ms > 0 && d->reason != REASON_DAMAGED &&
        (k.packed = audit_event_pack(&q->event, head + sizeof k, sizeof head - sizeof k)) > 0) {
        key = kept_key(v, q, k.stamp);
        memcpy(head, &k, sizeof k);
        cache_put(v->cache, &key, &facts, image, len, head, sizeof k + k.packed);
    }
    return send_decided(v, q, image, len, k.ede);
}

enum answer kms_answer(const struct view *v, struct query *q, const struct real *came,
                       struct now now)
{
    const enum kms_reason no_rule = v->settings->kms.mode == MODE_OFF ? REASON_OFF : REASON_NO_RULE;
    struct policy_match *match = &v->scratch->match;
    struct policy_decision *d = &v->scratch->decision;
    bool has_policy = query_find_networks(v, q); /* for the event in any case */
    const struct policy_ask asked = kms_ask(v, q, now),
                            *ask = has_policy && no_rule != REASON_OFF ? &asked : NULL;
    struct policy_real real;
    enum answer result;

    if (ask && came == NULL && !v->trace && find_kept(v, q, now, &result))
        return result;
    q->real = (struct real){.said.verdict = VERDICT_NONE};
    if (ask)
        policy_match(v->policy, ask, match);
    if (ask && came == NULL && policy_decide_blind(v->policy, ask, match, d))
        return carry_out(v, q, true, now);
    if (!real_look(v, q, came, now))
        return ANSWER_FORWARD;
    if (q->real.said.verdict == VERDICT_NONE) { /* it must not be asked, and nothing is known */
        policy_decision_none(d, VERDICT_NONE, REASON_RD0);
        d->outcome = OUTCOME_FAILED;
        event_decided(v, q, d, RCODE_REFUSED, now);
        return query_send(v, q, NULL, 0, RCODE_REFUSED, EDE_NOT_AUTHORITATIVE, NULL);
    }
    real = (struct policy_real){.verdict = q->real.said.verdict,
                                .srv = v->scratch->srv,
                                .n_srv = q->real.n_srv,
                                .is_signed = q->message.edns.do_bit && q->real.said.has_rrsig};
    if (ask)
        policy_decide_matched(v->policy, ask, match, &real, d);
    else
        policy_decision_none(d, real.verdict, no_rule);
    if (q->real.pending && d->outcome == OUTCOME_FAILED)
        return ANSWER_WAIT; /* a client whose question no rule answers waits on */
    if (q->real.pending)
        COUNT(v->stats, kms_deadline);
    return carry_out(v, q, ask != NULL, now);
}

bool kms_host_answer(const struct view *v, struct query *q, struct now now, enum answer *result)
{
    const enum kms_verdict verdict = q->real.said.verdict;
    const struct message *m = &q->message;
    const struct policy_decision *d;
    struct writer w = writer_make(v->scratch->second, sizeof v->scratch->second);
    struct addr list[HOST_ADDRESSES];
    uint32_t ttl;
    size_t n = 0;

    if (m->qclass != CLASS_IN || !view_policy(v) || !policy_may_be_host(v->policy, &m->qname))
        return false;
    (void)query_find_networks(v, q);
    d = decide_on(v, q, verdict, q->real.said.has_rrsig, now);
    if (d->reason == REASON_DAMAGED)
        COUNT(v->stats, kms_damaged);
    ttl = ttl_given(&q->real, d, d->ttl < HOST_TTL_MAX_S ? d->ttl : HOST_TTL_MAX_S);
    /* The host's addresses of this type; it may be there several times, with several ports. */
    for (int i = 0; i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[i];

        for (int a = 0; a < h->n_addresses && name_equal(&h->target, &m->qname); a++)
            if (m->qtype == (addr_is_v4(&h->addresses[a]) ? TYPE_A : TYPE_AAAA) &&
                n < HOST_ADDRESSES)
                list[n++] = h->addresses[a];
    }
    n = policy_sort_unique(list, n, sizeof list[0], policy_prefix_compare);
    image_begin(&w, m, RCODE_NOERROR);
    for (size_t k = 0; k < n; k++)
        write_address(&w, SECTION_ANSWER, DNS_HEADER, &list[k], ttl);
    /* No address of this type, but a name that has one exists: it is not denied, or
     * resolvers in front would hide the address (RFC 8020), and a client that asks for
     * both types is not told of a failure. */
    if (d->n_hosts == 0 ||
        (n == 0 && verdict != VERDICT_NXDOMAIN &&
         (verdict == VERDICT_NODATA || (m->qtype != TYPE_A && m->qtype != TYPE_AAAA))))
        return false;
    COUNT(v->stats, kms_hosts);
    if (n == 0)
        image_soa(&w, SECTION_AUTHORITY, DNS_HEADER,
                  ttl_given(&q->real, d, v->settings->kms.max_negative_ttl_ms / 1000));
    *result = query_send(v, q, w.start, w.len, RCODE_NOERROR, EDE_SYNTHESIZED,
                         v->settings->kms.explain_in_edns ? d->rule : NULL);
    if (n > 1)
        image_rotate(q->out, q->out_len, m->qtype, random_u16(v->random));
    return true;
}
