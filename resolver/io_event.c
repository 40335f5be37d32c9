/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.c -- sockets and timers.
 *
 * A connection is a struct link from a pool, with its libevent event inside, so
 * that a question over UDP costs no malloc; a timer's event lies in the timer. A
 * TCP connection carries one question and one reply, in a bufferevent.
 *
 * A callback may close its link, which another exchange may then take: no code
 * touches the link after a callback.
 */
#include "resolver/io.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "resolver/pool.h"
#include "wire/message.h"

enum { PORT_TRIES = 8, PORT_MIN = 1024 };

_Static_assert(sizeof(struct event) <= sizeof(void *[IO_TIMER_SPACE]), "a timer holds its event");

struct link {
    struct io_event *home;
    struct io_peer *peer;
    int fd;
    struct event event;         /* UDP */
    struct bufferevent *stream; /* TCP; NULL: UDP */
};

struct io_event {
    struct io io;
    struct event_base *base;
    struct pool links;
    uint8_t in[DNS_MAX_MESSAGE + 1];
};

/* ---- time ---- */

static struct now now_of(struct io *io)
{
    (void)io;
    return clock_now();
}

/* The event's time is counted from when the loop woke up, so it may be early. */
static void arm_timer(struct io_timer *t)
{
    uint64_t now_ms = clock_now().mono_ms, ms = t->at_ms > now_ms ? t->at_ms - now_ms : 0;
    struct timeval wait = {.tv_sec = (time_t)(ms / 1000),
                           .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    event_add((struct event *)(void *)t->space, &wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct io_timer *t = arg;

    (void)fd;
    (void)what;
    if (t->at_ms > clock_now().mono_ms) {
        arm_timer(t);
        return;
    }
    t->at_ms = 0;
    t->fire(t);
}

static void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    if (t->at_ms == 0)
        evtimer_assign((struct event *)(void *)t->space,
                       container_of(io, struct io_event, io)->base, on_timer, t);
    t->at_ms = at_ms;
    arm_timer(t);
}

static void timer_clear(struct io *io, struct io_timer *t)
{
    (void)io;
    if (t->at_ms != 0)
        event_del((struct event *)(void *)t->space);
    t->at_ms = 0;
}

/* ---- connections ---- */

static void close_link(struct link *l)
{
    if (l->stream != NULL) {
        bufferevent_free(l->stream); /* which closes the socket */
    } else if (l->fd >= 0) {
        event_del(&l->event);
        close(l->fd);
    }
    if (l->peer != NULL)
        l->peer->handle = NULL;
    pool_give(&l->home->links, l);
}

static void fail_link(struct link *l, int error)
{
    struct io_peer *peer = l->peer;

    close_link(l);
    peer->failed(peer, error < 0 ? error : -EIO);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    uint8_t *in = l->home->in;
    ssize_t n = recv(fd, in, sizeof l->home->in, 0);

    (void)what;
    if (n >= 0)
        l->peer->receive(l->peer, in, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        fail_link(l, -errno);
}

static void on_stream(struct bufferevent *stream, void *arg)
{
    struct link *l = arg;
    struct evbuffer *buffer = bufferevent_get_input(stream);
    uint8_t *in = l->home->in;
    size_t len;

    if (evbuffer_copyout(buffer, in, 2) < 2)
        return;
    len = (size_t)in[0] << 8 | in[1];
    if (evbuffer_get_length(buffer) < 2 + len)
        return;
    evbuffer_drain(buffer, 2);
    evbuffer_remove(buffer, in, len);
    l->peer->receive(l->peer, in, len);
}

static void on_stream_end(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    fail_link(arg, (what & BEV_EVENT_ERROR) != 0 ? -errno : -ECONNRESET);
}

static int open_peer(struct io *io, struct io_peer *peer, const struct addr *server,
                     enum io_kind kind)
{
    struct io_event *self = container_of(io, struct io_event, io);
    struct link *l = pool_take(&self->links);
    struct addr any = {.ip = {0}};
    struct sockaddr_storage to, from;
    socklen_t len = addr_to_sockaddr(server, &to);
    int type = kind == IO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    int one = 1, omit = IP_PMTUDISC_OMIT, rc = -ENOMEM;

    if (l == NULL)
        return -ENOBUFS;
    l->home = self;
    l->fd = socket(to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        goto fail_errno;
    event_assign(&l->event, self->base, l->fd, EV_READ | EV_PERSIST, on_datagram, l);
    if (kind == IO_TCP) {
        setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        l->stream = bufferevent_socket_new(self->base, l->fd, BEV_OPT_CLOSE_ON_FREE);
        if (l->stream == NULL)
            goto fail;
        bufferevent_setcb(l->stream, on_stream, NULL, on_stream_end, l);
        bufferevent_setwatermark(l->stream, EV_READ, 0, 2 + DNS_MAX_MESSAGE);
    } else {
        /* Forged "fragmentation needed" messages have no effect (SAD DNS). */
        if (to.ss_family == AF_INET)
            setsockopt(l->fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
        /* A port that nobody can foresee, of all that may be used; the kernel's choice if
         * those that were drawn are taken. */
        if (addr_is_v4(server))
            any.ip[10] = any.ip[11] = 0xff;
        for (int i = 0; i < PORT_TRIES; i++) {
            any.port = (uint16_t)(PORT_MIN + random_below(io->random, 65536 - PORT_MIN));
            if (bind(l->fd, (struct sockaddr *)&from, addr_to_sockaddr(&any, &from)) == 0)
                break;
        }
    }
    if (connect(l->fd, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
        goto fail_errno;
    if (l->stream != NULL)
        rc = bufferevent_enable(l->stream, EV_READ);
    else
        rc = event_add(&l->event, NULL);
    if (rc != 0) {
        rc = -ENOMEM;
        goto fail;
    }
    l->peer = peer;
    peer->handle = l;
    return 0;
fail_errno:
    rc = -errno;
fail:
    close_link(l);
    return rc;
}

static int send_peer(struct io *io, struct io_peer *peer, const uint8_t *message, size_t len)
{
    const uint8_t prefix[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    struct link *l = peer->handle;

    (void)io;
    if (l->stream == NULL)
        return send(l->fd, message, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -errno;
    if (bufferevent_write(l->stream, prefix, sizeof prefix) != 0 ||
        bufferevent_write(l->stream, message, len) != 0)
        return -ENOMEM;
    return 0; /* the event says when it can be written: at once, when connected */
}

static void close_peer(struct io *io, struct io_peer *peer)
{
    (void)io;
    if (peer->handle != NULL)
        close_link(peer->handle);
}

/* ---- life ---- */

struct io *io_event_new(struct event_base *base, struct random *random, unsigned sockets)
{
    struct io_event *self = calloc(1, sizeof *self);

    if (self == NULL || pool_init(&self->links, sockets, sizeof(struct link)) != 0) {
        free(self);
        return NULL;
    }
    self->io = (struct io){.open = open_peer,
                           .send = send_peer,
                           .close = close_peer,
                           .timer_set = timer_set,
                           .timer_clear = timer_clear,
                           .now = now_of,
                           .random = random};
    self->base = base;
    return &self->io;
}

void io_event_free(struct io *io)
{
    struct io_event *self = container_of(io, struct io_event, io);

    if (io == NULL)
        return;
    assert(self->links.in_use == 0);
    free(self->links.places);
    free(self);
}
