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
 * A try whose time is over is idle and keeps its socket: a late reply is as good
 * as one in time. When sockets are short, the oldest idle try of all flights is
 * closed for a new one. There are more than twice as many places for tries as for
 * flights, so tries at dead servers cannot keep others from being made.
 *
 * Order of servers: fewest tries in this flight, those that are up first, then
 * as written. A server that says SERVFAIL or REFUSED is not asked again.
 *
 * A reply may be a chain of CNAMEs without the records at its end. Then the
 * forwarder asks for the end itself, at the route of that name; the flight opens no
 * more tries, and is answered with its chain and what came for the end.
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
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/exchange.h"
#include "resolver/inflight.h"
#include "resolver/kms.h"
#include "resolver/special.h"
#include "wire/pack.h"

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

/* How a server is tried once more, beside its TRIES_EACH. */
enum { OVER_TCP = 1, WITHOUT_EDNS = 2 };

struct forwarder {
    struct io *io; /* borrowed */
    struct forwarder_hooks hooks;
    struct worker_stats *stats;
    struct upstreams upstreams;
    struct exchanges exchanges;
    TAILQ_HEAD(exchange_queue, exchange)
    idle; /* tries that listen on after their time, oldest first */
    struct inflight inflight;
    uint32_t limit;   /* flights at most */
    struct query q;   /* a waiter, made a query again */
    struct query end; /* the question for the end of a chain of CNAMEs */
    uint8_t out[DNS_MAX_MESSAGE];
};

static void set_flight_timer(struct flight *fl)
{
    struct io *io = fl->forwarder->io;
    uint64_t at_ms = fl->next_ms;

    if (fl->deadline_ms != 0 && fl->deadline_ms < at_ms)
        at_ms = fl->deadline_ms;
    if (fl->timer.at_ms != at_ms)
        io->timer_set(io, &fl->timer, at_ms);
}

/* ---- the end of a flight ---- */

/* The try that the flight waits for, or NULL; the one before it is idle now. */
static void set_current(struct flight *fl, struct exchange *e)
{
    struct exchange *old = fl->current;

    fl->current = e;
    if (old == NULL)
        return;
    old->is_idle = true;
    TAILQ_INSERT_TAIL(&fl->forwarder->idle, old, idle);
}

static void drop_try(struct flight *fl, struct exchange *e)
{
    LIST_REMOVE(e, entry);
    if (fl->current == e)
        fl->current = NULL;
    if (e->is_idle)
        TAILQ_REMOVE(&fl->forwarder->idle, e, idle);
    exchange_close(e);
}

static void close_tries(struct flight *fl)
{
    while (!LIST_EMPTY(&fl->tries))
        drop_try(fl, LIST_FIRST(&fl->tries));
}

/* Answers one waiter; false when it waits on. */
static bool answer_waiter(struct flight *fl, const struct waiter *w, const struct real *came,
                          struct now now)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->q;
    struct writer packet = writer_make(f->out, sizeof f->out);
    enum answer answer = ANSWER_SEND;

    q->out = f->out;
    q->out_size = sizeof f->out;
    waiter_restore(fl->view, w, q);
    if (!fl->passthrough) {
        answer = answer_query(fl->view, q, came, now);
        if (answer == ANSWER_WAIT)
            return false;
    } else if (came->image != NULL) {
        writer_u16(&packet, q->message.id);
        writer_bytes(&packet, came->image + 2, came->len - 2);
        q->out_len = packet.len;
    } else {
        answer = query_send(fl->view, q, NULL, 0, real_ede(came), NULL);
    }
    if (fl->passthrough)
        kms_event_passthrough(fl->view, q, came->image, came->len, &came->server, now);
    f->hooks.deliver(f->hooks.context, q, answer);
    return true;
}

/* The flight is over: all that wait are answered. It cannot be found any more, so
 * that a question asked from a callback begins a new one. */
static void end_flight(struct flight *fl, const struct real *came)
{
    struct forwarder *f = fl->forwarder;
    struct now now = f->io->now(f->io);
    const struct cache_key key = {.name = &fl->qname,
                                  .type = fl->qtype,
                                  .class = fl->qclass,
                                  .kind = CACHE_ANSWER,
                                  .bits = fl->bits,
                                  .scope = fl->scope,
                                  .hash = fl->hash};
    struct waiter *w;

    if (fl->following != NULL)
        inflight_drop(&f->inflight, fl->following, fl->at_end);
    inflight_hide(&f->inflight, fl);
    close_tries(fl);
    f->io->timer_clear(f->io, &fl->timer);
    if (!came->ours && !fl->passthrough)
        real_keep(fl->view, &key, came, now);
    while ((w = TAILQ_FIRST(&fl->clients)) != NULL) {
        (void)answer_waiter(fl, w, came, now);
        inflight_drop(&f->inflight, fl, w);
    }
    while ((w = TAILQ_FIRST(&fl->own)) != NULL) {
        w->on_reply(w->context, came);
        inflight_drop(&f->inflight, fl, w);
    }
    view_policy_end(fl->view);
    f->hooks.unpin(f->hooks.context, fl->view);
    inflight_give_back(&f->inflight, fl);
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

/* Our chain of CNAMEs and what came for its end, read as one reply, is the answer to
 * our question: so it has the limits of any (number of links, no loop). Where nobody
 * answers for the end, the chain alone is passed on, as it came; where somebody
 * should and failed, so have we. The end of the end lies deeper on the stack, and its
 * image is read by all that wait for it: so each has one of its own. */
static void answer_chain(struct flight *fl, const struct real *end)
{
    uint8_t *both = fl->view->scratch->second, image[DNS_MAX_MESSAGE];
    struct reply_facts facts;
    struct real came;
    struct message m;
    size_t len;

    if (end->image == NULL && end->rcode != RCODE_REFUSED) {
        end_flight(fl, end);
        return;
    }
    len = reply_join(inflight_chain(&fl->forwarder->inflight, fl), fl->chain_len, end->image,
                     end->len, both, DNS_MAX_MESSAGE);
    if (len == 0 || message_read_head(&m, both, len) != 0 ||
        reply_read(&m, both, len, (fl->bits & CACHE_DO) != 0, image, sizeof image, &len, &facts) !=
            0) {
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

static void on_end(void *context, const struct real *end)
{
    struct flight *fl = context;

    fl->following = NULL;
    answer_chain(fl, end);
}

/* ---- probes ---- */

static void on_probe_result(struct exchange *e, const struct exchange_result *r)
{
    struct upstream *s = e->owner;

    (void)r; /* the server's record knows already */
    s->probing = NULL;
    exchange_close(e);
}

static void on_probe_timer(struct io_timer *t)
{
    struct upstream *s = container_of(t, struct upstream, probe_timer);
    struct forwarder *f = s->forwarder;
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    const struct name root = {.len = 1};
    const struct exchange_question question = {
        .qname = &root, .qtype = TYPE_NS, .qclass = CLASS_IN, .no_edns = true};

    if (s->probing != NULL) {
        exchange_close(s->probing);
        s->probing = NULL;
        upstream_silent(s, false);
    }
    if (s->report.state != UPSTREAM_DOWN || now_ms - s->wanted_ms > PROBE_WANTED_MS)
        return;
    if (exchange_open(&f->exchanges, &question, s, on_probe_result, s, &s->probing) != 0)
        s->probing = NULL;
    f->io->timer_set(f->io, t, now_ms + PROBE_MS);
}

/* ---- tries ---- */

/* May the server have one more try in this flight? */
static bool may_try(const struct flight *fl, int i)
{
    const struct flight_server *t = &fl->servers[i];

    return t->n_tries - t->n_hurried < TRIES_EACH && fl->n_tries - fl->n_hurried < TRIES_ALL;
}

/* The server to try next, or -1. fresh: only one that this flight has not tried. */
static int choose_server(struct flight *fl, bool fresh, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    unsigned best_score = 0;
    int best = -1;

    for (int i = 0; i < fl->route->n_servers; i++) {
        struct upstream *s = upstream_get(&f->upstreams, &fl->route->servers[i], now_ms);
        const struct flight_server *t = &fl->servers[i];
        unsigned score = t->n_tries * 2u;

        if (s == NULL)
            continue;
        if (s->report.state == UPSTREAM_DOWN) {
            score++;
            if (s->probe_timer.at_ms == 0) {
                s->forwarder = f;
                s->probe_timer.fire = on_probe_timer;
                f->io->timer_set(f->io, &s->probe_timer, now_ms + PROBE_MS);
            }
        }
        if (t->refused || !may_try(fl, i) || (fresh && t->n_tries > 0))
            continue;
        if (best < 0 || score < best_score) {
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

    if (fl->deadline_ms <= now_ms || fl->n_hurried >= HURRIED_TRIES ||
        third >= fl->route->timeout_ms)
        return 0;
    return third;
}

static void on_result(struct exchange *, const struct exchange_result *);

/* One try at a server of the route: 0; -errno when it could not be sent. */
static int try_server(struct flight *fl, int i, unsigned how, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct upstream *s = upstream_get(&f->upstreams, &fl->route->servers[i], now_ms);
    bool suspect = (how & WITHOUT_EDNS) != 0 || (s != NULL && upstream_suspect_edns(s, now_ms));
    struct exchange_question question = {.qname = &fl->qname,
                                         .qtype = fl->qtype,
                                         .qclass = fl->qclass,
                                         .cd = (fl->bits & CACHE_CD) != 0,
                                         .do_bit = (fl->bits & CACHE_DO) != 0,
                                         .ad = fl->route->trust_ad,
                                         .tcp = (how & OVER_TCP) != 0,
                                         .no_edns = suspect || !fl->route->edns,
                                         .suspect_edns = suspect && fl->route->edns,
                                         .asked_ms = fl->begun_ms};
    struct exchange *e = NULL;
    uint64_t ms = 0;
    int rc = -ENOBUFS;

    if (fl->passthrough) {
        question.tcp = TAILQ_FIRST(&fl->clients)->client.transport == AUDIT_TCP;
        question.packet = inflight_chain(&f->inflight, fl);
        question.packet_len = fl->chain_len;
    }
    if (s != NULL)
        rc = exchange_open(&f->exchanges, &question, s, on_result, fl, &e);
    if (s != NULL && exchange_is_starved(rc) && !TAILQ_EMPTY(&f->idle)) {
        drop_try(TAILQ_FIRST(&f->idle)->owner, TAILQ_FIRST(&f->idle));
        rc = exchange_open(&f->exchanges, &question, s, on_result, fl, &e);
    }
    fl->starved = exchange_is_starved(rc);
    if (how == 0 && !fl->starved) {
        fl->servers[i].n_tries++;
        fl->n_tries++;
    }
    if (rc != 0)
        return rc;
    e->server_index = (uint8_t)i;
    e->counted = how == 0;
    LIST_INSERT_HEAD(&fl->tries, e, entry);
    set_current(fl, e);
    if (how == 0 && (ms = hurried_ms(fl, now_ms)) > 0)
        hurry(fl, e);
    fl->last_try = false;
    fl->next_ms = now_ms + (ms > 0 ? ms : fl->route->timeout_ms);
    if (how == 0 && (fl->next_ms > fl->end_ms || fl->passthrough))
        fl->next_ms = fl->end_ms;
    else if (fl->next_ms > fl->end_ms) /* who said "ask me another way" has the time for that */
        fl->end_ms = fl->next_ms;
    return 0;
}

static void try_later(struct flight *fl, uint64_t now_ms)
{
    fl->last_try = false;
    fl->next_ms = now_ms + RETRY_MS < fl->end_ms ? now_ms + RETRY_MS : fl->end_ms;
}

/* Nothing more may be tried: those that still listen get a full time, then it is
 * over. At once, if nobody listens: the timer ends it, never the caller. */
static void wait_for_the_rest(struct flight *fl, uint64_t now_ms)
{
    uint64_t end_ms = now_ms;
    const struct exchange *e;

    LIST_FOREACH(e, &fl->tries, entry)
        if (e->begun_ms + fl->route->timeout_ms > end_ms)
            end_ms = e->begun_ms + fl->route->timeout_ms;
    fl->last_try = true;
    fl->next_ms = end_ms < fl->end_ms ? end_ms : fl->end_ms;
}

/* The next server, or the one after it if nothing can be sent there. False when
 * there is none. */
static bool try_next(struct flight *fl, bool fresh, uint64_t now_ms)
{
    int i;

    while ((i = choose_server(fl, fresh, now_ms)) >= 0) {
        if (try_server(fl, i, 0, now_ms) == 0)
            return true;
        if (fl->starved) {
            try_later(fl, now_ms);
            return true;
        }
    }
    return false;
}

/* The current try has had its time. */
static void next_try(struct flight *fl, uint64_t now_ms)
{
    set_current(fl, NULL);
    if (!try_next(fl, false, now_ms))
        wait_for_the_rest(fl, now_ms);
}

/* A server has said no, or its socket failed: another one at once, if there is
 * one that was not asked; else those that perhaps mind EDNS once more without. */
static void next_server(struct flight *fl, uint64_t now_ms)
{
    if (try_next(fl, true, now_ms) || fl->current != NULL)
        return; /* or a try goes on, and has its time */
    for (int i = 0; i < fl->route->n_servers; i++) {
        struct flight_server *t = &fl->servers[i];

        if (!t->minds_edns || t->plain)
            continue;
        t->plain = true;
        if (try_server(fl, i, WITHOUT_EDNS, now_ms) == 0)
            return;
    }
    if (choose_server(fl, false, now_ms) >= 0)
        try_later(fl, now_ms);
    else
        wait_for_the_rest(fl, now_ms);
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

/* ---- what comes back ---- */

/* The same server once more, another way, which each flight does once; a server
 * that wants it twice has failed. */
static void ask_again(struct flight *fl, struct exchange *e, unsigned how, uint64_t now_ms)
{
    int i = e->server_index;
    struct flight_server *t = &fl->servers[i];
    bool *done = (how & OVER_TCP) != 0 && !e->q.tcp ? &t->over_tcp : &t->plain;
    bool again = !*done;

    *done = true;
    drop_try(fl, e);
    if (!again || try_server(fl, i, how, now_ms) != 0) {
        t->refused = true;
        next_server(fl, now_ms);
    }
}

static struct flight *begin_flight(struct forwarder *, const struct view *, const struct query *,
                                   const struct flight *keep);
static void start_flight(struct flight *, uint64_t now_ms);

/* The reply is a chain of CNAMEs that does not tell what is at its end. */
static void on_chain(struct flight *fl, struct exchange *e, const struct exchange_result *r,
                     uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->end;
    struct real came = real_of_failure(RCODE_UNUSABLE, &e->server->report.server, r->ms);
    struct flight *end, *x;

    /* as if fl's client had asked for the end */
    q->client = (struct client){.transport = AUDIT_UDP};
    memcpy(q->client.addr.ip, fl->share->ip, sizeof fl->share->ip);
    q->message = (struct message){.flags = (fl->bits & CACHE_CD) != 0 ? DNS_RD | DNS_CD : DNS_RD,
                                  .qname = r->facts->end,
                                  .qtype = fl->qtype,
                                  .qclass = fl->qclass,
                                  .edns.do_bit = (fl->bits & CACHE_DO) != 0};
    q->kms = false; /* it is no client's question */
    q->kms_name = name_is_vlmcs(&q->message.qname);
    query_prepare(fl->view, q);
    fl->chain_len = (uint16_t)reply_join(r->image, r->len, NULL, 0,
                                         inflight_chain(&f->inflight, fl), CHAIN_MAX);
    close_tries(fl);
    if (fl->chain_len > 0 && (q->route == NULL || special_answer(q, 0, NULL) >= 0)) {
        came.rcode = RCODE_REFUSED; /* nobody may be asked */
    } else if (fl->chain_len > 0 &&
               !real_known(fl->view, &q->key, f->io->now(f->io), f->exchanges.image,
                           sizeof f->exchanges.image, &came)) {
        /* a flight that is under way, but for one that waits for this; or a new one */
        end = inflight_find(&f->inflight, fl->view, &q->key);
        for (x = end; x != NULL && x != fl;)
            x = x->following;
        if (x == fl) {
            end = NULL;
        } else if (end == NULL && fl->depth < REPLY_MAX_CHAIN &&
                   (end = begin_flight(f, fl->view, q, fl)) != NULL) {
            if (fl->favoured)
                inflight_favour(end);
            end->depth = (uint8_t)(fl->depth + 1);
            start_flight(end, now_ms);
        }
        if (end != NULL && (fl->at_end = inflight_wait(&f->inflight, end, q, on_end, fl)) != NULL) {
            fl->following = end;
            fl->last_try = true;
            fl->next_ms = fl->end_ms;
            set_flight_timer(fl);
            return;
        }
    }
    answer_chain(fl, &came);
}

/* A reply that is accepted. True: the flight goes on. */
static bool accept_reply(struct flight *fl, struct exchange *e, const struct exchange_result *r,
                         uint64_t now_ms)
{
    struct real came = {.image = r->image, .len = r->len};

    if (fl->passthrough || r->facts->kind == REPLY_POSITIVE || r->facts->kind == REPLY_NODATA ||
        r->facts->kind == REPLY_NXDOMAIN) {
        if (!fl->passthrough)
            came = real_of_reply(fl->view, fl->forwarder->exchanges.image, r->len, r->facts,
                                 fl->kms_name);
        came.server = e->server->report.server;
        came.ms = r->ms;
        end_flight(fl, &came);
        return false;
    }
    if (r->facts->kind == REPLY_CNAME) {
        on_chain(fl, e, r, now_ms);
        return false;
    }
    COUNT(fl->forwarder->stats, upstream_errors);
    fl->failure = r->rcode != RCODE_NOERROR ? r->rcode : RCODE_UNUSABLE; /* a referral */
    fl->failed_by = e->server->report.server;
    fl->servers[e->server_index].refused = true;
    if (r->no_edns)
        fl->servers[e->server_index].minds_edns = true;
    drop_try(fl, e);
    next_server(fl, now_ms);
    return true;
}

static void on_result(struct exchange *e, const struct exchange_result *r)
{
    struct flight *fl = e->owner;
    uint64_t now_ms = fl->forwarder->io->now(fl->forwarder->io).mono_ms;
    int i = e->server_index;
    struct flight_server *t = &fl->servers[i];

    switch (r->kind) {
    case EXCHANGE_REPLY:
        if (!accept_reply(fl, e, r, now_ms))
            return;
        break;
    case EXCHANGE_TRUNCATED:
        ask_again(fl, e, OVER_TCP | (e->edns ? 0 : WITHOUT_EDNS), now_ms);
        break;
    case EXCHANGE_NO_EDNS:
        fl->failure = r->rcode;
        fl->failed_by = e->server->report.server;
        ask_again(fl, e, WITHOUT_EDNS | (e->q.tcp ? OVER_TCP : 0), now_ms);
        break;
    case EXCHANGE_UNSURE: /* one more try beside this one, which listens on */
        if (r->rcode != RCODE_TIMEOUT) {
            fl->failure = r->rcode;
            fl->failed_by = e->server->report.server;
        }
        if (r->elsewhere && fl->route->n_servers > 1) {
            (void)try_next(fl, true, now_ms);
        } else if (r->no_edns && !t->plain) {
            t->plain = true;
            (void)try_server(fl, i, WITHOUT_EDNS, now_ms);
        } else if (!r->no_edns && may_try(fl, i)) {
            (void)try_server(fl, i, 0, now_ms);
        }
        break;
    case EXCHANGE_FAILED:
        if (fl->passthrough) {
            fl->failure = RCODE_UNUSABLE;
            give_up(fl, false);
            return;
        }
        drop_try(fl, e);
        next_server(fl, now_ms);
        break;
    }
    set_flight_timer(fl);
}

/* ---- time ---- */

/* False when there is no other route. */
static bool fall_back(struct flight *fl, uint64_t now_ms)
{
    const struct settings *s = fl->view->settings;

    if (!fl->route->fall_back || fl->route->zone.labels == 0 || fl->following != NULL ||
        fl->passthrough)
        return false;
    for (int i = 0; i < s->n_routes; i++) {
        if (s->routes[i].zone.labels != 0)
            continue;
        close_tries(fl);
        fl->route = &s->routes[i];
        fl->n_tries = fl->n_hurried = 0;
        memset(fl->servers, 0, sizeof fl->servers);
        fl->end_ms = fl->begun_ms + patience(fl);
        next_try(fl, now_ms);
        return true;
    }
    return false;
}

static void on_flight_timer(struct io_timer *timer)
{
    struct flight *fl = container_of(timer, struct flight, timer);
    struct waiter *w, *next;
    struct real none;
    struct now now = fl->forwarder->io->now(fl->forwarder->io);

    if (fl->deadline_ms != 0 && fl->deadline_ms <= now.mono_ms) {
        /* Those whose deadline it is get what is known. */
        none =
            real_of_failure(RCODE_TIMEOUT, &fl->failed_by, (uint32_t)(now.mono_ms - fl->begun_ms));
        none.pending = true;
        for (w = TAILQ_FIRST(&fl->clients); w != NULL; w = next) {
            bool due = w->deadline_ms != 0 && w->deadline_ms <= now.mono_ms;

            if (due)
                w->deadline_ms = 0;
            due = due && answer_waiter(fl, w, &none, now);
            next = TAILQ_NEXT(w, entry);
            if (due)
                inflight_drop(&fl->forwarder->inflight, fl, w);
        }
        fl->deadline_ms = inflight_deadline(fl);
        view_policy_end(fl->view);
    }
    if (fl->next_ms <= now.mono_ms) {
        bool over = fl->last_try || now.mono_ms >= fl->end_ms;
        const struct exchange *e = fl->current;

        if (e != NULL && !e->hurried && !e->unsure &&
            e->begun_ms + fl->route->timeout_ms <= now.mono_ms) {
            struct flight_server *t = &fl->servers[e->server_index];

            /* Silence is counted once a flight: one name that a server cannot
             * answer says little of the server. */
            COUNT(fl->forwarder->stats, upstream_timeouts);
            upstream_silent(e->server, t->silent);
            t->silent = true;
        }
        if (over && !fall_back(fl, now.mono_ms)) {
            give_up(fl, fl->starved);
            return;
        }
        if (!over)
            next_try(fl, now.mono_ms);
    }
    set_flight_timer(fl);
}

static void start_flight(struct flight *fl, uint64_t now_ms)
{
    fl->begun_ms = now_ms;
    fl->end_ms = now_ms + patience(fl);
    fl->timer.fire = on_flight_timer;
    fl->deadline_ms = inflight_deadline(fl);
    next_try(fl, now_ms);
    set_flight_timer(fl);
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
    f->hooks.pin(f->hooks.context, v);
    return fl;
}

/* No place for it. A discovery question is decided all the same: the policy
 * may have an answer for a real DNS that says nothing. */
static void refuse(struct forwarder *f, const struct view *v, struct query *q)
{
    static const struct addr nobody;
    const struct real none = real_of_failure(RCODE_TIMEOUT, &nobody, 0);
    struct now now = f->io->now(f->io);
    enum answer answer;

    COUNT(f->stats, no_slot);
    if (q->kms)
        answer = answer_query(v, q, &none, now);
    else
        answer = query_send(v, q, NULL, 0, EDE_OTHER, NULL);
    if (q->passthrough)
        kms_event_passthrough(v, q, NULL, 0, &nobody, now);
    f->hooks.deliver(f->hooks.context, q, answer);
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

    /* The same packet again, since no answer came: one answer is enough. Each
     * discovery question is accounted for, so those wait side by side; and so do
     * those of a TCP connection, which counts the answers that are still due. */
    if (joined && !q->kms && q->client.transport == AUDIT_UDP && inflight_is_repeat(fl, q)) {
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
    if (joined) {
        COUNT(f->stats, joined);
        fl->deadline_ms = inflight_deadline(fl);
        ms = hurried_ms(fl, now.mono_ms);
        /* A discovery question joined one that is in no hurry: now it is. Only a try that
         * counts may be hurried: it is one that the limits then allow once more. */
        e = fl->current;
        if (ms > 0 && e != NULL && e->counted && !e->hurried && now.mono_ms + ms < fl->next_ms) {
            hurry(fl, e);
            fl->next_ms = now.mono_ms + ms;
        }
        set_flight_timer(fl);
        return;
    }
    if (q->passthrough) {
        memcpy(inflight_chain(in, fl), q->wire, q->wire_len);
        fl->chain_len = (uint16_t)q->wire_len;
    }
    start_flight(fl, now.mono_ms);
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

/* ---- life ---- */

struct forwarder *forwarder_new(struct io *io, const struct forwarder_hooks *hooks, unsigned slots,
                                struct worker_stats *stats)
{
    struct forwarder *f = calloc(1, sizeof *f);
    struct hash_key key;

    if (f == NULL)
        return NULL;
    random_bytes(io->random, (uint8_t *)&key, sizeof key);
    f->io = io;
    f->stats = stats;
    f->limit = slots;
    f->hooks = *hooks;
    f->exchanges.io = io;
    f->exchanges.stats = stats;
    TAILQ_INIT(&f->idle);
    if (inflight_init(&f->inflight, slots, &key) == 0 &&
        pool_init(&f->exchanges.pool, 2 * slots + UPSTREAM_MAX, sizeof(struct exchange)) == 0)
        return f;
    forwarder_free(f);
    return NULL;
}

void forwarder_free(struct forwarder *f)
{
    struct flight *fl;

    if (f == NULL)
        return;
    while ((fl = inflight_victim(&f->inflight)) != NULL)
        give_up(fl, true);
    for (uint32_t i = 0; i < f->upstreams.n; i++) {
        struct upstream *s = &f->upstreams.servers[i];

        f->io->timer_clear(f->io, &s->probe_timer);
        if (s->probing != NULL)
            exchange_close(s->probing);
    }
    inflight_fini(&f->inflight);
    free(f->exchanges.pool.places);
    free(f);
}

void forwarder_limit(struct forwarder *f, unsigned slots)
{
    f->limit = slots < f->inflight.flights.n ? slots : f->inflight.flights.n;
}

const struct upstream_report *forwarder_upstream(struct forwarder *f, const struct addr *a)
{
    const struct upstream *s = upstream_find(&f->upstreams, a);

    return s != NULL && s->report.queries > 0 ? &s->report : NULL;
}
