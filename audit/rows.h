/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.h -- a hash table of keys and their rows, as bytes, in the order of
 * their coming.
 */
#ifndef AUDIT_ROWS_H
#define AUDIT_ROWS_H

#include "audit/store.h"

struct row {
    uint64_t hash;
    uint16_t key_len;
    uint32_t len, size; /* of the value; room for it */
    uint8_t key[];      /* the value lies behind it */
};

struct rows {
    struct row **at;       /* owned, in order */
    uint32_t *index;       /* owned; position in at[] + 1, 0 = empty */
    size_t n, size, slots; /* slots: power of two, more than n */
    size_t bytes;
};

void rows_init(struct rows *);
void rows_fini(struct rows *);
void rows_clear(struct rows *);
struct bytes rows_get(const struct rows *, struct bytes key);      /* at NULL: none */
int rows_put(struct rows *, struct bytes key, struct bytes value); /* 0, -ENOMEM */

static inline struct bytes row_key(const struct row *r)
{
    return (struct bytes){r->key, r->key_len};
}

static inline struct bytes row_value(const struct row *r)
{
    return (struct bytes){r->key + r->key_len, r->len};
}

#endif
