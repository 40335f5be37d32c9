/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.c -- what is done for one question.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view). Clients share it,
 * so a birthday attack on the ID fails. It ends before the 5 s after which a stub resolver gives
 * up; at kms.upstream-deadline a KMS client is answered with what is known, and the flight goes
 * on for the other waiters and the cache. Before that deadline there are two hurried tries, each
 * waited for one third of it. They do not count among the tries that any question has, the first
 * of which comes in the last third, and a server that is late then does not count as silent.
 *
 * A try whose time is over keeps its socket: a late reply is as good as one in time. When
 * sockets are short, the oldest try that no flight waits for is closed for a new one. There are
 * more than twice as many places for tries as for flights, so tries at dead servers cannot keep
 * others from being made. Order of servers: fewest tries in this flight, those that are up
 * first, then as written. One that says SERVFAIL or REFUSED is not asked again.
 *
 * When a reply is a chain of CNAMEs without the records at its end, the flight asks for the end
 * as if it were a client, and is answered with its chain and what came for the end.
 *
 * A packet with TSIG or for TKEY passes through to one server and back as it is, but for its ID,
 * in a flight that is neither joined nor kept and has one try: the client tries again.
 *
 * A server that is down is probed with `. NS` every PROBE_MS, so that it counts as up within
 * 5 s of its recovery, whatever its clients ask; not one that no question needed for a minute.
 *
 * A flight belongs to the address that asked first (IPv4 /32, IPv6 /64: one machine), which
 * belongs to a prefix (/24, /56: one floor or customer). When all places are taken, the prefix
 * with the most flights gives way; in it, the address with the most; of that, the oldest flight
 * that is not favoured, else the oldest. Discovery questions, questions of our own, and names
 * for which somebody else waits are favoured.
 *
 * The first client of a flight always has a place. Clients that join share n more, of which one
 * prefix may take half, with TCP three quarters. n further places are for questions of our own
 * and for flights that wait for another. When too many wait for one name, one more packet gets no
 * answer: its repeat finds it in the cache, whereas SERVFAIL would end the client's search.
 */
#include "resolver/forward.h"

#include <assert.h>
#include <limits.h>

enum {
    TRIES_EACH = 3,
    TRIES_ALL = 6,
    HURRIED_TRIES = 2,
    PATIENCE_MS = 3800,
    RETRY_MS = 250, /* a socket error says little: ask again, but not at once */
    PASSTHROUGH_MS = 5000,
    PROBE_MS = 3000,
    PROBE_WANTED_MS = 60000,
    WAITERS_MAX = 256,               /* of one flight over UDP: what one reply may cost at once */
    CHAIN_MAX = EXCHANGE_PACKET_MAX, /* octets of a chain of CNAMEs, or a packet, put aside */
};

static const struct name root = {.len = 1};

TAILQ_HEAD(flight_list, flight);

struct flight {
    LIST_ENTRY(flight) bucket;
    TAILQ_ENTRY(flight) sibling; /* flights of one address */
    struct share *share;         /* of the address that asked first */
    bool favoured;
    struct forwarder *forwarder;
    struct view *view;         /* one of its users */
    const struct route *route; /* of the view; after a fall-back that of `.` */
    struct name qname;         /* folded */
    struct cache_key key;      /* its name is qname */
    bool passthrough, tcp;     /* the client's packet goes as it is (over TCP); it is in chain[] */

    TAILQ_HEAD(waiter_list, waiter) waiters; /* in the order of arrival */
    unsigned n_clients;
    uint64_t deadline_ms; /* earliest of the waiters */

    struct flight *end;   /* asks for the end of our chain, which is in chain[]; NULL: none */
    struct waiter *waits; /* there */
    uint8_t depth;        /* flights that waited for one another when this one began */

    LIST_HEAD(exchange_list, exchange) tries; /* those that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms, end_ms;
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

/* Who has flights: an address or a prefix. */
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

/* n places of one size. Their pages are touched when they are first needed. */
struct pool {
    uint8_t *places;
    size_t size;
    uint32_t n, touched, in_use;
    void *free_list; /* each begins with a pointer to the next */
};

struct forwarder {
    struct io *io; /* borrowed */
    struct forwarder_hooks hooks;
    struct worker_stats *stats;
    struct exchanges exchanges;
    struct arena *arena; /* owned; of the tables and pools */
    struct pool flights, waiters, shares, tries;
    LIST_HEAD(flight_bucket, flight) * buckets; /* under the hash of the cache key */
    LIST_HEAD(share_bucket, share) * share_buckets;
    struct hash_key share_key;
    struct share_list *level; /* [n]: prefixes with n flights, the last changed at the end */
    uint32_t n_buckets, top;  /* top: no prefix has more flights */
    uint32_t n_joined, n_own; /* places that are taken by who waits */
    uint32_t limit;           /* flights at most */
    TAILQ_HEAD(exchange_queue, exchange) all_tries; /* of all flights, oldest first */
    struct query q;                                 /* a waiter, made a query again */
    struct query end; /* the question for the end of a chain of CNAMEs */
    uint8_t out[DNS_MAX_MESSAGE];
    unsigned nested; /* chains that end, one because of the other; each has an image */
    uint8_t joined[REPLY_MAX_CHAIN + 1][DNS_MAX_MESSAGE];
};

/* Its octets are as they were; NULL: all are in use. */
static void *pool_take(struct pool *p)
{
    void *place = p->free_list;

    if (place != NULL)
        memcpy(&p->free_list, place, sizeof p->free_list);
    else if (p->touched < p->n)
        place = p->places + p->touched++ * p->size;
    p->in_use += place != NULL;
    return place;
}

static bool pool_make(struct pool *p, struct arena *a, uint32_t n, size_t size)
{
    *p = (struct pool){.places = arena_alloc(a, n * size), .size = size, .n = n};
    return p->places != NULL;
}

static void pool_give(struct pool *p, void *place)
{
    memcpy(place, &p->free_list, sizeof p->free_list);
    p->free_list = place;
    p->in_use--;
}

/* The address's share, in that of its prefix; it is given back by share_give_back() when it
 * has nothing any more. There are at most n flights and n waiters, and one more. */
static struct share *share_get(struct forwarder *f, const struct addr *client)
{
    static const unsigned lengths[2][2] = {{56, 96 + 24}, {64, 128}}; /* prefix, address: v6, v4 */
    struct share *share = NULL, *prefix;

    for (int level = 0; level < 2; level++) {
        uint8_t key[17] = {[16] = (uint8_t)level};
        struct share_bucket *bucket = f->share_buckets;

        prefix = share;
        memcpy(key, client->ip, 16);
        prefix_mask(key, lengths[level][addr_is_v4(client)]);
        bucket += hash_bytes(&f->share_key, key, sizeof key) & (f->n_buckets - 1);
        LIST_FOREACH(share, bucket, bucket)
            if (share->prefix == prefix && memcmp(share->ip, key, 16) == 0)
                break;
        if (share != NULL)
            continue;
        share = pool_take(&f->shares);
        assert(share != NULL);
        *share = (struct share){.prefix = prefix};
        memcpy(share->ip, key, 16);
        TAILQ_INIT(&share->addresses);
        TAILQ_INIT(&share->flights[0]);
        TAILQ_INIT(&share->flights[1]);
        LIST_INSERT_HEAD(bucket, share, bucket);
        TAILQ_INSERT_TAIL(prefix != NULL ? &prefix->addresses : &f->level[0], share, sibling);
    }
    return share;
}

static void share_give_back(struct forwarder *f, struct share *share)
{
    struct share *prefix;

    for (; share != NULL; share = prefix) {
        prefix = share->prefix;
        if (share->n_flights > 0 || share->n_joined > 0 || !TAILQ_EMPTY(&share->addresses))
            return;
        LIST_REMOVE(share, bucket);
        TAILQ_REMOVE(prefix != NULL ? &prefix->addresses : &f->level[0], share, sibling);
        pool_give(&f->shares, share);
    }
}

static void share_count(struct forwarder *f, struct share *address, int change)
{
    struct share *prefix = address->prefix;

    address->n_flights += (uint32_t)change;
    TAILQ_REMOVE(&f->level[prefix->n_flights], prefix, sibling);
    prefix->n_flights += (uint32_t)change;
    TAILQ_INSERT_TAIL(&f->level[prefix->n_flights], prefix, sibling);
    if (prefix->n_flights > f->top)
        f->top = prefix->n_flights;
    while (f->top > 0 && TAILQ_EMPTY(&f->level[f->top]))
        f->top--;
}

static void favour(struct flight *fl)
{
    if (fl->favoured)
        return;
    TAILQ_REMOVE(&fl->share->flights[0], fl, sibling);
    fl->favoured = true;
    TAILQ_INSERT_TAIL(&fl->share->flights[1], fl, sibling);
}

/* The flight that gives way to the next; NULL: there is none. */
static struct flight *victim_of(const struct forwarder *f)
{
    const struct share *most = NULL, *a;

    if (f->top == 0)
        return NULL;
    TAILQ_FOREACH(a, &TAILQ_FIRST(&f->level[f->top])->addresses, sibling)
        if (most == NULL || a->n_flights > most->n_flights)
            most = a;
    return TAILQ_FIRST(&most->flights[TAILQ_EMPTY(&most->flights[0])]);
}

static struct flight_bucket *flight_bucket_of(const struct forwarder *f, uint64_t hash)
{
    return &f->buckets[(hash ^ hash >> 32) & (f->n_buckets - 1)];
}

static struct flight *find_flight(const struct forwarder *f, const struct view *v,
                                  const struct cache_key *key)
{
    struct flight *fl;

    LIST_FOREACH(fl, flight_bucket_of(f, key->hash), bucket)
        if (fl->key.hash == key->hash && fl->view == v && fl->key.type == key->type &&
            fl->key.class == key->class && fl->key.bits == key->bits &&
            fl->key.scope == key->scope && !fl->passthrough && name_equal(&fl->qname, key->name))
            return fl;
    return NULL;
}

/* The current try, or the rest, is waited for until then; a deadline comes first. */
static void wait_until(struct flight *fl, uint64_t at_ms)
{
    struct io *io = fl->forwarder->io;

    fl->next_ms = at_ms < fl->end_ms ? at_ms : fl->end_ms;
    at_ms = fl->deadline_ms < fl->next_ms ? fl->deadline_ms : fl->next_ms;
    if (fl->timer.at_ms != at_ms)
        io->timer_set(io, &fl->timer, at_ms);
}

static void drop_try(struct exchange *e)
{
    struct flight *fl = e->flight;
    struct forwarder *f = fl->forwarder;

    LIST_REMOVE(e, entry);
    TAILQ_REMOVE(&f->all_tries, e, age);
    if (fl->current == e)
        fl->current = NULL;
    exchange_close(e);
    pool_give(&f->tries, e);
}

static void close_tries(struct flight *fl)
{
    while (!LIST_EMPTY(&fl->tries))
        drop_try(LIST_FIRST(&fl->tries));
}

static void drop_waiter(struct flight *fl, struct waiter *w)
{
    struct forwarder *f = fl->forwarder;

    TAILQ_REMOVE(&fl->waiters, w, entry);
    *(w->on_reply != NULL ? &f->n_own : &fl->n_clients) -= 1;
    if (w->joined != NULL) {
        w->joined->n_joined--;
        f->n_joined--;
        share_give_back(f, w->joined);
    }
    pool_give(&f->waiters, w);
}

/* Of what is pending, those whose deadline has come, and who are content with it. */
static void answer_waiters(struct flight *fl, const struct real *came, struct now now)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->q;
    struct waiter *w, *next;
    enum answer answer;

    fl->deadline_ms = WAITER_NEVER;
    for (w = TAILQ_FIRST(&fl->waiters); w != NULL; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (came->pending && w->deadline_ms > now.mono_ms) {
            if (w->deadline_ms < fl->deadline_ms)
                fl->deadline_ms = w->deadline_ms;
            continue;
        }
        w->deadline_ms = WAITER_NEVER;
        if (w->on_reply != NULL) {
            w->on_reply(w->context, came);
        } else {
            q->out = f->out;
            q->out_size = sizeof f->out;
            q->passthrough = fl->passthrough;
            waiter_restore(fl->view, w, q);
            if ((answer = answer_query(fl->view, q, came, now)) == ANSWER_WAIT)
                continue;
            f->hooks.deliver(f->hooks.context, q, answer);
        }
        drop_waiter(fl, w);
    }
    view_policy_end(fl->view);
}

/* The flight is over: all that wait are answered. It cannot be found any more, so
 * that a question asked from a callback begins a new one. */
static void end_flight(struct flight *fl, const struct real *came)
{
    struct forwarder *f = fl->forwarder;
    struct now now = io_now(f->io);

    if (fl->end != NULL)
        drop_waiter(fl->end, fl->waits);
    LIST_REMOVE(fl, bucket);
    TAILQ_REMOVE(&fl->share->flights[fl->favoured], fl, sibling);
    share_count(f, fl->share, -1);
    share_give_back(f, fl->share);
    close_tries(fl);
    f->io->timer_clear(f->io, &fl->timer);
    if (!came->ours && !fl->passthrough)
        real_keep(fl->view, &fl->key, came, now);
    answer_waiters(fl, came, now);
    f->hooks.unpin(fl->view);
    pool_give(&f->flights, fl);
}

/* Everybody gets a failure. ours: it says nothing of the name. */
static void give_up(struct flight *fl, bool ours)
{
    struct io *io = fl->forwarder->io;
    uint64_t ms = io_now(io).mono_ms - fl->begun_ms;
    struct real none = real_of_failure(fl->failure, &fl->failed_by, (uint32_t)ms);

    none.ours = ours;
    end_flight(fl, &none);
}

/* The flight's chain of CNAMEs and what came for its end are read as one reply, so they have the
 * limits of any (number of links, no loop). Where nobody answers for the end, the chain alone is
 * passed on; where somebody should and failed, so has the flight. */
static void end_chain(void *context, const struct real *end)
{
    struct flight *fl = context;
    struct forwarder *f = fl->forwarder;
    uint8_t *both = fl->view->scratch->second, *image;
    struct real came = *end;
    struct reply_facts facts;
    struct message m;
    size_t len;

    fl->end = NULL;
    if (f->nested > REPLY_MAX_CHAIN) { /* so many links are too many; soon, not in depth */
        fl->failure = RCODE_UNUSABLE;
        fl->end_ms = io_now(f->io).mono_ms;
        wait_until(fl, fl->end_ms);
        return;
    }
    image = f->joined[f->nested++];
    if (end->image != NULL || end->rcode == RCODE_REFUSED) {
        len = reply_join(fl->chain, fl->chain_len, end->image, end->len, both, DNS_MAX_MESSAGE);
        came = real_of_failure(RCODE_UNUSABLE, &end->server, end->ms);
        if (len > 0 && message_read_head(&m, both, len) == 0 &&
            reply_read(&m, both, len, (fl->key.bits & CACHE_DO) != 0, image, DNS_MAX_MESSAGE, &len,
                       &facts) == 0) {
            if (facts.kind == REPLY_CNAME && end->image != NULL && !end->unfinished)
                facts.kind = REPLY_NODATA; /* the end has said that it has no such records */
            came = real_of_reply(fl->view, &fl->key, image, len, &facts, &end->server, end->ms);
        }
    }
    end_flight(fl, &came);
    f->nested--;
}

static void on_packet(struct io_peer *, const uint8_t *, ssize_t);

/* The question is asked; when sockets are short, in place of the oldest try that no flight
 * waits for. 0 and *out, or -errno. */
static int send_try(struct forwarder *f, const struct exchange *question, struct exchange **out)
{
    struct exchange *e, *idle;
    int rc = -ENOBUFS;

    for (int i = 0; i < 2 && rc == -ENOBUFS; i++) {
        idle = i > 0 ? TAILQ_FIRST(&f->all_tries) : NULL;
        while (idle != NULL && idle->flight->current == idle)
            idle = TAILQ_NEXT(idle, age);
        if (idle != NULL)
            drop_try(idle);
        else if (i > 0)
            break;
        if ((e = pool_take(&f->tries)) == NULL)
            continue;
        *e = *question;
        e->home = &f->exchanges;
        e->peer.receive = on_packet;
        if ((rc = exchange_open(e)) == 0)
            *out = e;
        else
            pool_give(&f->tries, e);
    }
    return rc;
}

static void close_probe(struct upstream *s)
{
    exchange_close(s->probe);
    pool_give(&s->forwarder->tries, s->probe);
    s->probe = NULL;
}

static void on_probe_timer(struct io_timer *t)
{
    struct upstream *s = container_of(t, struct upstream, probe_timer);
    struct forwarder *f = s->forwarder;
    uint64_t now_ms = io_now(f->io).mono_ms;
    const struct exchange question = {.server = s,
                                      .q = {.qname = &root, .qtype = TYPE_NS, .qclass = CLASS_IN}};

    if (s->probe != NULL) {
        close_probe(s);
        exchange_silent(s, false);
    }
    if (s->report.state != UPSTREAM_DOWN || now_ms - s->wanted_ms > PROBE_WANTED_MS)
        return;
    (void)send_try(f, &question, &s->probe);
    f->io->timer_set(f->io, t, now_ms + PROBE_MS);
}

static bool may_try(const struct flight *fl, int i)
{
    const struct flight_server *t = &fl->servers[i];

    return t->n_tries - t->n_hurried < TRIES_EACH && fl->n_tries - fl->n_hurried < TRIES_ALL;
}

/* The server to try next, one that was not tried if there is one; or -1. */
static int choose_server(struct flight *fl, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    unsigned best_score = UINT_MAX;
    int best = -1;

    for (int i = 0; i < fl->route->n_servers; i++) {
        struct upstream *s = exchange_server(&f->exchanges, &fl->route->servers[i], now_ms);
        bool is_down = s != NULL && s->report.state == UPSTREAM_DOWN;
        unsigned score = fl->servers[i].n_tries * 2u + is_down;

        if (is_down && s->probe_timer.at_ms == 0) {
            s->forwarder = f;
            s->probe_timer.fire = on_probe_timer;
            f->io->timer_set(f->io, &s->probe_timer, now_ms + PROBE_MS);
        }
        if (s != NULL && !fl->servers[i].refused && may_try(fl, i) && score < best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* Until when the current try is waited for: at_ms, or a third of the KMS deadline. Only a try
 * that counts is hurried; and only once, since a third is more than it then has left. */
static uint64_t hurry(struct flight *fl, uint64_t now_ms, uint64_t at_ms)
{
    uint64_t third = fl->view->settings->kms.upstream_deadline_ms / (HURRIED_TRIES + 1);
    const struct exchange *e = fl->current;

    if (fl->deadline_ms <= now_ms || fl->deadline_ms == WAITER_NEVER ||
        fl->n_hurried == HURRIED_TRIES || e == NULL || e->tcp || e->plain ||
        now_ms + third >= at_ms)
        return at_ms;
    fl->n_hurried++;
    fl->servers[e->server_index].n_hurried++;
    return now_ms + third;
}

/* One try at a server of the route; false: it could not be sent. Over TCP, or plain, without
 * EDNS, it is one beside its TRIES_EACH. */
static bool try_server(struct flight *fl, int i, bool tcp, bool plain, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    const struct route *r = fl->route;
    struct upstream *s = exchange_server(&f->exchanges, &r->servers[i], now_ms);
    struct exchange *e = NULL, question = {.flight = fl,
                                           .server_index = (uint8_t)i,
                                           .server = s,
                                           .q = {.qname = &fl->qname,
                                                 .qtype = fl->key.type,
                                                 .qclass = fl->key.class,
                                                 .cd = (fl->key.bits & CACHE_CD) != 0,
                                                 .do_bit = (fl->key.bits & CACHE_DO) != 0,
                                                 .ad = r->trust_ad,
                                                 .edns = r->edns},
                                           .tcp = tcp || fl->tcp,
                                           .plain = plain,
                                           .packet = fl->passthrough ? fl->chain : NULL,
                                           .packet_len = fl->chain_len,
                                           .asked_ms = fl->begun_ms};
    uint64_t at_ms = now_ms + r->timeout_ms;
    bool counts = !tcp && !plain;
    int rc = s != NULL ? send_try(f, &question, &e) : -ENOBUFS;

    fl->starved = rc == -ENOBUFS;
    if (counts && !fl->starved) {
        fl->servers[i].n_tries++;
        fl->n_tries++;
    }
    if (rc != 0)
        return false;
    LIST_INSERT_HEAD(&fl->tries, e, entry);
    TAILQ_INSERT_TAIL(&f->all_tries, e, age);
    fl->current = e;
    at_ms = fl->passthrough ? fl->end_ms : hurry(fl, now_ms, at_ms);
    if (!counts && at_ms > fl->end_ms) /* who said "ask me another way" has the time for that */
        fl->end_ms = at_ms;
    wait_until(fl, at_ms);
    return true;
}

/* The same server once more, another way, which each flight does once. */
static bool try_again(struct flight *fl, int i, bool tcp, bool plain, bool *done, uint64_t now_ms)
{
    bool again = !*done;

    *done = true;
    return again && try_server(fl, i, tcp, plain, now_ms);
}

/* The current try has had its time, or (fresh: only a server that was not tried) a server
 * has said no, or its socket failed. */
static void go_on(struct flight *fl, bool fresh, uint64_t now_ms)
{
    const struct exchange *newest;
    int next;

    while ((next = choose_server(fl, now_ms)) >= 0 && !(fresh && fl->servers[next].n_tries > 0)) {
        if (try_server(fl, next, false, false, now_ms))
            return;
        if (fl->starved) {
            wait_until(fl, now_ms + RETRY_MS);
            return;
        }
    }
    if (fl->current != NULL) /* it goes on, and has its time */
        return;
    for (int i = 0; i < fl->route->n_servers; i++)
        if (fl->servers[i].minds_edns &&
            try_again(fl, i, false, true, &fl->servers[i].plain, now_ms))
            return;
    if (next >= 0) {
        wait_until(fl, now_ms + RETRY_MS);
        return;
    }
    /* Nothing more may be tried: those that still listen get a full time, then it is
     * over. At once, if nobody listens: the timer ends it, never the caller. */
    newest = LIST_FIRST(&fl->tries);
    wait_until(fl, newest != NULL ? newest->begun_ms + fl->route->timeout_ms : now_ms);
    fl->end_ms = fl->next_ms;
}

/* With another route to fall back to, the servers have half of the time. */
static void begin_route(struct flight *fl, const struct route *r, uint64_t now_ms)
{
    uint64_t ms = fl->passthrough                      ? PASSTHROUGH_MS
                  : r->fall_back && r->zone.labels > 0 ? PATIENCE_MS / 2
                                                       : PATIENCE_MS;

    fl->route = r;
    fl->end_ms = fl->begun_ms + (ms > r->timeout_ms ? ms : r->timeout_ms);
    fl->n_tries = fl->n_hurried = 0;
    memset(fl->servers, 0, sizeof fl->servers);
    go_on(fl, false, now_ms);
}

static void on_flight_timer(struct io_timer *timer)
{
    struct flight *fl = container_of(timer, struct flight, timer);
    struct now now = io_now(fl->forwarder->io);
    const struct route *last = query_route(fl->view, &root, TYPE_NS);
    const struct exchange *e = fl->current;
    struct real none;

    if (fl->deadline_ms <= now.mono_ms) {
        none =
            real_of_failure(RCODE_TIMEOUT, &fl->failed_by, (uint32_t)(now.mono_ms - fl->begun_ms));
        none.pending = true;
        answer_waiters(fl, &none, now);
    }
    if (fl->next_ms > now.mono_ms) {
        wait_until(fl, fl->next_ms);
        return;
    }
    if (e != NULL && !e->unsure && e->begun_ms + fl->route->timeout_ms <= now.mono_ms) {
        struct flight_server *t = &fl->servers[e->server_index];

        /* Silence is counted once a flight: one bad name says little of the server. */
        COUNT(fl->forwarder->stats, upstream_timeouts);
        exchange_silent(e->server, t->silent);
        t->silent = true;
    }
    fl->current = NULL;
    if (now.mono_ms < fl->end_ms) {
        go_on(fl, false, now.mono_ms);
    } else if (fl->route->fall_back && last != NULL && fl->route != last && fl->chain_len == 0) {
        close_tries(fl);
        begin_route(fl, last, now.mono_ms);
    } else {
        give_up(fl, fl->starved);
    }
}

/* A flight for q, nobody waiting; others give way, but not `keep`. NULL: no place or route. */
static struct flight *new_flight(struct forwarder *f, struct view *v, const struct query *q,
                                 const struct flight *keep)
{
    struct flight *fl;

    if (q->route == NULL || q->route->n_servers == 0)
        return NULL;
    while (f->flights.in_use >= f->limit) {
        if ((fl = victim_of(f)) == NULL || fl == keep)
            return NULL;
        COUNT(f->stats, gave_way);
        give_up(fl, true);
    }
    fl = pool_take(&f->flights);
    assert(fl != NULL);
    memset(fl, 0, offsetof(struct flight, chain));
    fl->forwarder = f;
    fl->view = v;
    fl->route = q->route;
    fl->qname = *q->key.name;
    fl->key = q->key;
    fl->key.name = &fl->qname;
    fl->passthrough = q->passthrough;
    fl->failure = RCODE_TIMEOUT;
    fl->deadline_ms = WAITER_NEVER;
    fl->begun_ms = io_now(f->io).mono_ms;
    fl->timer.fire = on_flight_timer;
    TAILQ_INIT(&fl->waiters);
    LIST_INSERT_HEAD(flight_bucket_of(f, fl->key.hash), fl, bucket);
    fl->favoured = q->kms;
    fl->share = share_get(f, &q->client.addr);
    TAILQ_INSERT_TAIL(&fl->share->flights[fl->favoured], fl, sibling);
    share_count(f, fl->share, 1);
    v->users++;
    return fl;
}

/* The query waits for the flight. NULL: too many clients wait. */
static struct waiter *new_waiter(struct flight *fl, const struct query *q, real_came *on_reply,
                                 void *context)
{
    struct forwarder *f = fl->forwarder;
    uint32_t n = f->flights.n;
    struct share *joined = NULL;
    struct waiter *w;

    if (on_reply == NULL && fl->n_clients > 0) { /* a client joins a flight of others */
        struct share *share = share_get(f, &q->client.addr);
        bool tcp = q->client.transport == AUDIT_TCP, good;

        if (share != fl->share)
            favour(fl);
        /* Over TCP a client that gets no answer does not ask again: there it has more room. */
        joined = share->prefix;
        good = f->n_joined < n && joined->n_joined < n - n / (tcp ? 4 : 2) &&
               (tcp || fl->n_clients < WAITERS_MAX);
        f->n_joined += good;
        joined->n_joined += good;
        share_give_back(f, share);
        if (!good)
            return NULL;
    }
    w = pool_take(&f->waiters);
    waiter_save(w, q);
    w->joined = joined;
    w->on_reply = on_reply;
    w->context = context;
    TAILQ_INSERT_TAIL(&fl->waiters, w, entry);
    *(on_reply != NULL ? &f->n_own : &fl->n_clients) += 1;
    return w;
}

/* Has a client sent the same packet before, and got no answer? One is enough. But each discovery
 * question is accounted for, and a TCP connection counts the answers that are still due. */
static bool is_resent(const struct flight *fl, const struct query *q)
{
    const struct waiter *w;

    if (q->kms || q->client.transport != AUDIT_UDP)
        return false;
    TAILQ_FOREACH(w, &fl->waiters, entry)
        if (w->on_reply == NULL && memcmp(w->message, &q->message, sizeof q->message.id) == 0 &&
            w->client.transport == AUDIT_UDP && w->client.listener == q->client.listener &&
            addr_same(&w->client.addr, &q->client.addr))
            return true;
    return false;
}

bool forwarder_ask(struct forwarder *f, struct view *v, struct query *q, real_came *on_reply,
                   void *context)
{
    struct flight *fl = q->passthrough ? NULL : find_flight(f, v, &q->key);
    bool own = on_reply != NULL, joins = fl != NULL;
    struct now now = io_now(f->io);
    enum answer answer = ANSWER_DROP;
    struct waiter *w = NULL;
    struct real none;

    if (own && f->n_own == f->flights.n)
        return false;
    if (joins && !own && is_resent(fl, q)) {
        COUNT(f->stats, joined);
        return true;
    }
    if (!joins && (!q->passthrough || q->wire_len <= CHAIN_MAX))
        fl = new_flight(f, v, q, NULL);
    if (fl != NULL)
        w = new_waiter(fl, q, on_reply, context);
    if (w == NULL && own)
        return false;
    if (w == NULL) {
        if (fl == NULL || q->client.transport != AUDIT_UDP) {
            /* A discovery question is decided all the same: the policy may have an answer
             * for a real DNS that says nothing. */
            COUNT(f->stats, no_slot);
            none = real_of_failure(RCODE_TIMEOUT, NULL, 0);
            answer = answer_query(v, q, &none, now);
        } else {
            COUNT(f->stats, unanswered);
            if (q->kms)
                kms_event_note(v, q, OUTCOME_FAILED, REASON_NO_RULE, RCODE_TIMEOUT,
                               "not answered: too many wait for this name", now);
        }
        f->hooks.deliver(f->hooks.context, q, answer);
        return false;
    }
    if (own)
        favour(fl);
    else if (q->kms && v->settings->kms.mode != MODE_OFF)
        w->deadline_ms = now.mono_ms + v->settings->kms.upstream_deadline_ms;
    if (w->deadline_ms < fl->deadline_ms)
        fl->deadline_ms = w->deadline_ms;
    if (q->passthrough) {
        fl->tcp = q->client.transport == AUDIT_TCP;
        fl->chain_len = (uint16_t)q->wire_len;
        memcpy(fl->chain, q->wire, q->wire_len);
    }
    if (!joins) {
        begin_route(fl, fl->route, now.mono_ms);
    } else if (!own) {
        COUNT(f->stats, joined);
        wait_until(fl, hurry(fl, now.mono_ms, fl->next_ms));
    }
    return true;
}

/* The reply is a chain of CNAMEs that does not tell what is at its end. */
static void on_chain(struct flight *fl, struct exchange *e, const struct exchange_reply *r)
{
    struct forwarder *f = fl->forwarder;
    struct now now = io_now(f->io);
    struct query *q = &f->end;
    struct real came = real_of_failure(RCODE_REFUSED, &e->server->report.server, r->ms);
    struct flight *end = NULL, *x = NULL;
    bool is_new = false;

    q->client = (struct client){.transport = AUDIT_UDP};
    memcpy(q->client.addr.ip, fl->share->ip, sizeof fl->share->ip);
    q->message =
        (struct message){.flags = (fl->key.bits & CACHE_CD) != 0 ? DNS_RD | DNS_CD : DNS_RD,
                         .qname = r->facts.end,
                         .qtype = fl->key.type,
                         .qclass = fl->key.class,
                         .edns.do_bit = (fl->key.bits & CACHE_DO) != 0};
    q->question = q->message.qname.data; /* nobody reads it */
    query_prepare(fl->view, q);
    close_tries(fl);
    fl->chain_len = (uint16_t)reply_join(r->image, r->len, NULL, 0, fl->chain, CHAIN_MAX);
    if (fl->chain_len > 0 && q->route != NULL &&
        special_answer(q, 0, NULL) < 0 && /* else nobody may be asked */
        !real_known(fl->view, &q->key, now, f->exchanges.image, sizeof f->exchanges.image, &came)) {
        came = real_of_failure(RCODE_UNUSABLE, &e->server->report.server, r->ms);
        end = x = find_flight(f, fl->view, &q->key);
        while (x != NULL && x != fl) /* chains that would wait for each other */
            x = x->end;
        is_new = end == NULL && fl->depth < REPLY_MAX_CHAIN && f->n_own < f->flights.n;
        if (is_new)
            end = new_flight(f, fl->view, q, fl);
    }
    if (end == NULL || x != NULL || f->n_own == f->flights.n) {
        end_chain(fl, &came);
        return;
    }
    fl->waits = new_waiter(end, q, end_chain, fl);
    fl->end = end;
    if (fl->favoured)
        favour(end);
    if (is_new) {
        end->depth = (uint8_t)(fl->depth + 1);
        begin_route(end, end->route, now.mono_ms);
    }
    wait_until(fl, fl->end_ms);
}

static void on_result(struct exchange *e, enum exchange_kind kind, const struct exchange_reply *r)
{
    struct flight *fl = e->flight;
    struct forwarder *f = fl->forwarder;
    uint64_t now_ms = io_now(f->io).mono_ms;
    int i = e->server_index;
    struct flight_server *t = &fl->servers[i];
    struct real came = {
        .image = r->image, .len = r->len, .server = e->server->report.server, .ms = r->ms};
    bool tcp = kind == EXCHANGE_TRUNCATED || e->tcp;
    bool plain = kind == EXCHANGE_NO_EDNS || !e->q.edns;
    bool *done = kind == EXCHANGE_TRUNCATED ? &t->over_tcp : &t->plain;

    if (r->failure != RCODE_NOERROR) {
        fl->failure = r->failure;
        fl->failed_by = came.server;
    }
    switch (kind) {
    case EXCHANGE_IGNORED:
        return;
    case EXCHANGE_UNSURE: /* one more try beside this one, which listens on */
        if (r->elsewhere && fl->route->n_servers > 1)
            go_on(fl, true, now_ms);
        else if (r->no_edns)
            (void)try_again(fl, i, false, true, &t->plain, now_ms);
        else if (may_try(fl, i))
            (void)try_server(fl, i, false, false, now_ms);
        return;
    case EXCHANGE_REPLY:
        if (!fl->passthrough && r->facts.kind == REPLY_CNAME) {
            on_chain(fl, e, r);
            return;
        }
        if (r->failure == RCODE_NOERROR) {
            if (!fl->passthrough)
                came = real_of_reply(fl->view, &fl->key, f->exchanges.image, r->len, &r->facts,
                                     &came.server, r->ms);
            end_flight(fl, &came);
            return;
        }
        COUNT(f->stats, upstream_errors);
        t->minds_edns = t->minds_edns || r->no_edns;
        t->refused = true;
        break;
    case EXCHANGE_TRUNCATED:
    case EXCHANGE_NO_EDNS:
        drop_try(e);
        if (try_again(fl, i, tcp, plain, done, now_ms))
            return;
        t->refused = true; /* it wants that twice */
        go_on(fl, true, now_ms);
        return;
    case EXCHANGE_FAILED:
        if (fl->passthrough) {
            fl->failure = RCODE_UNUSABLE;
            give_up(fl, false);
            return;
        }
        break;
    }
    drop_try(e);
    go_on(fl, true, now_ms);
}

static void on_packet(struct io_peer *peer, const uint8_t *wire, ssize_t len)
{
    struct exchange *e = container_of(peer, struct exchange, peer);
    struct exchange_reply r;
    enum exchange_kind kind = exchange_read(e, wire, len, &r);

    if (e->flight != NULL)
        on_result(e, kind, &r);
    else if (kind != EXCHANGE_IGNORED) /* the server's record knows already */
        close_probe(e->server);
}

struct forwarder *forwarder_new(struct io *io, const struct forwarder_hooks *hooks, unsigned slots,
                                struct worker_stats *stats)
{
    struct arena *a = arena_new();
    struct forwarder *f = a != NULL ? arena_alloc(a, sizeof *f) : NULL;
    uint32_t n = slots;

    if (f == NULL)
        return NULL;
    f->io = f->exchanges.io = io;
    f->stats = f->exchanges.stats = stats;
    f->hooks = *hooks;
    f->limit = slots;
    f->arena = a;
    random_bytes(io->random, &f->share_key, sizeof f->share_key);
    TAILQ_INIT(&f->all_tries);
    for (f->n_buckets = 1; f->n_buckets < n; f->n_buckets *= 2)
        ;
    f->buckets = arena_alloc(a, f->n_buckets * sizeof *f->buckets);
    f->share_buckets = arena_alloc(a, f->n_buckets * sizeof *f->share_buckets);
    f->level = arena_alloc(a, (n + 1) * sizeof *f->level);
    /* Shares: an address and a prefix for each flight, a prefix for each waiter, and those of
     * who comes next. */
    if (f->buckets == NULL || f->share_buckets == NULL || f->level == NULL ||
        !pool_make(&f->flights, a, n, sizeof(struct flight)) ||
        !pool_make(&f->waiters, a, 3 * n, sizeof(struct waiter)) ||
        !pool_make(&f->shares, a, 3 * n + 2, sizeof(struct share)) ||
        !pool_make(&f->tries, a, 2 * n + UPSTREAM_MAX, sizeof(struct exchange)))
        return NULL;
    for (uint32_t i = 0; i <= n; i++)
        TAILQ_INIT(&f->level[i]);
    return f;
}

void forwarder_free(struct forwarder *f)
{
    struct upstream *s;
    struct flight *fl;

    if (f == NULL)
        return;
    while ((fl = victim_of(f)) != NULL)
        give_up(fl, true);
    for (s = f->exchanges.servers; s < f->exchanges.servers + f->exchanges.n_servers; s++) {
        f->io->timer_clear(f->io, &s->probe_timer);
        if (s->probe != NULL)
            close_probe(s);
    }
    arena_free(f->arena);
}

void forwarder_limit(struct forwarder *f, unsigned slots)
{
    f->limit = slots < f->flights.n ? slots : f->flights.n;
}

const struct upstream_report *forwarder_upstream(const struct forwarder *f, const struct addr *a)
{
    for (uint32_t i = 0; i < f->exchanges.n_servers; i++)
        if (addr_same(&f->exchanges.servers[i].report.server, a))
            return &f->exchanges.servers[i].report;
    return NULL;
}
