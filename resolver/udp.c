/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.c -- questions over UDP, in batches.
 *
 * Each packet of a batch is read and its cache line fetched, then each is answered in its own
 * buffer, then all answers leave in one sendmmsg. A wildcard socket is told the address that each
 * packet was sent to, and answers from it: clients throw away an answer from another one.
 */
#include "resolver/threads.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/proxy.h"

enum {
    BATCH = 32,
    ROUNDS = 8,
    /* Not 4096: equal offsets would compete for the same lines of the L1 cache. */
    IN_STRIDE = 2048 + 64,
    OUT_STRIDE = 4096 + 64,
};

union control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};
_Static_assert(sizeof((struct client *)0)->local == sizeof(union control), "the larger one");

struct udp {
    struct worker *w; /* borrowed */
    struct listeners sockets;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_iov[BATCH], out_iov[BATCH];
    struct sockaddr_storage from[BATCH];
    union control in_control[BATCH];
    struct query q[BATCH];
    uint8_t in_bytes[BATCH][IN_STRIDE];
    uint8_t out_bytes[BATCH][OUT_STRIDE];
};

/* The address that the packet was sent to, as the kernel says it and wants it again: nothing else
 * was asked for (listen.c). The way back is the routing table's to choose. */
static void keep_local(struct msghdr *m, struct client *client)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    struct in_pktinfo *v4 = c ? (void *)CMSG_DATA(c) : NULL;
    struct in6_pktinfo *v6 = (void *)v4;

    if (c == NULL) { /* it is no wildcard */
        memset(client->local, 0, sizeof c->cmsg_len);
        return;
    }
    if (c->cmsg_level == IPPROTO_IP)
        v4->ipi_ifindex = 0;
    else if (!IN6_IS_ADDR_LINKLOCAL(&v6->ipi6_addr))
        v6->ipi6_ifindex = 0;
    memcpy(client->local, c, sizeof client->local);
}

static void send_messages(struct udp *u, int fd, struct mmsghdr *messages, unsigned n)
{
    unsigned done = 0;

    while (done < n) {
        int sent = sendmmsg(fd, messages + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno != EINTR) { /* of the first message alone; or the socket is full */
            COUNT(&u->w->stats, send_errors);
            done++;
        }
    }
}

void udp_send(struct udp *u, const struct client *client, const uint8_t *message, size_t len)
{
    struct sockaddr_storage to;
    struct iovec iov = {(void *)(uintptr_t)message, len}; /* it is not written to */
    union control control;
    struct mmsghdr m = {.msg_hdr = {.msg_name = &to,
                                    .msg_namelen = addr_to_sockaddr(&client->peer, &to),
                                    .msg_iov = &iov,
                                    .msg_iovlen = 1,
                                    .msg_control = &control}};

    memcpy(&control, client->local, sizeof control);
    m.msg_hdr.msg_controllen = CMSG_ALIGN(control.align.cmsg_len); /* 0: there is none */
    send_messages(u, event_get_fd(&u->sockets.list[client->listener].event), &m, 1);
}

/* Whose question is it? False: a balancer did not say. */
static bool find_client(const struct view *v, struct query *q)
{
    struct cursor c = cursor_make(q->wire, q->wire_len);

    q->client.addr = q->client.peer;
    if (!settings_is_balancer(v->settings, &q->client.peer))
        return true;
    if (proxy_read(&c, false, &q->client.addr) != 0)
        return false;
    q->wire_len = cursor_left(&c);
    q->wire = c.pos;
    return true;
}

static void answer_batch(struct listener *l, unsigned n)
{
    struct udp *u = container_of(l->all, struct udp, sockets);
    struct view *v = u->w->view;
    struct now now = io_now(u->w->io);
    uint64_t now_us = clock_us();
    enum answer answers[BATCH], answer;
    unsigned n_out = 0;

    for (unsigned i = 0; i < n; i++) {
        struct msghdr *m = &u->in[i].msg_hdr;
        struct query *q = &u->q[i];

        answers[i] = ANSWER_IGNORE;
        q->wire = u->in_bytes[i];
        q->wire_len = u->in[i].msg_len;
        if ((m->msg_flags & MSG_TRUNC) != 0 || !addr_from_sockaddr(&q->client.peer, m->msg_name) ||
            !find_client(v, q)) {
            COUNT(&u->w->stats, ignored);
            continue;
        }
        keep_local(m, &q->client);
        q->client.transport = AUDIT_UDP;
        q->client.listener = (uint16_t)(l - l->all->list);
        q->arrived_us = now_us;
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
            (void)forwarder_ask(u->w->forwarder, v, q, NULL, NULL);
        else if (answer != ANSWER_IGNORE)
            listen_done(u->w, q, answer);
        if (answer != ANSWER_SEND)
            continue;
        u->out_iov[n_out] = (struct iovec){q->out, q->out_len};
        *out = u->in[i].msg_hdr; /* back to where it came from, from where it was sent to */
        out->msg_iov = &u->out_iov[n_out];
        n_out++;
    }
    send_messages(u, event_get_fd(&l->event), u->out, n_out);
    view_policy_end(v);
    for (unsigned i = 0; i < n; i++) {
        if (UNLIKELY(u->q[i].prefetch))
            forwarder_prefetch(u->w->forwarder, v, &u->q[i]);
        u->in[i].msg_hdr.msg_namelen = sizeof u->from[i];
        u->in[i].msg_hdr.msg_controllen = sizeof u->in_control[i];
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    struct udp *u = container_of(l->all, struct udp, sockets);

    (void)what;
    for (int round = 0; round < ROUNDS; round++) {
        int n = recvmmsg(fd, u->in, BATCH, MSG_DONTWAIT, NULL);

        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                listen_rest(l);
            return;
        }
        answer_batch(l, (unsigned)n);
        if (n < BATCH)
            return;
    }
}

struct udp *udp_new(struct worker *w, const int *listeners, int n)
{
    struct udp *u = calloc(1, sizeof *u);

    if (u == NULL)
        return NULL;
    u->w = w;
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
    return listen_begin(&u->sockets, w, listeners, n, on_readable) ? u : NULL;
}

void udp_free(struct udp *u)
{
    if (u == NULL)
        return;
    listen_end(&u->sockets);
    free(u);
}
