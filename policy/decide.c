/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decide.c -- (question, client, policy, what the real DNS said) -> decision.
 *
 * The order of trial: longest prefix that contains the client first, rules for every client last;
 * then exact suffix, longest *., *; then by name. So there is no number to keep in order by hand.
 *
 * One walk over the index finds the best rule of each case, before it is known which case the
 * real DNS makes it: the number of rules that match has no bound, and nothing is allocated. Each
 * case is kept twice, with and without the rules in shadow (`would`).
 *
 * A damaged record ends the walk, and the real answer is delivered. The next rule is never tried:
 * the damaged one may have been an exception to it.
 */
#include "policy/decide.h"

#include <strings.h>

/* --- one question on its way through the index ----------------------------

     s example. corp. 0 rule       corp.example
     b 0 rule                      *
     b example. corp. 0 rule       *.corp.example

   Seek the whole name in one table, then its parents in the other, which is small in most
   policies. Where nothing was found, the key before the place tells how far to go up: an entry of
   a parent would sort before the place and after any key that shares fewer labels with it. So a
   question with 120 labels costs no more than the policy has levels. */

struct walk {
    struct store_txn *txn;
    const struct policy_ask *ask;
    struct policy_match *match;
    struct name suffix; /* the question's name without _vlmcs._tcp */
    /* To explain; NULL: near misses are not looked for. */
    const struct policy_decision *decision;
    struct policy_trial *trials; /* in their order */
    size_t n_trials, max_trials;
};

/* Which rules compete: those that act at one of the words. In the first case the real answer is
 * not known: a rule that might act may not be skipped. The last one is for a signed answer of
 * which a filter leaves nothing: only such as may break DNSSEC. */
static const unsigned cases[POLICY_CASES] = {WORD_ALL,     WORD_MISSING,    WORD_FAILED,
                                             WORD_PRESENT, WORD_UNAPPROVED, WORD_MISSING};
enum { UNKNOWN = 0, AGAIN = 1, AGAIN_SIGNED = 5 };

/* One rule seen from one question. */
struct candidate {
    struct policy_best best;
    struct policy_rule rule;
    enum kms_mode mode; /* with kms.mode as the upper limit */
    bool in_network, is_early, is_late;
};

/* The order of trial: < 0 when a comes first. */
static int compare(const struct policy_best *a, const struct policy_best *b)
{
    size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
    int c;

    if (a->scope != b->scope)
        return a->scope > b->scope ? -1 : 1;
    if (a->nearness != b->nearness)
        return a->nearness > b->nearness ? -1 : 1;
    c = memcmp(a->name.data, b->name.data, n);
    return c != 0 ? c : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* Acts whatever the real DNS says, and delivers nothing of it. */
static bool is_blind(const struct policy_rule *r)
{
    return r->when == WORD_ALL && r->action != ACTION_PASS;
}

/* Why it may not act, what it does, why it does not. */
static void say_why(struct str *s, const struct walk *w, const struct candidate *c, bool decides)
{
    const struct policy_action_row *a = &policy_actions[c->rule.action];
    const struct policy_decision *d = w->decision;
    bool acts = d->verdict == VERDICT_NONE ? is_blind(&c->rule)
                                           : (c->rule.when & verdict_word(d->verdict)) != 0;
    const char *between = "acts when ";
    char time[NUMBER_TEXT];

    if (!c->in_network) {
        str_add(s, "client is not in ");
        for (size_t i = 0, n = c->rule.n_networks; i < n; i++)
            str_addf(s, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", c->rule.networks[i]);
    } else if (c->is_early) {
        str_addf(s, "valid from %s", time_print_local(c->rule.from_ms, time));
    } else if (c->is_late) {
        str_addf(s, "was valid until %s", time_print_local(c->rule.until_ms, time));
    } else if (c->mode == MODE_OFF) {
        str_add(s, c->rule.mode != MODE_OFF ? "kms.mode is off" : "mode is off");
    } else if (decides && d->reason == REASON_SIGNED) {
        str_add(s, "the real answer is signed and the client asks for DNSSEC; "
                   "break-dnssec is not set");
    } else if (decides) {
        str_addf(s, "%s%s%s", a->verb, a->has_pool ? " from pool " : "", c->rule.pool);
    } else if (!acts) {
        for (int i = 0; i < VERDICT_WORDS; i++)
            if ((c->rule.when & 1u << i) != 0) {
                str_addf(s, "%s%s", between, word_names[i]);
                between = " or ";
            }
        if (d->verdict == VERDICT_NONE)
            str_add(s, "; the real DNS was not asked");
        else
            str_addf(s, "; the real DNS says %s", verdict_names[d->verdict]);
    } else if (c->mode == MODE_SHADOW) {
        str_addf(s, "%s (it would %s)",
                 c->rule.mode == MODE_SHADOW ? "shadow" : "kms.mode is shadow",
                 action_names[c->rule.action]);
    } else if (d->reason == REASON_DAMAGED) {
        str_add(s, "the policy is damaged");
    } else if (c->rule.action == ACTION_FILTER && d->outcome != OUTCOME_FILTERED &&
               d->verdict == VERDICT_UNAPPROVED) {
        str_add(s, "leaves no target, so the other rules are tried as if there were none");
    } else {
        str_addf(s, "%s comes first", d->rule);
    }
}

/* A rule is listed once, by the longest suffix that matches, which comes first; or by the
 * one that came nearest. */
static void remember(struct walk *w, const struct candidate *c, const struct suffix *near)
{
    bool able = c->in_network && !c->is_early && !c->is_late && c->mode != MODE_OFF;
    bool decides = able && strcmp(c->rule.name, w->decision->rule) == 0;
    struct policy_trial trial = {.best = c->best}, *t = w->trials;
    char text[SUFFIX_TEXT];
    struct str why;
    size_t i = 0;

    trial.fills = able && c->mode == MODE_LIVE && c->rule.action == ACTION_FILL;
    memcpy(trial.rule, c->rule.name, sizeof trial.rule);
    while (i < w->n_trials && strcmp(t[i].rule, trial.rule) != 0)
        i++;
    if (i < w->n_trials) {
        if (near != NULL || t[i].class != TRIAL_NEAR)
            return;
        w->n_trials--;
        memmove(&t[i], &t[i + 1], (w->n_trials - i) * sizeof *t);
    }
    str_init(&why, trial.why, sizeof trial.why);
    if (near) {
        trial.class = TRIAL_NEAR;
        trial.best.scope = 0;
        str_addf(&why, "has %s, which covers %s", suffix_print(near, text),
                 near->below ? "the names below it only" : "that name only");
    } else {
        trial.class = able ? TRIAL_ABLE : TRIAL_UNABLE;
        trial.acts = decides && w->decision->reason == REASON_RULE;
        say_why(&why, w, c, decides);
    }
    for (i = w->n_trials; i > 0; i--)
        if (trial.class != t[i - 1].class ? trial.class > t[i - 1].class
                                          : compare(&trial.best, &t[i - 1].best) > 0)
            break;
    if (i == w->max_trials)
        return; /* the last ones give way */
    w->n_trials += w->n_trials < w->max_trials;
    memmove(&t[i + 1], &t[i], (w->n_trials - 1 - i) * sizeof *t);
    t[i] = trial;
}

/* A rule with that suffix, the name's own or a parent's: does it match, and is it better than
 * those before it? False: it cannot be read. */
static bool meet(struct walk *w, const struct suffix *at, struct store_bytes rule)
{
    bool matches = at->below != (at->name.labels == w->suffix.labels);
    struct policy_match *m = w->match;
    /* The whole name is nearer than the longest *. and *; near misses as they are met. */
    struct candidate c = {.best = {.name = rule, .nearness = at->name.labels}};
    const struct policy_client *client = w->ask->client;
    int first = client->n_networks; /* sorted: the first that the rule names is the nearest */
    struct store_key key;

    if (!record_name(c.rule.name, rule.data, rule.len))
        return false;
    key_named(&key, TABLE_RULE, c.rule.name);
    if (store_get(w->txn, &key, &c.best.value) != 0 || !rule_read(&c.rule, &c.best.value))
        return false; /* or an entry of the index has no rule */
    c.mode = c.rule.mode < w->ask->limit ? c.rule.mode : w->ask->limit;
    c.is_early = w->ask->wall_ms < c.rule.from_ms;
    c.is_late = c.rule.until_ms != 0 && w->ask->wall_ms >= c.rule.until_ms;
    c.in_network = c.rule.n_networks == 0;
    for (size_t i = 0; i < c.rule.n_networks; i++) {
        const char *name = c.rule.networks[i];

        c.in_network |= strcmp(name, "any") == 0;
        for (int n = 0; n < first; n++)
            if (strcmp(name, client->networks[n]) == 0)
                first = n;
    }
    c.in_network |= first < client->n_networks;
    c.best.scope = first < client->n_networks ? client->prefixes[first].len : -1;
    if (w->decision)
        remember(w, &c, matches ? NULL : at);
    if (!matches || !c.in_network || c.mode == MODE_OFF)
        return true;
    /* The moments at which it comes and goes; 0: never. */
    for (int i = 0; i < 2; i++) {
        uint64_t border_ms = i == 0 ? c.rule.from_ms : c.rule.until_ms;

        if (border_ms > w->ask->wall_ms && border_ms < m->until_ms)
            m->until_ms = border_ms;
        if (border_ms <= w->ask->wall_ms && border_ms > m->since_ms)
            m->since_ms = border_ms;
    }
    if (c.is_early || c.is_late)
        return true;
    m->has_shadow |= c.mode == MODE_SHADOW;
    for (int i = 0; i < POLICY_CASES; i++) {
        if ((c.rule.when & cases[i]) == 0 || (i == AGAIN_SIGNED && !c.rule.break_dnssec))
            continue;
        for (int k = c.mode == MODE_SHADOW ? BEST_SHADOW : BEST_LIVE; k <= BEST_SHADOW; k++)
            if (m->best[i][k].name.data == NULL || compare(&c.best, &m->best[i][k]) < 0)
                m->best[i][k] = c.best;
    }
    return true;
}

/* Meets the entries at that depth. *left: below which depth there may be more; 0: nowhere. */
static int visit_at(struct walk *w, unsigned depth, bool below, unsigned *left)
{
    struct suffix at = {.below = below};
    enum store_step step = STORE_SEEK;
    struct store_bytes rest;
    struct store_key k;
    unsigned common = 0;
    int rc;

    name_parent(&w->suffix, w->suffix.labels - depth, &at.name);
    key_suffix(&k, &at, NULL);
    *left = depth;
    for (; (rc = entry_step(w->txn, step, &k, &rest)) == 0; step = STORE_NEXT)
        if (!meet(w, &at, rest))
            return -EBADMSG;
    if (rc != -ENOENT || step == STORE_NEXT)
        return rc == -ENOENT ? 0 : rc;
    /* The labels that the key before the place and the name have in common, each ended by 0. */
    for (size_t i = 1; i < rest.len && i < k.len && rest.data[i] == k.data[i]; i++)
        common += k.data[i] == 0;
    *left = rest.len > 0 ? common + 1 : 0;
    return 0;
}

/* Meets the entries that match, from the longest suffix to `*`, and, to explain, those that nearly
 * do: a parent only, or all below the name but not the name. 0, or -EBADMSG: an entry that matches,
 * or one beside the place where it would be, is damaged. */
static int walk_suffixes(struct walk *w)
{
    bool near = w->decision != NULL;
    unsigned depth, left;
    int rc;

    name_parent(w->ask->qname, 2, &w->suffix);
    depth = w->suffix.labels;
    rc = visit_at(w, depth, false, &left);
    if (rc == 0 && near && depth > 0)
        rc = visit_at(w, depth, true, &left);
    while (rc == 0 && depth-- > 0) {
        rc = visit_at(w, depth, true, &left);
        if (!near)
            depth = left;
        else if (rc == 0 && depth > 0)
            rc = visit_at(w, depth, false, &left);
    }
    return rc;
}

/* Meets the rules that give a pool with addresses of this host. 0 or -EBADMSG. */
static int walk_host(struct walk *w)
{
    const struct suffix whole = {.below = false};
    struct store_key host, last, user;
    enum store_step step;
    struct store_bytes rule;
    struct store_record r;
    char pool[POLICY_NAME];
    int rc;

    key_make(&host, TABLE_HOST, &(struct key_parts){.domain = w->ask->qname});
    last = host;
    while ((rc = store_step(w->txn, STORE_AFTER, &last, host.len, &r)) == 0) {
        store_key_copy(&last, &r.key);
        if (!record_name(pool, last.data + host.len, last.len - host.len))
            return -EBADMSG;
        key_make(&user, TABLE_POOL_USER, &(struct key_parts){.front = pool});
        for (step = STORE_SEEK; (rc = entry_step(w->txn, step, &user, &rule)) == 0;
             step = STORE_NEXT)
            if (!meet(w, &whole, rule))
                return -EBADMSG;
        if (rc != -ENOENT)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int match(struct walk *w)
{
    if (w->ask->limit == MODE_OFF && w->decision == NULL)
        return 0;
    if (w->ask->client->key == POLICY_CLIENT_DAMAGED)
        return -EBADMSG;
    return name_is_vlmcs(w->ask->qname) ? walk_suffixes(w) : walk_host(w);
}

void policy_match(struct policy_reader *r, const struct policy_ask *ask, struct policy_match *m)
{
    struct walk w = {.txn = r->txn, .ask = ask, .match = m};
    int rc;

    *m = (struct policy_match){.until_ms = UINT64_MAX};
    store_guarded(rc, w.txn, match(&w));
    m->rc = rc;
}

/* What comes of the best rule. */
struct result {
    const struct policy_best *best; /* NULL: no rule */
    struct policy_rule rule;
    enum kms_outcome outcome; /* 0: it takes a verdict to tell */
    enum kms_reason reason;
};

static struct result find_result(const struct policy_match *m, int shadow,
                                 const struct policy_ask *ask, const struct policy_real *real,
                                 const struct policy_decision *d)
{
    bool is_signed = real->is_signed && ask->do_bit; /* and the client can tell */
    bool none_left = real->n_srv <= d->n_unapproved; /* by a filter */
    unsigned word = verdict_word(d->verdict), in = (unsigned)ffs((int)word); /* 0: not asked */
    bool any = word == WORD_MISSING && !name_is_vlmcs(ask->qname); /* nobody else has the address */
    const struct policy_best *best = &m->best[any ? UNKNOWN : in][shadow];
    const struct policy_best *again = &m->best[is_signed ? AGAIN_SIGNED : AGAIN][shadow];
    struct result r = {.outcome = outcome_of_real(d->verdict), .reason = REASON_NO_RULE};
    struct policy_rule other;

    if (best->name.data == NULL)
        return r;
    (void)rule_read(&r.rule, &best->value); /* it could be read before */
    if (d->verdict == VERDICT_NONE && !is_blind(&r.rule)) {
        r.outcome = 0;
        return r;
    }
    r.best = best;
    r.reason = REASON_RULE;
    if (r.rule.action != ACTION_PASS && is_signed && !r.rule.break_dnssec) {
        r.reason = REASON_SIGNED;
        return r;
    }
    /* Nothing left: as if nothing were there. A pass rule would pass just
     * that, which is what the filter rule delivers. */
    if (r.rule.action == ACTION_FILTER && none_left && again->name.data &&
        rule_read(&other, &again->value) && other.action != ACTION_PASS) {
        r.best = again;
        r.rule = other;
    }
    if (policy_actions[r.rule.action].outcome != 0)
        r.outcome = policy_actions[r.rule.action].outcome;
    return r;
}

int policy_is_approved(struct policy_reader *r, const struct name *target, uint16_t port,
                       struct policy_pool *pool)
{
    struct store_record record;
    struct store_key k, of;
    char name[POLICY_NAME];
    int rc;

    if (target->labels == 0) /* "no service here", which names no host */
        return 1;
    key_make(&k, TABLE_APPROVED, &(struct key_parts){.domain = target, .number = port});
    if (k.len == 0) /* longer than any */
        return 0;
    STORE_EACH(rc, r->txn, &k, &record) {
        if (pool == NULL || record.key.len == k.len) /* listed by its name */
            return 1;
        if (!record_name(name, record.key.data + k.len, record.key.len - k.len))
            return -EBADMSG;
        key_named(&of, TABLE_POOL, name);
        rc = store_get(r->txn, &of, &record.value);
        if (rc != 0 || !pool_read(pool, &record.value))
            return -EBADMSG;
        if (pool->allow_public)
            return 1;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int decide(struct policy_reader *r, const struct policy_ask *ask,
                  const struct policy_match *m, const struct policy_real *real,
                  struct policy_decision *out)
{
    struct store_record record;
    struct result result;
    struct store_key k;
    struct policy_pool pool = {.hosts = out->hosts};
    bool present = (verdict_word(real->verdict) & (WORD_PRESENT | WORD_UNAPPROVED)) != 0;
    int n = present ? real->n_srv : 0, rc = 0;

    /* Marks the targets that are not approved; the verdict follows from them. */
    for (int i = 0; i < n && rc >= 0; i++) {
        rc = policy_is_approved(r, &real->srv[i].target, real->srv[i].port,
                                real->srv[i].is_public ? &pool : NULL);
        out->unapproved[i] = rc == 0;
        out->n_unapproved = (uint8_t)(out->n_unapproved + out->unapproved[i]);
    }
    rc = rc > 0 ? 0 : rc;
    if (n > 0 && rc == 0)
        out->verdict = out->n_unapproved > 0 ? VERDICT_UNAPPROVED : VERDICT_PRESENT;
    out->serial = policy_reader_serial(r);
    if (rc != 0 || m->rc != 0)
        return rc != 0 ? rc : m->rc;

    result = find_result(m, BEST_LIVE, ask, real, out);
    if (result.outcome != 0)
        out->outcome = result.outcome;
    out->reason = ask->limit == MODE_OFF ? REASON_OFF : result.reason;
    if (result.best) {
        (void)record_name(out->rule, result.best->name.data, result.best->name.len);
        out->action = result.rule.action;
        out->ttl = result.rule.ttl;
    }
    if (result.reason == REASON_RULE && policy_actions[out->action].has_pool) {
        key_named(&k, TABLE_POOL, result.rule.pool);
        rc = store_get(r->txn, &k, &record.value);
        if (rc != 0 || !pool_read(&pool, &record.value) || pool.n == 0)
            return -EBADMSG; /* a pool is never empty */
        out->n_hosts = (uint8_t)pool.n;
        out->pinned = policy_pinned(&pool);
        memcpy(out->pool, result.rule.pool, sizeof out->pool);
    }
    out->since_ms = m->since_ms;
    out->until_ms = m->until_ms;
    if (!m->has_shadow)
        return 0;
    result = find_result(m, BEST_SHADOW, ask, real, out);
    out->would.outcome = result.outcome;
    if (result.best)
        (void)record_name(out->would.rule, result.best->name.data, result.best->name.len);
    return 0;
}

void policy_decision_none(struct policy_decision *d, enum kms_verdict verdict,
                          enum kms_reason reason)
{
    memset(d, 0, offsetof(struct policy_decision, hosts));
    d->outcome = outcome_of_real(verdict);
    d->reason = reason;
    d->verdict = verdict;
    d->action = ACTION_PASS;
    d->until_ms = UINT64_MAX;
}

void policy_decide_matched(struct policy_reader *r, const struct policy_ask *ask,
                           const struct policy_match *m, const struct policy_real *real,
                           struct policy_decision *out)
{
    int rc;

    policy_decision_none(out, real->verdict, REASON_NO_RULE);
    store_guarded(rc, r->txn, decide(r, ask, m, real, out));
    if (rc == 0)
        return;
    out->outcome = outcome_of_real(out->verdict); /* what was learnt of the real answer stays */
    out->reason = REASON_DAMAGED;
    out->rule[0] = out->pool[0] = '\0';
    out->n_hosts = 0;
    memset(&out->would, 0, sizeof out->would);
}

bool policy_decide_blind(struct policy_reader *r, const struct policy_ask *ask,
                         const struct policy_match *m, struct policy_decision *out)
{
    const struct policy_real nothing = {.verdict = VERDICT_NONE};

    if (ask->do_bit || m->best[UNKNOWN][BEST_LIVE].name.data == NULL)
        return false;
    policy_decide_matched(r, ask, m, &nothing, out);
    return out->reason == REASON_RULE; /* what is damaged needs the real answer */
}

void policy_decide(struct policy_reader *r, const struct policy_ask *ask,
                   const struct policy_real *real, struct policy_decision *out)
{
    struct policy_match m;

    policy_match(r, ask, &m);
    policy_decide_matched(r, ask, &m, real, out);
}

bool policy_is_host_address(struct policy_reader *r, const struct addr *addr)
{
    struct store_record record;
    struct store_key k;
    int rc;

    key_make(&k, TABLE_ADDRESS, &(struct key_parts){.ip = addr->ip});
    store_guarded(rc, r->txn, store_step(r->txn, STORE_SEEK, &k, k.len, &record));
    return rc == 0;
}

size_t policy_explain(struct policy_reader *r, const struct policy_ask *ask,
                      const struct policy_decision *decision, struct policy_trial *out, size_t max)
{
    struct policy_match m = {.rc = 0};
    struct walk w = {.txn = r->txn,
                     .ask = ask,
                     .match = &m,
                     .decision = decision,
                     .trials = out,
                     .max_trials = max};
    int rc;

    store_guarded(rc, w.txn, match(&w));
    (void)rc; /* what was met before something damaged is listed */
    return w.n_trials;
}
