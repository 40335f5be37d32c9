/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check.c -- what is allowed in a policy and yet probably not meant.
 *
 * Ties and hidden rules: all (suffix, rule) pairs are sorted by suffix; rules
 * that meet in a run of equal suffixes are compared there. Findings are kept
 * per pair of rules, not per suffix, so that two rules that share a million
 * suffixes are one sentence.
 *
 * Two rules of the same suffix and network are tried in the order of their
 * names (decide.h). The first is `front` below, the other `back`.
 */
#include "policy/check.h"

#include <stdlib.h>
#include <string.h>

#include "policy/text.h"
#include "wire/present.h"

enum { PAIRS = 200 /* that are reported */, MEETING = 32 /* rules compared at one suffix */ };

struct use {
    const struct suffix *suffix;
    size_t rule;
};
enum pair_kind { PAIR_TIE, PAIR_HIDES, PAIR_BELOW };
struct pair {
    size_t front, back;
    enum pair_kind kind;
    size_t n;
    const struct suffix *example;
};

struct check {
    const struct policy *p;
    uint64_t now_ms;
    policy_finding *report;
    void *context;
    size_t n;
    struct use *uses;
    size_t n_uses;  /* owned, sorted by suffix and rule */
    size_t *hidden; /* owned: per rule, for how many of its suffixes it is hidden */
    struct pair pairs[PAIRS];
    size_t n_pairs;
};

PRINTF_LIKE(4, 5)
static void found(struct check *c, const char *what, const char *name, const char *fmt, ...)
{
    char subject[POLICY_NAME + 16], text[2048];
    va_list args;

    snprintf(subject, sizeof subject, "%s%s", what, name);
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->report(c->context, subject, text);
    c->n++;
}

static bool names_network(const struct policy_rule *r, const char *name)
{
    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], name) == 0)
            return true;
    return false;
}

static bool is_expired(const struct check *c, const struct policy_rule *r)
{
    return r->until_ms != 0 && r->until_ms <= c->now_ms;
}

/* --- objects alone -------------------------------------------------------- */

static void check_rule(struct check *c, const struct policy_rule *r)
{
    bool any = names_network(r, "any");
    char text[SUFFIX_TEXT], when[NUMBER_TEXT];

    if (r->mode == MODE_OFF)
        found(c, "rule ", r->name, "never acts: its mode is off");
    if (is_expired(c, r))
        found(c, "rule ", r->name, "never acts: it expired at %s",
              policy_time_print(r->until_ms, when));
    if (r->n_networks > 1 && any)
        found(c, "rule ", r->name, "names any beside other networks; any covers them all");
    if (r->n_suffixes == 0)
        found(c, "rule ", r->name, "never acts: it has no suffix");
    for (size_t i = 0; i < r->n_suffixes; i++) {
        const struct suffix *s = &r->suffixes[i];
        const struct name *n = &s->name;

        if (s->kind == SUFFIX_ANY && any && policy_actions[r->action].has_pool)
            found(c, "rule ", r->name, "action %s for every suffix of every client: a catch-all",
                  action_names[r->action]);
        if (n->labels > 0 && n->data[1] == '_')
            found(c, "rule ", r->name,
                  "suffix %s begins with an underscore; no domain of a client does",
                  suffix_print(s, text));
        if (n->labels == 4 && strspn(suffix_print(s, text), "0123456789.*") == strlen(text))
            found(c, "rule ", r->name, "suffix %s looks like an address", text);
    }
}

struct owned_prefix {
    struct prefix prefix;
    const char *network;
};

static int by_prefix(const void *a, const void *b)
{
    const struct owned_prefix *x = a, *y = b;
    int c = memcmp(&x->prefix, &y->prefix, sizeof x->prefix);

    return c != 0 ? c : strcmp(x->network, y->network);
}

/* Networks and pools that no rule uses; and a client in two networks by the same prefix: which
 * is the nearer one? */
static void check_networks_pools(struct check *c)
{
    const struct policy *p = c->p;
    struct owned_prefix *all;
    char text[PREFIX_TEXT];
    size_t n = 0, k;

    for (size_t i = 0; i < p->n_networks; i++) {
        n += p->networks[i].n;
        for (k = 0; k < p->n_rules && !names_network(&p->rules[k], p->networks[i].name);)
            k++;
        if (k == p->n_rules)
            found(c, "network ", p->networks[i].name, "no rule uses it");
    }
    for (size_t i = 0; i < p->n_pools; i++) {
        for (k = 0; k < p->n_rules && strcmp(p->rules[k].pool, p->pools[i].name) != 0;)
            k++;
        if (k == p->n_rules)
            found(c, "pool ", p->pools[i].name, "no rule delivers it; its hosts count as approved");
    }
    all = calloc(n + 1, sizeof *all);
    if (all == NULL)
        return;
    n = 0;
    for (size_t i = 0; i < p->n_networks; i++)
        for (k = 0; k < p->networks[i].n; k++)
            all[n++] = (struct owned_prefix){p->networks[i].prefixes[k], p->networks[i].name};
    qsort(all, n, sizeof *all, by_prefix);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(strchr(prefix_print(&all[i].prefix, text), '/'), "/0") == 0)
            found(c, "network ", all[i].network,
                  "%s is every client; the network any is meant for that", text);
        if (i > 0 && memcmp(&all[i - 1].prefix, &all[i].prefix, sizeof all->prefix) == 0)
            found(c, "network ", all[i].network,
                  "has prefix %s as network %s has: neither is nearer to its clients", text,
                  all[i - 1].network);
    }
    free(all);
}

/* --- rules that meet ------------------------------------------------------ */

/* How many of b's networks a has, too: 0, the scopes do not meet; all, a's holds b's. */
static size_t shared_networks(const struct policy_rule *a, const struct policy_rule *b)
{
    bool all_a = a->n_networks == 0 || names_network(a, "any");
    bool all_b = b->n_networks == 0 || names_network(b, "any");
    size_t n = 0;

    if (all_a || all_b)
        return !all_a || !all_b ? 0 : b->n_networks > 0 ? b->n_networks : 1;
    for (size_t i = 0; i < b->n_networks; i++)
        n += names_network(a, b->networks[i]);
    return n;
}

static void add_pair(struct check *c, size_t front, size_t back, enum pair_kind kind,
                     const struct suffix *s)
{
    for (size_t i = 0; i < c->n_pairs; i++) {
        struct pair *p = &c->pairs[i];

        if (p->front == front && p->back == back && p->kind == kind) {
            p->n++;
            return;
        }
    }
    if (c->n_pairs < PAIRS)
        c->pairs[c->n_pairs++] = (struct pair){front, back, kind, 1, s};
}

/* Both have the suffix. True when front leaves nothing of it to back. */
static bool meet(struct check *c, size_t front, size_t back, const struct suffix *s)
{
    const struct policy_rule *a = &c->p->rules[front], *b = &c->p->rules[back];
    unsigned when_a = policy_when(a->action, a->when), when_b = policy_when(b->action, b->when);
    size_t shared = shared_networks(a, b);
    bool hides;

    if (a->mode != b->mode || a->mode == MODE_OFF || is_expired(c, a) || is_expired(c, b))
        return false;
    if (shared == 0 || (when_a & when_b) == 0 || (a->until_ms != 0 && b->from_ms >= a->until_ms) ||
        (b->until_ms != 0 && a->from_ms >= b->until_ms))
        return false;
    hides = shared >= b->n_networks && (when_b & ~when_a) == 0 && a->from_ms <= b->from_ms &&
            (a->until_ms == 0 || (b->until_ms != 0 && b->until_ms <= a->until_ms));
    add_pair(c, front, back, hides ? PAIR_HIDES : PAIR_TIE, s);
    return hides;
}

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    int d = suffix_compare(x->suffix, y->suffix);

    return d != 0 ? d : (x->rule > y->rule) - (x->rule < y->rule);
}

/* x and *.x stand next to each other in the order of suffixes. */
static void check_below(struct check *c, size_t begin, size_t end)
{
    const struct use *u = c->uses;

    if (u[begin].suffix->kind != SUFFIX_EXACT || end == c->n_uses ||
        u[end].suffix->kind != SUFFIX_BELOW ||
        !name_equal(&u[begin].suffix->name, &u[end].suffix->name))
        return;
    for (size_t i = begin; i < end; i++)
        for (size_t k = end; k < c->n_uses && suffix_compare(u[end].suffix, u[k].suffix) == 0;
             k++) {
            const struct policy_rule *a = &c->p->rules[u[i].rule], *b = &c->p->rules[u[k].rule];

            if (a != b && a->mode == b->mode && a->mode != MODE_OFF && shared_networks(a, b) > 0 &&
                (a->action != b->action || strcmp(a->pool, b->pool) != 0))
                add_pair(c, u[i].rule, u[k].rule, PAIR_BELOW, u[i].suffix);
        }
}

static void check_pairs(struct check *c)
{
    size_t end;

    for (size_t i = 0; i < c->p->n_rules; i++)
        for (size_t k = 0; k < c->p->rules[i].n_suffixes; k++)
            c->uses[c->n_uses++] = (struct use){&c->p->rules[i].suffixes[k], i};
    qsort(c->uses, c->n_uses, sizeof *c->uses, by_use);
    for (size_t i = 0; i < c->n_uses; i = end) {
        for (end = i + 1;
             end < c->n_uses && suffix_compare(c->uses[i].suffix, c->uses[end].suffix) == 0;)
            end++;
        for (size_t back = i + 1; back < end && back - i < MEETING; back++) {
            bool gone = false;

            for (size_t front = i; front < back; front++)
                gone = meet(c, c->uses[front].rule, c->uses[back].rule, c->uses[i].suffix) || gone;
            if (gone)
                c->hidden[c->uses[back].rule]++;
        }
        check_below(c, i, end);
    }
    for (const struct pair *p = c->pairs; p < c->pairs + c->n_pairs; p++) {
        const struct policy_rule *a = &c->p->rules[p->front], *b = &c->p->rules[p->back];
        char text[SUFFIX_TEXT], more[48] = "";

        suffix_print(p->example, text);
        if (p->n > 1)
            snprintf(more, sizeof more, " and %zu more suffixes", p->n - 1);
        if (p->kind == PAIR_HIDES)
            found(c, "rule ", b->name,
                  "%s %s%s, rule %s has the same scope and is tried first, by its name",
                  c->hidden[p->back] == b->n_suffixes ? "can never act: for" : "never acts for",
                  text, more, a->name);
        else if (p->kind == PAIR_TIE)
            found(c, "rule ", b->name,
                  "is in a tie with rule %s for %s%s; only the order of their names decides",
                  a->name, text, more);
        else
            found(c, "rule ", b->name, "has *.%s%s, while rule %s decides otherwise for %s itself",
                  text, more, a->name, text);
    }
    if (c->n_pairs == PAIRS)
        found(c, "rules", "", "more pairs of rules meet than are listed here");
}

size_t policy_check(const struct policy *p, uint64_t now_ms, policy_finding *report, void *context)
{
    struct check c = {.p = p, .now_ms = now_ms, .report = report, .context = context};
    size_t n = 0;

    for (size_t i = 0; i < p->n_rules; i++) {
        check_rule(&c, &p->rules[i]);
        n += p->rules[i].n_suffixes;
    }
    check_networks_pools(&c);
    c.uses = calloc(n + 1, sizeof *c.uses);
    c.hidden = calloc(p->n_rules + 1, sizeof *c.hidden);
    if (c.uses != NULL && c.hidden != NULL)
        check_pairs(&c);
    free(c.uses);
    free(c.hidden);
    return c.n;
}
