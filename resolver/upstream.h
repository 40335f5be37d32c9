/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream.h -- what a worker knows of the servers it asks: RTT, state, and
 * two things that some servers cannot do (keep the case of a name, EDNS).
 *
 * Found by address, so it outlives reloads. The table has room for UPSTREAM_MAX;
 * when it is full, the server that was longest not asked gives way.
 *
 * A server is down after two failures in a row and up again with the first reply
 * of any kind, also an error. A failure is a question without a reply (however often
 * it was tried) or a socket error.
 */
#ifndef RESOLVER_UPSTREAM_H
#define RESOLVER_UPSTREAM_H

#include "base/addr.h"
#include "resolver/io.h"
#include "wire/reply_read.h"

enum { UPSTREAM_MAX = 256, UPSTREAM_FORGET_MS = 15 * 60 * 1000 };

/* What is told of a server. */
enum upstream_state { UPSTREAM_UNKNOWN, UPSTREAM_UP, UPSTREAM_DOWN };
struct upstream_report {
    struct addr server;
    enum upstream_state state;
    uint32_t rtt_ms; /* 0: no reply yet */
    uint64_t queries, replies, timeouts, errors;
    uint64_t by_kind[REPLY_KINDS]; /* replies that can be used */
    int last_error;                /* errno or rcode + 1000 */
};

struct upstream {
    struct upstream_report report;
    uint32_t users;     /* exchanges that are open */
    uint64_t wanted_ms; /* a question would have liked to ask it */
    uint32_t srtt;      /* smoothed RTT in 1/8 ms; 0: no reply yet */
    uint8_t silent;     /* failures in a row */
    struct upstream_habit {
        uint8_t misses;     /* in a row; 2 are believed */
        uint64_t missed_ms; /* the last one */
        uint64_t until_ms;  /* it is asked without: random case, EDNS */
    } no_case, no_edns;
    uint64_t knows_edns_ms; /* until then it is known not to mind EDNS */
    /* The forwarder's, which looks whether a server that is down has come back. */
    struct io_timer probe_timer;
    struct exchange *probe;
    struct forwarder *forwarder;
};

struct upstreams {
    struct upstream servers[UPSTREAM_MAX];
    uint32_t n;
};

struct upstream *upstream_find(struct upstreams *, const struct addr *); /* or NULL */
/* Finds it or makes it; NULL when all are in use. */
struct upstream *upstream_get(struct upstreams *, const struct addr *, uint64_t now_ms);

void upstream_replied(struct upstream *, uint32_t ms, uint16_t rcode);
/* ETIMEDOUT: no reply in time; else the socket failed. again: it was silent to the same
 * question before. */
void upstream_no_reply(struct upstream *, int error, bool again);

/* Has it shown lately that it does not mind EDNS, and not been down since? */
bool upstream_knows_edns(const struct upstream *, uint64_t now_ms);
/* Should it be asked without EDNS, since it was silent and has not shown that it
 * understands it? */
bool upstream_suspect_edns(const struct upstream *, uint64_t now_ms);
/* A reply to a question of since_ms did right, or missed, what some servers cannot do. One
 * may be forged or damaged; two in a row are believed, for a time. Questions that go on at
 * the same time are one miss: perhaps the server was away. */
void upstream_learn(struct upstream_habit *, bool good, uint64_t since_ms, uint64_t now_ms);

#endif
