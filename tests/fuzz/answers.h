/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answers.h -- a question, a reply from a server and the settings, all made of any octets, on their
 * way through the answer side; and what must be true of each answer that comes out of it.
 *
 * The input: an octet each for the settings, the client (odd: TCP) and what comes instead of a reply, if
 * that is below the number of rcodes; two for the length of the question; the question; and of the
 * reply header and records: its question is the one that was asked.
 */
#ifndef TESTS_FUZZ_ANSWERS_H
#define TESTS_FUZZ_ANSWERS_H

#include "tests/fuzz/fuzz.h"
#include "tests/unit/resolver/world.h"

struct fuzz_input {
    uint8_t settings, client, came;
    const uint8_t *query, *reply;
    size_t query_len, reply_len;
};

static inline bool input_read(struct fuzz_input *in, const uint8_t *data, size_t size)
{
    struct cursor c = cursor_make(data, size);
    size_t len;

    *in = (struct fuzz_input){cursor_u8(&c), cursor_u8(&c), cursor_u8(&c), NULL, NULL, 0, 0};
    len = cursor_u16(&c);
    if (c.bad)
        return false;
    in->query_len = len < cursor_left(&c) ? len : cursor_left(&c);
    in->query = cursor_take(&c, in->query_len);
    in->reply_len = cursor_left(&c);
    in->reply = cursor_take(&c, in->reply_len);
    return true;
}

/* What a client sees of the question is what it sent; within its limit; and two readers that
 * share no code find the same records. */
static inline void check_answer(const struct query *q, struct message *m)
{
    const struct message *asked = &q->message;
    const size_t udp = message_udp_limit(&asked->edns);
    bool known = asked->opcode == OPCODE_QUERY;
    ldns_pkt *pkt = NULL;
    struct rr_walk walk;

    must(q->out_len >= DNS_HEADER && q->out_len <= q->out_size);
    must(q->client.transport == AUDIT_TCP || q->out_len <= udp);
    must(bytes_u16(q->out) == asked->id && (dns_flags(q->out, q->out_len) & DNS_QR) != 0);
    must((dns_flags(q->out, q->out_len) >> 11 & 15) == asked->opcode);
    must(memcmp(q->out + DNS_HEADER, q->question, asked->question_len) == 0);
    if (asked->question_len == 0 || asked->opcode != OPCODE_QUERY)
        return;
    must(message_read_reply(m, q->out, q->out_len) == 0);
    must((m->flags & (DNS_RA | DNS_RD | DNS_AA)) == (DNS_RA | (asked->flags & DNS_RD)));
    must((m->flags & DNS_AD) == 0 || ((asked->flags & DNS_AD) != 0 || asked->edns.do_bit));
    must(m->edns.present == asked->edns.present && m->edns.do_bit == asked->edns.do_bit);
    must((m->flags & DNS_TC) == 0 || (m->counts[1] == 0 && m->counts[2] == 0));
    rr_walk_records(&walk, m, q->out, q->out_len);
    while (rr_walk_next(&walk)) /* ldns knows types that are opaque to us, and judges them */
        known = known &&
                (walk.rr.type == TYPE_OPT ||
                 (rdata_layout(walk.rr.type, walk.rr.class)[0] != '*' && walk.rr.rdlength > 0));
    if (!known || q->out_len > 4096)
        return;
    must(ldns_wire2pkt(&pkt, q->out, q->out_len) == LDNS_STATUS_OK);
    must(ldns_pkt_ancount(pkt) == m->counts[1] && ldns_pkt_nscount(pkt) == m->counts[2]);
    must(ldns_rr_list_rr_count(ldns_pkt_answer(pkt)) == m->counts[1]);
    must(ldns_rr_list_rr_count(ldns_pkt_additional(pkt)) + m->edns.present == m->counts[3]);
    ldns_pkt_free(pkt);
}

/* The settings that are tried; each gets a number that no input had before, so that what is
 * cached for one is not found by the next. */
enum { FUZZ_SETTINGS = 8 };
static inline struct world *worlds_new(const char *policy, const char *const texts[FUZZ_SETTINGS],
                                       struct settings *all[FUZZ_SETTINGS])
{
    struct world *w = world_new(NULL, policy);

    if (policy != NULL)
        scratch_remove(w->dir); /* its file is open */
    for (int i = 0; i < FUZZ_SETTINGS; i++) {
        world_settings(w, texts[i]);
        all[i] = w->settings;
        w->settings = NULL;
    }
    return w;
}

static inline void settings_choose(struct world *w, struct settings *all[FUZZ_SETTINGS],
                                   unsigned which)
{
    static uint32_t turn;

    w->settings = all[which % FUZZ_SETTINGS];
    w->view.settings = w->settings;
    w->settings->generation = ++turn;
    for (int i = 0; i < w->settings->n_routes; i++)
        ((struct route *)(uintptr_t)w->settings->routes)[i].id = turn + (uint32_t)i;
    w->seed = 1;
}

/* What the server says: the reply as it came over the wire, or one that never came. */
static inline struct real input_real(struct world *w, const struct fuzz_input *in)
{
    static const uint16_t rcodes[] = {RCODE_TIMEOUT,
                                      RCODE_UNUSABLE,
                                      RCODE_SERVFAIL,
                                      RCODE_REFUSED,
                                      RCODE_FORMERR,
                                      RCODE_NOTIMP,
                                      11};
    static uint8_t wire[DNS_MAX_MESSAGE], image[DNS_MAX_MESSAGE];
    const struct addr server = {.port = 53};
    const struct message *asked = &w->q->message;
    struct writer out = writer_make(wire, sizeof wire);
    struct reply_facts facts;
    struct message m;
    size_t len;

    if (in->came < ARRAY_LEN(rcodes) || in->reply_len < DNS_HEADER)
        return real_of_failure(rcodes[in->came % ARRAY_LEN(rcodes)], &server, 1);
    writer_u16(&out, 1);
    writer_u16(&out, (uint16_t)(DNS_QR | (bytes_u16(in->reply + 2) & 0x87ff)));
    writer_u16(&out, 1);
    writer_bytes(&out, in->reply + 6, 6);
    writer_bytes(&out, w->q->question, (size_t)asked->question_len - 4);
    writer_u16(&out, w->q->key.type); /* ANY at a discovery name is asked as SRV */
    writer_u16(&out, asked->qclass);
    writer_bytes(&out, in->reply + DNS_HEADER, in->reply_len - DNS_HEADER);
    if (w->q->passthrough)
        return (struct real){.image = wire, .len = out.len, .said.server = server};
    if (out.full || message_read_head(&m, wire, out.len) != 0 ||
        reply_read(&m, wire, out.len, &(struct reply_wanted){.dnssec = asked->edns.do_bit}, image,
                   sizeof image, &len, &facts) != 0)
        return real_of_failure(RCODE_UNUSABLE, &server, 1);
    return real_of_reply(&w->view, &w->q->key, image, len, &facts, &server, 1);
}

typedef void answer_checked(struct world *w, const struct message *answer);

/* Reads the question and answers it from what is known, then with what came, then again from what
 * is known now. After each answer `checked`, if there is one, looks at it, too. */
static inline void input_answer(struct world *w, const struct fuzz_input *in, const uint8_t *query,
                                size_t len, answer_checked *checked)
{
    static const char *const clients[] = {"10.0.0.1", "10.20.3.4", "192.168.1.9", "fd00::7"};
    struct client c = {.transport = in->client & 1 ? AUDIT_TCP : AUDIT_UDP};
    struct message m;
    struct real came;
    enum answer result;
    bool as_is = false; /* as the server sent it */

    must(addr_parse(&c.addr, clients[in->client / 2 % 4], 4000) == 0);
    for (int turn = 0; turn < 2; turn++) {
        world_packet(w, c, query, len);
        result = answer_read(&w->view, w->q, w->now);
        if (result == ANSWER_FORWARD)
            result = answer_query(&w->view, w->q, NULL, w->now);
        if (result == ANSWER_FORWARD) {
            struct cache_key key = w->q->key;

            w->q->out_size = sizeof w->out;
            came = input_real(w, in);
            if (!w->q->passthrough)
                real_keep(&w->view, &key, &came, w->now);
            as_is = w->q->passthrough;
            result = answer_query(&w->view, w->q, &came, w->now);
            must(result == ANSWER_SEND || result == ANSWER_DROP);
        }
        if (result == ANSWER_SEND && as_is) {
            must(w->q->out_len >= DNS_HEADER && bytes_u16(w->q->out) == w->q->message.id);
        } else if (result == ANSWER_SEND) {
            m.question_len = 0;
            check_answer(w->q, &m);
            if (m.question_len > 0 && checked)
                checked(w, &m);
        }
    }
    view_policy_end(&w->view);
}

#endif
