/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compress.c -- name compression on output.
 *
 * Each suffix of a name that was written out has an entry, found by a hash
 * that is built from the root on, so one pass over a name gives the hashes of
 * all its suffixes. The hash has no key: a hit is compared, and the table is
 * small, so a collision costs one comparison.
 */
#include "wire/compress.h"

enum { POINTER_REACH = 0x4000 }; /* 14 bits of offset */

struct suffixes {
    uint8_t at[NAME_MAX_LABELS]; /* offset of each label in the name */
    uint32_t hash[NAME_MAX_LABELS];
};

static void suffixes_make(const struct name *name, struct suffixes *s)
{
    size_t at = 0;
    uint32_t h = 2166136261u; /* FNV-1a */

    for (unsigned i = 0; i < name->labels; i++) {
        s->at[i] = (uint8_t)at;
        at += (size_t)name->at[at] + 1;
    }
    for (unsigned i = name->labels; i-- > 0;) {
        const uint8_t *label = name->at + s->at[i];

        for (size_t k = 0; k <= label[0]; k++)
            h = (h ^ name_fold_octet(label[k])) * 16777619u;
        s->hash[i] = h;
    }
}

/* True if the name at the entry's place is this suffix. */
static bool entry_is(const struct compress_entry *e, const struct writer *w,
                     const struct name *name, unsigned skip)
{
    struct cursor c = cursor_make(w->start, w->len);
    struct name suffix, there;

    c.at += e->at;
    name_read(&c, &there);
    name_parent(name, skip, &suffix);
    return !c.bad && name_equal_fold(&suffix, &there);
}

static const struct compress_entry *entry_find(const struct compress *t, const struct writer *w,
                                               const struct name *name, const struct suffixes *s,
                                               unsigned skip)
{
    uint32_t hash = s->hash[skip];
    size_t len = (size_t)name->len - s->at[skip];

    for (unsigned i = hash % COMPRESS_SLOTS; t->slot[i] != 0; i = (i + 1) % COMPRESS_SLOTS) {
        const struct compress_entry *e = &t->entry[t->slot[i] - 1];

        if (e->hash == hash && e->len == len && entry_is(e, w, name, skip))
            return e;
    }
    return NULL;
}

/* Half of the slots stay free, so a search always ends. */
static void entry_add(struct compress *t, uint32_t hash, size_t at, size_t len)
{
    unsigned i = hash % COMPRESS_SLOTS;

    if (t->n == COMPRESS_MAX || at >= POINTER_REACH)
        return;
    while (t->slot[i] != 0)
        i = (i + 1) % COMPRESS_SLOTS;
    t->entry[t->n++] = (struct compress_entry){hash, (uint16_t)at, (uint8_t)len};
    t->slot[i] = (uint8_t)t->n;
}

void compress_init(struct compress *t, const struct name *question, size_t at)
{
    struct suffixes s;

    t->n = 0;
    t->apart = false;
    memset(t->slot, 0, sizeof t->slot);
    suffixes_make(question, &s);
    for (unsigned i = 0; i < question->labels; i++)
        entry_add(t, s.hash[i], at + s.at[i], (size_t)question->len - s.at[i]);
}

void compress_off(struct compress *t)
{
    t->n = COMPRESS_MAX; /* no room, and nothing to be found */
    memset(t->slot, 0, sizeof t->slot);
}

uint16_t compress_name(struct compress *t, struct writer *w, const struct name *name)
{
    const struct compress_entry *known = NULL;
    struct suffixes s;
    size_t begin = w->len, literal;
    unsigned skip = 0;

    suffixes_make(name, &s);
    while (skip < name->labels && (known = entry_find(t, w, name, &s, skip)) == NULL)
        skip++;
    literal = skip < name->labels ? s.at[skip] : (size_t)name->len - 1;
    writer_bytes(w, name->at, literal);
    if (known != NULL)
        writer_u16(w, (uint16_t)(0xc000 | known->at));
    else
        writer_u8(w, 0);
    if (w->full)
        return 0;
    if (known != NULL && skip == 0)
        return known->at;
    if (t->apart)
        return 0;
    for (unsigned i = 0; i < skip; i++)
        entry_add(t, s.hash[i], begin + s.at[i], (size_t)name->len - s.at[i]);
    return name->labels > 0 && begin < POINTER_REACH ? (uint16_t)begin : 0;
}
