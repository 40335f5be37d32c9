/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_memory.h -- struct io in memory, for replay: what is sent to servers and
 * to clients is put into two lists, the clock stands until the scenario moves
 * it, and chance is a fixed sequence.
 */
#ifndef TESTS_REPLAY_IO_MEMORY_H
#define TESTS_REPLAY_IO_MEMORY_H

#include "resolver/io.h"
#include "resolver/query.h"
#include "tests/timers.h"

/* A packet that went to a server, with the socket it left on. */
struct sent {
    struct sent *next;
    struct io_peer *peer; /* NULL: the socket is closed */
    struct addr server;
    enum io_kind kind;
    bool taken; /* the scenario has seen it */
    size_t len;
    uint8_t wire[65535];
};

/* A packet that went to a client. */
struct answered {
    struct answered *next;
    struct client client;
    size_t len;
    uint8_t wire[];
};

struct io_memory {
    struct io io; /* first */
    struct timers timers;
    struct now now;
    struct random random;
    uint64_t seed;
    struct sent *sent, **last_sent;             /* owned; all of the scenario, in order */
    struct answered *answered, **last_answered; /* owned; those that the scenario has not taken */
    uint64_t opened, closed;
    bool unreachable; /* open fails */
};

void io_memory_init(struct io_memory *);
void io_memory_fini(struct io_memory *);

/* Lets time pass; timers fire at their times. */
void io_memory_wait(struct io_memory *, uint64_t ms);
/* What a server sends on the socket of a sent packet. False: it is closed. */
bool io_memory_give(struct sent *, const uint8_t *, size_t);
/* The socket fails, with errno. */
bool io_memory_fail(struct sent *, int error);
/* The oldest packet that the scenario has not seen, or NULL. */
struct sent *io_memory_sent(struct io_memory *);
void io_memory_send_client(struct io_memory *, const struct client *, const uint8_t *, size_t);
/* The oldest answer, taken out; the caller frees it. NULL: none. */
struct answered *io_memory_answered(struct io_memory *);

#endif
