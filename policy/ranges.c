/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.c -- networks flattened.
 *
 * Prefixes are nested or disjoint, never half over each other. Sorted by first
 * address, shorter prefix first, a sweep with a stack of the open prefixes
 * meets each border once; the stack, from its top, is the list of networks,
 * innermost first. Equal lists get equal numbers, so that a network of ten
 * thousand branches is one client for the decision cache.
 *
 *   last address (key) ─▶ struct range, as far as it has networks
 */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "policy/records.h"

struct range { /* without holes */
    uint32_t number;
    uint8_t first[16];
    struct member {  /* a network */
        uint8_t len; /* of its prefix that contains the range */
        char name[POLICY_NAME];
    } members[POLICY_CLIENT_NETWORKS];
};
enum { HEAD = offsetof(struct range, members) };

struct span {
    uint8_t first[16], last[16];
    uint32_t network;
    uint8_t len; /* of the prefix */
};

struct list { /* of networks: what a number means */
    size_t size;
    struct range range;
};

struct sweep {
    struct store_txn *txn;
    char (*names)[POLICY_NAME]; /* of the networks, sorted */
    struct span *spans;
    struct span *stack; /* room for all spans */
    size_t n_names, n_spans, depth;
    uint8_t next[16]; /* first address that no range covers yet */
    bool past_end;    /* behind the last address there is */
    void *lists;      /* tsearch(3) */
    uint32_t n_lists;
};

static int span_compare(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int c = memcmp(x->first, y->first, sizeof x->first);

    if (c != 0)
        return c;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    /* Equal prefixes: the top of the stack comes first in the list. */
    return x->network > y->network ? -1 : x->network < y->network;
}

static int list_compare(const void *a, const void *b)
{
    const struct list *x = a, *y = b;

    return x->size != y->size ? (x->size < y->size ? -1 : 1)
                              : memcmp(x->range.members, y->range.members, x->size);
}

/* Writes the range that ends with `last`, if there is anything in it. */
static int put_range(struct sweep *s, const uint8_t last[16])
{
    struct list *list, **like;
    struct store_key k;
    struct member *m;
    int rc;

    if (s->past_end || memcmp(s->next, last, 16) > 0)
        return 0;
    list = calloc(1, sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    memcpy(list->range.first, s->next, 16);
    m = list->range.members;
    for (size_t i = s->depth; i-- > 0;) {
        const struct span *p = &s->stack[i];
        bool there = false;

        for (size_t other = i + 1; other < s->depth && !there; other++)
            there = s->stack[other].network == p->network;
        if (there)
            continue;
        if (m == list->range.members + POLICY_CLIENT_NETWORKS) {
            free(list);
            return -E2BIG;
        }
        m->len = p->len;
        memcpy(m->name, s->names[p->network], POLICY_NAME);
        m++;
    }
    list->size = (size_t)(m - list->range.members) * sizeof *m;
    list->range.number = list->size > 0 ? s->n_lists + 1 : 0; /* 0: no networks */
    like = tsearch(list, &s->lists, list_compare);
    list->range.number = like != NULL ? (*like)->range.number : 0;
    s->n_lists += like != NULL && *like == list && list->size > 0;
    key_make(&k, TABLE_RANGE, &(struct key_parts){.ip = last});
    rc = like == NULL ? -ENOMEM : store_put(s->txn, &k, &list->range, HEAD + list->size);
    if (like == NULL || *like != list)
        free(list);

    /* The first address behind it. */
    memcpy(s->next, last, 16);
    s->past_end = true;
    for (size_t i = 16; i-- > 0 && s->past_end;)
        s->past_end = ++s->next[i] == 0;
    return rc < 0 ? rc : 0;
}

/* Adds the prefixes of a network. */
static int add_network(struct sweep *s, const struct store_record *r)
{
    struct policy_network n = {.n = 0};
    int rc = record_read(POLICY_NETWORK, r, &n);
    void *names, *spans;

    if (rc != 0)
        return rc;
    names = realloc(s->names, (s->n_names + 1) * sizeof *s->names);
    s->names = names != NULL ? names : s->names;
    spans = realloc(s->spans, (s->n_spans + n.n + 1) * sizeof *s->spans);
    s->spans = spans != NULL ? spans : s->spans;
    for (size_t i = 0; names != NULL && spans != NULL && i < n.n; i++) {
        struct span *p = &s->spans[s->n_spans++];

        prefix_range(&n.prefixes[i], p->first, p->last);
        p->network = (uint32_t)s->n_names;
        p->len = n.prefixes[i].len;
    }
    if (names != NULL)
        strncpy(s->names[s->n_names++], n.name, POLICY_NAME); /* zeroes behind its end, too */
    policy_object_fini(POLICY_NETWORK, &n);
    return names != NULL && spans != NULL ? 0 : -ENOMEM;
}

int ranges_derive(struct store_txn *t)
{
    const struct store_key networks = {1, {TABLE_NETWORK}}, ranges = {1, {TABLE_RANGE}};
    struct sweep s = {.txn = t};
    uint8_t highest[16], before[16];
    struct store_record r;
    struct store_key old;
    int rc;

    for (rc = store_step(t, STORE_SEEK, &networks, 1, &r); rc == 0;
         rc = store_step(t, STORE_NEXT, &networks, 1, &r))
        if ((rc = add_network(&s, &r)) != 0)
            goto done;
    if (rc != -ENOENT)
        goto done;
    rc = -ENOMEM;
    s.stack = calloc(s.n_spans + 1, sizeof *s.stack);
    if (s.stack == NULL)
        goto done;
    /* No cursor has to live through a deletion: it is placed anew for each. */
    while ((rc = store_step(t, STORE_SEEK, &ranges, 1, &r)) == 0) {
        store_key_copy(&old, &r.key);
        if ((rc = store_del(t, &old)) != 0)
            goto done;
    }
    rc = rc == -ENOENT ? 0 : rc;
    if (s.n_spans > 0)
        qsort(s.spans, s.n_spans, sizeof *s.spans, span_compare);
    for (size_t i = 0; i < s.n_spans && rc == 0; i++) {
        const struct span *p = &s.spans[i];

        for (; rc == 0 && s.depth > 0 && memcmp(s.stack[s.depth - 1].last, p->first, 16) < 0;
             s.depth--)
            rc = put_range(&s, s.stack[s.depth - 1].last);
        memcpy(before, p->first, 16); /* the last address before it; there is one, or no gap */
        for (size_t k = 16; k-- > 0 && before[k]-- == 0;)
            ;
        if (rc == 0 && memcmp(s.next, p->first, 16) < 0)
            rc = put_range(&s, before);
        s.stack[s.depth++] = *p;
    }
    for (; rc == 0 && s.depth > 0; s.depth--)
        rc = put_range(&s, s.stack[s.depth - 1].last);
    memset(highest, 0xff, sizeof highest);
    if (rc == 0 && s.n_names > 0)
        rc = put_range(&s, highest);
done:
    tdestroy(s.lists, free);
    free(s.stack);
    free(s.spans);
    free(s.names);
    return rc;
}

/* --- a client ------------------------------------------------------------- */

bool range_read(const struct store_bytes *value, const uint8_t ip[16], struct policy_client *out)
{
    size_t n = value->len < HEAD ? SIZE_MAX : (value->len - HEAD) / sizeof(struct member);
    const struct member *members;

    if (n > POLICY_CLIENT_NETWORKS || HEAD + n * sizeof *members != value->len ||
        memcmp(value->data + offsetof(struct range, first), ip, 16) > 0)
        return false;
    members = (const void *)(value->data + HEAD); /* octets: they may lie anywhere */
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &members[i];

        if (m->len > 128 || m->name[0] == '\0' || memchr(m->name, 0, POLICY_NAME) == NULL)
            return false;
        strcpy(out->networks[i], m->name);
        memcpy(out->prefixes[i].ip, ip, 16);
        prefix_mask(out->prefixes[i].ip, m->len);
        out->prefixes[i].len = m->len;
    }
    memcpy(&out->range, value->data, sizeof out->range);
    out->n_networks = (uint8_t)n;
    return true;
}

static int find_client(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    const struct store_counts *counts = store_counts(r->txn);
    struct store_record range;
    struct store_key k;
    int rc;

    if (counts != NULL && store_count(counts, TABLE_NETWORK) == 0)
        return 0;
    key_make(&k, TABLE_RANGE, &(struct key_parts){.ip = addr->ip});
    rc = store_step(r->txn, STORE_SEEK, &k, 1, &range);
    if (rc == -ENOENT && counts == NULL)
        return 0; /* no ranges, and nobody says that there should be */
    if (rc != 0)
        return rc == -ENOENT ? -EBADMSG : rc;
    return range_read(&range.value, addr->ip, out) ? 0 : -EBADMSG;
}

int policy_client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    int rc;

    out->addr = *addr;
    out->range = 0;
    out->n_networks = 0;
    store_guarded(rc, r->txn, find_client(r, addr, out));
    if (rc == 0)
        return 0;
    out->range = POLICY_RANGE_DAMAGED;
    out->n_networks = 0;
    return -EBADMSG;
}
