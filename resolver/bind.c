/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bind.c -- see bind.h.
 *
 * SO_REUSEPORT would let a second daemon of the same user share our port in
 * silence, and each would answer half of the questions. So every address is
 * first bound without it, which fails if anybody is there, and then given up
 * for the workers' sockets.
 */
#include "resolver/bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "resolver/machine.h"

enum {
    TCP_BACKLOG = 512,
    RECEIVE_BUFFER = 4 << 20, /* the kernel's default holds 256 questions */
};

/* Here, since root may have more than net.core.rmem_max, and we are still root.
 * Either may be refused, and the daemon is the poorer for it, no more. */
static void set_receive_buffer(int fd)
{
    int size = RECEIVE_BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static int bound_socket(const struct addr *a, bool tcp, bool share)
{
    struct sockaddr_storage to;
    socklen_t len = addr_to_sockaddr(a, &to);
    int one = 1, rc;
    int fd =
        socket(to.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (to.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (tcp) /* past connections in TIME_WAIT do not hold the port */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
        goto fail;
    if (share && !tcp)
        set_receive_buffer(fd);
    if (bind(fd, (struct sockaddr *)&to, len) != 0)
        goto fail;
    if (tcp && listen(fd, TCP_BACKLOG) != 0)
        goto fail;
    return fd;
fail:
    rc = -errno;
    close(fd);
    return rc;
}

static int bind_problem(const struct addr *a, bool tcp, int error, struct diags *d)
{
    char text[ADDR_TEXT], holder[80];
    const char *kind = tcp ? "TCP" : "UDP";

    addr_print_port(a, text);
    if (error == -EACCES)
        return diags_add(d, NULL, 0, 0,
                         "%s (%s): may not be bound: ports below 1024 need root or "
                         "CAP_NET_BIND_SERVICE; start it as "
                         "root (it becomes server.user), or set server.listen to a higher port",
                         text, kind);
    if (error == -EADDRNOTAVAIL)
        return diags_add(
            d, NULL, 0, 0,
            "%s (%s): no interface of this machine has that address; correct server.listen", text,
            kind);
    if (error != -EADDRINUSE)
        return diags_add(d, NULL, 0, 0, "%s (%s): cannot be bound: %s; see server.listen", text,
                         kind, strerror(-error));
    machine_port_holder(a, tcp, holder, sizeof holder);
    return diags_add(
        d, NULL, 0, 0,
        "%s (%s): the port is in use%s%s; stop it, or set server.listen to another address or port",
        text, kind, holder[0] != '\0' ? " by " : "", holder);
}

/* Is the address free? Names the holder if not. */
static int probe(const struct addr *a, struct diags *d)
{
    for (int tcp = 0; tcp <= 1; tcp++) {
        int fd = bound_socket(a, tcp != 0, false);

        if (fd < 0)
            return bind_problem(a, tcp != 0, fd, d);
        close(fd);
    }
    return 0;
}

int bind_listeners(const struct settings *s, int n, struct listener **out, int *n_each,
                   struct diags *d)
{
    int each = s->server.n_listen * 2, made = 0, rc = 0;
    struct listener *list = calloc((size_t)(n * each), sizeof *list);

    if (list == NULL)
        return -ENOMEM;
    for (int i = 0; i < s->server.n_listen; i++)
        if (probe(&s->server.listen[i], d) != 0)
            rc = -EINVAL;
    if (rc != 0)
        goto fail;
    for (int w = 0; w < n; w++) {
        for (int i = 0; i < each; i++) {
            struct listener *l = &list[made];

            l->addr = s->server.listen[i / 2];
            l->tcp = i % 2 != 0;
            l->wildcard = addr_is_any(&l->addr);
            if ((l->fd = bound_socket(&l->addr, l->tcp, true)) < 0) {
                rc = bind_problem(&l->addr, l->tcp, l->fd, d);
                goto fail;
            }
            made++;
        }
    }
    *out = list;
    *n_each = each;
    return 0;
fail:
    while (made > 0)
        close(list[--made].fd);
    free(list);
    return rc;
}
