/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model_sort.c -- the one order of everything that has no order of its own,
 * and without doubles: equal policies are then equal texts, and equal records.
 */
#include "policy/model_sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

typedef int compare(const void *, const void *);

/* Sorts, when it is not sorted yet, and drops doubles. The new count. */
static size_t sort_unique(void *at, size_t n, size_t size, compare *cmp)
{
    char *base = at;
    size_t kept = 1, i = 1;

    if (n < 2)
        return n;
    while (i < n && cmp(base + (i - 1) * size, base + i * size) < 0)
        i++;
    if (i == n)
        return n;
    qsort(at, n, size, cmp);
    for (i = 1; i < n; i++) {
        if (cmp(base + (kept - 1) * size, base + i * size) == 0)
            continue;
        if (kept != i)
            memcpy(base + kept * size, base + i * size, size);
        kept++;
    }
    return kept;
}

static int by_prefix(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;
    int c = memcmp(x->ip, y->ip, sizeof x->ip);

    return c != 0 ? c : (int)x->len - (int)y->len;
}

static int by_host(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;
    int c = (int)x->priority - (int)y->priority;

    if (c == 0)
        c = policy_target_compare(&x->target, &y->target);
    return c != 0 ? c : (int)x->port - (int)y->port;
}

static int by_address(const void *a, const void *b)
{
    const struct addr *x = a, *y = b;

    return memcmp(x->ip, y->ip, sizeof x->ip);
}

static int by_approved(const void *a, const void *b)
{
    const struct policy_approved *x = a, *y = b;
    int c = policy_target_compare(&x->target, &y->target);

    return c != 0 ? c : (int)x->port - (int)y->port;
}

static int by_suffix(const void *a, const void *b)
{
    return suffix_compare(a, b);
}

/* Networks, pools and rules begin with their name; so do the names in a rule. */
static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void policy_network_sort(struct policy_network *w)
{
    w->n = sort_unique(w->prefixes, w->n, sizeof *w->prefixes, by_prefix);
}

void policy_pool_sort(struct policy_pool *p)
{
    /* Doubles of a target are refused by policy_pool_check(), before. */
    p->n = sort_unique(p->hosts, p->n, sizeof *p->hosts, by_host);
    for (size_t i = 0; i < p->n; i++)
        p->hosts[i].n_addresses = (uint8_t)sort_unique(
            p->hosts[i].addresses, p->hosts[i].n_addresses, sizeof(struct addr), by_address);
}

/* Rows that are two columns are sorted by hand: there are 64 at most. Doubles
 * stay until sort_unique() drops them, and so does the place of the first. */
static void sort_with_places(struct policy_rule *r)
{
    char name[POLICY_NAME];
    size_t kept = 0;

    for (size_t i = 1; i < r->n_networks; i++) {
        struct policy_place place = r->network_places[i];
        size_t k = i;

        memcpy(name, r->networks[i], sizeof name);
        for (; k > 0 && strcmp(r->networks[k - 1], name) > 0; k--) {
            memcpy(r->networks[k], r->networks[k - 1], sizeof name);
            r->network_places[k] = r->network_places[k - 1];
        }
        memcpy(r->networks[k], name, sizeof name);
        r->network_places[k] = place;
    }
    for (size_t i = 0; i < r->n_networks; i++)
        if (i == 0 || strcmp(r->networks[i - 1], r->networks[i]) != 0)
            r->network_places[kept++] = r->network_places[i];
}

void policy_rule_sort(struct policy_rule *r)
{
    if (r->network_places != NULL)
        sort_with_places(r);
    r->n_networks = sort_unique(r->networks, r->n_networks, sizeof *r->networks, by_name);
    r->n_suffixes = sort_unique(r->suffixes, r->n_suffixes, sizeof *r->suffixes, by_suffix);
}

void policy_sort(struct policy *p)
{
    for (size_t i = 0; i < p->n_networks; i++)
        policy_network_sort(&p->networks[i]);
    for (size_t i = 0; i < p->n_pools; i++)
        policy_pool_sort(&p->pools[i]);
    for (size_t i = 0; i < p->n_rules; i++)
        policy_rule_sort(&p->rules[i]);
    /* No sort_unique: a double of these would leak, and readers refuse it. */
    if (p->n_networks > 1)
        qsort(p->networks, p->n_networks, sizeof *p->networks, by_name);
    if (p->n_pools > 1)
        qsort(p->pools, p->n_pools, sizeof *p->pools, by_name);
    if (p->n_rules > 1)
        qsort(p->rules, p->n_rules, sizeof *p->rules, by_name);
    p->n_approved = sort_unique(p->approved, p->n_approved, sizeof *p->approved, by_approved);
}

/* --- look-ups in what is sorted ------------------------------------------- */

static void *find(const void *at, size_t n, size_t size, const char *name)
{
    return n == 0 ? NULL : bsearch(name, at, n, size, by_name);
}

struct policy_network *policy_find_network(const struct policy *p, const char *name)
{
    return find(p->networks, p->n_networks, sizeof *p->networks, name);
}

struct policy_pool *policy_find_pool(const struct policy *p, const char *name)
{
    return find(p->pools, p->n_pools, sizeof *p->pools, name);
}

struct policy_rule *policy_find_rule(const struct policy *p, const char *name)
{
    return find(p->rules, p->n_rules, sizeof *p->rules, name);
}

/* --- two small readers ---------------------------------------------------- */

int policy_approved_parse(struct policy_approved *out, const char *text, const char **why)
{
    struct policy_host h;

    if (strchr(text, ',') != NULL) {
        *why = "is an approved host: FQDN or FQDN:PORT, without options";
        return -EINVAL;
    }
    if (host_parse(&h, text, why) != 0)
        return -EINVAL;
    *out = (struct policy_approved){.target = h.target, .port = h.port};
    return 0;
}

bool policy_question(const struct name *suffix, struct name *out)
{
    struct name service;

    return name_parse(&service, "_vlmcs._tcp") == 0 && name_join(&service, suffix, out);
}
