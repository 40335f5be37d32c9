/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.c -- one event loop and all it owns.
 *
 * There is a view for each generation that the worker uses: the newest is listen.view;
 * older ones live until no flight that began with them is left.
 *
 * Another thread touches nothing of a worker but its mailbox: the newest generation,
 * and a pipe of jobs, which wakes the loop. A job is written whole, and a pipe has room
 * for 4,096 of them; a reload, a request of the API and the stop are one each.
 */
#include "resolver/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SLOTS_MIN = 16,
    SLOTS_AT_LEAST = 4096 /* of all workers: a reload may raise the limit to it */
};

struct worker_view {
    struct view view;
    struct settings *generation;
    unsigned users; /* flights; and one while it is the newest */
};

/* ---- generations ---- */

void generation_release(struct settings *s)
{
    if (s != NULL && atomic_fetch_sub(&s->users, 1) == 1)
        settings_free(s);
}

static void pin(void *context, const struct view *v)
{
    (void)context;
    container_of((uintptr_t)v, struct worker_view, view)->users++;
}

static void unpin(void *context, const struct view *view)
{
    struct worker_view *v = container_of((uintptr_t)view, struct worker_view, view);

    (void)context;
    if (--v->users > 0)
        return;
    generation_release(v->generation);
    free(v);
}

/* Makes it the newest. False when out of memory: then the one before stays. */
static bool take_generation(struct worker *w, struct settings *g)
{
    struct worker_view *v = calloc(1, sizeof *v);

    if (v == NULL) {
        generation_release(g);
        return false;
    }
    v->generation = g;
    v->users = 1;
    v->view = (struct view){
        .settings = g,
        .cache = w->shared->cache,
        .policy = w->policy,
        .policy_begun = &w->policy_begun,
        .random = &w->random,
        .stats = &w->stats,
        .scratch = w->scratch,
    };
    if (w->listen.view != NULL)
        unpin(w, w->listen.view);
    w->listen.view = &v->view;
    return true;
}

static unsigned slots_for(const struct worker *w, uint32_t limit)
{
    unsigned n = listen_share(&w->listen, limit);

    return n > SLOTS_MIN ? n : SLOTS_MIN;
}

/* A question that was forwarded has ended. */
static void deliver(void *context, struct query *q, enum answer answer)
{
    struct worker *w = context;

    if (q->client.transport == AUDIT_TCP)
        tcp_send(&q->client, q->out, answer == ANSWER_SEND ? q->out_len : 0);
    else if (answer == ANSWER_SEND)
        udp_send(w->udp, &q->client, q->out, q->out_len);
    listen_done(&w->listen, q, answer);
}

/* ---- the mailbox ---- */

struct mail {
    void (*run)(struct worker *, void *arg);
    void *arg;
};

void worker_post(struct worker *w, void (*run)(struct worker *, void *arg), void *arg)
{
    const struct mail m = {run, arg};

    while (write(w->mail[1], &m, sizeof m) < 0 && errno == EINTR)
        ;
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct mail m;

    (void)what;
    while (read(fd, &m, sizeof m) == sizeof m)
        m.run(arg, m.arg);
}

static void take_next(struct worker *w, void *arg)
{
    struct settings *g = atomic_exchange(&w->next, NULL);

    (void)arg;
    if (g != NULL && take_generation(w, g))
        forwarder_limit(w->listen.forwarder, slots_for(w, g->limits.in_flight));
}

void worker_set_generation(struct worker *w, struct settings *g)
{
    generation_release(atomic_exchange(&w->next, g));
    worker_post(w, take_next, NULL);
}

/* All that wait are answered, before their sockets close. */
static void end(struct worker *w, void *arg)
{
    (void)arg;
    forwarder_free(w->listen.forwarder);
    udp_free(w->udp);
    tcp_free(w->tcp);
    w->listen.forwarder = NULL;
    w->udp = NULL;
    w->tcp = NULL;
    event_base_loopbreak(w->listen.base);
}

void worker_stop(struct worker *w)
{
    worker_post(w, end, NULL);
}

/* ---- life ---- */

struct worker *worker_new(const struct shared *shared, struct settings *g,
                          const struct listener *listeners, int half, struct audit_ring *ring,
                          unsigned n_workers)
{
    struct worker *w = calloc(1, sizeof *w);
    const struct forwarder_hooks hooks = {pin, unpin, deliver, w};
    struct event_config *config = event_config_new();
    struct listen *l;
    unsigned limit, least;

    if (w == NULL || config == NULL || pipe2(w->mail, O_CLOEXEC) != 0 ||
        (w->scratch = calloc(1, sizeof *w->scratch)) == NULL)
        return NULL;
    evutil_make_socket_nonblocking(w->mail[0]);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    l = &w->listen;
    *l = (struct listen){.stats = &w->stats,
                         .ring = ring,
                         .n_workers = n_workers,
                         .base = event_base_new_with_config(config)};
    event_config_free(config);
    random_init(&w->random);
    w->shared = shared;
    /* Without a reader (no store, no slot) questions are forwarded all the same. */
    if (shared->policy != NULL && (w->policy = policy_reader_new(shared->policy)) == NULL)
        w->policy_error = errno;
    if (l->base == NULL || !take_generation(w, g))
        return NULL;
    limit = slots_for(w, g->limits.in_flight);
    least = slots_for(w, SLOTS_AT_LEAST);
    w->on_mail = event_new(l->base, w->mail[0], EV_READ | EV_PERSIST, on_mail, w);
    l->io = io_event_new(l->base, &w->random);
    if (w->on_mail == NULL || event_add(w->on_mail, NULL) != 0 || l->io == NULL)
        return NULL;
    l->forwarder = forwarder_new(l->io, &hooks, limit > least ? limit : least, &w->stats);
    if (l->forwarder == NULL)
        return NULL;
    forwarder_limit(l->forwarder, limit);
    if (half > 0 && ((w->udp = udp_new(l, listeners, half)) == NULL ||
                     (w->tcp = tcp_new(l, listeners + half, half)) == NULL))
        return NULL;
    return w;
}

void worker_free(struct worker *w)
{
    forwarder_free(w->listen.forwarder);
    udp_free(w->udp);
    tcp_free(w->tcp);
    io_event_free(w->listen.io);
    generation_release(w->next);
    event_free(w->on_mail);
    close(w->mail[0]);
    close(w->mail[1]);
    unpin(w, w->listen.view);
    if (w->policy != NULL)
        policy_reader_free(w->policy);
    free(w->scratch);
    event_base_free(w->listen.base);
    free(w);
}

void *worker_run(void *worker)
{
    event_base_loop(((struct worker *)worker)->listen.base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}
