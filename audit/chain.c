/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.c -- SHA-256. The functions of libcrypto fail only without memory, and have nothing to
 * allocate any more: the context is made once, and so is what EVP_sha256() would look up each time.
 */
#include "audit/chain.h"

#include <endian.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct chain *chain_new(void)
{
    struct chain *c = calloc(1, sizeof *c);

    if (c != NULL) {
        c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        c->context = EVP_MD_CTX_new();
        if (c->sha256 != NULL && c->context != NULL)
            return c;
    }
    chain_free(c);
    return NULL;
}

void chain_free(struct chain *c)
{
    if (c == NULL)
        return;
    EVP_MD_CTX_free(c->context);
    EVP_MD_free(c->sha256);
    free(c);
}

void chain_digest(struct chain *c, uint8_t *out, size_t size, const struct chain_part *part, int n)
{
    uint8_t some[512], whole[CHAIN_HEAD];
    size_t len = 0;

    EVP_DigestInit_ex2(c->context, c->sha256, NULL);
    for (int i = 0; i < n; i++) {
        const uint64_t octets = htole64(part[i].p != NULL ? part[i].n : UINT64_MAX);
        const struct chain_part both[] = {{&octets, sizeof octets},
                                          {part[i].p, part[i].p != NULL ? part[i].n : 0}};

        for (int k = 0; k < 2; k++) { /* short ones are given on together */
            if (len > 0 && len + both[k].n > sizeof some) {
                EVP_DigestUpdate(c->context, some, len);
                len = 0;
            }
            if (both[k].n > sizeof some)
                EVP_DigestUpdate(c->context, both[k].p, both[k].n);
            else if (both[k].n > 0)
                memcpy(some + len, both[k].p, both[k].n);
            len += both[k].n <= sizeof some ? both[k].n : 0;
        }
    }
    EVP_DigestUpdate(c->context, some, len);
    EVP_DigestFinal_ex(c->context, whole, NULL);
    memcpy(out, whole, size);
}

void chain_hmac(uint8_t out[8], const uint8_t key[32], const void *data, size_t len)
{
    uint8_t whole[EVP_MAX_MD_SIZE] = {0}; /* data and out may be one */

    HMAC(EVP_sha256(), key, 32, data, len, whole, NULL);
    memcpy(out, whole, 8);
}
