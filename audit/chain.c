/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.c -- SHA-256, by the functions of libcrypto that allocate nothing and so cannot fail. Those
 * that are recommended in their place (EVP_*) allocate at each beginning and copy, and without memory
 * a digest would be missing in the middle of a chain.
 *
 * A value is a mark and its octets. The mark is their number, or LONG, behind which that is in four
 * octets; or NOTHING; or NUMBER and how many low octets follow, as the others are zero. All is
 * little-endian. Values are short and collected, as each call of libcrypto costs as much as the
 * digest of one, and each block of 64 octets 40 ns.
 */
#include "audit/chain.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <endian.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LONG = 0x7f, NUMBER = 0x80, NOTHING = 0xff };

struct chain {
    SHA256_CTX sha;
    size_t len; /* of what is collected */
    uint8_t some[512];
};

struct chain *chain_new(void)
{
    return calloc(1, sizeof(struct chain));
}

void chain_free(struct chain *c)
{
    free(c);
}

void chain_begin(struct chain *c, const uint8_t *head)
{
    SHA256_Init(&c->sha);
    c->len = head ? CHAIN_HEAD : 0;
    if (head)
        memcpy(c->some, head, CHAIN_HEAD);
}

static inline void collect(struct chain *c, const void *p, size_t n)
{
    if (n > sizeof c->some - c->len) {
        SHA256_Update(&c->sha, c->some, c->len);
        c->len = 0;
    }
    if (n > sizeof c->some) {
        SHA256_Update(&c->sha, p, n);
        return;
    }
    memcpy(c->some + c->len, p, n);
    c->len += n;
}

void chain_value(struct chain *c, const void *p, size_t n)
{
    const uint8_t mark = p == NULL ? NOTHING : n < LONG ? (uint8_t)n : LONG;
    const uint32_t octets = htole32((uint32_t)n);

    collect(c, &mark, sizeof mark);
    if (mark == LONG)
        collect(c, &octets, sizeof octets);
    if (p)
        collect(c, p, n);
}

void chain_number(struct chain *c, int64_t n)
{
    const uint64_t value = htole64((uint64_t)n);
    const unsigned len = n != 0 ? 8 - (unsigned)__builtin_clzll((uint64_t)n) / 8 : 0;
    uint8_t octets[1 + sizeof value] = {(uint8_t)(NUMBER | len)};

    memcpy(octets + 1, &value, sizeof value);
    collect(c, octets, 1 + len);
}

void chain_sql(struct chain *c, struct sqlite3_value *v)
{
    const void *p = NULL;

    if (sqlite3_value_type(v) == SQLITE_INTEGER) {
        chain_number(c, sqlite3_value_int64(v));
        return;
    }
    if (sqlite3_value_type(v) != SQLITE_NULL && (p = sqlite3_value_blob(v)) == NULL)
        p = ""; /* an empty one */
    chain_value(c, p, (size_t)sqlite3_value_bytes(v));
}

void chain_head(struct chain *c, uint8_t head[CHAIN_HEAD])
{
    SHA256_CTX copy = c->sha;

    SHA256_Update(&copy, c->some, c->len);
    SHA256_Final(head, &copy);
}

void chain_end(struct chain *c, uint8_t digest[CHAIN_DIGEST])
{
    uint8_t whole[CHAIN_HEAD];

    chain_head(c, whole);
    memcpy(digest, whole, CHAIN_DIGEST);
}

void chain_hmac(uint8_t out[8], const uint8_t key[32], const void *data, size_t len)
{
    uint8_t whole[EVP_MAX_MD_SIZE] = {0}; /* data and out may be one; without memory: nobody */

    HMAC(EVP_sha256(), key, 32, data, len, whole, NULL);
    memcpy(out, whole, 8);
}
