/* SPDX-License-Identifier: BSD-2-Clause
 *
 * limit.c -- token buckets, one for all and one for each client that asked
 * lately, and the questions of the last 10 s.
 *
 * A client that is new starts with a full bucket: a flood of invented addresses
 * makes the table forget, which the bucket for all then bounds. The time of a
 * question counts from its first asking: a Windows client resends at 1, 2, 4 and
 * 8 s, and one that never changes its ID is not a repeat for ever. A table that
 * forgets early makes attempts out of repeats and loses no question.
 */
#include "audit/limit.h"

#include <stdlib.h>
#include <string.h>

#include "audit/recent.h"
#include "base/hash.h"
#include "wire/writer.h"

enum { CLIENT_SETS = 4096, QUESTION_SETS = 8192, CLIENT_BURST_S = 10 };
static const uint64_t repeat_ms = 10000;

struct limiter {
    uint32_t all_rate, client_rate;
    bool started;
    struct recent_place all; /* value: thousandths of a token */
    struct recent *clients, *questions;
};

struct limiter *limiter_new(void)
{
    struct limiter *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->clients = recent_new(CLIENT_SETS);
    l->questions = recent_new(QUESTION_SETS);
    if (l->clients != NULL && l->questions != NULL)
        return l;
    limiter_free(l);
    return NULL;
}

void limiter_free(struct limiter *l)
{
    if (l == NULL)
        return;
    recent_free(l->clients);
    recent_free(l->questions);
    free(l);
}

void limiter_set(struct limiter *l, uint32_t all, uint32_t client)
{
    l->all_rate = all;
    l->client_rate = client;
    l->started = false;
}

/* A rate per second is one of thousandths per millisecond. */
static void refill(struct recent_place *b, uint32_t rate, uint32_t burst_s, uint64_t now_ms)
{
    uint64_t most = (uint64_t)rate * burst_s * 1000, passed = now_ms > b->ms ? now_ms - b->ms : 0;

    if (passed > (uint64_t)burst_s * 1000)
        passed = (uint64_t)burst_s * 1000;
    b->value += passed * rate;
    if (b->value > most)
        b->value = most;
    if (now_ms > b->ms)
        b->ms = now_ms; /* workers' clocks may be a little apart */
}

static struct recent_place *client_bucket(struct limiter *l, const struct addr *a, uint64_t now_ms)
{
    static const struct hash_key fixed = {0x6c696d69742121u, 0x636c69656e742121u};
    bool found;
    struct recent_place *b =
        recent_find(l->clients, hash_bytes(&fixed, a->ip, sizeof a->ip), &found);

    if (!found) {
        b->value = (uint64_t)l->client_rate * CLIENT_BURST_S * 1000;
        b->ms = now_ms;
    }
    refill(b, l->client_rate, CLIENT_BURST_S, now_ms);
    return b;
}

bool limiter_take(struct limiter *l, const struct addr *a, uint64_t mono_ms)
{
    struct recent_place *client = NULL;

    if (l->client_rate > 0) {
        client = client_bucket(l, a, mono_ms);
        if (client->value < 1000)
            return false;
    }
    if (l->all_rate > 0) {
        if (!l->started)
            l->all = (struct recent_place){.ms = mono_ms, .value = (uint64_t)l->all_rate * 1000};
        l->started = true;
        refill(&l->all, l->all_rate, 1, mono_ms);
        if (l->all.value < 1000)
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
    p = recent_find(l->questions, hash_bytes(&fixed, buf, w.len), &found);
    if (found && e->mono_ms < p->ms + repeat_ms)
        return true;
    p->ms = e->mono_ms;
    return false;
}
