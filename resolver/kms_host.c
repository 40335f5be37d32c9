/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_host.c -- addresses of KMS hosts, see kms_host.h for when.
 */
#include "resolver/kms_host.h"

#include "wire/reply.h"

enum { TTL_MAX_S = 300, ADDRESSES_MAX = 4 * POLICY_HOST_ADDRESSES };

struct found { /* addresses of the type that is asked for */
    const struct addr *at[ADDRESSES_MAX];
    uint32_t n;
};

bool kms_may_be_host(const struct view *v, const struct query *q)
{
    return q->message.qclass == CLASS_IN && view_policy(v) &&
           policy_may_be_host(v->policy, &q->message.qname);
}

static void add(struct found *f, const struct addr *a)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (addr_same_ip(f->at[i], a))
            return;
    if (f->n < ADDRESSES_MAX)
        f->at[f->n++] = a;
}

/* A host may be there several times, with several ports. */
static void find(const struct policy_decision *d, const struct query *q, struct found *f)
{
    uint16_t type = q->message.qtype;

    f->n = 0;
    for (int i = 0; i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[i];

        for (int k = 0; k < h->n_addresses && name_equal(&h->target, &q->message.qname); k++)
            if (type == (addr_is_v4(&h->addresses[k]) ? TYPE_A : TYPE_AAAA))
                add(f, &h->addresses[k]);
    }
}

static size_t write_image(const struct view *v, const struct query *q, const struct kms_real *r,
                          const struct policy_decision *d, const struct found *f)
{
    uint16_t len = q->message.qtype == TYPE_A ? 4 : 16;
    uint32_t ttl = kms_ttl(r, d, d->ttl < TTL_MAX_S ? d->ttl : TTL_MAX_S);
    uint32_t first = f->n > 1 ? random_below(v->random, f->n) : 0;
    struct writer w = writer_make(q->out, q->out_size);

    image_begin(&w, &q->message, RCODE_NOERROR);
    for (uint32_t i = 0; i < f->n; i++) {
        image_record(&w, 0, q->message.qtype, ttl, len);
        writer_bytes(&w, f->at[(first + i) % f->n]->ip + 16 - len, len);
    }
    if (f->n == 0)
        image_soa(&w, 0, kms_ttl(r, d, kms_negative_ttl(v)));
    message_counts(&w, (uint16_t)f->n, f->n == 0, 0);
    return w.full ? 0 : w.len;
}

/* No address of this type, but a name that has one exists: it is not denied, or
 * resolvers in front would hide the address (RFC 8020), and a client that asks
 * for both types is not told of a failure. */
static bool makes_nodata(const struct query *q, enum kms_verdict verdict)
{
    bool is_address = q->message.qtype == TYPE_A || q->message.qtype == TYPE_AAAA;

    return verdict == VERDICT_NXDOMAIN || (verdict != VERDICT_NODATA && is_address);
}

bool kms_host_answer(const struct view *v, struct query *q, enum kms_verdict verdict,
                     bool is_signed, bool is_stale, struct now now)
{
    const struct policy_real real = {.verdict = verdict, .is_signed = is_signed};
    const struct kms_real r = {.verdict = verdict, .stale = is_stale};
    struct policy_decision *d = &v->scratch->decision;
    struct reply_options dress = answer_dress(v, q);
    struct policy_ask ask;
    struct found f;
    size_t len;

    (void)kms_find_client(v, &q->client.addr);
    ask = kms_ask(v, q, now);
    policy_decide_host(v->policy, &ask, &real, d);
    if (d->reason == REASON_DAMAGED)
        COUNT(v->stats, kms_damaged);
    if (d->n_hosts == 0)
        return false;
    find(d, q, &f);
    if (f.n == 0 && !makes_nodata(q, verdict))
        return false;
    COUNT(v->stats, kms_hosts);
    dress.ede = EDE_SYNTHESIZED;
    if (v->settings->kms.explain_in_edns)
        dress.ede_text = d->rule;
    len = write_image(v, q, &r, d, &f);
    q->out_len = reply_from_image(&dress, q->out, len, q->out, q->out_size);
    return true;
}
