/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.h -- the questions that are being asked, and who waits for them.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view).
 * Two clients with the same question share it, so that a forger who makes us
 * ask often gains nothing (the birthday attack on the ID). Flights and waiters
 * come from two pools that are taken once; share.h says whose the flights are.
 *
 * The first waiter of a flight always has a place. Those that join have n places
 * more, of which one prefix may take half, with TCP three quarters.
 */
#ifndef RESOLVER_INFLIGHT_H
#define RESOLVER_INFLIGHT_H

#include "resolver/exchange.h"
#include "resolver/share.h"

enum {
    WAITERS_MAX = 256, /* of one flight over UDP: what one reply may cost at once */
    ASKERS_MAX = 64,   /* questions of our own */
    CHAIN_MAX = 4096,  /* octets of a chain of CNAMEs that is put aside */
};

struct asker { /* of forwarder_resolve() */
    struct asker *next;
    forwarder_got *done;
    void *context;
};

struct flight {
    struct flight *bucket_next;   /* also of the free list */
    struct flight *older, *newer; /* of its share */
    struct share *share;
    bool favoured;
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

    struct flight
        *following; /* asks for the end of our chain of CNAMEs, which is in inflight_chain() */
    struct flight *followers, *next_follower;
    uint16_t chain_len;
    uint8_t depth; /* flights that follow one another down to this one */

    struct exchange *open;    /* tries that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms; /* when the next try (or the end) is due */
    uint64_t end_ms;            /* no longer than that */
    bool last_try;              /* next_ms is the end */
    bool starved;     /* the last try was not made for a want of ours: says nothing of the name */
    uint16_t failure; /* rcode that a server said; or RCODE_TIMEOUT, RCODE_UNUSABLE */
    struct addr failed_by;
    uint8_t n_tries, tries[ROUTE_MAX_SERVERS];
    uint8_t n_hurried, hurried[ROUTE_MAX_SERVERS]; /* of these: had only a part of their time */
    /* Bit per server: has said that it cannot, or cannot be reached; did not reply
     * in time; was asked over TCP; said SERVFAIL and perhaps minds EDNS; was asked
     * once more without. */
    uint16_t refused, silent, tcp, minds_edns, plain;
};

struct inflight {
    struct flight *flights; /* owned */
    struct waiter *waiters; /* owned */
    uint8_t *chains;        /* owned; CHAIN_MAX for each flight */
    struct asker askers[ASKERS_MAX];
    struct flight *free_flights, **buckets; /* buckets owned */
    struct waiter *free_waiters;
    struct asker *free_askers;
    struct shares shares;
    uint32_t n, used_flights, used_waiters, used_askers, n_buckets, in_use, n_joined;
};

int inflight_init(struct inflight *, uint32_t n, const struct hash_key *);
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
/* NULL: too many wait. */
struct waiter *inflight_wait(struct inflight *, struct flight *, const struct client *);
struct asker *inflight_ask(struct inflight *, struct flight *);
void inflight_free_waiter(struct inflight *, struct waiter *);
void inflight_free_asker(struct inflight *, struct asker *);
/* Where the flight's chain of CNAMEs is put aside: CHAIN_MAX octets. */
uint8_t *inflight_chain(const struct inflight *, const struct flight *);
/* The earliest deadline of those that wait; 0 = none. */
uint64_t inflight_deadline(const struct flight *);

#endif
