/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decide.c -- (question, client, policy, what the real DNS said) -> decision.
 *
 * One walk over the index. Instead of a sorted list of candidates there are up
 * to four contests, each of which keeps the best candidate that would act: for
 * the live decision and for the one that includes shadow rules (`would`), at
 * the verdict and, if that is unapproved, once more without filter rules as if
 * nothing were there. So the number of rules that match has no bound, and
 * nothing is allocated.
 *
 * Before the real DNS was asked, every candidate takes part, and the winner
 * acts only if it needs no verdict: a rule that might act may not be skipped.
 *
 * Damage among what is read ends the walk: the real answer, never the next
 * rule, which may be the very one that the damaged one was an exception to.
 */
#include "policy/decide.h"

#include <errno.h>

#include "base/compiler.h"
#include "policy/candidate.h"
#include "policy/ranges.h"

struct contest {
    unsigned words; /* who acts at one of these; 0: everybody takes part */
    bool with_shadow, without_filter;
    bool needs_break; /* only rules that may break DNSSEC */
    bool won;
    struct candidate best;
};

enum { LIVE, ALL, LIVE_AGAIN, ALL_AGAIN, CONTESTS };

struct election {
    struct kv *kv;
    const struct policy_ask *ask;
    struct contest contests[CONTESTS];
    int n;
    bool shadow_stands;
    uint64_t since_ms, until_ms;
};

static void enter(struct contest *t, const struct candidate *c, const struct policy_client *client)
{
    if ((c->mode == MODE_SHADOW && !t->with_shadow) ||
        (c->rule.action == ACTION_FILTER && t->without_filter) ||
        (t->needs_break && !c->rule.break_dnssec) ||
        (t->words != 0 && (candidate_when(c) & t->words) == 0))
        return;
    if (t->won && candidate_compare(&t->best, c, client) <= 0)
        return;
    t->best = *c;
    t->won = true;
}

/* A moment at which a rule comes or goes; 0: never. */
static void note_border(struct election *e, uint64_t at_ms)
{
    if (at_ms > e->ask->wall_ms)
        e->until_ms = at_ms < e->until_ms ? at_ms : e->until_ms;
    else
        e->since_ms = at_ms > e->since_ms ? at_ms : e->since_ms;
}

static int visit(void *context, const struct index_hit *hit)
{
    struct election *e = context;
    struct candidate c;
    int rc = candidate_read(&c, e->kv, e->ask, hit);

    if (rc != 0)
        return rc;
    if (c.in_network && c.mode != MODE_OFF) {
        note_border(e, c.rule.from_ms);
        note_border(e, c.rule.until_ms);
    }
    if (!candidate_stands(&c))
        return 0;
    e->shadow_stands |= c.mode == MODE_SHADOW;
    for (int i = 0; i < e->n; i++)
        enter(&e->contests[i], &c, e->ask->client);
    return 0;
}

static int elect(struct election *e, struct policy_reader *r, const struct policy_ask *ask,
                 enum kms_verdict verdict, bool is_signed)
{
    struct name suffix;

    e->kv = policy_reader_kv(r);
    e->ask = ask;
    e->n = verdict == VERDICT_UNAPPROVED ? CONTESTS : LIVE_AGAIN;
    e->shadow_stands = false;
    e->since_ms = 0;
    e->until_ms = UINT64_MAX;
    for (int i = 0; i < e->n; i++) {
        struct contest *t = &e->contests[i];
        bool again = i >= LIVE_AGAIN;

        t->words = again ? (unsigned)WORD_MISSING : verdict_word(verdict);
        t->with_shadow = i == ALL || i == ALL_AGAIN;
        t->without_filter = again;
        t->needs_break = again && is_signed && ask->do_bit;
        t->won = false;
    }
    if (ask->limit == MODE_OFF)
        return 0;
    if (ask->client->range == POLICY_RANGE_DAMAGED)
        return -EBADMSG;
    policy_suffix_of(ask->qname, &suffix);
    return index_walk(e->kv, &suffix, visit, e);
}

/* --- from the winner to the outcome --------------------------------------- */

struct situation {
    enum kms_verdict verdict;
    bool is_signed;     /* and the client can tell */
    bool none_approved; /* a filter would leave nothing */
};

struct ruling {
    enum kms_outcome outcome;
    enum kms_reason reason;
    const struct candidate *rule; /* NULL: none */
    bool open;                    /* it takes a verdict to tell */
};

static struct ruling rule_on(const struct situation *s, const struct contest *first,
                             const struct contest *again)
{
    struct ruling r = {outcome_of_real(s->verdict), REASON_NO_RULE, NULL, false};

    if (!first->won)
        return r;
    if (s->verdict == VERDICT_NONE && !candidate_is_unconditional(&first->best)) {
        r.open = true;
        return r;
    }
    r.rule = &first->best;
    r.reason = REASON_RULE;
    if (r.rule->rule.action != ACTION_PASS && s->is_signed && !r.rule->rule.break_dnssec) {
        r.reason = REASON_SIGNED;
        return r;
    }
    /* Nothing left: as if nothing were there. A pass rule would pass just
     * that, which is what the filter rule delivers. */
    if (r.rule->rule.action == ACTION_FILTER && s->none_approved && again->won &&
        again->best.rule.action != ACTION_PASS)
        r.rule = &again->best;
    if (policy_actions[r.rule->rule.action].outcome != 0)
        r.outcome = policy_actions[r.rule->rule.action].outcome;
    return r;
}

static void copy_rule_name(char out[POLICY_NAME], const struct candidate *c)
{
    size_t n = c != NULL ? c->name.len : 0;

    if (n > 0)
        memcpy(out, c->name.at, n);
    out[n] = '\0';
}

static int take_pool(struct policy_reader *r, const struct candidate *c,
                     struct policy_decision *out)
{
    struct kv_bytes v;
    struct kv_key k;
    bool allow_public;
    int rc;

    key_named(&k, TABLE_POOL, c->rule.pool);
    rc = kv_get(policy_reader_kv(r), &k, &v);
    if (rc != 0)
        return rc;
    rc = pool_read_hosts(&v, out->hosts, POLICY_POOL_HOSTS, &allow_public);
    if (rc < 1)
        return -EBADMSG; /* a pool is never empty */
    out->n_hosts = (uint8_t)rc;
    memcpy(out->pool, c->rule.pool, sizeof out->pool);
    return 0;
}

static void begin(enum kms_verdict verdict, struct policy_decision *out)
{
    out->outcome = outcome_of_real(verdict);
    out->reason = REASON_NO_RULE;
    out->verdict = verdict;
    out->action = ACTION_PASS;
    out->rule[0] = out->pool[0] = '\0';
    out->serial = 0;
    out->ttl = 0;
    out->n_hosts = out->n_unapproved = 0;
    memset(out->drop, 0, sizeof out->drop);
    memset(out->unapproved, 0, sizeof out->unapproved);
    out->would = (struct policy_would){.rule = ""};
    out->since_ms = 0;
    out->until_ms = UINT64_MAX;
}

static void damaged(struct policy_decision *out)
{
    out->outcome = outcome_of_real(out->verdict);
    out->reason = REASON_DAMAGED;
    out->rule[0] = out->pool[0] = '\0';
    out->action = ACTION_PASS;
    out->n_hosts = 0;
    out->ttl = 0;
    memset(out->drop, 0, sizeof out->drop);
    out->would = (struct policy_would){.rule = ""};
}

/* Marks the targets that are not approved; the verdict follows from them. */
static int judge_targets(struct policy_reader *r, const struct policy_real *real,
                         struct policy_decision *out)
{
    int n = real->n_srv < SRV_MAX ? real->n_srv : SRV_MAX;

    if (verdict_word(real->verdict) != WORD_PRESENT && real->verdict != VERDICT_UNAPPROVED)
        return 0;
    for (int i = 0; i < n; i++) {
        const struct srv *s = &real->srv[i];
        bool yes = s->target.labels == 0; /* "no service here" names no host */
        int rc = yes ? 0 : policy_is_approved(r, &s->target, s->port, &yes);

        if (rc != 0)
            return rc;
        out->unapproved[i] = !yes;
        out->n_unapproved = (uint8_t)(out->n_unapproved + !yes);
    }
    if (n > 0)
        out->verdict = out->n_unapproved > 0 ? VERDICT_UNAPPROVED : VERDICT_PRESENT;
    return 0;
}

/* Puts the ruling into the decision. */
static int apply(struct policy_reader *r, const struct ruling *ruling, struct policy_decision *out)
{
    out->outcome = ruling->outcome;
    out->reason = ruling->reason;
    if (ruling->rule == NULL)
        return 0;
    copy_rule_name(out->rule, ruling->rule);
    out->action = ruling->rule->rule.action;
    out->ttl = ruling->rule->rule.ttl;
    if (ruling->outcome == OUTCOME_FILTERED)
        memcpy(out->drop, out->unapproved, sizeof out->drop);
    if (ruling->outcome == OUTCOME_FILLED || ruling->outcome == OUTCOME_REPLACED)
        return take_pool(r, ruling->rule, out);
    return 0;
}

static int decide(struct policy_reader *r, const struct policy_ask *ask,
                  const struct policy_real *real, struct policy_decision *out)
{
    struct situation s;
    struct election e;
    struct ruling live, all;
    int rc = judge_targets(r, real, out);

    out->serial = policy_reader_serial(r);
    if (rc != 0)
        return rc;
    s = (struct situation){out->verdict, real->is_signed && ask->do_bit,
                           real->n_srv <= out->n_unapproved};
    rc = elect(&e, r, ask, s.verdict, real->is_signed);
    if (rc != 0)
        return rc;
    out->since_ms = e.since_ms;
    out->until_ms = e.until_ms;
    live = rule_on(&s, &e.contests[LIVE], &e.contests[LIVE_AGAIN]);
    rc = apply(r, &live, out);
    if (rc != 0)
        return rc;
    if (ask->limit == MODE_OFF)
        out->reason = REASON_OFF;
    if (!e.shadow_stands)
        return 0;
    all = rule_on(&s, &e.contests[ALL], &e.contests[ALL_AGAIN]);
    if (all.open)
        return 0;
    out->would.outcome = all.outcome;
    copy_rule_name(out->would.rule, all.rule);
    return 0;
}

static int decide_host(struct policy_reader *r, const struct policy_ask *ask,
                       const struct policy_real *real, struct policy_decision *out)
{
    const struct situation s = {real->verdict, real->is_signed && ask->do_bit, false};
    struct election e = {.kv = policy_reader_kv(r), .ask = ask, .n = 1, .until_ms = UINT64_MAX};
    struct contest *t = &e.contests[LIVE];
    struct ruling ruling;
    int rc;

    out->serial = policy_reader_serial(r);
    if (ask->client->range == POLICY_RANGE_DAMAGED)
        return -EBADMSG;
    t->words = verdict_word(real->verdict) & WORD_FAILED;
    rc = index_walk_host(e.kv, ask->qname, visit, &e);
    if (rc != 0)
        return rc;
    ruling = rule_on(&s, t, t);
    return apply(r, &ruling, out);
}

/* --- what decide.h promises ----------------------------------------------- */

static int client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    struct policy_state state;
    struct kv_entry e;
    struct kv_key k;
    struct cursor c;
    bool known = policy_reader_summary(r, &state);
    int rc;

    if (known && state.networks == 0)
        return 0;
    key_range(&k, addr->ip);
    rc = kv_seek(policy_reader_kv(r), &k, &e);
    if (rc == -ENOENT || (e.key.len > 0 && e.key.at[0] != TABLE_RANGE)) {
        if (!known)
            return 0; /* no ranges, and nobody says that there should be */
        rc = -EBADMSG;
    }
    if (rc != 0)
        return rc;
    c = cursor_make(e.value.at, e.value.len);
    return range_read(&c, addr->ip, out) ? 0 : -EBADMSG;
}

int policy_client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    int rc;

    out->addr = *addr;
    out->range = 0;
    out->n_networks = 0;
    kv_guarded(rc, policy_reader_kv(r), client_find(r, addr, out));
    if (rc == 0)
        return 0;
    out->range = POLICY_RANGE_DAMAGED;
    out->n_networks = 0;
    return -EBADMSG;
}

int policy_is_approved(struct policy_reader *r, const struct name *target, uint16_t port, bool *yes)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_target(&k, TABLE_APPROVED, target, port);
    if (k.len == 0)
        rc = -ENOENT;
    else
        kv_guarded(rc, policy_reader_kv(r), kv_get(policy_reader_kv(r), &k, &v));
    *yes = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

int policy_is_host_address(struct policy_reader *r, const struct addr *addr, bool *yes)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_address(&k, addr->ip);
    kv_guarded(rc, policy_reader_kv(r), kv_get(policy_reader_kv(r), &k, &v));
    *yes = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

/* A damaged policy gives the real answer, which must be asked for. */
int policy_needs_real(struct policy_reader *r, const struct policy_ask *ask, bool *needs)
{
    struct election e;
    int rc;

    *needs = true;
    if (ask->do_bit)
        return 0;
    kv_guarded(rc, policy_reader_kv(r), elect(&e, r, ask, VERDICT_NONE, false));
    if (rc == 0)
        *needs = !e.contests[LIVE].won || !candidate_is_unconditional(&e.contests[LIVE].best);
    return 0;
}

int policy_decide(struct policy_reader *r, const struct policy_ask *ask,
                  const struct policy_real *real, struct policy_decision *out)
{
    int rc;

    begin(real->verdict, out);
    kv_guarded(rc, policy_reader_kv(r), decide(r, ask, real, out));
    if (rc != 0)
        damaged(out);
    return 0;
}

bool policy_may_be_host(struct policy_reader *r, const struct name *name)
{
    struct host_filter *f = policy_reader_hosts(r);
    unsigned bit = host_filter_bit(name);
    int rc = 0;

    if (UNLIKELY(!f->known))
        kv_guarded(rc, policy_reader_kv(r), (index_read_hosts(policy_reader_kv(r), f), 0));
    return rc == 0 && (f->bits[bit / 64] >> bit % 64 & 1) != 0;
}

int policy_decide_host(struct policy_reader *r, const struct policy_ask *ask,
                       const struct policy_real *real, struct policy_decision *out)
{
    int rc;

    begin(real->verdict, out);
    kv_guarded(rc, policy_reader_kv(r), decide_host(r, ask, real, out));
    if (rc != 0)
        damaged(out);
    return 0;
}
