/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.c -- questions over TCP: limits of connections, framing, pipelining, idle time.
 *
 * Reading stops while PENDING_MAX questions wait for an answer or OUT_MAX octets for the client:
 * one that does not read costs no more than that; nor does one whose message is not whole yet cost more
 * than that message and one read. Idle time is counted from the last whole
 * message: a client that sends slowly cannot keep its connection open.
 *
 * All callbacks of a stream come from the loop, none from inside what is done to it. A
 * connection that has ended stays in memory until its last question is answered. The connections of
 * one client are found by a keyed hash of its address: who opens them by the thousand costs no more
 * for each than the first. When
 * descriptors run out, the listener rests for a moment (listen.c): its socket stays readable.
 */
#include "resolver/threads.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/proxy.h"

enum {
    ACCEPT_MAX = 2, /* then others have their turn: questions over UDP wait for each */
    PENDING_MAX = 100,
    OUT_MAX = 64 << 10,
    OUT_LIMIT = 1 << 20, /* answers that were still to come included; then it is closed */
    CLIENTS = 1024,      /* lists of connections */
};

TAILQ_HEAD(connection_list, connection); /* the longest idle first */

struct connection {
    TAILQ_ENTRY(connection) entry, of_client;
    struct connection_list *client_list; /* NULL: it is not known yet whose it is */
    struct io_timer idle;
    struct tcp *tcp;
    struct bufferevent *stream; /* owned; NULL: it has ended */
    struct client client;
    unsigned pending; /* questions that wait for the real DNS */
    bool closing;     /* the client has sent all */
};

struct tcp {
    struct worker *w; /* borrowed */
    struct listeners sockets;
    unsigned most; /* connections, as the descriptors of the process have it; 0: not known yet */
    unsigned n;    /* connections */
    struct connection_list connections, clients[CLIENTS];
    struct hash_key key;
    struct query q;
    uint8_t answer[DNS_MAX_MESSAGE];
};

static struct connection_list *connections_of(struct tcp *t, const struct addr *client)
{
    return &t->clients[hash_bytes(&t->key, client->ip, sizeof client->ip) % CLIENTS];
}

static void end_connection(struct connection *c)
{
    struct io *io = c->tcp->w->io;

    io->timer_clear(io, &c->idle);
    TAILQ_REMOVE(&c->tcp->connections, c, entry);
    if (c->client_list)
        TAILQ_REMOVE(c->client_list, c, of_client);
    c->tcp->n--;
    bufferevent_free(c->stream);
    c->stream = NULL;
    if (c->pending == 0)
        free(c);
}

static void set_idle(struct connection *c)
{
    struct worker *w = c->tcp->w;

    TAILQ_REMOVE(&c->tcp->connections, c, entry);
    TAILQ_INSERT_TAIL(&c->tcp->connections, c, entry);
    if (c->client_list) {
        TAILQ_REMOVE(c->client_list, c, of_client);
        TAILQ_INSERT_TAIL(c->client_list, c, of_client);
    }
    w->io->timer_set(w->io, &c->idle,
                     io_now(w->io).mono_ms + w->view->settings->limits.tcp_idle_ms);
}

static void on_idle(struct io_timer *t)
{
    struct connection *c = container_of(t, struct connection, idle);

    if (c->pending > 0) { /* we are the ones who are late */
        set_idle(c);
        return;
    }
    COUNT(&c->tcp->w->stats, tcp_timeouts);
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
        bufferevent_trigger(c->stream, EV_READ, 0);
        return;
    }
    COUNT(&c->tcp->w->stats, send_errors);
    bufferevent_trigger_event(c->stream, BEV_EVENT_ERROR, 0);
}

static bool may_read_more(const struct connection *c)
{
    return c->pending < PENDING_MAX &&
           evbuffer_get_length(bufferevent_get_output(c->stream)) < OUT_MAX;
}

/* Room for one more of this client, or for one that is there already. When it has as many as it
 * may, the longest idle of its own makes room, else that of all (RFC 7766 6.2.3). False: all of
 * these wait for an answer. */
static bool make_room(struct tcp *t, const struct addr *client, const struct connection *one)
{
    const struct settings *s = t->w->view->settings;
    const unsigned all = t->n - (one != NULL);
    struct connection *c, *idlest = NULL;
    unsigned same = 0;

    TAILQ_FOREACH(c, connections_of(t, client), of_client)
        if (addr_same_ip(&c->client.addr, client)) {
            same++;
            if (idlest == NULL && c->pending == 0)
                idlest = c;
        }
    if (same < worker_share(t->w, s->limits.tcp_per_client)) {
        if (all < worker_share(t->w, s->limits.tcp_connections) && all < t->most)
            return true;
        TAILQ_FOREACH(idlest, &t->connections, entry)
            if (idlest->pending == 0 && idlest != one)
                break;
    }
    if (idlest == NULL)
        return false;
    COUNT(&t->w->stats, tcp_displaced);
    end_connection(idlest);
    return true;
}

static void set_client(struct connection *c, const struct addr *client)
{
    c->client.addr = *client;
    c->client_list = connections_of(c->tcp, client);
    TAILQ_INSERT_TAIL(c->client_list, c, of_client);
}

/* The balancer's head says who the client is, of whose connections this is one from here on. 0;
 * -EAGAIN: it is not whole yet; else the connection is to be ended. */
static int read_head(struct connection *c)
{
    struct evbuffer *in = bufferevent_get_input(c->stream);
    size_t len = evbuffer_get_length(in);
    const uint8_t *octets = evbuffer_pullup(in, -1);
    struct addr client = c->client.peer;
    struct cursor cursor;
    int rc;

    if (octets == NULL)
        return -EAGAIN;
    cursor = cursor_make(octets, len);
    rc = proxy_read(&cursor, true, &client);
    if (rc == 0 && !make_room(c->tcp, &client, c))
        rc = -EBUSY;
    if (rc != 0)
        return rc;
    evbuffer_drain(in, len - cursor_left(&cursor));
    set_client(c, &client);
    return 0;
}

/* Something has come, or went out, or an answer is there that a question waited for. */
static void serve(struct bufferevent *stream, void *arg)
{
    struct connection *c = arg;
    struct worker *w = c->tcp->w;
    struct query *q = &c->tcp->q;
    struct evbuffer *in = bufferevent_get_input(stream), *out = bufferevent_get_output(stream);
    int rc = c->client_list ? 0 : read_head(c);
    bool good = rc == 0 || rc == -EAGAIN;
    uint8_t head[2];

    while (rc == 0 && good && may_read_more(c) &&
           evbuffer_copyout(in, head, sizeof head) == sizeof head) {
        size_t len = sizeof head + bytes_u16(head);
        struct now now = io_now(w->io);
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
        answer = answer_read(w->view, q, now);
        if (answer == ANSWER_FORWARD)
            answer = answer_query(w->view, q, NULL, now);
        if (answer == ANSWER_FORWARD) {
            c->pending++;
            /* may answer at once: tcp_send() */
            (void)forwarder_ask(w->forwarder, w->view, q, NULL, NULL);
        } else {
            if (answer != ANSWER_IGNORE)
                listen_done(w, q, answer);
            good = answer == ANSWER_SEND && send_message(c, q->out, q->out_len);
            if (q->prefetch)
                forwarder_prefetch(w->forwarder, w->view, q);
        }
        evbuffer_drain(in, len);
        set_idle(c);
    }
    view_policy_end(w->view);
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

/* Half of the descriptors that are free: the others are for questions to servers. The kernel gives
 * the lowest that is free, so this one says how many are not. */
static void find_most(struct tcp *t, int fd)
{
    struct rlimit files = {.rlim_cur = RLIM_INFINITY};
    rlim_t most;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    most = (files.rlim_cur - (rlim_t)fd) / 2 / t->w->n_workers;
    t->most = most < 1 ? 1 : most < UINT_MAX ? (unsigned)most : UINT_MAX;
}

static void begin_connection(struct tcp *t, int fd, const struct sockaddr *from)
{
    struct connection *c = NULL;
    struct client client = {.transport = AUDIT_TCP};
    int one = 1;

    if (t->most == 0)
        find_most(t, fd);
    if (!addr_from_sockaddr(&client.peer, from) || !make_room(t, &client.peer, NULL) ||
        (c = calloc(1, sizeof *c)) == NULL ||
        (c->stream = bufferevent_socket_new(
             t->w->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)) == NULL) {
        COUNT(&t->w->stats, tcp_refused);
        free(c);
        close(fd);
        return;
    }
    COUNT(&t->w->stats, tcp_connections);
    c->tcp = t;
    c->client = client;
    c->client.connection = c;
    c->idle.fire = on_idle;
    TAILQ_INSERT_TAIL(&t->connections, c, entry);
    t->n++;
    if (!settings_is_balancer(t->w->view->settings, &client.peer))
        set_client(c, &client.peer); /* else its head says who */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bufferevent_setcb(c->stream, serve, serve, on_event, c);
    bufferevent_enable(c->stream, EV_READ);
    set_idle(c);
}

static void on_connections(evutil_socket_t listener, short what, void *arg)
{
    struct listener *l = arg;
    struct tcp *t = container_of(l->all, struct tcp, sockets);
    struct sockaddr_storage from;

    (void)what;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        socklen_t len = sizeof from;
        int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            begin_connection(t, fd, (struct sockaddr *)&from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            listen_rest(l);
        return; /* else there is none, or it has gone again */
    }
}

struct tcp *tcp_new(struct worker *w, const int *listeners, int n)
{
    struct tcp *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->w = w;
    random_bytes(&w->random, &t->key, sizeof t->key);
    TAILQ_INIT(&t->connections);
    for (int i = 0; i < CLIENTS; i++)
        TAILQ_INIT(&t->clients[i]);
    return listen_begin(&t->sockets, w, listeners, n, on_connections) ? t : NULL;
}

void tcp_free(struct tcp *t)
{
    struct connection *c;
    struct evbuffer *out;

    if (t == NULL)
        return;
    while ((c = TAILQ_FIRST(&t->connections)) != NULL) {
        out = bufferevent_get_output(c->stream);
        evbuffer_unfreeze(out, 1); /* the last answers leave without the loop */
        (void)evbuffer_write(out, bufferevent_getfd(c->stream));
        end_connection(c);
    }
    listen_end(&t->sockets);
    free(t);
}
