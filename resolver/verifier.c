/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verifier.c -- the policy store is read by a thread of its own: a million
 * suffixes take 50 ms, and a cold or a dying disk takes what it likes.
 */
#include "resolver/verifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

struct verifier {
    struct store *store; /* borrowed */
    uint64_t pause_ms, round_ms;
    pthread_t thread;
    atomic_bool stop;     /* ends a verification, too */
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    bool asked;
    uint64_t verified_ms;
    char found[VERIFIER_TEXT];
};

static void *run_verifier(void *arg)
{
    struct verifier *v = arg;

    pthread_mutex_lock(&v->lock);
    while (!atomic_load(&v->stop)) {
        uint64_t began_ms = clock_now().mono_ms, due_ms, now_ms;
        struct diags d;
        int rc;

        v->asked = false;
        pthread_mutex_unlock(&v->lock);
        diags_init(&d);
        rc = store_verify(v->store, &v->stop, &d);
        pthread_mutex_lock(&v->lock);
        if (rc == 0 || rc == -EBADMSG) {
            const char *found = d.n > 0 ? d.at[0].text : "";

            if (found[0] != '\0' && strcmp(v->found, found) != 0)
                log_error("policy: %s", found);
            else if (found[0] == '\0' && v->found[0] != '\0')
                log_notice("policy: the store is sound again");
            str_copy(v->found, sizeof v->found, found);
            v->verified_ms = clock_now().wall_ms;
        }
        diags_fini(&d);
        while (!atomic_load(&v->stop) &&
               (due_ms = began_ms + (v->asked ? v->pause_ms : v->round_ms)) >
                   (now_ms = clock_now().mono_ms)) {
            uint64_t us = clock_us() + (due_ms - now_ms) * 1000; /* a clock that wakes threads */
            const struct timespec until = {.tv_sec = (time_t)(us / 1000000),
                                           .tv_nsec = (long)(us % 1000000 * 1000)};

            pthread_cond_clockwait(&v->wake, &v->lock, CLOCK_MONOTONIC, &until);
        }
    }
    pthread_mutex_unlock(&v->lock);
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
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->wake, NULL);
    if ((rc = pthread_create(&v->thread, NULL, run_verifier, v)) != 0) {
        free(v);
        return -rc;
    }
    *out = v;
    return 0;
}

void verifier_ask(struct verifier *v)
{
    if (v == NULL)
        return;
    pthread_mutex_lock(&v->lock);
    v->asked = true;
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
}

uint64_t verifier_found(struct verifier *v, char out[VERIFIER_TEXT])
{
    uint64_t verified_ms;

    pthread_mutex_lock(&v->lock);
    str_copy(out, VERIFIER_TEXT, v->found);
    verified_ms = v->verified_ms;
    pthread_mutex_unlock(&v->lock);
    return verified_ms;
}

void verifier_stop(struct verifier *v)
{
    if (v == NULL)
        return;
    atomic_store(&v->stop, true);
    pthread_mutex_lock(&v->lock);
    pthread_cond_signal(&v->wake);
    pthread_mutex_unlock(&v->lock);
    pthread_join(v->thread, NULL);
    pthread_cond_destroy(&v->wake);
    pthread_mutex_destroy(&v->lock);
    free(v);
}
