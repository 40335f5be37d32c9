/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ranges.c -- networks flattened.
 *
 * Prefixes are nested or disjoint, never half over each other. Sorted by first
 * address, shorter prefix first, a sweep with a stack of the open prefixes
 * meets each border once; the stack, from its top, is the list of networks,
 * innermost first. Equal lists get equal numbers, so that a network of ten
 * thousand branches is one client for the decision cache.
 */
#include "policy/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/records.h"

struct span {
    uint8_t first[16], last[16];
    uint32_t network;
    uint8_t len;
};

struct sweep {
    struct ranges *out;
    struct span *stack; /* borrowed: room for all spans */
    size_t depth, max_ranges, max_members;
    uint8_t at[16]; /* first address that no range covers yet */
    bool past_end;  /* behind the last address there is */
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

/* The address behind ip; false when there is none. */
static bool address_after(uint8_t out[16], const uint8_t ip[16])
{
    memcpy(out, ip, 16);
    for (size_t i = 16; i-- > 0;)
        if (++out[i] != 0)
            return true;
    return false;
}

static void address_before(uint8_t out[16], const uint8_t ip[16])
{
    memcpy(out, ip, 16);
    for (size_t i = 16; i-- > 0;)
        if (out[i]-- != 0)
            return;
}

static int add_members(struct sweep *s, struct range *r)
{
    struct ranges *out = s->out;

    r->members = (uint32_t)out->n_members;
    for (size_t i = s->depth; i-- > 0;) {
        const struct span *p = &s->stack[i];
        bool there = false;

        for (size_t k = r->members; k < out->n_members && !there; k++)
            there = out->members[k].network == p->network;
        if (there)
            continue;
        if (r->n == POLICY_CLIENT_NETWORKS)
            return -E2BIG;
        if (out->n_members == s->max_members) {
            size_t more = s->max_members * 2 + 64;
            struct range_member *m = realloc(out->members, more * sizeof *m);

            if (m == NULL)
                return -ENOMEM;
            out->members = m;
            s->max_members = more;
        }
        out->members[out->n_members++] = (struct range_member){p->network, p->len};
        r->n++;
    }
    return 0;
}

/* Closes the range that ends with `last`, if there is anything in it. */
static int emit(struct sweep *s, const uint8_t last[16])
{
    struct range *r;
    int rc;

    if (s->past_end || memcmp(s->at, last, 16) > 0)
        return 0;
    if (s->out->n == s->max_ranges) {
        size_t more = s->max_ranges * 2 + 64;
        struct range *bigger = realloc(s->out->at, more * sizeof *bigger);

        if (bigger == NULL)
            return -ENOMEM;
        s->out->at = bigger;
        s->max_ranges = more;
    }
    r = &s->out->at[s->out->n];
    *r = (struct range){.n = 0};
    memcpy(r->first, s->at, 16);
    memcpy(r->last, last, 16);
    rc = add_members(s, r);
    if (rc == 0)
        s->out->n++;
    s->past_end = !address_after(s->at, last);
    return rc;
}

static int sweep(struct sweep *s, const struct span *spans, size_t n)
{
    uint8_t highest[16];
    int rc = 0;

    memset(highest, 0xff, sizeof highest);
    for (size_t i = 0; i <= n && rc == 0; i++) {
        const struct span *p = i < n ? &spans[i] : NULL;
        uint8_t before[16];

        while (rc == 0 && s->depth > 0 &&
               (p == NULL || memcmp(s->stack[s->depth - 1].last, p->first, 16) < 0)) {
            rc = emit(s, s->stack[s->depth - 1].last);
            s->depth--;
        }
        if (rc != 0 || p == NULL)
            break;
        if (memcmp(s->at, p->first, 16) < 0) {
            address_before(before, p->first);
            rc = emit(s, before);
        }
        s->stack[s->depth++] = *p;
    }
    return rc == 0 ? emit(s, highest) : rc;
}

/* --- numbers -------------------------------------------------------------- */

static int members_compare(const struct ranges *s, const struct range *a, const struct range *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (size_t i = 0; i < a->n; i++) {
        const struct range_member *x = &s->members[a->members + i],
                                  *y = &s->members[b->members + i];

        if (x->network != y->network)
            return x->network < y->network ? -1 : 1;
        if (x->len != y->len)
            return x->len < y->len ? -1 : 1;
    }
    return 0;
}

static int order_compare(const void *a, const void *b, void *context)
{
    const struct ranges *s = context;
    const uint32_t *x = a, *y = b;
    int c = members_compare(s, &s->at[*x], &s->at[*y]);

    return c != 0 ? c : *x < *y ? -1 : *x > *y;
}

/* The number of a range is 1 + the index of the first one like it. */
static int number_them(struct ranges *s)
{
    uint32_t *order = calloc(s->n > 0 ? s->n : 1, sizeof *order), leader = 0;

    if (order == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, s->n, sizeof *order, order_compare, s);
    for (size_t i = 0; i < s->n; i++) {
        if (i == 0 || members_compare(s, &s->at[leader], &s->at[order[i]]) != 0)
            leader = order[i];
        s->at[order[i]].number = s->at[leader].n > 0 ? leader + 1 : 0;
    }
    free(order);
    return 0;
}

int ranges_build(struct ranges *out, const struct policy_network *networks, size_t n)
{
    struct sweep s = {.out = out};
    struct span *spans;
    size_t all = 0;
    int rc;

    *out = (struct ranges){0};
    for (size_t i = 0; i < n; i++)
        all += networks[i].n;
    spans = calloc(2 * all + 1, sizeof *spans); /* the second half is the stack */
    if (spans == NULL)
        return -ENOMEM;
    s.stack = spans + all;
    all = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < networks[i].n; k++) {
            struct span *p = &spans[all++];

            prefix_range(&networks[i].prefixes[k], p->first, p->last);
            p->network = (uint32_t)i;
            p->len = networks[i].prefixes[k].len;
        }
    qsort(spans, all, sizeof *spans, span_compare);
    rc = n > 0 ? sweep(&s, spans, all) : 0;
    free(spans);
    return rc == 0 ? number_them(out) : rc;
}

void ranges_fini(struct ranges *s)
{
    free(s->at);
    free(s->members);
    *s = (struct ranges){0};
}

/* --- as a record: number 4, first 16, count 1, then length 1 and text each - */

void range_write(struct writer *w, const struct ranges *s, const struct range *r,
                 const struct policy_network *networks)
{
    writer_u32(w, r->number);
    writer_bytes(w, r->first, sizeof r->first);
    writer_u8(w, r->n);
    for (size_t i = 0; i < r->n; i++) {
        const struct range_member *m = &s->members[r->members + i];
        const char *name = networks[m->network].name;
        size_t len = strnlen(name, POLICY_NAME - 1);

        writer_u8(w, m->len);
        writer_u8(w, (uint8_t)len);
        writer_bytes(w, name, len);
    }
}

bool range_read(struct cursor *c, const uint8_t ip[16], struct policy_client *out)
{
    uint32_t number = cursor_u32(c);
    const uint8_t *first = cursor_take(c, 16);
    uint8_t n = cursor_u8(c);

    if (c->bad || n > POLICY_CLIENT_NETWORKS || memcmp(first, ip, 16) > 0)
        return false;
    for (unsigned i = 0; i < n; i++) {
        uint8_t len = cursor_u8(c);
        struct kv_bytes name = record_text(c);

        if (c->bad || len > 128)
            return false;
        memcpy(out->networks[i], name.at, name.len);
        out->networks[i][name.len] = '\0';
        memcpy(out->prefixes[i].ip, ip, 16);
        prefix_mask(out->prefixes[i].ip, len);
        out->prefixes[i].len = len;
    }
    out->n_networks = n;
    out->range = number;
    return cursor_left(c) == 0;
}
