/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.c -- questions come in here: they join a flight or begin one, or are
 * refused for want of a place. What a flight then does is in flight.c.
 *
 * When all places are taken, the oldest flight gives way if it has had its
 * chance (GIVE_WAY_MS); otherwise the new question is refused. So neither can
 * names that nobody answers keep the others out, nor can a flood of new
 * questions end those that are about to be answered.
 */
#include "resolver/forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GIVE_WAY_MS = 1000 };

static void no_pin(void *context, const struct view *v)
{
    (void)context;
    (void)v;
}

static void no_done(void *context, struct query *q)
{
    (void)context;
    (void)q;
}

struct forwarder *forwarder_new(struct io *io, const struct forwarder_hooks *hooks, unsigned slots,
                                struct worker_stats *stats)
{
    struct forwarder *f = calloc(1, sizeof *f);

    if (f == NULL)
        return NULL;
    f->io = io;
    f->stats = stats;
    f->limit = slots;
    f->hooks = (struct forwarder_hooks){no_pin, no_pin, no_done, NULL};
    if (hooks != NULL)
        f->hooks = *hooks;
    if (upstreams_init(&f->upstreams) == 0 && inflight_init(&f->inflight, slots) == 0 &&
        exchanges_init(&f->exchanges, io, stats, 2 * slots + UPSTREAM_MAX) == 0)
        return f;
    upstreams_fini(&f->upstreams);
    inflight_fini(&f->inflight);
    exchanges_fini(&f->exchanges);
    free(f);
    return NULL;
}

void forwarder_free(struct forwarder *f)
{
    if (f == NULL)
        return;
    while (f->inflight.oldest != NULL)
        flight_give_up(f->inflight.oldest, false);
    whole_end_all(f);
    for (uint32_t i = 0; i < f->upstreams.n; i++)
        probe_end(&f->upstreams.at[i]);
    upstreams_fini(&f->upstreams);
    inflight_fini(&f->inflight);
    exchanges_fini(&f->exchanges);
    free(f);
}

void forwarder_limit(struct forwarder *f, unsigned slots)
{
    f->limit = slots < f->inflight.n ? slots : f->inflight.n;
}

static bool is_truncated(const struct query *q)
{
    struct cursor c = cursor_make(q->out, q->out_len);

    (void)cursor_u16(&c);
    return (cursor_u16(&c) & DNS_TC) != 0;
}

void forwarder_deliver(struct forwarder *f, const struct view *v, struct query *q,
                       enum answer answer)
{
    (void)v;
    if (answer == ANSWER_SEND) {
        COUNT(f->stats, answers);
        if (is_truncated(q))
            COUNT(f->stats, truncated);
        f->io->send_client(f->io, &q->client, q->out, q->out_len);
    } else {
        COUNT(f->stats, dropped);
    }
    f->hooks.done(f->hooks.context, q);
}

/* No place for it. A discovery question is decided all the same: the policy
 * may have an answer for a real DNS that says nothing. */
static void refuse(struct forwarder *f, const struct view *v, const struct query *asked)
{
    const struct got got = {.kind = GOT_FAILURE, .rcode = 0xffff};
    struct query *q = &f->q;
    enum answer answer = ANSWER_SEND;
    struct waiter w;

    COUNT(f->stats, no_slot);
    waiter_save(&w, asked);
    waiter_restore(&w, q);
    q->out = f->out;
    q->out_size = sizeof f->out;
    answer_prepare(v, q);
    if (q->kms)
        answer = answer_query(v, q, &got, f->io->now(f->io));
    else
        answer_servfail(v, q, EDE_OTHER);
    forwarder_deliver(f, v, q, answer);
}

static struct flight *begin(struct forwarder *f, const struct view *v, const struct query *q,
                            uint64_t now_ms)
{
    struct inflight *in = &f->inflight;
    struct flight *fl;

    if (q->route == NULL || q->route->n_servers == 0)
        return NULL;
    if (in->in_use >= f->limit && in->oldest != NULL &&
        now_ms - in->oldest->begun_ms >= GIVE_WAY_MS)
        flight_give_up(in->oldest, false);
    if (in->in_use >= f->limit || (fl = inflight_add(in, v, q)) == NULL)
        return NULL;
    f->hooks.pin(f->hooks.context, v);
    return fl;
}

/* A place to wait; when all are taken, those of the oldest flights, like above. */
static struct waiter *wait_in(struct forwarder *f, struct flight *fl, uint64_t now_ms)
{
    struct inflight *in = &f->inflight;
    struct waiter *w = inflight_wait(in, fl);

    while (w == NULL && fl->n_waiters < WAITERS_MAX && in->oldest != fl &&
           now_ms - in->oldest->begun_ms >= GIVE_WAY_MS) {
        flight_give_up(in->oldest, false);
        w = inflight_wait(in, fl);
    }
    return w;
}

void forwarder_ask(struct forwarder *f, const struct view *v, const struct query *q)
{
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    struct flight *fl;
    struct waiter *w = NULL;
    bool joined;

    if (q->whole) {
        whole_ask(f, v, q);
        return;
    }
    fl = inflight_find(&f->inflight, v, &q->key);
    joined = fl != NULL;
    /* The same packet again, since no answer came: one answer is enough. Each
     * discovery question is accounted for, so those wait side by side; and so do
     * those of a TCP connection, which counts the answers that are still due. */
    if (joined && !q->kms && q->client.transport == AUDIT_UDP)
        w = inflight_waiter_like(fl, q);
    if (w != NULL) {
        COUNT(f->stats, joined);
        return;
    }
    if (fl == NULL && (fl = begin(f, v, q, now_ms)) == NULL) {
        refuse(f, v, q);
        return;
    }
    if ((w = wait_in(f, fl, now_ms)) == NULL) {
        refuse(f, v, q);
    } else {
        waiter_save(w, q);
        if (q->kms)
            w->deadline_ms = q->arrived_ms + v->settings->kms.upstream_deadline_ms;
    }
    if (joined) {
        COUNT(f->stats, joined);
        flight_joined(fl, now_ms);
    } else {
        flight_begin(f, fl, now_ms);
    }
}

int forwarder_resolve(struct forwarder *f, const struct view *v, const struct query *q,
                      forwarder_got *done, void *context)
{
    uint64_t now_ms = f->io->now(f->io).mono_ms;
    struct flight *fl = inflight_find(&f->inflight, v, &q->key);
    bool joined = fl != NULL;
    struct asker *a;

    if (fl == NULL && (fl = begin(f, v, q, now_ms)) == NULL)
        return -ENOBUFS;
    a = inflight_ask(&f->inflight, fl);
    if (a != NULL) {
        a->done = done;
        a->context = context;
    }
    if (!joined)
        flight_begin(f, fl, now_ms);
    return a != NULL ? 0 : -ENOBUFS;
}

unsigned forwarder_in_flight(const struct forwarder *f)
{
    return f->inflight.in_use;
}

bool forwarder_upstream(const struct forwarder *f, const struct addr *a,
                        struct upstream_report *out)
{
    const struct upstream *s = upstream_find(&f->upstreams, a);

    if (s == NULL || s->queries == 0)
        return false;
    upstream_tell(s, out);
    return true;
}
