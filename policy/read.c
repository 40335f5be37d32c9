/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- the policy in its store: opening, readers, counts, the whole of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/records.h"
#include "policy/store.h"

static const struct store_kind kind = {
    .mark = "waymark-policy",
    .version = 2,
    .summed = POLICY_SUMMED,
    .remedy = POLICY_REMEDY,
    .absent = "holds no policy yet; waymarkctl policy import or policy fill makes one",
};

int policy_store_open(struct store **out, const char *dir, enum store_access access,
                      struct diags *d)
{
    return store_open(out, &kind, dir, access, d);
}

struct policy_reader *policy_reader_new(struct store *store)
{
    struct policy_reader *r = calloc(1, sizeof *r);

    if (r != NULL && (r->txn = store_reader_new(store)) == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void policy_reader_free(struct policy_reader *r)
{
    if (r == NULL)
        return;
    store_reader_free(r->txn);
    free(r);
}

uint64_t policy_reader_serial(struct policy_reader *r)
{
    uint64_t time_ms, state = store_state(r->txn);

    if (r->serial_of != state && log_last(r->txn, &r->serial, &time_ms) != 0)
        return 0;
    r->serial_of = state;
    return r->serial;
}

static int read_counts(struct store_txn *t, struct policy_counts *out)
{
    const struct store_counts *c = store_counts(t);

    if (c == NULL)
        return -EBADMSG;
    *out = (struct policy_counts){
        .digest = c->digest,
        .networks = store_count(c, TABLE_NETWORK),
        .pools = store_count(c, TABLE_POOL),
        .rules = store_count(c, TABLE_RULE),
        .suffixes = store_count(c, TABLE_SUFFIX) + store_count(c, TABLE_BELOW),
        .approved = store_count(c, TABLE_LISTED),
    };
    return log_last(t, &out->serial, &out->time_ms);
}

int policy_store_counts(struct store *store, struct policy_counts *out)
{
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    if (rc != 0)
        return rc;
    store_guarded(rc, t, read_counts(t, out));
    out->bytes = store_size(store);
    store_end(t);
    return rc;
}

/* --- the whole policy ----------------------------------------------------- */

struct load {
    struct policy *out;
    size_t rule; /* whose suffixes come now */
};

/* Room for one more in an array from malloc; NULL when out of memory. */
static void *grown(void *array, size_t n, size_t size)
{
    bool is_full = (n & (n - 1)) == 0; /* the room is a power of two */

    return is_full ? realloc(array, (n > 0 ? 2 * n : 1) * size) : array;
}

static int load_network(struct policy *p, const struct store_record *r)
{
    struct policy_network *n = grown(p->networks, p->n_networks, sizeof *n);
    int rc;

    if (n == NULL)
        return -ENOMEM;
    p->networks = n;
    n += p->n_networks;
    *n = (struct policy_network){.n = 0};
    rc = key_read_name(&r->key, n->name) ? network_read(n, &r->value) : -EBADMSG;
    p->n_networks += rc == 0;
    return rc;
}

static int load_pool(struct policy *p, const struct store_record *r)
{
    struct policy_pool *pool = grown(p->pools, p->n_pools, sizeof *pool);
    int rc;

    if (pool == NULL)
        return -ENOMEM;
    p->pools = pool;
    pool += p->n_pools;
    *pool = (struct policy_pool){.n = 0};
    rc = key_read_name(&r->key, pool->name) ? pool_read(pool, &r->value) : -EBADMSG;
    p->n_pools += rc == 0;
    return rc;
}

static int load_approved(struct policy *p, const struct store_record *r)
{
    struct policy_approved *a = grown(p->approved, p->n_approved, sizeof *a);

    if (a == NULL)
        return -ENOMEM;
    p->approved = a;
    if (r->value.data == NULL || !key_read_target(&r->key, &a[p->n_approved]))
        return -EBADMSG;
    p->n_approved++;
    return 0;
}

static int load_rule(struct policy *p, const struct store_record *r)
{
    struct policy_rule *rule = grown(p->rules, p->n_rules, sizeof *rule);
    int rc;

    if (rule == NULL)
        return -ENOMEM;
    p->rules = rule;
    rule += p->n_rules;
    *rule = (struct policy_rule){.n_suffixes = 0};
    rc = key_read_name(&r->key, rule->name) ? rule_read(rule, &r->value) : -EBADMSG;
    p->n_rules += rc == 0;
    return rc;
}

/* They come in the order of their rules' names, which is that of the rules. */
static int load_suffix(struct load *l, const struct store_record *record)
{
    char name[POLICY_NAME];
    struct policy *p = l->out;
    struct policy_rule *r;
    struct suffix s, *all;

    if (record->value.data == NULL || !key_read_rule_suffix(&record->key, name, &s))
        return -EBADMSG;
    while (l->rule < p->n_rules && strcmp(p->rules[l->rule].name, name) != 0)
        l->rule++;
    if (l->rule == p->n_rules)
        return -EBADMSG; /* nobody's */
    r = &p->rules[l->rule];
    all = grown(r->suffixes, r->n_suffixes, sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    r->suffixes = all;
    all[r->n_suffixes++] = s;
    return 0;
}

static int load(void *context, const struct store_record *r)
{
    struct load *l = context;

    switch (r->key.data[0]) {
    case TABLE_NETWORK:
        return load_network(l->out, r);
    case TABLE_POOL:
        return load_pool(l->out, r);
    case TABLE_LISTED:
        return load_approved(l->out, r);
    case TABLE_RULE:
        return load_rule(l->out, r);
    default:
        return load_suffix(l, r);
    }
}

int policy_load(struct store *store, struct policy *out, uint64_t *serial)
{
    static const char tables[] = {TABLE_NETWORK, TABLE_POOL, TABLE_LISTED, TABLE_RULE,
                                  TABLE_RULE_SUFFIX};
    struct load l = {.out = out};
    uint64_t state = 0, time_ms, last;
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    policy_init(out);
    if (rc != 0)
        return rc;
    state = store_state(t);
    rc = log_last(t, serial != NULL ? serial : &last, &time_ms);
    store_end(t);
    for (size_t i = 0; i < sizeof tables && rc == 0; i++) {
        const struct store_key table = {1, {(uint8_t)tables[i]}};

        rc = store_each(store, &state, &table, load, &l);
    }
    if (rc != 0)
        policy_fini(out);
    return rc;
}
