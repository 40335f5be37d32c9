/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.c -- what every question needs: its route, key and the networks of its client; keeping it
 * while it waits; and sending an image as this client asked for it.
 */
#include "resolver/query.h"

void waiter_save(struct waiter *w, const struct query *q)
{
    w->client = q->client;
    w->arrived_us = q->arrived_us;
    w->deadline_ms = WAITER_NEVER;
    memcpy(w->message, &q->message, sizeof w->message);
    memcpy(w->question, q->question, q->message.question_len);
}

void waiter_restore(const struct view *v, const struct waiter *w, struct query *q)
{
    struct message *m = &q->message;
    struct cursor c;

    memcpy(m, w->message, sizeof w->message);
    q->question = w->question;
    c = cursor_make(w->question, m->question_len);
    name_read(&c, &m->qname);
    name_fold(&m->qname);
    q->client = w->client;
    q->arrived_us = w->arrived_us;
    q->has_event = q->has_networks = false;
    query_prepare(v, q);
}

const struct route *query_route(const struct view *v, const struct name *name, uint16_t qtype)
{
    const struct route *best = NULL;
    const unsigned skip = qtype == TYPE_DS && name->labels > 0; /* DS is the parent's */

    for (int i = 0; i < v->settings->n_routes; i++) {
        const struct route *r = &v->settings->routes[i];

        if ((best == NULL || r->zone.labels > best->zone.labels) &&
            r->zone.labels + skip <= name->labels && name_is_under(name, &r->zone))
            best = r;
    }
    return best;
}

bool query_is_discovery(const struct message *m)
{
    return m->qclass == CLASS_IN && (m->qtype == TYPE_SRV || m->qtype == TYPE_ANY) &&
           name_is_vlmcs(&m->qname);
}

void query_prepare(const struct view *v, struct query *q)
{
    const struct message *m = &q->message;

    q->kms_name = !q->passthrough && m->qclass == CLASS_IN && name_is_vlmcs(&m->qname);
    q->kms = q->kms_name && (m->qtype == TYPE_SRV || m->qtype == TYPE_ANY);
    q->route = query_route(v, &m->qname, m->qtype);
    q->key = (struct cache_key){
        .name = &m->qname,
        .type = q->kms ? TYPE_SRV : m->qtype,
        .class = m->qclass,
        .kind = CACHE_ANSWER,
        .bits = (uint8_t)((m->edns.do_bit ? CACHE_DO : 0) | (m->flags & DNS_CD ? CACHE_CD : 0)),
        .scope = q->route != NULL ? q->route->id : 0,
    };
    cache_key_init(v->cache, &q->key);
}

bool query_find_networks(const struct view *v, struct query *q)
{
    if (!view_policy(v)) {
        q->networks.n_networks = 0;
        return false;
    }
    if (!q->has_networks) /* damage is in its range, and decided on */
        (void)policy_client_find(v->policy, &q->client.addr, &q->networks);
    q->has_networks = true;
    return true;
}

enum answer query_send(const struct view *v, struct query *q, const uint8_t *image, size_t len,
                       uint16_t rcode, int ede, const char *ede_text)
{
    const struct settings *s = v->settings;
    const struct edns *edns = &q->message.edns;
    const size_t can = q->client.transport == AUDIT_UDP ? message_udp_limit(edns) : DNS_MAX_MESSAGE;
    const struct reply_options options = {
        .query = &q->message,
        .question = q->question,
        .limit = can < q->out_size ? can : q->out_size,
        /* Of an image that has it, only on a trusted route, and only to a client that
         * knows it (RFC 6840 5.7). */
        .ad = q->route != NULL && q->route->trust_ad &&
              (edns->do_bit || (q->message.flags & DNS_AD) != 0),
        .ede = ede,
        .ede_text = ede_text,
        /* RFC 7828 3.3.2: to who asks over it, how long the connection may stay idle. */
        .keepalive = edns->keepalive && q->client.transport == AUDIT_TCP
                         ? (uint16_t)(s->limits.tcp_idle_ms / 100)
                         : 0,
        .nsid = edns->nsid && !s->server.hide_identity ? s->server.name : NULL,
    };

    q->out_len = reply_write(&options, image, len, rcode, q->out);
    if (image == NULL && rcode == RCODE_SERVFAIL)
        COUNT(v->stats, servfail);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

void query_rotate(const struct view *v, struct query *q)
{
    if (q->real.rotates && q->real.cached && v->settings->cache.rotate)
        image_rotate(q->out, q->out_len, q->key.type, random_u16(v->random));
}
