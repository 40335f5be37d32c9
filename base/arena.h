/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena.h -- allocate many, free once: settings generations, parsed texts.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena; /* opaque */

struct arena *arena_new(void);   /* NULL when out of memory */
void arena_free(struct arena *); /* with all it gave out; NULL is fine */

/* Zeroed, aligned for any type; NULL when out of memory. */
void *arena_alloc(struct arena *, size_t);
char *arena_strdup(struct arena *, const char *);
char *arena_strndup(struct arena *, const char *, size_t);

#endif
