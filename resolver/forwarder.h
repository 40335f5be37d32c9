/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forwarder.h -- what a forwarder is made of; shared by forward.c, flight.c,
 * probe.c and whole.c, and by nobody else.
 */
#ifndef RESOLVER_FORWARDER_H
#define RESOLVER_FORWARDER_H

#include "resolver/inflight.h"

enum { WHOLE_MAX = 16, WHOLE_BYTES = 4096 };

/* A packet that goes as it is to one server and comes back as it is: TSIG and
 * TKEY sign or negotiate about its very octets. */
struct whole {
    struct io_peer peer;
    struct io_timer timer;
    struct forwarder *forwarder;
    const struct view *view; /* pinned; NULL: this place is free */
    struct upstream *server;
    uint64_t begun_ms;
    uint16_t id; /* ours; the client's is in the waiter */
    struct waiter waiter;
};

struct forwarder {
    struct io *io; /* borrowed */
    struct forwarder_hooks hooks;
    struct worker_stats *stats;
    struct upstreams upstreams;
    struct exchanges exchanges;
    struct exchange *idle_oldest, *idle_newest; /* tries that listen on after their time */
    struct inflight inflight;
    uint32_t limit; /* flights at most */
    struct whole wholes[WHOLE_MAX];
    struct query q;   /* a waiter, made a query again */
    struct query end; /* the question for the end of a chain of CNAMEs */
    uint8_t out[DNS_MAX_MESSAGE], joined[DNS_MAX_MESSAGE];
};

/* A flight for q; others give way to it, but not `keep`. NULL: no place, no route. */
struct flight *forwarder_begin(struct forwarder *, const struct view *, const struct query *,
                               const struct flight *keep);

/* Sends q's answer, if it has one, and hands q to the hooks. */
void forwarder_deliver(struct forwarder *, const struct view *, struct query *, enum answer);

/* flight.c: the life of a flight. */
void flight_begin(struct forwarder *, struct flight *, uint64_t now_ms);
/* A waiter came: its deadline may be the next. */
void flight_joined(struct flight *, uint64_t now_ms);
/* Everybody gets a failure; the flight is over and its memory given back. */
void flight_give_up(struct flight *, bool keep);

/* probe.c: the server is down; finds out when it is back. */
void probe_begin(struct forwarder *, struct upstream *);
void probe_end(struct upstream *); /* not begun: fine */

/* whole.c */
void whole_ask(struct forwarder *, const struct view *, const struct query *);
void whole_end_all(struct forwarder *);

#endif
