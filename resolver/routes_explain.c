/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes_explain.c -- /v1/explain: resolver/explain.h as JSON.
 *
 * name, type (SRV), client (127.0.0.1) and verdict (none: ask) come as query
 * arguments or in the body. When the real DNS must be asked, the request waits
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

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *client_json(const struct explain *e)
{
    static const char *const actions[] = {
        [ACCESS_ALLOW] = "allow", [ACCESS_REFUSE] = "refuse", [ACCESS_DROP] = "drop"};
    char address[ADDR_TEXT], prefix[PREFIX_TEXT];
    json_t *networks = json_array();

    for (int i = 0; i < e->found.n_networks; i++)
        json_array_append_new(networks,
                              json_pack("{s:s,s:s}", "name", e->found.networks[i], "prefix",
                                        prefix_print(&e->found.prefixes[i], prefix)));
    return json_pack(
        "{s:s,s:o,s:{s:s,s:o}}", "address", addr_print(&e->client, address), "networks", networks,
        "access", "action", actions[e->access], "by",
        text_or_null(e->has_access_rule ? prefix_print(&e->access_rule, prefix) : NULL));
}

static json_t *real_json(const struct explain *e)
{
    if (!e->has_real)
        return json_null();
    if (e->supposed)
        return json_pack("{s:s,s:n,s:n,s:n,s:b,s:n}", "verdict", verdict_names[e->said], "server",
                         "route", "ms", "cached", 0, "ttl_s");
    return json_pack("{s:s,s:o,s:o,s:I,s:b,s:I}", "verdict", verdict_names[e->said], "server",
                     text_or_null(e->server), "route", text_or_null(e->route), "ms",
                     (json_int_t)e->ms, "cached", e->cached, "ttl_s", (json_int_t)e->real_ttl_s);
}

static json_t *rules_json(const struct explain *e)
{
    json_t *list = json_array();

    for (int i = 0; i < e->n_trials; i++)
        json_array_append_new(list, json_pack("{s:s,s:b,s:s}", "rule", e->trials[i].rule, "acts",
                                              e->trials[i].acts, "why", e->trials[i].why));
    return list;
}

static json_t *answer_json(const struct explain *e)
{
    char rcode[TYPE_TEXT];
    json_t *records = json_array();

    for (int i = 0; i < e->n_records; i++)
        json_array_append_new(records, json_string(e->records[i]));
    return json_pack("{s:o,s:o,s:o}", "rcode",
                     text_or_null(e->silent ? NULL : rcode_print(e->rcode, rcode)), "ttl_s",
                     e->has_ttl ? json_integer(e->ttl_s) : json_null(), "records", records);
}

static json_t *windows_json(const struct explain *e)
{
    char code[16];

    if (e->windows == 0)
        return json_null();
    snprintf(code, sizeof code, "0x%08X", (unsigned)e->windows);
    return json_pack("{s:s,s:s}", "code", code, "text", e->windows_text);
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

static json_t *late_json(const struct explain *e)
{
    if (e->late[0] == '\0')
        return json_null();
    return json_pack("{s:s,s:o,s:s}", "outcome", e->at_deadline, "rule",
                     text_or_null(e->rule_at_deadline), "text", e->late);
}

static void answer(struct waiting *w)
{
    const struct explain *e = &w->explain;
    char name[NAME_TEXT], type[TYPE_TEXT];
    json_t *o = json_object();

    json_object_set_new(o, "client", client_json(e));
    json_object_set_new(o, "question",
                        json_pack("{s:s,s:s}", "name", name_print(&e->qname, name), "type",
                                  type_print(e->qtype, type)));
    json_object_set_new(o, "real", real_json(e));
    json_object_set_new(o, "rules", rules_json(e));
    json_object_set_new(o, "decision",
                        json_pack("{s:o,s:o,s:o,s:s}", "outcome", text_or_null(e->outcome),
                                  "reason", text_or_null(e->reason), "rule", text_or_null(e->rule),
                                  "text", e->text));
    json_object_set_new(o, "late", late_json(e));
    json_object_set_new(o, "answer", answer_json(e));
    json_object_set_new(o, "windows", windows_json(e));
    json_object_set_new(o, "hint", text_or_null(e->hint));
    json_object_set_new(o, "policy", policy_json(w->daemon));
    control_answer(w->request, 200, o);
}

/* The settings may have changed while it waited: all is found anew. */
static void came(void *context, const struct got *got)
{
    struct waiting *w = context;
    const struct view *v = worker_view(w->daemon->own);

    if (explain_run(&w->explain, v, got, clock_now()))
        answer(w);
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
               *client = parameter(r, "client");
    const char *verdict = parameter(r, "verdict");
    int said = verdict != NULL ? str_index(verdict_names, verdict) : VERDICT_NONE;
    bool is_discovery;

    if (name == NULL)
        control_refuse(r, 400, "name is missing: which question is to be explained?");
    else if (name_parse(&e->qname, name) != 0)
        control_refuse(r, 400, "not a domain name: %s", name);
    else if (type_parse(&e->qtype, type != NULL ? type : "SRV") != 0)
        control_refuse(r, 400, "not a record type: %s", type);
    else if (addr_parse(&e->client, client != NULL ? client : "127.0.0.1", 0) != 0)
        control_refuse(r, 400, "not an IP address: %s", client);
    else if (verdict != NULL && said <= VERDICT_NONE)
        control_refuse(
            r, 400,
            "not a verdict: %s; one of nxdomain, nodata, present, unapproved, servfail, refused, "
            "timeout, other",
            verdict);
    else {
        is_discovery = name_is_vlmcs(&e->qname) && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY);
        e->verdict = (enum kms_verdict)said;
        if (verdict == NULL || is_discovery)
            return 0;
        control_refuse(r, 400, "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    }
    return -EINVAL;
}

void routes_explain(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct view *v = worker_view(d->own);
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
        answer(w);
        free(w);
    } else if (forwarder_resolve(worker_forwarder(d->own), v, &w->explain.q, came, w) != 0) {
        control_refuse(r, 503, "too many questions are waiting for the real DNS; try again");
        free(w);
    }
    view_policy_end(v);
}
