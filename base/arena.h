/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena.h -- allocate many, free once: settings generations, parsed texts.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena {
    struct arena_piece {
        struct arena_piece *next;
        alignas(max_align_t) char bytes[];
    } * pieces;  /* owned */
    size_t left; /* octets at the end of the first one */
    char *free;
    struct arena_end {
        struct arena_end *next;
        void (*call)(void *);
        void *arg;
    } * ends;
};

/* NULL when out of memory. */
static inline struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

/* With all it gave out; NULL is fine. */
static inline void arena_free(struct arena *a)
{
    for (struct arena_end *e = a ? a->ends : NULL; e; e = e->next)
        e->call(e->arg);
    while (a && a->pieces) {
        struct arena_piece *next = a->pieces->next;

        free(a->pieces);
        a->pieces = next;
    }
    free(a);
}

/* Zeroed, aligned for any type; NULL when out of memory. */
static inline void *arena_alloc(struct arena *a, size_t n)
{
    enum { ALIGN = alignof(max_align_t), PIECE = 16384 - 64 };
    size_t need = (n + ALIGN - (n > 0)) / ALIGN * ALIGN, size = need > PIECE ? need : PIECE;
    struct arena_piece *piece;

    if (n > PTRDIFF_MAX / 2)
        return NULL;
    if (need > a->left) {
        if ((piece = calloc(1, sizeof *piece + size)) == NULL)
            return NULL;
        *piece = (struct arena_piece){.next = a->pieces};
        *a = (struct arena){piece, size, piece->bytes, a->ends};
    }
    a->free += need;
    a->left -= need;
    return a->free - need;
}

/* The call is made when the arena is freed, the last one first. False: out of memory. */
static inline bool arena_at_end(struct arena *a, void (*call)(void *), void *arg)
{
    struct arena_end *e = arena_alloc(a, sizeof *e);

    if (e == NULL)
        return false;
    *e = (struct arena_end){a->ends, call, arg};
    a->ends = e;
    return true;
}

static inline char *arena_strndup(struct arena *a, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *out = arena_alloc(a, len + 1);

    return out ? memcpy(out, text, len) : NULL;
}
#define arena_strdup(a, text) arena_strndup(a, text, SIZE_MAX)

/* For tdestroy(3), when what the tree has is an arena's. */
static inline void arena_keeps(void *p)
{
    (void)p;
}

#endif
