/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special.c -- names that are answered here and never forwarded.
 *
 * The table follows RFC 6761 (localhost, invalid), 7686 (onion), 9462
 * (resolver.arpa) and 6303 (reverse zones of private addresses). The reverse
 * zones are answered here only when they would otherwise leave the network:
 * when the servers of their route are public. `.local`, `.test` and
 * `home.arpa` are ordinary names: companies use them.
 */
#include "resolver/special.h"

#include <limits.h>
#include <string.h>

#include "resolver/kms.h"
#include "wire/reply.h"
#include "wire/writer.h"

enum special_kind { LOCALHOST, NO_SUCH_NAME, NO_DATA, REVERSE, REVERSE_TOP };

struct special {
    const char *zone; /* uncompressed wire form, without its final NUL (the literal's own) */
    uint8_t len;
    enum special_kind kind;
};

/* clang-format off */
#define ZONE(wire, kind) {wire, sizeof(wire), kind}
#define IN_ADDR "\x07in-addr\x04" "arpa"
#define IP6 "\x03ip6\x04" "arpa"
#define ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0"

static const struct special table[] = {
    ZONE("\x09localhost", LOCALHOST),
    ZONE("\x07invalid", NO_SUCH_NAME),
    ZONE("\x05onion", NO_SUCH_NAME),
    ZONE("\x08resolver\x04" "arpa", NO_DATA),
    ZONE("\x03" "127" IN_ADDR, NO_SUCH_NAME),
    ZONE("\x01" "0" IN_ADDR, NO_SUCH_NAME),
    ZONE("\x03" "255\x03" "255\x03" "255\x03" "255" IN_ADDR, NO_SUCH_NAME),
    ZONE("\x02" "10" IN_ADDR, REVERSE),
    ZONE("\x03" "168\x03" "192" IN_ADDR, REVERSE),
    ZONE("\x03" "254\x03" "169" IN_ADDR, REVERSE),
    ZONE("\x01" "2\x01" "0\x03" "192" IN_ADDR, REVERSE),
    ZONE("\x03" "100\x02" "51\x03" "198" IN_ADDR, REVERSE),
    ZONE("\x03" "113\x01" "0\x03" "203" IN_ADDR, REVERSE),
    ZONE("\x01" "0" ZERO8 ZERO8 ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0" IP6, NO_SUCH_NAME),
    ZONE("\x01" "1" ZERO8 ZERO8 ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0" IP6, NO_SUCH_NAME),
    ZONE("\x01" "d\x01" "f" IP6, REVERSE),
    ZONE("\x01" "8\x01" "e\x01" "f" IP6, REVERSE),
    ZONE("\x01" "9\x01" "e\x01" "f" IP6, REVERSE),
    ZONE("\x01" "a\x01" "e\x01" "f" IP6, REVERSE),
    ZONE("\x01" "b\x01" "e\x01" "f" IP6, REVERSE),
    ZONE("\x01" "8\x01" "b\x01" "d\x01" "0\x01" "1\x01" "0\x01" "0\x01" "2" IP6, REVERSE),
};
/* clang-format on */

/* Zones that one label's number chooses: 16..31.172.in-addr.arpa (172.16.0.0/12)
 * and 64..127.100.in-addr.arpa (RFC 6598; added to RFC 6303 by RFC 7793). */
static const struct span {
    const char *base;
    uint8_t len;
    unsigned low, high;
} spans[] = {
    {"\x03"
     "172" IN_ADDR,
     sizeof "\x03"
            "172" IN_ADDR,
     16, 31},
    {"\x03"
     "100" IN_ADDR,
     sizeof "\x03"
            "100" IN_ADDR,
     64, 127},
};
enum { SPAN_LABELS = 4 };

/* A decimal number without zeros in front; UINT_MAX: none. */
static unsigned label_number(const uint8_t *label)
{
    unsigned value = 0;

    if (label[0] > 3 || label[1] == '0')
        return UINT_MAX;
    for (unsigned i = 1; i <= label[0]; i++) {
        if (label[i] < '0' || label[i] > '9')
            return UINT_MAX;
        value = value * 10 + (label[i] - '0');
    }
    return value;
}

static bool is_in_span(const struct name *n, const struct span *s)
{
    size_t at;
    unsigned value;

    if (n->labels < SPAN_LABELS)
        return false;
    at = name_parent_offset(n, n->labels - SPAN_LABELS + 1u);
    if (n->len - at != s->len || memcmp(n->at + at, s->base, s->len) != 0)
        return false;
    value = label_number(n->at + name_parent_offset(n, (unsigned)n->labels - SPAN_LABELS));
    return value >= s->low && value <= s->high;
}

static bool ends_with(const struct name *n, const struct special *s)
{
    size_t at;

    if (n->len < s->len)
        return false;
    at = (size_t)n->len - s->len;
    if (memcmp(n->at + at, s->zone, s->len) != 0)
        return false;
    /* the match must begin at a label, not inside one */
    for (unsigned skip = 0; skip <= n->labels; skip++) {
        size_t offset = name_parent_offset(n, skip);

        if (offset >= at)
            return offset == at;
    }
    return false;
}

static const struct special *find(const struct name *n)
{
    static const struct special top = {NULL, 0, REVERSE_TOP}, reverse = {NULL, 0, REVERSE};

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (ends_with(n, &table[i]))
            return &table[i];
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        if (is_in_span(n, &spans[i]))
            return n->labels == SPAN_LABELS ? &top : &reverse;
    return NULL;
}

/* Would a question for a private address leave the network? */
static bool route_is_public(const struct route *r)
{
    for (int i = 0; r != NULL && i < r->n_servers; i++)
        if (!addr_is_private(&r->servers[i]))
            return true;
    return false;
}

static size_t localhost(const struct reply_dress *dress, struct query *q)
{
    static const uint8_t v6[16] = {[15] = 1}, v4[4] = {127, 0, 0, 1};
    uint16_t type = q->message.qtype;
    struct writer w;
    bool any = type == TYPE_ANY;

    if (type != TYPE_A && type != TYPE_AAAA && !any)
        return reply_empty(dress, RCODE_NOERROR, 0, q->out, q->out_size);
    w = writer_make(q->out, q->out_size);
    image_begin(&w, &q->message, RCODE_NOERROR);
    for (int i = 0; i < 2; i++) {
        if (!any && (i == 0) != (type == TYPE_A))
            continue;
        writer_u16(&w, 0xc000 | DNS_HEADER); /* owner: the question's name */
        writer_u16(&w, i == 0 ? TYPE_A : TYPE_AAAA);
        writer_u16(&w, CLASS_IN);
        writer_u32(&w, 10800);
        writer_u16(&w, i == 0 ? 4 : 16);
        writer_bytes(&w, i == 0 ? v4 : v6, i == 0 ? 4 : 16);
    }
    image_end(&w, any ? 2 : 1, 0, 0);
    return w.full ? 0 : reply_from_image(dress, q->out, w.len, q->out, q->out_size);
}

/* The top of a zone exists; what is below it does not. */
static uint16_t rcode_of(const struct special *s, const struct name *n)
{
    bool exists = s->kind == NO_DATA || s->kind == REVERSE_TOP || n->len == s->len;

    return exists ? RCODE_NOERROR : RCODE_NXDOMAIN;
}

/* The row that answers the name here; NULL: it is an ordinary one. */
static const struct special *find_local(const struct query *q)
{
    const struct special *s;

    if (q->message.qclass != CLASS_IN || (s = find(&q->message.qname)) == NULL)
        return NULL;
    if ((s->kind == REVERSE || s->kind == REVERSE_TOP) && !route_is_public(q->route))
        return NULL;
    if (s->kind != LOCALHOST && q->route != NULL && q->route->zone.labels != 0)
        return NULL; /* the administrator routes this zone on purpose */
    return s;
}

int special_rcode(const struct query *q)
{
    const struct special *s = find_local(q);

    if (s == NULL)
        return -1;
    return s->kind == LOCALHOST ? RCODE_NOERROR : rcode_of(s, &q->message.qname);
}

bool special_answer(const struct view *v, struct query *q, struct now now)
{
    struct reply_dress dress = {
        .query = &q->message, .question = q->question, .limit = q->limit, .ede = EDE_NONE};
    const struct special *s = find_local(q);
    uint16_t rcode;

    if (s == NULL)
        return false;
    COUNT(v->stats, special);
    if (s->kind == LOCALHOST) {
        q->out_len = localhost(&dress, q);
        return true;
    }
    rcode = rcode_of(s, &q->message.qname);
    /* As with the real DNS: beside an SRV that is filled the name exists. */
    if (rcode == RCODE_NXDOMAIN && q->kms_name && kms_would_fill(v, q, false, now)) {
        COUNT(v->stats, kms_coherent);
        rcode = RCODE_NOERROR;
    }
    q->out_len = reply_empty(&dress, rcode, 0, q->out, q->out_size);
    return true;
}
