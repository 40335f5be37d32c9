/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp.c -- TCP connections of clients: what is pipelined is all
 * answered, and nothing a client does keeps a connection for ever.
 */
#include "tests/unit/resolver/net.h"

#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "resolver/listen.h"
#include "tests/unit/rows.h"

enum { SLOTS = 16 };

static struct {
    struct net *n;
    struct event_base *base;
    struct listen listen;
    struct tcp *tcp;
    int client; /* its end of the connection */
} t;            /* one at a time: net.send_client has no context */

static void send_client(struct net *n, const struct client *c, const uint8_t *wire, size_t len)
{
    assert_ptr_equal(n, t.n);
    tcp_send(t.tcp, c, wire, len);
}

static void run(void)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(t.base, EVLOOP_NONBLOCK);
}

static void let_in_from(const char *address)
{
    struct addr from;
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(addr_parse(&from, address, 4000), 0);
    tcp_connection(t.tcp, fd[0], &from, 0);
    t.client = fd[1];
}

static void let_in(void)
{
    let_in_from("10.0.0.1");
}

static int tcp_setup(void **state)
{
    struct net *n = *state = net_new(SLOTS);

    n->send_client = send_client;
    t.n = n;
    t.base = event_base_new();
    t.listen = (struct listen){.base = t.base,
                               .io = &n->io,
                               .view = &n->w->view,
                               .forwarder = n->f,
                               .stats = &n->w->stats,
                               .n_workers = 1};
    t.tcp = tcp_new(&t.listen, NULL, 0);
    let_in();
    return 0;
}

static int tcp_teardown(void **state)
{
    if (t.client >= 0)
        close(t.client);
    forwarder_free(t.n->f);
    t.n->f = NULL;
    tcp_free(t.tcp);
    event_base_free(t.base);
    net_free(t.n);
    return 0;
}

/* The server's answer to a packet: NXDOMAIN. */
static void reply(struct net *n, int i)
{
    struct sent *s = n->sent[i];
    uint8_t wire[512];

    memcpy(wire, s->wire, s->len);
    wire[2] |= 0x80;
    wire[3] = RCODE_NXDOMAIN;
    assert_true(net_give(s, wire, s->len));
}

/* A question on the wire, with its length in front. */
static void say(const char *question, int id)
{
    struct words s = words_of(question);
    uint8_t wire[600];
    size_t len = question_write(&s, wire + 2, sizeof wire - 2);

    wire[0] = (uint8_t)(len >> 8);
    wire[1] = (uint8_t)len;
    wire[2] = (uint8_t)(id >> 8);
    wire[3] = (uint8_t)id;
    assert_int_equal(write(t.client, wire, len + 2), len + 2);
}

/* Whole messages that have come; -1: the connection is closed. */
static int hear(void)
{
    static uint8_t in[65536];
    ssize_t n = recv(t.client, in, sizeof in, MSG_DONTWAIT);
    int messages = 0;

    if (n == 0)
        return -1;
    for (ssize_t at = 0; at + 2 <= n; at += 2 + (in[at] << 8 | in[at + 1]))
        messages++;
    return messages;
}

static bool is_open(void)
{
    char octet;

    return recv(t.client, &octet, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

/* An ID that is used again while its question waits (RFC 7766 6.2.1 forbids
 * it) is a question of its own: else the connection would wait for ever. */
static void test_the_same_question_twice(void **state)
{
    struct net *n = *state;

    say("www.example A", 7);
    say("www.example A", 7);
    run();
    assert_int_equal(n->n_sent, 1);
    reply(n, 0);
    assert_int_equal(hear(), 2);
    shutdown(t.client, SHUT_WR);
    run();
    assert_false(is_open());
}

static void test_idle_connection_ends(void **state)
{
    struct net *n = *state;

    say("www.example A", 7);
    say("www.example A", 7);
    run();
    reply(n, 0);
    run();
    net_wait(n, n->w->settings->limits.tcp_idle_ms + 1);
    assert_int_equal(hear(), 2);
    assert_false(is_open());
    assert_int_equal(n->w->stats.tcp_timeouts, 1);
}

/* It has sent all that it wants: its answers are still due. */
static void test_half_closed(void **state)
{
    struct net *n = *state;

    say("one.example A", 1);
    say("two.example A", 2);
    shutdown(t.client, SHUT_WR);
    run();
    assert_true(is_open());
    reply(n, 0);
    run();
    assert_true(is_open());
    reply(n, 1);
    assert_int_equal(hear(), 2);
    run();
    assert_false(is_open());
}

/* Nobody is there to be answered, but the question was asked. */
static void test_gone_client_is_recorded(void **state)
{
    struct net *n = *state;

    say("_vlmcs._tcp.x.example SRV", 1);
    run();
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(write(t.client, "\0\3abc", 5), 5); /* no question: the connection ends */
    run();
    assert_false(is_open());
    close(t.client);
    let_in(); /* in its place */
    reply(n, 0);
    run();
    assert_int_equal(n->n_events, 1);
    assert_int_equal(hear(), 0);
    assert_true(is_open());
}

/* More than there is room for: the oldest give way, and all are accounted for. */
static void test_every_pipelined_question_is_recorded(void **state)
{
    struct net *n = *state;
    char question[64];

    for (int i = 0; i < 200; i++) {
        snprintf(question, sizeof question, "_vlmcs._tcp.x%d.example SRV", i);
        say(question, i);
    }
    run();
    assert_int_equal(n->n_events, 200 - SLOTS);
    for (int i = 200 - SLOTS; i < 200; i++)
        reply(n, i);
    assert_int_equal(n->n_events, 200);
    assert_int_equal(n->w->stats.queries_tcp, 200);
    assert_int_equal(hear(), 200);
}

/* Each client comes a moment after the one before it, asks or not, is answered
 * or not; then one more comes. */
static const struct full_row {
    const char *name, *limits;
    const char *clients; /* four: ADDRESS, with " asks", " late" or " answered" behind it */
    int closed;          /* index; 3: the last one is not let in; -1: all stay */
} full_rows[] = {
    {"there is room", "tcp-connections: 4", "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4", -1},
    {"the longest idle one makes room", "tcp-connections: 3",
     "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4", 0},
    {"a question since then counts", "tcp-connections: 3",
     "10.0.0.1 late, 10.0.0.2 late, 10.0.0.3, 10.0.0.4", 2},
    {"an answer since then counts", "tcp-connections: 3",
     "10.0.0.1 answered, 10.0.0.2, 10.0.0.3, 10.0.0.4", 1},
    {"never one that waits for its answer", "tcp-connections: 3",
     "10.0.0.1 asks, 10.0.0.2 asks, 10.0.0.3, 10.0.0.4", 2},
    {"not let in when all of them wait", "tcp-connections: 3",
     "10.0.0.1 asks, 10.0.0.2 asks, 10.0.0.3 asks, 10.0.0.4", 3},
    {"a client makes room for itself", "tcp-per-client: 2",
     "10.0.0.1, 10.0.0.2, 10.0.0.2, 10.0.0.2", 1},
    {"even when all are full", "{tcp-connections: 3, tcp-per-client: 2}",
     "10.0.0.1, 10.0.0.2, 10.0.0.2, 10.0.0.2", 1},
    {"and is not let in when all of its own wait", "tcp-per-client: 2",
     "10.0.0.1, 10.0.0.2 asks, 10.0.0.2 asks, 10.0.0.2", 3},
};

static const struct full_row *full_row; /* of the test that runs */

static int full_setup(void **state)
{
    full_row = *state;
    return tcp_setup(state);
}

static void test_full(void **state)
{
    const struct full_row *r = full_row;
    struct net *n = *state;
    char settings[200], copy[200], *clients[4], *rest = copy;
    int fd[4];

    strcpy(copy, r->clients);
    for (int i = 0; i < 4; i++)
        clients[i] = strsep(&rest, ",");
    snprintf(settings, sizeof settings, r->limits[0] == '{' ? "limits: %s\n" : "limits: {%s}\n",
             r->limits);
    world_settings(n->w, settings);
    close(t.client);
    run();
    for (int i = 0; i < 4; i++) {
        const char *client = clients[i];
        char address[64];

        sscanf(client, "%63s", address);
        let_in_from(address);
        fd[i] = t.client;
        snprintf(settings, sizeof settings, "n%d.example A", i);
        if (i < 3 && (strstr(client, "asks") != NULL || strstr(client, "answered") != NULL))
            say(settings, i);
        run();
        net_wait(n, 100);
        for (int k = 0; i == 2 && k < 3; k++) { /* all three are there */
            t.client = fd[k];
            if (strstr(clients[k], "late") != NULL)
                say("invalid A", k);
            if (strstr(clients[k], "answered") != NULL)
                reply(n, 0);
        }
        run();
    }
    for (int i = 0; i < 4; i++) {
        t.client = fd[i];
        while (hear() > 0)
            ;
        assert_int_equal(hear() == -1, i == r->closed);
        close(fd[i]);
    }
    t.client = -1;
    assert_int_equal(n->w->stats.tcp_refused, r->closed == 3);
    assert_int_equal(n->w->stats.tcp_displaced, r->closed >= 0 && r->closed < 3);
}

static int listen_somewhere(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

/* Out of descriptors, the listener rests instead of being woken without end. */
static void test_no_descriptor_is_left(void **state)
{
    struct net *n = *state;
    struct rlimit all, none;
    struct sockaddr_in at;
    const struct listener listener = {.fd = listen_somewhere(&at)};
    struct tcp *second = tcp_new(&t.listen, &listener, 1);
    int client = socket(AF_INET, SOCK_STREAM, 0), highest = dup(client);

    close(highest);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = (rlim_t)highest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_int_equal(n->w->stats.receive_errors, 1);
    run();
    assert_int_equal(n->w->stats.tcp_connections, 1);
    net_wait(n, 1000);
    run();
    assert_int_equal(n->w->stats.tcp_connections, 2);
    close(client);
    tcp_free(second);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    TEST_WITH(test_the_same_question_twice, tcp_setup, tcp_teardown);
    TEST_WITH(test_idle_connection_ends, tcp_setup, tcp_teardown);
    TEST_WITH(test_half_closed, tcp_setup, tcp_teardown);
    TEST_WITH(test_gone_client_is_recorded, tcp_setup, tcp_teardown);
    TEST_WITH(test_every_pipelined_question_is_recorded, tcp_setup, tcp_teardown);
    TEST_WITH(test_no_descriptor_is_left, tcp_setup, tcp_teardown);
    ROWS_WITH(full_rows, test_full, full_setup, tcp_teardown);
    return RUN("tcp");
}
