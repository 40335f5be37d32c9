/* SPDX-License-Identifier: BSD-2-Clause
 *
 * addr.c -- IP addresses and prefixes as values.
 *
 * inet_pton(3) reads the digits: it refuses "1.2.3", octal and hexadecimal
 * parts, which getaddrinfo(3) and inet_aton(3) take for addresses.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include "base/str.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_is_v4(const uint8_t ip[16])
{
    return memcmp(ip, mapped, sizeof mapped) == 0;
}

/* The text of an IPv4 address and that of its mapped form give the same value. */
static int ip_parse(uint8_t ip[16], const char *text)
{
    bool is_short = strchr(text, '.') != NULL && strchr(text, ':') == NULL;
    char full[ADDR_TEXT + 8];

    snprintf(full, sizeof full, "%s%s", is_short ? "::ffff:" : "", text);
    return inet_pton(AF_INET6, full, ip) == 1 ? 0 : -EINVAL;
}

int addr_parse(struct addr *out, const char *text, uint16_t port)
{
    struct addr a = {.port = port};
    char buf[ADDR_TEXT], *ip = buf, *end, *scope;
    uint64_t number;

    (void)str_copy(buf, sizeof buf, text); /* "" for one that is too long */
    end = strchr(buf, buf[0] == '[' ? ']' : ':');
    if (buf[0] == '[') {
        if (end == NULL)
            return -EINVAL;
        *end++ = '\0';
        if (strchr(++ip, ':') == NULL) /* brackets are for IPv6 */
            return -EINVAL;
    } else if (end && strchr(end + 1, ':')) {
        end = NULL; /* one colon alone is no IPv6 */
    }
    if (end && *end != '\0') {
        if (*end != ':' || number_parse(&number, end + 1, UINT16_MAX) != 0 || number == 0)
            return -EINVAL;
        *end = '\0';
        a.port = (uint16_t)number;
    }
    if ((scope = strchr(ip, '%')) != NULL)
        *scope++ = '\0';
    if (ip_parse(a.ip, ip) != 0)
        return -EINVAL;
    if (scope) { /* of an interface that does not exist nothing can be sent */
        bool is_number = number_parse(&number, scope, UINT32_MAX) == 0;

        a.scope = is_number ? (uint32_t)number : if_nametoindex(scope);
        if (a.ip[0] != 0xfe || (a.ip[1] & 0xc0) != 0x80 || a.scope == 0)
            return -EINVAL;
    }
    *out = a;
    return 0;
}

const char *addr_print(const struct addr *a, char out[ADDR_TEXT])
{
    struct sockaddr_storage sa;
    unsigned len = addr_to_sockaddr(a, &sa);

    out[0] = '\0'; /* there is room, so it cannot fail */
    (void)getnameinfo((struct sockaddr *)&sa, len, out, ADDR_TEXT, NULL, 0, NI_NUMERICHOST);
    return out;
}

const char *addr_print_port(const struct addr *a, char out[ADDR_TEXT])
{
    char ip[ADDR_TEXT];

    addr_print(a, ip);
    if (a->port == 0)
        return strcpy(out, ip);
    snprintf(out, ADDR_TEXT, ip_is_v4(a->ip) ? "%.15s:%u" : "[%.63s]:%u", ip, a->port);
    return out;
}

#define V4(a, b, c, d, n)                                                                          \
    {                                                                                              \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 96 + (n)                           \
    }

bool addr_is(const struct addr *a, enum addr_kind kind)
{
    enum { INSIDE = ADDR_INSIDE & ~(ADDR_PRIVATE | ADDR_ANY) }; /* of no other kind */
    enum { V4_AT = 16 }; /* if the IPv4 address that stands there is, too */
    static const struct {
        struct prefix net;
        unsigned kinds;
    } nets[] = {
        {V4(0, 0, 0, 0, 32), ADDR_ANY},
        {{{0}, 128}, ADDR_ANY},
        {V4(127, 0, 0, 0, 8), ADDR_LOOPBACK | ADDR_PRIVATE},
        {{{[15] = 1}, 128}, ADDR_LOOPBACK | ADDR_PRIVATE},
        {V4(10, 0, 0, 0, 8), ADDR_PRIVATE},
        {V4(172, 16, 0, 0, 12), ADDR_PRIVATE},
        {V4(192, 168, 0, 0, 16), ADDR_PRIVATE},
        {V4(169, 254, 0, 0, 16), ADDR_PRIVATE},
        {V4(100, 64, 0, 0, 10), ADDR_PRIVATE},
        {{{0xfc}, 7}, ADDR_PRIVATE},
        {{{0xfe, 0x80}, 10}, ADDR_PRIVATE},
        {V4(0, 0, 0, 0, 8), INSIDE},
        {{{0xfe, 0xc0}, 10}, INSIDE},                          /* site-local, of RFC 3513 */
        {{{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, INSIDE},           /* RFC 8215: translators' own */
        {{{0, 0x64, 0xff, 0x9b}, 96}, INSIDE | 12 * V4_AT},    /* RFC 6052 2.1 */
        {{{0}, 96}, INSIDE | 12 * V4_AT},                      /* RFC 4291 2.5.5.1 */
        {{{[8] = 0xff, [9] = 0xff}, 96}, INSIDE | 12 * V4_AT}, /* RFC 2765 2.1 */
        {{{0x20, 0x02}, 16}, INSIDE | 2 * V4_AT},              /* RFC 3056 2: 6to4 */
    };
    struct addr v4;

    for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
        if ((nets[i].kinds & kind) == 0 || !prefix_contains(&nets[i].net, a->ip))
            continue;
        v4 = addr_from_octets(a->ip + nets[i].kinds / V4_AT, 4);
        if (nets[i].kinds < V4_AT || addr_is(&v4, kind))
            return true;
    }
    return false;
}

bool addr_same(const struct addr *a, const struct addr *b)
{
    return addr_same_ip(a, b) && a->scope == b->scope && a->port == b->port;
}

unsigned addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *v6);
    if (ip_is_v4(a->ip)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        memcpy(&v4->sin_addr, a->ip + 12, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(a->port);
    v6->sin6_scope_id = a->scope;
    memcpy(&v6->sin6_addr, a->ip, 16);
    return sizeof *v6;
}

struct addr addr_from_octets(const uint8_t *ip, size_t n)
{
    struct addr a = {.port = 0};

    if (n == 4)
        memcpy(a.ip, mapped, sizeof mapped);
    memcpy(a.ip + sizeof a.ip - n, ip, n);
    return a;
}

bool addr_from_sockaddr(struct addr *out, const struct sockaddr *sa)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;

    if (sa && sa->sa_family == AF_INET) {
        *out = addr_from_octets((const uint8_t *)&v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
        return true;
    }
    if (sa == NULL || sa->sa_family != AF_INET6)
        return false;
    *out = addr_from_octets((const uint8_t *)&v6->sin6_addr, 16);
    out->port = ntohs(v6->sin6_port);
    out->scope = v6->sin6_scope_id;
    return true;
}

const char *prefix_parse(struct prefix *out, const char *text)
{
    static const char no[] = "is not an address or a prefix like 10.0.0.0/8, 2001:db8::/32";
    struct prefix p = {.len = 128}, net;
    char buf[PREFIX_TEXT], *slash;
    uint64_t len;

    (void)str_copy(buf, sizeof buf, text); /* "" for one that is too long */
    if ((slash = strchr(buf, '/')) != NULL)
        *slash = '\0';
    if (ip_parse(p.ip, buf) != 0)
        return no;
    if (slash) {
        unsigned before = strchr(buf, ':') == NULL ? 96 : 0; /* as the text counts */

        if (number_parse(&len, slash + 1, 128 - before) != 0)
            return no;
        p.len = (uint8_t)(len + before);
    }
    net = p;
    prefix_mask(net.ip, net.len);
    if (!prefix_same(&net, &p))
        return "has bits behind its length; write the net's first address";
    *out = p;
    return NULL;
}

const char *prefix_print(const struct prefix *p, char out[PREFIX_TEXT])
{
    struct addr a = {.port = 0};
    char ip[ADDR_TEXT];

    memcpy(a.ip, p->ip, sizeof a.ip);
    snprintf(out, PREFIX_TEXT, "%.45s/%u", addr_print(&a, ip),
             prefix_is_v4(p) ? p->len - 96u : p->len);
    return out;
}

bool prefix_is_v4(const struct prefix *p)
{
    return ip_is_v4(p->ip) && p->len >= 96;
}

bool prefix_contains(const struct prefix *p, const uint8_t ip[16])
{
    uint64_t net[2], is[2];

    memcpy(net, p->ip, sizeof net);
    memcpy(is, ip, sizeof is);
    net[0] = be64toh(net[0] ^ is[0]);
    net[1] = be64toh(net[1] ^ is[1]);
    if (p->len > 64 ? net[0] != 0 || net[1] >> (128 - p->len) != 0
                    : p->len > 0 && net[0] >> (64 - p->len) != 0)
        return false;
    return p->len >= 96 || !ip_is_v4(ip); /* from there on both are, or neither */
}

bool prefix_any(const struct prefix *p, int n, const struct addr *a)
{
    for (; n > 0; p++, n--)
        if (prefix_contains(p, a->ip))
            return true;
    return false;
}

void prefix_mask(uint8_t ip[16], unsigned len)
{
    for (unsigned i = (len + 7) / 8; i < 16; i++)
        ip[i] = 0;
    if (len % 8 != 0)
        ip[len / 8] &= (uint8_t)(0xff00 >> len % 8);
}

const char *endpoint_parse(struct endpoint *out, const char *text)
{
    static const char *const kinds[] = {"file:", "unix:", "udp:", "tcp:"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *rest = text + strlen(kinds[i]);

        if (strncmp(text, kinds[i], strlen(kinds[i])) != 0)
            continue;
        *out = (struct endpoint){.kind = (enum endpoint_kind)i, .path = rest};
        if (i <= ENDPOINT_UNIX)
            return rest[0] == '/' ? NULL : "must name an absolute path: begin it with /";
        return addr_parse(&out->addr, rest, SYSLOG_PORT) == 0 && !addr_is(&out->addr, ADDR_ANY)
                   ? NULL
                   : "must name an address, with or without a port; names are not looked up";
    }
    return "must begin with file: unix: udp: or tcp:";
}
