/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c -- the auditor and the verifier.
 *
 * Why threads of their own: a commit of the audit waits for the disk, and no other
 * thread may wait for it. Reading a policy of a million suffixes takes 50 ms, and
 * much longer from a cold or failing disk.
 *
 * The audit writer must be called by one thread and be told the time. Notes and new
 * limits come from the main thread through a small box under a mutex; the workers'
 * events come through the rings and need no mutex.
 */
#include "resolver/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

/* A thread that sleeps, until it is time or until it is told something. */
struct sleeper {
    pthread_t thread;
    pthread_mutex_t lock; /* for what it is told */
    pthread_cond_t wake;
    atomic_bool stop;
};

static int sleeper_start(struct sleeper *s, void *(*run)(void *), void *arg)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    return -pthread_create(&s->thread, NULL, run, arg);
}

/* Under the lock. It may wake up early. */
static void sleeper_sleep(struct sleeper *s, uint64_t ms)
{
    uint64_t us = clock_us() + ms * 1000;
    const struct timespec until = {.tv_sec = (time_t)(us / 1000000),
                                   .tv_nsec = (long)(us % 1000000 * 1000)};

    pthread_cond_clockwait(&s->wake, &s->lock, CLOCK_MONOTONIC, &until);
}

/* Ends the lock under which it was told something. */
static void sleeper_wake(struct sleeper *s)
{
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static void sleeper_stop(struct sleeper *s)
{
    atomic_store(&s->stop, true); /* before the lock: a verification ends for it */
    pthread_mutex_lock(&s->lock);
    sleeper_wake(s);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
}

/* ---- the auditor ---- */

enum { NOTES_MAX = 32 };

struct note {
    enum audit_kind kind;
    char text[128];
};

struct auditor {
    struct audit_writer *writer; /* owned; used by the thread alone but for stats */
    struct sleeper sleeper;      /* its lock is for all below */
    struct note notes[NOTES_MAX];
    int n_notes;
    struct audit_limits limits;
    bool new_limits;
};

static struct audit_limits limits_of(const struct settings *s)
{
    return (struct audit_limits){
        .retention_ms = s->audit.retention_ms,
        .ledger_retention_ms = s->audit.ledger_retention_ms,
        .max_size = s->audit.max_size,
        .commit_interval_ms = s->audit.commit_interval_ms,
        .max_rate = s->audit.max_rate,
        .max_rate_client = s->audit.max_rate_client,
        .max_clients = s->audit.max_clients,
        .max_suffixes = s->audit.max_suffixes,
        .prefix_only = s->audit.client_address == CLIENT_PREFIX,
    };
}

static void *run_auditor(void *arg)
{
    struct auditor *a = arg;
    struct audit_writer_stats stats;
    bool stop = false, in_trouble = false;

    while (!stop) {
        uint64_t ms = audit_writer_step(a->writer, clock_now(), false);

        audit_writer_stats(a->writer, &stats);
        if (stats.last_error != 0 && !in_trouble)
            log_error("audit: a commit failed: %s; events wait in memory, and are dropped and "
                      "counted when it is full",
                      strerror(stats.last_error));
        else if (stats.last_error == 0 && in_trouble)
            log_notice("audit: events are written again; %llu were dropped since the start",
                       (unsigned long long)stats.dropped);
        in_trouble = stats.last_error != 0;
        pthread_mutex_lock(&a->sleeper.lock);
        if (!a->sleeper.stop && a->n_notes == 0 && !a->new_limits)
            sleeper_sleep(&a->sleeper, ms);
        if (a->new_limits)
            audit_writer_limits(a->writer, &a->limits);
        a->new_limits = false;
        for (int i = 0; i < a->n_notes; i++)
            audit_writer_control(a->writer, a->notes[i].kind, clock_now(), a->notes[i].text);
        a->n_notes = 0;
        stop = a->sleeper.stop;
        pthread_mutex_unlock(&a->sleeper.lock);
    }
    audit_writer_close(a->writer, clock_now());
    return NULL;
}

int auditor_start(struct auditor **out, const struct settings *s, struct audit_ring *const *rings,
                  int n, struct diags *d)
{
    struct auditor *a = calloc(1, sizeof *a);
    char dir[512];
    int rc;

    if (a == NULL)
        return -ENOMEM;
    snprintf(dir, sizeof dir, "%s/audit", s->server.state_dir);
    a->limits = limits_of(s);
    if ((rc = audit_writer_open(&a->writer, dir, s->server.name, &a->limits, d)) != 0)
        goto fail;
    for (int i = 0; i < n; i++)
        audit_writer_attach(a->writer, rings[i]);
    if ((rc = sleeper_start(&a->sleeper, run_auditor, a)) != 0) {
        audit_writer_close(a->writer, clock_now());
        goto fail;
    }
    *out = a;
    return 0;
fail:
    free(a);
    return rc;
}

void auditor_note(struct auditor *a, enum audit_kind kind, const char *text)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->sleeper.lock);
    if (a->n_notes < NOTES_MAX) { /* more within one interval say nothing new */
        a->notes[a->n_notes].kind = kind;
        snprintf(a->notes[a->n_notes].text, sizeof a->notes[0].text, "%s", text);
        a->n_notes++;
    }
    sleeper_wake(&a->sleeper);
}

void auditor_reload(struct auditor *a, const struct settings *s)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->sleeper.lock);
    a->limits = limits_of(s);
    a->new_limits = true;
    sleeper_wake(&a->sleeper);
}

void auditor_stats(struct auditor *a, struct audit_writer_stats *out)
{
    audit_writer_stats(a->writer, out);
}

void auditor_stop(struct auditor *a)
{
    if (a == NULL)
        return;
    sleeper_stop(&a->sleeper);
    free(a);
}

/* ---- the verifier ---- */

struct verifier {
    struct store *store; /* borrowed */
    uint64_t pause_ms, round_ms;
    struct sleeper sleeper; /* its lock is for all below */
    bool asked;
    uint64_t verified_ms;
    char found[VERIFIER_TEXT];
};

static void *run_verifier(void *arg)
{
    struct verifier *v = arg;

    pthread_mutex_lock(&v->sleeper.lock);
    while (!atomic_load(&v->sleeper.stop)) {
        uint64_t began_ms = clock_now().mono_ms, due_ms, now_ms;
        struct diags d;
        int rc;

        v->asked = false;
        pthread_mutex_unlock(&v->sleeper.lock);
        diags_init(&d);
        rc = store_verify(v->store, &v->sleeper.stop, &d);
        pthread_mutex_lock(&v->sleeper.lock);
        if (rc == 0 || rc == -EBADMSG) {
            const char *found = d.n > 0 ? d.list[0].text : "";

            if (found[0] != '\0' && strcmp(v->found, found) != 0)
                log_error("policy: %s", found);
            else if (found[0] == '\0' && v->found[0] != '\0')
                log_notice("policy: the store is sound again");
            str_copy(v->found, sizeof v->found, found);
            v->verified_ms = clock_now().wall_ms;
        }
        diags_fini(&d);
        while (!atomic_load(&v->sleeper.stop) &&
               (due_ms = began_ms + (v->asked ? v->pause_ms : v->round_ms)) >
                   (now_ms = clock_now().mono_ms))
            sleeper_sleep(&v->sleeper, due_ms - now_ms);
    }
    pthread_mutex_unlock(&v->sleeper.lock);
    return NULL;
}

int verifier_start(struct verifier **out, struct store *store, uint64_t pause_ms, uint64_t round_ms)
{
    struct verifier *v = calloc(1, sizeof *v);
    int rc;

    if (v == NULL)
        return -ENOMEM;
    v->store = store;
    v->pause_ms = pause_ms;
    v->round_ms = round_ms;
    if ((rc = sleeper_start(&v->sleeper, run_verifier, v)) != 0) {
        free(v);
        return rc;
    }
    *out = v;
    return 0;
}

void verifier_ask(struct verifier *v)
{
    if (v == NULL)
        return;
    pthread_mutex_lock(&v->sleeper.lock);
    v->asked = true;
    sleeper_wake(&v->sleeper);
}

uint64_t verifier_found(struct verifier *v, char out[VERIFIER_TEXT])
{
    uint64_t verified_ms;

    pthread_mutex_lock(&v->sleeper.lock);
    str_copy(out, VERIFIER_TEXT, v->found);
    verified_ms = v->verified_ms;
    pthread_mutex_unlock(&v->sleeper.lock);
    return verified_ms;
}

void verifier_stop(struct verifier *v)
{
    if (v == NULL)
        return;
    sleeper_stop(&v->sleeper);
    free(v);
}
