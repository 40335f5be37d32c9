/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.c -- one event loop and all it owns.
 *
 * There is a view for each generation that the worker uses: the newest is listen.view;
 * older ones live until no flight that began with them is left.
 *
 * Another thread touches nothing of a worker but its mailbox: the newest
 * generation, a list of jobs, a mutex held for the time of one copy, and an eventfd
 * that wakes the loop. The mailbox is never full.
 */
#include "resolver/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SLOTS_MIN = 16,
    SLOTS_AT_LEAST = 4096 /* of all workers: a reload may raise the limit to it */
};

struct worker_view {
    struct view view;
    struct generation *generation;
    unsigned users; /* flights; and one while it is the newest */
};

/* ---- generations ---- */

void generation_release(struct generation *g)
{
    if (g == NULL || atomic_fetch_sub(&g->users, 1) > 1)
        return;
    settings_free(g->settings);
    free(g->machine);
    free(g);
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
static bool take_generation(struct worker *w, struct generation *g)
{
    struct worker_view *v = calloc(1, sizeof *v);

    if (v == NULL) {
        generation_release(g);
        return false;
    }
    v->generation = g;
    v->users = 1;
    v->view = (struct view){
        .settings = g->settings,
        .machine = g->machine,
        .n_machine = g->n_machine,
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

    return n < SLOTS_MIN ? SLOTS_MIN : n;
}

/* A question that was forwarded has ended. */
static void deliver(void *context, struct query *q, enum answer answer)
{
    struct worker *w = context;

    if (answer == ANSWER_SEND && q->client.transport == AUDIT_TCP)
        tcp_send(w->tcp, &q->client, q->out, q->out_len);
    else if (answer == ANSWER_SEND)
        udp_send(w->udp, &q->client, q->out, q->out_len);
    listen_done(&w->listen, q, answer);
}

/* ---- the mailbox ---- */

static void wake(struct worker *w)
{
    uint64_t one = 1;

    if (write(w->mailbox.fd, &one, sizeof one) < 0)
        return; /* the counter is full: the loop is awake as it is */
}

void worker_set_generation(struct worker *w, struct generation *g)
{
    struct generation *unseen;

    pthread_mutex_lock(&w->mailbox.lock);
    unseen = w->mailbox.generation;
    w->mailbox.generation = g;
    pthread_mutex_unlock(&w->mailbox.lock);
    generation_release(unseen);
    wake(w);
}

void worker_stop(struct worker *w)
{
    pthread_mutex_lock(&w->mailbox.lock);
    w->mailbox.stop = true;
    pthread_mutex_unlock(&w->mailbox.lock);
    wake(w);
}

void worker_post(struct worker *w, struct worker_job *job)
{
    pthread_mutex_lock(&w->mailbox.lock);
    STAILQ_INSERT_TAIL(&w->mailbox.jobs, job, next);
    pthread_mutex_unlock(&w->mailbox.lock);
    wake(w);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct worker_job *job;
    struct generation *g;
    uint64_t count;
    bool stop;

    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return; /* another wake-up has taken it */
    do {
        pthread_mutex_lock(&w->mailbox.lock);
        g = w->mailbox.generation;
        w->mailbox.generation = NULL;
        stop = w->mailbox.stop;
        if ((job = STAILQ_FIRST(&w->mailbox.jobs)) != NULL)
            STAILQ_REMOVE_HEAD(&w->mailbox.jobs, next);
        pthread_mutex_unlock(&w->mailbox.lock);
        if (g != NULL && take_generation(w, g))
            forwarder_limit(w->listen.forwarder, slots_for(w, g->settings->limits.in_flight));
        if (job != NULL)
            job->run(w, job);
    } while (job != NULL);
    if (!stop)
        return;
    /* All that wait are answered: before their sockets close. */
    forwarder_free(w->listen.forwarder);
    udp_free(w->udp);
    tcp_free(w->tcp);
    w->listen.forwarder = NULL;
    w->udp = NULL;
    w->tcp = NULL;
    event_base_loopbreak(w->listen.base);
}

/* ---- life ---- */

struct worker *worker_new(const struct shared *shared, struct generation *g,
                          const struct listener *listeners, int half, struct audit_ring *ring,
                          unsigned n_workers)
{
    struct worker *w = calloc(1, sizeof *w);
    const struct forwarder_hooks hooks = {pin, unpin, deliver, w};
    struct event_config *config = event_config_new();
    unsigned limit, slots;

    if (w == NULL)
        goto fail;
    w->shared = shared;
    w->listen = (struct listen){
        .stats = &w->stats, .ring = ring, .n_workers = n_workers > 0 ? n_workers : 1};
    w->mailbox.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    STAILQ_INIT(&w->mailbox.jobs);
    pthread_mutex_init(&w->mailbox.lock, NULL);
    random_init(&w->random);
    w->scratch = calloc(1, sizeof *w->scratch);
    /* Without a reader (no store, no slot) questions are forwarded all the same. */
    if (shared->policy != NULL && (w->policy = policy_reader_new(shared->policy)) == NULL)
        w->policy_error = errno;
    if (config == NULL)
        goto fail;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    w->listen.base = event_base_new_with_config(config);
    if (w->scratch == NULL || !take_generation(w, g) || w->listen.base == NULL || w->mailbox.fd < 0)
        goto fail;
    w->mailbox.event = event_new(w->listen.base, w->mailbox.fd, EV_READ | EV_PERSIST, on_mail, w);
    limit = slots_for(w, g->settings->limits.in_flight);
    slots = slots_for(w, SLOTS_AT_LEAST) > limit ? slots_for(w, SLOTS_AT_LEAST) : limit;
    w->listen.io = io_event_new(w->listen.base, &w->random);
    if (w->mailbox.event == NULL || event_add(w->mailbox.event, NULL) != 0 || w->listen.io == NULL)
        goto fail;
    w->listen.forwarder = forwarder_new(w->listen.io, &hooks, slots, &w->stats);
    if (w->listen.forwarder == NULL)
        goto fail;
    forwarder_limit(w->listen.forwarder, limit);
    if (half > 0 && ((w->udp = udp_new(&w->listen, listeners, half)) == NULL ||
                     (w->tcp = tcp_new(&w->listen, listeners + half, half)) == NULL))
        goto fail;
    event_config_free(config);
    return w;
fail:
    if (config != NULL)
        event_config_free(config);
    worker_free(w);
    return NULL;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    forwarder_free(w->listen.forwarder);
    udp_free(w->udp);
    tcp_free(w->tcp);
    io_event_free(w->listen.io);
    generation_release(w->mailbox.generation);
    if (w->mailbox.event != NULL)
        event_free(w->mailbox.event);
    if (w->mailbox.fd >= 0)
        close(w->mailbox.fd);
    pthread_mutex_destroy(&w->mailbox.lock);
    if (w->listen.view != NULL)
        unpin(w, w->listen.view);
    if (w->policy != NULL)
        policy_reader_free(w->policy);
    free(w->scratch);
    if (w->listen.base != NULL)
        event_base_free(w->listen.base);
    free(w);
}

void *worker_run(void *worker)
{
    event_base_loop(((struct worker *)worker)->listen.base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}
