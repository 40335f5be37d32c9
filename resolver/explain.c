/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- see explain.h.
 */
#include "resolver/explain.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "wire/present.h"
#include "wire/reply.h"

enum { DNS_PORT = 53, SOME_PORT = 53000, WINDOWS_TIMEOUT = 0x5b4 };
#define WINDOWS_FACILITY 0x80070000u

/* --- the client ----------------------------------------------------------- */

static void read_client(struct explain *e, const struct view *v)
{
    const struct access_rule *rule =
        settings_access_rule(v->settings, v->machine, v->n_machine, &e->client);

    e->access = settings_access(v->settings, v->machine, v->n_machine, &e->client);
    e->has_access_rule = rule != NULL;
    if (rule != NULL)
        e->access_rule = rule->net;
    (void)kms_find_client(v, &e->client);
    e->found = v->scratch->client;
}

/* --- the answer ----------------------------------------------------------- */

/* In a line of text, with spaces where a zone file has tabs. */
static void show_record(struct explain *e, const uint8_t *image, size_t len, const struct rr *rr)
{
    char *out = e->records[e->n_records++];

    if (!rr_print(image, len, rr, out, EXPLAIN_RECORD))
        str_copy(out, EXPLAIN_RECORD, "(a record that is too long to be shown)");
    for (char *p = out; *p != '\0'; p++)
        if (*p == '\t')
            *p = ' ';
}

/* The answer's records, and the smallest TTL: of a negative one the SOA's. */
static void show_message(struct explain *e, const uint8_t *image, size_t len)
{
    struct rr_walk walk;
    struct rr rr;
    bool negative = true;

    e->rcode = dns_rcode(image, len);
    rr_walk_init(&walk, image, len);
    while (rr_walk_next(&walk, &rr)) {
        bool is_answer = rr.section == SECTION_ANSWER;

        negative = negative && !is_answer;
        if (!is_answer && !(negative && rr.section == SECTION_AUTHORITY && rr.type == TYPE_SOA))
            continue;
        if (!e->has_ttl || rr.ttl < e->ttl_s)
            e->ttl_s = rr.ttl;
        e->has_ttl = true;
        if (is_answer && e->n_records < EXPLAIN_RECORDS)
            show_record(e, image, len, &rr);
    }
}

static const char *windows_text(uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *text;
    } texts[] = {
        {9001, "DNS server unable to interpret format"},
        {9002, "DNS server failure"},
        {9003, "DNS name does not exist"},
        {9004, "DNS request not supported by name server"},
        {9005, "DNS operation refused"},
        {9501, "no records found for given DNS query"},
        {WINDOWS_TIMEOUT, "this operation returned because the timeout period expired"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].code == (code & 0xffff))
            return texts[i].text;
    return "DNS error";
}

/* What a Windows client shows: of discovery questions only. */
static void tell_windows(struct explain *e)
{
    struct audit_event *event = &e->q.event;

    if (!name_is_vlmcs(&e->qname) || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY))
        return;
    event->kind = AUDIT_EVENT;
    event->qtype = e->qtype;
    event->rcode = e->rcode;
    event->n_answer = e->n_records > 0;
    e->windows = e->silent ? WINDOWS_FACILITY | WINDOWS_TIMEOUT : audit_client_error(event);
    if (e->windows != 0)
        e->windows_text = windows_text(e->windows);
}

/* --- what the real DNS says ----------------------------------------------- */

static void name_servers(struct explain *e, const struct route *route, const struct addr *said)
{
    const struct addr *list = !addr_is_any(said) ? said : route != NULL ? route->servers : NULL;
    int n = !addr_is_any(said) ? 1 : route != NULL ? route->n_servers : 0;
    char text[ADDR_TEXT];
    struct str s;

    str_init(&s, e->server, sizeof e->server);
    for (int i = 0; i < n; i++)
        str_addf(&s, "%s%s", i > 0 ? ", " : "",
                 list[i].port == DNS_PORT ? addr_print(&list[i], text)
                                          : addr_print_port(&list[i], text));
}

static void show_real(struct explain *e, const struct kms_real *r)
{
    const struct route *route = e->q.route;
    char name[NAME_TEXT];

    e->has_real = r->verdict != VERDICT_NONE;
    e->supposed = e->verdict != VERDICT_NONE;
    e->said = r->verdict;
    if (e->supposed || !e->has_real)
        return;
    if (r->local) {
        str_copy(e->server, sizeof e->server, "local");
        return;
    }
    if (route != NULL)
        str_copy(e->route, sizeof e->route, name_print(&route->zone, name));
    name_servers(e, route, &r->server);
    e->cached = r->cached;
    e->ms = r->ms;
    e->real_ttl_s = r->ttl_s;
}

/* What is cached, or what came; false: it must be asked. */
static bool find_real(struct explain *e, const struct view *v, const struct got *got,
                      struct now now, struct kms_real *r)
{
    const struct got nobody = {.kind = GOT_FAILURE, .rcode = RCODE_REFUSED};

    if (kms_real_local(v, &e->q, r) || (got == NULL && kms_real_cached(v, &e->q, false, now, r)))
        return true;
    if (got == NULL && e->q.route != NULL)
        return false;
    kms_real_got(v, &e->q, got != NULL ? got : &nobody, now, r);
    return true;
}

/* --- discovery questions -------------------------------------------------- */

static void add_trial(void *context, const struct policy_trial *t)
{
    struct explain *e = context;

    if (e->n_trials < EXPLAIN_TRIALS)
        e->trials[e->n_trials++] = *t;
}

static void say_decision(char out[EXPLAIN_TEXT], const struct view *v,
                         const struct policy_decision *d)
{
    struct str s;

    str_init(&s, out, EXPLAIN_TEXT);
    if (d->reason == REASON_RULE) {
        str_addf(&s, "rule %s %s%s%s", d->rule, policy_actions[d->action].deed,
                 policy_actions[d->action].has_pool ? " pool " : "", d->pool);
        return;
    }
    if (d->reason == REASON_SIGNED) {
        str_addf(&s, "rule %s would act, but the real answer is signed", d->rule);
        return;
    }
    str_add(&s, d->reason == REASON_DAMAGED ? "a record of the policy store is damaged"
                : d->reason == REASON_OFF   ? "kms.mode is off"
                : !view_policy(v)           ? "no policy store is in use"
                                            : "no rule acts");
    str_add(&s, d->outcome == OUTCOME_FAILED ? ", and the real DNS gives no answer"
                                             : ", the real answer is delivered");
}

static void show_supposed(struct explain *e, const struct policy_decision *d)
{
    e->rcode = RCODE_NOERROR;
    if (d->outcome == OUTCOME_PASSED)
        str_copy(e->records[e->n_records++], EXPLAIN_RECORD, "(the records of the real DNS)");
    else if (d->verdict == VERDICT_NXDOMAIN)
        e->rcode = RCODE_NXDOMAIN;
}

static void show_answer(struct explain *e, const struct view *v, const struct kms_real *r,
                        const struct policy_decision *d)
{
    bool is_real = d->outcome == OUTCOME_PASSED || d->outcome == OUTCOME_MISSING ||
                   d->outcome == OUTCOME_DENIED;
    const uint8_t *image;
    size_t len;

    if (e->supposed && is_real) {
        show_supposed(e, d);
        return;
    }
    len = kms_image(v, &e->q, r, d, DNS_MAX_MESSAGE, &image);
    if (len == 0)
        e->rcode = RCODE_SERVFAIL;
    else
        show_message(e, image, len);
}

/* --- the hint ------------------------------------------------------------- */

struct guess {
    const struct view *v;
    struct policy_ask ask;
    struct name qname;
    struct policy_decision *d;
};

/* Would the rule set fill this name, did the real DNS have nothing there? */
static bool is_filled(struct guess *g)
{
    const struct policy_real nothing = {.verdict = VERDICT_NXDOMAIN};

    g->ask.qname = &g->qname;
    policy_decide(g->v->policy, &g->ask, &nothing, g->d);
    return g->d->reason == REASON_RULE && g->d->outcome == OUTCOME_FILLED;
}

static bool is_plain_word(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
           strlen(text);
}

static void add_word(struct str *s, const char *text)
{
    const char *quote = is_plain_word(text) ? "" : "'";

    str_addf(s, "%s%s%s", quote, text, quote);
}

/* A name below the suffix, as a question. */
static bool question_below(const struct name *suffix, struct name *out)
{
    struct name below;

    return name_parse(&below, "_vlmcs._tcp.below") == 0 && name_join(&below, suffix, out);
}

/* A rule that fills a parent only, or only what is below the name, needs one
 * more suffix. Never a suffix of one label: that is more than was asked for. */
static bool hint_neighbour(struct guess *g, const struct name *suffix, struct str *s)
{
    struct suffix add = {.kind = SUFFIX_BELOW};
    char text[SUFFIX_TEXT];

    for (unsigned skip = 1; skip + 1 < suffix->labels; skip++) {
        name_parent(suffix, skip, &add.name);
        if (!policy_question(&add.name, &g->qname) || !is_filled(g))
            continue;
        str_addf(s, "waymarkctl policy rule add %s ", g->d->rule);
        add_word(s, suffix_print(&add, text));
        return true;
    }
    if (suffix->labels < 2 || !question_below(suffix, &g->qname) || !is_filled(g))
        return false;
    add = (struct suffix){.kind = SUFFIX_EXACT, .name = *suffix};
    str_addf(s, "waymarkctl policy rule add %s ", g->d->rule);
    add_word(s, suffix_print(&add, text));
    return true;
}

/* The shortest command that would fill this name for this client. `was` lies
 * where the guesses go, and is read before them. */
static void find_hint(struct explain *e, const struct view *v, struct now now,
                      const struct policy_decision *was)
{
    struct guess g = {.v = v,
                      .ask = kms_ask(v, &e->q, now),
                      .qname = e->q.message.qname,
                      .d = &v->scratch->decision};
    struct suffix suffix = {.kind = SUFFIX_EXACT};
    struct policy_would would = was->would;
    bool failed = was->outcome == OUTCOME_FAILED;
    char text[SUFFIX_TEXT];
    struct str s;

    str_init(&s, e->hint, sizeof e->hint);
    if (was->reason != REASON_NO_RULE || (was->outcome != OUTCOME_MISSING && !failed) ||
        v->settings->kms.mode != MODE_LIVE)
        return;
    name_parent(&e->q.message.qname, 2, &suffix.name);
    if (failed) { /* a rule for what is missing may be meant for this, too */
        if (view_policy(v) && is_filled(&g))
            str_addf(&s, "waymarkctl policy rule set %s --when missing,failed", g.d->rule);
        return;
    }
    if (view_policy(v) && hint_neighbour(&g, &suffix.name, &s))
        return;
    if (would.outcome == OUTCOME_FILLED && would.rule[0] != '\0') {
        str_addf(&s, "waymarkctl policy rule set %s --mode live", would.rule);
        return;
    }
    str_add(&s, "waymarkctl policy fill ");
    add_word(&s, suffix_print(&suffix, text));
    str_add(&s, " --pool POOL");
}

/* --- the deadline --------------------------------------------------------- */

/* As kms_answer() judges it; before the reply takes the place of an expired entry. */
static void find_at_deadline(struct explain *e, const struct view *v, const struct policy_ask *ask,
                             struct now now)
{
    const struct got got = {.kind = GOT_DEADLINE};
    struct policy_decision *d = &v->scratch->decision;
    struct kms_real r;

    kms_real_got(v, &e->q, &got, now, &r);
    kms_decide(v, &e->q, ask, &r, d);
    e->at_deadline = NULL;
    if (d->outcome == OUTCOME_FAILED || v->settings->kms.mode == MODE_OFF)
        return;
    e->at_deadline = outcome_names[d->outcome];
    str_copy(e->rule_at_deadline, sizeof e->rule_at_deadline, d->rule);
    say_decision(e->text_at_deadline, v, d);
    e->stale_at_deadline = r.stale;
}

static void say_late(struct explain *e, const struct view *v, const struct got *got)
{
    uint64_t deadline_ms = v->settings->kms.upstream_deadline_ms;
    struct str s;

    str_init(&s, e->late, sizeof e->late);
    if (got == NULL || got->ms < deadline_ms || e->at_deadline == NULL)
        return;
    str_addf(&s,
             "%u ms is behind kms.upstream-deadline; %sa client that asks first is answered at "
             "%u ms%s: %s",
             (unsigned)got->ms,
             e->q.route->n_servers > 1 ? "unless another server is faster, " : "",
             (unsigned)deadline_ms, e->stale_at_deadline ? ", after an expired entry" : "",
             e->text_at_deadline);
}

static bool explain_kms(struct explain *e, const struct view *v, const struct got *got,
                        struct now now)
{
    struct policy_decision *d = &v->scratch->decision;
    struct kms_real r = {.verdict = e->verdict};
    bool has_client = kms_find_client(v, &e->client);
    struct policy_ask ask = kms_ask(v, &e->q, now);

    if (e->verdict == VERDICT_NONE && !(has_client && kms_unconditional(v, &e->q, &ask, d)) &&
        !find_real(e, v, got, now, &r)) {
        find_at_deadline(e, v, has_client ? &ask : NULL, now);
        return false;
    }
    kms_decide(v, &e->q, has_client ? &ask : NULL, &r, d);
    if (has_client)
        (void)policy_explain(v->policy, &ask, d, add_trial, e);
    show_real(e, &r);
    if (e->has_real)
        e->said = d->verdict;
    e->outcome = outcome_names[d->outcome];
    e->reason = reason_names[d->reason];
    str_copy(e->rule, sizeof e->rule, d->rule);
    say_decision(e->text, v, d);
    say_late(e, v, got);
    show_answer(e, v, &r, d);
    find_hint(e, v, now, d);
    return true;
}

/* --- the others ----------------------------------------------------------- */

static void say_ordinary(struct explain *e, const struct view *v, enum answer a)
{
    const char *text = "this is no discovery question; the real answer is delivered";
    const struct policy_decision *d = &v->scratch->decision;
    struct str s;

    if (e->stats.kms_hosts > 0) {
        str_copy(e->rule, sizeof e->rule, d->rule);
        str_init(&s, e->text, sizeof e->text);
        str_addf(&s, "no address in the real DNS; pool %s gives the host's, by rule %s", d->pool,
                 d->rule);
        return;
    }
    if (e->q.whole)
        text = "the question goes whole to one server, and the reply comes back whole";
    else if (e->stats.special > 0)
        text = "a special name, answered here (RFC 6761, 6303)";
    else if (e->stats.kms_coherent > 0)
        text = "SRV is filled at this name, so NXDOMAIN becomes NODATA for other types";
    else if (a != ANSWER_SEND || e->rcode == RCODE_SERVFAIL)
        text = "this is no discovery question; the real DNS gives no answer";
    str_copy(e->text, sizeof e->text, text);
}

static bool explain_ordinary(struct explain *e, const struct view *v, const struct got *got,
                             struct now now)
{
    struct kms_real r = {.verdict = VERDICT_NONE};
    enum answer a = answer_query(v, &e->q, got, now);

    if (a == ANSWER_FORWARD && !e->q.whole)
        return false;
    if (a == ANSWER_SEND)
        show_message(e, e->out, e->q.out_len);
    if (e->stats.special == 0 && !e->q.whole && find_real(e, v, got, now, &r))
        show_real(e, &r);
    say_ordinary(e, v, a);
    return true;
}

/* Refused before anything is looked up. */
static void explain_refused(struct explain *e, enum answer a)
{
    e->silent = a == ANSWER_DROP;
    e->rcode = RCODE_REFUSED;
    if (e->access == ACCESS_ALLOW) {
        str_copy(e->text, sizeof e->text, "questions of this type are refused");
        return;
    }
    e->outcome = "blocked";
    e->reason = "access";
    str_copy(e->text, sizeof e->text,
             e->silent ? "access drops what this client asks" : "access refuses this client");
}

static void begin(struct explain *e, struct now now)
{
    struct query_build build = {.qname = &e->qname, .qtype = e->qtype, .qclass = CLASS_IN};

    memset(&e->access, 0, sizeof *e - offsetof(struct explain, access));
    e->client.port = SOME_PORT;
    e->q.client.addr = e->client;
    e->q.client.transport = AUDIT_TCP;
    e->q.arrived_ms = now.mono_ms;
    e->q.wire = e->wire;
    e->q.wire_len = query_build(&build, e->wire, sizeof e->wire);
    e->q.out = e->out;
    e->q.out_size = sizeof e->out;
}

bool explain_run(struct explain *e, const struct view *view, const struct got *got, struct now now)
{
    struct view quiet = *view;
    enum answer a;
    bool done = true;

    begin(e, now);
    quiet.stats = &e->stats;
    read_client(e, &quiet);
    a = answer_read(&quiet, &e->q, now);
    if (a != ANSWER_FORWARD)
        explain_refused(e, a);
    else
        done = e->q.kms ? explain_kms(e, &quiet, got, now) : explain_ordinary(e, &quiet, got, now);
    if (done)
        tell_windows(e);
    return done;
}
