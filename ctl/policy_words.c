/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_words.c -- values of the policy to words for people, and arguments to
 * values with every mistake told.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/present.h"

enum { SHOWN = 8 /* of a list; the rest is counted */, TEXT = 16384 };

static void add_item(struct str *s, size_t i, const char *text)
{
    str_addf(s, "%s%s", i > 0 ? " " : "", text);
}

static char *end_list(struct str *s, size_t n)
{
    if (n > SHOWN)
        str_addf(s, " and %zu more", n - SHOWN);
    return ctl_text("%s", s->at);
}

char *policy_suffix_list(const struct suffix *at, size_t n)
{
    char buf[TEXT], text[SUFFIX_TEXT];
    struct str s;

    str_init(&s, buf, sizeof buf);
    for (size_t i = 0; i < n && i < SHOWN; i++)
        add_item(&s, i, suffix_print(&at[i], text));
    return end_list(&s, n);
}

char *policy_prefix_list(const struct prefix *at, size_t n)
{
    char buf[TEXT], text[PREFIX_TEXT];
    struct str s;

    str_init(&s, buf, sizeof buf);
    for (size_t i = 0; i < n && i < SHOWN; i++)
        add_item(&s, i, prefix_print(&at[i], text));
    return end_list(&s, n);
}

char *policy_host_list(const struct policy_host *at, size_t n)
{
    char buf[TEXT], text[HOST_TEXT];
    struct str s;

    str_init(&s, buf, sizeof buf);
    for (size_t i = 0; i < n && i < SHOWN; i++)
        add_item(&s, i, host_print(&at[i], text, sizeof text));
    return end_list(&s, n);
}

char *policy_networks_words(const struct policy_rule *r)
{
    char buf[POLICY_RULE_NETWORKS * POLICY_NAME + 64];
    struct str s;

    str_init(&s, buf, sizeof buf);
    for (size_t i = 0; i < r->n_networks; i++) {
        if (strcmp(r->networks[i], "any") == 0)
            return ctl_text("any client");
        str_addf(&s, "%s%s", i > 0 ? " " : "clients in ", r->networks[i]);
    }
    return ctl_text("%s", r->n_networks > 0 ? s.at : "any client");
}

char *policy_when_words(const struct policy_rule *r)
{
    char buf[128];
    struct str s;

    if (r->action == ACTION_FILTER)
        return ctl_text("when unapproved");
    if (r->when == 0)
        return ctl_text("always");
    str_init(&s, buf, sizeof buf);
    for (unsigned i = 0; i < VERDICT_WORDS; i++)
        if (r->when & 1u << i)
            str_addf(&s, "%s%s", s.len == 0 ? "when " : " or ", word_names[i]);
    return ctl_text("%s", buf);
}

char *policy_rule_words(const struct policy_rule *r)
{
    char *networks = policy_networks_words(r), *when = policy_when_words(r), ttl[NUMBER_TEXT],
         from[NUMBER_TEXT], until[NUMBER_TEXT], buf[TEXT];
    struct str s;

    str_init(&s, buf, sizeof buf);
    str_add(&s, action_names[r->action]);
    if (r->pool[0] != '\0')
        str_addf(&s, " from pool %s", r->pool);
    str_addf(&s, ", %s, %s", networks, when);
    if (r->mode != MODE_LIVE)
        str_addf(&s, ", mode %s", mode_names[r->mode]);
    if (r->ttl != POLICY_TTL_DEFAULT)
        str_addf(&s, ", ttl %s", duration_print(r->ttl * UINT64_C(1000), ttl));
    if (r->from_ms != 0)
        str_addf(&s, ", from %s", policy_time_print(r->from_ms, from));
    if (r->until_ms != 0)
        str_addf(&s, ", until %s", policy_time_print(r->until_ms, until));
    if (r->break_dnssec)
        str_add(&s, ", breaks DNSSEC");
    free(networks);
    free(when);
    return ctl_text("%s", buf);
}

/* --- arguments ------------------------------------------------------------ */

struct suffix *policy_take_suffixes(struct ctl *c, int first, struct diags *d)
{
    struct suffix *at = ctl_alloc(NULL, (size_t)(c->argc - first + 1) * sizeof *at);
    const char *why;

    for (int i = first; i < c->argc; i++)
        if (suffix_parse(&at[i - first], c->argv[i], &why) != 0)
            diags_add(d, NULL, 0, 0, "suffix \"%s\" %s", c->argv[i], why);
    return at;
}

struct policy_host *policy_take_hosts(const char *const *texts, size_t n, struct diags *d)
{
    struct policy_host *at = ctl_alloc(NULL, (n + 1) * sizeof *at);
    const char *why;

    for (size_t i = 0; i < n; i++)
        if (host_parse(&at[i], texts[i], &why) != 0)
            diags_add(d, NULL, 0, 0, "\"%s\" %s", texts[i], why);
    return at;
}

struct prefix *policy_take_prefixes(struct ctl *c, int first, struct diags *d)
{
    struct prefix *at = ctl_alloc(NULL, (size_t)(c->argc - first + 1) * sizeof *at);

    for (int i = first; i < c->argc; i++) {
        int rc = prefix_parse(&at[i - first], c->argv[i]);

        if (rc == -ERANGE)
            diags_add(d, NULL, 0, 0, "%s has bits behind its prefix length", c->argv[i]);
        else if (rc != 0)
            diags_add(d, NULL, 0, 0, "\"%s\" is not a prefix like 10.0.0.0/8 or 2001:db8::/32",
                      c->argv[i]);
    }
    return at;
}

/* --- comparing ------------------------------------------------------------ */

bool policy_host_same(const struct policy_host *a, const struct policy_host *b)
{
    char x[HOST_TEXT], y[HOST_TEXT];

    return strcmp(host_print(a, x, sizeof x), host_print(b, y, sizeof y)) == 0;
}

bool policy_rule_same(const struct policy_rule *a, const struct policy_rule *b)
{
    return fields_same(policy_rule_rows + 1, a, b); /* without the suffixes */
}

int policy_rule_refers(struct policy_write *w, const struct policy_rule *r)
{
    struct policy_network network;
    struct policy_pool pool;
    int rc;

    for (size_t i = 0; i < r->n_networks; i++) {
        if (strcmp(r->networks[i], "any") == 0)
            continue;
        rc = policy_txn_network_get(w->txn, r->networks[i], &network);
        if (rc == -ENOENT)
            return ctl_fail(EXIT_NOT_FOUND,
                            "there is no network %s (policy network set %s PREFIX... makes it)",
                            r->networks[i], r->networks[i]);
        if (rc != 0)
            return policy_failed(w->c, "read the network", rc);
        policy_network_fini(&network);
    }
    if (r->pool[0] == '\0')
        return 0;
    rc = policy_txn_pool_get(w->txn, r->pool, &pool);
    if (rc == -ENOENT)
        return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s (policy pool set %s HOST... makes it)",
                        r->pool, r->pool);
    if (rc != 0)
        return policy_failed(w->c, "read the pool", rc);
    policy_pool_fini(&pool);
    return 0;
}
