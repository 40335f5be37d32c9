/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.c -- a hash table of keys and their rows.
 *
 * The hash has a fixed key: the table lives for one transaction and its size is
 * bounded, so that chosen keys cost little.
 */
#include "audit/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { FIRST = 256 };

void rows_init(struct rows *t)
{
    memset(t, 0, sizeof *t);
}

void rows_clear(struct rows *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i]);
    t->n = 0;
    t->bytes = 0;
    if (t->index != NULL)
        memset(t->index, 0, t->slots * sizeof *t->index);
}

void rows_fini(struct rows *t)
{
    rows_clear(t);
    free(t->at);
    free(t->index);
    rows_init(t);
}

static uint64_t hash_of(struct bytes key)
{
    static const struct hash_key fixed = {0x7761796d61726b21u, 0x6c65646765722121u};

    return hash_bytes(&fixed, key.at, key.len);
}

/* The slot of the key, or the empty one where it belongs. */
static uint32_t *find(const struct rows *t, struct bytes key, uint64_t hash)
{
    for (size_t i = (size_t)hash & (t->slots - 1);; i = (i + 1) & (t->slots - 1)) {
        const struct row *r;

        if (t->index[i] == 0)
            return &t->index[i];
        r = t->at[t->index[i] - 1];
        if (r->hash == hash && r->key_len == key.len && memcmp(r->key, key.at, key.len) == 0)
            return &t->index[i];
    }
}

struct bytes rows_get(const struct rows *t, struct bytes key)
{
    uint32_t *slot = t->slots > 0 ? find(t, key, hash_of(key)) : NULL;

    return slot != NULL && *slot != 0 ? row_value(t->at[*slot - 1]) : (struct bytes){NULL, 0};
}

static int grow(struct rows *t)
{
    size_t size = t->size > 0 ? t->size * 2 : FIRST, slots = size * 2;
    struct row **at = realloc(t->at, size * sizeof *at);
    uint32_t *index;

    if (at == NULL)
        return -ENOMEM;
    t->at = at;
    index = calloc(slots, sizeof *index);
    if (index == NULL)
        return -ENOMEM;
    free(t->index);
    t->index = index;
    t->size = size;
    t->slots = slots;
    for (size_t i = 0; i < t->n; i++)
        *find(t, row_key(t->at[i]), t->at[i]->hash) = (uint32_t)i + 1;
    return 0;
}

/* Room for growth, so that a counter that gets longer moves nothing. */
static struct row *new_row(struct row *old, struct bytes key, uint64_t hash, size_t len)
{
    size_t size = len + len / 4 + 16;
    struct row *r = realloc(old, sizeof *r + key.len + size);

    if (r == NULL)
        return NULL;
    if (old == NULL) {
        r->hash = hash;
        r->key_len = (uint16_t)key.len;
        memcpy(r->key, key.at, key.len);
    }
    r->size = (uint32_t)size;
    return r;
}

int rows_put(struct rows *t, struct bytes key, struct bytes value)
{
    uint64_t hash = hash_of(key);
    uint32_t *slot;
    struct row *r;

    if (t->n >= t->size && grow(t) != 0)
        return -ENOMEM;
    slot = find(t, key, hash);
    r = *slot != 0 ? t->at[*slot - 1] : NULL;
    if (r == NULL || r->size < value.len) {
        size_t was = r != NULL ? r->size : 0;

        r = new_row(r, key, hash, value.len);
        if (r == NULL)
            return -ENOMEM;
        t->bytes += r->size - was;
        if (*slot == 0) {
            t->bytes += sizeof *r + key.len;
            *slot = (uint32_t)++t->n;
        }
        t->at[*slot - 1] = r;
    }
    memcpy(r->key + r->key_len, value.at, value.len);
    r->len = (uint32_t)value.len;
    return 0;
}
