/* SPDX-License-Identifier: BSD-2-Clause
 *
 * addr.h -- IP addresses and prefixes as values.
 *
 * Both families have one form of 16 bytes: IPv4 is mapped (::ffff:a.b.c.d,
 * RFC 4291 2.5.5.2), so that a comparison, a range or a key needs no family.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sockaddr;
struct sockaddr_storage;

struct addr {
    uint8_t ip[16];
    uint32_t scope; /* interface index of a link-local address, else 0 */
    uint16_t port;  /* host byte order; 0 when there is none */
};

struct prefix {
    uint8_t ip[16]; /* bits behind len are zero */
    uint8_t len;    /* 0..128, counted in the mapped form: 10.0.0.0/8 is 104 */
};

enum { ADDR_TEXT = 80, PREFIX_TEXT = 64 };

/* Reads "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53", "fe80::1%eth0"; port is
 * for a text that has none. 0 or -EINVAL; *out is untouched on error. */
int addr_parse(struct addr *out, const char *text, uint16_t port);

/* Without the port ("192.0.2.1", "2001:db8::1") / with it. Return out. */
const char *addr_print(const struct addr *, char out[ADDR_TEXT]);
const char *addr_print_port(const struct addr *, char out[ADDR_TEXT]);

bool ip_is_v4(const uint8_t ip[16]);
#define addr_is_v4(a) ip_is_v4((a)->ip)
/* 0.0.0.0 or ::; 127.0.0.0/8 or ::1; RFC 1918, 4193, 3927, 6598, loopback and link-local,
 * which is not a public address; what a host of this network may take for one of these, too. */
enum addr_kind { ADDR_ANY = 1, ADDR_LOOPBACK = 2, ADDR_PRIVATE = 4, ADDR_INSIDE = 8 | 4 | 1 };
bool addr_is(const struct addr *, enum addr_kind);
#define addr_same_ip(a, b) (memcmp((a)->ip, (b)->ip, 16) == 0)
bool addr_same(const struct addr *, const struct addr *); /* in scope and port, too */

/* An IPv4 address becomes AF_INET. Returns the length to pass on. */
unsigned addr_to_sockaddr(const struct addr *, struct sockaddr_storage *out);
/* False (out untouched) for other families than the two, and for NULL. */
bool addr_from_sockaddr(struct addr *out, const struct sockaddr *);
/* Of the octets of a record or a packet, 4 or 16 of them; without a port. */
struct addr addr_from_octets(const uint8_t *ip, size_t n);

/* Reads "10.0.0.0/8", "2001:db8::/32", or an address alone (full length). NULL, or why it cannot
 * be, in words that follow the text. */
const char *prefix_parse(struct prefix *out, const char *text);
const char *prefix_print(const struct prefix *, char out[PREFIX_TEXT]);
/* IPv4 and IPv6 have nets of their own: ::/0 holds no IPv4 address. */
bool prefix_contains(const struct prefix *, const uint8_t ip[16]);
/* Is the address in one of n? */
bool prefix_any(const struct prefix *, int n, const struct addr *);
#define prefix_same(a, b) (memcmp(a, b, sizeof(struct prefix)) == 0)
bool prefix_is_v4(const struct prefix *);
/* Sets the host bits of ip to zero. */
void prefix_mask(uint8_t ip[16], unsigned len);

/* Where lines go: "file:/var/log/x.json", "unix:/dev/log", "udp:192.0.2.1:514", "tcp:..." */
enum endpoint_kind { ENDPOINT_FILE, ENDPOINT_UNIX, ENDPOINT_UDP, ENDPOINT_TCP };
struct endpoint {
    enum endpoint_kind kind;
    const char *path; /* in the text that was read */
    struct addr addr;
};
enum { SYSLOG_PORT = 514 }; /* of an address that has none */
/* NULL, or why it cannot be, in words that follow the text. */
const char *endpoint_parse(struct endpoint *out, const char *text);

#endif
