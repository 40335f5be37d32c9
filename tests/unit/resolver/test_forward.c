/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_forward.c -- limits and life of a forwarder: what tests/replay cannot
 * say in a scenario.
 */
#include "tests/unit/resolver/net.h"

static void ask_from(struct net *n, const char *name, const char *client)
{
    char text[96];

    snprintf(text, sizeof text, "%s from=%s", name, client);
    ask(n, text);
}

/* Does the socket of this packet still listen? */
static bool is_asked(const struct net *n, int sent)
{
    return n->sent[sent].peer->handle == &n->sent[sent];
}

/* Fills all places with questions of one client. */
static void fill_from(struct net *n, const char *client)
{
    char name[32];

    for (int i = 0; i < SLOTS; i++) {
        snprintf(name, sizeof name, "flood%d.example A", i);
        ask_from(n, name, client);
    }
    assert_int_equal(forwarder_in_flight(n->f), SLOTS);
    assert_int_equal(n->n_answered, 0);
}

/* The question that was given up last: its client, and its number in n->sent. */
static void assert_gave_way(const struct net *n, int answered, const char *client, int sent)
{
    struct addr a;

    assert_int_equal(addr_parse(&a, client, 4000), 0);
    assert_int_equal(n->n_answered, answered);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(n->w->stats.gave_way, answered);
    assert_int_equal(n->w->stats.no_slot, 0);
    assert_true(addr_same_ip(&n->to.addr, &a));
    assert_false(is_asked(n, sent));
    assert_int_equal(forwarder_in_flight(n->f), SLOTS);
}

/* When all places are taken, the oldest gives way. */
static void test_oldest_gives_way(void **state)
{
    struct net *n = *state;

    fill_from(n, "10.0.0.1");
    ask_from(n, "new.example A", "10.0.0.1");
    assert_gave_way(n, 1, "10.0.0.1", 0);
    ask_from(n, "newer.example A", "10.0.0.1");
    assert_gave_way(n, 2, "10.0.0.1", 1);
    reply(n, SLOTS); /* the others are not touched */
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS - 1);
}

/* Whoever has most gives way, by prefix and in it by address. */
static void test_greediest_gives_way(void **state)
{
    struct net *n = *state;

    ask_from(n, "a.example A", "10.0.1.1");
    ask_from(n, "b.example A", "10.0.0.2"); /* of the greedy one's prefix */
    for (int i = 0; i < SLOTS - 2; i++) {
        char name[32];

        snprintf(name, sizeof name, "flood%d.example A", i);
        ask_from(n, name, "10.0.0.1");
    }
    ask_from(n, "c.example A", "10.0.1.1");
    assert_gave_way(n, 1, "10.0.0.1", 2);
    ask_from(n, "d.example A", "10.0.0.2");
    assert_gave_way(n, 2, "10.0.0.1", 3);
    ask_from(n, "e.example A", "2001:db8::1");
    assert_gave_way(n, 3, "10.0.0.1", 4);
    ask_from(n, "flood.example A", "10.0.0.1");
    assert_gave_way(n, 4, "10.0.0.1", 5);
    for (int i = 0; i < 2; i++) { /* the first two are still asked */
        reply(n, i);
        assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    }
}

/* A /24 together has more than one client elsewhere, a /56 as well. */
static void test_prefix_counts(void **state)
{
    const char *const of_prefix[][2] = {{"10.0.0.1", "10.0.0.200"},
                                        {"2001:db8:0:100::1", "2001:db8:0:1ff::1"}};
    const char *const others[] = {"10.0.1.1", "2001:db8:0:200::1"};

    for (int k = 0; k < 2; k++) {
        struct net *n = *state;
        char name[32];

        for (int i = 0; i < SLOTS; i++) {
            snprintf(name, sizeof name, "n%d.example A", i);
            /* 6 questions of one client, 5 of each of the two in one prefix */
            ask_from(n, name, i < 6 ? others[k] : of_prefix[k][i % 2]);
        }
        ask_from(n, "new.example A", "10.0.9.9");
        assert_gave_way(n, 1, of_prefix[k][0], 6);
        ask_from(n, "newer.example A", "10.0.9.9");
        assert_gave_way(n, 2, of_prefix[k][1], 7);
        teardown(state);
        setup(state);
    }
}

/* All addresses of a /64 are one client: it does not favour its own names. */
static void test_v6_client_is_a_network(void **state)
{
    struct net *n = *state;

    ask_from(n, "own.example A", "2001:db8:0:100::1");
    ask_from(n, "own.example A", "2001:db8:0:100::2");
    ask_from(n, "shared.example A", "2001:db8:0:100::1");
    ask_from(n, "shared.example A", "2001:db8:0:101::1");
    for (int i = 2; i < SLOTS; i++) {
        char name[32];

        snprintf(name, sizeof name, "n%d.example A", i);
        ask_from(n, name, "2001:db8:0:100::1");
    }
    ask_from(n, "new.example A", "10.0.0.1");
    assert_false(is_asked(n, 0));
    ask_from(n, "newer.example A", "10.0.0.1");
    assert_true(is_asked(n, 1));
    assert_false(is_asked(n, 2));
}

/* Discovery questions, and names that somebody else waits for, go last. */
static void test_favoured_give_way_last(void **state)
{
    struct net *n = *state;
    char name[32];

    ask_from(n, "_vlmcs._tcp.a.example SRV", "10.0.0.1");
    ask_from(n, "shared.example A", "10.0.0.1");
    ask_from(n, "shared.example A", "10.0.0.2");
    ask_from(n, "own.example A", "10.0.0.1");
    ask_from(n, "own.example A", "10.0.0.1:4001"); /* the same machine again */
    for (int i = 3; i < SLOTS; i++) {
        snprintf(name, sizeof name, "n%d.example A", i);
        ask_from(n, name, "10.0.0.1");
    }
    ask_from(n, "new.example A", "10.0.9.9");
    assert_int_equal(n->n_answered, 2); /* both that waited for own.example */
    assert_false(is_asked(n, 2));
    for (int i = 3; i < SLOTS; i++) {
        snprintf(name, sizeof name, "m%d.example A", i);
        ask_from(n, name, "10.0.0.1");
    }
    assert_true(is_asked(n, 0));
    assert_true(is_asked(n, 1));
    for (int i = 3; i < SLOTS; i++) {
        snprintf(name, sizeof name, "_vlmcs._tcp.m%d.example SRV", i);
        ask_from(n, name, "10.0.0.1");
    }
    ask_from(n, "_vlmcs._tcp.last.example SRV", "10.0.0.1");
    assert_false(is_asked(n, 0)); /* nothing else is left of the greediest */
}

/* The server's answer to a packet: a CNAME to `end` (wire form), and nothing of it. */
static void reply_cname(struct net *n, int i, const char *end, size_t end_len)
{
    uint8_t wire[512];
    struct message m;
    struct writer w = writer_make(wire, sizeof wire);

    assert_int_equal(message_read_query(&m, n->sent[i].wire, n->sent[i].len), MESSAGE_OK);
    assert_true(is_asked(n, i));
    writer_u16(&w, m.id);
    writer_u16(&w, DNS_QR | DNS_RD | DNS_RA);
    writer_u16(&w, 1);
    writer_u16(&w, 1);
    writer_u32(&w, 0);
    writer_bytes(&w, n->sent[i].wire + DNS_HEADER, m.question_len);
    writer_u16(&w, 0xc000 | DNS_HEADER);
    writer_u16(&w, TYPE_CNAME);
    writer_u16(&w, CLASS_IN);
    writer_u32(&w, 60);
    writer_u16(&w, (uint16_t)end_len);
    writer_bytes(&w, (const uint8_t *)end, end_len);
    n->sent[i].peer->receive(n->sent[i].peer, wire, w.len);
}

/* The end of a chain is favoured like the question that follows it, and takes a
 * place of the same client. */
static void test_end_of_chain_has_a_place(void **state)
{
    struct net *n = *state;
    char name[32];

    ask_from(n, "_vlmcs._tcp.a.example SRV", "10.0.0.1");
    reply_cname(n, 0, "\3end", sizeof "\3end");
    assert_int_equal(forwarder_in_flight(n->f), 2);
    for (int i = 0; i < 2 * SLOTS; i++) {
        snprintf(name, sizeof name, "n%d.example A", i);
        ask_from(n, name, "10.0.0.1");
    }
    assert_int_equal(n->w->stats.gave_way, SLOTS + 2);
    reply(n, 1);
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    assert_int_equal(n->events, 1);
    assert_int_equal(forwarder_in_flight(n->f), SLOTS - 2);
}

/* The place that the end of a chain takes is the client's. */
static void test_end_of_chain_is_the_clients(void **state)
{
    struct net *n = *state;

    forwarder_limit(n->f, 3);
    ask_from(n, "b.example A", "10.0.2.1");
    ask_from(n, "a.example A", "10.0.1.1");
    reply_cname(n, 1, "\3end", sizeof "\3end");
    ask_from(n, "c.example A", "10.0.2.1"); /* a gives way, though b is older */
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->to.addr.ip[14], 1);
    assert_true(is_asked(n, 0));
}

/* The end of a chain is given up: so is what follows it, and nothing is kept. */
static void test_end_of_chain_gives_way(void **state)
{
    struct net *n = *state;

    forwarder_limit(n->f, 2);
    ask_from(n, "a.example A", "10.0.0.1");
    reply_cname(n, 0, "\3end", sizeof "\3end");
    ask_from(n, "b.example A", "10.0.0.2"); /* the older one gives way: it leaves its end */
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    reply(n, 1);
    assert_int_equal(n->n_answered, 1);
    ask_from(n, "a.example A", "10.0.0.1"); /* no failure was kept */
    reply_cname(n, n->n_sent - 1, "\5other", sizeof "\5other");
    assert_int_equal(n->n_answered, 2); /* b: a place for other */
    forwarder_limit(n->f, 1);
    ask_from(n, "c.example A", "10.0.0.2");
    assert_int_equal(n->n_answered, 3);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(forwarder_in_flight(n->f), 1);
}

/* The only flight there may be cannot give way to the end of its own chain. */
static void test_no_place_for_the_end_of_chain(void **state)
{
    struct net *n = *state;

    forwarder_limit(n->f, 1);
    ask_from(n, "a.example A", "10.0.0.1");
    reply_cname(n, 0, "\3end", sizeof "\3end");
    assert_int_equal(n->n_answered, 1);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(forwarder_in_flight(n->f), 0);
    forwarder_limit(n->f, SLOTS);
    ask_from(n, "b.example A", "10.0.0.1"); /* ended while its end is asked: see teardown */
    reply_cname(n, 1, "\3end", sizeof "\3end");
    ask_from(n, "end A", "10.0.0.2");
    assert_int_equal(n->n_sent, 3);
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

/* Too many wait for one name: UDP is silence, which is counted and recorded,
 * and TCP waits. */
static void test_waiters_are_bounded(void **state)
{
    struct net *n = *state;
    char text[96];

    for (int i = 0; i < SLOTS + 5; i++) {
        snprintf(text, sizeof text, "_vlmcs._tcp.a.example SRV from=10.0.%d.1:4000", i);
        ask(n, text);
    }
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(n->n_answered, 0);
    assert_int_equal(n->w->stats.unanswered, 4); /* the first, and as many as there are flights */
    assert_int_equal(n->events, 4);
    ask(n, "_vlmcs._tcp.a.example SRV from=10.0.99.1:4000 tcp");
    assert_int_equal(n->rcode, RCODE_SERVFAIL); /* no place at all, and none to give way */
    reply(n, 0);
    assert_int_equal(n->n_answered, 1 + SLOTS + 1);
    assert_int_equal(n->dones, SLOTS + 6);
    assert_int_equal(n->events, SLOTS + 6);
    assert_int_equal(n->to.addr.ip[14], SLOTS); /* in the order of arrival */
    ask(n, "www.example A from=10.0.0.1");      /* all places are free again */
    for (int i = 1; i <= SLOTS; i++) {
        snprintf(text, sizeof text, "www.example A from=10.0.%d.1:4000", i);
        ask(n, text);
    }
    assert_int_equal(n->w->stats.unanswered, 4);
}

/* One prefix takes half of the places to wait at other people's questions, over
 * TCP three quarters; what it has no place for harms nobody else. */
static void test_joining_is_shared(void **state)
{
    struct net *n = *state;
    char text[64];

    ask(n, "other.example A from=10.0.2.1");
    for (int i = 0; i < SLOTS; i++) {
        snprintf(text, sizeof text, "www.example A from=10.0.1.%d:4000", i);
        ask(n, text);
    }
    assert_int_equal(n->w->stats.unanswered, SLOTS - 1 - SLOTS / 2);
    for (int i = 0; i < SLOTS; i++) {
        snprintf(text, sizeof text, "www.example A from=10.0.1.%d:4000 tcp", i);
        ask(n, text);
    }
    assert_int_equal(n->n_answered, SLOTS - SLOTS / 4);
    assert_int_equal(n->w->stats.no_slot, SLOTS - SLOTS / 4);
    ask(n, "www.example A from=10.0.2.1");
    assert_int_equal(n->w->stats.unanswered, SLOTS - 1 - SLOTS / 2);
    assert_int_equal(n->w->stats.gave_way, 0);
    n->n_answered = 0;
    reply(n, 1);
    assert_int_equal(n->n_answered, 1 + SLOTS / 2 + SLOTS / 4 + 1);
}

/* The tries of dead servers' flights do not take those of the living. */
static void test_tries_are_shared(void **state)
{
    struct net *n = *state;

    n->max_open = SLOTS; /* descriptors */
    for (int i = 0; i < SLOTS - 2; i++)
        ask_number(n, i);
    wait(n, 1100); /* second tries */
    assert_int_equal(n->n_open, SLOTS);
    ask_from(n, "www.corp.example A", "10.0.0.2");
    assert_int_equal(n->n_open, SLOTS);
    reply(n, n->n_sent - 1);
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    reply(n, n->n_sent - 2); /* the newer try of each is the one that stayed */
    assert_int_equal(n->n_answered, 2);
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

/* Neither at once nor three tries at a time: perhaps there are some again soon. */
static void test_nothing_can_be_opened(void **state)
{
    struct net *n = *state;

    n->open_error = -EMFILE;
    ask_number(n, 1);
    ask_number(n, 2);
    assert_int_equal(n->n_answered, 0);
    wait(n, 3000);
    n->open_error = 0;
    wait(n, 250);
    assert_int_equal(n->n_sent, 2);
    reply(n, 0);
    assert_int_equal(n->rcode, RCODE_NXDOMAIN);
    n->open_error = -EMFILE;
    ask_number(n, 3);
    wait(n, 4000);
    assert_int_equal(n->n_answered, 3);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(forwarder_in_flight(n->f), 0);
}

/* Want of descriptors is ours: no server is taken for dead, nothing is kept. */
static void test_our_own_want_is_no_failure_of_a_server(void **state)
{
    struct net *n = *state;
    const struct upstream_report *r;
    struct addr server;

    n->open_error = -EMFILE;
    ask_number(n, 1);
    wait(n, 4000);
    assert_int_equal(n->rcode, RCODE_SERVFAIL);
    assert_int_equal(addr_parse(&server, "192.0.2.53", 53), 0);
    r = forwarder_upstream(n->f, &server);
    assert_non_null(r);
    assert_int_equal(r->state, UPSTREAM_UNKNOWN);
    assert_int_equal(r->errors, 0);
    n->open_error = 0;
    ask_number(n, 1); /* the same name, at once */
    assert_int_equal(n->n_sent, 1);
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
    enum kms_verdict verdict;
    uint16_t rcode;
};

static void on_reply(void *context, const struct real *came)
{
    struct heard *h = context;

    h->n++;
    h->verdict = came->verdict;
    h->rcode = came->rcode;
}

static void test_resolve(void **state)
{
    struct net *n = *state;
    struct heard one = {0}, two = {0}, lost = {0};

    assert_int_equal(world_ask(n->w, "www.example A"), ANSWER_FORWARD);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, on_reply, &one), 0);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, on_reply, &two), 0);
    assert_int_equal(n->n_sent, 1);
    reply(n, 0);
    assert_true(one.n == 1 && one.verdict == VERDICT_NXDOMAIN && one.rcode == RCODE_NXDOMAIN);
    assert_int_equal(two.n, 1);
    n->open_error = -ENETUNREACH;
    assert_int_equal(world_ask(n->w, "other.example A"), ANSWER_FORWARD);
    assert_int_equal(forwarder_resolve(n->f, &n->w->view, n->w->q, on_reply, &lost), 0);
    assert_int_equal(lost.n, 0); /* never from inside the call */
    wait(n, 1);
    assert_true(lost.n == 1 && lost.verdict == VERDICT_TIMEOUT && lost.rcode == RCODE_TIMEOUT);
    assert_int_equal(n->n_answered, 0);
}

static void test_report(void **state)
{
    struct net *n = *state;
    const struct upstream_report *r;
    struct addr server;

    assert_int_equal(addr_parse(&server, "192.0.2.53", 53), 0);
    assert_null(forwarder_upstream(n->f, &server));
    ask_number(n, 1);
    n->w->now.mono_ms += 40;
    reply(n, 0);
    r = forwarder_upstream(n->f, &server);
    assert_non_null(r);
    assert_int_equal(r->state, UPSTREAM_UP);
    assert_int_equal(r->rtt_ms, 40);
    assert_int_equal(r->queries, 1);
    assert_int_equal(r->replies, 1);
    assert_int_equal(r->by_kind[REPLY_NXDOMAIN], 1);
    assert_int_equal(r->by_kind[REPLY_POSITIVE], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_oldest_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_greediest_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prefix_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_v6_client_is_a_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_favoured_give_way_last, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_of_chain_has_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_of_chain_is_the_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_of_chain_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_place_for_the_end_of_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_can_be_lowered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiters_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_joining_is_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tries_are_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_answers_those_that_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_can_be_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_our_own_want_is_no_failure_of_a_server, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_whole_reply_must_match, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_two_packets_are_alike, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
    };

    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
