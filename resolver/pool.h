/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pool.h -- n places of one size, taken from the system once: what a worker
 * needs between a packet and its answer comes from here. Pages are touched when
 * they are first needed; the place that was given back last is the next taken.
 */
#ifndef RESOLVER_POOL_H
#define RESOLVER_POOL_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pool {
    uint8_t *places; /* owned; free(pool.places) ends it */
    size_t size;
    uint32_t n, touched, in_use;
    void *free_list; /* each begins with a pointer to the next */
};

/* 0 or -ENOMEM. size: of a struct. */
static inline int pool_init(struct pool *p, uint32_t n, size_t size)
{
    *p = (struct pool){.places = calloc(n, size), .size = size, .n = n};
    return p->places != NULL ? 0 : -ENOMEM;
}

/* All its octets are zero; NULL: all are in use. */
static inline void *pool_take(struct pool *p)
{
    void *place = p->free_list;

    if (place != NULL)
        memcpy(&p->free_list, place, sizeof p->free_list);
    else if (p->touched < p->n)
        place = p->places + p->touched++ * p->size;
    else
        return NULL;
    p->in_use++;
    return memset(place, 0, p->size);
}

static inline void pool_give(struct pool *p, void *place)
{
    memcpy(place, &p->free_list, sizeof p->free_list);
    p->free_list = place;
    p->in_use--;
}

#endif
