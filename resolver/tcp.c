/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.c -- questions over TCP: limits of connections, framing, pipelining, idle time.
 *
 * Reading stops while PENDING_MAX questions wait for an answer or OUT_MAX octets for the client:
 * one that does not read costs no more than that. Idle time is counted from the last whole
 * message: a client that sends slowly cannot keep its connection open.
 *
 * All callbacks of a stream come from the loop, none from inside what is done to it. A
 * connection that has ended stays in memory until its last question is answered. When
 * descriptors run out, the listener pauses for a moment: its socket stays readable.
 */
#include "resolver/listen.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_MAX = 32, /* then others have their turn */
    PAUSE_MS = 250,
    PENDING_MAX = 100,
    OUT_MAX = 64 << 10,
    OUT_LIMIT = 1 << 20, /* answers that were still to come included; then it is closed */
    IN_LIMIT = 2 + DNS_MAX_MESSAGE,
};

struct connection {
    TAILQ_ENTRY(connection) entry;
    struct io_timer idle;
    struct tcp *tcp;
    struct bufferevent *stream; /* owned; NULL: it has ended */
    struct client client;
    unsigned pending; /* questions that wait for the real DNS */
    bool closing;     /* the client has sent all */
};

struct tcp {
    struct listen *l;                  /* borrowed */
    struct evconnlistener **listeners; /* owned, as they are */
    int n;
    struct io_timer pause;
    unsigned accepted;
    TAILQ_HEAD(connection_list, connection) connections; /* the longest idle first */
    struct query q;
    uint8_t answer[DNS_MAX_MESSAGE];
};

static void end_connection(struct connection *c)
{
    struct io *io = c->tcp->l->io;

    io->timer_clear(io, &c->idle);
    TAILQ_REMOVE(&c->tcp->connections, c, entry);
    bufferevent_free(c->stream);
    c->stream = NULL;
    if (c->pending == 0)
        free(c);
}

static void set_idle(struct connection *c)
{
    struct listen *l = c->tcp->l;

    TAILQ_REMOVE(&c->tcp->connections, c, entry);
    TAILQ_INSERT_TAIL(&c->tcp->connections, c, entry);
    l->io->timer_set(l->io, &c->idle,
                     io_now(l->io).mono_ms + l->view->settings->limits.tcp_idle_ms);
}

static void on_idle(struct io_timer *t)
{
    struct connection *c = container_of(t, struct connection, idle);

    if (c->pending > 0) { /* we are the ones who are late */
        set_idle(c);
        return;
    }
    COUNT(c->tcp->l->stats, tcp_timeouts);
    end_connection(c);
}

/* Length and message in one segment (RFC 7766 8). False: end the connection. */
static bool send_message(struct connection *c, const uint8_t *message, size_t len)
{
    const uint8_t length[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    struct evbuffer *out = bufferevent_get_output(c->stream);

    return evbuffer_get_length(out) + len <= OUT_LIMIT &&
           evbuffer_add(out, length, sizeof length) == 0 && evbuffer_add(out, message, len) == 0;
}

void tcp_send(const struct client *client, const uint8_t *message, size_t len)
{
    struct connection *c = client->connection;

    c->pending--;
    if (c->stream == NULL) {
        if (c->pending == 0)
            free(c);
        return;
    }
    set_idle(c);
    if (len > 0 && send_message(c, message, len)) {
        bufferevent_trigger(c->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS);
        return;
    }
    COUNT(c->tcp->l->stats, send_errors);
    bufferevent_trigger_event(c->stream, BEV_EVENT_ERROR, 0);
}

static bool may_read_more(const struct connection *c)
{
    return c->pending < PENDING_MAX &&
           evbuffer_get_length(bufferevent_get_output(c->stream)) < OUT_MAX;
}

/* Something has come, or went out, or an answer is there that a question waited for. */
static void serve(struct bufferevent *stream, void *arg)
{
    struct connection *c = arg;
    struct listen *l = c->tcp->l;
    struct query *q = &c->tcp->q;
    struct evbuffer *in = bufferevent_get_input(stream), *out = bufferevent_get_output(stream);
    bool good = true;
    uint8_t head[2];

    while (good && may_read_more(c) && evbuffer_copyout(in, head, sizeof head) == sizeof head) {
        size_t len = sizeof head + bytes_u16(head);
        struct now now = io_now(l->io);
        const uint8_t *message;
        enum answer answer;

        if ((message = evbuffer_pullup(in, (ssize_t)len)) == NULL)
            break; /* not whole yet (or out of memory: then its idle time ends it) */
        q->client = c->client;
        q->arrived_us = clock_us();
        q->wire = message + sizeof head;
        q->wire_len = len - sizeof head;
        q->out = c->tcp->answer;
        q->out_size = sizeof c->tcp->answer;
        answer = answer_read(l->view, q, now);
        if (answer == ANSWER_FORWARD)
            answer = answer_query(l->view, q, NULL, now);
        if (answer == ANSWER_FORWARD) {
            c->pending++;
            /* may answer at once: tcp_send() */
            (void)forwarder_ask(l->forwarder, l->view, q, NULL, NULL);
        } else {
            if (answer != ANSWER_IGNORE)
                listen_done(l, q, answer);
            good = answer == ANSWER_SEND && send_message(c, q->out, q->out_len);
        }
        evbuffer_drain(in, len);
        set_idle(c);
    }
    view_policy_end(l->view);
    if (!good || (c->closing && c->pending == 0 && evbuffer_get_length(out) == 0))
        end_connection(c);
    else if (may_read_more(c) && !c->closing)
        bufferevent_enable(stream, EV_READ);
    else
        bufferevent_disable(stream, EV_READ);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    struct connection *c = arg;

    if ((what & BEV_EVENT_ERROR) != 0) {
        end_connection(c);
        return;
    }
    c->closing = true; /* it has asked all it wanted; its answers are still due */
    serve(stream, c);
}

/* Room for one more of this client. When it has as many as it may, the longest idle of its own
 * makes room, else that of all (RFC 7766 6.2.3). False: all of these wait for an answer. */
static bool make_room(struct tcp *t, const struct addr *client)
{
    const struct settings *s = t->l->view->settings;
    struct connection *c, *idlest = NULL, *own = NULL;
    unsigned all = 0, same = 0;

    TAILQ_FOREACH(c, &t->connections, entry) {
        bool is_own = addr_same_ip(&c->client.addr, client);

        all++;
        same += is_own;
        if (idlest == NULL && c->pending == 0)
            idlest = c;
        if (own == NULL && c->pending == 0 && is_own)
            own = c;
    }
    if (same >= listen_share(t->l, s->limits.tcp_per_client))
        idlest = own;
    else if (all < listen_share(t->l, s->limits.tcp_connections))
        return true;
    if (idlest == NULL)
        return false;
    COUNT(t->l->stats, tcp_displaced);
    end_connection(idlest);
    return true;
}

static void pause_listeners(struct tcp *t, uint64_t ms)
{
    struct io *io = t->l->io;

    for (int i = 0; i < t->n; i++)
        evconnlistener_disable(t->listeners[i]);
    io->timer_set(io, &t->pause, io_now(io).mono_ms + ms);
}

static void on_pause_over(struct io_timer *timer)
{
    struct tcp *t = container_of(timer, struct tcp, pause);

    for (int i = 0; i < t->n; i++)
        evconnlistener_enable(t->listeners[i]);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *from, int len, void *arg)
{
    struct tcp *t = arg;
    struct connection *c = NULL;
    struct client client = {.transport = AUDIT_TCP};
    int one = 1;

    (void)listener;
    (void)len;
    if (++t->accepted % ACCEPT_MAX == 0)
        pause_listeners(t, 0);
    if (!addr_from_sockaddr(&client.addr, from) || !make_room(t, &client.addr) ||
        (c = calloc(1, sizeof *c)) == NULL ||
        (c->stream = bufferevent_socket_new(
             t->l->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)) == NULL) {
        COUNT(t->l->stats, tcp_refused);
        free(c);
        close(fd);
        return;
    }
    COUNT(t->l->stats, tcp_connections);
    c->tcp = t;
    c->client = client;
    c->client.connection = c;
    c->idle.fire = on_idle;
    TAILQ_INSERT_TAIL(&t->connections, c, entry);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bufferevent_setcb(c->stream, serve, serve, on_event, c);
    bufferevent_setwatermark(c->stream, EV_READ, 0, IN_LIMIT);
    bufferevent_enable(c->stream, EV_READ);
    set_idle(c);
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct tcp *t = arg;

    (void)listener;
    COUNT(t->l->stats, receive_errors);
    pause_listeners(t, PAUSE_MS);
}

struct tcp *tcp_new(struct listen *l, const struct listener *listeners, int n)
{
    struct tcp *t = calloc(1, sizeof *t);

    if (t == NULL || (t->listeners = calloc((size_t)n, sizeof *t->listeners)) == NULL)
        return NULL;
    t->l = l;
    t->pause.fire = on_pause_over;
    TAILQ_INIT(&t->connections);
    for (; t->n < n; t->n++) {
        t->listeners[t->n] = evconnlistener_new(l->base, on_connection, t,
                                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
                                                listeners[t->n].fd);
        if (t->listeners[t->n] == NULL)
            return NULL;
        evconnlistener_set_error_cb(t->listeners[t->n], on_accept_error);
    }
    return t;
}

void tcp_free(struct tcp *t)
{
    struct connection *c;
    struct evbuffer *out;

    if (t == NULL)
        return;
    t->l->io->timer_clear(t->l->io, &t->pause);
    for (int i = 0; i < t->n; i++)
        evconnlistener_free(t->listeners[i]);
    while ((c = TAILQ_FIRST(&t->connections)) != NULL) {
        out = bufferevent_get_output(c->stream);
        evbuffer_unfreeze(out, 1); /* the last answers leave without the loop */
        (void)evbuffer_write(out, bufferevent_getfd(c->stream));
        end_connection(c);
    }
    free(t->listeners);
    free(t);
}
