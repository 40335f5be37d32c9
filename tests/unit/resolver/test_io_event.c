/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_io_event.c -- sockets and timers, with real servers on the loopback.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "resolver/io.h"
#include "tests/unit/rows.h"

enum { SOCKETS = 8, PATIENCE = 5000 };

static struct {
    struct event_base *base;
    struct random random;
    uint64_t seed; /* 0: chance is always the same */
    struct io *io;
    struct addr server;
    int fd; /* the server's socket */
} t;

struct probe { /* what came to a peer */
    struct io_peer peer;
    char text[64];
    int n, error;
    bool closes;
};

static void fill(void *context, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (t.seed != 0)
            t.seed = t.seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = t.seed != 0 ? (uint8_t)(t.seed >> 56) : 0x7f;
    }
}

static void on_receive(struct io_peer *peer, const uint8_t *wire, ssize_t len)
{
    struct probe *p = container_of(peer, struct probe, peer);

    if (wire == NULL) {
        p->error = (int)len;
        return;
    }
    assert_in_range(len, 0, sizeof p->text - 1);
    snprintf(p->text, sizeof p->text, "%.*s", (int)len, (const char *)wire);
    p->n++;
    if (p->closes)
        t.io->close(t.io, peer);
}

static void ask(struct probe *p, enum io_kind kind, const char *question)
{
    *p = (struct probe){.peer = {.receive = on_receive}};
    assert_int_equal(
        t.io->ask(t.io, &p->peer, &t.server, kind, (const uint8_t *)question, strlen(question)), 0);
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

/* The question "q" has come; *from: whence. */
static void take_question(struct sockaddr_in *from)
{
    char text[8];

    assert_int_equal(
        recvfrom(t.fd, text, sizeof text, 0, (struct sockaddr *)from, &(socklen_t){sizeof *from}),
        1);
}

static void give(int fd, const struct sockaddr_in *to, const char *text)
{
    assert_int_equal(sendto(fd, text, strlen(text), 0, (const struct sockaddr *)to, sizeof *to),
                     strlen(text));
}

/* A question reaches the server; its port is one that was drawn, from 1024 on. */
static void port_is_random(void)
{
    struct random same = t.random;
    struct probe p[SOCKETS];
    uint16_t drawn[SOCKETS * 8];
    uint64_t seed = t.seed;
    struct sockaddr_in from;

    for (size_t i = 0; i < ARRAY_LEN(drawn); i++)
        drawn[i] = (uint16_t)(1024 + random_below(&same, 65536 - 1024));
    t.seed = seed;
    for (int i = 0; i < SOCKETS; i++) {
        size_t k = 0;

        ask(&p[i], IO_UDP, "q");
        take_question(&from);
        while (k < ARRAY_LEN(drawn) && drawn[k] != ntohs(from.sin_port))
            k++;
        assert_in_range(k, i, ARRAY_LEN(drawn) - 1);
    }
    for (int i = 0; i < SOCKETS; i++)
        t.io->close(t.io, &p[i].peer);
    /* All ports that are drawn are taken: the kernel's choice, not none. */
    t.seed = 0;
    ask(&p[0], IO_UDP, "q");
    ask(&p[1], IO_UDP, "q");
    t.io->close(t.io, &p[0].peer);
    t.io->close(t.io, &p[1].peer);
}

/* Forged "fragmentation needed" messages have no effect, and nobody but the server is heard. */
static void only_the_server_is_heard(void)
{
    int fd = dup(t.fd), discover = -1, other = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in from;
    struct probe p;

    close(fd); /* the next socket's number */
    ask(&p, IO_UDP, "q");
    take_question(&from);
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
    struct probe p[2];

    shutdown(t.fd, SHUT_RDWR);
    close(t.fd);
    t.fd = dup(0);
    ask(&p[0], IO_UDP, "q");
    ask(&p[1], IO_TCP, "q");
    assert_int_equal(p[0].error | p[1].error, 0);
    for (int i = 0; i < 2; i++) {
        run_until(&p[i].error);
        assert_int_equal(p[i].error, -ECONNREFUSED);
        assert_null(p[i].peer.handle);
    }
}

/* One message a connection, however it is cut; what is behind it is not for us. */
static void stream(void)
{
    struct probe p;
    char text[16];
    int fd;

    ask(&p, IO_TCP, "question");
    p.closes = true;
    fd = accept(t.fd, NULL, NULL);
    run_until(NULL);
    assert_int_equal(recv(fd, text, sizeof text, 0), 10);
    assert_memory_equal(text, "\0\10question", 10);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(p.n, 0);
        assert_int_equal(send(fd, &"\0\5reply"[i], 1, 0), 1);
        run_until(NULL);
    }
    run_until(&p.n);
    assert_string_equal(p.text, "reply");
    assert_null(p.peer.handle);
    close(fd);
    ask(&p, IO_TCP, "q");
    fd = accept(t.fd, NULL, NULL);
    assert_int_equal(send(fd, "\0\5rep", 5, 0), 5);
    run_until(NULL);
    assert_int_equal(recv(fd, text, 3, MSG_WAITALL), 3); /* else the end would be a reset */
    close(fd);
    run_until(&p.error);
    assert_int_equal(p.error, -ECONNRESET);
    assert_int_equal(p.n, 0);
}

struct alarm {
    struct io_timer timer;
    int n;
    uint64_t due_ms;
};

static void on_alarm(struct io_timer *timer)
{
    struct alarm *a = container_of(timer, struct alarm, timer);

    assert_true(t.io->now(t.io).mono_ms >= a->due_ms); /* late, but never early */
    assert_int_equal(timer->at_ms, 0);
    a->n++;
}

static void timers(void)
{
    uint64_t now_ms = t.io->now(t.io).mono_ms;
    struct alarm a[4] = {{.due_ms = now_ms + 30}, {.due_ms = now_ms + 5}, {.due_ms = now_ms + 10}};

    usleep(3000); /* the loop's clock is behind */
    for (int i = 0; i < 4; i++) {
        a[i].timer.fire = on_alarm;
        t.io->timer_clear(t.io, &a[i].timer); /* not set: fine */
        if (i < 3)
            t.io->timer_set(t.io, &a[i].timer, i == 0 ? now_ms + 20 : a[i].due_ms);
    }
    t.io->timer_set(t.io, &a[0].timer, a[0].due_ms); /* moved */
    t.io->timer_clear(t.io, &a[2].timer);
    run_until(&a[1].n);
    assert_int_equal(a[0].n, 0);
    run_until(&a[0].n);
    t.io->timer_set(t.io, &a[3].timer, 1); /* long ago */
    run_until(&a[3].n);
    assert_int_equal(a[2].n, 0);
    assert_int_equal(a[0].n + a[1].n + a[3].n, 3);
}

static const struct row {
    const char *name;
    void (*run)(void);
    int type; /* of the server's socket */
} rows[] = {
    {"the port is random", port_is_random, SOCK_DGRAM},
    {"only the server is heard", only_the_server_is_heard, SOCK_DGRAM},
    {"refused", refused, SOCK_STREAM},
    {"a stream", stream, SOCK_STREAM},
    {"timers", timers, SOCK_DGRAM},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    memset(&t, 0, sizeof t);
    t.base = event_base_new();
    t.seed = (uint64_t)getpid();
    t.random = (struct random){.fill = fill};
    t.io = io_event_new(t.base, &t.random);
    assert_non_null(t.io);
    t.fd = socket(AF_INET, r->type, 0);
    assert_int_equal(bind(t.fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(t.fd, (struct sockaddr *)&sa, &(socklen_t){sizeof sa}), 0);
    assert_true(addr_from_sockaddr(&t.server, (struct sockaddr *)&sa));
    assert_int_equal(r->type == SOCK_STREAM ? listen(t.fd, 8) : 0, 0);
    r->run();
    io_event_free(t.io);
    io_event_free(NULL); /* fine */
    event_base_free(t.base);
    close(t.fd);
}

int main(void)
{
    ROWS(rows, check_row);
    return RUN("io_event");
}
