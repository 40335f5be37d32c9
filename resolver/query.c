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
    memcpy(w->cookie, q->cookie, sizeof w->cookie);
    memcpy(w->message, &q->message, sizeof w->message);
    memcpy(w->question, q->question, q->message.question_len);
}

void waiter_restore(const struct view *v, const struct waiter *w, struct query *q)
{
    struct message *m = &q->message;
    struct cursor c;

    memcpy(m, w->message, sizeof w->message);
    memcpy(q->cookie, w->cookie, sizeof q->cookie);
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
        .scope = q->route ? q->route->id : 0,
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

/* Of a made-up address the answer goes to somebody else: it shall not be worth the while. A packet
 * of one and a half times that of the question is not; an ordinary A record makes no more. */
static size_t harmless_size(const struct query *q)
{
    const size_t ip_and_udp = 20 + 8, head = ip_and_udp + DNS_HEADER;
    const size_t asked = head + q->message.question_len + q->message.opt_len;

    return asked + asked / 2 - ip_and_udp;
}

bool query_is_too_large(const struct view *v, const struct query *q, size_t len)
{
    const uint32_t rate = v->settings->limits.client_large_rate;
    const struct addr *client = &q->client.addr;

    if (rate == 0 || q->client.proved || v->ratelimit == NULL || len <= harmless_size(q))
        return false;
    if (ratelimit_take(v->ratelimit, client, RATE_LARGE, rate, 0, q->now_ms) == RATE_PASS ||
        settings_is_exempt(v->settings, client))
        return false;
    COUNT(v->stats, large_cut);
    return true;
}

enum answer query_send(const struct view *v, struct query *q, const uint8_t *image, size_t len,
                       uint16_t rcode, int ede, const char *ede_text)
{
    const struct settings *s = v->settings;
    const struct edns *edns = &q->message.edns;
    size_t can = q->client.transport == AUDIT_UDP ? message_udp_limit(edns) : DNS_MAX_MESSAGE;
    struct reply_options options = {
        .query = &q->message,
        .question = q->question,
        /* Of an image that has it, only on a trusted route, and only to a client that
         * knows it (RFC 6840 5.7). */
        .ad = q->route && q->route->trust_ad && (edns->do_bit || (q->message.flags & DNS_AD) != 0),
        .ede = ede,
        .ede_text = ede_text,
        /* RFC 7828 3.3.2: to who asks over it, how long the connection may stay idle. */
        .keepalive = edns->keepalive && q->client.transport == AUDIT_TCP
                         ? (uint16_t)(s->limits.tcp_idle_ms / 100)
                         : 0,
        .nsid = edns->nsid && !s->server.hide_identity ? s->server.name : NULL,
        .cookie = edns->cookie_at != 0 ? q->cookie : NULL,
    };

    /* An error is never worth the while; records with their options may be, within limits. */
    if (!q->client.proved &&
        (image == NULL || (s->limits.client_large_rate != 0 &&
                           query_is_too_large(v, q, reply_size(&options, len)))) &&
        harmless_size(q) < can)
        can = harmless_size(q);
    options.limit = can < q->out_size ? can : q->out_size;
    q->out_len = reply_write(&options, image, len, rcode, q->out);
    if (image == NULL && rcode == RCODE_SERVFAIL)
        COUNT(v->stats, servfail);
    return q->out_len > 0 ? ANSWER_SEND : ANSWER_DROP;
}

void query_rotate(const struct view *v, struct query *q)
{
    if (q->real.said.rotates && q->real.cached && v->settings->cache.rotate)
        image_rotate(q->out, q->out_len, q->key.type, random_u16(v->random));
}
