/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verifier.c -- see verifier.h.
 *
 * Why a thread of its own: a million suffixes take 50 ms, and a cold or a dying
 * disk takes what it likes.
 */
#include "resolver/verifier.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

struct verifier {
    struct policy_store *store; /* borrowed */
    uint64_t pause_ms, round_ms;
    pthread_t thread;
    int fd; /* wakes it: an eventfd */
    atomic_bool stop, asked;
    pthread_mutex_t lock; /* for what follows */
    uint64_t verified_ms;
    char found[VERIFIER_TEXT];
};

static void keep(struct verifier *v, const char *text)
{
    pthread_mutex_lock(&v->lock);
    if (text[0] != '\0' && strcmp(v->found, text) != 0)
        log_error("policy: %s", text);
    else if (text[0] == '\0' && v->found[0] != '\0')
        log_notice("policy: the store is sound again");
    str_copy(v->found, sizeof v->found, text);
    v->verified_ms = clock_now().wall_ms;
    pthread_mutex_unlock(&v->lock);
}

static void wait_turn(struct verifier *v, uint64_t began_ms)
{
    struct pollfd wake = {.fd = v->fd, .events = POLLIN};
    eventfd_t n;

    while (!atomic_load(&v->stop)) {
        uint64_t due = began_ms + (atomic_load(&v->asked) ? v->pause_ms : v->round_ms);
        uint64_t now = clock_now().mono_ms;

        if (now >= due)
            break;
        if (poll(&wake, 1, (int)(due - now)) > 0)
            (void)eventfd_read(v->fd, &n);
    }
    atomic_store(&v->asked, false);
}

static void *run(void *arg)
{
    struct verifier *v = arg;

    while (!atomic_load(&v->stop)) {
        uint64_t began_ms = clock_now().mono_ms;
        struct diags d;
        int rc;

        diags_init(&d);
        rc = policy_store_verify(v->store, &v->stop, &d);
        if (rc == 0 || rc == -EBADMSG)
            keep(v, d.n > 0 ? d.at[0].text : "");
        diags_fini(&d);
        wait_turn(v, began_ms);
    }
    return NULL;
}

static void verifier_free(struct verifier *v)
{
    if (v->fd >= 0)
        close(v->fd);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

int verifier_start(struct verifier **out, struct policy_store *store, uint64_t pause_ms,
                   uint64_t round_ms)
{
    struct verifier *v = calloc(1, sizeof *v);
    int rc;

    if (v == NULL)
        return -ENOMEM;
    v->store = store;
    v->pause_ms = pause_ms;
    v->round_ms = round_ms;
    pthread_mutex_init(&v->lock, NULL);
    v->fd = eventfd(0, EFD_CLOEXEC);
    rc = v->fd < 0 ? errno : pthread_create(&v->thread, NULL, run, v);
    if (rc != 0) {
        verifier_free(v);
        return -rc;
    }
    *out = v;
    return 0;
}

static void wake(struct verifier *v, atomic_bool *why)
{
    if (!atomic_exchange(why, true))
        (void)eventfd_write(v->fd, 1);
}

void verifier_ask(struct verifier *v)
{
    if (v != NULL)
        wake(v, &v->asked);
}

uint64_t verifier_found(struct verifier *v, char out[VERIFIER_TEXT])
{
    uint64_t at;

    pthread_mutex_lock(&v->lock);
    str_copy(out, VERIFIER_TEXT, v->found);
    at = v->verified_ms;
    pthread_mutex_unlock(&v->lock);
    return at;
}

void verifier_stop(struct verifier *v)
{
    if (v == NULL)
        return;
    wake(v, &v->stop);
    pthread_join(v->thread, NULL);
    verifier_free(v);
}
