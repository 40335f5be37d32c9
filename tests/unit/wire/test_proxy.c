/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_proxy.c -- heads of the PROXY protocol: whose question it is, or that it cannot be said.
 */
#include "tests/unit/rows.h"

#include "wire/proxy.h"

#define SIGN "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 "\x0a\x14\x04\x07\x0a\0\0\x09\xc0\x01\0\x35" /* 10.20.4.7:49153 to 10.0.0.9:53 */
#define IPV6                                                                                       \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\xc0\x01" \
    "\0"                                                                                           \
    "\x35"
#define SELF "192.0.2.9:5300"
#define HEAD(octets) octets, sizeof(octets) - 1

static const struct head_row {
    const char *name;
    const char *octets;
    size_t len;
    bool stream;
    int rc;
    const char *client;
    size_t left;
} rows[] = {
    {"IPv4", HEAD(SIGN "\x21\x12\0\x0c" IPV4 "question"), false, 0, "10.20.4.7:49153", 8},
    {"IPv4, stream", HEAD(SIGN "\x21\x11\0\x0c" IPV4 "question"), true, 0, "10.20.4.7:49153", 8},
    {"IPv6", HEAD(SIGN "\x21\x22\0\x24" IPV6 "q"), false, 0, "[2001:db8::7]:49153", 1},
    {"TLVs are skipped", HEAD(SIGN "\x21\x12\0\x11" IPV4 "\x04\0\x02xxq"), false, 0,
     "10.20.4.7:49153", 1},
    {"nothing behind it", HEAD(SIGN "\x21\x12\0\x0c" IPV4), false, 0, "10.20.4.7:49153", 0},
    {"LOCAL: the balancer asks", HEAD(SIGN "\x20\0\0\0q"), false, 0, SELF, 1},
    {"LOCAL with addresses: they mean nothing", HEAD(SIGN "\x20\x12\0\x0c" IPV4 "q"), false, 0,
     SELF, 1},
    {"no family", HEAD(SIGN "\x21\0\0\0q"), false, 0, SELF, 1},
    {"a UNIX socket", HEAD(SIGN "\x21\x32\0\x02xxq"), false, 0, SELF, 1},
    {"a stream's over UDP: DNS over HTTPS, at dnsdist", HEAD(SIGN "\x21\x11\0\x0c" IPV4 "q"), false,
     0, "10.20.4.7:49153", 1},
    {"no transport", HEAD(SIGN "\x21\x10\0\x0c" IPV4), false, -EBADMSG, NULL, 0},
    {"a transport that there is not", HEAD(SIGN "\x21\x13\0\x0c" IPV4), false, -EBADMSG, NULL, 0},
    {"no transport, over TCP", HEAD(SIGN "\x21\x10\0\x0c" IPV4), true, -EBADMSG, NULL, 0},
    {"a datagram's over TCP", HEAD(SIGN "\x21\x12\0\x0c" IPV4), true, -EBADMSG, NULL, 0},
    {"version 1", HEAD("PROXY TCP4 10.20.4.7 10.0.0.9 49153 53\r\n"), true, -EBADMSG, NULL, 0},
    {"another version", HEAD(SIGN "\x31\x12\0\x0c" IPV4), false, -EBADMSG, NULL, 0},
    {"another command", HEAD(SIGN "\x22\x12\0\x0c" IPV4), false, -EBADMSG, NULL, 0},
    {"the length lies: no room for the ports", HEAD(SIGN "\x21\x12\0\x0b" IPV4), false, -EBADMSG,
     NULL, 0},
    {"the length lies: IPv4 where IPv6 is said", HEAD(SIGN "\x21\x22\0\x0c" IPV4), false, -EBADMSG,
     NULL, 0},
    {"the length lies: more than there is", HEAD(SIGN "\x21\x12\0\x0d" IPV4), false, -EAGAIN, NULL,
     0},
    {"longer than any", HEAD(SIGN "\x21\x12\x04\x01" IPV4), true, -EBADMSG, NULL, 0},
    {"as long as may be", HEAD(SIGN "\x21\x12\x04\x00" IPV4), true, -EAGAIN, NULL, 0},
    {"half a signature", HEAD("\r\n\r\n\0\r"), true, -EAGAIN, NULL, 0},
    {"nothing", HEAD(""), true, -EAGAIN, NULL, 0},
    {"the signature alone", HEAD(SIGN), true, -EAGAIN, NULL, 0},
    {"a length cut in two", HEAD(SIGN "\x21\x11\0"), true, -EAGAIN, NULL, 0},
    {"a question without a head", HEAD("\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01"),
     false, -EBADMSG, NULL, 0},
    {"a question that begins alike", HEAD("\r\n\x01\0\0\x01"), true, -EBADMSG, NULL, 0},
};

static void check_head(void **state)
{
    const struct head_row *r = *state;
    struct cursor c = cursor_make(r->octets, r->len);
    struct addr client;
    char text[ADDR_TEXT];

    assert_int_equal(addr_parse(&client, SELF, 53), 0);
    assert_int_equal(proxy_read(&c, r->stream, &client), r->rc);
    assert_string_equal(addr_print_port(&client, text), r->client ? r->client : SELF);
    if (r->rc == 0)
        assert_int_equal(cursor_left(&c), r->left);
}

TESTS("proxy", ROWS(rows, check_head))
