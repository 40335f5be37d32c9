/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.c -- a question put aside, and taken up again.
 */
#include "resolver/query.h"

#include <string.h>

void waiter_save(struct waiter *w, const struct query *q)
{
    const struct message *m = &q->message;

    w->client = q->client;
    w->arrived_ms = q->arrived_ms;
    w->arrived_us = q->arrived_us;
    w->deadline_ms = 0;
    w->id = m->id;
    w->flags = m->flags;
    w->qtype = m->qtype;
    w->qclass = m->qclass;
    w->question_len = m->question_len;
    w->edns = m->edns;
    w->kms = q->kms;
    w->kms_name = q->kms_name;
    memcpy(w->question, q->question, m->question_len);
}

void waiter_restore(const struct waiter *w, struct query *q)
{
    struct message *m = &q->message;
    struct cursor c = cursor_make(w->question, w->question_len);

    memset(m, 0, sizeof *m);
    m->id = w->id;
    m->flags = w->flags;
    m->counts[0] = 1;
    m->counts[3] = w->edns.present;
    m->qtype = w->qtype;
    m->qclass = w->qclass;
    m->question_len = w->question_len;
    m->edns = w->edns;
    name_read(&c, &m->qname);
    name_fold(&m->qname);
    q->client = w->client;
    q->arrived_ms = w->arrived_ms;
    q->arrived_us = w->arrived_us;
    q->kms = w->kms;
    q->kms_name = w->kms_name;
    q->whole = false;
    q->has_event = false;
    q->wire = NULL;
    q->wire_len = 0;
    q->out_len = 0;
    memcpy(q->question, w->question, w->question_len);
}
