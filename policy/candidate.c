/* SPDX-License-Identifier: BSD-2-Clause
 *
 * candidate.c -- one rule seen from one question.
 *
 * The order of trial: longest prefix that contains the client first, rules for
 * every client last; then exact suffix, longest *., *; then by name. The
 * nearest scope wins, and there is no number to keep in order by hand.
 */
#include "policy/candidate.h"

#include <errno.h>

/* The first of the client's networks that the rule names; the client's are
 * sorted, so this is its longest prefix. */
static bool find_network(struct candidate *c, const struct policy_client *client)
{
    bool any = c->rule.n_networks == 0;

    c->network = -1;
    for (unsigned i = 0; i < c->rule.n_networks; i++) {
        struct kv_bytes t = record_text(&c->rule.networks);

        any |= record_text_is(&t, "any");
        for (int k = 0; k < client->n_networks && (c->network < 0 || k < c->network); k++)
            if (record_text_is(&t, client->networks[k])) {
                c->network = k;
                break;
            }
    }
    return any || c->network >= 0;
}

int candidate_read(struct candidate *c, struct kv *kv, const struct policy_ask *ask,
                   const struct index_hit *hit)
{
    struct cursor networks;
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    k.at[0] = TABLE_RULE;
    memcpy(k.at + 1, hit->rule.at, hit->rule.len);
    k.len = 1 + hit->rule.len;
    rc = kv_get(kv, &k, &v);
    if (rc == -ENOENT || (rc == 0 && !rule_view_read(&c->rule, &v)))
        return -EBADMSG; /* an entry of the index without its rule */
    if (rc != 0)
        return rc;
    c->name = hit->rule;
    c->kind = hit->kind;
    c->labels = hit->labels;
    c->mode = c->rule.mode < ask->limit ? c->rule.mode : ask->limit;
    c->is_early = ask->wall_ms < c->rule.from_ms;
    c->is_late = c->rule.until_ms != 0 && ask->wall_ms >= c->rule.until_ms;
    networks = c->rule.networks;
    c->in_network = find_network(c, ask->client);
    c->rule.networks = networks;
    return 0;
}

bool candidate_stands(const struct candidate *c)
{
    return c->in_network && !c->is_early && !c->is_late && c->mode != MODE_OFF;
}

static int scope(const struct candidate *c, const struct policy_client *client)
{
    return c->network >= 0 ? client->prefixes[c->network].len : -1;
}

/* Exact before the longest *., that before *, which has no labels. */
static unsigned nearness(const struct candidate *c)
{
    bool whole = c->kind == SUFFIX_EXACT || c->kind == SUFFIX_BARE;

    return (whole ? 256u : 0u) + c->labels;
}

int candidate_compare(const struct candidate *a, const struct candidate *b,
                      const struct policy_client *client)
{
    int in_a = scope(a, client), in_b = scope(b, client), c;
    size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;

    if (in_a != in_b)
        return in_a > in_b ? -1 : 1;
    if (nearness(a) != nearness(b))
        return nearness(a) > nearness(b) ? -1 : 1;
    c = memcmp(a->name.at, b->name.at, n);
    return c != 0 ? c : a->name.len < b->name.len ? -1 : a->name.len > b->name.len;
}

unsigned candidate_when(const struct candidate *c)
{
    return policy_when(c->rule.action, c->rule.when);
}

bool candidate_is_unconditional(const struct candidate *c)
{
    return c->rule.when == 0 && policy_actions[c->rule.action].is_blind;
}

void policy_suffix_of(const struct name *qname, struct name *suffix)
{
    name_parent(qname, 2, suffix);
}
