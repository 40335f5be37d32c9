/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.h -- the running process: its parts, their start, reload and stop.
 *
 * Order of start: settings, sockets, rights, stores, cache, workers, API. Policy, audit and API
 * that fail do not stop it: the daemon forwards all the same, and `status` says so.
 */
#ifndef RESOLVER_DAEMON_H
#define RESOLVER_DAEMON_H

#include "control/control.h"
#include "policy/records.h"
#include "resolver/threads.h"

enum { DAEMON_MAX_WORKERS = 256, DAEMON_PROBLEM = 600 };
enum { EXIT_INVALID = 5 }; /* the settings have problems */

struct daemon {
    const char *settings_path; /* NULL: the default file */
    const char *const *assign; /* -o, ended by NULL */
    /* Drawn at the start, for cookies without limits.cookie-secret-file. */
    struct hash_key cookie_keys[COOKIE_KEYS];
    struct settings *written; /* as read, owned; each generation has a copy */
    struct settings *newest;  /* used */
    struct cache *cache;
    struct ratelimit *ratelimit;
    struct loops *loops;
    struct store *policy; /* NULL: not usable; then decisions are `no rules` */
    int n_workers;        /* with a thread and a ring */
    struct worker *workers[DAEMON_MAX_WORKERS + 1]; /* and behind them `own` */
    pthread_t threads[DAEMON_MAX_WORKERS];
    struct audit_ring *rings[DAEMON_MAX_WORKERS + 1];
    struct worker *own; /* the main thread's worker, whose loop is the main loop */
    struct auditor auditor;
    struct verifier verifier;
    struct keeper keeper;
    struct prober *prober;
    struct control *control; /* NULL: not usable */
    struct event *events[8]; /* owned: signals, the tick, the API's */
    int n_events;
    struct event *on_control;     /* borrowed; NULL: there is no API */
    int spare;                    /* a descriptor for a request that finds no other; -1: none */
    uint64_t machine_fingerprint; /* last seen */
    bool watched;                 /* by systemd, WatchdogSec */
    bool machine_moved;           /* it was another one */
    struct now started, read;     /* settings were read */
    uint64_t policy_serial;       /* last seen, for the audit's control records */
    uint64_t policy_faults;       /* last seen */
    /* "" = fine */
    char policy_error[DAEMON_PROBLEM], audit_error[DAEMON_PROBLEM], machine_error[DAEMON_PROBLEM];
};

/* Reads settings, the secrets that they name, and the routes that the machine tells. 0, or -EINVAL with every problem in d. */
int daemon_read_settings(const char *path, const char *const *assign, struct settings **out,
                         struct diags *d);

/* The whole life; returns the exit code. Logs. */
int daemon_run(const char *settings_path, const char *const *assign);

/* Reads the settings again and gives them to all. 0; -EINVAL with every
 * problem in d: then nothing changed. change may be NULL. */
int daemon_reload(struct daemon *, settings_change *, void *context, struct diags *d);

/* The API, resolver/routes.c. */
extern const struct control_route daemon_routes[];

#endif
