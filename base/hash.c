/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hash.c -- SipHash-1-3: one round for each 8 bytes, three at the end.
 *
 * The variant with fewer rounds than SipHash-2-4 is what hash tables in Rust,
 * Ruby and Python use: strong enough against chosen keys where no hash value
 * ever leaves the process. Words are loaded by memcpy, which is one load on
 * the little endian machines that we know.
 */
#include "base/hash.h"

#include <endian.h>
#include <string.h>

#define ROTL(x, n) (((x) << (n)) | ((x) >> (64 - (n))))

#define ROUND(v0, v1, v2, v3)                                                                      \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v1 = ROTL(v1, 13) ^ v0;                                                                    \
        v0 = ROTL(v0, 32);                                                                         \
        v2 += v3;                                                                                  \
        v3 = ROTL(v3, 16) ^ v2;                                                                    \
        v0 += v3;                                                                                  \
        v3 = ROTL(v3, 21) ^ v0;                                                                    \
        v2 += v1;                                                                                  \
        v1 = ROTL(v1, 17) ^ v2;                                                                    \
        v2 = ROTL(v2, 32);                                                                         \
    } while (0)

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint64_t v0 = key->k0 ^ 0x736f6d6570736575u;
    uint64_t v1 = key->k1 ^ 0x646f72616e646f6du;
    uint64_t v2 = key->k0 ^ 0x6c7967656e657261u;
    uint64_t v3 = key->k1 ^ 0x7465646279746573u;
    uint64_t m;
    size_t left;

    for (left = n; left >= 8; left -= 8, p += 8) {
        memcpy(&m, p, sizeof m);
        m = le64toh(m);
        v3 ^= m;
        ROUND(v0, v1, v2, v3);
        v0 ^= m;
    }
    m = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        m |= (uint64_t)p[i] << (8 * i);
    v3 ^= m;
    ROUND(v0, v1, v2, v3);
    v0 ^= m;
    v2 ^= 0xff;
    ROUND(v0, v1, v2, v3);
    ROUND(v0, v1, v2, v3);
    ROUND(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
}
