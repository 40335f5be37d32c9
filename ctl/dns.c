/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dns.c -- the tool's own stub resolver: one question, one server, five
 * seconds. It does not ask twice: each question is an event of the audit.
 *
 * The socket is connected, so the kernel drops what comes from elsewhere.
 */
#include "ctl/dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/reply.h"

struct asking {
    const struct addr *server;
    const struct name *name;
    uint16_t type, id;
    uint64_t deadline;                 /* mono_ms */
    uint8_t query[2 + DNS_QUERY_SIZE]; /* behind the length that TCP wants */
    size_t query_len;
};

static int open_socket(const struct asking *a, int kind)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->server->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(a->server->port),
                              .sin6_scope_id = a->server->scope};
    bool is_v4 = addr_is_v4(a->server);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

    if (fd < 0)
        return -errno;
    memcpy(&v4.sin_addr, a->server->ip + 12, 4);
    memcpy(&v6.sin6_addr, a->server->ip, 16);
    if (connect(fd, is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
                is_v4 ? sizeof v4 : sizeof v6) < 0 &&
        errno != EINPROGRESS) {
        err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

static int wait_for(const struct asking *a, int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    uint64_t now = clock_now().mono_ms;
    int n = now < a->deadline ? poll(&p, 1, (int)(a->deadline - now)) : 0;

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

static bool belongs(const struct asking *a, struct dns_reply *r)
{
    return message_read_reply(&r->message, r->wire, r->len) == 0 && r->message.id == a->id &&
           r->message.qtype == a->type && r->message.qclass == CLASS_IN &&
           name_equal_fold(&r->message.qname, a->name);
}

static int ask_udp(const struct asking *a, struct dns_reply *out)
{
    int fd = open_socket(a, SOCK_DGRAM), err = 0;
    ssize_t n;

    if (fd < 0)
        return fd;
    if (send(fd, a->query + 2, a->query_len, 0) < 0)
        err = -errno;
    while (err == 0) {
        n = recv(fd, out->wire, sizeof out->wire, 0);
        out->len = n > 0 ? (size_t)n : 0;
        if (n > 0 && belongs(a, out))
            break;
        if (n < 0 && errno == EAGAIN)
            err = wait_for(a, fd, POLLIN);
        else if (n < 0)
            err = -errno;
    }
    close(fd);
    return err;
}

/* Sends or receives exactly len octets. */
static int move(const struct asking *a, int fd, uint8_t *data, size_t len, bool out)
{
    while (len > 0) {
        ssize_t n = out ? send(fd, data, len, MSG_NOSIGNAL) : recv(fd, data, len, 0);
        int err;

        if (n == 0)
            return -ECONNRESET;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            err = wait_for(a, fd, out ? POLLOUT : POLLIN);
            if (err < 0)
                return err;
        } else {
            return -errno;
        }
    }
    return 0;
}

static int ask_tcp(struct asking *a, struct dns_reply *out)
{
    struct writer w = writer_make(a->query, 2);
    uint8_t length[2];
    struct cursor c;
    int fd = open_socket(a, SOCK_STREAM), err;

    if (fd < 0)
        return fd;
    writer_u16(&w, (uint16_t)a->query_len);
    err = wait_for(a, fd, POLLOUT);
    if (err == 0)
        err = move(a, fd, a->query, a->query_len + 2, true);
    if (err == 0)
        err = move(a, fd, length, sizeof length, false);
    if (err == 0) {
        c = cursor_make(length, sizeof length);
        out->len = cursor_u16(&c);
        err = move(a, fd, out->wire, out->len, false);
    }
    if (err == 0 && !belongs(a, out))
        err = -EBADMSG;
    close(fd);
    return err;
}

int dns_ask(const struct addr *server, const struct name *name, uint16_t type, bool tcp,
            struct dns_reply *out)
{
    struct asking a = {.server = server, .name = name, .type = type};
    uint64_t begin = clock_now().mono_ms;
    struct query_build build = {.qname = name, .qtype = type, .qclass = CLASS_IN, .edns = true};
    struct random random;
    int err;

    random_init(&random);
    a.id = build.id = random_u16(&random);
    a.deadline = begin + DNS_TIMEOUT_MS;
    a.query_len = query_build(&build, a.query + 2, DNS_QUERY_SIZE);
    if (a.query_len == 0)
        return -EMSGSIZE;
    out->tcp = tcp;
    err = tcp ? ask_tcp(&a, out) : ask_udp(&a, out);
    if (err == 0 && !tcp && (out->message.flags & DNS_TC)) {
        out->tcp = true;
        err = ask_tcp(&a, out);
    }
    out->ms = clock_now().mono_ms - begin;
    return err;
}
