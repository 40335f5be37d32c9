/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.c -- the running process. Its parts end in the order of their use: workers first,
 * then the auditor (it drains their rings), then stores and cache.
 */
#include "resolver/daemon.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/file.h"
#include "resolver/confine.h"
#include "resolver/machine.h"
#include "resolver/stream.h"

enum { RING_BYTES = 8 << 20, TICK_MS = 500, LIBEVENT_MS = 1000 };
enum { VERIFY_PAUSE_MS = 60 * 1000, VERIFY_ROUND_MS = 3600 * 1000, KEEP_ROUND_MS = 3600 * 1000 };

/* sd_notify(3): one datagram, for which libsystemd would be a large dependency. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    if (path == NULL || !str_copy(to.sun_path, sizeof to.sun_path, path) ||
        (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
        return;
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

static void log_diags(struct diags *d)
{
    for (size_t i = 0; i < d->n; i++)
        log_error("%s", d->list[i]);
    diags_fini(d);
}

/* A part cannot be had: why is kept for `status` and logged, with what is so without it. d is
 * empty then. */
static void do_without(char out[DAEMON_PROBLEM], struct diags *d, const char *part,
                       const char *without)
{
    snprintf(out, DAEMON_PROBLEM, "%s", d->n > 0 ? d->list[0] : strerror(ENOMEM));
    diags_fini(d);
    log_error("%s: %s; %s", part, out, without);
}

/* A copy with the machine's networks as they are now. NULL when out of memory. */
static struct settings *generation_new(const struct daemon *d, const struct settings *written)
{
    const bool has_file = written->limits.cookie_secret_file[0] != '\0';
    struct settings *s;

    if (settings_copy(&s, written) != 0)
        return NULL;
    if (tls_make(s, written, NULL) != 0) {
        settings_free(s);
        return NULL;
    }
    machine_networks(s);
    memcpy(s->cookie_keys, has_file ? written->cookie_keys : d->cookie_keys, sizeof s->cookie_keys);
    s->users = 1;
    return s;
}

/* The servers of a route; of the route behind the last the networks that `other` has not, where
 * they decide who may ask. */
static const char *list_side(char out[1024], const struct settings *of,
                             const struct settings *other, int route)
{
    int n = route < of->n_routes ? of->routes[route].n_servers : 0, k;
    char one[ADDR_TEXT];
    struct str s;

    str_init(&s, out, 1024);
    for (int i = 0; i < n; i++)
        str_addf(&s, " %s", addr_print_port(&of->routes[route].servers[i], one));
    for (int i = 0; route == of->n_routes && of->access == NULL && i < of->n_machine; i++) {
        for (k = 0; k < other->n_machine; k++)
            if (prefix_same(&other->machine[k].net, &of->machine[i].net))
                break;
        if (k >= other->n_machine)
            str_addf(&s, " %s", prefix_print(&of->machine[i].net, one));
    }
    return s.len > 0 ? out : " none";
}

static void put_in_force(struct daemon *d, struct settings *g)
{
    g->generation = d->newest->generation + 1;
    generation_release(d->newest);
    d->newest = g;
    d->keeper.stale_ms = g->cache.serve_stale_ms;
    atomic_fetch_add(&g->users, (uint32_t)d->n_workers + 1);
    for (int i = 0; i <= d->n_workers; i++)
        worker_post(d->workers[i], worker_take, g);
}

int daemon_read_settings(const char *path, const char *const *assign, struct settings **out,
                         struct diags *d)
{
    const char *secrets;

    if (settings_read(out, path, assign, d) != 0)
        return -EINVAL;
    secrets = (*out)->limits.cookie_secret_file;
    if ((secrets[0] == '\0' || cookie_keys_read((*out)->cookie_keys, secrets, d) == 0) &&
        machine_routes(*out, "", d) == 0 && tls_make(*out, NULL, d) == 0)
        return 0;
    settings_free(*out);
    return -EINVAL;
}

int daemon_reload(struct daemon *d, settings_change *change, void *context, struct diags *diags)
{
    struct settings *s, *g;

    if (daemon_read_settings(d->settings_path, d->assign, &s, diags) != 0)
        return -EINVAL;
    if (change)
        settings_compare(d->newest, s, change, context);
    if (settings_keep(s, d->newest, diags) != 0 || machine_routes(s, "", diags) != 0 ||
        confine_check(s, diags) != 0 || (g = generation_new(d, s)) == NULL) {
        settings_free(s);
        return -EINVAL;
    }
    settings_free(d->written);
    d->written = s;
    put_in_force(d, g);
    d->read = clock_now();
    auditor_note(&d->auditor, AUDIT_SETTINGS, "settings read again", s);
    d->machine_moved = true; /* a problem may have ended with this */
    return 0;
}

/* SIGHUP reloads; others end the loop. */
static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *d = arg;
    struct diags problems = {0};
    char text[64];

    (void)what;
    if (number != SIGHUP) {
        event_base_loopbreak(d->own->base);
        return;
    }
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_us());
    notify(text);
    if (daemon_reload(d, NULL, NULL, &problems) == 0)
        log_notice("settings read again: generation %llu",
                   (unsigned long long)d->newest->generation);
    else
        log_error("settings not changed; correct these and reload again:");
    log_diags(&problems);
    notify("READY=1");
}

/* When the machine has moved, one tick later: the settings as they were read, with its addresses
 * and resolv.conf as they are then. */
static void watch_machine(struct daemon *d)
{
    const struct settings *s = d->written->routes_found ? d->newest : d->written;
    uint64_t fingerprint = machine_fingerprint("");
    bool due = d->machine_moved;
    char text[900], side[2][1024], zone[NAME_TEXT];
    const char *problem;
    struct settings *g;
    struct diags problems = {0};
    struct str changes;

    d->machine_moved = fingerprint != d->machine_fingerprint;
    d->machine_fingerprint = fingerprint;
    if (!due)
        return;
    cache_forgive(d->cache, clock_now().mono_ms); /* perhaps it failed for want of a way there */
    g = generation_new(d, s);
    if (g == NULL || (g->n_machine < 0 && d->newest->n_machine >= 0) ||
        machine_routes(g, "", &problems) == -ENOMEM) {
        d->machine_moved = true; /* short of something that comes back */
        goto end;
    }
    if (g->n_machine < 0)
        diags_tell(&problems, "changes of its addresses may go unseen: %s; reload after each",
                   strerror(-g->n_machine));
    problem = problems.n > 0 ? problems.list[0] : "";
    if (strncmp(problem, d->machine_error, DAEMON_PROBLEM - 1) != 0)
        log_warning("machine: %s", problem[0] != '\0' ? problem : "that problem is over");
    snprintf(d->machine_error, DAEMON_PROBLEM, "%s", problem);
    str_init(&changes, text, sizeof text);
    for (int i = 0; i <= g->n_routes; i++) {
        const char *was = list_side(side[0], d->newest, g, i);
        const char *is = list_side(side[1], g, d->newest, i);

        if (strcmp(was, is) != 0)
            str_addf(&changes, "%s%s%s%s ->%s", changes.len > 0 ? ", " : "",
                     i < g->n_routes ? "servers of " : "networks",
                     i < g->n_routes ? name_print(&g->routes[i].zone, zone) : "", was, is);
    }
    if (changes.len == 0) {
        log_debug("machine: nothing changed");
        goto end;
    }
    put_in_force(d, g);
    g = NULL;
    log_notice("machine: %s", text);
    auditor_note(&d->auditor, AUDIT_SETTINGS, text, NULL);
end:
    generation_release(g);
    diags_fini(&problems);
}

static void watch_policy(struct daemon *d)
{
    struct policy_counts counts;
    uint64_t faults;
    char text[128], digest[POLICY_DIGEST_TEXT];

    if (d->policy == NULL)
        return;
    store_sweep(d->policy);
    faults = store_health(d->policy).faults;
    d->verifier.asked = d->verifier.asked || faults != d->policy_faults;
    d->policy_faults = faults;
    if (policy_store_counts(d->policy, &counts) == 0 && counts.serial != d->policy_serial) {
        d->verifier.asked = true;
        d->policy_serial = counts.serial;
        snprintf(text, sizeof text, "policy serial %llu, digest %s",
                 (unsigned long long)counts.serial, policy_digest_print(counts.digest, digest));
        auditor_note(&d->auditor, AUDIT_POLICY, text, NULL);
    }
    verifier_tick(&d->verifier);
}

/* A descriptor more than is needed; -1 when none is left. */
static int spare_descriptor(void)
{
    return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
}

/* The main loop runs, or this would not be called; a worker that has not come to its mail since the
 * last tick is waited for. systemd ends us when it hears nothing for WatchdogSec. */
static void watch_workers(struct daemon *d)
{
    bool all = true;

    for (int i = 0; i < d->n_workers; i++) {
        if (atomic_exchange(&d->workers[i]->alive, false))
            worker_post(d->workers[i], worker_beat, NULL);
        else
            all = false;
    }
    if (all)
        notify("WATCHDOG=1");
}

/* Each tick, and whenever the API has something. When no descriptor is left, a request that waits
 * for one would wake us without end: then at each tick it gets the spare one. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    int more = spare_descriptor();

    (void)fd;
    if (more >= 0) {
        close(more);
    } else if ((what & EV_TIMEOUT) == 0) {
        event_del(d->on_control);
        return;
    } else if (d->spare >= 0) {
        close(d->spare);
        d->spare = -1;
    }
    control_run(d->control); /* with a tick idle connections end in time */
    if (d->spare < 0)
        d->spare = spare_descriptor();
    if ((what & EV_TIMEOUT) == 0)
        return;
    if (d->on_control)
        event_add(d->on_control, NULL);
    watch_machine(d);
    watch_policy(d);
    keeper_tick(&d->keeper);
    if (d->watched)
        watch_workers(d);
}

/* What libevent has to say of a call that failed: it may do so for each question. */
static void on_libevent(int severity, const char *text)
{
    static _Atomic uint64_t told_ms;
    uint64_t now_ms = clock_now().mono_ms, last = atomic_load(&told_ms);

    if (severity == EVENT_LOG_ERR) /* the end of the process */
        log_error("libevent: %s", text);
    else if (now_ms - last >= LIBEVENT_MS &&
             atomic_compare_exchange_strong(&told_ms, &last, now_ms))
        log_warning("libevent: %s; others like it within a second are not told", text);
}

/* Stores (or without them), cache and workers. 0 or -ENOMEM. */
static int make_parts(struct daemon *d, const int *listeners)
{
    const struct settings *s = d->newest;
    struct diags problems = {0};
    struct random random = {.left = 0};
    struct hash_key key;
    char dir[512];

    snprintf(dir, sizeof dir, "%s/policy", s->server.state_dir);
    if (store_open(&d->policy, dir, STORE_SERVE, &problems) != 0)
        do_without(d->policy_error, &problems, "policy", "forwarding goes on without rules");
    if (auditor_start(&d->auditor, s, d->rings, d->n_workers, &problems) != 0)
        do_without(d->audit_error, &problems, "audit", "nothing is recorded");
    random_bytes(&random, &key, sizeof key);
    if ((d->cache = cache_new((size_t)s->cache.size, &key)) == NULL)
        return -ENOMEM;
    random_bytes(&random, &key, sizeof key);
    if ((d->ratelimit = ratelimit_new(&key)) == NULL || (d->loops = loops_new(d->cache)) == NULL)
        return -ENOMEM;
    d->verifier = (struct verifier){
        .store = d->policy, .pause_ms = VERIFY_PAUSE_MS, .round_ms = VERIFY_ROUND_MS};
    atomic_fetch_add(&d->newest->users, (uint32_t)d->n_workers + 1);
    for (int i = 0; i <= d->n_workers; i++, listeners += 2 * s->server.n_listen) {
        d->workers[i] = worker_new(d->cache, d->policy, d->ratelimit, d->loops, d->newest,
                                   listeners, i < d->n_workers ? s->server.n_listen : 0,
                                   d->auditor.writer ? d->rings[i] : NULL, (unsigned)d->n_workers);
        if (d->workers[i] == NULL)
            return -ENOMEM;
    }
    d->own = d->workers[d->n_workers];
    d->prober = prober_new(d->workers, d->n_workers);
    return d->prober ? 0 : -ENOMEM;
}

static struct event *watch(struct daemon *d, evutil_socket_t fd, short what, event_callback_fn call,
                           const struct timeval *period)
{
    struct event *e = event_new(d->own->base, fd, (short)(what | EV_PERSIST), call, d);

    if (e == NULL)
        return NULL;
    event_add(e, period);
    d->events[d->n_events++] = e;
    return e;
}

/* Everything up to the first answer. 0, or an exit code. */
static int start(struct daemon *d, struct settings *s, struct diags *problems)
{
    const struct user_dir dirs[] = {{"server.state-dir", s->server.state_dir},
                                    {"server.run-dir", s->server.run_dir},
                                    {NULL, NULL}};
    const struct timeval period = {0, TICK_MS * 1000};
    long n = s->server.workers != 0 ? (long)s->server.workers : sysconf(_SC_NPROCESSORS_ONLN);
    char problem[DAEMON_PROBLEM];
    struct random random = {.left = 0};
    int *listeners = NULL;
    struct rlimit files;
    int fd, rc = 0;

    log_set_level((int)s->server.log_level);
    d->n_workers = n < 1 ? 1 : n > DAEMON_MAX_WORKERS ? DAEMON_MAX_WORKERS : (int)n;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a connection is one, a question one or two */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    d->written = s;
    random_bytes(&random, d->cookie_keys, sizeof d->cookie_keys);
    if ((d->newest = generation_new(d, s)) == NULL)
        return EXIT_FAILURE;
    d->newest->generation = 1;
    if (listen_bind(s, d->n_workers, &listeners, problems) != 0)
        return EXIT_FAILURE;
    confine_bounds();
    if (user_become(s->server.user, dirs, problems) != 0 || confine(s, problems) != 0)
        return EXIT_FAILURE;
    for (int i = 0; i < d->n_workers; i++)
        if ((d->rings[i] = audit_ring_new(RING_BYTES)) == NULL)
            return EXIT_FAILURE;
    if (make_parts(d, listeners) != 0)
        return EXIT_FAILURE;
    free(listeners);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a size limit is a failed write, not a death */
    watch(d, SIGHUP, EV_SIGNAL, on_signal, NULL);
    watch(d, SIGTERM, EV_SIGNAL, on_signal, NULL);
    watch(d, SIGINT, EV_SIGNAL, on_signal, NULL);
    watch(d, -1, 0, on_wake, &period);
    if ((fd = control_open(&d->control, s->control.socket, daemon_routes, d, problems)) >= 0)
        d->on_control = watch(d, fd, EV_READ, on_wake, NULL);
    else
        do_without(problem, problems, "control", "waymarkctl cannot talk to this daemon");
    for (int i = 0; i < d->n_workers && rc == 0; i++)
        rc = thread_start(&d->threads[i], worker_run, d->workers[i]);
    if (rc != 0)
        diags_tell(problems,
                   "a thread for each of %d workers cannot be had: %s; lower server.workers",
                   d->n_workers, strerror(-rc));
    return rc == 0 ? 0 : EXIT_FAILURE;
}

int daemon_run(const char *settings_path, const char *const *assign)
{
    static struct daemon d;
    struct settings *s;
    struct diags problems = {0};
    char text[ADDR_TEXT];
    int code;

    d = (struct daemon){.settings_path = settings_path,
                        .assign = assign,
                        .spare = -1,
                        .watched = getenv("WATCHDOG_USEC") != NULL,
                        .started = clock_now(),
                        .read = clock_now()};
    event_set_log_callback(on_libevent);
    code = daemon_read_settings(settings_path, assign, &s, &problems) != 0
               ? EXIT_INVALID
               : start(&d, s, &problems);
    if (code != 0 && problems.n == 0)
        diags_tell(&problems, "out of memory at start; lower cache.size or server.workers");
    log_diags(&problems);
    if (code != 0)
        return code;
    watch_policy(&d);
    for (int i = 0; i < s->server.n_listen; i++)
        log_info("listening on %s", addr_print_port(&s->server.listen[i], text));
    log_notice("started: %d worker%s, policy serial %llu", d.n_workers, d.n_workers == 1 ? "" : "s",
               (unsigned long long)d.policy_serial);
    notify("READY=1");
    keeper_start(&d.keeper, d.cache, d.newest, KEEP_ROUND_MS);
    worker_run(d.own);
    notify("STOPPING=1");
    for (int i = 0; i < d.n_events; i++)
        event_free(d.events[i]); /* a second SIGTERM ends us at once */
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < d.n_workers; i++) {
        worker_post(d.workers[i], worker_end, NULL);
        pthread_join(d.threads[i], NULL);
    }
    control_close(d.control);
    prober_stop(d.prober);
    for (int i = 0; i <= d.n_workers; i++)
        worker_free(d.workers[i]);
    verifier_stop(&d.verifier);
    auditor_note(&d.auditor, AUDIT_STOP, "stopped", NULL);
    auditor_stop(&d.auditor);
    store_close(d.policy);
    keeper_stop(&d.keeper); /* last: this alone is a loss that nobody notices */
    cache_free(d.cache);
    free(d.ratelimit);
    free(d.loops);
    log_notice("stopped");
    return 0;
}
