/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.c -- what is done for one question.
 *
 * A flight is one distinct question (name, type, class, DO, CD, route, view). Clients share it,
 * so a birthday attack on the ID fails. It ends before the 5 s after which a stub resolver gives
 * up, or asks again: over UDP only a question younger than limits.discard-timeout is answered
 * (ADR 14). At kms.upstream-deadline a KMS client is answered with what is known, and the flight goes
 * on for the other waiters and the cache. Before that deadline there are two hurried tries, each
 * waited for one third of it. They do not count among the tries that any question has, the first
 * of which comes in the last third, and a server that is late then does not count as silent.
 * Any other client gets an expired answer when the flight is as old as cache.stale-deadline.
 *
 * A try whose time is over keeps its socket: a late reply is as good as one in time. When
 * sockets are short, the oldest try that no flight waits for is closed for a new one. There are
 * more than twice as many places for tries as for flights, so tries at dead servers cannot keep
 * others from being made. Order of servers: fewest tries in this flight, those that are up
 * first, then as written. One that says SERVFAIL or REFUSED is not asked again.
 *
 * When a reply is a chain of CNAMEs without the records at its end, the flight goes on with a
 * question for the end, at the route of its name, and both replies are read as one.
 *
 * A packet with TSIG or for TKEY passes through to one server and back as it is, but for its ID,
 * in a flight that is neither joined nor kept and has one try: the client tries again.
 *
 * A server that asks us what we ask it would end in a loop, in which each waits for the others until
 * it gives up. So one that is silent, or has the address of the client, is asked for a name that only
 * we can answer: it is not asked for that domain while the answer is ours, nor for another before it
 * has answered for that. One worker asks, and the others, to which the question has come as well, wait
 * with it (special.c): a loop of two, each with an address of its own, costs four packets, with
 * however many workers; on one loopback address, where the client says nothing, a few more.
 *
 * A server that is down is probed with `. NS` every PROBE_MS, so that it counts as up within
 * 5 s of its recovery, whatever its clients ask; not one that no question needed for a minute.
 *
 * When all places are taken, a flight of whoever has most of them gives way (ADR 7); last of all
 * one that is favoured: a discovery question, one of our own, and a name for which somebody else
 * waits. Who begins a flight always has a place. Clients that join share n more over TCP, and n / 2
 * over UDP, where who gets no answer asks again; one prefix may take half of either. n further ones
 * are for questions of our own. Of one address CLIENT_WAITS wait, whatever is free. When too many
 * wait, one more packet gets no answer: its repeat finds it in the cache, whereas SERVFAIL would end
 * the client's search.
 */
#include "resolver/forward.h"
#include "resolver/stream.h"

#include <assert.h>
#include <limits.h>

enum {
    TRIES_EACH = 3,
    TRIES_ALL = 6,
    TRIES_DOWN = 3, /* of all; then none at a server that is down */
    AT_ONCE = 3,
    NOT_NOW = UINT_MAX,
    SRTT_EQUAL = 8, /* 1 ms */
    HURRIED_TRIES = 2,
    PATIENCE_MS = 3800,
    RETRY_MS = 250, /* a socket error says little: ask again, but not at once */
    PROBE_MS = 1500,
    COMPARE_MS = 5000,
    LOOK_MS = 25, /* has the reply come that says whether it asks us? */
    PROBE_WANTED_MS = 60000,
    CHAIN_MAX = EXCHANGE_PACKET_MAX, /* octets of a chain of CNAMEs, or a packet, put aside */
    CLIENT_WAITS = 1000,             /* questions of one address that wait, in a worker */
    VICTIMS = 16,                    /* flights of which one gives way */
    SHARES = 1 << 16,                /* so two of the same place are rare */
};

static const struct name root = {.len = 1};

/* What an address or a prefix has, under a keyed hash of it: who shares a place is taken for one. */
struct share {
    uint32_t n_flights;
    uint32_t n_waiting;   /* of an address: its questions that wait */
    uint32_t n_joined[2]; /* of a prefix: its waiters where others wait, too; UDP, TCP */
};

struct flight {
    LIST_ENTRY(flight) bucket;
    struct share *address, *prefix; /* of who asked first; NULL: it has ended */
    uint64_t number;                /* they are counted */
    bool favoured;
    struct forwarder *forwarder;
    struct view *view;         /* one of its users */
    const struct route *route; /* of the view and `asked`; after a fall-back that of `.` */
    struct name qname, asked;  /* folded; asked: qname, or the end of the chain in chain[] */
    struct cache_key key;      /* its name is qname */
    bool passthrough, tcp;     /* the client's packet goes as it is (over TCP); it is in chain[] */
    bool hurries;        /* the policy waits for it; else a deadline is cache.stale-deadline */
    bool stop_rebinding; /* of the route of its name, whoever answers for the end of its chain */

    TAILQ_HEAD(waiter_list, waiter) waiters; /* in the order of arrival */
    uint64_t deadline_ms;                    /* earliest of the waiters */

    LIST_HEAD(exchange_list, exchange) tries; /* those that still listen, newest first */
    struct exchange *current; /* the try that next_ms belongs to; NULL: it has ended */
    struct io_timer timer;
    uint64_t begun_ms, next_ms, end_ms;
    uint16_t failure; /* rcode that a server said; or RCODE_TIMEOUT, RCODE_UNUSABLE */
    struct addr failed_by;
    bool looks;                 /* is there a loop? A server is not asked before that is known */
    const struct addr *asker;   /* the first who asked has that server's address; NULL: of none */
    uint8_t n_tries, n_hurried; /* of all servers; hurried: had a part of their time */
    struct flight_server {
        uint8_t n_tries;
        bool refused;    /* has said that it cannot, or cannot be reached */
        bool silent;     /* did not reply in time */
        bool over_tcp;   /* was asked over TCP */
        bool minds_edns; /* said SERVFAIL, perhaps for that */
        bool plain;      /* was asked once more without EDNS */
    } servers[ROUTE_MAX_SERVERS];

    uint16_t chain_len;
    uint8_t chain[CHAIN_MAX]; /* the last member: is not set to zero */
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
    struct pool flights, waiters, tries;
    LIST_HEAD(flight_bucket, flight) * buckets; /* under the hash of the cache key */
    uint64_t n_begun;                           /* flights */
    struct hash_key share_key;
    struct share shares[SHARES];
    uint32_t n_joined[2], n_own;                    /* places that are taken by who waits */
    uint32_t limit;                                 /* flights at most */
    TAILQ_HEAD(exchange_queue, exchange) all_tries; /* of all flights, oldest first */
    struct query q;                                 /* a waiter, made a query again */
    uint8_t out[DNS_MAX_MESSAGE];
};

/* Its octets are as they were; NULL: all are in use. */
static void *pool_take(struct pool *p)
{
    void *place = p->free_list;

    if (place)
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

static struct share *share_of(struct forwarder *f, const struct addr *client, bool is_prefix)
{
    static const unsigned lengths[2][2] = {{64, 128}, {56, 96 + 24}}; /* v6, v4 */
    uint8_t key[17] = {[16] = is_prefix};

    memcpy(key, client->ip, 16);
    prefix_mask(key, lengths[is_prefix][addr_is_v4(client)]);
    return &f->shares[hash_bytes(&f->share_key, key, sizeof key) % SHARES];
}

static bool gives_way_before(const struct flight *a, const struct flight *b)
{
    if (a->prefix->n_flights != b->prefix->n_flights)
        return a->prefix->n_flights > b->prefix->n_flights;
    if (a->address->n_flights != b->address->n_flights)
        return a->address->n_flights > b->address->n_flights;
    return a->favoured != b->favoured ? b->favoured : a->number < b->number;
}

/* The flight that gives way to the next; NULL: there is none. Each is drawn from all places: one
 * client's flights often lie side by side. */
static struct flight *victim_of(const struct forwarder *f)
{
    struct flight *victim = NULL, *fl;
    uint32_t n = f->flights.touched, at = 0;

    for (uint32_t i = 0; n > 0 && i < VICTIMS + n && (i < VICTIMS || victim == NULL); i++) {
        at = n > VICTIMS && i < VICTIMS ? random_below(f->io->random, n) : (at + 1) % n;
        fl = (void *)(f->flights.places + at * f->flights.size);
        if (fl->address && (victim == NULL || gives_way_before(fl, victim)))
            victim = fl;
    }
    return victim;
}

static struct flight *find_flight(const struct forwarder *f, const struct view *v,
                                  const struct cache_key *key)
{
    struct flight *fl;

    LIST_FOREACH(fl, &f->buckets[key->hash % f->flights.n], bucket)
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

/* A client gets no answer. A discovery question is recorded all the same, with what came. */
static enum answer leave_unanswered(const struct view *v, struct query *q, const struct real *came,
                                    const char *why, struct now now)
{
    if (!query_is_discovery(&q->message))
        return ANSWER_DROP;
    kms_event_note(v, q, OUTCOME_FAILED, REASON_NO_RULE, RCODE_TIMEOUT, why, now);
    q->event.verdict = came->said.verdict;
    q->event.server = came->said.server;
    q->event.real_rcode = came->said.rcode;
    q->event.real_ms = came->said.rtt_ms;
    return ANSWER_DROP;
}

/* Of what is pending, those whose deadline has come, and who are content with it. Over UDP an answer
 * that comes late is not sent: who gathers questions at a slow server could let all their answers
 * fall on a victim at one moment (CVE-2024-33655). Its client asks again. */
static void answer_waiters(struct flight *fl, const struct real *came, struct now now)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->q;
    const uint64_t limit_ms = fl->view->settings->limits.discard_timeout_ms;
    const uint64_t sent_ms = limit_ms > 0 ? limit_ms : UINT64_MAX;
    static const char too_late[] = "not sent: it came later than limits.discard-timeout";
    struct waiter *w, *next;
    enum answer answer;

    fl->deadline_ms = WAITER_NEVER;
    for (w = TAILQ_FIRST(&fl->waiters); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (came->pending && w->deadline_ms > now.mono_ms) {
            if (w->deadline_ms < fl->deadline_ms)
                fl->deadline_ms = w->deadline_ms;
            continue;
        }
        w->deadline_ms = WAITER_NEVER;
        if (w->on_reply) {
            w->on_reply(w->context, came);
        } else {
            q->out = f->out;
            q->out_size = sizeof f->out;
            q->passthrough = fl->passthrough;
            waiter_restore(fl->view, w, q);
            if (w->client.transport == AUDIT_UDP && now.mono_ms - w->asked_ms > sent_ms) {
                COUNT(f->stats, discarded);
                answer = leave_unanswered(fl->view, q, came, too_late, now);
            } else if ((answer = answer_query(fl->view, q, came, now)) == ANSWER_WAIT) {
                continue;
            }
            f->hooks.deliver(f->hooks.context, q, answer);
        }
        TAILQ_REMOVE(&fl->waiters, w, entry);
        f->n_own -= w->on_reply != NULL;
        w->address->n_waiting--;
        if (w->joined) {
            w->joined->n_joined[w->client.transport == AUDIT_TCP]--;
            f->n_joined[w->client.transport == AUDIT_TCP]--;
        }
        pool_give(&f->waiters, w);
    }
    view_policy_end(fl->view);
}

/* The flight is over: all that wait are answered. It cannot be found any more, so
 * that a question asked from a callback begins a new one. */
static void end_flight(struct flight *fl, const struct real *came)
{
    struct forwarder *f = fl->forwarder;
    struct now now = io_now(f->io);

    LIST_REMOVE(fl, bucket);
    fl->address->n_flights--;
    fl->prefix->n_flights--;
    fl->address = NULL;
    close_tries(fl);
    f->io->timer_clear(f->io, &fl->timer);
    if (!came->ours && !fl->passthrough)
        real_keep(fl->view, &fl->key, came, now);
    answer_waiters(fl, came, now);
    f->hooks.unpin(fl->view);
    pool_give(&f->flights, fl);
}

/* Everybody gets a failure; where nobody answers for the end of a chain, the chain alone. ours: it
 * says nothing of the name. */
static void give_up(struct flight *fl, bool ours)
{
    static const struct reply_facts chain = {
        .kind = REPLY_CNAME, .has_cname = true, .ttl = UINT32_MAX};
    uint32_t ms = (uint32_t)(io_now(fl->forwarder->io).mono_ms - fl->begun_ms);
    struct real came = real_of_failure(fl->failure, &fl->failed_by, ms);

    if (fl->failure == RCODE_REFUSED && fl->chain_len > 0 && !fl->passthrough)
        came =
            real_of_reply(fl->view, &fl->key, fl->chain, fl->chain_len, &chain, &fl->failed_by, ms);
    came.ours = ours;
    end_flight(fl, &came);
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
        while (idle && idle->flight->current == idle)
            idle = TAILQ_NEXT(idle, age);
        if (idle)
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
    struct now now = io_now(f->io);
    uint64_t now_ms = now.mono_ms;
    bool is_down;
    const struct exchange question = {.server = s,
                                      .q = {.qname = &root, .qtype = TYPE_NS, .qclass = CLASS_IN}};

    if (s->probe && s->probe->q.qtype == TYPE_TXT) { /* that says nothing of the server */
        close_probe(s);
    } else if (s->probe) {
        close_probe(s);
        s->report.timeouts++;
        exchange_no_reply(s, ETIMEDOUT, true, now);
    }
    is_down = s->report.state == UPSTREAM_DOWN;
    if (now_ms - (is_down ? s->wanted_ms : s->compared_ms) > PROBE_WANTED_MS)
        return;
    if (is_down || now_ms - s->heard_ms >= COMPARE_MS)
        (void)send_try(f, &question, &s->probe);
    f->io->timer_set(f->io, t, now_ms + (is_down ? PROBE_MS : COMPARE_MS));
}

static void set_probe(struct forwarder *f, struct upstream *s, uint64_t at_ms)
{
    s->forwarder = f;
    s->probe_timer.fire = on_probe_timer;
    f->io->timer_set(f->io, &s->probe_timer, at_ms);
}

/* The server is silent, or asks us itself: does it ask us what we ask it? True: it is asked. */
static bool ask_loop(struct flight *fl, struct upstream *s, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct name name;
    const struct exchange question = {.server = s,
                                      .q = {.qname = &name, .qtype = TYPE_TXT, .qclass = CLASS_IN}};

    if ((s->probe && s->probe->q.qtype == TYPE_TXT) || fl->passthrough ||
        !loop_ask(f->hooks.loops, f->io->random, &s->report.server, &fl->asked, now_ms, &name))
        return false;
    if (s->probe) /* this one tells as well whether it has come back */
        close_probe(s);
    if (send_try(f, &question, &s->probe) != 0)
        return false;
    if (s->probe_timer.at_ms == 0)
        set_probe(f, s, now_ms + PROBE_MS);
    return true;
}

/* What the server said of that. */
static void note_loop(struct exchange *e, const struct exchange_reply *r)
{
    if (r->image && r->failure == RCODE_NOERROR &&
        loop_heard(e->server->forwarder->hooks.loops, &e->server->report.server, &e->sent, r->image,
                   r->len, io_now(e->home->io).mono_ms))
        COUNT(e->home->stats, upstream_loops);
}

static bool may_try(const struct flight *fl, int i)
{
    return fl->servers[i].n_tries < TRIES_EACH + fl->n_hurried &&
           fl->n_tries < (fl->passthrough ? 1 : TRIES_ALL + fl->n_hurried);
}

/* How good the server is now: the less, the better; NOT_NOW. */
static unsigned rank_server(struct flight *fl, int i, uint64_t now_ms, uint32_t *srtt)
{
    struct forwarder *f = fl->forwarder;
    struct upstream *s = exchange_server(&f->exchanges, fl->route, i, now_ms);
    bool is_down = s && s->report.state == UPSTREAM_DOWN;
    bool is_compared = fl->route->strategy != ORDERED && fl->route->n_servers > 1;
    unsigned loop;

    if (s && is_compared)
        s->compared_ms = now_ms;
    if (s && (is_down || is_compared) && s->probe_timer.at_ms == 0)
        set_probe(f, s, now_ms + (is_down ? PROBE_MS : COMPARE_MS));
    if (s == NULL || fl->servers[i].refused || !may_try(fl, i))
        return NOT_NOW;
    loop = loop_look(f->hooks.loops, &s->report.server, &fl->asked, now_ms, NULL);
    if ((loop & LOOP_KNOWN) != 0) {
        fl->failure = RCODE_UNUSABLE;
        fl->failed_by = s->report.server;
        (void)ask_loop(fl, s, now_ms); /* still? */
        return NOT_NOW;
    }
    if (loop == LOOP_ELSEWHERE && ask_loop(fl, s, now_ms))
        loop |= LOOP_OPEN;
    if ((loop & LOOP_OPEN) != 0 && (fl->asker || (loop & LOOP_ELSEWHERE) != 0)) {
        fl->looks = true;
        return NOT_NOW;
    }
    if (is_down && fl->n_tries >= TRIES_DOWN + fl->n_hurried)
        return NOT_NOW;
    *srtt = fl->route->strategy == FASTEST ? s->srtt : 0;
    return fl->servers[i].n_tries * 2u + is_down;
}

/* The server to try next, one that was not tried if there is one, those that are up first; or -1.
 * Of the fastest, and those that are hardly slower, one is drawn; an unknown one is fast. */
static int choose_server(struct flight *fl, uint64_t now_ms, unsigned *rank)
{
    struct random *random = fl->forwarder->io->random;
    unsigned ranks[ROUTE_MAX_SERVERS], n_equal = 0;
    uint32_t srtts[ROUTE_MAX_SERVERS] = {0}, fastest = UINT32_MAX;
    int best = -1;

    *rank = NOT_NOW;
    for (int i = 0; i < fl->route->n_servers; i++) {
        ranks[i] = rank_server(fl, i, now_ms, &srtts[i]);
        if (ranks[i] < *rank || (best >= 0 && ranks[i] == *rank && srtts[i] < fastest)) {
            *rank = ranks[i];
            fastest = srtts[i];
            best = i;
        }
    }
    if (best < 0 || fl->route->strategy != FASTEST)
        return best;
    fastest += fastest / 4 + SRTT_EQUAL;
    for (int i = 0; i < fl->route->n_servers; i++)
        if (ranks[i] == *rank && srtts[i] <= fastest && random_below(random, ++n_equal) == 0)
            best = i;
    return best;
}

/* Until when the current try is waited for: at_ms, or a third of the KMS deadline. Only a try
 * that counts is hurried; and only once, since a third is more than it then has left. */
static uint64_t hurry(struct flight *fl, uint64_t now_ms, uint64_t at_ms)
{
    uint64_t third = fl->view->settings->kms.upstream_deadline_ms / (HURRIED_TRIES + 1);
    const struct exchange *e = fl->current;

    if (!fl->hurries || fl->deadline_ms <= now_ms || fl->deadline_ms == WAITER_NEVER ||
        fl->n_hurried == HURRIED_TRIES || e == NULL || (e->tcp && !e->tls) || e->plain ||
        now_ms + third >= at_ms)
        return at_ms;
    fl->n_hurried++;
    return now_ms + third;
}

/* One try at a server of the route. 0; -ENOBUFS: for a want of ours it was not made; or -errno. Over
 * TCP, or plain, without EDNS, it is one beside its TRIES_EACH. */
static int try_server(struct flight *fl, int i, bool tcp, bool plain, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    const struct route *r = fl->route;
    struct upstream *s = exchange_server(&f->exchanges, r, i, now_ms);
    struct exchange *e = NULL, question = {.flight = fl,
                                           .server_index = (uint8_t)i,
                                           .server = s,
                                           .q = {.qname = &fl->asked,
                                                 .qtype = fl->key.type,
                                                 .qclass = fl->key.class,
                                                 .cd = (fl->key.bits & CACHE_CD) != 0,
                                                 .do_bit = (fl->key.bits & CACHE_DO) != 0,
                                                 .ad = r->trust_ad,
                                                 .edns = r->edns},
                                           .tcp = tcp || fl->tcp,
                                           .plain = plain,
                                           .suspects_edns = !tcp && fl->servers[i].silent,
                                           .packet = fl->passthrough ? fl->chain : NULL,
                                           .packet_len = fl->chain_len,
                                           .asked_ms = fl->begun_ms};
    uint64_t at_ms = now_ms + r->timeout_ms;
    bool counts = !tcp && !plain;
    int rc = s ? send_try(f, &question, &e) : -ENOBUFS;

    if (counts && rc != -ENOBUFS) {
        fl->servers[i].n_tries++;
        fl->n_tries++;
    }
    if (rc != 0)
        return rc;
    LIST_INSERT_HEAD(&fl->tries, e, entry);
    TAILQ_INSERT_TAIL(&f->all_tries, e, age);
    if (fl->current && r->strategy == PARALLEL && counts)
        return 0; /* it is waited for as long as the one that it was asked beside */
    fl->current = e;
    at_ms = fl->passthrough ? fl->end_ms : hurry(fl, now_ms, at_ms);
    if (!counts && at_ms > fl->end_ms) /* who said "ask me another way" has the time for that */
        fl->end_ms = at_ms;
    wait_until(fl, at_ms);
    return 0;
}

/* The same server once more, another way, which each flight does once. */
static bool try_again(struct flight *fl, int i, bool tcp, bool plain, bool *done, uint64_t now_ms)
{
    bool again = !*done;

    *done = true;
    return again && try_server(fl, i, tcp, plain, now_ms) == 0;
}

/* The current try has had its time, or (fresh: only a server that was not tried) a server
 * has said no, or its socket failed. */
static void go_on(struct flight *fl, bool fresh, uint64_t now_ms)
{
    bool is_parallel = fl->route->strategy == PARALLEL;
    int n_wanted = is_parallel && !fresh ? AT_ONCE : 1;
    int next = -1, rc = 0, n = 0;
    unsigned rank, first_rank = NOT_NOW;
    struct exchange *newest, *e;
    uint64_t end_ms;

    fl->looks = false;
    /* Those that are asked at once are equal: all up, and tried as often. */
    while (rc != -ENOBUFS && n < n_wanted && (next = choose_server(fl, now_ms, &rank)) >= 0 &&
           !(fresh && fl->servers[next].n_tries > 0) && (n == 0 || rank == first_rank)) {
        rc = try_server(fl, next, false, false, now_ms);
        first_rank = rank;
        n += rc == 0;
    }
    newest = LIST_FIRST(&fl->tries);
    end_ms = newest ? newest->begun_ms + fl->route->timeout_ms : now_ms;
    LIST_FOREACH(e, &fl->tries, entry) /* nothing is lost there: the reply comes late, or the end */
        if (e->tcp && !e->tls && !fl->passthrough)
            end_ms = fl->end_ms;
    if (n == 0 && fl->current == NULL && is_parallel && end_ms > now_ms) {
        fl->current = newest; /* it was asked beside the one that failed */
        wait_until(fl, end_ms);
    }
    if (n > 0 || fl->current) /* it goes on, and has its time */
        return;
    if (fl->looks && now_ms < fl->end_ms) {
        wait_until(fl, now_ms + LOOK_MS);
        return;
    }
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
    wait_until(fl, end_ms);
    fl->end_ms = fl->next_ms;
}

/* With another route to fall back to, the servers have half of the time that is left, and at
 * least that of one try. */
static void begin_route(struct flight *fl, const struct route *r, uint64_t now_ms)
{
    bool has_another = r->fall_back && r->zone.labels > 0 && !fl->passthrough;
    uint64_t end_ms = fl->begun_ms + (PATIENCE_MS > r->timeout_ms ? PATIENCE_MS : r->timeout_ms);
    uint64_t half_ms = end_ms > now_ms ? (end_ms - now_ms) / 2 : 0;

    if (has_another)
        end_ms = now_ms + (half_ms > r->timeout_ms ? half_ms : r->timeout_ms);
    fl->route = r;
    fl->end_ms = end_ms;
    fl->n_tries = fl->n_hurried = 0;
    memset(fl->servers, 0, sizeof fl->servers);
    go_on(fl, false, now_ms);
}

/* The try has had its time. Silence is counted once a flight: one bad name says little of the
 * server. */
static void end_wait(struct flight *fl, struct exchange *e, struct now now)
{
    struct flight_server *t = &fl->servers[e->server_index];

    if (e->is_over || e->unsure || e->begun_ms + fl->route->timeout_ms > now.mono_ms)
        return;
    e->is_over = true;
    COUNT(fl->forwarder->stats, upstream_timeouts);
    e->server->report.timeouts++;
    if (!t->silent) {
        exchange_silent(e, now);
        (void)ask_loop(fl, e->server, now.mono_ms);
    }
    t->silent = true;
}

static void on_flight_timer(struct io_timer *timer)
{
    struct flight *fl = container_of(timer, struct flight, timer);
    struct now now = io_now(fl->forwarder->io);
    const struct route *last = query_route(fl->view, &root, TYPE_NS);
    struct exchange *e;
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
    LIST_FOREACH(e, &fl->tries, entry)
        if (e == fl->current || fl->route->strategy == PARALLEL)
            end_wait(fl, e, now);
    fl->current = NULL;
    if (now.mono_ms < fl->end_ms) {
        go_on(fl, false, now.mono_ms);
    } else if (fl->route->fall_back && last && fl->route != last && !fl->passthrough) {
        close_tries(fl);
        begin_route(fl, last, now.mono_ms);
    } else {
        give_up(fl, fl->n_tries == 0); /* for a want of ours */
    }
}

/* A flight for q, nobody waiting; others give way. NULL: no place or route. */
static struct flight *new_flight(struct forwarder *f, struct view *v, const struct query *q)
{
    struct flight *fl;

    if (q->route == NULL || q->route->n_servers == 0)
        return NULL;
    while (f->flights.in_use >= f->limit) {
        if ((fl = victim_of(f)) == NULL)
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
    fl->qname = fl->asked = *q->key.name;
    fl->key = q->key;
    fl->key.name = &fl->qname;
    fl->passthrough = q->passthrough;
    fl->stop_rebinding = q->route->stop_rebinding;
    fl->hurries = q->kms && v->settings->kms.mode != MODE_OFF;
    fl->failure = RCODE_TIMEOUT;
    for (int i = 0; i < fl->route->n_servers; i++)
        if (addr_same_ip(&fl->route->servers[i], &q->client.addr))
            fl->asker = &fl->route->servers[i];
    fl->deadline_ms = WAITER_NEVER;
    fl->begun_ms = io_now(f->io).mono_ms;
    fl->timer.fire = on_flight_timer;
    TAILQ_INIT(&fl->waiters);
    LIST_INSERT_HEAD(&f->buckets[fl->key.hash % f->flights.n], fl, bucket);
    fl->favoured = q->kms;
    fl->number = f->n_begun++;
    fl->address = share_of(f, &q->client.addr, false);
    fl->prefix = share_of(f, &q->client.addr, true);
    fl->address->n_flights++;
    fl->prefix->n_flights++;
    v->users++;
    return fl;
}

bool forwarder_ask(struct forwarder *f, struct view *v, struct query *q, real_came *on_reply,
                   void *context)
{
    struct flight *fl = q->passthrough ? NULL : find_flight(f, v, &q->key);
    bool own = on_reply != NULL, joins = fl != NULL, tcp = q->client.transport == AUDIT_TCP;
    struct now now = io_now(f->io);
    enum answer answer = ANSWER_DROP;
    uint32_t room = tcp ? f->flights.n : f->flights.n / 2;
    struct share *address = share_of(f, &q->client.addr, false), *joined = NULL;
    bool is_full = !own && address->n_waiting >= CLIENT_WAITS;
    struct upstream *s;
    struct waiter *w;
    struct real none;

    if (own && f->n_own == f->flights.n)
        return false;
    if (!joins && !is_full && (!q->passthrough || q->wire_len <= CHAIN_MAX))
        fl = new_flight(f, v, q);
    if (joins && !own) {
        joined = share_of(f, &q->client.addr, true);
        fl->favoured |= address != fl->address;
    }
    if (fl == NULL || is_full ||
        (joined != NULL && (f->n_joined[tcp] >= room || joined->n_joined[tcp] >= room / 2))) {
        if (own)
            return false;
        /* Over UDP it gets no answer where others wait for the name, or it waits too often. Else a
         * discovery question is decided: the policy may have an answer for a real DNS without one. */
        if ((!joins && !is_full) || tcp) {
            COUNT(f->stats, no_slot);
            none = real_of_failure(RCODE_TIMEOUT, NULL, 0);
            answer = answer_query(v, q, &none, now);
        } else {
            COUNT(f->stats, unanswered);
            none = (struct real){.said.verdict = VERDICT_NONE};
            (void)leave_unanswered(v, q, &none, "not answered: too many questions wait", now);
        }
        f->hooks.deliver(f->hooks.context, q, answer);
        return false;
    }
    w = pool_take(&f->waiters);
    waiter_save(w, q);
    w->asked_ms = now.mono_ms;
    w->on_reply = on_reply;
    w->context = context;
    w->joined = joined;
    (w->address = address)->n_waiting++;
    TAILQ_INSERT_TAIL(&fl->waiters, w, entry);
    f->n_own += own;
    if (joined) {
        f->n_joined[tcp]++;
        joined->n_joined[tcp]++;
    }
    fl->favoured |= own;
    if (fl->hurries && !own)
        w->deadline_ms = now.mono_ms + v->settings->kms.upstream_deadline_ms;
    else if (!q->passthrough && !own && q->real.stale)
        w->deadline_ms = fl->begun_ms + v->settings->cache.stale_deadline_ms;
    if (w->deadline_ms < fl->deadline_ms)
        fl->deadline_ms = w->deadline_ms;
    if (q->passthrough) {
        fl->tcp = q->client.transport == AUDIT_TCP;
        fl->chain_len = (uint16_t)q->wire_len;
        memcpy(fl->chain, q->wire, q->wire_len);
    }
    if (!joins) {
        if (fl->asker && !addr_is(fl->asker, ADDR_LOOPBACK) && /* which others here have, too */
            (s = exchange_server(&f->exchanges, fl->route, (int)(fl->asker - fl->route->servers),
                                 now.mono_ms)) != NULL)
            (void)ask_loop(fl, s, now.mono_ms);
        begin_route(fl, fl->route, now.mono_ms);
    } else if (!own) {
        COUNT(f->stats, joined);
        wait_until(fl, hurry(fl, now.mono_ms, fl->next_ms));
    }
    return true;
}

void forwarder_prefetch(struct forwarder *f, struct view *v, struct query *q)
{
    struct flight *fl = NULL;

    q->prefetch = false;
    if (f->flights.in_use < f->limit - f->limit / 4 && find_flight(f, v, &q->key) == NULL)
        fl = new_flight(f, v, q);
    if (fl == NULL)
        return;
    COUNT(f->stats, prefetched);
    begin_route(fl, fl->route, fl->begun_ms);
}

/* What came for the end of the flight's chain is read with the chain as one reply, so that they have
 * the limits of any (number of links, no loop); a chain without an end is put aside. False: it
 * cannot be. */
static bool join_chain(struct flight *fl, struct exchange_reply *r)
{
    uint8_t *both = fl->view->scratch->second;
    const struct reply_facts end = r->facts;
    struct message m;
    size_t len;

    if (fl->chain_len > 0) {
        len = reply_join(fl->chain, fl->chain_len, r->image, r->len, both, DNS_MAX_MESSAGE);
        if (len == 0 || message_read_head(&m, both, len) != 0 ||
            reply_read(&m, both, len,
                       &(struct reply_wanted){.dnssec = (fl->key.bits & CACHE_DO) != 0},
                       fl->forwarder->exchanges.image, DNS_MAX_MESSAGE, &r->len, &r->facts) != 0)
            return false;
        if (r->facts.kind == REPLY_CNAME && end.kind != REPLY_CNAME)
            r->facts.kind = REPLY_NODATA; /* the end has said that it has no such records */
        r->facts.cacheable = r->facts.cacheable && end.cacheable;
    }
    if (r->facts.kind != REPLY_CNAME)
        return true;
    fl->chain_len = (uint16_t)reply_join(r->image, r->len, NULL, 0, fl->chain, CHAIN_MAX);
    return fl->chain_len > 0;
}

/* The flight ends with it; or goes on at the end of its chain, if anybody may be asked for that. */
static void take_reply(struct flight *fl, struct exchange_reply *r, const struct addr *server)
{
    struct real came = real_of_failure(RCODE_UNUSABLE, server, r->ms);
    const struct name *end = &r->facts.end;
    const struct route *route = NULL;
    int filtered = 0;
    size_t at;

    if (fl->passthrough) {
        came.image = r->image;
        came.len = r->len;
    } else if (join_chain(fl, r)) {
        if (r->facts.kind == REPLY_CNAME)
            route = query_route(fl->view, end, fl->key.type);
        if (route && special_zone(end, fl->key.class, route, &at) == NULL) {
            fl->asked = *end;
            fl->failure = RCODE_TIMEOUT;
            memset(&fl->failed_by, 0, sizeof fl->failed_by);
            close_tries(fl);
            begin_route(fl, route, io_now(fl->forwarder->io).mono_ms);
            return;
        }
        if (fl->stop_rebinding)
            filtered = real_filter(fl->view, fl->forwarder->exchanges.image, &r->len, &r->facts);
        if (filtered >= 0)
            came = real_of_reply(fl->view, &fl->key, fl->forwarder->exchanges.image, r->len,
                                 &r->facts, server, r->ms);
        came.said.filtered = filtered > 0;
    }
    end_flight(fl, &came);
}

/* Is the name of another route than the one asked for, and not of all that no route has? Then the
 * servers that were asked do not know what it is inside. */
static bool leads_away(const void *flight, const struct name *n)
{
    const struct flight *fl = flight;
    const struct route *r = query_route(fl->view, n, fl->key.type);

    return r && r->zone.labels > 0 && r != query_route(fl->view, &fl->asked, fl->key.type);
}

static void on_result(struct exchange *e, enum exchange_kind kind, struct exchange_reply *r)
{
    struct flight *fl = e->flight;
    uint64_t now_ms = io_now(fl->forwarder->io).mono_ms;
    int i = e->server_index;
    struct flight_server *t = &fl->servers[i];
    const struct addr server = e->server->report.server;
    bool tcp = kind == EXCHANGE_TRUNCATED || e->tcp;
    bool plain = kind == EXCHANGE_NO_EDNS || !e->q.edns;
    bool *done = kind == EXCHANGE_TRUNCATED ? &t->over_tcp : &t->plain;

    if (r->failure != RCODE_NOERROR) {
        fl->failure = r->failure;
        fl->failed_by = server;
    }
    if (kind == EXCHANGE_IGNORED)
        return;
    if (kind == EXCHANGE_UNSURE) { /* one more try beside this one, which listens on */
        if (r->elsewhere && fl->route->n_servers > 1)
            go_on(fl, true, now_ms);
        else if (r->no_edns)
            (void)try_again(fl, i, false, true, &t->plain, now_ms);
        else if (may_try(fl, i))
            (void)try_server(fl, i, false, false, now_ms);
        return;
    }
    if (kind == EXCHANGE_REPLY && r->failure == RCODE_NOERROR) {
        take_reply(fl, r, &server);
        return;
    }
    drop_try(e);
    if ((kind == EXCHANGE_TRUNCATED || kind == EXCHANGE_NO_EDNS) &&
        try_again(fl, i, tcp, plain, done, now_ms))
        return;
    if (kind == EXCHANGE_NO_TLS && may_try(fl, i) && try_server(fl, i, false, false, now_ms) == 0)
        return;
    if (kind == EXCHANGE_REPLY)
        COUNT(fl->forwarder->stats, upstream_errors);
    /* One that loops fails for that, not for EDNS. */
    t->minds_edns |=
        r->no_edns && loop_look(fl->forwarder->hooks.loops, &server, &fl->asked, now_ms, NULL) == 0;
    t->refused |= kind != EXCHANGE_FAILED && kind != EXCHANGE_NO_TLS; /* or wants the same twice */
    go_on(fl, true, now_ms);
}

static void on_packet(struct io_peer *peer, const uint8_t *wire, ssize_t len)
{
    struct exchange *e = container_of(peer, struct exchange, peer);
    struct exchange_reply r;
    enum exchange_kind kind = exchange_read(e, wire, len, &r);

    if (e->flight)
        on_result(e, kind, &r);
    else if (kind != EXCHANGE_IGNORED && !(kind == EXCHANGE_UNSURE && e->q.qtype == TYPE_TXT)) {
        if (e->q.qtype == TYPE_TXT)
            note_loop(e, &r);
        close_probe(e->server); /* its record knows already */
    }
}

struct forwarder *forwarder_new(struct io *io, const struct forwarder_hooks *hooks, unsigned n,
                                struct worker_stats *stats)
{
    struct arena *a = arena_new();
    struct forwarder *f = a ? arena_alloc(a, sizeof *f) : NULL;

    if (f == NULL)
        return NULL;
    f->io = f->exchanges.io = io;
    f->stats = f->exchanges.stats = stats;
    f->hooks = *hooks;
    f->exchanges.cache = hooks->cache;
    f->exchanges.leads_away = leads_away;
    f->limit = n;
    f->arena = a;
    random_bytes(io->random, &f->share_key, sizeof f->share_key);
    TAILQ_INIT(&f->all_tries);
    f->buckets = arena_alloc(a, n * sizeof *f->buckets);
    return f->buckets && pool_make(&f->flights, a, n, sizeof(struct flight)) &&
                   pool_make(&f->waiters, a, 4 * n, sizeof(struct waiter)) &&
                   pool_make(&f->tries, a, 2 * n + UPSTREAM_MAX, sizeof(struct exchange))
               ? f
               : NULL;
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
        if (s->probe)
            close_probe(s);
        tls_release(s->tls);
    }
    arena_free(f->arena);
}

void forwarder_limit(struct forwarder *f, unsigned slots)
{
    f->limit = slots < f->flights.n ? slots : f->flights.n;
}

const struct upstream *forwarder_upstream(const struct forwarder *f, const struct route *r,
                                          int server)
{
    for (uint32_t i = 0; i < f->exchanges.n_servers; i++)
        if (exchange_is(&f->exchanges.servers[i], r, server))
            return &f->exchanges.servers[i];
    return NULL;
}
