/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.c -- questions over UDP, in batches.
 *
 * Each packet of a batch is read and its cache line fetched, then each is answered in its own
 * buffer, then all answers leave in one sendmmsg. A wildcard socket is told the address that each
 * packet was sent to, and answers from it: clients throw away an answer from another one.
 */
#include "resolver/listen.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 32,
    ROUNDS = 8,
    /* Not 4096: equal offsets would compete for the same lines of the L1 cache. */
    IN_STRIDE = 2048 + 64,
    OUT_STRIDE = 4096 + 64,
    SEND_WAIT_MS = 1,
};

union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};
_Static_assert(sizeof((struct client *)0)->local == sizeof(struct in6_pktinfo), "the larger one");

struct socket {
    struct udp *udp;
    struct event event;
    struct listener listener;
};

struct udp {
    struct listen *l;       /* borrowed */
    struct socket *sockets; /* owned; by the listener's number */
    int n;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_iov[BATCH], out_iov[BATCH];
    struct sockaddr_storage from[BATCH];
    union control in_control[BATCH], out_control[BATCH];
    struct query q[BATCH];
    uint8_t in_bytes[BATCH][IN_STRIDE];
    uint8_t out_bytes[BATCH][OUT_STRIDE];
};

/* The address that the packet was sent to, as the kernel says it and wants it again: nothing else
 * was asked for (listen.c). The way back is the routing table's to choose. */
static void keep_local(struct msghdr *m, struct client *client)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    struct in_pktinfo v4;
    struct in6_pktinfo v6;

    if (c != NULL && c->cmsg_level == IPPROTO_IP) {
        memcpy(&v4, CMSG_DATA(c), sizeof v4);
        v4.ipi_ifindex = 0;
        memcpy(client->local, &v4, sizeof v4);
    } else if (c != NULL) {
        memcpy(&v6, CMSG_DATA(c), sizeof v6);
        if (!IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr))
            v6.ipi6_ifindex = 0;
        memcpy(client->local, &v6, sizeof v6);
    }
}

static void use_local(struct msghdr *m, union control *control, const struct client *client)
{
    bool is_v4 = addr_is_v4(&client->addr);
    size_t size = is_v4 ? sizeof(struct in_pktinfo) : sizeof(struct in6_pktinfo);

    m->msg_control = control;
    m->msg_controllen = CMSG_SPACE(size);
    control->align = (struct cmsghdr){.cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
                                      .cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO,
                                      .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(&control->align), client->local, size);
}

static void send_messages(struct udp *u, int fd, struct mmsghdr *messages, unsigned n)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    unsigned done = 0;
    bool waited = false;

    while (done < n) {
        int sent = sendmmsg(fd, messages + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno == EAGAIN && !waited) { /* the socket is full: a moment's patience */
            waited = true;
            (void)poll(&p, 1, SEND_WAIT_MS);
        } else if (errno == EAGAIN) {
            for (; done < n; done++)
                COUNT(u->l->stats, send_errors);
        } else if (errno != EINTR) { /* of the first message alone */
            COUNT(u->l->stats, send_errors);
            done++;
        }
    }
}

void udp_send(struct udp *u, const struct client *client, const uint8_t *message, size_t len)
{
    const struct listener *listener = &u->sockets[client->listener].listener;
    struct sockaddr_storage to;
    struct iovec iov = {(void *)(uintptr_t)message, len}; /* it is not written to */
    struct mmsghdr m = {.msg_hdr = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1}};
    union control control;

    m.msg_hdr.msg_namelen = addr_to_sockaddr(&client->addr, &to);
    if (listener->wildcard)
        use_local(&m.msg_hdr, &control, client);
    send_messages(u, listener->fd, &m, 1);
}

static void answer_batch(struct socket *s, unsigned n)
{
    struct udp *u = s->udp;
    struct view *v = u->l->view;
    struct now now = io_now(u->l->io);
    uint64_t now_us = clock_us();
    enum answer answers[BATCH], answer;
    unsigned n_out = 0;

    for (unsigned i = 0; i < n; i++) {
        struct msghdr *m = &u->in[i].msg_hdr;
        struct query *q = &u->q[i];

        answers[i] = ANSWER_IGNORE;
        if ((m->msg_flags & MSG_TRUNC) != 0 || !addr_from_sockaddr(&q->client.addr, m->msg_name)) {
            COUNT(u->l->stats, ignored);
            continue;
        }
        if (s->listener.wildcard)
            keep_local(m, &q->client);
        q->client.transport = AUDIT_UDP;
        q->client.listener = (uint16_t)(s - u->sockets);
        q->arrived_us = now_us;
        q->wire = u->in_bytes[i];
        q->wire_len = u->in[i].msg_len;
        answers[i] = answer_read(v, q, now);
        if (answers[i] == ANSWER_FORWARD)
            cache_prefetch(v->cache, &q->key);
    }
    for (unsigned i = 0; i < n; i++) {
        struct query *q = &u->q[i];
        struct msghdr *out = &u->out[n_out].msg_hdr;

        answer = answers[i];
        if (answer == ANSWER_FORWARD)
            answer = answer_query(v, q, NULL, now);
        if (answer == ANSWER_FORWARD)
            (void)forwarder_ask(u->l->forwarder, v, q, NULL, NULL);
        else if (answer != ANSWER_IGNORE)
            listen_done(u->l, q, answer);
        if (answer != ANSWER_SEND)
            continue;
        u->out_iov[n_out] = (struct iovec){q->out, q->out_len};
        *out = (struct msghdr){.msg_name = &u->from[i],
                               .msg_namelen = u->in[i].msg_hdr.msg_namelen,
                               .msg_iov = &u->out_iov[n_out],
                               .msg_iovlen = 1};
        if (s->listener.wildcard)
            use_local(out, &u->out_control[n_out], &q->client);
        n_out++;
    }
    send_messages(u, s->listener.fd, u->out, n_out);
    view_policy_end(v);
    for (unsigned i = 0; i < n; i++) {
        u->in[i].msg_hdr.msg_namelen = sizeof u->from[i];
        u->in[i].msg_hdr.msg_controllen = sizeof u->in_control[i];
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct socket *s = arg;
    struct udp *u = s->udp;

    (void)what;
    for (int round = 0; round < ROUNDS; round++) {
        int n = recvmmsg(fd, u->in, BATCH, MSG_DONTWAIT, NULL);

        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                COUNT(u->l->stats, receive_errors);
            return;
        }
        answer_batch(s, (unsigned)n);
        if (n < BATCH)
            return;
    }
}

struct udp *udp_new(struct listen *l, const struct listener *listeners, int n)
{
    struct udp *u = calloc(1, sizeof *u);

    if (u == NULL || (u->sockets = calloc((size_t)n, sizeof *u->sockets)) == NULL)
        return NULL;
    u->l = l;
    for (int i = 0; i < BATCH; i++) {
        u->in_iov[i] = (struct iovec){u->in_bytes[i], IN_STRIDE};
        u->in[i].msg_hdr = (struct msghdr){.msg_name = &u->from[i],
                                           .msg_namelen = sizeof u->from[i],
                                           .msg_iov = &u->in_iov[i],
                                           .msg_iovlen = 1,
                                           .msg_control = &u->in_control[i],
                                           .msg_controllen = sizeof u->in_control[i]};
        u->q[i].out = u->out_bytes[i];
        u->q[i].out_size = OUT_STRIDE;
    }
    for (int i = 0; i < n; i++) {
        struct socket *s = &u->sockets[i];

        u->n++;
        s->udp = u;
        s->listener = listeners[i];
        event_assign(&s->event, l->base, s->listener.fd, EV_READ | EV_PERSIST, on_readable, s);
        if (event_add(&s->event, NULL) != 0)
            return NULL;
    }
    return u;
}

void udp_free(struct udp *u)
{
    if (u == NULL)
        return;
    for (int i = 0; i < u->n; i++) {
        event_del(&u->sockets[i].event);
        close(u->sockets[i].listener.fd);
    }
    free(u->sockets);
    free(u);
}
