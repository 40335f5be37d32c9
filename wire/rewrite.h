/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rewrite.h -- writes records of one message into another, names anew.
 *
 * Owners, and names in RDATA of the types of RFC 1035, are compressed. Names in
 * RDATA of other types are written out, and an opaque RDATA is copied. At most
 * COMPRESS_MAX names (with the suffixes of each) are remembered, so that a
 * crafted reply cannot make its rewriting expensive; others are written out.
 */
#ifndef WIRE_REWRITE_H
#define WIRE_REWRITE_H

#include "wire/message.h"

enum { COMPRESS_MAX = 64, COMPRESS_SLOTS = 128 };

struct rewrite {
    struct writer w;
    uint16_t counts[3];
    uint16_t last_from; /* last owner that was a pointer alone: where it led (0 = none) ... */
    uint16_t last_to;   /* ... and where its name is now */
    bool apart;         /* names written now are not remembered: nothing points at them */
    unsigned n;
    struct compress_entry {
        uint32_t hash;
        uint16_t pos; /* in the message */
        uint8_t len;  /* octets of the suffix, uncompressed */
    } entry[COMPRESS_MAX];
    uint8_t slot[COMPRESS_SLOTS]; /* index into entry + 1; 0 = free */
};

/* Header (ID 0, flags as given) and question; counts are set at the end. */
void rewrite_begin(struct rewrite *, uint8_t *out, size_t size, uint16_t flags,
                   const struct name *qname, uint16_t qtype, uint16_t qclass);
/* Remembers no name from now on: each is written out. */
void rewrite_uncompressed(struct rewrite *);
/* Appends a record that rr_walk_next() gave, in its section; sections come in
 * order. Its owner is read anew. False when it does not fit: then nothing was
 * written. */
bool rewrite_put(struct rewrite *, const uint8_t *wire, size_t len, const struct rr *,
                 uint32_t ttl);
/* Sets the counts; the length. */
size_t rewrite_end(struct rewrite *);

#endif
