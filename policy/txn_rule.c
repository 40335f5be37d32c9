/* SPDX-License-Identifier: BSD-2-Clause
 *
 * txn_rule.c -- rules and their suffixes inside a change.
 *
 * A suffix is two records without payload: one in the index by suffix, for
 * decisions, and one by rule, so that a rule's million suffixes are a range
 * that can be listed and removed. The head of the rule does not name them.
 */
#include <errno.h>
#include <stdlib.h>

#include "policy/scan.h"
#include "policy/store.h"
#include "policy/txn.h"

static bool exists(struct policy_txn *t, enum policy_table table, const char *name)
{
    struct kv_bytes v;
    struct kv_key k;

    key_named(&k, table, name);
    return kv_get(t->kv, &k, &v) != -ENOENT; /* a damaged one is there */
}

/* --- one suffix ----------------------------------------------------------- */

static bool suffix_keys(struct kv_key *index, struct kv_key *list, const char *rule,
                        const struct suffix *s)
{
    key_suffix(index, s, rule);
    key_rule_suffix(list, rule, s);
    return index->len != 0 && list->len != 0;
}

/* 1 when it is new. */
static int suffix_put(struct policy_txn *t, const char *rule, const struct suffix *s)
{
    struct kv_key index, list;
    uint64_t unused = 0;
    int rc, other;

    if (!suffix_keys(&index, &list, rule, s))
        return -ENAMETOOLONG;
    rc = txn_put(t, &index, NULL, &t->state.suffixes);
    if (rc < 0)
        return rc;
    other = txn_put(t, &list, NULL, &unused);
    return other < 0 ? other : rc;
}

static int suffix_del(struct policy_txn *t, const char *rule, const struct suffix *s)
{
    struct kv_key index, list;
    int rc, other;

    if (!suffix_keys(&index, &list, rule, s))
        return -ENOENT;
    rc = txn_del(t, &index, &t->state.suffixes);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    other = kv_del(t->kv, &list);
    return other != 0 && other != -ENOENT ? other : rc;
}

/* --- the suffixes of a rule ----------------------------------------------- */

/* What a walk over them does. */
struct walk {
    struct policy_txn *t;
    const char *rule;
    const struct suffix **keep; /* sorted; NULL: only look for wide ones */
    size_t n;
};

static int compare_pointers(const void *a, const void *b)
{
    const struct suffix *const *x = a, *const *y = b;

    return suffix_compare(*x, *y);
}

static int refuse_if_wide(void *context, const struct kv_key *key)
{
    struct kv_bytes k = {key->at, key->len};
    char rule[POLICY_NAME];
    struct suffix s;

    (void)context;
    return key_read_rule_suffix(&k, rule, &s) && suffix_is_wide(&s) ? -EINVAL : 0;
}

static int delete_unless_kept(void *context, const struct kv_key *key)
{
    struct kv_bytes k = {key->at, key->len};
    const struct walk *w = context;
    char rule[POLICY_NAME];
    const struct suffix *wanted;
    struct suffix s;
    int rc;

    if (!key_read_rule_suffix(&k, rule, &s))
        return kv_del(w->t->kv, key);
    wanted = &s;
    if (w->n > 0 && bsearch(&wanted, w->keep, w->n, sizeof *w->keep, compare_pointers) != NULL)
        return 0;
    rc = suffix_del(w->t, w->rule, &s);
    return rc == -ENOENT ? 0 : rc;
}

static int walk(struct walk *w, scan_visit *visit)
{
    struct kv_key all;

    key_rule_suffix(&all, w->rule, NULL);
    return scan_keys(w->t->kv, &all, visit, w);
}

/* Makes the rule's suffixes these; in the order of the keys, so that each page
 * of the index is filled once. */
static int suffixes_set(struct policy_txn *t, const struct policy_rule *r)
{
    struct walk w = {t, r->name, calloc(r->n_suffixes, sizeof *w.keep), r->n_suffixes};
    struct kv_key index, list;
    int rc = 0;

    if (w.keep == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < r->n_suffixes && rc == 0; i++) {
        w.keep[i] = &r->suffixes[i];
        if (!suffix_keys(&index, &list, r->name, w.keep[i]))
            rc = -ENAMETOOLONG;
    }
    if (rc == 0) {
        qsort(w.keep, w.n, sizeof *w.keep, compare_pointers);
        rc = walk(&w, delete_unless_kept);
    }
    for (size_t i = 0; i < w.n && rc >= 0; i++)
        rc = suffix_put(t, r->name, w.keep[i]);
    free(w.keep);
    return rc < 0 ? rc : 0;
}

/* --- rules ---------------------------------------------------------------- */

static bool had_networks(struct policy_txn *t, const char *rule)
{
    struct rule_view view;
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_RULE, rule);
    rc = kv_get(t->kv, &k, &v);
    if (rc != 0)
        return rc != -ENOENT; /* unknown: look */
    return !rule_view_read(&view, &v) || view.n_networks > 0;
}

static int check_rule(struct policy_txn *t, const struct policy_rule *r)
{
    struct walk w = {t, r->name, NULL, 0};

    if (policy_rule_check(r, NULL) != 0)
        return -EINVAL;
    if (r->pool[0] != '\0' && !exists(t, TABLE_POOL, r->pool))
        return -ENOENT;
    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], "any") != 0 && !exists(t, TABLE_NETWORK, r->networks[i]))
            return -ENOENT;
    /* Wide suffixes that stay need networks as well. */
    if (r->n_networks == 0 && r->n_suffixes == 0 && had_networks(t, r->name))
        return walk(&w, refuse_if_wide);
    return 0;
}

int policy_txn_rule_put(struct policy_txn *t, const struct policy_rule *r)
{
    uint8_t value[RECORD_RULE_MAX];
    struct writer w = writer_make(value, sizeof value);
    uint64_t delta = kv_digest_delta(t->kv);
    struct kv_key k;
    int rc = check_rule(t, r);

    if (rc != 0)
        return rc;
    rule_write(&w, r);
    if (w.full)
        return -EINVAL; /* not with a rule that passed its check */
    if (r->n_suffixes > 0)
        rc = suffixes_set(t, r);
    if (rc < 0)
        return rc;
    key_named(&k, TABLE_RULE, r->name);
    rc = txn_put(t, &k, &w, &t->state.rules);
    if (rc < 0)
        return rc;
    t->rules_moved |= rc > 0;
    if (rc > 0 || kv_digest_delta(t->kv) != delta)
        txn_touch(t, r->name);
    return 0;
}

int policy_txn_rule_del(struct policy_txn *t, const char *name)
{
    struct walk w = {t, name, NULL, 0};
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_RULE, name);
    rc = txn_del(t, &k, &t->state.rules);
    if (rc != 0)
        return rc;
    t->rules_moved = true;
    txn_touch(t, name);
    return walk(&w, delete_unless_kept);
}

int policy_txn_rule_get(struct policy_txn *t, const char *name, struct policy_rule *out)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_RULE, name);
    *out = (struct policy_rule){.n_suffixes = 0};
    str_copy(out->name, sizeof out->name, name);
    rc = kv_get(t->kv, &k, &v);
    return rc == 0 ? rule_read(out, &v) : rc;
}

int policy_txn_suffix_add(struct policy_txn *t, const char *rule, const struct suffix *s,
                          bool *was_there)
{
    struct rule_view view;
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_RULE, rule);
    rc = kv_get(t->kv, &k, &v);
    if (rc != 0)
        return rc;
    if (!rule_view_read(&view, &v))
        return -EBADMSG;
    if (suffix_is_wide(s) && view.n_networks == 0)
        return -EINVAL;
    rc = suffix_put(t, rule, s);
    if (rc < 0)
        return rc;
    if (rc > 0)
        txn_touch(t, rule);
    if (was_there != NULL)
        *was_there = rc == 0;
    return 0;
}

int policy_txn_suffix_drop(struct policy_txn *t, const char *rule, const struct suffix *s)
{
    int rc = suffix_del(t, rule, s);

    if (rc == 0)
        txn_touch(t, rule);
    return rc;
}
