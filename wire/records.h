/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.h -- one walk over the records of a message, and what lies in RDATA.
 *
 * Strict: a record is given when its owner, and each name, address and
 * character-string that its type has in RDATA, is valid and ends where RDLENGTH
 * says. RDATA of types that have no row in the table of layouts is opaque and
 * is copied octet by octet (RFC 3597 3, 4).
 */
#ifndef WIRE_RECORDS_H
#define WIRE_RECORDS_H

#include "wire/name.h"
#include "wire/types.h"

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

struct rr {
    const struct name *owner; /* case as sent; until the next record is read */
    uint32_t ttl;             /* RFC 2181 8: with the top bit set it counts as 0 */
    uint16_t type, class;
    uint16_t pos, rdata_pos, rdlength; /* offsets in the message; the TTL is 6 before RDATA */
    uint8_t section;                   /* enum section */
    bool last;                         /* of its section */
};

struct rr_walk {
    struct cursor c;
    uint16_t left[3]; /* records of each section that are still to come */
    uint8_t section;
    bool opaque;      /* RDATA is: that of an UPDATE follows rules of its own (RFC 2136 3.2) */
    uint16_t pointer; /* where the owner, if a pointer alone, led: many records share it */
    struct name owner;
};

/* Begins behind header and question; a message of other than one question has
 * no records. */
void rr_walk_init(struct rr_walk *, const uint8_t *wire, size_t len);
/* The same where that place and the counts of the three sections are known. */
void rr_walk_from(struct rr_walk *, const struct cursor *behind_question, const uint16_t counts[3]);
/* True and the next record; false at the end, or on a fault: then w->c.bad. */
bool rr_walk_next(struct rr_walk *, struct rr *);

/* One letter for each field of RDATA:
 *   '1' '2' '4'  so many octets     '6' 16 octets     's' a character-string
 *   'n'  a name of an RFC 1035 type: may be compressed
 *   'N'  a name that is sent uncompressed, and understood either way
 *   'P'  a name that is never compressed
 *   'S'  character-strings up to the end; none is taken too, as others do
 *   '*'  the rest, any length: all of an opaque type
 * class matters to A and AAAA. */
const char *rdata_layout(uint16_t type, uint16_t class);
/* Moves behind one field that is no name. */
void rdata_pass(struct cursor *, char field);

#endif
