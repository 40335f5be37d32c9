/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen.c -- the listening sockets, and what is done for every question whatever its transport.
 *
 * SO_REUSEPORT would let a second daemon of the same user share our port in silence, and each
 * would answer half of the questions. So every address is first bound without it, which fails
 * if another process has it, and then closed for the workers' sockets.
 */
#include "resolver/threads.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TCP_BACKLOG = 512,
    RECEIVE_BUFFER = 4 << 20, /* the kernel's default holds 256 questions */
    REST_MS = 250,
};

static int bound_socket(const struct addr *a, bool tcp, bool share)
{
    struct sockaddr_storage to;
    socklen_t len = addr_to_sockaddr(a, &to);
    bool v4 = addr_is_v4(a);
    int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, omit = v4 ? IP_PMTUDISC_OMIT : IPV6_PMTUDISC_OMIT;
    int one = 1, size = RECEIVE_BUFFER, rc;
    int fd =
        socket(to.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (!v4)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (tcp) /* past connections in TIME_WAIT do not hold the port */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
        goto fail;
    if (share && !tcp) {
        /* We are still root, who may have more than net.core.rmem_max. */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        setsockopt(fd, level, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &omit, sizeof omit);
        if (addr_is(a, ADDR_ANY))
            setsockopt(fd, level, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO, &one, sizeof one);
    }
    if (bind(fd, (struct sockaddr *)&to, len) == 0 && (!tcp || listen(fd, TCP_BACKLOG) == 0))
        return fd;
fail:
    rc = -errno;
    close(fd);
    return rc;
}

int listen_bind(const struct settings *s, int n, int **out, struct diags *d)
{
    int half = s->server.n_listen, each = 2 * half, rc = 0, fd;
    int *list = calloc((size_t)(n * each), sizeof *list);
    const char *why;
    char text[ADDR_TEXT];

    if (list == NULL)
        return -ENOMEM;
    /* Are all free? Then each is bound: one may be a part of another. */
    for (int i = 0; i < 2 * each && (i < each || rc == 0); i++) {
        const struct addr *a = &s->server.listen[i % half];
        bool tcp = i % each >= half, share = i >= each;

        fd = 0;
        for (int w = 0; w < (share ? n : 1) && fd >= 0; w++) {
            fd = bound_socket(a, tcp, share);
            if (share)
                list[w * each + i - each] = fd;
            else if (fd >= 0)
                close(fd);
        }
        if (fd >= 0)
            continue;
        why = strerror(-fd);
        if (fd == -EACCES)
            why = "ports below 1024 need root or CAP_NET_BIND_SERVICE; start it as root, or set "
                  "server.listen to a higher port";
        else if (fd == -EADDRNOTAVAIL)
            why = "no interface of this machine has that address; correct server.listen";
        else if (fd == -EADDRINUSE)
            why = "the port is in use (ss -tulnp says by whom); stop who has it, or set "
                  "server.listen to another address or port";
        rc = diags_tell(d, "%s (%s): cannot be bound: %s", addr_print_port(a, text),
                        tcp ? "TCP" : "UDP", why);
    }
    if (rc == 0)
        *out = list;
    else
        free(list);
    return rc;
}

static void rest(struct listeners *all)
{
    struct io *io = all->w->io;

    io->timer_set(io, &all->rest, io_now(io).mono_ms + REST_MS);
}

static void on_rested(struct io_timer *timer)
{
    struct listeners *all = container_of(timer, struct listeners, rest);

    for (int i = 0; i < all->n; i++)
        if (event_add(&all->list[i].event, NULL) != 0) /* out of memory, still or again */
            rest(all);
}

void listen_rest(struct listener *l)
{
    COUNT(&l->all->w->stats, receive_errors);
    event_del(&l->event);
    rest(l->all);
}

bool listen_begin(struct listeners *all, struct worker *w, const int *fds, int n,
                  event_callback_fn call)
{
    *all = (struct listeners){.w = w, .rest.fire = on_rested};
    if ((all->list = calloc((size_t)n, sizeof *all->list)) == NULL)
        return false;
    for (; all->n < n; all->n++) {
        struct listener *l = &all->list[all->n];

        l->all = all;
        event_assign(&l->event, w->base, fds[all->n], EV_READ | EV_PERSIST, call, l);
        if (event_add(&l->event, NULL) != 0)
            return false;
    }
    return true;
}

void listen_end(struct listeners *all)
{
    all->w->io->timer_clear(all->w->io, &all->rest);
    for (int i = 0; i < all->n; i++) {
        event_del(&all->list[i].event);
        close(event_get_fd(&all->list[i].event));
    }
    free(all->list);
}

void listen_done(struct worker *w, struct query *q, enum answer answer)
{
    uint64_t now_us;

    if (answer == ANSWER_SEND) {
        COUNT(&w->stats, answers);
        if ((dns_flags(q->out, q->out_len) & DNS_TC) != 0)
            COUNT(&w->stats, truncated);
    } else {
        COUNT(&w->stats, dropped);
    }
    if (!q->has_event)
        return;
    now_us = clock_us();
    q->event.latency_us = (uint32_t)(now_us > q->arrived_us ? now_us - q->arrived_us : 0);
    COUNT(&w->stats, kms_questions);
    COUNT_AT(&w->stats.kms_passed + (q->event.outcome - OUTCOME_PASSED));
    if (w->ring == NULL || !audit_ring_push(w->ring, &q->event))
        COUNT(&w->stats, audit_dropped);
    q->has_event = false;
}
