/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.h -- the questions that are being asked, and who waits for them.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view).
 * Two clients with the same question share it, so that a forger who makes us
 * ask often gains nothing (the birthday attack on the ID). Flights and waiters
 * come from two pools that are taken once; the flights are also a list, oldest
 * first.
 */
#ifndef RESOLVER_INFLIGHT_H
#define RESOLVER_INFLIGHT_H

#include "resolver/exchange.h"

enum {
    WAITERS_MAX = 256, /* of one flight: what one reply may cost at once */
    ASKERS_MAX = 64,   /* questions of our own */
};

struct asker { /* of forwarder_resolve() */
    struct asker *next;
    forwarder_got *done;
    void *context;
};

struct flight {
    struct flight *bucket_next; /* also of the free list */
    struct flight *older, *newer;
    struct forwarder *forwarder;
    const struct view *view;   /* pinned */
    const struct route *route; /* of the view; after a fall-back that of `.` */
    struct name qname;         /* folded */
    uint16_t qtype, qclass;
    uint8_t bits; /* CACHE_DO, CACHE_CD */
    bool kms_name;
    uint32_t scope;
    uint64_t hash;

    struct waiter *first, **last; /* clients, in the order of arrival */
    unsigned n_waiters;
    struct asker *askers;
    uint64_t deadline_ms; /* earliest of the waiters; 0 = none */

    struct exchange *open;    /* tries that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms; /* when the next try (or the end) is due */
    bool last_try;              /* next_ms is the end */
    bool starved;     /* a try was not made for a want of ours: says nothing of the name */
    uint16_t failure; /* rcode that a server said; 0xffff none did */
    struct addr failed_by;
    uint8_t n_tries, tries[ROUTE_MAX_SERVERS];
    uint16_t refused; /* bit per server: has said that it cannot, or cannot be reached */
};

struct inflight {
    struct flight *flights; /* owned */
    struct waiter *waiters; /* owned */
    struct asker askers[ASKERS_MAX];
    struct flight *free_flights, **buckets; /* buckets owned */
    struct waiter *free_waiters;
    struct asker *free_askers;
    struct flight *oldest, *newest;
    uint32_t n, used_flights, used_waiters, used_askers, n_buckets, in_use;
};

int inflight_init(struct inflight *, uint32_t n);
void inflight_fini(struct inflight *);

struct flight *inflight_find(const struct inflight *, const struct view *,
                             const struct cache_key *);
/* A flight with the question, nobody waiting; NULL when all are in use. */
struct flight *inflight_add(struct inflight *, const struct view *, const struct query *);
/* No question finds it any more; it stays until it is given back. */
void inflight_hide(struct inflight *, struct flight *);
void inflight_give_back(struct inflight *, struct flight *);

/* The flight's waiter that sent the same packet before, or NULL. */
struct waiter *inflight_waiter_like(const struct flight *, const struct query *);
struct waiter *inflight_wait(struct inflight *, struct flight *); /* NULL: too many wait */
struct asker *inflight_ask(struct inflight *, struct flight *);
void inflight_free_waiter(struct inflight *, struct waiter *);
void inflight_free_asker(struct inflight *, struct asker *);
/* The earliest deadline of those that wait; 0 = none. */
uint64_t inflight_deadline(const struct flight *);

#endif
