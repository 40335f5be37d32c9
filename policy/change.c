/* SPDX-License-Identifier: BSD-2-Clause
 *
 * change.c -- one change of the policy (change.h): the list, and how it gets into the store; and
 * the list that leads back to a serial: what the changes since then took away, the last one first.
 * So each row meets the policy as it was behind the change that it takes back, and nothing is
 * judged again. Changes that led back to a policy of before are passed over, by its digest: else
 * each way back to and fro would keep all that was kept since, once more.
 *
 * A row is refused before its first record is written. Any other failure spoils the transaction:
 * the commit fails too. The digest tells in the end whether anything differs: a change that is
 * undone within the transaction, or a policy that is replaced by the same policy, makes no serial.
 *
 * A suffix is a key without value in the index that decisions walk. So those of a rule are found by
 * reading all of the index: once for all rules of a list whose suffixes become others.
 */
#include "policy/change.h"

#include "wire/message.h"

/* What a change took away: networks, pools, rules and listed hosts as they were; and of a rule's
 * suffixes the keys, many in one record, each behind its length of 2 octets. The rest follows from
 * these. A rule that comes into being was not there, and of its suffixes nothing is kept: so what a
 * million of them cost is their own records. */
struct kept {
    uint64_t serial; /* that the change makes */
    uint64_t before; /* octets that were kept before this, since ever */
    bool was_there;
    struct store_bytes key; /* of the record; of suffixes only 's' */
};

static int kept_read(const struct store_record *r, struct kept *out)
{
    struct cursor c = cursor_make(r->key.data + 1, r->key.len - 1);

    out->serial = cursor_u64(&c);
    out->before = cursor_u64(&c);
    out->was_there = cursor_u8(&c) == 1;
    out->key = (struct store_bytes){c.pos, cursor_left(&c)};
    return out->key.len > 0 ? 0 : -EBADMSG;
}

int policy_change_begin(struct policy_change *c, struct store *store)
{
    struct store_record last;
    struct kept kept;
    uint64_t kept_of;
    int rc = store_begin(store, true, &c->txn);

    c->changed = false;
    c->kept = 0;
    c->run = writer_make(c->run_octets, sizeof c->run_octets);
    c->unkept = c->history_bytes == 0;
    c->log.summary[0] = c->log.rules[0] = '\0';
    if (rc == 0)
        rc = serial_end(c->txn, TABLE_LOG, true, &c->serial, &last);
    if (rc == 0)
        rc = serial_end(c->txn, TABLE_KEPT, true, &kept_of, &last);
    if (rc == 0 && kept_of > 0) {
        rc = kept_read(&last, &kept);
        c->kept = kept.before + kept.key.len + last.value.len;
    }
    c->kept_before = c->kept;
    if (rc == 0 && c->bound && c->if_serial != c->serial)
        rc = -ESTALE;
    if (rc != 0)
        policy_change_abort(c);
    return rc;
}

void policy_change_abort(struct policy_change *c)
{
    store_end(c->txn);
    c->txn = NULL;
}

/* A failure spoils the transaction. */
static void keep(struct policy_change *c, bool was_there, struct store_bytes key,
                 struct store_bytes value)
{
    struct store_key k;
    struct writer w = writer_make(k.data, sizeof k.data);

    c->unkept = c->unkept || c->kept - c->kept_before + key.len + value.len > c->history_bytes;
    if (c->unkept)
        return;
    writer_u8(&w, TABLE_KEPT);
    writer_u64(&w, c->serial + 1);
    writer_u64(&w, c->kept);
    writer_u8(&w, was_there);
    writer_bytes(&w, key.data, key.len);
    k.len = w.full ? 0 : w.len;
    c->kept += key.len + value.len;
    (void)store_put(c->txn, &k, value.data, value.len);
}

/* The suffixes that wait. */
static void keep_run(struct policy_change *c)
{
    static const uint8_t table = TABLE_SUFFIX;

    if (c->run.len > 0)
        keep(c, c->run_was_there, (struct store_bytes){&table, 1},
             (struct store_bytes){c->run_octets, c->run.len});
    c->run.len = 0;
}

static int drop(struct store_txn *t, const struct store_bytes *key)
{
    struct store_key k;

    store_key_copy(&k, key);
    return store_del(t, &k);
}

/* Removes what is over the limits. Changes go whole; one stays while the log has what was before. By
 * age few go at a time: the clock may be wrong. */
static int prune_history(struct policy_change *c)
{
    int aged_most = 2;
    bool aged = c->history_ms != 0 && c->log.time_ms > c->history_ms;
    struct policy_log_entry first = {.serial = 0};
    uint64_t serial, going = 0;
    struct store_record r;
    struct store_key k;
    struct kept kept;
    int rc;

    while ((rc = log_next(c->txn, 0, NULL, &first)) == 0 && aged &&
           first.time_ms < c->log.time_ms - c->history_ms && aged_most-- > 0) {
        serial_key(&k, TABLE_LOG, first.serial);
        if ((rc = store_del(c->txn, &k)) != 0)
            return rc;
    }
    while (rc == 0 && (rc = serial_end(c->txn, TABLE_KEPT, false, &serial, &r)) == 0) {
        if (serial == 0 || (rc = kept_read(&r, &kept)) != 0)
            break;
        if (serial != going && !c->unkept && (first.serial == 1 || serial > first.serial) &&
            c->kept - kept.before <= c->history_bytes)
            break;
        going = serial;
        rc = drop(c->txn, &r.key);
    }
    return rc;
}

/* The log has the entry as it is, up to the end of its last text. */
int policy_change_commit(struct policy_change *c)
{
    struct policy_log_entry *e = &c->log;
    struct store_key k;
    int rc = store_differs(c->txn);

    if (rc <= 0) {
        policy_change_abort(c);
        return rc;
    }
    e->serial = c->serial + 1;
    e->digest = store_counts(c->txn)->digest;
    keep_run(c);
    serial_key(&k, TABLE_LOG, e->serial);
    rc = store_put(c->txn, &k, e, offsetof(struct policy_log_entry, rules) + strlen(e->rules) + 1);
    if (rc >= 0)
        rc = prune_history(c);
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

int policy_change_make(struct policy_change *c, const struct policy *p, enum policy_how how)
{
    union policy_object was;
    struct store_record r;
    const void *is;
    int rc = -ENOENT;

    c->from = p;
    c->replace = how == POLICY_REPLACE;
    if (c->arena == NULL && (c->arena = arena_new()) == NULL)
        return -ENOMEM;
    for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        bool joins = kind == POLICY_RULE && how == POLICY_JOIN;

        for (size_t i = 0; (is = policy_object(p, kind, i)) != NULL; i++) {
            policy_change_add(c, kind, joins ? CHANGE_ADD : CHANGE_SET, is);
            if (kind != POLICY_POOL || how != POLICY_JOIN)
                continue;
            /* Its hosts take the place of those of the pool; what else that says stays. */
            rc = record_get(c->txn, POLICY_POOL, is, &was);
            if (rc != 0 && rc != -ENOENT)
                return rc;
            if (rc == 0) {
                p->pools[i].allow_public = was.pool.allow_public;
                p->pools[i].choice = was.pool.choice;
                p->pools[i].pin_clients = was.pool.pin_clients;
                policy_object_fini(POLICY_POOL, &was);
            }
            rc = -ENOENT;
        }
    }
    /* What is not in p goes, rules first, since they name the others. */
    for (enum policy_kind kind = POLICY_KINDS; c->replace && kind-- > 0 && rc == -ENOENT;) {
        const struct store_key table = {1, {(uint8_t)policy_tables[kind]}};

        STORE_EACH(rc, c->txn, &table, &r) {
            union policy_object o, *gone;

            if (!key_read_object(kind, &r.key, &o))
                return -EBADMSG;
            if (policy_find(p, kind, &o))
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
    for (size_t i = 0; p && i < p->lists[kind].n; i++)
        diag_nearer(name, policy_object(p, kind, i), &best, out);
    if (t)
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
        char hint[2 * DIAG_MEANT];
        struct store_bytes v;
        struct store_key k;

        if ((is_pool ? name[0] == '\0' : strcmp(name, "any") == 0) ||
            (p != NULL && policy_find(p, kind, name) != NULL))
            continue;
        key_named(&k, policy_tables[kind], name);
        if (t && store_get(t, &k, &v) == 0)
            continue;
        rc = -ENOENT;
        if (*policy_meant(p, t, kind, name, hint) == '\0' && p == NULL)
            snprintf(hint, sizeof hint, " (policy %s set %s %s... makes it)", what, name,
                     is_pool ? "HOST" : "PREFIX");
        diags_add(d, p ? p->file : NULL, r->line, r->column, "rule %s: there is no %s %s%s",
                  r->name, what, name, hint);
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
    static const struct store_key below = {1, {TABLE_BELOW}};
    struct store_record entry;
    struct policy_key wide;
    char meant[DIAG_MEANT];
    int rc = record_get(all->txn, POLICY_RULE, r->name, &was), named;

    /* One that would be new, and is not whole, may be the name of another. */
    if (rc == -ENOENT && policy_actions[r->action].has_pool && r->pool[0] == '\0' &&
        *policy_meant(NULL, all->txn, POLICY_RULE, r->name, meant) != '\0')
        diags_tell(d, "there is no rule %s%s", r->name, meant);
    if (c->verb == CHANGE_ADD && rc == 0 && r->pool[0] != '\0' && /* it tells its head */
        (was.rule.action != r->action || strcmp(was.rule.pool, r->pool) != 0 ||
         was.rule.n_networks != r->n_networks ||
         (r->n_networks > 0 &&
          memcmp(was.rule.networks, r->networks, r->n_networks * POLICY_NAME) != 0)))
        rc = diags_add(d, all->from ? all->from->file : NULL, r->line, r->column,
                       "rule %s is there with another action, another pool or other networks",
                       r->name);
    if (c->verb == CHANGE_ADD && rc == 0) {
        judged = was.rule;
        judged.suffixes = r->suffixes;
        judged.n_suffixes = r->n_suffixes;
    } else if (c->verb == CHANGE_HEAD) {
        one = &wide.suffix;
        judged.suffixes = &one;
        judged.n_suffixes = 0;
        /* Without networks, no suffix that stays may be wide. */
        if (r->n_networks == 0 && (rc != 0 || was.rule.n_networks > 0))
            STORE_EACH(rc, all->txn, &below, &entry) {
                judged.n_suffixes = key_read(&entry.key, &wide) && suffix_is_wide(&wide.suffix) &&
                                    strcmp(wide.owner, r->name) == 0;
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

/* As store_put() or store_del(). Nothing is kept of what comes with a rule that is new. */
static int put_suffix(struct policy_change *all, const struct suffix *s, const char *rule, bool put,
                      bool is_new)
{
    struct store_key k;
    int rc;

    key_suffix(&k, s, rule);
    rc = put ? store_put(all->txn, &k, "", 0) : store_del(all->txn, &k);
    if (rc != (put ? STORE_ADDED : 0) || is_new)
        return rc;
    if (all->run_was_there == put || all->run.size - all->run.len < 2 + sizeof k.data)
        keep_run(all);
    all->run_was_there = !put;
    writer_u16(&all->run, (uint16_t)k.len);
    writer_bytes(&all->run, k.data, k.len);
    return rc;
}

/* Puts, as store_put(), or removes (STORE_REPLACED, -ENOENT, -errno), with what follows. */
static int put_record(struct policy_change *all, struct change *c, bool put)
{
    bool is_rule = c->kind == POLICY_RULE && put; /* to remove it, its name is enough */
    const struct field *first = field_find(&policy_rule_map, "ttl");
    const char *object = c->is.name;
    uint8_t buffer[RECORD_MAX];
    struct store_bytes value;
    union policy_object was;
    struct store_key k;
    int rc = record_get(all->txn, c->kind, object, &was), done = STORE_REPLACED;
    bool was_there = rc == 0;

    if (rc != 0 && (rc != -ENOENT || !put))
        return rc;
    key_object(&k, c->kind, object);
    if (put) {
        value = record_write(c->kind, object, buffer);
        rc = done = store_put(all->txn, &k, value.data, value.len);
    } else {
        rc = store_del(all->txn, &k);
    }
    if (rc >= 0 && done != STORE_SAME) {
        keep_run(all);
        value = was_there ? record_write(c->kind, &was, buffer) : (struct store_bytes){k.data, 0};
        keep(all, was_there, (struct store_bytes){k.data, k.len}, value);
        for (const struct field *f = first; was_there && is_rule && f->key; f++)
            if (memcmp(object + f->at, was.name + f->at, f->size) != 0)
                c->differs |= 1u << (f - first);
        if (was_there)
            entries_set(all->txn, false, c->kind, &was);
        if (put)
            entries_set(all->txn, true, c->kind, object);
        rc = store_differs(all->txn);
    }
    policy_object_fini(c->kind, &was);
    return rc < 0 ? rc : done;
}

/* Do the suffixes of the rule go, or become those of the row? */
static bool sweeps(const struct change *c)
{
    return c->kind == POLICY_RULE && (c->verb == CHANGE_SET || c->verb == CHANGE_REMOVE);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct change *)a)->is.name, ((const struct change *)b)->is.name);
}

/* Removes the suffixes of the rules of these rows, and all such rows behind them, but for those
 * that stay. */
static int sweep(struct policy_change *all, struct change *rows)
{
    struct store_key last = {1, {TABLE_BELOW}}, k;
    enum store_step step = STORE_SEEK;
    struct policy_key read;
    struct store_record r;
    size_t n = 0;
    bool any = false; /* of them is there */
    int rc;

    for (; rows + n < all->list + all->n && sweeps(rows + n); n++) {
        key_named(&k, TABLE_RULE, rows[n].is.name);
        any = any || store_get(all->txn, &k, &r.value) == 0;
    }
    qsort(rows, n, sizeof *rows, by_name);
    while (any && (rc = store_step(all->txn, step, &last, 0, &r)) == 0) {
        const struct suffix *one = &read.suffix;
        const struct change wanted = {.is.name = read.owner};
        const uint8_t *owner = memrchr(r.key.data, 0, r.key.len);
        struct change *row;

        step = STORE_NEXT;
        if (owner == NULL || strchr("bs", r.key.data[0]) == NULL) /* a few between them */
            continue;
        if (!record_name(read.owner, owner + 1, (size_t)(r.key.data + r.key.len - owner - 1)))
            return -EBADMSG;
        row = bsearch(&wanted, rows, n, sizeof *rows, by_name);
        if (row == NULL)
            continue;
        if (!key_read(&r.key, &read))
            return -EBADMSG;
        if (row->verb == CHANGE_SET && row->is.rule->n_suffixes > 0 &&
            bsearch(&one, row->is.rule->suffixes, row->is.rule->n_suffixes, sizeof one,
                    policy_suffix_compare) != NULL)
            continue;
        store_key_copy(&last, &r.key);
        step = STORE_AFTER;
        if ((rc = put_suffix(all, one, read.owner, false, false)) != 0)
            return rc;
        row->less++;
    }
    return !any || rc == -ENOENT ? 0 : rc;
}

/* The suffixes of a rule become those of the row, or some more, or some less. */
static int set_suffixes(struct policy_change *all, struct change *c, struct diags *d)
{
    const struct policy_rule *r = c->is.rule;
    bool drop = c->verb == CHANGE_DROP;
    char text[SUFFIX_TEXT];
    int rc = 0;

    /* In the order of the keys, so that each page of the index is filled once. */
    for (size_t i = 0; i < r->n_suffixes && rc >= 0; i++) {
        struct suffix *one = r->suffixes[i];

        if (all->progress)
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
    int rc = all->restores ? 0 : accept_row(all, c, d);
    size_t len;

    if (rc != 0)
        return rc;
    key_object(&k, c->kind, c->is.name);
    if (c->verb < CHANGE_ADD || goes ||
        (c->verb == CHANGE_ADD && store_get(all->txn, &k, &v) == -ENOENT)) {
        rc = put_record(all, c, !goes);
        c->state = goes ? CHANGE_GONE : rc > 0 ? (enum change_state)rc : CHANGE_SAME;
    }
    if (c->kind == POLICY_POOL && c->state == CHANGE_MOVED && c->is.pool->named_after &&
        !all->replace)
        return diags_add(d, all->from ? all->from->file : NULL, 0, 0,
                         "pool %s is there with other hosts: policy pool set changes it; to give "
                         "these, make a pool of another name, for policy fill --pool or csv",
                         c->is.name);
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
    if (c->state == CHANGE_SAME || c->kind != POLICY_RULE)
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
    int refused = 0;

    if (all->failed)
        return -ENOMEM;
    all->done = all->to_do = 0;
    for (struct change *c = all->list; c < all->list + all->n; c++) {
        c->state = CHANGE_SAME;
        c->more = c->less = c->differs = 0;
        if (c->kind == POLICY_RULE && c->verb != CHANGE_REMOVE)
            all->to_do += c->is.rule->n_suffixes;
    }
    for (struct change *c = all->list; c < all->list + all->n; c++) {
        bool first = sweeps(c) && (c == all->list || !sweeps(c - 1));
        int rc = first ? sweep(all, c) : 0; /* before them, so that they come back first */

        if (rc == 0)
            rc = apply_row(all, c, d);
        /* What a verb's second row lacks is what its first one was to make. */
        if (store_differs(all->txn) < 0 || rc == -ENOMEM || (rc != 0 && all->from == NULL))
            return rc;
        refused = refused == 0 ? rc : refused;
    }
    if (all->replace)
        strcpy(all->log.rules, "*");
    if (all->progress)
        all->progress(all->context, all->to_do, all->to_do);
    if (refused == 0 && all->restores && store_counts(all->txn)->digest != all->digest)
        return -EBADMSG;
    return refused;
}

/* Puts the suffixes into the last row, if that does the same to the same rule, or into one of its
 * own. */
static int restore_suffixes(struct policy_change *c, bool put, const struct store_bytes *keys)
{
    struct cursor all = cursor_make(keys->data, keys->len);
    enum change_verb verb = put ? CHANGE_ADD : CHANGE_DROP;
    struct policy_key k;
    int rc = 0;

    while (rc == 0 && cursor_left(&all) > 0) {
        size_t len = cursor_u16(&all);
        const struct store_bytes key = {cursor_take(&all, len), len};
        struct change *row = c->n > 0 ? &c->list[c->n - 1] : NULL;
        struct policy_rule *r = row && row->verb == verb ? row->is.rule : NULL;

        if (all.bad || !key_read(&key, &k))
            return -EBADMSG;
        if (r == NULL || strcmp(r->name, k.owner) != 0) {
            r = arena_alloc(c->arena, sizeof *r);
            if (r == NULL)
                return -ENOMEM;
            policy_rule_init(r, k.owner);
            policy_change_add(c, POLICY_RULE, verb, r);
        }
        rc = policy_rule_add(&c->arena, r, &k.suffix);
    }
    return rc;
}

static int restore_record(struct policy_change *c, const struct kept *kept,
                          const struct store_bytes *value)
{
    union policy_object *o = arena_alloc(c->arena, sizeof *o);
    enum policy_kind kind = 0;
    enum change_verb verb;

    if (o == NULL)
        return -ENOMEM;
    if (kept->key.data[0] == TABLE_SUFFIX)
        return restore_suffixes(c, kept->was_there, value);
    while (kind < POLICY_KINDS && (uint8_t)policy_tables[kind] != kept->key.data[0])
        kind++;
    if (kind == POLICY_KINDS || !key_read_object(kind, &kept->key, o))
        return -EBADMSG;
    verb = !kept->was_there ? CHANGE_REMOVE : kind == POLICY_RULE ? CHANGE_HEAD : CHANGE_SET;
    policy_change_add(c, kind, verb, o);
    return kept->was_there ? record_read(kind, &(struct store_record){kept->key, *value}, o) : 0;
}

/* The first serial from there on with the policy of that one: what is between them led nowhere. */
static uint64_t same_policy(const uint64_t *digests, uint64_t from, uint64_t serial)
{
    uint64_t i = from;

    while (digests[i - from] != digests[serial - from])
        i++;
    return i;
}

int restore_list(struct policy_change *c, uint64_t serial, uint64_t *oldest)
{
    const struct store_key table = {1, {TABLE_KEPT}};
    struct policy_log_entry log = {.serial = 0};
    uint64_t *digests = NULL; /* behind each change since the serial; 0 before the first one */
    uint64_t last, next;      /* the change that is taken back next */
    struct store_record r;
    struct kept kept;
    int rc = serial_end(c->txn, TABLE_KEPT, false, oldest, &r);

    *oldest = *oldest == 0 ? c->serial : *oldest - 1;
    if (rc != 0 || serial < *oldest || serial > c->serial)
        return rc != 0 ? rc : -ERANGE;
    if ((c->arena == NULL && (c->arena = arena_new()) == NULL) ||
        (digests = calloc(c->serial - serial + 1, sizeof *digests)) == NULL)
        return -ENOMEM;
    log.serial = serial > 0 ? serial - 1 : 0;
    while ((rc = log_next(c->txn, 0, NULL, &log)) == 0)
        digests[log.serial - serial] = log.digest;
    c->restores = true;
    c->digest = digests[0];
    next = same_policy(digests, serial, c->serial);
    if (rc == -ENOENT)
        rc = serial_end(c->txn, TABLE_KEPT, true, &last, &r);
    while (rc == 0 && last > serial) {
        rc = kept_read(&r, &kept);
        last = kept.serial;
        while (rc == 0 && last < next) /* that one was taken back */
            next = same_policy(digests, serial, next - 1);
        if (rc == 0 && last == next && last > serial)
            rc = restore_record(c, &kept, &r.value);
        if (rc == 0)
            rc = store_step(c->txn, STORE_PREV, &table, 1, &r);
    }
    free(digests);
    return rc == -ENOENT ? 0 : rc;
}

int policy_open_nowhere(struct store **out, const char *folder, const struct policy *p,
                        struct store *from, uint64_t serial, uint64_t *oldest)
{
    struct policy_change c = {.log = {.author = "test"}};
    struct store_record r;
    struct store *made;
    uint64_t last;
    int rc = store_open_nowhere(&made, folder, from);

    if (rc != 0)
        return rc;
    rc = policy_change_begin(&c, made);
    if (rc == 0)
        rc = p ? policy_change_make(&c, p, POLICY_REPLACE) : restore_list(&c, serial, oldest);
    if (rc == 0)
        rc = policy_change_apply(&c, NULL);
    if (rc == 0 && p)
        rc = policy_change_commit(&c);
    while (rc == 0 && p == NULL && (rc = serial_end(c.txn, TABLE_LOG, true, &last, &r)) == 0 &&
           last > serial)
        rc = drop(c.txn, &r.key);
    if (rc == 0 && p == NULL) {
        rc = store_commit(c.txn);
        c.txn = NULL;
    }
    policy_change_abort(&c);
    policy_change_fini(&c);
    if (rc == 0)
        *out = made;
    else
        store_close(made);
    return rc;
}
