/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flight.c -- what is done for one question: which server is tried when, what
 * its reply means, when to stop, and who is told.
 *
 * Times of a flight:
 *   next_ms      the current try has had its time: the next one begins, or,
 *                after the last, the flight ends
 *   deadline_ms  a KMS client's patience ends: it is answered with what is
 *                known, and the flight goes on for the cache
 * A try that had its time keeps its socket: a reply that comes late is as good
 * as one in time, and matters where a discovery question hurries from one try
 * to the next.
 *
 * Order of servers: fewest tries in this flight, those that are up first, then
 * as written. A server that says SERVFAIL or REFUSED is not asked again.
 */
#include "resolver/forwarder.h"

#include <errno.h>
#include <stddef.h>

enum {
    TRIES_EACH = 3,
    TRIES_ALL = 6,
    FLIGHT_MS = 10000, /* of one route */
    RETRY_MS = 250,    /* a socket error says little: ask again, but not at once */
    KMS_TRIES = 3,     /* that many fit into the deadline */
};

static struct flight *flight_of(struct io_timer *t)
{
    return (struct flight *)(void *)((char *)t - offsetof(struct flight, timer));
}

static void set_timer(struct flight *fl)
{
    struct io *io = fl->forwarder->io;
    uint64_t at_ms = fl->next_ms;

    if (fl->deadline_ms != 0 && fl->deadline_ms < at_ms)
        at_ms = fl->deadline_ms;
    if (fl->timer.slot == 0 || fl->timer.at_ms != at_ms)
        io->timer_set(io, &fl->timer, at_ms);
}

static uint32_t ms_between(uint64_t from, uint64_t to)
{
    return to > from ? (uint32_t)(to - from) : 0;
}

/* ---- the end ---- */

static void close_tries(struct flight *fl)
{
    while (fl->open != NULL) {
        struct exchange *e = fl->open;

        fl->open = e->next;
        exchange_close(e);
    }
    fl->current = NULL;
}

/* Answers one waiter; false when it waits on. */
static bool answer_waiter(struct flight *fl, const struct waiter *w, const struct got *got,
                          struct now now)
{
    struct forwarder *f = fl->forwarder;
    struct query *q = &f->q;
    enum answer answer;

    waiter_restore(w, q);
    q->out = f->out;
    q->out_size = sizeof f->out;
    answer_prepare(fl->view, q);
    answer = answer_query(fl->view, q, got, now);
    if (answer == ANSWER_WAIT)
        return false;
    forwarder_deliver(f, fl->view, q, answer);
    return true;
}

/* Tells everybody. The flight cannot be found any more, so that a question
 * asked from a callback begins a new one. */
static void finish(struct flight *fl, const struct got *got, bool keep)
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

    inflight_hide(&f->inflight, fl);
    close_tries(fl);
    f->io->timer_clear(f->io, &fl->timer);
    if (keep)
        answer_keep(fl->view, &key, got, fl->kms_name, now);
    while (fl->first != NULL) {
        struct waiter *w = fl->first;

        fl->first = w->next;
        (void)answer_waiter(fl, w, got, now);
        inflight_free_waiter(&f->inflight, w);
    }
    while (fl->askers != NULL) {
        struct asker *a = fl->askers, copy = *a;

        fl->askers = a->next;
        inflight_free_asker(&f->inflight, a);
        copy.done(copy.context, got);
    }
    view_policy_end(fl->view);
    f->hooks.unpin(f->hooks.context, fl->view);
    inflight_give_back(&f->inflight, fl);
}

void flight_give_up(struct flight *fl, bool keep)
{
    const struct got got = {
        .kind = GOT_FAILURE,
        .rcode = fl->failure,
        .server = fl->failed_by,
        .ms = ms_between(fl->begun_ms, fl->forwarder->io->now(fl->forwarder->io).mono_ms)};

    finish(fl, &got, keep);
}

/* ---- tries ---- */

static void heard(struct exchange *, const struct exchange_news *);

/* The server to try next, or -1. fresh: only one that this flight has not
 * tried. */
static int choose(struct flight *fl, bool fresh, uint64_t now_ms)
{
    unsigned best_score = 0;
    int best = -1;

    if (fl->n_tries >= TRIES_ALL)
        return -1;
    for (int i = 0; i < fl->route->n_servers; i++) {
        struct upstream *s =
            upstream_get(&fl->forwarder->upstreams, &fl->route->servers[i], now_ms);
        unsigned score = fl->tries[i] * 2u;

        if (s == NULL)
            continue;
        if (upstream_is_down(s)) {
            probe_begin(fl->forwarder, s); /* wanted again, after a quiet time */
            score++;
        }
        if ((fl->refused >> i & 1) != 0 || fl->tries[i] >= (fresh ? 1 : TRIES_EACH))
            continue;
        if (best < 0 || score < best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* How long this try alone is waited for. */
static uint64_t patience(const struct flight *fl, uint64_t now_ms)
{
    uint64_t ms = fl->route->timeout_ms;

    if (fl->deadline_ms > now_ms) {
        uint64_t third = fl->view->settings->kms.upstream_deadline_ms / KMS_TRIES;

        if (third > 0 && third < ms)
            ms = third;
    }
    return ms;
}

/* One try at a server of the route. False when it could not be sent. */
static bool try_server(struct flight *fl, int i, bool tcp, bool no_edns, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct upstream *s = upstream_get(&f->upstreams, &fl->route->servers[i], now_ms);
    const struct exchange_question question = {.qname = &fl->qname,
                                               .qtype = fl->qtype,
                                               .qclass = fl->qclass,
                                               .cd = (fl->bits & CACHE_CD) != 0,
                                               .do_bit = (fl->bits & CACHE_DO) != 0,
                                               .ad = fl->route->trust_ad,
                                               .tcp = tcp,
                                               .no_edns = no_edns};
    struct exchange *e;
    int rc;

    fl->tries[i]++;
    fl->n_tries++;
    rc = s != NULL ? exchange_open(&f->exchanges, &question, s, heard, fl, &e) : -ENOBUFS;
    if (rc != 0) {
        fl->starved = fl->starved || exchange_is_starved(rc);
        return false;
    }
    e->server_index = (uint8_t)i;
    e->next = fl->open;
    fl->open = fl->current = e;
    fl->last_try = false;
    fl->next_ms = now_ms + patience(fl, now_ms);
    return true;
}

/* Nothing more may be tried: those that still listen get a full time, then it
 * is over. */
static void wait_for_the_rest(struct flight *fl, uint64_t now_ms)
{
    uint64_t end_ms = now_ms;

    for (const struct exchange *e = fl->open; e != NULL; e = e->next)
        if (e->begun_ms + fl->route->timeout_ms > end_ms)
            end_ms = e->begun_ms + fl->route->timeout_ms;
    if (end_ms > fl->begun_ms + FLIGHT_MS)
        end_ms = fl->begun_ms + FLIGHT_MS;
    fl->last_try = true;
    fl->next_ms = end_ms; /* now, if nobody listens: the timer ends it, never the caller */
}

/* The next try of any server. */
static void next_try(struct flight *fl, uint64_t now_ms)
{
    int i;

    fl->current = NULL;
    while ((i = choose(fl, false, now_ms)) >= 0)
        if (try_server(fl, i, false, false, now_ms))
            return;
    wait_for_the_rest(fl, now_ms);
}

/* A server has said no, or its socket failed: another one at once, if there is
 * one that was not asked. */
static void next_server(struct flight *fl, uint64_t now_ms)
{
    int i;

    while ((i = choose(fl, true, now_ms)) >= 0)
        if (try_server(fl, i, false, false, now_ms))
            return;
    if (fl->current != NULL)
        return; /* a try goes on, and has its time */
    if (choose(fl, false, now_ms) >= 0) {
        fl->last_try = false;
        fl->next_ms = now_ms + RETRY_MS;
    } else {
        wait_for_the_rest(fl, now_ms);
    }
}

/* ---- what comes back ---- */

static void drop_try(struct flight *fl, struct exchange *e)
{
    struct exchange **at = &fl->open;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    if (fl->current == e)
        fl->current = NULL;
    exchange_close(e);
}

static bool is_final(const struct reply_facts *facts)
{
    return facts->kind == REPLY_POSITIVE || facts->kind == REPLY_NODATA ||
           facts->kind == REPLY_NXDOMAIN;
}

/* The same server once more, another way; if it had all its tries, the next. */
static void ask_again(struct flight *fl, struct exchange *e, bool tcp, bool no_edns,
                      uint64_t now_ms)
{
    int i = e->server_index;

    drop_try(fl, e);
    if (fl->n_tries >= TRIES_ALL || fl->tries[i] >= TRIES_EACH ||
        !try_server(fl, i, tcp, no_edns, now_ms)) {
        fl->refused |= (uint16_t)(1u << i);
        next_server(fl, now_ms);
    }
}

static void heard_reply(struct flight *fl, struct exchange *e, const struct exchange_news *news,
                        uint64_t now_ms)
{
    if (is_final(news->facts)) {
        const struct got got = {.kind = GOT_REPLY,
                                .image = news->image,
                                .len = news->len,
                                .facts = news->facts,
                                .rcode = news->rcode,
                                .server = e->server->addr,
                                .ms = news->ms};

        finish(fl, &got, true);
        return;
    }
    COUNT(fl->forwarder->stats, upstream_errors);
    fl->failure =
        news->rcode != RCODE_NOERROR ? news->rcode : RCODE_SERVFAIL; /* a referral is of no use */
    fl->failed_by = e->server->addr;
    fl->refused |= (uint16_t)(1u << e->server_index);
    drop_try(fl, e);
    next_server(fl, now_ms);
    set_timer(fl);
}

static void heard(struct exchange *e, const struct exchange_news *news)
{
    struct flight *fl = e->owner;
    uint64_t now_ms = fl->forwarder->io->now(fl->forwarder->io).mono_ms;

    switch (news->kind) {
    case EXCHANGE_REPLY:
        heard_reply(fl, e, news, now_ms);
        return; /* the flight may be gone */
    case EXCHANGE_TRUNCATED:
        ask_again(fl, e, true, false, now_ms);
        break;
    case EXCHANGE_NO_EDNS:
        fl->failure = news->rcode;
        fl->failed_by = e->server->addr;
        ask_again(fl, e, e->tcp, true, now_ms);
        break;
    case EXCHANGE_CASE:
        if (fl->n_tries < TRIES_ALL && fl->tries[e->server_index] < TRIES_EACH)
            (void)try_server(fl, e->server_index, false, false, now_ms);
        break;
    case EXCHANGE_FAILED:
        if (upstream_is_down(e->server))
            probe_begin(fl->forwarder, e->server);
        drop_try(fl, e);
        next_server(fl, now_ms);
        break;
    }
    set_timer(fl);
}

/* ---- time ---- */

/* Those whose deadline it is get what is known. */
static void deadline_passed(struct flight *fl, struct now now)
{
    const struct got got = {.kind = GOT_DEADLINE,
                            .rcode = fl->failure,
                            .server = fl->failed_by,
                            .ms = ms_between(fl->begun_ms, now.mono_ms)};
    struct waiter **at = &fl->first;

    while (*at != NULL) {
        struct waiter *w = *at;
        bool due = w->deadline_ms != 0 && w->deadline_ms <= now.mono_ms;

        if (due)
            w->deadline_ms = 0;
        if (due && answer_waiter(fl, w, &got, now)) {
            *at = w->next;
            fl->n_waiters--;
            inflight_free_waiter(&fl->forwarder->inflight, w);
        } else {
            at = &w->next;
        }
    }
    fl->last = at;
    fl->deadline_ms = inflight_deadline(fl);
    view_policy_end(fl->view);
}

/* False when there is no other route. */
static bool fall_back(struct flight *fl, uint64_t now_ms)
{
    const struct settings *s = fl->view->settings;

    if (!fl->route->fall_back || fl->route->zone.labels == 0)
        return false;
    for (int i = 0; i < s->n_routes; i++) {
        if (s->routes[i].zone.labels != 0)
            continue;
        close_tries(fl);
        fl->route = &s->routes[i];
        fl->n_tries = 0;
        for (int k = 0; k < ROUTE_MAX_SERVERS; k++)
            fl->tries[k] = 0;
        fl->refused = 0;
        fl->begun_ms = now_ms;
        next_try(fl, now_ms);
        return true;
    }
    return false;
}

static void try_timed_out(struct flight *fl)
{
    struct upstream *s = fl->current->server;

    COUNT(fl->forwarder->stats, upstream_timeouts);
    upstream_silent(s);
    if (upstream_is_down(s))
        probe_begin(fl->forwarder, s);
    fl->current = NULL;
}

static void on_timer(struct io_timer *t)
{
    struct flight *fl = flight_of(t);
    struct now now = fl->forwarder->io->now(fl->forwarder->io);

    if (fl->deadline_ms != 0 && fl->deadline_ms <= now.mono_ms)
        deadline_passed(fl, now);
    if (fl->next_ms <= now.mono_ms) {
        bool over = fl->last_try || now.mono_ms >= fl->begun_ms + FLIGHT_MS;

        if (fl->current != NULL && !fl->last_try)
            try_timed_out(fl);
        if (over && !fall_back(fl, now.mono_ms)) {
            flight_give_up(fl, !fl->starved);
            return;
        }
        if (!over)
            next_try(fl, now.mono_ms);
    }
    set_timer(fl);
}

void flight_begin(struct forwarder *f, struct flight *fl, uint64_t now_ms)
{
    fl->forwarder = f;
    fl->begun_ms = now_ms;
    fl->timer.fire = on_timer;
    fl->deadline_ms = inflight_deadline(fl);
    next_try(fl, now_ms);
    set_timer(fl);
}

void flight_joined(struct flight *fl, uint64_t now_ms)
{
    uint64_t third = fl->view->settings->kms.upstream_deadline_ms / KMS_TRIES;

    fl->deadline_ms = inflight_deadline(fl);
    /* A discovery question joined one that is in no hurry: now it is. */
    if (fl->deadline_ms > now_ms && !fl->last_try && third > 0 && now_ms + third < fl->next_ms)
        fl->next_ms = now_ms + third;
    set_timer(fl);
}
