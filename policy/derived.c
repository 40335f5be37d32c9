/* SPDX-License-Identifier: BSD-2-Clause
 *
 * derived.c -- what is made from other records.
 *
 * Built anew by the transaction that changes a network, a pool or the list,
 * and only the records that differ are written. Counting up and down instead
 * would have to trust what is stored, and nothing could repair it.
 */
#include "policy/derived.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/log.h"
#include "policy/ranges.h"
#include "policy/scan.h"

struct networks {
    struct policy_network *at;
    size_t n, max;
};

static int networks_read(struct kv *kv, struct networks *all)
{
    struct kv_key table;
    struct kv_entry e;
    int rc;

    key_named(&table, TABLE_NETWORK, "");
    for (rc = kv_seek(kv, &table, &e); rc != -ENOENT; rc = kv_next(kv, &e)) {
        struct policy_network n = {.n = 0};

        if (e.key.at != NULL && !kv_begins(&e.key, &table))
            break;
        if (rc == 0)
            rc = key_read_name(&e.key, n.name) ? network_read(&n, &e.value) : -EBADMSG;
        if (rc != 0)
            return rc;
        if (all->n == all->max) {
            struct policy_network *more = realloc(all->at, (all->max * 2 + 16) * sizeof *more);

            if (more == NULL) {
                policy_network_fini(&n);
                return -ENOMEM;
            }
            all->at = more;
            all->max = all->max * 2 + 16;
        }
        all->at[all->n++] = n;
    }
    return 0;
}

struct range_source {
    const struct ranges *ranges;
    const struct policy_network *networks;
};

static void make_range(void *context, size_t i, struct kv_key *k, struct writer *w)
{
    const struct range_source *s = context;
    const struct range *r = &s->ranges->at[i];

    key_range(k, r->last);
    range_write(w, s->ranges, r, s->networks);
}

int derive_ranges(struct kv *kv)
{
    struct networks all = {0};
    struct ranges ranges = {0};
    int rc = networks_read(kv, &all);

    if (rc == 0)
        rc = ranges_build(&ranges, all.at, all.n);
    if (rc == 0) {
        struct range_source s = {&ranges, all.at};

        rc = scan_replace(kv, TABLE_RANGE, ranges.n, make_range, &s);
    }
    ranges_fini(&ranges);
    for (size_t i = 0; i < all.n; i++)
        policy_network_fini(&all.at[i]);
    free(all.at);
    return rc;
}

/* --- approved targets and addresses of hosts ------------------------------ */

struct targets {
    struct policy_approved *at;
    size_t n, max;
    struct addr *addresses;
    size_t n_addresses, max_addresses;
};

static int target_add(struct targets *t, const struct name *name, uint16_t port)
{
    if (t->n == t->max) {
        size_t max = t->max * 2 + 64;
        struct policy_approved *more = realloc(t->at, max * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        t->at = more;
        t->max = max;
    }
    t->at[t->n].target = *name;
    t->at[t->n++].port = port;
    return 0;
}

static int addresses_add(struct targets *t, const struct policy_host *h)
{
    if (t->n_addresses + h->n_addresses > t->max_addresses) {
        size_t max = t->max_addresses * 2 + 64;
        struct addr *more = realloc(t->addresses, max * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        t->addresses = more;
        t->max_addresses = max;
    }
    for (unsigned i = 0; i < h->n_addresses; i++)
        t->addresses[t->n_addresses++] = h->addresses[i];
    return 0;
}

static int add_pool(struct targets *t, const struct kv_entry *e)
{
    struct policy_pool p = {.n = 0};
    int rc = pool_read(&p, &e->value);

    for (size_t i = 0; i < p.n && rc == 0; i++)
        if ((rc = target_add(t, &p.hosts[i].target, p.hosts[i].port)) == 0)
            rc = addresses_add(t, &p.hosts[i]);
    policy_pool_fini(&p);
    return rc;
}

static int add_listed(struct targets *t, const struct kv_entry *e)
{
    struct policy_approved a;

    return key_read_target(&e->key, &a) ? target_add(t, &a.target, a.port) : -EBADMSG;
}

static int add_table(struct kv *kv, enum policy_table table, struct targets *t,
                     int add(struct targets *, const struct kv_entry *))
{
    struct kv_key all;
    struct kv_entry e;
    int rc;

    key_named(&all, table, "");
    for (rc = kv_seek(kv, &all, &e); rc != -ENOENT; rc = kv_next(kv, &e)) {
        if (e.key.at != NULL && !kv_begins(&e.key, &all))
            break;
        if (rc == 0)
            rc = add(t, &e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int target_compare(const void *a, const void *b)
{
    const struct policy_approved *x = a, *y = b;
    int c = policy_target_compare(&x->target, &y->target);

    return c != 0 ? c : x->port < y->port ? -1 : x->port > y->port;
}

static void make_target(void *context, size_t i, struct kv_key *k, struct writer *w)
{
    const struct targets *t = context;

    (void)w; /* the key says it all */
    key_target(k, TABLE_APPROVED, &t->at[i].target, t->at[i].port);
}

static int address_compare(const void *a, const void *b)
{
    const struct addr *x = a, *y = b;

    return memcmp(x->ip, y->ip, sizeof x->ip);
}

static void make_address(void *context, size_t i, struct kv_key *k, struct writer *w)
{
    const struct targets *t = context;

    (void)w;
    key_address(k, t->addresses[i].ip);
}

/* Sorts, drops doubles; the new count. */
static size_t sort_unique(void *at, size_t n, size_t size, int compare(const void *, const void *))
{
    char *base = at;
    size_t kept = 0;

    if (n > 0)
        qsort(at, n, size, compare);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && compare(base + (kept - 1) * size, base + i * size) == 0)
            continue;
        if (kept != i)
            memcpy(base + kept * size, base + i * size, size);
        kept++;
    }
    return kept;
}

int derive_targets(struct kv *kv)
{
    struct targets t = {0};
    int rc = add_table(kv, TABLE_POOL, &t, add_pool);

    if (rc == 0)
        rc = add_table(kv, TABLE_LISTED, &t, add_listed);
    t.n = sort_unique(t.at, t.n, sizeof *t.at, target_compare);
    t.n_addresses = sort_unique(t.addresses, t.n_addresses, sizeof *t.addresses, address_compare);
    if (rc == 0)
        rc = scan_replace(kv, TABLE_APPROVED, t.n, make_target, &t);
    if (rc == 0)
        rc = scan_replace(kv, TABLE_ADDRESS, t.n_addresses, make_address, &t);
    free(t.addresses);
    free(t.at);
    return rc;
}

/* --- hosts with addresses, by the rules that give them -------------------- */

static int put_hosts(struct kv *kv, const struct policy_pool *p, const char *rule)
{
    struct kv_key k;
    int rc = 0;

    for (size_t i = 0; i < p->n && rc >= 0; i++) {
        key_host(&k, &p->hosts[i].target, rule);
        if (p->hosts[i].n_addresses > 0 && k.len > 0)
            rc = kv_put(kv, &k, NULL, 0);
    }
    return rc < 0 ? rc : 0;
}

/* What is damaged gives nothing, and hinders no change. */
static int add_rule(void *context, const struct kv_key *key)
{
    const struct kv_bytes k = {key->at, key->len};
    struct policy_pool p = {.n = 0};
    struct kv *kv = context;
    char name[POLICY_NAME];
    struct rule_view r;
    struct kv_bytes v;
    struct kv_key pool;
    int rc;

    if (kv_get(kv, key, &v) != 0 || !rule_view_read(&r, &v) || !key_read_name(&k, name))
        return 0;
    key_named(&pool, TABLE_POOL, r.pool);
    if (kv_get(kv, &pool, &v) == 0 && pool_read(&p, &v) == -ENOMEM)
        return -ENOMEM;
    rc = put_hosts(kv, &p, name);
    policy_pool_fini(&p);
    return rc;
}

int derive_hosts(struct kv *kv)
{
    struct kv_key all;
    int64_t n;

    key_named(&all, TABLE_HOST, "");
    if ((n = scan_delete(kv, &all)) < 0)
        return (int)n;
    key_named(&all, TABLE_RULE, "");
    return scan_keys(kv, &all, add_rule, kv);
}

/* --- the state ------------------------------------------------------------ */

int derive_state(struct kv *kv, struct policy_state *out)
{
    struct kv_key first = {.len = 1, .at = {0}};
    struct policy_state s = {0};
    uint64_t n[256] = {0};
    struct kv_entry e;
    int rc = log_last(kv, &s.serial, &s.time_ms);

    if (rc == 0)
        rc = kv_sum(kv, &s.digest);
    if (rc != 0)
        return rc;
    for (rc = kv_seek(kv, &first, &e); rc == 0 || rc == -EBADMSG; rc = kv_next(kv, &e))
        n[e.key.at[0]]++; /* a damaged record is one all the same */
    s.networks = n[TABLE_NETWORK];
    s.pools = n[TABLE_POOL];
    s.rules = n[TABLE_RULE];
    s.suffixes = n[TABLE_SUFFIX] + n[TABLE_BELOW];
    s.approved = n[TABLE_LISTED];
    *out = s;
    return rc == -ENOENT ? 0 : rc;
}
