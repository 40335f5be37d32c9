/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.h -- questions to the real DNS, on behalf of clients.
 *
 *   inflight.c  one flight per distinct question (name, type, class, DO, CD,
 *               route); clients join it as waiters
 *   forward.c   what a flight does: servers of the route in turn, limits (3
 *               tries a server, 6 in all), deadlines, delivery
 *   exchange.c  one try: ID, port, case, match, TCP on TC
 *   upstream.c  what is known of a server: RTT, state, 0x20, EDNS
 *
 * None of them includes event.h or sys/socket.h. All memory is taken at
 * forwarder_new(): `slots` flights and waiters.
 */
#ifndef RESOLVER_FORWARD_H
#define RESOLVER_FORWARD_H

#include "resolver/answer.h"
#include "resolver/io.h"

struct forwarder; /* opaque; one per worker */

/* A waiter's answer is ready in q: push the event, count, q->out goes to the client by io->send_client. */
struct forwarder_hooks {
    /* The view that the query began with... a flight pins its generation between these two. */
    void (*pin)(void *context, const struct view *);
    void (*unpin)(void *context, const struct view *);
    /* After every answer (sent or not): pushes q's audit event. */
    void (*done)(void *context, struct query *);
    void *context;
};

struct forwarder *forwarder_new(struct io *, const struct forwarder_hooks *, unsigned slots,
                                struct worker_stats *);
/* Answers every waiter with SERVFAIL and frees everything. */
void forwarder_free(struct forwarder *);

/* The query must be asked (ANSWER_FORWARD). Joins or begins a flight. What
 * cannot be taken (no slot, no route) is answered SERVFAIL through send_client.
 * q may be reused on return. */
void forwarder_ask(struct forwarder *, const struct view *, const struct query *);

/* A question of our own (explain, later health and prefetch): done is called
 * once with what came, never from inside this call. -ENOBUFS. */
typedef void forwarder_got(void *context, const struct got *);
int forwarder_resolve(struct forwarder *, const struct view *, const struct query *,
                      forwarder_got *, void *context);

unsigned forwarder_in_flight(const struct forwarder *);
/* Flights at most from now on; never more than the slots it was made with. */
void forwarder_limit(struct forwarder *, unsigned slots);

enum upstream_state { UPSTREAM_UNKNOWN, UPSTREAM_UP, UPSTREAM_DOWN };
struct upstream_report {
    struct addr server;
    enum upstream_state state;
    uint32_t rtt_ms;
    uint64_t queries, replies, timeouts, errors;
    uint64_t said[REPLY_KINDS]; /* replies by what they said */
    int last_error;             /* errno or rcode + 1000 */
};
/* What this worker knows of a server; false: never asked. */
bool forwarder_upstream(const struct forwarder *, const struct addr *, struct upstream_report *);

#endif
