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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
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

static const char *text_or_none(const char *text)
{
    return text != NULL ? text : "";
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
    snprintf(t->entry.author, sizeof t->entry.author, "%s", text_or_none(change->author));
    snprintf(t->entry.claimed, sizeof t->entry.claimed, "%s", text_or_none(change->claimed));
    snprintf(t->entry.reason, sizeof t->entry.reason, "%s", text_or_none(change->reason));
    t->entry.time_ms = change->now_ms;
    t->history_ms = change->history_ms;
    str_init(&t->summary, t->entry.summary, sizeof t->entry.summary);
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
    int rc = t->networks_moved ? ranges_derive(t->txn) : 0;

    *serial = t->serial;
    *changed = false;
    if (rc == 0)
        rc = store_differs(t->txn);
    if (rc <= 0)
        goto aborted;
    t->entry.serial = t->serial + 1;
    t->entry.digest = store_counts(t->txn)->digest;
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
    return record_get(t->txn, kind, name, out);
}

/* --- the list ------------------------------------------------------------- */

void policy_changes_add(struct changes *l, enum policy_kind kind, enum change_verb verb,
                        const void *is)
{
    struct change *list = policy_list_add(l->list, l->n, sizeof *list);

    l->failed = l->failed || list == NULL;
    if (list == NULL)
        return;
    l->list = list;
    list[l->n++] = (struct change){.kind = kind, .verb = verb, .is.name = (char *)(uintptr_t)is};
}

void policy_changes_fini(struct changes *l)
{
    arena_free(l->arena);
    free(l->list);
    *l = (struct changes){0};
}

/* What the store has of a kind, and the list was not made of, goes. */
static int remove_others(struct changes *l, struct store_txn *t, enum policy_kind kind)
{
    const struct store_key table = {1, {(uint8_t)policy_tables[kind]}};
    struct store_record r;
    int rc;

    for (rc = store_step(t, STORE_SEEK, &table, 1, &r); rc == 0;
         rc = store_step(t, STORE_NEXT, &table, 1, &r)) {
        union policy_object *o = arena_alloc(l->arena, sizeof o->approved);
        struct policy_key k;

        if (o == NULL)
            return -ENOMEM;
        if (!key_read(&r.key, &k))
            return -EBADMSG;
        if (kind == POLICY_APPROVED)
            o->approved = (struct policy_approved){k.suffix.name, k.port};
        else
            memcpy(o->name, k.owner, sizeof o->name);
        if (policy_find(l->from, kind, o) == NULL)
            policy_changes_add(l, kind, CHANGE_REMOVE, o);
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
        if (t != NULL && store_get(t, &k, &v) == 0)
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
    struct store_key k;
    struct policy_key wide;
    int rc = -ENOENT, named;

    if (c->verb != CHANGE_SET)
        rc = record_get(t->txn, POLICY_RULE, r->name, &was);
    if (c->verb == CHANGE_ADD && rc == 0) {
        judged = was.rule;
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else if (c->verb == CHANGE_HEAD) {
        judged.suffixes = &wide.suffix;
        judged.n_suffixes = 0;
        /* Without networks, no suffix that stays may be wide. */
        key_make(&k, TABLE_RULE_SUFFIX, &(struct key_parts){.front = r->name});
        if (r->n_networks == 0 && (rc != 0 || was.rule.n_networks > 0))
            for (rc = store_step(t->txn, STORE_SEEK, &k, k.len, &entry);
                 judged.n_suffixes == 0 && rc == 0;
                 rc = store_step(t->txn, STORE_NEXT, &k, k.len, &entry))
                judged.n_suffixes = key_read(&entry.key, &wide) && suffix_is_wide(&wide.suffix);
    }
    rc = rc < 0 && rc != -ENOENT ? rc : policy_rule_check(&judged, d);
    named = accept_names(l->from, l->replace ? NULL : t->txn, r, d);
    policy_object_fini(POLICY_RULE, &was);
    return rc == 0 ? named : rc;
}

/* What is refused, before the row's first record is written. */
static int accept_row(struct policy_txn *t, const struct changes *l, const struct change *c,
                      struct diags *d)
{
    bool is_network = c->kind == POLICY_NETWORK;
    const char *name = c->is.name, *why;
    struct store_record user;
    struct store_key k;
    bool used = false;
    int rc;

    if (c->verb == CHANGE_REMOVE && (is_network || c->kind == POLICY_POOL)) {
        key_make(&k, is_network ? TABLE_NETWORK_USER : TABLE_POOL_USER,
                 &(struct key_parts){.front = name});
        for (rc = store_step(t->txn, STORE_SEEK, &k, k.len, &user); rc == 0;
             rc = store_step(t->txn, STORE_NEXT, &k, k.len, &user)) {
            used = true;
            diags_add(d, NULL, 0, 0, "%s %s is in use: %.*s", policy_kind_names[c->kind], name,
                      (int)(user.key.len - k.len), (const char *)user.key.data + k.len);
        }
        return rc != -ENOENT ? rc : used ? -EBUSY : 0;
    }
    if (c->verb == CHANGE_REMOVE || c->verb == CHANGE_DROP || c->kind == POLICY_APPROVED)
        return 0;
    if (c->kind == POLICY_RULE)
        return accept_rule(t, l, c, d);
    if (c->kind == POLICY_POOL)
        return policy_pool_check(c->is.pool, d);
    if ((why = policy_name_check(name)) != NULL)
        return diags_add(d, NULL, 0, 0, "network \"%s\": %s", name, why);
    return c->is.network->n > 0 ? 0 : diags_add(d, NULL, 0, 0, "network %s: has no prefix", name);
}

/* --- the list into the store ---------------------------------------------- */

/* Removes the suffixes of a rule, but for those that are in `kept`; how many, or -errno. */
static int remove_suffixes(struct store_txn *t, const char *rule, const struct policy_rule *kept)
{
    struct store_key all, last;
    struct store_record r;
    int rc, n = 0;

    key_make(&all, TABLE_RULE_SUFFIX, &(struct key_parts){.front = rule});
    last = all;
    while ((rc = store_step(t, STORE_AFTER, &last, all.len, &r)) == 0) {
        struct policy_key k;

        store_key_copy(&last, &r.key);
        if (!key_read(&r.key, &k))
            return -EBADMSG;
        if (kept->n_suffixes > 0 && bsearch(&k.suffix, kept->suffixes, kept->n_suffixes,
                                            sizeof k.suffix, suffix_compare) != NULL)
            continue;
        rc = record_set_suffix(t, &k.suffix, rule, false);
        if (rc != 0)
            return rc;
        n++;
    }
    return rc == -ENOENT ? n : rc;
}

/* The suffixes of a rule become those of the row, or some more, or some less. */
static int set_suffixes(struct store_txn *t, struct change *c, struct diags *d)
{
    const struct policy_rule none = {.n_suffixes = 0}, *r = c->is.rule;
    bool drop = c->verb == CHANGE_DROP, goes = c->verb == CHANGE_REMOVE;
    char text[SUFFIX_TEXT];
    int rc = 0;

    if (c->verb == CHANGE_SET || goes) {
        rc = remove_suffixes(t, c->is.name, goes ? &none : r);
        c->less = rc > 0 ? (size_t)rc : 0;
    }
    /* In the order of the keys, so that each page of the index is filled once. */
    for (size_t i = 0; !goes && i < r->n_suffixes && rc >= 0; i++) {
        const struct suffix one = r->suffixes[i];

        rc = record_set_suffix(t, &one, r->name, !drop);
        if (drop && rc == -ENOENT)
            diags_add(d, NULL, 0, 0, "rule %s has no suffix %s", r->name, suffix_print(&one, text));
        if (rc == -ENAMETOOLONG)
            return diags_add(d, NULL, 0, 0, "rule %s: suffix %s is too long", r->name,
                             suffix_print(&one, text));
        c->less += drop && rc == 0;
        if (drop || rc != STORE_ADDED)
            continue;
        if (c->verb == CHANGE_ADD) {
            r->suffixes[i] = r->suffixes[c->more];
            r->suffixes[c->more] = one;
        }
        c->more++;
    }
    return rc < 0 ? rc : 0;
}

static int apply_row(struct policy_txn *t, const struct changes *l, struct change *c,
                     struct diags *d)
{
    static const enum change_state states[] = {
        [STORE_SAME] = CHANGE_SAME, [STORE_ADDED] = CHANGE_NEW, [STORE_REPLACED] = CHANGE_MOVED};
    const struct policy_approved *a = c->is.approved;
    struct log_rules *log = &t->rules;
    char text[NAME_TEXT];
    struct store_bytes v;
    struct store_key k;
    unsigned i = 0;
    int rc;

    c->state = CHANGE_SAME;
    c->more = c->less = 0;
    rc = accept_row(t, l, c, d);
    if (rc != 0)
        return rc;
    key_object(&k, c->kind, c->is.name);
    if (c->verb == CHANGE_REMOVE) {
        rc = record_del(t->txn, c->kind, c->is.name);
        c->state = CHANGE_GONE;
    } else if (c->verb < CHANGE_ADD ||
               (c->verb == CHANGE_ADD && store_get(t->txn, &k, &v) == -ENOENT)) {
        rc = record_put(t->txn, c->kind, c->is.name);
        c->state = rc >= 0 ? states[rc] : CHANGE_SAME;
    }
    if (rc == -ENOENT && c->kind == POLICY_APPROVED)
        diags_add(d, NULL, 0, 0, "%s:%u is not listed as approved (hosts of pools always are)",
                  name_print(&a->target, text), (unsigned)a->port);
    else if (rc == -ENOENT)
        diags_add(d, NULL, 0, 0, "there is no %s %s", policy_kind_names[c->kind], c->is.name);
    if (rc >= 0 && c->kind == POLICY_RULE && c->verb != CHANGE_HEAD)
        rc = set_suffixes(t->txn, c, d);
    if (rc < 0)
        return rc;
    if (c->state == CHANGE_SAME && c->more + c->less > 0)
        c->state = CHANGE_MOVED;
    if (c->state == CHANGE_SAME)
        return 0;
    t->networks_moved |= c->kind == POLICY_NETWORK;
    if (c->kind != POLICY_RULE)
        return 0;
    while (i < log->n && strcmp(log->names[i], c->is.name) != 0)
        i++;
    if (i == LOG_RULES)
        log->more = true;
    else if (i == log->n)
        snprintf(log->names[log->n++], POLICY_NAME, "%s", c->is.name);
    return 0;
}

int policy_change_apply(struct policy_txn *t, struct changes *l, struct diags *d)
{
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
    t->rules.more |= l->replace;
    return first;
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
