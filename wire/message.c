/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.c -- reads messages strictly, and writes records of one into another.
 *
 * The hot path: every query comes through message_read_query(). The name of struct message is its
 * last field and is never cleared: it alone has 255 octets.
 *
 * When records are written anew, each suffix of a name that was written out has an entry, found by
 * a hash that is built from the root on, so one pass over a name gives the hashes of all its
 * suffixes. The hash has no key: a hit is compared, and the table is small.
 */
#include "wire/message.h"

#include <errno.h>

#include "base/addr.h"

/* clang-format off */
static const char *const layouts[] = {
    [TYPE_A] = "4",
    [TYPE_NS] = "n",
    [TYPE_CNAME] = "n",
    [TYPE_SOA] = "nn44444",
    [7] = "n", /* MB */
    [8] = "n", /* MG */
    [9] = "n", /* MR */
    [TYPE_PTR] = "n",
    [TYPE_HINFO] = "ss",
    [14] = "nn", /* MINFO */
    [TYPE_MX] = "2n",
    [TYPE_TXT] = "S",
    [17] = "NN", /* RP */
    [18] = "2N", /* AFSDB */
    [19] = "s", /* X25 */
    [20] = "sS", /* ISDN */
    [21] = "2N", /* RT */
    [24] = "2114442N*", /* SIG */
    [26] = "2NN", /* PX */
    [27] = "sss", /* GPOS */
    [TYPE_AAAA] = "88",
    [30] = "N*", /* NXT */
    [TYPE_SRV] = "222N",
    [TYPE_NAPTR] = "22sssN",
    [36] = "2N", /* KX */
    [TYPE_DNAME] = "N",
    [TYPE_RRSIG] = "2114442N*",
    [TYPE_NSEC] = "N*",
    [56] = "S", /* NINFO */
    [TYPE_SVCB] = "2P*",
    [TYPE_HTTPS] = "2P*",
    [99] = "S", /* SPF */
    [257] = "1s*", /* CAA */
    [258] = "S", /* AVC */
    [261] = "S", /* RESINFO */
    [262] = "S", /* WALLET */
    [263] = "S", /* CLA */
};
/* clang-format on */

int message_read_head(struct message *m, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);

    memset(m, 0, offsetof(struct message, qname.data) + 1);
    m->qname.len = 1;
    m->id = cursor_u16(&c);
    m->flags = cursor_u16(&c);
    for (int i = 0; i < 4; i++)
        m->counts[i] = cursor_u16(&c);
    m->opcode = (uint8_t)(m->flags >> 11 & 15);
    m->rcode = m->flags & 15;
    if (len > DNS_MAX_MESSAGE || m->counts[0] != 1)
        return -EBADMSG;
    name_read_plain(&c, &m->qname);
    m->qtype = cursor_u16(&c);
    m->qclass = cursor_u16(&c);
    m->question_len = c.bad ? 0 : (uint16_t)(m->qname.len + 4);
    return c.bad ? -EBADMSG : 0;
}

int message_read_records(struct message *m, const uint8_t *wire, size_t len)
{
    struct rr_walk w UNINITIALIZED;
    struct cursor c;

    rr_walk_records(&w, m, wire, len);
    while (rr_walk_next(&w)) {
        if (m->tsig)
            return -EBADMSG; /* it is the last record */
        if (w.rr.type != TYPE_OPT && w.rr.type != TYPE_TSIG)
            continue;
        if (w.rr.section != SECTION_ADDITIONAL)
            return -EBADMSG;
        m->tsig = w.rr.type == TYPE_TSIG;
        if (m->tsig)
            continue;
        if (m->edns.present || wire[w.rr.pos] != 0)
            return -EBADMSG;
        m->edns.present = true;
        m->edns.size = w.rr.class;
        m->edns.version = (uint8_t)(w.rr.ttl >> 16);
        m->edns.do_bit = (w.rr.ttl & 0x8000) != 0;
        m->opt_at = w.rr.pos;
        m->opt_len = (uint16_t)(w.rr.rdata_pos + w.rr.rdlength - w.rr.pos);
        m->rcode = (uint16_t)((w.rr.ttl >> 24) << 4 | (m->flags & 15));
        c = cursor_make(wire + w.rr.rdata_pos, w.rr.rdlength);
        while (cursor_left(&c) > 0) {
            uint16_t code = cursor_u16(&c), n = cursor_u16(&c);
            const uint8_t *value = cursor_take(&c, n);

            m->edns.keepalive = m->edns.keepalive || code == OPTION_KEEPALIVE;
            m->edns.nsid = m->edns.nsid || (code == OPTION_NSID && n == 0);
            if (UNLIKELY(code == OPTION_COOKIE && value && m->edns.cookie_len == 0)) {
                bool is_sound = n == COOKIE_CLIENT || (n >= 16 && n <= 40); /* RFC 7873 5.2.2 */

                m->edns.cookie_len = is_sound ? (uint8_t)n : COOKIE_UNSOUND;
                m->edns.cookie_at = is_sound ? (uint16_t)(value - wire) : 0;
            }
        }
        if (c.bad) /* the options do not fill it */
            return -EBADMSG;
    }
    return w.c.bad ? -EBADMSG : 0;
}

int message_read_query(struct message *m, const uint8_t *wire, size_t len)
{
    int rc = message_read_head(m, wire, len);
    bool is_bare;

    if (len < DNS_HEADER || len > DNS_MAX_MESSAGE || (m->flags & DNS_QR) != 0)
        return MESSAGE_IGNORE;
    if (m->opcode != OPCODE_QUERY && m->opcode != OPCODE_UPDATE) {
        m->question_len = 0; /* other opcodes mean something else by it */
        return RCODE_NOTIMP;
    }
    is_bare = m->opcode == OPCODE_QUERY && m->counts[0] == 0;
    if ((rc != 0 && !is_bare) || m->qclass == CLASS_ANY || m->qclass == CLASS_NONE ||
        message_read_records(m, wire, len) != 0)
        return RCODE_FORMERR;
    if (m->edns.version > 0)
        return RCODE_BADVERS;
    if (m->edns.cookie_len == COOKIE_UNSOUND || (is_bare && m->edns.cookie_at == 0))
        return RCODE_FORMERR;
    return RCODE_NOERROR;
}

int message_read_reply(struct message *m, const uint8_t *wire, size_t len)
{
    if (message_read_head(m, wire, len) != 0 || (m->flags & DNS_QR) == 0)
        return -EBADMSG;
    return message_read_records(m, wire, len);
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
    writer_u64(w, UINT64_C(1) << 48); /* one question, no records */
    writer_bytes(w, qname->data, qname->len);
    writer_u16(w, qtype);
    writer_u16(w, qclass);
}

void message_count(struct writer *w, enum section section)
{
    size_t pos = 6 + 2 * (size_t)section;

    if (!w->full)
        writer_patch_u16(w, pos, (uint16_t)(bytes_u16(w->start + pos) + 1));
}

const char *rdata_layout(uint16_t type, uint16_t class)
{
    if (type >= ARRAY_LEN(layouts) || layouts[type] == NULL)
        return "*";
    return class == CLASS_IN || (type != TYPE_A && type != TYPE_AAAA) ? layouts[type] : "*";
}

void rr_walk_records(struct rr_walk *w, const struct message *m, const uint8_t *wire, size_t len)
{
    struct message own UNINITIALIZED;
    bool bad = m == NULL && message_read_head(&own, wire, len) != 0;

    m = m ? m : &own;
    w->c = cursor_make(wire, len);
    (void)cursor_take(&w->c, (size_t)DNS_HEADER + m->question_len);
    w->c.bad = w->c.bad || bad;
    memcpy(w->left, m->counts + 1, sizeof w->left);
    w->section = 0;
    w->opaque = m->opcode == OPCODE_UPDATE;
    w->pointer = 0;
}

static uint16_t name_write(struct rewrite *, const struct name *);

/* Passes RDATA, c->pos to c->end, and writes it anew if r; c is bad when it is not laid out so. */
static void rdata_pass(struct cursor *c, const char *layout, struct rewrite *r)
{
    for (; *layout != '\0' && !c->bad; layout++) {
        const uint8_t *from = c->pos;
        struct name name UNINITIALIZED;
        bool compressed;

        switch (*layout) {
        case 'n':
        case 'N':
        case 'P':
            name_read(c, &name);
            compressed = (size_t)(c->pos - from) != name.len;
            c->bad = c->bad || (compressed && *layout == 'P');
            /* What was compressed and is written out is folded: its octets may be those of the
             * question, whose case is random (0x20) and must not be shown to the client. */
            if (compressed && *layout != 'n')
                name_fold(&name);
            if (r && *layout == 'n')
                (void)name_write(r, &name);
            else if (r)
                writer_bytes(&r->w, name.data, name.len);
            continue;
        case 's':
            (void)cursor_take(c, cursor_u8(c));
            break;
        case 'S':
            while (cursor_left(c) > 0)
                (void)cursor_take(c, cursor_u8(c));
            break;
        default:
            (void)cursor_take(c, *layout == '*' ? cursor_left(c) : (size_t)(*layout - '0'));
        }
        if (r)
            writer_bytes(&r->w, from, (size_t)(c->pos - from));
    }
    if (c->pos != c->end)
        c->bad = true;
}

bool rr_walk_next(struct rr_walk *w)
{
    struct rr *rr = &w->rr;
    struct cursor *c = &w->c;
    const uint8_t *fixed, *message_end = c->end;

    while (w->section < 3 && w->left[w->section] == 0)
        w->section++;
    if (w->section == 3 && c->pos != c->end)
        c->bad = true;
    if (w->section == 3 || c->bad)
        return false;
    rr->section = w->section;
    w->left[w->section]--;
    rr->pos = (uint16_t)(c->pos - c->start);
    rr->owner = &w->owner;
    rr->pointer = 0;
    if (cursor_left(c) >= 2 && c->pos[0] >= 0xc0)
        rr->pointer = bytes_u16(c->pos) & 0x3fff;
    if (rr->pointer != 0 && rr->pointer == w->pointer)
        c->pos += 2;
    else
        name_read(c, &w->owner);
    w->pointer = rr->pointer;
    fixed = cursor_take(c, 10);
    if (fixed == NULL)
        return false;
    rr->type = bytes_u16(fixed);
    rr->class = bytes_u16(fixed + 2);
    rr->ttl = bytes_u32(fixed + 4);
    if ((rr->ttl & 0x80000000u) != 0 && rr->type != TYPE_OPT)
        rr->ttl = 0;
    rr->rdlength = bytes_u16(fixed + 8);
    rr->rdata_pos = (uint16_t)(c->pos - c->start);
    if (cursor_take(c, rr->rdlength) == NULL)
        return false;
    c->end = c->pos; /* nothing inside may reach over RDLENGTH */
    c->pos -= rr->rdlength;
    rdata_pass(c, w->opaque ? "*" : rdata_layout(rr->type, rr->class), NULL);
    c->end = message_end;
    return !c->bad;
}

bool rr_address(const struct rr *rr, const uint8_t *wire, struct addr *out)
{
    const size_t len = rr->type == TYPE_A ? 4 : 16;

    if ((rr->type != TYPE_A && rr->type != TYPE_AAAA) || rr->rdlength != len)
        return false;
    *out = addr_from_octets(wire + rr->rdata_pos, len);
    return true;
}

/* Appends a name, its longest known suffix as a pointer, and remembers those that were not
 * known. Where the whole name may be pointed at from now on; 0 when nowhere. */
static uint16_t name_write(struct rewrite *r, const struct name *name)
{
    uint8_t label[NAME_MAX_LABELS];                  /* where each begins */
    uint32_t hash[NAME_MAX_LABELS], h = 2166136261u; /* FNV-1a, of the suffix from there on */
    size_t begin = r->w.len;
    unsigned skip = 0;
    uint16_t known = 0;

    name_labels(name, label);
    for (unsigned i = name->labels; i-- > 0;) {
        const uint8_t *octets = name->data + label[i];

        for (size_t k = 0; k <= octets[0]; k++)
            h = (h ^ name_fold_octet(octets[k])) * 16777619u;
        hash[i] = h;
    }
    while (skip < name->labels && known == 0) {
        for (unsigned i = 0; i < r->n && known == 0; i++) {
            const struct compress_entry *e = &r->entry[i];
            struct cursor c = cursor_make(r->w.start, r->w.len);
            struct name written;

            /* cppcheck-suppress uninitvar; the loop above filled a hash for each label */
            if (e->hash != hash[skip] || e->len != name->len - label[skip])
                continue;
            c.pos += e->pos;
            name_read(&c, &written);
            if (name_is_under(name, &written))
                known = e->pos;
        }
        skip += known == 0;
    }
    writer_bytes(&r->w, name->data, known != 0 ? label[skip] : name->len);
    if (known != 0)
        writer_u16(&r->w, 0xc000 | known);
    if (known != 0 && skip == 0)
        return known;
    if (r->w.full || r->apart || name->labels == 0 || begin >= POINTER_REACH)
        return 0;
    for (unsigned i = 0; i < skip && r->n < COMPRESS_MAX && begin + label[i] < POINTER_REACH; i++)
        r->entry[r->n++] = (struct compress_entry){hash[i], (uint16_t)(begin + label[i]),
                                                   (uint8_t)(name->len - label[i])};
    return (uint16_t)begin;
}

void rewrite_begin(struct rewrite *r, uint8_t *out, size_t size, uint16_t flags,
                   const struct message *m)
{
    r->w = writer_make(out, size);
    r->last_from = 0;
    r->apart = false;
    r->n = 0;
    message_begin(&r->w, 0, flags, &m->qname, m->qtype, m->qclass);
    r->w.len = DNS_HEADER; /* once more, to be remembered */
    (void)name_write(r, &m->qname);
    r->w.len += 4;
}

bool rewrite_put(struct rewrite *r, const uint8_t *wire, const struct rr *rr, uint32_t ttl)
{
    struct cursor c = cursor_make(wire, (size_t)rr->rdata_pos + rr->rdlength);
    size_t begin = r->w.len, rdata;
    unsigned known = r->n;

    /* Many records share one owner: a pointer that led to the same place as the one
     * before needs no search, which costs as much as the name is long. */
    if (rr->pointer != 0 && rr->pointer == r->last_from) {
        writer_u16(&r->w, 0xc000 | r->last_to);
    } else {
        r->last_to = name_write(r, rr->owner);
        r->last_from = r->last_to != 0 ? rr->pointer : 0;
    }
    writer_u16(&r->w, rr->type);
    writer_u16(&r->w, rr->class);
    writer_u32(&r->w, ttl);
    writer_u16(&r->w, 0);
    rdata = r->w.len;
    c.pos += rr->rdata_pos;
    rdata_pass(&c, rdata_layout(rr->type, rr->class), r);
    if (r->w.full || c.bad || r->w.len - rdata > UINT16_MAX) {
        r->w.len = begin;
        r->w.full = false;
        r->n = known; /* what was remembered is taken back */
        r->last_from = 0;
        return false;
    }
    writer_patch_u16(&r->w, rdata - 2, (uint16_t)(r->w.len - rdata));
    message_count(&r->w, rr->section);
    return true;
}
