/* SPDX-License-Identifier: BSD-2-Clause
 *
 * io_event.c -- see io_event.h.
 *
 * A connection is a struct link from a fixed pool, with its libevent event
 * inside, so that a question over UDP costs no malloc. Only a TCP reply has a
 * buffer of its own, from malloc, for as long as it comes in.
 *
 * After a callback the link may be closed, or belong to somebody else: nothing
 * of it is touched behind one. Reading is level-triggered, one message a call.
 *
 * One libevent timer stands for the whole heap. It is moved only when the
 * earliest time becomes earlier.
 */
#include "resolver/io_event.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/timer.h"
#include "wire/message.h"

enum { PORT_TRIES = 8, PORT_MIN = 1024 };

struct link {
    struct link *next; /* of the free ones */
    struct link *open_next, *open_prev;
    struct io_event *home;
    struct io_peer *peer;
    struct event event;
    int fd;
    bool tcp, connected;
    uint8_t *out; /* TCP, what could not be written yet; from malloc */
    size_t out_len, out_at;
    uint8_t *in;          /* TCP, the message coming in; from malloc */
    size_t in_len, in_at; /* of the message; octets of length and message read */
    uint8_t length[2];
};

struct io_event {
    struct io io; /* first: struct io * is struct io_event * */
    struct event_base *base;
    struct event tick;
    uint64_t tick_ms; /* what the tick is set to; 0 = not */
    struct timers timers;
    struct link *links, *free_list, *open;
    unsigned n, used;
    uint8_t in[DNS_MAX_MESSAGE + 1];
};

static struct io_event *self_of(struct io *io)
{
    return (struct io_event *)(void *)io;
}

/* ---- time ---- */

static struct now now_of(struct io *io)
{
    (void)io;
    return clock_now();
}

static void arm(struct io_event *self)
{
    uint64_t next = timers_next(&self->timers), now;
    struct timeval wait;

    if (next == 0 || (self->tick_ms != 0 && self->tick_ms <= next))
        return;
    now = clock_now().mono_ms;
    next = next > now ? next - now : 0;
    wait = (struct timeval){.tv_sec = (time_t)(next / 1000),
                            .tv_usec = (suseconds_t)(next % 1000 * 1000)};
    self->tick_ms = now + next;
    event_add(&self->tick, &wait);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct io_event *self = arg;
    uint64_t now = clock_now().mono_ms;
    struct io_timer *t;

    (void)fd;
    (void)what;
    self->tick_ms = 0;
    while ((t = timers_take(&self->timers, now)) != NULL)
        t->fire(t);
    arm(self);
}

static void timer_set(struct io *io, struct io_timer *t, uint64_t at_ms)
{
    struct io_event *self = self_of(io);

    (void)timers_set(&self->timers, t, at_ms);
    arm(self);
}

static void timer_clear(struct io *io, struct io_timer *t)
{
    timers_clear(&self_of(io)->timers, t);
}

/* ---- connections ---- */

static struct link *take(struct io_event *self)
{
    struct link *l = self->free_list;

    if (l != NULL)
        self->free_list = l->next;
    else if (self->used < self->n)
        l = &self->links[self->used++];
    else
        return NULL;
    memset(l, 0, sizeof *l);
    l->home = self;
    l->fd = -1;
    l->open_next = self->open;
    if (self->open != NULL)
        self->open->open_prev = l;
    self->open = l;
    return l;
}

static void shut(struct link *l)
{
    struct io_event *self = l->home;

    if (l->fd >= 0) {
        event_del(&l->event);
        close(l->fd);
    }
    free(l->out);
    free(l->in);
    *(l->open_prev != NULL ? &l->open_prev->open_next : &self->open) = l->open_next;
    if (l->open_next != NULL)
        l->open_next->open_prev = l->open_prev;
    if (l->peer != NULL)
        l->peer->handle = NULL;
    l->next = self->free_list;
    self->free_list = l;
}

static void fail(struct link *l, int error)
{
    struct io_peer *peer = l->peer;

    shut(l);
    peer->failed(peer, error < 0 ? error : -EIO);
}

static void on_datagram(struct link *l)
{
    uint8_t *in = l->home->in;
    ssize_t n = recv(l->fd, in, sizeof l->home->in, 0);

    if (n >= 0)
        l->peer->receive(l->peer, in, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        fail(l, -errno);
}

/* Reads into at[*done, want); 1 complete, 0 not yet, -errno. */
static int read_part(int fd, uint8_t *at, size_t *done, size_t want)
{
    ssize_t n = recv(fd, at + *done, want - *done, 0);

    if (n == 0)
        return -ECONNRESET;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    *done += (size_t)n;
    return *done == want;
}

static void on_stream(struct link *l)
{
    struct io_peer *peer = l->peer;
    uint8_t *message;
    size_t len = 0;
    int rc;

    if (l->in == NULL) {
        if ((rc = read_part(l->fd, l->length, &l->in_at, sizeof l->length)) <= 0) {
            if (rc < 0)
                fail(l, rc);
            return;
        }
        l->in_len = (size_t)l->length[0] << 8 | l->length[1];
        l->in_at = 0;
        if (l->in_len == 0 || (l->in = malloc(l->in_len)) == NULL) {
            fail(l, l->in_len == 0 ? -EPROTO : -ENOMEM);
            return;
        }
    }
    if ((rc = read_part(l->fd, l->in, &l->in_at, l->in_len)) <= 0) {
        if (rc < 0)
            fail(l, rc);
        return;
    }
    message = l->in;
    len = l->in_len;
    l->in = NULL;
    l->in_at = 0;
    peer->receive(peer, message, len);
    free(message);
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* False when the link is gone. */
static bool flush(struct link *l)
{
    while (l->out_at < l->out_len) {
        ssize_t n = send(l->fd, l->out + l->out_at, l->out_len - l->out_at, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            fail(l, -errno);
            return false;
        }
        l->out_at += (size_t)n;
    }
    free(l->out);
    l->out = NULL;
    l->out_len = l->out_at = 0;
    event_del(&l->event);
    event_assign(&l->event, l->home->base, l->fd, EV_READ | EV_PERSIST, on_event, l);
    event_add(&l->event, NULL);
    return true;
}

static void on_writable(struct link *l)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (!l->connected && getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0) {
        fail(l, -error);
        return;
    }
    l->connected = true;
    (void)flush(l);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;

    (void)fd;
    if ((what & EV_WRITE) != 0)
        on_writable(l);
    else if (l->tcp)
        on_stream(l);
    else
        on_datagram(l);
}

/* A port that nobody can foresee, of all that may be used; the kernel's choice
 * if those that were drawn are taken. */
static void bind_random(int fd, int family, struct random *r)
{
    struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&any;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&any;

    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t port = htons((uint16_t)(PORT_MIN + random_below(r, 65536 - PORT_MIN)));

        if (family == AF_INET)
            v4->sin_port = port;
        else
            v6->sin6_port = port;
        if (bind(fd, (struct sockaddr *)&any, family == AF_INET ? sizeof *v4 : sizeof *v6) == 0)
            return;
    }
}

static int open_socket(struct link *l, const struct addr *server, struct random *random)
{
    struct sockaddr_storage to;
    socklen_t len = addr_to_sockaddr(server, &to);
    int one = 1, omit = IP_PMTUDISC_OMIT;

    l->fd =
        socket(to.ss_family, (l->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return -errno;
    /* Before anything can fail: shut() takes the event out. */
    event_assign(&l->event, l->home->base, l->fd,
                 (short)((l->tcp ? EV_WRITE : EV_READ) | EV_PERSIST), on_event, l);
    if (l->tcp) {
        setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    } else {
        /* Forged "fragmentation needed" messages have no effect (SAD DNS). */
        if (to.ss_family == AF_INET)
            setsockopt(l->fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
        bind_random(l->fd, to.ss_family, random);
    }
    if (connect(l->fd, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
        return -errno;
    return event_add(&l->event, NULL) == 0 ? 0 : -ENOMEM;
}

static int open_peer(struct io *io, struct io_peer *peer, const struct addr *server,
                     enum io_kind kind)
{
    struct io_event *self = self_of(io);
    struct link *l = take(self);
    int rc;

    if (l == NULL)
        return -ENOBUFS;
    l->tcp = kind == IO_TCP;
    if ((rc = open_socket(l, server, io->random)) != 0) {
        shut(l);
        return rc;
    }
    l->peer = peer;
    peer->handle = l;
    return 0;
}

static int send_stream(struct link *l, const uint8_t *message, size_t len)
{
    if (l->out != NULL || len > DNS_MAX_MESSAGE)
        return -EAGAIN; /* one question a connection */
    if ((l->out = malloc(len + 2)) == NULL)
        return -ENOMEM;
    l->out[0] = (uint8_t)(len >> 8);
    l->out[1] = (uint8_t)len;
    memcpy(l->out + 2, message, len);
    l->out_len = len + 2;
    return 0; /* the event says when it can be written: at once, when connected */
}

static int send_peer(struct io *io, struct io_peer *peer, const uint8_t *message, size_t len)
{
    struct link *l = peer->handle;

    (void)io;
    if (l == NULL)
        return -ENOTCONN;
    if (l->tcp)
        return send_stream(l, message, len);
    return send(l->fd, message, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -errno;
}

static void close_peer(struct io *io, struct io_peer *peer)
{
    struct link *l = peer->handle;

    (void)io;
    if (l != NULL)
        shut(l);
}

/* ---- the whole ---- */

struct io *io_event_io(struct io_event *self)
{
    return &self->io;
}

struct io_event *io_event_new(struct event_base *base, struct random *random, unsigned sockets,
                              unsigned timers)
{
    struct io_event *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->io = (struct io){.open = open_peer,
                           .send = send_peer,
                           .close = close_peer,
                           .timer_set = timer_set,
                           .timer_clear = timer_clear,
                           .now = now_of,
                           .random = random};
    self->base = base;
    self->n = sockets;
    self->links =
        calloc(sockets, sizeof *self->links); /* pages are touched when they are first needed */
    if (self->links == NULL || timers_init(&self->timers, timers) != 0) {
        free(self->links);
        free(self);
        return NULL;
    }
    evtimer_assign(&self->tick, base, on_tick, self);
    return self;
}

void io_event_free(struct io_event *self)
{
    if (self == NULL)
        return;
    while (self->open != NULL)
        shut(self->open);
    event_del(&self->tick);
    timers_fini(&self->timers);
    free(self->links);
    free(self);
}
