/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.h -- what binds the records of the audit to each other. Private to audit/.
 *
 * Some hundred records in a row are a segment. Its head is the SHA-256 of the head before it and of
 * its records, so a change shows in every later head; while it grows, there is a head behind each
 * record. Its row in the database has the head before it and the last one. Whoever can write the
 * database can make the chain anew: a head that is kept elsewhere tells.
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

struct sqlite3_value;
struct chain; /* opaque: a SHA-256 that is being made */

struct chain *chain_new(void); /* NULL: out of memory */
void chain_free(struct chain *);

/* Values join one after the other, behind the octets of `head`, which may be NULL. p NULL: nothing
 * is there, which is not "". */
void chain_begin(struct chain *, const uint8_t *head);
void chain_value(struct chain *, const void *p, size_t n);
void chain_number(struct chain *, int64_t);
void chain_sql(struct chain *, struct sqlite3_value *);

/* The SHA-256 of what has joined so far; more may join. */
void chain_head(struct chain *, uint8_t head[CHAIN_HEAD]);
/* The first octets of the SHA-256 of all, which ends it. */
void chain_end(struct chain *, uint8_t digest[CHAIN_DIGEST]);

/* The first octets of the HMAC-SHA-256. */
void chain_hmac(uint8_t out[8], const uint8_t key[32], const void *, size_t);

#endif
