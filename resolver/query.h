/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.h -- one client question, from its packet to its answer.
 *
 * A struct query is large and lives in a batch (UDP), in a TCP connection's
 * worker scratch, or on the stack of explain; a question that must wait is
 * kept as a struct waiter (<= 512 octets), from which a query can be made
 * again.
 */
#ifndef RESOLVER_QUERY_H
#define RESOLVER_QUERY_H

#include <sys/queue.h>

#include "audit/event.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "settings/settings.h"
#include "wire/message.h"

/* Where an answer goes; io knows what the numbers mean. */
struct client {
    struct addr addr, local; /* local: the address that was asked (wildcard binds) */
    uint8_t transport;       /* enum audit_transport */
    uint16_t listener;       /* UDP: index of the listening socket */
    uint32_t connection;     /* TCP: slot and */
    uint32_t serial;         /* its generation, so that a late answer meets nobody else */
};

struct got;

struct query {
    struct client client;
    uint64_t arrived_ms, arrived_us; /* monotonic */
    struct message message;
    uint8_t question[NAME_MAX_WIRE + 4]; /* question section with the client's case */
    const struct route *route;           /* of the name; NULL none */
    struct cache_key key; /* of the real DNS question (type SRV for a KMS ANY question) */
    bool kms;             /* `_vlmcs._tcp`, SRV or ANY, IN, QUERY: decided by policy */
    bool kms_name;        /* the name is a discovery name, whatever the type */
    bool whole;           /* TSIG or TKEY: goes whole to one server, uncached, unjoined */
    size_t limit;         /* octets the client can take */
    uint8_t *out;
    size_t out_size, out_len; /* the answer; borrowed from the batch or connection */
    const uint8_t *wire;
    size_t wire_len; /* the packet; valid while the batch is */
    bool has_event;  /* event is filled and waits to be pushed */
    struct audit_event event;
};

/* A question that waits for the real DNS. */
struct waiter {
    TAILQ_ENTRY(waiter) entry; /* of its flight */
    struct share *joined;      /* whose place it takes; NULL: the first of its flight */
    void (*on_reply)(void *context, const struct got *); /* our own question; NULL: a client's */
    void *context;
    struct client client;
    uint64_t arrived_ms, arrived_us;
    uint64_t deadline_ms; /* KMS: its deadline; 0 = passed or none */
    uint16_t id, flags, qtype, qclass, question_len;
    struct edns edns;
    bool kms, kms_name;
    uint8_t question[NAME_MAX_WIRE + 4];
};
_Static_assert(sizeof(struct waiter) <= 512, "a waiting question keeps at most 512 octets");

void waiter_save(struct waiter *, const struct query *);
/* Makes the query again (route and key anew from the view's settings are the
 * caller's: answer_prepare). out stays as set by the caller. */
void waiter_restore(const struct waiter *, struct query *);

#endif
