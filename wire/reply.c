/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.c -- builds queries to servers and replies to clients; ages images.
 *
 * What a client is sent is an image with its own header, question and OPT. The
 * OPT is written new each time, so nothing of an earlier hop stays in it. When
 * the reply is too long, parts go in this order: the text of the EDE, additional
 * records from the last on, the EDE, the NSID, the keepalive, and then all records,
 * with TC set.
 */
#include "wire/reply.h"

enum {
    OPT_FIXED = 11,
    OPTION_FIXED = 4,
    TEXT_MAX = 255,
    ROTATE_OCTETS = 4096, /* what may be moved to the end of a set */
    ROTATE_RECORDS = 256,
};

/* OPT up to its RDATA. flags: version, DO and the rcode's upper bits. */
static void opt_begin(struct writer *w, uint32_t flags)
{
    writer_u8(w, 0);
    writer_u16(w, TYPE_OPT);
    writer_u16(w, DNS_UDP_EDNS);
    writer_u32(w, flags);
    writer_u16(w, 0);
}

/* An option of two octets or none, and a text, if it fits. */
static bool option_write(struct writer *w, uint16_t code, const uint16_t *value, const char *text)
{
    size_t n = text == NULL ? 0 : strnlen(text, TEXT_MAX), before = w->len;

    writer_u16(w, code);
    writer_u16(w, (uint16_t)((value != NULL ? 2 : 0) + n));
    if (value != NULL)
        writer_u16(w, *value);
    writer_bytes(w, text, n);
    if (!w->full)
        return true;
    writer_truncate(w, before);
    return false;
}

/* OPT with as many of its options as there is room for, the most useful first. */
static void opt_write(struct writer *w, const struct reply_options *o, uint16_t rcode)
{
    uint16_t ede = (uint16_t)o->ede;
    size_t rdata;

    if (!o->query->edns.present)
        return;
    opt_begin(w, (uint32_t)(rcode >> 4) << 24 | (o->query->edns.do_bit ? 0x8000 : 0));
    if (w->full)
        return;
    rdata = w->len;
    if ((o->keepalive == 0 || option_write(w, OPTION_KEEPALIVE, &o->keepalive, NULL)) &&
        (o->nsid == NULL || option_write(w, OPTION_NSID, NULL, o->nsid)) && o->ede >= 0 &&
        !option_write(w, OPTION_EDE, &ede, o->ede_text))
        option_write(w, OPTION_EDE, &ede, NULL);
    writer_patch_u16(w, rdata - 2, (uint16_t)(w->len - rdata));
}

/* Passes a record of an image, which was checked when it was made: only its bounds
 * are looked at. Where its TTL is, four octets behind its type. */
static size_t record_pass(struct cursor *c)
{
    size_t ttl_pos;

    name_pass(c);
    (void)cursor_take(c, 4);
    ttl_pos = cursor_offset(c);
    (void)cursor_take(c, 4);
    (void)cursor_take(c, cursor_u16(c));
    return ttl_pos;
}

static uint16_t client_flags(const struct message *query)
{
    if (query->opcode != OPCODE_QUERY)
        return (uint16_t)(DNS_QR | query->opcode << 11);
    return (uint16_t)(DNS_QR | DNS_RA | (query->flags & (DNS_RD | DNS_CD)));
}

size_t reply_from_image(const struct reply_options *o, const uint8_t *image, size_t len,
                        uint8_t *out, size_t size)
{
    const struct message *q = o->query;
    size_t head = (size_t)DNS_HEADER + q->question_len, keep = len;
    size_t limit = o->limit < size ? o->limit : size;
    size_t opt = q->edns.present ? OPT_FIXED : 0, options = 0;
    struct writer w = writer_make(out, limit);
    uint16_t flags, counts[3];
    struct rr_walk walk;

    if (len < head || len > DNS_MAX_MESSAGE || head + opt > limit)
        return 0;
    flags = dns_flags(image, len); /* read before out is written: it may be image */
    flags &= 15 | (o->ad ? DNS_AD : 0);
    for (int i = 0; i < 3; i++)
        counts[i] = bytes_u16(image + 6 + 2 * i);
    if (opt != 0)
        options = (o->keepalive != 0 ? OPTION_FIXED + 2u : 0) +
                  (o->nsid != NULL ? OPTION_FIXED + strlen(o->nsid) : 0) +
                  (o->ede >= 0 ? OPTION_FIXED + 2u : 0);
    if (len + opt + options > limit && counts[2] > 0) {
        rr_walk_init(&walk, image, len);
        for (unsigned left = (unsigned)counts[0] + counts[1]; left > 0; left--)
            (void)record_pass(&walk.c);
        for (counts[2] = 0; !walk.c.bad; counts[2]++) {
            keep = cursor_offset(&walk.c);
            (void)record_pass(&walk.c);
            if (walk.c.bad || cursor_offset(&walk.c) + opt + options > limit)
                break;
        }
    }
    if (keep + opt > limit) {
        keep = head;
        memset(counts, 0, sizeof counts);
        flags = (flags & 15) | DNS_TC;
    }
    if (out != image)
        memcpy(out + head, image + head, keep - head);
    writer_u16(&w, q->id);
    writer_u16(&w, client_flags(q) | flags);
    writer_u16(&w, 1);
    writer_u16(&w, counts[0]);
    writer_u16(&w, counts[1]);
    writer_u16(&w, (uint16_t)(counts[2] + (opt != 0)));
    writer_bytes(&w, o->question, q->question_len);
    w.len = keep;
    opt_write(&w, o, 0);
    return w.full ? 0 : w.len;
}

size_t reply_empty(const struct reply_options *o, uint16_t rcode, uint16_t flags, uint8_t *out,
                   size_t size)
{
    const struct message *q = o->query;
    size_t question_len = o->question != NULL ? q->question_len : 0;
    struct writer w = writer_make(out, o->limit < size ? o->limit : size);

    if (rcode > 15 && !q->edns.present)
        rcode = RCODE_SERVFAIL; /* its upper bits have no place to be */
    flags &= DNS_AA | DNS_TC | (o->ad ? DNS_AD : 0);
    writer_u16(&w, q->id);
    writer_u16(&w, (uint16_t)(client_flags(q) | flags | (rcode & 15)));
    writer_u16(&w, question_len > 0);
    writer_u32(&w, 0);
    writer_u16(&w, q->edns.present);
    writer_bytes(&w, o->question, question_len);
    opt_write(&w, o, rcode);
    return w.full ? 0 : w.len;
}

void image_begin(struct writer *w, const struct message *query, uint16_t rcode)
{
    message_begin(w, 0, (uint16_t)(DNS_QR | DNS_RA | (query->flags & DNS_RD) | (rcode & 15)),
                  &query->qname, query->qtype, query->qclass);
}

void image_record(struct writer *w, enum section section, size_t owner_pos, uint16_t type,
                  uint32_t ttl, size_t rdlength)
{
    writer_u16(w, (uint16_t)(0xc000 | owner_pos));
    writer_u16(w, type);
    writer_u16(w, CLASS_IN);
    writer_u32(w, ttl);
    writer_u16(w, (uint16_t)rdlength);
    message_count(w, section);
}

void image_soa(struct writer *w, enum section section, size_t zone_pos, uint32_t ttl)
{
    static const uint8_t nobody[] = "\6nobody\7invalid";

    image_record(w, section, zone_pos, TYPE_SOA, ttl, 2 + sizeof nobody + 5 * 4);
    writer_u16(w, (uint16_t)(0xc000 | zone_pos));
    writer_bytes(w, nobody, sizeof nobody);
    writer_u32(w, 1);    /* serial */
    writer_u32(w, 3600); /* refresh, retry, expire: there are no secondaries */
    writer_u32(w, 1200);
    writer_u32(w, 604800);
    writer_u32(w, ttl); /* MINIMUM */
}

void image_age(uint8_t *image, size_t len, uint32_t age_s, uint32_t least_s, uint32_t most_s)
{
    struct rr_walk w;

    rr_walk_init(&w, image, len);
    for (unsigned left = (unsigned)w.left[0] + w.left[1] + w.left[2]; left > 0; left--) {
        uint8_t *at = image + record_pass(&w.c);
        struct writer to = writer_make(at, 4);
        uint32_t ttl;

        if (w.c.bad)
            return;
        ttl = bytes_u32(at) > age_s ? bytes_u32(at) - age_s : 0;
        ttl = ttl > least_s ? ttl : least_s;
        writer_u32(&to, ttl < most_s ? ttl : most_s);
    }
}

void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by)
{
    uint8_t front[ROTATE_OCTETS];
    uint16_t pos[ROTATE_RECORDS];
    size_t end = 0, first;
    struct rr_walk w;
    unsigned n = 0;

    rr_walk_init(&w, image, len);
    for (unsigned left = w.left[0]; left > 0 && n < ROTATE_RECORDS; left--) {
        size_t begin = cursor_offset(&w.c), ttl_pos = record_pass(&w.c);
        bool of_set = !w.c.bad && bytes_u16(image + ttl_pos - 4) == type;

        if (w.c.bad || (n > 0 && (!of_set || begin - pos[0] > ROTATE_OCTETS)))
            break;
        if (!of_set)
            continue; /* the chain in front */
        pos[n++] = (uint16_t)begin;
        end = cursor_offset(&w.c);
    }
    if (w.c.bad || n < 2)
        return;
    first = pos[by % n];
    memcpy(front, image + pos[0], first - pos[0]);
    memmove(image + pos[0], image + first, end - first);
    memcpy(image + pos[0] + (end - first), front, first - pos[0]);
}

size_t query_build(const struct query_build *q, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);

    message_begin(&w, q->id, (uint16_t)(DNS_RD | (q->cd ? DNS_CD : 0) | (q->ad ? DNS_AD : 0)),
                  q->qname, q->qtype, q->qclass);
    if (q->edns) {
        opt_begin(&w, q->do_bit ? 0x8000 : 0);
        message_count(&w, SECTION_ADDITIONAL);
    }
    return w.full ? 0 : w.len;
}
