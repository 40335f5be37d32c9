/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.c -- sockets and timers.
 *
 * The event of a socket or timer lies in the peer or timer itself, so that a question over UDP
 * costs no malloc. A callback may close its peer, whose place another may then take: no code
 * touches the peer after a callback.
 */
#include "resolver/io.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/message.h"

enum { PORT_TRIES = 8, PORT_MIN = 1024 };

struct io_event {
    struct io io;
    struct event_base *base;
    uint8_t in[DNS_MAX_MESSAGE + 1];
};

/* In the space of a peer that is open. */
struct link {
    struct io_event *home;
    int fd;
    struct event event;         /* UDP and CONNECT */
    struct bufferevent *stream; /* TCP; NULL: the others */
};

_Static_assert(sizeof(struct event) <= sizeof(void *[IO_TIMER_SPACE]), "a timer holds its event");
_Static_assert(sizeof(struct link) <= sizeof(void *[IO_PEER_SPACE]), "a peer holds its link");

static struct now now_of(struct io *io)
{
    (void)io;
    return clock_now();
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct io_timer *t = arg;

    (void)fd;
    (void)what;
    t->at_ms = 0;
    t->fire(t);
}

static void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    struct event *event = (void *)t->space;
    uint64_t now_ms = clock_now().mono_ms, ms = at_ms > now_ms ? at_ms - now_ms : 0;
    struct timeval wait = {.tv_sec = (time_t)(ms / 1000),
                           .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    if (t->at_ms == 0)
        evtimer_assign(event, container_of(io, struct io_event, io)->base, on_timer, t);
    t->at_ms = at_ms;
    event_add(event, &wait);
}

static void timer_clear(struct io *io, struct io_timer *t)
{
    (void)io;
    if (t->at_ms != 0)
        event_del((struct event *)(void *)t->space);
    t->at_ms = 0;
}

static void close_peer(struct io *io, struct io_peer *peer)
{
    struct link *l = peer->handle;

    (void)io;
    peer->handle = NULL;
    if (l == NULL)
        return;
    if (l->stream != NULL) {
        bufferevent_free(l->stream); /* which closes the socket */
    } else if (l->fd >= 0) {
        event_del(&l->event);
        close(l->fd);
    }
}

static void fail_peer(struct io_peer *peer, int error)
{
    close_peer(NULL, peer);
    peer->receive(peer, NULL, error < 0 ? error : -EIO);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct io_peer *peer = arg;
    struct io_event *self = ((struct link *)peer->handle)->home;
    ssize_t n = recv(fd, self->in, sizeof self->in, 0);

    (void)what;
    if (n >= 0)
        peer->receive(peer, self->in, n);
    else if (errno != EAGAIN && errno != EINTR)
        fail_peer(peer, -errno);
}

static void on_stream(struct bufferevent *stream, void *arg)
{
    struct io_peer *peer = arg;
    struct evbuffer *buffer = bufferevent_get_input(stream);
    uint8_t *in = ((struct link *)peer->handle)->home->in;
    size_t len;

    if (evbuffer_copyout(buffer, in, 2) < 2)
        return;
    len = bytes_u16(in);
    if (evbuffer_get_length(buffer) < 2 + len)
        return;
    evbuffer_drain(buffer, 2);
    evbuffer_remove(buffer, in, len);
    peer->receive(peer, in, (ssize_t)len);
}

static void on_stream_end(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    fail_peer(arg, (what & BEV_EVENT_ERROR) != 0 ? -errno : -ECONNRESET);
}

/* CONNECT: the socket tells how it ended. */
static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct io_peer *peer = arg;
    socklen_t len = sizeof(int);
    int error = EIO;

    (void)what;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    close_peer(NULL, peer);
    peer->receive(peer, NULL, -error);
}

static int ask_server(struct io *io, struct io_peer *peer, const struct addr *server,
                      enum io_kind kind, const uint8_t *message, size_t len)
{
    const uint8_t length[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    struct io_event *self = container_of(io, struct io_event, io);
    struct link *l = (void *)peer->space;
    const uint8_t mapped = addr_is_v4(server) ? 0xff : 0;
    struct addr any = {.ip = {[10] = mapped, [11] = mapped}};
    struct sockaddr_storage to, from;
    socklen_t to_len = addr_to_sockaddr(server, &to);
    int type = kind == IO_UDP ? SOCK_DGRAM : SOCK_STREAM;
    int omit = IP_PMTUDISC_OMIT, rc = -1;

    *l = (struct link){.home = self,
                       .fd = socket(to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (l->fd < 0)
        return -errno;
    peer->handle = l;
    if (kind == IO_CONNECT)
        event_assign(&l->event, self->base, l->fd, EV_WRITE, on_connected, peer);
    else
        event_assign(&l->event, self->base, l->fd, EV_READ | EV_PERSIST, on_datagram, peer);
    /* A UDP port that nobody can foresee, of all that may be used; the kernel's choice if
     * those that were drawn are taken. */
    for (int i = 0; kind == IO_UDP && rc != 0 && i < PORT_TRIES; i++) {
        any.port = (uint16_t)(PORT_MIN + random_below(io->random, 65536 - PORT_MIN));
        rc = bind(l->fd, (struct sockaddr *)&from, addr_to_sockaddr(&any, &from));
    }
    /* Forged "fragmentation needed" messages have no effect (SAD DNS). */
    if (kind == IO_UDP && to.ss_family == AF_INET)
        setsockopt(l->fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
    if ((connect(l->fd, (struct sockaddr *)&to, to_len) != 0 && errno != EINPROGRESS) ||
        (kind == IO_UDP && send(l->fd, message, len, MSG_NOSIGNAL) != (ssize_t)len)) {
        rc = -errno;
        close_peer(io, peer);
        return rc;
    }
    if (kind != IO_TCP) {
        rc = event_add(&l->event, NULL);
    } else if ((l->stream = bufferevent_socket_new(self->base, l->fd, BEV_OPT_CLOSE_ON_FREE)) ==
               NULL) {
        rc = -1;
    } else {
        bufferevent_setcb(l->stream, on_stream, NULL, on_stream_end, peer);
        bufferevent_setwatermark(l->stream, EV_READ, 0, 2 + DNS_MAX_MESSAGE);
        rc = bufferevent_enable(l->stream, EV_READ);
        rc |= bufferevent_write(l->stream, length, sizeof length);
        rc |= bufferevent_write(l->stream, message, len); /* it leaves when it is connected */
    }
    if (rc == 0)
        return 0;
    close_peer(io, peer);
    return -ENOMEM;
}

struct io *io_event_new(struct event_base *base, struct random *random)
{
    struct io_event *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->io = (struct io){.ask = ask_server,
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
    if (io != NULL)
        free(container_of(io, struct io_event, io));
}
