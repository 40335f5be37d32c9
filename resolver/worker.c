/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.c -- see worker.h.
 *
 * A view for each generation that is still in use; the newest is listen.view.
 * A generation's pin is given back when it is not the newest any more and no
 * flight that began with it is left.
 *
 * The mailbox is the only thing that another thread touches: a short queue, a
 * mutex held for the time of one copy, and an eventfd that wakes the loop.
 */
#include "resolver/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "resolver/io_event.h"
#include "resolver/listen_tcp.h"
#include "resolver/listen_udp.h"

enum {
    MAILS = 64,
    SLOTS_MIN = 16,
    SLOTS_AT_LEAST = 4096 /* of all workers: a reload may raise the limit to it */
};

struct mail {
    void (*fn)(struct worker *, void *);
    void *arg;
};

struct mailbox {
    pthread_mutex_t lock;
    struct mail at[MAILS];
    unsigned first, n;
    int fd;
    struct event *event;
};

struct worker_view {
    struct view view; /* first: a view * is a worker_view * */
    struct worker_view *next;
    struct generation *generation; /* pinned */
    unsigned flights;
};

struct worker {
    const struct shared *shared;
    struct event_base *base;
    bool owns_base, stopped;
    struct audit_ring *ring; /* borrowed; NULL: no audit */
    struct random random;
    struct io_event *io;
    struct forwarder *forwarder;
    struct worker_view *views; /* owned */
    struct policy_reader *policy;
    int policy_error; /* why there is none */
    bool policy_begun;
    struct scratch *scratch;
    struct listen listen;
    struct listen_udp_batch *batch;
    struct connections *connections;
    struct listen_udp *
        *udp; /* by the listener's number, like tcp; NULL where it is the other kind */
    struct listen_tcp **tcp;
    int n_listeners;
    struct mailbox mailbox;
    struct worker_stats stats;
};

/* ---- generations ---- */

static struct worker_view *view_add(struct worker *w, struct generation *g)
{
    struct worker_view *v = calloc(1, sizeof *v);

    if (v == NULL)
        return NULL;
    v->generation = g;
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
    v->next = w->views;
    w->views = v;
    w->listen.view = &v->view;
    return v;
}

/* Gives back what nobody uses. */
static void views_sweep(struct worker *w, bool all)
{
    struct worker_view **at = &w->views;

    while (*at != NULL) {
        struct worker_view *v = *at;

        if (!all && (v->flights > 0 || &v->view == w->listen.view)) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        atomic_fetch_sub(&v->generation->pins, 1);
        free(v);
    }
}

static void pin(void *context, const struct view *v)
{
    (void)context;
    ((struct worker_view *)(void *)(uintptr_t)v)->flights++;
}

static void unpin(void *context, const struct view *v)
{
    struct worker *w = context;

    ((struct worker_view *)(void *)(uintptr_t)v)->flights--;
    if (v != w->listen.view)
        views_sweep(w, false);
}

static unsigned slots_for(const struct worker *w, uint32_t limit)
{
    unsigned n = listen_share(&w->listen, limit);

    return n < SLOTS_MIN ? SLOTS_MIN : n;
}

void worker_set_generation(struct worker *w, void *generation)
{
    struct generation *g = generation;

    if (view_add(w, g) == NULL) { /* out of memory: the old one stays in force */
        atomic_fetch_sub(&g->pins, 1);
        return;
    }
    if (w->forwarder != NULL)
        forwarder_limit(w->forwarder, slots_for(w, g->settings->limits.in_flight));
    views_sweep(w, false);
}

/* ---- what became of a discovery question ---- */

static void record(void *context, struct query *q)
{
    struct worker *w = context;
    uint64_t now_us;

    if (!q->has_event)
        return;
    now_us = clock_us();
    q->event.latency_us = (uint32_t)(now_us > q->arrived_us ? now_us - q->arrived_us : 0);
    COUNT(&w->stats, kms_questions);
    count_outcome(&w->stats, (enum kms_outcome)q->event.outcome);
    if (w->ring == NULL || !audit_ring_push(w->ring, &q->event))
        COUNT(&w->stats, audit_dropped);
    q->has_event = false;
}

/* ---- listeners ---- */

/* A question that was forwarded has ended. */
static void deliver(void *context, struct query *q, enum answer answer)
{
    struct worker *w = context;
    const struct client *c = &q->client;
    struct cursor head = cursor_make(q->out, q->out_len);

    if (answer == ANSWER_SEND) {
        COUNT(&w->stats, answers);
        (void)cursor_u16(&head);
        if ((cursor_u16(&head) & DNS_TC) != 0)
            COUNT(&w->stats, truncated);
        if (c->transport == AUDIT_TCP)
            connections_send(w->connections, c, q->out, q->out_len);
        else if (c->listener < w->n_listeners && w->udp[c->listener] != NULL)
            listen_udp_send(w->udp[c->listener], c, q->out, q->out_len);
    } else {
        COUNT(&w->stats, dropped);
    }
    record(w, q);
}

static bool listen_on(struct worker *w, struct listener *list, int n)
{
    bool good = true;

    w->n_listeners = n;
    w->udp = calloc((size_t)n + 1, sizeof *w->udp);
    w->tcp = calloc((size_t)n + 1, sizeof *w->tcp);
    w->connections = connections_new(&w->listen);
    if (n > 0)
        w->batch = listen_udp_batch_new();
    if (w->udp == NULL || w->tcp == NULL || w->connections == NULL || (n > 0 && w->batch == NULL))
        return false;
    for (int i = 0; i < n; i++) {
        struct listener *l = &list[i];

        if (l->tcp)
            w->tcp[i] = listen_tcp_new(&w->listen, w->connections, l->fd, (uint16_t)i);
        else
            w->udp[i] =
                listen_udp_new(&w->listen, w->batch, l->fd, &l->addr, l->wildcard, (uint16_t)i);
        good = good && (l->tcp ? w->tcp[i] != NULL : w->udp[i] != NULL);
        l->fd = -1; /* taken over in any case */
    }
    return good;
}

static void close_listeners(struct worker *w)
{
    for (int i = 0; i < w->n_listeners; i++) {
        if (w->tcp != NULL)
            listen_tcp_free(w->tcp[i]);
        if (w->udp != NULL)
            listen_udp_free(w->udp[i]);
    }
    w->n_listeners = 0;
}

/* ---- the mailbox ---- */

int worker_post(struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
    struct mailbox *m = &w->mailbox;
    uint64_t one = 1;
    int rc = -ENOBUFS;

    pthread_mutex_lock(&m->lock);
    if (m->n < MAILS) {
        m->at[(m->first + m->n++) % MAILS] = (struct mail){fn, arg};
        rc = 0;
    }
    pthread_mutex_unlock(&m->lock);
    if (rc == 0 && write(m->fd, &one, sizeof one) < 0)
        rc = 0; /* the counter is full: the loop is awake as it is */
    return rc;
}

static bool mailbox_take(struct mailbox *m, struct mail *out)
{
    bool any;

    pthread_mutex_lock(&m->lock);
    any = m->n > 0;
    if (any) {
        *out = m->at[m->first];
        m->first = (m->first + 1) % MAILS;
        m->n--;
    }
    pthread_mutex_unlock(&m->lock);
    return any;
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct mail mail;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return; /* another wake-up has taken it */
    while (mailbox_take(&w->mailbox, &mail))
        mail.fn(w, mail.arg);
}

static bool mailbox_open(struct worker *w)
{
    struct mailbox *m = &w->mailbox;

    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0)
        return false;
    m->event = event_new(w->base, m->fd, EV_READ | EV_PERSIST, on_mail, w);
    return m->event != NULL && event_add(m->event, NULL) == 0;
}

/* ---- life ---- */

static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static bool make_forwarder(struct worker *w, const struct settings *s)
{
    const struct forwarder_hooks hooks = {pin, unpin, deliver, w};
    unsigned limit = slots_for(w, s->limits.in_flight), slots = slots_for(w, SLOTS_AT_LEAST);

    if (slots < limit)
        slots = limit;
    w->io = io_event_new(w->base, &w->random, 2 * slots + 512);
    if (w->io == NULL)
        return false;
    w->listen.io = io_event_io(w->io);
    w->listen.record = record;
    w->listen.context = w;
    w->forwarder = forwarder_new(w->listen.io, &hooks, slots, &w->stats);
    if (w->forwarder == NULL)
        return false;
    forwarder_limit(w->forwarder, limit);
    w->listen.forwarder = w->forwarder;
    return true;
}

struct worker *worker_new(const struct shared *shared, struct generation *g,
                          struct event_base *base, struct listener *listeners, int n_listeners,
                          struct audit_ring *ring, unsigned n_workers)
{
    struct worker *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->shared = shared;
    w->ring = ring;
    w->owns_base = base == NULL;
    w->base = base != NULL ? base : make_base();
    w->mailbox.fd = -1;
    pthread_mutex_init(&w->mailbox.lock, NULL);
    random_init(&w->random);
    w->scratch = calloc(1, sizeof *w->scratch);
    w->listen = (struct listen){
        .base = w->base, .stats = &w->stats, .n_workers = n_workers > 0 ? n_workers : 1};
    /* Without a reader (no store, no slot) questions are forwarded all the same. */
    if (shared->policy != NULL && (w->policy = policy_reader_new(shared->policy)) == NULL)
        w->policy_error = errno;
    if (w->base == NULL || w->scratch == NULL || view_add(w, g) == NULL || !mailbox_open(w) ||
        !make_forwarder(w, g->settings) || !listen_on(w, listeners, n_listeners)) {
        worker_free(w);
        return NULL;
    }
    return w;
}

void worker_stop(struct worker *w, void *unused)
{
    (void)unused;
    w->stopped = true;
    forwarder_free(w->forwarder); /* all that wait are answered: before their sockets close */
    w->forwarder = w->listen.forwarder = NULL;
    close_listeners(w);
    event_base_loopbreak(w->base);
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    forwarder_free(w->forwarder);
    close_listeners(w);
    connections_free(w->connections);
    listen_udp_batch_free(w->batch);
    free(w->udp);
    free(w->tcp);
    io_event_free(w->io);
    if (w->mailbox.event != NULL)
        event_free(w->mailbox.event);
    if (w->mailbox.fd >= 0)
        close(w->mailbox.fd);
    pthread_mutex_destroy(&w->mailbox.lock);
    views_sweep(w, true);
    if (w->policy != NULL)
        policy_reader_free(w->policy);
    free(w->scratch);
    if (w->owns_base && w->base != NULL)
        event_base_free(w->base);
    free(w);
}

void worker_run(struct worker *w)
{
    if (!w->stopped)
        event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

const struct view *worker_view(struct worker *w)
{
    return w->listen.view;
}

struct forwarder *worker_forwarder(struct worker *w)
{
    return w->forwarder;
}

int worker_policy_error(const struct worker *w)
{
    return w->policy_error;
}

const struct worker_stats *worker_stats(const struct worker *w)
{
    return &w->stats;
}
