/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange.c -- from the question on its socket to what its reply means. on_receive()
 * is a list of rules, top to bottom: one that applies ends it.
 *
 * Over UDP anybody may have sent a packet, so one that does not match changes
 * nothing; over TCP it is the server's, and ends the try.
 */
#include "resolver/exchange.h"

#include <errno.h>

static void fail_exchange(struct exchange *e, int error)
{
    COUNT(e->home->stats, upstream_errors);
    upstream_failed(e->server, error);
    e->home->io->close(e->home->io, &e->peer);
    e->on_result(e, &(struct exchange_result){.kind = EXCHANGE_FAILED});
}

/* Not a reply to our question. */
static void ignore(struct exchange *e, bool malformed)
{
    if (malformed)
        COUNT(e->home->stats, upstream_malformed);
    else
        COUNT(e->home->stats, upstream_mismatch);
    if (e->q.tcp)
        fail_exchange(e, EPROTO);
}

/* Once, and last: the owner may close e. */
static void report_unsure(struct exchange *e, struct exchange_result *r)
{
    if (e->unsure)
        return;
    e->unsure = true;
    r->kind = EXCHANGE_UNSURE;
    e->on_result(e, r);
}

static bool is_edns_error(uint16_t rcode)
{
    return rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP;
}

/* It matched: is it whole, and does it say something we can use? */
static void on_match(struct exchange *e, struct message *m, const uint8_t *wire, size_t len,
                     uint64_t now_ms, struct exchange_result r)
{
    struct exchanges *x = e->home;
    struct reply_facts facts;
    bool good;
    int rc;

    if (!e->q.tcp && ((m->flags & DNS_TC) != 0 || len > (e->edns ? DNS_UDP_EDNS : DNS_UDP_PLAIN))) {
        upstream_replied(e->server, r.ms, RCODE_NOERROR);
        r.kind = EXCHANGE_TRUNCATED;
        e->on_result(e, &r);
        return;
    }
    if (!e->q.ad) /* of a server that is not believed: not even kept */
        m->flags &= (uint16_t)~DNS_AD;
    rc = reply_read(m, wire, len, e->q.do_bit, x->image, sizeof x->image, &r.len, &facts);
    if (rc == -EBADMSG) { /* so is TC over TCP, where a cut reply leads to nothing */
        if (e->q.tcp) {
            ignore(e, true);
            return;
        }
        COUNT(x->stats, upstream_malformed);
        upstream_replied(e->server, r.ms, RCODE_SERVFAIL);
        r.rcode = RCODE_UNUSABLE;
        r.elsewhere = true;
        report_unsure(e, &r);
        return;
    }
    r.rcode = m->rcode;
    if (e->edns && (m->rcode == RCODE_BADVERS || /* it refuses EDNS (RFC 6891 7) */
                    (is_edns_error(m->rcode) &&
                     (!m->edns.present || !upstream_knows_edns(e->server, now_ms))))) {
        upstream_replied(e->server, r.ms, m->rcode);
        r.kind = EXCHANGE_NO_EDNS;
        e->on_result(e, &r);
        return;
    }
    r.facts = &facts;
    if (rc != 0) {
        /* Every attribute matched and it is well-formed, but it answers nothing:
         * a loop of CNAMEs, or a chain without end. Waiting on would not help. */
        COUNT(x->stats, upstream_malformed);
        upstream_replied(e->server, r.ms, RCODE_SERVFAIL);
        facts = (struct reply_facts){.kind = REPLY_FAILURE, .rcode = RCODE_SERVFAIL};
        r.rcode = RCODE_UNUSABLE;
        e->on_result(e, &r);
        return;
    }
    COUNT(x->stats, upstream_replies);
    upstream_replied(e->server, r.ms, m->rcode);
    e->server->report.by_kind[facts.kind]++;
    good = m->rcode == RCODE_NOERROR || m->rcode == RCODE_NXDOMAIN;
    if (e->edns && good)
        upstream_edns(e->server, now_ms);
    if (e->q.suspect_edns && good)
        upstream_edns_missed(e->server, e->q.asked_ms, now_ms);
    /* A reply without EDNS to a question that wants DNSSEC is not kept before it is
     * known to be the rule: perhaps a packet was lost, and the next has signatures. */
    if (e->q.suspect_edns && e->q.do_bit)
        facts.cacheable = false;
    r.image = x->image;
    r.no_edns = e->edns && m->rcode == RCODE_SERVFAIL && !upstream_knows_edns(e->server, now_ms);
    e->on_result(e, &r);
}

static void on_receive(struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct exchange *e = container_of(peer, struct exchange, peer);
    uint64_t now_ms = e->home->io->now(e->home->io).mono_ms;
    struct exchange_result r = {.kind = EXCHANGE_REPLY, .ms = (uint32_t)(now_ms - e->begun_ms)};
    struct reply_facts facts = {.kind = REPLY_FAILURE};
    struct message m;
    bool readable = message_read_head(&m, wire, len) == 0, same_case;

    /* An error of which the server has sent back the header alone. */
    if (!readable && len >= DNS_HEADER && m.counts[0] == 0 && m.id == e->id &&
        (m.flags & DNS_QR) != 0 && m.opcode == OPCODE_QUERY && e->q.packet == NULL &&
        (is_edns_error(m.rcode) || m.rcode == RCODE_SERVFAIL || m.rcode == RCODE_REFUSED)) {
        facts.rcode = r.rcode = m.rcode;
        r.facts = &facts;
        r.no_edns = e->edns && is_edns_error(m.rcode);
        r.elsewhere = !r.no_edns;
        upstream_replied(e->server, r.ms, m.rcode);
        if (!e->q.tcp) {
            COUNT(e->home->stats, upstream_malformed);
            report_unsure(e, &r);
            return;
        }
        if (r.no_edns) /* nobody else speaks on the stream */
            r.kind = EXCHANGE_NO_EDNS;
        e->on_result(e, &r);
        return;
    }
    if (!readable || m.id != e->id || (m.flags & DNS_QR) == 0 || m.opcode != OPCODE_QUERY ||
        m.qtype != e->q.qtype || m.qclass != e->q.qclass || !name_equal_fold(&m.qname, &e->sent)) {
        ignore(e, !readable);
        return;
    }
    if (e->q.packet != NULL) { /* nothing more of it is read: it is signed */
        COUNT(e->home->stats, upstream_replies);
        upstream_replied(e->server, r.ms, m.rcode);
        r.image = wire;
        r.len = len;
        e->on_result(e, &r);
        return;
    }
    /* The case is the server's to keep only where a forger could guess the rest. */
    same_case = memcmp(wire + DNS_HEADER, e->sent.data, e->sent.len) == 0;
    if (e->cased && (same_case || !e->unsure))
        upstream_learn(&e->server->no_case, same_case, now_ms);
    if (e->cased && !same_case) {
        COUNT(e->home->stats, upstream_mismatch);
        r.rcode = RCODE_TIMEOUT;
        report_unsure(e, &r);
        return;
    }
    on_match(e, &m, wire, len, now_ms, r);
}

static void on_failed(struct io_peer *peer, int error)
{
    fail_exchange(container_of(peer, struct exchange, peer), -error);
}

bool exchange_is_starved(int rc)
{
    return rc == -ENOBUFS || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN;
}

int exchange_open(struct exchanges *x, const struct exchange_question *q, struct upstream *server,
                  void (*on_result)(struct exchange *, const struct exchange_result *), void *owner,
                  struct exchange **out)
{
    struct exchange *e = pool_take(&x->pool);
    struct io *io = x->io;
    uint64_t now_ms = io->now(io).mono_ms;
    uint8_t packet[EXCHANGE_PACKET_MAX], bits[NAME_MAX_WIRE];
    struct writer w = writer_make(packet, sizeof packet);
    bool plain = q->packet != NULL, edns = !plain && server->no_edns.until_ms <= now_ms;
    int rc;

    if (e == NULL)
        return -ENOBUFS;
    *e = (struct exchange){.peer = {.receive = on_receive, .failed = on_failed},
                           .home = x,
                           .server = server,
                           .on_result = on_result,
                           .owner = owner,
                           .q = *q,
                           .begun_ms = now_ms,
                           .id = random_u16(io->random),
                           .edns = edns && !q->no_edns,
                           .cased = !plain && !q->tcp && server->no_case.until_ms <= now_ms,
                           .sent = *q->qname};
    e->q.suspect_edns = edns && q->suspect_edns;
    COUNT(x->stats, upstream_queries);
    if (q->tcp)
        COUNT(x->stats, upstream_tcp);
    server->report.queries++;
    if (plain) {
        writer_u16(&w, e->id);
        writer_bytes(&w, q->packet + 2, q->packet_len - 2);
    } else {
        /* 0x20 (draft-vixie-dnsext-dns0x20): each letter's case is one more bit that a
         * forger must guess. */
        if (e->cased)
            random_bytes(io->random, bits, e->sent.len);
        else if (!q->tcp)
            COUNT(x->stats, upstream_case);
        for (size_t i = 0; e->cased && i < e->sent.len; i++)
            if (e->sent.data[i] >= 'a' && e->sent.data[i] <= 'z')
                e->sent.data[i] ^= bits[i] & 0x20;
        w.len = query_build(&(struct query_build){.id = e->id,
                                                  .qname = &e->sent,
                                                  .qtype = q->qtype,
                                                  .qclass = q->qclass,
                                                  .cd = q->cd,
                                                  .ad = q->ad,
                                                  .do_bit = q->do_bit,
                                                  .edns = e->edns},
                            packet, sizeof packet);
    }
    rc = io->open(io, &e->peer, &server->report.server, q->tcp ? IO_TCP : IO_UDP);
    if (rc == 0 && (rc = io->send(io, &e->peer, packet, w.len)) != 0)
        io->close(io, &e->peer);
    if (rc != 0) {
        COUNT(x->stats, upstream_errors);
        if (!exchange_is_starved(rc))
            upstream_failed(server, -rc);
        pool_give(&x->pool, e);
        return rc;
    }
    server->users++;
    *out = e;
    return 0;
}

void exchange_close(struct exchange *e)
{
    e->home->io->close(e->home->io, &e->peer);
    e->server->users--;
    pool_give(&e->home->pool, e);
}
