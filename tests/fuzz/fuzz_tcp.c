/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_tcp.c -- questions on a TCP connection, in pieces of any length: the answers are those that each
 * question would have got alone, in order, however the stream is cut (RFC 7766 8); a message that
 * gets no answer ends the connection.
 *
 * tcp.c is included, for a connection that is one end of a socket pair. Nobody is asked: all names
 * but one have no route, so every question is answered here and at once.
 *
 * The input: an octet with the number of cuts, two for the place of each, then the stream.
 */
#include "tests/fuzz/fuzz.h"

#include <event2/event.h>

#include "tests/settings_text.h"

#include "resolver/tcp.c"

static const char settings_text[] = "server: {name: fuzz}\n"
                                    "access: [{net: 10.0.0.0/8, action: allow}]\n"
                                    "forward: [{zone: nobody.asks.this, servers: [127.0.0.1]}]\n";

/* It is always the same day and hour: a cookie that is made twice is the same. */
static struct now now_of(struct io *io)
{
    (void)io;
    return (struct now){.mono_ms = clock_now().mono_ms, .wall_ms = 1700000000000};
}

static struct worker *worker_make(void)
{
    static const struct hash_key key = {1, 2};
    struct settings *s;
    struct worker *w;

    must(settings_read_text(&s, settings_text, sizeof settings_text - 1, NULL) == 0);
    s->cache.rotate = false;
    atomic_store(&s->users, 1);
    w = worker_new(cache_new(CACHE_MIN_SIZE, &key), NULL, NULL, NULL, s, NULL, 0, NULL, 1);
    must(w != NULL);
    must((w->tcp = tcp_new(w, NULL, 0)) != NULL);
    w->io->now = now_of;
    return w;
}

/* The answers as they must be on the wire; *ends: then the connection is closed. */
static size_t expect(struct worker *w, const uint8_t *stream, size_t size, uint8_t *out, bool *ends)
{
    static struct query q;
    struct cursor c = cursor_make(stream, size);
    struct writer answers = writer_make(out, OUT_LIMIT);
    enum answer answer;

    *ends = false;
    while (!*ends && cursor_left(&c) >= 2) {
        q.wire_len = cursor_u16(&c);
        if ((q.wire = cursor_take(&c, q.wire_len)) == NULL)
            break;
        q.client = (struct client){.transport = AUDIT_TCP};
        must(addr_parse(&q.client.addr, "10.0.0.1", 4000) == 0);
        q.out_size = DNS_MAX_MESSAGE;
        if ((q.out = writer_room(&answers, 2 + DNS_MAX_MESSAGE)) == NULL)
            break;
        answers.len -= 2 + DNS_MAX_MESSAGE;
        q.out += 2;
        answer = answer_read(w->view, &q, io_now(w->io));
        if (answer == ANSWER_FORWARD)
            answer = answer_query(w->view, &q, NULL, io_now(w->io));
        if (answer == ANSWER_FORWARD) /* it is asked, which ends at once */
            return SIZE_MAX;
        *ends = answer != ANSWER_SEND;
        if (!*ends) {
            writer_u16(&answers, (uint16_t)q.out_len);
            answers.len += q.out_len;
        }
    }
    return answers.len;
}

static void turn(struct worker *w, int fd, struct writer *got)
{
    ssize_t n;

    for (int idle = 0; idle < 2; idle++) {
        must(event_base_loop(w->base, EVLOOP_NONBLOCK) >= 0);
        while ((n = recv(fd, got->start + got->len, got->size - got->len, MSG_DONTWAIT)) > 0) {
            got->len += (size_t)n;
            idle = 0;
        }
    }
}

static void run(struct worker *w, const uint8_t *cuts, unsigned n_cuts, const uint8_t *stream,
                size_t size, struct writer *got)
{
    struct sockaddr_in from = {
        .sin_family = AF_INET, .sin_port = htobe16(4000), .sin_addr.s_addr = htobe32(0x0a000001)};
    size_t done = 0;
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    begin_connection(w->tcp, fds[1], (struct sockaddr *)&from);
    for (unsigned i = 0; i <= n_cuts; i++) {
        size_t end = i == n_cuts ? size : bytes_u16(cuts + 2 * i) % (size + 1);

        for (ssize_t n; done < end; done += (size_t)n) {
            n = send(fds[0], stream + done, end - done, MSG_NOSIGNAL);
            if (n < 0) { /* closed, or it does not read while answers wait */
                turn(w, fds[0], got);
                if ((n = send(fds[0], stream + done, end - done, MSG_NOSIGNAL)) < 0)
                    goto closed;
            }
        }
        turn(w, fds[0], got);
    }
closed:
    shutdown(fds[0], SHUT_WR);
    turn(w, fds[0], got);
    must(TAILQ_EMPTY(&w->tcp->connections)); /* all is answered, so it has ended */
    close(fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t want[OUT_LIMIT], got[OUT_LIMIT + 1];
    static struct worker *w;
    struct writer out = writer_make(got, sizeof got);
    struct cursor c = cursor_make(data, size);
    unsigned n_cuts = cursor_u8(&c) % 16;
    const uint8_t *cuts = cursor_take(&c, 2 * n_cuts), *stream;
    size_t len = cursor_left(&c), n;
    bool ends;

    if (w == NULL)
        w = worker_make();
    if (c.bad)
        return 0;
    stream = cursor_take(&c, len);
    if ((n = expect(w, stream, len, want, &ends)) == SIZE_MAX)
        return 0;
    run(w, cuts, n_cuts, stream, len, &out);
    must(ends ? out.len <= n : out.len == n);
    must(memcmp(got, want, out.len) == 0);
    return 0;
}
