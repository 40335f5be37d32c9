/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_event.c -- see kms_event.h.
 *
 * struct audit_event is large and lives in the query slot; only what is used
 * is set, and every count of an array with it.
 */
#include "resolver/kms_event.h"

#include <string.h>

#include "base/str.h"

/* The name as the client wrote it, from its question octets. */
static void name_as_asked(const struct query *q, struct name *out)
{
    struct cursor c = cursor_make(q->question, q->message.question_len);

    name_read(&c, out);
}

static struct audit_event *begin(struct query *q, struct now now)
{
    struct audit_event *e = &q->event;
    uint64_t now_us = now.mono_ms * 1000;

    e->kind = AUDIT_EVENT;
    e->wall_ms = now.wall_ms;
    e->mono_ms = now.mono_ms;
    e->sequence = 0;
    e->client = q->client.addr;
    e->transport = q->client.transport;
    name_as_asked(q, &e->qname);
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
    e->outcome = e->reason = e->would = 0;
    e->rcode = RCODE_REFUSED;
    e->rule[0] = e->would_rule[0] = e->text[0] = '\0';
    e->policy_serial = 0;
    e->latency_us = now_us > q->arrived_us ? (uint32_t)(now_us - q->arrived_us) : 0;
    e->lost = e->lost_from_ms = 0;
    q->has_event = true;
    return e;
}

static void add_networks(const struct view *v, struct audit_event *e)
{
    const struct policy_client *c = &v->scratch->client;

    for (int i = 0; i < c->n_networks && i < AUDIT_EVENT_NETWORKS; i++)
        str_copy(e->networks[e->n_networks++], AUDIT_TEXT, c->networks[i]);
}

static void find_networks(const struct view *v, const struct query *q, struct audit_event *e)
{
    if (kms_find_client(v, &q->client.addr))
        add_networks(v, e);
}

static void add_host(struct audit_host *list, uint8_t *n, const struct name *target, uint16_t port)
{
    if (*n == AUDIT_HOSTS)
        return;
    list[*n].target = *target;
    list[*n].port = port;
    (*n)++;
}

static void add_hosts(const struct view *v, const struct kms_real *r,
                      const struct policy_decision *d, struct audit_event *e)
{
    const struct srv *srv = v->scratch->srv;

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

void kms_event(const struct view *v, struct query *q, const struct kms_real *r,
               const struct policy_decision *d, uint16_t rcode, struct now now)
{
    struct audit_event *e = begin(q, now);

    e->cached = r->cached;
    e->verdict = (uint8_t)d->verdict;
    e->server = r->server;
    e->real_rcode = r->rcode;
    e->real_ms = r->ms;
    e->outcome = (uint8_t)d->outcome;
    e->reason = (uint8_t)d->reason;
    e->rcode = rcode;
    e->policy_serial = d->serial;
    str_copy(e->rule, sizeof e->rule, d->rule);
    e->would = (uint8_t)d->would.outcome;
    str_copy(e->would_rule, sizeof e->would_rule, d->would.rule);
    add_networks(v, e);
    add_hosts(v, r, d, e);
}

void kms_event_blocked(const struct view *v, struct query *q, bool dropped, struct now now)
{
    struct audit_event *e = begin(q, now);

    e->outcome = OUTCOME_BLOCKED;
    e->reason = REASON_ACCESS;
    str_copy(e->text, sizeof e->text, dropped ? "dropped" : "refused");
    find_networks(v, q, e);
}

void kms_event_unanswered(const struct view *v, struct query *q, struct now now)
{
    struct audit_event *e = begin(q, now);

    e->outcome = OUTCOME_FAILED;
    e->reason = REASON_NO_RULE;
    e->rcode = RCODE_TIMEOUT;
    str_copy(e->text, sizeof e->text, "not answered: too many wait for this name");
    find_networks(v, q, e);
}

void kms_event_update(const struct view *v, struct query *q, const struct name *owner,
                      struct now now)
{
    struct audit_event *e = begin(q, now);

    e->outcome = OUTCOME_UPDATE;
    e->reason = REASON_UPDATE;
    e->qname = *owner;
    e->qtype = TYPE_SRV;
    find_networks(v, q, e);
}

void kms_event_soa(const struct view *v, struct query *q, enum kms_outcome outcome, uint16_t rcode,
                   const struct addr *server, struct now now)
{
    struct audit_event *e;
    bool host = false;

    if (view_policy(v) && policy_is_host_address(v->policy, &q->client.addr, &host) == 0 && host)
        return;
    e = begin(q, now);
    e->outcome = (uint8_t)outcome;
    e->reason = REASON_NO_RULE;
    e->rcode = rcode;
    e->server = *server;
    find_networks(v, q, e);
}

/* Only the header is read: the rest is signed, and none of our business. */
void kms_event_whole(const struct view *v, struct query *q, const uint8_t *reply, size_t len,
                     const struct addr *server, struct now now)
{
    struct cursor c = cursor_make(reply, reply != NULL ? len : 0);
    uint16_t rcode, answers;
    struct audit_event *e;

    if (!name_is_vlmcs(&q->message.qname) || q->message.qclass != CLASS_IN ||
        (q->message.qtype != TYPE_SRV && q->message.qtype != TYPE_ANY))
        return;
    cursor_u16(&c);
    rcode = cursor_u16(&c) & 15;
    cursor_u16(&c);
    answers = cursor_u16(&c);
    e = begin(q, now);
    e->reason = REASON_NO_RULE;
    e->server = *server;
    e->rcode = e->real_rcode = c.bad ? RCODE_SERVFAIL : rcode;
    if (c.bad) {
        e->outcome = OUTCOME_FAILED;
        e->verdict = VERDICT_TIMEOUT;
    } else if (rcode == RCODE_NOERROR || rcode == RCODE_NXDOMAIN) {
        e->outcome = answers > 0 ? OUTCOME_PASSED : OUTCOME_MISSING;
        e->verdict = answers > 0               ? VERDICT_PRESENT
                     : rcode == RCODE_NXDOMAIN ? VERDICT_NXDOMAIN
                                               : VERDICT_NODATA;
    } else {
        e->outcome = OUTCOME_FAILED;
        e->verdict = rcode == RCODE_SERVFAIL  ? VERDICT_SERVFAIL
                     : rcode == RCODE_REFUSED ? VERDICT_REFUSED
                                              : VERDICT_OTHER;
    }
    find_networks(v, q, e);
}
