/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.c -- one change of the policy (change.h): the list, and how it gets
 * into the store.
 *
 * A row is refused before its first record is written. Any other failure spoils
 * the transaction: the commit fails too. Whether anything differs in the end is
 * seen from the digest: a change that takes itself back, or a policy that is
 * replaced by itself, makes no serial.
 *
 * A suffix is two keys without value: one in the index by suffix, for decisions,
 * and one by rule, so that a rule's million suffixes are a range that can be
 * listed and removed. The head of the rule does not name them.
 */
#include "policy/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/accept.h"
#include "policy/log.h"
#include "policy/ranges.h"
#include "policy/records.h"
#include "wire/present.h"

struct policy_txn {
    struct store_txn *txn;
    bool networks_moved;
    uint64_t serial; /* before the change */
    uint64_t history_ms;
    struct policy_log_entry entry;
    struct str summary; /* of entry.summary */
    struct log_rules rules;
};

const char *const policy_kind_names[] = {"network", "pool", "approved", "rule", NULL};
static const enum policy_table tables[POLICY_KINDS] = {
    [POLICY_NETWORK] = TABLE_NETWORK,
    [POLICY_POOL] = TABLE_POOL,
    [POLICY_APPROVED] = TABLE_LISTED,
    [POLICY_RULE] = TABLE_RULE,
};

/* --- the transaction ------------------------------------------------------ */

static void copy_cut(char *out, size_t size, const char *text)
{
    struct str s;

    str_init(&s, out, size);
    if (text != NULL)
        str_add(&s, text);
}

int policy_txn_begin(struct policy_txn **out, struct store *store,
                     const struct policy_change *change, uint64_t *serial)
{
    struct policy_txn *t = calloc(1, sizeof *t);
    uint64_t time_ms;
    int rc;

    if (t == NULL)
        return -ENOMEM;
    rc = store_begin(store, true, &t->txn);
    if (rc == 0)
        rc = log_last(t->txn, &t->serial, &time_ms);
    if (rc != 0)
        goto failed;
    if (serial != NULL)
        *serial = t->serial;
    rc = -ESTALE;
    if (change->if_serial != 0 && change->if_serial != t->serial)
        goto failed;
    copy_cut(t->entry.author, sizeof t->entry.author, change->author);
    copy_cut(t->entry.claimed, sizeof t->entry.claimed, change->claimed);
    copy_cut(t->entry.reason, sizeof t->entry.reason, change->reason);
    t->entry.time_ms = change->now_ms;
    t->history_ms = change->history_ms;
    str_init(&t->summary, t->entry.summary, sizeof t->entry.summary);
    if (store_repaired(t->txn))
        policy_txn_note(t, "the record of the state was damaged and is made again");
    *out = t;
    return 0;

failed:
    policy_txn_abort(t);
    return rc;
}

void policy_txn_abort(struct policy_txn *t)
{
    if (t == NULL)
        return;
    store_end(t->txn);
    free(t);
}

/* Ranges of the networks, and the log entry. *differs: is there anything to commit? */
static int finish(struct policy_txn *t, bool *differs)
{
    const struct store_counts *counts;
    int rc = t->networks_moved ? ranges_derive(t->txn) : 0;

    if (rc == 0)
        rc = store_differs(t->txn);
    *differs = rc > 0;
    if (rc <= 0)
        return rc;
    counts = store_counts(t->txn);
    if (counts == NULL)
        return -EIO;
    t->entry.serial = t->serial + 1;
    t->entry.digest = counts->digest;
    rc = log_append(t->txn, &t->entry, &t->rules);
    if (rc == 0 && t->history_ms != 0 && t->entry.time_ms > t->history_ms)
        rc = log_prune(t->txn, t->entry.time_ms - t->history_ms);
    return rc;
}

int policy_txn_commit(struct policy_txn *t, uint64_t *serial, bool *changed)
{
    int rc;

    *serial = t->serial;
    rc = finish(t, changed);
    if (rc != 0 || !*changed) {
        *changed = false;
        policy_txn_abort(t);
        return rc;
    }
    rc = store_commit(t->txn);
    *changed = rc == 0;
    *serial += rc == 0;
    free(t);
    return rc;
}

void policy_txn_note(struct policy_txn *t, const char *text)
{
    if (t->summary.len > 0)
        str_add(&t->summary, "; ");
    str_add(&t->summary, text);
}

/* 0 when it cannot be told. */
static uint64_t count(const struct policy_txn *t, const char *of)
{
    const struct store_counts *counts = store_counts(t->txn);
    uint64_t n = 0;

    for (; counts != NULL && *of != '\0'; of++)
        n += store_count(counts, *of);
    return n;
}

uint64_t policy_txn_suffixes(const struct policy_txn *t)
{
    return count(t, (const char[]){TABLE_SUFFIX, TABLE_BELOW, 0});
}

bool policy_txn_is_empty(const struct policy_txn *t)
{
    return count(t, (const char[]){TABLE_NETWORK, TABLE_POOL, TABLE_RULE, TABLE_LISTED, 0}) == 0;
}

int policy_txn_get(struct policy_txn *t, enum policy_kind kind, const char *name,
                   union policy_object *out)
{
    struct store_bytes v;
    struct store_key k;
    int rc;

    *out = (union policy_object){.rule = {.n_suffixes = 0}};
    copy_cut(out->name, sizeof out->name, name);
    key_named(&k, tables[kind], name);
    rc = store_get(t->txn, &k, &v);
    if (rc != 0)
        return rc;
    return record_read(tables[kind], out, &v);
}

void policy_object_fini(enum policy_kind kind, union policy_object *o)
{
    if (kind == POLICY_NETWORK)
        policy_network_fini(&o->network);
    else if (kind == POLICY_POOL)
        policy_pool_fini(&o->pool);
    else if (kind == POLICY_RULE)
        policy_rule_fini(&o->rule);
}

/* --- the list ------------------------------------------------------------- */

void policy_changes_add(struct changes *l, enum policy_kind kind, enum change_verb verb,
                        const void *is)
{
    if (l->n == l->max) {
        size_t max = l->max * 2 + 16;
        struct change *more = realloc(l->at, max * sizeof *more);

        l->failed = l->failed || more == NULL;
        if (more == NULL)
            return;
        l->at = more;
        l->max = max;
    }
    l->at[l->n++] = (struct change){.kind = kind, .verb = verb, .is.name = (char *)(uintptr_t)is};
}

void policy_changes_fini(struct changes *l)
{
    arena_free(l->arena);
    free(l->at);
    *l = (struct changes){0};
}

/* The objects of a kind: what the store has and these are not goes. */
struct objects {
    enum policy_kind kind;
    const void *at; /* sorted */
    size_t n, size;
    int (*compare)(const void *, const void *);
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int by_target(const void *a, const void *b)
{
    const struct policy_approved *x = a, *y = b;
    int c = policy_target_compare(&x->target, &y->target);

    return c != 0 ? c : (int)x->port - (int)y->port;
}

static int remove_unknown(struct changes *l, struct store_txn *t, const struct objects *o)
{
    struct store_record r;
    struct store_key table;
    int rc;

    key_named(&table, tables[o->kind], "");
    for (rc = store_seek(t, &table, 1, &r); rc == 0 || rc == -EBADMSG;
         rc = store_next(t, &table, 1, &r)) {
        union {
            char name[POLICY_NAME];
            struct policy_approved approved;
        } found, *kept;

        if (o->kind == POLICY_APPROVED ? !key_read_target(&r.key, &found.approved)
                                       : !key_read_name(&r.key, found.name))
            continue; /* nothing that we wrote */
        if (o->n > 0 && bsearch(&found, o->at, o->n, o->size, o->compare) != NULL)
            continue;
        kept = arena_alloc(l->arena, sizeof *kept);
        if (kept == NULL)
            return -ENOMEM;
        *kept = found;
        policy_changes_add(l, o->kind, CHANGE_REMOVE, kept);
    }
    return rc == -ENOENT ? 0 : rc;
}

int policy_changes_make(struct changes *l, struct policy_txn *t, const struct policy *p,
                        enum policy_how how)
{
    const struct objects all[] = {
        {POLICY_NETWORK, p->networks, p->n_networks, sizeof *p->networks, by_name},
        {POLICY_POOL, p->pools, p->n_pools, sizeof *p->pools, by_name},
        {POLICY_APPROVED, p->approved, p->n_approved, sizeof *p->approved, by_target},
        {POLICY_RULE, p->rules, p->n_rules, sizeof *p->rules, by_name},
    };

    *l = (struct changes){.from = p, .replace = how == POLICY_REPLACE, .arena = arena_new()};
    if (l->arena == NULL)
        return -ENOMEM;
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        struct objects o = all[k];
        bool join = o.kind == POLICY_RULE && how == POLICY_JOIN;
        int rc;

        for (size_t i = 0; i < o.n; i++)
            policy_changes_add(l, o.kind, join ? CHANGE_ADD : CHANGE_SET,
                               (const char *)o.at + i * o.size);
        if (l->replace && (rc = remove_unknown(l, t->txn, &o)) != 0)
            return rc;
    }
    return l->failed ? -ENOMEM : 0;
}

/* --- suffixes ------------------------------------------------------------- */

static int put_suffix(struct policy_txn *t, struct change *c, size_t i)
{
    struct suffix *all = c->is.rule->suffixes, s = all[i];
    struct store_key k;
    int rc;

    key_suffix(&k, &s, c->is.name);
    rc = record_put(t->txn, &k, NULL, 0);
    if (rc == STORE_ADDED) {
        if (c->verb == CHANGE_ADD) {
            all[i] = all[c->more];
            all[c->more] = s;
        }
        c->more++;
    }
    return rc;
}

static int by_suffix(const void *a, const void *b)
{
    return suffix_compare(a, b);
}

/* Removes the suffixes whose keys, in whichever table, begin like that, but for
 * those that their rules have in `kept`; *less counts them. */
static int remove_suffixes(struct policy_txn *t, const struct store_key *all,
                           const struct policy *kept, size_t *less)
{
    struct store_key last = *all, k;
    struct store_record r;
    int rc;

    while ((rc = store_after(t->txn, &last, all->len, &r)) == 0 || rc == -EBADMSG) {
        const struct policy_rule *has = NULL;
        char rule[POLICY_NAME];
        struct suffix s;

        store_key_copy(&last, &r.key);
        rc = -ENOENT;
        if (last.data[0] == TABLE_RULE_SUFFIX ? key_read_rule_suffix(&r.key, rule, &s)
                                              : key_read_suffix(&r.key, &s, rule)) {
            has = policy_find_rule(kept, rule);
            if (has != NULL && has->n_suffixes > 0 &&
                bsearch(&s, has->suffixes, has->n_suffixes, sizeof s, by_suffix) != NULL)
                continue;
            key_suffix(&k, &s, rule);
            rc = record_del(t->txn, &k);
            *less += rc == 0;
        }
        if (rc == -ENOENT) /* what no suffix is behind */
            rc = store_del(t->txn, &last);
        if (rc != 0 && rc != -ENOENT)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int drop_suffixes(struct policy_txn *t, struct change *c, struct diags *d)
{
    const struct policy_rule *r = c->is.rule;
    char text[SUFFIX_TEXT];
    struct store_key k;
    int rc = 0;

    for (size_t i = 0; i < r->n_suffixes && rc == 0; i++) {
        key_suffix(&k, &r->suffixes[i], r->name);
        rc = k.len > 0 ? record_del(t->txn, &k) : -ENOENT;
        c->less += rc == 0;
        if (rc == -ENOENT)
            diags_add(d, NULL, 0, 0, "rule %s has no suffix %s", r->name,
                      suffix_print(&r->suffixes[i], text));
    }
    return rc;
}

/* --- the list into the store ---------------------------------------------- */

/* Always fits: a name with a port does, of whatever octets. */
static void object_key(struct store_key *k, const struct change *c)
{
    if (c->kind == POLICY_APPROVED)
        key_target(k, TABLE_LISTED, &c->is.approved->target, c->is.approved->port, "");
    else
        key_named(k, tables[c->kind], c->is.name);
}

static int remove_object(struct policy_txn *t, struct change *c, struct diags *d)
{
    const struct policy none = {.n_rules = 0};
    char text[NAME_TEXT];
    struct store_key k;
    int rc;

    object_key(&k, c);
    rc = record_del(t->txn, &k);
    if (rc == -ENOENT && c->kind == POLICY_APPROVED)
        diags_add(d, NULL, 0, 0, "%s:%u is not listed as approved (hosts of pools always are)",
                  name_print(&c->is.approved->target, text), (unsigned)c->is.approved->port);
    else if (rc == -ENOENT)
        diags_add(d, NULL, 0, 0, "there is no %s %s", policy_kind_names[c->kind], c->is.name);
    if (rc != 0)
        return rc;
    c->state = CHANGE_GONE;
    key_rule_suffix(&k, c->is.name, NULL);
    return c->kind == POLICY_RULE ? remove_suffixes(t, &k, &none, &c->less) : 0;
}

/* Writes the row's object, and says what that made of it. */
static int put_object(struct policy_txn *t, struct change *c)
{
    const struct policy_rule *r = c->is.rule;
    size_t size = c->kind == POLICY_NETWORK ? c->is.network->n * 17 : RECORD_POOL_MAX;
    uint8_t *value = malloc(size);
    struct writer w = writer_make(value, size);
    struct store_bytes there;
    struct store_key k;
    int rc = STORE_SAME;

    if (value == NULL)
        return -ENOMEM;
    /* What was accepted fits. */
    if (c->kind == POLICY_NETWORK)
        network_write(&w, c->is.network);
    else if (c->kind == POLICY_POOL)
        pool_write(&w, c->is.pool);
    else if (c->kind == POLICY_RULE)
        rule_write(&w, r);
    object_key(&k, c);
    if (c->verb != CHANGE_ADD || store_get(t->txn, &k, &there) == -ENOENT)
        rc = record_put(t->txn, &k, value, w.len);
    free(value);
    if (rc < 0)
        return rc;
    c->state = rc == STORE_ADDED ? CHANGE_NEW : rc == STORE_REPLACED ? CHANGE_MOVED : CHANGE_SAME;
    if (c->kind != POLICY_RULE || c->verb == CHANGE_HEAD)
        return 0;
    if (c->verb == CHANGE_SET) {
        const struct policy kept = {.rules = c->is.rule, .n_rules = 1};

        key_rule_suffix(&k, r->name, NULL);
        rc = remove_suffixes(t, &k, &kept, &c->less);
    }
    /* In the order of the keys, so that each page of the index is filled once. */
    for (size_t i = 0; i < r->n_suffixes && rc >= 0; i++)
        rc = put_suffix(t, c, i);
    return rc < 0 ? rc : 0;
}

static int apply_row(struct policy_txn *t, const struct changes *l, struct change *c,
                     struct diags *d)
{
    bool goes = c->verb == CHANGE_REMOVE;
    struct log_rules *log = &t->rules;
    unsigned i = 0;
    int rc = 0;

    c->state = CHANGE_SAME;
    c->more = c->less = 0;
    if (goes && (c->kind == POLICY_NETWORK || c->kind == POLICY_POOL))
        rc = accept_removal(t->txn, tables[c->kind], c->is.name, d);
    else if (!goes && c->kind == POLICY_NETWORK)
        rc = accept_network(c->is.network, d);
    else if (!goes && c->kind == POLICY_POOL)
        rc = accept_pool(c->is.pool, d);
    else if (!goes && c->kind == POLICY_RULE && c->verb != CHANGE_DROP)
        rc = accept_rule(l->from, t->txn, l->replace, c->is.rule,
                         c->verb == CHANGE_ADD    ? ACCEPT_ADDED
                         : c->verb == CHANGE_HEAD ? ACCEPT_KEPT
                                                  : ACCEPT_SET,
                         d);
    if (rc != 0)
        return rc;
    rc = goes                     ? remove_object(t, c, d)
         : c->verb == CHANGE_DROP ? drop_suffixes(t, c, d)
                                  : put_object(t, c);
    if (c->state == CHANGE_SAME && c->more + c->less > 0)
        c->state = CHANGE_MOVED;
    if (c->state == CHANGE_SAME)
        return rc;
    t->networks_moved |= c->kind == POLICY_NETWORK;
    if (c->kind != POLICY_RULE)
        return rc;
    while (i < log->n && strcmp(log->names[i], c->is.name) != 0)
        i++;
    if (i == LOG_RULES)
        log->more = true;
    else if (i == log->n)
        copy_cut(log->names[log->n++], POLICY_NAME, c->is.name);
    return rc;
}

int policy_change_apply(struct policy_txn *t, struct changes *l, struct diags *d)
{
    static const uint8_t suffixes[] = {TABLE_SUFFIX, TABLE_BELOW, TABLE_RULE_SUFFIX};
    size_t strays = 0;
    int first = 0;

    if (l->failed)
        return -ENOMEM;
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < l->n; i++) {
            struct change *c = &l->at[i];
            bool is_last = c->verb == CHANGE_REMOVE && c->kind != POLICY_RULE;
            int rc = is_last == (last == 1) ? apply_row(t, l, c, d) : 0;

            if (store_differs(t->txn) < 0 || rc == -ENOMEM)
                return rc;
            first = first == 0 ? rc : first;
        }
    if (!l->replace)
        return first;
    /* A policy that is replaced has nothing left of what damage made of the old one:
     * suffixes of no rule, entries of nothing. */
    t->networks_moved = t->rules.more = true;
    for (size_t i = 0; i < ARRAY_LEN(suffixes) && first == 0; i++) {
        const struct store_key all = {1, {suffixes[i]}};

        first = remove_suffixes(t, &all, l->from, &strays);
    }
    return first == 0 ? record_make_entries(t->txn) : first;
}

int policy_change_put(struct store *store, const struct policy_change *change,
                      const struct policy *p, enum policy_how how, struct diags *d)
{
    struct changes l;
    struct policy_txn *t;
    uint64_t serial;
    bool changed;
    int rc = policy_txn_begin(&t, store, change, &serial);

    if (rc != 0)
        return rc;
    rc = policy_changes_make(&l, t, p, how);
    if (rc == 0)
        rc = policy_change_apply(t, &l, d);
    policy_changes_fini(&l);
    if (rc == 0)
        return policy_txn_commit(t, &serial, &changed);
    policy_txn_abort(t);
    return rc;
}
