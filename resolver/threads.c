/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c -- the auditor and the verifier.
 *
 * Why threads of their own: a commit of the audit waits for the disk, and no other
 * thread may wait for it. Reading a policy of a million suffixes takes 50 ms, and
 * much longer from a cold or failing disk.
 *
 * The audit writer must be called by one thread and be told the time. Notes and new
 * limits come from the main thread through a pipe, which also wakes the auditor, and
 * whose end is its end; the workers' events come through the rings.
 */
#include "resolver/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/log.h"
#include "base/str.h"

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

/* ---- the auditor ---- */

struct auditor {
    struct audit_writer *writer; /* owned; used by the thread alone but for stats */
    pthread_t thread;
    int box[2]; /* a pipe of notes */
};

struct note {
    enum audit_kind kind;
    bool has_limits;
    struct audit_limits limits;
    char text[128];
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
    struct pollfd box = {.fd = a->box[0], .events = POLLIN};
    struct audit_writer_stats stats;
    bool in_trouble = false;
    struct note note;
    ssize_t n = -1;

    while (n != 0) { /* until the box is closed */
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

int auditor_start(struct auditor **out, const struct settings *s, struct audit_ring *const *rings,
                  int n, struct diags *d)
{
    const struct audit_limits limits = limits_of(s);
    struct auditor *a = calloc(1, sizeof *a);
    char dir[512];
    int rc;

    if (a == NULL || pipe2(a->box, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(a);
        return -ENOMEM;
    }
    snprintf(dir, sizeof dir, "%s/audit", s->server.state_dir);
    rc = audit_writer_open(&a->writer, dir, s->server.name, &limits, d);
    for (int i = 0; rc == 0 && i < n; i++)
        audit_writer_attach(a->writer, rings[i]);
    if (rc == 0 && (rc = thread_start(&a->thread, run_auditor, a)) == 0) {
        *out = a;
        return 0;
    }
    if (a->writer != NULL)
        audit_writer_close(a->writer, clock_now());
    close(a->box[0]);
    close(a->box[1]);
    free(a);
    return rc;
}

void auditor_note(struct auditor *a, enum audit_kind kind, const char *text,
                  const struct settings *s)
{
    struct note note = {.kind = kind, .has_limits = s != NULL};

    if (a == NULL)
        return;
    if (s != NULL)
        note.limits = limits_of(s);
    snprintf(note.text, sizeof note.text, "%s", text);
    (void)!write(a->box[1], &note, sizeof note);
}

void auditor_stats(struct auditor *a, struct audit_writer_stats *out)
{
    audit_writer_stats(a->writer, out);
}

void auditor_stop(struct auditor *a)
{
    if (a == NULL)
        return;
    close(a->box[1]);
    pthread_join(a->thread, NULL);
    close(a->box[0]);
    free(a);
}

/* ---- the verifier ---- */

static void *run_verifier(void *arg)
{
    struct verifier *v = arg;

    diags_init(&v->diags);
    v->rc = store_verify(v->store, &v->stop, &v->diags);
    atomic_store(&v->done, true);
    return NULL;
}

static void take_result(struct verifier *v)
{
    const char *found = v->diags.n > 0 ? v->diags.list[0].text : "";

    pthread_join(v->thread, NULL);
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

void verifier_tick(struct verifier *v)
{
    uint64_t now_ms = clock_now().mono_ms;

    if (v->running && atomic_load(&v->done))
        take_result(v);
    if (v->store == NULL || v->running ||
        (v->began_ms != 0 && now_ms - v->began_ms < (v->asked ? v->pause_ms : v->round_ms)))
        return;
    v->done = false;
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
        take_result(v);
}
