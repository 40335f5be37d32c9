/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- what a client would get, and why: a trace of the real decision.
 *
 * answer_read() and answer_query() answer the question over a view with counters of its own that
 * neither uses nor keeps decisions. The explanation is the audit event that they leave, the
 * answer, the rules that did not act, and a command that would help.
 */
#include "resolver/explain.h"

#include "audit/store.h"

enum { DNS_PORT = 53, SOME_PORT = 53000, RECORD_TEXT = 4 * DNS_MAX_MESSAGE };
enum { MAX_RULES = 64, SAYING = 256, HINT = SUFFIX_TEXT + 2 * POLICY_NAME };

int explain_read(struct explain *e, const char *name, const char *type, const char *client,
                 const char *verdict, struct diags *d)
{
    const int supposed = verdict ? str_index(verdict_names, verdict) : VERDICT_NONE;
    char meant[DIAG_MEANT];

    if (verdict && supposed <= VERDICT_NONE)
        return diags_tell(d, "not a verdict: %s%s", verdict,
                          diag_meant(verdict, verdict_names + 1, meant));
    if (name_parse(&e->qname, name) != 0)
        return diags_tell(d, "not a domain name: %s", name);
    if (type_parse(&e->qtype, type ? type : "SRV") != 0)
        return diags_tell(d, "not a record type: %s", type);
    if (verdict && (!name_is_vlmcs(&e->qname) || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY)))
        return diags_tell(d, "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    if (addr_parse(&e->client, client ? client : "127.0.0.1", 0) != 0)
        return diags_tell(d, "not an IP address: %s", client);
    e->supposed = (enum kms_verdict)supposed;
    return 0;
}

json_t *explain_records(const uint8_t *wire, size_t len, enum section first, enum section last)
{
    json_t *records = json_array();
    static char text[RECORD_TEXT]; /* only the main thread explains */
    struct rr_walk walk;

    rr_walk_init(&walk, wire, len);
    while (rr_walk_next(&walk) && walk.rr.section <= last)
        if (walk.rr.section >= first && walk.rr.type != TYPE_OPT &&
            rr_print(wire, &walk.rr, text, sizeof text))
            json_array_append_new(records, json_string(text));
    return records;
}

/* The answer's records, and the smallest TTL: of a negative one the SOA's. */
static json_t *show_answer(const struct explain *e, enum answer a, bool records_are_supposed)
{
    const size_t len = a == ANSWER_DROP ? 0 : e->q.out_len;
    json_t *records = explain_records(e->out, len, SECTION_ANSWER, SECTION_ANSWER);
    char rcode[TYPE_TEXT];
    json_int_t ttl = -1;
    struct rr_walk walk;

    rr_walk_init(&walk, e->out, len);
    while (rr_walk_next(&walk))
        if ((walk.rr.section == SECTION_ANSWER || walk.rr.type == TYPE_SOA) &&
            (ttl < 0 || walk.rr.ttl < ttl))
            ttl = walk.rr.ttl;
    if (records_are_supposed)
        json_array_append_new(records, json_string("(the records of the real DNS)"));
    return json_pack("{s:s?,s:o?,s:o}", "rcode",
                     a != ANSWER_DROP ? rcode_print(dns_rcode(e->out, len), rcode) : NULL, "ttl_s",
                     ttl >= 0 ? json_integer(ttl) : NULL, "records", records);
}

/* The server, or of those that gave no answer all. NULL: the real DNS was not asked. */
static json_t *show_real(const struct query *q, enum kms_verdict verdict)
{
    const struct real *r = &q->real;
    const struct route *route = r->local || r->supposed ? NULL : q->route;
    bool is_one = !addr_is(&r->said.server, ADDR_ANY);
    const struct addr *list = is_one ? &r->said.server : route ? route->servers : NULL;
    int n = is_one ? 1 : route ? route->n_servers : 0;
    char text[ADDR_TEXT], servers[EXPLAIN_TEXT], zone[NAME_TEXT];
    struct str s;

    if (verdict == VERDICT_NONE)
        return NULL;
    str_init(&s, servers, sizeof servers);
    str_add(&s, r->local ? "local" : "");
    for (int i = 0; i < n; i++)
        str_addf(&s, "%s%s", i > 0 ? ", " : "",
                 list[i].port == DNS_PORT ? addr_print(&list[i], text)
                                          : addr_print_port(&list[i], text));
    return json_pack("{s:s,s:s?,s:s?,s:o?,s:b,s:o?}", "verdict", verdict_names[verdict], "server",
                     r->supposed ? NULL : or_null(servers), "route",
                     route ? name_print(&route->zone, zone) : NULL, "ms",
                     r->supposed ? NULL : json_integer(r->said.rtt_ms), "cached", r->cached,
                     "ttl_s", r->supposed ? NULL : json_integer((json_int_t)(r->left_ms / 1000)));
}

/* A decision in words; has_store: there is one that it was made from. */
static const char *decision_text(const struct policy_decision *d, bool has_store, char out[SAYING])
{
    const char *why = d->reason == REASON_DAMAGED ? "a record of the policy store is damaged"
                      : d->reason == REASON_OFF   ? "kms.mode is off"
                      : !has_store                ? "no policy store is in use"
                                                  : "no rule acts";

    if (d->reason == REASON_RULE)
        snprintf(out, SAYING, "rule %s %s%s", d->rule, policy_actions[d->action].deed, d->pool);
    else if (d->reason == REASON_SIGNED)
        snprintf(out, SAYING, "rule %s would act, but the real answer is signed", d->rule);
    else
        snprintf(out, SAYING, "%s, %s", why,
                 d->outcome == OUTCOME_FAILED ? "and the real DNS gives no answer"
                                              : "the real answer is delivered");
    return out;
}

/* The shortest command that would fill this name for this client; NULL when none would. The bare
 * name of nslookup needs no host: no client asks for it. */
static const char *find_hint(const struct policy_ask *ask, const struct policy_decision *d,
                             const struct policy_trial *trials, size_t n, char out[HINT])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const bool is_failed = d->outcome == OUTCOME_FAILED;
    const struct policy_trial *near = NULL;
    struct suffix suffix = {.below = false};
    char text[SUFFIX_TEXT];
    const char *quote;

    /* The rule that needs one more suffix, or word, to fill this name. One that fills a parent only,
     * or only what is below the name, needs a suffix; never one of one label: that is more than was
     * asked for. A rule for what is missing may be meant for what failed, too. */
    for (const struct policy_trial *t = trials; t < trials + n && near == NULL; t++)
        if (t->fills && t->class == (is_failed ? TRIAL_ABLE : TRIAL_NEAR) &&
            (is_failed || t->best.nearness >= 2))
            near = t;
    if (d->reason != REASON_NO_RULE || ask->limit != MODE_LIVE || ask->qname->labels == 2 ||
        (!is_failed && d->outcome != OUTCOME_MISSING) || (is_failed && near == NULL))
        return NULL;
    name_parent(ask->qname, 2, &suffix.name);
    if (near && near->best.nearness < suffix.name.labels) {
        suffix.below = true;
        name_parent(ask->qname, ask->qname->labels - near->best.nearness, &suffix.name);
    }
    (void)suffix_print(&suffix, text);
    quote = text[strspn(text, plain)] == '\0' ? "" : "'";
    if (is_failed)
        snprintf(out, HINT, "waymarkctl policy rule set %s --when missing,failed", near->rule);
    else if (near)
        snprintf(out, HINT, "waymarkctl policy rule add %s %s%s%s", near->rule, quote, text, quote);
    else if (d->would.outcome == OUTCOME_FILLED)
        snprintf(out, HINT, "waymarkctl policy rule set %s --mode live", d->would.rule);
    else
        snprintf(out, HINT, "waymarkctl policy fill %s%s%s --pool POOL", quote, text, quote);
    return out;
}

static void ask_at_deadline(struct explain *e, const struct view *v, struct now now)
{
    struct real nothing = real_of_failure(RCODE_TIMEOUT, NULL, 0);
    char text[SAYING];

    e->at_deadline = 0;
    nothing.pending = true;
    if (!e->q.kms || v->settings->kms.mode == MODE_OFF ||
        answer_query(v, &e->q, &nothing, now) != ANSWER_SEND)
        return;
    e->at_deadline = (enum kms_outcome)e->q.event.outcome;
    str_copy(e->rule_at_deadline, sizeof e->rule_at_deadline, e->q.event.rule);
    decision_text(&v->scratch->decision, view_policy(v), text);
    snprintf(e->text_at_deadline, sizeof e->text_at_deadline,
             "%sa client that asks first is answered at %u ms%s: %s",
             e->q.route->n_servers > 1 ? "unless another server is faster, " : "",
             (unsigned)v->settings->kms.upstream_deadline_ms,
             e->q.real.stale ? ", after an expired entry" : "", text);
}

static json_t *explain_kms(struct explain *e, const struct view *v, const struct real *came,
                           struct now now)
{
    const struct policy_decision *d = &v->scratch->decision;
    const struct health_choice *c = &v->scratch->choice;
    const struct policy_ask ask = kms_ask(v, &e->q, now);
    struct policy_trial trials[MAX_RULES];
    char text[SAYING], hint[HINT], name[NAME_TEXT], pinned[NAME_TEXT];
    bool is_pool = d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED;
    json_t *late = NULL, *rules = json_array(), *hosts = json_array(), *why;
    size_t n = view_policy(v) ? policy_explain(v->policy, &ask, d, trials, MAX_RULES) : 0;

    if (came && came->said.rtt_ms >= v->settings->kms.upstream_deadline_ms && e->at_deadline != 0)
        late = json_pack("{s:s,s:s?,s:o}", "outcome", outcome_names[e->at_deadline], "rule",
                         or_null(e->rule_at_deadline), "text",
                         json_sprintf("%u ms is behind kms.upstream-deadline; %s",
                                      (unsigned)came->said.rtt_ms, e->text_at_deadline));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(rules, json_pack("{s:s,s:b,s:s}", "rule", trials[i].rule, "acts",
                                               trials[i].acts, "why", trials[i].why));
    /* Those of the pool that are left out of the answer, or are down and given all the same. */
    for (int i = 0; is_pool && i < d->n_hosts; i++) {
        const struct health_target *t = c->targets[i];
        const bool given = c->given >> i & 1, is_down = c->down >> i & 1;

        if (given && !is_down)
            continue;
        why = is_down
                  ? json_sprintf("down, %s%s", health_errors[t->error],
                                 given ? "; given all the same, since all are down" : "")
                  : json_sprintf("the pool gives %s alone until %d clients have it",
                                 name_print(&d->hosts[c->pinned].target, pinned), (int)d->pinned);
        json_array_append_new(hosts,
                              json_pack("{s:o,s:o,s:o?}", "host",
                                        json_sprintf("%s:%u", name_print(&d->hosts[i].target, name),
                                                     (unsigned)d->hosts[i].port),
                                        "why", why, "since",
                                        is_down ? json_integer((json_int_t)t->since_ms) : NULL));
    }
    return json_pack("{s:o?,s:o,s:{s:s,s:s,s:s?,s:s},s:o,s:o?,s:s?}", "real",
                     show_real(&e->q, e->q.event.verdict), "rules", rules, "decision", "outcome",
                     outcome_names[d->outcome], "reason", reason_names[d->reason], "rule",
                     or_null(d->rule), "text", decision_text(d, view_policy(v), text), "hosts",
                     hosts, "late", late, "hint", find_hint(&ask, d, trials, n, hint));
}

/* A question that is not decided by policy. */
static json_t *explain_other(const struct explain *e, const struct view *v, bool is_read)
{
    const struct policy_decision *d = &v->scratch->decision;
    const struct real *r = &e->q.real;
    const bool may_ask = e->access == ACCESS_ALLOW, is_host = e->stats.kms_hosts > 0;
    const char *text = "this is no discovery question; the real answer is delivered";

    if (!may_ask)
        text = e->access == ACCESS_DROP ? "access drops what this client asks"
                                        : "access refuses this client";
    else if (!is_read)
        text = "questions of this type are refused";
    else if (e->q.passthrough)
        text = "the question goes whole to one server, and the reply comes back whole";
    else if (e->stats.special > 0)
        text = "a special name, answered here (RFC 6761, 6303)";
    else if (e->stats.kms_coherent > 0)
        text = "SRV is filled at this name, so NXDOMAIN becomes NODATA for other types";
    else if (r->image == NULL)
        text = "this is no discovery question; the real DNS gives no answer";
    return json_pack(
        "{s:o?,s:[],s:{s:s?,s:s?,s:s?,s:o},s:n,s:n}", "real",
        show_real(&e->q, r->local ? VERDICT_NONE : r->said.verdict), "rules", "decision", "outcome",
        may_ask ? NULL : outcome_names[OUTCOME_BLOCKED], "reason",
        may_ask ? NULL : reason_names[REASON_ACCESS], "rule", is_host ? d->rule : NULL, "text",
        is_host ? json_sprintf("no address in the real DNS; pool %s gives the host's, by rule %s",
                               d->pool, d->rule)
                : json_string(text),
        "late", "hint");
}

static json_t *show_client(struct explain *e, const struct view *v, struct now now)
{
    const uint32_t rate = v->settings->limits.client_rate;
    const struct policy_client *c = &e->q.networks;
    char address[ADDR_TEXT], prefix[PREFIX_TEXT];
    const struct access_rule *rule;
    json_t *networks = json_array();

    (void)query_find_networks(v, &e->q);
    for (int i = 0; i < c->n_networks; i++)
        json_array_append_new(networks, json_pack("{s:s,s:s}", "name", c->networks[i], "prefix",
                                                  prefix_print(&c->prefixes[i], prefix)));
    e->access = settings_access(v->settings, &e->client, &rule);
    return json_pack(
        "{s:s,s:o,s:{s:s,s:s?},s:b}", "address", addr_print(&e->client, address), "networks",
        networks, "access", "action", access_actions[e->access], "by",
        rule ? prefix_print(&rule->net, prefix) : NULL, "over_rate",
        rate > 0 && v->ratelimit && !settings_is_exempt(v->settings, &e->client) &&
            ratelimit_is_over(v->ratelimit, &e->client, RATE_QUESTIONS, rate, now.mono_ms));
}

/* Serial and digest of the policy; 0 and "": it cannot be read. Apart from its caller, which
 * store_guarded() may jump back into. */
static uint64_t read_state(const struct view *v, char digest[POLICY_DIGEST_TEXT])
{
    struct policy_counts counts;
    int rc = -ENOENT;

    digest[0] = '\0';
    if (view_policy(v))
        store_guarded(rc, v->policy->txn, policy_counts_read(v->policy->txn, &counts));
    if (rc != 0)
        return 0;
    policy_digest_print(counts.digest, digest);
    return counts.serial;
}

json_t *explain_run(struct explain *e, const struct view *view, const struct real *came,
                    struct now now)
{
    struct view quiet = *view;
    const struct view *v = &quiet;
    struct query *q = &e->q;
    const struct query_build build = {.qname = &e->qname,
                                      .qtype = e->qtype,
                                      .qclass = CLASS_IN,
                                      .edns = e->dnssec,
                                      .do_bit = e->dnssec};
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    struct real supposed = {.said.verdict = (uint8_t)e->supposed, .supposed = true};
    char name[NAME_TEXT], type[TYPE_TEXT], digest[POLICY_DIGEST_TEXT];
    json_t *out, *windows = NULL;
    uint64_t serial;
    bool is_read, is_kms, only_supposed;
    enum answer a;

    quiet.stats = &e->stats;
    quiet.trace = true;
    memset(q, 0, sizeof *q);
    memset(&e->stats, 0, sizeof e->stats);
    e->client.port = SOME_PORT;
    q->client.addr = q->client.peer = e->client;
    q->client.transport = AUDIT_TCP;
    q->wire = e->wire;
    q->wire_len = query_build(&build, e->wire, sizeof e->wire);
    q->out = e->out;
    q->out_size = sizeof e->out;
    a = answer_read(v, q, now);
    is_read = a == ANSWER_FORWARD;
    is_kms = is_read && q->kms;
    if (is_kms && e->supposed != VERDICT_NONE) { /* as if it had come, no records */
        image_begin(&w, &q->message,
                    e->supposed == VERDICT_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR);
        supposed.image = verdict_word(e->supposed) != WORD_FAILED ? w.start : NULL;
        supposed.len = w.len;
        came = &supposed;
    }
    if (is_read)
        a = answer_query(v, q, came, now);
    if (a == ANSWER_FORWARD && !q->passthrough) {
        ask_at_deadline(e, v, now);
        return NULL;
    }
    only_supposed = is_kms && q->real.supposed && q->event.outcome == OUTCOME_PASSED;
    if (only_supposed)
        strcpy(q->event.answer, "supposed");
    if (q->has_event && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY))
        windows = audit_windows_json(a == ANSWER_DROP ? windows_code(RCODE_TIMEOUT)
                                                      : audit_client_error(&q->event),
                                     q->event.outcome);
    serial = read_state(v, digest);
    out =
        json_pack("{s:o,s:{s:s,s:s},s:o,s:o?,s:{s:I,s:s?}}", "client", show_client(e, v, now),
                  "question", "name", name_print(&e->qname, name), "type",
                  type_print(e->qtype, type), "answer", show_answer(e, a, only_supposed), "windows",
                  windows, "policy", "serial", (json_int_t)serial, "digest", or_null(digest));
    json_object_update_new(out,
                           is_kms ? explain_kms(e, v, came, now) : explain_other(e, v, is_read));
    return out;
}
