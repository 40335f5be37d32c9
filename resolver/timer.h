/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timer.h -- a binary heap of struct io_timer, earliest first. Used by the two
 * implementations of struct io: io_event.c and the replay driver.
 *
 * A timer's slot is its position + 1, so that it can be moved and taken out
 * without a search. The heap borrows the timers; it grows by realloc, which
 * timers_new() makes needless by taking the number that will be in use.
 */
#ifndef RESOLVER_TIMER_H
#define RESOLVER_TIMER_H

#include <stdbool.h>

#include "resolver/io.h"

struct timers {
    struct io_timer **at; /* owned; at[0] is the earliest */
    uint32_t n, room;
};

int timers_init(struct timers *, uint32_t room); /* 0 or -ENOMEM */
void timers_fini(struct timers *);

/* Sets or moves. False when out of memory: then the timer is not set. */
bool timers_set(struct timers *, struct io_timer *, uint64_t at_ms);
void timers_clear(struct timers *, struct io_timer *);
/* When the earliest is due; 0 = none is set. */
uint64_t timers_next(const struct timers *);
/* Takes out the earliest that is due, or NULL. */
struct io_timer *timers_take(struct timers *, uint64_t now_ms);

#endif
