/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- why a decision is what it is, rule by rule.
 *
 * The decision is policy_decide()'s own; only the reasons of the other rules
 * are found here. Allocates: it runs for a person, not for a packet.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/number.h"
#include "base/str.h"
#include "policy/candidate.h"

enum { TRIALS = 1000, BELOW = 5 };

struct seen {
    struct candidate c;
    bool near;
    size_t order; /* of the walk */
};

struct list {
    struct kv *kv;
    const struct policy_ask *ask;
    const struct policy_decision *decision;
    struct seen *at;
    size_t n, max;
    bool near; /* which walk it is */
    unsigned labels;
};

/* Candidates in the order of trial, then in that order those that do not stand,
 * then near misses as they were met: this name, parents, names below. */
static int seen_compare(const void *a, const void *b, void *context)
{
    const struct policy_client *client = context;
    const struct seen *x = a, *y = b;
    int class_x = x->near ? 2 : !candidate_stands(&x->c),
        class_y = y->near ? 2 : !candidate_stands(&y->c);

    if (class_x != class_y)
        return class_x - class_y;
    if (x->near)
        return x->order < y->order ? -1 : 1;
    return candidate_compare(&x->c, &y->c, client);
}

static bool same_name(const struct candidate *a, const struct candidate *b)
{
    return a->name.len == b->name.len && memcmp(a->name.at, b->name.at, a->name.len) == 0;
}

static int collect(void *context, const struct index_hit *hit)
{
    struct list *l = context;
    struct seen s = {.near = l->near, .order = l->n};
    int rc = candidate_read(&s.c, l->kv, l->ask, hit);

    if (rc != 0)
        return rc;
    /* A rule is listed once, by the suffix that comes first. */
    for (size_t i = 0; i < l->n; i++)
        if (same_name(&l->at[i].c, &s.c)) {
            if (!l->near && candidate_compare(&s.c, &l->at[i].c, l->ask->client) < 0)
                l->at[i] = s;
            return 0;
        }
    if (l->n == TRIALS)
        return 0;
    if (l->n == l->max) {
        struct seen *more = realloc(l->at, (l->max * 2 + 32) * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        l->at = more;
        l->max = l->max * 2 + 32;
    }
    l->at[l->n++] = s;
    return 0;
}

/* --- the words ------------------------------------------------------------ */

static void add_name(struct str *s, const struct kv_bytes *t)
{
    str_add_bytes(s, t->at, t->len);
}

static void say_networks(struct str *s, const struct candidate *c)
{
    struct cursor networks = c->rule.networks;

    str_add(s, "client is not in ");
    for (unsigned i = 0; i < c->rule.n_networks; i++) {
        struct kv_bytes t = record_text(&networks);

        if (i > 0)
            str_add(s, i + 1 == c->rule.n_networks ? " or " : ", ");
        add_name(s, &t);
    }
}

static void say_when(struct str *s, const struct candidate *c, enum kms_verdict verdict)
{
    unsigned when = candidate_when(c);
    bool first = true;

    str_add(s, "acts when ");
    for (int i = 0; i < VERDICT_WORDS; i++)
        if ((when & 1u << i) != 0) {
            str_addf(s, "%s%s", first ? "" : " or ", word_names[i]);
            first = false;
        }
    if (verdict == VERDICT_NONE)
        str_add(s, "; the real DNS was not asked");
    else
        str_addf(s, "; the real DNS says %s", verdict_names[verdict]);
}

static void say_absent(struct str *s, const struct list *l, const struct candidate *c)
{
    char time[NUMBER_TEXT];

    if (!c->in_network)
        say_networks(s, c);
    else if (c->is_early)
        str_addf(s, "valid from %s", time_print_local(c->rule.from_ms, time));
    else if (c->is_late)
        str_addf(s, "was valid until %s", time_print_local(c->rule.until_ms, time));
    else
        str_add(s, l->ask->limit == MODE_OFF && c->rule.mode != MODE_OFF ? "kms.mode is off"
                                                                         : "mode is off");
}

static bool acts_at(const struct candidate *c, enum kms_verdict verdict)
{
    return verdict == VERDICT_NONE ? candidate_is_unconditional(c)
                                   : (candidate_when(c) & verdict_word(verdict)) != 0;
}

/* For one that stands for election. */
static void say_standing(struct str *s, const struct list *l, const struct candidate *c,
                         bool is_decider)
{
    const struct policy_decision *d = l->decision;

    if (is_decider && d->reason == REASON_SIGNED)
        str_add(
            s, "the real answer is signed and the client asks for DNSSEC; break-dnssec is not set");
    else if (is_decider)
        str_addf(s, "%s%s%s", policy_actions[c->rule.action].verb,
                 policy_actions[c->rule.action].has_pool ? " from pool " : "", c->rule.pool);
    else if (!acts_at(c, d->verdict))
        say_when(s, c, d->verdict);
    else if (c->mode == MODE_SHADOW)
        str_addf(s, "%s (it would %s)",
                 c->rule.mode == MODE_SHADOW ? "shadow" : "kms.mode is shadow",
                 action_names[c->rule.action]);
    else if (d->reason == REASON_DAMAGED)
        str_add(s, "the policy is damaged");
    else if (c->rule.action == ACTION_FILTER && d->outcome != OUTCOME_FILTERED &&
             d->verdict == VERDICT_UNAPPROVED)
        str_add(s, "leaves no target, so the other rules are tried as if there were none");
    else
        str_addf(s, "%s comes first", d->rule);
}

static void say_near(struct str *s, const struct list *l, const struct candidate *c)
{
    struct suffix suffix = {.kind = c->kind};
    char text[SUFFIX_TEXT];

    policy_suffix_of(l->ask->qname, &suffix.name);
    if (c->labels > l->labels) {
        str_add(s, "has suffixes below that name only");
        return;
    }
    name_parent(&suffix.name, l->labels - c->labels, &suffix.name);
    str_addf(s, "has %s, which covers ", suffix_print(&suffix, text));
    str_add(s, c->kind == SUFFIX_BELOW ? "the names below it only" : "that name only");
}

static void visit_one(const struct list *l, const struct seen *seen, policy_trial_visit *visit,
                      void *context)
{
    const struct candidate *c = &seen->c;
    struct policy_trial t = {.acts = false};
    bool is_decider;
    struct str why;

    str_init(&why, t.why, sizeof t.why);
    memcpy(t.rule, c->name.at, c->name.len);
    t.rule[c->name.len] = '\0';
    is_decider = !seen->near && candidate_stands(c) && strcmp(t.rule, l->decision->rule) == 0;
    t.acts = is_decider && l->decision->reason == REASON_RULE;
    if (seen->near)
        say_near(&why, l, c);
    else if (!candidate_stands(c))
        say_absent(&why, l, c);
    else
        say_standing(&why, l, c, is_decider);
    visit(context, &t);
}

static int list_all(struct list *l, policy_trial_visit *visit, void *context)
{
    struct policy_client client = *l->ask->client;
    struct name suffix;
    int rc;

    policy_suffix_of(l->ask->qname, &suffix);
    l->labels = suffix.labels;
    rc = index_walk(l->kv, &suffix, collect, l);
    l->near = true;
    if (rc == 0)
        rc = index_walk_near(l->kv, &suffix, BELOW, collect, l);
    if (rc == -EBADMSG || rc == -EIO)
        rc = 0; /* the decision says so; the rules read so far are shown */
    if (rc == 0 && l->n > 0)
        qsort_r(l->at, l->n, sizeof *l->at, seen_compare, &client);
    for (size_t i = 0; i < l->n && rc == 0; i++)
        visit_one(l, &l->at[i], visit, context);
    return rc;
}

int policy_explain(struct policy_reader *r, const struct policy_ask *ask,
                   const struct policy_real *real, struct policy_decision *out,
                   policy_trial_visit *visit, void *context)
{
    struct list l = {.kv = policy_reader_kv(r), .ask = ask, .decision = out};
    int rc = policy_decide(r, ask, real, out);

    if (rc == 0)
        kv_guarded(rc, l.kv, list_all(&l, visit, context));
    free(l.at);
    return rc == -EIO ? 0 : rc; /* likewise */
}
