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

/* A client that may not ask learns nothing; but a discovery question of it is recorded. */
static enum answer refuse_access(const struct view *v, struct query *q, bool drops,
                                 bool is_question, struct now now)
{
    q->message.edns.nsid = false;
    if (is_question && q->message.opcode == OPCODE_QUERY && query_is_discovery(&q->message))
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
    struct rr rr;

    rr_walk_records(&walk, &q->message, q->wire, q->wire_len);
    while (rr_walk_next(&walk, &rr))
        if (rr.section == SECTION_AUTHORITY && name_is_vlmcs(rr.owner)) {
            kms_event_note(v, q, OUTCOME_UPDATE, REASON_UPDATE, RCODE_REFUSED, "", now);
            q->event.qname = *rr.owner;
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
    enum answer result;
    int fault;

    q->has_event = q->has_networks = false;
    q->route = NULL;
    /* Shorter than a header, a reply, or from a port nobody can ask from: silence, so
     * that no two servers can be made to talk to each other. */
    fault = message_read_query(m, q->wire, q->wire_len);
    if (fault == MESSAGE_IGNORE || q->client.addr.port == 0) {
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
    if (UNLIKELY(access != ACCESS_ALLOW))
        return refuse_access(v, q, access == ACCESS_DROP, fault == RCODE_NOERROR, now);
    if (UNLIKELY(fault != RCODE_NOERROR)) {
        rcode = (uint16_t)fault;
        ede = EDE_NONE;
        if (fault == RCODE_NOTIMP)
            COUNT(v->stats, notimp);
        else if (fault == RCODE_BADVERS)
            COUNT(v->stats, badvers);
        else
            COUNT(v->stats, formerr);
    } else if (m->opcode == OPCODE_UPDATE) {
        return refuse_update(v, q, now);
    } else if (UNLIKELY(m->qclass == CLASS_CH) && special_identity(v, q, &result)) {
        return result;
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
        q->event.server = came->server;
        q->event.real_rcode = rcode;
    }
    if (came->image == NULL)
        return query_send(v, q, NULL, 0, RCODE_SERVFAIL, real_ede(came), NULL);
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

    if (UNLIKELY(q->passthrough))
        return came == NULL ? ANSWER_FORWARD : deliver_packet(v, q, came, now);
    if (UNLIKELY(q->kms))
        return kms_answer(v, q, came, now);
    if (!real_look(v, q, came, now))
        return ANSWER_FORWARD;
    if (r->image == NULL && r->pending)
        return ANSWER_WAIT;
    is_refused = r->verdict == VERDICT_NONE;
    if ((r->image == NULL || (real_is_negative(r) && !r->has_cname)) && !r->local && !is_refused &&
        kms_host_answer(v, q, now, &result))
        return result;
    /* Where this client's SRV question would be filled, an NXDOMAIN for another type becomes
     * NODATA, or resolvers in front of us would hide the SRV (RFC 8020). */
    becomes_nodata = q->kms_name && r->rcode == RCODE_NXDOMAIN && !r->has_cname &&
                     kms_would_fill(v, q, r->has_rrsig && q->message.edns.do_bit, now);
    rcode = becomes_nodata ? RCODE_NOERROR : r->rcode;
    if (r->image == NULL)
        rcode = is_refused ? RCODE_REFUSED : RCODE_SERVFAIL;
    ede = rcode == RCODE_SERVFAIL && q->route == NULL ? EDE_NO_REACHABLE : real_ede(r);
    /* A KMS host looks for where to publish; not of one whose address a pool gives. */
    if (q->kms_name && q->message.qtype == TYPE_SOA && !r->local &&
        !(view_policy(v) && policy_is_host_address(v->policy, &q->client.addr))) {
        kms_event_note(v, q, r->image != NULL ? outcome_of_real(r->verdict) : OUTCOME_FAILED,
                       REASON_NO_RULE, rcode, "", now);
        q->event.server = r->server;
    }
    result = query_send(v, q, r->image, r->len, rcode, ede, NULL);
    query_rotate(v, q);
    if (becomes_nodata) {
        COUNT(v->stats, kms_coherent);
        q->out[3] &= (uint8_t) ~(15 | DNS_AD); /* that half of the flags */
    }
    return result;
}
