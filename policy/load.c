/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load.c -- the whole policy into memory, for the tool.
 *
 * At most BATCH records a transaction: a reader that stays pins the pages that
 * every later change gives up. All batches must see one state, or it is
 * -EAGAIN and the caller starts again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "policy/log.h"
#include "policy/records.h"
#include "policy/store.h"

enum { BATCH = 1000 };

struct load {
    struct policy_store *store;
    struct policy *out;
    uint64_t state, serial;
    bool begun;
    size_t max_networks, max_pools, max_rules, max_approved; /* room */
    size_t rule, max_suffixes;                               /* whose suffixes come now */
};

typedef int take_entry(struct load *, const struct kv_entry *);

/* Room for one more; NULL when out of memory. */
static void *grown(void *at, size_t n, size_t *max, size_t size)
{
    if (n < *max)
        return at;
    at = realloc(at, (*max * 2 + 16) * size);
    if (at != NULL)
        *max = *max * 2 + 16;
    return at;
}

static int take_network(struct load *l, const struct kv_entry *e)
{
    struct policy *p = l->out;
    struct policy_network *at = grown(p->networks, p->n_networks, &l->max_networks, sizeof *at);
    int rc;

    if (at == NULL)
        return -ENOMEM;
    p->networks = at;
    at += p->n_networks;
    *at = (struct policy_network){.n = 0};
    rc = key_read_name(&e->key, at->name) ? network_read(at, &e->value) : -EBADMSG;
    p->n_networks += rc == 0;
    return rc;
}

static int take_pool(struct load *l, const struct kv_entry *e)
{
    struct policy *p = l->out;
    struct policy_pool *at = grown(p->pools, p->n_pools, &l->max_pools, sizeof *at);
    int rc;

    if (at == NULL)
        return -ENOMEM;
    p->pools = at;
    at += p->n_pools;
    *at = (struct policy_pool){.n = 0};
    rc = key_read_name(&e->key, at->name) ? pool_read(at, &e->value) : -EBADMSG;
    p->n_pools += rc == 0;
    return rc;
}

static int take_listed(struct load *l, const struct kv_entry *e)
{
    struct policy *p = l->out;
    struct policy_approved *at = grown(p->approved, p->n_approved, &l->max_approved, sizeof *at);

    if (at == NULL)
        return -ENOMEM;
    p->approved = at;
    if (!key_read_target(&e->key, &at[p->n_approved]))
        return -EBADMSG;
    p->n_approved++;
    return 0;
}

static int take_rule(struct load *l, const struct kv_entry *e)
{
    struct policy *p = l->out;
    struct policy_rule *at = grown(p->rules, p->n_rules, &l->max_rules, sizeof *at);
    int rc;

    if (at == NULL)
        return -ENOMEM;
    p->rules = at;
    at += p->n_rules;
    *at = (struct policy_rule){.n_suffixes = 0};
    rc = key_read_name(&e->key, at->name) ? rule_read(at, &e->value) : -EBADMSG;
    p->n_rules += rc == 0;
    return rc;
}

/* They come in the order of their rules' names, which is that of p->rules. */
static int take_suffix(struct load *l, const struct kv_entry *e)
{
    char rule[POLICY_NAME];
    struct policy *p = l->out;
    struct policy_rule *r;
    struct suffix s, *at;

    if (!key_read_rule_suffix(&e->key, rule, &s))
        return -EBADMSG;
    while (l->rule < p->n_rules && strcmp(p->rules[l->rule].name, rule) != 0) {
        l->rule++;
        l->max_suffixes = 0;
    }
    if (l->rule == p->n_rules)
        return -EBADMSG; /* nobody's */
    r = &p->rules[l->rule];
    at = grown(r->suffixes, r->n_suffixes, &l->max_suffixes, sizeof *at);
    if (at == NULL)
        return -ENOMEM;
    r->suffixes = at;
    at[r->n_suffixes++] = s;
    return 0;
}

static int same_state(struct load *l, struct kv *kv)
{
    struct policy_state s;
    int rc;

    if (l->begun)
        return kv_state(kv) == l->state ? 0 : -EAGAIN;
    rc = state_read(kv, &s);
    if (rc == -EBADMSG) /* the policy itself may be whole */
        rc = log_last(kv, &s.serial, &s.time_ms);
    l->begun = true;
    l->state = kv_state(kv);
    l->serial = s.serial;
    return rc;
}

/* Up to BATCH records behind *after (which moves); *more says whether that was all. */
static int load_batch(struct load *l, const struct kv_key *table, struct kv_key *after,
                      take_entry *take, bool *more)
{
    struct kv_entry e;
    struct kv *kv;
    int rc = kv_begin(l->store, false, &kv);
    unsigned n = 0;

    *more = false;
    if (rc != 0)
        return rc;
    rc = same_state(l, kv);
    if (rc == 0)
        rc = kv_seek(kv, after->len > 0 ? after : table, &e);
    if (rc == 0 && after->len > 0 && e.key.len == after->len && kv_begins(&e.key, after))
        rc = kv_next(kv, &e);
    while (rc == 0 && kv_begins(&e.key, table)) {
        rc = take(l, &e);
        if (rc == 0 && ++n == BATCH) {
            after->len = e.key.len <= KV_KEY_MAX ? e.key.len : 0;
            memcpy(after->at, e.key.at, after->len);
            *more = after->len > 0;
            break;
        }
        if (rc == 0)
            rc = kv_next(kv, &e);
    }
    /* A damaged value behind the table is not this table's. */
    if (rc == -ENOENT || (rc == -EBADMSG && e.key.at != NULL && !kv_begins(&e.key, table)))
        rc = 0;
    kv_end(kv);
    return rc;
}

int policy_load(struct policy_store *store, struct policy *out, uint64_t *serial)
{
    static const struct {
        enum policy_table table;
        take_entry *take;
    } parts[] = {
        {TABLE_NETWORK, take_network},    {TABLE_POOL, take_pool},
        {TABLE_LISTED, take_listed},      {TABLE_RULE, take_rule},
        {TABLE_RULE_SUFFIX, take_suffix},
    };
    struct load l = {.store = store, .out = out};
    int rc = 0;

    policy_init(out);
    for (size_t i = 0; i < ARRAY_LEN(parts) && rc == 0; i++) {
        struct kv_key table, after = {.len = 0};
        bool more = true;

        key_named(&table, parts[i].table, "");
        while (more && rc == 0)
            rc = load_batch(&l, &table, &after, parts[i].take, &more);
    }
    if (rc != 0) {
        policy_fini(out);
        return rc;
    }
    if (serial != NULL)
        *serial = l.serial;
    return 0;
}
