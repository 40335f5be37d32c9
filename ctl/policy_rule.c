/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_rule.c -- `policy rule set | add | drop`. What set may change is in
 * policy_rule_rows: their keys are its options. What is not given stays as it
 * is.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct change {
    struct ctl *c;
    const char *name;
    struct suffix *suffixes;
    size_t n; /* owned; set: --suffix, add and drop: the arguments */
};

/* --- set: options to fields ----------------------------------------------- */

/* The option of a row, with which `given` is its value, or NULL. */
static const char *given(struct ctl *c, const struct field *row)
{
    char option[32];

    snprintf(option, sizeof option, "--%s", row->key);
    return ctl_option(c, option);
}

static void set_networks(struct policy_rule *r, struct ctl *c, struct diags *d)
{
    const char *name, *why;

    if (ctl_option(c, "--network") == NULL)
        return;
    free(r->networks);
    r->networks = ctl_alloc(NULL, POLICY_RULE_NETWORKS * sizeof *r->networks);
    r->n_networks = 0;
    if (ctl_option_at(c, "--network", POLICY_RULE_NETWORKS) != NULL)
        diags_add(d, NULL, 0, 0, "rule %s: has more than %d networks", r->name,
                  POLICY_RULE_NETWORKS);
    for (int i = 0; i < POLICY_RULE_NETWORKS && (name = ctl_option_at(c, "--network", i)) != NULL;
         i++) {
        if (strcmp(name, "any") != 0 && policy_name_check(name, &why) != 0)
            diags_add(d, NULL, 0, 0, "network \"%s\": %s", name, why);
        else
            str_copy(r->networks[r->n_networks++], POLICY_NAME, name);
    }
}

static void set_fields(struct policy_rule *r, struct ctl *c, struct diags *d)
{
    struct form form = {.d = d, .now_ms = c->now.wall_ms};
    enum policy_action was = r->action;
    const char *comment = ctl_option(c, "--comment");
    char *clean = comment != NULL ? ctl_clean(comment) : NULL;

    for (const struct field *row = policy_rule_rows; row->key != NULL; row++) {
        const char *text = row->element == NULL ? given(c, row) : NULL;
        const struct yaml_node node = {.kind = YAML_SCALAR, .text = text, .quoted = true};

        if (text == NULL)
            continue;
        if (text == comment && strcmp(clean, text) != 0)
            form_problem(&form, &node,
                         "--comment \"%s\" has control characters, or octets that are not UTF-8",
                         text);
        else
            field_read(&form, row, &node, r);
    }
    free(clean);
    if (r->action != was && ctl_option(c, "--when") == NULL)
        r->when = policy_actions[r->action].when;
    if (ctl_option(c, "--action") != NULL && !policy_actions[r->action].has_pool &&
        ctl_option(c, "--pool") == NULL)
        r->pool[0] = '\0';
    set_networks(r, c, d);
}

static void copy_rule(struct policy_rule *out, const struct policy_rule *r)
{
    *out = *r;
    out->suffixes = NULL;
    out->n_suffixes = 0;
    out->networks = ctl_alloc(NULL, (r->n_networks + 1) * sizeof *r->networks);
    if (r->n_networks > 0)
        memcpy(out->networks, r->networks, r->n_networks * sizeof *r->networks);
}

/* `rule` is checked with these suffixes, which stay the caller's. */
static bool refused(struct policy_write *w, const struct policy_rule *rule, struct suffix *suffixes,
                    size_t n)
{
    struct policy_rule all = *rule;

    all.suffixes = suffixes;
    all.n_suffixes = n;
    return policy_rule_check(&all, &w->problems) != 0;
}

static void say_rule(struct policy_write *w, const struct policy_rule *r, const struct change *ch,
                     const char *change)
{
    char *words = policy_rule_words(r), *list = policy_suffix_list(ch->suffixes, ch->n);

    policy_row(w, "rule", r->name, change, "%s%s%s", list, ch->n > 0 ? "    " : "", words);
    free(words);
    free(list);
}

static int put_rule(struct policy_write *w, const struct change *ch, const struct policy_rule *was,
                    bool is_new)
{
    struct policy_rule r;
    size_t before = w->problems.all;
    int code = 0, rc;

    copy_rule(&r, was);
    set_fields(&r, w->c, &w->problems);
    policy_rule_sort(&r);
    if (w->problems.all > before || refused(w, &r, ch->suffixes, ch->n))
        code = EXIT_INVALID;
    if (code == 0)
        code = policy_rule_refers(w, &r);
    if (code == 0) {
        r.suffixes = ch->suffixes;
        r.n_suffixes = ch->n;
        rc = policy_txn_rule_put(w->txn, &r);
        r.suffixes = NULL;
        r.n_suffixes = 0;
        say_rule(w, &r, ch,
                 is_new                                    ? "new"
                 : ch->n > 0 || !policy_rule_same(was, &r) ? "changed"
                                                           : "same");
        if (is_new && ch->n == 0)
            w->remark = "the rule has no suffix yet and never acts; policy rule add NAME SUFFIX...";
        if (rc != 0)
            code = policy_failed(w->c, "write the rule", rc);
    }
    policy_rule_fini(&r);
    return code;
}

static int rule_set(struct policy_write *w, void *context)
{
    const struct change *ch = context;
    struct policy_rule was;
    int code, rc = policy_txn_rule_get(w->txn, ch->name, &was);

    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the rule", rc);
    if (rc == -ENOENT)
        policy_rule_init(&was, ch->name);
    policy_rule_sort(&was);
    code = put_rule(w, ch, &was, rc == -ENOENT);
    policy_rule_fini(&was);
    return code;
}

/* --- add, drop ------------------------------------------------------------ */

static int no_rule(const char *name)
{
    return ctl_fail(EXIT_NOT_FOUND, "there is no rule %s (policy rule set makes one)", name);
}

static int rule_add(struct policy_write *w, void *context)
{
    const struct change *ch = context;
    struct change added = {.suffixes = ctl_alloc(NULL, (ch->n + 1) * sizeof *ch->suffixes)};
    struct policy_rule r;
    bool was_there;
    int code = 0, rc = policy_txn_rule_get(w->txn, ch->name, &r);

    if (rc != 0) {
        free(added.suffixes);
        return rc == -ENOENT ? no_rule(ch->name) : policy_failed(w->c, "read the rule", rc);
    }
    if (refused(w, &r, ch->suffixes, ch->n))
        code = EXIT_INVALID;
    for (size_t i = 0; code == 0 && rc == 0 && i < ch->n; i++) {
        rc = policy_txn_suffix_add(w->txn, ch->name, &ch->suffixes[i], &was_there);
        if (rc == 0 && !was_there)
            added.suffixes[added.n++] = ch->suffixes[i];
    }
    if (rc != 0)
        code = policy_failed(w->c, "write the suffix", rc);
    if (code == 0)
        say_rule(w, &r, added.n > 0 ? &added : ch, added.n > 0 ? "more" : "same");
    policy_rule_fini(&r);
    free(added.suffixes);
    return code;
}

static int rule_drop(struct policy_write *w, void *context)
{
    const struct change *ch = context;
    char text[SUFFIX_TEXT];
    int rc = 0;

    w->removes = true;
    if (ch->n == 0) {
        snprintf(w->question, sizeof w->question, "Remove rule %s with all its suffixes?",
                 ch->name);
        rc = policy_txn_rule_del(w->txn, ch->name);
        policy_row(w, "rule", ch->name, "gone", "%s", "");
        return rc == 0         ? 0
               : rc == -ENOENT ? no_rule(ch->name)
                               : policy_failed(w->c, "remove the rule", rc);
    }
    snprintf(w->question, sizeof w->question, "Take these suffixes out of rule %s?", ch->name);
    for (size_t i = 0; i < ch->n; i++) {
        rc = policy_txn_suffix_drop(w->txn, ch->name, &ch->suffixes[i]);
        if (rc == -ENOENT)
            return ctl_fail(EXIT_NOT_FOUND, "rule %s has no suffix %s", ch->name,
                            suffix_print(&ch->suffixes[i], text));
        if (rc != 0)
            return policy_failed(w->c, "remove the suffix", rc);
        policy_row(w, "rule", ch->name, "less", "%s", suffix_print(&ch->suffixes[i], text));
    }
    return 0;
}

/* --- the verb ------------------------------------------------------------- */

static const struct {
    const char *word;
    policy_write_fn *run;
    bool options, least;
} parts[] = {{"set", rule_set, true, false},
             {"add", rule_add, false, true},
             {"drop", rule_drop, false, false}};
static const char *const part_words[] = {"set", "add", "drop", NULL};

static void take_suffixes(struct ctl *c, struct change *ch, bool set, struct diags *d)
{
    struct policy_rule r = {.n_suffixes = 0};
    const char *text, *why;

    if (!set) {
        r.suffixes = policy_take_suffixes(c, 2, d);
        r.n_suffixes = (size_t)c->argc - 2;
    } else {
        r.suffixes = ctl_alloc(NULL, ARRAY_LEN(c->given) * sizeof *r.suffixes);
        for (int i = 0; (text = ctl_option_at(c, "--suffix", i)) != NULL; i++)
            if (suffix_parse(&r.suffixes[r.n_suffixes++], text, &why) != 0)
                diags_add(d, NULL, 0, 0, "suffix \"%s\" %s", text, why);
    }
    if (d->all == 0)
        policy_rule_sort(&r); /* without doubles */
    ch->suffixes = r.suffixes;
    ch->n = r.n_suffixes;
}

int policy_rule(struct ctl *c)
{
    int i = str_index(part_words, c->argv[0]), code;
    struct change ch = {.c = c, .name = c->argv[1]};
    const char *why, *extra = NULL;
    struct diags d;

    for (const struct field *row = policy_rule_rows; row->key != NULL && extra == NULL; row++)
        if (row->element == NULL && given(c, row) != NULL)
            extra = row->key;
    if (extra == NULL)
        extra = ctl_option(c, "--suffix") != NULL    ? "suffix"
                : ctl_option(c, "--network") != NULL ? "network"
                                                     : NULL;
    if (i < 0)
        return ctl_fail(EXIT_USAGE, "policy rule: %s is neither set, add nor drop", c->argv[0]);
    if (!parts[i].options && extra != NULL)
        return ctl_fail(EXIT_USAGE, "policy rule %s takes no --%s: policy rule set does",
                        parts[i].word, extra);
    if (parts[i].options && c->argc > 2)
        return ctl_fail(
            EXIT_USAGE,
            "policy rule set takes suffixes as --suffix S; policy rule add %s %s adds one",
            c->argv[1], c->argv[2]);
    if (parts[i].least && c->argc < 3)
        return ctl_fail(EXIT_USAGE, "policy rule add needs a name and at least one suffix");
    diags_init(&d);
    if (policy_name_check(c->argv[1], &why) != 0)
        diags_add(&d, NULL, 0, 0, "rule \"%s\": %s", c->argv[1], why);
    take_suffixes(c, &ch, parts[i].options, &d);
    code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, parts[i].run, &ch);
    free(ch.suffixes);
    diags_fini(&d);
    return code;
}
