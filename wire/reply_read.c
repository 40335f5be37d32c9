/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply_read.c -- what a reply says, and its image.
 *
 *   collect      every record is checked and gets an item
 *   chain        CNAMEs from QNAME on, in whatever order they were sent
 *   answers      the chain, DNAMEs above it, what lies at its end
 *   authority    SOA, NS, DS above QNAME or the end; then NSEC and NSEC3 of a
 *                zone that is known from a SOA or from a signature that stays
 *   additional   addresses of names that a record kept above names
 *   image        what stays is written anew
 *
 * The sender chooses every name and number here. So each table is bounded,
 * owners are compared by their place first, and nothing is quadratic in the
 * number of records.
 */
#include "wire/reply_read.h"

#include <errno.h>

#include "wire/rewrite.h"

enum { MAX_ZONES = 8, MAX_WANTED = 64, MAX_CNAMES = 64 };

/* The order of an image. */
enum rank { RANK_CHAIN, RANK_SET, RANK_REST };

struct item {
    struct rr rr;   /* its owner is not valid any more */
    uint16_t type;  /* of an RRSIG the type that it covers, unless RRSIG was asked for */
    uint16_t owner; /* where the owner's name begins; equal: the same name */
    bool in_class;  /* class as asked, neither OPT nor TSIG */
    bool is_rrsig;
    bool keep;
    uint8_t rank; /* enum rank; SET: a record of the answered RRset */
};

struct reader {
    const uint8_t *wire; /* borrowed */
    size_t len;
    const struct message *m;
    bool dnssec; /* the question had DO */
    struct reply_facts *facts;
    struct item item[REPLY_MAX_RRS];
    int n;
    int n_set;                             /* records of the answered RRset */
    uint32_t set_ttl;                      /* its smallest TTL */
    struct name link[REPLY_MAX_CHAIN + 1]; /* QNAME, then each target; folded */
    int n_links;                           /* CNAMEs followed; link[n_links] is the end */
    int cname[MAX_CNAMES], n_cnames;       /* items; CNAMEs of the answer section */
    struct name zone[MAX_ZONES];           /* whose NSEC and NSEC3 may stay */
    int n_zones;
    struct name wanted[MAX_WANTED]; /* named by a record that stays */
    uint32_t wanted_hash[MAX_WANTED];
    int n_wanted;
    uint16_t owner_pos; /* the owner read last, and where it begins */
    struct name owner;
};

/* The name at an offset of the message, folded. */
static void name_read_at(const struct reader *r, size_t pos, struct name *out)
{
    struct cursor c = cursor_make(r->wire, r->len);

    (void)cursor_take(&c, pos);
    name_read(&c, out);
    name_fold(out);
}

static const struct name *owner_of(struct reader *r, const struct item *item)
{
    if (item->owner == DNS_HEADER)
        return &r->m->qname;
    if (item->owner != r->owner_pos) {
        name_read_at(r, item->owner, &r->owner);
        r->owner_pos = item->owner;
    }
    return &r->owner;
}

static int collect(struct reader *r, struct message *m)
{
    bool too_many = false;
    struct rr_walk w;
    struct rr rr;

    rr_walk_init(&w, r->wire, r->len);
    while (rr_walk_next(&w, &rr)) {
        /* these are only for those that ask for them (RFC 4035 3.2.1) */
        bool is_dnssec = rr.type == TYPE_RRSIG || rr.type == TYPE_NSEC || rr.type == TYPE_NSEC3;
        uint16_t first = bytes_u16(r->wire + rr.pos);
        struct item *item = &r->item[r->n];

        if (!message_note_record(m, r->wire, &rr))
            return -EBADMSG;
        if (r->n == REPLY_MAX_RRS) {
            too_many = true;
            continue;
        }
        *item = (struct item){.rr = rr, .type = rr.type, .owner = rr.pos, .rank = RANK_REST};
        item->in_class = rr.class == m->qclass && rr.type != TYPE_OPT && rr.type != TYPE_TSIG &&
                         (!is_dnssec || r->dnssec || m->qtype == rr.type || m->qtype == TYPE_ANY);
        if (first >= 0xc000)
            item->owner = first & 0x3fff;
        if (rr.type == TYPE_RRSIG && m->qtype != TYPE_RRSIG) {
            item->type = bytes_u16(r->wire + rr.rdata_pos);
            item->is_rrsig = true;
        }
        if (rr.type == TYPE_CNAME && rr.section == SECTION_ANSWER && item->in_class) {
            if (r->n_cnames < MAX_CNAMES)
                r->cname[r->n_cnames++] = r->n;
            else
                too_many = true;
        }
        r->n++;
    }
    return w.c.bad ? -EBADMSG : too_many ? -ELOOP : 0;
}

/* Of several CNAMEs at one name, which RFC 2181 10.1 forbids, the first counts
 * and the others go. A question for CNAME, ANY or RRSIG is answered at QNAME. */
static int follow_chain(struct reader *r)
{
    uint16_t qtype = r->m->qtype;
    struct item *item;

    r->link[0] = r->m->qname;
    if (qtype == TYPE_CNAME || qtype == TYPE_ANY || qtype == TYPE_RRSIG)
        return 0;
    for (;;) {
        int i = 0;

        while (i < r->n_cnames &&
               (r->item[r->cname[i]].keep ||
                !name_equal_fold(owner_of(r, &r->item[r->cname[i]]), &r->link[r->n_links])))
            i++;
        if (i == r->n_cnames)
            return 0;
        if (r->n_links == REPLY_MAX_CHAIN)
            return -ELOOP;
        item = &r->item[r->cname[i]];
        item->keep = true;
        name_read_at(r, item->rr.rdata_pos, &r->link[++r->n_links]);
        for (i = 0; i < r->n_links; i++)
            if (name_equal(&r->link[i], &r->link[r->n_links]))
                return -ELOOP;
    }
}

static void zone_add(struct reader *r, const struct name *zone)
{
    for (int i = 0; i < r->n_zones; i++)
        if (name_equal(&r->zone[i], zone))
            return;
    if (r->n_zones < MAX_ZONES)
        r->zone[r->n_zones++] = *zone;
}

static bool is_wanted(const struct reader *r, const struct name *name, uint32_t hash)
{
    for (int i = 0; i < r->n_wanted; i++)
        if (r->wanted_hash[i] == hash && name_equal(&r->wanted[i], name))
            return true;
    return false;
}

/* The name that a record names, whose addresses may come along. */
static void want_target(struct reader *r, const struct item *item)
{
    bool is_svcb = item->type == TYPE_SVCB || item->type == TYPE_HTTPS;
    size_t skip = item->type == TYPE_SRV ? 6 : item->type == TYPE_NS ? 0 : 2;
    struct name target;
    uint32_t hash;

    if (item->is_rrsig ||
        (item->type != TYPE_NS && item->type != TYPE_MX && item->type != TYPE_SRV && !is_svcb))
        return;
    name_read_at(r, item->rr.rdata_pos + skip, &target);
    if (is_svcb && target.labels == 0)
        target = *owner_of(r, item); /* there the root means the owner (RFC 9460 2.5) */
    hash = name_hash(&target);
    if (is_wanted(r, &target, hash) || r->n_wanted == MAX_WANTED)
        return;
    r->wanted_hash[r->n_wanted] = hash;
    r->wanted[r->n_wanted++] = target;
}

/* The image lives as long as the first of its records to end. */
static void keep(struct reader *r, struct item *item)
{
    item->keep = true;
    if (item->rr.ttl < r->facts->ttl)
        r->facts->ttl = item->rr.ttl;
    if (item->rr.type == TYPE_RRSIG)
        r->facts->has_rrsig = true;
}

/* Is it a link of the chain; or, `above`, a name above one of them or above the end? */
static bool is_of_chain(const struct reader *r, const struct name *owner, bool above)
{
    for (int i = 0; i < r->n_links + above; i++)
        if (above ? r->link[i].len > owner->len && name_is_under(&r->link[i], owner)
                  : name_equal(&r->link[i], owner))
            return true;
    return false;
}

static void answer_item(struct reader *r, struct item *item)
{
    const struct name *owner = owner_of(r, item);
    uint16_t qtype = r->m->qtype;
    bool at_end =
        (qtype == TYPE_ANY || item->type == qtype) && name_equal(owner, &r->link[r->n_links]);

    if (at_end && (!item->is_rrsig || qtype == TYPE_ANY)) {
        item->rank = RANK_SET;
        if (r->n_set++ == 0 || item->rr.ttl < r->set_ttl)
            r->set_ttl = item->rr.ttl;
    } else if (!at_end) {
        item->rank = RANK_CHAIN;
        if (!item->keep &&
            !(item->type == TYPE_CNAME && item->is_rrsig && is_of_chain(r, owner, false)) &&
            !(item->type == TYPE_DNAME && is_of_chain(r, owner, true)))
            return;
    }
    keep(r, item);
    want_target(r, item);
    if (item->is_rrsig) { /* it makes the signer's zone known, if that can be the owner's */
        struct name signer;

        name_read_at(r, item->rr.rdata_pos + 18u, &signer);
        if (name_is_under(owner, &signer))
            zone_add(r, &signer);
    }
}

/* SOA, NS and DS above the question or the end; a SOA makes its zone known.
 * Beside an answer nobody needs them: what ends before the answer goes. RFC 2308 5:
 * a denial lives as long as the smaller of the SOA's TTL and its MINIMUM, the last
 * octets of RDATA. */
static void authority_item(struct reader *r, struct item *item)
{
    const struct name *owner = owner_of(r, item);
    bool of_end = name_is_under(&r->link[r->n_links], owner);
    uint32_t minimum;

    if ((!of_end && !name_is_under(&r->m->qname, owner)) ||
        (r->n_set > 0 && item->rr.ttl < r->facts->ttl))
        return;
    keep(r, item);
    want_target(r, item);
    if (item->type != TYPE_SOA || item->is_rrsig)
        return;
    zone_add(r, owner);
    if (!of_end)
        return;
    r->facts->has_soa = true;
    minimum = bytes_u32(r->wire + item->rr.rdata_pos + item->rr.rdlength - 4);
    if (r->n_set == 0 && minimum < r->facts->ttl)
        r->facts->ttl = minimum;
}

/* Marks what stays, section by section. */
static void mark(struct reader *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->item[i].in_class && r->item[i].rr.section == SECTION_ANSWER)
            answer_item(r, &r->item[i]);
    for (int i = 0; i < r->n; i++) {
        struct item *item = &r->item[i];

        if (item->in_class && item->rr.section == SECTION_AUTHORITY &&
            (item->type == TYPE_SOA || item->type == TYPE_NS || item->type == TYPE_DS))
            authority_item(r, item);
    }
    for (int i = 0; i < r->n; i++) {
        struct item *item = &r->item[i];
        bool is_proof = item->rr.section == SECTION_AUTHORITY &&
                        (item->type == TYPE_NSEC || item->type == TYPE_NSEC3);
        const struct name *owner;

        for (int z = 0; item->in_class && is_proof && z < r->n_zones && !item->keep; z++)
            if (name_is_under(owner_of(r, item), &r->zone[z]))
                keep(r, item);
        /* Addresses are a help and no part of the answer: those that would end before
         * it go, so that neither a dead address is handed out nor the answer asked for
         * anew. All records of the sections before are known by now. */
        if (!item->in_class || item->rr.section != SECTION_ADDITIONAL || r->n_wanted == 0 ||
            (item->type != TYPE_A && item->type != TYPE_AAAA) || item->rr.ttl < r->facts->ttl)
            continue;
        owner = owner_of(r, item);
        item->keep = is_wanted(r, owner, name_hash(owner));
    }
}

static enum reply_kind kind_of(const struct reader *r)
{
    bool ns = false, soa = false;

    if (r->m->rcode == RCODE_NXDOMAIN)
        return REPLY_NXDOMAIN;
    if (r->m->rcode != RCODE_NOERROR)
        return REPLY_FAILURE;
    if (r->n_set > 0)
        return REPLY_POSITIVE;
    if (r->n_links > 0)
        return r->facts->has_soa ? REPLY_NODATA : REPLY_CNAME;
    for (int i = 0; i < r->n; i++) {
        const struct item *item = &r->item[i];

        if (item->rr.section != SECTION_AUTHORITY)
            continue;
        ns = ns || (item->keep && item->rr.type == TYPE_NS);
        soa = soa || item->rr.type == TYPE_SOA;
    }
    return ns && !soa && (r->m->flags & DNS_AA) == 0 ? REPLY_REFERRAL : REPLY_NODATA;
}

static int image_write(const struct reader *r, bool apart, uint8_t *out, size_t size, size_t *len)
{
    const struct message *m = r->m;
    uint16_t flags = (uint16_t)(DNS_QR | DNS_RA | DNS_RD | (m->flags & (DNS_AD | 15)));
    struct rewrite rewrite;

    rewrite_begin(&rewrite, out, size, flags, &m->qname, m->qtype, m->qclass);
    for (int rank = RANK_CHAIN; rank <= RANK_REST; rank++) {
        bool of_set = rank == RANK_SET && m->qtype != TYPE_ANY;

        rewrite.apart = apart && of_set;
        for (int i = 0; i < r->n; i++) {
            const struct item *item = &r->item[i];

            if (item->keep && item->rank == rank &&
                !rewrite_put(&rewrite, r->wire, r->len, &item->rr,
                             of_set ? r->set_ttl : item->rr.ttl))
                return -ENOSPC;
        }
    }
    *len = rewrite_end(&rewrite);
    return rewrite.w.full ? -ENOSPC : 0;
}

int reply_read(struct message *m, const uint8_t *wire, size_t len, bool dnssec, uint8_t *out,
               size_t size, size_t *image_len, struct reply_facts *f)
{
    struct reader r;
    int rc;

    if ((m->flags & (DNS_QR | DNS_TC)) != DNS_QR || m->opcode != OPCODE_QUERY)
        return -EBADMSG;
    r.wire = wire;
    r.len = len;
    r.m = m;
    r.dnssec = dnssec;
    r.facts = f;
    r.n = r.n_set = r.n_links = r.n_cnames = r.n_zones = r.n_wanted = 0;
    r.owner_pos = 0;
    if ((rc = collect(&r, m)) != 0 || (rc = follow_chain(&r)) != 0)
        return rc;
    *f = (struct reply_facts){
        .rcode = m->rcode, .ttl = UINT32_MAX, .has_cname = r.n_links > 0, .end = r.link[r.n_links]};
    mark(&r);
    f->kind = kind_of(&r);
    f->cacheable = f->kind == REPLY_POSITIVE || f->kind == REPLY_NODATA ||
                   (f->kind == REPLY_NXDOMAIN && r.n_set == 0);
    /* Not where two sets may be of one type: ANY, and DNAME with one above the name. */
    f->rotates = r.n_set > 1 && m->qtype != TYPE_ANY && m->qtype != TYPE_DNAME;
    rc = image_write(&r, f->rotates, out, size, image_len);
    if (!f->rotates || strchr(rdata_layout(m->qtype, m->qclass), 'n') == NULL ||
        (rc == 0 && *image_len <= DNS_UDP_PLAIN))
        return rc;
    f->rotates = false;
    return image_write(&r, false, out, size, image_len);
}

static bool put_records(struct rewrite *r, const uint8_t *image, size_t len, bool answers_only)
{
    struct rr_walk w;
    struct rr rr;

    r->last_from = 0; /* it led to a place in another message */
    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w, &rr))
        if ((!answers_only || rr.section == SECTION_ANSWER) &&
            !rewrite_put(r, image, len, &rr, rr.ttl))
            return false;
    return !w.c.bad;
}

size_t reply_join(const uint8_t *chain, size_t chain_len, const uint8_t *end, size_t end_len,
                  uint8_t *out, size_t size)
{
    uint16_t flags = dns_flags(chain, chain_len);
    struct message m;
    struct rewrite r;

    if (message_read_head(&m, chain, chain_len) != 0)
        return 0;
    if (end != NULL) /* AD only if both have it */
        flags = dns_flags(end, end_len) & (flags | (uint16_t)~DNS_AD);
    rewrite_begin(&r, out, size, flags, &m.qname, m.qtype, m.qclass);
    if (!put_records(&r, chain, chain_len, true) ||
        (end != NULL && !put_records(&r, end, end_len, false)) || r.w.full)
        return 0;
    return rewrite_end(&r);
}
