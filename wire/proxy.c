/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy.c -- the head of the PROXY protocol.
 *
 *   12  the signature, which no DNS message that anybody means begins with
 *    1  version 2, command (0 LOCAL, 1 PROXY)
 *    1  family (1 IPv4, 2 IPv6), transport (1 stream, 2 datagram); 0 is unspecified
 *    2  how much follows: addresses and ports of source and destination, then TLVs, which are skipped
 */
#include "wire/proxy.h"

#include <errno.h>

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21, FAMILY_IPV4 = 1, FAMILY_IPV6 = 2 };
enum { STREAM = 1, DATAGRAM = 2, REST_MAX = 1024 };

int proxy_read(struct cursor *c, bool stream, struct addr *client)
{
    size_t begun = cursor_left(c) < sizeof signature ? cursor_left(c) : sizeof signature;
    const uint8_t *start = cursor_take(c, begun), *ip;
    uint8_t command, kind;
    uint16_t port;
    size_t len, ip_len;
    struct cursor rest;

    if (start == NULL || memcmp(start, signature, begun) != 0)
        return -EBADMSG;
    command = cursor_u8(c);
    kind = cursor_u8(c);
    len = cursor_u16(c);
    if (c->bad)
        return -EAGAIN;
    if ((command != COMMAND_LOCAL && command != COMMAND_PROXY) || len > REST_MAX)
        return -EBADMSG;
    if ((start = cursor_take(c, len)) == NULL)
        return -EAGAIN;
    ip_len = kind >> 4 == FAMILY_IPV4 ? 4 : 16;
    if (command == COMMAND_LOCAL || (kind >> 4 != FAMILY_IPV4 && kind >> 4 != FAMILY_IPV6))
        return 0;
    rest = cursor_make(start, len);
    ip = cursor_take(&rest, ip_len);
    (void)cursor_take(&rest, ip_len); /* the balancer's own */
    port = cursor_u16(&rest);
    (void)cursor_u16(&rest);
    /* A balancer may ask over UDP what came to it over TCP, TLS or HTTPS. Over TCP a client counts as
     * one that has its address, which a datagram does not show. */
    if (rest.bad || ((kind & 15) != STREAM && (stream || (kind & 15) != DATAGRAM)))
        return -EBADMSG;
    *client = addr_from_octets(ip, ip_len);
    client->port = port;
    return 0;
}
