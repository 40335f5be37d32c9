/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_addr.c -- addresses and prefixes: which texts are accepted, and what they mean.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <netinet/in.h>

#include "base/addr.h"
#include "tests/unit/rows.h"

/* print: what addr_print_port() makes of it; NULL: refused. 53 is given as the
 * port for texts without one. */
static const struct parse_row {
    const char *what, *text, *print;
} parse_rows[] = {
    {"IPv4", "192.0.2.1", "192.0.2.1:53"},
    {"IPv4 with port", "192.0.2.1:5353", "192.0.2.1:5353"},
    {"IPv4, largest port", "192.0.2.1:65535", "192.0.2.1:65535"},
    {"IPv6", "2001:db8::1", "[2001:db8::1]:53"},
    {"IPv6 in brackets", "[2001:db8::1]", "[2001:db8::1]:53"},
    {"IPv6 with port", "[2001:db8::1]:5353", "[2001:db8::1]:5353"},
    {"IPv6 whose end looks like a port", "2001:db8::1:53", "[2001:db8::1:53]:53"},
    {"mapped IPv4 is IPv4", "::ffff:192.0.2.1", "192.0.2.1:53"},
    {"mapped IPv4 in hexadecimal", "::ffff:c000:201", "192.0.2.1:53"},
    {"link-local with interface name", "fe80::1%lo", "[fe80::1%lo]:53"},
    {"link-local with interface and port", "[fe80::1%lo]:54", "[fe80::1%lo]:54"},
    {"empty", ""},
    {"part above 255", "1.2.3.256"},
    {"octal part", "010.0.0.1"},
    {"blank before", " 192.0.2.1"},
    {"hexadecimal port", "1.2.3.4:0x35"},
    {"port above 65535", "1.2.3.4:70000"},
    {"port 0", "1.2.3.4:0"},
    {"plus before the port", "1.2.3.4:+1"},
    {"empty port", "1.2.3.4:"},
    {"port alone", ":53"},
    {"bracket not closed", "[2001:db8::1"},
    {"bracket not opened", "2001:db8::1]:53"},
    {"brackets with nothing in them", "[]:53"},
    {"brackets, empty port", "[::1]:"},
    {"text behind the brackets", "[::1]x"},
    {"IPv4 in brackets", "[192.0.2.1]:53"},
    {"interface on a global address", "2001:db8::1%lo"},
    {"interface just above link-local", "fec0::1%lo"},
    {"interface on IPv4", "192.0.2.1%lo"},
    {"interface that does not exist", "fe80::1%no-such-if"},
    {"empty interface", "fe80::1%"},
    {"interface 0", "fe80::1%0"},
    {"host name", "dns.corp.example"},
    {"far too long", "1111111111111111111111111111111111111111111111111111111111111111111111111111"
                     "11111111111111111111"},
};

static void parse(void **state)
{
    const struct parse_row *r = *state;
    struct addr a, before;
    char out[ADDR_TEXT];
    struct sockaddr_storage sa;

    memset(&a, 0xaa, sizeof a);
    before = a;
    if (r->print == NULL) {
        assert_int_equal(addr_parse(&a, r->text, 53), -EINVAL);
        assert_memory_equal(&a, &before, sizeof a);
        return;
    }
    assert_int_equal(addr_parse(&a, r->text, 53), 0);
    assert_string_equal(addr_print_port(&a, out), r->print);
    assert_int_equal(addr_parse(&before, out, 0), 0);
    assert_true(addr_same(&a, &before));
    memset(&before, 0xaa, sizeof before);
    assert_int_equal(addr_to_sockaddr(&a, &sa),
                     addr_is_v4(&a) ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    assert_true(addr_from_sockaddr(&before, (struct sockaddr *)&sa));
    assert_true(addr_same(&a, &before));
    assert_false(addr_from_sockaddr(&a, NULL));
    sa.ss_family = AF_UNIX;
    assert_false(addr_from_sockaddr(&a, (struct sockaddr *)&sa));
}

enum { V4 = 1, ANY = 2, LOOP = 4, PRIVATE = 8 };

static const struct class_row {
    const char *text;
    unsigned want;
} class_rows[] = {
    {"0.0.0.0", V4 | ANY},
    {"::", ANY},
    {"127.0.0.1", V4 | LOOP | PRIVATE},
    {"127.255.255.255", V4 | LOOP | PRIVATE},
    {"128.0.0.0", V4},
    {"::1", LOOP | PRIVATE},
    {"10.0.0.0", V4 | PRIVATE},
    {"10.255.255.255", V4 | PRIVATE},
    {"172.15.255.255", V4},
    {"172.16.0.0", V4 | PRIVATE},
    {"172.31.255.255", V4 | PRIVATE},
    {"172.32.0.0", V4},
    {"192.168.0.0", V4 | PRIVATE},
    {"100.63.255.255", V4},
    {"100.64.0.0", V4 | PRIVATE},
    {"100.127.255.255", V4 | PRIVATE},
    {"100.128.0.0", V4},
    {"fbff::1", 0},
    {"fc00::1", PRIVATE},
    {"fe00::1", 0},
    {"fe80::1", PRIVATE},
    {"febf::1", PRIVATE},
    {"fec0::1", 0},
    {"8.8.8.8", V4},
    {"2001:db8::1", 0},
};

static void classes(void **state)
{
    const struct class_row *r = *state;
    struct addr a;

    assert_int_equal(addr_parse(&a, r->text, 0), 0);
    assert_int_equal(addr_is_v4(&a), (r->want & V4) != 0);
    assert_int_equal(addr_is(&a, ADDR_ANY), (r->want & ANY) != 0);
    assert_int_equal(addr_is(&a, ADDR_LOOPBACK), (r->want & LOOP) != 0);
    assert_int_equal(addr_is(&a, ADDR_PRIVATE), (r->want & PRIVATE) != 0);
}

/* print: NULL when refused with rc */
static const struct prefix_row {
    const char *what, *text;
    int rc;
    const char *print, *first, *last;
} prefix_rows[] = {
    {"IPv4", "10.0.0.0/8", 0, "10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
    {"IPv4, not at a byte", "10.20.64.0/18", 0, "10.20.64.0/18", "10.20.64.0", "10.20.127.255"},
    {"IPv4, seven bits of a byte", "10.2.0.0/15", 0, "10.2.0.0/15", "10.2.0.0", "10.3.255.255"},
    {"IPv4 address alone", "192.0.2.1", 0, "192.0.2.1/32", "192.0.2.1", "192.0.2.1"},
    {"all of IPv4", "0.0.0.0/0", 0, "0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
    {"IPv6", "2001:db8::/32", 0, "2001:db8::/32",
     "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"IPv6, not at a byte", "2001:db8:8000::/33", 0, "2001:db8:8000::/33",
     "2001:db8:8000::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"IPv6 address alone", "2001:db8::1", 0, "2001:db8::1/128", "2001:db8::1", "2001:db8::1"},
    {"everything", "::/0", 0, "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"mapped IPv4", "::ffff:10.0.0.0/104", 0, "10.0.0.0/8", "10.0.0.0", "10.255.255.255"},
    {"host bits, IPv4", "10.0.0.1/8", -ERANGE},
    {"one host bit", "10.20.32.0/18", -ERANGE},
    {"host bits, IPv6", "2001:db8::1/64", -ERANGE},
    {"too long for IPv4", "10.0.0.0/33", -EINVAL},
    {"too long for IPv6", "2001:db8::/129", -EINVAL},
    {"netmask", "10.0.0.0/255.0.0.0", -EINVAL},
    {"length alone", "/8", -EINVAL},
    {"with port", "10.0.0.0:53", -EINVAL},
    {"three parts", "10.0.0/8", -EINVAL},
    {"with interface", "fe80::1%lo", -EINVAL},
    {"empty", "", -EINVAL},
};

static void prefixes(void **state)
{
    const struct prefix_row *r = *state;
    struct prefix p;
    struct addr first = {.port = 0}, last = {.port = 0};
    char out[PREFIX_TEXT], text[ADDR_TEXT];

    assert_int_equal(prefix_parse(&p, r->text), r->rc);
    if (r->rc != 0)
        return;
    assert_string_equal(prefix_print(&p, out), r->print);
    prefix_range(&p, first.ip, last.ip);
    assert_string_equal(addr_print(&first, text), r->first);
    assert_string_equal(addr_print(&last, text), r->last);
    assert_true(prefix_contains(&p, first.ip));
    assert_true(prefix_contains(&p, last.ip));
}

static const struct contains_row {
    const char *prefix, *ip;
    int want;
} contains_rows[] = {
    {"10.0.0.0/8", "11.0.0.0", 0},
    {"10.0.0.0/8", "9.255.255.255", 0},
    {"10.0.0.0/8", "10.1.2.3", 1},
    {"10.0.0.0/8", "::ffff:10.1.2.3", 1},
    {"10.20.64.0/18", "10.20.128.0", 0},
    {"10.20.64.0/18", "10.20.63.255", 0},
    {"0.0.0.0/0", "2001:db8::1", 0},
    {"::/0", "2001:db8::1", 1},
    {"::/0", "10.0.0.1", 1},
    {"2001:db8::/32", "2001:db9::", 0},
    {"2001:db8::1", "2001:db8::1", 1},
    {"2001:db8::1", "2001:db8::2", 0},
};

static void contains(void **state)
{
    const struct contains_row *r = *state;
    struct prefix p;
    struct addr a;

    assert_int_equal(prefix_parse(&p, r->prefix), 0);
    assert_int_equal(addr_parse(&a, r->ip, 0), 0);
    assert_int_equal(prefix_contains(&p, a.ip), r->want);
}

static void sameness(void **state)
{
    struct prefix p[3];
    struct addr a, b;
    char out[ADDR_TEXT];

    assert_int_equal(prefix_parse(&p[0], "10.0.0.0/8"), 0);
    assert_int_equal(prefix_parse(&p[1], "10.0.0.0/9"), 0);
    assert_int_equal(prefix_parse(&p[2], "11.0.0.0/8"), 0);
    assert_true(prefix_same(&p[0], &p[0]));
    assert_false(prefix_same(&p[0], &p[1]));
    assert_false(prefix_same(&p[0], &p[2]));
    assert_int_equal(addr_parse(&a, "192.0.2.1:53", 0), 0);
    assert_int_equal(addr_parse(&b, "192.0.2.1:54", 0), 0);
    assert_true(addr_same_ip(&a, &b));
    assert_false(addr_same(&a, &b));
    b.port = 53;
    assert_true(addr_same(&a, &b));
    b.scope = 1;
    assert_false(addr_same(&a, &b));
    assert_int_equal(addr_parse(&b, "192.0.2.2", 0), 0);
    assert_false(addr_same_ip(&a, &b));
    assert_string_equal(addr_print_port(&b, out), "192.0.2.2"); /* it has none */
}

static void longest_text_fits(void **state)
{
    struct addr a;
    char out[ADDR_TEXT], want[ADDR_TEXT];

    assert_int_equal(addr_parse(&a, "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", 65535),
                     0);
    addr_print_port(&a, out);
    snprintf(want, sizeof want, "[fe80:1111:2222:3333:4444:5555:6666:7777%%4294967295]:65535");
    assert_string_equal(out, want);
}

int main(void)
{
    ROWS(parse_rows, parse);
    ROWS(class_rows, classes);
    ROWS(prefix_rows, prefixes);
    ROWS(contains_rows, contains);
    rows_add("what makes two addresses the same", sameness, NULL, NULL, NULL);
    rows_add("the longest text fits", longest_text_fits, NULL, NULL, NULL);
    return RUN("addr");
}
