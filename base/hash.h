/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hash.h -- SipHash-1-3 (Aumasson, Bernstein 2012) with a secret key, for
 * tables whose keys an attacker chooses. Not for storage: the key changes at
 * each start.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_key *, const void *, size_t);

#endif
