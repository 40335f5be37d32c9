/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.h -- appends big-endian fields to a borrowed buffer, bounded.
 *
 * The first field that does not fit sets `full` and stays; later ones write
 * nothing. A caller may take back to a saved length (writer_cut) and go on.
 */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

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
    uint8_t *p;

    if (UNLIKELY(w->full || n > w->size - w->len)) {
        w->full = true;
        return NULL;
    }
    p = w->start + w->len;
    w->len += n;
    return p;
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
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    writer_bytes(w, b, sizeof b);
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
    writer_u32(w, (uint32_t)(v >> 32));
    writer_u32(w, (uint32_t)v);
}

/* Overwrites a field that was written before. */
static inline void writer_patch_u16(struct writer *w, size_t at, uint16_t v)
{
    if (at + 2 <= w->len) {
        w->start[at] = (uint8_t)(v >> 8);
        w->start[at + 1] = (uint8_t)v;
    }
}

/* Takes back everything behind len, and forgives what did not fit. */
static inline void writer_cut(struct writer *w, size_t len)
{
    w->len = len;
    w->full = false;
}

#endif
