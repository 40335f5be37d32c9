/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_networks.c -- the networks of a client are those whose prefixes contain it.
 */
#include "fixture.h"

#include <errno.h>

enum { MAX_NETWORKS = 8, MAX_PREFIXES = 12, SEEDS = 400 };

static uint64_t state;

static uint32_t draw(uint32_t n) /* xorshift: the same numbers in each run */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

/* Few distinct bits, so that prefixes nest, touch and repeat. */
static void draw_ip(uint8_t ip[16])
{
    static const uint8_t octets[] = {0x00, 0x00, 0x01, 0x7f, 0x80, 0xff, 0xff};

    for (int i = 0; i < 16; i++)
        ip[i] = octets[draw(sizeof octets)];
    if (draw(2) == 0) {
        memset(ip, 0, 10);
        memset(ip + 10, 0xff, 2);
    }
    if (draw(40) == 0)
        memset(ip, 0xff, 16);
    if (draw(40) == 0)
        memset(ip, 0, 16);
}

struct world {
    struct policy_network networks[MAX_NETWORKS];
    struct prefix prefixes[MAX_NETWORKS][MAX_PREFIXES];
    size_t n;
};

static void world_make(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->n = 1 + draw(MAX_NETWORKS);
    for (size_t i = 0; i < w->n; i++) {
        snprintf(w->networks[i].name, POLICY_NAME, "n%zu", i);
        w->networks[i].prefixes = w->prefixes[i];
        w->networks[i].n = draw(MAX_PREFIXES + 1);
        for (size_t k = 0; k < w->networks[i].n; k++) {
            struct prefix *p = &w->prefixes[i][k];

            draw_ip(p->ip);
            p->len = (uint8_t)(draw(10) == 0 ? draw(129) : 8 * draw(17));
            prefix_mask(p->ip, p->len);
            if (draw(6) == 0 && i > 0 && w->networks[i - 1].n > 0)
                *p = w->prefixes[i - 1][0]; /* equal prefixes of two networks */
        }
    }
}

/* The length of the network's longest prefix that contains ip, or -1. */
static int naive(const struct policy_network *n, const uint8_t ip[16])
{
    int best = -1;

    for (size_t i = 0; i < n->n; i++)
        if (prefix_contains(&n->prefixes[i], ip) && n->prefixes[i].len > best)
            best = n->prefixes[i].len;
    return best;
}

static void check_address(struct fixture *f, const struct world *w, const uint8_t ip[16])
{
    struct policy_client c;
    struct addr a = {.port = 1};
    size_t in = 0;

    memcpy(a.ip, ip, 16);
    assert_int_equal(policy_client_find(f->reader, &a, &c), 0);
    for (size_t i = 0; i < w->n; i++)
        in += naive(&w->networks[i], ip) >= 0;
    assert_int_equal(c.n_networks, in);
    for (size_t i = 0; i < c.n_networks; i++) {
        assert_int_equal(c.prefixes[i].len, naive(&w->networks[c.networks[i][1] - '0'], ip));
        assert_true(prefix_contains(&c.prefixes[i], ip));
        if (i > 0) {
            assert_true(c.prefixes[i - 1].len >= c.prefixes[i].len);
            assert_true(c.prefixes[i - 1].len > c.prefixes[i].len ||
                        strcmp(c.networks[i - 1], c.networks[i]) < 0);
        }
    }
    assert_int_equal(c.key == 0, c.n_networks == 0);
}

/* The address before or behind it. */
static void step(uint8_t ip[16], int by)
{
    for (int i = 15; i >= 0; i--) {
        ip[i] = (uint8_t)(ip[i] + by);
        if (ip[i] != (by > 0 ? 0 : 0xff))
            return;
    }
}

/* Each change leaves the entries of its networks, whatever was there before. */
static void like_naive_containment(void **unused)
{
    struct fixture f;

    (void)unused;
    fixture_folder(&f);
    fixture_open(&f);
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        static struct world w;
        struct policy_change *t = fixture_begin(&f, seed);
        uint8_t ip[2][16];

        state = seed * 0x9e3779b97f4a7c15u;
        world_make(&w);
        for (size_t i = 0; i < MAX_NETWORKS; i++) {
            if (i < w.n && w.networks[i].n > 0) {
                policy_object_sort(POLICY_NETWORK, &w.networks[i]);
                assert_int_equal(fixture_change(t, POLICY_NETWORK, CHANGE_SET, &w.networks[i]), 0);
            } else {
                int rc = fixture_apply(t, "-net n%zu", i);

                assert_true(rc == 0 || rc == -ENOENT);
            }
        }
        fixture_commit(t);
        assert_int_equal(store_reader_begin(f.reader->txn), 0);
        for (size_t i = 0; i < w.n; i++)
            for (size_t k = 0; k < w.networks[i].n; k++) {
                prefix_range(&w.prefixes[i][k], ip[0], ip[1]);
                for (int end = 0; end < 2; end++) {
                    check_address(&f, &w, ip[end]);
                    step(ip[end], end == 0 ? -1 : 1);
                    check_address(&f, &w, ip[end]);
                }
            }
        for (unsigned i = 0; i < 50; i++) {
            draw_ip(ip[0]);
            check_address(&f, &w, ip[0]);
        }
        store_end(f.reader->txn);
        if (seed % 40 == 0)
            assert_sound(&f);
    }
    fixture_remove(&f);
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

static void branches_of_a_network_are_one_client(void **unused)
{
    struct fixture f;

    (void)unused;
    fixture_folder(&f);
    fixture_open(&f);
    fixture_policy(&f, "net branches 10.1.0.0/24 10.3.0.0/24 10.9.0.0/25; net hq 10.3.0.0/25");
    assert_int_equal(key_of(&f, "10.1.0.7"), key_of(&f, "10.3.0.200"));
    assert_int_not_equal(key_of(&f, "10.1.0.7"), key_of(&f, "10.9.0.7")); /* another length */
    assert_int_not_equal(key_of(&f, "10.3.0.1"), key_of(&f, "10.3.0.200"));
    assert_int_equal(key_of(&f, "10.2.0.1"), 0);
    assert_int_equal(key_of(&f, "2001:db8::1"), 0);
    fixture_remove(&f);
}

static void too_many_networks_at_one_address(void **unused)
{
    struct fixture f;
    struct policy_change *t;

    (void)unused;
    fixture_folder(&f);
    fixture_open(&f);
    t = fixture_begin(&f, 1);
    for (int i = 0; i <= POLICY_CLIENT_NETWORKS; i++)
        assert_int_equal(fixture_apply(t, "net n%d 10.0.0.0/%d", i, 8 + i / 2), 0);
    assert_int_equal(policy_change_commit(t), -E2BIG);
    assert_int_equal(key_of(&f, "10.0.0.1"), 0);
    fixture_remove(&f);
}

int main(void)
{
    TEST(like_naive_containment);
    TEST(branches_of_a_network_are_one_client);
    TEST(too_many_networks_at_one_address);
    return RUN("networks");
}
