/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.h -- struct io over sockets and libevent: connections to servers,
 * timers, the clock.
 */
#ifndef RESOLVER_IO_EVENT_H
#define RESOLVER_IO_EVENT_H

#include "resolver/io.h"

struct event_base;
struct io_event; /* opaque */

/* sockets: connections to servers at most. base and random are borrowed. NULL when
 * out of memory. */
struct io_event *io_event_new(struct event_base *, struct random *, unsigned sockets);
void io_event_free(struct io_event *); /* closes what is open, without callbacks */
struct io *io_event_io(struct io_event *);

#endif
