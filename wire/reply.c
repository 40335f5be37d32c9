/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.c -- builds queries to servers and replies to clients; ages images.
 *
 * When a reply is too long, parts go in this order: the text of the EDE, additional records from the
 * last on, the EDE, the NSID, the keepalive, the cookie, and then all records, with TC set.
 */
#include "wire/reply.h"

enum { OPT_FIXED = 11, OPTION_FIXED = 4, TEXT_MAX = 255, PADDED = 128 };
/* What may be moved of a set, and the longest SRV record, which begins there. */
enum {
    ROTATE_OCTETS = 4096,
    ROTATE_RECORDS = 256,
    ROTATE_LAST = 2 * NAME_MAX_WIRE + 16,
    WEIGHT = 255
};

static void opt_begin(struct writer *w, uint32_t flags)
{
    writer_u8(w, 0);
    writer_u16(w, TYPE_OPT);
    writer_u16(w, DNS_UDP_EDNS);
    writer_u32(w, flags);
    writer_u16(w, 0);
}

/* An option of some octets, and a text (or NULL), if it fits. */
static bool option_write(struct writer *w, uint16_t code, const uint8_t *value, size_t n_value,
                         const char *text)
{
    size_t n = text == NULL ? 0 : strnlen(text, TEXT_MAX), before = w->len;

    writer_u16(w, code);
    writer_u16(w, (uint16_t)(n_value + n));
    writer_bytes(w, value, n_value);
    writer_bytes(w, text, n);
    if (!w->full)
        return true;
    w->len = before;
    w->full = false;
    return false;
}

/* Where the name at pos ends; behind the image when it does so. */
static size_t name_end(const uint8_t *image, size_t len, size_t pos)
{
    while (pos < len && image[pos] != 0 && image[pos] < 0xc0)
        pos += (size_t)image[pos] + 1;
    return pos + (pos < len && image[pos] != 0 ? 2 : 1);
}

/* Where the records of an image begin, which was checked when it was made: here and below only
 * its bounds are looked at. */
static size_t records_begin(const uint8_t *image, size_t len)
{
    return name_end(image, len, DNS_HEADER) + 4;
}

/* Passes a record; where its TTL is, four octets behind its type, or 0 when the image ends. */
static size_t record_pass(const uint8_t *image, size_t len, size_t *pos)
{
    size_t ttl_pos = name_end(image, len, *pos) + 4;

    if (ttl_pos + 6 > len)
        return 0;
    *pos = ttl_pos + 6 + bytes_u16(image + ttl_pos + 4);
    return *pos <= len ? ttl_pos : 0;
}

/* Writes header, question and OPT around `keep` octets that lie in out already, header and
 * question with them. flags: with the rcode; counts: without the OPT, which gets as many of its
 * options as there is room for, the most useful first. */
static inline size_t finish(const struct reply_options *o, uint16_t flags, uint16_t rcode,
                            const uint16_t counts[3], size_t keep, uint8_t *out)
{
    const struct message *q = o->query;
    struct writer w = writer_make(out, o->limit);
    const uint8_t ede[] = {(uint8_t)(o->ede >> 8), (uint8_t)o->ede},
                  idle[] = {(uint8_t)(o->keepalive >> 8), (uint8_t)o->keepalive};
    size_t rdata;

    if (q->opcode != OPCODE_QUERY)
        flags |= (uint16_t)(q->opcode << 11);
    else
        flags |= DNS_RA | (q->flags & (DNS_RD | DNS_CD));
    writer_u16(&w, q->id);
    writer_u16(&w, DNS_QR | flags);
    writer_u16(&w, q->question_len > 0);
    writer_u16(&w, counts[0]);
    writer_u16(&w, counts[1]);
    writer_u16(&w, (uint16_t)(counts[2] + q->edns.present));
    writer_bytes(&w, o->question, q->question_len);
    w.len = keep > w.len ? keep : w.len;
    if (!q->edns.present)
        return w.full ? 0 : w.len;
    opt_begin(&w, (uint32_t)(rcode >> 4) << 24 | (q->edns.do_bit ? 0x8000 : 0));
    if (w.full)
        return 0;
    rdata = w.len;
    if ((o->cookie == NULL || option_write(&w, OPTION_COOKIE, o->cookie, COOKIE_OCTETS, NULL)) &&
        (o->keepalive == 0 || option_write(&w, OPTION_KEEPALIVE, idle, sizeof idle, NULL)) &&
        (o->nsid == NULL || option_write(&w, OPTION_NSID, NULL, 0, o->nsid)) && o->ede >= 0 &&
        !option_write(&w, OPTION_EDE, ede, sizeof ede, o->ede_text))
        option_write(&w, OPTION_EDE, ede, sizeof ede, NULL);
    writer_patch_u16(&w, rdata - 2, (uint16_t)(w.len - rdata));
    return w.len;
}

size_t reply_size(const struct reply_options *o, size_t len)
{
    if (!o->query->edns.present)
        return len;
    return len + OPT_FIXED + (o->cookie ? OPTION_FIXED + COOKIE_OCTETS : 0) +
           (o->keepalive != 0 ? OPTION_FIXED + 2 : 0) +
           (o->nsid ? OPTION_FIXED + strlen(o->nsid) : 0) + (o->ede >= 0 ? OPTION_FIXED + 2 : 0);
}

size_t reply_write(const struct reply_options *o, const uint8_t *image, size_t len, uint16_t rcode,
                   uint8_t *out)
{
    const struct message *q = o->query;
    size_t head = (size_t)DNS_HEADER + q->question_len, keep = len, next, limit = o->limit;
    size_t opt = q->edns.present ? OPT_FIXED : 0, options = reply_size(o, 0);
    uint16_t flags, counts[3] = {0};

    if (image == NULL) {
        if (rcode > 15 && opt == 0)
            rcode = RCODE_SERVFAIL; /* its upper bits have no place to be */
        flags = rcode == RCODE_NOERROR && q->question_len > 0 ? DNS_TC : rcode & 15;
        return finish(o, flags, rcode, counts, 0, out);
    }
    if (len < head || len > DNS_MAX_MESSAGE || head + opt > limit)
        return 0;
    flags = dns_flags(image, len) & (15 | (o->ad ? DNS_AD : 0));
    for (int i = 0; i < 3; i++)
        counts[i] = bytes_u16(image + 6 + 2 * i);
    if (len + options > limit && counts[2] > 0) {
        keep = records_begin(image, len);
        for (unsigned left = (unsigned)counts[0] + counts[1]; left > 0; left--)
            (void)record_pass(image, len, &keep);
        counts[2] = 0;
        for (next = keep; record_pass(image, len, &next) != 0 && next + options <= limit;) {
            keep = next;
            counts[2]++;
        }
    }
    if (keep + opt > limit) {
        keep = head;
        memset(counts, 0, sizeof counts);
        flags = (flags & 15) | DNS_TC;
    }
    if (out != image)
        memcpy(out + head, image + head, keep - head);
    return finish(o, flags, 0, counts, keep, out);
}

void image_begin(struct writer *w, const struct message *query, uint16_t rcode)
{
    message_begin(w, 0, (uint16_t)(DNS_QR | DNS_RA | (query->flags & DNS_RD) | (rcode & 15)),
                  &query->qname, query->qtype, query->qclass);
}

void image_record(struct writer *w, enum section section, size_t owner_pos, uint16_t type,
                  uint32_t ttl, size_t rdlength)
{
    if (owner_pos != 0)
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
    size_t pos = records_begin(image, len), at;

    while ((at = record_pass(image, len, &pos)) != 0) {
        struct writer w = writer_make(image + at, 4);
        uint32_t ttl = bytes_u32(image + at);

        ttl = ttl > age_s ? ttl - age_s : 0;
        ttl = ttl > least_s ? ttl : least_s;
        writer_u32(&w, ttl < most_s ? ttl : most_s);
    }
}

/* The records of the answered RRset: where each begins, and behind the last; its TTL. */
struct set {
    unsigned n;
    uint16_t begin[ROTATE_RECORDS + 1], ttl[ROTATE_RECORDS];
};

static void find_set(struct set *s, const uint8_t *image, size_t len, uint16_t type)
{
    unsigned left = len < DNS_HEADER ? 0 : bytes_u16(image + 6);
    size_t pos = records_begin(image, len);

    for (s->n = 0; left > 0 && s->n < ROTATE_RECORDS; left--) {
        size_t from = pos, at = record_pass(image, len, &pos);
        bool of_set = at != 0 && bytes_u16(image + at - 4) == type;

        if (at == 0 || (s->n > 0 && (!of_set || from - s->begin[0] > ROTATE_OCTETS)))
            break;
        if (!of_set)
            continue; /* the chain in front */
        s->ttl[s->n] = (uint16_t)at;
        s->begin[s->n++] = (uint16_t)from;
        s->begin[s->n] = (uint16_t)pos;
    }
}

void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by)
{
    uint8_t front[ROTATE_OCTETS] UNINITIALIZED;
    size_t first, end;
    struct set s;

    find_set(&s, image, len, type);
    if (s.n < 2)
        return;
    first = s.begin[by % s.n];
    end = s.begin[s.n];
    memcpy(front, image + s.begin[0], first - s.begin[0]);
    memmove(image + s.begin[0], image + first, end - first);
    memcpy(image + s.begin[0] + (end - first), front, first - s.begin[0]);
}

void image_shuffle_srv(uint8_t *image, size_t len, struct random *random)
{
    uint8_t shuffled[ROTATE_OCTETS + ROTATE_LAST] UNINITIALIZED;
    bool gone[ROTATE_RECORDS] = {false};
    size_t size, at = 0;
    struct set s;

    find_set(&s, image, len, TYPE_SRV);
    size = s.n > 1 ? (size_t)(s.begin[s.n] - s.begin[0]) : 0;
    for (unsigned i = 0; i < s.n; i++)
        if (s.begin[i + 1] - s.ttl[i] < 6 + 4)
            return; /* no record of this type */
    if (size == 0 || size > sizeof shuffled)
        return;
    for (unsigned left = s.n; left > 0; left--) {
        uint32_t lowest = UINT32_MAX, sum = 0, share;
        unsigned next = 0;

        /* Of those of the lowest priority that are left each takes the place of those before it
         * with the chance that it has among them. Without a weight it has a very small share. */
        for (unsigned i = 0; i < s.n; i++) {
            const uint8_t *rdata = image + s.ttl[i] + 6;

            if (gone[i] || bytes_u16(rdata) > lowest)
                continue;
            share = (uint32_t)WEIGHT * bytes_u16(rdata + 2) + 1;
            sum = bytes_u16(rdata) == lowest ? sum + share : share;
            lowest = bytes_u16(rdata);
            if (sum == share || random_below(random, sum) < share)
                next = i;
        }
        gone[next] = true;
        memcpy(shuffled + at, image + s.begin[next], s.begin[next + 1] - s.begin[next]);
        at += s.begin[next + 1] - s.begin[next];
    }
    memcpy(image + s.begin[0], shuffled, size);
}

size_t query_build(const struct query_build *q, uint8_t *out, size_t size)
{
    static const uint8_t zeros[PADDED];
    struct writer w = writer_make(out, size);
    size_t rdata, padding;

    message_begin(&w, q->id, (uint16_t)(DNS_RD | (q->cd ? DNS_CD : 0) | (q->ad ? DNS_AD : 0)),
                  q->qname, q->qtype, q->qclass);
    if (q->edns) {
        opt_begin(&w, q->do_bit ? 0x8000 : 0);
        message_count(&w, SECTION_ADDITIONAL);
    }
    if (q->edns && q->padded) {
        rdata = w.len;
        padding = (PADDED - (rdata + OPTION_FIXED) % PADDED) % PADDED;
        if (!option_write(&w, OPTION_PADDING, zeros, padding, NULL))
            return 0;
        writer_patch_u16(&w, rdata - 2, (uint16_t)(w.len - rdata));
    }
    return w.full ? 0 : w.len;
}
