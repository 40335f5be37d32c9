/* SPDX-License-Identifier: BSD-2-Clause
 *
 * txn.c -- one change of the policy: begin, networks, pools, the list of
 * approved targets, commit. Rules are in txn_rule.c.
 *
 * What must be refused is refused before the first record is written, so an
 * operation that fails with -EINVAL, -ENOENT, -EBUSY or -ENAMETOOLONG has
 * changed nothing and the transaction goes on. Any other failure spoils it:
 * the commit fails too.
 *
 * Whether anything differs in the end is seen from the digest: a change that
 * takes itself back, or a --replace by the same policy, makes no serial.
 */
#include "policy/txn.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/derived.h"
#include "policy/scan.h"
#include "policy/store.h"

static void copy_cut(char *out, size_t size, const char *text)
{
    struct str s;

    str_init(&s, out, size);
    if (text != NULL)
        str_add(&s, text);
}

static int take_state(struct policy_txn *t)
{
    int rc = state_read(t->kv, &t->state);

    t->rebuilt = rc == -EBADMSG;
    return t->rebuilt ? derive_state(t->kv, &t->state) : rc;
}

int policy_txn_begin(struct policy_txn **out, struct policy_store *store,
                     const struct policy_change *change, uint64_t *serial)
{
    struct policy_txn *t = calloc(1, sizeof *t);
    int rc;

    if (t == NULL)
        return -ENOMEM;
    rc = kv_begin(store, true, &t->kv);
    if (rc == 0)
        rc = take_state(t);
    if (rc == 0 && serial != NULL)
        *serial = t->state.serial;
    if (rc == 0 && change->if_serial != 0 && change->if_serial != t->state.serial)
        rc = -ESTALE;
    if (rc != 0) {
        policy_txn_abort(t);
        return rc;
    }
    copy_cut(t->entry.author, sizeof t->entry.author, change->author);
    copy_cut(t->entry.claimed, sizeof t->entry.claimed, change->claimed);
    copy_cut(t->entry.reason, sizeof t->entry.reason, change->reason);
    str_init(&t->summary, t->entry.summary, sizeof t->entry.summary);
    if (t->rebuilt)
        policy_txn_note(t, "the record of the state was damaged and is made again");
    t->entry.time_ms = change->now_ms;
    t->history_ms = change->history_ms;
    *out = t;
    return 0;
}

void policy_txn_abort(struct policy_txn *t)
{
    if (t == NULL)
        return;
    kv_end(t->kv);
    free(t);
}

static int write_end(struct policy_txn *t)
{
    uint64_t now = t->entry.time_ms;
    int rc = 0;

    t->state.serial++;
    t->state.digest += kv_digest_delta(t->kv);
    /* What a damaged record had added is not known: it may be its hash that is damaged. */
    if (kv_repaired(t->kv))
        rc = kv_sum(t->kv, &t->state.digest);
    if (rc != 0)
        return rc;
    t->state.time_ms = now;
    t->entry.serial = t->state.serial;
    t->entry.digest = t->state.digest;
    rc = log_append(t->kv, &t->entry, &t->rules);
    if (rc == 0 && t->history_ms != 0 && now > t->history_ms)
        rc = log_prune(t->kv, now - t->history_ms);
    return rc == 0 ? state_write(t->kv, &t->state) : rc;
}

int policy_txn_commit(struct policy_txn *t, uint64_t *serial, bool *changed)
{
    uint64_t before = t->state.serial;
    bool differs;
    int rc = kv_failed(t->kv);

    *serial = before;
    *changed = false;
    if (rc == 0 && t->networks_moved)
        rc = derive_ranges(t->kv);
    if (rc == 0 && t->targets_moved)
        rc = derive_targets(t->kv);
    if (rc == 0 && (t->targets_moved || t->rules_moved))
        rc = derive_hosts(t->kv);
    differs = kv_digest_delta(t->kv) != 0 || kv_repaired(t->kv) || t->rebuilt;
    if (rc == 0 && differs)
        rc = write_end(t);
    if (rc != 0 || !differs) {
        policy_txn_abort(t);
        return rc;
    }
    rc = kv_commit(t->kv);
    if (rc == 0) {
        *serial = before + 1;
        *changed = true;
    }
    free(t);
    return rc;
}

void policy_txn_note(struct policy_txn *t, const char *text)
{
    if (t->summary.len > 0)
        str_add(&t->summary, "; ");
    str_add(&t->summary, text);
}

/* --- shared with txn_rule.c ----------------------------------------------- */

void txn_touch(struct policy_txn *t, const char *rule)
{
    struct log_rules *r = &t->rules;

    for (unsigned i = 0; i < r->n; i++)
        if (strcmp(r->names[i], rule) == 0)
            return;
    if (r->n == LOG_RULES)
        r->more = true;
    else
        copy_cut(r->names[r->n++], POLICY_NAME, rule);
}

int txn_put(struct policy_txn *t, const struct kv_key *k, const struct writer *w, uint64_t *count)
{
    int rc = w != NULL ? kv_put(t->kv, k, w->start, w->len) : kv_put(t->kv, k, NULL, 0);

    if (rc == KV_ADDED)
        ++*count;
    return rc > 0 ? 1 : rc;
}

int txn_del(struct policy_txn *t, const struct kv_key *k, uint64_t *count)
{
    int rc = kv_del(t->kv, k);

    if (rc == 0 && *count > 0)
        --*count;
    return rc;
}

/* --- who uses it? --------------------------------------------------------- */

static bool rule_uses(const struct rule_view *r, const char *network, const char *pool)
{
    struct cursor c = r->networks;

    if (pool != NULL)
        return strcmp(r->pool, pool) == 0;
    for (unsigned i = 0; i < r->n_networks; i++) {
        struct kv_bytes t = record_text(&c);

        if (record_text_is(&t, network))
            return true;
    }
    return false;
}

/* 0; -EBUSY with the names of the rules in d; -EBADMSG a rule cannot be read. */
static int find_users(struct policy_txn *t, const char *network, const char *pool, struct diags *d)
{
    struct kv_key table;
    struct kv_entry e;
    bool used = false;
    int rc;

    key_named(&table, TABLE_RULE, "");
    for (rc = kv_seek(t->kv, &table, &e); rc != -ENOENT; rc = kv_next(t->kv, &e)) {
        char name[POLICY_NAME];
        struct rule_view r;

        if (e.key.at != NULL && !kv_begins(&e.key, &table))
            break;
        if (rc != 0)
            return rc;
        if (!key_read_name(&e.key, name) || !rule_view_read(&r, &e.value))
            return -EBADMSG;
        if (!rule_uses(&r, network, pool))
            continue;
        used = true;
        diags_add(d, NULL, 0, 0, "%s", name);
    }
    return used ? -EBUSY : 0;
}

/* --- networks ------------------------------------------------------------- */

static int prefix_compare(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;
    int c = memcmp(x->ip, y->ip, sizeof x->ip);

    return c != 0 ? c : (int)x->len - (int)y->len;
}

int policy_txn_network_put(struct policy_txn *t, const struct policy_network *n)
{
    struct policy_network sorted = *n;
    uint8_t *value = NULL;
    const char *why;
    struct writer w;
    struct kv_key k;
    int rc;

    if (policy_name_check(n->name, &why) != 0)
        return -EINVAL;
    sorted.prefixes = calloc(n->n + 1, sizeof *sorted.prefixes);
    value = malloc(n->n * 17 + 1);
    if (sorted.prefixes == NULL || value == NULL) {
        rc = -ENOMEM;
        goto done;
    }
    if (n->n > 0)
        memcpy(sorted.prefixes, n->prefixes, n->n * sizeof *n->prefixes);
    qsort(sorted.prefixes, n->n, sizeof *n->prefixes, prefix_compare);
    sorted.n = 0;
    for (size_t i = 0; i < n->n; i++)
        if (sorted.n == 0 ||
            prefix_compare(&sorted.prefixes[sorted.n - 1], &sorted.prefixes[i]) != 0)
            sorted.prefixes[sorted.n++] = sorted.prefixes[i];
    w = writer_make(value, n->n * 17 + 1);
    network_write(&w, &sorted);
    key_named(&k, TABLE_NETWORK, n->name);
    rc = txn_put(t, &k, &w, &t->state.networks);
    t->networks_moved |= rc > 0;
done:
    free(sorted.prefixes);
    free(value);
    return rc < 0 ? rc : 0;
}

int policy_txn_network_del(struct policy_txn *t, const char *name, struct diags *users)
{
    struct kv_key k;
    int rc = find_users(t, name, NULL, users);

    if (rc != 0)
        return rc;
    key_named(&k, TABLE_NETWORK, name);
    rc = txn_del(t, &k, &t->state.networks);
    t->networks_moved |= rc == 0;
    return rc;
}

int policy_txn_network_get(struct policy_txn *t, const char *name, struct policy_network *out)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_NETWORK, name);
    *out = (struct policy_network){.n = 0};
    copy_cut(out->name, sizeof out->name, name);
    rc = kv_get(t->kv, &k, &v);
    return rc == 0 ? network_read(out, &v) : rc;
}

/* --- pools and approved targets ------------------------------------------- */

int policy_txn_pool_put(struct policy_txn *t, const struct policy_pool *p)
{
    uint8_t value[RECORD_POOL_MAX];
    struct writer w = writer_make(value, sizeof value);
    struct kv_key k;
    int rc = policy_pool_check(p, NULL);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < p->n; i++) {
        key_target(&k, TABLE_APPROVED, &p->hosts[i].target, p->hosts[i].port);
        if (k.len == 0)
            return -ENAMETOOLONG;
    }
    pool_write(&w, p);
    if (w.full)
        return -EINVAL; /* not with a pool that passed its check */
    key_named(&k, TABLE_POOL, p->name);
    rc = txn_put(t, &k, &w, &t->state.pools);
    t->targets_moved |= rc > 0;
    return rc < 0 ? rc : 0;
}

int policy_txn_pool_del(struct policy_txn *t, const char *name, struct diags *users)
{
    struct kv_key k;
    int rc = find_users(t, NULL, name, users);

    if (rc != 0)
        return rc;
    key_named(&k, TABLE_POOL, name);
    rc = txn_del(t, &k, &t->state.pools);
    t->targets_moved |= rc == 0;
    return rc;
}

int policy_txn_pool_get(struct policy_txn *t, const char *name, struct policy_pool *out)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_POOL, name);
    *out = (struct policy_pool){.n = 0};
    copy_cut(out->name, sizeof out->name, name);
    rc = kv_get(t->kv, &k, &v);
    return rc == 0 ? pool_read(out, &v) : rc;
}

int policy_txn_approve(struct policy_txn *t, const struct policy_approved *a, bool *was_there)
{
    struct kv_key k;
    int rc;

    if (a->target.labels == 0 || a->port == 0)
        return -EINVAL;
    key_target(&k, TABLE_LISTED, &a->target, a->port);
    if (k.len == 0)
        return -ENAMETOOLONG;
    rc = txn_put(t, &k, NULL, &t->state.approved);
    if (rc < 0)
        return rc;
    t->targets_moved |= rc > 0;
    if (was_there != NULL)
        *was_there = rc == 0;
    return 0;
}

int policy_txn_unapprove(struct policy_txn *t, const struct policy_approved *a)
{
    struct kv_key k;
    int rc;

    key_target(&k, TABLE_LISTED, &a->target, a->port);
    if (k.len == 0)
        return -ENOENT;
    rc = txn_del(t, &k, &t->state.approved);
    t->targets_moved |= rc == 0;
    return rc;
}

/* --- everything ----------------------------------------------------------- */

int policy_txn_clear(struct policy_txn *t)
{
    static const enum policy_table tables[] = {
        TABLE_NETWORK, TABLE_POOL,        TABLE_RULE,  TABLE_SUFFIX,   TABLE_BELOW,
        TABLE_LISTED,  TABLE_RULE_SUFFIX, TABLE_RANGE, TABLE_APPROVED, TABLE_ADDRESS,
    };

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        struct kv_key k;
        int64_t n;

        key_named(&k, tables[i], "");
        n = scan_delete(t->kv, &k);
        if (n < 0)
            return (int)n;
    }
    t->state.networks = t->state.pools = t->state.rules = 0;
    t->state.suffixes = t->state.approved = 0;
    t->networks_moved = t->targets_moved = t->rules.more = true;
    return 0;
}
