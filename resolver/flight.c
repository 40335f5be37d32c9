/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flight.c -- what is done for one question: which server is tried when, what
 * its reply means, when to stop, and who is told.
 *
 * Times of a flight:
 *   next_ms      the current try has had its time: the next one begins, or,
 *                after the last, the flight ends
 *   end_ms       a stub resolver gives up after 5 s: before that it is told
 *   deadline_ms  a KMS client's patience ends: it is answered with what is
 *                known, and the flight goes on for the others and for the cache
 * Before a KMS deadline two tries hurry: each is waited for a third of it. They
 * are beside the tries that any question has, of which the first comes in the
 * last third; and a server that does not reply to them in time is not silent.
 *
 * A try that had its time is idle and keeps its socket: a reply that comes late
 * is as good as one in time. When sockets are short, the idle try that is oldest,
 * of whatever flight, is closed for a new one. There are more places for tries
 * than twice the flights, so dead servers cannot take those of the living.
 *
 * Order of servers: fewest tries in this flight, those that are up first, then
 * as written. A server that says SERVFAIL or REFUSED is not asked again.
 *
 * A reply may be a chain of CNAMEs that does not tell what is at its end. Then the
 * end is asked in a flight of its own, at the route of its name, and this flight
 * follows it: it opens no more tries, and ends with what that one brings, behind
 * its own chain.
 */
#include "resolver/forwarder.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "resolver/special.h"

enum {
    TRIES_EACH = 3,
    TRIES_ALL = 6,
    PATIENCE_MS = 3800,
    RETRY_MS = 250, /* a socket error says little: ask again, but not at once */
    HURRIED_TRIES = 2,
};

/* How a server is tried once more, beside its TRIES_EACH. */
enum { OVER_TCP = 1, WITHOUT_EDNS = 2 };

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

static void idle_remove(struct exchange *e)
{
    struct forwarder *f = ((struct flight *)e->owner)->forwarder;

    *(e->older != NULL ? &e->older->newer : &f->idle_oldest) = e->newer;
    *(e->newer != NULL ? &e->newer->older : &f->idle_newest) = e->older;
    e->idle = false;
}

/* The try that the flight waits for, or NULL; the one before it is idle now. */
static void set_current(struct flight *fl, struct exchange *e)
{
    struct forwarder *f = fl->forwarder;
    struct exchange *old = fl->current;

    fl->current = e;
    if (old == NULL)
        return;
    old->idle = true;
    old->newer = NULL;
    old->older = f->idle_newest;
    *(old->older != NULL ? &old->older->newer : &f->idle_oldest) = old;
    f->idle_newest = old;
}

static void drop_try(struct flight *fl, struct exchange *e)
{
    struct exchange **at = &fl->open;

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    if (fl->current == e)
        fl->current = NULL;
    if (e->idle)
        idle_remove(e);
    exchange_close(e);
}

static void close_tries(struct flight *fl)
{
    while (fl->open != NULL)
        drop_try(fl, fl->open);
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

static void follow(struct flight *fl, struct flight *end)
{
    fl->following = end;
    fl->next_follower = end->followers;
    end->followers = fl;
}

static void unfollow(struct flight *fl)
{
    struct flight **at = &fl->following->followers;

    while (*at != fl)
        at = &(*at)->next_follower;
    *at = fl->next_follower;
    fl->following = NULL;
}

/* Tells those that wait. The flight cannot be found any more, so that a question
 * asked from a callback begins a new one. */
static void tell_all(struct flight *fl, const struct got *got, bool keep)
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

    if (fl->following != NULL)
        unfollow(fl);
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
}

static void give_back(struct flight *fl)
{
    struct forwarder *f = fl->forwarder;

    f->hooks.unpin(f->hooks.context, fl->view);
    inflight_give_back(&f->inflight, fl);
}

/* ---- a chain of CNAMEs that has not ended ---- */

/* Our chain of CNAMEs and the reply to its end, or the chain alone, read as one
 * reply: so it has the limits of any (number of links, no loop). */
static bool join_chain(struct flight *fl, const struct got *end, struct reply_facts *facts,
                       struct got *joined)
{
    struct forwarder *f = fl->forwarder;
    const struct message asked = {.flags = DNS_RD,
                                  .qname = fl->qname,
                                  .qtype = fl->qtype,
                                  .qclass = fl->qclass,
                                  .question_len = (uint16_t)(fl->qname.len + 4),
                                  .edns.do_bit = (fl->bits & CACHE_DO) != 0};
    uint8_t *both = fl->view->scratch->second;
    bool alone = end->kind != GOT_REPLY;
    size_t len = reply_join(inflight_chain(&f->inflight, fl), fl->chain_len,
                            alone ? NULL : end->image, alone ? 0 : end->len, both, DNS_MAX_MESSAGE);

    *joined = (struct got){.kind = GOT_REPLY,
                           .image = f->joined,
                           .facts = facts,
                           .rcode = end->rcode,
                           .server = end->server,
                           .ms = end->ms};
    if (len == 0 ||
        reply_read(both, len, &asked, f->joined, sizeof f->joined, &joined->len, facts) != 0)
        return false;
    if (facts->kind == REPLY_CNAME && !alone) /* the end has said that it has no such records */
        facts->kind = REPLY_NODATA;
    return true;
}

/* What came for the end of our chain is the answer to our question. Where nobody
 * answers for the end, the chain alone is passed on, as it came; where somebody
 * should and failed, so have we. */
static void end_chain(struct flight *fl, const struct got *end, bool keep)
{
    struct got got;
    struct reply_facts facts;
    bool usable = end->kind == GOT_REPLY || end->rcode == RCODE_REFUSED;

    if (!usable || !join_chain(fl, end, &facts, &got))
        got = (struct got){.kind = GOT_FAILURE,
                           .rcode = usable ? RCODE_UNUSABLE : end->rcode,
                           .server = end->server,
                           .ms = end->ms};
    tell_all(fl, &got, keep);
}

/* The first that follows fl ends with what came for fl. Those that follow it in
 * turn follow fl from now on, with both chains: so each is joined with the one
 * reply that is at hand. */
static void finish_follower(struct flight *fl, const struct got *got, bool keep)
{
    struct inflight *in = &fl->forwarder->inflight;
    struct flight *next = fl->followers;
    uint8_t *chain = inflight_chain(in, next), *both = fl->view->scratch->second;

    unfollow(next);
    while (next->followers != NULL) {
        struct flight *far = next->followers;
        size_t len = reply_join(inflight_chain(in, far), far->chain_len, chain, next->chain_len,
                                both, CHAIN_MAX);

        memcpy(inflight_chain(in, far), both, len);
        far->chain_len = (uint16_t)len; /* 0: too long, which ends it as unusable */
        unfollow(far);
        follow(far, fl);
    }
    end_chain(next, got, keep);
    give_back(next);
}

static void finish_followers(struct flight *fl, const struct got *got, bool keep)
{
    while (fl->followers != NULL)
        finish_follower(fl, got, keep);
    give_back(fl);
}

/* The flight is over, and with it those that follow it. */
static void finish(struct flight *fl, const struct got *got, bool keep)
{
    tell_all(fl, got, keep);
    finish_followers(fl, got, keep);
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

/* How the sets of servers in a flight hold the server. */
static uint16_t bit_of(int server)
{
    return (uint16_t)(1u << server);
}

/* May the server have one more try in this flight? */
static bool may_try(const struct flight *fl, int i)
{
    return fl->tries[i] - fl->hurried[i] < TRIES_EACH && fl->n_tries - fl->n_hurried < TRIES_ALL;
}

/* The server to try next, or -1. fresh: only one that this flight has not
 * tried. */
static int choose(struct flight *fl, bool fresh, uint64_t now_ms)
{
    unsigned best_score = 0;
    int best = -1;

    if (fl->n_tries - fl->n_hurried >= TRIES_ALL)
        return -1;
    for (int i = 0; i < fl->route->n_servers; i++) {
        struct upstream *s =
            upstream_get(&fl->forwarder->upstreams, &fl->route->servers[i], now_ms);
        unsigned score = fl->tries[i] * 2u;

        if (s == NULL)
            continue;
        if (upstream_is_down(s)) {
            probe_begin(fl->forwarder, s);
            score++;
        }
        if ((fl->refused & bit_of(i)) != 0 || !may_try(fl, i) || (fresh && fl->tries[i] > 0))
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
    fl->hurried[e->server_index]++;
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

/* When this try alone has had its time. A server that said "ask me another way"
 * has the time for that. */
static void set_patience(struct flight *fl, struct exchange *e, unsigned how, uint64_t now_ms)
{
    uint64_t ms = how == 0 ? hurried_ms(fl, now_ms) : 0;

    if (ms > 0)
        hurry(fl, e);
    fl->last_try = false;
    fl->next_ms = now_ms + (ms > 0 ? ms : fl->route->timeout_ms);
    if (fl->next_ms > fl->end_ms && how == 0)
        fl->next_ms = fl->end_ms;
    else if (fl->next_ms > fl->end_ms)
        fl->end_ms = fl->next_ms;
}

static int open_try(struct flight *fl, unsigned how, struct upstream *s, uint64_t now_ms,
                    struct exchange **e)
{
    struct forwarder *f = fl->forwarder;
    bool suspect = (how & WITHOUT_EDNS) != 0 || upstream_suspect_edns(s, now_ms);
    const struct exchange_question question = {.qname = &fl->qname,
                                               .qtype = fl->qtype,
                                               .qclass = fl->qclass,
                                               .cd = (fl->bits & CACHE_CD) != 0,
                                               .do_bit = (fl->bits & CACHE_DO) != 0,
                                               .ad = fl->route->trust_ad,
                                               .tcp = (how & OVER_TCP) != 0,
                                               .no_edns = suspect || !fl->route->edns,
                                               .suspect_edns = suspect && fl->route->edns,
                                               .asked_ms = fl->begun_ms};
    int rc = exchange_open(&f->exchanges, &question, s, heard, fl, e);

    if (exchange_is_starved(rc) && f->idle_oldest != NULL) {
        drop_try(f->idle_oldest->owner, f->idle_oldest);
        rc = exchange_open(&f->exchanges, &question, s, heard, fl, e);
    }
    return rc;
}

/* One try at a server of the route: 0; -errno when it could not be sent. */
static int try_server(struct flight *fl, int i, unsigned how, uint64_t now_ms)
{
    struct upstream *s = upstream_get(&fl->forwarder->upstreams, &fl->route->servers[i], now_ms);
    struct exchange *e;
    int rc = s != NULL ? open_try(fl, how, s, now_ms, &e) : -ENOBUFS;

    fl->starved = exchange_is_starved(rc);
    if (how == 0 && !fl->starved) {
        fl->tries[i]++;
        fl->n_tries++;
    }
    if (rc != 0)
        return rc;
    e->server_index = (uint8_t)i;
    e->counted = how == 0;
    e->next = fl->open;
    fl->open = e;
    set_current(fl, e);
    set_patience(fl, e, how, now_ms);
    return 0;
}

static void try_later(struct flight *fl, uint64_t now_ms)
{
    fl->last_try = false;
    fl->next_ms = now_ms + RETRY_MS < fl->end_ms ? now_ms + RETRY_MS : fl->end_ms;
}

/* Nothing more may be tried: those that still listen get a full time, then it
 * is over. */
static void wait_for_the_rest(struct flight *fl, uint64_t now_ms)
{
    uint64_t end_ms = now_ms;

    for (const struct exchange *e = fl->open; e != NULL; e = e->next)
        if (e->begun_ms + fl->route->timeout_ms > end_ms)
            end_ms = e->begun_ms + fl->route->timeout_ms;
    fl->last_try = true;
    fl->next_ms = end_ms < fl->end_ms ? end_ms : fl->end_ms; /* now, if nobody listens: the timer
                                                              * ends it, never the caller */
}

/* The next server, or the one after it if nothing can be sent there. False when
 * there is none. */
static bool try_next(struct flight *fl, bool fresh, uint64_t now_ms)
{
    int i;

    while ((i = choose(fl, fresh, now_ms)) >= 0) {
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
        uint16_t bit = bit_of(i);

        if ((fl->minds_edns & ~fl->plain & bit) == 0)
            continue;
        fl->plain |= bit;
        if (try_server(fl, i, WITHOUT_EDNS, now_ms) == 0)
            return;
    }
    if (choose(fl, false, now_ms) >= 0)
        try_later(fl, now_ms);
    else
        wait_for_the_rest(fl, now_ms);
}

/* ---- what comes back ---- */

static bool is_final(const struct reply_facts *facts)
{
    return facts->kind == REPLY_POSITIVE || facts->kind == REPLY_NODATA ||
           facts->kind == REPLY_NXDOMAIN;
}

/* The same server once more, another way, which each flight does once; a server
 * that wants it twice has failed. */
static void ask_again(struct flight *fl, struct exchange *e, unsigned how, uint64_t now_ms)
{
    uint16_t bit = bit_of(e->server_index);
    uint16_t *done = (how & OVER_TCP) != 0 && !e->tcp ? &fl->tcp : &fl->plain;
    int i = e->server_index;
    bool again = (*done & bit) == 0;

    *done |= bit;
    drop_try(fl, e);
    if (!again || try_server(fl, i, how, now_ms) != 0) {
        fl->refused |= bit;
        next_server(fl, now_ms);
    }
}

/* One more try beside e, which listens on. */
static void try_beside(struct flight *fl, const struct exchange *e,
                       const struct exchange_news *news, uint64_t now_ms)
{
    uint16_t bit = bit_of(e->server_index);
    int i = e->server_index;

    if (news->rcode != RCODE_TIMEOUT) {
        fl->failure = news->rcode;
        fl->failed_by = e->server->addr;
    }
    if (news->elsewhere && fl->route->n_servers > 1) {
        (void)try_next(fl, true, now_ms);
    } else if (news->no_edns && (fl->plain & bit) == 0) {
        fl->plain |= bit;
        (void)try_server(fl, i, WITHOUT_EDNS, now_ms);
    } else if (!news->no_edns && may_try(fl, i)) {
        (void)try_server(fl, i, 0, now_ms);
    }
}

/* The question for the end of a chain of CNAMEs, as if fl's client had asked it. */
static const struct query *end_question(const struct flight *fl, const struct name *end)
{
    struct query *q = &fl->forwarder->end;

    q->client = (struct client){.transport = AUDIT_UDP};
    memcpy(q->client.addr.ip, fl->share->ip, sizeof fl->share->ip);
    q->message = (struct message){.flags = (fl->bits & CACHE_CD) != 0 ? DNS_RD | DNS_CD : DNS_RD,
                                  .qname = *end,
                                  .qtype = fl->qtype,
                                  .qclass = fl->qclass,
                                  .edns.do_bit = (fl->bits & CACHE_DO) != 0};
    q->kms = false; /* it is no client's question */
    q->kms_name = name_is_vlmcs(end);
    answer_prepare(fl->view, q);
    return q;
}

/* The flight that asks the question, one that is under way or a new one; NULL
 * when there can be none: no route, no place, too deep, or it waits for fl. */
static struct flight *end_flight(struct flight *fl, const struct query *q, uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    struct flight *end = inflight_find(&f->inflight, fl->view, &q->key);

    for (const struct flight *x = end; x != NULL; x = x->following)
        if (x == fl)
            return NULL;
    if (end != NULL || fl->depth >= REPLY_MAX_CHAIN ||
        (end = forwarder_begin(f, fl->view, q, fl)) == NULL)
        return end;
    if (fl->favoured)
        share_favour(end);
    end->depth = (uint8_t)(fl->depth + 1);
    flight_begin(f, end, now_ms);
    return end;
}

/* The reply is a chain of CNAMEs that does not tell what is at its end. */
static void heard_chain(struct flight *fl, struct exchange *e, const struct exchange_news *news,
                        uint64_t now_ms)
{
    struct forwarder *f = fl->forwarder;
    const struct query *q = end_question(fl, &news->facts->end);
    struct got got = {
        .kind = GOT_FAILURE, .rcode = RCODE_UNUSABLE, .server = e->server->addr, .ms = news->ms};
    struct flight *end;

    fl->chain_len = (uint16_t)reply_join(news->image, news->len, NULL, 0,
                                         inflight_chain(&f->inflight, fl), CHAIN_MAX);
    close_tries(fl);
    if (fl->chain_len > 0 && (q->route == NULL || special_rcode(q) >= 0))
        got.rcode = RCODE_REFUSED; /* nobody may be asked */
    else if (fl->chain_len > 0 &&
             !answer_known(fl->view, &q->key, f->io->now(f->io), f->exchanges.image,
                           sizeof f->exchanges.image, &got) &&
             (end = end_flight(fl, q, now_ms)) != NULL) {
        follow(fl, end);
        fl->last_try = true;
        fl->next_ms = fl->end_ms;
        set_timer(fl);
        return;
    }
    end_chain(fl, &got, true);
    finish_followers(fl, &got, true);
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
    if (news->facts->kind == REPLY_CNAME) {
        heard_chain(fl, e, news, now_ms);
        return;
    }
    COUNT(fl->forwarder->stats, upstream_errors);
    fl->failure = news->rcode != RCODE_NOERROR ? news->rcode : RCODE_UNUSABLE; /* a referral */
    fl->failed_by = e->server->addr;
    fl->refused |= bit_of(e->server_index);
    if (news->no_edns)
        fl->minds_edns |= bit_of(e->server_index);
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
        ask_again(fl, e, OVER_TCP | (e->edns ? 0 : WITHOUT_EDNS), now_ms);
        break;
    case EXCHANGE_NO_EDNS:
        fl->failure = news->rcode;
        fl->failed_by = e->server->addr;
        ask_again(fl, e, WITHOUT_EDNS | (e->tcp ? OVER_TCP : 0), now_ms);
        break;
    case EXCHANGE_UNSURE:
        try_beside(fl, e, news, now_ms);
        break;
    case EXCHANGE_FAILED:
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

/* How long a route may take; with another route to fall back to it is half. */
static uint64_t patience(const struct route *r)
{
    uint64_t ms = r->fall_back && r->zone.labels > 0 ? PATIENCE_MS / 2 : PATIENCE_MS;

    return ms > r->timeout_ms ? ms : r->timeout_ms;
}

/* False when there is no other route. */
static bool fall_back(struct flight *fl, uint64_t now_ms)
{
    const struct settings *s = fl->view->settings;

    if (!fl->route->fall_back || fl->route->zone.labels == 0 || fl->following != NULL)
        return false;
    for (int i = 0; i < s->n_routes; i++) {
        if (s->routes[i].zone.labels != 0)
            continue;
        close_tries(fl);
        fl->route = &s->routes[i];
        fl->n_tries = fl->n_hurried = 0;
        memset(fl->tries, 0, sizeof fl->tries);
        memset(fl->hurried, 0, sizeof fl->hurried);
        fl->refused = fl->silent = fl->tcp = fl->minds_edns = fl->plain = 0;
        fl->end_ms = fl->begun_ms + patience(fl->route);
        next_try(fl, now_ms);
        return true;
    }
    return false;
}

/* Silence is counted once a flight: one name that a server cannot answer says
 * little of the server. */
static void try_timed_out(struct flight *fl, uint64_t now_ms)
{
    struct exchange *e = fl->current;
    uint16_t bit = bit_of(e->server_index);

    if (e->hurried || e->unsure || now_ms < e->begun_ms + fl->route->timeout_ms)
        return;
    COUNT(fl->forwarder->stats, upstream_timeouts);
    upstream_silent(e->server, (fl->silent & bit) != 0);
    fl->silent |= bit;
}

static void on_timer(struct io_timer *t)
{
    struct flight *fl = flight_of(t);
    struct now now = fl->forwarder->io->now(fl->forwarder->io);

    if (fl->deadline_ms != 0 && fl->deadline_ms <= now.mono_ms)
        deadline_passed(fl, now);
    if (fl->next_ms <= now.mono_ms) {
        bool over = fl->last_try || now.mono_ms >= fl->end_ms;

        if (fl->current != NULL)
            try_timed_out(fl, now.mono_ms);
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
    fl->end_ms = now_ms + patience(fl->route);
    fl->timer.fire = on_timer;
    fl->deadline_ms = inflight_deadline(fl);
    next_try(fl, now_ms);
    set_timer(fl);
}

void flight_joined(struct flight *fl, uint64_t now_ms)
{
    struct exchange *e = fl->current;
    uint64_t ms;

    fl->deadline_ms = inflight_deadline(fl);
    ms = hurried_ms(fl, now_ms);
    /* A discovery question joined one that is in no hurry: now it is. Only a try that
     * counts may be hurried: it is one that the limits then allow once more. */
    if (ms > 0 && e != NULL && e->counted && !e->hurried && now_ms + ms < fl->next_ms) {
        hurry(fl, e);
        fl->next_ms = now_ms + ms;
    }
    set_timer(fl);
}
