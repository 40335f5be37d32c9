/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.h -- the questions that are being asked, and who waits for them.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view).
 * Two clients with the same question share it: a forger who asks the same question
 * many times gets one upstream question, so a birthday attack on the ID fails. A
 * packet that passes through has a flight of its own. Flights, waiters and tries come
 * from pools.
 *
 * A flight belongs to the address that asked first (IPv4 /32, IPv6 /64: one machine),
 * which belongs to a prefix (/24, /56: one floor or customer). When all places are
 * taken, the prefix with the most flights gives way; in it, the address with the
 * most; of that, the oldest flight that is not favoured, else the oldest. Discovery
 * questions, the forwarder's own questions, and names for which somebody else waits
 * are favoured.
 *
 * The first client of a flight always has a place. Clients that join share n more
 * places, of which one prefix may take half, with TCP three quarters. n further
 * places are for the forwarder's own questions and for flights that wait for the end of
 * their chain of CNAMEs.
 */
#ifndef RESOLVER_INFLIGHT_H
#define RESOLVER_INFLIGHT_H

#include "base/arena.h"
#include "resolver/exchange.h"
#include "resolver/query.h"

enum {
    WAITERS_MAX = 256,               /* of one flight over UDP: what one reply may cost at once */
    CHAIN_MAX = EXCHANGE_PACKET_MAX, /* octets of a chain of CNAMEs, or a packet, put aside */
};

/* n places of one size, taken from the system once: what a worker needs between a packet and
 * its answer comes from here. Pages are touched when they are first needed; the place that
 * was given back last is the next taken. */
struct pool {
    uint8_t *places;
    size_t size;
    uint32_t n, touched, in_use;
    void *free_list; /* each begins with a pointer to the next */
};

/* Its octets are as they were; NULL: all are in use. */
void *pool_take(struct pool *);
void pool_give(struct pool *, void *place);

TAILQ_HEAD(flight_list, flight);

struct flight {
    LIST_ENTRY(flight) bucket;
    TAILQ_ENTRY(flight) sibling; /* flights of one address */
    struct share *share;         /* of the address that asked first */
    bool favoured;
    struct forwarder *forwarder;
    const struct view *view;   /* pinned */
    const struct route *route; /* of the view; after a fall-back that of `.` */
    struct name qname;         /* folded */
    struct cache_key key;      /* its name is qname */
    bool kms_name;
    bool passthrough, tcp; /* the client's packet goes as it is (over TCP); it is in chain[] */

    TAILQ_HEAD(waiter_list, waiter) waiters; /* in the order of arrival */
    unsigned n_clients;
    uint64_t deadline_ms; /* earliest of the waiters */

    struct flight *following;     /* asks for the end of our chain, which is in chain[] */
    struct flight_list followers; /* whose chains end here; they have none themselves */
    TAILQ_ENTRY(flight) follower;
    uint8_t depth; /* flights that followed one another when this one began */

    LIST_HEAD(exchange_list, exchange) tries; /* those that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms; /* when the next try (or the end) is due */
    uint64_t end_ms;            /* no longer than that */
    bool starved;     /* the last try was not made for a want of ours: says nothing of the name */
    uint16_t failure; /* rcode that a server said; or RCODE_TIMEOUT, RCODE_UNUSABLE */
    struct addr failed_by;
    uint8_t n_tries, n_hurried; /* of all servers; hurried: had a part of their time */
    struct flight_server {
        uint8_t n_tries, n_hurried;
        bool refused;    /* has said that it cannot, or cannot be reached */
        bool silent;     /* did not reply in time */
        bool over_tcp;   /* was asked over TCP */
        bool minds_edns; /* said SERVFAIL, perhaps for that */
        bool plain;      /* was asked once more without EDNS */
    } servers[ROUTE_MAX_SERVERS];

    uint16_t chain_len;
    uint8_t chain[CHAIN_MAX]; /* the last member: is not set to zero */
};

/* Who has flights: an address or a prefix. A prefix lies in a list of those with as many
 * flights as it, so that the largest is at hand. */
TAILQ_HEAD(share_list, share);
struct share {
    LIST_ENTRY(share) bucket;
    TAILQ_ENTRY(share) sibling;  /* addresses of one prefix; prefixes of one level */
    struct share *prefix;        /* NULL: it is one */
    struct share_list addresses; /* of a prefix */
    uint8_t ip[16];              /* host bits are zero */
    uint32_t n_flights;
    uint32_t n_joined; /* of a prefix: its waiters at flights that others wait for, too */
    struct flight_list flights[2]; /* of an address, oldest first; 1: favoured */
};

struct inflight {
    struct arena *arena; /* owned; of all that follows */
    struct pool flights, waiters, shares, tries;
    LIST_HEAD(flight_bucket, flight) * buckets;
    LIST_HEAD(share_bucket, share) * share_buckets;
    struct hash_key share_key;
    struct share_list *level; /* [n]: prefixes with n flights, the last changed at the end */
    uint32_t n_buckets, top;  /* top: no prefix has more flights */
    uint32_t n_joined, n_own;
};

/* False when out of memory. arena_free(arena) ends it. */
bool inflight_init(struct inflight *, uint32_t n, const struct hash_key *);

struct flight *inflight_find(const struct inflight *, const struct view *,
                             const struct cache_key *);
/* A flight with the question, nobody waiting. Not when all are in use. */
struct flight *inflight_add(struct inflight *, const struct view *, const struct query *);
/* No question finds it any more; it stays until its place is given back. */
void inflight_hide(struct inflight *, struct flight *);

/* The query waits for the flight; on_reply: it is a question of our own, NULL: a
 * client's. NULL: too many wait. */
struct waiter *inflight_wait(struct inflight *, struct flight *, const struct query *,
                             void (*on_reply)(void *context, const struct real *), void *context);
/* The waiter waits no more. */
void inflight_drop(struct inflight *, struct flight *, struct waiter *);
/* The flight waits for the end of its chain. False: too many wait. */
bool inflight_follow(struct inflight *, struct flight *, struct flight *end);
void inflight_unfollow(struct inflight *, struct flight *);
/* The flight is favoured from now on. */
void inflight_favour(struct flight *);
/* The flight that gives way to the next; NULL: there is none. */
struct flight *inflight_victim(const struct inflight *);

#endif
