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
#include "resolver/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

enum special_kind { LOCALHOST, NO_SUCH_NAME, NO_DATA, REVERSE };

struct special {
    const char *zone;
    enum special_kind kind;
    unsigned low, high; /* not 0: zones that the number of one more label chooses */
};

#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"

static const struct special table[] = {
    {"localhost", LOCALHOST, 0, 0},
    {"invalid", NO_SUCH_NAME, 0, 0},
    {"onion", NO_SUCH_NAME, 0, 0},
    {"resolver.arpa", NO_DATA, 0, 0},
    {"127.in-addr.arpa", NO_SUCH_NAME, 0, 0},
    {"0.in-addr.arpa", NO_SUCH_NAME, 0, 0},
    {"255.255.255.255.in-addr.arpa", NO_SUCH_NAME, 0, 0},
    {"10.in-addr.arpa", REVERSE, 0, 0},
    {"168.192.in-addr.arpa", REVERSE, 0, 0},
    {"254.169.in-addr.arpa", REVERSE, 0, 0},
    {"2.0.192.in-addr.arpa", REVERSE, 0, 0},
    {"100.51.198.in-addr.arpa", REVERSE, 0, 0},
    {"113.0.203.in-addr.arpa", REVERSE, 0, 0},
    {"0." ZEROS ".ip6.arpa", NO_SUCH_NAME, 0, 0},
    {"1." ZEROS ".ip6.arpa", NO_SUCH_NAME, 0, 0},
    {"d.f.ip6.arpa", REVERSE, 0, 0},
    {"8.e.f.ip6.arpa", REVERSE, 0, 0},
    {"9.e.f.ip6.arpa", REVERSE, 0, 0},
    {"a.e.f.ip6.arpa", REVERSE, 0, 0},
    {"b.e.f.ip6.arpa", REVERSE, 0, 0},
    {"8.b.d.0.1.0.0.2.ip6.arpa", REVERSE, 0, 0},
    {"172.in-addr.arpa", REVERSE, 16, 31},  /* 172.16.0.0/12 */
    {"100.in-addr.arpa", REVERSE, 64, 127}, /* 100.64.0.0/10 (RFC 6598), by RFC 7793 */
};

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
        if (addr_is(&r->servers[i], ADDR_PRIVATE))
            return false;
    return kind != REVERSE || (r != NULL && r->n_servers > 0);
}

/* The zone in which the name is answered here, or NULL; *zone_at: octets of the name in
 * front of the zone's. */
static const struct special *find_zone(const struct query *q, size_t *zone_at)
{
    /* All zones end in one of four labels, nearly all names in others. Every question
     * passes here: to go through the table took 36 % of the instructions of an answer
     * out of the cache. */
    static const char ends[][5] = {"arpa", "alid", "nion", "host"};
    const struct name *n = &q->message.qname;
    uint8_t pos[NAME_MAX_LABELS];
    char text[NAME_MAX_WIRE], *end; /* the labels, each with a dot in front, and NUL */
    size_t i = 0;

    while (i < ARRAY_LEN(ends) && (n->len <= 5 || memcmp(n->data + n->len - 5, ends[i], 4) != 0))
        i++;
    if (i == ARRAY_LEN(ends) || q->message.qclass != CLASS_IN)
        return NULL;
    name_labels(n, pos);
    memcpy(text, n->data, n->len);
    for (i = 0; i < n->labels; i++)
        text[pos[i]] = '.';
    for (const struct special *s = table; s < table + ARRAY_LEN(table); s++) {
        size_t len = strlen(s->zone), top = n->len - len - 2;
        unsigned labels = 1, number;

        if (n->len < len + 2 || memcmp(text + top + 1, s->zone, len) != 0)
            continue;
        for (i = 0; i < len; i++)
            labels += s->zone[i] == '.';
        if (labels > n->labels || pos[n->labels - labels] != top) /* a label has a dot inside */
            continue;
        *zone_at = top;
        if (s->high > 0) { /* the number of the label in front is decimal, without zeros in front */
            if (labels == n->labels)
                return NULL;
            *zone_at = pos[n->labels - labels - 1];
            number = (unsigned)strtoul(text + *zone_at + 1, &end, 10);
            if (text[*zone_at + 1] < '1' || text[*zone_at + 1] > '9' || end != text + top ||
                number < s->low || number > s->high)
                return NULL;
        }
        return is_local(s->kind, q->route) ? s : NULL;
    }
    return NULL;
}

int special_answer(const struct query *q, uint32_t ttl_s, struct writer *w)
{
    static const struct {
        uint16_t type;
        uint8_t len, rdata[16];
    } hosts[] = {{TYPE_A, 4, {127, 0, 0, 1}}, {TYPE_AAAA, 16, {[15] = 1}}};
    uint16_t type = q->key.type;
    size_t zone_at, begun;
    const struct special *s = find_zone(q, &zone_at);
    bool is_host, is_top;
    int rcode;

    if (s == NULL)
        return -1;
    is_host = s->kind == LOCALHOST;
    is_top = zone_at == 0;
    /* The top of a zone exists; what is below it does not. */
    rcode = is_host || s->kind == NO_DATA || is_top ? RCODE_NOERROR : RCODE_NXDOMAIN;
    if (w == NULL)
        return rcode;
    image_begin(w, &q->message, (uint16_t)rcode);
    begun = w->len;
    for (size_t i = 0; is_host && i < ARRAY_LEN(hosts); i++) {
        if (type != hosts[i].type && type != TYPE_ANY)
            continue;
        image_record(w, SECTION_ANSWER, DNS_HEADER, hosts[i].type, ZONE_TTL_S, hosts[i].len);
        writer_bytes(w, hosts[i].rdata, hosts[i].len);
    }
    if (!is_host && is_top && type == TYPE_SOA)
        image_soa(w, SECTION_ANSWER, DNS_HEADER, ZONE_TTL_S);
    if (!is_host && is_top && type == TYPE_NS) {
        image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_NS, ZONE_TTL_S, 2);
        writer_u16(w, 0xc000 | DNS_HEADER);
    }
    if (w->len == begun)
        image_soa(w, SECTION_AUTHORITY, DNS_HEADER + zone_at, ttl_s);
    return rcode;
}

/* BIND began with the names in `bind`, RFC 4892 has those in `server`; both are
 * asked for. */
bool special_identity(const struct view *v, struct query *q, enum answer *result)
{
    /* wire form, folded; the final NUL is the root label; of the version from the third on */
    static const char *const names[] = {"\2id\6server", "\10hostname\4bind", "\7version\6server",
                                        "\7version\4bind"};
    const struct settings *s = v->settings;
    const struct message *m = &q->message;
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    const char *text;
    uint8_t len;
    size_t i = 0;

    while (i < ARRAY_LEN(names) && (m->qname.len != strlen(names[i]) + 1 ||
                                    memcmp(m->qname.data, names[i], m->qname.len) != 0))
        i++;
    if (i == ARRAY_LEN(names) || (m->qtype != TYPE_TXT && m->qtype != TYPE_ANY) ||
        (i >= 2 ? s->server.hide_version : s->server.hide_identity))
        return false;
    COUNT(v->stats, special);
    text = i >= 2 ? "waymark " PACKAGE_VERSION : s->server.name;
    len = (uint8_t)strnlen(text, UINT8_MAX);
    image_begin(&w, m, RCODE_NOERROR);
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
    struct name name;
    char text[80];

    for (const struct special *s = table; s < table + ARRAY_LEN(table); s++) {
        snprintf(text, sizeof text, "%u-%u.%s", s->low, s->high, s->zone);
        if (s->kind == REVERSE && name_parse(&name, s->zone) == 0 &&
            is_local(REVERSE, query_route(v, &name, TYPE_PTR)))
            visit(context, s->high > 0 ? text : s->zone);
    }
}
