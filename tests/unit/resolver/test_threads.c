/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_threads.c -- what other threads leave in a worker's mailbox, and whose the
 * generations are then; a store that is read now and then, and what is found in it.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resolver/threads.h"
#include "tests/settings_text.h"
#include "tests/unit/scratch.h"
#include "wire/present.h"
#include "tests/unit/scratch.h"

/* ---- workers ---- */

enum { GENERATIONS = 3, JOBS = 100 };

static struct {
    struct settings *g[GENERATIONS];
    struct shared shared;
    struct worker *worker;
    char jobs[JOBS];
    int done, used; /* of the generations */
    int server;     /* a socket that is asked and says nothing */
} t;

static int begin(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char text[100];

    memset(&t, 0, sizeof t);
    t.server = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(t.server, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(t.server, (struct sockaddr *)&at, &len), 0);
    snprintf(text, sizeof text, "forward: [{zone: ., servers: [\"127.0.0.1:%d\"]}]\n",
             ntohs(at.sin_port));
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
    close(t.server);
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

static void the_newest_is_used_and_those_before_are_given_back(void **state)
{
    worker_set_generation(t.worker, t.g[1]);
    worker_set_generation(t.worker, t.g[2]);
    t.used = 3; /* see end() */
    assert_ptr_equal(t.worker->listen.view->settings, t.g[0]);
    event_base_loop(t.worker->listen.base, EVLOOP_NONBLOCK);
    assert_ptr_equal(t.worker->listen.view->settings, t.g[2]);
    assert_int_equal(t.g[0]->users, 1);
    assert_int_equal(t.g[1]->users, 1);
    assert_int_equal(t.g[2]->users, 2);
}

static void one_that_it_never_took_up_is_given_back(void **state)
{
    worker_set_generation(t.worker, t.g[1]);
    t.used = 2;
}

static void on_reply(void *replies, const struct real *came)
{
    assert_int_equal(came->verdict, VERDICT_TIMEOUT);
    ++*(int *)replies;
}

static void a_flight_keeps_the_generation_that_it_began_with(void **state)
{
    struct worker *w = t.worker;
    struct query *q = calloc(1, sizeof *q);
    struct name name;
    struct query_build build = {.qname = &name, .qtype = TYPE_A, .qclass = CLASS_IN};
    uint8_t wire[512], out[512];
    int replies = 0;

    assert_int_equal(name_parse(&name, "www.example"), 0);
    assert_int_equal(addr_parse(&q->client.addr, "127.0.0.1:4000", 0), 0);
    q->wire = wire;
    q->wire_len = query_build(&build, wire, sizeof wire);
    q->out = out;
    q->out_size = sizeof out;
    assert_int_equal(answer_read(w->listen.view, q, clock_now()), ANSWER_FORWARD);
    assert_true(forwarder_ask(w->listen.forwarder, w->listen.view, q, on_reply, &replies));
    worker_set_generation(w, t.g[1]);
    t.used = 2;
    event_base_loop(w->listen.base, EVLOOP_NONBLOCK);
    assert_ptr_equal(w->listen.view->settings, t.g[1]);
    assert_int_equal(t.g[0]->users, 2); /* ours, and the flight's */
    worker_stop(w);
    worker_run(w);
    assert_int_equal(replies, 1); /* what waits is answered at the end */
    assert_int_equal(t.g[0]->users, 1);
    free(q);
}

/* ---- the verifier ---- */

enum { NEVER_MS = 3600 * 1000, PATIENCE = 2000 };

struct fixture {
    char dir[SCRATCH], data[80];
    struct verifier verifier;
};

static void fixture_make(struct fixture *f)
{
    *f = (struct fixture){.data = ""};
    scratch_make(f->dir);
    snprintf(f->data, sizeof f->data, "%s/data.mdb", f->dir);
    assert_int_equal(store_open(&f->verifier.store, f->dir, STORE_SERVE, NULL), 0);
}

static void fixture_end(struct fixture *f)
{
    verifier_stop(&f->verifier);
    store_close(f->verifier.store);
    scratch_remove(f->dir);
}

/* The end of the root page is the end of a value, and one octet of nothing. */
static void flip(const struct fixture *f)
{
    int fd = open(f->data, O_RDWR);
    uint8_t octet;

    assert_int_equal(pread(fd, &octet, 1, 3 * 4096 - 2), 1);
    octet ^= 1;
    assert_int_equal(pwrite(fd, &octet, 1, 3 * 4096 - 2), 1);
    close(fd);
}

static void wait_until_found(struct verifier *v, const char *part)
{
    for (int i = 0; i < PATIENCE; i++) {
        verifier_tick(v);
        if (v->verified_ms != 0 &&
            (part[0] != '\0' ? strstr(v->found, part) != NULL : v->found[0] == '\0'))
            return;
        poll(NULL, 0, 5);
    }
    fail_msg("no \"%s\" in: %s", part, v->found);
}

/* Damage comes and goes. */
static const struct row {
    const char *name;
    uint64_t pause_ms, round_ms;
    bool asks, is_found;
} rows[] = {
    {"when it is asked", 1, NEVER_MS, true, true},
    {"each round", NEVER_MS, 1, false, true},
    {"nobody has asked", 1, NEVER_MS, false, false},
    {"not before the pause", NEVER_MS, NEVER_MS, true, false},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct fixture f;
    struct verifier *v = &f.verifier;

    fixture_make(&f);
    v->pause_ms = r->pause_ms;
    v->round_ms = r->round_ms;
    wait_until_found(v, "");
    for (int i = 0; i < 2; i++) { /* damaged, and sound again */
        flip(&f);
        v->asked = r->asks;
        for (int k = 0; k < 5 && !r->is_found; k++) {
            poll(NULL, 0, 5);
            verifier_tick(v);
            assert_string_equal(v->found, "");
        }
        if (!r->is_found)
            continue;
        wait_until_found(v, i == 0 ? "is damaged: 1 of its 2 records" : "");
        if (i == 0)
            assert_has(v->found, f.data);
    }
    fixture_end(&f);
}

/* The process ends while it reads, or when there is nothing to read. */
static void check_stop(void **state)
{
    struct fixture f;
    struct verifier nothing = {.round_ms = 1};

    fixture_make(&f);
    verifier_tick(&f.verifier);
    assert_true(f.verifier.running);
    fixture_end(&f);
    verifier_tick(&nothing);
    assert_false(nothing.running);
    verifier_stop(&nothing);
}

int main(void)
{
    TEST_WITH(jobs_before_a_generation_and_the_stop, begin, end);
    TEST_WITH(the_newest_is_used_and_those_before_are_given_back, begin, end);
    TEST_WITH(one_that_it_never_took_up_is_given_back, begin, end);
    TEST_WITH(a_flight_keeps_the_generation_that_it_began_with, begin, end);
    ROWS(rows, check_row);
    TEST(check_stop);
    return RUN("threads");
}
