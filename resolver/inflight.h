/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.h -- the questions that are being asked, and who waits for them.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view).
 * Two clients with the same question share it: a forger who asks the same question
 * many times gets one upstream question, so a birthday attack on the ID fails. A
 * packet that passes through has a flight of its own. Flights and waiters come from
 * two pools.
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
 * places are for the forwarder's own questions, such as those for the ends of chains
 * of CNAMEs.
 */
#ifndef RESOLVER_INFLIGHT_H
#define RESOLVER_INFLIGHT_H

#include "resolver/exchange.h"
#include "resolver/query.h"

enum {
    WAITERS_MAX = 256,               /* of one flight over UDP: what one reply may cost at once */
    CHAIN_MAX = EXCHANGE_PACKET_MAX, /* octets of a chain of CNAMEs, or a packet, put aside */
};

struct flight {
    LIST_ENTRY(flight) bucket;
    TAILQ_ENTRY(flight) sibling; /* flights of one address */
    struct share *share;         /* of the address that asked first */
    bool favoured;
    struct forwarder *forwarder;
    const struct view *view;   /* pinned */
    const struct route *route; /* of the view; after a fall-back that of `.` */
    struct name qname;         /* folded */
    uint16_t qtype, qclass;
    uint8_t bits; /* CACHE_DO, CACHE_CD */
    bool kms_name;
    bool passthrough; /* the client's packet goes as it is; it is in inflight_chain() */
    uint32_t scope;
    uint64_t hash;

    TAILQ_HEAD(waiter_list, waiter) clients, own; /* that wait, in the order of arrival */
    unsigned n_clients;
    uint64_t deadline_ms; /* earliest of the waiters; 0 = none */

    struct flight *following; /* asks for the end of our chain, which is in inflight_chain() */
    struct waiter *at_end;    /* of following: waits for this flight */
    uint16_t chain_len;
    uint8_t depth; /* flights that follow one another down to this one */

    LIST_HEAD(exchange_list, exchange) tries; /* those that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms; /* when the next try (or the end) is due */
    uint64_t end_ms;            /* no longer than that */
    bool last_try;              /* next_ms is the end */
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
    TAILQ_HEAD(flight_list, flight) flights[2]; /* of an address, oldest first; 1: favoured */
};

struct inflight {
    struct pool flights, waiters, shares;
    uint8_t *chains;                                /* owned; CHAIN_MAX for each flight */
    LIST_HEAD(flight_bucket, flight) * buckets;     /* owned */
    LIST_HEAD(share_bucket, share) * share_buckets; /* owned */
    struct hash_key share_key;
    struct share_list *level; /* owned; [n]: prefixes with n flights, the last changed at the end */
    uint32_t n_buckets, top;  /* top: no prefix has more flights */
    uint32_t n_joined, n_own;
};

/* 0 or -ENOMEM; inflight_fini() is due in either case. */
int inflight_init(struct inflight *, uint32_t n, const struct hash_key *);
void inflight_fini(struct inflight *);

struct flight *inflight_find(const struct inflight *, const struct view *,
                             const struct cache_key *);
/* A flight with the question, nobody waiting. Not when all are in use. */
struct flight *inflight_add(struct inflight *, const struct view *, const struct query *);
/* No question finds it any more; it stays until it is given back. */
void inflight_hide(struct inflight *, struct flight *);
void inflight_give_back(struct inflight *, struct flight *);

/* Has the client of the flight sent the same packet before? */
bool inflight_is_repeat(const struct flight *, const struct query *);
/* The query waits for the flight; on_reply: it is a question of our own, NULL: a
 * client's. NULL: too many wait. */
struct waiter *inflight_wait(struct inflight *, struct flight *, const struct query *,
                             void (*on_reply)(void *context, const struct real *), void *context);
/* The waiter waits no more. */
void inflight_drop(struct inflight *, struct flight *, struct waiter *);
/* The flight is favoured from now on. */
void inflight_favour(struct flight *);
/* The flight that gives way to the next; NULL: there is none. */
struct flight *inflight_victim(const struct inflight *);
/* CHAIN_MAX octets of the flight. */
uint8_t *inflight_chain(const struct inflight *, const struct flight *);
/* The earliest deadline of those that wait; 0 = none. */
uint64_t inflight_deadline(const struct flight *);

#endif
