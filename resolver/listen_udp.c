/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen_udp.c -- see listen_udp.h.
 *
 * One wake-up: up to ROUNDS times a recvmmsg of BATCH packets; each is read and
 * its cache line fetched, then each is answered in its own buffer, then those
 * that have an answer leave in one sendmmsg. A batch that is not full has
 * emptied the socket. All buffers exist from the start; only the slots that
 * were used are set up again.
 *
 * A wildcard socket asks for the address that each packet was sent to, and
 * answers from it: an answer from another address is thrown away by clients.
 */
#include "resolver/listen_udp.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 32,
    ROUNDS = 8,
    /* Not 4096: equal offsets would compete for the same lines of the L1 cache. */
    IN_STRIDE = 2048 + 64,
    OUT_STRIDE = 4096 + 64,
    CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)),
    SEND_WAIT_MS = 1,
};

union control {
    struct cmsghdr align;
    uint8_t at[CONTROL];
};

struct listen_udp_batch {
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_iov[BATCH], out_iov[BATCH];
    struct sockaddr_storage from[BATCH];
    union control in_control[BATCH], out_control[BATCH];
    bool wildcard; /* the slots ask for control messages */
    enum answer answer[BATCH];
    struct query q[BATCH];
    uint8_t in_bytes[BATCH][IN_STRIDE];
    uint8_t out_bytes[BATCH][OUT_STRIDE];
};

struct listen_udp {
    struct listen *l;           /* borrowed */
    struct listen_udp_batch *b; /* borrowed */
    struct event *event;
    struct addr local;
    int fd;
    bool wildcard;
    uint16_t number;
};

struct listen_udp_batch *listen_udp_batch_new(void)
{
    struct listen_udp_batch *b = calloc(1, sizeof *b);

    for (int i = 0; b != NULL && i < BATCH; i++) {
        b->in_iov[i] = (struct iovec){b->in_bytes[i], IN_STRIDE};
        b->in[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                           .msg_namelen = sizeof b->from[i],
                                           .msg_iov = &b->in_iov[i],
                                           .msg_iovlen = 1};
        b->q[i].out = b->out_bytes[i];
        b->q[i].out_size = OUT_STRIDE;
    }
    return b;
}

void listen_udp_batch_free(struct listen_udp_batch *b)
{
    free(b);
}

/* ---- addresses ---- */

/* The address that the packet was sent to. */
static void read_local(struct msghdr *m, struct addr *local)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            memset(local->ip, 0, 10);
            local->ip[10] = local->ip[11] = 0xff;
            memcpy(local->ip + 12, &info.ipi_spec_dst, 4);
            local->scope = 0;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            memcpy(local->ip, &info.ipi6_addr, sizeof local->ip);
            local->scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        }
    }
}

/* Makes the message leave from that address. */
static void write_local(struct msghdr *m, union control *control, const struct addr *local)
{
    struct cmsghdr *c;

    memset(control, 0, sizeof *control);
    m->msg_control = control;
    m->msg_controllen = sizeof *control;
    c = CMSG_FIRSTHDR(m);
    if (addr_is_v4(local)) {
        struct in_pktinfo info = {0};

        memcpy(&info.ipi_spec_dst, local->ip + 12, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m->msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};

        memcpy(&info.ipi6_addr, local->ip, sizeof info.ipi6_addr);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m->msg_controllen = CMSG_SPACE(sizeof info);
    }
}

/* ---- sending ---- */

/* The socket is full: a moment's patience. False: give up. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, SEND_WAIT_MS) == 1;
}

static void send_batch(struct listen_udp *u, unsigned n)
{
    unsigned at = 0;
    bool waited = false;

    while (at < n) {
        int sent = sendmmsg(u->fd, u->b->out + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent > 0) {
            at += (unsigned)sent;
        } else if (errno == EAGAIN && !waited && wait_writable(u->fd)) {
            waited = true;
        } else if (errno == EAGAIN) {
            for (; at < n; at++)
                COUNT(u->l->stats, send_errors);
        } else if (errno != EINTR) { /* of the first message alone */
            COUNT(u->l->stats, send_errors);
            at++;
        }
    }
}

static void add_answer(struct listen_udp *u, unsigned i, unsigned n)
{
    struct listen_udp_batch *b = u->b;
    struct query *q = &b->q[i];
    struct cursor c = cursor_make(q->out, q->out_len);

    COUNT(u->l->stats, answers);
    (void)cursor_u16(&c);
    if ((cursor_u16(&c) & DNS_TC) != 0)
        COUNT(u->l->stats, truncated);
    b->out_iov[n] = (struct iovec){q->out, q->out_len};
    b->out[n].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                        .msg_namelen = b->in[i].msg_hdr.msg_namelen,
                                        .msg_iov = &b->out_iov[n],
                                        .msg_iovlen = 1};
    if (u->wildcard)
        write_local(&b->out[n].msg_hdr, &b->out_control[n], &q->client.local);
}

void listen_udp_send(struct listen_udp *u, const struct client *client, const uint8_t *message,
                     size_t len)
{
    struct sockaddr_storage to;
    struct iovec iov = {(void *)(uintptr_t)message, len}; /* sendmsg does not write it */
    struct msghdr m = {.msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1};
    union control control;

    m.msg_namelen = addr_to_sockaddr(&client->addr, &to);
    if (u->wildcard)
        write_local(&m, &control, &client->local);
    if (sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return;
    if (errno == EAGAIN && wait_writable(u->fd) &&
        sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return;
    COUNT(u->l->stats, send_errors);
}

/* ---- receiving ---- */

static int receive(struct listen_udp *u)
{
    struct listen_udp_batch *b = u->b;

    if (u->wildcard != b->wildcard) { /* the last batch was of another kind of socket */
        for (int i = 0; i < BATCH; i++) {
            b->in[i].msg_hdr.msg_control = u->wildcard ? &b->in_control[i] : NULL;
            b->in[i].msg_hdr.msg_controllen = u->wildcard ? sizeof b->in_control[i] : 0;
        }
        b->wildcard = u->wildcard;
    }
    return recvmmsg(u->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
}

/* First pass: what is asked, and where its answer may lie. */
static void read_packet(struct listen_udp *u, unsigned i, struct now now, uint64_t now_us)
{
    struct listen_udp_batch *b = u->b;
    struct msghdr *m = &b->in[i].msg_hdr;
    struct query *q = &b->q[i];
    uint64_t before = u->l->stats->queries;

    b->answer[i] = ANSWER_DROP;
    q->has_event = false;
    if ((m->msg_flags & MSG_TRUNC) != 0 ||
        !addr_from_sockaddr(&q->client.addr, (struct sockaddr *)m->msg_name)) {
        COUNT(u->l->stats, ignored);
        return;
    }
    q->client.local = u->local;
    if (u->wildcard)
        read_local(m, &q->client.local);
    q->client.transport = AUDIT_UDP;
    q->client.listener = u->number;
    q->client.connection = q->client.serial = 0;
    q->arrived_ms = now.mono_ms;
    q->arrived_us = now_us;
    q->wire = b->in_bytes[i];
    q->wire_len = b->in[i].msg_len;
    b->answer[i] = answer_read(u->l->view, q, now);
    if (b->answer[i] == ANSWER_FORWARD)
        cache_prefetch(u->l->view->cache, &q->key);
    if (u->l->stats->queries == before)
        return;
    COUNT(u->l->stats, queries_udp);
    if (b->answer[i] == ANSWER_DROP)
        COUNT(u->l->stats, dropped);
}

/* Second pass. True when there is something to send. */
static bool answer_packet(struct listen_udp *u, unsigned i, struct now now)
{
    struct listen *l = u->l;
    struct query *q = &u->b->q[i];
    enum answer answer = u->b->answer[i];

    if (answer == ANSWER_FORWARD) {
        answer = answer_query(l->view, q, NULL, now);
        if (answer == ANSWER_FORWARD) {
            forwarder_ask(l->forwarder, l->view, q);
            return false;
        }
        if (answer == ANSWER_DROP)
            COUNT(l->stats, dropped);
    }
    if (q->has_event)
        l->record(l->context, q);
    return answer == ANSWER_SEND && q->out_len > 0;
}

static void answer_batch(struct listen_udp *u, unsigned n)
{
    struct now now = u->l->io->now(u->l->io);
    uint64_t now_us = clock_us();
    unsigned n_out = 0;

    for (unsigned i = 0; i < n; i++)
        read_packet(u, i, now, now_us);
    for (unsigned i = 0; i < n; i++)
        if (answer_packet(u, i, now))
            add_answer(u, i, n_out++);
    if (n_out > 0)
        send_batch(u, n_out);
    view_policy_end(u->l->view);
    for (unsigned i = 0; i < n; i++) {
        u->b->in[i].msg_hdr.msg_namelen = sizeof u->b->from[i];
        u->b->in[i].msg_hdr.msg_controllen = u->wildcard ? sizeof u->b->in_control[i] : 0;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct listen_udp *u = arg;

    (void)fd;
    (void)what;
    for (int round = 0; round < ROUNDS; round++) {
        int n = receive(u);

        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                COUNT(u->l->stats, receive_errors);
            return;
        }
        answer_batch(u, (unsigned)n);
        if (n < BATCH)
            return;
    }
}

static void set_options(int fd, const struct addr *local, bool wildcard)
{
    int one = 1, omit = IP_PMTUDISC_OMIT, omit6 = IPV6_PMTUDISC_OMIT;

    /* Each may be refused, and the daemon is the poorer for it, no more. */
    if (addr_is_v4(local)) {
        setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
        if (wildcard)
            setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    } else {
        setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &omit6, sizeof omit6);
        if (wildcard)
            setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
    }
}

struct listen_udp *listen_udp_new(struct listen *l, struct listen_udp_batch *b, int fd,
                                  const struct addr *local, bool wildcard, uint16_t number)
{
    struct listen_udp *u = calloc(1, sizeof *u);

    if (u == NULL) {
        close(fd);
        return NULL;
    }
    *u = (struct listen_udp){
        .l = l, .b = b, .fd = fd, .local = *local, .wildcard = wildcard, .number = number};
    set_options(fd, local, wildcard);
    u->event = event_new(l->base, fd, EV_READ | EV_PERSIST, on_readable, u);
    if (u->event == NULL || event_add(u->event, NULL) != 0) {
        listen_udp_free(u);
        return NULL;
    }
    return u;
}

void listen_udp_free(struct listen_udp *u)
{
    if (u == NULL)
        return;
    if (u->event != NULL)
        event_free(u->event);
    close(u->fd);
    free(u);
}
