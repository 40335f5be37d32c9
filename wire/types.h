/* SPDX-License-Identifier: BSD-2-Clause
 *
 * types.h -- the numbers of the DNS (IANA "DNS Parameters").
 */
#ifndef WIRE_TYPES_H
#define WIRE_TYPES_H

enum {
    DNS_HEADER = 12,
    DNS_MAX_MESSAGE = 65535,
    DNS_UDP_PLAIN = 512,    /* without EDNS, RFC 1035 2.3.4 */
    DNS_UDP_EDNS = 1232,    /* what we advertise and send at most, RFC 9715 */
    POINTER_REACH = 0x4000, /* a name that begins behind it cannot be pointed at */
};

/* clang-format off */
enum { /* header flags, in the 16-bit field */
    DNS_QR = 0x8000, DNS_AA = 0x0400, DNS_TC = 0x0200, DNS_RD = 0x0100,
    DNS_RA = 0x0080, DNS_AD = 0x0020, DNS_CD = 0x0010,
};

enum { OPCODE_QUERY = 0, OPCODE_UPDATE = 5 };

enum {
    RCODE_NOERROR = 0, RCODE_FORMERR = 1, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3,
    RCODE_NOTIMP = 4, RCODE_REFUSED = 5, RCODE_YXDOMAIN = 6, RCODE_BADVERS = 16,
    RCODE_BADCOOKIE = 23,
    /* Our own, never sent: what came cannot be used (a referral, a loop of CNAMEs, a
     * chain that cannot be followed, a reply that does not parse); nothing came. */
    RCODE_UNUSABLE = 0xfffe, RCODE_TIMEOUT = 0xffff,
};

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_HINFO = 13,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_NAPTR = 35,
    TYPE_DNAME = 39,
    TYPE_OPT = 41,
    TYPE_DS = 43,
    TYPE_RRSIG = 46,
    TYPE_NSEC = 47,
    TYPE_DNSKEY = 48,
    TYPE_NSEC3 = 50,
    TYPE_SVCB = 64,
    TYPE_HTTPS = 65,
    TYPE_TKEY = 249,
    TYPE_TSIG = 250,
    TYPE_IXFR = 251,
    TYPE_AXFR = 252,
    TYPE_ANY = 255,
};

enum { SVCB_IPV4HINT = 4, SVCB_IPV6HINT = 6 };
enum { CLASS_IN = 1, CLASS_CH = 3, CLASS_NONE = 254, CLASS_ANY = 255 };

enum { /* EDNS */
    OPTION_NSID = 3,
    OPTION_COOKIE = 10,
    OPTION_KEEPALIVE = 11,
    OPTION_PADDING = 12,
    OPTION_EDE = 15
};
enum { COOKIE_CLIENT = 8, COOKIE_OCTETS = 24 /* with a server's part of RFC 9018 */ };

enum { /* extended DNS errors, RFC 8914 */
    EDE_NONE = -1, EDE_OTHER = 0, EDE_STALE = 3, EDE_FORGED = 4, EDE_CACHED_ERROR = 13,
    EDE_BLOCKED = 15, EDE_FILTERED = 17, EDE_PROHIBITED = 18, EDE_STALE_NX = 19, EDE_NOT_AUTHORITATIVE = 20,
    EDE_NOT_SUPPORTED = 21, EDE_NO_REACHABLE = 22, EDE_NETWORK_ERROR = 23,
    EDE_SYNTHESIZED = 29,
};
/* clang-format on */

#endif
