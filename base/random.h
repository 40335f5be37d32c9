/* SPDX-License-Identifier: BSD-2-Clause
 *
 * random.h -- unpredictable numbers from a buffer that the kernel fills; and a hash
 * with a secret key.
 *
 * One struct random per worker, zeroed at first: no lock. A test or the replay driver sets
 * `fill` to its own source, which makes every choice of the resolver repeatable.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    void (*fill)(void *context, uint8_t *out, size_t len); /* NULL: the kernel */
    void *context;
    size_t left;      /* unused bytes at the end of buf */
    uint8_t buf[256]; /* what the kernel gives at once */
};

void random_bytes(struct random *, void *out, size_t len);
uint32_t random_below(struct random *, uint32_t n); /* 0..n-1, unbiased; n > 0 */
#define random_u16(r) ((uint16_t)random_below(r, UINT16_MAX + 1))

struct hash_key {
    uint64_t k0, k1;
};
/* SipHash-1-3 (Aumasson, Bernstein 2012), for tables whose keys an attacker chooses.
 * Not for storage: the key changes at each start. */
uint64_t hash_bytes(const struct hash_key *, const void *, size_t);
/* SipHash-2-4, for what others must not be able to forge (RFC 9018). */
uint64_t hash_mac(const struct hash_key *, const void *, size_t);

#endif
