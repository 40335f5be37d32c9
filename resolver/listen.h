/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen.h -- the listening sockets (listen.c), and those who serve them: udp.c, in
 * batches; tcp.c (RFC 7766), several questions on one connection, answered in the order
 * in which the answers come.
 */
#ifndef RESOLVER_LISTEN_H
#define RESOLVER_LISTEN_H

#include "audit/event.h"
#include "base/diag.h"
#include "resolver/forward.h"

struct event_base;
struct udp; /* a worker's sockets */
struct tcp; /* a worker's connections */

struct listener {
    int fd; /* bound; for TCP listening */
    bool wildcard;
};

/* Binds UDP and TCP on every server.listen, once for each of n workers. *out, from malloc:
 * n * 2 * server.n_listen listeners, those of a worker together, UDP before TCP. 0; -ENOMEM, or
 * -EINVAL with sentences in d that say who holds the port and which setting to change: then the
 * process is expected to end, and its sockets with it. */
int listen_bind(const struct settings *, int n, struct listener **out, struct diags *d);

struct listen {
    struct event_base *base;
    struct io *io;
    struct view *view; /* newest */
    struct forwarder *forwarder;
    struct worker_stats *stats;
    struct audit_ring *ring; /* borrowed; NULL: no audit */
    unsigned n_workers;
};

/* A share of a limit: never less than one. */
static inline unsigned listen_share(const struct listen *l, uint32_t limit)
{
    return (limit + l->n_workers - 1) / l->n_workers;
}

/* After every answer to a question, sent or not: counts, and pushes the audit event. */
void listen_done(struct listen *, struct query *, enum answer);

/* Each serves the listeners and owns their descriptors from here on. NULL when out of
 * memory: then the process ends. */
struct udp *udp_new(struct listen *, const struct listener *, int n);
struct tcp *tcp_new(struct listen *, const struct listener *, int n);
void udp_free(struct udp *); /* NULL is fine */
void tcp_free(struct tcp *); /* nothing waits for them; NULL is fine */

/* A late answer. Never blocks; what cannot be sent is counted. TCP: one for each question
 * that was forwarded, of no length if it has no answer; it goes to nobody if the connection
 * has ended. */
void udp_send(struct udp *, const struct client *, const uint8_t *, size_t);
void tcp_send(const struct client *, const uint8_t *, size_t);

#endif
