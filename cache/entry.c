/* SPDX-License-Identifier: BSD-2-Clause
 *
 * entry.c -- packs and unpacks one entry.
 *
 * Its fixed part lies in front of a name and an image that together are often
 * no larger than that: so it has no holes.
 */
#include "cache/entry.h"

#include <assert.h>

#include "wire/reply.h"

_Static_assert(sizeof(struct entry) == 80, "struct entry has become larger");
_Static_assert(ENTRY_MAX / ENTRY_UNIT <= UINT16_MAX, "units is 16 bits");
_Static_assert(DNS_MAX_MESSAGE <= UINT16_MAX, "image_len is 16 bits");

/* The parts, in their order. */
static const uint16_t *ttls_of(const struct entry *e)
{
    return (const uint16_t *)(e + 1);
}

static const uint8_t *name_of(const struct entry *e)
{
    return (const uint8_t *)(ttls_of(e) + e->n_ttl);
}

static const uint8_t *note_of(const struct entry *e)
{
    return name_of(e) + e->name_len;
}

static uint8_t *append(uint8_t *to, const void *from, size_t n)
{
    if (n == 0)
        return to; /* either may be NULL */
    memcpy(to, from, n);
    return to + n;
}

size_t entry_units(const struct cache_key *key, const struct entry_body *b)
{
    size_t bytes = sizeof(struct entry) + b->n_ttl * sizeof(uint16_t) + key->name->len +
                   b->note_len + b->image_len;

    return (bytes + ENTRY_UNIT - 1) / ENTRY_UNIT;
}

void entry_write(struct entry *e, size_t units, const struct cache_key *key,
                 const struct cache_facts *f, const struct entry_body *b)
{
    uint8_t *to = (uint8_t *)(e + 1);

    assert(units * ENTRY_UNIT <= ENTRY_MAX);
    *e = (struct entry){
        .units = (uint16_t)units,
        .kind = key->kind,
        .bits = key->bits,
        .name_len = key->name->len,
        .type = key->type,
        .hash = key->hash,
        .scope = key->scope,
        .class = key->class,
        .image_len = (uint16_t)b->image_len,
        .note_len = (uint16_t)b->note_len,
        .n_ttl = (uint16_t)b->n_ttl,
        .facts = *f,
    };
    to = append(to, b->ttl_pos, b->n_ttl * sizeof *b->ttl_pos);
    to = append(to, key->name->at, key->name->len);
    to = append(to, b->note, b->note_len);
    append(to, b->image, b->image_len);
}

bool entry_matches(const struct entry *e, const struct cache_key *key)
{
    return e->hash == key->hash && e->type == key->type && e->class == key->class &&
           e->kind == key->kind && e->bits == key->bits && e->scope == key->scope &&
           e->name_len == key->name->len && memcmp(name_of(e), key->name->at, e->name_len) == 0;
}

bool entry_copy(const struct entry *e, uint64_t now_ms, struct entry_out *out)
{
    uint64_t stored_ms = e->facts.stored_ms;
    uint64_t age_s = now_ms > stored_ms ? (now_ms - stored_ms) / 1000 : 0;

    if (e->image_len > out->image_len || (out->note != NULL && e->note_len > out->note_len))
        return false;
    append(out->image, note_of(e) + e->note_len, e->image_len);
    out->image_len = e->image_len;
    if (out->note != NULL)
        append(out->note, note_of(e), e->note_len);
    out->note_len = e->note_len;
    if (e->n_ttl > 0 && age_s > 0 && now_ms < e->facts.expires_ms)
        image_age(out->image, e->image_len, ttls_of(e), e->n_ttl,
                  age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX, UINT32_MAX);
    return true;
}

void entry_name(const struct entry *e, struct name *out)
{
    struct cursor c = cursor_make(name_of(e), e->name_len);

    name_read_plain(&c, out);
}
