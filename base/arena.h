/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena.h -- allocate many, free once: settings generations, parsed texts.
 *
 *   arena ──▶ chunk (newest, the one in use) ──▶ chunk ──▶ NULL
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 1 << 16 }; /* what is larger gets a chunk of its own */

struct arena {
    struct arena_chunk {
        struct arena_chunk *next;
        size_t used, size; /* of bytes[] */
        alignas(max_align_t) char bytes[];
    } * chunks; /* owned */
};

/* NULL when out of memory. */
static inline struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

/* With all it gave out; NULL is fine. */
static inline void arena_free(struct arena *a)
{
    while (a != NULL && a->chunks != NULL) {
        struct arena_chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
    free(a);
}

/* Zeroed, aligned for any type; NULL when out of memory. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct arena_chunk *c = a->chunks;

    if (n > PTRDIFF_MAX / 2) /* also: the sums below cannot overflow */
        return NULL;
    n = n == 0 ? align : (n + align - 1) / align * align;
    if (c == NULL || c->size - c->used < n) {
        size_t size = n > ARENA_CHUNK ? n : ARENA_CHUNK;

        if ((c = calloc(1, sizeof *c + size)) == NULL)
            return NULL;
        c->size = size;
        c->next = a->chunks;
        a->chunks = c;
    }
    c->used += n;
    return c->bytes + c->used - n;
}

static inline char *arena_strndup(struct arena *a, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *out = arena_alloc(a, len + 1);

    return out != NULL ? memcpy(out, text, len) : NULL;
}

static inline char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

#endif
