/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench_stub.c -- the upstream of the benchmark: every A question gets one
 * record with TTL 3600, every discovery name NXDOMAIN with a SOA, all else
 * NODATA. One core, no state. Prints on SIGTERM how many it answered.
 *
 *   bench_stub PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/message.h"
#include "wire/pack.h"

static const uint8_t soa_rdata[] = {0, 0, 0,   0, 0, 1,  0,   0, 14, 16, 0,
                                    0, 3, 132, 0, 9, 58, 128, 0, 0,  14, 16};
static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

static void record(struct writer *w, uint16_t owner, uint16_t type, const void *rdata, uint16_t len)
{
    if (owner != 0)
        writer_u16(w, owner);
    else
        writer_u8(w, 0); /* the root */
    writer_u16(w, type);
    writer_u16(w, CLASS_IN);
    writer_u32(w, 3600);
    writer_u16(w, len);
    writer_bytes(w, rdata, len);
}

static size_t answer(const struct message *m, const uint8_t *in, uint8_t *out, size_t size)
{
    static const uint8_t address[4] = {192, 0, 2, 1};
    struct writer w = writer_make(out, size);
    bool kms = name_is_vlmcs(&m->qname), a = m->qtype == TYPE_A && !kms;

    writer_bytes(&w, in, (size_t)DNS_HEADER + m->question_len);
    writer_patch_u16(
        &w, 2, (uint16_t)(DNS_QR | DNS_RA | (m->flags & DNS_RD) | (kms ? RCODE_NXDOMAIN : 0)));
    writer_patch_u16(&w, 6, a);
    writer_patch_u16(&w, 8, !a);
    writer_patch_u16(&w, 10, 0);
    if (a)
        record(&w, 0xc00c, TYPE_A, address, sizeof address);
    else
        record(&w, 0, TYPE_SOA, soa_rdata, sizeof soa_rdata);
    return w.full ? 0 : w.len;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, from;
    struct sigaction term = {.sa_handler = on_term};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = 4 << 20;
    unsigned long answered = 0;
    uint8_t in[2048], out[2048];

    if (argc != 2)
        return fprintf(stderr, "usage: bench_stub PORT\n"), 2;
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        return perror("bench_stub: bind"), 1;
    sigaction(SIGTERM, &term, NULL);
    while (!stop) {
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &from_len);
        struct message m;
        size_t len;

        if (n <= 0 || message_read_query(&m, in, (size_t)n) != RCODE_NOERROR)
            continue;
        len = answer(&m, in, out, sizeof out);
        answered += sendto(fd, out, len, 0, (struct sockaddr *)&from, from_len) > 0;
    }
    printf("%lu\n", answered);
    return 0;
}
