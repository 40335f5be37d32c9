/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_threads.c -- whose the generations of settings are; a store that is read now and then,
 * and what is found in it.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>

#include "resolver/threads.h"
#include "tests/settings_text.h"
#include "tests/unit/scratch.h"
#include "wire/present.h"

/* ---- workers ---- */

enum { GENERATIONS = 3 };

static struct {
    struct settings *g[GENERATIONS];
    struct cache *cache;
    struct worker *worker;
    int replies;
    int server; /* a socket that is asked and says nothing */
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
    t.cache = cache_new(CACHE_MIN_SIZE, &(struct hash_key){0});
    t.worker = worker_new(t.cache, NULL, t.g[0], NULL, 0, NULL, 1);
    assert_non_null(t.worker);
    return 0;
}

static int end(void **state)
{
    worker_free(t.worker);
    close(t.server);
    for (int i = 0; i < GENERATIONS; i++) {
        assert_int_equal(t.g[i]->users, 1);
        t.g[i]->users = 1;
        generation_release(t.g[i]);
    }
    cache_free(t.cache);
    return 0;
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

static void assert_users(uint32_t first, uint32_t second, uint32_t third)
{
    assert_int_equal(t.g[0]->users, first);
    assert_int_equal(t.g[1]->users, second);
    assert_int_equal(t.g[2]->users, third);
}

/* The newest is used, and by a flight that with which it began, until it is answered at the end;
 * one that was never taken up is given back. */
static void generations_are_given_back(void **state)
{
    struct worker *w = t.worker;

    ask(w);
    worker_post(w, worker_take, t.g[1]);
    assert_ptr_equal(w->listen.view->settings, t.g[0]);
    event_base_loop(w->listen.base, EVLOOP_NONBLOCK);
    assert_ptr_equal(w->listen.view->settings, t.g[1]);
    assert_users(2, 2, 2);
    assert_int_equal(t.replies, 0);
    worker_post(w, worker_end, NULL);
    worker_run(w);
    assert_int_equal(t.replies, 1);
    assert_users(1, 2, 2);
    worker_post(w, worker_take, t.g[2]);
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
static void flip(void)
{
    int fd = open(f.data, O_RDWR);
    uint8_t octet;

    assert_int_equal(pread(fd, &octet, 1, 3 * 4096 - 2), 1);
    octet ^= 1;
    assert_int_equal(pwrite(fd, &octet, 1, 3 * 4096 - 2), 1);
    close(fd);
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

/* Ticks that find nothing new. */
static void assert_still(const char *found)
{
    for (int k = 0; k < 5; k++) {
        poll(NULL, 0, 5);
        verifier_tick(&f.v);
        assert_string_equal(f.v.found, found);
    }
}

static void damage_comes_and_goes(void **state)
{
    char found[sizeof f.v.found];

    f.v.pause_ms = 1;
    f.v.round_ms = NEVER_MS;
    wait_until_found("");
    flip();
    assert_still(""); /* nobody has asked */
    f.v.asked = true;
    wait_until_found("is damaged: 1 of its 2 records");
    assert_has(f.v.found, f.data);
    flip();
    f.v.pause_ms = NEVER_MS;
    f.v.asked = true;
    strcpy(found, f.v.found);
    assert_still(found); /* until the pause is over */
    f.v.pause_ms = 1;
    wait_until_found("");
    flip();
    f.v.round_ms = 1;
    wait_until_found("is damaged");
}

static void the_process_ends_while_it_reads(void **state)
{
    verifier_tick(&f.v);
    assert_true(f.v.running);
}

TESTS("threads", TEST_WITH(generations_are_given_back, begin, end),
      TEST_WITH(damage_comes_and_goes, begin_store, end_store),
      TEST_WITH(the_process_ends_while_it_reads, begin_store, end_store))
