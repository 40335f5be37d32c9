/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen_tcp.c -- accepts connections, within the limits; see connection.c for
 * what happens on them.
 *
 * Out of descriptors, accept() fails and the socket stays readable: without a
 * pause that would be a busy loop. So it is left alone for a moment.
 */
#include "resolver/listen_tcp.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver/connection.h"

enum { ACCEPT_MAX = 32, PAUSE_MS = 250 };

struct listen_tcp {
    struct io_timer pause;
    struct listen *l;        /* borrowed */
    struct connections *all; /* borrowed */
    struct event *event;
    int fd;
    uint16_t number;
};

static void on_pause_over(struct io_timer *t)
{
    struct listen_tcp *s = (struct listen_tcp *)(void *)t; /* its first member */

    event_add(s->event, NULL);
}

/* Errors that belong to one connection (it was reset while it waited) end
 * nothing. */
static void accept_failed(struct listen_tcp *s, int error)
{
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED || error == EPROTO)
        return;
    COUNT(s->l->stats, receive_errors);
    event_del(s->event);
    s->l->io->timer_set(s->l->io, &s->pause, s->l->io->now(s->l->io).mono_ms + PAUSE_MS);
}

static void on_acceptable(evutil_socket_t listening, short what, void *arg)
{
    struct listen_tcp *s = arg;

    (void)what;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        struct addr client;
        int fd = accept4(listening, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            accept_failed(s, errno);
            return;
        }
        if (!addr_from_sockaddr(&client, (struct sockaddr *)&from))
            close(fd);
        else
            connection_new(s->all, fd, &client, s->number);
    }
}

struct listen_tcp *listen_tcp_new(struct listen *l, struct connections *all, int fd,
                                  uint16_t number)
{
    struct listen_tcp *s = calloc(1, sizeof *s);

    if (s == NULL) {
        close(fd);
        return NULL;
    }
    *s = (struct listen_tcp){
        .pause = {.fire = on_pause_over}, .l = l, .all = all, .fd = fd, .number = number};
    s->event = event_new(l->base, fd, EV_READ | EV_PERSIST, on_acceptable, s);
    if (s->event == NULL || event_add(s->event, NULL) != 0) {
        listen_tcp_free(s);
        return NULL;
    }
    return s;
}

void listen_tcp_free(struct listen_tcp *s)
{
    if (s == NULL)
        return;
    s->l->io->timer_clear(s->l->io, &s->pause);
    if (s->event != NULL)
        event_free(s->event);
    close(s->fd);
    free(s);
}
