/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_stream.c -- connections that questions share, with a real server on the loopback that does
 * what the row says. The clock stands until the row moves it.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "resolver/io.h"
#include "resolver/stats.h"
#include "tests/unit/rows.h"
#include "wire/message.h"

enum { PATIENCE = 5000, HEAD = 2 + DNS_HEADER, ASKED = 160, TIMERS = 64, OWN_ID = 0x4242 };

static struct {
    struct event_base *base;
    struct random random;
    struct worker_stats stats;
    struct io *io;
    uint64_t now_ms;
    struct io_timer *timers[TIMERS]; /* those that are set */
    int n_timers;
    struct addr server;
    int listener;
} t;

static struct asker {
    struct io_peer peer;
    uint16_t id;       /* of the reply */
    uint8_t text;      /* the octet behind its header, or 0 */
    int n, error;      /* what came */
    struct asker *and; /* closes that one, or asks it: which is in the same state */
} asked[ASKED];

static struct now now(struct io *io)
{
    return (struct now){.mono_ms = t.now_ms};
}

static void timer_clear(struct io *io, struct io_timer *timer)
{
    for (int i = 0; i < t.n_timers; i++)
        if (t.timers[i] == timer)
            t.timers[i] = t.timers[--t.n_timers];
    timer->at_ms = 0;
}

static void timer_set(struct io *io, struct io_timer *timer, uint64_t at_ms)
{
    timer_clear(io, timer);
    assert_in_range(t.n_timers, 0, TIMERS - 1);
    t.timers[t.n_timers++] = timer;
    timer->at_ms = at_ms;
}

static void pass(uint64_t ms)
{
    t.now_ms += ms;
    for (int i = 0; i < t.n_timers; i++)
        if (t.timers[i]->at_ms <= t.now_ms) {
            struct io_timer *timer = t.timers[i];

            timer_clear(t.io, timer);
            timer->fire(timer);
            i = -1;
        }
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

static void ask(struct asker *);

static void on_receive(struct io_peer *peer, const uint8_t *wire, ssize_t len)
{
    struct asker *a = container_of(peer, struct asker, peer);

    if (wire == NULL) {
        assert_null(peer->handle);
        a->error = (int)len;
    } else {
        a->id = bytes_u16(wire);
        a->text = len > DNS_HEADER ? wire[DNS_HEADER] : 0;
        a->n++;
        t.io->close(t.io, peer);
    }
    if (a->and &&a->and->peer.handle)
        t.io->close(t.io, &a->and->peer);
    else if (a->and)
        ask(a->and);
}

/* Each has the same ID, and its number as its text. */
static int try_ask(struct asker *a, size_t len)
{
    const struct io_target to = {.server = &t.server, .kind = IO_TCP};
    uint8_t message[4096] = {OWN_ID >> 8, OWN_ID & 0xff};

    message[DNS_HEADER] = (uint8_t)(1 + (a - asked));
    a->n = a->error = 0;
    a->peer.receive = on_receive;
    return t.io->ask(t.io, &a->peer, &to, message, len);
}

static void ask(struct asker *a)
{
    assert_int_equal(try_ask(a, DNS_HEADER + 1), 0);
}

/* The loop runs until the next connection is there. */
static int take_connection(void)
{
    int fd = -1;

    for (int i = 0; i < PATIENCE && fd < 0; i++) {
        fd = accept(t.listener, NULL, NULL);
        run_until(NULL);
    }
    assert_true(fd >= 0);
    return fd;
}

static bool has_connection(void)
{
    int fd;

    run_until(NULL);
    fd = accept(t.listener, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_closed(int fd)
{
    char octet;

    run_until(NULL);
    return recv(fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/* The next question: its ID, and its text must be that. */
static uint16_t take(int fd, uint8_t text)
{
    uint8_t q[HEAD + 1];

    assert_int_equal(recv(fd, q, sizeof q, MSG_WAITALL), sizeof q);
    assert_int_equal(bytes_u16(q), DNS_HEADER + 1);
    assert_int_equal(q[HEAD], text);
    return bytes_u16(q + 2);
}

static void give(int fd, uint16_t id, uint8_t text)
{
    const uint8_t r[HEAD + 1] = {0, DNS_HEADER + 1, (uint8_t)(id >> 8), (uint8_t)id, [HEAD] = text};

    assert_int_equal(send(fd, r, sizeof r, MSG_NOSIGNAL), sizeof r);
}

/* Asks with the first n, on one connection. */
static int asked_on_one(int n, uint16_t *ids)
{
    int fd = -1;

    for (int i = 0; i < n; i++)
        ask(&asked[i]);
    fd = take_connection();
    for (int i = 0; i < n; i++)
        ids[i] = take(fd, (uint8_t)(i + 1));
    assert_false(has_connection());
    return fd;
}

/* rfc 7766-3: length and message leave in one segment, and come in however many. */
static void cut(void)
{
    uint8_t q[64];
    uint16_t id;
    int fd;

    ask(&asked[0]);
    fd = take_connection();
    assert_int_equal(recv(fd, q, sizeof q, 0), HEAD + 1);
    id = bytes_u16(q + 2);
    for (int i = 0; i < HEAD + 1; i++) {
        const uint8_t r[HEAD + 1] = {0, DNS_HEADER + 1, (uint8_t)(id >> 8),
                                     (uint8_t)id, [HEAD] = 9};

        assert_int_equal(asked[0].n, 0);
        assert_int_equal(send(fd, r + i, 1, 0), 1);
        run_until(NULL);
    }
    run_until(&asked[0].n);
    assert_int_equal(asked[0].id, OWN_ID);
    assert_int_equal(asked[0].text, 9);
    close(fd);
}

/* A reply, and the first octets of the next one with it. */
static void one_and_a_half(void)
{
    uint8_t both[2 * (HEAD + 1)] = {0, DNS_HEADER + 1, [HEAD] = 1, [HEAD + 2] = DNS_HEADER + 1,
                                    [2 * HEAD + 1] = 2};
    struct writer w = writer_make(both, sizeof both);
    uint16_t ids[2];
    int fd = asked_on_one(2, ids);

    w.len = sizeof both;
    writer_patch_u16(&w, 2, ids[0]);
    writer_patch_u16(&w, HEAD + 3, ids[1]);
    assert_int_equal(send(fd, both, HEAD + 6, 0), HEAD + 6);
    run_until(&asked[0].n);
    assert_int_equal(asked[0].text, 1);
    assert_int_equal(send(fd, both + HEAD + 6, HEAD - 4, 0), HEAD - 4);
    run_until(&asked[1].n);
    assert_int_equal(asked[1].text, 2);
    close(fd);
}

/* rfc 7766-1, 7766-4: one connection, replies in any order, an ID once; two in a segment. */
static void pipelined(void)
{
    uint16_t ids[4];
    uint8_t both[2 * (HEAD + 1)] = {0, DNS_HEADER + 1, [HEAD] = 2, [HEAD + 2] = DNS_HEADER + 1,
                                    [2 * HEAD + 1] = 1};
    struct writer w = writer_make(both, sizeof both);
    int fd = asked_on_one(4, ids);

    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(ids[i], ids[k]);
    give(fd, ids[3], 4);
    give(fd, ids[2], 3);
    run_until(&asked[2].n);
    w.len = sizeof both;
    writer_patch_u16(&w, 2, ids[1]);
    writer_patch_u16(&w, HEAD + 3, ids[0]);
    assert_int_equal(send(fd, both, sizeof both, 0), sizeof both);
    run_until(&asked[0].n);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(asked[i].n, 1);
        assert_int_equal(asked[i].text, i + 1);
        assert_int_equal(asked[i].id, OWN_ID);
    }
    assert_int_equal(t.stats.upstream_connections, 1);
    close(fd);
}

/* T28: a second reply, and one to a question that nobody has any more, are dropped; and no later
 * question has their ID. */
static void too_late(void)
{
    uint16_t ids[2], id;
    int fd = asked_on_one(2, ids);

    give(fd, ids[0], 1);
    run_until(&asked[0].n);
    t.io->close(t.io, &asked[1].peer);
    for (int i = 0; i < 2; i++)
        ask(&asked[i]);
    id = take(fd, 1);
    (void)take(fd, 2);
    give(fd, ids[0], 7);
    give(fd, ids[1], 7);
    give(fd, id, 8);
    run_until(&asked[0].n);
    assert_int_equal(asked[0].text, 8);
    assert_int_equal(asked[1].n, 0);
    assert_int_equal(t.stats.upstream_mismatch, 0);
    t.io->close(t.io, &asked[1].peer);
    close(fd);
}

/* T28: an ID that no question has had, or what is no message: the server cannot be understood. */
static void nonsense(void)
{
    static const uint8_t short_ones[2][7] = {{0, 0}, {0, 5}};
    uint16_t ids[2];
    int fd = asked_on_one(2, ids), id = 1;

    while (id == ids[0] || id == ids[1])
        id++;
    give(fd, (uint16_t)id, 1);
    run_until(&asked[0].error);
    assert_int_equal(asked[0].error, -EPROTO);
    assert_int_equal(asked[1].error, -EPROTO);
    assert_int_equal(t.stats.upstream_mismatch, 1);
    assert_true(is_closed(fd));
    close(fd);
    for (int i = 0; i < 2; i++) { /* of no octets, and of five */
        size_t len = i == 0 ? 2 : 7;

        ask(&asked[0]);
        fd = take_connection();
        (void)take(fd, 1);
        assert_int_equal(send(fd, short_ones[i], len, 0), len);
        run_until(&asked[0].error);
        assert_int_equal(asked[0].error, -EPROTO);
        close(fd);
    }
}

/* rfc 7766-4: closed by the server while nothing was in flight: the next one is asked on another. */
static void closed_idle(void)
{
    uint16_t id;
    int fd = asked_on_one(1, &id);

    give(fd, id, 1);
    run_until(&asked[0].n);
    close(fd);
    run_until(NULL);
    assert_int_equal(t.n_timers, 0);
    ask(&asked[0]);
    fd = take_connection();
    give(fd, take(fd, 1), 1);
    run_until(&asked[0].n);
    close(fd);
}

/* rfc 7766-4: closed after its first answer, with others in flight: they may ask again, and each
 * has a connection of its own for a minute. */
static void closes_after_each(void)
{
    uint16_t ids[3];
    int fd = asked_on_one(3, ids), other, third, last;

    give(fd, ids[1], 2);
    run_until(&asked[1].n);
    close(fd);
    run_until(&asked[0].error);
    run_until(&asked[2].error);
    assert_int_equal(asked[0].error, -IO_CLOSED);
    assert_int_equal(asked[2].error, -IO_CLOSED);
    assert_int_equal(asked[1].error, 0);
    ask(&asked[0]);
    fd = take_connection();
    ask(&asked[2]);
    other = take_connection();
    give(fd, take(fd, 1), 1);
    run_until(&asked[0].n);
    ask(&asked[0]); /* not on the first one, which is about to be closed */
    third = take_connection();
    (void)take(third, 1);
    t.now_ms += 59999;
    ask(&asked[1]);
    close(take_connection());
    run_until(&asked[1].error);
    t.now_ms++;
    ask(&asked[1]); /* a minute later it is asked several on one again */
    ask(&asked[3]);
    last = take_connection();
    (void)take(last, 2);
    (void)take(last, 4);
    for (int i = 0; i < 4; i++)
        t.io->close(t.io, &asked[i].peer);
    close(fd);
    close(third);
    close(last);
    close(other);
}

/* Closed, or reset, before it has answered anything, or in the middle of an answer. */
static void closed_unanswered(void)
{
    const struct linger reset = {1, 0};

    for (int i = 0; i < 3; i++) {
        int fd;

        ask(&asked[0]);
        fd = take_connection();
        (void)take(fd, 1);
        if (i > 0)
            assert_int_equal(send(fd, "\0\15ab", 4, 0), 4);
        if (i > 1)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        run_until(&asked[0].error);
        assert_int_equal(asked[0].error, -ECONNRESET);
    }
}

/* From inside the callbacks: one more question, one less; when it ends, too. */
static void from_inside(void)
{
    uint16_t ids[3];
    int fd = asked_on_one(3, ids), other;

    asked[0].and = &asked[1];
    asked[2].and = &asked[3];
    give(fd, ids[0], 1);
    give(fd, ids[2], 1);
    run_until(&asked[2].n);
    assert_null(asked[1].peer.handle);
    asked[2].and = NULL;
    give(fd, take(fd, 4), 1);
    run_until(&asked[3].n);
    memset(asked, 0, sizeof asked);
    for (int i = 0; i < 3; i++) {
        ask(&asked[i]);
        (void)take(fd, (uint8_t)(i + 1));
    }
    asked[0].and = &asked[1]; /* the first that is told */
    asked[2].and = &asked[3];
    close(fd);
    run_until(&asked[0].error);
    run_until(&asked[2].error);
    assert_int_equal(asked[1].error, 0);
    other = take_connection();
    (void)take(other, 4);
    t.io->close(t.io, &asked[3].peer);
    close(other);
}

/* rfc 7766-2: what is idle for 10 s is closed, not before, and not while a question waits. */
static void idle(void)
{
    uint16_t id;
    int fd = asked_on_one(1, &id);

    pass(9999);
    assert_false(is_closed(fd));
    give(fd, id, 1);
    run_until(&asked[0].n);
    pass(9999);
    assert_false(is_closed(fd));
    pass(1);
    assert_true(is_closed(fd));
    assert_int_equal(t.n_timers, 0);
    close(fd);
}

/* Not heard for 800 ms: whoever asks then has another connection; who waits, waits on. */
static void stuck(void)
{
    uint16_t ids[2];
    int fd = asked_on_one(2, ids), other;

    pass(799);
    ask(&asked[2]);
    assert_false(has_connection());
    pass(1);
    ask(&asked[3]);
    other = take_connection();
    (void)take(other, 4);
    give(fd, ids[0], 1);
    run_until(&asked[0].n);
    assert_false(is_closed(fd));
    t.io->close(t.io, &asked[1].peer);
    t.io->close(t.io, &asked[2].peer);
    pass(0);
    assert_false(is_closed(fd)); /* which has something to read first */
    (void)take(fd, 3);
    assert_true(is_closed(fd));
    close(fd);
    /* Given up after that time: it is not asked on again. */
    pass(800);
    t.io->close(t.io, &asked[3].peer);
    pass(0);
    assert_true(is_closed(other));
    close(other);
    /* Heard in between: it goes on. */
    fd = asked_on_one(2, ids);
    pass(700);
    give(fd, ids[0], 1);
    run_until(&asked[0].n);
    pass(700);
    ask(&asked[0]);
    (void)take(fd, 1);
    t.io->close(t.io, &asked[0].peer);
    t.io->close(t.io, &asked[1].peer);
    close(fd);
}

/* The daemon ends while a connection that was given up is still there. */
static void ended_while_closing(void)
{
    uint16_t id;
    int fd = asked_on_one(1, &id);

    pass(800);
    t.io->close(t.io, &asked[0].peer);
    close(fd);
}

/* Whom nobody lets in, for 3 s. */
static void never_connected(void)
{
    ask(&asked[0]);
    ask(&asked[1]);
    pass(2999);
    assert_int_equal(asked[0].error, 0);
    pass(1);
    assert_int_equal(asked[0].error, -ETIMEDOUT);
    assert_int_equal(asked[1].error, -ETIMEDOUT);
    assert_int_equal(t.stats.upstream_connections, 1);
}

/* 128 wait on a connection; the next one has another. */
static void full(void)
{
    int fd, other;

    for (int i = 0; i < 129; i++)
        ask(&asked[i]);
    fd = take_connection();
    other = take_connection();
    for (int i = 0; i < 128; i++)
        (void)take(fd, (uint8_t)(i + 1));
    (void)take(other, 129);
    assert_int_equal(t.stats.upstream_connections, 2);
    for (int i = 0; i < 129; i++)
        t.io->close(t.io, &asked[i].peer);
    close(fd);
    close(other);
}

/* 10,000 questions, of which no two have the same ID; then another connection. */
static void life(void)
{
    static bool seen[UINT16_MAX + 1];
    int fd = -1, other;

    for (int i = 0; i < 10000; i++) {
        uint16_t id;

        ask(&asked[0]);
        fd = i == 0 ? take_connection() : fd;
        id = take(fd, 1);
        assert_false(seen[id]);
        seen[id] = true;
        give(fd, id, 1);
        for (int k = 0; k < 100 && asked[0].n == 0; k++)
            event_base_loop(t.base, EVLOOP_ONCE);
        assert_int_equal(asked[0].n, 1);
    }
    ask(&asked[0]);
    other = take_connection();
    (void)take(other, 1);
    pass(0);
    assert_true(is_closed(fd));
    t.io->close(t.io, &asked[0].peer);
    close(fd);
    close(other);
}

/* A server that reads nothing: what waits for it has its limit, then there is another connection. */
static void reads_nothing(void)
{
    enum { LONG = 4096 };
    int n = 0, fd = dup(t.listener), small = 4096;

    close(fd); /* the next socket's number */
    ask(&asked[n++]);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    fd = take_connection();
    while (n < 100 && t.stats.upstream_connections == 1)
        assert_int_equal(try_ask(&asked[n++], LONG), 0);
    assert_int_equal(t.stats.upstream_connections, 2);
    assert_int_equal(asked[1].error, 0);
    assert_int_equal(try_ask(&asked[n], DNS_HEADER - 1), -EMSGSIZE);
    (void)take(fd, 1);
    for (int i = 1; i < n - 1; i++) { /* now it reads */
        uint8_t q[2 + LONG];

        for (size_t have = 0; have < sizeof q;) {
            ssize_t got = recv(fd, q + have, sizeof q - have, MSG_DONTWAIT);

            have += got > 0 ? (size_t)got : 0;
            if (have < sizeof q)
                event_base_loop(t.base, EVLOOP_NONBLOCK);
        }
        assert_int_equal(bytes_u16(q), LONG);
        assert_int_equal(q[HEAD], i + 1);
        give(fd, bytes_u16(q + 2), 1);
    }
    run_until(&asked[n - 2].n);
    t.io->close(t.io, &asked[0].peer);
    t.io->close(t.io, &asked[n - 1].peer);
    close(fd);
}

static const struct row {
    const char *name;
    void (*run)(void);
} rows[] = {
    {"however it is cut", cut},
    {"one and a half in a segment", one_and_a_half},
    {"several at once, in any order", pipelined},
    {"a second reply, and a late one", too_late},
    {"nonsense ends it", nonsense},
    {"closed while idle", closed_idle},
    {"closed after each answer", closes_after_each},
    {"closed before an answer", closed_unanswered},
    {"asked and closed from inside", from_inside},
    {"idle", idle},
    {"stuck", stuck},
    {"ended while one closes", ended_while_closing},
    {"never connected", never_connected},
    {"full", full},
    {"10,000 questions", life},
    {"a server that reads nothing", reads_nothing},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int small = 4096;

    memset(&t, 0, sizeof t);
    memset(asked, 0, sizeof asked);
    t.now_ms = 1000000;
    t.base = event_base_new();
    t.io = io_event_new(t.base, &t.random, &t.stats);
    assert_non_null(t.io);
    t.io->now = now;
    t.io->timer_set = timer_set;
    t.io->timer_clear = timer_clear;
    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(t.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(bind(t.listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&sa, &(socklen_t){sizeof sa}), 0);
    assert_true(addr_from_sockaddr(&t.server, (struct sockaddr *)&sa));
    assert_int_equal(listen(t.listener, 8), 0);
    r->run();
    io_event_free(t.io);
    assert_int_equal(t.n_timers, 0);
    event_base_free(t.base);
    close(t.listener);
}

TESTS("stream", ROWS(rows, check_row))
