/* SPDX-License-Identifier: BSD-2-Clause
 *
 * limit.c -- token buckets: one for all, one for each client that asked lately.
 *
 * Clients live in sets of four places; a new one takes the place that was not
 * used for longest and starts full. So a flood of invented addresses makes the
 * table forget, which the bucket for all then bounds.
 */
#include "audit/limit.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { SETS = 4096, WAYS = 4, CLIENT_BURST_S = 10 };

/* Thousandths of a token: a rate per second is one per millisecond of those. */
struct bucket {
    uint64_t milli, last_ms;
};

struct limiter {
    uint32_t all_rate, client_rate;
    bool started;
    struct bucket all;
    struct {
        uint8_t ip[16];
        struct bucket bucket;
        bool used;
    } at[SETS][WAYS];
};

struct limiter *limiter_new(void)
{
    return calloc(1, sizeof(struct limiter));
}

void limiter_free(struct limiter *l)
{
    free(l);
}

void limiter_set(struct limiter *l, uint32_t all, uint32_t client)
{
    l->all_rate = all;
    l->client_rate = client;
    l->started = false;
}

static void refill(struct bucket *b, uint32_t rate, uint32_t burst_s, uint64_t now_ms)
{
    uint64_t most = (uint64_t)rate * burst_s * 1000,
             passed = now_ms > b->last_ms ? now_ms - b->last_ms : 0;

    if (passed > (uint64_t)burst_s * 1000)
        passed = (uint64_t)burst_s * 1000;
    b->milli += passed * rate;
    if (b->milli > most)
        b->milli = most;
    if (now_ms > b->last_ms)
        b->last_ms = now_ms; /* workers' clocks may be a little apart */
}

static struct bucket *client_bucket(struct limiter *l, const struct addr *a, uint64_t now_ms)
{
    static const struct hash_key fixed = {0x6c696d69742121u, 0x636c69656e742121u};
    size_t set = (size_t)hash_bytes(&fixed, a->ip, sizeof a->ip) & (SETS - 1), place = 0;

    for (size_t i = 0; i < WAYS; i++) {
        if (l->at[set][i].used && memcmp(l->at[set][i].ip, a->ip, sizeof a->ip) == 0)
            return &l->at[set][i].bucket;
        if (l->at[set][i].bucket.last_ms < l->at[set][place].bucket.last_ms)
            place = i;
    }
    memcpy(l->at[set][place].ip, a->ip, sizeof a->ip);
    l->at[set][place].used = true;
    l->at[set][place].bucket =
        (struct bucket){(uint64_t)l->client_rate * CLIENT_BURST_S * 1000, now_ms};
    return &l->at[set][place].bucket;
}

bool limiter_take(struct limiter *l, const struct addr *a, uint64_t mono_ms)
{
    struct bucket *client = NULL;

    if (l->client_rate > 0) {
        client = client_bucket(l, a, mono_ms);
        refill(client, l->client_rate, CLIENT_BURST_S, mono_ms);
        if (client->milli < 1000)
            return false;
    }
    if (l->all_rate > 0) {
        if (!l->started)
            l->all = (struct bucket){(uint64_t)l->all_rate * 1000, mono_ms};
        l->started = true;
        refill(&l->all, l->all_rate, 1, mono_ms);
        if (l->all.milli < 1000)
            return false;
        l->all.milli -= 1000;
    }
    if (client != NULL)
        client->milli -= 1000;
    return true;
}
