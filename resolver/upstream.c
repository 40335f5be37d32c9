/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream.c -- see upstream.h.
 */
#include "resolver/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BELIEVED = 2, RCODE_BASE = 1000 };

int upstreams_init(struct upstreams *u)
{
    memset(u, 0, sizeof *u);
    u->at = calloc(UPSTREAM_MAX, sizeof *u->at);
    return u->at != NULL ? 0 : -ENOMEM;
}

void upstreams_fini(struct upstreams *u)
{
    free(u->at);
    memset(u, 0, sizeof *u);
}

/* Addresses of servers are the administrator's, not an attacker's: no key. */
static uint32_t bucket_of(const struct addr *a)
{
    uint32_t h = a->port;

    for (size_t i = 0; i < sizeof a->ip; i++)
        h = h * 31 + a->ip[i];
    return (h ^ h >> 16) % UPSTREAM_BUCKETS;
}

const struct upstream *upstream_find(const struct upstreams *u, const struct addr *a)
{
    const struct upstream *s = u->bucket[bucket_of(a)];

    while (s != NULL && !addr_same(&s->addr, a))
        s = s->next;
    return s;
}

static void unlink_server(struct upstreams *u, struct upstream *s)
{
    struct upstream **at = &u->bucket[bucket_of(&s->addr)];

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

/* A free place, or that of the server which was longest not wanted. */
static struct upstream *place(struct upstreams *u)
{
    struct upstream *oldest = NULL;

    if (u->n < UPSTREAM_MAX)
        return &u->at[u->n++];
    for (uint32_t i = 0; i < u->n; i++) {
        struct upstream *s = &u->at[i];

        if (s->users == 0 && s->probing == NULL && s->probe_timer.slot == 0 &&
            (oldest == NULL || s->wanted_ms < oldest->wanted_ms))
            oldest = s;
    }
    if (oldest != NULL)
        unlink_server(u, oldest);
    return oldest;
}

struct upstream *upstream_get(struct upstreams *u, const struct addr *a, uint64_t now_ms)
{
    struct upstream **bucket = &u->bucket[bucket_of(a)], *s = *bucket;

    while (s != NULL && !addr_same(&s->addr, a))
        s = s->next;
    if (s == NULL) {
        if ((s = place(u)) == NULL)
            return NULL;
        *s = (struct upstream){.addr = *a, .next = *bucket};
        *bucket = s;
    }
    s->wanted_ms = now_ms;
    return s;
}

bool upstream_is_down(const struct upstream *s)
{
    return s->silent >= UPSTREAM_DOWN_AFTER;
}

void upstream_asked(struct upstream *s)
{
    s->queries++;
}

void upstream_replied(struct upstream *s, uint32_t ms, uint16_t rcode)
{
    uint32_t scaled = (ms > 0 ? ms : 1) * UPSTREAM_RTT_SCALE;

    s->replies++;
    s->silent = 0;
    s->up = true;
    s->srtt = s->srtt == 0 ? scaled : s->srtt - s->srtt / 8 + scaled / 8;
    if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN) {
        s->errors++;
        s->last_error = RCODE_BASE + rcode;
    }
}

static void no_reply(struct upstream *s, int error)
{
    s->last_error = error;
    if (s->silent < UINT8_MAX)
        s->silent++;
    if (upstream_is_down(s))
        s->up = false;
}

void upstream_silent(struct upstream *s, bool again)
{
    s->timeouts++;
    if (!again)
        no_reply(s, ETIMEDOUT);
}

void upstream_failed(struct upstream *s, int error)
{
    s->errors++;
    no_reply(s, error);
}

bool upstream_keeps_case(const struct upstream *s, uint64_t now_ms)
{
    return s->no_case_ms <= now_ms;
}

bool upstream_has_edns(const struct upstream *s, uint64_t now_ms)
{
    return s->no_edns_ms <= now_ms;
}

bool upstream_knows_edns(const struct upstream *s, uint64_t now_ms)
{
    return now_ms < s->knows_edns_ms && !upstream_is_down(s);
}

/* One reply may be forged or damaged; two in a row are believed, for a time. */
static void learn(uint8_t *misses, uint64_t *until_ms, bool good, uint64_t now_ms)
{
    if (good) {
        *misses = 0;
    } else if (++*misses >= BELIEVED) {
        *misses = 0;
        *until_ms = now_ms + UPSTREAM_FORGET_MS;
    }
}

void upstream_case(struct upstream *s, bool kept, uint64_t now_ms)
{
    learn(&s->case_misses, &s->no_case_ms, kept, now_ms);
}

bool upstream_suspect_edns(const struct upstream *s, uint64_t now_ms)
{
    return s->silent > 0 && s->last_error == ETIMEDOUT && !upstream_knows_edns(s, now_ms);
}

void upstream_edns(struct upstream *s, uint64_t now_ms)
{
    learn(&s->edns_misses, &s->no_edns_ms, true, now_ms);
    s->knows_edns_ms = now_ms + UPSTREAM_FORGET_MS;
}

void upstream_edns_missed(struct upstream *s, uint64_t since_ms, uint64_t now_ms)
{
    if (since_ms < s->edns_missed_ms)
        return;
    s->edns_missed_ms = now_ms;
    learn(&s->edns_misses, &s->no_edns_ms, false, now_ms);
}

void upstream_said(struct upstream *s, enum reply_kind kind)
{
    s->said[kind]++;
}

void upstream_tell(const struct upstream *s, struct upstream_report *out)
{
    *out = (struct upstream_report){
        .server = s->addr,
        .state = upstream_is_down(s) ? UPSTREAM_DOWN
                 : s->up             ? UPSTREAM_UP
                                     : UPSTREAM_UNKNOWN,
        .rtt_ms = (s->srtt + UPSTREAM_RTT_SCALE / 2) / UPSTREAM_RTT_SCALE,
        .queries = s->queries,
        .replies = s->replies,
        .timeouts = s->timeouts,
        .errors = s->errors,
        .last_error = s->last_error,
    };
    memcpy(out->said, s->said, sizeof out->said);
}
