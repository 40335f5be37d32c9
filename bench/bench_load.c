/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench_load.c -- a load generator that checks what it gets, and tells the
 * server's CPU time for each checked answer.
 *
 *   bench_load PORT PID MODE NAMES SECONDS WINDOW
 *
 * MODE   echo  ID only (bench_echo)
 *        a     n<i>.bench.example A must have one answer record
 *        kms   _vlmcs._tcp.s<i>.bench.example SRV must have an answer
 *        warm  as `a`, each name once, in order, then the end
 *        warmkms
 * NAMES  how many different names, drawn at random (xorshift, fixed seed)
 * WINDOW questions on the way at most. Closed loop: it measures CPU for each
 *        answer at saturation, no latencies.
 *
 * The server's time is its process CPU clock (all threads, also ended ones).
 * An answer counts when ID, question, rcode and ANCOUNT are right; what does
 * not come within 200 ms of silence is lost. Prints one JSON line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire/message.h"
#include "wire/pack.h"

enum { BATCH = 32, SOCKETS = 16, IDS = 65536, SIZE = 512, SILENCE_MS = 200 };
enum mode { MODE_ECHO, MODE_A, MODE_KMS, MODE_WARM, MODE_WARM_KMS };

struct slot {
    uint32_t name;
    bool busy;
};

struct load {
    enum mode mode;
    uint32_t names, window, next;
    int fd[SOCKETS];
    struct slot *slot[SOCKETS]; /* by ID */
    uint16_t id[SOCKETS];
    uint64_t seed, sent, good, bad, lost;
    uint32_t out; /* on the way */
};

static uint8_t buf[BATCH][SIZE];
static struct iovec iov[BATCH];
static struct mmsghdr msg[BATCH];

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t draw(struct load *l)
{
    l->seed ^= l->seed << 13;
    l->seed ^= l->seed >> 7;
    l->seed ^= l->seed << 17;
    return (uint32_t)(l->seed >> 32) % l->names;
}

static bool is_kms(const struct load *l)
{
    return l->mode == MODE_KMS || l->mode == MODE_WARM_KMS;
}

static size_t build(const struct load *l, uint16_t id, uint32_t name, uint8_t *out)
{
    static const char tail[] = "\005bench\007example";
    struct writer w = writer_make(out, SIZE);
    char label[16];
    int n = snprintf(label, sizeof label, "%c%u", is_kms(l) ? 's' : 'n', name);

    writer_u16(&w, id);
    writer_u16(&w, DNS_RD);
    writer_u16(&w, 1);
    writer_u32(&w, 0);
    writer_u16(&w, 1);
    if (is_kms(l))
        writer_bytes(&w, "\006_vlmcs\004_tcp", 12);
    writer_u8(&w, (uint8_t)n);
    writer_bytes(&w, label, (size_t)n);
    writer_bytes(&w, tail, sizeof tail);
    writer_u16(&w, is_kms(l) ? TYPE_SRV : TYPE_A);
    writer_u16(&w, CLASS_IN);
    writer_bytes(&w, "\0\0\x29\x04\xd0\0\0\0\0\0\0", 11); /* OPT, 1232 */
    return w.len;
}

static bool check(struct load *l, int s, const uint8_t *p, size_t len)
{
    struct cursor c = cursor_make(p, len);
    uint16_t id = cursor_u16(&c), flags = cursor_u16(&c), an;
    struct slot *slot = &l->slot[s][id];
    uint8_t want[SIZE];
    size_t n;

    (void)cursor_u16(&c);
    an = cursor_u16(&c);
    if (c.bad || !slot->busy)
        return false;
    slot->busy = false;
    l->out--;
    if (l->mode == MODE_ECHO)
        return (flags & DNS_QR) != 0;
    n = build(l, id, slot->name, want) -
        11; /* without OPT: the question must come back octet by octet */
    return (flags & (DNS_QR | DNS_TC | 15)) == DNS_QR && an > 0 && len > n &&
           memcmp(p + 12, want + 12, n - 12) == 0;
}

static void receive(struct load *l, int s)
{
    int n;

    do {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){buf[i], SIZE};
            msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
        }
        n = recvmmsg(l->fd[s], msg, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            if (check(l, s, buf[i], msg[i].msg_len))
                l->good++;
            else
                l->bad++;
        }
    } while (n == BATCH);
}

/* Fills one batch on a socket; false when there is nothing to send. */
static bool send_batch(struct load *l, int s)
{
    bool warm = l->mode == MODE_WARM || l->mode == MODE_WARM_KMS;
    int n = 0, k;

    while (n < BATCH && l->out < l->window && !(warm && l->next == l->names)) {
        uint16_t id = l->id[s]++;
        struct slot *slot = &l->slot[s][id];

        if (slot->busy)
            continue; /* the ring of IDs is larger than any window */
        slot->name = warm ? l->next++ : draw(l);
        slot->busy = true;
        l->out++;
        iov[n] = (struct iovec){buf[n], build(l, id, slot->name, buf[n])};
        msg[n].msg_hdr = (struct msghdr){.msg_iov = &iov[n], .msg_iovlen = 1};
        n++;
    }
    for (int sent = 0; sent<n; sent += k> 0 ? k : 1)
        k = sendmmsg(l->fd[s], msg + sent, (unsigned)(n - sent), 0);
    l->sent += (uint64_t)n;
    return n > 0;
}

static void give_up(struct load *l)
{
    l->lost += l->out;
    l->out = 0;
    for (int s = 0; s < SOCKETS; s++)
        memset(l->slot[s], 0, IDS * sizeof *l->slot[s]);
}

static void run(struct load *l, double seconds)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    struct pollfd p[SOCKETS];
    bool more = true;

    for (int s = 0; s < SOCKETS; s++)
        p[s] = (struct pollfd){l->fd[s], POLLIN, 0};
    while (more || l->out > 0) {
        bool time_left = clock_ns(CLOCK_MONOTONIC) < end;

        more = false;
        for (int s = 0; s < SOCKETS; s++) {
            if (time_left && send_batch(l, s))
                more = true;
            receive(l, s);
        }
        if (time_left && l->mode != MODE_WARM && l->mode != MODE_WARM_KMS)
            more = true;
        if (l->out >= l->window || !more)
            if (l->out > 0 && poll(p, SOCKETS, SILENCE_MS) == 0)
                give_up(l);
    }
}

static void open_sockets(struct load *l, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int bytes = 4 << 20;

    for (int s = 0; s < SOCKETS; s++) {
        l->fd[s] = socket(AF_INET, SOCK_DGRAM, 0);
        l->slot[s] = calloc(IDS, sizeof *l->slot[s]);
        if (setsockopt(l->fd[s], SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
            setsockopt(l->fd[s], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        if (l->slot[s] == NULL || connect(l->fd[s], (struct sockaddr *)&a, sizeof a) != 0) {
            perror("bench_load");
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"echo", "a", "kms", "warm", "warmkms"};
    struct load l = {.seed = 88172645463325252u};
    clockid_t cpu;
    uint64_t cpu_ns, wall_ns;
    size_t mode = 0;

    while (argc == 7 && mode < ARRAY_LEN(modes) && strcmp(argv[3], modes[mode]) != 0)
        mode++;
    if (argc != 7 || mode == ARRAY_LEN(modes) ||
        clock_getcpuclockid((pid_t)atoi(argv[2]), &cpu) != 0)
        return fprintf(stderr,
                       "usage: bench_load PORT PID echo|a|kms|warm|warmkms NAMES SECONDS WINDOW\n"),
               2;
    l.mode = (enum mode)mode;
    l.names = (uint32_t)strtoul(argv[4], NULL, 10);
    l.window = (uint32_t)strtoul(argv[6], NULL, 10);
    open_sockets(&l, atoi(argv[1]));
    cpu_ns = clock_ns(cpu);
    wall_ns = clock_ns(CLOCK_MONOTONIC);
    run(&l, atof(argv[5]));
    cpu_ns = clock_ns(cpu) - cpu_ns;
    wall_ns = clock_ns(CLOCK_MONOTONIC) - wall_ns;
    printf("{\"mode\": \"%s\", \"sent\": %llu, \"good\": %llu, \"bad\": %llu, \"lost\": %llu, "
           "\"cpu_ns\": %llu, \"wall_ns\": %llu}\n",
           argv[3], (unsigned long long)l.sent, (unsigned long long)l.good,
           (unsigned long long)l.bad, (unsigned long long)l.lost, (unsigned long long)cpu_ns,
           (unsigned long long)wall_ns);
    return 0;
}
