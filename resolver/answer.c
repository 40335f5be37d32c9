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

#include <string.h>

/* A client that may not ask learns nothing, not even that its packet is bad;
 * but a discovery question of it is recorded. */
static enum answer refuse_access(const struct view *v, struct query *q, enum access_action action,
                                 bool is_question, struct now now)
{
    const struct message *m = &q->message;
    bool drops = action == ACCESS_DROP;

    q->message.edns.nsid = false;
    if (is_question && m->opcode == OPCODE_QUERY && name_is_vlmcs(&m->qname) &&
        (m->qtype == TYPE_SRV || m->qtype == TYPE_ANY))
        kms_event_note(v, q, OUTCOME_BLOCKED, REASON_ACCESS, RCODE_REFUSED,
                       drops ? "dropped" : "refused", now);
    if (drops) {
        COUNT(v->stats, access_dropped);
        return ANSWER_DROP;
    }
    COUNT(v->stats, refused);
    return query_send_error(v, q, RCODE_REFUSED, EDE_PROHIBITED);
}

/* An UPDATE is never forwarded and never done. A KMS host that tries to publish
 * itself through us is worth a record: the first discovery name that would change. */
static enum answer refuse_update(const struct view *v, struct query *q, struct now now)
{
    struct rr_walk walk;
    struct rr rr;

    rr_walk_records(&walk, &q->message, q->wire, q->wire_len);
    walk.opaque = true; /* deletions have no RDATA, whatever their type (RFC 2136 2.5) */
    while (rr_walk_next(&walk, &rr))
        if (rr.section == SECTION_AUTHORITY && name_is_vlmcs(rr.owner)) {
            kms_event_note(v, q, OUTCOME_UPDATE, REASON_UPDATE, RCODE_REFUSED, "", now);
            q->event.qname = *rr.owner;
            q->event.qtype = TYPE_SRV;
            break;
        }
    return query_send_error(v, q, RCODE_REFUSED, EDE_NOT_SUPPORTED);
}

static enum answer refuse_fault(const struct view *v, struct query *q, enum message_fault fault)
{
    uint16_t rcode = RCODE_FORMERR;

    if (fault == MESSAGE_NOTIMP) {
        COUNT(v->stats, notimp);
        rcode = RCODE_NOTIMP;
    } else if (fault == MESSAGE_BADVERS) {
        COUNT(v->stats, badvers);
        rcode = RCODE_BADVERS;
    } else {
        COUNT(v->stats, formerr);
    }
    return query_send_error(v, q, rcode, EDE_NONE);
}

enum answer answer_read(const struct view *v, struct query *q, struct now now)
{
    struct message *m = &q->message;
    struct cursor c = cursor_make(q->wire, q->wire_len);
    enum access_action access;
    enum message_fault fault;
    enum answer result;

    q->kms = q->kms_name = q->passthrough = q->has_event = q->has_networks = false;
    q->out_len = 0;
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
    cursor_take(&c, DNS_HEADER);
    q->question = cursor_take(&c, m->question_len);
    query_set_limit(q);
    if (UNLIKELY(access != ACCESS_ALLOW))
        return refuse_access(v, q, access, fault == MESSAGE_OK, now);
    if (UNLIKELY(fault != MESSAGE_OK))
        return refuse_fault(v, q, fault);
    if (m->opcode == OPCODE_UPDATE)
        return refuse_update(v, q, now);
    if (UNLIKELY(m->qclass == CLASS_CH) && special_identity(v, q, &result))
        return result;
    if (m->qclass == CLASS_CH || m->qtype == TYPE_AXFR || m->qtype == TYPE_IXFR)
        return query_send_error(v, q, RCODE_REFUSED, EDE_NOT_SUPPORTED);
    q->passthrough = m->tsig || m->qtype == TYPE_TKEY;
    q->kms_name = name_is_vlmcs(&m->qname) && m->qclass == CLASS_IN && !q->passthrough;
    q->kms = q->kms_name && (m->qtype == TYPE_SRV || m->qtype == TYPE_ANY);
    query_prepare(v, q);
    return ANSWER_FORWARD;
}

/* ---- an ordinary name: what the real DNS says is delivered ---- */

/* Nobody gave an answer, or nobody may be asked (REFUSED). */
static enum answer deliver_failure(const struct view *v, struct query *q, uint16_t rcode, int ede,
                                   struct now now)
{
    if (q->kms_name && q->message.qtype == TYPE_SOA)
        kms_event_soa(v, q, rcode, now);
    return rcode == RCODE_SERVFAIL ? query_send(v, q, NULL, 0, ede, NULL)
                                   : query_send_error(v, q, rcode, ede);
}

/* The question went as it is to one server: what came goes back as it is, but for its ID. */
static enum answer deliver_packet(const struct view *v, struct query *q, const struct real *came,
                                  struct now now)
{
    struct writer w = writer_make(q->out, q->out_size);

    kms_event_passthrough(v, q, came->image, came->len, &came->server, now);
    if (came->image == NULL)
        return query_send(v, q, NULL, 0, real_ede(came), NULL);
    writer_u16(&w, q->message.id);
    writer_bytes(&w, came->image + 2, came->len - 2);
    q->out_len = w.len;
    return ANSWER_SEND;
}

enum answer answer_query(const struct view *v, struct query *q, const struct real *came,
                         struct now now)
{
    const struct real *r = &q->real;
    bool becomes_nodata;
    enum answer result;

    if (UNLIKELY(q->passthrough))
        return came == NULL ? ANSWER_FORWARD : deliver_packet(v, q, came, now);
    if (UNLIKELY(q->kms))
        return kms_answer(v, q, came, now);
    switch (real_look(v, q, came, now)) {
    case REAL_ASK:
        return ANSWER_FORWARD;
    case REAL_REFUSED:
        return deliver_failure(v, q, RCODE_REFUSED, EDE_NOT_AUTHORITATIVE, now);
    case REAL_FOUND:
        break;
    }
    if (r->image == NULL && r->pending)
        return ANSWER_WAIT;
    if ((r->image == NULL || (real_is_negative(r) && !r->has_cname)) && !r->local &&
        kms_host_answer(v, q, now, &result))
        return result;
    if (r->image == NULL)
        return deliver_failure(v, q, RCODE_SERVFAIL,
                               r->cached          ? EDE_CACHED_ERROR
                               : q->route == NULL ? EDE_NO_REACHABLE
                                                  : real_ede(r),
                               now);
    /* Where this client's SRV question would be filled, an NXDOMAIN for another type becomes
     * NODATA, or resolvers in front of us would hide the SRV (RFC 8020). */
    becomes_nodata = q->kms_name && r->rcode == RCODE_NXDOMAIN && !r->has_cname &&
                     kms_would_fill(v, q, r->has_rrsig && q->message.edns.do_bit, now);
    if (q->kms_name && q->message.qtype == TYPE_SOA && !r->local)
        kms_event_soa(v, q, becomes_nodata ? RCODE_NOERROR : r->rcode, now);
    result = query_send(v, q, r->image, r->len, real_ede(r), NULL);
    query_rotate(v, q);
    if (becomes_nodata) {
        COUNT(v->stats, kms_coherent);
        dns_set_flags(q->out, q->out_len,
                      dns_flags(q->out, q->out_len) & (uint16_t) ~(15 | DNS_AD));
    }
    return result;
}
