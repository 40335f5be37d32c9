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
 * tried, or a socket error), and up again with the first reply of any kind; if not even a probe had
 * one meanwhile, failures that the cache keeps from before say nothing any more. When the table is
 * full, the server that was longest not asked gives way.
 */
#include "resolver/forward.h"
#include "resolver/stream.h"

enum {
    AGAIN = 3,    /* at most: a connection was closed by the server */
    BELIEVED = 2, /* misses in a row; one may be forged or damaged */
    DOWN_AFTER = 2,
    FORGET_MS = 15 * 60 * 1000,
    NO_TLS_MS = 5 * 60 * 1000,
    RCODE_BASE = 1000,
    RTT_SCALE = 8,
    OLD_MS = 4000,
    SILENCE_MS = 1000, /* its RTT */
};

bool exchange_is(const struct upstream *s, const struct route *r, int i)
{
    const struct addr *source = route_source(r, &r->servers[i]);

    return addr_same(&s->report.server, &r->servers[i]) && tls_same(s->tls, r->made) &&
           (source ? addr_same(&s->source, source) : addr_is(&s->source, ADDR_ANY));
}

struct upstream *exchange_server(struct exchanges *x, const struct route *r, int i, uint64_t now_ms)
{
    struct upstream *s, *end = x->servers + x->n_servers, *oldest = NULL;
    const struct addr *source = route_source(r, &r->servers[i]);

    if (r->tls != TLS_OFF && r->made == NULL) /* not even by mistake in clear text */
        return NULL;
    for (s = x->servers; s < end && !exchange_is(s, r, i); s++)
        if (s->users == 0 && (oldest == NULL || s->wanted_ms < oldest->wanted_ms))
            oldest = s;
    if (s == end) {
        s = x->n_servers < UPSTREAM_MAX ? &x->servers[x->n_servers++] : oldest;
        if (s == NULL)
            return NULL;
        x->io->timer_clear(x->io, &s->probe_timer); /* nor is it probed any more */
        tls_release(s->tls);
        *s = (struct upstream){.report.server = r->servers[i], .tls = tls_hold(r->made)};
        if (source)
            s->source = *source;
    }
    s->wanted_ms = now_ms;
    return s;
}

static void set_state(struct upstream *s, enum upstream_state state, struct now now)
{
    if (s->report.state != state)
        s->report.since_ms = now.wall_ms;
    s->report.state = state;
}

/* Where much time has passed since the last reply, what is known says little. */
static void note_rtt(struct upstream *s, uint32_t ms, uint64_t now_ms)
{
    uint32_t scaled = (ms > 0 ? ms : 1) * RTT_SCALE;
    uint32_t part = 8;

    if (now_ms - s->heard_ms >= OLD_MS)
        part = 2;
    s->srtt = s->srtt == 0 ? scaled : s->srtt - s->srtt / part + scaled / part;
    s->report.rtt_ms = (s->srtt + RTT_SCALE / 2) / RTT_SCALE;
}

static void note_reply(struct exchange *e, uint32_t ms, uint16_t rcode, struct now now)
{
    struct upstream *s = e->server;
    struct upstream_report *r = &s->report;

    if (s->is_dead)
        cache_forgive(e->home->cache, now.mono_ms);
    s->is_dead = false;
    note_rtt(s, ms, now.mono_ms);
    s->silent = 0;
    s->heard_ms = now.mono_ms;
    set_state(s, UPSTREAM_UP, now);
    r->replies++;
    if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN) {
        r->errors++;
        r->last_error = RCODE_BASE + rcode;
    }
}

void exchange_no_reply(struct upstream *s, int error, bool is_probe, struct now now)
{
    s->report.last_error = error;
    if (error == ETIMEDOUT && s->srtt != 0)
        note_rtt(s, SILENCE_MS, now.mono_ms);
    if (++s->silent < DOWN_AFTER)
        return;
    set_state(s, UPSTREAM_DOWN, now);
    s->is_dead |= is_probe; /* else perhaps it is silent for some names alone */
    s->knows_edns_ms = 0;
}

/* Whoever it is, TLS is not what it takes, as it seems. */
static bool seems_without_tls(struct exchange *e, int error, uint64_t now_ms)
{
    struct upstream *s = e->server;

    if (e->tls == NULL || e->tls->is_strict)
        return false;
    s->report.last_error = error;
    s->no_tls.until_ms = now_ms + NO_TLS_MS;
    return true;
}

void exchange_silent(struct exchange *e, struct now now)
{
    struct upstream *s = e->server;

    if (s->knows_tls_ms > now.mono_ms || !seems_without_tls(e, ETIMEDOUT, now.mono_ms))
        exchange_no_reply(s, ETIMEDOUT, false, now);
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
    exchange_no_reply(e->server, error, e->flight == NULL, io_now(e->home->io));
    return EXCHANGE_FAILED;
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
                                     size_t len, struct now now, struct exchange_reply *r)
{
    struct exchanges *x = e->home;
    struct upstream *s = e->server;
    const struct reply_wanted wanted = {.dnssec = e->q.do_bit,
                                        .leads_away = e->flight ? x->leads_away : NULL,
                                        .context = e->flight};
    bool knows = now.mono_ms < s->knows_edns_ms, refuses;
    int rc;

    if (!e->tcp && ((m->flags & DNS_TC) != 0 || len > DNS_UDP_EDNS)) { /* whole, it was in pieces */
        note_reply(e, r->ms, RCODE_NOERROR, now);
        return EXCHANGE_TRUNCATED;
    }
    if (!e->q.ad) /* of a server that is not believed: not even kept */
        m->flags &= (uint16_t)~DNS_AD;
    rc = reply_read(m, wire, len, &wanted, x->image, sizeof x->image, &r->len, &r->facts);
    if (rc == -EBADMSG && e->tcp) { /* so is TC over TCP, where a cut reply leads to nothing */
        COUNT(x->stats, upstream_malformed);
        return fail_exchange(e, EPROTO);
    }
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
    note_reply(e, r->ms, m->rcode, now);
    if (e->tls)
        s->knows_tls_ms = now.mono_ms + FORGET_MS;
    if (refuses)
        return EXCHANGE_NO_EDNS;
    r->elsewhere = rc == -EBADMSG;
    if (rc != 0)
        return r->elsewhere ? unsure(e) : EXCHANGE_REPLY;
    COUNT(x->stats, upstream_replies);
    s->report.by_kind[r->facts.kind]++;
    if (r->failure == RCODE_NOERROR && e->q.edns)
        s->knows_edns_ms = now.mono_ms + FORGET_MS;
    if (r->failure == RCODE_NOERROR && (e->q.edns || e->suspects_edns))
        learn(&s->no_edns, e->q.edns, e->asked_ms, now.mono_ms);
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

/* It says nothing of the server. */
#define is_own_want(rc)                                                                            \
    ((rc) == -ENOBUFS || (rc) == -ENOMEM || (rc) == -EMFILE || (rc) == -ENFILE || (rc) == -EAGAIN)

static int send_question(struct exchange *e)
{
    struct io *io = e->home->io;
    uint8_t packet[EXCHANGE_PACKET_MAX] UNINITIALIZED;
    struct writer w = writer_make(packet, sizeof packet);
    const struct upstream *s = e->server;
    const bool has_source = !addr_is(&s->source, ADDR_ANY);
    struct addr server = s->report.server;
    const struct io_target target = {.server = &server,
                                     .source = has_source ? &s->source : NULL,
                                     .tls = e->tls,
                                     .kind = e->tcp ? IO_TCP : IO_UDP};

    if (e->tls && e->tls->port != 0)
        server.port = e->tls->port;
    e->begun_ms = io_now(io).mono_ms;
    e->q.id = random_u16(io->random);
    if (e->packet) {
        writer_u16(&w, e->q.id);
        writer_bytes(&w, e->packet + 2, e->packet_len - 2);
    } else {
        w.len = query_build(&e->q, packet, sizeof packet);
    }
    return io->ask(io, &e->peer, &target, packet, w.len);
}

enum exchange_kind exchange_read(struct exchange *e, const uint8_t *wire, ssize_t size,
                                 struct exchange_reply *r)
{
    struct now now = io_now(e->home->io);
    size_t len = (size_t)size;
    bool readable, ours, same_case;
    struct message m;

    *r = (struct exchange_reply){.facts.kind = REPLY_FAILURE,
                                 .ms = (uint32_t)(now.mono_ms - e->begun_ms)};
    if (wire == NULL && size == -IO_CLOSED && e->n_again++ < AGAIN) {
        COUNT(e->home->stats, upstream_again);
        if ((size = send_question(e)) == 0)
            return EXCHANGE_IGNORED;
        if (is_own_want((int)size))
            return EXCHANGE_FAILED;
    }
    if (wire == NULL && seems_without_tls(e, (int)-size, now.mono_ms))
        return EXCHANGE_NO_TLS;
    if (wire == NULL)
        return fail_exchange(e, size == -IO_CLOSED ? ECONNRESET : (int)-size);
    readable = message_read_head(&m, wire, len) == 0;
    ours =
        len >= DNS_HEADER && m.id == e->q.id && (m.flags & DNS_QR) != 0 && m.opcode == OPCODE_QUERY;
    /* An error of which the server has sent back the header alone. */
    if (ours && !readable && m.counts[0] == 0 && e->packet == NULL &&
        (is_edns_error(m.rcode) || m.rcode == RCODE_SERVFAIL || m.rcode == RCODE_REFUSED)) {
        r->failure = m.rcode;
        r->no_edns = e->q.edns && is_edns_error(m.rcode);
        r->elsewhere = !r->no_edns;
        note_reply(e, r->ms, m.rcode, now);
        if (e->tcp) /* nobody else speaks on the stream */
            return r->no_edns ? EXCHANGE_NO_EDNS : EXCHANGE_REPLY;
        COUNT(e->home->stats, upstream_malformed);
        return unsure(e);
    }
    if (!readable || !ours || m.qtype != e->q.qtype || m.qclass != e->q.qclass ||
        !name_equal_fold(&m.qname, &e->sent)) {
        if (readable)
            COUNT(e->home->stats, upstream_mismatch);
        else
            COUNT(e->home->stats, upstream_malformed);
        return e->tcp ? fail_exchange(e, EPROTO) : EXCHANGE_IGNORED;
    }
    if (e->packet) { /* nothing more of it is read: it is signed */
        COUNT(e->home->stats, upstream_replies);
        note_reply(e, r->ms, m.rcode, now);
        r->image = wire;
        r->len = len;
        return EXCHANGE_REPLY;
    }
    /* The case is the server's to keep only where a forger could guess the rest. */
    same_case = memcmp(wire + DNS_HEADER, e->sent.data, e->sent.len) == 0;
    if (e->cased && (same_case || !e->unsure))
        learn(&e->server->no_case, same_case, now.mono_ms, now.mono_ms);
    if (e->cased && !same_case) {
        COUNT(e->home->stats, upstream_mismatch);
        return unsure(e);
    }
    return read_match(e, &m, wire, len, now, r);
}

int exchange_open(struct exchange *e)
{
    struct io *io = e->home->io;
    struct worker_stats *stats = e->home->stats;
    struct upstream *s = e->server;
    uint64_t now_ms = io_now(io).mono_ms;
    uint8_t bits[NAME_MAX_WIRE];
    bool may_ask_edns;
    int rc;

    e->sent = *e->q.qname;
    e->q.qname = &e->sent;
    may_ask_edns = e->q.edns && e->packet == NULL && s->no_edns.until_ms <= now_ms;
    /* It was silent, at least to that question, and has not shown lately that it understands EDNS. */
    e->suspects_edns =
        may_ask_edns &&
        (e->plain || (s->knows_edns_ms <= now_ms &&
                      (e->suspects_edns || (s->silent > 0 && s->report.last_error == ETIMEDOUT))));
    e->q.edns = may_ask_edns && !e->suspects_edns;
    if (s->tls && (s->tls->is_strict || s->no_tls.until_ms <= now_ms))
        e->tls = s->tls;
    e->tcp = e->tcp || e->tls;
    e->q.padded = e->tls;
    COUNT(stats, upstream_queries);
    if (e->tls)
        COUNT(stats, upstream_tls);
    else if (e->tcp)
        COUNT(stats, upstream_tcp);
    s->report.queries++;
    if (e->packet == NULL) {
        /* draft-vixie-dnsext-dns0x20: each letter's case is one more bit to be guessed. */
        e->cased = !e->tcp && s->no_case.until_ms <= now_ms;
        if (e->cased)
            random_bytes(io->random, bits, e->sent.len);
        else if (!e->tcp)
            COUNT(stats, upstream_case);
        for (size_t i = 0; e->cased && i < e->sent.len; i++)
            if (e->sent.data[i] >= 'a' && e->sent.data[i] <= 'z')
                e->sent.data[i] ^= bits[i] & 0x20;
    }
    rc = send_question(e);
    if (rc == 0) {
        s->users++;
        return 0;
    }
    if (!is_own_want(rc)) {
        fail_exchange(e, -rc);
        return rc;
    }
    COUNT(stats, upstream_errors);
    return -ENOBUFS;
}

void exchange_close(struct exchange *e)
{
    e->home->io->close(e->home->io, &e->peer);
    e->server->users--;
}
