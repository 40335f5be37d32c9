/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.c -- flights in a hash table under the hash of the cache key, which
 * has a secret of its own; waiters in a list at each; shares (addresses and
 * prefixes) in another table, whose hash has a secret key. Memory is taken once.
 */
#include "resolver/inflight.h"

#include <assert.h>

void *pool_take(struct pool *p)
{
    void *place = p->free_list;

    if (place != NULL)
        memcpy(&p->free_list, place, sizeof p->free_list);
    else if (p->touched < p->n)
        place = p->places + p->touched++ * p->size;
    p->in_use += place != NULL;
    return place;
}

void pool_give(struct pool *p, void *place)
{
    memcpy(place, &p->free_list, sizeof p->free_list);
    p->free_list = place;
    p->in_use--;
}

static bool pool_init(struct pool *p, struct arena *a, uint32_t n, size_t size)
{
    *p = (struct pool){.places = arena_alloc(a, n * size), .size = size, .n = n};
    return p->places != NULL;
}

bool inflight_init(struct inflight *in, uint32_t n, const struct hash_key *key)
{
    struct arena *a = in->arena = arena_new();

    in->share_key = *key;
    in->n_buckets = 1;
    while (in->n_buckets < n)
        in->n_buckets *= 2;
    if (a == NULL)
        return false;
    in->buckets = arena_alloc(a, in->n_buckets * sizeof *in->buckets);
    in->share_buckets = arena_alloc(a, in->n_buckets * sizeof *in->share_buckets);
    in->level = arena_alloc(a, (n + 1) * sizeof *in->level);
    /* An address and a prefix for each flight, a prefix for each waiter, and those of who
     * comes next. */
    if (in->buckets == NULL || in->share_buckets == NULL || in->level == NULL ||
        !pool_init(&in->flights, a, n, sizeof(struct flight)) ||
        !pool_init(&in->waiters, a, 3 * n, sizeof(struct waiter)) ||
        !pool_init(&in->shares, a, 3 * n + 2, sizeof(struct share)) ||
        !pool_init(&in->tries, a, 2 * n + UPSTREAM_MAX, sizeof(struct exchange)))
        return false;
    for (uint32_t i = 0; i <= n; i++)
        TAILQ_INIT(&in->level[i]);
    return true;
}

/* ---- shares ---- */

/* The address's share, in that of its prefix; it is given back by share_give_back() when it
 * has nothing any more. There are at most n flights and n waiters, and one more. */
static struct share *share_get(struct inflight *in, const struct addr *client)
{
    static const unsigned lengths[2][2] = {{56, 96 + 24}, {64, 128}}; /* prefix, address: v6, v4 */
    struct share *share = NULL, *prefix;

    for (int level = 0; level < 2; level++) {
        uint8_t key[17] = {[16] = (uint8_t)level};
        struct share_bucket *bucket;

        prefix = share;
        memcpy(key, client->ip, 16);
        prefix_mask(key, lengths[level][addr_is_v4(client)]);
        bucket =
            &in->share_buckets[hash_bytes(&in->share_key, key, sizeof key) & (in->n_buckets - 1)];
        LIST_FOREACH(share, bucket, bucket)
            if (share->prefix == prefix && memcmp(share->ip, key, 16) == 0)
                break;
        if (share != NULL)
            continue;
        share = pool_take(&in->shares);
        assert(share != NULL);
        *share = (struct share){.prefix = prefix};
        memcpy(share->ip, key, 16);
        TAILQ_INIT(&share->addresses);
        TAILQ_INIT(&share->flights[0]);
        TAILQ_INIT(&share->flights[1]);
        LIST_INSERT_HEAD(bucket, share, bucket);
        TAILQ_INSERT_TAIL(prefix != NULL ? &prefix->addresses : &in->level[0], share, sibling);
    }
    return share;
}

static void share_give_back(struct inflight *in, struct share *share)
{
    struct share *prefix;

    for (; share != NULL; share = prefix) {
        prefix = share->prefix;
        if (share->n_flights > 0 || share->n_joined > 0 || !TAILQ_EMPTY(&share->addresses))
            return;
        LIST_REMOVE(share, bucket);
        TAILQ_REMOVE(prefix != NULL ? &prefix->addresses : &in->level[0], share, sibling);
        pool_give(&in->shares, share);
    }
}

static void share_count(struct inflight *in, struct share *address, int change)
{
    struct share *prefix = address->prefix;

    address->n_flights += (uint32_t)change;
    TAILQ_REMOVE(&in->level[prefix->n_flights], prefix, sibling);
    prefix->n_flights += (uint32_t)change;
    TAILQ_INSERT_TAIL(&in->level[prefix->n_flights], prefix, sibling);
    if (prefix->n_flights > in->top)
        in->top = prefix->n_flights;
    while (in->top > 0 && TAILQ_EMPTY(&in->level[in->top]))
        in->top--;
}

void inflight_favour(struct flight *f)
{
    if (f->favoured)
        return;
    TAILQ_REMOVE(&f->share->flights[0], f, sibling);
    f->favoured = true;
    TAILQ_INSERT_TAIL(&f->share->flights[1], f, sibling);
}

struct flight *inflight_victim(const struct inflight *in)
{
    const struct share *most = NULL, *a;

    if (in->top == 0)
        return NULL;
    TAILQ_FOREACH(a, &TAILQ_FIRST(&in->level[in->top])->addresses, sibling)
        if (most == NULL || a->n_flights > most->n_flights)
            most = a;
    return TAILQ_FIRST(&most->flights[TAILQ_EMPTY(&most->flights[0])]);
}

/* ---- flights ---- */

static struct flight_bucket *flight_bucket_of(const struct inflight *in, uint64_t hash)
{
    return &in->buckets[(hash ^ hash >> 32) & (in->n_buckets - 1)];
}

struct flight *inflight_find(const struct inflight *in, const struct view *v,
                             const struct cache_key *key)
{
    struct flight *f;

    LIST_FOREACH(f, flight_bucket_of(in, key->hash), bucket)
        if (f->key.hash == key->hash && f->view == v && f->key.type == key->type &&
            f->key.class == key->class && f->key.bits == key->bits && f->key.scope == key->scope &&
            !f->passthrough && name_equal(&f->qname, key->name))
            return f;
    return NULL;
}

struct flight *inflight_add(struct inflight *in, const struct view *v, const struct query *q)
{
    struct flight *f = pool_take(&in->flights);

    assert(f != NULL);
    memset(f, 0, offsetof(struct flight, chain));
    f->view = v;
    f->route = q->route;
    f->qname = *q->key.name;
    f->key = q->key;
    f->key.name = &f->qname;
    f->kms_name = q->kms_name;
    f->passthrough = q->passthrough;
    f->failure = RCODE_TIMEOUT;
    f->deadline_ms = WAITER_NEVER;
    TAILQ_INIT(&f->waiters);
    TAILQ_INIT(&f->followers);
    LIST_INSERT_HEAD(flight_bucket_of(in, f->key.hash), f, bucket);
    f->favoured = q->kms;
    f->share = share_get(in, &q->client.addr);
    TAILQ_INSERT_TAIL(&f->share->flights[f->favoured], f, sibling);
    share_count(in, f->share, 1);
    return f;
}

void inflight_hide(struct inflight *in, struct flight *f)
{
    LIST_REMOVE(f, bucket);
    TAILQ_REMOVE(&f->share->flights[f->favoured], f, sibling);
    share_count(in, f->share, -1);
    share_give_back(in, f->share);
    f->share = NULL;
}

/* ---- who waits ---- */

struct waiter *inflight_wait(struct inflight *in, struct flight *f, const struct query *q,
                             void (*on_reply)(void *context, const struct real *), void *context)
{
    uint32_t n = in->flights.n;
    struct share *joined = NULL;
    struct waiter *w;

    if (on_reply != NULL && in->n_own == n)
        return NULL;
    if (on_reply == NULL && f->n_clients > 0) { /* a client joins a flight of others */
        struct share *share = share_get(in, &q->client.addr);
        bool tcp = q->client.transport == AUDIT_TCP, good;

        if (share != f->share)
            inflight_favour(f);
        /* Over UDP a client that gets no answer asks again; over TCP it waits, so there
         * it has more room. */
        joined = share->prefix;
        good = in->n_joined < n && joined->n_joined < n - n / (tcp ? 4 : 2) &&
               (tcp || f->n_clients < WAITERS_MAX);
        in->n_joined += good;
        joined->n_joined += good;
        share_give_back(in, share);
        if (!good)
            return NULL;
    }
    w = pool_take(&in->waiters);
    waiter_save(w, q);
    w->joined = joined;
    w->on_reply = on_reply;
    w->context = context;
    TAILQ_INSERT_TAIL(&f->waiters, w, entry);
    *(on_reply != NULL ? &in->n_own : &f->n_clients) += 1;
    return w;
}

void inflight_drop(struct inflight *in, struct flight *f, struct waiter *w)
{
    TAILQ_REMOVE(&f->waiters, w, entry);
    *(w->on_reply != NULL ? &in->n_own : &f->n_clients) -= 1;
    if (w->joined != NULL) {
        w->joined->n_joined--;
        in->n_joined--;
        share_give_back(in, w->joined);
    }
    pool_give(&in->waiters, w);
}

bool inflight_follow(struct inflight *in, struct flight *f, struct flight *end)
{
    if (in->n_own == in->flights.n)
        return false;
    in->n_own++;
    f->following = end;
    TAILQ_INSERT_TAIL(&end->followers, f, follower);
    if (f->favoured)
        inflight_favour(end);
    return true;
}

void inflight_unfollow(struct inflight *in, struct flight *f)
{
    TAILQ_REMOVE(&f->following->followers, f, follower);
    f->following = NULL;
    in->n_own--;
}
