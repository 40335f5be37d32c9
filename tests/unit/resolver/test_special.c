/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_special.c -- names that are answered here, names that only look like
 * them, and reverse zones by where their questions would go.
 */
#include "tests/unit/resolver/world.h"

#include "base/compiler.h"
#include "resolver/special.h"
#include "tests/unit/rows.h"

#define ACCESS "access: [{net: 10.0.0.0/8, action: allow}]\n"
#define PUBLIC ACCESS "forward: [{zone: ., servers: [9.9.9.9]}]\n"
#define PRIVATE ACCESS "forward: [{zone: ., servers: [10.0.0.53, 192.168.0.53]}]\n"
#define MIXED ACCESS "forward: [{zone: ., servers: [10.0.0.53, 9.9.9.9]}]\n"
#define OWN(zone)                                                                                  \
    ACCESS "forward: [{zone: ., servers: [9.9.9.9]}, {zone: " zone ", servers: [9.9.9.9]}]\n"
#define V4(name) "NOERROR\nan " name ". 10800 IN A 127.0.0.1\n"
#define V6(name) "an " name ". 10800 IN AAAA ::1\n"
#define OF(zone) "\nns " zone " 300 IN SOA " zone " nobody.invalid. 1 3600 1200 604800 300\n"
#define TOP(zone)                                                                                  \
    "NOERROR\nan " zone " 10800 IN SOA " zone " nobody.invalid. 1 3600 1200 604800 10800\n"
#define ZEROS "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static const struct row {
    const char *name, *settings, *ask, *want;
} rows[] = {
    {"localhost A", PUBLIC, "localhost A", V4("localhost")},
    {"localhost AAAA", PRIVATE, "localhost AAAA", "NOERROR\n" V6("localhost")},
    {"localhost ANY", PUBLIC, "localhost ANY", V4("localhost") V6("localhost")},
    {"localhost, other types", PUBLIC, "localhost MX", "NOERROR" OF("localhost.")},
    {"below localhost", PUBLIC, "a.B.LocalHost A", V4("a.B.LocalHost")},
    {"localhost with EDNS", PUBLIC, "localhost A do",
     "NOERROR edns do\nan localhost. 10800 IN A 127.0.0.1\n"},
    {"localhost, RD=0", PUBLIC, "localhost A rd0", V4("localhost")},
    {"localhost in another class", PUBLIC, "localhost A class=4", "FORWARD"},
    {"not localhost: longer label", PUBLIC, "xlocalhost A", "FORWARD"},
    {"not localhost: above", PUBLIC, "localhost.example A", "FORWARD"},
    {"not localhost: a label with its octets", PUBLIC, "a\\009localhost A", "FORWARD"},
    {"a route of localhost changes nothing", OWN("localhost"), "localhost A", V4("localhost")},

    {"invalid", PUBLIC, "invalid A", "NOERROR" OF("invalid.")},
    {"below invalid", PUBLIC, "www.Invalid A", "NXDOMAIN" OF("Invalid.")},
    {"not invalid", PUBLIC, "notinvalid A", "FORWARD"},
    {"onion", PRIVATE, "abc.onion AAAA", "NXDOMAIN" OF("onion.")},
    {"onion with EDNS", PRIVATE, "abc.onion AAAA edns", "NXDOMAIN edns" OF("onion.")},
    {"not onion", PUBLIC, "abc.onion.example A", "FORWARD"},
    {"onion has a route of its own", OWN("onion"), "abc.onion A", "FORWARD"},
    {"resolver.arpa", PUBLIC, "resolver.arpa A", "NOERROR" OF("resolver.arpa.")},
    {"discovery of designated resolvers", PUBLIC, "_dns.resolver.arpa SVCB",
     "NOERROR" OF("resolver.arpa.")},
    {"not resolver.arpa", PUBLIC, "xresolver.arpa A", "FORWARD"},
    {"ordinary: local", PUBLIC, "printer.local A", "FORWARD"},
    {"ordinary: test", PUBLIC, "www.test A", "FORWARD"},
    {"ordinary: home.arpa", PUBLIC, "nas.home.arpa A", "FORWARD"},
    {"ordinary: the root", PUBLIC, ". NS", "FORWARD"},
    {"ordinary: arpa", PUBLIC, "arpa NS", "FORWARD"},
    {"ordinary: in-addr.arpa", PUBLIC, "in-addr.arpa NS", "FORWARD"},

    {"10/8, public servers", PUBLIC, "4.3.2.10.in-addr.arpa PTR",
     "NXDOMAIN" OF("10.in-addr.arpa.")},
    {"10/8, its top", PUBLIC, "10.in-addr.arpa SOA", TOP("10.in-addr.arpa.")},
    {"10/8, its servers", PUBLIC, "10.in-addr.arpa NS",
     "NOERROR\nan 10.in-addr.arpa. 10800 IN NS 10.in-addr.arpa.\n"},
    {"10/8, below the top", PUBLIC, "1.10.in-addr.arpa SOA", "NXDOMAIN" OF("10.in-addr.arpa.")},
    {"10/8, private servers", PRIVATE, "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"10/8, one server is public", MIXED, "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"10/8, a route of its own", OWN("10.in-addr.arpa"), "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"10/8, a route above it", OWN("in-addr.arpa"), "4.3.2.10.in-addr.arpa PTR", "FORWARD"},
    {"110/8", PUBLIC, "4.3.2.110.in-addr.arpa PTR", "FORWARD"},
    {"192.168/16", PUBLIC, "1.0.168.192.IN-ADDR.ARPA PTR", "NXDOMAIN" OF("168.192.IN-ADDR.ARPA.")},
    {"192.169/16", PUBLIC, "1.0.169.192.in-addr.arpa PTR", "FORWARD"},
    {"172.15", PUBLIC, "1.0.15.172.in-addr.arpa PTR", "FORWARD"},
    {"172.16", PUBLIC, "1.0.16.172.in-addr.arpa PTR", "NXDOMAIN" OF("16.172.in-addr.arpa.")},
    {"172.31", PUBLIC, "1.0.31.172.in-addr.arpa PTR", "NXDOMAIN" OF("31.172.in-addr.arpa.")},
    {"172.32", PUBLIC, "1.0.32.172.in-addr.arpa PTR", "FORWARD"},
    {"172.016 is no address", PUBLIC, "1.0.016.172.in-addr.arpa PTR", "FORWARD"},
    {"172/8 itself", PUBLIC, "172.in-addr.arpa SOA", "FORWARD"},
    {"172.16, its top", PUBLIC, "16.172.in-addr.arpa SOA", TOP("16.172.in-addr.arpa.")},
    {"172.16, private servers", PRIVATE, "1.0.16.172.in-addr.arpa PTR", "FORWARD"},
    {"100.63", PUBLIC, "1.0.63.100.in-addr.arpa PTR", "FORWARD"},
    {"100.64", PUBLIC, "1.0.64.100.in-addr.arpa PTR", "NXDOMAIN" OF("64.100.in-addr.arpa.")},
    {"100.127", PUBLIC, "1.0.127.100.in-addr.arpa PTR", "NXDOMAIN" OF("127.100.in-addr.arpa.")},
    {"100.128", PUBLIC, "1.0.128.100.in-addr.arpa PTR", "FORWARD"},
    {"100.064 is no address", PUBLIC, "1.0.064.100.in-addr.arpa PTR", "FORWARD"},
    {"169.254/16", PUBLIC, "1.0.254.169.in-addr.arpa PTR", "NXDOMAIN" OF("254.169.in-addr.arpa.")},
    {"192.0.2/24", PUBLIC, "1.2.0.192.in-addr.arpa PTR", "NXDOMAIN" OF("2.0.192.in-addr.arpa.")},
    {"127/8, whatever the servers", PRIVATE, "1.0.0.127.in-addr.arpa PTR",
     "NXDOMAIN" OF("127.in-addr.arpa.")},
    {"0/8", PRIVATE, "1.0.0.0.in-addr.arpa PTR", "NXDOMAIN" OF("0.in-addr.arpa.")},
    {"255.255.255.255", PRIVATE, "255.255.255.255.in-addr.arpa PTR",
     "NOERROR" OF("255.255.255.255.in-addr.arpa.")},
    {"::", PRIVATE, "0." ZEROS "ip6.arpa PTR", "NOERROR" OF("0." ZEROS "ip6.arpa.")},
    {"::1", PRIVATE, "1." ZEROS "ip6.arpa PTR", "NOERROR" OF("1." ZEROS "ip6.arpa.")},
    {"::2", PRIVATE, "2." ZEROS "ip6.arpa PTR", "FORWARD"},
    {"fd00::/8", PUBLIC, "1.0.d.f.ip6.arpa PTR", "NXDOMAIN" OF("d.f.ip6.arpa.")},
    {"fc00::/8 is not given out", PUBLIC, "1.0.c.f.ip6.arpa PTR", "FORWARD"},
    {"fe80::/10, first", PUBLIC, "1.8.e.f.ip6.arpa PTR", "NXDOMAIN" OF("8.e.f.ip6.arpa.")},
    {"fe80::/10, last", PUBLIC, "1.b.e.f.ip6.arpa PTR", "NXDOMAIN" OF("b.e.f.ip6.arpa.")},
    {"fec0::/10", PUBLIC, "1.c.e.f.ip6.arpa PTR", "FORWARD"},
    {"2001:db8::/32", PUBLIC, "1.8.b.d.0.1.0.0.2.ip6.arpa PTR",
     "NXDOMAIN" OF("8.b.d.0.1.0.0.2.ip6.arpa.")},
    {"2001:db9::/32", PUBLIC, "1.9.b.d.0.1.0.0.2.ip6.arpa PTR", "FORWARD"},
    {"fd00::/8, private servers", PRIVATE, "1.0.d.f.ip6.arpa PTR", "FORWARD"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct world *w = world_new(r->settings, NULL);
    enum answer a = world_ask(w, r->ask);
    const char *got = world_answer(w, a);

    assert_string_equal(got, r->want);
    assert_int_equal(w->stats.special, a == ANSWER_SEND);
    assert_false(w->q->has_event);
    world_free(w);
}

static void add_zone(void *context, const char *zone)
{
    strcat(strcat(context, zone), " ");
}

/* What `status` and --check list. */
static void check_zones(void **state)
{
    static const char *const settings[] = {PUBLIC, OWN("168.192.in-addr.arpa"),
                                           OWN("172.in-addr.arpa"), PRIVATE};

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct world *w = world_new(settings[i], NULL);
        char got[1000] = "", want[1000] = "";

        if (i < 3)
            snprintf(want, sizeof want,
                     "10.in-addr.arpa %s254.169.in-addr.arpa 2.0.192.in-addr.arpa "
                     "100.51.198.in-addr.arpa 113.0.203.in-addr.arpa d.f.ip6.arpa "
                     "8.e.f.ip6.arpa 9.e.f.ip6.arpa a.e.f.ip6.arpa b.e.f.ip6.arpa "
                     "8.b.d.0.1.0.0.2.ip6.arpa %s64-127.100.in-addr.arpa ",
                     i == 1 ? "" : "168.192.in-addr.arpa ",
                     i == 2 ? "" : "16-31.172.in-addr.arpa ");
        special_each_reverse(&w->view, add_zone, got);
        assert_string_equal(got, want);
        world_free(w);
    }
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(check_zones);
    return RUN("special");
}
