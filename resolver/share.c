/* SPDX-License-Identifier: BSD-2-Clause
 *
 * share.c -- whose the flights are: one pool of shares, of addresses and of
 * prefixes, found in one hash table.
 */
#include "resolver/share.h"

#include <assert.h>

enum { V4_PREFIX = 96 + 24, V6_PREFIX = 56, V6_ADDRESS = 64 };

int shares_init(struct shares *s, uint32_t n, const struct hash_key *key)
{
    *s = (struct shares){.key = *key, .n_buckets = 1};
    while (s->n_buckets < n)
        s->n_buckets *= 2;
    s->buckets = calloc(s->n_buckets, sizeof *s->buckets);
    s->level = calloc((size_t)n + 1, sizeof *s->level);
    /* An address and a prefix for each flight, a prefix for each waiter, and those of who
     * comes next. */
    if (pool_init(&s->pool, 3 * n + 2, sizeof(struct share)) != 0 || s->buckets == NULL ||
        s->level == NULL) {
        shares_fini(s);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i <= n; i++)
        TAILQ_INIT(&s->level[i]);
    return 0;
}

void shares_fini(struct shares *s)
{
    free(s->pool.places);
    free(s->buckets);
    free(s->level);
    *s = (struct shares){0};
}

/* The share of an address, or (prefix NULL) of a prefix. */
static struct share *find_or_add(struct shares *s, const uint8_t ip[16], struct share *prefix)
{
    uint8_t key[17] = {[16] = prefix == NULL};
    struct share_bucket *bucket;
    struct share *share;

    memcpy(key, ip, 16);
    bucket = &s->buckets[hash_bytes(&s->key, key, sizeof key) & (s->n_buckets - 1)];
    LIST_FOREACH(share, bucket, bucket)
        if (share->prefix == prefix && memcmp(share->ip, ip, 16) == 0)
            return share;
    share = pool_take(&s->pool);
    assert(share != NULL);
    share->prefix = prefix;
    memcpy(share->ip, ip, 16);
    TAILQ_INIT(&share->addresses);
    TAILQ_INIT(&share->members[0]);
    TAILQ_INIT(&share->members[1]);
    LIST_INSERT_HEAD(bucket, share, bucket);
    TAILQ_INSERT_TAIL(prefix != NULL ? &prefix->addresses : &s->level[0], share, sibling);
    return share;
}

struct share *shares_get(struct shares *s, const struct addr *client)
{
    bool v4 = addr_is_v4(client);
    uint8_t ip[16], net[16];

    memcpy(ip, client->ip, 16);
    memcpy(net, client->ip, 16);
    if (!v4)
        prefix_mask(ip, V6_ADDRESS);
    prefix_mask(net, v4 ? V4_PREFIX : V6_PREFIX);
    return find_or_add(s, ip, find_or_add(s, net, NULL));
}

void shares_give_back(struct shares *s, struct share *share)
{
    struct share *prefix = share->prefix;

    if (share->n_flights > 0 || share->n_joined > 0 || !TAILQ_EMPTY(&share->addresses))
        return;
    LIST_REMOVE(share, bucket);
    TAILQ_REMOVE(prefix != NULL ? &prefix->addresses : &s->level[0], share, sibling);
    pool_give(&s->pool, share);
    if (prefix != NULL)
        shares_give_back(s, prefix);
}

static void change_counts(struct shares *s, struct share *address, int change)
{
    struct share *prefix = address->prefix;

    address->n_flights += (uint32_t)change;
    TAILQ_REMOVE(&s->level[prefix->n_flights], prefix, sibling);
    prefix->n_flights += (uint32_t)change;
    TAILQ_INSERT_TAIL(&s->level[prefix->n_flights], prefix, sibling);
    if (prefix->n_flights > s->top)
        s->top = prefix->n_flights;
    while (s->top > 0 && TAILQ_EMPTY(&s->level[s->top]))
        s->top--;
}

void share_add(struct shares *s, struct share *share, struct share_member *m)
{
    m->share = share;
    TAILQ_INSERT_TAIL(&share->members[m->favoured], m, entry);
    change_counts(s, share, 1);
}

void share_remove(struct shares *s, struct share_member *m)
{
    struct share *share = m->share;

    TAILQ_REMOVE(&share->members[m->favoured], m, entry);
    m->share = NULL;
    change_counts(s, share, -1);
    shares_give_back(s, share);
}

void share_favour(struct share_member *m)
{
    if (m->favoured)
        return;
    TAILQ_REMOVE(&m->share->members[0], m, entry);
    m->favoured = true;
    TAILQ_INSERT_TAIL(&m->share->members[1], m, entry);
}

struct share_member *shares_victim(const struct shares *s)
{
    const struct share *most = NULL, *a;

    if (s->top == 0)
        return NULL;
    TAILQ_FOREACH(a, &TAILQ_FIRST(&s->level[s->top])->addresses, sibling)
        if (most == NULL || a->n_flights > most->n_flights)
            most = a;
    return TAILQ_FIRST(&most->members[TAILQ_EMPTY(&most->members[0])]);
}
