/* SPDX-License-Identifier: BSD-2-Clause
 *
 * auditor.c -- the thread that runs the audit writer.
 *
 * The writer wants to be called by one thread and to be told the time. Notes
 * and new limits come from the main thread through a small box under a mutex;
 * the workers' events come through the rings and need none.
 *
 * Why a thread of its own: a commit waits for the disk, and nobody else may.
 */
#include "resolver/auditor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum { NOTES_MAX = 32 };

struct note {
    enum audit_kind kind;
    char text[128];
};

struct auditor {
    struct audit_writer *writer; /* owned; used by the thread alone but for stats */
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake;
    struct note notes[NOTES_MAX];
    int n_notes;
    struct audit_limits limits;
    bool new_limits, stop;
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
        .privacy = s->audit.client_address == CLIENT_PREFIX ? AUDIT_PREFIX : AUDIT_FULL,
    };
}

static void *run_auditor(void *arg)
{
    struct auditor *a = arg;
    struct audit_writer_stats stats;
    bool stop = false, in_trouble = false;

    while (!stop) {
        uint64_t due_us = clock_us() + audit_writer_step(a->writer, clock_now(), false) * 1000;
        const struct timespec due = {.tv_sec = (time_t)(due_us / 1000000),
                                     .tv_nsec = (long)(due_us % 1000000 * 1000)};

        audit_writer_stats(a->writer, &stats);
        if (stats.last_error != 0 && !in_trouble)
            log_error("audit: a commit failed: %s; events wait in memory, and are dropped and "
                      "counted when it is full",
                      strerror(stats.last_error));
        else if (stats.last_error == 0 && in_trouble)
            log_notice("audit: events are written again; %llu were dropped since the start",
                       (unsigned long long)stats.dropped);
        in_trouble = stats.last_error != 0;
        pthread_mutex_lock(&a->lock);
        while (!a->stop && a->n_notes == 0 && !a->new_limits &&
               pthread_cond_clockwait(&a->wake, &a->lock, CLOCK_MONOTONIC, &due) != ETIMEDOUT)
            ;
        if (a->new_limits)
            audit_writer_limits(a->writer, &a->limits);
        a->new_limits = false;
        for (int i = 0; i < a->n_notes; i++)
            audit_writer_control(a->writer, a->notes[i].kind, clock_now(), a->notes[i].text);
        a->n_notes = 0;
        stop = a->stop;
        pthread_mutex_unlock(&a->lock);
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
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
    if ((rc = pthread_create(&a->thread, NULL, run_auditor, a)) != 0) {
        audit_writer_close(a->writer, clock_now());
        rc = -rc;
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
    pthread_mutex_lock(&a->lock);
    if (a->n_notes < NOTES_MAX) { /* more within one interval say nothing new */
        a->notes[a->n_notes].kind = kind;
        snprintf(a->notes[a->n_notes].text, sizeof a->notes[0].text, "%s", text);
        a->n_notes++;
    }
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void auditor_reload(struct auditor *a, const struct settings *s)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->limits = limits_of(s);
    a->new_limits = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void auditor_stats(struct auditor *a, struct audit_writer_stats *out)
{
    audit_writer_stats(a->writer, out);
}

void auditor_stop(struct auditor *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->wake);
    free(a);
}
