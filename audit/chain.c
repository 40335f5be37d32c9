/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.c -- SHA-256 of records. Numbers are hashed as little-endian octets, so that a database
 * can move to another machine. The functions of libcrypto fail only without memory, where they
 * have nothing to allocate any more: their contexts are made once.
 */
#include "audit/chain.h"

#include <endian.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    EVP_MD *sha256;
    EVP_MD_CTX *segment, *once;
};

struct chain *chain_new(void)
{
    struct chain *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->segment = EVP_MD_CTX_new();
    c->once = EVP_MD_CTX_new();
    if (c->sha256 != NULL && c->segment != NULL && c->once != NULL)
        return c;
    chain_free(c);
    return NULL;
}

void chain_free(struct chain *c)
{
    if (c == NULL)
        return;
    EVP_MD_CTX_free(c->segment);
    EVP_MD_CTX_free(c->once);
    EVP_MD_free(c->sha256);
    free(c);
}

void chain_digest(struct chain *c, uint8_t out[CHAIN_DIGEST], const struct chain_part *part, int n)
{
    uint8_t whole[CHAIN_HEAD];
    uint64_t len;

    EVP_DigestInit_ex2(c->once, c->sha256, NULL);
    for (int i = 0; i < n; i++) {
        len = htole64(part[i].p != NULL ? part[i].n : UINT64_MAX);
        EVP_DigestUpdate(c->once, &len, sizeof len);
        if (part[i].p != NULL)
            EVP_DigestUpdate(c->once, part[i].p, part[i].n);
    }
    EVP_DigestFinal_ex(c->once, whole, NULL);
    memcpy(out, whole, CHAIN_DIGEST);
}

void chain_begin(struct chain *c, const uint8_t before[CHAIN_HEAD])
{
    EVP_DigestInit_ex2(c->segment, c->sha256, NULL);
    EVP_DigestUpdate(c->segment, before, CHAIN_HEAD);
}

void chain_add(struct chain *c, const struct chain_record *r)
{
    struct {
        uint64_t numbers[CHAIN_NUMBERS];
        uint8_t digests[3][CHAIN_DIGEST];
        uint64_t asked;
    } in;

    for (int i = 0; i < CHAIN_NUMBERS; i++)
        in.numbers[i] = htole64((uint64_t)r->numbers[i]);
    memcpy(in.digests[0], r->answer, CHAIN_DIGEST);
    memcpy(in.digests[1], r->client, CHAIN_DIGEST);
    memcpy(in.digests[2], r->suffix, CHAIN_DIGEST);
    in.asked = htole64(r->asked != NULL ? strlen(r->asked) : UINT64_MAX);
    EVP_DigestUpdate(c->segment, &in, sizeof in);
    if (r->asked != NULL)
        EVP_DigestUpdate(c->segment, r->asked, strlen(r->asked));
}

void chain_head(struct chain *c, uint8_t head[CHAIN_HEAD])
{
    EVP_MD_CTX_copy_ex(c->once, c->segment);
    EVP_DigestFinal_ex(c->once, head, NULL);
}

void chain_hmac(uint8_t out[8], const uint8_t key[CHAIN_HEAD], const void *data, size_t len)
{
    uint8_t whole[EVP_MAX_MD_SIZE] = {0}; /* data and out may be one */

    HMAC(EVP_sha256(), key, CHAIN_HEAD, data, len, whole, NULL);
    memcpy(out, whole, 8);
}
