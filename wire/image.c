/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image.c -- makes images of replies, and ages them. Declared in rr.h.
 *
 * cut.c says what stays. If that is everything, and every name is literal or
 * leads into the question, the message is copied as it is; else each record
 * that stays is written anew. Writing anew also puts the pointer C00C where an
 * owner is QNAME, so that overwriting the question of an image is enough to
 * give a client its own case back.
 *
 * An image is walked without following pointers (name_pass): it was made here
 * and is only aged, once for each answer from the cache. Bounds are checked
 * all the same, since images come back from files too.
 */
#include "wire/rr.h"

#include <errno.h>
#include <string.h>

#include "wire/cut.h"
#include "wire/rdata.h"
#include "wire/rewrite.h"

enum { ROTATE_OCTETS = 4096, ROTATE_RECORDS = 256 }; /* what may be moved to the end */

static uint16_t image_flags(const struct message *m, const struct message *asked)
{
    return (uint16_t)(DNS_QR | DNS_RA | (asked->flags & DNS_RD) | (m->flags & (DNS_AD | DNS_TC)) |
                      (m->flags & 15));
}

static enum reply_kind kind_of(const struct cut *c, const struct message *m,
                               const struct reply_facts *f)
{
    bool ns = false, soa = false;

    if (m->rcode == RCODE_NXDOMAIN)
        return REPLY_NXDOMAIN;
    if (m->rcode != RCODE_NOERROR)
        return REPLY_FAILURE;
    if (f->n_answer > 0)
        return REPLY_POSITIVE;
    for (int i = 0; i < c->n; i++) {
        if (c->item[i].section != SECTION_AUTHORITY || c->item[i].is_rrsig)
            continue;
        ns = ns || (c->item[i].keep && c->item[i].type == TYPE_NS);
        soa = soa || c->item[i].type == TYPE_SOA;
    }
    if (f->has_cname)
        return f->has_soa ? REPLY_NODATA : REPLY_CNAME;
    return ns && !soa && !f->aa ? REPLY_REFERRAL : REPLY_NODATA;
}

/* Complete: the answer, or that there is none; of a chain of CNAMEs, its end too. */
static bool is_complete(const struct reply_facts *f)
{
    switch (f->kind) {
    case REPLY_POSITIVE:
        return true;
    case REPLY_NXDOMAIN:
        return f->n_answer == 0;
    case REPLY_NODATA:
        return true;
    case REPLY_CNAME:
    case REPLY_REFERRAL:
    case REPLY_FAILURE:
        break;
    }
    return false;
}

/* Everything stays but an OPT at the very end, and nothing is written anew. */
static bool is_copy(const struct cut *c)
{
    const struct message *m = c->m;
    int kept = 0;

    if (!c->plain || c->mixed_ttls || !c->in_order)
        return false;
    if (m->opt_at != 0 && (size_t)m->opt_at + m->opt_len != c->len)
        return false;
    for (int i = 0; i < c->n; i++)
        kept += c->item[i].keep;
    return kept + (m->opt_at != 0) == c->n;
}

static int copy_message(const struct cut *c, uint16_t flags, uint8_t *out, size_t size, size_t *len)
{
    const struct message *m = c->m;
    size_t end = m->opt_at != 0 ? m->opt_at : c->len;
    struct writer w = writer_make(out, size);

    writer_u16(&w, 0);
    writer_u16(&w, flags);
    writer_u16(&w, 1);
    writer_u16(&w, m->counts[1]);
    writer_u16(&w, m->counts[2]);
    writer_u16(&w, (uint16_t)(m->counts[3] - (m->opt_at != 0)));
    writer_bytes(&w, m->qname.at, m->qname.len);
    writer_u16(&w, m->qtype);
    writer_u16(&w, m->qclass);
    writer_bytes(&w, c->wire + w.len, end - w.len);
    *len = w.len;
    return w.full ? -ENOSPC : 0;
}

/* Writes what stays of one rank; of all when they are in order. */
static bool put_rank(struct rewrite *r, const struct cut *c, enum cut_rank rank, bool apart)
{
    struct rr_walk w;
    struct rr rr;

    rr_walk_init(&w, c->m, c->wire, c->len);
    for (int i = 0; i < c->n && rr_walk_next(&w, &rr); i++) {
        const struct cut_item *item = &c->item[i];
        bool of_set = item->is_answer && c->m->qtype != TYPE_ANY;

        if (!item->keep || (!c->in_order && cut_rank(c, item) != rank))
            continue;
        r->names.apart = apart && of_set;
        if (!rewrite_put(r, c->wire, c->len, &rr, of_set ? c->answer_ttl : rr.ttl))
            return false;
    }
    return true;
}

static int rewrite_message(const struct cut *c, bool apart, uint16_t flags, uint8_t *out,
                           size_t size, size_t *len)
{
    const struct message *m = c->m;
    struct rewrite r;
    int rank = RANK_CHAIN;

    rewrite_begin(&r, out, size, flags, &m->qname, m->qtype, m->qclass);
    do {
        if (!put_rank(&r, c, (enum cut_rank)rank, apart))
            return size < DNS_MAX_MESSAGE ? -ENOSPC : -EBADMSG; /* it grew above a message */
    } while (!c->in_order && ++rank <= RANK_REST);
    *len = rewrite_end(&r);
    return r.w.full ? -ENOSPC : 0;
}

/* More than one record at the chain's end. Not where two sets may be of one
 * type: ANY, and DNAME with one above the name. */
static bool may_rotate(const struct cut *c, const struct reply_facts *f)
{
    return f->n_answer > 1 && c->m->qtype != TYPE_ANY && c->m->qtype != TYPE_DNAME;
}

/* True when the records of the set can be compressed against each other. */
static bool set_has_names(const struct cut *c)
{
    const char *layout = rdata_layout(c->m->qtype, c->m->qclass);

    return layout != NULL && strchr(layout, 'n') != NULL;
}

static int make_image(const struct cut *c, uint16_t flags, uint8_t *out, size_t size, size_t *len,
                      struct reply_facts *f)
{
    int rc;

    f->rotates = may_rotate(c, f);
    if (is_copy(c))
        return copy_message(c, flags, out, size, len);
    rc = rewrite_message(c, f->rotates, flags, out, size, len);
    if (!f->rotates || !set_has_names(c) || (rc == 0 && *len <= DNS_UDP_PLAIN))
        return rc;
    f->rotates = false;
    return rewrite_message(c, false, flags, out, size, len);
}

/* A truncated reply whose records are of no use: only TC matters. */
static int image_of_truncated(const struct message *m, uint16_t flags, uint8_t *out, size_t size,
                              size_t *len, struct reply_facts *f)
{
    struct rewrite r;

    f->kind = m->rcode == RCODE_NOERROR    ? REPLY_NODATA
              : m->rcode == RCODE_NXDOMAIN ? REPLY_NXDOMAIN
                                           : REPLY_FAILURE;
    f->end = m->qname;
    f->ttl = UINT32_MAX;
    rewrite_begin(&r, out, size, flags, &m->qname, m->qtype, m->qclass);
    *len = rewrite_end(&r);
    return r.w.full ? -ENOSPC : 0;
}

int reply_read(const uint8_t *wire, size_t len, const struct message *asked, uint8_t *out,
               size_t size, size_t *image_len, struct reply_facts *f)
{
    struct message m;
    struct cut c;
    uint16_t flags;
    int rc = message_read_head(&m, wire, len);

    if (rc != 0 || (m.flags & DNS_QR) == 0 || m.opcode != OPCODE_QUERY || m.qtype != asked->qtype ||
        m.qclass != asked->qclass || !name_equal_fold(&m.qname, &asked->qname))
        return -EBADMSG;
    rc = message_read_reply(&m, wire, len);
    flags = image_flags(&m, asked);
    *f = (struct reply_facts){.rcode = m.rcode,
                              .tc = (m.flags & DNS_TC) != 0,
                              .aa = (m.flags & DNS_AA) != 0,
                              .ad = (m.flags & DNS_AD) != 0};
    if (rc == 0)
        rc = cut_read(&c, &m, asked->edns.do_bit, wire, len, f);
    if (rc != 0 && f->tc)
        return image_of_truncated(&m, flags, out, size, image_len, f);
    if (rc != 0)
        return rc;
    f->kind = kind_of(&c, &m, f);
    f->cacheable = !f->tc && is_complete(f);
    return make_image(&c, flags, out, size, image_len, f);
}

static bool put_records(struct rewrite *r, const uint8_t *image, size_t len, bool answers_only)
{
    struct rr_walk w;
    struct rr rr;

    r->last_from = 0; /* it led to a place in another message */
    rr_walk_image(&w, image, len);
    while (rr_walk_next(&w, &rr))
        if ((!answers_only || rr.section == SECTION_ANSWER) &&
            !rewrite_put(r, image, len, &rr, rr.ttl))
            return false;
    return !w.c.bad;
}

size_t reply_join(const uint8_t *chain, size_t chain_len, const uint8_t *end, size_t end_len,
                  uint8_t *out, size_t size)
{
    struct message first, last;
    struct rewrite r;
    uint16_t flags;

    if (message_read_head(&first, chain, chain_len) != 0)
        return 0;
    flags = first.flags;
    if (end != NULL) {
        if (message_read_head(&last, end, end_len) != 0)
            return 0;
        flags = last.flags & (first.flags | (uint16_t)~DNS_AD); /* AD only if both have it */
    }
    rewrite_begin(&r, out, size, flags, &first.qname, first.qtype, first.qclass);
    if (!put_records(&r, chain, chain_len, true) ||
        (end != NULL && !put_records(&r, end, end_len, false)) || r.w.full)
        return 0;
    return rewrite_end(&r);
}

int image_ttls(const uint8_t *image, size_t len, uint16_t *at, int max)
{
    struct cursor c = cursor_make(image, len);
    uint16_t counts[3];
    int n = 0;

    if (len > DNS_MAX_MESSAGE)
        return -1;
    rr_pass_question(&c, counts);
    for (unsigned left = (unsigned)counts[0] + counts[1] + counts[2]; left > 0; left--) {
        name_pass(&c);
        (void)cursor_take(&c, 4);
        if (c.bad || n == max)
            return -1;
        at[n++] = (uint16_t)cursor_offset(&c);
        (void)cursor_take(&c, 4);
        (void)cursor_take(&c, cursor_u16(&c));
    }
    return c.bad || c.at != c.end ? -1 : n;
}

static void ttl_write(uint8_t *p, uint32_t ttl)
{
    p[0] = (uint8_t)(ttl >> 24);
    p[1] = (uint8_t)(ttl >> 16);
    p[2] = (uint8_t)(ttl >> 8);
    p[3] = (uint8_t)ttl;
}

void image_age(uint8_t *image, size_t len, const uint16_t *ttl_at, int n, uint32_t age_s,
               uint32_t cap_s)
{
    for (int i = 0; i < n; i++) {
        uint8_t *p = image + ttl_at[i];
        uint32_t ttl;

        if ((size_t)ttl_at[i] + 4 > len)
            return;
        ttl = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        ttl = ttl > age_s ? ttl - age_s : 0;
        ttl_write(p, ttl < cap_s ? ttl : cap_s);
    }
}

void image_set_ttls(uint8_t *image, size_t len, const uint16_t *ttl_at, int n, uint32_t ttl_s)
{
    for (int i = 0; i < n; i++)
        if ((size_t)ttl_at[i] + 4 <= len)
            ttl_write(image + ttl_at[i], ttl_s);
}

void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by)
{
    struct cursor c = cursor_make(image, len);
    uint8_t front[ROTATE_OCTETS];
    uint16_t counts[3], at[ROTATE_RECORDS];
    size_t end = 0, cut;
    unsigned n = 0;

    rr_pass_question(&c, counts);
    for (unsigned left = counts[0]; left > 0; left--) {
        size_t begin = cursor_offset(&c);
        bool of_set;

        name_pass(&c);
        of_set = cursor_u16(&c) == type;
        (void)cursor_take(&c, 6);
        (void)cursor_take(&c, cursor_u16(&c));
        if (c.bad || (n > 0 && (!of_set || begin - at[0] > sizeof front)) || n == ROTATE_RECORDS)
            break;
        if (!of_set)
            continue; /* the chain in front */
        at[n++] = (uint16_t)begin;
        end = cursor_offset(&c);
    }
    if (c.bad || n < 2)
        return;
    cut = at[by % n];
    memcpy(front, image + at[0], cut - at[0]);
    memmove(image + at[0], image + cut, end - cut);
    memcpy(image + at[0] + (end - cut), front, cut - at[0]);
}
