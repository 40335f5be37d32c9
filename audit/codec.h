/* SPDX-License-Identifier: BSD-2-Clause
 *
 * codec.h -- the fields that events and ledger rows have in common, as bytes:
 * names, addresses, hosts, texts, and numbers that are mostly small.
 *
 * Readers check everything: a stored value is as hostile as a packet. A fault
 * sets the cursor's `bad` and leaves a harmless value.
 */
#ifndef AUDIT_CODEC_H
#define AUDIT_CODEC_H

#include "audit/event.h"
#include "wire/cursor.h"
#include "wire/writer.h"

/* One octet of length, then the octets with their case; no compression. */
void codec_put_name(struct writer *, const struct name *);
void codec_get_name(struct cursor *, struct name *);
/* One octet of length, no NUL inside; size is that of the array it lives in. */
void codec_put_text(struct writer *, const char *text, size_t size);
void codec_get_text(struct cursor *, char *out, size_t size);
/* Seven bits an octet, lowest first. */
void codec_put_number(struct writer *, uint64_t);
uint64_t codec_get_number(struct cursor *);
uint32_t codec_get_number32(struct cursor *);             /* larger ones are a fault */
uint8_t codec_get_below(struct cursor *, unsigned limit); /* one octet < limit */
void codec_put_addr(struct writer *, const struct addr *);
void codec_get_addr(struct cursor *, struct addr *);
void codec_put_hosts(struct writer *, const struct audit_host *, uint8_t n);
void codec_get_hosts(struct cursor *, struct audit_host *, uint8_t *n);

#endif
