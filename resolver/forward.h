/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.h -- questions to the real DNS, on behalf of clients.
 *
 *   forward.c   what is done for a question: servers of the route in turn, limits
 *               (3 tries a server, 6 in all), deadlines, who is answered; one flight
 *               for each distinct question, which clients join as waiters
 *   exchange.c  one try: ID, port, case, match; what is known of a server: RTT, state,
 *               0x20, EDNS
 *
 * Neither includes event.h or sys/socket.h. All memory is taken at forwarder_new():
 * `slots` flights.
 */
#ifndef RESOLVER_FORWARD_H
#define RESOLVER_FORWARD_H

#include "resolver/exchange.h"
#include "resolver/query.h"

struct forwarder; /* opaque; one per worker */

/* What the owner of the listeners does for it. All are set. */
struct forwarder_hooks {
    /* A flight uses the view between these two. */
    void (*pin)(void *context, const struct view *);
    void (*unpin)(void *context, const struct view *);
    /* A question has ended: ANSWER_SEND, q->out goes to q->client; ANSWER_DROP, nothing
     * does. In either case q's audit event is pushed, if it has one. */
    void (*deliver)(void *context, struct query *q, enum answer);
    void *context;
};

/* NULL when out of memory: then the process ends. */
struct forwarder *forwarder_new(struct io *, const struct forwarder_hooks *, unsigned slots,
                                struct worker_stats *);
/* Answers every waiter with SERVFAIL and frees everything. NULL is fine. */
void forwarder_free(struct forwarder *);

/* The query must be asked (ANSWER_FORWARD). Joins or begins a flight; q may be reused on
 * return. False: it cannot be taken (no place, no route, too many wait). A client's question
 * is answered then, or left unanswered. One of our own (explain) has on_reply: it is called
 * once with what came, never from inside this call. */
bool forwarder_ask(struct forwarder *, const struct view *, struct query *q, real_came *on_reply,
                   void *context);

/* Flights at most from now on; never more than the slots it was made with. */
void forwarder_limit(struct forwarder *, unsigned slots);

/* What this worker knows of a server; NULL: never asked. */
const struct upstream_report *forwarder_upstream(const struct forwarder *, const struct addr *);

#endif
