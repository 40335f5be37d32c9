/* SPDX-License-Identifier: BSD-2-Clause
 *
 * srv.c -- SRV record sets with their addresses.
 *
 * SRV targets are written out (RFC 2782), but the address records behind them
 * may point at them: their owner is a pointer into the RDATA of the SRV.
 */
#include "wire/srv.h"

#include <errno.h>

#include "wire/reply.h"
#include "wire/rewrite.h"

static bool is_srv(const struct rr *rr)
{
    return rr->section == SECTION_ANSWER && rr->type == TYPE_SRV && rr->class == CLASS_IN;
}

int srv_read(const uint8_t *image, size_t len, struct srv *out, int max)
{
    struct rr_walk w;
    struct rr rr;
    int n = 0;

    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w, &rr)) {
        struct cursor c = cursor_make(image, len);
        struct srv *s = &out[n];

        if (!is_srv(&rr) || n++ >= max)
            continue;
        (void)cursor_take(&c, rr.rdata_pos);
        s->priority = cursor_u16(&c);
        s->weight = cursor_u16(&c);
        s->port = cursor_u16(&c);
        s->ttl = rr.ttl;
        name_read(&c, &s->target);
        name_fold(&s->target);
    }
    return w.c.bad ? -EBADMSG : n;
}

bool srv_write(struct writer *w, const struct srv_set *set, size_t room)
{
    uint16_t target_pos[SRV_MAX], n = 0; /* where a pointer finds the target, or 0 */
    size_t before = w->len;

    if (set->n > SRV_MAX)
        return false;
    for (int i = 0; i < set->n; i++) {
        const struct srv *s = &set->records[i];

        image_record(w, 0, TYPE_SRV, set->ttl, 6u + s->target.len);
        writer_u16(w, s->priority);
        writer_u16(w, s->weight);
        writer_u16(w, s->port);
        target_pos[i] = w->len < 0x4000 ? (uint16_t)w->len : 0;
        writer_bytes(w, s->target.data, s->target.len);
    }
    if (w->full || w->len > room) {
        writer_truncate(w, before);
        return false;
    }
    /* Addresses while they fit. */
    for (int i = 0; i < set->n_addresses; i++) {
        const struct srv_address *a = &set->addresses[i];
        size_t len = a->v6 ? 16 : 4;
        const struct name *target;

        if (a->target >= set->n || set->records[a->target].target.labels == 0)
            continue;
        before = w->len;
        target = &set->records[a->target].target;
        if (target_pos[a->target] != 0)
            writer_u16(w, 0xc000 | target_pos[a->target]);
        else
            writer_bytes(w, target->data, target->len);
        writer_u16(w, a->v6 ? TYPE_AAAA : TYPE_A);
        writer_u16(w, CLASS_IN);
        writer_u32(w, set->ttl);
        writer_u16(w, (uint16_t)len);
        writer_bytes(w, a->ip + 16 - len, len); /* IPv4 is at the end of its mapped form */
        if (w->full || w->len > room) {
            writer_truncate(w, before);
            break;
        }
        n++;
    }
    message_counts(w, (uint16_t)set->n, 0, n);
    return true;
}

/* Is it the target of records that go, and of none that stays? */
static bool is_of_dropped(const struct name *owner, const struct srv *srv, const bool *drop, int n)
{
    bool dropped = false;

    for (int i = 0; i < n; i++) {
        if (!name_equal_fold(owner, &srv[i].target))
            continue;
        if (!drop[i])
            return false;
        dropped = true;
    }
    return dropped;
}

int srv_filter(const uint8_t *image, size_t len, const bool *drop, int n, uint8_t *out, size_t size,
               size_t *out_len)
{
    struct srv srv[SRV_MAX];
    int n_srv = srv_read(image, len, srv, SRV_MAX), i = 0;
    struct message m;
    struct rewrite r;
    struct rr_walk w;
    struct rr rr;

    if (n_srv < 0 || message_read_head(&m, image, len) != 0)
        return -EBADMSG;
    if (n > n_srv)
        n = n_srv;
    rewrite_begin(&r, out, size, m.flags & (uint16_t)~DNS_AD, &m.qname, m.qtype, m.qclass);
    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w, &rr)) {
        r.apart = is_srv(&rr); /* what is left may be rotated as before */
        if (is_srv(&rr)) {
            if (i++ < n && drop[i - 1])
                continue;
        } else if (rr.section == SECTION_ANSWER && rr.type == TYPE_RRSIG &&
                   image[rr.rdata_pos] == 0 && image[rr.rdata_pos + 1] == TYPE_SRV) {
            continue; /* a signature over the whole set says nothing of what is left of it */
        } else if (rr.section == SECTION_ADDITIONAL && is_of_dropped(rr.owner, srv, drop, n)) {
            continue;
        }
        if (!rewrite_put(&r, image, len, &rr, rr.ttl))
            return -ENOSPC;
    }
    *out_len = rewrite_end(&r);
    return r.w.full ? -ENOSPC : 0;
}
