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

static const char *word_of(enum policy_table table)
{
    return table == TABLE_POOL ? "pool" : "network";
}

/* --- what a rule names ---------------------------------------------------- */

/* A name of p that the writer may have meant. */
static const char *near_name(const struct policy *p, enum policy_table table, const char *word)
{
    size_t n = table == TABLE_POOL ? p->n_pools : p->n_networks;
    const char **list = calloc(n + 1, sizeof *list), *found = NULL;

    for (size_t i = 0; list != NULL && i < n; i++)
        list[i] = table == TABLE_POOL ? p->pools[i].name : p->networks[i].name;
    if (list != NULL)
        found = diag_nearest(word, list);
    free(list);
    return found;
}

/* Is it in p or in the store? Either may be NULL. 0, or -ENOENT told. */
static int look_up(const struct policy *p, struct store_txn *t, const struct policy_rule *r,
                   enum policy_table table, const char *name, struct policy_place place,
                   struct diags *d)
{
    const char *what = word_of(table), *near, *file = p != NULL ? p->file : NULL;
    struct store_bytes v;
    struct store_key k;

    if (p != NULL && table == TABLE_POOL && policy_find_pool(p, name) != NULL)
        return 0;
    if (p != NULL && table == TABLE_NETWORK && policy_find_network(p, name) != NULL)
        return 0;
    key_named(&k, table, name);
    if (t != NULL && store_get(t, &k, &v) != -ENOENT) /* a damaged one is there */
        return 0;
    near = p != NULL ? near_name(p, table, name) : NULL;
    if (near != NULL)
        diags_add(d, file, place.line, place.column, "rule %s: there is no %s %s; did you mean %s?",
                  r->name, what, name, near);
    else if (p != NULL)
        diags_add(d, file, place.line, place.column, "rule %s: there is no %s %s", r->name, what,
                  name);
    else
        diags_add(d, NULL, 0, 0, "rule %s: there is no %s %s (policy %s set %s %s... makes it)",
                  r->name, what, name, what, name, table == TABLE_POOL ? "HOST" : "PREFIX");
    return -ENOENT;
}

static int look_up_all(const struct policy *p, struct store_txn *t, const struct policy_rule *r,
                       struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], "any") != 0 &&
            look_up(p, t, r, TABLE_NETWORK, r->networks[i],
                    r->network_places != NULL ? r->network_places[i] : r->place, d) != 0)
            rc = -ENOENT;
    if (r->pool[0] != '\0' && look_up(p, t, r, TABLE_POOL, r->pool, r->pool_place, d) != 0)
        rc = -ENOENT;
    return rc;
}

int accept_references(const struct policy *p, struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i < p->n_rules; i++)
        if (look_up_all(p, NULL, &p->rules[i], d) != 0)
            rc = -EINVAL;
    return rc;
}

/* --- rules ---------------------------------------------------------------- */

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

/* The rule as it will be, as far as its check needs to know. */
static int check_rule(struct store_txn *t, const struct policy_rule *r, enum accept_suffixes how,
                      struct diags *d)
{
    struct policy_rule judged = *r, was = {.n_networks = 0};
    struct suffix wide;
    struct store_bytes v;
    struct store_key k;
    int rc;

    if (how == ACCEPT_SET)
        return policy_rule_check(r, d);
    key_named(&k, TABLE_RULE, r->name);
    rc = store_get(t, &k, &v);
    rc = rc == 0 ? rule_read(&was, &v) : rc;
    if (how == ACCEPT_ADDED && rc != 0)
        return rc == -ENOENT ? policy_rule_check(r, d) : rc;
    if (how == ACCEPT_ADDED) {
        judged = was;
        memcpy(judged.name, r->name, sizeof judged.name);
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else { /* without networks, no suffix that stays may be wide */
        judged.suffixes = &wide;
        judged.n_suffixes = 0;
        if (r->n_networks == 0 && (rc != 0 || was.n_networks > 0))
            rc = find_wide(t, &judged);
    }
    rc = rc < 0 && rc != -ENOENT && rc != -EBADMSG ? rc : policy_rule_check(&judged, d);
    policy_rule_fini(&was);
    return rc;
}

int accept_rule(const struct policy *p, struct store_txn *t, bool alone,
                const struct policy_rule *r, enum accept_suffixes how, struct diags *d)
{
    int rc = check_rule(t, r, how, d), named = look_up_all(p, alone ? NULL : t, r, d);

    for (size_t i = 0; how != ACCEPT_KEPT && rc == 0 && i < r->n_suffixes; i++) {
        struct store_key k;

        key_suffix(&k, &r->suffixes[i], r->name);
        if (k.len == 0)
            rc = -ENAMETOOLONG;
    }
    return rc != 0 ? rc : named;
}

/* --- networks and pools --------------------------------------------------- */

int accept_removal(struct store_txn *t, enum policy_table of, const char *name, struct diags *d)
{
    struct store_record r;
    struct store_key all;
    bool used = false;
    int rc;

    key_user(&all, of, name, "");
    for (rc = store_seek(t, &all, all.len, &r); rc == 0; rc = store_next(t, &all, all.len, &r)) {
        used = true;
        diags_add(d, NULL, 0, 0, "%s %s is in use: %.*s", word_of(of), name,
                  (int)(r.key.len - all.len), (const char *)r.key.data + all.len);
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
