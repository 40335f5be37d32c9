/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes_explain.c -- /v1/explain: resolver/explain.h as JSON.
 *
 * name, type (SRV), client (127.0.0.1), verdict (none: ask) and dnssec (no) come as
 * query arguments or in the body. When the real DNS must be asked, the request waits
 * for the main thread's own forwarder.
 */
#include "resolver/routes.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "resolver/explain.h"
#include "wire/present.h"

struct waiting {
    struct daemon *daemon;
    struct control_request *request;
    struct explain explain;
};

/* What is "" is null. */
static const char *word(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static json_t *client_json(const struct explain *e)
{
    static const char *const actions[] = {
        [ACCESS_ALLOW] = "allow", [ACCESS_REFUSE] = "refuse", [ACCESS_DROP] = "drop"};
    const struct policy_client *c = &e->q.networks;
    char address[ADDR_TEXT], prefix[PREFIX_TEXT];
    json_t *networks = json_array();

    for (int i = 0; i < c->n_networks; i++)
        json_array_append_new(networks, json_pack("{s:s,s:s}", "name", c->networks[i], "prefix",
                                                  prefix_print(&c->prefixes[i], prefix)));
    return json_pack("{s:s,s:o,s:{s:s,s:s?}}", "address", addr_print(&e->client, address),
                     "networks", networks, "access", "action", actions[e->access], "by",
                     e->access_rule != NULL ? prefix_print(&e->access_rule->net, prefix) : NULL);
}

static json_t *real_json(const struct explain *e)
{
    const struct real *r = &e->q.real;

    if (e->verdict == VERDICT_NONE)
        return NULL;
    if (r->supposed)
        return json_pack("{s:s,s:n,s:n,s:n,s:b,s:n}", "verdict", verdict_names[e->verdict],
                         "server", "route", "ms", "cached", 0, "ttl_s");
    return json_pack("{s:s,s:s?,s:s?,s:I,s:b,s:I}", "verdict", verdict_names[e->verdict], "server",
                     word(e->server), "route", word(e->route), "ms", (json_int_t)r->ms, "cached",
                     r->cached, "ttl_s", (json_int_t)r->ttl_s);
}

static json_t *decision_json(const struct explain *e)
{
    return json_pack("{s:s?,s:s?,s:s?,s:s}", "outcome",
                     e->outcome != 0 ? outcome_names[e->outcome] : NULL, "reason",
                     e->reason != 0 ? reason_names[e->reason] : NULL, "rule", word(e->rule), "text",
                     e->text);
}

static json_t *policy_json(struct daemon *d)
{
    struct policy_counts c = {0};
    char digest[16];

    if (d->shared.policy == NULL || policy_store_counts(d->shared.policy, &c) != 0)
        return json_pack("{s:i,s:n}", "serial", 0, "digest");
    snprintf(digest, sizeof digest, "%08x", (unsigned)(c.digest >> 32));
    return json_pack("{s:I,s:s}", "serial", (json_int_t)c.serial, "digest", digest);
}

static void answer_explained(struct waiting *w)
{
    const struct explain *e = &w->explain;
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], code[16];
    json_t *rules = json_array(), *records = json_array(), *late = NULL, *windows = NULL;

    for (int i = 0; i < e->n_trials; i++)
        json_array_append_new(rules, json_pack("{s:s,s:b,s:s}", "rule", e->trials[i].rule, "acts",
                                               e->trials[i].acts, "why", e->trials[i].why));
    for (int i = 0; i < e->n_records; i++)
        json_array_append_new(records, json_string(e->records[i]));
    if (e->late[0] != '\0')
        late = json_pack("{s:s,s:s?,s:s}", "outcome", outcome_names[e->at_deadline], "rule",
                         word(e->rule_at_deadline), "text", e->late);
    snprintf(code, sizeof code, "0x%08X", (unsigned)e->windows);
    if (e->windows != 0)
        windows = json_pack("{s:s,s:s}", "code", code, "text", e->windows_text);
    control_answer(w->request, 200,
                   json_pack("{s:o,s:{s:s,s:s},s:o?,s:o,s:o,s:o?,s:{s:s?,s:o?,s:o},s:o?,s:s?,s:o}",
                             "client", client_json(e),                                 /**/
                             "question", "name", name_print(&e->qname, name),          /**/
                             "type", type_print(e->qtype, type),                       /**/
                             "real", real_json(e),                                     /**/
                             "rules", rules,                                           /**/
                             "decision", decision_json(e),                             /**/
                             "late", late,                                             /**/
                             "answer",                                                 /**/
                             "rcode", e->silent ? NULL : rcode_print(e->rcode, rcode), /**/
                             "ttl_s", e->has_ttl ? json_integer(e->ttl_s) : NULL,      /**/
                             "records", records,                                       /**/
                             "windows", windows,                                       /**/
                             "hint", word(e->hint),                                    /**/
                             "policy", policy_json(w->daemon)));
}

/* The settings may have changed while it waited: all is found anew. */
static void on_reply(void *context, const struct real *came)
{
    struct waiting *w = context;
    const struct view *v = w->daemon->own->listen.view;

    if (explain_run(&w->explain, v, came, clock_now()))
        answer_explained(w);
    else
        control_refuse(w->request, 503,
                       "the real DNS was not asked: the daemon is busy or stops; try again");
    view_policy_end(v);
    free(w);
}

static const char *parameter(const struct control_request *r, const char *name)
{
    const char *text = control_argument(r, name);

    if (text == NULL)
        text = json_string_value(json_object_get(control_body(r), name));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* 0; else the request is answered. */
static int read_question(struct control_request *r, struct explain *e)
{
    const char *name = parameter(r, "name"), *type = parameter(r, "type"),
               *client = parameter(r, "client"), *verdict = parameter(r, "verdict"),
               *dnssec = parameter(r, "dnssec");
    int supposed = verdict != NULL ? str_index(verdict_names, verdict) : VERDICT_NONE;

    e->dnssec = dnssec != NULL && strcmp(dnssec, "yes") == 0;
    e->supposed = (enum kms_verdict)supposed;
    if (name == NULL)
        control_refuse(r, 400, "name is missing: which question is to be explained?");
    else if (name_parse(&e->qname, name) != 0)
        control_refuse(r, 400, "not a domain name: %s", name);
    else if (type_parse(&e->qtype, type != NULL ? type : "SRV") != 0)
        control_refuse(r, 400, "not a record type: %s", type);
    else if (addr_parse(&e->client, client != NULL ? client : "127.0.0.1", 0) != 0)
        control_refuse(r, 400, "not an IP address: %s", client);
    else if (verdict != NULL && supposed <= VERDICT_NONE)
        control_refuse(
            r, 400,
            "not a verdict: %s; one of nxdomain, nodata, present, unapproved, servfail, refused, "
            "timeout, other",
            verdict);
    else if (verdict != NULL &&
             (!name_is_vlmcs(&e->qname) || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY)))
        control_refuse(r, 400, "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    else if (dnssec != NULL && !e->dnssec && strcmp(dnssec, "no") != 0)
        control_refuse(r, 400, "dnssec is yes or no: %s", dnssec);
    else
        return 0;
    return -EINVAL;
}

void routes_explain(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct view *v = d->own->listen.view;
    struct waiting *w = malloc(sizeof *w);

    if (w == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    w->daemon = d;
    w->request = r;
    if (read_question(r, &w->explain) != 0) {
        free(w);
        return;
    }
    if (explain_run(&w->explain, v, NULL, clock_now())) {
        answer_explained(w);
        free(w);
    } else if (forwarder_resolve(d->own->listen.forwarder, v, &w->explain.q, on_reply, w) != 0) {
        control_refuse(r, 503, "too many questions are waiting for the real DNS; try again");
        free(w);
    }
    view_policy_end(v);
}
