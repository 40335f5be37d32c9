/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_diff.c -- what differs between two policies, as rows: one walk over
 * two sorted lists per kind of object. Suffixes are counted per rule, so that
 * the difference of two great policies stays readable.
 */
#include "ctl/policy.h"

#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

/* The row stays d's. */
static json_t *add_row(struct policy_diff *d, const char *object, const char *name,
                       const char *change, char *text)
{
    char *clean = ctl_clean(text);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "object", object, "name", name, "change",
                            change, "text", clean);

    json_array_append_new(d->rows, row);
    free(clean);
    free(text);
    return row;
}

static void gone(struct policy_diff *d, const char *object, const char *name)
{
    add_row(d, object, name, "gone", ctl_text("%s", ""));
    d->objects_gone++;
}

/* --- networks, pools, approved -------------------------------------------- */

static bool same_network(const struct policy_network *a, const struct policy_network *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->prefixes[i].len != b->prefixes[i].len ||
            memcmp(a->prefixes[i].ip, b->prefixes[i].ip, sizeof a->prefixes[i].ip) != 0)
            return false;
    return true;
}

static void compare_networks(const struct policy *was, const struct policy *is, enum policy_how how,
                             struct policy_diff *d)
{
    for (size_t i = 0; i < is->n_networks; i++) {
        const struct policy_network *w = &is->networks[i], *old = policy_find_network(was, w->name);

        if (old == NULL || !same_network(old, w))
            add_row(d, "network", w->name, old == NULL ? "new" : "changed",
                    policy_prefix_list(w->prefixes, w->n));
    }
    for (size_t i = 0; i < was->n_networks && how == POLICY_REPLACE; i++)
        if (policy_find_network(is, was->networks[i].name) == NULL)
            gone(d, "network", was->networks[i].name);
}

static bool same_pool(const struct policy_pool *a, const struct policy_pool *b)
{
    if (a->n != b->n || a->allow_public != b->allow_public)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!policy_host_same(&a->hosts[i], &b->hosts[i]))
            return false;
    return true;
}

static void compare_pools(const struct policy *was, const struct policy *is, enum policy_how how,
                          struct policy_diff *d)
{
    for (size_t i = 0; i < is->n_pools; i++) {
        const struct policy_pool *p = &is->pools[i], *old = policy_find_pool(was, p->name);

        if (old == NULL || !same_pool(old, p))
            add_row(d, "pool", p->name, old == NULL ? "new" : "changed",
                    policy_host_list(p->hosts, p->n));
    }
    for (size_t i = 0; i < was->n_pools && how == POLICY_REPLACE; i++)
        if (policy_find_pool(is, was->pools[i].name) == NULL)
            gone(d, "pool", was->pools[i].name);
}

static int approved_order(const struct policy_approved *a, const struct policy_approved *b)
{
    int c = policy_target_compare(&a->target, &b->target);

    return c != 0 ? c : (int)a->port - (int)b->port;
}

static void approved_row(struct policy_diff *d, const struct policy_approved *a, bool is_new)
{
    char name[NAME_TEXT],
        *text = ctl_text("%s:%u", name_print(&a->target, name), (unsigned)a->port);

    if (is_new)
        add_row(d, "approved", text, "new", ctl_text("%s", ""));
    else
        gone(d, "approved", text);
    free(text);
}

static void compare_approved(const struct policy *was, const struct policy *is, enum policy_how how,
                             struct policy_diff *d)
{
    size_t i = 0, k = 0;

    while (i < was->n_approved || k < is->n_approved) {
        int c = i == was->n_approved  ? 1
                : k == is->n_approved ? -1
                                      : approved_order(&was->approved[i], &is->approved[k]);

        if (c < 0 && how == POLICY_REPLACE)
            approved_row(d, &was->approved[i], false);
        if (c > 0)
            approved_row(d, &is->approved[k], true);
        i += c <= 0;
        k += c >= 0;
    }
}

/* --- rules ---------------------------------------------------------------- */

struct counts {
    size_t more, less;
};

static struct counts count_suffixes(const struct policy_rule *was, const struct policy_rule *is)
{
    struct counts n = {0, 0};
    size_t i = 0, k = 0;

    while (i < was->n_suffixes || k < is->n_suffixes) {
        int c = i == was->n_suffixes  ? 1
                : k == is->n_suffixes ? -1
                                      : suffix_compare(&was->suffixes[i], &is->suffixes[k]);

        n.less += c < 0;
        n.more += c > 0;
        i += c <= 0;
        k += c >= 0;
    }
    return n;
}

static void compare_rule(const struct policy_rule *old, const struct policy_rule *r,
                         enum policy_how how, struct policy_diff *d)
{
    struct counts n;
    char *words, *moved;
    json_t *row;

    if (old == NULL) {
        char *list = policy_suffix_list(r->suffixes, r->n_suffixes);

        words = policy_rule_words(r);
        add_row(d, "rule", r->name, "new", ctl_text("%s    %s", list, words));
        free(list);
        free(words);
        return;
    }
    n = count_suffixes(old, r);
    if (how == POLICY_JOIN) { /* nothing goes, and the rule's head stays */
        n.less = 0;
        if (n.more == 0)
            return;
        r = old;
    }
    d->suffixes_gone += n.less;
    if (n.more == 0 && n.less == 0 && policy_rule_same(old, r))
        return;
    words = policy_rule_words(r);
    if (n.more + n.less > 0) {
        moved = ctl_text("+%zu -%zu", n.more, n.less);
        row = add_row(d, "rule", r->name, "changed", ctl_text("%s suffixes    %s", moved, words));
        json_object_set_new(row, "suffixes", json_string(moved));
        free(moved);
    } else {
        add_row(d, "rule", r->name, "changed", ctl_text("%s", words));
    }
    free(words);
}

static void compare_rules(const struct policy *was, const struct policy *is, enum policy_how how,
                          struct policy_diff *d)
{
    for (size_t i = 0; i < is->n_rules; i++)
        compare_rule(policy_find_rule(was, is->rules[i].name), &is->rules[i], how, d);
    for (size_t i = 0; i < was->n_rules; i++) {
        d->suffixes_was += was->rules[i].n_suffixes;
        if (how != POLICY_REPLACE || policy_find_rule(is, was->rules[i].name) != NULL)
            continue;
        gone(d, "rule", was->rules[i].name);
        d->suffixes_gone += was->rules[i].n_suffixes;
    }
}

void policy_compare(const struct policy *was, const struct policy *is, enum policy_how how,
                    struct policy_diff *out)
{
    *out = (struct policy_diff){.rows = json_array()};
    compare_networks(was, is, how, out);
    compare_pools(was, is, how, out);
    compare_approved(was, is, how, out);
    compare_rules(was, is, how, out);
}
