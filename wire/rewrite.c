/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rewrite.c -- writes records of one message into another.
 *
 * Each suffix of a name that was written out has an entry, found by a hash
 * that is built from the root on, so one pass over a name gives the hashes of
 * all its suffixes. The hash has no key: a hit is compared, and the table is
 * small, so a collision costs one comparison.
 */
#include "wire/rewrite.h"

enum { POINTER_REACH = 0x4000 }; /* 14 bits of offset */

struct suffixes {
    uint8_t pos[NAME_MAX_LABELS]; /* of each label in the name */
    uint32_t hash[NAME_MAX_LABELS];
};

static void suffixes_make(const struct name *name, struct suffixes *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    name_labels(name, s->pos);
    for (unsigned i = name->labels; i-- > 0;) {
        const uint8_t *label = name->data + s->pos[i];

        for (size_t k = 0; k <= label[0]; k++)
            h = (h ^ name_fold_octet(label[k])) * 16777619u;
        s->hash[i] = h;
    }
}

/* Remembers the first n suffixes of a name that was written at `pos`. Half of the
 * slots stay free, so a search always ends. */
static void entries_add(struct rewrite *r, const struct name *name, const struct suffixes *s,
                        unsigned n, size_t pos)
{
    for (unsigned k = 0; k < n; k++) {
        unsigned i = s->hash[k] % COMPRESS_SLOTS;

        if (r->n == COMPRESS_MAX || pos + s->pos[k] >= POINTER_REACH)
            return;
        while (r->slot[i] != 0)
            i = (i + 1) % COMPRESS_SLOTS;
        r->entry[r->n++] = (struct compress_entry){s->hash[k], (uint16_t)(pos + s->pos[k]),
                                                   (uint8_t)(name->len - s->pos[k])};
        r->slot[i] = (uint8_t)r->n;
    }
}

/* Appends a name, its longest known suffix as a pointer. Where the whole name
 * may be pointed at from now on; 0 when nowhere. */
static uint16_t name_write(struct rewrite *r, const struct name *name)
{
    const struct compress_entry *known = NULL;
    struct writer *w = &r->w;
    struct suffixes s;
    size_t begin = w->len;
    unsigned skip = 0;

    suffixes_make(name, &s);
    while (skip < name->labels && known == NULL) {
        uint32_t hash = s.hash[skip];

        for (unsigned i = hash % COMPRESS_SLOTS; r->slot[i] != 0 && known == NULL;
             i = (i + 1) % COMPRESS_SLOTS) {
            const struct compress_entry *e = &r->entry[r->slot[i] - 1];
            struct cursor c = cursor_make(w->start, w->len);
            struct name suffix, written;

            if (e->hash != hash || e->len != name->len - s.pos[skip])
                continue;
            c.pos += e->pos;
            name_read(&c, &written);
            name_parent(name, skip, &suffix);
            if (name_equal_fold(&suffix, &written))
                known = e;
        }
        if (known == NULL)
            skip++;
    }
    writer_bytes(w, name->data, known != NULL ? s.pos[skip] : name->len);
    if (known != NULL)
        writer_u16(w, (uint16_t)(0xc000 | known->pos));
    if (known != NULL && skip == 0)
        return known->pos;
    if (w->full || r->apart)
        return 0;
    entries_add(r, name, &s, skip, begin);
    return name->labels > 0 && begin < POINTER_REACH ? (uint16_t)begin : 0;
}

void rewrite_begin(struct rewrite *r, uint8_t *out, size_t size, uint16_t flags,
                   const struct name *qname, uint16_t qtype, uint16_t qclass)
{
    struct suffixes s;

    r->w = writer_make(out, size);
    r->counts[0] = r->counts[1] = r->counts[2] = 0;
    r->last_from = 0;
    r->apart = false;
    r->n = 0;
    memset(r->slot, 0, sizeof r->slot);
    message_begin(&r->w, 0, flags, qname, qtype, qclass);
    suffixes_make(qname, &s);
    entries_add(r, qname, &s, qname->labels, DNS_HEADER);
}

void rewrite_uncompressed(struct rewrite *r)
{
    r->n = COMPRESS_MAX; /* no room, and nothing to be found */
    memset(r->slot, 0, sizeof r->slot);
    r->last_from = 0;
}

bool rewrite_put(struct rewrite *r, const uint8_t *wire, size_t len, const struct rr *rr,
                 uint32_t ttl)
{
    struct cursor c = cursor_make(wire, len);
    size_t begin = r->w.len, rdata;
    struct name owner;
    uint16_t from = 0;

    if ((size_t)rr->rdata_pos + rr->rdlength > len)
        return false;
    /* Many records share one owner: a pointer that led to the same place as the one
     * before needs no search, which costs as much as the name is long. */
    c.pos += rr->pos;
    if (c.pos[0] >= 0xc0)
        from = bytes_u16(c.pos) & 0x3fff;
    if (from != 0 && from == r->last_from) {
        writer_u16(&r->w, 0xc000 | r->last_to);
    } else {
        name_read(&c, &owner);
        r->last_to = name_write(r, &owner);
        r->last_from = r->last_to != 0 ? from : 0;
    }
    writer_u16(&r->w, rr->type);
    writer_u16(&r->w, rr->class);
    writer_u32(&r->w, ttl);
    writer_u16(&r->w, 0);
    rdata = r->w.len;
    c.pos = wire + rr->rdata_pos;
    c.end = c.pos + rr->rdlength;
    for (const char *field = rdata_layout(rr->type, rr->class); *field != '\0'; field++) {
        const uint8_t *begins = c.pos;
        struct name name;

        if (*field != 'n' && *field != 'N' && *field != 'P') {
            rdata_pass(&c, *field);
            writer_bytes(&r->w, begins, (size_t)(c.pos - begins));
            continue;
        }
        name_read(&c, &name);
        if (*field == 'n') {
            name_write(r, &name);
            continue;
        }
        /* It is not compressed. If it came so it is folded: its octets may be those of the
         * question, whose case is random (0x20) and must not be shown to the client. */
        if ((size_t)(c.pos - begins) != name.len)
            name_fold(&name);
        writer_bytes(&r->w, name.data, name.len);
    }
    if (r->w.full || c.bad || r->w.len - rdata > UINT16_MAX) {
        writer_truncate(&r->w, begin);
        rewrite_uncompressed(r); /* it may know places that were taken back */
        return false;
    }
    writer_patch_u16(&r->w, rdata - 2, (uint16_t)(r->w.len - rdata));
    r->counts[rr->section]++;
    return true;
}

size_t rewrite_end(struct rewrite *r)
{
    message_counts(&r->w, r->counts[0], r->counts[1], r->counts[2]);
    return r->w.len;
}
