/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena.c -- allocate many, free once.
 *
 *   arena ──▶ chunk (newest, the one in use) ──▶ chunk ──▶ NULL
 *
 * Chunks double from 4 KiB to 1 MiB, so a small generation stays small and a
 * large one makes few calls. What is larger than a quarter of a chunk gets a
 * chunk of its own behind the one in use, whose rest stays usable.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct chunk {
    struct chunk *next;
    size_t used, size; /* of bytes[] */
    alignas(max_align_t) char bytes[];
};

struct arena {
    struct chunk *chunks; /* owned */
    size_t next_size;     /* of the next ordinary chunk */
};

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof *a);

    if (a != NULL)
        a->next_size = CHUNK_MIN;
    return a;
}

void arena_free(struct arena *a)
{
    struct chunk *c, *next;

    if (a == NULL)
        return;
    for (c = a->chunks; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct chunk *c = a->chunks;
    size_t size = a->next_size;

    if (n > PTRDIFF_MAX / 2) /* also: the sums below cannot overflow */
        return NULL;
    n = n == 0 ? align : (n + align - 1) / align * align;
    if (c == NULL || c->size - c->used < n) {
        bool alone = n > size / 4;

        c = calloc(1, sizeof *c + (alone ? n : size)); /* zeroed: so is what is handed out */
        if (c == NULL)
            return NULL;
        c->size = alone ? n : size;
        if (alone && a->chunks != NULL) {
            c->next = a->chunks->next;
            a->chunks->next = c;
        } else {
            c->next = a->chunks;
            a->chunks = c;
        }
        if (!alone && size < CHUNK_MAX)
            a->next_size *= 2;
    }
    c->used += n;
    return c->bytes + c->used - n;
}

char *arena_strndup(struct arena *a, const char *text, size_t max)
{
    size_t len = strnlen(text, max);
    char *out = arena_alloc(a, len + 1);

    if (out != NULL && len > 0)
        memcpy(out, text, len);
    return out;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}
