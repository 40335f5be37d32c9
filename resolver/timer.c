/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timer.c -- see timer.h.
 */
#include "resolver/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int timers_init(struct timers *h, uint32_t room)
{
    *h = (struct timers){.room = room > 0 ? room : 1};
    h->at = calloc(h->room, sizeof *h->at);
    return h->at != NULL ? 0 : -ENOMEM;
}

void timers_fini(struct timers *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        h->at[i]->slot = 0;
    free(h->at);
    *h = (struct timers){0};
}

static void put(struct timers *h, uint32_t i, struct io_timer *t)
{
    h->at[i] = t;
    t->slot = i + 1;
}

/* Moves t from the free place i towards the root. */
static void rise(struct timers *h, uint32_t i, struct io_timer *t)
{
    while (i > 0 && t->at_ms < h->at[(i - 1) / 2]->at_ms) {
        put(h, i, h->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, t);
}

/* Moves t from the free place i towards the leaves. */
static void sink(struct timers *h, uint32_t i, struct io_timer *t)
{
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->at[child + 1]->at_ms < h->at[child]->at_ms)
            child++;
        if (h->at[child]->at_ms >= t->at_ms)
            break;
        put(h, i, h->at[child]);
        i = child;
    }
    put(h, i, t);
}

static bool grow(struct timers *h)
{
    struct io_timer **at = reallocarray(h->at, (size_t)h->room * 2, sizeof *at);

    if (at == NULL)
        return false;
    h->at = at;
    h->room *= 2;
    return true;
}

bool timers_set(struct timers *h, struct io_timer *t, uint64_t at_ms)
{
    if (t->slot == 0) {
        if (h->n == h->room && !grow(h))
            return false;
        t->at_ms = at_ms;
        rise(h, h->n++, t);
        return true;
    }
    assert(t->slot <= h->n && h->at[t->slot - 1] == t);
    if (at_ms < t->at_ms) {
        t->at_ms = at_ms;
        rise(h, t->slot - 1, t);
    } else {
        t->at_ms = at_ms;
        sink(h, t->slot - 1, t);
    }
    return true;
}

void timers_clear(struct timers *h, struct io_timer *t)
{
    uint32_t i = t->slot;
    struct io_timer *last;

    if (i-- == 0)
        return;
    assert(i < h->n && h->at[i] == t);
    t->slot = 0;
    t->at_ms = 0;
    last = h->at[--h->n];
    if (last == t)
        return;
    /* The last one takes the free place, and may belong above or below it. */
    if (i > 0 && last->at_ms < h->at[(i - 1) / 2]->at_ms)
        rise(h, i, last);
    else
        sink(h, i, last);
}

uint64_t timers_next(const struct timers *h)
{
    return h->n > 0 ? h->at[0]->at_ms : 0;
}

struct io_timer *timers_take(struct timers *h, uint64_t now_ms)
{
    struct io_timer *t;

    if (h->n == 0 || h->at[0]->at_ms > now_ms)
        return NULL;
    t = h->at[0];
    timers_clear(h, t);
    return t;
}
