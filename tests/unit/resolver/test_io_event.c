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

struct fixture {
    struct event_base *base;
    struct random random;
    uint64_t seed;
    struct io *io;
    struct addr server;
    int fd; /* the server's socket */
};

struct probe { /* what came to a peer */
    struct io_peer peer;
    char text[64];
    int n, error;
    bool closes;
    struct io *io;
};

static void fill(void *context, uint8_t *out, size_t len)
{
    struct fixture *f = context;

    for (size_t i = 0; i < len; i++) {
        f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(f->seed >> 56);
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
    memcpy(p->text, wire, (size_t)len);
    p->text[len] = '\0';
    p->n++;
    if (p->closes)
        p->io->close(p->io, peer);
}

static struct probe probe_of(struct fixture *f)
{
    return (struct probe){.peer = {.receive = on_receive}, .io = f->io};
}

static int server_socket(int type, struct addr *out)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, type, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(addr_from_sockaddr(out, (struct sockaddr *)&sa));
    return fd;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->base = event_base_new();
    f->seed = (uint64_t)getpid();
    f->random = (struct random){.fill = fill, .context = f};
    f->io = io_event_new(f->base, &f->random);
    assert_non_null(f->io);
    *state = f;
    return 0;
}

static int set_up_udp(void **state)
{
    struct fixture *f;

    set_up(state);
    f = *state;
    f->fd = server_socket(SOCK_DGRAM, &f->server);
    return 0;
}

static int set_up_tcp(void **state)
{
    struct fixture *f;

    set_up(state);
    f = *state;
    f->fd = server_socket(SOCK_STREAM, &f->server);
    assert_int_equal(listen(f->fd, 8), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    io_event_free(f->io);
    io_event_free(NULL); /* fine */
    event_base_free(f->base);
    if (f->fd > 0)
        close(f->fd);
    free(f);
    return 0;
}

/* Lets the loop run until that is no longer 0. */
static void run_until(struct fixture *f, const int *what)
{
    for (int i = 0; i < PATIENCE && *what == 0; i++) {
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        usleep(1000);
    }
    assert_int_not_equal(*what, 0);
}

/* A question reaches the server; its port is one that was drawn, from 1024 on. */
static void test_port_is_random(void **state)
{
    struct fixture *f = *state;
    struct probe p[SOCKETS];
    uint16_t drawn[SOCKETS * 8];
    uint64_t seed = f->seed;
    struct random same;

    same = (struct random){.fill = fill, .context = f};
    for (size_t i = 0; i < ARRAY_LEN(drawn); i++)
        drawn[i] = (uint16_t)(1024 + random_below(&same, 65536 - 1024));
    f->seed = seed;
    for (int i = 0; i < SOCKETS; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        struct addr a;
        char text[8];
        size_t k = 0;

        p[i] = probe_of(f);
        assert_int_equal(f->io->open(f->io, &p[i].peer, &f->server, IO_UDP), 0);
        assert_int_equal(f->io->send(f->io, &p[i].peer, (const uint8_t *)"q", 1), 0);
        assert_int_equal(recvfrom(f->fd, text, sizeof text, 0, (struct sockaddr *)&from, &len), 1);
        assert_true(addr_from_sockaddr(&a, (struct sockaddr *)&from));
        while (k < ARRAY_LEN(drawn) && drawn[k] != a.port)
            k++;
        assert_in_range(k, i, ARRAY_LEN(drawn) - 1);
    }
    for (int i = 0; i < SOCKETS; i++)
        f->io->close(f->io, &p[i].peer);
}

/* All ports that are drawn are taken: the kernel's choice, not none. */
static void fill_same(void *context, uint8_t *out, size_t len)
{
    (void)context;
    memset(out, 0x7f, len);
}

static void test_port_is_taken(void **state)
{
    struct fixture *f = *state;
    struct probe p = probe_of(f), q = probe_of(f);

    f->random = (struct random){.fill = fill_same, .context = f};
    assert_int_equal(f->io->open(f->io, &p.peer, &f->server, IO_UDP), 0);
    assert_int_equal(f->io->open(f->io, &q.peer, &f->server, IO_UDP), 0);
    f->io->close(f->io, &p.peer);
    f->io->close(f->io, &q.peer);
}

/* Forged "fragmentation needed" messages have no effect, and nobody but the server is heard. */
static void test_udp(void **state)
{
    struct fixture *f = *state;
    struct probe p = probe_of(f);
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    int fd = dup(f->fd), discover = -1, other;
    char text[8];

    close(fd); /* the next socket's number */
    assert_int_equal(f->io->open(f->io, &p.peer, &f->server, IO_UDP), 0);
    assert_int_equal(f->io->send(f->io, &p.peer, (const uint8_t *)"q", 1), 0);
    assert_int_equal(recvfrom(f->fd, text, sizeof text, 0, (struct sockaddr *)&from, &len), 1);
    assert_int_equal(
        getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, &(socklen_t){sizeof discover}), 0);
    assert_int_equal(discover, IP_PMTUDISC_OMIT);
    other = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(sendto(other, "forged", 6, 0, (struct sockaddr *)&from, len), 6);
    assert_int_equal(sendto(f->fd, "reply", 5, 0, (struct sockaddr *)&from, len), 5);
    run_until(f, &p.n);
    assert_string_equal(p.text, "reply");
    assert_int_equal(p.n, 1);
    p.closes = true; /* from the callback */
    assert_int_equal(sendto(f->fd, "again", 5, 0, (struct sockaddr *)&from, len), 5);
    p.n = 0;
    run_until(f, &p.n);
    assert_null(p.peer.handle);
    f->io->close(f->io, &p.peer); /* closed already: fine */
    close(other);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    struct probe udp = probe_of(f), tcp = probe_of(f);

    close(f->fd); /* nobody listens there */
    f->fd = -1;
    assert_int_equal(f->io->open(f->io, &udp.peer, &f->server, IO_UDP), 0);
    assert_int_equal(f->io->send(f->io, &udp.peer, (const uint8_t *)"q", 1), 0);
    assert_int_equal(f->io->open(f->io, &tcp.peer, &f->server, IO_TCP), 0);
    assert_int_equal(f->io->send(f->io, &tcp.peer, (const uint8_t *)"q", 1), 0);
    assert_int_equal(udp.error | tcp.error, 0); /* never from inside */
    run_until(f, &udp.error);
    run_until(f, &tcp.error);
    assert_int_equal(udp.error, -ECONNREFUSED);
    assert_int_equal(tcp.error, -ECONNREFUSED);
    assert_null(udp.peer.handle);
    assert_null(tcp.peer.handle);
}

/* One message a connection, however it is cut; what is behind it is not for us. */
static void test_tcp(void **state)
{
    struct fixture *f = *state;
    struct probe p = probe_of(f), cut = probe_of(f);
    char text[16];
    int fd;

    p.closes = true;
    assert_int_equal(f->io->open(f->io, &p.peer, &f->server, IO_TCP), 0);
    assert_int_equal(f->io->send(f->io, &p.peer, (const uint8_t *)"question", 8), 0);
    fd = accept(f->fd, NULL, NULL);
    for (int i = 0; i < 5; i++)
        event_base_loop(f->base, EVLOOP_NONBLOCK);
    assert_int_equal(recv(fd, text, sizeof text, 0), 10);
    assert_memory_equal(text, "\0\10question", 10);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(p.n, 0);
        assert_int_equal(send(fd, &"\0\5reply"[i], 1, 0), 1);
        for (int k = 0; k < 5; k++)
            event_base_loop(f->base, EVLOOP_NONBLOCK);
    }
    run_until(f, &p.n);
    assert_string_equal(p.text, "reply");
    assert_null(p.peer.handle);
    close(fd);
    assert_int_equal(f->io->open(f->io, &cut.peer, &f->server, IO_TCP), 0);
    assert_int_equal(f->io->send(f->io, &cut.peer, (const uint8_t *)"q", 1), 0);
    fd = accept(f->fd, NULL, NULL);
    assert_int_equal(send(fd, "\0\5rep", 5, 0), 5);
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    assert_int_equal(recv(fd, text, 3, MSG_WAITALL), 3); /* else the end would be a reset */
    close(fd);
    run_until(f, &cut.error);
    assert_int_equal(cut.error, -ECONNRESET);
    assert_int_equal(cut.n, 0);
}

struct alarm {
    struct io_timer timer;
    struct io *io;
    int n;
    uint64_t due_ms, late_ms;
};

static void on_alarm(struct io_timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    uint64_t now_ms = a->io->now(a->io).mono_ms;

    assert_true(now_ms >= a->due_ms); /* late, but never early */
    assert_int_equal(t->at_ms, 0);
    a->n++;
}

static void test_timers(void **state)
{
    struct fixture *f = *state;
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    struct alarm a[4] = {{.due_ms = now_ms + 20}, {.due_ms = now_ms + 5}, {.due_ms = now_ms + 10}};

    for (int i = 0; i < 4; i++) {
        a[i].io = f->io;
        a[i].timer.fire = on_alarm;
        f->io->timer_clear(f->io, &a[i].timer); /* not set: fine */
    }
    usleep(3000); /* the loop's clock is behind */
    for (int i = 0; i < 3; i++)
        f->io->timer_set(f->io, &a[i].timer, a[i].due_ms);
    a[0].due_ms = now_ms + 30; /* moved */
    f->io->timer_set(f->io, &a[0].timer, a[0].due_ms);
    f->io->timer_clear(f->io, &a[2].timer);
    assert_int_equal(a[2].timer.at_ms, 0);
    run_until(f, &a[1].n);
    assert_int_equal(a[0].n, 0);
    run_until(f, &a[0].n);
    assert_int_equal(a[2].n, 0);
    f->io->timer_set(f->io, &a[3].timer, 1); /* long ago */
    run_until(f, &a[3].n);
    assert_int_equal(a[0].n + a[1].n + a[3].n, 3);
}

int main(void)
{
    TEST_WITH(test_port_is_random, set_up_udp, tear_down);
    TEST_WITH(test_port_is_taken, set_up_udp, tear_down);
    TEST_WITH(test_udp, set_up_udp, tear_down);
    TEST_WITH(test_refused, set_up_tcp, tear_down);
    TEST_WITH(test_tcp, set_up_tcp, tear_down);
    TEST_WITH(test_timers, set_up, tear_down);
    return RUN("io_event");
}
