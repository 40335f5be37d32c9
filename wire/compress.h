/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compress.h -- name compression on output, in a bounded table.
 *
 * At most COMPRESS_MAX names (with the suffixes of each) are remembered, so
 * that a crafted reply cannot make its rewriting expensive. What is found no
 * more is written out in full.
 */
#ifndef WIRE_COMPRESS_H
#define WIRE_COMPRESS_H

#include "wire/name.h"
#include "wire/writer.h"

enum { COMPRESS_MAX = 64, COMPRESS_SLOTS = 128 };

struct compress {
    struct compress_entry {
        uint32_t hash;
        uint16_t at; /* offset in the message */
        uint8_t len; /* octets of the suffix, uncompressed */
    } entry[COMPRESS_MAX];
    uint8_t slot[COMPRESS_SLOTS]; /* index into entry + 1; 0 = free */
    unsigned n;
    bool apart; /* names written now are not remembered: nothing points at them */
};

/* Starts with the names that lie in the message already: the question. */
void compress_init(struct compress *, const struct name *question, size_t at);
/* Remembers nothing: every name is written out. */
void compress_off(struct compress *);
/* Appends a name, its longest known suffix as a pointer. Where the whole name
 * may be pointed at from now on; 0 when nowhere. */
uint16_t compress_name(struct compress *, struct writer *, const struct name *);

#endif
