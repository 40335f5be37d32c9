/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.c -- header, question, EDNS and TSIG of a message.
 *
 * The hot path: every query comes through message_read_query(). The header is
 * judged first, since most junk fails there; the question is read in a
 * straight line (the first name of a message has nothing to point at); behind
 * it there is usually one OPT. The name of struct message is its last field and
 * is never cleared: it alone has 255 octets.
 */
#include "wire/message.h"

#include <errno.h>

/* False when there is no header. */
static bool header_read(struct message *m, struct cursor *c)
{
    memset(m, 0, offsetof(struct message, qname));
    m->qname.len = 1;
    m->qname.labels = 0;
    m->qname.data[0] = 0;
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

bool message_note_record(struct message *m, const uint8_t *wire, const struct rr *rr)
{
    struct cursor c = cursor_make(wire + rr->rdata_pos, rr->rdlength);

    if (rr->type == TYPE_TSIG) {
        m->tsig = true;
        return rr->section == SECTION_ADDITIONAL && rr->last;
    }
    if (rr->type != TYPE_OPT)
        return true;
    if (rr->section != SECTION_ADDITIONAL || m->edns.present || wire[rr->pos] != 0)
        return false;
    m->edns.present = true;
    m->edns.size = rr->class;
    m->edns.version = (uint8_t)(rr->ttl >> 16);
    m->edns.do_bit = (rr->ttl & 0x8000) != 0;
    m->opt_at = rr->pos;
    m->opt_len = (uint16_t)(rr->rdata_pos + rr->rdlength - rr->pos);
    m->rcode = (uint16_t)((rr->ttl >> 24) << 4 | (m->flags & 15));
    while (cursor_left(&c) > 0) { /* options fill the RDATA exactly; two of them mean something */
        uint16_t code = cursor_u16(&c), n = cursor_u16(&c);

        (void)cursor_take(&c, n);
        if (code == OPTION_KEEPALIVE)
            m->edns.keepalive = true;
        else if (code == OPTION_NSID && n == 0)
            m->edns.nsid = true;
    }
    return !c.bad;
}

static bool records_read(struct message *m, const struct cursor *behind_question)
{
    struct rr_walk w;
    struct rr rr;

    rr_walk_from(&w, behind_question, m->counts + 1);
    w.opaque = m->opcode == OPCODE_UPDATE;
    while (rr_walk_next(&w, &rr))
        if (!message_note_record(m, w.c.start, &rr))
            return false;
    return !w.c.bad;
}

enum message_fault message_read_query(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);

    if (!header_read(m, &c) || len > DNS_MAX_MESSAGE || (m->flags & DNS_QR) != 0)
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

    return header_read(m, &c) && len <= DNS_MAX_MESSAGE && question_read(m, &c) ? 0 : -EBADMSG;
}

int message_read_reply(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);

    if (message_read_head(m, wire, len) != 0 || (m->flags & DNS_QR) == 0)
        return -EBADMSG;
    (void)cursor_take(&c, (size_t)DNS_HEADER + m->question_len);
    return records_read(m, &c) ? 0 : -EBADMSG;
}

size_t message_udp_limit(const struct edns *edns)
{
    if (!edns->present || edns->size < DNS_UDP_PLAIN)
        return DNS_UDP_PLAIN;
    return edns->size < DNS_UDP_EDNS ? edns->size : DNS_UDP_EDNS;
}

void message_begin(struct writer *w, uint16_t id, uint16_t flags, const struct name *qname,
                   uint16_t qtype, uint16_t qclass)
{
    writer_u16(w, id);
    writer_u16(w, flags);
    writer_u16(w, 1);
    for (int i = 0; i < 3; i++)
        writer_u16(w, 0);
    writer_bytes(w, qname->data, qname->len);
    writer_u16(w, qtype);
    writer_u16(w, qclass);
}

void message_counts(struct writer *w, uint16_t answers, uint16_t authority, uint16_t additional)
{
    writer_patch_u16(w, 6, answers);
    writer_patch_u16(w, 8, authority);
    writer_patch_u16(w, 10, additional);
}
