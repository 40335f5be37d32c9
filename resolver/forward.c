/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.c -- questions come in here: they join a flight or begin one, or are
 * refused for want of a place. What a flight then does is in flight.c.
 *
 * When all places are taken, a flight of whoever has most gives way (share.h):
 * a client that asks much ends its own questions, nobody else's. Where too many
 * wait for one name, one more packet gets no answer: the client's repeat finds
 * the answer in the cache, whereas SERVFAIL would send it away.
 */
#include "resolver/forwarder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/kms_event.h"

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
    struct hash_key key;

    if (f == NULL)
        return NULL;
    random_bytes(io->random, (uint8_t *)&key, sizeof key);
    f->io = io;
    f->stats = stats;
    f->limit = slots;
    f->hooks = (struct forwarder_hooks){no_pin, no_pin, no_done, NULL};
    if (hooks != NULL)
        f->hooks = *hooks;
    if (upstreams_init(&f->upstreams) == 0 && inflight_init(&f->inflight, slots, &key) == 0 &&
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
    while (shares_victim(&f->inflight.shares) != NULL)
        flight_give_up(shares_victim(&f->inflight.shares), false);
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

/* The question again, in f->q, so that it can be answered here. */
static struct query *taken_up(struct forwarder *f, const struct view *v, const struct query *asked)
{
    struct waiter w;

    waiter_save(&w, asked);
    waiter_restore(&w, &f->q);
    f->q.out = f->out;
    f->q.out_size = sizeof f->out;
    answer_prepare(v, &f->q);
    return &f->q;
}

/* No place for it. A discovery question is decided all the same: the policy
 * may have an answer for a real DNS that says nothing. */
static void refuse(struct forwarder *f, const struct view *v, const struct query *asked)
{
    const struct got got = {.kind = GOT_FAILURE, .rcode = RCODE_TIMEOUT};
    struct query *q = taken_up(f, v, asked);
    enum answer answer = ANSWER_SEND;

    COUNT(f->stats, no_slot);
    if (q->kms)
        answer = answer_query(v, q, &got, f->io->now(f->io));
    else
        answer_servfail(v, q, EDE_OTHER);
    forwarder_deliver(f, v, q, answer);
}

/* Too many wait for this name already. */
static void leave_unanswered(struct forwarder *f, const struct view *v, const struct query *asked)
{
    struct query *q = taken_up(f, v, asked);

    COUNT(f->stats, unanswered);
    if (q->kms)
        kms_event_unanswered(v, q, f->io->now(f->io));
    forwarder_deliver(f, v, q, ANSWER_DROP);
}

/* A flight gives way. False: none but `keep` can. */
static bool give_way(struct forwarder *f, const struct flight *keep)
{
    struct flight *victim = shares_victim(&f->inflight.shares);

    if (victim == NULL || victim == keep)
        return false;
    COUNT(f->stats, gave_way);
    flight_give_up(victim, false);
    return true;
}

struct flight *forwarder_begin(struct forwarder *f, const struct view *v, const struct query *q,
                               const struct flight *keep)
{
    struct inflight *in = &f->inflight;
    struct flight *fl;

    if (q->route == NULL || q->route->n_servers == 0)
        return NULL;
    while (in->in_use >= f->limit)
        if (!give_way(f, keep))
            return NULL;
    if ((fl = inflight_add(in, v, q)) != NULL)
        f->hooks.pin(f->hooks.context, v);
    return fl;
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
    if (fl == NULL && (fl = forwarder_begin(f, v, q, NULL)) == NULL) {
        refuse(f, v, q);
        return;
    }
    if ((w = inflight_wait(&f->inflight, fl, &q->client)) == NULL) {
        if (q->client.transport == AUDIT_UDP)
            leave_unanswered(f, v, q);
        else
            refuse(f, v, q);
        return;
    }
    waiter_save(w, q);
    if (q->kms && v->settings->kms.mode != MODE_OFF)
        w->deadline_ms = q->arrived_ms + v->settings->kms.upstream_deadline_ms;
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

    if (fl == NULL && (fl = forwarder_begin(f, v, q, NULL)) == NULL)
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
