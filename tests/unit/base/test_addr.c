/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_addr.c -- addresses and prefixes: which texts are accepted, and what they mean.
 */
#include <netinet/in.h>

#include "base/addr.h"
#include "tests/unit/rows.h"

static struct addr addr_of(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, text, 0), 0);
    return a;
}

/* Texts, and how the address is printed; NULL: refused. 53 is given as the port for texts
 * without one. */
static const struct parse_row {
    const char *texts, *print;
} parse_rows[] = {
    {"192.0.2.1|192.0.2.1:53|::ffff:192.0.2.1|::ffff:c000:201", "192.0.2.1:53"},
    {"192.0.2.1:5353", "192.0.2.1:5353"},
    {"192.0.2.1:65535", "192.0.2.1:65535"},
    {"2001:db8::1|[2001:db8::1]", "[2001:db8::1]:53"},
    {"[2001:db8::1]:5353", "[2001:db8::1]:5353"},
    {"2001:db8::1:53", "[2001:db8::1:53]:53"}, /* its end is no port */
    {"fe80::1%lo|[fe80::1%lo]|fe80::1%1", "[fe80::1%lo]:53"},
    {"[fe80::1%lo]:54", "[fe80::1%lo]:54"},
    {"fe80:1111:2222:3333:4444:5555:6666:7777%4294967295",
     "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:53"},
    {"|dns.corp.example|1.2.3.256|010.0.0.1| 192.0.2.1|1.2.3.4:0x35|1.2.3.4:70000|1.2.3.4:0|"
     "1.2.3.4:+1|1.2.3.4:|:53|11111111111111111111111111111111111111111111111111111111111111111111"
     "1111111111111111111111111111"},
    {"[2001:db8::1|2001:db8::1]:53|[]:53|[::1]:|[::1]x|[192.0.2.1]:53"},
    {"2001:db8::1%lo|fec0::1%lo|192.0.2.1%lo|fe80::1%no-such-if|fe80::1%|fe80::1%0"},
};

static void parse(void **state)
{
    const struct parse_row *r = *state;
    char out[ADDR_TEXT], *rest = strdupa(r->texts), *text;
    struct sockaddr_storage sa;
    struct addr a, same;

    while ((text = strsep(&rest, "|")) != NULL) {
        memset(&a, 0xaa, sizeof a);
        same = a;
        if (addr_parse(&a, text, 53) != (r->print != NULL ? 0 : -EINVAL))
            fail_msg("%s", text);
        if (r->print == NULL) {
            assert_memory_equal(&a, &same, sizeof a);
            continue;
        }
        assert_string_equal(addr_print_port(&a, out), r->print);
        same = addr_of(out);
        assert_true(addr_same(&a, &same));
        memset(&sa, 0xaa, sizeof sa);
        assert_int_equal(addr_to_sockaddr(&a, &sa),
                         addr_is_v4(&a) ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        assert_int_equal(addr_is_v4(&a) ? ((struct sockaddr_in *)&sa)->sin_zero[0]
                                        : ((struct sockaddr_in6 *)&sa)->sin6_flowinfo,
                         0);
        memset(&same, 0xaa, sizeof same);
        assert_true(addr_from_sockaddr(&same, (struct sockaddr *)&sa));
        assert_true(addr_same(&a, &same));
        assert_false(addr_from_sockaddr(&a, NULL));
        sa.ss_family = AF_UNIX;
        assert_false(addr_from_sockaddr(&a, (struct sockaddr *)&sa));
    }
}

enum { V4 = 16, INSIDE = 8 };

static const struct class_row {
    const char *texts;
    unsigned want; /* enum addr_kind, V4; INSIDE: ADDR_INSIDE */
} class_rows[] = {
    {"0.0.0.0", V4 | ADDR_ANY | INSIDE},
    {"::", ADDR_ANY | INSIDE},
    {"127.0.0.1|127.255.255.255", V4 | ADDR_LOOPBACK | ADDR_PRIVATE | INSIDE},
    {"::1", ADDR_LOOPBACK | ADDR_PRIVATE | INSIDE},
    {"10.0.0.0|10.255.255.255|172.16.0.0|172.31.255.255|192.168.0.0|169.254.0.1|100.64.0.0|"
     "100.127.255.255|::ffff:10.0.0.1",
     V4 | ADDR_PRIVATE | INSIDE},
    {"fc00::1|fdff::1|fe80::1|febf::1", ADDR_PRIVATE | INSIDE},
    {"0.0.0.1|0.255.255.255", V4 | INSIDE},
    {"fec0::1|feff::1|64:ff9b:1::|64:ff9b:1:ffff::808:808", INSIDE},
    {"64:ff9b::10.0.0.1|64:ff9b::|64:ff9b::127.0.0.1|64:ff9b::0.1.2.3", INSIDE},
    {"::10.0.0.1|::2|::192.168.0.1|::ffff:0:10.0.0.1|2002:a00:1::1|2002:c0a8:101::", INSIDE},
    {"128.0.0.0|172.15.255.255|172.32.0.0|100.63.255.255|100.128.0.0|8.8.8.8|1.0.0.0", V4},
    {"64:ff9b::8.8.8.8|64:ff9b::1:a00:1|64:ff9a:1::|64:ff9b:2::|::8.8.8.8|::1:a00:1", 0},
    {"::ffff:0:8.8.8.8|::fffe:0:10.0.0.1|2002:808:808::|2002:808:808::10.0.0.1|2003:a00:1::1", 0},
    {"fbff::1|fe00::1|fe7f::1|ff00::1|2001:db8::1", 0},
};

static void classes(void **state)
{
    const struct class_row *r = *state;
    char *rest = strdupa(r->texts), *text;

    while ((text = strsep(&rest, "|")) != NULL) {
        struct addr a = addr_of(text);
        unsigned is = addr_is_v4(&a) ? V4 : 0;

        for (unsigned kind = ADDR_ANY; kind <= ADDR_PRIVATE; kind *= 2)
            is |= addr_is(&a, kind) ? kind : 0;
        is |= addr_is(&a, ADDR_INSIDE) ? INSIDE : 0;
        if (is != r->want)
            fail_msg("%s: %u", text, is);
    }
}

/* Texts; how the prefix is printed; its first and last address, and others that it does not
 * contain; or why it is refused. */
static const struct prefix_row {
    const char *texts, *print, *first, *last, *outside;
    int rc;
} prefix_rows[] = {
    {"10.0.0.0/8|::ffff:10.0.0.0/104", "10.0.0.0/8", "10.0.0.0", "10.255.255.255",
     "9.255.255.255|11.0.0.0|2001:db8::1"},
    {"10.20.64.0/18", "10.20.64.0/18", "10.20.64.0", "10.20.127.255", "10.20.63.255|10.20.128.0"},
    {"10.2.0.0/15", "10.2.0.0/15", "10.2.0.0", "10.3.255.255", "10.1.255.255|10.4.0.0"},
    {"192.0.2.1|192.0.2.1/32", "192.0.2.1/32", "192.0.2.1", "192.0.2.1", "192.0.2.2"},
    {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0", "255.255.255.255", "2001:db8::1"},
    {"2001:db8::/32", "2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:db9::|10.0.0.1"},
    {"2001:db8:8000::/33", "2001:db8:8000::/33",
     "2001:db8:8000::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::"},
    {"2001:db8::1", "2001:db8::1/128", "2001:db8::1", "2001:db8::1", "2001:db8::2"},
    {"::/0", "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "10.0.0.1|0.0.0.0"},
    {"10.0.0.1/8|10.20.32.0/18|2001:db8::1/64", .rc = -ERANGE},
    {"10.0.0.0/33|2001:db8::/129|10.0.0.0/255.0.0.0|/8|10.0.0.0:53|10.0.0/8|fe80::1%lo||1111111111"
     "11111111111111111111111111111111111111111111111111111111111111111111",
     .rc = -EINVAL},
};

static void prefixes(void **state)
{
    const struct prefix_row *r = *state;
    char out[PREFIX_TEXT], *rest = strdupa(r->texts), *text;
    const char *why;
    struct prefix p = {.len = 128}, list[2];
    struct addr a;

    while ((text = strsep(&rest, "|")) != NULL) {
        why = prefix_parse(&p, text);
        if (why == NULL ? r->rc != 0 : (strncmp(why, "has", 3) == 0) != (r->rc == -ERANGE))
            fail_msg("%s", text);
        if (r->rc == 0)
            assert_string_equal(prefix_print(&p, out), r->print);
    }
    list[1] = p;
    assert_null(prefix_parse(&list[0], "198.51.100.0/24"));
    a = addr_of(r->rc == 0 ? r->first : "198.51.100.1");
    assert_true(prefix_any(list, 2, &a) && !prefix_any(list, 0, &a));
    a = addr_of(r->rc == 0 ? r->last : "198.51.100.255");
    assert_true(prefix_any(list, 2, &a));
    rest = r->outside != NULL ? strdupa(r->outside) : NULL;
    while ((text = strsep(&rest, "|")) != NULL) {
        a = addr_of(text);
        assert_false(prefix_any(list, 2, &a));
    }
}

static void sameness(void **state)
{
    struct addr a = addr_of("fe80::1%1"), b = addr_of("fe80::1%2"), c = addr_of("[fe80::1%1]:53");
    char out[ADDR_TEXT];

    assert_true(addr_same_ip(&a, &b) && !addr_same(&a, &b) && !addr_same(&a, &c));
    b = addr_of("192.0.2.2");
    assert_false(addr_same_ip(&a, &b));
    assert_string_equal(addr_print_port(&b, out), "192.0.2.2"); /* it has none */
}

TESTS("addr", ROWS(parse_rows, parse), ROWS(class_rows, classes), ROWS(prefix_rows, prefixes),
      TEST(sameness))
