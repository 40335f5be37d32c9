/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_forward.c -- limits and life of a forwarder: what tests/replay cannot
 * say in a scenario. Its struct io keeps what is sent and never answers by
 * itself.
 */
#include "tests/unit/resolver/world.h"

#include <errno.h>
#include <string.h>

#include "resolver/inflight.h"
#include "resolver/timer.h"
#include "wire/reply.h"

enum { SLOTS = 16, SENT = 1024 };

struct net {
    struct io io; /* first */
    struct timers timers;
    struct world *w;
    struct { struct io_peer *peer; uint8_t wire[512]; size_t len; } sent[SENT];
    int n_sent, n_open, open_error;
    int n_answered, rcode; /* of the last answer */
    struct client to;
    int pins, dones;
    struct forwarder *f;
};

static struct net *net_of(struct io *io)
{
    return (struct net *)(void *)io;
}

static void send_client(struct io *io, const struct client *c, const uint8_t *wire, size_t len)
{
    struct net *n = net_of(io);
    struct message m;

    assert_int_equal(message_read_reply(&m, wire, len), 0);
    n->rcode = m.rcode;
    n->to = *c;
    n->n_answered++;
}

static int open_peer(struct io *io, struct io_peer *peer, const struct addr *server, enum io_kind kind)
{
    struct net *n = net_of(io);

    (void)server;
    (void)kind;
    if (n->open_error != 0)
        return n->open_error;
    assert_in_range(n->n_sent, 0, SENT - 1);
    n->sent[n->n_sent].peer = peer;
    peer->handle = &n->sent[n->n_sent++];
    n->n_open++;
    return 0;
}

static int send_peer(struct io *io, struct io_peer *peer, const uint8_t *wire, size_t len)
{
    struct net *n = net_of(io);

    assert_non_null(peer->handle);
    assert_in_range(len, DNS_HEADER, sizeof n->sent[0].wire);
    memcpy(n->sent[n->n_sent - 1].wire, wire, len);
    n->sent[n->n_sent - 1].len = len;
    return 0;
}

static void close_peer(struct io *io, struct io_peer *peer)
{
    if (peer->handle != NULL)
        net_of(io)->n_open--;
    peer->handle = NULL;
}

static void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    assert_true(timers_set(&net_of(io)->timers, t, at_ms));
}

static void timer_clear(struct io *io, struct io_timer *t)
{
    timers_clear(&net_of(io)->timers, t);
}

static struct now now_of(struct io *io)
{
    return net_of(io)->w->now;
}

static void pin(void *context, const struct view *v)
{
    (void)v;
    ((struct net *)context)->pins++;
}

static void unpin(void *context, const struct view *v)
{
    (void)v;
    ((struct net *)context)->pins--;
}

static void done(void *context, struct query *q)
{
    (void)q;
    ((struct net *)context)->dones++;
}

static int setup(void **state)
{
    struct net *n = calloc(1, sizeof *n);
    struct forwarder_hooks hooks = {pin, unpin, done, n};

    assert_non_null(n);
    n->w = world_new(NULL, NULL);
    n->io = (struct io){.send_client = send_client, .open = open_peer, .send = send_peer, .close = close_peer,
                        .timer_set = timer_set, .timer_clear = timer_clear, .now = now_of,
                        .random = &n->w->random};
    assert_int_equal(timers_init(&n->timers, 64), 0);
    n->f = forwarder_new(&n->io, &hooks, SLOTS, &n->w->stats);
    assert_non_null(n->f);
    *state = n;
    return 0;
}

/* Whatever happened: nothing is left open, set or pinned. */
static int teardown(void **state)
{
    struct net *n = *state;

    forwarder_free(n->f);
    assert_int_equal(n->n_open, 0);
    assert_int_equal(n->pins, 0);
    assert_int_equal(timers_next(&n->timers), 0);
    timers_fini(&n->timers);
    world_free(n->w);
    free(n);
    return 0;
}

static void ask(struct net *n, const char *question)
{
    assert_int_equal(world_ask(n->w, question), ANSWER_FORWARD);
    forwarder_ask(n->f, &n->w->view, n->w->q);
}

static void ask_number(struct net *n, int i)
{
    char text[64];

    snprintf(text, sizeof text, "n%d.example A", i);
    ask(n, text);
}

static void wait(struct net *n, uint64_t ms)
{
    uint64_t end = n->w->now.mono_ms + ms;
    struct io_timer *t;

    while (timers_next(&n->timers) != 0 && timers_next(&n->timers) <= end) {
        if (timers_next(&n->timers) > n->w->now.mono_ms)
            n->w->now.mono_ms = timers_next(&n->timers);
        while ((t = timers_take(&n->timers, n->w->now.mono_ms)) != NULL)
            t->fire(t);
    }
    n->w->now.mono_ms = end;
}

/* The server's answer to a packet: NXDOMAIN. */
static void reply(struct net *n, int i)
{
    uint8_t wire[512];
    struct io_peer *peer = n->sent[i].peer;

    memcpy(wire, n->sent[i].wire, n->sent[i].len);
    wire[2] |= 0x80;
    wire[3] = RCODE_NXDOMAIN;
    assert_ptr_equal(peer->handle, &n->sent[i]);
    peer->receive(peer, wire, n->sent[i].len);
}

static void test_new_question_is_refused_when_full(void **state)
{
    struct net *n = *state;

    for (int i = 0; i < SLOTS; i++)
        ask_number(n, i);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS);
    assert_int_equal(n->n_answered, 0);
    ask_number(n, SLOTS);
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(n->w->stats.no_slot, 1);
    reply(n, 3); /* the others are not touched */
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS - 1);
}

static void test_oldest_gives_way_when_it_is_late(void **state)
{
    struct net *n = *state;

    for (int i = 0; i < SLOTS; i++)
        ask_number(n, i);
    wait(n, 1500);
    ask_number(n, SLOTS);
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(n->w->stats.no_slot, 0);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS);
}

static void test_limit_can_be_lowered(void **state)
{
    struct net *n = *state;

    forwarder_limit(n->f, 2);
    for (int i = 0; i < 3; i++)
        ask_number(n, i);
    assert_int_equal(forwarder_in_flight(n->f), 2);
    forwarder_limit(n->f, 1000); /* never above what it was made with */
    for (int i = 3; i < 100; i++)
        ask_number(n, i);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS);
}

static void test_waiters_are_bounded(void **state)
{
    struct net *n = *state;
    char text[64];

    for (int i = 0; i < SLOTS + 5; i++) {
        snprintf(text, sizeof text, "www.example A from=10.0.1.%d:4000", i);
        ask(n, text);
    }
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(n->n_answered, 5); /* as many waiters as slots here */
    reply(n, 0);
    assert_int_equal(n->n_answered, SLOTS + 5);
    assert_int_equal(n->dones, SLOTS + 5);
    assert_int_equal(n->to.addr.ip[15], SLOTS - 1); /* in the order of arrival */
}

static void test_free_answers_those_that_wait(void **state)
{
    struct net *n = *state;

    for (int i = 0; i < 3; i++)
        ask_number(n, i);
    ask(n, "signed.example A tsig");
    forwarder_free(n->f);
    n->f = NULL;
    assert_int_equal(n->n_answered, 4);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
}

static void test_nothing_can_be_opened(void **state)
{
    struct net *n = *state;

    n->open_error = -EMFILE;
    ask_number(n, 1);
    assert_int_equal(n->n_answered, 0); /* by a timer, not from inside */
    wait(n, 1);
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(forwarder_in_flight(n->f), 0);
}

static void test_no_two_packets_are_alike(void **state)
{
    struct net *n = *state;
    unsigned ids = 0, cases = 0;
    uint8_t first[2], name[20];

    ask(n, "the-same-long-name.example A");
    memcpy(first, n->sent[0].wire, 2);
    memcpy(name, n->sent[0].wire + DNS_HEADER, sizeof name);
    wait(n, 2500); /* three tries */
    assert_int_equal(n->n_sent, 3);
    for (int i = 1; i < 3; i++) {
        ids += memcmp(n->sent[i].wire, first, 2) != 0;
        cases += memcmp(n->sent[i].wire + DNS_HEADER, name, sizeof name) != 0;
    }
    assert_int_equal(ids, 2);
    assert_int_equal(cases, 2);
}

struct heard { int n; enum got_kind kind; uint16_t rcode; };

static void got(void *context, const struct got *g)
{
    struct heard *h = context;

    h->n++;
    h->kind = g->kind;
    h->rcode = g->rcode;
}

static void test_resolve(void **state)
{
    struct net *n = *state;
    struct heard one = {0}, two = {0}, lost = {0};

    assert_int_equal(world_ask(n->w, "www.example A"), ANSWER_FORWARD);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, got, &one), 0);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, got, &two), 0);
    assert_int_equal(n->n_sent, 1);
    reply(n, 0);
    assert_true(one.n == 1 && one.kind == GOT_REPLY && one.rcode == RCODE_NXDOMAIN);
    assert_int_equal(two.n, 1);
    n->open_error = -ENETUNREACH;
    assert_int_equal(world_ask(n->w, "other.example A"), ANSWER_FORWARD);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, got, &lost), 0);
    assert_int_equal(lost.n, 0); /* never from inside the call */
    wait(n, 1);
    assert_true(lost.n == 1 && lost.kind == GOT_FAILURE && lost.rcode == 0xffff);
    assert_int_equal(n->n_answered, 0);
}

static void test_report(void **state)
{
    struct net *n = *state;
    struct upstream_report r;
    struct addr server;

    assert_int_equal(addr_parse(&server, "192.0.2.53", 53), 0);
    assert_false(forwarder_upstream(n->f, &server, &r));
    ask_number(n, 1);
    n->w->now.mono_ms += 40;
    reply(n, 0);
    assert_true(forwarder_upstream(n->f, &server, &r));
    assert_int_equal(r.state, UPSTREAM_UP);
    assert_int_equal(r.rtt_ms, 40);
    assert_int_equal(r.queries, 1);
    assert_int_equal(r.replies, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_question_is_refused_when_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oldest_gives_way_when_it_is_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_can_be_lowered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiters_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_answers_those_that_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_can_be_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_two_packets_are_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
    };

    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
