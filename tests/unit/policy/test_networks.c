/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_networks.c -- the networks of a client are those whose prefixes contain it.
 */
#include "fixture.h"

/* "CLIENT = [NETWORK PREFIX]...; ..." */
static const struct row {
    const char *what, *policy, *asked;
} rows[] = {
    {"the innermost first, then by name",
     "net b 10.0.0.0/8; net a 10.0.0.0/8; net in 10.1.0.0/16 10.3.0.0/16",
     "10.1.0.1 = in 10.1.0.0/16 a 10.0.0.0/8 b 10.0.0.0/8; 10.2.0.1 = a 10.0.0.0/8 b 10.0.0.0/8; "
     "192.0.2.1 ="},
    {"once, by the longest prefix", "net a 10.0.0.0/8 10.1.0.0/16 10.1.2.0/24; net b 10.1.0.0/16",
     "10.1.2.3 = a 10.1.2.0/24 b 10.1.0.0/16; 10.1.3.3 = a 10.1.0.0/16 b 10.1.0.0/16"},
    {"first and last addresses", "net a 10.64.0.0/11; net b 10.96.0.0/11; net c 10.127.255.255",
     "10.63.255.255 =; 10.64.0.0 = a 10.64.0.0/11; 10.95.255.255 = a 10.64.0.0/11; "
     "10.96.0.0 = b 10.96.0.0/11; 10.127.255.255 = c 10.127.255.255/32 b 10.96.0.0/11; "
     "10.128.0.0 ="},
    {"families", "net four 0.0.0.0/0; net six fc00::/6; net few 2001:db8::/33 fd00::1",
     "192.0.2.1 = four 0.0.0.0/0; fd00::1 = few fd00::1/128 six fc00::/6; "
     "fd00::2 = six fc00::/6; 2001:db8:7fff::1 = few 2001:db8::/33; 2001:db8:8000::1 ="},
    {"all of IPv6 holds nothing of IPv4",
     "net all ::/0; net much ::/64; net mapped 0.0.0.0/1; net most ::/79",
     "192.0.2.1 =; 10.0.0.1 = mapped 0.0.0.0/1; ::1 = most ::/79 much ::/64 all ::/0; "
     "fd00::1 = all ::/0"},
    {"what was there before is gone",
     "net a 10.0.0.0/8 10.2.0.0/16; net b 10.3.0.0/16; net a 10.1.0.0/16; -net b",
     "10.1.0.1 = a 10.1.0.0/16; 10.2.0.1 =; 10.3.0.1 ="},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    char *asked = strdup(r->asked), text[300], prefix[PREFIX_TEXT], *save;
    struct policy_client c;
    struct fixture f;
    struct addr a;
    struct str s;

    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, "%s", r->policy);
    assert_int_equal(store_reader_begin(f.reader->txn), 0);
    for (char *one = strtok_r(asked, ";", &save); one != NULL; one = strtok_r(NULL, ";", &save)) {
        char *want = strstr(one, " =");

        *want = '\0';
        assert_int_equal(addr_parse(&a, one + strspn(one, " "), 0), 0);
        assert_int_equal(policy_client_find(f.reader, &a, &c), 0);
        str_init(&s, text, sizeof text);
        for (int i = 0; i < c.n_networks; i++)
            str_addf(&s, " %s %s", c.networks[i], prefix_print(&c.prefixes[i], prefix));
        assert_string_equal(text, want + 2);
        assert_int_equal(c.key == 0, c.n_networks == 0);
    }
    store_end(f.reader->txn);
    fixture_remove(&f);
    free(asked);
}

static uint64_t key_of(struct fixture *f, const char *ip)
{
    struct policy_client c;
    struct addr a;

    assert_int_equal(addr_parse(&a, ip, 0), 0);
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    assert_int_equal(policy_client_find(f->reader, &a, &c), 0);
    store_end(f->reader->txn);
    return c.key;
}

static void branches_of_a_network_are_one_client(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "net branches 10.1.0.0/24 10.3.0.0/24 10.9.0.0/25; net hq 10.3.0.0/25;"
                      "net other 10.2.0.0/24");
    assert_true(key_of(f, "10.1.0.7") == key_of(f, "10.3.0.200"));
    assert_true(key_of(f, "10.1.0.7") != key_of(f, "10.9.0.7")); /* another length */
    assert_true(key_of(f, "10.1.0.7") != key_of(f, "10.2.0.7"));
    assert_true(key_of(f, "10.3.0.1") != key_of(f, "10.3.0.200"));
    assert_true(key_of(f, "2001:db8::1") == 0);
}

/* More than a reader remembers, so that each length is looked for. */
static void many_prefixes(void **state)
{
    struct fixture *f = *state;
    char text[20000];
    struct str s;

    str_init(&s, text, sizeof text);
    str_add(&s, "net few 172.16.0.0/12 10.3.0.0/28; net many");
    for (int i = 0; i < 600; i++)
        str_addf(&s, " 10.%d.%d.0/24", i / 256, i % 256);
    fixture_policy(f, "%s", text);
    assert_true(key_of(f, "172.16.0.1") != 0);
    assert_true(key_of(f, "10.3.0.1") != 0 && key_of(f, "10.3.0.1") != key_of(f, "172.16.0.1"));
    for (int i = 0; i < 600; i++) {
        snprintf(text, sizeof text, "10.%d.%d.1", i / 256, i % 256);
        assert_true(key_of(f, text) != 0 && key_of(f, text) == key_of(f, "10.2.87.1"));
    }
    assert_true(key_of(f, "10.2.88.1") == 0);
}

/* The innermost count. */
static void too_many_networks_at_one_address(void **state)
{
    struct fixture *f = *state;
    uint64_t key = 0;

    for (int i = 0; i <= POLICY_CLIENT_NETWORKS; i++) { /* the innermost one comes first */
        fixture_policy(f, "net n%02d 10.0.0.0/%d", i, 24 - i / 2);
        assert_int_equal(key_of(f, "10.0.0.1") != key, i < POLICY_CLIENT_NETWORKS);
        key = key_of(f, "10.0.0.1");
    }
}

TESTS("networks", ROWS(rows, check_row), FIXTURE_TEST(branches_of_a_network_are_one_client),
      FIXTURE_TEST(many_prefixes), FIXTURE_TEST(too_many_networks_at_one_address))
