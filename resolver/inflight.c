/* SPDX-License-Identifier: BSD-2-Clause
 *
 * inflight.c -- see inflight.h.
 */
#include "resolver/inflight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int inflight_init(struct inflight *in, uint32_t n, const struct hash_key *key)
{
    memset(in, 0, sizeof *in);
    in->n = n;
    in->n_buckets = 1;
    while (in->n_buckets < n)
        in->n_buckets *= 2;
    in->flights = calloc(n, sizeof *in->flights); /* pages are touched when they are first needed */
    in->waiters = calloc(2 * (size_t)n, sizeof *in->waiters);
    in->chains = calloc(n, CHAIN_MAX);
    in->buckets = calloc(in->n_buckets, sizeof *in->buckets);
    if (in->flights != NULL && in->waiters != NULL && in->chains != NULL && in->buckets != NULL &&
        shares_init(&in->shares, n, key) == 0)
        return 0;
    inflight_fini(in);
    return -ENOMEM;
}

void inflight_fini(struct inflight *in)
{
    free(in->flights);
    free(in->waiters);
    free(in->chains);
    free(in->buckets);
    shares_fini(&in->shares);
    in->flights = NULL;
    in->waiters = NULL;
    in->chains = NULL;
    in->buckets = NULL;
}

static struct flight **bucket_of(const struct inflight *in, uint64_t hash)
{
    return &in->buckets[(hash ^ hash >> 32) & (in->n_buckets - 1)];
}

struct flight *inflight_find(const struct inflight *in, const struct view *v,
                             const struct cache_key *key)
{
    struct flight *f = *bucket_of(in, key->hash);

    while (f != NULL && !(f->hash == key->hash && f->view == v && f->qtype == key->type &&
                          f->qclass == key->class && f->bits == key->bits &&
                          f->scope == key->scope && name_equal(&f->qname, key->name)))
        f = f->bucket_next;
    return f;
}

struct flight *inflight_add(struct inflight *in, const struct view *v, const struct query *q)
{
    struct flight *f = in->free_flights, **bucket = bucket_of(in, q->key.hash);
    struct share *share = shares_get(&in->shares, &q->client.addr);

    if (share == NULL)
        return NULL;
    if (f != NULL)
        in->free_flights = f->bucket_next;
    else if (in->used_flights < in->n)
        f = &in->flights[in->used_flights++];
    else
        return NULL;
    *f = (struct flight){
        .bucket_next = *bucket,
        .favoured = q->kms,
        .view = v,
        .route = q->route,
        .qname = *q->key.name,
        .qtype = q->key.type,
        .qclass = q->key.class,
        .bits = q->key.bits,
        .kms_name = q->kms_name,
        .scope = q->key.scope,
        .hash = q->key.hash,
        .failure = RCODE_TIMEOUT,
    };
    f->last = &f->first;
    *bucket = f;
    share_add(&in->shares, share, f);
    in->in_use++;
    return f;
}

void inflight_hide(struct inflight *in, struct flight *f)
{
    struct flight **at = bucket_of(in, f->hash);

    while (*at != f)
        at = &(*at)->bucket_next;
    *at = f->bucket_next;
    share_remove(&in->shares, f);
}

void inflight_give_back(struct inflight *in, struct flight *f)
{
    assert(f->first == NULL && f->askers == NULL && f->open == NULL && f->timer.slot == 0);
    f->bucket_next = in->free_flights;
    in->free_flights = f;
    in->in_use--;
}

static bool same_client(const struct client *a, const struct client *b)
{
    return a->transport == b->transport && a->listener == b->listener &&
           a->connection == b->connection && a->serial == b->serial &&
           addr_same(&a->addr, &b->addr);
}

struct waiter *inflight_waiter_like(const struct flight *f, const struct query *q)
{
    struct waiter *w = f->first;

    while (w != NULL && !(w->id == q->message.id && w->qtype == q->message.qtype &&
                          same_client(&w->client, &q->client)))
        w = w->next;
    return w;
}

/* Somebody joins a flight that others wait for. Over UDP a client that gets no
 * answer asks again; over TCP it waits, so there it has more room. */
static bool may_join(const struct inflight *in, const struct flight *f, const struct client *client,
                     const struct share *prefix)
{
    if (in->n_joined >= in->n)
        return false;
    if (client->transport == AUDIT_TCP)
        return prefix->n_joined < in->n - in->n / 4;
    return f->n_waiters < WAITERS_MAX && prefix->n_joined < in->n - in->n / 2;
}

/* *joined: the prefix whose place it takes. */
static bool join(struct inflight *in, struct flight *f, const struct client *client,
                 struct share **joined)
{
    struct share *share = shares_get(&in->shares, &client->addr);
    bool good;

    if (share == NULL)
        return false;
    if (share != f->share)
        share_favour(f);
    good = may_join(in, f, client, share->prefix);
    if (good) {
        *joined = share->prefix;
        share->prefix->n_joined++;
        in->n_joined++;
    }
    shares_give_back(&in->shares, share);
    return good;
}

struct waiter *inflight_wait(struct inflight *in, struct flight *f, const struct client *client)
{
    struct share *joined = NULL;
    struct waiter *w;

    if (f->n_waiters > 0 && !join(in, f, client, &joined))
        return NULL;
    if ((w = in->free_waiters) != NULL)
        in->free_waiters = w->next;
    else
        w = &in->waiters[in->used_waiters++];
    w->next = NULL;
    w->joined = joined;
    *f->last = w;
    f->last = &w->next;
    f->n_waiters++;
    return w;
}

struct asker *inflight_ask(struct inflight *in, struct flight *f)
{
    struct asker *a = in->free_askers;

    if (a != NULL)
        in->free_askers = a->next;
    else if (in->used_askers < ASKERS_MAX)
        a = &in->askers[in->used_askers++];
    else
        return NULL;
    a->next = f->askers;
    f->askers = a;
    share_favour(f);
    return a;
}

void inflight_free_waiter(struct inflight *in, struct waiter *w)
{
    if (w->joined != NULL) {
        w->joined->n_joined--;
        in->n_joined--;
        shares_give_back(&in->shares, w->joined);
    }
    w->next = in->free_waiters;
    in->free_waiters = w;
}

void inflight_free_asker(struct inflight *in, struct asker *a)
{
    a->next = in->free_askers;
    in->free_askers = a;
}

uint8_t *inflight_chain(const struct inflight *in, const struct flight *f)
{
    return in->chains + (size_t)(f - in->flights) * CHAIN_MAX;
}

uint64_t inflight_deadline(const struct flight *f)
{
    uint64_t first = 0;

    for (const struct waiter *w = f->first; w != NULL; w = w->next)
        if (w->deadline_ms != 0 && (first == 0 || w->deadline_ms < first))
            first = w->deadline_ms;
    return first;
}
