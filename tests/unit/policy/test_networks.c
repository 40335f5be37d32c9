/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_networks.c -- the networks of a client are those whose prefixes contain it.
 */
#include "fixture.h"

#include <errno.h>

enum { NETWORKS = 8, PREFIXES = 12, ROUNDS = 200 };

/* Few distinct bits, so that prefixes nest, touch and repeat. */
static void draw_ip(uint8_t ip[16])
{
    static const uint8_t octets[] = {0x00, 0x00, 0x01, 0x7f, 0x80, 0xff, 0xff};
    bool is_v4 = draw(2) == 0, all = draw(20) == 0;

    for (int i = 0; i < 16; i++)
        ip[i] = is_v4 && i < 12 ? (i < 10 ? 0 : 0xff) : octets[all ? 6 : draw(sizeof octets)];
}

struct net {
    size_t n;
    struct prefix prefixes[PREFIXES];
};

/* Another list of prefixes, or none. */
static void change_network(struct policy_change *t, unsigned i, struct net *net)
{
    size_t before = net->n;
    char text[PREFIXES * PREFIX_TEXT], prefix[PREFIX_TEXT];
    struct str s;

    net->n = draw(PREFIXES + 1);
    str_init(&s, text, sizeof text);
    str_addf(&s, "%snet n%u", net->n > 0 ? "" : "-", i);
    for (size_t k = 0; k < net->n; k++) {
        struct prefix *p = &net->prefixes[k];

        draw_ip(p->ip);
        p->len = (uint8_t)(draw(10) == 0 ? draw(129) : 8 * draw(17));
        prefix_mask(p->ip, p->len);
        str_addf(&s, " %s", prefix_print(p, prefix));
    }
    assert_int_equal(fixture_apply(t, "%s", text), net->n + before > 0 ? 0 : -ENOENT);
}

static void check_address(struct fixture *f, const struct net nets[NETWORKS], const uint8_t ip[16])
{
    struct policy_client c;
    struct addr a = {.port = 1};
    int longest[NETWORKS], in = 0;

    memcpy(a.ip, ip, 16);
    assert_int_equal(policy_client_find(f->reader, &a, &c), 0);
    for (size_t i = 0; i < NETWORKS; i++) {
        longest[i] = -1;
        for (size_t k = 0; k < nets[i].n; k++)
            if (prefix_contains(&nets[i].prefixes[k], ip) && nets[i].prefixes[k].len > longest[i])
                longest[i] = nets[i].prefixes[k].len;
        in += longest[i] >= 0;
    }
    assert_int_equal(c.n_networks, in);
    for (int i = 0; i < in; i++) {
        assert_int_equal(c.prefixes[i].len, longest[c.networks[i][1] - '0']);
        assert_true(prefix_contains(&c.prefixes[i], ip));
        if (i > 0) /* the innermost first, then by name */
            assert_true(c.prefixes[i - 1].len > c.prefixes[i].len ||
                        (c.prefixes[i - 1].len == c.prefixes[i].len &&
                         strcmp(c.networks[i - 1], c.networks[i]) < 0));
    }
    assert_int_equal(c.key == 0, in == 0);
}

/* Each change leaves the entries of its networks, whatever was there before. */
static void like_plain_containment(void **state)
{
    struct fixture *f = *state;
    static struct net nets[NETWORKS];
    uint8_t ip[16];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct policy_change *t = fixture_begin(f, 1);

        for (unsigned i = 0; i < NETWORKS; i++)
            if (draw(2) == 0)
                change_network(t, i, &nets[i]);
        fixture_commit(t);
        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        for (unsigned i = 0; i < 200; i++) {
            const struct net *net = &nets[draw(NETWORKS)];

            draw_ip(ip);
            if (net->n > 0 && draw(2) == 0)
                memcpy(ip, net->prefixes[0].ip, net->prefixes[0].len / 8);
            check_address(f, nets, ip);
        }
        store_end(f->reader->txn);
    }
    assert_sound(f);
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

static void too_many_networks_at_one_address(void **state)
{
    struct fixture *f = *state;
    struct policy_change *t = fixture_begin(f, 1);

    for (int i = 0; i <= POLICY_CLIENT_NETWORKS; i++) /* the innermost one comes first */
        assert_int_equal(fixture_apply(t, "net n%02d 10.0.0.0/%d", i, 24 - i / 2), 0);
    assert_int_equal(policy_change_commit(t), -E2BIG);
    assert_true(key_of(f, "10.0.0.1") == 0);
}

TESTS("networks", FIXTURE_TEST(like_plain_containment),
      FIXTURE_TEST(branches_of_a_network_are_one_client), FIXTURE_TEST(many_prefixes),
      FIXTURE_TEST(too_many_networks_at_one_address))
