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
 *   last address (key) ─▶ number 4 | first address 16 | networks: how many 1,
 *                         then for each length of the prefix 1, and the name
 */
#include "policy/ranges.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "policy/records.h"

enum { LIST_MAX = 1 + POLICY_CLIENT_NETWORKS * (3 + POLICY_NAME), HEAD = 4 + 16 };

struct span {
    uint8_t first[16], last[16];
    uint32_t network;
    uint8_t len; /* of the prefix */
};

struct list { /* of networks, as it is stored */
    uint32_t number;
    size_t len;
    uint8_t data[];
};

struct sweep {
    struct store_txn *txn;
    char (*names)[POLICY_NAME]; /* of the networks, sorted */
    struct span *spans;
    struct span *stack; /* room for all spans */
    size_t n_names, n_spans, depth;
    uint8_t next[16];      /* first address that no range covers yet */
    bool past_end;         /* behind the last address there is */
    struct store_key last; /* of the range before */
    void *lists;           /* tsearch(3) */
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

    return x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->data, y->data, x->len);
}

/* Writes the range that ends with `last`, if there is anything in it, and removes what was
 * stored between the one before and this one. */
static int put_range(struct sweep *s, const uint8_t last[16])
{
    uint8_t value[HEAD + LIST_MAX], networks = 0;
    struct writer w = writer_make(value, sizeof value), front = writer_make(value, 4);
    struct store_key k, stale = s->last;
    struct list *list, **like;
    struct store_record r;
    int rc;

    if (s->past_end || memcmp(s->next, last, 16) > 0)
        return 0;
    writer_u32(&w, 0); /* the number, when it is known */
    writer_bytes(&w, s->next, 16);
    writer_u8(&w, 0);
    for (size_t i = s->depth; i-- > 0;) {
        const struct span *p = &s->stack[i];
        bool there = false;

        for (size_t other = i + 1; other < s->depth && !there; other++)
            there = s->stack[other].network == p->network;
        if (there)
            continue;
        if (networks++ == POLICY_CLIENT_NETWORKS)
            return -E2BIG;
        writer_u8(&w, p->len);
        text_write(&w, s->names[p->network], POLICY_NAME);
    }
    value[HEAD] = networks;
    if (networks > 0) { /* 0 is the number of no networks */
        list = malloc(sizeof *list + w.len - HEAD);
        if (list == NULL)
            return -ENOMEM;
        list->number = s->n_lists + 1;
        list->len = w.len - HEAD;
        memcpy(list->data, value + HEAD, list->len);
        like = tsearch(list, &s->lists, list_compare);
        if (like == NULL || *like != list)
            free(list);
        else
            s->n_lists++;
        if (like == NULL)
            return -ENOMEM;
        writer_u32(&front, (*like)->number);
    }
    key_ip(&k, TABLE_RANGE, last, "");
    while ((rc = store_after(s->txn, &stale, 1, &r)) == 0 || rc == -EBADMSG) {
        if (store_compare(&r.key, &k) >= 0)
            break;
        store_key_copy(&stale, &r.key);
        rc = store_del(s->txn, &stale);
        if (rc != 0)
            return rc;
    }
    if (rc != 0 && rc != -ENOENT && rc != -EBADMSG)
        return rc;
    s->last = k;
    rc = store_put(s->txn, &k, value, w.len);

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
    int rc = key_read_name(&r->key, n.name) ? record_read(TABLE_NETWORK, &n, &r->value) : -EBADMSG;
    void *names, *spans;

    if (rc != 0)
        return rc;
    names = realloc(s->names, (s->n_names + 1) * sizeof *s->names);
    s->names = names != NULL ? names : s->names;
    spans = realloc(s->spans, (s->n_spans + n.n + 1) * sizeof *s->spans);
    s->spans = spans != NULL ? spans : s->spans;
    if (names != NULL && spans != NULL) {
        memcpy(s->names[s->n_names], n.name, sizeof n.name);
        for (size_t i = 0; i < n.n; i++) {
            struct span *p = &s->spans[s->n_spans++];

            prefix_range(&n.prefixes[i], p->first, p->last);
            p->network = (uint32_t)s->n_names;
            p->len = n.prefixes[i].len;
        }
        s->n_names++;
    }
    policy_object_fini(POLICY_NETWORK, &n);
    return names != NULL && spans != NULL ? 0 : -ENOMEM;
}

int ranges_derive(struct store_txn *t)
{
    const struct store_key networks = {1, {TABLE_NETWORK}}, ranges = {1, {TABLE_RANGE}};
    struct sweep s = {.txn = t, .last = ranges};
    uint8_t highest[16], before[16];
    struct store_record r;
    int rc;

    for (rc = store_seek(t, &networks, 1, &r); rc == 0; rc = store_next(t, &networks, 1, &r))
        if ((rc = add_network(&s, &r)) != 0)
            goto done;
    if (rc != -ENOENT)
        goto done;
    rc = -ENOMEM;
    s.stack = calloc(s.n_spans + 1, sizeof *s.stack);
    if (s.stack == NULL)
        goto done;
    if (s.n_spans > 0)
        qsort(s.spans, s.n_spans, sizeof *s.spans, span_compare);
    rc = s.n_names == 0 ? store_del_all(t, &ranges) : 0;
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
    struct cursor c = cursor_make(value->data, value->len);
    uint32_t number = cursor_u32(&c);
    const uint8_t *first = cursor_take(&c, 16);
    uint8_t n = cursor_u8(&c);

    if (c.bad || n > POLICY_CLIENT_NETWORKS || memcmp(first, ip, 16) > 0)
        return false;
    for (unsigned i = 0; i < n; i++) {
        uint8_t len = cursor_u8(&c);
        struct store_bytes name = record_text(&c);

        if (len > 128 || !record_name(out->networks[i], name.data, name.len))
            return false;
        memcpy(out->prefixes[i].ip, ip, 16);
        prefix_mask(out->prefixes[i].ip, len);
        out->prefixes[i].len = len;
    }
    out->n_networks = n;
    out->range = number;
    return cursor_left(&c) == 0;
}

static int find_client(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    const struct store_counts *counts = store_counts(r->txn);
    struct store_record range;
    struct store_key k;
    int rc;

    if (counts != NULL && store_count(counts, TABLE_NETWORK) == 0)
        return 0;
    key_ip(&k, TABLE_RANGE, addr->ip, "");
    rc = store_seek(r->txn, &k, 1, &range);
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
