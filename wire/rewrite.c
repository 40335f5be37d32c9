/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rewrite.c -- writes records of one message into another.
 */
#include "wire/rewrite.h"

#include "wire/rdata.h"

void rewrite_begin(struct rewrite *r, uint8_t *out, size_t size, uint16_t flags,
                   const struct name *qname, uint16_t qtype, uint16_t qclass)
{
    r->w = writer_make(out, size);
    r->counts[0] = r->counts[1] = r->counts[2] = 0;
    r->last_from = 0;
    writer_u16(&r->w, 0);
    writer_u16(&r->w, flags);
    writer_u16(&r->w, 1);
    for (int i = 0; i < 3; i++)
        writer_u16(&r->w, 0);
    writer_bytes(&r->w, qname->at, qname->len);
    writer_u16(&r->w, qtype);
    writer_u16(&r->w, qclass);
    compress_init(&r->names, qname, DNS_HEADER);
}

/* A name of kind 'N' or 'P'. If it came compressed it is folded: its octets may
 * be those of the question, whose case is random (0x20) and must not be shown
 * to the client. */
static void literal_name(struct writer *w, struct cursor *c)
{
    const uint8_t *from = c->at;
    struct name name;

    name_read(c, &name);
    if ((size_t)(c->at - from) != name.len)
        name_fold(&name);
    writer_bytes(w, name.at, name.len);
}

static void copy(struct writer *w, struct cursor *c, size_t n)
{
    const uint8_t *p = cursor_take(c, n);

    if (p != NULL)
        writer_bytes(w, p, n);
}

static void rdata_write(struct rewrite *r, struct cursor *c, const char *layout)
{
    struct name name;

    for (; layout != NULL && *layout != '\0'; layout++) {
        switch (*layout) {
        case 'n':
            name_read(c, &name);
            compress_name(&r->names, &r->w, &name);
            break;
        case 'N':
        case 'P':
            literal_name(&r->w, c);
            break;
        case 's':
            copy(&r->w, c, cursor_left(c) > 0 ? (size_t)*c->at + 1 : 1);
            break;
        case 'S':
        case '*':
            copy(&r->w, c, cursor_left(c));
            break;
        default:
            copy(&r->w, c, rdata_field_size(*layout));
            break;
        }
    }
    if (layout == NULL)
        copy(&r->w, c, cursor_left(c));
}

/* Many records share one owner: a pointer that led to the same place as the
 * one before needs no search, which costs as much as the name is long. */
static void owner_write(struct rewrite *r, const uint8_t *at, const struct name *owner)
{
    uint16_t from = at[0] >= 0xc0 ? (uint16_t)((at[0] & 0x3f) << 8 | at[1]) : 0;
    uint16_t to;

    if (from != 0 && from == r->last_from) {
        writer_u16(&r->w, 0xc000 | r->last_to);
        return;
    }
    to = compress_name(&r->names, &r->w, owner);
    if (from != 0 && to != 0) {
        r->last_from = from;
        r->last_to = to;
    }
}

bool rewrite_put(struct rewrite *r, const uint8_t *wire, size_t len, const struct rr *rr,
                 uint32_t ttl)
{
    struct cursor c = cursor_make(wire, len);
    size_t begin = r->w.len, rdlength_at;

    (void)cursor_take(&c, rr->rdata_at);
    if (c.bad || rr->rdlength > cursor_left(&c))
        return false;
    c.end = c.at + rr->rdlength;
    owner_write(r, wire + rr->at, &rr->owner);
    writer_u16(&r->w, rr->type);
    writer_u16(&r->w, rr->class);
    writer_u32(&r->w, ttl);
    rdlength_at = r->w.len;
    writer_u16(&r->w, 0);
    rdata_write(r, &c, rdata_layout(rr->type, rr->class));
    if (r->w.full || c.bad || r->w.len - rdlength_at - 2 > UINT16_MAX) {
        writer_cut(&r->w, begin);
        compress_off(&r->names); /* it may know places that were taken back */
        r->last_from = 0;
        return false;
    }
    writer_patch_u16(&r->w, rdlength_at, (uint16_t)(r->w.len - rdlength_at - 2));
    r->counts[rr->section]++;
    return true;
}

size_t rewrite_end(struct rewrite *r)
{
    for (size_t i = 0; i < 3; i++)
        writer_patch_u16(&r->w, 6 + 2 * i, r->counts[i]);
    return r->w.len;
}
