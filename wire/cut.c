/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cut.c -- which records of a reply answer its question.
 *
 *   collect      every record is checked and gets an item
 *   chain        CNAMEs from QNAME on, in whatever order they were sent
 *   answers      the chain, DNAMEs above it, what lies at its end
 *   authority    SOA, NS, DS above QNAME or the end; then NSEC and NSEC3 of a
 *                zone that is known from a SOA or from a signature that stays
 *   additional   addresses of names that a record kept above names
 *
 * The sender chooses every name and number here. So each table is bounded,
 * owners are compared by their place first, and nothing is quadratic in the
 * number of records.
 */
#include "wire/cut.h"

#include <errno.h>

static const struct name *item_owner(struct cut *c, const struct cut_item *item)
{
    struct cursor at;

    if (item->owner == DNS_HEADER)
        return &c->m->qname;
    if (item->owner != c->cached_at) {
        at = cursor_make(c->wire, c->len);
        (void)cursor_take(&at, item->owner);
        name_read(&at, &c->cached);
        name_fold(&c->cached);
        c->cached_at = item->owner;
    }
    return &c->cached;
}

static uint32_t item_ttl(const struct cut *c, const struct cut_item *item)
{
    struct cursor at = cursor_make(c->wire, c->len);
    uint32_t ttl;

    (void)cursor_take(&at, (size_t)item->rdata_at - 6);
    ttl = cursor_u32(&at);
    return (ttl & 0x80000000u) != 0 ? 0 : ttl;
}

/* The name at `skip` octets inside RDATA, folded. */
static void item_name(const struct cut *c, const struct cut_item *item, size_t skip,
                      struct name *out)
{
    struct cursor at = cursor_make(c->wire, c->len);

    (void)cursor_take(&at, item->rdata_at + skip);
    name_read(&at, out);
    name_fold(out);
}

/* An owner that was written out must be written anew when it is QNAME (the
 * client's case belongs there) or has capitals (which may be those of our own
 * random case). */
static bool owner_is_plain(const struct cut *c, const struct rr *rr)
{
    struct name folded = rr->owner;

    if (c->wire[rr->at] >= 0xc0)
        return true;
    name_fold(&folded);
    return name_equal(&folded, &rr->owner) && !name_equal(&folded, &c->m->qname);
}

/* Only for those that ask for it (RFC 4035 3.2.1). */
static bool is_dnssec(uint16_t type)
{
    return type == TYPE_RRSIG || type == TYPE_NSEC || type == TYPE_NSEC3;
}

static void item_make(struct cut *c, struct cut_item *item, const struct rr *rr)
{
    struct cursor at = cursor_make(c->wire, c->len);
    uint16_t first;

    *item = (struct cut_item){.rdata_at = rr->rdata_at,
                              .type = rr->type,
                              .owner = rr->at,
                              .section = (uint8_t)rr->section};
    item->in_class = rr->class == c->m->qclass && rr->type != TYPE_OPT && rr->type != TYPE_TSIG &&
                     (!is_dnssec(rr->type) || c->wants_dnssec || rr->type == c->m->qtype ||
                      c->m->qtype == TYPE_ANY);
    (void)cursor_take(&at, rr->at);
    first = cursor_u16(&at);
    if (first >= 0xc000)
        item->owner = first & 0x3fff;
    if (rr->type == TYPE_RRSIG && c->m->qtype != TYPE_RRSIG) {
        at = cursor_make(c->wire, c->len);
        (void)cursor_take(&at, rr->rdata_at);
        item->type = cursor_u16(&at);
        item->is_rrsig = true;
    }
}

static int collect(struct cut *c)
{
    size_t question_end = (size_t)DNS_HEADER + c->m->question_len;
    struct rr_walk w;
    struct rr rr;

    rr_walk_init(&w, c->m, c->wire, c->len);
    while (rr_walk_next(&w, &rr)) {
        struct cut_item *item = &c->item[c->n];

        if (c->n == REPLY_MAX_RRS)
            return -EBADMSG;
        item_make(c, item, &rr);
        if (rr.type == TYPE_CNAME && rr.section == SECTION_ANSWER && item->in_class) {
            if (c->n_cnames == CUT_MAX_CNAMES)
                return -EBADMSG;
            c->cname[c->n_cnames++] = c->n;
        }
        if (rr.type != TYPE_OPT &&
            (rr.expand || c->wire[rr.ttl_at] >= 0x80 || !owner_is_plain(c, &rr)))
            c->plain = false;
        c->n++;
    }
    /* Pointers into the question only: then no other octet of the message,
     * TTLs above all, is part of a name, and a copy ages without harm. */
    if (w.c.high >= question_end)
        c->plain = false;
    return w.c.bad ? -EBADMSG : 0;
}

/* True for types that a CNAME answers itself. */
static bool stops_at_cname(uint16_t qtype)
{
    return qtype == TYPE_CNAME || qtype == TYPE_ANY || qtype == TYPE_RRSIG;
}

static struct cut_item *cname_at(struct cut *c, const struct name *owner)
{
    for (int i = 0; i < c->n_cnames; i++) {
        struct cut_item *item = &c->item[c->cname[i]];

        if (!item->keep && name_equal_fold(item_owner(c, item), owner))
            return item;
    }
    return NULL;
}

/* Of several CNAMEs at one name, which RFC 2181 10.1 forbids, the first counts
 * and the others go. */
static int follow_chain(struct cut *c)
{
    c->link[0] = c->m->qname;
    if (stops_at_cname(c->m->qtype))
        return 0;
    for (;;) {
        struct cut_item *item = cname_at(c, &c->link[c->n_links]);

        if (item == NULL)
            return 0;
        if (c->n_links == REPLY_MAX_CHAIN)
            return -EBADMSG;
        item->keep = true;
        item_name(c, item, 0, &c->link[++c->n_links]);
        for (int i = 0; i < c->n_links; i++)
            if (name_equal(&c->link[i], &c->link[c->n_links]))
                return -EBADMSG;
    }
}

static void zone_add(struct cut *c, const struct name *zone)
{
    for (int i = 0; i < c->n_zones; i++)
        if (name_equal(&c->zone[i], zone))
            return;
    if (c->n_zones < CUT_MAX_ZONES)
        c->zone[c->n_zones++] = *zone;
}

static void wanted_add(struct cut *c, const struct name *name)
{
    uint32_t hash = name_hash(name);

    for (int i = 0; i < c->n_wanted; i++)
        if (c->wanted_hash[i] == hash && name_equal(&c->wanted[i], name))
            return;
    if (c->n_wanted < CUT_MAX_WANTED) {
        c->wanted_hash[c->n_wanted] = hash;
        c->wanted[c->n_wanted++] = *name;
    }
}

static bool is_wanted(const struct cut *c, const struct name *name)
{
    uint32_t hash = name_hash(name);

    for (int i = 0; i < c->n_wanted; i++)
        if (c->wanted_hash[i] == hash && name_equal(&c->wanted[i], name))
            return true;
    return false;
}

/* Names whose addresses may come along. */
static void wanted_from(struct cut *c, const struct cut_item *item)
{
    struct name target;

    if (item->is_rrsig)
        return;
    switch (item->type) {
    case TYPE_NS:
        item_name(c, item, 0, &target);
        break;
    case TYPE_MX:
    case TYPE_SVCB:
    case TYPE_HTTPS:
        item_name(c, item, 2, &target);
        break;
    case TYPE_SRV:
        item_name(c, item, 6, &target);
        break;
    default:
        return;
    }
    /* In SVCB and HTTPS the root means the owner (RFC 9460 2.5). */
    if (target.labels == 0 && (item->type == TYPE_SVCB || item->type == TYPE_HTTPS))
        target = *item_owner(c, item);
    wanted_add(c, &target);
}

/* The zone of a signature that stays, if it can be that of its owner. */
static void zone_from_rrsig(struct cut *c, const struct cut_item *item)
{
    struct name signer;

    item_name(c, item, 18, &signer);
    if (name_is_under(item_owner(c, item), &signer))
        zone_add(c, &signer);
}

static bool in_chain(const struct cut *c, const struct name *owner)
{
    for (int i = 0; i < c->n_links; i++)
        if (name_equal(&c->link[i], owner))
            return true;
    return false;
}

static bool above_chain(const struct cut *c, const struct name *owner)
{
    for (int i = 0; i <= c->n_links; i++)
        if (c->link[i].len > owner->len && name_is_under(&c->link[i], owner))
            return true;
    return false;
}

/* The image lives as long as the first of its records to end. */
static void lives_at_most(struct reply_facts *f, uint32_t ttl)
{
    if (ttl < f->ttl)
        f->ttl = ttl;
}

static void answer_item(struct cut *c, struct cut_item *item, struct reply_facts *f)
{
    const struct name *owner = item_owner(c, item), *end = &c->link[c->n_links];
    uint16_t qtype = c->m->qtype;
    uint32_t ttl = item_ttl(c, item);

    if ((qtype == TYPE_ANY || item->type == qtype) && name_equal(owner, end)) {
        item->keep = true;
        if (!item->is_rrsig || qtype == TYPE_ANY) {
            item->is_answer = true;
            if (f->n_answer++ > 0 && qtype != TYPE_ANY && ttl != c->answer_ttl)
                c->mixed_ttls = true;
            if (ttl < c->answer_ttl || f->n_answer == 1)
                c->answer_ttl = ttl;
        }
    } else if (item->type == TYPE_CNAME && item->is_rrsig) {
        item->keep = in_chain(c, owner);
    } else if (item->type == TYPE_DNAME) {
        item->keep = above_chain(c, owner);
    }
    if (!item->keep)
        return;
    lives_at_most(f, ttl);
    if (item->is_rrsig)
        zone_from_rrsig(c, item);
    if (item->is_rrsig || (item->type == TYPE_RRSIG && item->is_answer))
        f->has_rrsig = true;
    wanted_from(c, item);
}

/* RFC 2308 5: the smaller of the SOA's own TTL, which counts as any, and its
 * MINIMUM. */
static void negative_ttl(const struct cut *c, const struct cut_item *soa, struct reply_facts *f)
{
    struct cursor at = cursor_make(c->wire, c->len);
    uint32_t minimum;

    (void)cursor_take(&at, soa->rdata_at);
    name_skip(&at);
    name_skip(&at);
    (void)cursor_take(&at, 16);
    minimum = cursor_u32(&at);
    lives_at_most(f, minimum);
}

/* SOA, NS and DS above the question or the end; a SOA makes its zone known.
 * Beside an answer nobody needs them: what ends before the answer goes. */
static void authority_item(struct cut *c, struct cut_item *item, struct reply_facts *f)
{
    const struct name *owner = item_owner(c, item), *end = &c->link[c->n_links];
    bool of_end = name_is_under(end, owner);
    uint32_t ttl = item_ttl(c, item);

    if ((!of_end && !name_is_under(&c->m->qname, owner)) || (f->n_answer > 0 && ttl < f->ttl))
        return;
    item->keep = true;
    lives_at_most(f, ttl);
    wanted_from(c, item);
    if (item->type != TYPE_SOA || item->is_rrsig)
        return;
    zone_add(c, owner);
    if (of_end && f->n_answer == 0)
        negative_ttl(c, item, f);
    if (of_end)
        f->has_soa = true;
}

static void authority_proof(struct cut *c, struct cut_item *item, struct reply_facts *f)
{
    const struct name *owner = item_owner(c, item);

    for (int i = 0; i < c->n_zones && !item->keep; i++)
        item->keep = name_is_under(owner, &c->zone[i]);
    if (item->keep)
        lives_at_most(f, item_ttl(c, item));
}

static bool is_of(const struct cut_item *item, enum section section)
{
    return item->section == section && item->in_class;
}

enum cut_rank cut_rank(const struct cut *c, const struct cut_item *item)
{
    if (item->is_answer)
        return RANK_SET;
    if (item->section == SECTION_ANSWER && !(item->is_rrsig && item->type == c->m->qtype))
        return RANK_CHAIN;
    return RANK_REST; /* of the answer section: the signatures of the set */
}

static void mark_answers(struct cut *c, struct reply_facts *f)
{
    enum cut_rank last = RANK_CHAIN;

    f->ttl = UINT32_MAX;
    for (int i = 0; i < c->n; i++) {
        struct cut_item *item = &c->item[i];

        if (!is_of(item, SECTION_ANSWER))
            continue;
        answer_item(c, item, f);
        if (!item->keep)
            continue;
        if (cut_rank(c, item) < last)
            c->in_order = false;
        last = cut_rank(c, item);
    }
}

static void mark_authority(struct cut *c, struct reply_facts *f)
{
    for (int i = 0; i < c->n; i++) {
        struct cut_item *item = &c->item[i];

        if (is_of(item, SECTION_AUTHORITY) &&
            (item->type == TYPE_SOA || item->type == TYPE_NS || item->type == TYPE_DS))
            authority_item(c, item, f);
    }
    for (int i = 0; i < c->n; i++) {
        struct cut_item *item = &c->item[i];

        if (is_of(item, SECTION_AUTHORITY) && (item->type == TYPE_NSEC || item->type == TYPE_NSEC3))
            authority_proof(c, item, f);
        if (is_of(item, SECTION_AUTHORITY) && item->keep && item->is_rrsig)
            f->has_rrsig = true;
    }
}

/* Addresses are a help and no part of the answer: those that would end before
 * it go, so that neither a dead address is handed out nor the answer asked for
 * anew. */
static void mark_additional(struct cut *c, const struct reply_facts *f)
{
    for (int i = 0; i < c->n && c->n_wanted > 0; i++) {
        struct cut_item *item = &c->item[i];

        if (is_of(item, SECTION_ADDITIONAL) && (item->type == TYPE_A || item->type == TYPE_AAAA))
            item->keep = item_ttl(c, item) >= f->ttl && is_wanted(c, item_owner(c, item));
    }
}

int cut_read(struct cut *c, const struct message *m, bool wants_dnssec, const uint8_t *wire,
             size_t len, struct reply_facts *f)
{
    int rc;

    c->wire = wire;
    c->len = len;
    c->m = m;
    c->wants_dnssec = wants_dnssec;
    c->n = c->n_links = c->n_cnames = c->n_zones = c->n_wanted = 0;
    c->cached_at = 0;
    c->plain = c->in_order = true;
    c->mixed_ttls = false;
    c->answer_ttl = 0;
    if ((rc = collect(c)) != 0 || (rc = follow_chain(c)) != 0)
        return rc;
    mark_answers(c, f);
    mark_authority(c, f);
    mark_additional(c, f);
    f->end = c->link[c->n_links];
    f->has_cname = c->n_links > 0;
    return 0;
}
