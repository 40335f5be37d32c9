/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena.h -- allocate many, free once: settings generations, parsed texts.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena {
    struct arena_piece {
        struct arena_piece *next;
        alignas(max_align_t) char bytes[];
    } * pieces; /* owned */
};

/* NULL when out of memory. */
static inline struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

/* With all it gave out; NULL is fine. */
static inline void arena_free(struct arena *a)
{
    while (a != NULL && a->pieces != NULL) {
        struct arena_piece *next = a->pieces->next;

        free(a->pieces);
        a->pieces = next;
    }
    free(a);
}

/* Zeroed, aligned for any type; NULL when out of memory. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_piece *piece = n < PTRDIFF_MAX / 2 ? calloc(1, sizeof *piece + n) : NULL;

    if (piece == NULL)
        return NULL;
    piece->next = a->pieces;
    a->pieces = piece;
    return piece->bytes;
}

static inline char *arena_strndup(struct arena *a, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *out = arena_alloc(a, len + 1);

    return out != NULL ? memcpy(out, text, len) : NULL;
}
#define arena_strdup(a, text) arena_strndup(a, text, SIZE_MAX)

#endif
