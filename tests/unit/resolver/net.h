/* SPDX-License-Identifier: BSD-2-Clause
 *
 * net.h -- a forwarder over a struct io that keeps what is sent and never
 * answers by itself, for tests of limits and of life.
 */
#ifndef TESTS_UNIT_RESOLVER_NET_H
#define TESTS_UNIT_RESOLVER_NET_H

#include "tests/unit/resolver/world.h"

#include <errno.h>
#include <string.h>

#include "resolver/forward.h"
#include "tests/timers.h"
#include "wire/reply.h"

enum { SLOTS = 16, SENT = 1024 };

struct net {
    struct io io; /* first */
    struct timers timers;
    struct world *w;
    struct {
        struct io_peer *peer;
        uint8_t wire[512];
        size_t len;
    } sent[SENT];
    int n_sent, n_open, open_error, max_open; /* max_open 0: no limit */
    int n_answered, rcode;                    /* of the last answer */
    struct client to;
    int pins, dones, events;
    struct forwarder *f;
    void (*send_client)(struct net *, const struct client *, const uint8_t *, size_t); /* or NULL */
};

static inline struct net *net_of(struct io *io)
{
    return (struct net *)(void *)io;
}

static inline int open_peer(struct io *io, struct io_peer *peer, const struct addr *server,
                            enum io_kind kind)
{
    struct net *n = net_of(io);

    (void)server;
    (void)kind;
    if (n->open_error != 0)
        return n->open_error;
    if (n->max_open > 0 && n->n_open >= n->max_open)
        return -EMFILE;
    assert_in_range(n->n_sent, 0, SENT - 1);
    n->sent[n->n_sent].peer = peer;
    peer->handle = &n->sent[n->n_sent++];
    n->n_open++;
    return 0;
}

static inline int send_peer(struct io *io, struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct net *n = net_of(io);

    assert_non_null(peer->handle);
    assert_in_range(len, DNS_HEADER, sizeof n->sent[0].wire);
    memcpy(n->sent[n->n_sent - 1].wire, wire, len);
    n->sent[n->n_sent - 1].len = len;
    return 0;
}

static inline void close_peer(struct io *io, struct io_peer *peer)
{
    if (peer->handle != NULL)
        net_of(io)->n_open--;
    peer->handle = NULL;
}

static inline void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    timers_set(&net_of(io)->timers, t, at_ms);
}

static inline void timer_clear(struct io *io, struct io_timer *t)
{
    timers_clear(&net_of(io)->timers, t);
}

static inline struct now now_of(struct io *io)
{
    return net_of(io)->w->now;
}

static inline void pin(void *context, const struct view *v)
{
    (void)v;
    ((struct net *)context)->pins++;
}

static inline void unpin(void *context, const struct view *v)
{
    (void)v;
    ((struct net *)context)->pins--;
}

static inline void record(void *context, struct query *q)
{
    struct net *n = context;

    n->dones++;
    n->events += q->has_event;
    q->has_event = false;
}

static inline void deliver(void *context, struct query *q, enum answer answer)
{
    struct net *n = context;
    struct message m;

    if (answer == ANSWER_SEND) {
        assert_int_equal(message_read_reply(&m, q->out, q->out_len), 0);
        n->rcode = m.rcode;
        n->to = q->client;
        n->n_answered++;
        if (n->send_client != NULL)
            n->send_client(n, &q->client, q->out, q->out_len);
    }
    record(n, q);
}

static inline int setup(void **state)
{
    struct net *n = calloc(1, sizeof *n);
    struct forwarder_hooks hooks = {pin, unpin, deliver, n};

    assert_non_null(n);
    n->w = world_new(NULL, NULL);
    n->io = (struct io){.open = open_peer,
                        .send = send_peer,
                        .close = close_peer,
                        .timer_set = timer_set,
                        .timer_clear = timer_clear,
                        .now = now_of,
                        .random = &n->w->random};
    n->f = forwarder_new(&n->io, &hooks, SLOTS, &n->w->stats);
    assert_non_null(n->f);
    *state = n;
    return 0;
}

/* Whatever happened: nothing is left open, set or pinned. */
static inline int teardown(void **state)
{
    struct net *n = *state;

    forwarder_free(n->f);
    assert_int_equal(n->n_open, 0);
    assert_int_equal(n->pins, 0);
    assert_int_equal(n->timers.n, 0);
    world_free(n->w);
    free(n);
    return 0;
}

static inline void ask(struct net *n, const char *question)
{
    assert_int_equal(world_ask(n->w, question), ANSWER_FORWARD);
    forwarder_ask(n->f, &n->w->view, n->w->q);
}

static inline void ask_number(struct net *n, int i)
{
    char text[64];

    snprintf(text, sizeof text, "n%d.example A", i);
    ask(n, text);
}

static inline void wait(struct net *n, uint64_t ms)
{
    uint64_t end = n->w->now.mono_ms + ms, due;
    struct io_timer *t;

    while ((t = timers_take(&n->timers, end, &due)) != NULL) {
        if (due > n->w->now.mono_ms)
            n->w->now.mono_ms = due;
        t->fire(t);
    }
    n->w->now.mono_ms = end;
}

/* The server's answer to a packet: NXDOMAIN. */
static inline void reply(struct net *n, int i)
{
    uint8_t wire[512];
    struct io_peer *peer = n->sent[i].peer;

    memcpy(wire, n->sent[i].wire, n->sent[i].len);
    wire[2] |= 0x80;
    wire[3] = RCODE_NXDOMAIN;
    assert_ptr_equal(peer->handle, &n->sent[i]);
    peer->receive(peer, wire, n->sent[i].len);
}

#endif
