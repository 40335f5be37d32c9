/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.c -- header, question, EDNS and TSIG of a message.
 *
 * The hot path: every query comes through message_read_query(). The header is
 * judged first, since most junk fails there; the question is read in a
 * straight line (the first name of a message has nothing to point at); behind
 * it there is usually one OPT. struct message is filled field by field, never
 * cleared as a whole: its name alone has 255 octets.
 */
#include "wire/message.h"

#include <errno.h>

#include "wire/rdata.h"

static void message_clear(struct message *m)
{
    m->id = m->flags = m->rcode = 0;
    m->opcode = 0;
    for (int i = 0; i < 4; i++)
        m->counts[i] = 0;
    m->qname.len = 1;
    m->qname.labels = 0;
    m->qname.at[0] = 0;
    m->qtype = m->qclass = m->question_len = 0;
    m->opt_at = m->opt_len = 0;
    m->edns = (struct edns){0};
    m->tsig = false;
}

static bool header_read(struct message *m, struct cursor *c)
{
    m->id = cursor_u16(c);
    m->flags = cursor_u16(c);
    for (int i = 0; i < 4; i++)
        m->counts[i] = cursor_u16(c);
    m->opcode = (uint8_t)(m->flags >> 11 & 15);
    m->rcode = m->flags & 15;
    return !c->bad;
}

static bool question_read(struct message *m, struct cursor *c)
{
    if (m->counts[0] != 1)
        return false;
    name_read_plain(c, &m->qname);
    m->qtype = cursor_u16(c);
    m->qclass = cursor_u16(c);
    if (c->bad)
        return false;
    m->question_len = (uint16_t)(m->qname.len + 4);
    return true;
}

/* Options must fill the RDATA exactly; what they say is ignored but for two. */
static bool options_read(struct edns *edns, const uint8_t *at, size_t len)
{
    struct cursor c = cursor_make(at, len);

    while (cursor_left(&c) > 0) {
        uint16_t code = cursor_u16(&c), n = cursor_u16(&c);

        (void)cursor_take(&c, n);
        if (code == OPTION_KEEPALIVE)
            edns->keepalive = true;
        else if (code == OPTION_NSID && n == 0)
            edns->nsid = true;
    }
    return !c.bad;
}

struct record {
    uint16_t type, class, rdlength;
    uint32_t ttl;
    bool literal_root; /* owner is the octet 0 */
    size_t at, rdata_at;
};

/* Most owners are a pointer to the question, which was read before. */
static void owner_skip(struct cursor *c)
{
    if (cursor_left(c) >= 2 && c->at[0] == 0xc0 && c->at[1] == DNS_HEADER)
        (void)cursor_take(c, 2);
    else
        name_skip(c);
}

/* The frame of a record: c ends behind its RDLENGTH. */
static bool record_read(struct record *r, struct cursor *c)
{
    r->at = cursor_offset(c);
    r->literal_root = cursor_left(c) > 0 && *c->at == 0;
    owner_skip(c);
    r->type = cursor_u16(c);
    r->class = cursor_u16(c);
    r->ttl = cursor_u32(c);
    r->rdlength = cursor_u16(c);
    r->rdata_at = cursor_offset(c);
    return !c->bad && r->rdlength <= cursor_left(c);
}

static bool opt_read(struct message *m, const struct record *r, const uint8_t *wire)
{
    if (m->edns.present || !r->literal_root)
        return false;
    m->edns.present = true;
    m->edns.size = r->class;
    m->edns.ext_rcode = (uint8_t)(r->ttl >> 24);
    m->edns.version = (uint8_t)(r->ttl >> 16);
    m->edns.do_bit = (r->ttl & 0x8000) != 0;
    m->opt_at = (uint16_t)r->at;
    m->opt_len = (uint16_t)(r->rdata_at + r->rdlength - r->at);
    m->rcode = (uint16_t)(m->edns.ext_rcode << 4 | (m->flags & 15));
    return options_read(&m->edns, wire + r->rdata_at, r->rdlength);
}

/* Section 1 to 3. RDATA of an UPDATE follows rules of its own (RFC 2136 3.2:
 * class ANY and NONE without RDATA), and nobody reads it here. */
static bool section_read(struct message *m, struct cursor *c, int section)
{
    for (unsigned left = m->counts[section]; left > 0; left--) {
        struct record r;

        if (!record_read(&r, c))
            return false;
        if (r.type == TYPE_OPT) {
            if (section != 3 || !opt_read(m, &r, c->start))
                return false;
        } else if (r.type == TYPE_TSIG) {
            if (section != 3 || left != 1)
                return false;
            m->tsig = true;
        }
        if (rdata_check(c, m->opcode == OPCODE_UPDATE ? NULL : rdata_layout(r.type, r.class),
                        r.rdlength) == RDATA_BAD)
            return false;
    }
    return true;
}

static bool records_read(struct message *m, struct cursor *c)
{
    for (int section = 1; section <= 3; section++)
        if (!section_read(m, c, section))
            return false;
    return c->at == c->end;
}

enum message_fault message_read_query(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);

    message_clear(m);
    if (len < DNS_HEADER || len > DNS_MAX_MESSAGE)
        return MESSAGE_IGNORE;
    if (!header_read(m, &c) || (m->flags & DNS_QR) != 0)
        return MESSAGE_IGNORE;
    if (m->opcode != OPCODE_QUERY && m->opcode != OPCODE_UPDATE)
        return MESSAGE_NOTIMP;
    if (!question_read(m, &c))
        return MESSAGE_FORMERR;
    if (m->qclass == CLASS_ANY || m->qclass == CLASS_NONE)
        return MESSAGE_FORMERR;
    if (!records_read(m, &c))
        return MESSAGE_FORMERR;
    return m->edns.present && m->edns.version > 0 ? MESSAGE_BADVERS : MESSAGE_OK;
}

int message_read_head(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);

    message_clear(m);
    if (len > DNS_MAX_MESSAGE || !header_read(m, &c))
        return -EBADMSG;
    return question_read(m, &c) ? 0 : -EBADMSG;
}

int message_read_reply(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c;
    int rc = message_read_head(m, wire, len);

    if (rc != 0)
        return rc;
    if ((m->flags & DNS_QR) == 0)
        return -EBADMSG;
    c = cursor_make(wire, len);
    c.at += DNS_HEADER + m->question_len;
    return records_read(m, &c) ? 0 : -EBADMSG;
}

size_t message_udp_limit(const struct edns *edns)
{
    if (!edns->present || edns->size < DNS_UDP_PLAIN)
        return DNS_UDP_PLAIN;
    return edns->size < DNS_UDP_EDNS ? edns->size : DNS_UDP_EDNS;
}
