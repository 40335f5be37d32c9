/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_forward.c -- limits and life of a forwarder: what tests/replay cannot
 * say in a scenario.
 */
#include "tests/unit/resolver/net.h"

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

/* Want of descriptors is ours: no server is taken for dead, nothing is kept. */
static void test_our_own_want_is_no_failure_of_a_server(void **state)
{
    struct net *n = *state;
    struct upstream_report r;
    struct addr server;

    n->open_error = -EMFILE;
    ask_number(n, 1);
    wait(n, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(addr_parse(&server, "192.0.2.53", 53), 0);
    assert_true(forwarder_upstream(n->f, &server, &r));
    assert_int_equal(r.state, UPSTREAM_UNKNOWN);
    assert_int_equal(r.errors, 0);
    n->open_error = 0;
    ask_number(n, 1); /* the same name, at once */
    assert_int_equal(n->n_sent, 1);
}

/* Many clients that wait for one slow name do not keep the others out. */
static void test_oldest_gives_way_when_too_many_wait(void **state)
{
    struct net *n = *state;
    char text[64];

    for (int i = 0; i < SLOTS; i++) {
        snprintf(text, sizeof text, "slow.example A from=10.0.1.%d:4000", i);
        ask(n, text);
    }
    ask_number(n, 1); /* too early */
    assert_int_equal(n->n_answered, 1);
    wait(n, 1500);
    ask_number(n, 2);
    assert_int_equal(n->n_answered, 1 + SLOTS);
    assert_int_equal(n->w->stats.no_slot, 1);
    reply(n, n->n_sent - 1);
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
}

/* What goes whole comes back to its own question only. */
static void test_whole_reply_must_match(void **state)
{
    struct net *n = *state;
    uint8_t wire[512];

    ask(n, "signed.example A tsig");
    assert_int_equal(n->n_sent, 1);
    memcpy(wire, n->sent[0].wire, n->sent[0].len);
    wire[2] |= 0x80;
    wire[DNS_HEADER + 1] ^= 1; /* another name */
    n->sent[0].peer->receive(n->sent[0].peer, wire, n->sent[0].len);
    assert_int_equal(n->n_answered, 0);
    assert_int_equal(n->w->stats.upstream_mismatch, 1);
    reply(n, 0);
    assert_int_equal(n->n_answered, 1);
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

struct heard {
    int n;
    enum got_kind kind;
    uint16_t rcode;
};

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
    assert_int_equal(r.said[REPLY_NXDOMAIN], 1);
    assert_int_equal(r.said[REPLY_POSITIVE], 0);
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
        cmocka_unit_test_setup_teardown(test_our_own_want_is_no_failure_of_a_server, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_oldest_gives_way_when_too_many_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_reply_must_match, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_two_packets_are_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
    };

    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
