/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench_echo.c -- the least that a UDP server can do: the baseline of the
 * benchmark. Receives batches of 32, sets QR, appends PAD octets (so that the
 * reply has the size of a real answer), sends the batch.
 *
 *   bench_echo PORT PAD
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 32, STRIDE = 2048 + 64, PAD_MAX = 1024 };

static uint8_t buf[BATCH][STRIDE];
static struct sockaddr_in from[BATCH];
static struct iovec iov[BATCH];
static struct mmsghdr msg[BATCH];

static int open_socket(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = 4 << 20;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        perror("bench_echo: bind");
        exit(1);
    }
    return fd;
}

static void reset(int n)
{
    for (int i = 0; i < n; i++) {
        iov[i] = (struct iovec){buf[i], STRIDE - PAD_MAX};
        msg[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                         .msg_namelen = sizeof from[i],
                                         .msg_iov = &iov[i],
                                         .msg_iovlen = 1};
    }
}

static void serve(int fd, size_t pad)
{
    int n;

    do {
        if ((n = recvmmsg(fd, msg, BATCH, MSG_DONTWAIT, NULL)) <= 0)
            return;
        for (int i = 0; i < n; i++) {
            buf[i][2] |= 0x80;
            iov[i].iov_len = msg[i].msg_len + pad;
        }
        for (int sent = 0; sent < n;) {
            int k = sendmmsg(fd, msg + sent, (unsigned)(n - sent), 0);

            sent += k > 0 ? k : 1;
        }
        reset(n);
    } while (n == BATCH);
}

int main(int argc, char **argv)
{
    struct epoll_event e = {.events = EPOLLIN};
    size_t pad = argc > 2 ? (size_t)atoi(argv[2]) : 0;
    int fd, ep = epoll_create1(0);

    if (argc != 3 || pad > PAD_MAX)
        return fprintf(stderr, "usage: bench_echo PORT PAD (at most %d)\n", PAD_MAX), 2;
    fd = open_socket(atoi(argv[1]));
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    reset(BATCH);
    while (epoll_wait(ep, &e, 1, -1) >= 0 || errno == EINTR)
        serve(fd, pad);
    return 0;
}
