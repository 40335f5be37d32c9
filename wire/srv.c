/* SPDX-License-Identifier: BSD-2-Clause
 *
 * srv.c -- SRV record sets are read and filtered.
 */
#include "wire/srv.h"

#include <errno.h>

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
