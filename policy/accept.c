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

#include "policy/scan.h"

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
static int look_up(const struct policy *p, struct kv *kv, const struct policy_rule *r,
                   enum policy_table table, const char *name, struct policy_place place,
                   struct diags *d)
{
    const char *what = word_of(table), *near, *file = p != NULL ? p->file : NULL;
    struct kv_bytes v;
    struct kv_key k;

    if (p != NULL && table == TABLE_POOL && policy_find_pool(p, name) != NULL)
        return 0;
    if (p != NULL && table == TABLE_NETWORK && policy_find_network(p, name) != NULL)
        return 0;
    key_named(&k, table, name);
    if (kv != NULL && kv_get(kv, &k, &v) != -ENOENT) /* a damaged one is there */
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

static int look_up_all(const struct policy *p, struct kv *kv, const struct policy_rule *r,
                       struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], "any") != 0 &&
            look_up(p, kv, r, TABLE_NETWORK, r->networks[i],
                    r->network_places != NULL ? r->network_places[i] : r->place, d) != 0)
            rc = -ENOENT;
    if (r->pool[0] != '\0' && look_up(p, kv, r, TABLE_POOL, r->pool, r->pool_place, d) != 0)
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

static int take_wide(void *context, const struct kv_key *key)
{
    const struct kv_bytes k = {key->at, key->len};
    struct policy_rule *r = context;
    char rule[POLICY_NAME];

    if (!key_read_rule_suffix(&k, rule, r->suffixes) || !suffix_is_wide(r->suffixes))
        return 0;
    r->n_suffixes = 1;
    return 1;
}

/* The rule as it will be, as far as its check needs to know. */
static int check_rule(struct kv *kv, const struct policy_rule *r, enum accept_suffixes how,
                      struct diags *d)
{
    struct policy_rule judged = *r, was = {.n_networks = 0};
    struct suffix wide;
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    if (how == ACCEPT_SET)
        return policy_rule_check(r, d);
    key_named(&k, TABLE_RULE, r->name);
    rc = kv_get(kv, &k, &v);
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
        key_rule_suffix(&k, r->name, NULL);
        if (r->n_networks == 0 && (rc != 0 || was.n_networks > 0))
            rc = scan_keys(kv, &k, take_wide, &judged);
    }
    rc = rc < 0 && rc != -ENOENT && rc != -EBADMSG ? rc : policy_rule_check(&judged, d);
    policy_rule_fini(&was);
    return rc;
}

int accept_rule(const struct policy *p, struct kv *kv, bool alone, const struct policy_rule *r,
                enum accept_suffixes how, struct diags *d)
{
    int rc = check_rule(kv, r, how, d), named = look_up_all(p, alone ? NULL : kv, r, d);

    for (size_t i = 0; how != ACCEPT_KEPT && rc == 0 && i < r->n_suffixes; i++) {
        struct kv_key index, list;

        key_suffix(&index, &r->suffixes[i], r->name);
        key_rule_suffix(&list, r->name, &r->suffixes[i]);
        if (index.len == 0 || list.len == 0)
            rc = -ENAMETOOLONG;
    }
    return rc != 0 ? rc : named;
}

/* --- networks and pools --------------------------------------------------- */

static bool uses(const struct rule_view *r, enum policy_table table, const char *name)
{
    struct cursor c = r->networks;

    if (table == TABLE_POOL)
        return strcmp(r->pool, name) == 0;
    for (unsigned i = 0; i < r->n_networks; i++) {
        struct kv_bytes network = record_text(&c);

        if (record_text_is(&network, name))
            return true;
    }
    return false;
}

int accept_removal(struct kv *kv, enum policy_table of, const char *name, struct diags *d)
{
    struct kv_key table;
    struct kv_entry e;
    bool used = false;
    int rc;

    key_named(&table, TABLE_RULE, "");
    for (rc = kv_seek(kv, &table, &e); rc != -ENOENT; rc = kv_next(kv, &e)) {
        char rule[POLICY_NAME];
        struct rule_view r;

        if (e.key.at != NULL && !kv_begins(&e.key, &table))
            break;
        if (rc != 0)
            return rc;
        if (!key_read_name(&e.key, rule) || !rule_view_read(&r, &e.value))
            return -EBADMSG;
        if (!uses(&r, of, name))
            continue;
        used = true;
        diags_add(d, NULL, 0, 0, "%s %s is in use: %s", word_of(of), name, rule);
    }
    return used ? -EBUSY : 0;
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
    struct kv_key k;

    if (policy_pool_check(p, d) != 0)
        return -EINVAL;
    for (size_t i = 0; i < p->n; i++) {
        key_target(&k, TABLE_APPROVED, &p->hosts[i].target, p->hosts[i].port);
        if (k.len == 0)
            return -ENAMETOOLONG;
    }
    return 0;
}
