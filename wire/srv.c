/* SPDX-License-Identifier: BSD-2-Clause
 *
 * srv.c -- SRV record sets with their addresses.
 *
 * SRV targets are written out (RFC 2782), but the address records behind them
 * may point at them: their owner is a pointer into the RDATA of the SRV.
 */
#include "wire/srv.h"

#include <errno.h>
#include <string.h>

#include "wire/reply.h"
#include "wire/rewrite.h"

static bool is_srv_at(const struct rr *rr, const struct name *end)
{
    return rr->section == SECTION_ANSWER && rr->type == TYPE_SRV && rr->class == CLASS_IN &&
           name_equal_fold(&rr->owner, end);
}

static void srv_fill(struct srv *s, const struct rr *rr, const uint8_t *image, size_t len)
{
    struct cursor c = cursor_make(image, len);

    (void)cursor_take(&c, rr->rdata_at);
    s->priority = cursor_u16(&c);
    s->weight = cursor_u16(&c);
    s->port = cursor_u16(&c);
    s->ttl = rr->ttl;
    name_read(&c, &s->target);
    name_fold(&s->target);
    s->at = rr->at;
    s->end = (uint16_t)(rr->rdata_at + rr->rdlength);
}

int srv_read(const uint8_t *image, size_t len, const struct name *end, struct srv *out, int max)
{
    struct rr_walk w;
    struct rr rr;
    int n = 0;

    rr_walk_image(&w, image, len);
    while (rr_walk_next(&w, &rr)) {
        if (!is_srv_at(&rr, end))
            continue;
        if (n < max)
            srv_fill(&out[n], &rr, image, len);
        n++;
    }
    return w.c.bad ? -EBADMSG : n;
}

/* One SRV record; where its target lies, or 0 if no pointer reaches there. */
static uint16_t srv_append(struct writer *w, const struct srv *s, uint32_t ttl)
{
    size_t target_at;

    image_record(w, 0, TYPE_SRV, ttl, (uint16_t)(6 + s->target.len));
    writer_u16(w, s->priority);
    writer_u16(w, s->weight);
    writer_u16(w, s->port);
    target_at = w->len;
    writer_bytes(w, s->target.at, s->target.len);
    return target_at < 0x4000 ? (uint16_t)target_at : 0;
}

static void address_append(struct writer *w, const struct srv_set *set, const struct srv_address *a,
                           uint16_t target_at)
{
    const struct name *target = &set->at[a->target].target;
    size_t len = a->v6 ? 16 : 4;

    if (target_at != 0)
        writer_u16(w, 0xc000 | target_at);
    else
        writer_bytes(w, target->at, target->len);
    writer_u16(w, a->v6 ? TYPE_AAAA : TYPE_A);
    writer_u16(w, CLASS_IN);
    writer_u32(w, set->ttl);
    writer_u16(w, (uint16_t)len);
    writer_bytes(w, a->ip + 16 - len, len); /* IPv4 is at the end of its mapped form */
}

/* Address records while they fit; their number. */
static uint16_t addresses_write(struct writer *w, const struct srv_set *set,
                                const uint16_t *target_at, size_t room)
{
    uint16_t n = 0;

    for (int i = 0; i < set->n_addresses && i < SRV_MAX_ADDRESSES; i++) {
        const struct srv_address *a = &set->addresses[i];
        size_t before = w->len;

        if (a->target >= set->n || set->at[a->target].target.labels == 0)
            continue;
        address_append(w, set, a, target_at[a->target]);
        if (w->full || w->len > room) {
            writer_cut(w, before);
            break;
        }
        n++;
    }
    return n;
}

bool srv_write(struct writer *w, const struct srv_set *set, size_t room)
{
    uint16_t target_at[SRV_MAX];
    size_t begin = w->len;

    if (set->n > SRV_MAX)
        return false;
    for (int i = 0; i < set->n; i++)
        target_at[i] = srv_append(w, &set->at[i], set->ttl);
    if (w->full || w->len > room) {
        writer_cut(w, begin);
        return false;
    }
    image_end(w, (uint16_t)set->n, 0, addresses_write(w, set, target_at, room));
    return true;
}

/* What srv_filter() knows of the targets: those that go and those that stay. */
struct targets {
    uint32_t gone[SRV_MAX], kept[SRV_MAX];
    int n_gone, n_kept;
};

static bool has_hash(const uint32_t *set, int n, uint32_t hash)
{
    for (int i = 0; i < n; i++)
        if (set[i] == hash)
            return true;
    return false;
}

/* By hash alone: an address that is dropped by mistake is asked for, and one
 * that stays by mistake is harmless. */
static void targets_add(struct targets *t, const struct name *target, bool gone)
{
    uint32_t hash = name_hash(target);

    if (gone && t->n_gone < SRV_MAX)
        t->gone[t->n_gone++] = hash;
    else if (!gone && t->n_kept < SRV_MAX)
        t->kept[t->n_kept++] = hash;
}

static bool is_gone(const struct targets *t, const struct rr *rr)
{
    uint32_t hash;

    if (rr->section != SECTION_ADDITIONAL || t->n_gone == 0)
        return false;
    hash = name_hash(&rr->owner);
    return has_hash(t->gone, t->n_gone, hash) && !has_hash(t->kept, t->n_kept, hash);
}

/* A signature over the whole set says nothing of what is left of it. */
static bool signs_srv(const struct rr *rr, const uint8_t *image, const struct name *end)
{
    return rr->section == SECTION_ANSWER && rr->type == TYPE_RRSIG && image[rr->rdata_at] == 0 &&
           image[rr->rdata_at + 1] == TYPE_SRV && name_equal_fold(&rr->owner, end);
}

int srv_filter(const uint8_t *image, size_t len, const struct name *end, const bool *drop, int n,
               uint8_t *out, size_t size, size_t *out_len)
{
    struct targets targets = {.n_gone = 0};
    struct cursor head = cursor_make(image, len);
    struct message m;
    struct rewrite r;
    struct rr_walk w;
    struct srv srv;
    struct rr rr;
    int at = 0;

    if (message_read_head(&m, image, len) != 0)
        return -EBADMSG;
    (void)cursor_take(&head, 2);
    rewrite_begin(&r, out, size, cursor_u16(&head) & (uint16_t)~DNS_AD, &m.qname, m.qtype,
                  m.qclass);
    rr_walk_image(&w, image, len);
    while (rr_walk_next(&w, &rr)) {
        if (is_srv_at(&rr, end)) {
            bool gone = at < n && drop[at];

            at++;
            srv_fill(&srv, &rr, image, len);
            targets_add(&targets, &srv.target, gone);
            if (gone)
                continue;
        } else if (signs_srv(&rr, image, end) || is_gone(&targets, &rr)) {
            continue;
        }
        r.names.apart = is_srv_at(&rr, end); /* what is left may be rotated as before */
        if (!rewrite_put(&r, image, len, &rr, rr.ttl))
            return -ENOSPC;
    }
    if (w.c.bad)
        return -EBADMSG;
    *out_len = rewrite_end(&r);
    return r.w.full ? -ENOSPC : 0;
}
