/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.c -- walks the records of a message, each checked to its last octet.
 */
#include "wire/records.h"

/* 'n' are the types of RFC 1035; 'N' those of RFC 3597 4 that old senders
 * compress, and the first DNSSEC types; 'P' are younger types, in which a
 * pointer is a fault. */
static const char *const layouts[] = {
    [TYPE_A] = "4",      [TYPE_NS] = "n",
    [TYPE_CNAME] = "n",  [TYPE_SOA] = "nn44444",
    [7] = "n", /* MB MG MR */
    [8] = "n",           [9] = "n",
    [TYPE_PTR] = "n",    [TYPE_HINFO] = "ss",
    [14] = "nn", /* MINFO */
    [TYPE_MX] = "2n",    [TYPE_TXT] = "S",
    [17] = "NN",                      /* RP */
    [18] = "2N",                      /* AFSDB */
    [19] = "s",                       /* X25 */
    [20] = "sS",                      /* ISDN */
    [21] = "2N",                      /* RT */
    [24] = "2114442N*",               /* SIG */
    [26] = "2NN",                     /* PX */
    [27] = "sss",                     /* GPOS */
    [TYPE_AAAA] = "6",   [30] = "N*", /* NXT */
    [TYPE_SRV] = "222N", [TYPE_NAPTR] = "22sssN",
    [36] = "2N", /* KX */
    [TYPE_DNAME] = "N",  [TYPE_RRSIG] = "2114442N*",
    [TYPE_NSEC] = "N*",  [56] = "S", /* NINFO */
    [TYPE_SVCB] = "2P*", [TYPE_HTTPS] = "2P*",
    [99] = "S",    /* SPF */
    [257] = "1s*", /* CAA */
    [258] = "S",   /* AVC */
    [261] = "S",   /* RESINFO WALLET CLA */
    [262] = "S",         [263] = "S",
};

const char *rdata_layout(uint16_t type, uint16_t class)
{
    if (type >= ARRAY_LEN(layouts) || layouts[type] == NULL)
        return "*";
    return class == CLASS_IN || (type != TYPE_A && type != TYPE_AAAA) ? layouts[type] : "*";
}

void rdata_pass(struct cursor *c, char field)
{
    switch (field) {
    case 's':
        (void)cursor_take(c, cursor_u8(c));
        break;
    case 'S':
        while (cursor_left(c) > 0)
            (void)cursor_take(c, cursor_u8(c));
        break;
    case '*':
        (void)cursor_take(c, cursor_left(c));
        break;
    case '6':
        (void)cursor_take(c, 16);
        break;
    default:
        (void)cursor_take(c, (size_t)(field - '0'));
        break;
    }
}

/* Moves behind RDATA that begins at c->pos and has c->end for its end; c is bad when
 * it is not laid out so. */
static void rdata_check(struct cursor *c, const char *layout)
{
    for (; *layout != '\0' && !c->bad; layout++) {
        const uint8_t *from = c->pos;

        if (*layout != 'n' && *layout != 'N' && *layout != 'P')
            rdata_pass(c, *layout);
        else if (name_measure(c) != (size_t)(c->pos - from) && *layout == 'P')
            c->bad = true;
    }
    if (c->pos != c->end)
        c->bad = true;
}

void rr_walk_from(struct rr_walk *w, const struct cursor *behind_question, const uint16_t counts[3])
{
    w->c = *behind_question;
    w->section = 0;
    w->opaque = false;
    w->pointer = 0;
    memcpy(w->left, counts, sizeof w->left);
}

void rr_walk_init(struct rr_walk *w, const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);
    uint16_t counts[3], questions;

    (void)cursor_take(&c, 4);
    questions = cursor_u16(&c);
    for (int i = 0; i < 3; i++)
        counts[i] = cursor_u16(&c);
    name_pass(&c);
    (void)cursor_take(&c, 4);
    if (questions != 1 || len > DNS_MAX_MESSAGE)
        c.bad = true;
    rr_walk_from(w, &c, counts);
}

bool rr_walk_next(struct rr_walk *w, struct rr *rr)
{
    struct cursor *c = &w->c;
    const uint8_t *fixed, *message_end = c->end;
    uint16_t pointer = 0;
    const char *layout;

    while (w->section < 3 && w->left[w->section] == 0)
        w->section++;
    if (w->section == 3 && c->pos != c->end)
        c->bad = true;
    if (w->section == 3 || c->bad)
        return false;
    rr->section = w->section;
    rr->last = --w->left[w->section] == 0;
    rr->pos = (uint16_t)cursor_offset(c);
    rr->owner = &w->owner;
    if (cursor_left(c) >= 2 && c->pos[0] >= 0xc0)
        pointer = bytes_u16(c->pos) & 0x3fff;
    if (pointer != 0 && pointer == w->pointer)
        c->pos += 2;
    else
        name_read(c, &w->owner);
    w->pointer = pointer;
    fixed = cursor_take(c, 10);
    if (fixed == NULL)
        return false;
    rr->type = bytes_u16(fixed);
    rr->class = bytes_u16(fixed + 2);
    rr->ttl = bytes_u32(fixed + 4);
    if ((rr->ttl & 0x80000000u) != 0 && rr->type != TYPE_OPT)
        rr->ttl = 0;
    rr->rdlength = bytes_u16(fixed + 8);
    rr->rdata_pos = (uint16_t)cursor_offset(c);
    if (rr->rdlength > cursor_left(c)) {
        c->bad = true;
        return false;
    }
    layout = w->opaque ? "*" : rdata_layout(rr->type, rr->class);
    if (*layout == '*') {
        c->pos += rr->rdlength;
        return true;
    }
    c->end = c->pos + rr->rdlength; /* nothing inside may reach over RDLENGTH */
    rdata_check(c, layout);
    c->end = message_end;
    return !c->bad;
}
