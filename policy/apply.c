/* SPDX-License-Identifier: BSD-2-Clause
 *
 * apply.c -- is a whole policy sound, and how it gets into the store.
 *
 * What a file alone cannot know -- with --merge, a rule may name a pool of the
 * store -- is looked up inside the transaction that writes, so nothing can
 * change between the look and the write.
 */
#include "policy/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/model_sort.h"

bool policy_is_empty(const struct policy *p)
{
    return p->n_networks == 0 && p->n_pools == 0 && p->n_rules == 0 && p->n_approved == 0;
}

/* --- references ----------------------------------------------------------- */

/* The names of an array whose elements begin with their name. */
static const char *near_name(const char *word, const void *at, size_t n, size_t size)
{
    const char **list = calloc(n + 1, sizeof *list);
    const char *found = NULL;

    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = (const char *)at + i * size;
    found = diag_nearest(word, list);
    free(list);
    return found;
}

static void unknown(const struct policy_rule *r, const char *what, const char *name,
                    const char *near, const char *file, struct policy_place at, struct diags *d)
{
    if (near != NULL)
        diags_add(d, file, at.line, at.column, "rule %s: there is no %s %s; did you mean %s?",
                  r->name, what, name, near);
    else
        diags_add(d, file, at.line, at.column, "rule %s: there is no %s %s", r->name, what, name);
}

static bool txn_has_network(struct policy_txn *t, const char *name, int *rc)
{
    struct policy_network w;

    *rc = t == NULL ? -ENOENT : policy_txn_network_get(t, name, &w);
    if (*rc == 0)
        policy_network_fini(&w);
    return *rc == 0;
}

static bool txn_has_pool(struct policy_txn *t, const char *name, int *rc)
{
    struct policy_pool p;

    *rc = t == NULL ? -ENOENT : policy_txn_pool_get(t, name, &p);
    if (*rc == 0)
        policy_pool_fini(&p);
    return *rc == 0;
}

/* Every network and pool that a rule names is in p, or in t unless that is NULL. */
static int check_references(const struct policy *p, struct policy_txn *t, const char *file,
                            struct diags *d)
{
    int rc, result = 0;

    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];

        for (size_t k = 0; k < r->n_networks; k++) {
            const char *name = r->networks[k];

            if (strcmp(name, "any") == 0 || policy_find_network(p, name) != NULL ||
                txn_has_network(t, name, &rc))
                continue;
            if (rc != -ENOENT)
                return rc;
            unknown(r, "network", name,
                    near_name(name, p->networks, p->n_networks, sizeof *p->networks), file,
                    r->network_places != NULL ? r->network_places[k] : r->place, d);
            result = -EINVAL;
        }
        if (r->pool[0] == '\0' || policy_find_pool(p, r->pool) != NULL ||
            txn_has_pool(t, r->pool, &rc))
            continue;
        if (rc != -ENOENT)
            return rc;
        unknown(r, "pool", r->pool, near_name(r->pool, p->pools, p->n_pools, sizeof *p->pools),
                file, r->pool_place, d);
        result = -EINVAL;
    }
    return result;
}

int policy_references(const struct policy *p, const char *file, struct diags *d)
{
    return check_references(p, NULL, file, d);
}

/* Moves the problems of one object to d, with its place. How many there were. */
static size_t adopt(struct diags *own, const char *file, struct policy_place at, struct diags *d)
{
    size_t all = own->all;

    for (size_t i = 0; i < own->n; i++)
        diags_add(d, file, at.line, at.column, "%s", own->at[i].text);
    diags_fini(own);
    return all;
}

int policy_verify(const struct policy *p, const char *file, struct diags *d)
{
    size_t problems = 0;
    struct diags own;
    int rc;

    diags_init(&own);
    for (size_t i = 0; i < p->n_pools; i++)
        if (policy_pool_check(&p->pools[i], &own) != 0)
            problems += adopt(&own, file, p->pools[i].place, d);
    for (size_t i = 0; i < p->n_rules; i++)
        if (policy_rule_check(&p->rules[i], &own) != 0)
            problems += adopt(&own, file, p->rules[i].place, d);
    rc = problems > 0 ? -EINVAL : 0;
    if (check_references(p, NULL, file, d) != 0)
        rc = -EINVAL;
    return rc;
}

/* --- into the store ------------------------------------------------------- */

/* Suffixes join the rule that is there, whose head stays as it is. */
static int join_rule(struct policy_txn *t, const struct policy_rule *r)
{
    struct policy_rule there;
    bool was_there;
    int rc = policy_txn_rule_get(t, r->name, &there);

    if (rc == -ENOENT)
        return policy_txn_rule_put(t, r);
    if (rc != 0)
        return rc;
    policy_rule_fini(&there);
    for (size_t i = 0; i < r->n_suffixes && rc == 0; i++)
        rc = policy_txn_suffix_add(t, r->name, &r->suffixes[i], &was_there);
    return rc;
}

static int put_rule(struct policy_txn *t, const struct policy_rule *r, bool join)
{
    int rc = 0;

    if (join)
        return join_rule(t, r);
    if (r->n_suffixes == 0) { /* rule_put would leave those that are there */
        rc = policy_txn_rule_del(t, r->name);
        if (rc == -ENOENT)
            rc = 0;
    }
    return rc != 0 ? rc : policy_txn_rule_put(t, r);
}

int policy_apply(struct policy_txn *t, const struct policy *p, bool replace, bool join_suffixes,
                 struct diags *d)
{
    bool was_there;
    int rc = check_references(p, replace ? NULL : t, p->file, d);

    if (rc == 0 && replace)
        rc = policy_txn_clear(t);
    for (size_t i = 0; i < p->n_networks && rc == 0; i++)
        rc = policy_txn_network_put(t, &p->networks[i]);
    for (size_t i = 0; i < p->n_pools && rc == 0; i++)
        rc = policy_txn_pool_put(t, &p->pools[i]);
    for (size_t i = 0; i < p->n_approved && rc == 0; i++)
        rc = policy_txn_approve(t, &p->approved[i], &was_there);
    for (size_t i = 0; i < p->n_rules && rc == 0; i++)
        rc = put_rule(t, &p->rules[i], join_suffixes && !replace);
    return rc;
}
