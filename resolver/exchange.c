/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange.c -- from the question on its socket to what its reply means.
 *
 * A reply is accepted when it matches in every attribute (RFC 5452 9.1): address and port (the
 * socket is connected), ID, and the question octet by octet with the random case that was sent;
 * and when reply_read() accepts it. Anything else over UDP, where anybody may have sent it, is
 * counted and changes nothing; over TCP it is the server's, and ends the try. But a packet that
 * probably comes from the server itself (an error without a question section, a reply that
 * matches and does not parse, a name in another case) is reported once: the owner may then begin
 * one more try beside this one.
 *
 * A server is down after two failures in a row (a question without a reply, however often it was
 * tried, or a socket error), and up again with the first reply of any kind. When the table is
 * full, the server that was longest not asked gives way.
 */
#include "resolver/forward.h"

enum {
    BELIEVED = 2, /* misses in a row; one may be forged or damaged */
    DOWN_AFTER = 2,
    FORGET_MS = 15 * 60 * 1000,
    RCODE_BASE = 1000,
    RTT_SCALE = 8,
};

struct upstream *exchange_server(struct exchanges *x, const struct addr *a, uint64_t now_ms)
{
    struct upstream *s, *end = x->servers + x->n_servers, *oldest = NULL;

    for (s = x->servers; s < end && !addr_same(&s->report.server, a); s++)
        if (s->users == 0 && s->probe_timer.at_ms == 0 &&
            (oldest == NULL || s->wanted_ms < oldest->wanted_ms))
            oldest = s;
    if (s == end) {
        s = x->n_servers < UPSTREAM_MAX ? &x->servers[x->n_servers++] : oldest;
        if (s == NULL)
            return NULL;
        *s = (struct upstream){.report.server = *a};
    }
    s->wanted_ms = now_ms;
    return s;
}

static void note_reply(struct upstream *s, uint32_t ms, uint16_t rcode)
{
    struct upstream_report *r = &s->report;
    uint32_t scaled = (ms > 0 ? ms : 1) * RTT_SCALE;

    s->silent = 0;
    s->srtt = s->srtt == 0 ? scaled : s->srtt - s->srtt / 8 + scaled / 8;
    r->rtt_ms = (s->srtt + RTT_SCALE / 2) / RTT_SCALE;
    r->state = UPSTREAM_UP;
    r->replies++;
    if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN) {
        r->errors++;
        r->last_error = RCODE_BASE + rcode;
    }
}

static void note_no_reply(struct upstream *s, int error)
{
    s->report.last_error = error;
    if (++s->silent >= DOWN_AFTER)
        s->report.state = UPSTREAM_DOWN;
}

void exchange_silent(struct upstream *s, bool again)
{
    s->report.timeouts++;
    if (!again)
        note_no_reply(s, ETIMEDOUT);
}

/* Has it shown lately that it does not mind EDNS, and not been down since? */
static bool knows_edns(const struct upstream *s, uint64_t now_ms)
{
    return now_ms < s->knows_edns_ms && s->report.state != UPSTREAM_DOWN;
}

/* A reply to a question of since_ms did right, or missed, what some servers cannot do.
 * Questions that go on at the same time are one miss: perhaps the server was away. */
static void learn(struct upstream_habit *h, bool good, uint64_t since_ms, uint64_t now_ms)
{
    if (good)
        h->misses = 0;
    if (good || since_ms < h->missed_ms)
        return;
    h->missed_ms = now_ms;
    if (++h->misses == BELIEVED) {
        h->misses = 0;
        h->until_ms = now_ms + FORGET_MS;
    }
}

static enum exchange_kind fail_exchange(struct exchange *e, int error)
{
    COUNT(e->home->stats, upstream_errors);
    e->server->report.errors++;
    note_no_reply(e->server, error);
    return EXCHANGE_FAILED;
}

/* Not a reply to our question. */
static enum exchange_kind ignore(struct exchange *e, bool malformed)
{
    if (malformed)
        COUNT(e->home->stats, upstream_malformed);
    else
        COUNT(e->home->stats, upstream_mismatch);
    return e->tcp ? fail_exchange(e, EPROTO) : EXCHANGE_IGNORED;
}

static enum exchange_kind unsure(struct exchange *e)
{
    bool again = e->unsure;

    e->unsure = true;
    return again ? EXCHANGE_IGNORED : EXCHANGE_UNSURE;
}

static bool is_edns_error(uint16_t rcode)
{
    return rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP;
}

/* It matched: is it whole, and does it say something we can use? */
static enum exchange_kind read_match(struct exchange *e, struct message *m, const uint8_t *wire,
                                     size_t len, uint64_t now_ms, struct exchange_reply *r)
{
    struct exchanges *x = e->home;
    struct upstream *s = e->server;
    bool knows = knows_edns(s, now_ms), refuses;
    int rc;

    if (!e->tcp && ((m->flags & DNS_TC) != 0 || len > (e->q.edns ? DNS_UDP_EDNS : DNS_UDP_PLAIN))) {
        note_reply(s, r->ms, RCODE_NOERROR);
        return EXCHANGE_TRUNCATED;
    }
    if (!e->q.ad) /* of a server that is not believed: not even kept */
        m->flags &= (uint16_t)~DNS_AD;
    rc = reply_read(m, wire, len, e->q.do_bit, x->image, sizeof x->image, &r->len, &r->facts);
    if (rc == -EBADMSG && e->tcp) /* so is TC over TCP, where a cut reply leads to nothing */
        return ignore(e, true);
    r->failure = m->rcode != RCODE_NXDOMAIN ? m->rcode : RCODE_NOERROR;
    refuses = rc != -EBADMSG && e->q.edns &&
              (m->rcode == RCODE_BADVERS || /* RFC 6891 7 */
               (is_edns_error(m->rcode) && (!m->edns.present || !knows)));
    if (rc != 0 && !refuses) {
        /* Every attribute matched, but it cannot be read, or is well-formed and answers
         * nothing: a loop of CNAMEs, or a chain without end. Waiting on would not help. */
        COUNT(x->stats, upstream_malformed);
        m->rcode = RCODE_SERVFAIL;
        r->failure = RCODE_UNUSABLE;
        r->facts.kind = REPLY_FAILURE;
    }
    note_reply(s, r->ms, m->rcode);
    if (refuses)
        return EXCHANGE_NO_EDNS;
    r->elsewhere = rc == -EBADMSG;
    if (rc != 0)
        return r->elsewhere ? unsure(e) : EXCHANGE_REPLY;
    COUNT(x->stats, upstream_replies);
    s->report.by_kind[r->facts.kind]++;
    if (r->failure == RCODE_NOERROR && e->q.edns)
        s->knows_edns_ms = now_ms + FORGET_MS;
    if (r->failure == RCODE_NOERROR && (e->q.edns || e->suspects_edns))
        learn(&s->no_edns, e->q.edns, e->asked_ms, now_ms);
    if (r->facts.kind == REPLY_REFERRAL)
        r->failure = RCODE_UNUSABLE;
    /* A reply without EDNS to a question that wants DNSSEC is not kept before it is
     * known to be the rule: perhaps a packet was lost, and the next has signatures. */
    if (e->suspects_edns && e->q.do_bit)
        r->facts.cacheable = false;
    r->image = x->image;
    r->no_edns = e->q.edns && m->rcode == RCODE_SERVFAIL && !knows;
    return EXCHANGE_REPLY;
}

enum exchange_kind exchange_read(struct exchange *e, const uint8_t *wire, ssize_t size,
                                 struct exchange_reply *r)
{
    uint64_t now_ms = io_now(e->home->io).mono_ms;
    size_t len = (size_t)size;
    bool readable, ours, same_case;
    struct message m;

    *r = (struct exchange_reply){.facts.kind = REPLY_FAILURE,
                                 .ms = (uint32_t)(now_ms - e->begun_ms)};
    if (wire == NULL)
        return fail_exchange(e, (int)-size);
    readable = message_read_head(&m, wire, len) == 0;
    ours =
        len >= DNS_HEADER && m.id == e->q.id && (m.flags & DNS_QR) != 0 && m.opcode == OPCODE_QUERY;
    /* An error of which the server has sent back the header alone. */
    if (ours && !readable && m.counts[0] == 0 && e->packet == NULL &&
        (is_edns_error(m.rcode) || m.rcode == RCODE_SERVFAIL || m.rcode == RCODE_REFUSED)) {
        r->failure = m.rcode;
        r->no_edns = e->q.edns && is_edns_error(m.rcode);
        r->elsewhere = !r->no_edns;
        note_reply(e->server, r->ms, m.rcode);
        if (e->tcp) /* nobody else speaks on the stream */
            return r->no_edns ? EXCHANGE_NO_EDNS : EXCHANGE_REPLY;
        COUNT(e->home->stats, upstream_malformed);
        return unsure(e);
    }
    if (!readable || !ours || m.qtype != e->q.qtype || m.qclass != e->q.qclass ||
        !name_equal_fold(&m.qname, &e->sent))
        return ignore(e, !readable);
    if (e->packet != NULL) { /* nothing more of it is read: it is signed */
        COUNT(e->home->stats, upstream_replies);
        note_reply(e->server, r->ms, m.rcode);
        r->image = wire;
        r->len = len;
        return EXCHANGE_REPLY;
    }
    /* The case is the server's to keep only where a forger could guess the rest. */
    same_case = memcmp(wire + DNS_HEADER, e->sent.data, e->sent.len) == 0;
    if (e->cased && (same_case || !e->unsure))
        learn(&e->server->no_case, same_case, now_ms, now_ms);
    if (e->cased && !same_case) {
        COUNT(e->home->stats, upstream_mismatch);
        return unsure(e);
    }
    return read_match(e, &m, wire, len, now_ms, r);
}

int exchange_open(struct exchange *e)
{
    struct io *io = e->home->io;
    struct worker_stats *stats = e->home->stats;
    struct upstream *s = e->server;
    uint8_t packet[EXCHANGE_PACKET_MAX], bits[NAME_MAX_WIRE];
    struct writer w = writer_make(packet, sizeof packet);
    bool may_ask_edns;
    int rc;

    e->begun_ms = io_now(io).mono_ms;
    e->q.id = random_u16(io->random);
    e->sent = *e->q.qname;
    may_ask_edns = e->q.edns && e->packet == NULL && s->no_edns.until_ms <= e->begun_ms;
    /* It was silent, and has not shown lately that it understands EDNS. */
    e->suspects_edns = may_ask_edns && (e->plain || (s->silent > 0 && !knows_edns(s, e->begun_ms) &&
                                                     s->report.last_error == ETIMEDOUT));
    e->q.edns = may_ask_edns && !e->suspects_edns;
    COUNT(stats, upstream_queries);
    if (e->tcp)
        COUNT(stats, upstream_tcp);
    s->report.queries++;
    if (e->packet != NULL) {
        writer_u16(&w, e->q.id);
        writer_bytes(&w, e->packet + 2, e->packet_len - 2);
    } else {
        /* draft-vixie-dnsext-dns0x20: each letter's case is one more bit to be guessed. */
        e->cased = !e->tcp && s->no_case.until_ms <= e->begun_ms;
        if (e->cased)
            random_bytes(io->random, bits, e->sent.len);
        else if (!e->tcp)
            COUNT(stats, upstream_case);
        for (size_t i = 0; e->cased && i < e->sent.len; i++)
            if (e->sent.data[i] >= 'a' && e->sent.data[i] <= 'z')
                e->sent.data[i] ^= bits[i] & 0x20;
        e->q.qname = &e->sent;
        w.len = query_build(&e->q, packet, sizeof packet);
    }
    rc = io->ask(io, &e->peer, &s->report.server, e->tcp ? IO_TCP : IO_UDP, packet, w.len);
    if (rc == 0) {
        s->users++;
        return 0;
    }
    if (rc != -ENOBUFS && rc != -ENOMEM && rc != -EMFILE && rc != -ENFILE && rc != -EAGAIN) {
        fail_exchange(e, -rc);
        return rc;
    }
    COUNT(stats, upstream_errors); /* our want says nothing of the server */
    return -ENOBUFS;
}

void exchange_close(struct exchange *e)
{
    e->home->io->close(e->home->io, &e->peer);
    e->server->users--;
}
