/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.c -- one change of the policy (change.h): the list, and how it gets
 * into the store.
 *
 * A row is refused before its first record is written. Any other failure spoils
 * the transaction: the commit fails too. The digest tells in the end whether
 * anything differs: a change that is undone within the transaction, or a policy
 * that is replaced by the same policy, makes no serial.
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

int policy_txn_commit(struct policy_txn *t, uint64_t *serial, bool *changed)
{
    const struct store_counts *counts;
    int rc = t->networks_moved ? ranges_derive(t->txn) : 0;

    *serial = t->serial;
    *changed = false;
    if (rc == 0)
        rc = store_differs(t->txn);
    if (rc <= 0)
        goto aborted;
    counts = store_counts(t->txn);
    rc = -EIO;
    if (counts == NULL)
        goto aborted;
    t->entry.serial = t->serial + 1;
    t->entry.digest = counts->digest;
    rc = log_append(t->txn, &t->entry, &t->rules);
    if (rc == 0 && t->history_ms != 0 && t->entry.time_ms > t->history_ms)
        rc = log_prune(t->txn, t->entry.time_ms - t->history_ms);
    if (rc != 0)
        goto aborted;
    rc = store_commit(t->txn);
    *changed = rc == 0;
    *serial += rc == 0;
    free(t);
    return rc;

aborted:
    policy_txn_abort(t);
    return rc;
}

void policy_txn_note(struct policy_txn *t, const char *text)
{
    if (t->summary.len > 0)
        str_add(&t->summary, "; ");
    str_add(&t->summary, text);
}

void policy_txn_counts(const struct policy_txn *t, struct policy_counts *out)
{
    if (policy_counts_read(t->txn, out) != 0)
        *out = (struct policy_counts){.serial = 0};
}

int policy_txn_get(struct policy_txn *t, enum policy_kind kind, const char *name,
                   union policy_object *out)
{
    struct store_bytes v;
    struct store_key k;
    int rc;

    *out = (union policy_object){.rule = {.n_suffixes = 0}};
    copy_cut(out->name, sizeof out->name, name);
    key_named(&k, policy_tables[kind], name);
    rc = store_get(t->txn, &k, &v);
    if (rc != 0)
        return rc;
    return record_read(policy_tables[kind], out, &v);
}

/* --- the list ------------------------------------------------------------- */

void policy_changes_add(struct changes *l, enum policy_kind kind, enum change_verb verb,
                        const void *is)
{
    if (l->n == l->max) {
        size_t max = l->max * 2 + 16;
        struct change *more = realloc(l->list, max * sizeof *more);

        l->failed = l->failed || more == NULL;
        if (more == NULL)
            return;
        l->list = more;
        l->max = max;
    }
    l->list[l->n++] = (struct change){.kind = kind, .verb = verb, .is.name = (char *)(uintptr_t)is};
}

void policy_changes_fini(struct changes *l)
{
    arena_free(l->arena);
    free(l->list);
    *l = (struct changes){0};
}

/* What the store has of a kind, and these n objects are not, goes. */
static int remove_others(struct changes *l, struct store_txn *t, enum policy_kind kind)
{
    const struct store_key table = {1, {(uint8_t)policy_tables[kind]}};
    bool targets = kind == POLICY_APPROVED;
    struct store_record r;
    int rc;

    for (rc = store_seek(t, &table, 1, &r); rc == 0 || rc == -EBADMSG;
         rc = store_next(t, &table, 1, &r)) {
        union {
            char name[POLICY_NAME];
            struct policy_approved approved;
        } found, *kept;

        if (targets ? !key_read_target(&r.key, &found.approved)
                    : !key_read_name(&r.key, found.name))
            continue; /* nothing that we wrote */
        if (policy_find(l->from, kind, &found) != NULL)
            continue;
        kept = arena_alloc(l->arena, sizeof *kept);
        if (kept == NULL)
            return -ENOMEM;
        *kept = found;
        policy_changes_add(l, kind, CHANGE_REMOVE, kept);
    }
    return rc == -ENOENT ? 0 : rc;
}

int policy_changes_make(struct changes *l, struct policy_txn *t, const struct policy *p,
                        enum policy_how how)
{
    int rc = 0;

    *l = (struct changes){.from = p, .replace = how == POLICY_REPLACE, .arena = arena_new()};
    if (l->arena == NULL)
        return -ENOMEM;
    for (enum policy_kind kind = 0; kind < POLICY_KINDS && rc == 0; kind++) {
        bool joins = kind == POLICY_RULE && how == POLICY_JOIN;
        const void *o;

        for (size_t i = 0; (o = policy_object(p, kind, i)) != NULL; i++)
            policy_changes_add(l, kind, joins ? CHANGE_ADD : CHANGE_SET, o);
        if (l->replace)
            rc = remove_others(l, t->txn, kind);
    }
    return l->failed ? -ENOMEM : rc;
}

/* --- what is refused ------------------------------------------------------

   A file that stands alone has all that its rules name; one that is merged, and
   the rule of a verb, may name what the store has. That is looked up inside the
   transaction that writes, so nothing can change between the look and the write. */

/* Is what the rule names in p or in the store? Either may be NULL. 0, or -ENOENT told. */
static int accept_names(const struct policy *p, struct store_txn *t, const struct policy_rule *r,
                        struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i <= r->n_networks; i++) {
        bool is_pool = i == r->n_networks; /* after the networks */
        enum policy_kind kind = is_pool ? POLICY_POOL : POLICY_NETWORK;
        const char *name = is_pool ? r->pool : r->networks[i], *what = policy_kind_names[kind];
        struct policy_place place = is_pool                     ? r->pool_place
                                    : r->network_places != NULL ? r->network_places[i]
                                                                : r->place;
        const char **names;
        char meant[DIAG_MEANT];
        struct store_bytes v;
        struct store_key k;
        size_t n;

        if ((is_pool ? name[0] == '\0' : strcmp(name, "any") == 0) ||
            (p != NULL && policy_find(p, kind, name) != NULL))
            continue;
        key_named(&k, policy_tables[kind], name);
        if (t != NULL && store_get(t, &k, &v) != -ENOENT) /* a damaged one is there */
            continue;
        rc = -ENOENT;
        if (p == NULL) {
            diags_add(d, NULL, 0, 0, "rule %s: there is no %s %s (policy %s set %s %s... makes it)",
                      r->name, what, name, what, name, is_pool ? "HOST" : "PREFIX");
            continue;
        }
        /* Which name of p may be meant? */
        n = is_pool ? p->n_pools : p->n_networks;
        names = calloc(n + 1, sizeof *names);
        for (size_t m = 0; names != NULL && m < n; m++)
            names[m] = policy_object(p, kind, m);
        diags_add(d, p->file, place.line, place.column, "rule %s: there is no %s %s%s", r->name,
                  what, name, names != NULL ? diag_meant(name, names, meant) : "");
        free(names);
    }
    return rc;
}

int policy_references(const struct policy *p, struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i < p->n_rules; i++)
        if (accept_names(p, NULL, &p->rules[i], d) != 0)
            rc = -EINVAL;
    return rc;
}

/* Is the rule, with what becomes of its suffixes, one that may be? */
static int accept_rule(struct policy_txn *t, const struct changes *l, const struct change *c,
                       struct diags *d)
{
    const struct policy_rule *r = c->is.rule;
    struct policy_rule judged = *r; /* as it will be, for its check */
    union policy_object was = {.rule = {.n_suffixes = 0}};
    struct store_record entry;
    char name[POLICY_NAME];
    struct suffix wide;
    struct store_key k;
    int rc = -ENOENT, named;

    if (c->verb != CHANGE_SET)
        rc = policy_txn_get(t, POLICY_RULE, r->name, &was);
    if (c->verb == CHANGE_ADD && rc == 0) {
        judged = was.rule;
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else if (c->verb == CHANGE_ADD && rc != -ENOENT) {
        return rc;
    } else if (c->verb == CHANGE_HEAD) {
        judged.suffixes = &wide;
        judged.n_suffixes = 0;
        /* Without networks, no suffix that stays may be wide. */
        key_rule_suffix(&k, r->name, NULL);
        if (r->n_networks == 0 && (rc != 0 || was.rule.n_networks > 0))
            for (rc = store_seek(t->txn, &k, k.len, &entry);
                 judged.n_suffixes == 0 && (rc == 0 || rc == -EBADMSG);
                 rc = store_next(t->txn, &k, k.len, &entry))
                judged.n_suffixes =
                    key_read_rule_suffix(&entry.key, name, &wide) && suffix_is_wide(&wide);
    }
    rc = rc == -EIO ? rc : policy_rule_check(&judged, d);
    named = accept_names(l->from, l->replace ? NULL : t->txn, r, d);
    rc = rc == 0 ? named : rc;
    for (size_t i = 0; c->verb != CHANGE_HEAD && rc == 0 && i < r->n_suffixes; i++) {
        key_suffix(&k, &r->suffixes[i], r->name);
        rc = k.len == 0 ? -ENAMETOOLONG : 0;
    }
    policy_object_fini(POLICY_RULE, &was.rule);
    return rc;
}

/* What is refused, before the row's first record is written. */
static int accept_row(struct policy_txn *t, const struct changes *l, const struct change *c,
                      struct diags *d)
{
    const struct policy_network *n = c->is.network;
    const struct policy_pool *p = c->is.pool;
    struct store_record user;
    struct store_key k;
    bool used = false;
    const char *why;
    int rc;

    if (c->verb == CHANGE_REMOVE && (c->kind == POLICY_NETWORK || c->kind == POLICY_POOL)) {
        key_user(&k, policy_tables[c->kind], c->is.name, "");
        for (rc = store_seek(t->txn, &k, k.len, &user); rc == 0;
             rc = store_next(t->txn, &k, k.len, &user)) {
            used = true;
            diags_add(d, NULL, 0, 0, "%s %s is in use: %.*s", policy_kind_names[c->kind],
                      c->is.name, (int)(user.key.len - k.len), (const char *)user.key.data + k.len);
        }
        return rc != -ENOENT ? rc : used ? -EBUSY : 0;
    }
    if (c->verb == CHANGE_REMOVE || c->verb == CHANGE_DROP || c->kind == POLICY_APPROVED)
        return 0;
    if (c->kind == POLICY_RULE)
        return accept_rule(t, l, c, d);
    if (c->kind == POLICY_NETWORK && policy_name_check(n->name, &why) != 0)
        return diags_add(d, NULL, 0, 0, "network \"%s\": %s", n->name, why);
    if (c->kind == POLICY_NETWORK)
        return n->n > 0 ? 0 : diags_add(d, NULL, 0, 0, "network %s: has no prefix", n->name);
    if (policy_pool_check(p, d) != 0)
        return -EINVAL;
    for (size_t i = 0; i < p->n; i++) {
        key_target(&k, TABLE_APPROVED, &p->hosts[i].target, p->hosts[i].port, p->name);
        if (k.len == 0)
            return -ENAMETOOLONG;
    }
    return 0;
}

/* --- suffixes ------------------------------------------------------------- */

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
            has = policy_find(kept, POLICY_RULE, rule);
            if (has != NULL && has->n_suffixes > 0 &&
                bsearch(&s, has->suffixes, has->n_suffixes, sizeof s, suffix_compare) != NULL)
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

/* --- the list into the store ---------------------------------------------- */

/* Always fits: a name with a port does, of whatever octets. */
static void object_key(struct store_key *k, const struct change *c)
{
    if (c->kind == POLICY_APPROVED)
        key_target(k, TABLE_LISTED, &c->is.approved->target, c->is.approved->port, "");
    else
        key_named(k, policy_tables[c->kind], c->is.name);
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
    record_write(policy_tables[c->kind], c->is.name, &w);
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
    for (size_t i = 0; i < r->n_suffixes && rc >= 0; i++) {
        const struct suffix one = r->suffixes[i];

        key_suffix(&k, &one, r->name);
        rc = record_put(t->txn, &k, NULL, 0);
        if (rc == STORE_ADDED && c->verb == CHANGE_ADD) {
            r->suffixes[i] = r->suffixes[c->more];
            r->suffixes[c->more] = one;
        }
        c->more += rc == STORE_ADDED;
    }
    return rc < 0 ? rc : 0;
}

static int apply_row(struct policy_txn *t, const struct changes *l, struct change *c,
                     struct diags *d)
{
    struct log_rules *log = &t->rules;
    char text[SUFFIX_TEXT];
    struct store_key key;
    unsigned i = 0;
    int rc;

    c->state = CHANGE_SAME;
    c->more = c->less = 0;
    rc = accept_row(t, l, c, d);
    if (rc != 0)
        return rc;
    if (c->verb == CHANGE_REMOVE)
        rc = remove_object(t, c, d);
    else if (c->verb != CHANGE_DROP)
        rc = put_object(t, c);
    for (size_t k = 0; c->verb == CHANGE_DROP && k < c->is.rule->n_suffixes && rc == 0; k++) {
        const struct suffix *s = &c->is.rule->suffixes[k];

        key_suffix(&key, s, c->is.name);
        rc = key.len > 0 ? record_del(t->txn, &key) : -ENOENT;
        c->less += rc == 0;
        if (rc == -ENOENT)
            diags_add(d, NULL, 0, 0, "rule %s has no suffix %s", c->is.name, suffix_print(s, text));
    }
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
            struct change *c = &l->list[i];
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
