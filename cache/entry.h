/* SPDX-License-Identifier: BSD-2-Clause
 *
 * entry.h -- one kept answer as one run of bytes. Private to cache/.
 *
 *   struct entry | stamp[3] | ttl_at[n_ttl] | name | note | image | 0..7 unused
 *
 * The stamp is there for decisions only. Offsets of the TTLs are kept so that
 * a look-up never walks the image. Everything in front of the name keeps its
 * alignment because the run starts at a multiple of 8.
 */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H

#include "cache/cache.h"

enum { ENTRY_UNIT = 8 }; /* bytes; the ring counts in these */
enum { ENTRY_MAX_TTLS = REPLY_MAX_RRS };

enum entry_flags {
    ENTRY_PAD = 1, /* not an entry: the unused end of the ring; only units is valid */
    ENTRY_FAILURE = 2,
    ENTRY_RRSIG = 4,
    ENTRY_CNAME = 8,
    ENTRY_DECISION = 16, /* the kind of the key */
    ENTRY_ROTATES = 32,
};

struct entry {
    uint16_t units; /* of the whole run */
    uint8_t flags;  /* enum entry_flags; these two also head a pad */
    uint8_t bits;
    uint32_t scope;
    uint64_t hash; /* leads back to the bucket when the tail comes by */
    uint64_t stored_ms, expires_ms;
    uint16_t type, class;
    uint16_t image_len, note_len;
    uint16_t n_ttl, rcode, rtt_ms;
    uint8_t server_ip[16]; /* struct addr without its padding */
    uint32_t server_scope;
    uint16_t server_port;
    uint8_t name_len, reply_kind;
};

/* What an entry carries behind its key and facts; borrowed. */
struct entry_body {
    const uint8_t *image;
    const void *note;
    size_t image_len, note_len, n_ttl;
    uint16_t ttl_at[ENTRY_MAX_TTLS];
};

/* Where cache_get() wants it; note may be NULL. Sizes in, lengths out. */
struct entry_out {
    uint8_t *image;
    void *note;
    size_t image_len, note_len;
};

/* Bytes of the largest entry, which has the largest of each part. */
enum {
    ENTRY_MAX = sizeof(struct entry) + 3 * sizeof(uint64_t) + ENTRY_MAX_TTLS * sizeof(uint16_t) +
                NAME_MAX_WIRE + CACHE_MAX_NOTE + DNS_MAX_MESSAGE + ENTRY_UNIT - 1
};

static inline unsigned entry_kind(const struct entry *e)
{
    return (e->flags & ENTRY_DECISION) != 0 ? CACHE_DECISION : CACHE_ANSWER;
}

/* Units that the entry needs. */
size_t entry_units(const struct cache_key *, const struct entry_body *);
void entry_write(struct entry *, size_t units, const struct cache_key *, const struct cache_facts *,
                 const struct entry_body *);

bool entry_matches(const struct entry *, const struct cache_key *);
bool entry_has_stamp(const struct entry *, const uint64_t stamp[3]);

/* False, and nothing written, when a part does not fit. Ages the TTLs of an
 * answer that is alive at now_ms. */
bool entry_copy(const struct entry *, uint64_t now_ms, struct entry_out *);
void entry_facts(const struct entry *, struct cache_facts *);
void entry_name(const struct entry *, struct name *);

#endif
