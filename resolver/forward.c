/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.c -- what is done for one question: it joins a flight or begins one;
 * which server is tried when, what its reply means, when to stop, and who is
 * answered.
 *
 * Times of a flight:
 *   next_ms      the current try has had its time: the next one begins, or,
 *                after the last, the flight ends
 *   end_ms       the flight ends; a stub resolver gives up after 5 s, so this
 *                is before that
 *   deadline_ms  kms.upstream-deadline: a KMS client is answered with what is
 *                known; the flight goes on for the other waiters and the cache
 * Before a KMS deadline there are two hurried tries, each waited for one third of
 * it. They do not count among the tries that any question has, the first of which
 * comes in the last third. A server that does not reply to a hurried try in time
 * does not count as silent.
 *
 * A try whose time is over keeps its socket: a late reply is as good as one in
 * time. When sockets are short, the oldest try that no flight waits for is closed
 * for a new one. There are more than twice as many places for tries as for flights,
 * so tries at dead servers cannot keep others from being made.
 *
 * Order of servers: fewest tries in this flight, those that are up first, then
 * as written. A server that says SERVFAIL or REFUSED is not asked again.
 *
 * A reply may be a chain of CNAMEs without the records at its end. Then the
 * forwarder asks for the end itself, at the route of that name; the flight opens no
 * more tries, follows the end's flight, and is answered with its chain and what came
 * for the end. When that is a chain, too, all that follow it get its links and follow
 * its end: so whoever follows has no followers, and no chain is walked in depth.
 *
 * A packet with TSIG or for TKEY passes through: to one server, octet by octet but
 * for the ID, and back the same way. Its flight is neither joined nor kept, and has
 * one try: the client tries again, with a new signature.
 *
 * A server that is down is probed with `. NS` every PROBE_MS, so that it counts as
 * up within 5 s of its recovery, whatever its clients ask. Any reply counts, also
 * REFUSED: the server is there. A server that no question needed for a minute is
 * not probed.
 *
 * When all places are taken, a flight of the clients that have most gives way
 * (inflight.h): a client that asks much ends its own questions and nobody else's. When
 * too many wait for one name, one more packet gets no answer: the client repeats it
 * and finds the answer in the cache, whereas SERVFAIL would end its search.
 */
#include "resolver/forward.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/inflight.h"

enum {
    TRIES_EACH = 3,
    TRIES_ALL = 6,
    HURRIED_TRIES = 2,
    PATIENCE_MS = 3800,
    RETRY_MS = 250, /* a socket error says little: ask again, but not at once */
    PASSTHROUGH_MS = 5000,
    PROBE_MS = 3000,
    PROBE_WANTED_MS = 60000,
};

static const struct name root = {.len = 1};

struct forwarder {
    struct io *io; /* borrowed */
    struct forwarder_hooks hooks;
    struct worker_stats *stats;
    struct exchanges exchanges;
    struct inflight inflight;
    TAILQ_HEAD(exchange_queue, exchange) tries; /* of all flights, oldest first */
    uint32_t limit;                             /* flights at most */
    struct query q;                             /* a waiter, made a query again */
    struct query end;                           /* the question for the end of a chain of CNAMEs */
    uint8_t out[DNS_MAX_MESSAGE], joined[DNS_MAX_MESSAGE];
};

/* The current try, or the rest, is waited for until then; a deadline comes first. */
static void wait_until(struct flight *fl, uint64_t at_ms)
{
    struct io *io = fl->forwarder->io;

    fl->next_ms = at_ms < fl->end_ms ? at_ms : fl->end_ms;
    at_ms = fl->deadline_ms < fl->next_ms ? fl->deadline_ms : fl->next_ms;
    if (fl->timer.at_ms != at_ms)
        io->timer_set(io, &fl->timer, at_ms);
}

/* ---- the end of a flight ---- */

static void drop_try(struct exchange *e)
{
    struct flight *fl = e->flight;
    struct forwarder *f = fl->forwarder;

    LIST_REMOVE(e, entry);
    TAILQ_REMOVE(&f->tries, e, age);
    if (fl->current == e)
        fl->current = NULL;
    exchange_close(e);
    pool_give(&f->inflight.tries, e);
}

static void close_tries(struct flight *fl)
{
    while (!LIST_EMPTY(&fl->tries))
        drop_try(LIST_FIRST(&fl->tries));
}

/* Answers those that wait; of what is pending, those whose deadline has come, and
 * who are content with it. */
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
            waiter_restore(fl->view, w, q);
            q->passthrough = fl->passthrough;
            if ((answer = answer_query(fl->view, q, came, now)) == ANSWER_WAIT)
                continue;
            f->hooks.deliver(f->hooks.context, q, answer);
        }
        inflight_drop(&f->inflight, fl, w);
    }
    view_policy_end(fl->view);
}

static void end_chain(struct flight *, const struct real *end);

/* The flight is over: all that wait are answered. It cannot be found any more, so
 * that a question asked from a callback begins a new one. */
static void end_flight(struct flight *fl, const struct real *came)
{
    struct forwarder *f = fl->forwarder;
    struct now now = f->io->now(f->io);

    if (fl->following != NULL)
        inflight_unfollow(&f->inflight, fl);
    inflight_hide(&f->inflight, fl);
    close_tries(fl);
    f->io->timer_clear(f->io, &fl->timer);
    if (!came->ours && !fl->passthrough)
        real_keep(fl->view, &fl->key, came, now);
    answer_waiters(fl, came, now);
    while (!TAILQ_EMPTY(&fl->followers))
        end_chain(TAILQ_FIRST(&fl->followers), came);
    f->hooks.unpin(f->hooks.context, fl->view);
    pool_give(&f->inflight.flights, fl);
}

/* Everybody gets a failure. ours: it says nothing of the name. */
static void give_up(struct flight *fl, bool ours)
{
    uint64_t now_ms = fl->forwarder->io->now(fl->forwarder->io).mono_ms;
    struct real none =
        real_of_failure(fl->failure, &fl->failed_by, (uint32_t)(now_ms - fl->begun_ms));

    none.ours = ours;
    end_flight(fl, &none);
}

/* The flight's chain of CNAMEs and what came for its end, read as one reply, is the
 * answer to its question: so it has the limits of any (number of links, no loop). Where
 * nobody answers for the end, the chain alone is passed on, as it came; where somebody
 * should and failed, so has the flight. */
static void end_chain(struct flight *fl, const struct real *end)
{
    uint8_t *both = fl->view->scratch->second, *image = fl->forwarder->joined;
    struct real came = *end;
    struct reply_facts facts;
    struct message m;
    size_t len;

    if (end->image == NULL && end->rcode != RCODE_REFUSED) {
        end_flight(fl, &came);
        return;
    }
    len = reply_join(fl->chain, fl->chain_len, end->image, end->len, both, DNS_MAX_MESSAGE);
    if (len == 0 || message_read_head(&m, both, len) != 0 ||
        reply_read(&m, both, len, (fl->key.bits & CACHE_DO) != 0, image, DNS_MAX_MESSAGE, &len,
                   &facts) != 0) {
        came = real_of_failure(RCODE_UNUSABLE, &end->server, end->ms);
    } else {
        if (facts.kind == REPLY_CNAME && end->image != NULL && !end->unfinished)
            facts.kind = REPLY_NODATA; /* the end has said that it has no such records */
        came = real_of_reply(fl->view, image, len, &facts, fl->kms_name);
        came.server = end->server;
        came.ms = end->ms;
    }
    end_flight(fl, &came);
}

/* ---- tries ---- */

static void on_packet(struct io_peer *, const uint8_t *, ssize_t);

/* The question is asked; when sockets are short, in place of the oldest try that no flight
 * waits for. 0 and *out, or -errno. */
static int send_try(struct forwarder *f, const struct exchange *question, struct exchange **out)
{
    struct exchange *e, *idle = NULL;
    int rc = -ENOBUFS;

    do {
        if (idle != NULL)
            drop_try(idle);
        if ((e = pool_take(&f->inflight.tries)) != NULL) {
            *e = *question;
            e->home = &f->exchanges;
            e->peer.receive = on_packet;
            if ((rc = exchange_open(e)) == 0) {
                *out = e;
                return 0;
            }
            pool_give(&f->inflight.tries, e);
        }
        if (idle != NULL || rc != -ENOBUFS)
            return rc;
        TAILQ_FOREACH(idle, &f->tries, age)
            if (idle->flight->current != idle)
                break;
    } while (idle != NULL);
    return rc;
}

static void close_probe(struct upstream *s)
{
    exchange_close(s->probe);
    pool_give(&s->forwarder->inflight.tries, s->probe);
    s->probe = NULL;
}

static void on_probe_timer(struct io_timer *t)
{
    struct upstream *s = container_of(t, struct upstream, probe_timer);
    struct forwarder *f = s->forwarder;
    uint64_t now_ms = f->io->now(f->io).mono_ms;
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

/* May the server have one more try in this flight? */
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

static void hurry(struct flight *fl, struct exchange *e)
{
    e->hurried = true;
    fl->n_hurried++;
    fl->servers[e->server_index].n_hurried++;
}

/* Part of the KMS deadline that one try is waited for; 0: there is no hurry. */
static uint64_t hurried_ms(const struct flight *fl, uint64_t now_ms)
{
    uint64_t third = fl->view->settings->kms.upstream_deadline_ms / (HURRIED_TRIES + 1);
    bool hurries = fl->deadline_ms > now_ms && fl->deadline_ms != WAITER_NEVER &&
                   fl->n_hurried < HURRIED_TRIES;

    return hurries && third < fl->route->timeout_ms ? third : 0;
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
                                           .counted = !tcp && !plain,
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
    int rc = s != NULL ? send_try(f, &question, &e) : -ENOBUFS;
    uint64_t ms = 0;

    fl->starved = rc == -ENOBUFS;
    if (question.counted && !fl->starved) {
        fl->servers[i].n_tries++;
        fl->n_tries++;
    }
    if (rc != 0)
        return false;
    LIST_INSERT_HEAD(&fl->tries, e, entry);
    TAILQ_INSERT_TAIL(&f->tries, e, age);
    fl->current = e;
    if (e->counted && (ms = hurried_ms(fl, now_ms)) > 0)
        hurry(fl, e);
    ms = fl->passthrough ? fl->end_ms : now_ms + (ms > 0 ? ms : r->timeout_ms);
    if (!e->counted && ms > fl->end_ms) /* who said "ask me another way" has the time for that */
        fl->end_ms = ms;
    wait_until(fl, ms);
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

/* How long a route may take; with another route to fall back to it is half. */
static uint64_t patience(const struct flight *fl)
{
    const struct route *r = fl->route;
    uint64_t ms = fl->passthrough                      ? PASSTHROUGH_MS
                  : r->fall_back && r->zone.labels > 0 ? PATIENCE_MS / 2
                                                       : PATIENCE_MS;

    return ms > r->timeout_ms ? ms : r->timeout_ms;
}

/* ---- time ---- */

static void on_flight_timer(struct io_timer *timer)
{
    struct flight *fl = container_of(timer, struct flight, timer);
    struct now now = fl->forwarder->io->now(fl->forwarder->io);
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
    if (e != NULL && !e->hurried && !e->unsure &&
        e->begun_ms + fl->route->timeout_ms <= now.mono_ms) {
        struct flight_server *t = &fl->servers[e->server_index];

        /* Silence is counted once a flight: one name that a server cannot
         * answer says little of the server. */
        COUNT(fl->forwarder->stats, upstream_timeouts);
        exchange_silent(e->server, t->silent);
        t->silent = true;
    }
    fl->current = NULL;
    if (now.mono_ms >= fl->end_ms) {
        if (!fl->route->fall_back || last == NULL || fl->route == last || fl->following != NULL ||
            fl->passthrough) {
            give_up(fl, fl->starved);
            return;
        }
        close_tries(fl);
        fl->route = last;
        fl->n_tries = fl->n_hurried = 0;
        memset(fl->servers, 0, sizeof fl->servers);
        fl->end_ms = fl->begun_ms + patience(fl);
    }
    go_on(fl, false, now.mono_ms);
}

/* ---- questions come in ---- */

/* A flight for q; others give way to it, but not `keep`. NULL: no place, no route. */
static struct flight *begin_flight(struct forwarder *f, const struct view *v, const struct query *q,
                                   const struct flight *keep)
{
    struct inflight *in = &f->inflight;
    struct flight *fl;

    if (q->route == NULL || q->route->n_servers == 0)
        return NULL;
    while (in->flights.in_use >= f->limit) {
        struct flight *victim = inflight_victim(in);

        if (victim == NULL || victim == keep)
            return NULL;
        COUNT(f->stats, gave_way);
        give_up(victim, true);
    }
    fl = inflight_add(in, v, q);
    fl->forwarder = f;
    fl->timer.fire = on_flight_timer;
    f->hooks.pin(f->hooks.context, v);
    return fl;
}

static void start_flight(struct flight *fl, uint64_t now_ms)
{
    fl->begun_ms = now_ms;
    fl->end_ms = now_ms + patience(fl);
    go_on(fl, false, now_ms);
}

/* No place for it. A discovery question is decided all the same: the policy
 * may have an answer for a real DNS that says nothing. */
static void refuse(struct forwarder *f, const struct view *v, struct query *q)
{
    static const struct addr nobody;
    const struct real none = real_of_failure(RCODE_TIMEOUT, &nobody, 0);

    COUNT(f->stats, no_slot);
    f->hooks.deliver(f->hooks.context, q, answer_query(v, q, &none, f->io->now(f->io)));
}

/* Has the client of the flight sent the same packet before, and got no answer? One is
 * enough. Each discovery question is accounted for, so those wait side by side; and so do
 * those of a TCP connection, which counts the answers that are still due. */
static bool is_resent(const struct flight *fl, const struct query *q)
{
    const struct waiter *w;

    if (q->kms || q->client.transport != AUDIT_UDP)
        return false;
    TAILQ_FOREACH(w, &fl->waiters, entry)
        if (w->on_reply == NULL && w->id == q->message.id && w->client.transport == AUDIT_UDP &&
            w->client.listener == q->client.listener && addr_same(&w->client.addr, &q->client.addr))
            return true;
    return false;
}

void forwarder_ask(struct forwarder *f, const struct view *v, struct query *q)
{
    struct inflight *in = &f->inflight;
    struct now now = f->io->now(f->io);
    struct flight *fl = q->passthrough ? NULL : inflight_find(in, v, &q->key);
    bool joined = fl != NULL;
    struct exchange *e;
    struct waiter *w;
    uint64_t ms;

    if (joined && is_resent(fl, q)) {
        COUNT(f->stats, joined);
        return;
    }
    if (!joined && ((q->passthrough && q->wire_len > CHAIN_MAX) ||
                    (fl = begin_flight(f, v, q, NULL)) == NULL)) {
        refuse(f, v, q);
        return;
    }
    if ((w = inflight_wait(in, fl, q, NULL, NULL)) == NULL) {
        if (q->client.transport != AUDIT_UDP) {
            refuse(f, v, q);
            return;
        }
        COUNT(f->stats, unanswered);
        if (q->kms)
            kms_event_note(v, q, OUTCOME_FAILED, REASON_NO_RULE, RCODE_TIMEOUT,
                           "not answered: too many wait for this name", now);
        f->hooks.deliver(f->hooks.context, q, ANSWER_DROP);
        return;
    }
    if (q->kms && v->settings->kms.mode != MODE_OFF)
        w->deadline_ms = q->arrived_ms + v->settings->kms.upstream_deadline_ms;
    if (w->deadline_ms < fl->deadline_ms)
        fl->deadline_ms = w->deadline_ms;
    if (!joined) {
        if (q->passthrough) {
            fl->tcp = q->client.transport == AUDIT_TCP;
            fl->chain_len = (uint16_t)q->wire_len;
            memcpy(fl->chain, q->wire, q->wire_len);
        }
        start_flight(fl, now.mono_ms);
        return;
    }
    COUNT(f->stats, joined);
    /* A discovery question joined one that is in no hurry: now it is. Only a try that
     * counts may be hurried: it is one that the limits then allow once more. */
    ms = hurried_ms(fl, now.mono_ms);
    e = fl->current;
    if (ms > 0 && e != NULL && e->counted && !e->hurried && now.mono_ms + ms < fl->next_ms) {
        hurry(fl, e);
        fl->next_ms = now.mono_ms + ms;
    }
    wait_until(fl, fl->next_ms);
}

int forwarder_resolve(struct forwarder *f, const struct view *v, const struct query *q,
                      void (*on_reply)(void *context, const struct real *), void *context)
{
    struct flight *fl = inflight_find(&f->inflight, v, &q->key);
    bool joined = fl != NULL;
    struct waiter *w;

    if (fl == NULL && (fl = begin_flight(f, v, q, NULL)) == NULL)
        return -ENOBUFS;
    w = inflight_wait(&f->inflight, fl, q, on_reply, context);
    inflight_favour(fl);
    if (!joined)
        start_flight(fl, f->io->now(f->io).mono_ms);
    return w != NULL ? 0 : -ENOBUFS;
}

/* ---- what comes back ---- */

/* The flight follows the end, with the links in between put behind its own. */
static bool follow_end(struct flight *fl, const struct flight *links, struct flight *end)
{
    uint8_t both[CHAIN_MAX];

    if (links != NULL) {
        fl->chain_len = (uint16_t)reply_join(fl->chain, fl->chain_len, links->chain,
                                             links->chain_len, both, sizeof both);
        memcpy(fl->chain, both, fl->chain_len);
    }
    return end != NULL && fl->chain_len > 0 && inflight_follow(&fl->forwarder->inflight, fl, end);
}

/* The reply is a chain of CNAMEs that does not tell what is at its end. */
static void on_chain(struct flight *fl, struct exchange *e, const struct exchange_reply *r,
                     uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->end;
    struct real came = real_of_failure(RCODE_UNUSABLE, &e->server->report.server, r->ms);
    struct flight *end = NULL, *links = NULL, *x;
    bool follows;

    /* as if fl's client had asked for the end */
    q->client = (struct client){.transport = AUDIT_UDP};
    memcpy(q->client.addr.ip, fl->share->ip, sizeof fl->share->ip);
    q->message =
        (struct message){.flags = (fl->key.bits & CACHE_CD) != 0 ? DNS_RD | DNS_CD : DNS_RD,
                         .qname = r->facts.end,
                         .qtype = fl->key.type,
                         .qclass = fl->key.class,
                         .edns.do_bit = (fl->key.bits & CACHE_DO) != 0};
    q->kms = false; /* it is no client's question */
    q->kms_name = name_is_vlmcs(&q->message.qname);
    query_prepare(fl->view, q);
    close_tries(fl);
    fl->chain_len = (uint16_t)reply_join(r->image, r->len, NULL, 0, fl->chain, CHAIN_MAX);
    if (q->route == NULL || special_answer(q, 0, NULL) >= 0) {
        came.rcode = RCODE_REFUSED; /* nobody may be asked */
    } else if (!real_known(fl->view, &q->key, f->io->now(f->io), f->exchanges.image,
                           sizeof f->exchanges.image, &came)) {
        end = inflight_find(&f->inflight, fl->view, &q->key);
        if (end == NULL && fl->depth < REPLY_MAX_CHAIN &&
            (end = begin_flight(f, fl->view, q, fl)) != NULL) {
            end->depth = (uint8_t)(fl->depth + 1);
            start_flight(end, now_ms);
        }
        if (end != NULL && end->following != NULL) {
            links = end;
            end = end->following;
        }
        if (end == fl) /* chains that would wait for each other */
            end = NULL;
    }
    follows = follow_end(fl, links, end);
    while ((x = TAILQ_FIRST(&fl->followers)) != NULL) {
        inflight_unfollow(&f->inflight, x);
        if (!follow_end(x, fl, follows ? end : NULL))
            end_chain(x, &came);
    }
    if (!follows) {
        end_chain(fl, &came);
        return;
    }
    wait_until(fl, fl->end_ms);
}

static void on_result(struct exchange *e, enum exchange_kind kind, const struct exchange_reply *r)
{
    struct flight *fl = e->flight;
    struct forwarder *f = fl->forwarder;
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    int i = e->server_index;
    struct flight_server *t = &fl->servers[i];
    struct real came = {.image = r->image, .len = r->len};
    bool tcp = kind == EXCHANGE_TRUNCATED || e->tcp;
    bool plain = kind == EXCHANGE_NO_EDNS || !e->q.edns;
    bool *done = kind == EXCHANGE_TRUNCATED ? &t->over_tcp : &t->plain;

    if (r->failure != RCODE_NOERROR) {
        fl->failure = r->failure;
        fl->failed_by = e->server->report.server;
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
            on_chain(fl, e, r, now_ms);
            return;
        }
        if (r->failure == RCODE_NOERROR) {
            if (!fl->passthrough)
                came = real_of_reply(fl->view, f->exchanges.image, r->len, &r->facts, fl->kms_name);
            came.server = e->server->report.server;
            came.ms = r->ms;
            end_flight(fl, &came);
            return;
        }
        COUNT(f->stats, upstream_errors);
        t->minds_edns = t->minds_edns || r->no_edns;
        t->refused = true;
        drop_try(e);
        break;
    case EXCHANGE_TRUNCATED:
    case EXCHANGE_NO_EDNS:
        drop_try(e);
        if (try_again(fl, i, tcp, plain, done, now_ms))
            return;
        t->refused = true; /* it wants that twice */
        break;
    case EXCHANGE_FAILED:
        if (fl->passthrough) {
            fl->failure = RCODE_UNUSABLE;
            give_up(fl, false);
            return;
        }
        drop_try(e);
        break;
    }
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

/* ---- life ---- */

struct forwarder *forwarder_new(struct io *io, const struct forwarder_hooks *hooks, unsigned slots,
                                struct worker_stats *stats)
{
    struct forwarder *f = calloc(1, sizeof *f);
    struct hash_key key;

    if (f == NULL)
        return NULL;
    random_bytes(io->random, (uint8_t *)&key, sizeof key);
    f->io = f->exchanges.io = io;
    f->stats = f->exchanges.stats = stats;
    f->limit = slots;
    f->hooks = *hooks;
    TAILQ_INIT(&f->tries);
    return inflight_init(&f->inflight, slots, &key) ? f : NULL;
}

void forwarder_free(struct forwarder *f)
{
    struct upstream *s;
    struct flight *fl;

    if (f == NULL)
        return;
    while ((fl = inflight_victim(&f->inflight)) != NULL)
        give_up(fl, true);
    for (s = f->exchanges.servers; s < f->exchanges.servers + f->exchanges.n_servers; s++) {
        f->io->timer_clear(f->io, &s->probe_timer);
        if (s->probe != NULL)
            close_probe(s);
    }
    arena_free(f->inflight.arena);
    free(f);
}

void forwarder_limit(struct forwarder *f, unsigned slots)
{
    f->limit = slots < f->inflight.flights.n ? slots : f->inflight.flights.n;
}

const struct upstream_report *forwarder_upstream(const struct forwarder *f, const struct addr *a)
{
    for (uint32_t i = 0; i < f->exchanges.n_servers; i++) {
        const struct upstream_report *r = &f->exchanges.servers[i].report;

        if (addr_same(&r->server, a))
            return r;
    }
    return NULL;
}
