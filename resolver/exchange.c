/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange.c -- see exchange.h.
 */
#include "resolver/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/reply.h"

enum { QUERY_MAX = DNS_HEADER + NAME_MAX_WIRE + 4 + 11 };

int exchanges_init(struct exchanges *x, struct io *io, struct worker_stats *stats, uint32_t n)
{
    x->io = io;
    x->stats = stats;
    x->free_list = NULL;
    x->n = n;
    x->used = x->open = 0;
    x->at = calloc(n, sizeof *x->at); /* pages are touched when they are first needed */
    return x->at != NULL ? 0 : -ENOMEM;
}

void exchanges_fini(struct exchanges *x)
{
    free(x->at);
    x->at = NULL;
}

static struct exchange *take(struct exchanges *x)
{
    struct exchange *e = x->free_list;

    if (e != NULL)
        x->free_list = e->next;
    else if (x->used < x->n)
        e = &x->at[x->used++];
    else
        return NULL;
    x->open++;
    return e;
}

static void give_back(struct exchange *e)
{
    struct exchanges *x = e->home;

    e->next = x->free_list;
    x->free_list = e;
    x->open--;
}

/* 0x20 (draft-vixie-dnsext-dns0x20): each letter's case is one more bit that a
 * forger must guess. */
static void random_case(struct name *n, struct random *r)
{
    uint8_t bits[(NAME_MAX_WIRE + 7) / 8];

    random_bytes(r, bits, (n->len + 7u) / 8);
    for (size_t i = 0; i < n->len; i++) {
        uint8_t c = n->at[i];

        if (c >= 'a' && c <= 'z' && (bits[i / 8] >> (i % 8) & 1) != 0)
            n->at[i] = (uint8_t)(c - 'a' + 'A');
    }
}

static void tell(struct exchange *e, const struct exchange_news *news)
{
    e->heard(e, news);
}

static uint32_t since(const struct exchange *e, uint64_t now_ms)
{
    return now_ms > e->begun_ms ? (uint32_t)(now_ms - e->begun_ms) : 0;
}

enum match { MATCH, MATCH_BUT_CASE, MISMATCH };

static enum match match(const struct exchange *e, const struct message *m, const uint8_t *wire,
                        size_t len)
{
    struct cursor c = cursor_make(wire, len);
    const uint8_t *question;

    if (m->id != e->id || (m->flags & DNS_QR) == 0 || m->opcode != OPCODE_QUERY ||
        m->qtype != e->qtype || m->qclass != e->qclass || !name_equal_fold(&m->qname, &e->sent))
        return MISMATCH;
    (void)cursor_take(&c, DNS_HEADER);
    question = cursor_take(&c, e->sent.len);
    if (question == NULL)
        return MISMATCH;
    return memcmp(question, e->sent.at, e->sent.len) == 0 ? MATCH : MATCH_BUT_CASE;
}

static void fail(struct exchange *e, int error)
{
    struct exchange_news news = {.kind = EXCHANGE_FAILED, .error = error};

    COUNT(e->home->stats, upstream_errors);
    upstream_failed(e->server, error);
    e->home->io->close(e->home->io, &e->peer);
    tell(e, &news);
}

/* Not a reply to our question. Over UDP anybody may have sent it. */
static void ignore(struct exchange *e, bool malformed)
{
    if (malformed)
        COUNT(e->home->stats, upstream_malformed);
    else
        COUNT(e->home->stats, upstream_mismatch);
    if (e->tcp)
        fail(e, EPROTO);
}

/* Told once, and last: the owner may close e. */
static void tell_unsure(struct exchange *e, const struct exchange_news *news)
{
    if (e->unsure)
        return;
    e->unsure = true;
    tell(e, news);
}

/* The case is the server's to keep only where a forger could guess the rest. */
static bool case_is_wrong(struct exchange *e, enum match m, uint64_t now_ms)
{
    const struct exchange_news news = {.kind = EXCHANGE_UNSURE, .rcode = RCODE_TIMEOUT};

    if (e->tcp || !e->cased)
        return false;
    if (m == MATCH) {
        upstream_case(e->server, true, now_ms);
        return false;
    }
    COUNT(e->home->stats, upstream_mismatch);
    if (!e->unsure)
        upstream_case(e->server, false, now_ms);
    tell_unsure(e, &news);
    return true;
}

static bool is_edns_error(uint16_t rcode)
{
    return rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP;
}

/* An error of which the server has sent back the header alone. */
static bool is_bare_error(const struct exchange *e, const struct message *head, size_t len)
{
    return len >= DNS_HEADER && head->counts[0] == 0 && head->id == e->id &&
           (head->flags & DNS_QR) != 0 && head->opcode == OPCODE_QUERY &&
           (is_edns_error(head->rcode) || head->rcode == RCODE_SERVFAIL ||
            head->rcode == RCODE_REFUSED);
}

static void on_bare_error(struct exchange *e, const struct message *head, uint64_t now_ms)
{
    const struct reply_facts facts = {.kind = REPLY_FAILURE, .rcode = head->rcode};
    bool no_edns = e->edns && is_edns_error(head->rcode);
    struct exchange_news news = {.kind = EXCHANGE_UNSURE,
                                 .rcode = head->rcode,
                                 .no_edns = no_edns,
                                 .elsewhere = !no_edns,
                                 .facts = &facts,
                                 .ms = since(e, now_ms)};

    upstream_replied(e->server, news.ms, head->rcode);
    if (!e->tcp) {
        COUNT(e->home->stats, upstream_malformed);
        tell_unsure(e, &news);
        return;
    }
    news.kind = no_edns ? EXCHANGE_NO_EDNS : EXCHANGE_REPLY; /* nobody else speaks on the stream */
    tell(e, &news);
}

/* Does the server refuse EDNS (RFC 6891 7)? */
static bool refuses_edns(const struct exchange *e, const struct message *m, uint64_t now_ms)
{
    if (!e->edns)
        return false;
    return m->rcode == RCODE_BADVERS ||
           (is_edns_error(m->rcode) &&
            (!m->edns.present || !upstream_knows_edns(e->server, now_ms)));
}

/* What an accepted reply teaches of the server. A reply without EDNS to a
 * question that wants DNSSEC is not kept before it is known to be the rule:
 * perhaps a packet was lost, and the next answer has signatures. */
static void learn(struct exchange *e, const struct message *m, struct reply_facts *facts,
                  uint64_t now_ms)
{
    bool good = m->rcode == RCODE_NOERROR || m->rcode == RCODE_NXDOMAIN;

    upstream_said(e->server, facts->kind);
    if (e->edns && good)
        upstream_edns(e->server, now_ms);
    if (!e->suspect_edns)
        return;
    if (good)
        upstream_edns_missed(e->server, e->asked_ms, now_ms);
    if (e->do_bit)
        facts->cacheable = false;
}

static void clear_ad(uint8_t *image, size_t len)
{
    struct cursor c = cursor_make(image, len);
    struct writer w = {.start = image, .len = len, .size = len};

    (void)cursor_u16(&c);
    writer_patch_u16(&w, 2, cursor_u16(&c) & (uint16_t)~DNS_AD);
}

/* It matched and cannot be read. */
static void ignore_unusable(struct exchange *e, struct exchange_news *news)
{
    news->kind = EXCHANGE_UNSURE;
    news->rcode = RCODE_UNUSABLE;
    news->elsewhere = true;
    if (e->tcp) {
        ignore(e, true); /* which ends it */
        return;
    }
    COUNT(e->home->stats, upstream_malformed);
    upstream_replied(e->server, news->ms, RCODE_SERVFAIL);
    tell_unsure(e, news);
}

/* It matched: is it whole, and does it say something we can use? */
static void judge(struct exchange *e, const struct message *head, const uint8_t *wire, size_t len,
                  uint64_t now_ms)
{
    struct exchanges *x = e->home;
    struct exchange_news news = {.kind = EXCHANGE_REPLY, .ms = since(e, now_ms)};
    struct reply_facts facts;
    struct message asked = {.flags = DNS_RD,
                            .qname = head->qname,
                            .qtype = e->qtype,
                            .qclass = e->qclass,
                            .question_len = head->question_len,
                            .edns.do_bit = e->do_bit};
    struct message m;

    if (!e->tcp &&
        ((head->flags & DNS_TC) != 0 || len > (e->edns ? DNS_UDP_EDNS : DNS_UDP_PLAIN))) {
        upstream_replied(e->server, news.ms, RCODE_NOERROR);
        news.kind = EXCHANGE_TRUNCATED;
        tell(e, &news);
        return;
    }
    /* Over TCP there is nothing that a cut reply could lead to. */
    if ((head->flags & DNS_TC) != 0 || message_read_reply(&m, wire, len) != 0) {
        ignore_unusable(e, &news);
        return;
    }
    news.rcode = m.rcode;
    if (refuses_edns(e, &m, now_ms)) {
        upstream_replied(e->server, news.ms, m.rcode);
        news.kind = EXCHANGE_NO_EDNS;
        tell(e, &news);
        return;
    }
    if (reply_read(wire, len, &asked, x->image, sizeof x->image, &news.len, &facts) != 0) {
        /* Every attribute matched and it is well-formed, but it answers nothing:
         * a loop of CNAMEs, or a chain without end. Waiting on would not help. */
        COUNT(x->stats, upstream_malformed);
        upstream_replied(e->server, news.ms, RCODE_SERVFAIL);
        facts = (struct reply_facts){.kind = REPLY_FAILURE, .rcode = RCODE_SERVFAIL};
        news.rcode = RCODE_UNUSABLE;
        news.facts = &facts;
        tell(e, &news);
        return;
    }
    if (!e->ad) /* of a server that is not believed: not even kept */
        clear_ad(x->image, news.len);
    COUNT(x->stats, upstream_replies);
    upstream_replied(e->server, news.ms, m.rcode);
    learn(e, &m, &facts, now_ms);
    news.image = x->image;
    news.facts = &facts;
    news.no_edns = e->edns && m.rcode == RCODE_SERVFAIL && !upstream_knows_edns(e->server, now_ms);
    tell(e, &news);
}

static void on_receive(struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct exchange *e = (struct exchange *)(void *)peer; /* its first member */
    uint64_t now_ms = e->home->io->now(e->home->io).mono_ms;
    struct message head;
    enum match m;

    if (message_read_head(&head, wire, len) != 0) {
        if (is_bare_error(e, &head, len))
            on_bare_error(e, &head, now_ms);
        else
            ignore(e, true);
        return;
    }
    m = match(e, &head, wire, len);
    if (m == MISMATCH) {
        ignore(e, false);
        return;
    }
    if (case_is_wrong(e, m, now_ms))
        return;
    judge(e, &head, wire, len, now_ms);
}

static void on_failed(struct io_peer *peer, int error)
{
    fail((struct exchange *)(void *)peer, -error);
}

static void question_set(struct exchange *e, const struct exchange_question *q, uint64_t now_ms)
{
    struct exchanges *x = e->home;

    e->begun_ms = now_ms;
    e->id = random_u16(x->io->random);
    e->qtype = q->qtype;
    e->qclass = q->qclass;
    e->tcp = q->tcp;
    e->ad = q->ad;
    e->edns = !q->no_edns && upstream_has_edns(e->server, now_ms);
    e->cased = !q->tcp && upstream_keeps_case(e->server, now_ms);
    e->unsure = e->idle = e->hurried = e->counted = false;
    e->do_bit = q->do_bit;
    e->asked_ms = q->asked_ms;
    e->suspect_edns = q->suspect_edns && upstream_has_edns(e->server, now_ms);
    e->sent = *q->qname;
    if (e->cased)
        random_case(&e->sent, x->io->random);
    else if (!q->tcp)
        COUNT(x->stats, upstream_case);
}

static int send_question(struct exchange *e, const struct exchange_question *q)
{
    struct io *io = e->home->io;
    uint8_t packet[QUERY_MAX];
    size_t len = query_build(&(struct query_build){.id = e->id,
                                                   .qname = &e->sent,
                                                   .qtype = q->qtype,
                                                   .qclass = q->qclass,
                                                   .cd = q->cd,
                                                   .ad = q->ad,
                                                   .do_bit = q->do_bit,
                                                   .edns = e->edns},
                             packet, sizeof packet);
    int rc = io->open(io, &e->peer, &e->server->addr, q->tcp ? IO_TCP : IO_UDP);

    if (rc == 0 && (rc = io->send(io, &e->peer, packet, len)) != 0)
        io->close(io, &e->peer);
    return rc;
}

bool exchange_is_starved(int rc)
{
    return rc == -ENOBUFS || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN;
}

int exchange_open(struct exchanges *x, const struct exchange_question *q, struct upstream *server,
                  void (*heard)(struct exchange *, const struct exchange_news *), void *owner,
                  struct exchange **out)
{
    struct exchange *e = take(x);
    int rc;

    if (e == NULL)
        return -ENOBUFS;
    e->peer = (struct io_peer){.receive = on_receive, .failed = on_failed};
    e->home = x;
    e->next = NULL;
    e->server = server;
    e->heard = heard;
    e->owner = owner;
    question_set(e, q, x->io->now(x->io).mono_ms);
    COUNT(x->stats, upstream_queries);
    if (q->tcp)
        COUNT(x->stats, upstream_tcp);
    upstream_asked(server);
    if ((rc = send_question(e, q)) != 0) {
        COUNT(x->stats, upstream_errors);
        if (!exchange_is_starved(rc))
            upstream_failed(server, -rc);
        give_back(e);
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
    give_back(e);
}
