/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.c -- questions over TCP: accepts connections within the limits, and serves
 * them: framing, pipelining, idle time.
 *
 * Reading stops while PENDING_MAX questions wait for an answer or OUT_MAX
 * octets for the client, so that a client which does not read costs no more
 * than that. Idle time is counted from the last whole message, a question or its
 * answer, not from the last octet: a client that sends slowly cannot keep its
 * connection open. When there are as many connections as there may be, the one
 * that has been idle longest makes room (RFC 7766 6.2.3).
 *
 * A connection's slot in the table and its serial number go into struct client;
 * an answer that comes after the connection is gone meets a free slot or another
 * serial.
 *
 * When descriptors run out, accept() fails and the socket stays readable, which
 * would be a busy loop: so the listener pauses for a moment.
 */
#include "resolver/listen.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    ACCEPT_MAX = 32,
    PAUSE_MS = 250,
    PENDING_MAX = 100,
    OUT_MAX = 64 << 10,
    OUT_LIMIT = 1 << 20, /* answers that were still to come included; then it is closed */
    IN_LIMIT = 2 + DNS_MAX_MESSAGE,
};

struct connection {
    struct io_timer idle;
    struct tcp *tcp;
    struct event *read, *write;
    struct addr client;
    int fd;
    uint16_t listener;
    uint32_t slot, serial;
    uint64_t used;             /* greater: later */
    unsigned pending;          /* questions that wait for the real DNS */
    bool reading;              /* the read event is set */
    bool closing;              /* the client has sent all */
    bool broken;               /* it cannot be written to */
    bool busy;                 /* serve() is at work */
    struct evbuffer *in, *out; /* owned */
};

struct acceptor {
    struct io_timer pause;
    struct tcp *tcp;
    struct event *event;
    int fd;
    uint16_t number;
};

struct tcp {
    struct listen *l;           /* borrowed */
    struct acceptor *acceptors; /* owned; by the listener's number */
    int n_acceptors;
    struct connection **connections; /* owned; NULL: a free slot */
    uint32_t size, serial;
    uint64_t uses;
    struct query q;
    uint8_t answer[DNS_MAX_MESSAGE];
};

static void end(struct connection *c)
{
    struct io *io = c->tcp->l->io;

    io->timer_clear(io, &c->idle);
    if (c->read != NULL)
        event_free(c->read);
    if (c->write != NULL)
        event_free(c->write);
    if (c->in != NULL)
        evbuffer_free(c->in);
    if (c->out != NULL)
        evbuffer_free(c->out);
    close(c->fd);
    c->tcp->connections[c->slot] = NULL;
    free(c);
}

static void set_idle(struct connection *c)
{
    struct listen *l = c->tcp->l;

    c->used = ++c->tcp->uses;
    l->io->timer_set(l->io, &c->idle,
                     l->io->now(l->io).mono_ms + l->view->settings->limits.tcp_idle_ms);
}

static void on_idle(struct io_timer *t)
{
    struct connection *c = container_of(t, struct connection, idle);

    if (c->pending > 0) { /* we are the ones who are late */
        set_idle(c);
        return;
    }
    COUNT(c->tcp->l->stats, tcp_timeouts);
    end(c);
}

/* ---- writing ---- */

/* False: end the connection. */
static bool write_out(struct connection *c)
{
    if (evbuffer_write(c->out, c->fd) < 0 && errno != EAGAIN)
        return false;
    return evbuffer_get_length(c->out) == 0 || event_add(c->write, NULL) == 0;
}

/* Length and message in one segment (RFC 7766 8). False: end the connection. */
static bool send_message(struct connection *c, const uint8_t *message, size_t len)
{
    const uint8_t length[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    size_t waiting = evbuffer_get_length(c->out);

    return waiting + len <= OUT_LIMIT && evbuffer_add(c->out, length, sizeof length) == 0 &&
           evbuffer_add(c->out, message, len) == 0 && (waiting > 0 || write_out(c));
}

/* ---- questions ---- */

/* Is there room for more questions of this client? */
static bool has_room(const struct connection *c)
{
    return c->pending < PENDING_MAX && evbuffer_get_length(c->out) < OUT_MAX;
}

/* Answers each whole message in the buffer. False: end the connection. */
static bool take_messages(struct connection *c)
{
    struct listen *l = c->tcp->l;
    struct query *q = &c->tcp->q;
    bool good = !c->broken;
    uint8_t head[2];

    while (good && has_room(c) && evbuffer_copyout(c->in, head, sizeof head) == sizeof head) {
        size_t len = sizeof head + ((size_t)head[0] << 8 | head[1]);
        struct now now = l->io->now(l->io);
        const uint8_t *message;
        enum answer answer;

        if (evbuffer_get_length(c->in) < len)
            break;
        if ((message = evbuffer_pullup(c->in, (ssize_t)len)) == NULL)
            return false;
        q->client = (struct client){.addr = c->client,
                                    .transport = AUDIT_TCP,
                                    .listener = c->listener,
                                    .connection = c->slot,
                                    .serial = c->serial};
        q->arrived_ms = now.mono_ms;
        q->arrived_us = clock_us();
        q->wire = message + sizeof head;
        q->wire_len = len - sizeof head;
        q->out = c->tcp->answer;
        q->out_size = sizeof c->tcp->answer;
        answer = listen_read(l, q, now);
        if (answer == ANSWER_DROP) /* nothing more is expected */
            return false;
        if (answer == ANSWER_FORWARD)
            answer = answer_query(l->view, q, NULL, now);
        if (answer == ANSWER_FORWARD) {
            c->pending++;
            forwarder_ask(l->forwarder, l->view, q); /* may answer at once: tcp_send() */
            good = !c->broken;
        } else {
            listen_done(l, q, answer);
            good = answer == ANSWER_SEND && send_message(c, q->out, q->out_len);
        }
        evbuffer_drain(c->in, len);
        set_idle(c);
    }
    return good;
}

/* Answers what waits in the buffer, then what waits in the socket. May end it. */
static void serve(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    bool good, want;
    int n;

    (void)what;
    c->busy = true; /* an answer from inside must not end it */
    good = take_messages(c);
    if (good && !c->closing && has_room(c)) {
        n = evbuffer_read(c->in, fd, (int)(IN_LIMIT - evbuffer_get_length(c->in)));
        if (n == 0) /* it has asked all it wanted; its answers are still due */
            c->closing = true;
        good = n < 0 ? errno == EAGAIN || errno == EINTR : take_messages(c);
    }
    c->busy = false;
    view_policy_end(c->tcp->l->view);
    if (!good || c->broken || (c->closing && c->pending == 0 && evbuffer_get_length(c->out) == 0)) {
        end(c);
        return;
    }
    want = !c->closing && has_room(c);
    if (want && !c->reading)
        event_add(c->read, NULL);
    else if (!want && c->reading)
        event_del(c->read);
    c->reading = want;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;

    if (write_out(c))
        serve(fd, what, c);
    else
        end(c);
}

void tcp_send(struct tcp *t, const struct client *client, const uint8_t *message, size_t len)
{
    struct connection *c = t->connections[client->connection]; /* the table never shrinks */

    if (c == NULL || c->serial != client->serial)
        return;
    if (c->pending > 0)
        c->pending--;
    set_idle(c);
    if (!send_message(c, message, len)) {
        COUNT(t->l->stats, send_errors);
        c->broken = true;
    }
    /* Not from here: whoever answers is in the middle of something. */
    if (!c->busy && (c->broken || c->closing || !c->reading || evbuffer_get_length(c->in) > 0))
        event_active(c->read, EV_READ, 1);
}

/* ---- a new one ---- */

/* Waits for nothing, and longer than the other, which may be NULL. */
static bool is_idler(const struct connection *c, const struct connection *other)
{
    return c->pending == 0 && (other == NULL || c->used < other->used);
}

/* A slot for one more of this client. When it has as many as it may, one of its own
 * makes room, or any when all have. -1: all of these wait for an answer, or there is
 * no memory. */
static long find_slot(struct tcp *t, const struct addr *client)
{
    const struct settings *s = t->l->view->settings;
    struct connection *idlest = NULL, *own = NULL, **table;
    unsigned all = 0, same = 0, size = t->size > 0 ? 2 * t->size : 16;
    long slot = -1;

    for (uint32_t i = 0; i < t->size; i++) {
        struct connection *c = t->connections[i];
        bool is_own = c != NULL && addr_same_ip(&c->client, client);

        all += c != NULL;
        same += is_own;
        if (c == NULL && slot < 0)
            slot = (long)i;
        if (c != NULL && is_idler(c, idlest))
            idlest = c;
        if (is_own && is_idler(c, own))
            own = c;
    }
    if (same >= listen_share(t->l, s->limits.tcp_per_client)) {
        idlest = own;
    } else if (all < listen_share(t->l, s->limits.tcp_connections)) {
        if (slot >= 0)
            return slot;
        if ((table = reallocarray(t->connections, size, sizeof(struct connection *))) == NULL)
            return -1;
        memset(table + t->size, 0, (size - t->size) * sizeof(struct connection *));
        t->connections = table;
        slot = (long)t->size;
        t->size = size;
        return slot;
    }
    if (idlest == NULL)
        return -1;
    COUNT(t->l->stats, tcp_displaced);
    slot = (long)idlest->slot;
    end(idlest);
    return slot;
}

void tcp_connection(struct tcp *t, int fd, const struct addr *client, uint16_t listener)
{
    struct connection *c = NULL;
    long slot = find_slot(t, client);
    int one = 1;

    if (slot < 0 || (c = calloc(1, sizeof *c)) == NULL) {
        COUNT(t->l->stats, tcp_refused);
        close(fd);
        return;
    }
    *c = (struct connection){.idle = {.fire = on_idle},
                             .tcp = t,
                             .read = event_new(t->l->base, fd, EV_READ | EV_PERSIST, serve, c),
                             .write = event_new(t->l->base, fd, EV_WRITE, on_writable, c),
                             .client = *client,
                             .fd = fd,
                             .listener = listener,
                             .slot = (uint32_t)slot,
                             .serial = ++t->serial,
                             .reading = true,
                             .in = evbuffer_new(),
                             .out = evbuffer_new()};
    t->connections[slot] = c;
    if (c->read == NULL || c->write == NULL || c->in == NULL || c->out == NULL ||
        event_add(c->read, NULL) != 0) {
        COUNT(t->l->stats, tcp_refused);
        end(c);
        return;
    }
    COUNT(t->l->stats, tcp_connections);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_idle(c);
}

static void on_pause_over(struct io_timer *t)
{
    event_add(container_of(t, struct acceptor, pause)->event, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;
    struct listen *l = a->tcp->l;

    (void)what;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        struct addr client;
        int connected = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (connected >= 0) {
            if (addr_from_sockaddr(&client, (struct sockaddr *)&from))
                tcp_connection(a->tcp, connected, &client, a->number);
            else
                close(connected);
            continue;
        }
        /* Errors that belong to one connection (it was reset while it waited) end nothing. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            COUNT(l->stats, receive_errors);
            event_del(a->event);
            l->io->timer_set(l->io, &a->pause, l->io->now(l->io).mono_ms + PAUSE_MS);
        }
        return;
    }
}

/* ---- life ---- */

struct tcp *tcp_new(struct listen *l, const struct listener *listeners, int n)
{
    struct tcp *t = calloc(1, sizeof *t);

    if (t == NULL || (t->acceptors = calloc((size_t)n + 1, sizeof *t->acceptors)) == NULL) {
        free(t);
        return NULL;
    }
    t->l = l;
    while (t->n_acceptors < n) {
        struct acceptor *a = &t->acceptors[t->n_acceptors];

        *a = (struct acceptor){.pause = {.fire = on_pause_over},
                               .tcp = t,
                               .fd = listeners[t->n_acceptors].fd,
                               .number = (uint16_t)t->n_acceptors};
        t->n_acceptors++;
        a->event = event_new(l->base, a->fd, EV_READ | EV_PERSIST, on_acceptable, a);
        if (a->event == NULL || event_add(a->event, NULL) != 0) {
            tcp_free(t);
            return NULL;
        }
    }
    return t;
}

void tcp_free(struct tcp *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < t->n_acceptors; i++) {
        struct acceptor *a = &t->acceptors[i];

        t->l->io->timer_clear(t->l->io, &a->pause);
        if (a->event != NULL)
            event_free(a->event);
        close(a->fd);
    }
    for (uint32_t i = 0; i < t->size; i++)
        if (t->connections[i] != NULL)
            end(t->connections[i]);
    free(t->connections);
    free(t->acceptors);
    free(t);
}
