/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.c -- sockets and timers.
 *
 * The event of a socket or timer lies in the peer or timer itself, so that a question over UDP
 * costs no malloc. A callback may close its peer, whose place another may then take: no code
 * touches the peer after a callback.
 */
#include "resolver/stream.h"

#include <errno.h>
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
    struct streams *streams; /* owned */
    uint8_t in[DNS_MAX_MESSAGE + 1];
};

/* In the space of a peer that is open. */
struct link {
    struct io_event *home;
    enum io_kind kind;
    int fd;
    union {
        struct event event;
        struct stream_place place; /* TCP */
    };
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
    if (event_add(event, &wait) != 0) /* out of memory: rather too early than never */
        event_active(event, EV_TIMEOUT, 0);
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
    if (l && l->kind == IO_TCP) {
        stream_leave(&l->place);
    } else if (l && l->fd >= 0) {
        event_del(&l->event);
        close(l->fd);
    }
}

static void end_peer(struct io_peer *peer, int error)
{
    close_peer(NULL, peer);
    peer->receive(peer, NULL, -error);
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
        end_peer(peer, errno);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
    int error = 0;

    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}) != 0)
        error = errno;
    end_peer(arg, error);
}

/* A UDP socket on a port that nobody can foresee, of all that may be used; the kernel's choice if
 * those that were drawn are taken. */
static int bind_source(struct io *io, int fd, const struct io_target *to)
{
    const uint8_t mapped = addr_is_v4(to->server) ? 0xff : 0;
    struct addr any = {.ip = {[10] = mapped, [11] = mapped}}, from = to->source ? *to->source : any;
    struct sockaddr_storage sa;

    for (int i = 0; i < PORT_TRIES; i++) {
        from.port = (uint16_t)(PORT_MIN + random_below(io->random, 65536 - PORT_MIN));
        if (bind(fd, (struct sockaddr *)&sa, addr_to_sockaddr(&from, &sa)) == 0)
            return 0;
    }
    from.port = 0;
    return to->source == NULL || bind(fd, (struct sockaddr *)&sa, addr_to_sockaddr(&from, &sa)) == 0
               ? 0
               : -errno;
}

/* The message is sent. A socket, or -errno. */
static int send_datagram(struct io *io, const struct io_target *to, const uint8_t *message,
                         size_t len)
{
    struct sockaddr_storage sa;
    socklen_t sa_len = addr_to_sockaddr(to->server, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;
    int omit = IP_PMTUDISC_OMIT;

    if (fd < 0)
        return -errno;
    /* Forged "fragmentation needed" messages have no effect (SAD DNS). */
    if (sa.ss_family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
    rc = bind_source(io, fd, to);
    if (rc == 0 && (connect(fd, (struct sockaddr *)&sa, sa_len) != 0 ||
                    send(fd, message, len, MSG_NOSIGNAL) < 0))
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static int ask_server(struct io *io, struct io_peer *peer, const struct io_target *to,
                      const uint8_t *message, size_t len)
{
    struct io_event *self = container_of(io, struct io_event, io);
    struct link *l = (void *)peer->space;
    bool connects = to->kind == IO_CONNECT;
    int rc;

    *l = (struct link){.home = self, .kind = to->kind, .fd = -1};
    if (to->kind == IO_TCP) {
        rc = stream_ask(self->streams, peer, &l->place, to, message, len);
        peer->handle = rc == 0 ? l : NULL;
        return rc;
    }
    rc = l->fd = connects ? stream_connect(to) : send_datagram(io, to, message, len);
    if (rc < 0)
        return rc;
    event_assign(&l->event, self->base, l->fd, connects ? EV_WRITE : EV_READ | EV_PERSIST,
                 connects ? on_connected : on_datagram, peer);
    if (event_add(&l->event, NULL) != 0) {
        close(l->fd);
        return -ENOMEM;
    }
    peer->handle = l;
    return 0;
}

struct io *io_event_new(struct event_base *base, struct random *random, struct worker_stats *stats)
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
    if ((self->streams = streams_new(&self->io, base, stats)) != NULL)
        return &self->io;
    free(self);
    return NULL;
}

void io_event_free(struct io *io)
{
    struct io_event *self = container_of(io, struct io_event, io);

    if (io == NULL)
        return;
    streams_free(self->streams);
    free(self);
}
