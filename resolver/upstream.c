/* SPDX-License-Identifier: BSD-2-Clause
 *
 * upstream.c -- the servers that a worker knows, in a table that is searched from
 * the start: they are a handful, those of its routes.
 */
#include "resolver/upstream.h"

#include <errno.h>

enum { BELIEVED = 2, DOWN_AFTER = 2, RCODE_BASE = 1000, RTT_SCALE = 8 };

struct upstream *upstream_find(struct upstreams *u, const struct addr *a)
{
    for (struct upstream *s = u->servers; s < u->servers + u->n; s++)
        if (addr_same(&s->report.server, a))
            return s;
    return NULL;
}

struct upstream *upstream_get(struct upstreams *u, const struct addr *a, uint64_t now_ms)
{
    struct upstream *found = upstream_find(u, a);

    if (found == NULL) {
        if (u->n < UPSTREAM_MAX)
            found = &u->servers[u->n++];
        else /* in place of the one that was longest not wanted */
            for (struct upstream *s = u->servers; s < u->servers + u->n; s++)
                if (s->users == 0 && s->probe_timer.at_ms == 0 &&
                    (found == NULL || s->wanted_ms < found->wanted_ms))
                    found = s;
        if (found == NULL)
            return NULL;
        *found = (struct upstream){.report.server = *a};
    }
    found->wanted_ms = now_ms;
    return found;
}

void upstream_replied(struct upstream *s, uint32_t ms, uint16_t rcode)
{
    struct upstream_report *r = &s->report;
    uint32_t scaled = (ms > 0 ? ms : 1) * RTT_SCALE;

    s->silent = 0;
    s->srtt = s->srtt == 0 ? scaled : s->srtt - s->srtt / 8 + scaled / 8;
    r->rtt_ms = (s->srtt + RTT_SCALE / 2) / RTT_SCALE;
    r->state = UPSTREAM_UP;
    r->replies++;
    if (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN) {
        r->errors++;
        r->last_error = RCODE_BASE + rcode;
    }
}

void upstream_no_reply(struct upstream *s, int error, bool again)
{
    *(error == ETIMEDOUT ? &s->report.timeouts : &s->report.errors) += 1;
    if (again)
        return;
    s->report.last_error = error;
    if (s->silent < DOWN_AFTER)
        s->silent++;
    if (s->silent == DOWN_AFTER)
        s->report.state = UPSTREAM_DOWN;
}

bool upstream_knows_edns(const struct upstream *s, uint64_t now_ms)
{
    return now_ms < s->knows_edns_ms && s->report.state != UPSTREAM_DOWN;
}

bool upstream_suspect_edns(const struct upstream *s, uint64_t now_ms)
{
    return s->silent > 0 && s->report.last_error == ETIMEDOUT && !upstream_knows_edns(s, now_ms);
}

void upstream_learn(struct upstream_habit *h, bool good, uint64_t since_ms, uint64_t now_ms)
{
    if (good) {
        h->misses = 0;
        return;
    }
    if (since_ms < h->missed_ms)
        return;
    h->missed_ms = now_ms;
    if (++h->misses < BELIEVED)
        return;
    h->misses = 0;
    h->until_ms = now_ms + UPSTREAM_FORGET_MS;
}
