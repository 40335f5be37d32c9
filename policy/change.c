/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.c -- one change of the policy (change.h): the list, and how it gets into the store.
 *
 * A row is refused before its first record is written. Any other failure spoils the transaction:
 * the commit fails too. The digest tells in the end whether anything differs: a change that is
 * undone within the transaction, or a policy that is replaced by the same policy, makes no serial.
 *
 * A suffix is two keys without value: one in the index by suffix, for decisions, and one by rule,
 * so that a rule's million suffixes are a range that can be listed and removed.
 */
#include "policy/change.h"

#include "base/str.h"
#include "wire/present.h"

int policy_change_begin(struct policy_change *c, struct store *store)
{
    uint64_t time_ms;
    int rc = store_begin(store, true, &c->txn);

    c->changed = c->networks_moved = false;
    c->log.summary[0] = c->log.rules[0] = '\0';
    if (rc == 0)
        rc = log_last(c->txn, &c->serial, &time_ms);
    if (rc == 0)
        rc = history_begin(&c->history, c->txn, c->serial + 1, c->history_bytes);
    if (rc == 0 && c->bound && c->if_serial != c->serial)
        rc = -ESTALE;
    if (rc != 0)
        policy_change_abort(c);
    return rc;
}

void policy_change_abort(struct policy_change *c)
{
    store_end(c->txn);
    history_free(&c->history);
    c->txn = NULL;
}

int policy_change_commit(struct policy_change *c)
{
    int rc = c->networks_moved ? networks_check(c->txn) : 0;

    if (rc == 0)
        rc = store_differs(c->txn);
    if (rc <= 0) {
        policy_change_abort(c);
        return rc;
    }
    c->log.serial = c->serial + 1;
    c->log.digest = store_counts(c->txn)->digest;
    rc = log_append(c->txn, &c->log);
    if (rc == 0 && c->history_ms != 0 && c->log.time_ms > c->history_ms)
        rc = log_prune(c->txn, c->log.time_ms - c->history_ms);
    if (rc == 0)
        rc = history_end(&c->history, c->txn);
    if (rc == 0) {
        rc = store_commit(c->txn);
        c->txn = NULL;
    }
    policy_change_abort(c);
    c->changed = rc == 0;
    c->serial += rc == 0;
    return rc;
}

void policy_change_note(struct policy_change *c, const char *text)
{
    size_t len = strlen(c->log.summary);
    struct str s;

    str_init(&s, c->log.summary + len, sizeof c->log.summary - len);
    str_addf(&s, "%s%s", len > 0 ? "; " : "", text);
}

void policy_change_add(struct policy_change *c, enum policy_kind kind, enum change_verb verb,
                       const void *is)
{
    struct change *list = policy_list_add(c->list, c->n, sizeof *list);

    c->failed = c->failed || list == NULL;
    if (list == NULL)
        return;
    c->list = list;
    list[c->n++] = (struct change){.kind = kind, .verb = verb, .is.name = (char *)(uintptr_t)is};
}

void policy_change_fini(struct policy_change *c)
{
    for (size_t i = 0; i < c->n && c->restores; i++) /* each row has its own */
        policy_object_fini(c->list[i].kind, c->list[i].is.name);
    arena_free(c->arena);
    free(c->list);
    c->arena = NULL;
    c->list = NULL;
    c->from = NULL;
    c->n = 0;
    c->replace = c->failed = c->restores = false;
}

/* The hosts of the file take the place of those of the pool; what else it says stays. */
static int join_pool(struct store_txn *t, struct policy_pool *p)
{
    union policy_object was;
    int rc = record_get(t, POLICY_POOL, p->name, &was);

    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    p->allow_public = was.pool.allow_public;
    p->choice = was.pool.choice;
    p->pin_clients = was.pool.pin_clients;
    policy_object_fini(POLICY_POOL, &was);
    return 0;
}

int policy_change_make(struct policy_change *c, const struct policy *p, enum policy_how how)
{
    struct store_record r;
    const void *is;
    int rc = -ENOENT;

    c->from = p;
    c->replace = how == POLICY_REPLACE;
    if (c->arena == NULL && (c->arena = arena_new()) == NULL)
        return -ENOMEM;
    for (enum policy_kind kind = 0; kind < POLICY_KINDS && rc == -ENOENT; kind++) {
        const struct store_key table = {1, {(uint8_t)policy_tables[kind]}};
        bool joins = kind == POLICY_RULE && how == POLICY_JOIN;

        for (size_t i = 0; (is = policy_object(p, kind, i)) != NULL; i++) {
            policy_change_add(c, kind, joins ? CHANGE_ADD : CHANGE_SET, is);
            if (kind == POLICY_POOL && how == POLICY_JOIN) {
                int failed = join_pool(c->txn, &p->pools[i]);

                if (failed != 0)
                    return failed;
            }
        }
        if (!c->replace)
            continue;
        STORE_EACH(rc, c->txn, &table, &r) { /* what is not in p goes */
            union policy_object o, *gone;
            struct policy_key k;

            if (!key_read(&r.key, &k))
                return -EBADMSG;
            if (kind == POLICY_APPROVED)
                o.approved = (struct policy_approved){k.suffix.name, k.port};
            else
                memcpy(o.name, k.owner, sizeof o.name);
            if (policy_find(p, kind, &o) != NULL)
                continue;
            if ((gone = arena_alloc(c->arena, sizeof o)) == NULL)
                return -ENOMEM;
            *gone = o;
            policy_change_add(c, kind, CHANGE_REMOVE, gone);
        }
    }
    return c->failed ? -ENOMEM : rc == -ENOENT ? 0 : rc;
}

const char *policy_meant(const struct policy *p, struct store_txn *t, enum policy_kind kind,
                         const char *name, char out[DIAG_MEANT])
{
    const struct store_key table = {1, {(uint8_t)policy_tables[kind]}};
    char other[POLICY_NAME];
    struct store_record r;
    unsigned best = 0;
    int rc;

    out[0] = '\0';
    for (size_t i = 0; p != NULL && i < p->lists[kind].n; i++)
        diag_nearer(name, policy_object(p, kind, i), &best, out);
    if (t != NULL)
        STORE_EACH(rc, t, &table, &r)
            if (record_name(other, r.key.data + 1, r.key.len - 1))
                diag_nearer(name, other, &best, out);
    return out;
}

/* Is what the rule names in p or in the store? Either may be NULL: a file that stands alone has
 * all that its rules name. 0, or -ENOENT told. */
static int accept_names(const struct policy *p, struct store_txn *t, const struct policy_rule *r,
                        struct diags *d)
{
    int rc = 0;

    for (size_t i = 0; i <= r->n_networks; i++) {
        bool is_pool = i == r->n_networks; /* after the networks */
        enum policy_kind kind = is_pool ? POLICY_POOL : POLICY_NETWORK;
        const char *name = is_pool ? r->pool : r->networks[i], *what = policy_kind_names[kind];
        struct policy_place place = r->pool_place;
        char hint[2 * DIAG_MEANT];
        struct store_bytes v;
        struct store_key k;

        if ((is_pool ? name[0] == '\0' : strcmp(name, "any") == 0) ||
            (p != NULL && policy_find(p, kind, name) != NULL))
            continue;
        key_named(&k, policy_tables[kind], name);
        if (t != NULL && store_get(t, &k, &v) == 0)
            continue;
        rc = -ENOENT;
        if (i < POLICY_RULE_NETWORKS && !is_pool) /* too many are refused beside this */
            place = r->network_places[i];
        if (*policy_meant(p, t, kind, name, hint) == '\0' && p == NULL)
            snprintf(hint, sizeof hint, " (policy %s set %s %s... makes it)", what, name,
                     is_pool ? "HOST" : "PREFIX");
        diags_add(d, p != NULL ? p->file : NULL, place.line, place.column,
                  "rule %s: there is no %s %s%s", r->name, what, name, hint);
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
static int accept_rule(const struct policy_change *all, const struct change *c, struct diags *d)
{
    const struct policy_rule *r = c->is.rule;
    struct policy_rule judged = *r; /* as it will be, for its check */
    struct suffix *one;
    union policy_object was;
    struct store_record entry;
    struct store_key k;
    struct policy_key wide;
    char meant[DIAG_MEANT];
    int rc = record_get(all->txn, POLICY_RULE, r->name, &was), named;

    /* One that would be new, and is not whole, may be the name of another. */
    if (rc == -ENOENT && policy_actions[r->action].has_pool && r->pool[0] == '\0' &&
        *policy_meant(NULL, all->txn, POLICY_RULE, r->name, meant) != '\0')
        diags_tell(d, "there is no rule %s%s", r->name, meant);
    if (c->verb == CHANGE_ADD && rc == 0 && all->from != NULL &&
        (strcmp(was.rule.pool, r->pool) != 0 || was.rule.n_networks != r->n_networks ||
         memcmp(was.rule.networks, r->networks, r->n_networks * POLICY_NAME) != 0))
        rc = diags_add(d, all->from->file, r->pool_place.line, 0,
                       "rule %s is there with another pool or other networks", r->name);
    if (c->verb == CHANGE_ADD && rc == 0) {
        judged = was.rule;
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else if (c->verb == CHANGE_HEAD) {
        one = &wide.suffix;
        judged.suffixes = &one;
        judged.n_suffixes = 0;
        /* Without networks, no suffix that stays may be wide. */
        key_make(&k, TABLE_RULE_SUFFIX, &(struct key_parts){.front = r->name});
        if (r->n_networks == 0 && (rc != 0 || was.rule.n_networks > 0))
            STORE_EACH(rc, all->txn, &k, &entry) {
                judged.n_suffixes = key_read(&entry.key, &wide) && suffix_is_wide(&wide.suffix);
                rc = judged.n_suffixes > 0 ? -ENOENT : 0; /* one is enough */
            }
    }
    rc = rc < 0 && rc != -ENOENT ? rc : policy_rule_check(&judged, d);
    named = accept_names(all->from, all->txn, r, d);
    policy_object_fini(POLICY_RULE, &was);
    return rc == 0 ? named : rc;
}

/* What is refused, before the row's first record is written. */
static int accept_row(const struct policy_change *all, const struct change *c, struct diags *d)
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
        STORE_EACH(rc, all->txn, &k, &user) {
            used = true;
            diags_tell(d, "%s %s is in use: %.*s", policy_kind_names[c->kind], name,
                       (int)(user.key.len - k.len), (const char *)user.key.data + k.len);
        }
        return rc != -ENOENT ? rc : used ? -EBUSY : 0;
    }
    if (c->verb == CHANGE_REMOVE || c->verb == CHANGE_DROP || c->kind == POLICY_APPROVED)
        return 0;
    if (c->kind == POLICY_RULE)
        return accept_rule(all, c, d);
    if (c->kind == POLICY_POOL)
        return policy_pool_check(c->is.pool, d);
    if ((why = policy_name_check(name)) != NULL)
        return diags_tell(d, "network \"%s\": %s", name, why);
    return c->is.network->n > 0 ? 0 : diags_tell(d, "network %s: has no prefix", name);
}

/* As record_set_suffix(); what it was is kept, unless the rule was not there either. */
static int put_suffix(struct policy_change *all, const struct suffix *s, const char *rule, bool put,
                      bool is_new)
{
    const struct store_bytes empty = {(const uint8_t *)"", 0};
    int rc = record_set_suffix(all->txn, s, rule, put);
    struct store_key k;

    if (put ? rc != STORE_ADDED || is_new : rc != 0)
        return rc;
    key_make(&k, TABLE_RULE_SUFFIX,
             &(struct key_parts){.front = rule, .domain = &s->name, .number = s->below});
    history_keep(&all->history, &k, put ? NULL : &empty);
    history_write(&all->history, all->txn, false);
    return rc;
}

/* As record_set(); what it was is kept. */
static int put_record(struct policy_change *all, const struct change *c, bool put)
{
    size_t len = all->history.len;
    struct store_bytes was;
    struct store_key k;
    int rc;

    key_object(&k, c->kind, c->is.name);
    rc = store_get(all->txn, &k, &was);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    history_keep(&all->history, &k, rc == 0 ? &was : NULL);
    rc = record_set(all->txn, c->kind, c->is.name, put);
    if (rc == STORE_SAME || rc < 0)
        all->history.len = len;
    history_write(&all->history, all->txn, false);
    return rc;
}

/* Removes the suffixes of a rule, but for those that are in `kept`; how many, or -errno. */
static int remove_suffixes(struct policy_change *all, const char *rule,
                           const struct policy_rule *kept)
{
    struct store_key key, last;
    struct store_record r;
    int rc, n = 0;

    key_make(&key, TABLE_RULE_SUFFIX, &(struct key_parts){.front = rule});
    last = key;
    while ((rc = store_step(all->txn, STORE_AFTER, &last, key.len, &r)) == 0) {
        const struct suffix *one;
        struct policy_key k;

        store_key_copy(&last, &r.key);
        if (!key_read(&r.key, &k))
            return -EBADMSG;
        one = &k.suffix;
        if (kept->n_suffixes > 0 && bsearch(&one, kept->suffixes, kept->n_suffixes, sizeof one,
                                            policy_suffix_compare) != NULL)
            continue;
        rc = put_suffix(all, &k.suffix, rule, false, false);
        if (rc != 0)
            return rc;
        n++;
    }
    return rc == -ENOENT ? n : rc;
}

/* The suffixes of a rule become those of the row, or some more, or some less. */
static int set_suffixes(struct policy_change *all, struct change *c, struct diags *d)
{
    const struct policy_rule none = {.n_suffixes = 0}, *r = c->is.rule;
    bool drop = c->verb == CHANGE_DROP, goes = c->verb == CHANGE_REMOVE;
    char text[SUFFIX_TEXT];
    int rc = 0;

    if (c->verb == CHANGE_SET || goes) {
        rc = remove_suffixes(all, c->is.name, goes ? &none : r);
        c->less = rc > 0 ? (size_t)rc : 0;
    }
    /* In the order of the keys, so that each page of the index is filled once. */
    for (size_t i = 0; !goes && i < r->n_suffixes && rc >= 0; i++) {
        struct suffix *one = r->suffixes[i];

        if (all->progress != NULL)
            all->progress(all->context, ++all->done, all->to_do);
        rc = put_suffix(all, one, r->name, !drop, c->state == CHANGE_NEW);
        if (drop && rc == -ENOENT)
            diags_tell(d, "rule %s has no suffix %s", r->name, suffix_print(one, text));
        if (rc == -ENAMETOOLONG)
            return diags_tell(d, "rule %s: suffix %s is too long", r->name,
                              suffix_print(one, text));
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

static int apply_row(struct policy_change *all, struct change *c, struct diags *d)
{
    bool goes = c->verb == CHANGE_REMOVE;
    const struct policy_approved *a = c->is.approved;
    char *rules = all->log.rules, word[POLICY_NAME + 2];
    char text[NAME_TEXT], meant[DIAG_MEANT];
    struct store_bytes v;
    struct store_key k;
    size_t len;
    int rc;

    c->state = CHANGE_SAME;
    c->more = c->less = 0;
    rc = all->restores ? 0 : accept_row(all, c, d);
    if (rc == 0 && goes && c->kind == POLICY_RULE) /* before it, so that it can come back first */
        rc = set_suffixes(all, c, d);
    if (rc != 0)
        return rc;
    key_object(&k, c->kind, c->is.name);
    if (c->verb < CHANGE_ADD || goes ||
        (c->verb == CHANGE_ADD && store_get(all->txn, &k, &v) == -ENOENT)) {
        rc = put_record(all, c, !goes);
        c->state = goes ? CHANGE_GONE : rc > 0 ? (enum change_state)rc : CHANGE_SAME;
    }
    if (rc == -ENOENT && c->kind == POLICY_APPROVED)
        diags_tell(d, "%s:%u is not listed as approved (hosts of pools always are)",
                   name_print(&a->target, text), (unsigned)a->port);
    else if (rc == -ENOENT)
        diags_tell(d, "there is no %s %s%s", policy_kind_names[c->kind], c->is.name,
                   policy_meant(NULL, all->txn, c->kind, c->is.name, meant));
    if (rc >= 0 && c->kind == POLICY_RULE && c->verb != CHANGE_HEAD && !goes)
        rc = set_suffixes(all, c, d);
    if (rc < 0)
        return rc;
    if (c->state == CHANGE_SAME && c->more + c->less > 0)
        c->state = CHANGE_MOVED;
    if (c->state == CHANGE_SAME)
        return 0;
    all->networks_moved |= c->kind == POLICY_NETWORK;
    if (c->kind != POLICY_RULE)
        return 0;
    snprintf(word, sizeof word, " %s ", c->is.name);
    len = strlen(rules);
    if (rules[0] == '*' || len + strlen(word) >= sizeof all->log.rules)
        strcpy(rules, "*");
    else
        strcpy(rules + len - (len > 0), word);
    return 0;
}

int policy_change_apply(struct policy_change *all, struct diags *d)
{
    int first = 0;

    if (all->failed)
        return -ENOMEM;
    all->done = all->to_do = 0;
    for (const struct change *c = all->list; c < all->list + all->n; c++)
        all->to_do +=
            c->kind == POLICY_RULE && c->verb != CHANGE_REMOVE ? c->is.rule->n_suffixes : 0;
    for (int last = 0; last < 2; last++)
        for (struct change *c = all->list; c < all->list + all->n; c++) {
            bool is_last = c->verb == CHANGE_REMOVE && c->kind != POLICY_RULE && !all->restores;
            int rc = is_last == (last == 1) ? apply_row(all, c, d) : 0;

            /* What a verb's second row lacks is what its first one was to make. */
            if (store_differs(all->txn) < 0 || rc == -ENOMEM || (rc != 0 && all->from == NULL))
                return rc;
            first = first == 0 ? rc : first;
        }
    if (all->replace)
        strcpy(all->log.rules, "*");
    if (all->progress != NULL)
        all->progress(all->context, all->to_do, all->to_do);
    if (first == 0 && all->restores && store_counts(all->txn)->digest != all->digest)
        return -EBADMSG;
    return first;
}

int policy_change_put(struct store *store, struct policy_change *c, const struct policy *p,
                      struct diags *d)
{
    int rc = policy_change_begin(c, store);

    if (rc == 0)
        rc = policy_change_make(c, p, POLICY_REPLACE);
    if (rc == 0)
        rc = policy_change_apply(c, d);
    if (rc == 0)
        rc = policy_change_commit(c);
    policy_change_abort(c);
    policy_change_fini(c);
    return rc;
}
