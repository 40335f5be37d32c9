/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_hash.c -- SipHash-1-3 against a reference written another way.
 */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tests/unit/rows.h"

/* The algorithm of the paper, byte by byte, with any number of rounds. */
static uint64_t rotate(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void rounds(uint64_t v[4], unsigned n)
{
    while (n-- > 0) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotate(v[1], 13), v[3] = rotate(v[3], 16);
        v[1] ^= v[0], v[3] ^= v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotate(v[1], 17), v[3] = rotate(v[3], 21);
        v[1] ^= v[2], v[3] ^= v[0];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t siphash(unsigned c, unsigned d, const uint8_t key[16], const uint8_t *in, size_t n)
{
    static const char start[4][9] = {"uespemos", "modnarod", "arenegyl", "setybdet"};
    uint64_t k[2] = {0, 0}, v[4] = {0, 0, 0, 0};

    for (unsigned i = 0; i < 16; i++)
        k[i / 8] |= (uint64_t)key[i] << (8 * (i % 8));
    for (unsigned i = 0; i < 32; i++)
        v[i / 8] |= (uint64_t)(uint8_t)start[i / 8][i % 8] << (8 * (i % 8));
    for (unsigned i = 0; i < 4; i++)
        v[i] ^= k[i % 2];
    for (size_t block = 0; block <= n / 8; block++) {
        uint64_t m = 0;

        for (size_t i = 0; i < 8 && block * 8 + i < n; i++)
            m |= (uint64_t)in[block * 8 + i] << (8 * i);
        if (block == n / 8)
            m |= (uint64_t)(n & 0xff) << 56;
        v[3] ^= m;
        rounds(v, c);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    rounds(v, d);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const struct hash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* Appendix A of the paper gives this value for SipHash-2-4 of 15 bytes. */
static void the_reference_is_right(void **state)
{
    assert_true(siphash(2, 4, key_bytes, key_bytes, 15) == 0xa129ca6149be45e5u);
}

static void all_lengths_and_alignments(void **state)
{
    uint8_t *text;

    for (size_t n = 0; n <= 300; n++)
        for (size_t shift = 0; shift < 8; shift++) {
            text = malloc(n + shift + (n + shift == 0)); /* its end is the end of the block */
            assert_non_null(text);
            for (size_t i = 0; i < n; i++)
                text[shift + i] = (uint8_t)(i * 7 + n);
            assert_true(hash_bytes(&key, text + shift, n) ==
                        siphash(1, 3, key_bytes, text + shift, n));
            free(text);
        }
}

static void key_matters(void **state)
{
    struct hash_key other = key;

    other.k1 ^= 1;
    assert_true(hash_bytes(&key, "abc", 3) != hash_bytes(&other, "abc", 3));
    other = key;
    other.k0 ^= 1ull << 63;
    assert_true(hash_bytes(&key, "", 0) != hash_bytes(&other, "", 0));
    assert_true(hash_bytes(&key, "a\0", 2) != hash_bytes(&key, "a", 1));
}

/* No C is needed to know this one: Python 3.11 hashes bytes with SipHash-1-3,
 * and with PYTHONHASHSEED=0 the key is zero: hash(b"abc"). */
static void what_python_says(void **state)
{
    static const struct hash_key zero = {0, 0};

    assert_true((int64_t)hash_bytes(&zero, "abc", 3) == -4594863902769663758);
}

int main(void)
{
    TEST(the_reference_is_right);
    TEST(all_lengths_and_alignments);
    TEST(key_matters);
    TEST(what_python_says);
    return RUN("hash");
}
