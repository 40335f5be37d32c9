/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.c -- flights in a hash table under the hash of the cache key, which
 * has a secret of its own; waiters in a list at each.
 */
#include "resolver/inflight.h"

#include <assert.h>

int inflight_init(struct inflight *in, uint32_t n, const struct hash_key *key)
{
    in->n_buckets = 1;
    while (in->n_buckets < n)
        in->n_buckets *= 2;
    in->chains = calloc(n, CHAIN_MAX);
    in->buckets = calloc(in->n_buckets, sizeof *in->buckets);
    if (in->chains == NULL || in->buckets == NULL ||
        pool_init(&in->flights, n, sizeof(struct flight)) != 0 ||
        pool_init(&in->waiters, 3 * n, sizeof(struct waiter)) != 0)
        return -ENOMEM;
    return shares_init(&in->shares, n, key);
}

void inflight_fini(struct inflight *in)
{
    free(in->flights.places);
    free(in->waiters.places);
    free(in->chains);
    free(in->buckets);
    shares_fini(&in->shares);
}

static struct flight_bucket *bucket_of(const struct inflight *in, uint64_t hash)
{
    return &in->buckets[(hash ^ hash >> 32) & (in->n_buckets - 1)];
}

struct flight *inflight_find(const struct inflight *in, const struct view *v,
                             const struct cache_key *key)
{
    struct flight *f;

    LIST_FOREACH(f, bucket_of(in, key->hash), bucket)
        if (f->hash == key->hash && f->view == v && f->qtype == key->type &&
            f->qclass == key->class && f->bits == key->bits && f->scope == key->scope &&
            !f->passthrough && name_equal(&f->qname, key->name))
            return f;
    return NULL;
}

struct flight *inflight_add(struct inflight *in, const struct view *v, const struct query *q)
{
    struct share *share = shares_get(&in->shares, &q->client.addr);
    struct flight *f = pool_take(&in->flights);

    assert(f != NULL);
    f->view = v;
    f->route = q->route;
    f->qname = *q->key.name;
    f->qtype = q->key.type;
    f->qclass = q->key.class;
    f->bits = q->key.bits;
    f->kms_name = q->kms_name;
    f->passthrough = q->passthrough;
    f->scope = q->key.scope;
    f->hash = q->key.hash;
    f->failure = RCODE_TIMEOUT;
    TAILQ_INIT(&f->clients);
    TAILQ_INIT(&f->own);
    LIST_INSERT_HEAD(bucket_of(in, f->hash), f, bucket);
    f->member.favoured = q->kms;
    share_add(&in->shares, share, &f->member);
    return f;
}

void inflight_hide(struct inflight *in, struct flight *f)
{
    LIST_REMOVE(f, bucket);
    share_remove(&in->shares, &f->member);
}

void inflight_give_back(struct inflight *in, struct flight *f)
{
    assert(TAILQ_EMPTY(&f->clients) && TAILQ_EMPTY(&f->own) && LIST_EMPTY(&f->tries) &&
           f->timer.at_ms == 0);
    pool_give(&in->flights, f);
}

bool inflight_is_repeat(const struct flight *f, const struct query *q)
{
    const struct waiter *w;

    TAILQ_FOREACH(w, &f->clients, entry)
        if (w->id == q->message.id && w->client.transport == q->client.transport &&
            w->client.listener == q->client.listener && addr_same(&w->client.addr, &q->client.addr))
            return true;
    return false;
}

struct waiter *inflight_wait(struct inflight *in, struct flight *f, const struct query *q,
                             void (*on_reply)(void *context, const struct real *), void *context)
{
    uint32_t n = in->flights.n;
    struct share *joined = NULL;
    struct waiter *w;

    if (on_reply != NULL && in->n_own == n)
        return NULL;
    if (on_reply == NULL && f->n_clients > 0) { /* a client joins a flight of others */
        struct share *share = shares_get(&in->shares, &q->client.addr);
        bool good = in->n_joined < n;

        if (share != f->member.share)
            share_favour(&f->member);
        /* Over UDP a client that gets no answer asks again; over TCP it waits, so there
         * it has more room. */
        joined = share->prefix;
        if (q->client.transport == AUDIT_TCP)
            good = good && joined->n_joined < n - n / 4;
        else
            good = good && joined->n_joined < n - n / 2 && f->n_clients < WAITERS_MAX;
        in->n_joined += good;
        joined->n_joined += good;
        shares_give_back(&in->shares, share);
        if (!good)
            return NULL;
    }
    w = pool_take(&in->waiters);
    waiter_save(w, q);
    w->joined = joined;
    w->on_reply = on_reply;
    w->context = context;
    TAILQ_INSERT_TAIL(on_reply != NULL ? &f->own : &f->clients, w, entry);
    *(on_reply != NULL ? &in->n_own : &f->n_clients) += 1;
    return w;
}

void inflight_drop(struct inflight *in, struct flight *f, struct waiter *w)
{
    TAILQ_REMOVE(w->on_reply != NULL ? &f->own : &f->clients, w, entry);
    *(w->on_reply != NULL ? &in->n_own : &f->n_clients) -= 1;
    if (w->joined != NULL) {
        w->joined->n_joined--;
        in->n_joined--;
        shares_give_back(&in->shares, w->joined);
    }
    pool_give(&in->waiters, w);
}

uint8_t *inflight_chain(const struct inflight *in, const struct flight *f)
{
    size_t i = (size_t)((const uint8_t *)f - in->flights.places) / sizeof *f;

    return in->chains + i * CHAIN_MAX;
}

uint64_t inflight_deadline(const struct flight *f)
{
    const struct waiter *w;
    uint64_t first = 0;

    TAILQ_FOREACH(w, &f->clients, entry)
        if (w->deadline_ms != 0 && (first == 0 || w->deadline_ms < first))
            first = w->deadline_ms;
    return first;
}
