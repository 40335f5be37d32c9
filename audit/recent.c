/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.c -- what was seen lately: token buckets, one for all and one for each
 * client, and the questions of the last 10 s.
 *
 * A new client starts with a full bucket. A flood of invented addresses makes the
 * table forget its clients; the bucket for all then limits what is recorded.
 * A question is a repeat for 10 s from the first time that it was asked: a Windows
 * client resends at 1, 2, 4 and 8 s, and a client that never changes its ID begins
 * a new attempt every 10 s. When the table forgets a question early, its repeat
 * counts as an attempt; no question is lost.
 */
#include "audit/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/pack.h"

enum { WAYS = 4, ALL_BURST_S = 1, CLIENT_BURST_S = 10 };
static const uint64_t repeat_ms = 10000;

struct recent {
    size_t sets;
    struct recent_place places[][WAYS];
};

struct recent *recent_new(size_t sets)
{
    struct recent *r = calloc(1, sizeof *r + sets * sizeof *r->places);

    if (r != NULL)
        r->sets = sets;
    return r;
}

void recent_free(struct recent *r)
{
    free(r);
}

void recent_clear(struct recent *r)
{
    memset(r->places, 0, r->sets * sizeof *r->places);
}

struct recent_place *recent_find(struct recent *r, uint64_t hash, bool *found)
{
    struct recent_place *set = r->places[(size_t)(hash >> 32) & (r->sets - 1)], *oldest = set;

    hash |= 1;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            *found = true;
            return &set[i];
        }
        if (set[i].ms < oldest->ms)
            oldest = &set[i];
    }
    *found = false;
    *oldest = (struct recent_place){.hash = hash};
    return oldest;
}

/* Fills the bucket for the time since its last use, a new one at once; true when
 * it has a token. A rate per second is one of thousandths per millisecond. */
static bool refill(struct recent_place *b, bool known, uint64_t rate, uint64_t burst_s,
                   uint64_t now_ms)
{
    uint64_t most = rate * burst_s * 1000, passed = now_ms > b->ms ? now_ms - b->ms : 0;

    if (!known || passed > burst_s * 1000 || b->value + passed * rate > most)
        b->value = most;
    else
        b->value += passed * rate;
    if (now_ms > b->ms)
        b->ms = now_ms; /* workers' clocks may be a little apart */
    return b->value >= 1000;
}

bool limiter_take(struct limiter *l, const struct addr *a, uint64_t mono_ms)
{
    static const struct hash_key fixed = {0x6c696d69742121u, 0x636c69656e742121u};
    struct recent_place *client = NULL;
    bool known;

    if (l->client_rate > 0) {
        client = recent_find(l->seen, hash_bytes(&fixed, a->ip, sizeof a->ip), &known);
        if (!refill(client, known, l->client_rate, CLIENT_BURST_S, mono_ms))
            return false;
    }
    if (l->all_rate > 0) {
        known = l->all.hash != 0;
        l->all.hash = 1;
        if (!refill(&l->all, known, l->all_rate, ALL_BURST_S, mono_ms))
            return false;
        l->all.value -= 1000;
    }
    if (client != NULL)
        client->value -= 1000;
    return true;
}

bool limiter_repeat(struct limiter *l, const struct audit_event *e)
{
    static const struct hash_key fixed = {0x7265706561742121u, 0x7175657374696f6eu};
    uint8_t buf[16 + 4 + NAME_MAX_WIRE];
    struct writer w = writer_make(buf, sizeof buf);
    struct recent_place *p;
    bool found;

    writer_bytes(&w, e->client.ip, sizeof e->client.ip);
    writer_u16(&w, e->client.port);
    writer_u16(&w, e->id);
    name_fold_copy(writer_room(&w, e->qname.len), e->qname.at, e->qname.len);
    p = recent_find(l->seen, hash_bytes(&fixed, buf, w.len), &found);
    if (found && e->mono_ms < p->ms + repeat_ms)
        return true;
    p->ms = e->mono_ms;
    return false;
}
