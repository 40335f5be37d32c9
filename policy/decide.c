/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decide.c -- (question, client, policy, what the real DNS said) -> decision.
 *
 * The order of trial: longest prefix that contains the client first, rules for
 * every client last; then exact suffix, longest *., *; then by name. The
 * nearest scope wins, and there is no number to keep in order by hand.
 *
 * One walk over the index finds the best rule of each case, before it is known
 * which case the real DNS makes it: so there is one walk a question, the number
 * of rules that match has no bound, and nothing is allocated. Each case is kept
 * twice, with and without the rules in shadow (`would`).
 *
 * A damaged record ends the walk, and the real answer is delivered. The next
 * rule is never tried: the damaged one may have been an exception to it.
 */
#include "policy/decide.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/compiler.h"
#include "base/number.h"
#include "base/str.h"
#include "policy/records.h"

/* --- the index of suffixes ------------------------------------------------

     S example. corp. 0 0 rule       corp.example
     W 0 2 rule                      *
     W example. corp. 0 1 rule       *.corp.example

   Seek the whole name in one table, then its parents in the other, which is
   small in most policies and stays in the processor's cache. Where nothing was
   found, the key before the place tells how far to go up: an entry of a parent
   would sort before the place and after any key that shares fewer labels with
   it. So a question with 120 labels costs no more than the policy has levels. */

struct index_hit {
    enum suffix_kind kind;
    unsigned labels;         /* of the suffix */
    struct store_bytes rule; /* its name, not ended by NUL; borrowed from the map */
};
typedef int index_visit(void *context, const struct index_hit *); /* not 0 stops */

struct suffix_walk {
    struct store_txn *txn;
    uint8_t key[2 * NAME_MAX_WIRE];     /* sort key of the whole name */
    uint16_t ends[NAME_MAX_LABELS + 1]; /* ends[d]: its first d labels, from the root */
    unsigned labels;
    index_visit *visit;
    void *context;
};

static void walk_begin(struct suffix_walk *w, const struct name *name)
{
    size_t len = name->labels > 0 ? name_sort_key(name, w->key, sizeof w->key) : 0;
    unsigned d = 0;

    w->ends[0] = 0;
    for (size_t i = 0; i < len && d < name->labels; i++)
        if (w->key[i] == 0)
            w->ends[++d] = (uint16_t)(i + 1);
    w->labels = d;
}

/* The key of the entries of that kind at that depth; rule names follow it. */
static void walk_key(const struct suffix_walk *w, unsigned depth, enum suffix_kind kind,
                     struct store_key *k)
{
    bool below = kind == SUFFIX_BELOW || kind == SUFFIX_ANY;
    struct writer to = writer_make(k->data, sizeof k->data);

    writer_u8(&to, below ? TABLE_BELOW : TABLE_SUFFIX);
    writer_bytes(&to, w->key, w->ends[depth]);
    writer_u8(&to, 0);
    writer_u8(&to, (uint8_t)kind);
    k->len = to.len; /* two octets for each of a name, and three more: it fits */
}

/* Visits the entries of that kind at that depth. *left: when there are none, below which
 * depth there may be some; 0: nowhere. What is looked for in the whole table may be damaged. */
static int visit_at(struct suffix_walk *w, unsigned depth, enum suffix_kind kind, unsigned *left)
{
    struct store_record r;
    struct store_key k;
    bool any = false;
    size_t n, i = 0;
    int rc;

    walk_key(w, depth, kind, &k);
    *left = depth;
    for (rc = store_seek(w->txn, &k, 1, &r); rc == 0; rc = store_next(w->txn, &k, 1, &r)) {
        struct index_hit hit = {kind, depth, {r.key.data + k.len, r.key.len - k.len}};

        if (r.key.len <= k.len || memcmp(r.key.data, k.data, k.len) != 0)
            break;
        if (hit.rule.len >= POLICY_NAME)
            return -EBADMSG;
        any = true;
        rc = w->visit(w->context, &hit);
        if (rc != 0)
            return rc;
    }
    if (rc != 0 && rc != -ENOENT)
        return rc;
    if (any || depth == 0)
        return 0;
    rc = store_prev(w->txn, &k, 1, &r);
    if (rc == -ENOENT)
        *left = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    if (store_compare(&r.key, &k) >= 0)
        return -EBADMSG;
    /* The labels that it and the name have in common. */
    n = r.key.len - 1 < w->ends[depth] ? r.key.len - 1 : w->ends[depth];
    while (i < n && r.key.data[1 + i] == w->key[i])
        i++;
    while (depth > 0 && w->ends[depth] > i)
        depth--;
    *left = depth < *left ? depth + 1 : depth; /* else: another kind at this very depth */
    return 0;
}

/* Visits the entries that match, from the longest suffix to `*`. suffix is the
 * question's name without _vlmcs._tcp. 0, what the visitor said, or -EBADMSG:
 * an entry that matches, or one beside the place where it would be, is damaged
 * (a key that fell over looks like one that is not there). */
static int walk_suffixes(struct store_txn *t, const struct name *suffix, index_visit *visit,
                         void *context)
{
    struct suffix_walk w = {.txn = t, .visit = visit, .context = context};
    unsigned depth, unused;
    int rc;

    walk_begin(&w, suffix);
    depth = w.labels;
    rc = visit_at(&w, depth, depth == 0 ? SUFFIX_BARE : SUFFIX_EXACT, &unused);
    while (rc == 0 && depth-- > 0)
        rc = visit_at(&w, depth, depth == 0 ? SUFFIX_ANY : SUFFIX_BELOW, &depth);
    return rc;
}

/* Visits the rules that give a pool with addresses of this host. 0, what the visitor said,
 * or -EBADMSG. */
static int walk_host(struct store_txn *t, const struct name *target, index_visit *visit,
                     void *context)
{
    struct store_key host, last, user;
    struct store_record r;
    char pool[POLICY_NAME];
    int rc;

    key_host(&host, target, "");
    last = host;
    while ((rc = store_after(t, &last, host.len, &r)) == 0) {
        struct index_hit hit = {.kind = SUFFIX_EXACT, .labels = target->labels};

        store_key_copy(&last, &r.key);
        if (!record_name(pool, last.data + host.len, last.len - host.len))
            return -EBADMSG;
        key_user(&user, TABLE_POOL, pool, "");
        for (rc = store_seek(t, &user, user.len, &r); rc == 0;
             rc = store_next(t, &user, user.len, &r)) {
            hit.rule = (struct store_bytes){r.key.data + user.len, r.key.len - user.len};
            if (hit.rule.len == 0 || hit.rule.len >= POLICY_NAME)
                return -EBADMSG;
            rc = visit(context, &hit);
            if (rc != 0)
                return rc;
        }
        if (rc != -ENOENT)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

static int visit_below(struct suffix_walk *w, enum policy_table table, unsigned n)
{
    struct store_record r;
    struct store_key k;
    size_t prefix;
    int rc;

    walk_key(w, w->labels, SUFFIX_BARE, &k);
    k.data[0] = (uint8_t)table;
    prefix = k.len - 2;
    /* The first one behind all entries of the name itself. */
    for (rc = store_seek(w->txn, &k, prefix, &r); rc == 0 && n-- > 0;
         rc = store_next(w->txn, &k, prefix, &r)) {
        struct index_hit hit;
        char rule[POLICY_NAME];
        struct suffix s;

        if (!key_read_suffix(&r.key, &s, rule))
            return -EBADMSG;
        hit = (struct index_hit){s.kind, s.name.labels, {NULL, strlen(rule)}};
        hit.rule.data = r.key.data + r.key.len - hit.rule.len; /* the end of the key */
        rc = w->visit(w->context, &hit);
        if (rc != 0)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

/* Visits the entries that nearly match: suffix names a parent only, or all
 * below the name but not the name, then up to `below` entries below it. */
static int walk_near(struct store_txn *t, const struct name *suffix, unsigned below,
                     index_visit *visit, void *context)
{
    struct suffix_walk w = {.txn = t, .visit = visit, .context = context};
    unsigned unused;
    int rc;

    walk_begin(&w, suffix);
    if (w.labels == 0)
        return 0;
    rc = visit_at(&w, w.labels, SUFFIX_BELOW, &unused);
    for (unsigned d = w.labels; d-- > 1 && rc == 0;)
        rc = visit_at(&w, d, SUFFIX_EXACT, &unused);
    if (rc == 0)
        rc = visit_below(&w, TABLE_SUFFIX, below);
    return rc == 0 ? visit_below(&w, TABLE_BELOW, below) : rc;
}

/* --- rules that compete --------------------------------------------------- */

/* Which rules compete: those that act at one of the words. The first case is for
 * a question whose real answer is not known: a rule that might act may not be
 * skipped. The last two are for when a filter leaves nothing. */
static const struct {
    unsigned words;
    bool no_filter, only_break; /* without filter rules; only such as may break DNSSEC */
} cases[POLICY_CASES] = {
    {WORD_ALL, false, false},     {WORD_MISSING, false, false},    {WORD_FAILED, false, false},
    {WORD_PRESENT, false, false}, {WORD_UNAPPROVED, false, false}, {WORD_MISSING, true, false},
    {WORD_MISSING, true, true},
};
enum { UNKNOWN = 0, AGAIN = 5, AGAIN_SIGNED = 6 };

/* One rule seen from one question. */
struct candidate {
    struct policy_best best;
    struct rule_view rule;
    enum suffix_kind kind; /* of the suffix that matches */
    unsigned labels;
    enum kms_mode mode; /* with kms.mode as the upper limit */
    bool in_network, is_early, is_late;
};

/* Reads the rule of a hit. 0, or -EBADMSG. */
static int read_candidate(struct candidate *c, struct store_txn *txn, const struct policy_ask *ask,
                          const struct index_hit *hit)
{
    bool whole = hit->kind == SUFFIX_EXACT || hit->kind == SUFFIX_BARE;
    const struct policy_client *client = ask->client;
    int first =
        client->n_networks; /* sorted: the first that the rule names is the longest prefix */
    struct cursor networks;
    struct store_key k;
    int rc;

    k.len = 1 + hit->rule.len;
    k.data[0] = TABLE_RULE;
    memcpy(k.data + 1, hit->rule.data, hit->rule.len);
    rc = store_get(txn, &k, &c->best.value);
    if (rc == -ENOENT || (rc == 0 && !rule_view_read(&c->rule, &c->best.value)))
        return -EBADMSG; /* an entry of the index without its rule */
    if (rc != 0)
        return rc;
    c->best.name = hit->rule;
    c->best.nearness = (whole ? 256u : 0u) + hit->labels; /* exact, the longest *., then * */
    c->kind = hit->kind;
    c->labels = hit->labels;
    c->mode = c->rule.mode < ask->limit ? c->rule.mode : ask->limit;
    c->is_early = ask->wall_ms < c->rule.from_ms;
    c->is_late = c->rule.until_ms != 0 && ask->wall_ms >= c->rule.until_ms;
    c->in_network = c->rule.n_networks == 0;
    networks = c->rule.networks;
    for (unsigned i = 0; i < c->rule.n_networks; i++) {
        struct store_bytes name = record_text(&networks);

        c->in_network |= record_text_is(&name, "any");
        for (int n = 0; n < first; n++)
            if (record_text_is(&name, client->networks[n]))
                first = n;
    }
    c->in_network |= first < client->n_networks;
    c->best.scope = first < client->n_networks ? client->prefixes[first].len : -1;
    return 0;
}

/* May it act now, live or in shadow? */
static bool is_eligible(const struct candidate *c)
{
    return c->in_network && !c->is_early && !c->is_late && c->mode != MODE_OFF;
}

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
static bool is_blind(const struct rule_view *r)
{
    return r->when == 0 && policy_actions[r->action].is_blind;
}

/* --- the rules that match ------------------------------------------------- */

struct walk {
    struct store_txn *txn;
    const struct policy_ask *ask;
    struct policy_match *match;
};

/* A moment at which a rule comes or goes; 0: never. */
static void note_border(struct policy_match *m, uint64_t wall_ms, uint64_t border_ms)
{
    if (border_ms > wall_ms)
        m->until_ms = border_ms < m->until_ms ? border_ms : m->until_ms;
    else
        m->since_ms = border_ms > m->since_ms ? border_ms : m->since_ms;
}

static int match_rule(void *context, const struct index_hit *hit)
{
    const struct walk *w = context;
    struct policy_match *m = w->match;
    struct candidate c;
    unsigned acts;
    int rc = read_candidate(&c, w->txn, w->ask, hit);

    if (rc != 0)
        return rc;
    if (c.in_network && c.mode != MODE_OFF) {
        note_border(m, w->ask->wall_ms, c.rule.from_ms);
        note_border(m, w->ask->wall_ms, c.rule.until_ms);
    }
    if (!is_eligible(&c))
        return 0;
    m->has_shadow |= c.mode == MODE_SHADOW;
    acts = policy_when(c.rule.action, c.rule.when);
    for (int i = 0; i < POLICY_CASES; i++) {
        if ((acts & cases[i].words) == 0 ||
            (cases[i].no_filter && c.rule.action == ACTION_FILTER) ||
            (cases[i].only_break && !c.rule.break_dnssec))
            continue;
        for (int k = c.mode == MODE_SHADOW ? BEST_SHADOW : BEST_LIVE; k <= BEST_SHADOW; k++)
            if (m->best[i][k].name.data == NULL || compare(&c.best, &m->best[i][k]) < 0)
                m->best[i][k] = c.best;
    }
    return 0;
}

static int match(struct walk *w)
{
    struct name suffix;

    if (w->ask->limit == MODE_OFF)
        return 0;
    if (w->ask->client->range == POLICY_RANGE_DAMAGED)
        return -EBADMSG;
    if (!name_is_vlmcs(w->ask->qname))
        return walk_host(w->txn, w->ask->qname, match_rule, w);
    name_parent(w->ask->qname, 2, &suffix);
    return walk_suffixes(w->txn, &suffix, match_rule, w);
}

void policy_match(struct policy_reader *r, const struct policy_ask *ask, struct policy_match *m)
{
    struct walk w = {.txn = r->txn, .ask = ask};
    int rc;

    *m = (struct policy_match){.until_ms = UINT64_MAX};
    w.match = m;
    store_guarded(rc, w.txn, match(&w));
    m->rc = rc;
}

/* --- from the best rule to the decision ----------------------------------- */

/* What comes of the best rule. */
struct result {
    const struct policy_best *best; /* NULL: no rule */
    struct rule_view rule;
    enum kms_outcome outcome;
    enum kms_reason reason;
    bool open; /* it takes a verdict to tell */
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
    struct rule_view other;

    if (best->name.data == NULL)
        return r;
    (void)rule_view_read(&r.rule, &best->value); /* it could be read before */
    if (d->verdict == VERDICT_NONE && !is_blind(&r.rule)) {
        r.open = true;
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
    if (r.rule.action == ACTION_FILTER && none_left && again->name.data != NULL &&
        rule_view_read(&other, &again->value) && other.action != ACTION_PASS) {
        r.best = again;
        r.rule = other;
    }
    if (policy_actions[r.rule.action].outcome != 0)
        r.outcome = policy_actions[r.rule.action].outcome;
    return r;
}

static int decide(struct policy_reader *r, const struct policy_ask *ask,
                  const struct policy_match *m, const struct policy_real *real,
                  struct policy_decision *out)
{
    struct store_bytes value;
    struct result result;
    struct store_key k;
    bool allow_public;
    int n = real->n_srv < SRV_MAX ? real->n_srv : SRV_MAX, rc = 0;

    /* Marks the targets that are not approved; the verdict follows from them. */
    if ((verdict_word(real->verdict) & (WORD_PRESENT | WORD_UNAPPROVED)) == 0)
        n = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        const struct srv *s = &real->srv[i];
        bool yes = s->target.labels == 0; /* "no service here" names no host */

        rc = yes ? 0 : policy_is_approved(r, &s->target, s->port, &yes);
        out->unapproved[i] = rc == 0 && !yes;
        out->n_unapproved = (uint8_t)(out->n_unapproved + out->unapproved[i]);
    }
    if (n > 0 && rc == 0)
        out->verdict = out->n_unapproved > 0 ? VERDICT_UNAPPROVED : VERDICT_PRESENT;
    out->serial = policy_reader_serial(r);
    if (rc != 0 || m->rc != 0)
        return rc != 0 ? rc : m->rc;

    result = find_result(m, BEST_LIVE, ask, real, out);
    out->outcome = result.outcome;
    out->reason = ask->limit == MODE_OFF ? REASON_OFF : result.reason;
    if (result.best != NULL) {
        (void)record_name(out->rule, result.best->name.data, result.best->name.len);
        out->action = result.rule.action;
        out->ttl = result.rule.ttl;
    }
    if (result.reason == REASON_RULE && policy_actions[out->action].has_pool) {
        key_named(&k, TABLE_POOL, result.rule.pool);
        rc = store_get(r->txn, &k, &value);
        if (rc == 0)
            rc = pool_read_hosts(&value, out->hosts, POLICY_POOL_HOSTS, &allow_public);
        if (rc < 1)
            return rc < 0 ? rc : -EBADMSG; /* a pool is never empty */
        out->n_hosts = (uint8_t)rc;
        memcpy(out->pool, result.rule.pool, sizeof out->pool);
    }
    out->since_ms = m->since_ms;
    out->until_ms = m->until_ms;
    if (!m->has_shadow)
        return 0;
    result = find_result(m, BEST_SHADOW, ask, real, out);
    if (result.open)
        return 0;
    out->would.outcome = result.outcome;
    if (result.best != NULL)
        (void)record_name(out->would.rule, result.best->name.data, result.best->name.len);
    return 0;
}

void policy_decision_none(struct policy_decision *d, enum kms_verdict verdict,
                          enum kms_reason reason)
{
    d->outcome = outcome_of_real(verdict);
    d->reason = reason;
    d->verdict = verdict;
    d->action = ACTION_PASS;
    d->rule[0] = d->pool[0] = '\0';
    d->serial = 0;
    d->ttl = 0;
    d->n_hosts = d->n_unapproved = 0;
    memset(d->unapproved, 0, sizeof d->unapproved);
    d->would = (struct policy_would){.rule = ""};
    d->since_ms = 0;
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
    out->would = (struct policy_would){.rule = ""};
}

bool policy_decide_blind(struct policy_reader *r, const struct policy_ask *ask,
                         const struct policy_match *m, struct policy_decision *out)
{
    const struct policy_real nothing = {.verdict = VERDICT_NONE};

    if (ask->do_bit || m->rc != 0 || m->best[UNKNOWN][BEST_LIVE].name.data == NULL)
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

/* --- look-ups ------------------------------------------------------------- */

/* Is there a sound record that begins so? */
static int has_record(struct policy_reader *r, const struct store_key *k, bool *yes)
{
    struct store_record record;
    int rc = -ENOENT;

    if (k->len > 0) /* else the name is longer than any that is stored */
        store_guarded(rc, r->txn, store_seek(r->txn, k, k->len, &record));
    *yes = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

int policy_is_approved(struct policy_reader *r, const struct name *target, uint16_t port, bool *yes)
{
    struct store_key k;

    key_target(&k, TABLE_APPROVED, target, port, "");
    return has_record(r, &k, yes);
}

int policy_is_host_address(struct policy_reader *r, const struct addr *addr, bool *yes)
{
    struct store_key k;

    key_ip(&k, TABLE_ADDRESS, addr->ip, "");
    return has_record(r, &k, yes);
}

/* Length, and first and last octet of the first label: a hash of all of the name would cost
 * each negative answer more than the look-ups that it spares. */
static unsigned filter_bit(const struct name *n)
{
    return (n->len + 64u * n->data[n->labels > 0] + 8u * n->data[n->data[0]]) % 2048;
}

/* When there are more hosts than a look-up may cost, or one is damaged, the filter lets
 * every name through. */
static int read_filter(struct policy_reader *r)
{
    enum { NAMES_MAX = 512 };
    const struct store_key table = {1, {TABLE_HOST}};
    struct host_filter *f = &r->hosts;
    struct store_record record;
    struct name host;
    int rc, n = 0;

    memset(f->bits, 0, sizeof f->bits);
    for (rc = store_seek(r->txn, &table, 1, &record); rc == 0;
         rc = store_next(r->txn, &table, 1, &record)) {
        unsigned bit;

        if (++n > NAMES_MAX || !key_read_host(&record.key, &host))
            break;
        bit = filter_bit(&host);
        f->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    if (rc != -ENOENT)
        memset(f->bits, 0xff, sizeof f->bits);
    f->known = true; /* not before: a fault may end the reading anywhere */
    return 0;
}

bool policy_may_be_host(struct policy_reader *r, const struct name *name)
{
    struct host_filter *f = &r->hosts;
    uint64_t state = store_state(r->txn);
    unsigned bit = filter_bit(name);
    int rc = 0;

    f->known = f->known && f->state == state;
    f->state = state;
    if (UNLIKELY(!f->known))
        store_guarded(rc, r->txn, read_filter(r));
    return rc == 0 && (f->bits[bit / 64] >> bit % 64 & 1) != 0;
}

/* --- why ------------------------------------------------------------------ */

enum { TRIALS = 1000, BELOW = 5 };

struct seen {
    struct candidate c;
    bool near;
    size_t order; /* of the walk */
};
struct seen_list {
    struct store_txn *txn;
    const struct policy_ask *ask;
    const struct policy_decision *decision;
    struct seen *seen; /* owned, TRIALS of them */
    size_t n;
    bool near; /* which walk it is */
    struct name suffix;
};

/* Candidates in the order of trial, then in that order those that may not act,
 * then near misses as they were met: this name, parents, names below. */
static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    int class_x = x->near ? 2 : !is_eligible(&x->c), class_y = y->near ? 2 : !is_eligible(&y->c);

    if (class_x != class_y)
        return class_x - class_y;
    if (x->near)
        return x->order < y->order ? -1 : 1;
    return compare(&x->c.best, &y->c.best);
}

/* A rule is listed once, by its longest suffix, which comes first. */
static int collect(void *context, const struct index_hit *hit)
{
    struct seen_list *l = context;
    struct seen s = {.near = l->near, .order = l->n};
    int rc = read_candidate(&s.c, l->txn, l->ask, hit);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < l->n; i++) {
        const struct store_bytes *old = &l->seen[i].c.best.name;

        if (old->len == hit->rule.len && memcmp(old->data, hit->rule.data, old->len) == 0)
            return 0;
    }
    if (l->n < TRIALS)
        l->seen[l->n++] = s;
    return 0;
}

/* What came of a rule of the name: why it may not act, what it does, why it does not. */
static void say_why(struct str *s, const struct seen_list *l, const struct candidate *c,
                    bool is_decider)
{
    const struct policy_action_row *a = &policy_actions[c->rule.action];
    const struct policy_decision *d = l->decision;
    unsigned when = policy_when(c->rule.action, c->rule.when);
    bool acts =
        d->verdict == VERDICT_NONE ? is_blind(&c->rule) : (when & verdict_word(d->verdict)) != 0;
    struct cursor networks = c->rule.networks;
    const char *between = "acts when ";
    char time[NUMBER_TEXT];

    if (!c->in_network) {
        str_add(s, "client is not in ");
        for (unsigned i = 0; i < c->rule.n_networks; i++) {
            struct store_bytes name = record_text(&networks);

            str_add(s, i == 0 ? "" : i + 1 == c->rule.n_networks ? " or " : ", ");
            str_add_bytes(s, name.data, name.len);
        }
    } else if (c->is_early) {
        str_addf(s, "valid from %s", time_print_local(c->rule.from_ms, time));
    } else if (c->is_late) {
        str_addf(s, "was valid until %s", time_print_local(c->rule.until_ms, time));
    } else if (c->mode == MODE_OFF) {
        str_add(s, c->rule.mode != MODE_OFF ? "kms.mode is off" : "mode is off");
    } else if (is_decider && d->reason == REASON_SIGNED) {
        str_add(s, "the real answer is signed and the client asks for DNSSEC; "
                   "break-dnssec is not set");
    } else if (is_decider) {
        str_addf(s, "%s%s%s", a->verb, a->has_pool ? " from pool " : "", c->rule.pool);
    } else if (!acts) {
        for (int i = 0; i < VERDICT_WORDS; i++)
            if ((when & 1u << i) != 0) {
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

static int visit_all(struct seen_list *l, policy_trial_visit *visit, void *context)
{
    int rc;

    name_parent(l->ask->qname, 2, &l->suffix);
    rc = walk_suffixes(l->txn, &l->suffix, collect, l);
    l->near = true;
    if (rc == 0)
        rc = walk_near(l->txn, &l->suffix, BELOW, collect, l);
    if (rc != 0 && rc != -EBADMSG && rc != -EIO)
        return rc;
    qsort(l->seen, l->n, sizeof *l->seen, compare_seen);
    for (size_t i = 0; i < l->n; i++) {
        const struct candidate *c = &l->seen[i].c;
        struct policy_trial t = {.acts = false};
        struct suffix suffix = {.kind = c->kind};
        char text[SUFFIX_TEXT];
        bool is_decider;
        struct str why;

        str_init(&why, t.why, sizeof t.why);
        (void)record_name(t.rule, c->best.name.data, c->best.name.len);
        if (!l->seen[i].near) {
            is_decider = is_eligible(c) && strcmp(t.rule, l->decision->rule) == 0;
            t.acts = is_decider && l->decision->reason == REASON_RULE;
            say_why(&why, l, c, is_decider);
        } else if (c->labels > l->suffix.labels) {
            str_add(&why, "has suffixes below that name only");
        } else {
            name_parent(&l->suffix, l->suffix.labels - c->labels, &suffix.name);
            str_addf(&why, "has %s, which covers %s", suffix_print(&suffix, text),
                     c->kind == SUFFIX_BELOW ? "the names below it only" : "that name only");
        }
        visit(context, &t);
    }
    return 0;
}

int policy_explain(struct policy_reader *r, const struct policy_ask *ask,
                   const struct policy_decision *decision, policy_trial_visit *visit, void *context)
{
    struct seen_list l = {
        .txn = r->txn, .ask = ask, .decision = decision, .seen = malloc(TRIALS * sizeof *l.seen)};
    int rc;

    if (l.seen == NULL)
        return -ENOMEM;
    store_guarded(rc, l.txn, visit_all(&l, visit, context));
    free(l.seen);
    return rc == -EIO ? 0 : rc;
}
