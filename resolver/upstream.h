/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream.h -- what a worker knows of the servers it asks: RTT, state, and
 * two things that some servers cannot do (keep the case of a name, EDNS).
 *
 * Found by address, so it outlives reloads. The table never allocates after
 * upstreams_init(); when it is full, the server that was longest not asked
 * gives way.
 *
 * A server is down after two tries in a row without a reply, and up again with
 * the first reply of any kind: also an error says that it is there.
 */
#ifndef RESOLVER_UPSTREAM_H
#define RESOLVER_UPSTREAM_H

#include "resolver/forward.h"

enum { UPSTREAM_MAX = 256, UPSTREAM_BUCKETS = 256, UPSTREAM_DOWN_AFTER = 2 };
enum { UPSTREAM_RTT_SCALE = 8, UPSTREAM_FORGET_MS = 15 * 60 * 1000 };

struct upstream {
    struct upstream *next; /* of its bucket */
    struct addr addr;
    uint32_t users;                   /* exchanges that are open */
    uint64_t wanted_ms;               /* a question would have liked to ask it */
    uint32_t srtt;                    /* ms * UPSTREAM_RTT_SCALE; 0 = no reply yet */
    uint8_t silent;                   /* tries in a row without a reply */
    bool up;                          /* has replied at least once, and is not down */
    uint8_t case_misses, edns_misses; /* in a row; 2 are believed */
    uint64_t no_case_ms, no_edns_ms;  /* until then it is asked without; 0 = not */
    uint64_t queries, replies, timeouts, errors;
    uint64_t said[REPLY_KINDS];
    int last_error;
    /* probe.c: asks whether a server that is down has come back. */
    struct io_timer probe_timer;
    struct exchange *probing;
    struct forwarder *forwarder;
};

struct upstreams {
    struct upstream *at; /* owned, UPSTREAM_MAX */
    uint32_t n;
    struct upstream *bucket[UPSTREAM_BUCKETS];
};

int upstreams_init(struct upstreams *);
void upstreams_fini(struct upstreams *);
const struct upstream *upstream_find(const struct upstreams *, const struct addr *); /* or NULL */
/* Finds it or makes it; NULL when all are in use. */
struct upstream *upstream_get(struct upstreams *, const struct addr *, uint64_t now_ms);

bool upstream_is_down(const struct upstream *);
void upstream_asked(struct upstream *);
void upstream_replied(struct upstream *, uint32_t ms, uint16_t rcode);
/* What a reply that can be used said. */
void upstream_said(struct upstream *, enum reply_kind);
/* No reply in time / the socket failed. error: errno. */
void upstream_silent(struct upstream *);
void upstream_failed(struct upstream *, int error);

/* May it be asked with random case, with EDNS? */
bool upstream_keeps_case(const struct upstream *, uint64_t now_ms);
bool upstream_has_edns(const struct upstream *, uint64_t now_ms);
/* A reply matched in all but the case / refused EDNS; or did it right. */
void upstream_case(struct upstream *, bool kept, uint64_t now_ms);
void upstream_edns(struct upstream *, bool understood, uint64_t now_ms);

void upstream_tell(const struct upstream *, struct upstream_report *);

#endif
