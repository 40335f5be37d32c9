/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_event.c -- a question and what became of it as an audit event.
 *
 * struct audit_event is large and lives in the query slot; only what is used
 * is set, and every count of an array with it.
 */
#include "resolver/kms_event.h"

#include <string.h>

#include "base/str.h"
#include "resolver/real.h"

void kms_event_note(const struct view *v, struct query *q, enum kms_outcome outcome,
                    enum kms_reason reason, uint16_t rcode, const char *text, struct now now)
{
    struct cursor as_asked = cursor_make(q->question, q->message.question_len);
    uint64_t now_us = now.mono_ms * 1000;
    struct audit_event *e = &q->event;

    e->kind = AUDIT_EVENT;
    e->wall_ms = now.wall_ms;
    e->mono_ms = now.mono_ms;
    e->client = q->client.addr;
    e->transport = q->client.transport;
    name_read(&as_asked, &e->qname); /* with the client's case */
    e->qtype = q->message.qtype;
    e->id = q->message.id;
    e->flags = q->message.flags;
    e->edns_do = q->message.edns.do_bit;
    e->repeat = e->cached = false;
    e->verdict = VERDICT_NONE;
    memset(&e->server, 0, sizeof e->server);
    e->real_rcode = 0;
    e->real_ms = 0;
    e->n_real = e->n_answer = e->n_unapproved = e->n_networks = 0;
    e->outcome = (uint8_t)outcome;
    e->reason = (uint8_t)reason;
    e->would = 0;
    e->rcode = rcode;
    e->rule[0] = e->would_rule[0] = '\0';
    str_copy(e->text, sizeof e->text, text);
    e->policy_serial = 0;
    e->latency_us = now_us > q->arrived_us ? (uint32_t)(now_us - q->arrived_us) : 0;
    e->lost = e->lost_from_ms = 0;
    if (query_find_networks(v, q))
        for (int i = 0; i < q->networks.n_networks && i < AUDIT_EVENT_NETWORKS; i++)
            str_copy(e->networks[e->n_networks++], AUDIT_TEXT, q->networks.networks[i]);
    q->has_event = true;
}

static void add_host(struct audit_host *list, uint8_t *n, const struct name *target, uint16_t port)
{
    if (*n == AUDIT_HOSTS)
        return;
    list[*n].target = *target;
    list[*n].port = port;
    (*n)++;
}

void kms_event_decided(const struct view *v, struct query *q, const struct policy_decision *d,
                       uint16_t rcode, struct now now)
{
    const struct srv *srv = v->scratch->srv;
    const struct real *r = &q->real;
    struct audit_event *e = &q->event;

    kms_event_note(v, q, d->outcome, d->reason, rcode, "", now);
    e->cached = r->cached;
    e->verdict = (uint8_t)d->verdict;
    e->server = r->server;
    e->real_rcode = r->rcode;
    e->real_ms = r->ms;
    e->policy_serial = d->serial;
    str_copy(e->rule, sizeof e->rule, d->rule);
    e->would = (uint8_t)d->would.outcome;
    str_copy(e->would_rule, sizeof e->would_rule, d->would.rule);
    for (int i = 0; i < r->n_srv && i < SRV_MAX; i++) {
        add_host(e->real, &e->n_real, &srv[i].target, srv[i].port);
        if (d->unapproved[i])
            add_host(e->unapproved, &e->n_unapproved, &srv[i].target, srv[i].port);
        if (d->outcome == OUTCOME_PASSED || (d->outcome == OUTCOME_FILTERED && !d->unapproved[i]))
            add_host(e->answer, &e->n_answer, &srv[i].target, srv[i].port);
    }
    if (d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED)
        for (int i = 0; i < d->n_hosts; i++)
            add_host(e->answer, &e->n_answer, &d->hosts[i].target, d->hosts[i].port);
}

void kms_event_soa(const struct view *v, struct query *q, uint16_t rcode, struct now now)
{
    const struct real *r = &q->real;
    bool host = false;

    if (view_policy(v) && policy_is_host_address(v->policy, &q->client.addr, &host) == 0 && host)
        return;
    kms_event_note(v, q,
                   r->image == NULL      ? OUTCOME_FAILED
                   : real_is_negative(r) ? OUTCOME_MISSING
                                         : OUTCOME_PASSED,
                   REASON_NO_RULE, rcode, "", now);
    if (r->image != NULL)
        q->event.server = r->server;
}

/* Only the header is read: the rest is signed, and none of our business. */
void kms_event_whole(const struct view *v, struct query *q, const uint8_t *reply, size_t len,
                     const struct addr *server, struct now now)
{
    struct cursor c = cursor_make(reply, reply != NULL ? len : 0);
    uint16_t rcode = dns_rcode(reply, reply != NULL ? len : 0), answers;
    enum kms_verdict verdict;

    if (!name_is_vlmcs(&q->message.qname) || q->message.qclass != CLASS_IN ||
        (q->message.qtype != TYPE_SRV && q->message.qtype != TYPE_ANY))
        return;
    (void)cursor_take(&c, 6);
    answers = cursor_u16(&c);
    if (c.bad)
        verdict = VERDICT_TIMEOUT;
    else if (answers > 0 && (rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN))
        verdict = VERDICT_PRESENT;
    else
        verdict = real_verdict(rcode);
    rcode = c.bad ? RCODE_SERVFAIL : rcode;
    kms_event_note(v, q, outcome_of_real(verdict), REASON_NO_RULE, rcode, "", now);
    q->event.verdict = (uint8_t)verdict;
    q->event.server = *server;
    q->event.real_rcode = rcode;
}
