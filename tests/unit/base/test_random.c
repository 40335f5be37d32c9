/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_random.c -- the buffer of random bytes: order, refill, wiping, fairness; and the hash.
 */
#include "base/random.h"
#include "tests/unit/rows.h"

/* Gives the 32-bit words `next`, `next` + `step`, ... and counts how often it was asked. */
struct source {
    uint32_t next, step;
    unsigned fills;
};

static void fill(void *context, uint8_t *out, size_t len)
{
    struct source *c = context;

    c->fills++;
    for (size_t i = 0; i + 4 <= len; i += 4, c->next += c->step)
        memcpy(out + i, &c->next, 4);
}

static void bytes_come_in_order_and_are_wiped(void **state)
{
    struct source c = {0x04030201, 0x04040404, 0};
    struct random r = {.fill = fill, .context = &c};
    uint8_t out[2000], zero[3] = {0};

    random_bytes(&r, out, 3);
    assert_memory_equal(r.buf, zero, 3);
    assert_int_not_equal(r.buf[3], 0);
    assert_int_equal(r.left, sizeof r.buf - 3);
    random_bytes(&r, out + 3, 0);
    random_bytes(&r, out + 3, sizeof out - 3);
    for (size_t i = 0; i < 252; i++)
        assert_int_equal(out[i], i + 1);
    assert_int_equal(c.fills, 8);
}

/* Of 2^32 words, 2^32 mod n must be redrawn. For n = 3 * 2^30 the unfair words
 * are every fourth: 0, 4, 8 ... draw again. */
static void below_redraws_unfair_words(void **state)
{
    struct source c = {0, 1, 0};
    struct random r = {.fill = fill, .context = &c};

    for (uint32_t want = 0; want < 4; want++)
        assert_int_equal(random_below(&r, 3u << 30), want);
    assert_int_equal(r.left, sizeof r.buf - 24);
}

static void kernel_bytes_differ(void **state)
{
    struct random a = {.left = 0}, b = a;
    uint8_t x[2000], y[2000];

    random_bytes(&a, x, sizeof x);
    random_bytes(&b, y, sizeof y);
    for (size_t i = 0; i + 64 <= sizeof x; i += 64)
        assert_memory_not_equal(x + i, y + i, 64);
    assert_memory_not_equal(x, x + 256, 64);
}

/* Python 3.11 hashes bytes with SipHash-1-3 and, with PYTHONHASHSEED (42 here), a known key. The
 * same wherever the text begins; its end is that of the block. */
static void hash(void **state)
{
    static const struct hash_key none = {0, 0}, of_42 = {0xdc504fd368cd90af, 0xb920bb9ffe99e9c1};
    static const struct {
        const struct hash_key *key;
        size_t len;
        uint64_t want;
    } rows[] = {
        {&none, 3, 0x5c120afcde6038a5},   {&none, 16, 0x4c5f1fbfd34b73ee},
        {&of_42, 1, 0xf98e3bf6f270be8a},  {&of_42, 7, 0xf5ea59ed8a2fdc62},
        {&of_42, 8, 0xf68757e4b466355b},  {&of_42, 9, 0xc5f8b8af4e6eee8a},
        {&of_42, 15, 0x3f1567c06a6857f4}, {&of_42, 16, 0xa984100c3fe8fcf8},
        {&of_42, 23, 0x3e23d3af9ca79696}, {&of_42, 51, 0xddee3ed02affb3c7},
    };

    for (size_t i = 0; i < 8 * ARRAY_LEN(rows); i++) {
        size_t shift = i % 8, len = rows[i / 8].len;
        char *text = malloc(shift + len);

        assert_non_null(text);
        memcpy(text + shift, "The quick brown fox jumps over the lazy dog, twice.", len);
        assert_true(hash_bytes(rows[i / 8].key, text + shift, len) == rows[i / 8].want);
        free(text);
    }
}

/* Of the paper's appendix A and the reference code's list: key 00 01 .. 0f, text 00 01 .. */
static void mac(void **state)
{
    static const struct hash_key ordered = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {{0, 0x726fdb47dd0e0e31}, {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}};
    uint8_t text[15];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(hash_mac(&ordered, text, rows[i].len) == rows[i].want);
}

TESTS("random", TEST(bytes_come_in_order_and_are_wiped), TEST(below_redraws_unfair_words),
      TEST(kernel_bytes_differ), TEST(hash), TEST(mac))
