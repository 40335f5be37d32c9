/* SPDX-License-Identifier: BSD-2-Clause
 *
 * present.h -- text and wire form of names, types, classes, rcodes, records.
 *
 * The only file of the daemon that includes ldns, and never for a packet from the network: it
 * prints what our own reader has checked. May allocate inside; nothing allocated leaves.
 */
#ifndef WIRE_PRESENT_H
#define WIRE_PRESENT_H

#include "wire/message.h"

enum { NAME_TEXT = 1025, TYPE_TEXT = 16 };

/* Reads a name, absolute or not (a missing final dot is added). "." is the
 * root. Raw UTF-8 octets are kept, \DDD and \X read. 0 or -EINVAL. */
int name_parse(struct name *out, const char *text);
/* Without the final dot ("." for the root); \DDD for what is not printable
 * ASCII, so the result is safe in logs and tables. Returns out. */
const char *name_print(const struct name *, char out[NAME_TEXT]);

int type_parse(uint16_t *out, const char *text); /* "SRV", "TYPE65280" */
const char *type_print(uint16_t type, char out[TYPE_TEXT]);
const char *rcode_print(uint16_t rcode, char out[TYPE_TEXT]); /* "NXDOMAIN", "RCODE17" */

/* One record of a checked message in zone file form without the line end; false when it does not
 * fit. Our own reader, RFC 3597 form for what ldns does not know. */
bool rr_print(const uint8_t *wire, const struct rr *, char *out, size_t size);

#endif
