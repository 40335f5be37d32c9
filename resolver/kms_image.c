/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_image.c -- the image of the answer that a decision delivers: the pool's
 * records, the real answer, part of it, or nothing.
 *
 * Images of our own are built in scratch->second; the real one stays where it
 * is, and is copied there when its TTLs must change.
 */
#include "resolver/kms.h"

#include <string.h>

#include "wire/reply.h"

uint32_t kms_ttl(const struct kms_real *r, const struct policy_decision *d, uint32_t ttl)
{
    bool unsure = r->stale || verdict_word(d->verdict) == WORD_FAILED;

    return unsure && ttl > STALE_TTL_S ? STALE_TTL_S : ttl;
}

uint32_t kms_negative_ttl(const struct view *v)
{
    return (uint32_t)(v->settings->kms.max_negative_ttl_ms / 1000);
}

/* The pool's records from a random one on, so that clients which take the
 * first (Vista, Server 2008) are spread. */
static size_t image_of_pool(const struct view *v, const struct query *q, const struct kms_real *r,
                            const struct policy_decision *d, size_t room)
{
    struct srv records[POLICY_POOL_HOSTS];
    struct srv_address addresses[SRV_MAX_ADDRESSES];
    struct srv_set set = {
        .records = records, .n = d->n_hosts, .addresses = addresses, .ttl = kms_ttl(r, d, d->ttl)};
    struct writer w = writer_make(v->scratch->second, DNS_MAX_MESSAGE);
    uint32_t first = d->n_hosts > 1 ? random_below(v->random, d->n_hosts) : 0;

    for (int i = 0; i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[(first + (uint32_t)i) % d->n_hosts];

        records[i].priority = h->priority;
        records[i].weight = h->weight;
        records[i].port = h->port;
        records[i].target = h->target;
        for (int k = 0; k < h->n_addresses && set.n_addresses < SRV_MAX_ADDRESSES; k++) {
            struct srv_address *a = &addresses[set.n_addresses++];

            a->target = (uint8_t)i;
            a->v6 = !addr_is_v4(&h->addresses[k]);
            memcpy(a->ip, h->addresses[k].ip, sizeof a->ip);
        }
    }
    image_begin(&w, &q->message, RCODE_NOERROR);
    if (srv_write(&w, &set, room))
        return w.len;
    /* More than this client can take: it is sent TC, and asks by TCP. */
    writer_cut(&w, 0);
    image_begin(&w, &q->message, RCODE_NOERROR);
    return srv_write(&w, &set, DNS_MAX_MESSAGE) ? w.len : 0;
}

/* A negative answer of our own: with a SOA, or resolvers in front would ask again
 * each time, and stubs keep it as long as they like (RFC 2308 5). */
static size_t image_nodata(const struct view *v, const struct query *q, const struct kms_real *r,
                           const struct policy_decision *d)
{
    struct writer w = writer_make(v->scratch->second, sizeof v->scratch->second);

    image_begin(&w, &q->message, RCODE_NOERROR);
    image_soa(&w, 0, kms_ttl(r, d, kms_negative_ttl(v)));
    message_counts(&w, 0, 1, 0);
    return w.len;
}

static bool real_is_negative(const struct kms_real *r)
{
    return r->image != NULL && (r->verdict == VERDICT_NXDOMAIN || r->verdict == VERDICT_NODATA);
}

/* A negative answer's TTLs, capped (client and resolver in front forget soon). */
static size_t image_negative(const struct view *v, const struct kms_real *r)
{
    uint32_t cap = kms_negative_ttl(v);
    uint16_t ttl_at[IMAGE_TTLS];
    int n;

    memcpy(v->scratch->second, r->image, r->len);
    n = image_ttls(v->scratch->second, r->len, ttl_at, IMAGE_TTLS);
    if (n > 0)
        image_age(v->scratch->second, r->len, ttl_at, n, 0, r->ttl_s < cap ? r->ttl_s : cap);
    return r->len;
}

/* Of what is in scratch->second. */
static size_t set_stale(const struct view *v, const struct kms_real *r, size_t len)
{
    bool soon = real_is_negative(r) && kms_negative_ttl(v) < STALE_TTL_S;
    uint16_t ttl_at[IMAGE_TTLS];
    int n = image_ttls(v->scratch->second, len, ttl_at, IMAGE_TTLS);

    if (n > 0)
        image_set_ttls(v->scratch->second, len, ttl_at, n,
                       soon ? kms_negative_ttl(v) : STALE_TTL_S);
    return len;
}

static size_t image_real(const struct view *v, const struct kms_real *r, const uint8_t **image)
{
    if (r->stale) {
        memcpy(v->scratch->second, r->image, r->len);
        return set_stale(v, r, r->len);
    }
    if (real_is_negative(r))
        return image_negative(v, r);
    *image = r->image;
    return r->len;
}

static size_t image_filtered(const struct view *v, const struct kms_real *r,
                             const struct policy_decision *d)
{
    size_t len;

    if (srv_filter(r->image, r->len, d->unapproved, r->n_srv, v->scratch->second,
                   sizeof v->scratch->second, &len) != 0)
        return 0;
    return r->stale ? set_stale(v, r, len) : len;
}

bool kms_image_is_ours(const struct kms_real *r, const struct policy_decision *d)
{
    if (d->outcome == OUTCOME_FILTERED)
        return r->image == NULL || d->n_unapproved >= r->n_srv;
    if (d->outcome == OUTCOME_DENIED)
        return !real_is_negative(r);
    return d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED;
}

size_t kms_image(const struct view *v, const struct query *q, const struct kms_real *r,
                 const struct policy_decision *d, size_t room, const uint8_t **image)
{
    *image = v->scratch->second;
    if (d->outcome == OUTCOME_FILLED || d->outcome == OUTCOME_REPLACED)
        return image_of_pool(v, q, r, d, room);
    if (kms_image_is_ours(r, d))
        return image_nodata(v, q, r, d);
    if (d->outcome == OUTCOME_FILTERED)
        return image_filtered(v, r, d);
    return r->image != NULL ? image_real(v, r, image) : 0;
}
