/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.c -- what a client gets: the order of judgement, and ordinary names.
 *
 *   access -> parse -> policy (kms.c) -> special names -> cache -> upstream
 *
 * Read answer_read() and answer_query() as lists of rules, top to bottom. A
 * rule that applies returns. Nothing here knows a socket, a clock or a lock.
 */
#include "resolver/query.h"

/* Small services that send something back for whatever comes, among them echo, daytime, quote of the
 * day, chargen, time and kpasswd; no client asks from them. */
static bool is_echo_port(const struct client *c)
{
    static const uint16_t ports[] = {0, 7, 13, 17, 19, 37, 464};

    for (size_t i = 0; c->addr.port <= 464 && i < ARRAY_LEN(ports); i++)
        if (c->addr.port == ports[i])
            return true;
    return false;
}

/* Does the client have this address? What goes back is made, if it sent a cookie. */
static void prove_address(const struct view *v, struct query *q, struct now now)
{
    const struct edns *e = &q->message.edns;

    q->cookie_valid = false;
    if (UNLIKELY(e->cookie_at != 0)) {
        const uint8_t *sent = q->wire + e->cookie_at;
        const struct settings *s = v->settings;
        bool drawn = s->limits.cookie_secret_file[0] == '\0';

        q->cookie_valid = cookie_answer(s->cookie_keys, drawn, &q->client.addr, sent, e->cookie_len,
                                        now.wall_ms, q->cookie);
        COUNT(v->stats, cookies);
        if (q->cookie_valid)
            COUNT(v->stats, cookies_valid);
    }
    q->client.proved = q->cookie_valid || q->client.transport == AUDIT_TCP;
}

/* Has a client whose address is not proved asked for too much (limits.client-rate)? */
static bool is_over_rate(const struct view *v, struct query *q, bool is_question, struct now now,
                         enum answer *result)
{
    const uint32_t rate = v->settings->limits.client_rate;
    const uint32_t slip = is_question ? v->settings->limits.client_slip : 0;
    const struct addr *client = &q->client.addr;
    enum ratelimit_verdict verdict;
    bool slips;

    if (rate == 0 || q->client.proved || v->ratelimit == NULL)
        return false;
    verdict = ratelimit_take(v->ratelimit, client, RATE_QUESTIONS, rate, slip, now.mono_ms);
    if (verdict == RATE_PASS || settings_is_exempt(v->settings, client))
        return false;
    slips = verdict == RATE_SLIP;
    if (is_question && query_is_discovery(&q->message))
        kms_event_note(v, q, OUTCOME_BLOCKED, REASON_RATE, slips ? RCODE_NOERROR : RCODE_TIMEOUT,
                       slips ? "sent to TCP: above limits.client-rate"
                             : "not answered: above limits.client-rate",
                       now);
    if (slips)
        COUNT(v->stats, rate_slipped);
    else
        COUNT(v->stats, rate_dropped);
    *result = slips ? query_truncate(v, q) : ANSWER_DROP;
    return true;
}

/* A client that may not ask learns nothing; but a discovery question of it is recorded. */
static enum answer refuse_access(const struct view *v, struct query *q, bool drops,
                                 bool is_question, struct now now)
{
    q->message.edns.nsid = false;
    if (is_question && query_is_discovery(&q->message))
        kms_event_note(v, q, OUTCOME_BLOCKED, REASON_ACCESS, RCODE_REFUSED,
                       drops ? "dropped" : "refused", now);
    if (drops) {
        COUNT(v->stats, access_dropped);
        return ANSWER_DROP;
    }
    COUNT(v->stats, refused);
    return query_send(v, q, NULL, 0, RCODE_REFUSED, EDE_PROHIBITED, NULL);
}

/* An UPDATE is never forwarded and never done. A KMS host that tries to publish
 * itself through us is worth a record: the first discovery name that would change. */
static enum answer refuse_update(const struct view *v, struct query *q, struct now now)
{
    struct rr_walk walk;

    rr_walk_records(&walk, &q->message, q->wire, q->wire_len);
    while (rr_walk_next(&walk))
        if (walk.rr.section == SECTION_AUTHORITY && name_is_vlmcs(walk.rr.owner)) {
            kms_event_note(v, q, OUTCOME_UPDATE, REASON_UPDATE, RCODE_REFUSED, "", now);
            q->event.qname = *walk.rr.owner;
            q->event.qtype = TYPE_SRV;
            break;
        }
    return query_send(v, q, NULL, 0, RCODE_REFUSED, EDE_NOT_SUPPORTED, NULL);
}

enum answer answer_read(const struct view *v, struct query *q, struct now now)
{
    struct message *m = &q->message;
    uint16_t rcode = RCODE_REFUSED;
    int ede = EDE_NOT_SUPPORTED;
    enum access_action access;
    bool is_question;
    enum answer result;
    int fault;

    q->has_event = q->has_networks = q->prefetch = false;
    q->route = NULL;
    q->now_ms = now.mono_ms;
    /* Shorter than a header, a reply, or from a port nobody asks from: silence, so that no two
     * servers can be made to talk to each other (CVE-2024-2169). */
    fault = message_read_query(m, q->wire, q->wire_len);
    if (fault == MESSAGE_IGNORE || is_echo_port(&q->client)) {
        COUNT(v->stats, ignored);
        return ANSWER_IGNORE;
    }
    COUNT(v->stats, queries);
    if (q->client.transport == AUDIT_TCP)
        COUNT(v->stats, queries_tcp);
    else
        COUNT(v->stats, queries_udp);
    access = settings_access(v->settings, &q->client.addr, NULL);
    q->question = q->wire + DNS_HEADER; /* message_read_query() has read it */
    is_question = fault == RCODE_NOERROR && m->opcode == OPCODE_QUERY;
    prove_address(v, q, now);
    /* Who is dropped gets nothing at all, not even TC. */
    if (UNLIKELY(access != ACCESS_DROP && is_over_rate(v, q, is_question, now, &result)))
        return result;
    if (UNLIKELY(access != ACCESS_ALLOW))
        return refuse_access(v, q, access == ACCESS_DROP, is_question, now);
    if (UNLIKELY(fault != RCODE_NOERROR)) {
        rcode = (uint16_t)fault;
        ede = EDE_NONE;
        if (fault == RCODE_NOTIMP)
            COUNT(v->stats, notimp);
        else if (fault == RCODE_BADVERS)
            COUNT(v->stats, badvers);
        else
            COUNT(v->stats, formerr);
    } else if (UNLIKELY(m->question_len == 0)) { /* a cookie is asked for, or about */
        bool is_bad = m->edns.cookie_len > COOKIE_CLIENT && !q->cookie_valid;

        rcode = is_bad ? RCODE_BADCOOKIE : RCODE_NOERROR;
        ede = EDE_NONE;
    } else if (m->opcode == OPCODE_UPDATE) {
        return refuse_update(v, q, now);
    } else if (UNLIKELY(m->qclass == CLASS_CH) && special_identity(v, q, &result)) {
        return result;
    } else if (UNLIKELY(m->qtype == TYPE_ANY) && !q->client.proved &&
               v->settings->limits.any_to_tcp && !query_is_discovery(m)) {
        /* Not HINFO, as RFC 8482 has it for those who have the records: over TCP they come. */
        COUNT(v->stats, any_cut);
        return query_truncate(v, q);
    } else if (m->qclass != CLASS_CH && m->qtype != TYPE_AXFR && m->qtype != TYPE_IXFR) {
        q->passthrough = m->tsig || m->qtype == TYPE_TKEY;
        query_prepare(v, q);
        return ANSWER_FORWARD;
    }
    return query_send(v, q, NULL, 0, rcode, ede, NULL);
}

/* The question went as it is to one server: what came goes back as it is, but for its ID. Of a
 * discovery question only the header is read for the event: the rest is signed. */
static enum answer deliver_packet(const struct view *v, struct query *q, const struct real *came,
                                  struct now now)
{
    struct writer w = writer_make(q->out, q->out_size);
    enum kms_verdict verdict = VERDICT_TIMEOUT;
    uint16_t rcode = RCODE_SERVFAIL;

    if (came->len >= DNS_HEADER) {
        rcode = dns_rcode(came->image, came->len);
        verdict = real_verdict(rcode);
        if ((rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN) && bytes_u16(came->image + 6) > 0)
            verdict = VERDICT_PRESENT;
    }
    if (query_is_discovery(&q->message)) {
        kms_event_note(v, q, outcome_of_real(verdict), REASON_NO_RULE, rcode, "", now);
        q->event.verdict = (uint8_t)verdict;
        q->event.server = came->said.server;
        q->event.real_rcode = rcode;
    }
    if (came->image == NULL)
        return query_send(v, q, NULL, 0, RCODE_SERVFAIL, real_ede(came), NULL);
    if (query_is_too_large(v, q, came->len))
        return query_truncate(v, q);
    writer_u16(&w, q->message.id);
    writer_bytes(&w, came->image + 2, came->len - 2);
    q->out_len = w.len;
    return ANSWER_SEND;
}

enum answer answer_query(const struct view *v, struct query *q, const struct real *came,
                         struct now now)
{
    const struct real *r = &q->real;
    bool becomes_nodata, is_refused;
    enum answer result;
    uint16_t rcode;
    int ede;

    q->now_ms = now.mono_ms;
    if (UNLIKELY(q->passthrough))
        return came == NULL ? ANSWER_FORWARD : deliver_packet(v, q, came, now);
    if (UNLIKELY(q->kms))
        return kms_answer(v, q, came, now);
    if (!real_look(v, q, came, now))
        return ANSWER_FORWARD;
    if (r->image == NULL && r->pending)
        return ANSWER_WAIT;
    is_refused = r->said.verdict == VERDICT_NONE;
    if ((r->image == NULL || (real_is_negative(r) && !r->said.has_cname)) && !r->local &&
        !is_refused && kms_host_answer(v, q, now, &result))
        return result;
    /* Where this client's SRV question would be filled, an NXDOMAIN for another type becomes
     * NODATA, or resolvers in front of us would hide the SRV (RFC 8020). */
    becomes_nodata = q->kms_name && r->said.rcode == RCODE_NXDOMAIN && !r->said.has_cname &&
                     kms_would_fill(v, q, r->said.has_rrsig && q->message.edns.do_bit, now);
    rcode = becomes_nodata ? RCODE_NOERROR : r->said.rcode;
    if (r->image == NULL && rcode != RCODE_YXDOMAIN) /* which says why no answer can be: RFC 6672 */
        rcode = is_refused ? RCODE_REFUSED : RCODE_SERVFAIL;
    ede = rcode == RCODE_SERVFAIL && q->route == NULL ? EDE_NO_REACHABLE : real_ede(r);
    /* A KMS host looks for where to publish; not of one whose address a pool gives. */
    if (q->kms_name && q->message.qtype == TYPE_SOA && !r->local &&
        !(view_policy(v) && policy_is_host_address(v->policy, &q->client.addr))) {
        kms_event_note(v, q, r->image ? outcome_of_real(r->said.verdict) : OUTCOME_FAILED,
                       REASON_NO_RULE, rcode, "", now);
        q->event.server = r->said.server;
    }
    result = query_send(v, q, r->image, r->len, rcode, ede, NULL);
    query_rotate(v, q);
    if (becomes_nodata) {
        COUNT(v->stats, kms_coherent);
        q->out[3] &= (uint8_t) ~(15 | DNS_AD); /* that half of the flags */
    }
    return result;
}
