/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model_check.c -- what is refused on entry, whichever way it comes in. What
 * is only suspicious (expired, hidden, tied) is for policy/check.c.
 */
#include "policy/model.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/present.h"

void policy_rule_init(struct policy_rule *r, const char *name)
{
    *r = (struct policy_rule){
        .action = ACTION_FILL, .when = WORD_MISSING, .mode = MODE_LIVE, .ttl = POLICY_TTL_DEFAULT};
    str_copy(r->name, sizeof r->name, name);
}

static void check_when(const struct policy_rule *r, struct diags *d)
{
    const struct policy_action_row *a = &policy_actions[r->action];
    unsigned hides = r->when & (WORD_PRESENT | WORD_UNAPPROVED);

    if (r->action == ACTION_FILL && hides != 0)
        diags_add(d, NULL, 0, 0,
                  "rule %s: fill never hides an answer of the real DNS; for %s use action replace",
                  r->name, hides & WORD_PRESENT ? "present" : "unapproved");
    else if ((r->when & a->least) != a->least || (r->when & ~a->most) != 0)
        diags_add(d, NULL, 0, 0, "rule %s: %s takes %s", r->name, action_names[r->action],
                  a->when_wrong);
}

static void check_scope(const struct policy_rule *r, struct diags *d)
{
    char text[SUFFIX_TEXT];

    if (r->n_networks > POLICY_RULE_NETWORKS)
        diags_add(d, NULL, 0, 0, "rule %s: has more than %d networks", r->name,
                  POLICY_RULE_NETWORKS);
    if (r->n_networks > 0)
        return;
    for (size_t i = 0; i < r->n_suffixes; i++) {
        if (!suffix_is_wide(&r->suffixes[i]))
            continue;
        diags_add(
            d, NULL, 0, 0,
            "rule %s: suffix %s is so wide that it needs networks; if every client is meant, name "
            "the network any",
            r->name, suffix_print(&r->suffixes[i], text));
        return;
    }
}

int policy_rule_check(const struct policy_rule *r, struct diags *d)
{
    struct diags own;
    const char *why;
    int rc;

    if (d == NULL) {
        diags_init(&own);
        rc = policy_rule_check(r, &own);
        diags_fini(&own);
        return rc;
    }
    size_t before = d->all;
    if (policy_name_check(r->name, &why) != 0)
        diags_add(d, NULL, 0, 0, "rule \"%s\": %s", r->name, why);
    if (policy_actions[r->action].has_pool && r->pool[0] == '\0')
        diags_add(d, NULL, 0, 0, "rule %s: %s needs a pool", r->name, action_names[r->action]);
    if (!policy_actions[r->action].has_pool && r->pool[0] != '\0')
        diags_add(d, NULL, 0, 0,
                  "rule %s: %s delivers no pool; leave the pool out, or use fill or replace",
                  r->name, action_names[r->action]);
    check_when(r, d);
    check_scope(r, d);
    if (r->ttl < POLICY_TTL_MIN || r->ttl > POLICY_TTL_MAX)
        diags_add(d, NULL, 0, 0, "rule %s: ttl is %u s; allowed are %ds to 1d", r->name, r->ttl,
                  POLICY_TTL_MIN);
    if (r->from_ms != 0 && r->until_ms != 0 && r->from_ms >= r->until_ms)
        diags_add(d, NULL, 0, 0,
                  "rule %s: until is not later than from, so the rule is never valid", r->name);
    return d->all == before ? 0 : -EINVAL;
}

static void check_host(const struct policy_pool *p, size_t i, struct diags *d)
{
    const struct policy_host *h = &p->hosts[i];
    char name[NAME_TEXT], text[ADDR_TEXT];

    name_print(&h->target, name);
    if (h->target.labels < 2)
        diags_add(d, NULL, 0, 0, "pool %s: host %s has no dot; give the full name", p->name, name);
    if (h->port == 0)
        diags_add(d, NULL, 0, 0, "pool %s: host %s has port 0, where no client can connect",
                  p->name, name);
    for (size_t k = 0; k < i; k++)
        if (p->hosts[k].port == h->port && name_equal(&p->hosts[k].target, &h->target)) {
            diags_add(d, NULL, 0, 0, "pool %s: host %s:%u is there twice", p->name, name,
                      (unsigned)h->port);
            break;
        }
    for (unsigned a = 0; a < h->n_addresses && !p->allow_public; a++)
        if (!addr_is_private(&h->addresses[a]))
            diags_add(
                d, NULL, 0, 0,
                "pool %s: host %s has the public address %s; a KMS host is meant to be inside "
                "(if it is yours, say allow-public: yes)",
                p->name, name, addr_print(&h->addresses[a], text));
}

int policy_pool_check(const struct policy_pool *p, struct diags *d)
{
    struct diags own;
    const char *why;
    int rc;

    if (d == NULL) {
        diags_init(&own);
        rc = policy_pool_check(p, &own);
        diags_fini(&own);
        return rc;
    }
    size_t before = d->all;
    if (policy_name_check(p->name, &why) != 0)
        diags_add(d, NULL, 0, 0, "pool \"%s\": %s", p->name, why);
    if (p->n == 0)
        diags_add(d, NULL, 0, 0, "pool %s: has no host", p->name);
    if (p->n > POLICY_POOL_HOSTS)
        diags_add(d, NULL, 0, 0, "pool %s: has more than %d hosts", p->name, POLICY_POOL_HOSTS);
    for (size_t i = 0; i < p->n && i < POLICY_POOL_HOSTS; i++)
        check_host(p, i, d);
    return d->all == before ? 0 : -EINVAL;
}
