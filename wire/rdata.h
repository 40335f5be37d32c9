/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rdata.h -- what lies inside RDATA: one table of layouts, for checking and
 * for copying records to another message.
 *
 * Types that hold names, addresses or character-strings have a row. Every other
 * type is opaque and is copied octet by octet (RFC 3597 3, 4).
 */
#ifndef WIRE_RDATA_H
#define WIRE_RDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/cursor.h"

/* One letter for each field:
 *   '1' '2' '4'  so many octets     '6' 16 octets     's' a character-string
 *   'n'  a name of an RFC 1035 type: may be compressed
 *   'N'  a name that is sent uncompressed, and understood either way
 *   'P'  a name that is never compressed
 *   'S'  character-strings up to the end; none is taken too, as others do
 *   '*'  the rest, any length
 * NULL for an opaque type. class matters to A and AAAA. */
const char *rdata_layout(uint16_t type, uint16_t class);

enum rdata_form {
    RDATA_BAD,
    RDATA_FINE,
    RDATA_EXPAND, /* valid, but a name of kind 'N' came compressed */
};

/* Checks `len` octets at c->at against the layout, to the last octet, and
 * moves behind them. c->start is the message. On a fault c->bad is set. */
enum rdata_form rdata_check(struct cursor *c, const char *layout, size_t len);

/* Octets of a field of fixed size; 0 for the other kinds. */
size_t rdata_field_size(char field);

#endif
