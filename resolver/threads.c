/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c -- workers, auditor and verifier.
 *
 * A worker has a view for each generation that it uses: the newest is listen.view;
 * older ones live until no flight that began with them is left. Another thread touches
 * nothing of it but its mailbox, a pipe of jobs, which wakes the loop. A job is written whole,
 * and a pipe has room for 4,096; a reload, a request of the API and the stop are one each.
 *
 * A commit of the audit waits for the disk, and no other thread may wait for it. Notes and new
 * limits come through a pipe, which also wakes the auditor, and whose end is its end. Reading
 * a policy of a million suffixes takes 50 ms, and much longer from a cold or failing disk.
 */
#include "resolver/threads.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

/* Places of a worker: a chain of CNAMEs takes two; and made for all workers, since a reload may
 * raise the limit to it. */
enum { SLOTS_MIN = 16, SLOTS_AT_LEAST = 4096 };

/* All signals are blocked but those that base/guard.h takes: a fault under a blocked
 * signal is the end. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

void generation_release(struct settings *s)
{
    if (s != NULL && atomic_fetch_sub(&s->users, 1) == 1)
        settings_free(s);
}

static void unpin(struct view *v)
{
    if (--v->users > 0)
        return;
    generation_release((struct settings *)(uintptr_t)v->settings);
    free(v);
}

static void deliver(void *context, struct query *q, enum answer answer)
{
    struct worker *w = context;

    if (q->client.transport == AUDIT_TCP)
        tcp_send(&q->client, q->out, answer == ANSWER_SEND ? q->out_len : 0);
    else if (answer == ANSWER_SEND)
        udp_send(w->udp, &q->client, q->out, q->out_len);
    listen_done(&w->listen, q, answer);
}

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

void worker_take(struct worker *w, void *generation)
{
    struct settings *g = generation;
    unsigned slots = listen_share(&w->listen, g->limits.in_flight);
    struct view *v = malloc(sizeof *v);

    if (v == NULL) {
        generation_release(g);
        return;
    }
    *v = (struct view){
        .settings = g,
        .cache = w->cache,
        .policy = w->policy,
        .random = &w->random,
        .stats = &w->stats,
        .scratch = &w->scratch,
        .health = &w->health,
        .users = 1,
    };
    if (w->listen.view != NULL)
        unpin(w->listen.view);
    w->listen.view = v;
    if (w->listen.forwarder != NULL)
        forwarder_limit(w->listen.forwarder, slots > SLOTS_MIN ? slots : SLOTS_MIN);
}

void worker_learn(struct worker *w, void *health)
{
    health_release(w->health);
    w->health = health;
}

/* All that wait are answered, before their sockets close. */
void worker_end(struct worker *w, void *arg)
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

struct worker *worker_new(struct cache *cache, struct store *store, struct settings *g,
                          const struct listener *listeners, int half, struct audit_ring *ring,
                          unsigned n_workers)
{
    struct worker *w = calloc(1, sizeof *w);
    const struct forwarder_hooks hooks = {unpin, deliver, w};
    struct listen *l;
    uint32_t most = g->limits.in_flight;

    if (w == NULL || pipe2(w->mail, O_CLOEXEC) != 0)
        return NULL;
    evutil_make_socket_nonblocking(w->mail[0]);
    l = &w->listen;
    *l = (struct listen){
        .stats = &w->stats, .ring = ring, .n_workers = n_workers, .base = event_base_new()};
    w->cache = cache;
    /* Without a reader (no store, no slot) questions are forwarded all the same. */
    if (store != NULL && (w->policy = policy_reader_new(store)) == NULL)
        w->policy_error = errno;
    if (l->base == NULL)
        return NULL;
    w->on_mail = event_new(l->base, w->mail[0], EV_READ | EV_PERSIST, on_mail, w);
    l->io = io_event_new(l->base, &w->random);
    if (w->on_mail == NULL || event_add(w->on_mail, NULL) != 0 || l->io == NULL)
        return NULL;
    most = most > SLOTS_AT_LEAST ? most : SLOTS_AT_LEAST;
    if ((l->forwarder = forwarder_new(l->io, &hooks, listen_share(l, most), &w->stats)) == NULL)
        return NULL;
    worker_take(w, g);
    if (l->view == NULL)
        return NULL;
    if (half > 0 && ((w->udp = udp_new(l, listeners, half)) == NULL ||
                     (w->tcp = tcp_new(l, listeners + half, half)) == NULL))
        return NULL;
    return w;
}

void worker_free(struct worker *w)
{
    on_mail(w->mail[0], 0, w); /* what was left when its loop had ended */
    worker_end(w, NULL);
    io_event_free(w->listen.io);
    event_free(w->on_mail);
    close(w->mail[0]);
    close(w->mail[1]);
    unpin(w->listen.view);
    health_release(w->health);
    if (w->policy != NULL)
        policy_reader_free(w->policy);
    event_base_loop(w->listen.base, EVLOOP_NONBLOCK); /* where streams come to their end */
    event_base_free(w->listen.base);
    free(w);
}

void *worker_run(void *worker)
{
    event_base_loop(((struct worker *)worker)->listen.base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

struct note {
    enum audit_kind kind;
    bool has_limits;
    struct audit_limits limits;
    char text[128];
};

/* 0; -errno: the key of client-address cannot be had. */
static int limits_of(const struct settings *s, const char *dir, struct audit_limits *out)
{
    *out = (struct audit_limits){
        .retention_ms = s->audit.retention_ms,
        .ledger_retention_ms = s->audit.ledger_retention_ms,
        .max_size = s->audit.max_size,
        .commit_interval_ms = s->audit.commit_interval_ms,
        .max_rate = s->audit.max_rate,
        .max_rate_client = s->audit.max_rate_client,
        .max_clients = s->audit.max_clients,
        .max_suffixes = s->audit.max_suffixes,
        .privacy.how = (enum audit_client)s->audit.client_address,
    };
    return audit_privacy_read(&out->privacy, dir, true);
}

static void set_outputs(struct audit_outputs *o, const struct settings *s)
{
    struct audit_target targets[AUDIT_OUTPUTS];
    int n = s->audit.n_outputs < AUDIT_OUTPUTS ? s->audit.n_outputs : AUDIT_OUTPUTS;

    for (int i = 0; i < n; i++) {
        const struct output *p = &s->audit.outputs[i];

        targets[i] = (struct audit_target){p->to, p->format, p->facility};
    }
    audit_outputs_set(o, targets, n);
}

static void *run_auditor(void *arg)
{
    struct auditor *a = arg;
    struct pollfd box = {.fd = a->box[0], .events = POLLIN};
    struct audit_writer_stats stats;
    bool in_trouble = false;
    struct note note;
    ssize_t n = -1;

    while (n != 0) { /* until the box is closed */
        uint64_t ms = audit_writer_step(a->writer, clock_now(), false);

        audit_writer_stats(a->writer, &stats);
        if (stats.last_error != 0 && !in_trouble)
            log_error("audit: a commit failed: %s; events wait in memory, and are dropped when "
                      "it is full",
                      strerror(stats.last_error));
        else if (stats.last_error == 0 && in_trouble)
            log_notice("audit: events are written again; %llu were dropped since the start",
                       (unsigned long long)stats.dropped);
        in_trouble = stats.last_error != 0;
        poll(&box, 1, (int)ms);
        while ((n = read(box.fd, &note, sizeof note)) > 0) {
            if (note.has_limits)
                audit_writer_limits(a->writer, &note.limits);
            audit_writer_control(a->writer, note.kind, clock_now(), note.text);
        }
    }
    audit_writer_step(a->writer, clock_now(), true);
    audit_outputs_end(a->outputs); /* they get what they can of the last records, too */
    audit_writer_close(a->writer, clock_now());
    return NULL;
}

int auditor_start(struct auditor *a, const struct settings *s, struct audit_ring *const *rings,
                  int n, struct diags *d)
{
    struct audit_limits limits;
    int rc;

    snprintf(a->dir, sizeof a->dir, "%s/audit", s->server.state_dir);
    if ((rc = limits_of(s, a->dir, &limits)) != 0)
        diags_tell(d, "%s/client.key cannot be read or made: %s", a->dir, strerror(-rc));
    else
        rc = audit_writer_open(&a->writer, a->dir, s->server.name, &limits, rings, n, d);
    if (rc == 0 && (a->outputs = audit_outputs_new(a->dir, thread_start)) == NULL)
        rc = -ENOMEM;
    if (rc == 0 && (rc = pipe2(a->box, O_CLOEXEC | O_NONBLOCK) != 0 ? -errno : 0) == 0) {
        set_outputs(a->outputs, s);
        audit_writer_outputs(a->writer, a->outputs);
        rc = thread_start(&a->thread, run_auditor, a);
    }
    if (rc == 0)
        return 0;
    if (a->writer != NULL)
        audit_writer_close(a->writer, clock_now());
    audit_outputs_free(a->outputs);
    a->writer = NULL;
    if (d->n == 0)
        diags_tell(d, "%s: %s", a->dir, strerror(-rc));
    return rc;
}

void auditor_note(struct auditor *a, enum audit_kind kind, const char *text,
                  const struct settings *s)
{
    struct note note = {.kind = kind};
    int rc = s != NULL && a->writer != NULL ? limits_of(s, a->dir, &note.limits) : -ENOENT;

    note.has_limits = rc == 0;
    if (rc != 0 && rc != -ENOENT)
        log_error("audit: %s/client.key cannot be read or made: %s; clients and the limits of the "
                  "audit are recorded as before",
                  a->dir, strerror(-rc));
    if (s != NULL && a->writer != NULL)
        set_outputs(a->outputs, s);
    snprintf(note.text, sizeof note.text, "%s", text);
    if (a->writer != NULL)
        (void)!write(a->box[1], &note, sizeof note);
}

void auditor_stop(struct auditor *a)
{
    if (a->writer == NULL)
        return;
    close(a->box[1]);
    pthread_join(a->thread, NULL);
    close(a->box[0]);
    audit_outputs_free(a->outputs);
}

static void *run_verifier(void *arg)
{
    struct verifier *v = arg;

    diags_init(&v->diags);
    v->rc = store_verify(v->store, &v->stop, &v->diags);
    return NULL;
}

void verifier_tick(struct verifier *v)
{
    uint64_t now_ms = clock_now().mono_ms;

    if (v->running && pthread_tryjoin_np(v->thread, NULL) == 0) {
        const char *found = v->diags.n > 0 ? v->diags.list[0] : "";

        v->running = false;
        if (v->rc == 0 || v->rc == -EBADMSG) { /* else it was broken off */
            if (found[0] != '\0' && strcmp(v->found, found) != 0)
                log_error("policy: %s", found);
            else if (found[0] == '\0' && v->found[0] != '\0')
                log_notice("policy: the store is sound again");
            str_copy(v->found, sizeof v->found, found);
            v->verified_ms = clock_now().wall_ms;
        }
        diags_fini(&v->diags);
    }
    if (v->running ||
        (v->began_ms != 0 && now_ms - v->began_ms < (v->asked ? v->pause_ms : v->round_ms)))
        return;
    v->running = thread_start(&v->thread, run_verifier, v) == 0; /* else at the next tick */
    if (!v->running)
        return;
    v->began_ms = now_ms;
    v->asked = false;
}

void verifier_stop(struct verifier *v)
{
    atomic_store(&v->stop, true);
    if (v->running)
        pthread_join(v->thread, NULL);
    diags_fini(&v->diags);
}
