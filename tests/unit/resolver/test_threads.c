/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_threads.c -- whose the generations of settings are; a store that is read now and then,
 * and what is found in it; the file of the cache, which is read and written beside all else.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>

#include "resolver/threads.h"
#include "tests/settings_text.h"
#include "tests/unit/capture.h"
#include "tests/unit/scratch.h"
#include "wire/message.h"

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
    t.worker = worker_new(t.cache, NULL, NULL, NULL, t.g[0], NULL, 0, NULL, 1);
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
    assert_int_equal(came->said.verdict, VERDICT_TIMEOUT);
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
    assert_int_equal(answer_read(w->view, &t.q, clock_now()), ANSWER_FORWARD);
    assert_true(forwarder_ask(w->forwarder, w->view, &t.q, on_reply, &t.replies));
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
    assert_ptr_equal(w->view->settings, t.g[0]);
    event_base_loop(w->base, EVLOOP_NONBLOCK);
    assert_ptr_equal(w->view->settings, t.g[1]);
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
    char log[4096]; /* of all ticks */
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

static void tick(void)
{
    size_t len = strlen(f.log);

    capture_begin();
    verifier_tick(&f.v);
    capture_end();
    snprintf(f.log + len, sizeof f.log - len, "%s", out.text[1]);
}

static void wait_until_found(const char *part)
{
    for (int i = 0; i < PATIENCE; i++, poll(NULL, 0, 5)) {
        tick();
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
        tick();
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
    for (int k = 0; k < 2; k++) { /* found again, it is no news */
        f.v.verified_ms = 0;
        wait_until_found("is damaged");
    }
    assert_has(f.log, "is damaged");
    assert_has(strstr(f.log, "is damaged"), "notice: policy: the store is sound again\n");
    assert_has(strstr(f.log, "sound again"), "is damaged");
    assert_null(strstr(strstr(strstr(f.log, "sound again"), "is damaged") + 1, "is damaged"));
}

static void the_process_ends_while_it_reads(void **state)
{
    verifier_tick(&f.v);
    assert_true(f.v.running);
}

/* ---- the keeper ---- */

enum { NAMES = 4000, SOME = 100 };

static struct {
    char dir[SCRATCH], path[SCRATCH + 20], other[SCRATCH + 24], gone[SCRATCH + 8];
    struct settings *yes, *no; /* cache.persist */
    struct cache *cache;
    struct keeper k;
} kept;

static struct cache *new_cache(void)
{
    return cache_new(4 << 20, &(struct hash_key){1, 2});
}

static struct cache_key key_of(const struct cache *c, unsigned i, struct name *name)
{
    struct cache_key key = {.name = name,
                            .type = TYPE_A,
                            .class = CLASS_IN,
                            .kind = CACHE_ANSWER,
                            .scope = kept.yes->routes[0].id};
    char text[32];

    snprintf(text, sizeof text, "n%u.example", i);
    assert_int_equal(name_parse(name, text), 0);
    cache_key_init(c, &key);
    return key;
}

/* Answers to names that are numbered from `from` on. */
static void put(struct cache *c, unsigned from, unsigned n)
{
    const uint64_t now_ms = clock_now().mono_ms;
    const struct cache_facts facts = {
        .stored_ms = now_ms, .expires_ms = now_ms + NEVER_MS, .verdict = VERDICT_PRESENT};
    struct message m = {.qtype = TYPE_A, .qclass = CLASS_IN};
    uint8_t image[512];

    for (unsigned i = from; i < from + n; i++) {
        struct cache_key key = key_of(c, i, &m.qname);
        struct writer w = writer_make(image, sizeof image);

        image_begin(&w, &m, RCODE_NOERROR);
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, NEVER_MS / 1000, 4);
        writer_u32(&w, i);
        cache_put(c, &key, &facts, image, w.len, NULL, 0);
    }
}

static unsigned entries(struct cache *c)
{
    struct cache_stats stats;

    cache_stats(c, &stats);
    return (unsigned)stats.entries;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void wait_until_still(struct keeper *k)
{
    for (int i = 0; k->running && i < PATIENCE; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    assert_false(k->running);
}

/* What a daemon that starts now knows of the file. */
static unsigned known(void)
{
    struct cache *c = new_cache();
    struct keeper k;
    unsigned n;

    keeper_start(&k, c, kept.yes, NEVER_MS);
    wait_until_still(&k);
    n = entries(c);
    free(k.scopes);
    cache_free(c);
    return n;
}

static void read_settings(struct settings **to, const char *persist)
{
    char text[200];

    snprintf(text, sizeof text,
             "server: {state-dir: %s}\ncache: {persist: %s}\n"
             "forward: [{zone: ., servers: [127.0.0.1:9]}]\n",
             kept.dir, persist);
    assert_int_equal(settings_read_text(to, text, strlen(text), NULL), 0);
}

static int begin_kept(void **state)
{
    memset(&kept, 0, sizeof kept);
    scratch_make(kept.dir);
    snprintf(kept.path, sizeof kept.path, "%s/cache.snapshot", kept.dir);
    snprintf(kept.other, sizeof kept.other, "%s/cache.snapshot.new", kept.dir);
    snprintf(kept.gone, sizeof kept.gone, "%s.gone", kept.dir);
    read_settings(&kept.yes, "yes");
    read_settings(&kept.no, "no");
    kept.cache = new_cache();
    return 0;
}

static int end_kept(void **state)
{
    keeper_stop(&kept.k);
    cache_free(kept.cache);
    settings_free(kept.yes);
    settings_free(kept.no);
    scratch_remove(kept.dir);
    return 0;
}

static void tick_until_written(uint64_t after_ms)
{
    struct keeper *k = &kept.k;

    for (int i = 0; k->written_ms <= after_ms && i < PATIENCE; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    assert_true(k->written_ms > after_ms && k->error[0] == '\0' && is_there(kept.path));
    wait_until_still(k);
}

static void written_each_round_when_answers_have_come(void **state)
{
    struct keeper *k = &kept.k;
    uint64_t written_ms;

    keeper_start(k, kept.cache, kept.yes, 1);
    wait_until_still(k);
    for (int i = 0; i < 5; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    assert_false(k->running || is_there(kept.path)); /* nothing has come */
    put(kept.cache, 0, SOME);
    tick_until_written(0);
    written_ms = k->written_ms;
    for (int i = 0; i < 5; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    assert_true(!k->running && k->written_ms == written_ms);
    assert_int_equal(known(), SOME);
    put(kept.cache, SOME, 1);
    k->round_ms = NEVER_MS;
    keeper_tick(k);
    assert_false(k->running); /* until the round is over */
    k->round_ms = 1;
    tick_until_written(written_ms);
    assert_int_equal(known(), SOME + 1);
}

/* It is told, and tried again in the next round, until it has come out. */
static void file_that_cannot_be_written(void **state)
{
    struct keeper *k = &kept.k;

    keeper_start(k, kept.cache, kept.yes, 1);
    wait_until_still(k);
    put(kept.cache, 0, SOME);
    assert_int_equal(rename(kept.dir, kept.gone), 0);
    for (int i = 0; k->error[0] == '\0' && i < PATIENCE; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    assert_string_equal(k->error, strerror(ENOENT));
    assert_int_equal(k->written_ms, 0);
    k->round_ms = NEVER_MS;
    wait_until_still(k);
    assert_int_equal(rename(kept.gone, kept.dir), 0);
    k->round_ms = 1;
    tick_until_written(0);
}

/* A flush: no file is there, or will be of what was begun before, whatever the thread is at. */
static void nothing_comes_back_after_a_flush(void **state)
{
    struct keeper *k = &kept.k;

    keeper_start(k, kept.cache, kept.yes, 1);
    wait_until_still(k);
    put(kept.cache, 0, NAMES);
    tick_until_written(0);
    keeper_forget(k); /* written */
    assert_false(is_there(kept.path));
    assert_int_equal(k->written_ms, 0);
    poll(NULL, 0, 5);
    keeper_tick(k);
    assert_true(k->running && k->writes); /* what is left is kept again, though nothing has come */
    keeper_forget(k);                     /* being written */
    assert_false(k->running || is_there(kept.path) || is_there(kept.other));
    assert_string_equal(k->error, "");
    tick_until_written(0);
    keeper_stop(k);
    cache_free(kept.cache);
    kept.cache = new_cache();
    keeper_start(k, kept.cache, kept.yes, NEVER_MS);
    assert_true(k->running && !k->writes);
    keeper_forget(k); /* being read */
    assert_false(k->running || is_there(kept.path));
    cache_flush(kept.cache, NULL, true);
    keeper_stop(k);
    assert_int_equal(known(), 0);
    k->cache = NULL;
}

/* The stop, while nothing is done, while the file is written, and while it is read: then the cache
 * may have a part of it, and the file stays whole. */
static void the_process_ends_and_the_answers_are_kept(void **state)
{
    struct keeper *k = &kept.k;

    keeper_start(k, kept.cache, kept.yes, 1);
    wait_until_still(k);
    put(kept.cache, 0, SOME);
    keeper_stop(k);
    assert_int_equal(known(), SOME);
    keeper_start(k, kept.cache, kept.yes, 1);
    wait_until_still(k);
    put(kept.cache, SOME, NAMES - SOME);
    poll(NULL, 0, 5);
    keeper_tick(k);
    assert_true(k->running && k->writes);
    keeper_stop(k);
    assert_in_range(known(), NAMES - NAMES / 100, NAMES); /* some meet a full bucket */
    cache_free(kept.cache);
    kept.cache = new_cache();
    keeper_start(k, kept.cache, kept.yes, NEVER_MS);
    keeper_stop(k);
    assert_false(is_there(kept.other));
    assert_in_range(known(), NAMES - NAMES / 100, NAMES);
    k->cache = NULL;
}

/* Neither the file, nor what a process left that was killed while it wrote. */
static void nothing_is_left_where_nothing_is_kept(void **state)
{
    struct keeper *k = &kept.k;

    scratch_write(kept.path, "names");
    scratch_write(kept.other, "names");
    keeper_start(k, kept.cache, kept.no, 1);
    assert_false(k->running || is_there(kept.path) || is_there(kept.other));
    put(kept.cache, 0, SOME);
    for (int i = 0; i < 5; i++, poll(NULL, 0, 5))
        keeper_tick(k);
    keeper_forget(k);
    keeper_stop(k);
    assert_false(is_there(kept.path));
}

TESTS("threads", TEST_WITH(generations_are_given_back, begin, end),
      TEST_WITH(damage_comes_and_goes, begin_store, end_store),
      TEST_WITH(the_process_ends_while_it_reads, begin_store, end_store),
      TEST_WITH(written_each_round_when_answers_have_come, begin_kept, end_kept),
      TEST_WITH(file_that_cannot_be_written, begin_kept, end_kept),
      TEST_WITH(nothing_comes_back_after_a_flush, begin_kept, end_kept),
      TEST_WITH(the_process_ends_and_the_answers_are_kept, begin_kept, end_kept),
      TEST_WITH(nothing_is_left_where_nothing_is_kept, begin_kept, end_kept))
