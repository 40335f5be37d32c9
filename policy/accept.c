/* SPDX-License-Identifier: BSD-2-Clause
 *
 * accept.c -- what is refused on entry (accept.h).
 *
 * A file that stands alone has all that its rules name; one that is merged, and
 * the rule of a verb, may name what the store has. That is looked up inside the
 * transaction that writes, so nothing can change between the look and the write.
 */
#include "policy/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name of p that the writer may have meant. */
static const char *near_name(const struct policy *p, bool is_pool, const char *word)
{
    size_t n = is_pool ? p->n_pools : p->n_networks;
    const char **list = calloc(n + 1, sizeof *list), *found = NULL;

    for (size_t i = 0; list != NULL && i < n; i++)
        list[i] = is_pool ? p->pools[i].name : p->networks[i].name;
    if (list != NULL)
        found = diag_nearest(word, list);
    free(list);
    return found;
}

/* Is what the rule names in p or in the store? Either may be NULL. 0, or -ENOENT told. */
static int accept_names(const struct policy *p, struct store_txn *t, const struct policy_rule *r,
                        struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i <= r->n_networks; i++) {
        bool is_pool = i == r->n_networks; /* after the networks */
        const char *name = is_pool ? r->pool : r->networks[i], *near = NULL;
        const char *what = is_pool ? "pool" : "network", *member = is_pool ? "HOST" : "PREFIX";
        struct policy_place place = is_pool                     ? r->pool_place
                                    : r->network_places != NULL ? r->network_places[i]
                                                                : r->place;
        struct store_bytes v;
        struct store_key k;

        if (is_pool ? name[0] == '\0' : strcmp(name, "any") == 0)
            continue;
        if (p != NULL &&
            (is_pool ? policy_find_pool(p, name) != NULL : policy_find_network(p, name) != NULL))
            continue;
        key_named(&k, is_pool ? TABLE_POOL : TABLE_NETWORK, name);
        if (t != NULL && store_get(t, &k, &v) != -ENOENT) /* a damaged one is there */
            continue;
        rc = -ENOENT;
        if (p != NULL)
            near = near_name(p, is_pool, name);
        if (p == NULL)
            diags_add(d, NULL, 0, 0, "rule %s: there is no %s %s (policy %s set %s %s... makes it)",
                      r->name, what, name, what, name, member);
        else if (near != NULL)
            diags_add(d, p->file, place.line, place.column,
                      "rule %s: there is no %s %s; did you mean %s?", r->name, what, name, near);
        else
            diags_add(d, p->file, place.line, place.column, "rule %s: there is no %s %s", r->name,
                      what, name);
    }
    return rc;
}

int accept_references(const struct policy *p, struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i < p->n_rules; i++)
        if (accept_names(p, NULL, &p->rules[i], d) != 0)
            rc = -EINVAL;
    return rc;
}

/* Gives the rule one of the wide suffixes that it has in the store, if there is one. */
static int find_wide(struct store_txn *t, struct policy_rule *r)
{
    struct store_record entry;
    struct store_key all;
    char rule[POLICY_NAME];
    int rc;

    key_rule_suffix(&all, r->name, NULL);
    for (rc = store_seek(t, &all, all.len, &entry); rc == 0 || rc == -EBADMSG;
         rc = store_next(t, &all, all.len, &entry))
        if (key_read_rule_suffix(&entry.key, rule, r->suffixes) && suffix_is_wide(r->suffixes)) {
            r->n_suffixes = 1;
            return 0;
        }
    return rc == -ENOENT ? 0 : rc;
}

int accept_rule(const struct policy *p, struct store_txn *t, bool alone,
                const struct policy_rule *r, enum accept_suffixes how, struct diags *d)
{
    struct policy_rule judged = *r, was = {.n_networks = 0}; /* as it will be, for its check */
    struct suffix wide;
    struct store_bytes v;
    struct store_key k;
    int rc = -ENOENT, named;

    key_named(&k, TABLE_RULE, r->name);
    if (how != ACCEPT_SET)
        rc = store_get(t, &k, &v);
    if (rc == 0)
        rc = rule_read(&was, &v);
    if (how == ACCEPT_ADDED && rc == 0) {
        judged = was;
        memcpy(judged.name, r->name, sizeof judged.name);
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else if (how == ACCEPT_ADDED && rc != -ENOENT) {
        return rc;
    } else if (how == ACCEPT_KEPT) { /* without networks, no suffix that stays may be wide */
        judged.suffixes = &wide;
        judged.n_suffixes = 0;
        if (r->n_networks == 0 && (rc != 0 || was.n_networks > 0) &&
            (rc = find_wide(t, &judged)) != 0)
            goto done;
    }
    rc = policy_rule_check(&judged, d);
    named = accept_names(p, alone ? NULL : t, r, d);
    rc = rc == 0 ? named : rc;
    for (size_t i = 0; how != ACCEPT_KEPT && rc == 0 && i < r->n_suffixes; i++) {
        key_suffix(&k, &r->suffixes[i], r->name);
        rc = k.len == 0 ? -ENAMETOOLONG : 0;
    }
done:
    policy_rule_fini(&was);
    return rc;
}

int accept_removal(struct store_txn *t, enum policy_table of, const char *name, struct diags *d)
{
    struct store_record r;
    struct store_key all;
    bool used = false;
    int rc;

    key_user(&all, of, name, "");
    for (rc = store_seek(t, &all, all.len, &r); rc == 0; rc = store_next(t, &all, all.len, &r)) {
        used = true;
        diags_add(d, NULL, 0, 0, "%s %s is in use: %.*s", of == TABLE_POOL ? "pool" : "network",
                  name, (int)(r.key.len - all.len), (const char *)r.key.data + all.len);
    }
    return rc != -ENOENT ? rc : used ? -EBUSY : 0;
}

int accept_network(const struct policy_network *n, struct diags *d)
{
    const char *why;

    if (policy_name_check(n->name, &why) != 0)
        return diags_add(d, NULL, 0, 0, "network \"%s\": %s", n->name, why);
    return n->n > 0 ? 0 : diags_add(d, NULL, 0, 0, "network %s: has no prefix", n->name);
}

int accept_pool(const struct policy_pool *p, struct diags *d)
{
    struct store_key k;

    if (policy_pool_check(p, d) != 0)
        return -EINVAL;
    for (size_t i = 0; i < p->n; i++) {
        key_target(&k, TABLE_APPROVED, &p->hosts[i].target, p->hosts[i].port, p->name);
        if (k.len == 0)
            return -ENAMETOOLONG;
    }
    return 0;
}
