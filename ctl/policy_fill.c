/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_fill.c -- `policy fill`: the short way from a suffix to a KMS host.
 * It makes or extends the rule fill-POOL[-NETWORK...], and with --host the
 * pool, named after the first host's first label.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "ctl/zone.h"

struct fill {
    struct suffix *suffixes;
    size_t n_suffixes;       /* owned, as given */
    struct policy_pool pool; /* n 0: --pool, only the name counts */
    struct policy_rule rule; /* the head it must have */
};

/* --- the command line ----------------------------------------------------- */

static int take_pool(struct ctl *c, struct fill *f, struct diags *d)
{
    const char *pool = ctl_option(c, "--pool"), *hosts[POLICY_POOL_HOSTS + 1];
    size_t n = 0;

    while (n < ARRAY_LEN(hosts) && ctl_option_at(c, "--host", (int)n) != NULL) {
        hosts[n] = ctl_option_at(c, "--host", (int)n);
        n++;
    }
    if ((pool != NULL) == (n > 0))
        return ctl_fail(EXIT_USAGE, "policy fill needs --pool POOL or --host HOST, and not both");
    if (pool != NULL) {
        if (!str_copy(f->pool.name, sizeof f->pool.name, pool))
            return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s", pool);
        return 0;
    }
    f->pool.hosts = policy_take_hosts(hosts, n, d);
    f->pool.n = n;
    if (d->all > 0)
        return 0;
    zone_pool_name(&f->pool.hosts[0].target, f->pool.name);
    policy_pool_check(&f->pool, d);
    policy_pool_sort(&f->pool);
    return 0;
}

static int take_rule(struct ctl *c, struct fill *f, struct diags *d)
{
    char name[4096];
    const char *network, *why;
    struct str s;

    str_init(&s, name, sizeof name);
    str_addf(&s, "fill-%s", f->pool.name);
    policy_rule_init(&f->rule, "");
    str_copy(f->rule.pool, sizeof f->rule.pool, f->pool.name);
    f->rule.networks = ctl_alloc(NULL, POLICY_RULE_NETWORKS * sizeof *f->rule.networks);
    for (int i = 0; (network = ctl_option_at(c, "--network", i)) != NULL; i++) {
        if (f->rule.n_networks == POLICY_RULE_NETWORKS)
            return ctl_fail(EXIT_USAGE, "a rule has at most %d networks", POLICY_RULE_NETWORKS);
        if (!str_copy(f->rule.networks[f->rule.n_networks++], POLICY_NAME, network))
            return ctl_fail(EXIT_NOT_FOUND, "there is no network %s", network);
    }
    policy_rule_sort(&f->rule);
    for (size_t i = 0; i < f->rule.n_networks; i++)
        str_addf(&s, "-%s", f->rule.networks[i]);
    if (s.cut || policy_name_check(name, &why) != 0)
        diags_add(d, NULL, 0, 0, "the rule's name would be %s: %s; use policy rule set NAME", name,
                  s.cut ? "too long" : why);
    else
        str_copy(f->rule.name, sizeof f->rule.name, name);
    return 0;
}

static int take_arguments(struct ctl *c, struct fill *f, struct diags *d)
{
    struct policy_rule all;
    int code;

    f->suffixes = policy_take_suffixes(c, 0, d);
    f->n_suffixes = (size_t)c->argc;
    code = take_pool(c, f, d);
    if (code == 0 && d->all == 0)
        code = take_rule(c, f, d);
    if (code != 0 || d->all > 0)
        return code;
    all = f->rule; /* what is refused on entry, with the suffixes */
    all.suffixes = f->suffixes;
    all.n_suffixes = f->n_suffixes;
    policy_rule_check(&all, d);
    return 0;
}

/* --- the change ----------------------------------------------------------- */

static bool same_pool(const struct policy_pool *a, const struct policy_pool *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!policy_host_same(&a->hosts[i], &b->hosts[i]))
            return false;
    return true;
}

static int put_pool(struct policy_write *w, const struct fill *f)
{
    struct policy_pool there;
    char *hosts;
    bool same;
    int rc;

    if (f->pool.n == 0)
        return 0;
    hosts = policy_host_list(f->pool.hosts, f->pool.n);
    rc = policy_txn_pool_get(w->txn, f->pool.name, &there);
    if (rc == -ENOENT) {
        rc = policy_txn_pool_put(w->txn, &f->pool);
        policy_row(w, "pool", f->pool.name, "new", "%s", hosts);
    } else if (rc == 0) {
        policy_pool_sort(&there);
        same = same_pool(&there, &f->pool);
        policy_pool_fini(&there);
        if (!same) {
            free(hosts);
            return policy_bad(
                w,
                "pool %s is there with other hosts: use --pool %s, or policy pool add %s HOST...",
                f->pool.name, f->pool.name, f->pool.name);
        }
        policy_row(w, "pool", f->pool.name, "same", "%s", hosts);
    }
    free(hosts);
    return rc == 0 ? 0 : policy_failed(w->c, "write the pool", rc);
}

/* Makes the rule's head, or finds it. */
static int put_head(struct policy_write *w, const struct fill *f, bool *is_new)
{
    struct policy_rule there;
    bool fits;
    int rc = policy_txn_rule_get(w->txn, f->rule.name, &there);

    *is_new = rc == -ENOENT;
    if (rc == -ENOENT) {
        rc = policy_txn_rule_put(w->txn, &f->rule);
        return rc == 0 ? 0 : policy_failed(w->c, "write the rule", rc);
    }
    if (rc != 0)
        return policy_failed(w->c, "read the rule", rc);
    policy_rule_sort(&there);
    fits = there.action == ACTION_FILL && strcmp(there.pool, f->rule.pool) == 0 &&
           there.n_networks == f->rule.n_networks;
    for (size_t i = 0; fits && i < there.n_networks; i++)
        fits = strcmp(there.networks[i], f->rule.networks[i]) == 0;
    if (fits && there.mode != MODE_LIVE)
        w->remark = "the rule's mode is not live: nothing is delivered by it yet";
    policy_rule_fini(&there);
    if (!fits)
        return policy_bad(
            w, "rule %s is there and fills otherwise: use policy rule add, or another name",
            f->rule.name);
    return 0;
}

static int put_rule(struct policy_write *w, const struct fill *f)
{
    struct suffix *added = ctl_alloc(NULL, (f->n_suffixes + 1) * sizeof *added);
    char *list, *networks, *when;
    size_t n = 0;
    bool is_new, was_there;
    int code = put_head(w, f, &is_new), rc = 0;

    for (size_t i = 0; code == 0 && rc == 0 && i < f->n_suffixes; i++) {
        rc = policy_txn_suffix_add(w->txn, f->rule.name, &f->suffixes[i], &was_there);
        if (rc == 0 && !was_there)
            added[n++] = f->suffixes[i];
    }
    if (rc != 0)
        code = policy_failed(w->c, "write the suffix", rc);
    if (code == 0) {
        list =
            n > 0 ? policy_suffix_list(added, n) : policy_suffix_list(f->suffixes, f->n_suffixes);
        networks = policy_networks_words(&f->rule);
        when = policy_when_words(&f->rule);
        policy_row(w, "rule", f->rule.name,
                   is_new  ? "new"
                   : n > 0 ? "more"
                           : "same",
                   "%s    %s, %s", list, networks, when);
        free(list);
        free(networks);
        free(when);
    }
    free(added);
    return code;
}

static int fill(struct policy_write *w, void *context)
{
    const struct fill *f = context;
    int code = put_pool(w, f);

    if (code == 0)
        code = policy_rule_refers(w, &f->rule);
    return code != 0 ? code : put_rule(w, f);
}

int policy_fill(struct ctl *c)
{
    struct fill f = {0};
    struct diags d;
    size_t n = 0;
    char *unrouted = NULL;
    int code;

    diags_init(&d);
    code = take_arguments(c, &f, &d);
    if (code == 0 && d.all > 0)
        code = ctl_invalid(&d);
    if (code == 0)
        code = policy_change_run(c, fill, &f);
    if (code == 0)
        unrouted = policy_unrouted(c->settings, f.suffixes, f.n_suffixes, &n);
    if (unrouted != NULL)
        ctl_warn("no route for %s; whether %s is judged by the default servers (forward: zone .)",
                 unrouted, n == 1 ? "its record is missing" : "their records are missing");
    free(unrouted);
    free(f.suffixes);
    policy_pool_fini(&f.pool);
    policy_rule_fini(&f.rule);
    diags_fini(&d);
    return code;
}
