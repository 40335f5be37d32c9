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

/* ---- workers ---- */

enum { GENERATIONS = 3, JOBS = 100 };

static struct {
    struct settings *g[GENERATIONS];
    struct shared shared;
    struct worker *worker;
    char jobs[JOBS];
    int done, replies, used; /* of the generations */
    int server;              /* a socket that is asked and says nothing */
    struct query q;
    uint8_t wire[512], out[512];
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
    t.worker = worker_new(&t.shared, t.g[0], NULL, 0, NULL, 1);
    assert_non_null(t.worker);
    return 0;
}

static int end(void **state)
{
    worker_free(t.worker);
    close(t.server);
    for (int i = 0; i < GENERATIONS; i++) {
        assert_int_equal(t.g[i]->users, i <= t.used ? 1 : 2);
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

static void on_reply(void *replies, const struct real *came)
{
    assert_int_equal(came->verdict, VERDICT_TIMEOUT);
    ++*(int *)replies;
}

static void ask(const struct worker *w)
{
    struct name name;
    struct query_build build = {.qname = &name, .qtype = TYPE_A, .qclass = CLASS_IN};

    assert_int_equal(name_parse(&name, "www.example"), 0);
    assert_int_equal(addr_parse(&t.q.client.addr, "127.0.0.1:4000", 0), 0);
    t.q.wire = t.wire;
    t.q.wire_len = query_build(&build, t.wire, sizeof t.wire);
    t.q.out = t.out;
    t.q.out_size = sizeof t.out;
    assert_int_equal(answer_read(w->listen.view, &t.q, clock_now()), ANSWER_FORWARD);
    assert_true(forwarder_ask(w->listen.forwarder, w->listen.view, &t.q, on_reply, &t.replies));
}

/* Steps: j jobs, gN generation N, q a question is asked, r the loop turns, s it is stopped. Then
 * vN: N is in use, uNK: N has K users (one is we), jobs that were done, replies that came. */
static const struct worker_row {
    const char *name, *steps;
    int used; /* the last generation that it has had */
} worker_rows[] = {
    {"jobs before a generation and the stop", "j g1 s J100 v1 u01", 1},
    {"the newest is used, those before are given back", "g1 g2 v0 r v2 u01 u11 u22", 2},
    {"one that it never took up is given back", "g1", 1},
    {"a flight keeps that with which it began, and is answered at the end",
     "q g1 r v1 u02 R0 s R1 u01", 1},
};

static void check_worker(void **state)
{
    const struct worker_row *row = *state;
    struct worker *w = t.worker;

    t.used = row->used;
    for (const char *s = row->steps; s != NULL; s = (s = strchr(s, ' ')) != NULL ? s + 1 : NULL) {
        struct settings *g = t.g[s[1] >= '0' && s[1] < '0' + GENERATIONS ? s[1] - '0' : 0];

        for (int i = 0; s[0] == 'j' && i < JOBS; i++)
            worker_post(w, count, &t.jobs[i]);
        if (s[0] == 'g')
            worker_post(w, worker_take, g);
        else if (s[0] == 'q')
            ask(w);
        else if (s[0] == 'r')
            event_base_loop(w->listen.base, EVLOOP_NONBLOCK);
        else if (s[0] == 's')
            worker_post(w, worker_end, NULL), worker_run(w);
        else if (s[0] == 'v')
            assert_ptr_equal(w->listen.view->settings, g);
        else if (s[0] == 'u')
            assert_int_equal(g->users, s[2] - '0');
        else if (s[0] != 'j')
            assert_int_equal(s[0] == 'J' ? t.done : t.replies, atoi(s + 1));
    }
}

/* ---- the verifier ---- */

enum { NEVER_MS = 3600 * 1000, PATIENCE = 2000 };

static struct {
    char dir[SCRATCH], data[80];
    struct verifier v;
} f;

static int begin_store(void **state)
{
    memset(&f, 0, sizeof f);
    scratch_make(f.dir);
    snprintf(f.data, sizeof f.data, "%s/data.mdb", f.dir);
    return store_open(&f.v.store, f.dir, STORE_SERVE, NULL);
}

static int end_store(void **state)
{
    verifier_stop(&f.v);
    store_close(f.v.store);
    scratch_remove(f.dir);
    return 0;
}

/* The end of the root page is the end of a value, and one octet of nothing. */
static void flip(bool asks)
{
    int fd = open(f.data, O_RDWR);
    uint8_t octet;

    assert_int_equal(pread(fd, &octet, 1, 3 * 4096 - 2), 1);
    octet ^= 1;
    assert_int_equal(pwrite(fd, &octet, 1, 3 * 4096 - 2), 1);
    close(fd);
    f.v.asked = asks;
}

static void wait_until_found(const char *part)
{
    for (int i = 0; i < PATIENCE; i++, poll(NULL, 0, 5)) {
        verifier_tick(&f.v);
        if (f.v.verified_ms != 0 && strstr(f.v.found, part) != NULL &&
            (part[0] != '\0' || f.v.found[0] == '\0'))
            return;
    }
    fail_msg("no \"%s\" in: %s", part, f.v.found);
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

    f.v.pause_ms = r->pause_ms;
    f.v.round_ms = r->round_ms;
    wait_until_found("");
    flip(r->asks);
    for (int k = 0; k < 5 && !r->is_found; k++) {
        poll(NULL, 0, 5);
        verifier_tick(&f.v);
        assert_string_equal(f.v.found, "");
    }
    if (!r->is_found)
        return;
    wait_until_found("is damaged: 1 of its 2 records");
    assert_has(f.v.found, f.data);
    flip(r->asks);
    wait_until_found("");
}

/* The process ends while it reads; or there is nothing to read. */
static void check_stop(void **state)
{
    struct verifier nothing = {.round_ms = 1};

    verifier_tick(&f.v);
    assert_true(f.v.running);
    verifier_tick(&nothing);
    assert_false(nothing.running);
    verifier_stop(&nothing);
}

TESTS("threads", ROWS_WITH(worker_rows, check_worker, begin, end),
      ROWS_WITH(rows, check_row, begin_store, end_store),
      TEST_WITH(check_stop, begin_store, end_store))
