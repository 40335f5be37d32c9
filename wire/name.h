/* SPDX-License-Identifier: BSD-2-Clause
 *
 * name.h -- domain names in uncompressed wire form (RFC 1035 3.1).
 *
 * A struct name is always valid: labels of 1..63 octets, the root label last,
 * 1..255 octets in all. Case is folded for ASCII only (RFC 4343); every other
 * octet stays as it is, since Active Directory sends raw UTF-8.
 */
#ifndef WIRE_NAME_H
#define WIRE_NAME_H

#include "wire/pack.h"

enum { NAME_MAX_WIRE = 255, NAME_MAX_LABELS = 127, NAME_MAX_HOPS = 126 };
/* What all names read through one cursor may cost: one for a label, a pointer, and 8
 * octets. Without this bound a message of 64 KB with a chain of pointers at every record
 * would cost milliseconds. */
enum { NAME_MAX_STEPS = 32768 };

struct name {
    uint8_t len;    /* octets in data[], with the root label: 1..255 */
    uint8_t labels; /* without the root label: 0..127 */
    uint8_t data[NAME_MAX_WIRE];
};

/* Reads a name that may be compressed, with c->start as offset 0 of the message. A pointer
 * leads to a label sequence that ends before the one begins that it ends itself, and never into the
 * header; at most NAME_MAX_HOPS of them. On any fault c->bad is set and the result is the root name. */
void name_read(struct cursor *c, struct name *out);
/* A name without pointers, folded: the question. Any pointer is a fault. */
void name_read_plain(struct cursor *c, struct name *out);

/* ASCII upper to lower case. A whole wire name may be copied: length octets are below 'A'. */
uint8_t name_fold_octet(uint8_t);
void name_fold_copy(uint8_t *out, const uint8_t *in, size_t n);
#define name_fold(name) name_fold_copy((name)->data, (name)->data, (name)->len)

bool name_equal(const struct name *, const struct name *);      /* same octets */
bool name_equal_fold(const struct name *, const struct name *); /* ASCII case ignored */
/* True if name is zone or below it; case ignored. */
bool name_is_under(const struct name *name, const struct name *zone);

/* Offsets in data[] of the labels, from the front, without the root. */
void name_labels(const struct name *, uint8_t pos[NAME_MAX_LABELS]);
/* out = the name without its first `skip` labels. skip <= labels. */
void name_parent(const struct name *, unsigned skip, struct name *out);
/* Puts labels in front; false (out untouched) above 255 octets. */
bool name_join(const struct name *front, const struct name *back, struct name *out);

/* A key whose byte order puts every name right before the names below it: labels from the root
 * on, each folded, with one 0 octet behind it and octets 0 and 1 inside a label written as 1 1
 * and 1 2. Length, or 0 if it does not fit (512 octets always do), or for the root. */
size_t name_sort_key(const struct name *, uint8_t *out, size_t size);
/* The way back. False when key is not what name_sort_key makes. */
bool name_from_sort_key(const uint8_t *key, size_t len, struct name *out);

/* KMS discovery: first two labels are _vlmcs._tcp, in any case. */
bool name_is_vlmcs(const struct name *);

#endif
