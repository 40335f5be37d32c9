/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- what a client would get, and why: a trace of the real decision.
 *
 * answer_read() and answer_query() answer the question, as any other, over a view
 * with counters of its own that neither uses nor keeps decisions. The explanation
 * is the audit event that they leave in the query slot, and the answer. Added to it
 * are the rules that did not act, and a command that would help.
 */
#include "resolver/explain.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "resolver/answer.h"
#include "resolver/kms.h"

enum { DNS_PORT = 53, SOME_PORT = 53000, WINDOWS_TIMEOUT = 0x5b4 };
#define WINDOWS_FACILITY 0x80070000u

/* --- the answer ----------------------------------------------------------- */

/* The answer's records, and the smallest TTL: of a negative one the SOA's. */
static void show_message(struct explain *e, const uint8_t *image, size_t len)
{
    struct rr_walk walk;
    struct rr rr;
    char *text;

    e->rcode = dns_rcode(image, len);
    rr_walk_init(&walk, image, len);
    while (rr_walk_next(&walk, &rr)) {
        bool is_answer = rr.section == SECTION_ANSWER;

        if (!is_answer && rr.type != TYPE_SOA)
            continue;
        if (!e->has_ttl || rr.ttl < e->ttl_s)
            e->ttl_s = rr.ttl;
        e->has_ttl = true;
        if (!is_answer || e->n_records == EXPLAIN_RECORDS)
            continue;
        text = e->records[e->n_records++];
        if (!rr_print(image, len, &rr, text, EXPLAIN_RECORD))
            str_copy(text, EXPLAIN_RECORD, "(a record that is too long to be shown)");
        for (; *text != '\0'; text++) /* in a line, with spaces where a zone file has tabs */
            *text = *text == '\t' ? ' ' : *text;
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

/* --- what the real DNS says, and the decision on it ------------------------ */

/* The server, or of those that gave no answer all. */
static void show_servers(struct explain *e)
{
    const struct real *r = &e->q.real;
    const struct route *route = e->q.route;
    const struct addr *list = route != NULL ? route->servers : NULL;
    int n = route != NULL ? route->n_servers : 0;
    char text[ADDR_TEXT];
    struct str s;

    str_init(&s, e->server, sizeof e->server);
    if (r->local) {
        str_add(&s, "local");
        return;
    }
    if (route != NULL)
        (void)name_print(&route->zone, e->route);
    if (!addr_is_any(&r->server)) {
        list = &r->server;
        n = 1;
    }
    for (int i = 0; i < n; i++)
        str_addf(&s, "%s%s", i > 0 ? ", " : "",
                 list[i].port == DNS_PORT ? addr_print(&list[i], text)
                                          : addr_print_port(&list[i], text));
}

static void say_decision(char out[EXPLAIN_TEXT], const struct view *v)
{
    const struct policy_decision *d = &v->scratch->decision;
    struct str s;

    str_init(&s, out, EXPLAIN_TEXT);
    if (d->reason == REASON_RULE) {
        str_addf(&s, "rule %s %s%s", d->rule, policy_actions[d->action].deed, d->pool);
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

/* --- the hint ------------------------------------------------------------- */

/* Would the rules fill this name for this client, did the real DNS have nothing there? */
static bool is_filled(const struct view *v, struct policy_ask ask, const struct name *qname)
{
    const struct policy_real nothing = {.verdict = VERDICT_NXDOMAIN};
    struct policy_decision *d = &v->scratch->decision;

    ask.qname = qname;
    policy_decide(v->policy, &ask, &nothing, d);
    return d->reason == REASON_RULE && d->outcome == OUTCOME_FILLED;
}

/* The shortest command that would fill this name for this client. */
static void find_hint(struct explain *e, const struct view *v, const struct policy_ask *ask)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const struct audit_event *event = &e->q.event;
    const char *rule = v->scratch->decision.rule, *quote;
    struct suffix suffix = {.kind = SUFFIX_BELOW};
    bool has_policy = view_policy(v), is_near = false;
    struct name name, below, qname;
    char text[SUFFIX_TEXT];
    struct str s;

    str_init(&s, e->hint, sizeof e->hint);
    if (e->reason != REASON_NO_RULE || v->settings->kms.mode != MODE_LIVE)
        return;
    if (e->outcome == OUTCOME_FAILED) { /* a rule for what is missing may be meant for this, too */
        if (has_policy && is_filled(v, *ask, ask->qname))
            str_addf(&s, "waymarkctl policy rule set %s --when missing,failed", rule);
        return;
    }
    if (e->outcome != OUTCOME_MISSING)
        return;
    /* A rule that fills a parent only, or only what is below the name, needs one more
     * suffix. Never one of one label: that is more than was asked for. */
    name_parent(ask->qname, 2, &name);
    for (unsigned skip = 1; has_policy && !is_near && skip + 1 < name.labels; skip++) {
        name_parent(&name, skip, &suffix.name);
        is_near = policy_question(&suffix.name, &qname) && is_filled(v, *ask, &qname);
    }
    if (!is_near) {
        suffix = (struct suffix){.kind = SUFFIX_EXACT, .name = name};
        is_near = has_policy && name.labels >= 2 && name_parse(&below, "_vlmcs._tcp.below") == 0 &&
                  name_join(&below, &name, &qname) && is_filled(v, *ask, &qname);
    }
    if (!is_near && event->would == OUTCOME_FILLED && event->would_rule[0] != '\0') {
        str_addf(&s, "waymarkctl policy rule set %s --mode live", event->would_rule);
        return;
    }
    (void)suffix_print(&suffix, text);
    quote = text[strspn(text, plain)] == '\0' ? "" : "'";
    if (is_near)
        str_addf(&s, "waymarkctl policy rule add %s %s%s%s", rule, quote, text, quote);
    else
        str_addf(&s, "waymarkctl policy fill %s%s%s --pool POOL", quote, text, quote);
}

/* --- the trace ------------------------------------------------------------- */

static void explain_kms(struct explain *e, const struct view *v, const struct real *came,
                        struct now now)
{
    const struct policy_decision *d = &v->scratch->decision;
    const struct policy_ask ask = kms_ask(v, &e->q, now);
    uint64_t deadline_ms = v->settings->kms.upstream_deadline_ms;
    struct str late;

    str_init(&late, e->late, sizeof e->late);
    e->outcome = (enum kms_outcome)e->q.event.outcome;
    e->reason = (enum kms_reason)e->q.event.reason;
    e->verdict = (enum kms_verdict)e->q.event.verdict;
    str_copy(e->rule, sizeof e->rule, e->q.event.rule);
    say_decision(e->text, v);
    if (came != NULL && came->ms >= deadline_ms && e->at_deadline != 0)
        str_addf(&late,
                 "%u ms is behind kms.upstream-deadline; %sa client that asks first is answered at "
                 "%u ms%s: %s",
                 (unsigned)came->ms,
                 e->q.route->n_servers > 1 ? "unless another server is faster, " : "",
                 (unsigned)deadline_ms, e->stale_at_deadline ? ", after an expired entry" : "",
                 e->text_at_deadline);
    if (view_policy(v))
        e->n_trials = (int)policy_explain(v->policy, &ask, d, e->trials, EXPLAIN_TRIALS);
    if (e->q.real.supposed && e->outcome == OUTCOME_PASSED) {
        str_copy(e->records[e->n_records++], EXPLAIN_RECORD, "(the records of the real DNS)");
        e->q.event.n_answer = 1;
    }
    find_hint(e, v, &ask);
}

/* A question that is not decided by policy, or that was refused before anything was
 * looked up. */
static void explain_other(struct explain *e, const struct view *v, bool is_read)
{
    const struct policy_decision *d = &v->scratch->decision;
    const char *text = "this is no discovery question; the real answer is delivered";
    struct str s;

    str_init(&s, e->text, sizeof e->text);
    if (e->access != ACCESS_ALLOW) {
        e->outcome = OUTCOME_BLOCKED;
        e->reason = REASON_ACCESS;
        text = e->silent ? "access drops what this client asks" : "access refuses this client";
    } else if (!is_read) {
        text = "questions of this type are refused";
    } else if (e->stats.kms_hosts > 0) {
        str_copy(e->rule, sizeof e->rule, d->rule);
        str_addf(&s, "no address in the real DNS; pool %s gives the host's, by rule ", d->pool);
        text = e->rule;
    } else if (e->stats.special > 0) {
        text = "a special name, answered here (RFC 6761, 6303)";
    } else if (e->stats.kms_coherent > 0) {
        text = "SRV is filled at this name, so NXDOMAIN becomes NODATA for other types";
    } else if (e->silent || e->rcode == RCODE_SERVFAIL) {
        text = "this is no discovery question; the real DNS gives no answer";
    }
    str_add(&s, text);
    e->verdict = e->q.real.local ? VERDICT_NONE : e->q.real.verdict;
}

static void begin_trace(struct explain *e, const struct view *v, struct now now)
{
    struct query_build build = {.qname = &e->qname,
                                .qtype = e->qtype,
                                .qclass = CLASS_IN,
                                .edns = e->dnssec,
                                .do_bit = e->dnssec};

    memset(&e->access, 0, sizeof *e - offsetof(struct explain, access));
    e->client.port = SOME_PORT;
    e->access = settings_access(v->settings, v->machine, v->n_machine, &e->client, &e->access_rule);
    e->q.client.addr = e->client;
    e->q.client.transport = AUDIT_TCP;
    e->q.arrived_ms = now.mono_ms;
    e->q.wire = e->wire;
    e->q.wire_len = query_build(&build, e->wire, sizeof e->wire);
    e->q.out = e->out;
    e->q.out_size = sizeof e->out;
}

bool explain_run(struct explain *e, const struct view *view, const struct real *came,
                 struct now now)
{
    static const struct addr nobody;
    struct view quiet = *view;
    struct writer w = writer_make(view->scratch->image, sizeof view->scratch->image);
    struct real instead = {.verdict = e->supposed, .supposed = true};
    bool is_read;
    enum answer a;

    quiet.stats = &e->stats;
    quiet.trace = true;
    if (came == NULL)
        e->at_deadline = 0;
    begin_trace(e, &quiet, now);
    a = answer_read(&quiet, &e->q, now);
    is_read = a == ANSWER_FORWARD;
    (void)query_find_networks(&quiet, &e->q);
    if (is_read && e->supposed != VERDICT_NONE && e->q.kms) { /* as if it had come, no records */
        image_begin(&w, &e->q.message,
                    e->supposed == VERDICT_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR);
        message_counts(&w, 0, 0, 0);
        instead.image = verdict_word(e->supposed) != WORD_FAILED ? w.start : NULL;
        instead.len = w.len;
        came = &instead;
    }
    if (is_read)
        a = answer_query(&quiet, &e->q, came, now);
    if (a == ANSWER_FORWARD && e->q.passthrough) {
        str_copy(e->text, sizeof e->text,
                 "the question goes whole to one server, and the reply comes back whole");
        return true;
    }
    if (a == ANSWER_FORWARD) { /* what is a client told if the deadline passes first? */
        instead = real_of_failure(RCODE_TIMEOUT, &nobody, 0);
        instead.pending = true;
        if (!e->q.kms || quiet.settings->kms.mode == MODE_OFF ||
            answer_query(&quiet, &e->q, &instead, now) != ANSWER_SEND)
            return false;
        e->at_deadline = (enum kms_outcome)e->q.event.outcome;
        e->stale_at_deadline = e->q.real.stale;
        str_copy(e->rule_at_deadline, sizeof e->rule_at_deadline, e->q.event.rule);
        say_decision(e->text_at_deadline, &quiet);
        return false;
    }
    e->silent = a == ANSWER_DROP;
    if (!e->silent)
        show_message(e, e->out, e->q.out_len);
    if (is_read && e->q.kms)
        explain_kms(e, &quiet, came, now);
    else
        explain_other(e, &quiet, is_read);
    show_servers(e);
    if (e->q.has_event && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY))
        e->windows =
            e->silent ? WINDOWS_FACILITY | WINDOWS_TIMEOUT : audit_client_error(&e->q.event);
    if (e->windows != 0)
        e->windows_text = windows_text(e->windows);
    return true;
}
