/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.c -- the running process, see daemon.h.
 *
 * Who owns what: `struct daemon` owns every part and frees them in the order
 * of daemon_stop(): workers first (they use all else), then the auditor (it
 * drains their rings), then stores and cache.
 *
 * Generations: a reload, and a change of the machine's addresses or resolv.conf,
 * makes a complete new one, pins it once for each worker, posts it, and keeps the
 * old in `old` until nobody pins it; a tick each second looks.
 */
#include "resolver/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "base/user.h"
#include "resolver/bind.h"
#include "resolver/generation.h"
#include "resolver/machine.h"
#include "resolver/notify.h"

enum { RING_BYTES = 8 << 20, TICK_S = 1, SWEEP_TICKS = 60, EXIT_INVALID = 5 };
enum { MACHINE_QUIET_MS = 500, MACHINE_MOST_MS = 2000 };
enum { VERIFY_PAUSE_MS = 60 * 1000, VERIFY_ROUND_MS = 3600 * 1000 };

/* What the main loop needs beside the daemon; one, on daemon_run's stack. */
struct loop {
    struct daemon *d;
    struct event *hangup, *terminate, *interrupt, *tick, *api;
    pthread_t threads[DAEMON_MAX_WORKERS];
    unsigned ticks;
};

static void log_diags(const struct diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct diag *at = &d->at[i];

        if (at->file != NULL && at->line > 0)
            log_error("%s:%u:%u: %s", at->file, at->line, at->column, at->text);
        else
            log_error("%s%s%s", at->file != NULL ? at->file : "", at->file != NULL ? ": " : "",
                      at->text);
    }
}

/* The first problem's text, kept for `status`. */
static void keep_problem(const struct diags *d, const char *what, int error, char *out, size_t size)
{
    const struct diag *first = d->n > 0 ? &d->at[0] : NULL;

    if (first != NULL)
        snprintf(out, size, "%s%s%s", first->file != NULL ? first->file : "",
                 first->file != NULL ? ": " : "", first->text);
    else
        snprintf(out, size, "%s: %s", what, strerror(error));
}

int daemon_read_settings(const char *path, const char *const *assign, struct settings **out,
                         struct diags *d)
{
    int rc = settings_read(out, path, assign, d);

    if (rc != 0) {
        if (d->n == 0)
            diags_add(d, path, 0, 0, "cannot be read: %s", strerror(-rc));
        return -EINVAL;
    }
    if (machine_check_routes(*out, d) != 0 ||
        ((*out)->n_routes == 0 && machine_default_route(*out, "", d) != 0)) {
        settings_free(*out);
        *out = NULL;
        return -EINVAL;
    }
    return 0;
}

static void free_old_generations(struct daemon *d)
{
    int kept = 0;

    for (int i = 0; i < d->n_old; i++) {
        if (atomic_load(&d->old[i]->pins) == 0)
            generation_free(d->old[i]);
        else
            d->old[kept++] = d->old[i];
    }
    d->n_old = kept;
}

/* Gives the newest generation to a worker, with a pin that is its own. */
static void post_generation(struct daemon *d, struct worker *w)
{
    atomic_fetch_add(&d->newest->pins, 1);
    if (worker_post(w, worker_set_generation, d->newest) != 0)
        atomic_fetch_sub(&d->newest->pins, 1);
}

static void put_in_force(struct daemon *d, struct generation *g)
{
    g->settings->generation = ++d->generations;
    d->old[d->n_old++] = d->newest;
    d->newest = g;
    for (int i = 0; i < d->n_workers; i++)
        post_generation(d, d->workers[i]);
    post_generation(d, d->own);
}

int daemon_reload(struct daemon *d, settings_change *change, void *context, struct diags *diags)
{
    struct settings *s;
    struct generation *g;
    int rc;

    free_old_generations(d);
    if (d->n_old == DAEMON_GENERATIONS)
        return diags_add(diags, NULL, 0, 0,
                         "%d earlier reloads are still in use; try again in a few seconds",
                         DAEMON_GENERATIONS);
    if ((rc = daemon_read_settings(d->settings_path, d->assign, &s, diags)) != 0)
        return rc;
    if (change != NULL)
        settings_compare(d->newest->settings, s, change, context);
    /* Each file may be good alone; what waits for a restart and what does not, are not. */
    if ((rc = settings_keep(s, d->newest->settings, diags)) != 0 ||
        (rc = machine_check_routes(s, diags)) != 0 || (g = generation_new(s)) == NULL) {
        settings_free(s);
        return rc != 0 ? rc : -ENOMEM;
    }
    settings_free(d->written);
    d->written = s;
    put_in_force(d, g);
    d->read = clock_now();
    log_set_level((enum log_level)s->server.log_level);
    auditor_reload(d->auditor, s);
    auditor_note(d->auditor, AUDIT_SETTINGS, "settings read again");
    machine_watch_again(d->machine_watch); /* a problem may have ended with this */
    return 0;
}

/* Said once, and kept for `status`. */
static void tell_machine_problem(struct daemon *d, const struct diags *problems)
{
    int error = machine_watch_error(d->machine_watch);
    char text[sizeof d->machine_error] = "";

    if (problems->n > 0)
        keep_problem(problems, "", 0, text, sizeof text);
    else if (error != 0)
        snprintf(text, sizeof text,
                 "changes of its addresses or of resolv.conf may go unseen: %s; reload after each",
                 strerror(error));
    if (strcmp(text, d->machine_error) == 0)
        return;
    memcpy(d->machine_error, text, sizeof text);
    if (text[0] != '\0')
        log_warning("machine: %s", text);
    else
        log_notice("machine: that problem is over");
}

/* New addresses, or a new resolv.conf, with the settings as they were read. */
static void on_machine(void *arg)
{
    struct daemon *d = arg;
    const struct settings *s = d->written->routes_found ? d->newest->settings : d->written;
    struct generation *g = NULL;
    struct diags problems;
    char text[900];
    struct str changes;

    free_old_generations(d);
    diags_init(&problems);
    if (d->n_old < DAEMON_GENERATIONS)
        g = generation_new(s);
    if (g == NULL || (g->n_machine < 0 && d->newest->n_machine >= 0) ||
        machine_update_routes(g->settings, "", &problems) == -ENOMEM) {
        machine_watch_again(d->machine_watch); /* short of something that comes back */
        goto end;
    }
    tell_machine_problem(d, &problems);
    str_init(&changes, text, sizeof text);
    generation_changes(d->newest, g, &changes);
    if (changes.len == 0) {
        log_debug("machine: nothing changed");
        goto end;
    }
    put_in_force(d, g);
    g = NULL;
    log_notice("machine: %s", text);
    auditor_note(d->auditor, AUDIT_SETTINGS, text);
end:
    generation_free(g);
    diags_fini(&problems);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = ((struct loop *)arg)->d;
    struct diags problems;
    char state[80];

    (void)fd;
    (void)what;
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)clock_now().mono_ms * 1000);
    notify(state);
    diags_init(&problems);
    if (daemon_reload(d, NULL, NULL, &problems) == 0)
        log_notice("settings read again: generation %llu", (unsigned long long)d->generations);
    else
        log_error("settings not changed; correct these and reload again:");
    log_diags(&problems);
    diags_fini(&problems);
    notify("READY=1");
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    event_base_loopbreak(l->d->base);
}

/* A change of policy is told to the audit by whoever sees it first: us. */
static void watch_policy(struct daemon *d)
{
    struct policy_counts counts;
    uint64_t faults;
    char text[128];
    int rc;

    if (d->shared.policy == NULL)
        return;
    rc = policy_store_counts(d->shared.policy, &counts);
    faults = policy_store_health(d->shared.policy).faults;
    if (faults != d->policy_faults)
        verifier_ask(d->verifier);
    d->policy_faults = faults;
    if (rc != 0 || counts.serial == d->policy_serial)
        return;
    verifier_ask(d->verifier);
    d->policy_serial = counts.serial;
    snprintf(text, sizeof text, "policy serial %llu, digest %08x",
             (unsigned long long)counts.serial, (unsigned)(counts.digest >> 32));
    auditor_note(d->auditor, AUDIT_POLICY, text);
}

/* The server's own wishes: some work is ready although its descriptor is
 * silent (control_timeout() is 0). Bounded, so that the API starves nobody. */
static void run_api(struct daemon *d)
{
    enum { ROUNDS = 16 };

    for (int i = 0; i < ROUNDS && d->control != NULL; i++) {
        control_run(d->control);
        if (control_timeout(d->control) != 0)
            return;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;

    (void)fd;
    (void)what;
    free_old_generations(l->d);
    watch_policy(l->d);
    run_api(l->d); /* idle connections end in time */
    if (++l->ticks % SWEEP_TICKS == 0 && l->d->shared.policy != NULL)
        policy_store_sweep(l->d->shared.policy);
}

static void on_api(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    run_api(((struct loop *)arg)->d);
}

/* Policy, audit: what cannot be opened is said and gone without (promise 1). */
static void open_stores(struct daemon *d)
{
    const struct settings *s = d->newest->settings;
    struct diags problems;
    char dir[512];
    int rc;

    diags_init(&problems);
    snprintf(dir, sizeof dir, "%s/policy", s->server.state_dir);
    if ((rc = policy_store_open(&d->shared.policy, dir, POLICY_SERVE, &problems)) != 0) {
        d->shared.policy = NULL;
        keep_problem(&problems, dir, -rc, d->policy_error, sizeof d->policy_error);
        log_error("policy: %s; forwarding goes on without rules", d->policy_error);
    }
    diags_fini(&problems);
    diags_init(&problems);
    if ((rc = auditor_start(&d->auditor, s, d->rings, d->n_workers, &problems)) != 0) {
        d->auditor = NULL;
        snprintf(dir, sizeof dir, "%s/audit", s->server.state_dir);
        keep_problem(&problems, dir, -rc, d->audit_error, sizeof d->audit_error);
        log_error("audit: %s; nothing is recorded", d->audit_error);
    }
    diags_fini(&problems);
}

static int open_cache(struct daemon *d)
{
    struct random random;

    random_init(&random);
    random_bytes(&random, &d->shared.hash_key, sizeof d->shared.hash_key);
    d->shared.cache = cache_new((size_t)d->newest->settings->cache.size, &d->shared.hash_key);
    return d->shared.cache != NULL ? 0 : -ENOMEM;
}

static int make_workers(struct daemon *d, struct listener *listeners, int each)
{
    atomic_fetch_add(&d->newest->pins, (uint32_t)d->n_workers + 1);
    for (int i = 0; i < d->n_workers; i++) {
        d->workers[i] = worker_new(&d->shared, d->newest, NULL, listeners + i * each, each,
                                   d->auditor != NULL ? d->rings[i] : NULL, (unsigned)d->n_workers);
        if (d->workers[i] == NULL)
            return -ENOMEM;
    }
    d->own = worker_new(&d->shared, d->newest, d->base, NULL, 0, NULL, (unsigned)d->n_workers);
    return d->own != NULL ? 0 : -ENOMEM;
}

static void *run_worker(void *worker)
{
    worker_run(worker);
    return NULL;
}

/* Signals are the main thread's; workers are started with all of them blocked, but
 * for those that base/guard.h takes: a fault under a blocked signal is the end. */
static int start_threads(struct loop *l)
{
    sigset_t all, before;
    int rc = 0, n = 0;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (n < l->d->n_workers && rc == 0) {
        rc = pthread_create(&l->threads[n], NULL, run_worker, l->d->workers[n]);
        n += rc == 0;
    }
    if (l->d->shared.policy != NULL &&
        verifier_start(&l->d->verifier, l->d->shared.policy, VERIFY_PAUSE_MS, VERIFY_ROUND_MS) != 0)
        log_error("policy: there is no thread that verifies the store");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static void open_control(struct daemon *d)
{
    struct diags problems;
    int rc;

    diags_init(&problems);
    if ((rc = control_open(&d->control, d->newest->settings->control.socket, daemon_routes, d,
                           &problems)) != 0) {
        d->control = NULL;
        keep_problem(&problems, d->newest->settings->control.socket, -rc, d->control_error,
                     sizeof d->control_error);
        log_error("control: %s; waymarkctl cannot talk to this daemon", d->control_error);
    }
    diags_fini(&problems);
}

static void wake_api(void *arg)
{
    event_active(((struct loop *)arg)->api, EV_READ, 0);
}

static struct event *watch(struct daemon *d, evutil_socket_t fd, short what, event_callback_fn call,
                           void *arg, const struct timeval *period)
{
    struct event *e = event_new(d->base, fd, (short)(what | EV_PERSIST), call, arg);

    if (e != NULL)
        event_add(e, period);
    return e;
}

static void start_loop(struct loop *l)
{
    const struct timeval second = {TICK_S, 0};
    struct daemon *d = l->d;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a size limit is a failed write, not a death */
    l->hangup = watch(d, SIGHUP, EV_SIGNAL, on_hangup, l, NULL);
    l->terminate = watch(d, SIGTERM, EV_SIGNAL, on_stop, l, NULL);
    l->interrupt = watch(d, SIGINT, EV_SIGNAL, on_stop, l, NULL);
    l->tick = watch(d, -1, 0, on_tick, l, &second);
    d->machine_watch =
        machine_watch_new(d->base, "", MACHINE_QUIET_MS, MACHINE_MOST_MS, on_machine, d);
    if (d->control != NULL && (l->api = watch(d, control_fd(d->control), EV_READ, on_api, l, NULL)))
        control_on_answer(d->control, wake_api, l);
}

static void end_loop(struct loop *l)
{
    struct event *events[] = {l->hangup, l->terminate, l->interrupt, l->tick, l->api};

    if (l->d->control != NULL)
        control_on_answer(l->d->control, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (events[i] != NULL)
            event_free(events[i]);
}

static int count_workers(const struct settings *s)
{
    long n = s->server.workers != 0 ? (long)s->server.workers : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > DAEMON_MAX_WORKERS ? DAEMON_MAX_WORKERS : (int)n;
}

/* Each TCP connection is a descriptor, each question in flight one or two; and a
 * worker has its listeners and a few of its own. */
static void raise_descriptors(const struct settings *s, int n_workers)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)s->limits.tcp_connections + 2 * (rlim_t)s->limits.in_flight + 128 +
                  (rlim_t)n_workers * (rlim_t)(2 * s->server.n_listen + 4);

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur =
        limit.rlim_max != RLIM_INFINITY && limit.rlim_max < want ? limit.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < want)
        log_warning(
            "only %llu open files are allowed, %llu may be needed: raise LimitNOFILE, or lower "
            "limits.tcp-connections and limits.in-flight",
            (unsigned long long)limit.rlim_cur, (unsigned long long)want);
}

/* Everything up to the first answer. 0, or an exit code. */
static int start(struct loop *l, struct settings *s, struct diags *problems)
{
    struct daemon *d = l->d;
    struct event_config *config = event_config_new();
    const struct user_dir dirs[] = {{"server.state-dir", s->server.state_dir},
                                    {"server.run-dir", s->server.run_dir},
                                    {NULL, NULL}};
    struct listener *listeners = NULL;
    int each = 0;

    d->n_workers = count_workers(s);
    raise_descriptors(s, d->n_workers);
    d->written = s;
    if ((d->newest = generation_new(s)) == NULL || config == NULL)
        return EXIT_FAILURE;
    d->newest->settings->generation = ++d->generations;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    d->base = event_base_new_with_config(config);
    event_config_free(config);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (bind_listeners(s, d->n_workers, &listeners, &each, problems) != 0 ||
        user_become(s->server.user, dirs, problems) != 0)
        return EXIT_FAILURE;
    for (int i = 0; i < d->n_workers; i++)
        if ((d->rings[i] = audit_ring_new(RING_BYTES)) == NULL)
            return EXIT_FAILURE;
    open_stores(d);
    if (d->base == NULL || open_cache(d) != 0 || make_workers(d, listeners, each) != 0) {
        diags_add(problems, NULL, 0, 0,
                  "out of memory at start; lower cache.size or server.workers");
        return EXIT_FAILURE;
    }
    free(listeners);
    open_control(d);
    start_loop(l);
    return start_threads(l) == 0 ? 0 : EXIT_FAILURE;
}

static void say_started(const struct daemon *d)
{
    const struct settings *s = d->newest->settings;
    char text[ADDR_TEXT];

    for (int i = 0; i < s->server.n_listen; i++)
        log_info("listening on %s", addr_print_port(&s->server.listen[i], text));
    log_notice("started: %d worker%s, policy serial %llu", d->n_workers,
               d->n_workers == 1 ? "" : "s", (unsigned long long)d->policy_serial);
}

void daemon_stop(struct daemon *d)
{
    control_close(d->control);
    for (int i = 0; i < d->n_workers; i++)
        worker_free(d->workers[i]);
    worker_free(d->own);
    verifier_stop(d->verifier);
    auditor_note(d->auditor, AUDIT_STOP, "stopped");
    auditor_stop(d->auditor);
    for (int i = 0; i < d->n_workers; i++)
        audit_ring_free(d->rings[i]);
    if (d->shared.policy != NULL)
        policy_store_close(d->shared.policy);
    cache_free(d->shared.cache);
    for (int i = 0; i < d->n_old; i++)
        generation_free(d->old[i]);
    generation_free(d->newest);
    settings_free(d->written);
    machine_watch_free(d->machine_watch);
    if (d->base != NULL)
        event_base_free(d->base);
}

int daemon_run(const char *settings_path, const char *const *assign)
{
    static struct daemon d;
    struct loop l = {.d = &d};
    struct settings *s;
    struct diags problems;
    int code;

    d = (struct daemon){.settings_path = settings_path,
                        .assign = assign,
                        .started = clock_now(),
                        .read = clock_now()};
    diags_init(&problems);
    if (daemon_read_settings(settings_path, assign, &s, &problems) != 0) {
        log_diags(&problems);
        diags_fini(&problems);
        return EXIT_INVALID;
    }
    log_set_level((enum log_level)s->server.log_level);
    code = start(&l, s, &problems);
    log_diags(&problems);
    diags_fini(&problems);
    if (code != 0)
        return code; /* nothing runs yet: the process ends, and all with it */
    watch_policy(&d);
    auditor_note(d.auditor, AUDIT_START, "started, version " PACKAGE_VERSION);
    say_started(&d);
    notify("READY=1");
    event_base_dispatch(d.base);
    notify("STOPPING=1");
    end_loop(&l); /* signals are the system's again: a second SIGTERM ends us at once */
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < d.n_workers; i++) {
        worker_post(d.workers[i], worker_stop, NULL);
        pthread_join(l.threads[i], NULL);
    }
    daemon_stop(&d);
    log_notice("stopped");
    return 0;
}
