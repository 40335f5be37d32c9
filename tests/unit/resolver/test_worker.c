/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_worker.c -- what other threads leave in a worker's mailbox, and whose the
 * generations are then.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/worker.h"
#include "settings/settings.h"
#include "tests/settings_text.h"
#include "tests/unit/rows.h"

enum { GENERATIONS = 3, JOBS = 100 };

static struct {
    struct settings *g[GENERATIONS];
    struct shared shared;
    struct worker *worker;
    char jobs[JOBS];
    int done, used; /* of the generations */
} t;

static int begin(void **state)
{
    static const char text[] = "forward: [{zone: ., servers: [192.0.2.1]}]\n";

    memset(&t, 0, sizeof t);
    for (int i = 0; i < GENERATIONS; i++) {
        assert_int_equal(settings_read_text(&t.g[i], text, strlen(text), NULL), 0);
        t.g[i]->users = 2; /* ours, and what is handed over */
    }
    t.shared.cache = cache_new(CACHE_MIN_SIZE, &(struct hash_key){0});
    assert_non_null(t.shared.cache);
    t.worker = worker_new(&t.shared, t.g[0], NULL, 0, NULL, 1);
    assert_non_null(t.worker);
    return 0;
}

static int end(void **state)
{
    worker_free(t.worker);
    for (int i = 0; i < GENERATIONS; i++) {
        assert_int_equal(t.g[i]->users, i < t.used ? 1 : 2);
        t.g[i]->users = 1;
        generation_release(t.g[i]);
    }
    cache_free(t.shared.cache);
    return 0;
}

/* Jobs run in the order in which they were posted. */
static void count(struct worker *w, void *job)
{
    assert_ptr_equal(w, t.worker);
    assert_ptr_equal(job, &t.jobs[t.done++]);
}

static void run(void)
{
    event_base_loop(t.worker->listen.base, EVLOOP_NONBLOCK);
}

static void jobs_before_a_generation_and_the_stop(void **state)
{
    for (int i = 0; i < JOBS; i++)
        worker_post(t.worker, count, &t.jobs[i]);
    worker_set_generation(t.worker, t.g[1]);
    t.used = 2;
    worker_stop(t.worker);
    worker_run(t.worker);
    assert_int_equal(t.done, JOBS);
    assert_ptr_equal(t.worker->listen.view->settings, t.g[1]);
    assert_int_equal(t.g[0]->users, 1);
}

static void newest_takes_the_place_of_one_not_seen(void **state)
{
    worker_set_generation(t.worker, t.g[1]);
    worker_set_generation(t.worker, t.g[2]);
    t.used = 3;
    assert_int_equal(t.g[1]->users, 1);
    assert_int_equal(t.g[0]->users, 2);
    assert_ptr_equal(t.worker->listen.view->settings, t.g[0]);
    run();
    assert_ptr_equal(t.worker->listen.view->settings, t.g[2]);
    assert_int_equal(t.g[0]->users, 1);
}

static void one_that_it_never_took_up_is_given_back(void **state)
{
    worker_set_generation(t.worker, t.g[1]);
    t.used = 2; /* see end() */
}

int main(void)
{
    TEST_WITH(jobs_before_a_generation_and_the_stop, begin, end);
    TEST_WITH(newest_takes_the_place_of_one_not_seen, begin, end);
    TEST_WITH(one_that_it_never_took_up_is_given_back, begin, end);
    return RUN("worker");
}
