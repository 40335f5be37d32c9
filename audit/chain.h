/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.h -- what binds the records of the audit to each other: SHA-256 over each with all
 * before it. Private to audit/.
 *
 * A segment is some hundred records in a row; its row in the database has the head before it
 * and that behind it, so a change of anything in between shows, and so does every later head.
 * Whoever can write the database can make the chain anew: a head that is kept elsewhere tells.
 *
 * The client of a record stands in it as a commitment, made of the record's number and of the
 * digest of its address with a salt of its own. To forget the client is to remove its address
 * and its salt: the digest stays, the chain holds, and the address cannot be found by trying.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAIN_HEAD = 32, CHAIN_DIGEST = 16, CHAIN_NUMBERS = 8 };

struct chain; /* opaque: the segment that is being added to */

struct chain *chain_new(void); /* NULL: out of memory */
void chain_free(struct chain *);

/* A digest of values, each with its length; p NULL: nothing is there, which is not "". */
struct chain_part {
    const void *p;
    size_t n;
};
void chain_digest(struct chain *, uint8_t out[CHAIN_DIGEST], const struct chain_part *, int n);
/* The columns of an event that are numbers in a record, counted from its id, and that of the name
 * as it was asked. */
#define CHAIN_COLUMNS                                                                              \
    {                                                                                              \
        0, 1, 6, 7, 8, 9, 10, 11                                                                   \
    }
enum { CHAIN_ASKED = 5 };
struct chain_record {
    int64_t numbers[CHAIN_NUMBERS];
    uint8_t answer[CHAIN_DIGEST], client[CHAIN_DIGEST], suffix[CHAIN_DIGEST];
    const char *asked; /* or NULL */
};
void chain_begin(struct chain *, const uint8_t before[CHAIN_HEAD]);
void chain_add(struct chain *, const struct chain_record *);
/* Of all that was added so far; it goes on. */
void chain_head(struct chain *, uint8_t head[CHAIN_HEAD]);

/* HMAC-SHA-256, the first octets of it. */
void chain_hmac(uint8_t out[8], const uint8_t key[CHAIN_HEAD], const void *, size_t);

#endif
