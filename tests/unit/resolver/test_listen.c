/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_listen.c -- clients over UDP and TCP on real sockets: batches, late answers; what is
 * pipelined is all answered, and nothing a client does keeps a connection for ever.
 */
#include "tests/unit/resolver/net.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "resolver/threads.h"

enum { SLOTS = 16, CLIENTS = 26 + 40 };

/* Steps, a word each; u is a client over UDP, a to f are connections:
 *   +aN  it comes, from 127.0.0.N      a?NAME  asks for an address, always with the same ID
 *   a#N  asks N times for localhost    a*N     asks N discovery questions
 *   a.   has sent all that it wants    a!      sends what is no question
 *   <N, <N-M  the servers reply to the Nth, to all of these
 *   ~    the time of an idle connection passes; /: the worker stops
 *   %N   N connections at once; $: a comes when no descriptor is left
 *   a=N  N messages have come to it by now, and it is open; a-N: and it is closed
 *   NAME=N  a counter, or the questions sent to servers, or the events */
static const struct row {
    const char *name, *settings, *steps;
    unsigned slots; /* 0: SLOTS */
    bool broken;    /* the socket for UDP: always readable, and it never can be read */
} rows[] = {
    {"more than a batch", "", "u#100 u=100 queries_udp=100 answers=100 send_errors=0"},
    {"forwarded", "", "u?www.example u=0 <0 u=1 dropped=0"},
    {"a socket that fails rests instead of being woken without end", "",
     "~ receive_errors=1 ~ receive_errors=2", .broken = true},
    {"access drops it", "access: [{net: 127.0.0.1/32, action: drop}]",
     "u*2 u=0 dropped=2 kms_questions=2 audit_dropped=2"},

    {"an ID that is used again while its question waits", "",
     "+a1 a?www.example a?www.example sent=1 <0 a=2 a. a-0"},
    {"an idle connection ends", "", "+a1 a?www.example a?www.example <0 ~ a-2 tcp_timeouts=1"},
    {"but not while we are late", "limits: {tcp-idle: 1s}",
     "+a1 a?www.example ~ a=0 <0 a=1 ~ a-0 tcp_timeouts=1"},
    {"its last word is said: its answers are still due", "",
     "+a1 a?one.example a?two.example a. a=0 <0 a=1 <1 a-1"},
    {"a question of a client that is gone is recorded", "",
     "+a1 a*1 sent=1 a! a-0 +b1 <0 events=1 b=0"},
    {"more questions than places: all are accounted for", "",
     "+a1 a*200 events=184 <184-199 events=200 queries_tcp=200 a=200"},
    {"what waits is answered before the end", "",
     "+a1 a?www.example +b1 u?u.example / a-1 b-0 u=1"},
    {"a hundred questions of a connection wait at a time", "",
     "+a1 a*150 sent=100 <0-49 sent=150 a=50", .slots = 256},
    {"a second question waits for the first to be whole", "", "+a1 a?invalid a?invalid a=2"},

    {"between two lots of connections others have their turn", "",
     "%40 tcp_connections=2 ~ tcp_connections=40"},
    {"out of descriptors the listener rests instead of being woken without end", "",
     "$ receive_errors=1 tcp_connections=0 ~ tcp_connections=1"},
    {"a question since then counts", "limits: {tcp-connections: 3}",
     "+a1 +b2 +c3 a?invalid b?invalid +d4 a=1 b=1 c-0 d=0 tcp_displaced=1"},
    {"an answer since then counts", "limits: {tcp-connections: 3}",
     "+a1 a?www.example +b2 +c3 <0 +d4 a=1 b-0 c=0 d=0"},
    {"never one that waits for its answer", "limits: {tcp-connections: 3}",
     "+a1 a?a.example +b2 b?b.example +c3 +d4 a=0 b=0 c-0 d=0"},
    {"not let in when all of them wait", "limits: {tcp-connections: 3}",
     "+a1 a?a.example +b2 b?b.example +c3 c?c.example +d4 a=0 b=0 c=0 d-0 tcp_refused=1 "
     "tcp_displaced=0"},
    {"even when all are full", "limits: {tcp-connections: 3, tcp-per-client: 2}",
     "+a1 +b2 +c2 +d2 a=0 b-0 c=0 d=0"},
    {"and is not let in when all of its own wait", "limits: {tcp-per-client: 2}",
     "+a1 +b2 b?b.example +c2 c?c.example +d2 a=0 b=0 c=0 d-0 tcp_refused=1"},
};

static struct {
    struct net *n;
    struct event_base *base;
    struct worker worker;
    int *listeners; /* UDP, then TCP */
    struct udp *udp;
    struct tcp *tcp;
    struct sockaddr_in server;
    int client[CLIENTS];
} t; /* one at a time: net.send_client has no context */

static void send_client(struct net *n, const struct client *c, const uint8_t *wire, size_t len)
{
    if (c->transport == AUDIT_UDP)
        udp_send(t.udp, c, wire, len);
    else
        tcp_send(c, wire, len);
}

static void run(void)
{
    for (int i = 0; i < 6; i++)
        event_base_loop(t.base, EVLOOP_NONBLOCK);
}

/* From 127.0.0.N. */
static int connect_from(int type, int n)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK - 1 + (uint32_t)n)}};
    int fd = socket(AF_INET, type, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&t.server, sizeof t.server), 0);
    return fd;
}

static void set_up(const struct row *r)
{
    char settings[300];
    struct diags d = {0};
    in_port_t port = (in_port_t)(20000 + getpid() % 10000);

    memset(&t, 0, sizeof t);
    signal(SIGPIPE, SIG_IGN);
    t.n = net_new(r->slots > 0 ? r->slots : SLOTS);
    t.n->send_client = send_client;
    do {
        snprintf(settings, sizeof settings,
                 "server: {listen: [\"127.0.0.1:%u\"]}\n"
                 "forward: [{zone: ., servers: [192.0.2.53]}]\n%s\n",
                 ++port, r->settings);
        world_settings(t.n->w, settings);
    } while (listen_bind(t.n->w->settings, 1, &t.listeners, &d) != 0);
    diags_fini(&d);
    if (r->broken) {
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "", 1), 1);
        assert_int_equal(dup2(ends[0], t.listeners[0]), t.listeners[0]);
        close(ends[0]);
        close(ends[1]);
    }
    t.base = event_base_new();
    t.worker.base = t.base;
    t.worker.io = &t.n->io;
    t.worker.view = &t.n->w->view;
    t.worker.forwarder = t.n->f;
    t.worker.n_workers = 1;
    t.udp = udp_new(&t.worker, t.listeners, 1);
    t.tcp = tcp_new(&t.worker, t.listeners + 1, 1);
    assert_true(t.udp != NULL && t.tcp != NULL);
    t.server = (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
    t.client['u' - 'a'] = connect_from(SOCK_DGRAM, 1);
}

static void stop(void)
{
    forwarder_free(t.n->f);
    udp_free(t.udp);
    tcp_free(t.tcp);
    assert_true(t.udp == NULL || fcntl(t.listeners[0], F_GETFD) < 0); /* it is closed */
    t.n->f = NULL;
    t.udp = NULL;
    t.tcp = NULL;
    run();
}

static void tear_down(void)
{
    stop();
    event_base_free(t.base);
    free(t.listeners);
    net_free(t.n);
    for (int i = 0; i < CLIENTS; i++)
        if (t.client[i] > 0)
            close(t.client[i]);
}

/* The server's answer to a packet: NXDOMAIN. */
static void reply(int i)
{
    uint8_t wire[512];

    memcpy(wire, t.n->sent[i]->wire, t.n->sent[i]->len);
    wire[2] |= 0x80;
    wire[3] = RCODE_NXDOMAIN;
    assert_true(net_give(t.n->sent[i], wire, (ssize_t)t.n->sent[i]->len));
}

/* A question on the wire; over TCP with its length in front. */
static void say(char client, const char *question)
{
    struct words s = words_of(question);
    uint8_t wire[600];
    size_t len = question_write(&s, wire + 2, sizeof wire - 2), front = client == 'u' ? 0 : 2;

    wire[0] = (uint8_t)(len >> 8);
    wire[1] = (uint8_t)len;
    assert_int_equal(write(t.client[client - 'a'], wire + 2 - front, len + front), len + front);
}

/* Whole messages that have come since the last time; over UDP from where it asked. */
static int hear(char client, bool *is_open)
{
    static uint8_t in[65536];
    ssize_t n, len = 0;
    int messages = 0;

    while ((n = recv(t.client[client - 'a'], in + len, sizeof in - (size_t)len, MSG_DONTWAIT)) > 0)
        if (client == 'u')
            messages += n >= DNS_HEADER && (in[2] & 0x80) != 0;
        else
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
#define X(name) {#name, t.n->w->stats.name + t.worker.stats.name},
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

static void come_without_descriptor(void)
{
    struct rlimit all, none;

    t.client[0] = connect_from(SOCK_STREAM, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = (rlim_t)t.client[0] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
}

static void step(const char *s)
{
    int n = atoi(s + 2), last;
    char question[80];
    bool is_open;

    if (s[0] == '+') {
        t.client[s[1] - 'a'] = connect_from(SOCK_STREAM, n);
    } else if (s[0] == '$') {
        come_without_descriptor();
    } else if (s[0] == '%') {
        for (int i = 0; i < atoi(s + 1); i++)
            t.client[26 + i] = connect_from(SOCK_STREAM, 1 + i % 4);
        event_base_loop(t.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    } else if (s[0] == '<') {
        last = strchr(s, '-') != NULL ? atoi(strchr(s, '-') + 1) : atoi(s + 1);
        for (int i = atoi(s + 1); i <= last; i++)
            reply(i);
    } else if (s[0] == '/') {
        stop();
    } else if (s[0] == '~') {
        net_wait(t.n, t.n->w->settings->limits.tcp_idle_ms + 1);
    } else if (strchr("?#*.!=-", s[1]) == NULL) {
        check_number(s, atoi(strchr(s, '=') + 1));
    } else if (strchr("?#*", s[1]) != NULL) {
        for (int i = 0; i < (s[1] == '?' ? 1 : n); i++) {
            snprintf(question, sizeof question, "_vlmcs._tcp.x%d.example SRV", i);
            if (s[1] != '*')
                snprintf(question, sizeof question, "%s A", s[1] == '?' ? s + 2 : "localhost");
            say(s[0], question);
        }
    } else if (s[1] == '.') {
        shutdown(t.client[s[0] - 'a'], SHUT_WR);
    } else if (s[1] == '!') {
        assert_int_equal(write(t.client[s[0] - 'a'], "\0\3abc", 5), 5);
    } else {
        assert_int_equal(hear(s[0], &is_open), n);
        assert_int_equal(is_open, s[1] == '=');
    }
    run();
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char steps[300];

    set_up(r);
    snprintf(steps, sizeof steps, "%s", r->steps);
    for (char *s = strtok(steps, " "); s != NULL; s = strtok(NULL, " "))
        step(s);
    tear_down();
}

TESTS("listen", ROWS(rows, check_row))
