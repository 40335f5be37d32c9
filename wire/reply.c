/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.c -- builds queries to servers and replies to clients.
 *
 * What a client is sent is an image with its own header, question and OPT. The
 * OPT is written new each time, so nothing of an earlier hop stays in it. When
 * the reply is too long, parts go in this order: the text of the EDE, the EDE,
 * the NSID, the keepalive, the additional section, and then all records, with TC set.
 */
#include "wire/reply.h"

#include <string.h>

#include "wire/rr.h"

enum { OPT_FIXED = 11, TEXT_MAX = 255 };

/* What the OPT of one reply carries; each lower step has less. */
enum opt_step { OPT_BARE, OPT_KEEPALIVE, OPT_NSID, OPT_CODE, OPT_TEXT, OPT_NONE };

static size_t text_len(const char *text)
{
    return text == NULL ? 0 : strnlen(text, TEXT_MAX);
}

static size_t opt_size(const struct reply_dress *d, enum opt_step step)
{
    size_t len = OPT_FIXED;

    if (step == OPT_NONE)
        return 0;
    if (step >= OPT_KEEPALIVE && d->keepalive != 0)
        len += 6;
    if (step >= OPT_NSID && d->nsid != NULL)
        len += 4 + text_len(d->nsid);
    if (step >= OPT_CODE && d->ede >= 0)
        len += 6;
    if (step >= OPT_TEXT && d->ede >= 0)
        len += text_len(d->ede_text);
    return len;
}

/* The richest OPT that fits into `room` octets; the bare one if none does. */
static enum opt_step opt_choose(const struct reply_dress *d, size_t room)
{
    enum opt_step step = OPT_TEXT;

    if (!d->query->edns.present)
        return OPT_NONE;
    while (step > OPT_BARE && opt_size(d, step) > room)
        step--;
    return step;
}

static void opt_write(struct writer *w, const struct reply_dress *d, enum opt_step step,
                      uint16_t rcode)
{
    size_t text = step >= OPT_TEXT && d->ede >= 0 ? text_len(d->ede_text) : 0;

    if (step == OPT_NONE)
        return;
    writer_u8(w, 0);
    writer_u16(w, TYPE_OPT);
    writer_u16(w, DNS_UDP_EDNS);
    writer_u8(w, (uint8_t)(rcode >> 4));
    writer_u8(w, 0); /* version */
    writer_u16(w, d->query->edns.do_bit ? 0x8000 : 0);
    writer_u16(w, (uint16_t)(opt_size(d, step) - OPT_FIXED));
    if (step >= OPT_KEEPALIVE && d->keepalive != 0) {
        writer_u16(w, OPTION_KEEPALIVE);
        writer_u16(w, 2);
        writer_u16(w, d->keepalive);
    }
    if (step >= OPT_NSID && d->nsid != NULL) {
        writer_u16(w, OPTION_NSID);
        writer_u16(w, (uint16_t)text_len(d->nsid));
        writer_bytes(w, d->nsid, text_len(d->nsid));
    }
    if (step >= OPT_CODE && d->ede >= 0) {
        writer_u16(w, OPTION_EDE);
        writer_u16(w, (uint16_t)(2 + text));
        writer_u16(w, (uint16_t)d->ede);
        if (text > 0)
            writer_bytes(w, d->ede_text, text);
    }
}

static uint16_t image_count(const uint8_t *image, size_t at)
{
    return (uint16_t)(image[at] << 8 | image[at + 1]);
}

/* Where the additional section of an image begins; 0 when it is broken. */
static size_t additional_at(const uint8_t *image, size_t len)
{
    struct cursor c = cursor_make(image, len);
    uint16_t counts[3];

    rr_pass_question(&c, counts);
    for (unsigned left = (unsigned)counts[0] + counts[1]; left > 0 && !c.bad; left--) {
        name_pass(&c);
        (void)cursor_take(&c, 8);
        (void)cursor_take(&c, cursor_u16(&c));
    }
    return c.bad ? 0 : cursor_offset(&c);
}

struct plan {
    size_t len;          /* octets of the image that are sent */
    uint16_t additional; /* records of the additional section */
    bool truncated;
    enum opt_step opt;
};

/* How much of the image goes out. False when not even the question does. */
static bool plan_make(struct plan *p, const struct reply_dress *d, const uint8_t *image, size_t len,
                      size_t limit)
{
    size_t head = (size_t)DNS_HEADER + d->query->question_len;
    size_t bare = opt_size(d, d->query->edns.present ? OPT_BARE : OPT_NONE);

    *p = (struct plan){.len = len, .additional = image_count(image, 10)};
    if (len + bare > limit && p->additional > 0) {
        size_t cut = additional_at(image, len);

        if (cut != 0) {
            p->len = cut;
            p->additional = 0;
        }
    }
    if (p->len + bare > limit) {
        p->len = head;
        p->additional = 0;
        p->truncated = true;
    }
    if (p->len + bare > limit)
        return false;
    p->opt = opt_choose(d, limit - p->len);
    return true;
}

static uint16_t client_flags(const struct message *query)
{
    if (query->opcode != OPCODE_QUERY)
        return (uint16_t)(DNS_QR | query->opcode << 11);
    return (uint16_t)(DNS_QR | DNS_RA | (query->flags & (DNS_RD | DNS_CD)));
}

size_t reply_from_image(const struct reply_dress *d, const uint8_t *image, size_t len, uint8_t *out,
                        size_t size)
{
    const struct message *q = d->query;
    size_t head = (size_t)DNS_HEADER + q->question_len;
    size_t limit = d->limit < size ? d->limit : size;
    uint16_t flags, answers, authority;
    struct writer w;
    struct plan p;

    if (len < head || len > DNS_MAX_MESSAGE || !plan_make(&p, d, image, len, limit))
        return 0;
    flags = image_count(image, 2); /* read before out is written: it may be image */
    answers = p.truncated ? 0 : image_count(image, 6);
    authority = p.truncated ? 0 : image_count(image, 8);
    if (out != image)
        memcpy(out + head, image + head, p.len - head);
    w = writer_make(out, size);
    writer_u16(&w, q->id);
    writer_u16(&w, (uint16_t)(client_flags(q) | (flags & 15) | (p.truncated ? DNS_TC : 0) |
                              (d->ad && !p.truncated ? flags & DNS_AD : 0)));
    writer_u16(&w, 1);
    writer_u16(&w, answers);
    writer_u16(&w, authority);
    writer_u16(&w, (uint16_t)(p.additional + (p.opt != OPT_NONE)));
    writer_bytes(&w, d->question, q->question_len);
    w.len = p.len;
    opt_write(&w, d, p.opt, 0);
    return w.full ? 0 : w.len;
}

size_t reply_empty(const struct reply_dress *d, uint16_t rcode, uint16_t flags, uint8_t *out,
                   size_t size)
{
    const struct message *q = d->query;
    size_t question_len = d->question != NULL ? q->question_len : 0;
    size_t limit = d->limit < size ? d->limit : size;
    size_t head = DNS_HEADER + question_len;
    struct writer w = writer_make(out, limit);
    enum opt_step opt = opt_choose(d, limit > head ? limit - head : 0);

    if (rcode > 15 && opt == OPT_NONE)
        rcode = RCODE_SERVFAIL; /* its upper bits have no place to be */
    flags &= DNS_AA | DNS_TC | (d->ad ? DNS_AD : 0);
    writer_u16(&w, q->id);
    writer_u16(&w, (uint16_t)(client_flags(q) | flags | (rcode & 15)));
    writer_u16(&w, question_len > 0);
    writer_u16(&w, 0);
    writer_u16(&w, 0);
    writer_u16(&w, opt != OPT_NONE);
    writer_bytes(&w, d->question, question_len);
    opt_write(&w, d, opt, rcode);
    return w.full ? 0 : w.len;
}

void image_begin(struct writer *w, const struct message *query, uint16_t rcode)
{
    writer_u16(w, 0);
    writer_u16(w, (uint16_t)(DNS_QR | DNS_RA | (query->flags & DNS_RD) | (rcode & 15)));
    writer_u16(w, 1);
    for (int i = 0; i < 3; i++)
        writer_u16(w, 0);
    writer_bytes(w, query->qname.at, query->qname.len);
    writer_u16(w, query->qtype);
    writer_u16(w, query->qclass);
}

void image_end(struct writer *w, uint16_t answers, uint16_t authority, uint16_t additional)
{
    writer_patch_u16(w, 6, answers);
    writer_patch_u16(w, 8, authority);
    writer_patch_u16(w, 10, additional);
}

static void question_pointer(struct writer *w, size_t at)
{
    writer_u16(w, (uint16_t)(0xc000 | (DNS_HEADER + at)));
}

void image_record(struct writer *w, size_t name_at, uint16_t type, uint32_t ttl, size_t rdlength)
{
    question_pointer(w, name_at);
    writer_u16(w, type);
    writer_u16(w, CLASS_IN);
    writer_u32(w, ttl);
    writer_u16(w, (uint16_t)rdlength);
}

void image_soa(struct writer *w, size_t zone_at, uint32_t ttl)
{
    static const uint8_t nobody[] = "\6nobody\7invalid";

    image_record(w, zone_at, TYPE_SOA, ttl, 2 + sizeof nobody + 5 * 4);
    question_pointer(w, zone_at);
    writer_bytes(w, nobody, sizeof nobody);
    writer_u32(w, 1);    /* serial */
    writer_u32(w, 3600); /* refresh, retry, expire: there are no secondaries */
    writer_u32(w, 1200);
    writer_u32(w, 604800);
    writer_u32(w, ttl); /* MINIMUM */
}

void image_ns(struct writer *w, size_t zone_at, uint32_t ttl)
{
    image_record(w, zone_at, TYPE_NS, ttl, 2);
    question_pointer(w, zone_at);
}

size_t query_build(const struct query_build *q, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);

    writer_u16(&w, q->id);
    writer_u16(&w, (uint16_t)(DNS_RD | (q->cd ? DNS_CD : 0) | (q->ad ? DNS_AD : 0)));
    writer_u16(&w, 1);
    writer_u16(&w, 0);
    writer_u16(&w, 0);
    writer_u16(&w, q->edns);
    writer_bytes(&w, q->qname->at, q->qname->len);
    writer_u16(&w, q->qtype);
    writer_u16(&w, q->qclass);
    if (q->edns) {
        writer_u8(&w, 0);
        writer_u16(&w, TYPE_OPT);
        writer_u16(&w, DNS_UDP_EDNS);
        writer_u16(&w, 0); /* extended rcode, version */
        writer_u16(&w, q->do_bit ? 0x8000 : 0);
        writer_u16(&w, 0);
    }
    return w.full ? 0 : w.len;
}
