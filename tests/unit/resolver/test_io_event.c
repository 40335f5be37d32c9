/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_io_event.c -- sockets, with real servers on the loopback.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "resolver/io.h"
#include "resolver/stats.h"
#include "tests/unit/rows.h"

enum { PATIENCE = 5000 };

static struct {
    struct event_base *base;
    struct random random;
    struct worker_stats stats;
    struct io *io;
    struct addr server;
    int fd; /* the server's socket */
} t;

struct probe { /* what came to a peer */
    struct io_peer peer;
    char text[64];
    int n, error, ended;
    bool closes;
};

/* Chance is always the same, but another in each process. */
static void fill(void *context, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(getpid() >> 8 * (i % 2));
}

static void on_receive(struct io_peer *peer, const uint8_t *wire, ssize_t len)
{
    struct probe *p = container_of(peer, struct probe, peer);

    if (wire == NULL) {
        p->error = (int)len;
        p->ended++;
        return;
    }
    assert_in_range(len, 0, sizeof p->text - 1);
    snprintf(p->text, sizeof p->text, "%.*s", (int)len, (const char *)wire);
    p->n++;
    if (p->closes)
        t.io->close(t.io, peer);
}

static int ask_from(struct probe *p, enum io_kind kind, const char *question, const char *source)
{
    struct addr from = {0};
    const struct io_target to = {
        .server = &t.server, .source = source ? &from : NULL, .kind = kind};

    assert_true(source == NULL || addr_parse(&from, source, 0) == 0);
    *p = (struct probe){.peer = {.receive = on_receive}};
    return t.io->ask(t.io, &p->peer, &to, (const uint8_t *)question, strlen(question));
}

static void ask(struct probe *p, enum io_kind kind, const char *question)
{
    assert_int_equal(ask_from(p, kind, question, NULL), 0);
}

/* The loop runs until that is no longer 0; NULL: for a moment. */
static void run_until(const int *what)
{
    for (int i = 0; i < (what != NULL ? PATIENCE : 5) && (what == NULL || *what == 0); i++) {
        event_base_loop(t.base, EVLOOP_NONBLOCK);
        usleep(what != NULL ? 1000 : 0);
    }
    assert_true(what == NULL || *what != 0);
}

/* The question "q" has come from there. */
static struct sockaddr_in take_question(void)
{
    struct sockaddr_in from;
    char text[8];

    assert_int_equal(
        recvfrom(t.fd, text, sizeof text, 0, (struct sockaddr *)&from, &(socklen_t){sizeof from}),
        1);
    return from;
}

static void give(int fd, const struct sockaddr_in *to, const char *text)
{
    assert_int_equal(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, sizeof *to),
                     strlen(text));
}

/* The port is the one that was drawn, from 1024 on; when it is taken, the kernel's choice. */
static void port_is_drawn(void)
{
    struct random same = t.random;
    unsigned drawn = 1024 + random_below(&same, 65536 - 1024);
    struct probe p[2];

    ask(&p[0], IO_UDP, "q");
    assert_int_equal(ntohs(take_question().sin_port), drawn);
    ask(&p[1], IO_UDP, "q");
    assert_int_not_equal(ntohs(take_question().sin_port), drawn);
    t.io->close(t.io, &p[0].peer);
    t.io->close(t.io, &p[1].peer);
}

/* A route's source address is the socket's, on a port that is drawn all the same; where the machine
 * does not have it, that is said. */
static void source_of_udp(void)
{
    struct random same = t.random;
    unsigned drawn = 1024 + random_below(&same, 65536 - 1024);
    struct sockaddr_in from;
    struct probe p[2];

    for (int i = 0; i < 2; i++) { /* the second time what is drawn is taken */
        assert_int_equal(ask_from(&p[i], IO_UDP, "q", "127.0.0.77"), 0);
        from = take_question();
        assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f00004d);
        assert_int_equal(ntohs(from.sin_port) == drawn, i == 0);
    }
    t.io->close(t.io, &p[0].peer);
    t.io->close(t.io, &p[1].peer);
    assert_int_equal(ask_from(&p[0], IO_UDP, "q", "203.0.113.77"), -EADDRNOTAVAIL);
    assert_null(p[0].peer.handle);
}

static void source_of_tcp(void)
{
    struct sockaddr_in from;
    struct probe p;
    int fd;

    assert_int_equal(ask_from(&p, IO_TCP, "a header alone", "127.0.0.77"), 0);
    fd = accept(t.fd, (struct sockaddr *)&from, &(socklen_t){sizeof from});
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f00004d);
    t.io->close(t.io, &p.peer);
    close(fd);
    assert_int_equal(ask_from(&p, IO_TCP, "a header alone", "203.0.113.77"), -EADDRNOTAVAIL);
    assert_null(p.peer.handle);
}

/* Forged "fragmentation needed" messages have no effect, and nobody but the server is heard. */
static void only_the_server_is_heard(void)
{
    int fd = dup(t.fd), discover = -1, other = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in from;
    struct probe p;

    close(fd); /* the next socket's number */
    ask(&p, IO_UDP, "q");
    from = take_question();
    assert_int_equal(
        getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, &(socklen_t){sizeof discover}), 0);
    assert_int_equal(discover, IP_PMTUDISC_OMIT);
    give(other, &from, "forged");
    give(t.fd, &from, "reply");
    run_until(&p.n);
    assert_string_equal(p.text, "reply");
    assert_int_equal(p.n, 1);
    p.n = 0;
    p.closes = true; /* from the callback */
    give(t.fd, &from, "again");
    run_until(&p.n);
    assert_null(p.peer.handle);
    t.io->close(t.io, &p.peer); /* closed already: fine */
    close(other);
}

/* Nobody listens there: said later, never from inside. */
static void refused(void)
{
    struct probe p[3];

    shutdown(t.fd, SHUT_RDWR);
    close(t.fd);
    t.fd = dup(0);
    ask(&p[0], IO_UDP, "q");
    ask(&p[1], IO_TCP, "a header alone");
    ask(&p[2], IO_CONNECT, "");
    assert_int_equal(p[0].error | p[1].error | p[2].error, 0);
    for (int i = 0; i < 3; i++) {
        run_until(&p[i].error);
        assert_int_equal(p[i].error, -ECONNREFUSED);
        assert_null(p[i].peer.handle);
    }
}

/* Connected, and closed at once: nothing is sent, and nothing that comes is read. */
static void connected(void)
{
    struct probe p[2];
    char text[4];
    int fd;

    ask(&p[0], IO_CONNECT, "");
    assert_int_equal(p[0].ended, 0);
    run_until(&p[0].ended);
    assert_int_equal(p[0].error, 0);
    assert_null(p[0].peer.handle);
    fd = accept(t.fd, NULL, NULL);
    assert_int_equal(recv(fd, text, sizeof text, 0), 0);
    close(fd);
    ask(&p[1], IO_CONNECT, "");
    t.io->close(t.io, &p[1].peer); /* before it is said */
    run_until(NULL);
    assert_int_equal(p[1].ended, 0);
    assert_int_equal(p[0].ended, 1);
}

static const struct row {
    const char *name;
    void (*run)(void);
    int type; /* of the server's socket */
} rows[] = {
    {"the port is drawn", port_is_drawn, SOCK_DGRAM},
    {"source of UDP", source_of_udp, SOCK_DGRAM},
    {"source of TCP", source_of_tcp, SOCK_STREAM},
    {"only the server is heard", only_the_server_is_heard, SOCK_DGRAM},
    {"refused", refused, SOCK_STREAM},
    {"connected", connected, SOCK_STREAM},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    memset(&t, 0, sizeof t);
    t.base = event_base_new();
    t.random.fill = fill;
    t.io = io_event_new(t.base, &t.random, &t.stats);
    assert_non_null(t.io);
    t.fd = socket(AF_INET, r->type, 0);
    assert_int_equal(bind(t.fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(t.fd, (struct sockaddr *)&sa, &(socklen_t){sizeof sa}), 0);
    assert_true(addr_from_sockaddr(&t.server, (struct sockaddr *)&sa));
    assert_int_equal(r->type == SOCK_STREAM ? listen(t.fd, 8) : 0, 0);
    r->run();
    io_event_free(t.io);
    event_base_free(t.base);
    close(t.fd);
}

TESTS("io_event", ROWS(rows, check_row))
