/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io.h -- the world as forwarding sees it: a table of functions. io_event.c
 * implements it with sockets and libevent; the replay driver of the tests in
 * memory, with a clock that the scenario moves.
 *
 * Not thread-safe: one struct io per worker.
 */
#ifndef RESOLVER_IO_H
#define RESOLVER_IO_H

#include <sys/types.h>

#include "base/addr.h"
#include "base/str.h"
#include "base/random.h"

enum { IO_TIMER_SPACE = 16, IO_PEER_SPACE = 20 };

/* A timer belongs to whoever embeds it, and does not move while it is set. It may fire some
 * milliseconds early: the loop counts from when it woke up. */
struct io_timer {
    void (*fire)(struct io_timer *);
    uint64_t at_ms;              /* monotonic; 0 = not set; the io's own, as what follows is */
    void *space[IO_TIMER_SPACE]; /* for the io's list or event */
};

/* TCP: on a connection that others use, too. CONNECT: TCP that is connected, and closed at once. */
enum io_kind { IO_UDP, IO_TCP, IO_CONNECT };

/* The errno that says: the server had answered others on this connection, and has closed it. */
#define IO_CLOSED ESTALE

struct tls;

/* To whom a message goes, and how; only looked at within the call. */
struct io_target {
    const struct addr *server;
    const struct addr *source; /* of the same family: the socket's address; NULL: any */
    struct tls *tls;           /* TCP: what the server has to show; NULL: no TLS */
    enum io_kind kind;
};

/* A connection to a server; it does not move while it is open. */
struct io_peer {
    /* A datagram, or the one message of TCP (without its length). NULL: it was refused, reset,
     * closed, unreachable, and is closed; len is -errno (or of TLS), or 0 for IO_CONNECT that was connected.
     * Never from inside ask. */
    void (*receive)(struct io_peer *, const uint8_t *message, ssize_t len);
    void *handle; /* the io's own, as what follows is; NULL when closed */
    void *space[IO_PEER_SPACE];
};

struct io {
    /* Sends one message: over UDP on a connected socket of its own, on a fresh random port; over
     * TCP with its length, and perhaps another ID, which its reply does not show; CONNECT sends
     * none. 0 or -errno: then it is closed. */
    int (*ask)(struct io *, struct io_peer *, const struct io_target *, const uint8_t *message,
               size_t len);
    void (*close)(struct io *, struct io_peer *);                      /* closed already: fine */
    void (*timer_set)(struct io *, struct io_timer *, uint64_t at_ms); /* set or moved */
    void (*timer_clear)(struct io *, struct io_timer *);               /* not set: fine */
    struct now (*now)(struct io *);
    struct random *random;
};

static inline struct now io_now(struct io *io)
{
    return io->now(io);
}

struct event_base;
struct worker_stats;

/* Sockets and libevent: io_event.c. All pointers are borrowed. NULL when out of memory. */
struct io *io_event_new(struct event_base *, struct random *, struct worker_stats *);
void io_event_free(struct io *); /* all peers are closed by then; NULL is fine */

#endif
