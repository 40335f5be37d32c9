/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp.c -- TCP connections of clients: what is pipelined is all
 * answered, and nothing a client does keeps a connection for ever.
 */
#include "tests/unit/resolver/net.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "resolver/listen.h"
#include "tests/unit/rows.h"

enum { SLOTS = 16, CLIENTS = 6 };

/* Steps, a word each; a to f are connections:
 *   +aN  it comes, from 127.0.0.N      a?NAME  asks for an address, always with the same ID
 *   a.   has sent all that it wants    a!      sends what is no question
 *   a*N  asks N discovery questions    <N, <N-M  the servers reply to the Nth, to all of these
 *   ~    the time of an idle connection passes
 *   a=N  N messages have come to it by now, and it is open; a-N: and it is closed
 *   NAME=N  a counter, or the questions sent to servers, or the events */
static const struct row {
    const char *name, *limits, *steps;
} rows[] = {
    {"an ID that is used again while its question waits", "",
     "+a1 a?www.example a?www.example sent=1 <0 a=2 a. a-0"},
    {"an idle connection ends", "", "+a1 a?www.example a?www.example <0 ~ a-2 tcp_timeouts=1"},
    {"but not while we are late", "tcp-idle: 1s", "+a1 a?www.example ~ a=0 <0 a=1 ~ a-0 tcp_timeouts=1"},
    {"its last word is said: its answers are still due", "",
     "+a1 a?one.example a?two.example a. a=0 <0 a=1 <1 a-1"},
    {"a question of a client that is gone is recorded", "",
     "+a1 a*1 sent=1 a! a-0 +b1 <0 events=1 b=0"},
    {"more questions than places: all are accounted for", "",
     "+a1 a*200 events=184 <184-199 events=200 queries_tcp=200 a=200"},
    {"a second question waits for the first to be whole", "", "+a1 a?invalid a?invalid a=2"},

    {"there is room", "tcp-connections: 4", "+a1 +b2 +c3 +d4 a=0 b=0 c=0 d=0"},
    {"the longest idle one makes room", "tcp-connections: 3", "+a1 +b2 +c3 +d4 a-0 b=0 c=0 d=0"},
    {"a question since then counts", "tcp-connections: 3",
     "+a1 +b2 +c3 a?invalid b?invalid +d4 a=1 b=1 c-0 d=0 tcp_displaced=1"},
    {"an answer since then counts", "tcp-connections: 3",
     "+a1 a?www.example +b2 +c3 <0 +d4 a=1 b-0 c=0 d=0"},
    {"never one that waits for its answer", "tcp-connections: 3",
     "+a1 a?a.example +b2 b?b.example +c3 +d4 a=0 b=0 c-0 d=0"},
    {"not let in when all of them wait", "tcp-connections: 3",
     "+a1 a?a.example +b2 b?b.example +c3 c?c.example +d4 a=0 b=0 c=0 d-0 tcp_refused=1 "
     "tcp_displaced=0"},
    {"a client makes room for itself", "tcp-per-client: 2",
     "+a1 +b2 +c2 +d2 a=0 b-0 c=0 d=0 tcp_displaced=1"},
    {"even when all are full", "tcp-connections: 3, tcp-per-client: 2",
     "+a1 +b2 +c2 +d2 a=0 b-0 c=0 d=0"},
    {"and is not let in when all of its own wait", "tcp-per-client: 2",
     "+a1 +b2 b?b.example +c2 c?c.example +d2 a=0 b=0 c=0 d-0 tcp_refused=1"},
};

static struct {
    struct net *n;
    struct event_base *base;
    struct listen listen;
    struct tcp *tcp;
    struct sockaddr_in address;
    int client[CLIENTS];
} t; /* one at a time: net.send_client has no context */

static void send_client(struct net *n, const struct client *c, const uint8_t *wire, size_t len)
{
    tcp_send(c, wire, len);
}

static void run(void)
{
    for (int i = 0; i < 6; i++)
        event_base_loop(t.base, EVLOOP_NONBLOCK);
}

static void set_up(const char *limits)
{
    socklen_t len = sizeof t.address;
    struct listener listener = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    char settings[200];

    memset(&t, 0, sizeof t);
    t.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(listener.fd, (struct sockaddr *)&t.address, sizeof t.address), 0);
    assert_int_equal(listen(listener.fd, 8), 0);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&t.address, &len), 0);
    t.n = net_new(SLOTS);
    t.n->send_client = send_client;
    snprintf(settings, sizeof settings, "limits: {%s}\n", limits);
    world_settings(t.n->w, settings);
    t.base = event_base_new();
    t.listen = (struct listen){.base = t.base,
                               .io = &t.n->io,
                               .view = &t.n->w->view,
                               .forwarder = t.n->f,
                               .stats = &t.n->w->stats,
                               .n_workers = 1};
    t.tcp = tcp_new(&t.listen, &listener, 1);
    assert_non_null(t.tcp);
}

static void tear_down(void)
{
    forwarder_free(t.n->f);
    t.n->f = NULL;
    tcp_free(t.tcp);
    event_base_free(t.base);
    net_free(t.n);
    for (int i = 0; i < CLIENTS; i++)
        if (t.client[i] > 0)
            close(t.client[i]);
}

static int connect_from(int last)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK - 1 + (uint32_t)last)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&t.address, sizeof t.address), 0);
    return fd;
}

/* The server's answer to a packet: NXDOMAIN. */
static void reply(int i)
{
    uint8_t wire[512];

    memcpy(wire, t.n->sent[i]->wire, t.n->sent[i]->len);
    wire[2] |= 0x80;
    wire[3] = RCODE_NXDOMAIN;
    assert_true(net_give(t.n->sent[i], wire, t.n->sent[i]->len));
}

/* A question on the wire, with its length in front. */
static void say(int fd, const char *question)
{
    struct words s = words_of(question);
    uint8_t wire[600];
    size_t len = question_write(&s, wire + 2, sizeof wire - 2);

    wire[0] = (uint8_t)(len >> 8);
    wire[1] = (uint8_t)len;
    assert_int_equal(write(fd, wire, len + 2), len + 2);
}

/* Whole messages that have come since the last time. */
static int hear(int fd, bool *is_open)
{
    static uint8_t in[65536];
    ssize_t n, len = 0;
    int messages = 0;

    while ((n = recv(fd, in + len, sizeof in - (size_t)len, MSG_DONTWAIT)) > 0)
        len += n;
    *is_open = n < 0 && errno == EAGAIN;
    for (ssize_t i = 0; i + 2 <= len; i += 2 + (in[i] << 8 | in[i + 1]))
        messages++;
    return messages;
}

static void check_number(const char *name, int want)
{
    const struct {
        const char *name;
        uint64_t is;
    } numbers[] = {
#define X(name, help) {#name, t.n->w->stats.name},
        WORKER_COUNTERS(X)
#undef X
            {"sent", (uint64_t)t.n->n_sent},
        {"events", (uint64_t)t.n->n_events},
    };
    size_t i = 0;

    while (strncmp(numbers[i].name, name, strcspn(name, "=")) != 0)
        assert_in_range(++i, 0, ARRAY_LEN(numbers) - 1);
    assert_int_equal(numbers[i].is, want);
}

static void step(const char *s)
{
    int *fd = &t.client[s[s[0] == '+'] - 'a'], n = atoi(s + 2), last;
    char question[80];
    bool is_open;

    if (s[0] == '+') {
        *fd = connect_from(n);
    } else if (s[0] == '<') {
        last = strchr(s, '-') != NULL ? atoi(strchr(s, '-') + 1) : atoi(s + 1);
        for (int i = atoi(s + 1); i <= last; i++)
            reply(i);
    } else if (s[0] == '~') {
        net_wait(t.n, t.n->w->settings->limits.tcp_idle_ms + 1);
    } else if (strchr("?*.!=-", s[1]) == NULL) {
        check_number(s, atoi(strchr(s, '=') + 1));
    } else if (s[1] == '?') {
        snprintf(question, sizeof question, "%s A", s + 2);
        say(*fd, question);
    } else if (s[1] == '*') {
        for (int i = 0; i < n; i++) {
            snprintf(question, sizeof question, "_vlmcs._tcp.x%d.example SRV", i);
            say(*fd, question);
        }
    } else if (s[1] == '.') {
        shutdown(*fd, SHUT_WR);
    } else if (s[1] == '!') {
        assert_int_equal(write(*fd, "\0\3abc", 5), 5);
    } else {
        assert_int_equal(hear(*fd, &is_open), n);
        assert_int_equal(is_open, s[1] == '=');
    }
    run();
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char steps[300];

    set_up(r->limits);
    snprintf(steps, sizeof steps, "%s", r->steps);
    for (char *s = strtok(steps, " "); s != NULL; s = strtok(NULL, " "))
        step(s);
    tear_down();
}

/* Out of descriptors, the listener rests instead of being woken without end. */
static void no_descriptor_is_left(void **state)
{
    struct rlimit all, none;
    int highest;

    set_up("");
    t.client[0] = connect_from(1);
    highest = dup(t.client[0]);
    close(highest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = (rlim_t)highest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    step("receive_errors=1");
    step("tcp_connections=0");
    net_wait(t.n, 1000);
    run();
    step("tcp_connections=1");
    tear_down();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    ROWS(rows, check_row);
    TEST(no_descriptor_is_left);
    return RUN("tcp");
}
