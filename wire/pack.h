/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pack.h -- big-endian fields in borrowed buffers: a cursor reads them, a writer appends them.
 *
 * The first read that is too short sets `bad` and stays; later reads return 0 (or NULL) and move
 * nothing. The first field that does not fit sets `full` and stays; later ones write nothing. So
 * callers check once, at the end.
 */
#ifndef WIRE_PACK_H
#define WIRE_PACK_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

/* n octets, at most 8, of which the caller knows that they are there. */
static inline uint64_t bytes_number(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    memcpy((char *)&v + sizeof v - n, p, n);
    return be64toh(v);
}
#define bytes_u16(p) ((uint16_t)bytes_number(p, 2))
#define bytes_u32(p) ((uint32_t)bytes_number(p, 4))

struct cursor {
    const uint8_t *start; /* offset 0, for names and positions */
    const uint8_t *pos, *end;
    bool bad;
    uint32_t steps; /* name.c: work spent on names; bounded for a message */
};

static inline struct cursor cursor_make(const void *p, size_t len)
{
    const uint8_t *start = p;

    return (struct cursor){start, start, start + len, false, 0};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->pos);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    const uint8_t *p = c->pos;

    if (UNLIKELY(c->bad || n > (size_t)(c->end - c->pos))) {
        c->bad = true;
        return NULL;
    }
    c->pos += n;
    return p;
}

static inline uint64_t cursor_number(struct cursor *c, size_t n)
{
    const uint8_t *p = cursor_take(c, n);

    return p ? bytes_number(p, n) : 0;
}
#define cursor_u8(c) ((uint8_t)cursor_number(c, 1))
#define cursor_u16(c) ((uint16_t)cursor_number(c, 2))
#define cursor_u64(c) cursor_number(c, 8)

struct writer {
    uint8_t *start;
    size_t len, size;
    bool full;
};

static inline struct writer writer_make(void *p, size_t size)
{
    return (struct writer){p, 0, size, false};
}

/* Room for n bytes that the caller fills, or NULL. */
static inline uint8_t *writer_room(struct writer *w, size_t n)
{
    if (UNLIKELY(w->full || n > w->size - w->len)) {
        w->full = true;
        return NULL;
    }
    w->len += n;
    return w->start + w->len - n;
}

static inline void writer_bytes(struct writer *w, const void *from, size_t n)
{
    uint8_t *p = writer_room(w, n);

    if (p && n > 0)
        memcpy(p, from, n);
}

static inline void writer_number(struct writer *w, uint64_t v, size_t n)
{
    v = htobe64(v);
    writer_bytes(w, (char *)&v + sizeof v - n, n);
}
#define writer_u8(w, v) writer_number(w, (uint8_t){v}, 1)
#define writer_u16(w, v) writer_number(w, (uint16_t){v}, 2)
#define writer_u32(w, v) writer_number(w, (uint32_t){v}, 4)
#define writer_u64(w, v) writer_number(w, v, 8)

/* Overwrites a field that was written before. */
static inline void writer_patch_u16(struct writer *w, size_t pos, uint16_t v)
{
    struct writer part = {w->start + pos, 0, 2, false};

    if (pos + 2 <= w->len)
        writer_u16(&part, v);
}

#endif
