/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream.c -- connections to servers.
 *
 * A line is a server as it is asked: its address, the source, what it has to show over TLS. Its questions share one
 * connection; another one is opened when that one has all it can take, and when the server has not
 * been heard on it for STUCK_MS, as after a fault of the network: then nobody asks on it any more,
 * and it ends with its last question.
 *
 * A server may close a connection whenever it likes. One that had answered on it is asked again on
 * another one, and it is no failure (RFC 7766 6.2.4). As many questions as it has answered then are
 * all that a connection gets from then on, for LEARNT_MS: a server that closes after each answer may
 * be doing so while the next question is on its way.
 *
 * No ID is used twice on a connection. So a reply is that of the question with its ID, or comes too
 * late and is dropped; one with an ID that was never used ends the connection.
 *
 * Peers are called, and connections end, in the callbacks of the loop alone: never from inside
 * stream_ask() or stream_leave().
 */
#include "resolver/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/message.h"

enum {
    PIPELINE = 128,    /* questions in flight on a connection */
    QUESTIONS = 10000, /* in its life: few of the IDs, so one that is free is found soon */
    LINES = 256,
    CONNECT_MS = 3000,
    IDLE_MS = 10000,
    STUCK_MS = 800, /* shorter than a try waits */
    OUT_MAX = 16 << 10,
    READS = 16, /* of TLS, whose records may be small; then others have their turn */
    LENGTH = 2,
    LEARNT_MS = 60000,
};

struct line {
    TAILQ_ENTRY(line) entry;
    struct addr server, source; /* source: zeros: any */
    struct tls *tls;            /* held; NULL: none */
    struct tls_memory memory;
    LIST_HEAD(stream_list, stream) streams; /* that may be asked on */
    uint32_t n_streams;                     /* all */
    uint32_t life;                          /* questions of a connection, in all */
    uint64_t learnt_ms;                     /* when the server showed that; 0: it has not */
};

struct streams {
    struct io *io;
    struct event_base *base;
    struct worker_stats *stats;
    TAILQ_HEAD(line_list, line) lines; /* the one used last is the first */
    unsigned n_lines;
    struct stream_list retired;
};

struct stream {
    LIST_ENTRY(stream) entry;
    struct streams *home;
    struct line *line;
    bool is_retired; /* nobody asks on it any more */
    int fd;
    struct tls_link *link; /* owned; NULL: no TLS */
    struct event event;
    short waits, in_wants, out_wants; /* what the event waits for: what either way needs */
    bool connected;
    struct io_timer timer;
    /* When it was last asked or heard; and heard, or asked while nothing was in flight. */
    uint64_t used_ms, heard_ms;
    uint32_t n_asked, n_answered;
    uint32_t n; /* in flight */
    struct asked {
        struct stream_place *place;
        uint16_t id, own; /* as sent, and what its owner takes it for */
    } asked[PIPELINE];
    uint64_t ids[(UINT16_MAX + 1) / 64]; /* those that were used: a bit for each */
    size_t in_len, out_len;
    uint8_t out[OUT_MAX], in[LENGTH + DNS_MAX_MESSAGE]; /* the last members: are not set to zero */
};

#define stream_now(s) (io_now((s)->home->io).mono_ms)

static void on_ready(evutil_socket_t, short, void *);

static void wait_on(struct stream *s)
{
    short what = s->in_wants | s->out_wants;

    if (s->waits == what)
        return;
    if (s->waits != 0)
        event_del(&s->event);
    event_assign(&s->event, s->home->base, s->fd, (short)(what | EV_PERSIST), on_ready, s);
    event_add(&s->event, NULL);
    s->waits = what;
}

#define wake_at(s, at_ms) (s)->home->io->timer_set((s)->home->io, &(s)->timer, at_ms)

static void free_stream(struct stream *s)
{
    s->home->io->timer_clear(s->home->io, &s->timer);
    event_del(&s->event);
    tls_end(s->link);
    close(s->fd);
    LIST_REMOVE(s, entry);
    s->line->n_streams--;
    free(s);
}

/* Nobody asks on it any more: it ends when nothing is in flight. */
static void retire(struct stream *s)
{
    if (s->is_retired)
        return;
    s->is_retired = true;
    LIST_REMOVE(s, entry);
    LIST_INSERT_HEAD(&s->home->retired, s, entry);
    if (s->n == 0)
        wake_at(s, stream_now(s));
}

#define is_stuck(s, now_ms) ((s)->connected && (s)->n > 0 && (now_ms) - (s)->heard_ms >= STUCK_MS)

static void take_out(struct stream *s, uint32_t i)
{
    s->asked[i].place->stream = NULL;
    s->asked[i] = s->asked[--s->n];
    s->asked[i].place->index = i;
}

void stream_leave(struct stream_place *place)
{
    struct stream *s = place->stream;

    if (s == NULL)
        return;
    if (is_stuck(s, stream_now(s)))
        retire(s);
    take_out(s, place->index);
    if (s->n == 0 && s->is_retired)
        wake_at(s, stream_now(s));
}

/* The server has closed it, or it cannot go on. */
static void end_stream(struct stream *s, int error)
{
    struct io_peer *peer;

    if (s->n_answered > 0 && s->n > 0) {
        error = IO_CLOSED;
        if (!s->is_retired)
            s->line->life = s->n_answered, s->line->learnt_ms = stream_now(s);
    }
    retire(s);
    while (s->n > 0) {
        peer = s->asked[0].place->peer;
        take_out(s, 0);
        peer->handle = NULL;
        peer->receive(peer, NULL, -error);
    }
    free_stream(s);
}

static void on_stream_timer(struct io_timer *t)
{
    struct stream *s = container_of(t, struct stream, timer);
    uint64_t now_ms = stream_now(s);

    if (!s->connected)
        end_stream(s, ETIMEDOUT);
    else if (s->n == 0 && (s->is_retired || now_ms - s->used_ms >= IDLE_MS))
        free_stream(s);
    else
        wake_at(s, (s->n > 0 ? now_ms : s->used_ms) + IDLE_MS);
}

/* What the event has to wait for, after that error; 0: it is one. */
#define want_of(rc) ((rc) == -EAGAIN ? EV_READ : (rc) == -EINPROGRESS ? EV_WRITE : 0)

/* Octets that were read or written, at least one; or an error. */
static ssize_t move(struct stream *s, bool out, void *octets, size_t n)
{
    ssize_t rc;

    if (s->link)
        return tls_move(s->link, out, octets, n);
    rc = out ? send(s->fd, octets, n, MSG_NOSIGNAL) : recv(s->fd, octets, n, 0);
    if (rc < 0 && (errno == EAGAIN || errno == EINTR))
        return out ? -EINPROGRESS : -EAGAIN;
    return rc < 0 ? -errno : rc == 0 ? -ECONNRESET : rc;
}

/* What waits goes out, as much as goes. 0, or an error, which is found again when the event comes. */
static int write_out(struct stream *s)
{
    ssize_t n = 0;

    while (s->out_len > 0 && (n = move(s, true, s->out, s->out_len)) > 0) {
        s->out_len -= (size_t)n;
        memmove(s->out, s->out + n, s->out_len);
    }
    s->out_wants = n < 0 ? want_of(n) : 0;
    if (n >= 0 || s->out_wants != 0)
        return 0;
    s->out_wants = EV_WRITE;
    return (int)n;
}

/* Gives a message to the question that has its ID. 0 or -EPROTO. */
static int hand_over(struct stream *s, uint8_t *message, size_t len)
{
    uint16_t id = len < DNS_HEADER ? 0 : bytes_u16(message);
    struct writer w = writer_make(message, len);
    struct io_peer *peer;
    uint32_t i = 0;

    if (len < DNS_HEADER || (s->ids[id / 64] >> id % 64 & 1) == 0) {
        COUNT(s->home->stats, upstream_mismatch);
        return -EPROTO;
    }
    s->heard_ms = s->used_ms = stream_now(s);
    while (i < s->n && s->asked[i].id != id)
        i++;
    if (i == s->n) /* the second reply, or nobody waits for it any more */
        return 0;
    s->n_answered++;
    writer_u16(&w, s->asked[i].own);
    peer = s->asked[i].place->peer;
    take_out(s, i);
    peer->receive(peer, message, (ssize_t)len);
    return 0;
}

static int take_messages(struct stream *s)
{
    struct cursor c = cursor_make(s->in, s->in_len);
    size_t done = 0, len;
    int rc = 0;

    while (rc == 0 && (len = cursor_u16(&c), cursor_take(&c, len)) != NULL) {
        rc = hand_over(s, s->in + done + LENGTH, len);
        done += LENGTH + len;
    }
    s->in_len -= done;
    memmove(s->in, s->in + done, s->in_len);
    return rc;
}

/* What has come is given to whom it is for. 0, or an error. */
static int read_in(struct stream *s)
{
    int rc;

    for (int i = 0; i < READS; i++) {
        ssize_t n = move(s, false, s->in + s->in_len, sizeof s->in - s->in_len);

        s->in_wants = n < 0 ? want_of(n) : EV_READ;
        if (n < 0)
            return s->in_wants != 0 ? 0 : (int)n;
        s->in_len += (size_t)n;
        if ((rc = take_messages(s)) != 0 || s->link == NULL)
            return rc;
    }
    event_active(&s->event, EV_READ, 0); /* what TLS has read ahead is not seen by the loop */
    return 0;
}

/* 0: questions may go out; or an error, or what TLS waits for. */
static int establish(struct stream *s)
{
    int error = 0, rc = 0;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error}) != 0)
        error = errno;
    if (error != 0)
        return -error;
    if (s->link && (rc = tls_handshake(s->link)) < 0)
        return rc;
    if (rc > 0)
        COUNT(s->home->stats, upstream_resumed);
    s->connected = true;
    s->heard_ms = s->used_ms = stream_now(s);
    wake_at(s, s->used_ms + IDLE_MS);
    return 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    int rc = s->connected ? 0 : establish(s), got;

    (void)fd;
    (void)what;
    if (!s->connected && want_of(rc) != 0) {
        s->out_wants = want_of(rc);
        wait_on(s);
        return;
    }
    if (rc == 0) {
        rc = write_out(s);
        got = read_in(s); /* what the server said before it closed, too */
        rc = rc != 0 ? rc : got;
    }
    if (rc != 0)
        end_stream(s, -rc);
    else
        wait_on(s);
}

int stream_connect(const struct io_target *to)
{
    struct sockaddr_storage sa, from;
    socklen_t len = addr_to_sockaddr(to->server, &sa), from_len = sizeof from;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, error;

    if (fd < 0)
        return -errno;
    if (to->source)
        from_len = addr_to_sockaddr(to->source, &from);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if ((to->source == NULL || bind(fd, (struct sockaddr *)&from, from_len) == 0) &&
        (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS))
        return fd;
    error = errno;
    close(fd);
    return -error;
}

static int open_stream(struct streams *home, struct line *line, const struct io_target *to,
                       struct stream **out)
{
    struct stream *s = malloc(sizeof *s);
    int fd = s ? stream_connect(to) : -ENOMEM;

    if (fd < 0) {
        free(s);
        return fd;
    }
    memset(s, 0, offsetof(struct stream, out));
    if (line->tls && (s->link = tls_begin(line->tls, fd, &line->memory)) == NULL) {
        close(fd);
        free(s);
        return -ENOMEM;
    }
    s->home = home;
    s->line = line;
    s->fd = fd;
    s->timer.fire = on_stream_timer;
    s->out_wants = EV_WRITE; /* then it is connected */
    wait_on(s);
    wake_at(s, stream_now(s) + CONNECT_MS);
    LIST_INSERT_HEAD(&line->streams, s, entry);
    line->n_streams++;
    COUNT(home->stats, upstream_connections);
    if (s->link)
        COUNT(home->stats, upstream_tls_connections);
    *out = s;
    return 0;
}

/* One on which the question can be asked; NULL: there is none. */
static struct stream *find_stream(struct line *line, size_t len, uint64_t now_ms)
{
    struct stream *s, *next;

    if (now_ms - line->learnt_ms >= LEARNT_MS)
        line->life = QUESTIONS;
    for (s = LIST_FIRST(&line->streams); s; s = next) {
        next = LIST_NEXT(s, entry);
        if (s->n_asked >= line->life || is_stuck(s, now_ms))
            retire(s);
        else if (s->n < PIPELINE && s->out_len + LENGTH + len <= sizeof s->out)
            return s;
    }
    return NULL;
}

static void end_line(struct streams *home, struct line *line)
{
    TAILQ_REMOVE(&home->lines, line, entry);
    tls_release(line->tls);
    tls_forget(&line->memory);
    free(line);
    home->n_lines--;
}

/* A line without a connection goes, where one that is to be freed counts, too. Without such a line
 * that one which was used longest ago, and on which nothing is asked, gives its connections up. */
static void evict_line(struct streams *home)
{
    struct line *line;
    struct stream *s;

    TAILQ_FOREACH_REVERSE(line, &home->lines, line_list, entry)
    if (line->n_streams == 0) {
        end_line(home, line);
        return;
    }
    TAILQ_FOREACH_REVERSE(line, &home->lines, line_list, entry)
    {
        LIST_FOREACH(s, &line->streams, entry)
            if (s->n > 0)
                break;
        if (s != NULL || LIST_EMPTY(&line->streams))
            continue;
        while ((s = LIST_FIRST(&line->streams)) != NULL)
            retire(s);
        return;
    }
}

/* NULL: too many are in use, or out of memory. Those that wait for their end are beyond LINES. */
static struct line *find_line(struct streams *home, const struct io_target *to)
{
    const struct addr source = to->source ? *to->source : (struct addr){.port = 0};
    struct line *line;

    TAILQ_FOREACH(line, &home->lines, entry)
        if (addr_same(&line->server, to->server) && addr_same_ip(&line->source, &source) &&
            tls_same(line->tls, to->tls))
            break;
    if (line != NULL) {
        TAILQ_REMOVE(&home->lines, line, entry);
        TAILQ_INSERT_HEAD(&home->lines, line, entry);
        return line;
    }
    if (home->n_lines >= LINES)
        evict_line(home);
    if (home->n_lines >= 2 * LINES || (line = malloc(sizeof *line)) == NULL)
        return NULL;
    *line = (struct line){.server = *to->server, .source = source, .life = QUESTIONS};
    line->tls = tls_hold(to->tls);
    home->n_lines++;
    TAILQ_INSERT_HEAD(&home->lines, line, entry);
    return line;
}

int stream_ask(struct streams *home, struct io_peer *peer, struct stream_place *place,
               const struct io_target *to, const uint8_t *message, size_t len)
{
    uint64_t now_ms = io_now(home->io).mono_ms;
    struct line *line = find_line(home, to);
    struct stream *s = line ? find_stream(line, len, now_ms) : NULL;
    struct writer w;
    uint16_t id;
    int rc;

    if (line == NULL)
        return -ENOBUFS;
    if (len < DNS_HEADER || len + LENGTH > OUT_MAX)
        return -EMSGSIZE;
    if (s == NULL && (rc = open_stream(home, line, to, &s)) != 0)
        return rc;
    id = bytes_u16(message);
    while ((s->ids[id / 64] >> id % 64 & 1) != 0)
        id = random_u16(home->io->random);
    s->ids[id / 64] |= UINT64_C(1) << id % 64;
    if (s->n == 0)
        s->heard_ms = now_ms;
    s->used_ms = now_ms;
    s->n_asked++;
    *place = (struct stream_place){peer, s, s->n};
    s->asked[s->n++] = (struct asked){place, id, bytes_u16(message)};
    /* Length and message in one segment (RFC 7766 8). */
    w = writer_make(s->out, sizeof s->out);
    w.len = s->out_len;
    writer_u16(&w, (uint16_t)len);
    writer_u16(&w, id);
    writer_bytes(&w, message + sizeof id, len - sizeof id);
    s->out_len = w.len;
    if (s->connected) {
        (void)write_out(s);
        wait_on(s);
    }
    return 0;
}

struct streams *streams_new(struct io *io, struct event_base *base, struct worker_stats *stats)
{
    struct streams *home = calloc(1, sizeof *home);

    if (home == NULL)
        return NULL;
    home->io = io;
    home->base = base;
    home->stats = stats;
    TAILQ_INIT(&home->lines);
    return home;
}

void streams_free(struct streams *home)
{
    struct stream *s;
    struct line *line;

    while (home && (s = LIST_FIRST(&home->retired)) != NULL)
        free_stream(s);
    while (home && (line = TAILQ_FIRST(&home->lines)) != NULL) {
        while ((s = LIST_FIRST(&line->streams)) != NULL)
            free_stream(s);
        end_line(home, line);
    }
    free(home);
}
