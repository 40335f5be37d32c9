/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply_read.c -- what a reply says, its image, and what is read from images.
 *
 * The whole reply is checked first. Then its CNAMEs are followed from QNAME on, in
 * whatever order they were sent, and each part of the image is one more walk over the
 * records, that writes those which belong there. The sender chooses every name and
 * number here: so each table is bounded, and the number of walks too.
 */
#include "wire/reply.h"

#include <errno.h>

enum { MAX_ZONES = 8, MAX_NAMED = 64 };

enum part { PART_CHAIN, PART_SET, PART_SIGNATURES, PART_AUTHORITY, PART_PROOFS, PART_ADDITIONAL };
static const enum section sections[] = {SECTION_ANSWER,    SECTION_ANSWER,    SECTION_ANSWER,
                                        SECTION_AUTHORITY, SECTION_AUTHORITY, SECTION_ADDITIONAL};

struct reader {
    const uint8_t *wire; /* borrowed */
    size_t len;
    const struct message *m;
    const struct reply_wanted *wanted; /* borrowed */
    struct reply_facts *facts;
    int n_set;                             /* records of the answered RRset */
    uint32_t set_ttl;                      /* its smallest TTL */
    bool has_ns, has_soa;                  /* authority: an NS that stays, a SOA of any zone */
    struct name link[REPLY_MAX_CHAIN + 1]; /* QNAME, then each target; folded */
    uint16_t link_pos[REPLY_MAX_CHAIN];    /* the CNAME that leads from link i to the next */
    int n_links;                           /* CNAMEs followed; link[n_links] is the end */
    struct name zone[MAX_ZONES];           /* whose NSEC and NSEC3 may stay */
    int n_zones;
    bool is_cut;               /* what it says of the last link is not wanted */
    uint64_t named[MAX_NAMED]; /* by a record that stays: a hash of the name */
    int n_named;
};

static void name_read_at(const struct reader *r, size_t pos, struct name *out)
{
    struct cursor c = cursor_make(r->wire, r->len);

    (void)cursor_take(&c, pos);
    name_read(&c, out);
    name_fold(out);
}

/* Is it of the class as asked, and nothing that is only for those that ask for it (RFC 4035
 * 3.2.1) or that belongs to the message alone? */
static bool is_of_interest(const struct reader *r, const struct rr *rr)
{
    bool is_dnssec = rr->type == TYPE_RRSIG || rr->type == TYPE_NSEC || rr->type == TYPE_NSEC3;

    return rr->class == r->m->qclass && rr->type != TYPE_OPT && rr->type != TYPE_TSIG &&
           (!is_dnssec || r->wanted->dnssec || r->m->qtype == rr->type || r->m->qtype == TYPE_ANY);
}

static bool is_of_set(const struct reader *r, const struct rr *rr)
{
    return (rr->type == r->m->qtype || r->m->qtype == TYPE_ANY) &&
           name_equal_fold(rr->owner, &r->link[r->n_links]);
}

/* Does it say whether the name has such records? */
static bool is_answer(const struct message *m)
{
    return m->rcode == RCODE_NOERROR || m->rcode == RCODE_NXDOMAIN;
}

/* From QNAME on, but not beyond a link that leads away; what lies at the end is counted. Of several
 * CNAMEs at one name, which RFC 2181 10.1 forbids, the first counts and the others go. A question
 * for CNAME, ANY or RRSIG is answered at QNAME. */
static int follow_chain(struct reader *r)
{
    uint16_t qtype = r->m->qtype;
    bool follows = qtype != TYPE_CNAME && qtype != TYPE_ANY && qtype != TYPE_RRSIG;
    struct name *end = r->link;
    struct rr_walk w;

    *end = r->m->qname;
    r->is_cut = false;
    r->n_links = r->n_set = 0;
    rr_walk_records(&w, r->m, r->wire, r->len);
    while (rr_walk_next(&w) && w.rr.section == SECTION_ANSWER) {
        if (!is_of_interest(r, &w.rr))
            continue;
        if (is_of_set(r, &w.rr) && (r->n_set++ == 0 || w.rr.ttl < r->set_ttl))
            r->set_ttl = w.rr.ttl;
        if (!follows || w.rr.type != TYPE_CNAME || !name_equal_fold(w.rr.owner, end))
            continue;
        if (r->n_links == REPLY_MAX_CHAIN)
            return -ELOOP;
        r->link_pos[r->n_links++] = w.rr.pos;
        name_read_at(r, w.rr.rdata_pos, ++end);
        for (int i = 0; i < r->n_links; i++)
            if (name_equal(&r->link[i], end))
                return -ELOOP;
        r->n_set = 0;
        if (r->wanted->leads_away && is_answer(r->m) &&
            r->wanted->leads_away(r->wanted->context, end)) {
            r->is_cut = true;
            return 0;
        }
        rr_walk_records(&w, r->m, r->wire, r->len);
    }
    return 0;
}

static void zone_add(struct reader *r, const struct name *zone)
{
    for (int i = 0; i < r->n_zones; i++)
        if (name_equal_fold(&r->zone[i], zone))
            return;
    if (r->n_zones < MAX_ZONES)
        r->zone[r->n_zones++] = *zone;
}

/* Does a record that stays name it, so that its addresses may come along? `add`: one does.
 * Who finds another name of equal hash could have named that one, too: so no secret. */
static bool is_named(struct reader *r, struct name name, bool add)
{
    static const struct hash_key key;
    uint64_t hash;

    name_fold(&name);
    hash = hash_bytes(&key, name.data, name.len);
    for (int i = 0; i < r->n_named; i++)
        if (r->named[i] == hash)
            return true;
    if (add && r->n_named < MAX_NAMED)
        r->named[r->n_named++] = hash;
    return false;
}

/* A CNAME that was followed, or a signature at its name; a DNAME above one of the names or
 * above the end. type: what a signature covers, or the record's own. */
static bool is_of_chain(const struct reader *r, const struct rr *rr, uint16_t type)
{
    bool is_signature = type == TYPE_CNAME && type != rr->type;

    for (int i = 0; i <= r->n_links - r->is_cut; i++) {
        const struct name *link = &r->link[i];

        if (type == TYPE_DNAME && link->len > rr->owner->len && name_is_under(link, rr->owner))
            return true;
        if (i < r->n_links &&
            (r->link_pos[i] == rr->pos || (is_signature && name_equal_fold(link, rr->owner))))
            return true;
    }
    return false;
}

/* SOA, NS and DS above the question or the end; a SOA makes its zone known. Beside an answer nobody
 * needs them: what ends before the answer goes. RFC 2308 5: a denial lives as long as the smaller
 * of the SOA's TTL and its MINIMUM, the last octets of RDATA. */
static bool authority_belongs(struct reader *r, const struct rr *rr, uint16_t type)
{
    bool of_end = name_is_under(&r->link[r->n_links], rr->owner);
    struct reply_facts *f = r->facts;
    uint32_t minimum;

    r->has_soa = r->has_soa || rr->type == TYPE_SOA;
    if ((type != TYPE_SOA && type != TYPE_NS && type != TYPE_DS) ||
        (!of_end && !name_is_under(&r->m->qname, rr->owner)) || (r->n_set > 0 && rr->ttl < f->ttl))
        return false;
    r->has_ns = r->has_ns || rr->type == TYPE_NS;
    if (rr->type != TYPE_SOA)
        return true;
    zone_add(r, rr->owner);
    minimum = bytes_u32(r->wire + rr->rdata_pos + rr->rdlength - 4);
    f->has_soa = f->has_soa || of_end;
    if (of_end && r->n_set == 0 && minimum < f->ttl)
        f->ttl = minimum;
    return true;
}

/* Does the record stay, in this part of the image? What follows from it is noted. */
static bool belongs(struct reader *r, const struct rr *rr, enum part part)
{
    /* How many octets, and one, stand before the name of a target. */
    static const uint8_t behind[] = {
        [TYPE_NS] = 1, [TYPE_MX] = 3, [TYPE_SRV] = 7, [TYPE_SVCB] = 3, [TYPE_HTTPS] = 3};
    bool is_rrsig = rr->type == TYPE_RRSIG && r->m->qtype != TYPE_RRSIG, stays = false;
    uint16_t type = is_rrsig ? bytes_u16(r->wire + rr->rdata_pos) : rr->type;
    bool is_signature =
        is_rrsig && type == r->m->qtype && name_equal_fold(rr->owner, &r->link[r->n_links]);
    struct name name;

    if (!is_of_interest(r, rr))
        return false;
    /* Addresses are a help and no part of the answer: those that would end before it go, so
     * that neither a dead address is handed out nor the answer asked for anew. */
    if (part == PART_ADDITIONAL)
        return (type == TYPE_A || type == TYPE_AAAA) && rr->ttl >= r->facts->ttl &&
               is_named(r, *rr->owner, false);
    if (part == PART_CHAIN)
        stays = !is_signature && !is_of_set(r, rr) && is_of_chain(r, rr, type);
    else if (part == PART_SET)
        stays = r->n_set > 0 && is_of_set(r, rr);
    else if (part == PART_SIGNATURES)
        stays = is_signature && !is_of_set(r, rr); /* with ANY, of a type ANY */
    else if (part == PART_AUTHORITY)
        stays = authority_belongs(r, rr, type);
    else if (type == TYPE_NSEC || type == TYPE_NSEC3)
        for (int z = 0; z < r->n_zones && !stays; z++)
            stays = name_is_under(rr->owner, &r->zone[z]);
    if (!stays)
        return false;
    if (rr->type < ARRAY_LEN(behind) && behind[rr->type] != 0) { /* it has a target */
        name_read_at(r, rr->rdata_pos + behind[rr->type] - 1u, &name);
        if (rr->type >= TYPE_SVCB && name.labels == 0)
            name = *rr->owner; /* there the root means the owner (RFC 9460 2.5) */
        (void)is_named(r, name, true);
    }
    /* The zone of an answer's signer is known, if the owner can be in it. */
    if (is_rrsig && part < PART_AUTHORITY) {
        name_read_at(r, rr->rdata_pos + 18u, &name);
        if (name_is_under(rr->owner, &name))
            zone_add(r, &name);
    }
    /* The image lives as long as the first of its records to end. */
    if (rr->ttl < r->facts->ttl)
        r->facts->ttl = rr->ttl;
    r->facts->has_rrsig = r->facts->has_rrsig || rr->type == TYPE_RRSIG;
    return true;
}

/* apart: nothing points into the answered RRset, where it may be rotated then. */
static int image_write(struct reader *r, bool apart, uint8_t *out, size_t size, size_t *len)
{
    const struct message *m = r->m;
    uint16_t flags = (uint16_t)(DNS_QR | DNS_RA | DNS_RD | (m->flags & (DNS_AD | 15)));
    struct rewrite rewrite;
    struct rr_walk w;

    *r->facts = (struct reply_facts){.rcode = m->rcode,
                                     .ttl = UINT32_MAX,
                                     .has_cname = r->n_links > 0,
                                     .rotates = apart,
                                     .end = r->link[r->n_links]};
    r->n_zones = r->n_named = 0;
    r->has_ns = r->has_soa = false;
    rewrite_begin(&rewrite, out, size, flags, m);
    for (enum part part = PART_CHAIN; part <= (r->is_cut ? PART_CHAIN : PART_ADDITIONAL); part++) {
        bool of_set = part == PART_SET && m->qtype != TYPE_ANY;
        enum section section = sections[part];

        if (m->counts[1 + section] == 0)
            continue;
        rewrite.apart = of_set && r->facts->rotates;
        rr_walk_records(&w, m, r->wire, r->len);
        while (rr_walk_next(&w) && w.rr.section <= section)
            if (w.rr.section == section && belongs(r, &w.rr, part) &&
                !rewrite_put(&rewrite, r->wire, &w.rr, of_set ? r->set_ttl : w.rr.ttl))
                return -ENOSPC;
    }
    *len = rewrite.w.len;
    return rewrite.w.full ? -ENOSPC : 0;
}

int reply_read(struct message *m, const uint8_t *wire, size_t len,
               const struct reply_wanted *wanted, uint8_t *out, size_t size, size_t *image_len,
               struct reply_facts *f)
{
    struct reader r;
    bool apart, contradicts;
    int rc;

    if ((m->flags & (DNS_QR | DNS_TC)) != DNS_QR || m->opcode != OPCODE_QUERY ||
        message_read_records(m, wire, len) != 0)
        return -EBADMSG;
    r.wire = wire;
    r.len = len;
    r.m = m;
    r.wanted = wanted;
    r.facts = f;
    if (follow_chain(&r) != 0)
        return -ELOOP;
    if (r.is_cut) { /* nor what becomes of it */
        m->flags &= (uint16_t)~15;
        m->rcode = RCODE_NOERROR;
    }
    /* A name that does not exist has no records, whoever sends some. */
    contradicts = m->rcode == RCODE_NXDOMAIN && r.n_set > 0;
    if (contradicts)
        r.n_set = 0;
    /* Not where two sets may be of one type: ANY, and DNAME with one above the name. */
    apart = r.n_set > 1 && m->qtype != TYPE_ANY && m->qtype != TYPE_DNAME;
    rc = image_write(&r, apart, out, size, image_len);
    if (apart && strchr(rdata_layout(m->qtype, m->qclass), 'n') &&
        (rc != 0 || *image_len > DNS_UDP_PLAIN))
        rc = image_write(&r, false, out, size, image_len);
    if (m->rcode == RCODE_NXDOMAIN)
        f->kind = REPLY_NXDOMAIN;
    else if (m->rcode != RCODE_NOERROR)
        f->kind = REPLY_FAILURE;
    else if (r.n_set > 0)
        f->kind = REPLY_POSITIVE;
    else if (r.n_links > 0)
        f->kind = f->has_soa ? REPLY_NODATA : REPLY_CNAME;
    else
        f->kind =
            r.has_ns && !r.has_soa && (m->flags & DNS_AA) == 0 ? REPLY_REFERRAL : REPLY_NODATA;
    f->cacheable = f->kind == REPLY_POSITIVE || f->kind == REPLY_NODATA ||
                   (f->kind == REPLY_NXDOMAIN && !contradicts);
    return rc;
}

static bool put_records(struct rewrite *r, const uint8_t *image, size_t len, bool answers_only)
{
    struct rr_walk w;

    r->last_from = 0; /* it led to a place in another message */
    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w))
        if ((!answers_only || w.rr.section == SECTION_ANSWER) &&
            !rewrite_put(r, image, &w.rr, w.rr.ttl))
            return false;
    return !w.c.bad;
}

size_t reply_join(const uint8_t *chain, size_t chain_len, const uint8_t *end, size_t end_len,
                  uint8_t *out, size_t size)
{
    struct message m;
    struct rewrite r;

    if (message_read_head(&m, chain, chain_len) != 0)
        return 0;
    if (end) /* AD only if both have it */
        m.flags = dns_flags(end, end_len) & (m.flags | (uint16_t)~DNS_AD);
    rewrite_begin(&r, out, size, m.flags, &m);
    if (!put_records(&r, chain, chain_len, true) ||
        (end != NULL && !put_records(&r, end, end_len, false)) || r.w.full)
        return 0;
    return r.w.len;
}

static bool is_srv(const struct rr *rr)
{
    return rr->section == SECTION_ANSWER && rr->type == TYPE_SRV && rr->class == CLASS_IN;
}

int srv_read(const uint8_t *image, size_t len, struct srv out[SRV_MAX])
{
    struct rr_walk w;
    int n = 0;

    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w)) {
        struct cursor c = cursor_make(image, len);
        struct srv *s = &out[n];

        if (!is_srv(&w.rr) || n++ >= SRV_MAX)
            continue;
        (void)cursor_take(&c, w.rr.rdata_pos);
        s->priority = cursor_u16(&c);
        s->weight = cursor_u16(&c);
        s->port = cursor_u16(&c);
        name_read(&c, &s->target);
        name_fold(&s->target);
        s->is_public = false;
    }
    return w.c.bad ? -EBADMSG : n;
}

size_t srv_filter(const uint8_t *image, size_t len, const struct srv *srv, int n, const bool *drop,
                  uint8_t *out, size_t size)
{
    struct message m;
    struct rewrite r;
    struct rr_walk w;
    int i = 0;

    if (message_read_head(&m, image, len) != 0)
        return 0;
    rewrite_begin(&r, out, size, m.flags & (uint16_t)~DNS_AD, &m);
    rr_walk_records(&w, &m, image, len);
    while (rr_walk_next(&w)) {
        bool goes = false, stays = false;

        r.apart = is_srv(&w.rr); /* what is left may be rotated as before */
        if (r.apart && i < n)
            goes = drop[i++];
        /* A signature over the whole set says nothing of what is left of it. */
        if (w.rr.section == SECTION_ANSWER && w.rr.type == TYPE_RRSIG)
            goes = bytes_u16(image + w.rr.rdata_pos) == TYPE_SRV;
        /* The target of records that go, and of none that stays? */
        for (int k = 0; k < n && w.rr.section == SECTION_ADDITIONAL; k++)
            if (name_equal_fold(w.rr.owner, &srv[k].target)) {
                goes = goes || drop[k];
                stays = stays || !drop[k];
            }
        if ((!goes || stays) && !rewrite_put(&r, image, &w.rr, w.rr.ttl))
            return 0;
    }
    return r.w.full || w.c.bad ? 0 : r.w.len;
}
