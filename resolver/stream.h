/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream.h -- connections to servers, which are kept and shared: several questions are in flight
 * on one (RFC 7766 6.2.1), each with an ID that no other question of the connection has had; and
 * TLS on them (RFC 7858, 8310): who servers must be, and the octets of a connection.
 */
#ifndef RESOLVER_STREAM_H
#define RESOLVER_STREAM_H

#include "resolver/io.h"
#include "resolver/stats.h"
#include "settings/settings.h"

struct streams; /* opaque; all of a worker */
struct stream;

/* A question's place on its connection; it lies in the space of its peer. */
struct stream_place {
    struct io_peer *peer;
    struct stream *stream; /* NULL: it has none any more */
    uint32_t index;
};

/* All pointers are borrowed. NULL when out of memory. */
struct streams *streams_new(struct io *, struct event_base *, struct worker_stats *);
void streams_free(struct streams *); /* all peers are closed by then; NULL is fine */

/* As io.ask, for IO_TCP. The peer gets one message, or the end. */
int stream_ask(struct streams *, struct io_peer *, struct stream_place *, const struct io_target *,
               const uint8_t *message, size_t len);
/* Nobody waits for its reply any more; fine when it has no place. */
void stream_leave(struct stream_place *);

/* A socket that is being connected to the server, from the source. Or -errno. */
int stream_connect(const struct io_target *);

/* ---- tls.c ----
 *
 * What a function cannot do yet is -EAGAIN, when it has to read first, or -EINPROGRESS: to write.
 * Other errors are errno or one of TLS, of which tls_error_text() knows the words. */

enum { TLS_ERRORS = 99999 /* the first of them */, TLS_DIGEST = 32 };

/* What a route wants of its servers: immutable, of all threads; NULL: no TLS. */
struct tls {
    _Atomic unsigned users;
    bool is_strict;             /* a server that proves who it is, never clear text */
    uint16_t port;              /* where servers take TLS; 0: the one that is written */
    uint8_t digest[TLS_DIGEST]; /* of all that it wants */
};
/* Do they want the same of a server? */
#define tls_same(a, b)                                                                             \
    ((a) == (b) || ((a) && (b) && memcmp((a)->digest, (b)->digest, TLS_DIGEST) == 0))

/* Makes `made` of each route that wants TLS, or takes it from the settings of which these are a
 * copy; it ends with them. Reads files, of which a handshake then needs none. 0; -errno, told. */
int tls_make(struct settings *, const struct settings *copy_of, struct diags *);

struct tls *tls_hold(struct tls *);
void tls_release(void *tls);

struct tls_link; /* a connection */

/* What a server gave for the next connection; zero at first. The same for all that `tls` wants the
 * same of. */
struct tls_memory {
    void *session;
};
void tls_forget(struct tls_memory *);

/* The socket and the memory are borrowed. NULL when out of memory. */
struct tls_link *tls_begin(struct tls *, int fd, struct tls_memory *);
/* 0: the server is who it must be, and may be asked; 1: so it is, as it was before. */
int tls_handshake(struct tls_link *);
/* Octets that were read or written, at least one. */
ssize_t tls_move(struct tls_link *, bool out, void *octets, size_t n);
void tls_end(struct tls_link *); /* NULL is fine */

const char *tls_error_text(int error);

#endif
