/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.h -- struct io over sockets and libevent: connections to servers,
 * timers, the clock. Answers to clients go to the function that the worker
 * gives, which knows its listeners.
 */
#ifndef RESOLVER_IO_EVENT_H
#define RESOLVER_IO_EVENT_H

#include "resolver/io.h"

struct event_base;
struct io_event; /* opaque */

/* sockets: connections to servers at most; timers: how many will be set at
 * most. base and random are borrowed. NULL when out of memory. */
struct io_event *io_event_new(struct event_base *, struct random *, unsigned sockets,
                              unsigned timers);
void io_event_free(struct io_event *); /* closes what is open, without callbacks */
struct io *io_event_io(struct io_event *);

typedef void io_event_send(void *context, const struct client *, const uint8_t *, size_t);
void io_event_on_send(struct io_event *, io_event_send *, void *context);

#endif
