/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pack.h -- big-endian fields in borrowed buffers: a cursor reads them, a
 * writer appends them.
 *
 * The first read that is too short sets `bad` and stays; later reads return 0
 * (or NULL) and move nothing. The first field that does not fit sets `full` and
 * stays; later ones write nothing. So callers check once, at the end.
 */
#ifndef WIRE_PACK_H
#define WIRE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

/* A field of which the caller knows that it is there. */
static inline uint16_t bytes_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bytes_u32(const uint8_t *p)
{
    return (uint32_t)bytes_u16(p) << 16 | bytes_u16(p + 2);
}

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

static inline size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->pos - c->start);
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

static inline uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 1);

    return p ? p[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 2);

    return p ? bytes_u16(p) : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 8);

    return p ? (uint64_t)bytes_u32(p) << 32 | bytes_u32(p + 4) : 0;
}

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

    if (p != NULL && n > 0)
        memcpy(p, from, n);
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
    writer_bytes(w, &v, 1);
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    writer_bytes(w, b, sizeof b);
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
    writer_u16(w, (uint16_t)(v >> 16));
    writer_u16(w, (uint16_t)v);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
    writer_u32(w, (uint32_t)(v >> 32));
    writer_u32(w, (uint32_t)v);
}

/* Overwrites a field that was written before. */
static inline void writer_patch_u16(struct writer *w, size_t pos, uint16_t v)
{
    if (pos + 2 <= w->len) {
        w->start[pos] = (uint8_t)(v >> 8);
        w->start[pos + 1] = (uint8_t)v;
    }
}

/* Takes back everything behind len, and forgives what did not fit. */
static inline void writer_truncate(struct writer *w, size_t len)
{
    w->len = len;
    w->full = false;
}

#endif
