/* SPDX-License-Identifier: BSD-2-Clause
 *
 * connection.c -- see connection.h and listen_tcp.h.
 *
 * Reading stops while PENDING_MAX questions wait for an answer or OUT_MAX
 * octets for the client, so that a client which does not read costs no more
 * than that. Idle time is counted from the last whole message, a question or its
 * answer, not from the last octet: sending slowly keeps nothing open. When there
 * are as many connections as there may be, the one that has been idle longest
 * makes room (RFC 7766 6.2.3).
 *
 * A connection's place in the table and its serial number go into struct
 * client; an answer that comes after the connection is gone meets a free place
 * or another serial.
 */
#include "resolver/connection.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PENDING_MAX = 100,
    OUT_MAX = 64 << 10,
    OUT_LIMIT = 1 << 20, /* answers that were still to come included; then it is closed */
    IN_SMALL = 1024,     /* almost every question fits */
    READS_MAX = 16,      /* of one wake-up */
};

struct connection {
    struct io_timer idle;
    struct connections *all;
    struct event *read, *write;
    struct addr client;
    int fd;
    uint16_t listener;
    uint32_t slot, serial;
    uint64_t used;    /* greater: later */
    unsigned pending; /* questions that wait for the real DNS */
    bool reading;     /* the read event is set */
    bool closing;     /* the client has sent all */
    bool broken;      /* it cannot be written to */
    bool busy;        /* serve() is at it */
    uint8_t *in;      /* small[], or from malloc for a long message */
    size_t in_len, in_size;
    uint8_t *out; /* from malloc; NULL when all is written */
    size_t out_at, out_len, out_size;
    uint8_t small[IN_SMALL];
};

struct connections {
    struct listen *l; /* borrowed */
    struct connection **at;
    uint32_t size, count, serial;
    uint64_t uses;
    struct query q;
    uint8_t answer[DNS_MAX_MESSAGE];
};

/* ---- making and ending ---- */

struct connections *connections_new(struct listen *l)
{
    struct connections *all = calloc(1, sizeof *all);

    if (all != NULL)
        all->l = l;
    return all;
}

static void end(struct connection *c)
{
    struct connections *all = c->all;

    all->l->io->timer_clear(all->l->io, &c->idle);
    event_free(c->read);
    event_free(c->write);
    close(c->fd);
    if (c->in != c->small)
        free(c->in);
    free(c->out);
    all->at[c->slot] = NULL;
    __atomic_store_n(&all->count, all->count - 1, __ATOMIC_RELAXED);
    free(c);
}

void connections_free(struct connections *all)
{
    if (all == NULL)
        return;
    for (uint32_t i = 0; i < all->size; i++)
        if (all->at[i] != NULL)
            end(all->at[i]);
    free(all->at);
    free(all);
}

unsigned connections_count(const struct connections *all)
{
    return __atomic_load_n(&all->count, __ATOMIC_RELAXED);
}

static void set_idle(struct connection *c)
{
    struct listen *l = c->all->l;

    c->used = ++c->all->uses;
    l->io->timer_set(l->io, &c->idle,
                     l->io->now(l->io).mono_ms + l->view->settings->limits.tcp_idle_ms);
}

static void on_idle(struct io_timer *t)
{
    struct connection *c = (struct connection *)(void *)t; /* its first member */

    if (c->pending > 0) { /* we are the ones who are late */
        set_idle(c);
        return;
    }
    COUNT(c->all->l->stats, tcp_timeouts);
    end(c);
}

/* ---- writing ---- */

/* False when the connection must end. */
static bool write_out(struct connection *c)
{
    while (c->out_at < c->out_len) {
        ssize_t n =
            send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            event_add(c->write, NULL);
            return true;
        }
        if (n < 0)
            return false;
        c->out_at += (size_t)n;
    }
    free(c->out);
    c->out = NULL;
    c->out_at = c->out_len = c->out_size = 0;
    event_del(c->write);
    return true;
}

/* Keeps octets until they can be written. */
static bool queue(struct connection *c, const uint8_t *at, size_t len)
{
    if (c->out_len + len > c->out_size) {
        size_t size = c->out_len - c->out_at + len;
        uint8_t *out;

        if (size > OUT_LIMIT || (out = malloc(size)) == NULL)
            return false;
        if (c->out != NULL)
            memcpy(out, c->out + c->out_at, c->out_len - c->out_at);
        free(c->out);
        c->out = out;
        c->out_len -= c->out_at;
        c->out_at = 0;
        c->out_size = size;
    }
    memcpy(c->out + c->out_len, at, len);
    c->out_len += len;
    return true;
}

/* Length and message in one segment (RFC 7766 8). False: end the connection. */
static bool send_message(struct connection *c, const uint8_t *message, size_t len)
{
    uint8_t length[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    struct iovec iov[2] = {{length, sizeof length}, {(void *)(uintptr_t)message, len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    size_t sent = 0;

    if (c->out == NULL) {
        ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return false;
        sent = n > 0 ? (size_t)n : 0;
        if (sent == len + sizeof length)
            return true;
    }
    if (sent < sizeof length && !queue(c, length + sent, sizeof length - sent))
        return false;
    sent = sent > sizeof length ? sent - sizeof length : 0;
    if (!queue(c, message + sent, len - sent))
        return false;
    event_add(c->write, NULL);
    return true;
}

/* ---- questions ---- */

/* False: end the connection. */
static bool answer_message(struct connection *c, const uint8_t *wire, size_t len)
{
    struct connections *all = c->all;
    struct listen *l = all->l;
    struct query *q = &all->q;
    struct now now = l->io->now(l->io);
    uint64_t before = l->stats->queries;
    enum answer answer;

    q->client = (struct client){.addr = c->client,
                                .transport = AUDIT_TCP,
                                .listener = c->listener,
                                .connection = c->slot,
                                .serial = c->serial};
    q->arrived_ms = now.mono_ms;
    q->arrived_us = clock_us();
    q->wire = wire;
    q->wire_len = len;
    q->out = all->answer;
    q->out_size = sizeof all->answer;
    answer = answer_read(l->view, q, now);
    if (l->stats->queries != before)
        COUNT(l->stats, queries_tcp);
    if (answer == ANSWER_FORWARD)
        answer = answer_query(l->view, q, NULL, now);
    if (answer == ANSWER_FORWARD) {
        c->pending++;
        forwarder_ask(l->forwarder, l->view, q); /* may answer at once: connections_send() */
        return true;
    }
    if (answer == ANSWER_SEND)
        COUNT(l->stats, answers);
    else if (l->stats->queries != before)
        COUNT(l->stats, dropped);
    if (q->has_event)
        l->record(l->context, q);
    /* Access said drop, or it was no question: nothing more is expected. */
    return answer == ANSWER_SEND && send_message(c, q->out, q->out_len);
}

static bool may_read(const struct connection *c)
{
    return !c->closing && c->pending < PENDING_MAX && c->out_len - c->out_at < OUT_MAX;
}

static void set_reading(struct connection *c)
{
    bool want = may_read(c);

    if (want && !c->reading)
        event_add(c->read, NULL);
    else if (!want && c->reading)
        event_del(c->read);
    c->reading = want;
}

/* Answers each whole message in the buffer. False: end the connection. */
static bool take_messages(struct connection *c)
{
    size_t at = 0;
    bool good = !c->broken;

    while (good && c->pending < PENDING_MAX && c->out_len - c->out_at < OUT_MAX &&
           c->in_len - at >= 2) {
        size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];

        if (c->in_len - at < 2 + len)
            break;
        good = answer_message(c, c->in + at + 2, len) && !c->broken;
        at += 2 + len;
        set_idle(c);
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    if (c->in != c->small && c->in_len <= IN_SMALL) { /* the long one is done */
        memcpy(c->small, c->in, c->in_len);
        free(c->in);
        c->in = c->small;
        c->in_size = IN_SMALL;
    }
    return good;
}

/* A full buffer holds the beginning of one long message. */
static bool make_room(struct connection *c)
{
    size_t want = 2 + ((size_t)c->in[0] << 8 | c->in[1]);
    uint8_t *in;

    if (c->in_len < c->in_size)
        return true;
    if (want <= c->in_size || (in = malloc(want)) == NULL)
        return false;
    memcpy(in, c->in, c->in_len);
    if (c->in != c->small)
        free(c->in);
    c->in = in;
    c->in_size = want;
    return true;
}

/* One read and what it brought. False: end the connection. *more: there may be
 * more to read. */
static bool read_some(struct connection *c, bool *more)
{
    size_t room;
    ssize_t n;

    *more = false;
    if (!make_room(c))
        return false;
    room = c->in_size - c->in_len;
    n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) { /* it has asked all it wanted; its answers are still due */
        c->closing = true;
        return true;
    }
    c->in_len += (size_t)n;
    *more = (size_t)n == room;
    return take_messages(c);
}

/* What waits in the buffer, then what waits in the socket. May end c. */
static void serve(struct connection *c)
{
    bool good, more = true;

    c->busy = true; /* an answer from inside must not end it */
    good = take_messages(c);
    for (int i = 0; i < READS_MAX && good && more && may_read(c); i++)
        good = read_some(c, &more);
    c->busy = false;
    view_policy_end(c->all->l->view);
    if (!good || c->broken || (c->closing && c->pending == 0 && c->out == NULL))
        end(c);
    else
        set_reading(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    serve(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    (void)fd;
    (void)what;
    if (write_out(c))
        serve(c);
    else
        end(c);
}

void connections_send(struct connections *all, const struct client *client, const uint8_t *message,
                      size_t len)
{
    struct connection *c = client->connection < all->size ? all->at[client->connection] : NULL;

    if (c == NULL || c->serial != client->serial)
        return;
    if (c->pending > 0)
        c->pending--;
    set_idle(c);
    if (!send_message(c, message, len)) {
        COUNT(all->l->stats, send_errors);
        c->broken = true;
    }
    /* Not from here: whoever answers is in the middle of something. */
    if (!c->busy && (c->broken || c->closing || c->in_len > 0 || !c->reading))
        event_active(c->read, EV_READ, 1);
}

/* ---- a new one ---- */

/* Waits for nothing, and longer than the other, which may be NULL. */
static bool is_idler(const struct connection *c, const struct connection *other)
{
    return c->pending == 0 && (other == NULL || c->used < other->used);
}

/* Room for one more of this client: closes one of its own when it has as many as
 * it may, or any when all have. False: all of these wait for an answer. */
static bool make_place(struct connections *all, const struct addr *client)
{
    const struct settings *s = all->l->view->settings;
    struct connection *idlest = NULL, *own = NULL;
    unsigned same = 0;

    for (uint32_t i = 0; i < all->size; i++) {
        struct connection *c = all->at[i];
        bool is_own = c != NULL && addr_same_ip(&c->client, client);

        same += is_own;
        if (c != NULL && is_idler(c, idlest))
            idlest = c;
        if (is_own && is_idler(c, own))
            own = c;
    }
    if (same >= listen_share(all->l, s->limits.tcp_per_client))
        idlest = own;
    else if (all->count < listen_share(all->l, s->limits.tcp_connections))
        return true;
    if (idlest == NULL)
        return false;
    COUNT(all->l->stats, tcp_displaced);
    end(idlest);
    return true;
}

/* A free place in the table; it grows to the limit. -1 when out of memory. */
static long free_slot(struct connections *all)
{
    struct connection **at;
    uint32_t old = all->size, size = old > 0 ? 2 * old : 16;

    for (uint32_t i = 0; i < old; i++)
        if (all->at[i] == NULL)
            return (long)i;
    if ((at = reallocarray(all->at, size, sizeof *at)) == NULL)
        return -1;
    memset(at + old, 0, (size - old) * sizeof *at);
    all->at = at;
    all->size = size;
    return (long)old;
}

void connection_new(struct connections *all, int fd, const struct addr *client, uint16_t listener)
{
    struct connection *c = NULL;
    long slot = -1;
    int one = 1;

    if (!make_place(all, client) || (slot = free_slot(all)) < 0 ||
        (c = calloc(1, sizeof *c)) == NULL) {
        COUNT(all->l->stats, tcp_refused);
        close(fd);
        return;
    }
    *c = (struct connection){.idle = {.fire = on_idle},
                             .all = all,
                             .client = *client,
                             .fd = fd,
                             .listener = listener,
                             .slot = (uint32_t)slot,
                             .serial = ++all->serial,
                             .in_size = IN_SMALL};
    c->in = c->small;
    c->read = event_new(all->l->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->write = event_new(all->l->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    if (c->read == NULL || c->write == NULL) {
        COUNT(all->l->stats, tcp_refused);
        if (c->read != NULL)
            event_free(c->read);
        close(fd);
        free(c);
        return;
    }
    COUNT(all->l->stats, tcp_connections);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    all->at[c->slot] = c;
    __atomic_store_n(&all->count, all->count + 1, __ATOMIC_RELAXED);
    set_idle(c);
    set_reading(c);
}
