/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json.c -- an audit event in the words of the Elastic Common Schema.
 *
 * jansson ignores NULL values that are set "new" and reports it; a missing
 * field is all that lack of memory does here.
 */
#include "audit/json.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"
#include "wire/types.h"

static void set(json_t *o, const char *key, json_t *value)
{
    (void)json_object_set_new(o, key, value);
}

json_t *audit_json_text(const char *text)
{
    json_t *v = json_string(text); /* NULL: not UTF-8 */
    char buf[1024];
    struct str s;

    if (v != NULL)
        return v;
    str_init(&s, buf, sizeof buf);
    str_add_escaped(&s, text, strlen(text));
    return json_string(buf);
}

static json_t *name_json(const struct name *name)
{
    char text[NAME_TEXT];

    return json_string(name_print(name, text));
}

static json_t *address_json(const struct addr *a)
{
    char text[ADDR_TEXT];

    return json_string(addr_print(a, text));
}

const char *audit_host_print(const struct audit_host *h, char out[AUDIT_HOST_TEXT])
{
    char name[NAME_TEXT];

    snprintf(out, AUDIT_HOST_TEXT, "%s:%u", name_print(&h->target, name), h->port);
    return out;
}

static json_t *hosts_json(const struct audit_host *hosts, uint8_t n)
{
    json_t *list = json_array();
    char text[AUDIT_HOST_TEXT];

    for (uint8_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(audit_host_print(&hosts[i], text)));
    return list;
}

static json_t *time_json(uint64_t wall_ms)
{
    char text[NUMBER_TEXT];

    return json_string(time_print_utc(wall_ms, text));
}

static const char *word(const char *const *names, unsigned n, uint8_t value)
{
    return value < n ? names[value] : "?";
}

static json_t *flags_json(uint16_t flags, bool edns_do)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } rows[] = {
        {DNS_RD, "RD"},
        {DNS_CD, "CD"},
        {DNS_AD, "AD"},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((flags & rows[i].bit) != 0)
            json_array_append_new(list, json_string(rows[i].name));
    if (edns_do)
        json_array_append_new(list, json_string("DO"));
    return list;
}

static json_t *dns_json(const struct audit_event *e)
{
    json_t *dns = json_object(), *question = json_object(), *answers = json_array();
    char text[TYPE_TEXT], host[AUDIT_HOST_TEXT];

    snprintf(host, sizeof host, "%u", e->id);
    set(dns, "id", json_string(host));
    set(dns, "type", json_string("answer"));
    set(question, "name", name_json(&e->qname));
    set(question, "type", json_string(type_print(e->qtype, text)));
    set(dns, "question", question);
    set(dns, "header_flags", flags_json(e->flags, e->edns_do));
    set(dns, "response_code", json_string(rcode_print(e->rcode, text)));
    for (uint8_t i = 0; i < e->n_answer; i++) {
        json_t *answer = json_object();

        set(answer, "type", json_string("SRV"));
        set(answer, "data", json_string(audit_host_print(&e->answer[i], host)));
        json_array_append_new(answers, answer);
    }
    set(dns, "answers", answers);
    return dns;
}

static json_t *verdict_json(const struct audit_event *e)
{
    json_t *v = json_object();
    char text[TYPE_TEXT], address[ADDR_TEXT];

    set(v, "name", json_string(word(audit_verdict_names, AUDIT_VERDICTS, e->verdict)));
    if (!addr_is_any(&e->server))
        set(v, "server", json_string(addr_print_port(&e->server, address)));
    set(v, "response_code", json_string(rcode_print(e->real_rcode, text)));
    set(v, "ms", json_integer(e->real_ms));
    set(v, "hosts", hosts_json(e->real, e->n_real));
    set(v, "unapproved", hosts_json(e->unapproved, e->n_unapproved));
    return v;
}

static json_t *question_json(const struct audit_event *e)
{
    json_t *w = json_object(), *networks = json_array();
    uint32_t code = audit_client_error(e);
    struct name suffix;
    char text[16];

    audit_event_suffix(e, &suffix);
    set(w, "suffix", name_json(&suffix));
    set(w, "outcome", json_string(word(audit_outcome_names, AUDIT_OUTCOMES, e->outcome)));
    set(w, "reason", json_string(word(audit_reason_names, AUDIT_REASONS, e->reason)));
    set(w, "repeat", json_boolean(e->repeat));
    set(w, "cached", json_boolean(e->cached));
    set(w, "policy_serial", json_integer((json_int_t)e->policy_serial));
    for (uint8_t i = 0; i < e->n_networks; i++)
        json_array_append_new(networks, audit_json_text(e->networks[i]));
    set(w, "networks", networks);
    if (e->verdict != AUDIT_V_NONE)
        set(w, "verdict", verdict_json(e));
    if (e->would != 0) {
        json_t *would = json_object();

        set(would, "outcome", json_string(word(audit_outcome_names, AUDIT_OUTCOMES, e->would)));
        set(would, "rule", audit_json_text(e->would_rule));
        set(w, "would", would);
    }
    if (code != 0) {
        snprintf(text, sizeof text, "0x%08X", code);
        set(w, "client_error", json_string(text));
    }
    return w;
}

static json_t *control_json(const struct audit_event *e)
{
    json_t *w = json_object();

    set(w, "text", audit_json_text(e->text));
    if (e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE) {
        set(w, "count", json_integer((json_int_t)e->lost));
        if (e->lost_from_ms > 0)
            set(w, e->kind == AUDIT_GAP ? "from" : "until", time_json(e->lost_from_ms));
    }
    return w;
}

static json_t *event_json(const struct audit_event *e)
{
    json_t *o = json_object(), *list = json_array();
    char action[32];
    bool question = e->kind == AUDIT_EVENT;

    snprintf(action, sizeof action, "%s%s", question ? "kms-discovery" : "audit-",
             question ? "" : word(audit_kind_names, AUDIT_KINDS, e->kind));
    set(o, "kind", json_string("event"));
    json_array_append_new(list, json_string(question ? "network" : "configuration"));
    set(o, "category", list);
    list = json_array();
    json_array_append_new(list, json_string(question ? "protocol" : "info"));
    set(o, "type", list);
    set(o, "dataset", json_string("waymark.audit"));
    set(o, "action", json_string(action));
    set(o, "sequence", json_integer((json_int_t)e->sequence));
    if (question) {
        set(o, "outcome", json_string(e->n_answer > 0 ? "success" : "failure"));
        set(o, "duration", json_integer((json_int_t)e->latency_us * 1000)); /* nanoseconds */
    }
    return o;
}

static void set_question(json_t *o, const struct audit_event *e)
{
    json_t *client = json_object(), *network = json_object(), *rule;

    set(client, "ip", address_json(&e->client));
    set(client, "port", json_integer(e->client.port));
    set(o, "client", client);
    set(network, "transport", json_string(e->transport == AUDIT_TCP ? "tcp" : "udp"));
    set(network, "protocol", json_string("dns"));
    set(o, "network", network);
    set(o, "dns", dns_json(e));
    if (e->rule[0] != '\0') {
        rule = json_object();
        set(rule, "name", audit_json_text(e->rule));
        set(o, "rule", rule);
    }
    set(o, "waymark", question_json(e));
}

json_t *audit_event_json(const struct audit_event *e, const char *host)
{
    json_t *o = json_object(), *observer = json_object(), *ecs = json_object();

    set(o, "@timestamp", time_json(e->wall_ms));
    set(ecs, "version", json_string("8.11.0"));
    set(o, "ecs", ecs);
    set(observer, "name", audit_json_text(host));
    set(observer, "product", json_string("Waymark"));
    set(observer, "type", json_string("dns-forwarder"));
    set(o, "observer", observer);
    set(o, "event", event_json(e));
    if (e->kind == AUDIT_EVENT)
        set_question(o, e);
    else
        set(o, "waymark", control_json(e));
    return o;
}
