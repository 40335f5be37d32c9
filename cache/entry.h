/* SPDX-License-Identifier: BSD-2-Clause
 *
 * entry.h -- one kept answer as one run of bytes. Private to cache/.
 *
 *   struct entry | ttl_pos[n_ttl] | name | note | image | 0..7 unused
 *
 * Offsets of the TTLs are kept so that a look-up never walks the image. They
 * keep their alignment because the run starts at a multiple of 8.
 */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H

#include "cache/cache.h"

enum { ENTRY_UNIT = 8 }; /* bytes; the ring counts in these */
enum { ENTRY_MAX_TTLS = REPLY_MAX_RRS };

struct entry {
    uint16_t units; /* of the whole run */
    bool is_pad;    /* not an entry: the unused end of the ring; these two are all of it */
    uint8_t kind, bits, name_len;
    uint16_t type;
    uint64_t hash; /* leads back to the bucket when the tail comes by */
    uint32_t scope;
    uint16_t class, image_len, note_len, n_ttl;
    struct cache_facts facts;
};

/* What an entry carries behind its key and facts; borrowed. */
struct entry_body {
    const uint8_t *image;
    const void *note;
    size_t image_len, note_len, n_ttl;
    uint16_t ttl_pos[ENTRY_MAX_TTLS];
};

/* Where cache_get() wants it; note may be NULL. Sizes in, lengths out. */
struct entry_out {
    uint8_t *image;
    void *note;
    size_t image_len, note_len;
};

/* Bytes of the largest entry, which has the largest of each part. */
enum {
    ENTRY_MAX = sizeof(struct entry) + ENTRY_MAX_TTLS * sizeof(uint16_t) + NAME_MAX_WIRE +
                CACHE_MAX_NOTE + DNS_MAX_MESSAGE + ENTRY_UNIT - 1
};

/* Units that the entry needs. */
size_t entry_units(const struct cache_key *, const struct entry_body *);
void entry_write(struct entry *, size_t units, const struct cache_key *, const struct cache_facts *,
                 const struct entry_body *);

bool entry_matches(const struct entry *, const struct cache_key *);

/* False, and nothing written, when a part does not fit. Ages the TTLs of an
 * answer that is alive at now_ms. */
bool entry_copy(const struct entry *, uint64_t now_ms, struct entry_out *);
void entry_name(const struct entry *, struct name *);

#endif
