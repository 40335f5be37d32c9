/* SPDX-License-Identifier: BSD-2-Clause
 *
 * entry.c -- packs and unpacks one entry.
 *
 * Facts are packed by hand, not copied as a struct: 72 bytes in front of a
 * name and an image that together are often no larger than that.
 */
#include "cache/entry.h"

#include <assert.h>
#include <string.h>

#include "wire/reply.h"

_Static_assert(sizeof(struct entry) == 72, "struct entry as small as can be");
_Static_assert(ENTRY_MAX / ENTRY_UNIT <= UINT16_MAX, "units is 16 bits");
_Static_assert(DNS_MAX_MESSAGE <= UINT16_MAX, "image_len is 16 bits");

static size_t stamp_size(unsigned kind)
{
    return kind == CACHE_DECISION ? 3 * sizeof(uint64_t) : 0;
}

/* The parts, in their order. */
static const uint8_t *stamp_of(const struct entry *e)
{
    return (const uint8_t *)(e + 1);
}

static const uint16_t *ttls_of(const struct entry *e)
{
    return (const uint16_t *)(const void *)(stamp_of(e) + stamp_size(entry_kind(e)));
}

static const uint8_t *name_of(const struct entry *e)
{
    return (const uint8_t *)(ttls_of(e) + e->n_ttl);
}

static const uint8_t *note_of(const struct entry *e)
{
    return name_of(e) + e->name_len;
}

static const uint8_t *image_of(const struct entry *e)
{
    return note_of(e) + e->note_len;
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
    size_t bytes = sizeof(struct entry) + stamp_size(key->kind) + b->n_ttl * sizeof(uint16_t) +
                   key->name->len + b->note_len + b->image_len;

    return (bytes + ENTRY_UNIT - 1) / ENTRY_UNIT;
}

static uint8_t flags_of(const struct cache_key *key, const struct cache_facts *f)
{
    return (uint8_t)((key->kind == CACHE_DECISION ? ENTRY_DECISION : 0) |
                     (f->failure ? ENTRY_FAILURE : 0) | (f->has_rrsig ? ENTRY_RRSIG : 0) |
                     (f->has_cname ? ENTRY_CNAME : 0) | (f->rotates ? ENTRY_ROTATES : 0));
}

void entry_write(struct entry *e, size_t units, const struct cache_key *key,
                 const struct cache_facts *f, const struct entry_body *b)
{
    uint8_t *to = (uint8_t *)(e + 1);

    assert(units * ENTRY_UNIT <= ENTRY_MAX);
    *e = (struct entry){
        .units = (uint16_t)units,
        .flags = flags_of(key, f),
        .bits = key->bits,
        .scope = key->scope,
        .hash = key->hash,
        .type = key->type,
        .class = key->class,
        .stored_ms = f->stored_ms,
        .expires_ms = f->expires_ms,
        .image_len = (uint16_t)b->image_len,
        .note_len = (uint16_t)b->note_len,
        .n_ttl = (uint16_t)b->n_ttl,
        .rcode = f->rcode,
        .rtt_ms = f->rtt_ms,
        .server_scope = f->server.scope,
        .server_port = f->server.port,
        .name_len = key->name->len,
        .reply_kind = f->reply_kind,
    };
    memcpy(e->server_ip, f->server.ip, sizeof e->server_ip);
    to = append(to, f->stamp, stamp_size(key->kind));
    to = append(to, b->ttl_at, b->n_ttl * sizeof *b->ttl_at);
    to = append(to, key->name->at, key->name->len);
    to = append(to, b->note, b->note_len);
    append(to, b->image, b->image_len);
}

bool entry_matches(const struct entry *e, const struct cache_key *key)
{
    return e->hash == key->hash && e->type == key->type && e->class == key->class &&
           entry_kind(e) == key->kind && e->bits == key->bits && e->scope == key->scope &&
           e->name_len == key->name->len && memcmp(name_of(e), key->name->at, e->name_len) == 0;
}

bool entry_has_stamp(const struct entry *e, const uint64_t stamp[3])
{
    if (entry_kind(e) != CACHE_DECISION)
        return true;
    return stamp != NULL && memcmp(stamp_of(e), stamp, stamp_size(CACHE_DECISION)) == 0;
}

bool entry_copy(const struct entry *e, uint64_t now_ms, struct entry_out *out)
{
    uint64_t age_s = now_ms > e->stored_ms ? (now_ms - e->stored_ms) / 1000 : 0;

    if (e->image_len > out->image_len || (out->note != NULL && e->note_len > out->note_len))
        return false;
    append(out->image, image_of(e), e->image_len);
    out->image_len = e->image_len;
    if (out->note != NULL)
        append(out->note, note_of(e), e->note_len);
    out->note_len = e->note_len;
    if (e->n_ttl > 0 && age_s > 0 && now_ms < e->expires_ms)
        image_age(out->image, e->image_len, ttls_of(e), e->n_ttl,
                  age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX, UINT32_MAX);
    return true;
}

void entry_facts(const struct entry *e, struct cache_facts *f)
{
    f->stored_ms = e->stored_ms;
    f->expires_ms = e->expires_ms;
    if (UNLIKELY(entry_kind(e) == CACHE_DECISION))
        memcpy(f->stamp, stamp_of(e), sizeof f->stamp);
    else
        memset(f->stamp, 0, sizeof f->stamp);
    f->rcode = e->rcode;
    f->reply_kind = e->reply_kind;
    f->failure = (e->flags & ENTRY_FAILURE) != 0;
    f->has_rrsig = (e->flags & ENTRY_RRSIG) != 0;
    f->has_cname = (e->flags & ENTRY_CNAME) != 0;
    f->rotates = (e->flags & ENTRY_ROTATES) != 0;
    f->rtt_ms = e->rtt_ms;
    memcpy(f->server.ip, e->server_ip, sizeof f->server.ip);
    f->server.scope = e->server_scope;
    f->server.port = e->server_port;
}

void entry_name(const struct entry *e, struct name *out)
{
    const uint8_t *at = name_of(e);
    unsigned labels = 0;

    /* The name was a valid struct name when it was put. */
    for (unsigned i = 0; at[i] != 0; i += at[i] + 1u)
        labels++;
    out->len = e->name_len;
    out->labels = (uint8_t)labels;
    memcpy(out->at, at, e->name_len);
}
