/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.h -- what binds the records of the audit to each other. Private to audit/.
 *
 * The head of the chain is the SHA-256 of the head before and of a record, so a change shows in
 * every later head. Some hundred records in a row are a segment, whose row in the database has
 * the head before it and that behind it. Whoever can write the database can make the chain anew:
 * a head that is kept elsewhere tells.
 *
 * The client of a record stands in it as a digest of the record's number and of the client's own
 * digest, which is that of its address with a salt. To forget the client is to remove address and
 * salt: its digest stays, the chain holds, and the address cannot be found by trying.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include <stddef.h>
#include <stdint.h>

enum { CHAIN_HEAD = 32, CHAIN_DIGEST = 16 };

struct chain; /* opaque: contexts of libcrypto */

struct chain *chain_new(void); /* NULL: out of memory */
void chain_free(struct chain *);

/* A value; p NULL: nothing is there, which is not "". Numbers are eight octets, little-endian. */
struct chain_part {
    const void *p;
    size_t n;
};
/* The first octets of the SHA-256 of the values, each with its length; out may be one of them. */
void chain_digest(struct chain *, uint8_t *out, size_t size, const struct chain_part *, int n);

/* The first octets of the HMAC-SHA-256. */
void chain_hmac(uint8_t out[8], const uint8_t key[32], const void *, size_t);

#endif
