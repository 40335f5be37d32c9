/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_rule.c -- the section `rules:` of the text form, in. A key of a rule is
 * a row of rule_fields[].
 */
#include "policy/text_in.h"

#include <errno.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"

static void field_suffixes(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    const struct yaml_node *item;
    size_t n = text_list(in, node, "suffixes", &item);
    const char *why;

    r->suffixes = text_alloc(in, n, sizeof *r->suffixes);
    for (size_t i = 0; i < n && !in->nomem; i++, item = item->next) {
        if (suffix_parse(&r->suffixes[r->n_suffixes], item->text, &why) != 0)
            text_bad(in, item, "suffix \"%s\" %s", item->text, why);
        else
            r->n_suffixes++;
    }
}

static void field_networks(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    const struct yaml_node *item;
    size_t n = text_list(in, node, "networks", &item);
    const char *why;

    if (n > POLICY_RULE_NETWORKS) {
        text_bad(in, node, "a rule has at most %d networks", POLICY_RULE_NETWORKS);
        return;
    }
    r->networks = text_alloc(in, n, sizeof *r->networks);
    r->network_places = text_alloc(in, n, sizeof *r->network_places);
    for (size_t i = 0; i < n && !in->nomem; i++, item = item->next) {
        if (strcmp(item->text, "any") != 0 && policy_name_check(item->text, &why) != 0)
            text_bad(in, item, "network \"%s\": %s", item->text, why);
        else {
            r->network_places[r->n_networks] = (struct policy_place){item->line, item->column};
            str_copy(r->networks[r->n_networks++], POLICY_NAME, item->text);
        }
    }
}

static void field_action(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    int i = text_word(in, node, "action", action_names);

    if (i >= 0)
        r->action = (enum policy_action)i;
}

static void field_when(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    const struct yaml_node *item;
    size_t n = text_list(in, node, "when", &item);

    r->when = 0;
    if (node->kind == YAML_LIST && node->n == 0)
        text_bad(in, node, "when is empty; leave it out for the default");
    for (size_t i = 0; i < n; i++, item = item->next) {
        int bit = text_word(in, item, "when", word_names);

        if (bit >= 0)
            r->when |= 1u << bit;
    }
}

static void field_mode(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    int i = text_word(in, node, "mode", mode_names);

    if (i >= 0)
        r->mode = (enum policy_mode)i;
}

static void field_pool(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    const char *text = text_scalar(in, node, "pool"), *why;

    if (text == NULL)
        return;
    r->pool_place = (struct policy_place){node->line, node->column};
    if (policy_name_check(text, &why) != 0)
        text_bad(in, node, "pool \"%s\": %s", text, why);
    else
        str_copy(r->pool, sizeof r->pool, text);
}

static void field_ttl(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    const char *text = text_scalar(in, node, "ttl");
    uint64_t ms;

    if (text == NULL)
        return;
    if (duration_parse(&ms, text) != 0)
        text_bad(in, node, "ttl is a duration like 300s, 5m or 1h, not \"%s\"", text);
    else if (ms % 1000 != 0 || ms / 1000 < POLICY_TTL_MIN || ms / 1000 > POLICY_TTL_MAX)
        text_bad(in, node, "ttl %s is not a whole number of seconds from 30s to 1d", text);
    else
        r->ttl = (uint32_t)(ms / 1000);
}

/* A file means the same whenever it is read: no times that count from now. */
static uint64_t time_value(struct text_in *in, const struct yaml_node *node, const char *what)
{
    const char *text = text_scalar(in, node, what);
    uint64_t ms = 0;

    if (text == NULL)
        return 0;
    if (strspn(text, "0123456789") != 4 || time_parse(&ms, text, 0) != 0 || ms == 0) {
        text_bad(in, node,
                 "%s is a time like 2027-01-31T18:00:00+01:00 or \"2027-01-31 18:00\", not \"%s\"",
                 what, text);
        return 0;
    }
    return ms;
}

static void field_from(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    r->from_ms = time_value(in, node, "from");
}

static void field_until(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    r->until_ms = time_value(in, node, "until");
}

static void field_break(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    r->break_dnssec = text_bool(in, node, "break-dnssec", false);
}

static void field_comment(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    if (node->kind != YAML_SCALAR)
        text_bad(in, node, "comment must be one text");
    else if (!str_copy(r->comment, sizeof r->comment, node->text))
        text_bad(in, node, "comment has more than %d bytes", POLICY_COMMENT - 1);
}

static const struct rule_field {
    const char *key;
    void (*read)(struct text_in *, const struct yaml_node *, struct policy_rule *);
} rule_fields[] = {
    {"suffixes", field_suffixes}, {"networks", field_networks},
    {"action", field_action},     {"when", field_when},
    {"mode", field_mode},         {"pool", field_pool},
    {"ttl", field_ttl},           {"from", field_from},
    {"until", field_until},       {"break-dnssec", field_break},
    {"comment", field_comment},
};
static const char *const rule_keys[] = {"suffixes", "networks",     "action",  "when",
                                        "mode",     "pool",         "ttl",     "from",
                                        "until",    "break-dnssec", "comment", NULL};

static void read_rule(struct text_in *in, const struct yaml_node *node, struct policy_rule *r)
{
    bool was_bad = in->bad;
    struct diags own;

    policy_rule_init(r, node->key);
    r->place = text_key_place(node);
    in->bad = false;
    if (text_map(in, node, "a rule", rule_keys)) {
        for (size_t i = 0; i < ARRAY_LEN(rule_fields) && !in->nomem; i++) {
            const struct yaml_node *k = yaml_get(node, rule_fields[i].key);

            if (k != NULL)
                rule_fields[i].read(in, k, r);
        }
        if (yaml_get(node, "when") == NULL)
            r->when = policy_action_when(r->action);
    }
    if (!in->bad && !in->nomem) { /* else its problems are said already */
        diags_init(&own);
        policy_rule_check(r, &own);
        text_adopt(in, node, &own);
        diags_fini(&own);
    }
    in->bad = in->bad || was_bad;
}

void text_read_rules(struct text_in *in, const struct yaml_node *node, struct policy *out)
{
    const char *why;

    if (!text_map(in, node, "rules", NULL))
        return;
    out->rules = text_alloc(in, node->n, sizeof *out->rules);
    for (const struct yaml_node *k = node->first; k != NULL && !in->nomem; k = k->next) {
        if (policy_name_check(k->key, &why) != 0)
            text_bad_key(in, k, "rule \"%s\": %s", k->key, why);
        else
            read_rule(in, k, &out->rules[out->n_rules++]);
    }
}
