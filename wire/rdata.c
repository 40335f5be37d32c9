/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rdata.c -- the layouts of RDATA.
 *
 * 'n' are the types of RFC 1035; 'N' those of RFC 3597 4 that old senders
 * compress, and the first DNSSEC types; 'P' are younger types, in which a
 * pointer is a fault.
 */
#include "wire/rdata.h"

#include "wire/name.h"
#include "wire/types.h"

enum {
    TYPE_MB = 7,
    TYPE_MG = 8,
    TYPE_MR = 9,
    TYPE_MINFO = 14,
    TYPE_RP = 17,
    TYPE_AFSDB = 18,
    TYPE_X25 = 19,
    TYPE_ISDN = 20,
    TYPE_RT = 21,
    TYPE_SIG = 24,
    TYPE_PX = 26,
    TYPE_GPOS = 27,
    TYPE_NXT = 30,
    TYPE_KX = 36,
    TYPE_NINFO = 56,
    TYPE_SPF = 99,
    TYPE_CAA = 257,
    TYPE_AVC = 258,
    TYPE_RESINFO = 261,
    TYPE_WALLET = 262,
    TYPE_CLA = 263,
};

const char *rdata_layout(uint16_t type, uint16_t class)
{
    switch (type) {
    case TYPE_A:
        return class == CLASS_IN ? "4" : NULL;
    case TYPE_AAAA:
        return class == CLASS_IN ? "6" : NULL;
    case TYPE_NS:
    case TYPE_CNAME:
    case TYPE_PTR:
    case TYPE_MB:
    case TYPE_MG:
    case TYPE_MR:
        return "n";
    case TYPE_MINFO:
        return "nn";
    case TYPE_SOA:
        return "nn44444";
    case TYPE_MX:
        return "2n";
    case TYPE_SRV:
        return "222N";
    case TYPE_NAPTR:
        return "22sssN";
    case TYPE_DNAME:
        return "N";
    case TYPE_RP:
        return "NN";
    case TYPE_AFSDB:
    case TYPE_RT:
    case TYPE_KX:
        return "2N";
    case TYPE_PX:
        return "2NN";
    case TYPE_RRSIG:
    case TYPE_SIG:
        return "2114442N*";
    case TYPE_NSEC:
    case TYPE_NXT:
        return "N*";
    case TYPE_TXT:
    case TYPE_NINFO:
    case TYPE_SPF:
    case TYPE_AVC:
    case TYPE_RESINFO:
    case TYPE_WALLET:
    case TYPE_CLA:
        return "S";
    case TYPE_HINFO:
        return "ss";
    case TYPE_X25:
        return "s";
    case TYPE_ISDN:
        return "sS";
    case TYPE_GPOS:
        return "sss";
    case TYPE_CAA:
        return "1s*";
    case TYPE_SVCB:
    case TYPE_HTTPS:
        return "2P*";
    default:
        return NULL;
    }
}

size_t rdata_field_size(char field)
{
    switch (field) {
    case '1':
        return 1;
    case '2':
        return 2;
    case '4':
        return 4;
    case '6':
        return 16;
    default:
        return 0;
    }
}

/* True if the name at c->at was compressed. */
static bool name_was_compressed(struct cursor *c)
{
    const uint8_t *from = c->at;
    size_t len = name_measure(c);

    return !c->bad && len != (size_t)(c->at - from);
}

enum rdata_form rdata_check(struct cursor *c, const char *layout, size_t len)
{
    const uint8_t *message_end = c->end;
    enum rdata_form form = RDATA_FINE;

    if (len > cursor_left(c)) {
        c->bad = true;
        return RDATA_BAD;
    }
    c->end = c->at + len; /* nothing inside may reach over RDLENGTH */
    for (; layout != NULL && *layout != '\0' && !c->bad; layout++) {
        switch (*layout) {
        case 'n':
            name_skip(c);
            break;
        case 'N':
            if (name_was_compressed(c))
                form = RDATA_EXPAND;
            break;
        case 'P':
            if (name_was_compressed(c))
                c->bad = true;
            break;
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
        default:
            (void)cursor_take(c, rdata_field_size(*layout));
            break;
        }
    }
    if (layout == NULL)
        (void)cursor_take(c, len);
    if (c->at != c->end)
        c->bad = true;
    c->end = message_end;
    return c->bad ? RDATA_BAD : form;
}
