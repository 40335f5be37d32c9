/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c -- workers, auditor, verifier and keeper.
 *
 * A worker has a view for each generation that it uses: the newest is worker.view;
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

/* So many places are there for all workers, since a reload may raise the limit to it. */
enum { SLOTS_AT_LEAST = 4096 };
enum { KEEP_MS = 500 }; /* writing may take so long at the end */

/* All signals are blocked but those of base/guard.h: a fault under a blocked signal is the end. */
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
    if (s && atomic_fetch_sub(&s->users, 1) == 1)
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
    listen_done(w, q, answer);
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
        .ratelimit = w->ratelimit,
        .users = 1,
    };
    if (w->view)
        unpin(w->view);
    w->view = v;
    if (w->forwarder)
        forwarder_limit(w->forwarder, worker_share(w, g->limits.in_flight));
}

void worker_learn(struct worker *w, void *health)
{
    health_release(w->health);
    w->health = health;
}

void worker_beat(struct worker *w, void *arg)
{
    (void)arg;
    atomic_store(&w->alive, true);
}

/* All that wait are answered, before their sockets close. */
void worker_end(struct worker *w, void *arg)
{
    (void)arg;
    forwarder_free(w->forwarder);
    udp_free(w->udp);
    tcp_free(w->tcp);
    w->forwarder = NULL;
    w->udp = NULL;
    w->tcp = NULL;
    event_base_loopbreak(w->base);
}

struct worker *worker_new(struct cache *cache, struct store *store, struct ratelimit *ratelimit,
                          struct loops *loops, struct settings *g, const int *listeners, int half,
                          struct audit_ring *ring, unsigned n_workers)
{
    struct worker *w = calloc(1, sizeof *w);
    const struct forwarder_hooks hooks = {unpin, deliver, w, cache, loops};
    uint32_t most = g->limits.in_flight > SLOTS_AT_LEAST ? g->limits.in_flight : SLOTS_AT_LEAST;

    if (w == NULL)
        return NULL;
    w->ring = ring;
    atomic_init(&w->alive, true);
    w->n_workers = n_workers;
    w->cache = cache;
    w->ratelimit = ratelimit;
    /* Without a reader (no store, no slot) questions are forwarded all the same. */
    if (store && (w->policy = policy_reader_new(store)) == NULL)
        w->policy_error = errno;
    if (pipe2(w->mail, O_CLOEXEC) != 0 || evutil_make_socket_nonblocking(w->mail[0]) != 0 ||
        (w->base = event_base_new()) == NULL ||
        (w->on_mail = event_new(w->base, w->mail[0], EV_READ | EV_PERSIST, on_mail, w)) == NULL ||
        event_add(w->on_mail, NULL) != 0 ||
        (w->io = io_event_new(w->base, &w->random, &w->stats)) == NULL)
        return NULL;
    w->forwarder = forwarder_new(w->io, &hooks, worker_share(w, most), &w->stats);
    worker_take(w, g);
    if (w->forwarder == NULL || w->view == NULL ||
        (half > 0 && ((w->udp = udp_new(w, listeners, half)) == NULL ||
                      (w->tcp = tcp_new(w, listeners + half, half)) == NULL)))
        return NULL;
    return w;
}

void worker_free(struct worker *w)
{
    on_mail(w->mail[0], 0, w); /* what was left when its loop had ended */
    worker_end(w, NULL);
    io_event_free(w->io);
    event_free(w->on_mail);
    close(w->mail[0]);
    close(w->mail[1]);
    unpin(w->view);
    health_release(w->health);
    if (w->policy)
        policy_reader_free(w->policy);
    event_base_loop(w->base, EVLOOP_NONBLOCK); /* where streams come to their end */
    event_base_free(w->base);
    free(w);
}

void *worker_run(void *worker)
{
    event_base_loop(((struct worker *)worker)->base, EVLOOP_NO_EXIT_ON_EMPTY);
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

static void set_outputs(struct auditor *a, const struct settings *s)
{
    struct audit_target targets[AUDIT_OUTPUTS];
    int n = s->audit.n_outputs < AUDIT_OUTPUTS ? s->audit.n_outputs : AUDIT_OUTPUTS;

    for (int i = 0; i < n; i++) {
        const struct output *p = &s->audit.outputs[i];

        targets[i] = (struct audit_target){p->to, p->format, p->facility};
    }
    audit_outputs_set(audit_writer_outputs(a->writer), targets, n, thread_start);
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
    if (rc == 0 && (rc = pipe2(a->box, O_CLOEXEC | O_NONBLOCK) != 0 ? -errno : 0) == 0) {
        set_outputs(a, s);
        audit_writer_control(a->writer, AUDIT_START, clock_now(),
                             "started, version " PACKAGE_VERSION);
        rc = thread_start(&a->thread, run_auditor, a);
    }
    if (rc == 0)
        return 0;
    if (a->writer)
        audit_writer_close(a->writer, clock_now());
    a->writer = NULL;
    if (d->n == 0)
        diags_tell(d, "%s: %s", a->dir, strerror(-rc));
    return rc;
}

void auditor_note(struct auditor *a, enum audit_kind kind, const char *text,
                  const struct settings *s)
{
    struct note note = {.kind = kind};
    int rc = s && a->writer ? limits_of(s, a->dir, &note.limits) : -ENOENT;

    note.has_limits = rc == 0;
    if (rc != 0 && rc != -ENOENT)
        log_error("audit: %s/client.key cannot be read or made: %s; clients and the limits of the "
                  "audit are recorded as before",
                  a->dir, strerror(-rc));
    if (s && a->writer)
        set_outputs(a, s);
    snprintf(note.text, sizeof note.text, "%s", text);
    if (a->writer)
        (void)!write(a->box[1], &note, sizeof note);
}

void auditor_stop(struct auditor *a)
{
    if (a->writer == NULL)
        return;
    close(a->box[1]);
    pthread_join(a->thread, NULL);
    close(a->box[0]);
}

static void *run_verifier(void *arg)
{
    struct verifier *v = arg;

    v->rc = store_verify(v->store, STORE_WRITE, &v->stop, &v->diags);
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

static void *run_keeper(void *arg)
{
    struct keeper *k = arg;

    k->rc = (k->writes ? snapshot_write : snapshot_read)(&k->file, k->cache);
    return NULL;
}

/* The thread has ended: a file that is of no use is thrown away, and nothing else. */
static void keeper_end(struct keeper *k)
{
    const struct snapshot *s = &k->file;
    unsigned long long answers = s->answers, refused = s->refused;

    k->running = false;
    if (k->rc == -ECANCELED || (!k->writes && k->rc == -ENOENT))
        return;
    if (!k->writes && k->rc == -EBADMSG) {
        (void)unlink(k->path);
        log_warning("cache: %s %s: thrown away; %llu answers of it are known", k->path, s->why,
                    answers);
    } else if (!k->writes && k->rc != 0) {
        log_warning("cache: %s cannot be read: %s; %llu answers of it are known", k->path,
                    strerror(-k->rc), answers);
    } else if (!k->writes) {
        log_info("cache: %llu answers of %s are known again, %llu were refused", answers, k->path,
                 refused);
    } else if (k->rc != 0) {
        if (strcmp(k->error, strerror(-k->rc)) != 0)
            log_error("cache: %s cannot be written: %s; a restart forgets the answers", k->path,
                      strerror(-k->rc));
        str_copy(k->error, sizeof k->error, strerror(-k->rc));
    } else {
        k->error[0] = '\0';
        k->written_ms = s->now.wall_ms;
        log_info("cache: %llu answers are kept in %s%s", answers, k->path,
                 s->cut ? ", and there was no time for the others" : "");
    }
}

static void keeper_begin(struct keeper *k, bool writes)
{
    struct cache_stats stats;
    int rc;

    cache_stats(k->cache, &stats);
    k->file.now = clock_now();
    k->file.stale_ms = k->stale_ms;
    k->file.answers = k->file.refused = 0;
    atomic_store(&k->file.order, SNAPSHOT_GO);
    k->began_ms = k->file.now.mono_ms;
    k->inserts = stats.inserts;
    k->writes = writes;
    rc = thread_start(&k->thread, run_keeper, k);
    k->running = rc == 0;
    if (k->running)
        return;
    k->rc = rc;
    keeper_end(k);
}

void keeper_start(struct keeper *k, struct cache *c, const struct settings *s, uint64_t round_ms)
{
    *k = (struct keeper){.cache = s->cache.persist ? c : NULL, .round_ms = round_ms};
    snprintf(k->path, sizeof k->path, "%s/cache.snapshot", s->server.state_dir);
    k->scopes = k->cache ? calloc((size_t)s->n_routes, sizeof *k->scopes) : NULL;
    if (k->scopes == NULL) {
        k->cache = NULL;
        (void)unlink(k->path);
        strcat(k->path, ".new"); /* of a process that was killed */
        (void)unlink(k->path);
        return;
    }
    for (int i = 0; i < s->n_routes; i++)
        k->scopes[i] = s->routes[i].id;
    k->stale_ms = s->cache.serve_stale_ms;
    k->file =
        (struct snapshot){.path = k->path, .scopes = k->scopes, .n_scopes = (size_t)s->n_routes};
    keeper_begin(k, false);
}

static void keeper_look(struct keeper *k)
{
    if (k->running && pthread_tryjoin_np(k->thread, NULL) == 0)
        keeper_end(k);
}

void keeper_tick(struct keeper *k)
{
    struct cache_stats stats;

    keeper_look(k);
    if (k->cache == NULL || k->running || clock_now().mono_ms - k->began_ms < k->round_ms)
        return;
    cache_stats(k->cache, &stats);
    if (stats.inserts != k->inserts || k->error[0] != '\0')
        keeper_begin(k, true);
}

static void keeper_join(struct keeper *k, enum snapshot_order order)
{
    atomic_store(&k->file.order, (int)order);
    if (k->running) {
        pthread_join(k->thread, NULL);
        keeper_end(k);
    }
}

void keeper_forget(struct keeper *k)
{
    char folder[sizeof k->path];
    int fd;

    if (k->cache == NULL)
        return;
    keeper_join(k, SNAPSHOT_ABANDON);
    (void)unlink(k->path);
    *strrchr(strcpy(folder, k->path), '/') = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)fsync(fd); /* or a power cut would bring it back */
    (void)close(fd);
    k->written_ms = 0;
    k->inserts = UINT64_MAX; /* what is left is written in the next round */
}

void keeper_stop(struct keeper *k)
{
    if (k->cache == NULL)
        return;
    keeper_look(k);
    /* The file of a start that is still being read says more than the cache. */
    if (!k->running || k->writes) {
        keeper_join(k, SNAPSHOT_ABANDON);
        keeper_begin(k, true);
        for (int ms = 0; k->running && ms < KEEP_MS; ms += 2, keeper_look(k))
            poll(NULL, 0, 2);
        keeper_join(k, SNAPSHOT_FINISH);
    }
    keeper_join(k, SNAPSHOT_ABANDON);
    free(k->scopes);
}
