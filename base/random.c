/* SPDX-License-Identifier: BSD-2-Clause
 *
 * random.c -- unpredictable numbers from a buffer that the kernel fills; a keyed hash.
 *
 * Bytes are taken from the front and wiped at once, so that a leak of the
 * struct later does not tell which query IDs were used earlier.
 *
 * SipHash-1-3 has one round for each 8 bytes and three at the end. The variant with
 * fewer rounds than SipHash-2-4 is what hash tables in Rust, Ruby and Python use:
 * strong enough against chosen keys where no hash value ever leaves the process.
 */
#include "base/random.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Without randomness no query ID is safe, and every client's next server is better. */
static _Noreturn void end_without(void)
{
    log_error("the kernel gives no random numbers: %m; ended, since no query ID would be safe");
    _exit(EXIT_FAILURE);
}

void random_bytes(struct random *r, void *out, size_t len)
{
    for (uint8_t *to = out, *from; len > 0; len--) {
        if (r->left == 0) {
            if (r->fill)
                r->fill(r->context, r->buf, sizeof r->buf);
            else if (getentropy(r->buf, sizeof r->buf) != 0)
                end_without();
            r->left = sizeof r->buf;
        }
        from = r->buf + sizeof r->buf - r->left--;
        *to++ = *from;
        *from = 0;
    }
}

/* Lemire 2019, "Fast Random Integer Generation in an Interval": the upper half
 * of a product, and the few lower halves that would favour some are redrawn. */
uint32_t random_below(struct random *r, uint32_t n)
{
    uint32_t drawn, unfair = (0u - n) % n;
    uint64_t product;

    do {
        random_bytes(r, &drawn, sizeof drawn);
        product = (uint64_t)drawn * n;
    } while ((uint32_t)product < unfair);
    return (uint32_t)(product >> 32);
}

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTATE(v[1], 13) ^ v[0];
    v[0] = ROTATE(v[0], 32);
    v[2] += v[3];
    v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTATE(v[1], 17) ^ v[2];
    v[2] = ROTATE(v[2], 32);
}

/* c rounds for each 8 octets, d at the end: known where it is called, so each has its own code. */
static inline uint64_t sip_hash(const struct hash_key *key, const void *bytes, size_t n, int c,
                                int d)
{
    const uint8_t *p = bytes;
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
                     key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};

    for (size_t left = n;; left -= 8, p += 8) {
        uint64_t m = 0;

        if (left >= 8)
            memcpy(&m, p, 8); /* one load */
        else if (left > 0)
            memcpy(&m, p, left);
        m = le64toh(m);
        if (left < 8)
            m |= (uint64_t)n << 56;
        v[3] ^= m;
        for (int i = 0; i < c; i++)
            sip_round(v);
        v[0] ^= m;
        if (left < 8)
            break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < d; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 1, 3);
}

uint64_t hash_mac(const struct hash_key *key, const void *bytes, size_t n)
{
    return sip_hash(key, bytes, n, 2, 4);
}
