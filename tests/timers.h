/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timers.h -- the timers of a struct io in memory: those that are set, in no order.
 */
#ifndef TESTS_TIMERS_H
#define TESTS_TIMERS_H

#include <stdlib.h>

#include "resolver/io.h"

struct timers {
    struct io_timer *set[512];
    int n;
};

static inline void timers_clear(struct timers *h, struct io_timer *t)
{
    for (int i = 0; i < h->n; i++)
        if (h->set[i] == t)
            h->set[i] = h->set[--h->n];
    t->at_ms = 0;
}

static inline void timers_set(struct timers *h, struct io_timer *t, uint64_t at_ms)
{
    timers_clear(h, t);
    if (h->n == sizeof h->set / sizeof h->set[0])
        abort();
    h->set[h->n++] = t;
    t->at_ms = at_ms;
}

/* Takes out the earliest that is due by then; NULL: there is none. *due_ms: when it was. */
static inline struct io_timer *timers_take(struct timers *h, uint64_t end_ms, uint64_t *due_ms)
{
    struct io_timer *first = NULL;

    for (int i = 0; i < h->n; i++)
        if (first == NULL || h->set[i]->at_ms < first->at_ms)
            first = h->set[i];
    if (first == NULL || first->at_ms > end_ms)
        return NULL;
    *due_ms = first->at_ms;
    timers_clear(h, first);
    return first;
}

#endif
