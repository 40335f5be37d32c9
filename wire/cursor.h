/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cursor.h -- reads big-endian fields from a borrowed buffer.
 *
 * The first short read sets `bad` and stays; later reads return 0 (or NULL)
 * and move nothing, so that callers check once, at the end. Only wire/ does
 * arithmetic on packet pointers.
 */
#ifndef WIRE_CURSOR_H
#define WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct cursor {
    const uint8_t *start; /* offset 0, for names and positions */
    const uint8_t *at, *end;
    bool bad;
    uint16_t high;  /* name.c: highest offset that a pointer led to */
    uint32_t steps; /* name.c: work spent on names; bounded for a message */
};

static inline struct cursor cursor_make(const void *p, size_t len)
{
    const uint8_t *start = p;

    return (struct cursor){start, start, start + len, false, 0, 0};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->at);
}

static inline size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->at - c->start);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
    const uint8_t *p = c->at;

    if (UNLIKELY(c->bad || n > (size_t)(c->end - c->at))) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
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

    if (p == NULL)
        return 0;
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *p = cursor_take(c, 4);

    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
    uint64_t high = cursor_u32(c);

    return high << 32 | cursor_u32(c);
}

#endif
