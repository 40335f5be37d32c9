/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special.c -- names that are answered here and never forwarded.
 *
 * Each is a zone of our own: its top has SOA and NS, and negative answers have
 * the SOA (RFC 6303 3). The table follows RFC 6761 (localhost, invalid), 7686 (onion), 9462
 * (resolver.arpa) and 6303 (reverse zones of private addresses). The reverse
 * zones are answered here only when they would otherwise leave the network:
 * when all servers of their route are public. `.local`, `.test` and
 * `home.arpa` are ordinary names: companies use them.
 */
#include "resolver/special.h"

#include <stdio.h>
#include <string.h>

#include "wire/present.h"

enum special_kind { LOCALHOST, NO_SUCH_NAME, NO_DATA, REVERSE };

struct special {
    const char *zone; /* uncompressed wire form, without its final NUL (the literal's own) */
    uint8_t len, labels;
    enum special_kind kind;
    unsigned low, high; /* not 0: zones that the number of one more label chooses */
};

/* clang-format off */
#define ZONE(labels, wire, kind) {wire, sizeof(wire), labels, kind, 0, 0}
#define SPAN(labels, wire, low, high) {wire, sizeof(wire), labels, REVERSE, low, high}
#define IN_ADDR "\x07in-addr\x04" "arpa"
#define IP6 "\x03ip6\x04" "arpa"
#define ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0"

static const struct special table[] = {
    ZONE(1, "\x09localhost", LOCALHOST),
    ZONE(1, "\x07invalid", NO_SUCH_NAME),
    ZONE(1, "\x05onion", NO_SUCH_NAME),
    ZONE(2, "\x08resolver\x04" "arpa", NO_DATA),
    ZONE(3, "\x03" "127" IN_ADDR, NO_SUCH_NAME),
    ZONE(3, "\x01" "0" IN_ADDR, NO_SUCH_NAME),
    ZONE(6, "\x03" "255\x03" "255\x03" "255\x03" "255" IN_ADDR, NO_SUCH_NAME),
    ZONE(3, "\x02" "10" IN_ADDR, REVERSE),
    ZONE(4, "\x03" "168\x03" "192" IN_ADDR, REVERSE),
    ZONE(4, "\x03" "254\x03" "169" IN_ADDR, REVERSE),
    ZONE(5, "\x01" "2\x01" "0\x03" "192" IN_ADDR, REVERSE),
    ZONE(5, "\x03" "100\x02" "51\x03" "198" IN_ADDR, REVERSE),
    ZONE(5, "\x03" "113\x01" "0\x03" "203" IN_ADDR, REVERSE),
    ZONE(34, "\x01" "0" ZERO8 ZERO8 ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0" IP6, NO_SUCH_NAME),
    ZONE(34, "\x01" "1" ZERO8 ZERO8 ZERO8 "\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0\x01" "0" IP6, NO_SUCH_NAME),
    ZONE(4, "\x01" "d\x01" "f" IP6, REVERSE),
    ZONE(5, "\x01" "8\x01" "e\x01" "f" IP6, REVERSE),
    ZONE(5, "\x01" "9\x01" "e\x01" "f" IP6, REVERSE),
    ZONE(5, "\x01" "a\x01" "e\x01" "f" IP6, REVERSE),
    ZONE(5, "\x01" "b\x01" "e\x01" "f" IP6, REVERSE),
    ZONE(10, "\x01" "8\x01" "b\x01" "d\x01" "0\x01" "1\x01" "0\x01" "0\x01" "2" IP6, REVERSE),
    SPAN(3, "\x03" "172" IN_ADDR, 16, 31), /* 172.16.0.0/12 */
    SPAN(3, "\x03" "100" IN_ADDR, 64, 127), /* 100.64.0.0/10 (RFC 6598), by RFC 7793 */
};
/* clang-format on */
enum { ZONE_TTL_S = 10800 /* RFC 6303 3 */ };

/* Does nobody inside the network get the question? One public address beside
 * private ones says nothing: inner servers have global addresses, too. */
static bool is_local(enum special_kind kind, const struct route *r)
{
    if (kind == LOCALHOST)
        return true;
    if (r != NULL && r->zone.labels != 0)
        return false; /* the administrator routes this zone on purpose */
    for (int i = 0; kind == REVERSE && r != NULL && i < r->n_servers; i++)
        if (addr_is_private(&r->servers[i]))
            return false;
    return kind != REVERSE || (r != NULL && r->n_servers > 0);
}

/* The zone in which the name is answered here; *zone_at: octets of the name in front of
 * the zone's. */
static bool find_zone(const struct query *q, enum special_kind *kind, size_t *zone_at)
{
    /* All zones end in one of four labels, nearly all names in others. Every question
     * passes here: to go through the table took 36 % of the instructions of an answer
     * out of the cache. */
    static const char ends[][5] = {"arpa", "alid", "nion", "host"};
    const struct name *n = &q->message.qname;
    size_t i = 0;

    while (i < ARRAY_LEN(ends) && (n->len <= 5 || memcmp(n->data + n->len - 5, ends[i], 4) != 0))
        i++;
    if (i == ARRAY_LEN(ends) || q->message.qclass != CLASS_IN)
        return false;
    for (const struct special *s = table; s < table + ARRAY_LEN(table); s++) {
        unsigned more = s->high != 0, value = 0, k = 1;
        const uint8_t *label;
        size_t base;

        if (n->labels < s->labels + more)
            continue;
        base = name_parent_offset(n, (unsigned)n->labels - s->labels);
        if (n->len - base != s->len || memcmp(n->data + base, s->zone, s->len) != 0)
            continue;
        *kind = s->kind;
        *zone_at = name_parent_offset(n, n->labels - s->labels - more);
        if (!more)
            return is_local(*kind, q->route);
        /* The number of the label in front is decimal, without zeros in front. */
        label = n->data + *zone_at;
        for (; k <= label[0] && label[0] <= 3 && label[k] >= '0' && label[k] <= '9'; k++)
            value = value * 10 + (label[k] - '0');
        return k > label[0] && label[1] != '0' && value >= s->low && value <= s->high &&
               is_local(*kind, q->route);
    }
    return false;
}

int special_answer(const struct query *q, uint32_t ttl_s, struct writer *w)
{
    static const uint8_t v6[16] = {[15] = 1}, v4[4] = {127, 0, 0, 1};
    uint16_t type = q->key.type, answers = 0;
    enum special_kind kind;
    size_t zone_at;
    int rcode;

    if (!find_zone(q, &kind, &zone_at))
        return -1;
    /* The top of a zone exists; what is below it does not. */
    rcode = kind == LOCALHOST || kind == NO_DATA || zone_at == 0 ? RCODE_NOERROR : RCODE_NXDOMAIN;
    if (w == NULL)
        return rcode;
    image_begin(w, &q->message, (uint16_t)rcode);
    if (kind == LOCALHOST && (type == TYPE_A || type == TYPE_ANY)) {
        image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_A, ZONE_TTL_S, sizeof v4);
        writer_bytes(w, v4, sizeof v4);
        answers++;
    }
    if (kind == LOCALHOST && (type == TYPE_AAAA || type == TYPE_ANY)) {
        image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_AAAA, ZONE_TTL_S, sizeof v6);
        writer_bytes(w, v6, sizeof v6);
        answers++;
    }
    if (kind != LOCALHOST && zone_at == 0 && (type == TYPE_SOA || type == TYPE_NS)) {
        if (type == TYPE_SOA)
            image_soa(w, SECTION_ANSWER, DNS_HEADER, ZONE_TTL_S);
        else
            image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_NS, ZONE_TTL_S, 2);
        if (type == TYPE_NS)
            writer_u16(w, 0xc000 | DNS_HEADER);
        answers++;
    }
    if (answers == 0)
        image_soa(w, SECTION_AUTHORITY, DNS_HEADER + zone_at, ttl_s);
    return rcode;
}

/* BIND began with the names in `bind`, RFC 4892 has those in `server`; both are
 * asked for. */
bool special_identity(const struct view *v, struct query *q, enum answer *result)
{
    static const struct {
        const char *name; /* wire form, folded; its final NUL is the root label */
        bool version;
    } identities[] = {
        {"\2id\6server", false},
        {"\10hostname\4bind", false},
        {"\7version\6server", true},
        {"\7version\4bind", true},
    };
    const struct settings *s = v->settings;
    const struct name *n = &q->message.qname;
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    const char *text;
    uint8_t len;
    size_t i = 0;

    while (i < ARRAY_LEN(identities) && (n->len != strlen(identities[i].name) + 1 ||
                                         memcmp(n->data, identities[i].name, n->len) != 0))
        i++;
    if (i == ARRAY_LEN(identities) ||
        (q->message.qtype != TYPE_TXT && q->message.qtype != TYPE_ANY) ||
        (identities[i].version ? s->server.hide_version : s->server.hide_identity))
        return false;
    COUNT(v->stats, special);
    text = identities[i].version ? "waymark " PACKAGE_VERSION : s->server.name;
    len = (uint8_t)strnlen(text, UINT8_MAX);
    image_begin(&w, &q->message, RCODE_NOERROR);
    writer_u16(&w, 0xc000 | DNS_HEADER); /* owner: the question's name */
    writer_u16(&w, TYPE_TXT);
    writer_u16(&w, CLASS_CH);
    writer_u32(&w, 0);
    writer_u16(&w, (uint16_t)(1 + len));
    writer_u8(&w, len);
    writer_bytes(&w, text, len);
    message_count(&w, SECTION_ANSWER);
    *result = query_send(v, q, w.start, w.len, EDE_NONE, NULL);
    return true;
}

void special_each_reverse(const struct view *v, special_visit *visit, void *context)
{
    char zone[NAME_TEXT], text[NAME_TEXT + 16];

    for (const struct special *s = table; s < table + ARRAY_LEN(table); s++) {
        struct cursor c = cursor_make((const uint8_t *)s->zone, s->len);
        struct name name;

        name_read_plain(&c, &name);
        (void)name_print(&name, zone);
        snprintf(text, sizeof text, "%u-%u.%s", s->low, s->high, zone);
        if (s->kind == REVERSE && is_local(REVERSE, query_route(v, &name, TYPE_PTR)))
            visit(context, s->high != 0 ? text : zone);
    }
}
