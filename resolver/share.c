/* SPDX-License-Identifier: BSD-2-Clause
 *
 * share.c -- whose the flights are, see share.h for the rules.
 */
#include "resolver/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/inflight.h"

enum { V4_PREFIX = 96 + 24, V6_PREFIX = 56, V6_ADDRESS = 64 };

int shares_init(struct shares *s, uint32_t n, const struct hash_key *key)
{
    memset(s, 0, sizeof *s);
    s->key = *key;
    s->n = 4 * n; /* an address and a prefix for each flight and each waiter */
    s->n_buckets = 1;
    while (s->n_buckets < n)
        s->n_buckets *= 2;
    s->pool = calloc(s->n, sizeof *s->pool); /* pages are touched when they are first needed */
    s->buckets = calloc(s->n_buckets, sizeof *s->buckets);
    s->level = calloc((size_t)n + 1, sizeof *s->level);
    if (s->pool != NULL && s->buckets != NULL && s->level != NULL)
        return 0;
    shares_fini(s);
    return -ENOMEM;
}

void shares_fini(struct shares *s)
{
    free(s->pool);
    free(s->buckets);
    free(s->level);
    memset(s, 0, sizeof *s);
}

/* A list whose first element knows the last as its previous one. */
static void list_append(struct share **list, struct share *s)
{
    struct share *first = *list;

    s->next = NULL;
    s->previous = first != NULL ? first->previous : s;
    if (first != NULL) {
        first->previous->next = s;
        first->previous = s;
    } else {
        *list = s;
    }
}

static void list_remove(struct share **list, struct share *s)
{
    if (s->next != NULL)
        s->next->previous = s->previous;
    else
        (*list)->previous = s->previous;
    if (*list == s)
        *list = s->next;
    else
        s->previous->next = s->next;
}

static struct share **bucket_of(const struct shares *s, const uint8_t ip[16], bool prefix)
{
    uint8_t bytes[17] = {[16] = prefix};

    memcpy(bytes, ip, 16);
    return &s->buckets[hash_bytes(&s->key, bytes, sizeof bytes) & (s->n_buckets - 1)];
}

/* The share of an address, or (prefix NULL) of a prefix. */
static struct share *find_or_add(struct shares *s, const uint8_t ip[16], struct share *prefix)
{
    struct share **bucket = bucket_of(s, ip, prefix == NULL), *share = *bucket;

    while (share != NULL && (share->prefix != prefix || memcmp(share->ip, ip, 16) != 0))
        share = share->bucket_next;
    if (share != NULL)
        return share;
    if ((share = s->free_list) != NULL)
        s->free_list = share->bucket_next;
    else if (s->used < s->n)
        share = &s->pool[s->used++];
    else
        return NULL;
    *share = (struct share){.bucket_next = *bucket, .prefix = prefix};
    memcpy(share->ip, ip, 16);
    *bucket = share;
    list_append(prefix != NULL ? &prefix->addresses : &s->level[0], share);
    return share;
}

struct share *shares_get(struct shares *s, const struct addr *client)
{
    bool v4 = addr_is_v4(client);
    uint8_t ip[16], net[16];
    struct share *prefix, *address;

    memcpy(ip, client->ip, 16);
    memcpy(net, client->ip, 16);
    if (!v4)
        prefix_mask(ip, V6_ADDRESS);
    prefix_mask(net, v4 ? V4_PREFIX : V6_PREFIX);
    if ((prefix = find_or_add(s, net, NULL)) == NULL)
        return NULL;
    if ((address = find_or_add(s, ip, prefix)) == NULL)
        shares_give_back(s, prefix);
    return address;
}

void shares_give_back(struct shares *s, struct share *share)
{
    struct share **from = bucket_of(s, share->ip, share->prefix == NULL), *prefix = share->prefix;

    if (share->n_flights > 0 || share->n_joined > 0 || share->addresses != NULL)
        return;
    while (*from != share)
        from = &(*from)->bucket_next;
    *from = share->bucket_next;
    list_remove(prefix != NULL ? &prefix->addresses : &s->level[0], share);
    share->bucket_next = s->free_list;
    s->free_list = share;
    if (prefix != NULL)
        shares_give_back(s, prefix);
}

static void change_counts(struct shares *s, struct share *address, int change)
{
    struct share *prefix = address->prefix;

    address->n_flights += (uint32_t)change;
    list_remove(&s->level[prefix->n_flights], prefix);
    prefix->n_flights += (uint32_t)change;
    list_append(&s->level[prefix->n_flights], prefix);
    if (prefix->n_flights > s->top)
        s->top = prefix->n_flights;
    while (s->top > 0 && s->level[s->top] == NULL)
        s->top--;
}

static void link_flight(struct flight *f)
{
    struct share *share = f->share;

    f->newer = NULL;
    f->older = share->flights[f->favoured].newest;
    *(f->older != NULL ? &f->older->newer : &share->flights[f->favoured].oldest) = f;
    share->flights[f->favoured].newest = f;
}

static void unlink_flight(struct flight *f)
{
    struct share *share = f->share;

    *(f->older != NULL ? &f->older->newer : &share->flights[f->favoured].oldest) = f->newer;
    *(f->newer != NULL ? &f->newer->older : &share->flights[f->favoured].newest) = f->older;
}

void share_add(struct shares *s, struct share *share, struct flight *f)
{
    f->share = share;
    link_flight(f);
    change_counts(s, share, 1);
}

void share_remove(struct shares *s, struct flight *f)
{
    struct share *share = f->share;

    unlink_flight(f);
    change_counts(s, share, -1);
    f->share = NULL;
    shares_give_back(s, share);
}

void share_favour(struct flight *f)
{
    if (f->favoured)
        return;
    unlink_flight(f);
    f->favoured = true;
    link_flight(f);
}

struct flight *shares_victim(const struct shares *s)
{
    const struct share *most = NULL;

    if (s->top == 0)
        return NULL;
    for (const struct share *a = s->level[s->top]->addresses; a != NULL; a = a->next)
        if (most == NULL || a->n_flights > most->n_flights)
            most = a;
    return most->flights[0].oldest != NULL ? most->flights[0].oldest : most->flights[1].oldest;
}
