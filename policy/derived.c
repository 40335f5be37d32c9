/* SPDX-License-Identifier: BSD-2-Clause
 *
 * derived.c -- the tables that are made from others.
 *
 * Built anew by the transaction that changes a network, a pool or the list,
 * and only the records that differ are written. Counting up and down instead
 * would have to trust what is stored, and nothing could repair it.
 */
#include "policy/derived.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/ranges.h"
#include "policy/records.h"
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

/* --- approved targets ----------------------------------------------------- */

struct targets {
    struct policy_approved *at;
    size_t n, max;
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

static int add_pool(struct targets *t, const struct kv_entry *e)
{
    struct policy_pool p = {.n = 0};
    int rc = pool_read(&p, &e->value);

    for (size_t i = 0; i < p.n && rc == 0; i++)
        rc = target_add(t, &p.hosts[i].target, p.hosts[i].port);
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

int derive_approved(struct kv *kv)
{
    struct targets t = {0};
    size_t kept = 0;
    int rc = add_table(kv, TABLE_POOL, &t, add_pool);

    if (rc == 0)
        rc = add_table(kv, TABLE_LISTED, &t, add_listed);
    if (rc == 0 && t.n > 0) {
        qsort(t.at, t.n, sizeof *t.at, target_compare);
        for (size_t i = 0; i < t.n; i++)
            if (kept == 0 || target_compare(&t.at[kept - 1], &t.at[i]) != 0)
                t.at[kept++] = t.at[i];
    }
    if (rc == 0)
        rc = scan_replace(kv, TABLE_APPROVED, kept, make_target, &t);
    free(t.at);
    return rc;
}
