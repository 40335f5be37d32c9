/* SPDX-License-Identifier: BSD-2-Clause
 *
 * net.h -- a world (world.h) with a network: a forwarder over a struct io in memory
 * that keeps what is sent to servers and to clients and never answers by itself; the
 * clock stands until the test moves it, and chance is a fixed sequence.
 */
#ifndef TESTS_UNIT_RESOLVER_NET_H
#define TESTS_UNIT_RESOLVER_NET_H

#include "tests/unit/resolver/world.h"

#include "resolver/forward.h"

enum { NET_SENT = 1024, NET_ANSWERS = 1024, NET_TIMERS = 512, NET_EVENTS = 256, NET_VIEWS = 8 };

/* A packet that went to a server, with the socket it left on: each carries one. */
struct sent {
    struct io_peer *peer;       /* NULL: the socket is closed */
    struct addr server, source; /* source: 0: that of the system */
    enum io_kind kind;
    bool taken; /* the test has seen it */
    struct message m;
    size_t len;
    uint8_t wire[4096];
};

/* A packet that went to a client. */
struct answered {
    struct client client;
    uint8_t *wire; /* owned */
    size_t len;
};

struct net {
    struct loops *loops;
    struct io io;
    struct world *w;
    struct io_timer *timers[NET_TIMERS]; /* those that are set */
    int n_timers;
    struct sent *sent[NET_SENT]; /* owned */
    int n_sent, n_open, max_open, send_error;
    struct answered answered[NET_ANSWERS];
    int n_answered, answers_taken;
    struct audit_event events[NET_EVENTS];
    int n_events, events_taken;
    struct view views[NET_VIEWS]; /* generations, the last is the newest; with their settings */
    int n_views;
    struct forwarder *f;
    void (*send_client)(struct net *, const struct client *, const uint8_t *, size_t); /* or NULL */
};

static inline int net_question(struct io *io, struct io_peer *peer, const struct io_target *to,
                               const uint8_t *wire, size_t len)
{
    struct net *n = container_of(io, struct net, io);
    struct sent *s;

    if (n->n_open >= n->max_open)
        return -EMFILE;
    assert_in_range(n->n_sent, 0, NET_SENT - 1);
    assert_in_range(len, to->kind == IO_CONNECT ? 0 : DNS_HEADER, sizeof s->wire);
    s = n->sent[n->n_sent++] = calloc(1, sizeof *s);
    s->server = *to->server;
    s->source = to->source ? *to->source : (struct addr){0};
    s->kind = to->kind;
    s->taken = n->send_error != 0;
    if (n->send_error != 0)
        return n->send_error;
    s->len = len;
    if (len > 0) {
        memcpy(s->wire, wire, len);
        (void)message_read_query(&s->m, wire, len);
    }
    s->peer = peer;
    peer->handle = s;
    n->n_open++;
    return 0;
}

static inline void net_close(struct io *io, struct io_peer *peer)
{
    struct sent *s = peer->handle;

    if (s == NULL)
        return;
    s->peer = NULL;
    peer->handle = NULL;
    container_of(io, struct net, io)->n_open--;
}

static inline void net_timer_clear(struct io *io, struct io_timer *t)
{
    struct net *n = container_of(io, struct net, io);

    for (int i = 0; i < n->n_timers; i++)
        if (n->timers[i] == t)
            n->timers[i] = n->timers[--n->n_timers];
    t->at_ms = 0;
}

static inline void net_timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    struct net *n = container_of(io, struct net, io);

    net_timer_clear(io, t);
    assert_in_range(n->n_timers, 0, NET_TIMERS - 1);
    n->timers[n->n_timers++] = t;
    t->at_ms = at_ms;
}

static inline struct now net_now(struct io *io)
{
    return container_of(io, struct net, io)->w->now;
}

/* Lets time pass; timers fire at their times. */
static inline void net_wait(struct net *n, uint64_t ms)
{
    uint64_t end_ms = n->w->now.mono_ms + ms;

    for (;;) {
        struct io_timer *first = NULL;

        for (int i = 0; i < n->n_timers; i++)
            if (first == NULL || n->timers[i]->at_ms < first->at_ms)
                first = n->timers[i];
        if (first == NULL || first->at_ms > end_ms)
            break;
        if (first->at_ms > n->w->now.mono_ms)
            world_wait(n->w, first->at_ms - n->w->now.mono_ms);
        net_timer_clear(&n->io, first);
        first->fire(first);
    }
    world_wait(n->w, end_ms - n->w->now.mono_ms);
}

static inline void net_unpin(struct view *v)
{
    v->users--;
}

static inline unsigned net_flights(const struct net *n)
{
    unsigned all = n->w->view.users;

    for (int i = 0; i < n->n_views; i++)
        all += n->views[i].users;
    return all;
}

static inline void net_deliver(void *context, struct query *q, enum answer answer)
{
    struct net *n = context;

    if (answer == ANSWER_SEND) {
        struct answered *a = &n->answered[n->n_answered++];

        assert_in_range(n->n_answered, 0, NET_ANSWERS);
        *a = (struct answered){.client = q->client, .wire = malloc(q->out_len), .len = q->out_len};
        memcpy(a->wire, q->out, q->out_len);
        if (n->send_client != NULL)
            n->send_client(n, &q->client, q->out, q->out_len);
    }
    if (!q->has_event)
        return;
    assert_in_range(n->n_events, 0, NET_EVENTS - 1);
    n->events[n->n_events++] = q->event;
    q->has_event = false;
}

/* slots: flights at most. */
static inline struct net *net_new(unsigned slots)
{
    struct net *n = calloc(1, sizeof *n);
    struct forwarder_hooks hooks = {net_unpin, net_deliver, n, NULL, NULL};

    assert_non_null(n);
    n->w = world_new(NULL, "");
    hooks.cache = n->w->cache;
    hooks.loops = n->loops = loops_new(n->w->cache);
    n->max_open = NET_SENT;
    n->io = (struct io){.ask = net_question,
                        .close = net_close,
                        .timer_set = net_timer_set,
                        .timer_clear = net_timer_clear,
                        .now = net_now,
                        .random = &n->w->random};
    n->f = forwarder_new(&n->io, &hooks, slots, &n->w->stats);
    assert_non_null(n->f);
    return n;
}

/* Whatever happened: nothing is left open, set or pinned. */
static inline void net_free(struct net *n)
{
    forwarder_free(n->f);
    assert_int_equal(n->n_open, 0);
    assert_int_equal(net_flights(n), 0);
    assert_int_equal(n->n_timers, 0);
    for (int i = 0; i < n->n_sent; i++)
        free(n->sent[i]);
    for (int i = 0; i < n->n_answered; i++)
        free(n->answered[i].wire);
    for (int i = 0; i < n->n_views; i++)
        settings_free((struct settings *)(uintptr_t)n->views[i].settings);
    free(n->loops);
    world_free(n->w);
    free(n);
}

/* A reload: later questions see these settings. */
static inline void net_settings(struct net *n, struct settings *s)
{
    struct view *v = &n->views[n->n_views++];

    assert_in_range(n->n_views, 0, NET_VIEWS);
    s->generation = (uint64_t)n->n_views;
    *v = n->w->view;
    v->settings = s;
}

/* What a listener does with a packet. */
static inline void net_ask(struct net *n, const struct client *c, const uint8_t *wire, size_t len)
{
    struct view *v = &n->views[n->n_views - 1];
    struct query *q = n->w->q;
    enum answer answer;

    world_packet(n->w, *c, wire, len);
    answer = answer_read(v, q, n->w->now);
    if (answer == ANSWER_FORWARD)
        answer = answer_query(v, q, NULL, n->w->now);
    if (answer == ANSWER_FORWARD)
        (void)forwarder_ask(n->f, v, q, NULL, NULL);
    else
        net_deliver(n, q, answer);
    if (q->prefetch)
        forwarder_prefetch(n->f, v, q);
    view_policy_end(v);
}

/* What a server sends on the socket of a packet; NULL: it fails, len is -errno. False: it is
 * closed. */
static inline bool net_give(const struct sent *s, const uint8_t *wire, ssize_t len)
{
    if (s->peer == NULL)
        return false;
    s->peer->receive(s->peer, wire, len);
    return true;
}

#endif
