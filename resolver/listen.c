/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen.c -- the listening sockets, and what is done for every question whatever its transport.
 *
 * SO_REUSEPORT would let a second daemon of the same user share our port in silence, and each
 * would answer half of the questions. So every address is first bound without it, which fails
 * if another process has it, and then closed for the workers' sockets.
 */
#include "resolver/listen.h"

#include <glob.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

enum {
    TCP_BACKLOG = 512,
    RECEIVE_BUFFER = 4 << 20, /* the kernel's default holds 256 questions */
    HOLDER = 120,
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

/* " by NAME (pid N)": who has the port, from the tables of /proc/net and from the descriptors of
 * all processes. out stays "" when that cannot be known: without root, or in another network namespace. */
static void find_holder(const struct addr *a, bool tcp, char out[HOLDER])
{
    char own[33], at[33], line[256], path[64], socket_name[64], target[64] = "", *name;
    unsigned port, state, word[4];
    unsigned long inode = 0, one;
    glob_t fds = {.gl_pathc = 0};
    size_t len;

    memcpy(word, a->ip, sizeof word);
    snprintf(own, sizeof own, "%08X%08X%08X%08X", word[0], word[1], word[2], word[3]);
    for (int v6 = 0; v6 < 2 && inode == 0; v6++) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/net/%s%s", tcp ? "tcp" : "udp", v6 ? "6" : "");
        f = fopen(path, "re");
        while (f != NULL && inode == 0 && fgets(line, sizeof line, f) != NULL)
            if (sscanf(line, " %*u: %32[0-9A-F]:%x %*s %x %*s %*s %*s %*s %*s %lu", at, &port,
                       &state, &one) == 4 &&
                port == a->port && (!tcp || state == TCP_LISTEN) &&
                (addr_is(a, ADDR_ANY) || at[strspn(at, "0")] == '\0' ||
                 strcmp(at, own + strlen(own) - strlen(at)) == 0))
                inode = one;
        if (f != NULL)
            fclose(f);
    }
    snprintf(socket_name, sizeof socket_name, "socket:[%lu]", inode);
    if (inode != 0)
        glob("/proc/[0-9]*/fd/[0-9]*", GLOB_NOSORT, NULL, &fds);
    for (size_t i = 0; i < fds.gl_pathc && out[0] == '\0'; i++) {
        int pid = atoi(fds.gl_pathv[i] + strlen("/proc/"));
        ssize_t n = readlink(fds.gl_pathv[i], target, sizeof target - 1);

        target[n > 0 ? n : 0] = '\0';
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        if (strcmp(target, socket_name) != 0 || file_read(path, sizeof target, &name, &len) != 0)
            continue;
        snprintf(out, HOLDER, " by %.*s (pid %d)", (int)strcspn(name, "\n"), name, pid);
        free(name);
    }
    globfree(&fds);
}

static int bind_problem(const struct addr *a, bool tcp, int error, struct diags *d)
{
    char text[ADDR_TEXT], holder[HOLDER] = "";
    const char *what = "cannot be bound: ", *why = strerror(-error);

    if (error == -EACCES) {
        why = "ports below 1024 need root or CAP_NET_BIND_SERVICE; start it as root, or set "
              "server.listen to a higher port";
    } else if (error == -EADDRNOTAVAIL) {
        why = "no interface of this machine has that address; correct server.listen";
    } else if (error == -EADDRINUSE) {
        what = "the port is in use";
        find_holder(a, tcp, holder);
        why = "; stop it, or set server.listen to another address or port";
    }
    return diags_tell(d, "%s (%s): %s%s%s", addr_print_port(a, text), tcp ? "TCP" : "UDP", what,
                      holder, why);
}

int listen_bind(const struct settings *s, int n, struct listener **out, struct diags *d)
{
    int half = s->server.n_listen, each = 2 * half, rc = 0, fd;
    struct listener *list = calloc((size_t)(n * each), sizeof *list);
    const struct addr *a;

    if (list == NULL)
        return -ENOMEM;
    for (int i = 0; i < each; i++) { /* is it free? One sentence for each address */
        a = &s->server.listen[i / 2];
        if ((fd = bound_socket(a, i % 2 != 0, false)) >= 0) {
            close(fd);
        } else {
            rc = bind_problem(a, i % 2 != 0, fd, d);
            i |= 1;
        }
    }
    for (int i = 0; i < n * each && rc == 0; i++) {
        a = &s->server.listen[i % half];
        if ((fd = bound_socket(a, i % each >= half, true)) < 0)
            rc = bind_problem(a, i % each >= half, fd, d);
        list[i] = (struct listener){fd, addr_is(a, ADDR_ANY)};
    }
    if (rc == 0)
        *out = list;
    else
        free(list);
    return rc;
}

void listen_done(struct listen *l, struct query *q, enum answer answer)
{
    uint64_t now_us;

    if (answer == ANSWER_SEND) {
        COUNT(l->stats, answers);
        if ((dns_flags(q->out, q->out_len) & DNS_TC) != 0)
            COUNT(l->stats, truncated);
    } else {
        COUNT(l->stats, dropped);
    }
    if (!q->has_event)
        return;
    now_us = clock_us();
    q->event.latency_us = (uint32_t)(now_us > q->arrived_us ? now_us - q->arrived_us : 0);
    COUNT(l->stats, kms_questions);
    count_outcome(l->stats, q->event.outcome);
    if (l->ring == NULL || !audit_ring_push(l->ring, &q->event))
        COUNT(l->stats, audit_dropped);
    q->has_event = false;
}
