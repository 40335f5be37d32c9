/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_writer.c -- from ring to store and back: every question is accounted for,
 * whatever the rates, the rings and the disk do.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/read.h"
#include "audit/writer.h"
#include "tests/unit/audit/sample.h"

static const uint64_t day_ms = 86400000, t0 = 1700000000000;

struct bench {
    char root[64], dir[80];
    struct audit_limits limits;
    struct audit_writer *w;
    struct audit_ring *ring;
    struct now now;
};

static void open_writer(struct bench *b, size_t ring)
{
    b->ring = audit_ring_new(ring);
    assert_int_equal(audit_writer_open(&b->w, b->dir, "dns1", &b->limits, NULL), 0);
    audit_writer_attach(b->w, b->ring);
}

static void close_writer(struct bench *b)
{
    audit_writer_close(b->w, b->now);
    audit_ring_free(b->ring);
    b->w = NULL;
    b->ring = NULL;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    strcpy(b->root, "/tmp/waymark-audit-XXXXXX");
    if (mkdtemp(b->root) == NULL)
        return -1;
    snprintf(b->dir, sizeof b->dir, "%s/audit", b->root);
    b->limits = (struct audit_limits){.retention_ms = 90 * day_ms,
                                      .ledger_retention_ms = 400 * day_ms,
                                      .max_size = 1 << 30,
                                      .commit_interval_ms = 1000,
                                      .max_rate = 5000,
                                      .max_rate_client = 1000,
                                      .max_clients = 1000,
                                      .max_suffixes = 1000};
    b->now = (struct now){1000, t0};
    open_writer(b, 1 << 20);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char path[128];
    const char *const files[] = {"data.mdb", "lock.mdb"};

    if (b->w != NULL)
        close_writer(b);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", b->dir, files[i]);
        unlink(path);
    }
    rmdir(b->dir);
    rmdir(b->root);
    free(b);
    return 0;
}

static void pass(struct bench *b, uint64_t ms)
{
    b->now.mono_ms += ms;
    b->now.wall_ms += ms;
}

static void ask(struct bench *b, const char *client, const char *qname, uint16_t id)
{
    struct audit_event e = sample_filled(client, qname, id, b->now.wall_ms);

    e.mono_ms = b->now.mono_ms;
    audit_ring_push(b->ring, &e);
}

static struct audit_reader *reader(const struct bench *b)
{
    struct audit_reader *r;

    assert_int_equal(audit_reader_open(&r, b->dir, NULL), 0);
    return r;
}

/* What the store holds. */
struct found {
    uint64_t events, repeats, gaps, lost, prunes, kinds[AUDIT_KINDS], first, last, damaged;
    struct audit_event one; /* the last event */
    char host[64];
};

static int find(void *context, const struct audit_event *e, const char *host)
{
    struct found *f = context;

    assert_true(f->last == 0 || e->sequence == f->last + 1); /* no holes */
    if (f->first == 0)
        f->first = e->sequence;
    f->last = e->sequence;
    f->kinds[e->kind]++;
    if (e->kind == AUDIT_EVENT) {
        f->events++;
        f->repeats += e->repeat;
        f->one = *e;
    } else if (e->kind == AUDIT_GAP) {
        f->lost += e->lost;
    }
    snprintf(f->host, sizeof f->host, "%s", host);
    return 0;
}

static struct found look_in(const struct bench *b, const struct audit_range *range)
{
    struct audit_reader *r = reader(b);
    struct found f = {0};

    assert_int_equal(audit_each_event(r, range, find, &f, &f.damaged), 0);
    audit_reader_close(r);
    return f;
}

static struct found look(const struct bench *b)
{
    return look_in(b, &(struct audit_range){0});
}

static struct audit_totals totals(const struct bench *b)
{
    struct audit_reader *r = reader(b);
    struct audit_totals t;

    assert_int_equal(audit_totals(r, &t), 0);
    audit_reader_close(r);
    return t;
}

/* recorded + counted + dropped = questions, in the store and in the counters. */
static void assert_accounted(const struct bench *b, uint64_t questions)
{
    struct audit_totals t = totals(b);

    assert_int_equal(t.recorded + t.counted + t.dropped, questions);
    if (b->w != NULL) {
        struct audit_writer_stats s;

        audit_writer_stats(b->w, &s);
        assert_int_equal(s.recorded + s.counted + s.dropped + s.pending, questions);
    }
}

static int sum_client(void *context, const struct ledger_client *row)
{
    *(uint64_t *)context += row->counts.questions;
    return 0;
}

static uint64_t ledger_questions(const struct bench *b)
{
    struct audit_reader *r = reader(b);
    uint64_t n = 0;

    assert_int_equal(ledger_each_client(r, sum_client, &n), 0);
    audit_reader_close(r);
    return n;
}

/* --- the path ----------------------------------------------------------------------- */

static void one_event(void **state)
{
    struct bench *b = *state;
    struct found f;

    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.Corp.example", 1);
    audit_writer_step(b->w, b->now,
                      false); /* the first interval is over at once or not: flush below */
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_int_equal(f.events, 1);
    assert_string_equal(f.host, "dns1");
    assert_string_equal(f.one.rule, "merged-domains");
    assert_int_equal(f.one.sequence, 1);
    assert_int_equal(f.one.client.port, 5000);
    assert_accounted(b, 1);
}

static int in_order(void *context, const struct audit_event *e, const char *host)
{
    uint64_t *last_ms = context;

    (void)host;
    assert_true(e->wall_ms >= *last_ms);
    *last_ms = e->wall_ms;
    return 0;
}

/* A client's second question may come to another worker than its first. */
static void events_of_all_rings_are_in_the_order_of_time(void **state)
{
    struct bench *b = *state;
    struct audit_ring *first = b->ring, *second = audit_ring_new(1 << 16);
    struct audit_reader *r;
    uint64_t last_ms = 0, damaged;

    audit_writer_attach(b->w, second);
    for (uint16_t i = 0; i < 10; i++) {
        b->ring = i % 3 == 0 ? second : first;
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
        pass(b, 1);
    }
    b->ring = first;
    audit_writer_step(b->w, b->now, true);
    r = reader(b);
    assert_int_equal(audit_each_event(r, &(struct audit_range){0}, in_order, &last_ms, &damaged),
                     0);
    assert_int_equal(last_ms, t0 + 9);
    audit_reader_close(r);
    close_writer(b);
    audit_ring_free(second);
}

static void commits_at_the_interval(void **state)
{
    struct bench *b = *state;
    struct audit_writer_stats s;
    uint64_t wait;

    audit_writer_step(b->w, b->now, true);
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 1);
    wait = audit_writer_step(b->w, b->now, false);
    assert_in_range(wait, 1, 1000);
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.recorded, 0);
    assert_int_equal(s.pending, 1);
    for (uint64_t spent = 0; spent < 1000; spent += wait) {
        pass(b, wait);
        wait = audit_writer_step(b->w, b->now, false);
    }
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.recorded, 1);
    assert_int_equal(s.commits, 1);
    assert_int_equal(s.pending, 0);
    assert_int_equal(s.last_commit_wall_ms, b->now.wall_ms);
    assert_true(s.store_bytes > 0);
}

static void repeats_are_marked(void **state)
{
    struct bench *b = *state;
    struct audit_reader *r;
    struct ledger_client row;
    struct addr client = sample_addr("10.0.0.1");
    struct found f;
    const uint64_t at[] = {1000, 2000, 4000, 1500,
                           2000}; /* the last one is 10.5 s after the first */

    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 7);
    for (int i = 0; i < 5; i++) {
        pass(b, at[i]);
        ask(b, "10.0.0.1:5000", i % 2 ? "_VLMCS._TCP.corp.example" : "_vlmcs._tcp.corp.example", 7);
    }
    ask(b, "10.0.0.1:5001", "_vlmcs._tcp.corp.example", 7); /* another port, ID, name: none */
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 8);
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.other.example", 7);
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_int_equal(f.events, 9);
    assert_int_equal(f.repeats, 4);
    r = reader(b);
    assert_int_equal(ledger_client_get(r, &client, &row), 0);
    assert_int_equal(row.counts.questions, 9);
    assert_int_equal(row.counts.attempts, 5);
    assert_int_equal(row.counts.outcomes[AUDIT_FILLED], 9);
    audit_reader_close(r);
    assert_accounted(b, 9);
}

static void above_the_rate_of_a_client(void **state)
{
    struct bench *b = *state;
    struct audit_writer_stats s;

    b->limits.max_rate_client = 2; /* 20 at once */
    audit_writer_limits(b->w, &b->limits);
    for (uint16_t i = 0; i < 50; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
    for (uint16_t i = 0; i < 5; i++)
        ask(b, "10.0.0.2:5000", "_vlmcs._tcp.corp.example", i);
    audit_writer_step(b->w, b->now, true);
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.recorded, 25);
    assert_int_equal(s.counted, 30);
    assert_int_equal(look(b).events, 25);
    assert_int_equal(ledger_questions(b), 55); /* the same rows */
    pass(b, 1500);
    for (uint16_t i = 0; i < 10; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
    audit_writer_step(b->w, b->now, true);
    assert_int_equal(look(b).events, 28);
    assert_accounted(b, 65);
}

static void above_the_rate_of_all(void **state)
{
    struct bench *b = *state;
    char client[32];

    b->limits.max_rate = 100;
    audit_writer_limits(b->w, &b->limits);
    for (int i = 0; i < 300; i++) {
        snprintf(client, sizeof client, "10.0.%d.%d:5000", i / 200, i % 200);
        ask(b, client, "_vlmcs._tcp.corp.example", 1);
    }
    audit_writer_step(b->w, b->now, true);
    assert_int_equal(look(b).events, 100);
    assert_int_equal(ledger_questions(b), 300);
    assert_accounted(b, 300);
}

static void full_ring_leaves_a_gap_record(void **state)
{
    struct bench *b = *state;
    struct found f;

    close_writer(b);
    open_writer(b, 4096);
    for (uint16_t i = 0; i < 100; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_true(f.lost > 0 && f.events > 0);
    assert_int_equal(f.kinds[AUDIT_GAP], 1);
    assert_int_equal(f.events + f.lost, 100);
    assert_int_equal(totals(b).dropped, f.lost);
    assert_accounted(b, 100);
    audit_writer_step(b->w, b->now, true);
    assert_int_equal(look(b).kinds[AUDIT_GAP], 1); /* said once */
}

static void control_records(void **state)
{
    struct bench *b = *state;
    struct found f;
    char text[200];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    audit_writer_control(b->w, AUDIT_START, b->now, "waymarkd 0.1.0");
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 1);
    audit_writer_control(b->w, AUDIT_POLICY, b->now, text); /* cut, not refused */
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_int_equal(f.kinds[AUDIT_START], 1);
    assert_int_equal(f.kinds[AUDIT_POLICY], 1);
    assert_int_equal(f.last, 3);
    assert_accounted(b, 1); /* they are no questions */
}

static void sequence_goes_on_after_a_restart(void **state)
{
    struct bench *b = *state;
    struct found f;

    for (uint16_t i = 0; i < 10; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
    close_writer(b); /* a clean stop loses nothing */
    open_writer(b, 1 << 20);
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 11);
    close_writer(b);
    f = look(b); /* asserts that there are no holes */
    assert_int_equal(f.first, 1);
    assert_int_equal(f.last, 11);
    assert_accounted(b, 11);
    assert_int_equal(ledger_questions(b), 11);
}

static void privacy_prefix(void **state)
{
    struct bench *b = *state;
    struct addr v4 = sample_addr("10.20.30.0"), v6 = sample_addr("2001:db8:1:ff00::"),
                full = sample_addr("10.20.30.40");
    struct audit_reader *r;
    struct ledger_client row;
    struct found f;

    b->limits.privacy = AUDIT_PREFIX;
    audit_writer_limits(b->w, &b->limits);
    ask(b, "[2001:db8:1:ff42:1::1]:5000", "_vlmcs._tcp.corp.example", 1);
    ask(b, "10.20.30.40:5000", "_vlmcs._tcp.corp.example", 1);
    ask(b, "10.20.30.41:5000", "_vlmcs._tcp.corp.example", 1); /* no repeat of the other's */
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_true(addr_same_ip(&f.one.client, &v4));
    assert_int_equal(f.repeats, 0);
    r = reader(b);
    assert_int_equal(ledger_client_get(r, &v6, &row), 0);
    assert_int_equal(ledger_client_get(r, &v4, &row), 0);
    assert_int_equal(row.counts.questions, 2);
    assert_int_equal(ledger_client_get(r, &full, &row), -ENOENT);
    audit_reader_close(r);
}

/* --- bounds ----------------------------------------------------------------------------- */

static int find_other(void *context, const struct ledger_name *row)
{
    if (row->other)
        *(uint64_t *)context = row->counts.questions;
    return 0;
}

static void rows_above_the_bound_are_one(void **state)
{
    struct bench *b = *state;
    struct audit_reader *r;
    struct addr late = sample_addr("10.0.0.9");
    struct ledger_client row;
    char client[32], name[64];
    uint64_t other = 0;

    b->limits.max_clients = 4;
    b->limits.max_suffixes = 3;
    audit_writer_limits(b->w, &b->limits);
    for (int i = 0; i < 10; i++) {
        snprintf(client, sizeof client, "10.0.0.%d:5000", i);
        snprintf(name, sizeof name, "_vlmcs._tcp.s%d.example", i);
        ask(b, client, name, 1);
        audit_writer_step(b->w, b->now, true); /* the number is kept in the store */
    }
    ask(b, "10.0.0.0:5000", "_vlmcs._tcp.s0.example", 2); /* a row that is there goes on */
    audit_writer_step(b->w, b->now, true);
    r = reader(b);
    assert_int_equal(ledger_client_get(r, &late, &row), -ENOENT);
    late = sample_addr("10.0.0.0");
    assert_int_equal(ledger_client_get(r, &late, &row), 0);
    assert_int_equal(row.counts.questions, 2);
    assert_int_equal(ledger_each_name(r, LEDGER_SUFFIX, find_other, &other), 0);
    assert_int_equal(other, 7);
    audit_reader_close(r);
    assert_int_equal(totals(b).clients, 4);
    assert_int_equal(totals(b).suffixes, 3);
    assert_int_equal(ledger_questions(b), 11);
}

static void run_until_quiet(struct bench *b)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = audit_writer_step(b->w, b->now, false);

        pass(b, wait);
        if (wait > 100)
            return;
    }
    fail_msg("pruning does not end");
}

static void old_events_go(void **state)
{
    struct bench *b = *state;
    struct found f;

    for (uint16_t i = 0; i < 9000; i++) { /* more than one step takes */
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
        pass(b, 1);
        if (i % 1000 == 999)
            audit_writer_step(b->w, b->now, true);
    }
    pass(b, 91 * day_ms);
    ask(b, "10.0.0.2:5000", "_vlmcs._tcp.corp.example", 1);
    audit_writer_step(b->w, b->now, true);
    run_until_quiet(b);
    f = look(b);
    assert_int_equal(f.events, 1);
    assert_int_equal(f.kinds[AUDIT_PRUNE], 1);
    assert_int_equal(totals(b).recorded, 9001);  /* they were recorded all the same */
    assert_int_equal(ledger_questions(b), 9001); /* the ledger lives longer */
    pass(b, 400 * day_ms);
    run_until_quiet(b);
    assert_int_equal(ledger_questions(b), 0);
    assert_int_equal(totals(b).clients, 0);
}

static void a_store_that_is_too_large_shrinks(void **state)
{
    struct bench *b = *state;
    struct found f;

    b->limits.max_size = 1 << 20;
    b->limits.max_rate_client = 0;
    b->limits.max_rate = 0;
    audit_writer_limits(b->w, &b->limits);
    for (int i = 0; i < 20000; i++) {
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", (uint16_t)i);
        pass(b, 1);
        if (i % 2000 == 1999)
            audit_writer_step(b->w, b->now, true);
    }
    assert_true(totals(b).bytes > 1 << 20);
    pass(b, 60000);
    run_until_quiet(b);
    f = look(b);
    assert_in_range(totals(b).bytes, (1 << 20) * 80 / 100, (1 << 20) * 90 / 100);
    assert_true(f.events > 100 && f.events < 20000);
    assert_int_equal(f.one.sequence, 20000); /* the newest stay */
    assert_accounted(b, 20000);
}

/* --- a disk that fails ---------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void failed_commit_loses_nothing(void **state)
{
    struct bench *b = *state;
    struct audit_writer_stats s;
    struct stat st;
    char path[128];

    signal(SIGXFSZ, SIG_IGN);
    ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", 1);
    audit_writer_step(b->w, b->now, true);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    assert_int_equal(stat(path, &st), 0);
    limit_files((rlim_t)st.st_size); /* not a byte more */
    for (uint16_t i = 0; i < 1000; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", (uint16_t)(i + 2));
    for (int i = 0; i < 40; i++)
        pass(b, audit_writer_step(b->w, b->now, false));
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.last_error, EFBIG);
    assert_true(s.commit_failures >= 4);
    assert_int_equal(s.pending, 1000);
    assert_int_equal(s.recorded, 1);
    assert_int_equal(look(b).events, 1);
    limit_files(RLIM_INFINITY);
    pass(b, 1000);
    audit_writer_step(b->w, b->now, false);
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.last_error, 0);
    assert_int_equal(s.pending, 0);
    assert_int_equal(look(b).events, 1001);
    assert_int_equal(ledger_questions(b), 1001);
    assert_accounted(b, 1001);
}

/* The batch is full, then the ring; what is dropped then is in a gap record. */
static void long_failure_drops_and_says_so(void **state)
{
    struct bench *b = *state;
    struct audit_writer_stats s;
    uint64_t asked = 0;
    struct found f;

    signal(SIGXFSZ, SIG_IGN);
    audit_writer_step(b->w, b->now, true);
    b->limits.max_rate = b->limits.max_rate_client = 0;
    audit_writer_limits(b->w, &b->limits);
    limit_files(8192);
    for (int i = 0; i < 250; i++) {
        for (uint16_t n = 0; n < 1000; n++, asked++)
            ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", n);
        pass(b, 50);
        audit_writer_step(b->w, b->now, false);
    }
    audit_writer_stats(b->w, &s);
    assert_true(s.dropped > 0);
    limit_files(RLIM_INFINITY);
    pass(b, 1000);
    audit_writer_step(b->w, b->now, true);
    f = look(b);
    assert_int_equal(f.lost, s.dropped);
    assert_int_equal(f.events + f.lost, asked);
    assert_accounted(b, asked);
}

static void slow_commits_stretch_the_interval(void **state)
{
    struct bench *b = *state;
    struct audit_writer_stats s;
    uint64_t wait, most = 0, first = 0;

    for (uint16_t i = 0; i < 200; i++) {
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
        wait = audit_writer_step(b->w, b->now, false);
        audit_writer_stats(b->w, &s);
        most = s.interval_ms > most ? s.interval_ms : most;
        first = first == 0 && s.interval_ms > 1000 ? s.interval_ms : first;
        pass(b, wait + (s.pending == 0 ? 9000 : 0)); /* as if the disk were slow */
    }
    assert_int_equal(first, 2000); /* doubled */
    assert_int_equal(most, 10000);
    for (int i = 0; i < 2000; i++) {
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", (uint16_t)i);
        pass(b, audit_writer_step(b->w, b->now, false));
    }
    audit_writer_stats(b->w, &s);
    assert_int_equal(s.interval_ms, 1000);
}

/* --- the files --------------------------------------------------------------------------------- */

static void rights(void **state)
{
    struct bench *b = *state;
    char path[128];
    struct stat st;

    close_writer(b);
    teardown(state);
    umask(077);
    setup(state);
    umask(022);
    b = *state;
    assert_int_equal(stat(b->dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    snprintf(path, sizeof path, "%s/lock.mdb", b->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
}

static void assert_refused(const struct bench *b, const char *why)
{
    struct audit_writer *w = NULL;
    struct audit_reader *r = NULL;
    struct diags d;

    diags_init(&d);
    assert_int_equal(audit_writer_open(&w, b->dir, "dns1", &b->limits, &d), -EBADMSG);
    assert_int_equal(d.n, 1);
    assert_non_null(strstr(d.at[0].text, why));
    assert_non_null(strstr(d.at[0].file, b->dir));
    assert_non_null(strstr(d.at[0].text, "move")); /* a remedy */
    diags_fini(&d);
    assert_int_equal(audit_reader_open(&r, b->dir, NULL), -EBADMSG);
}

static void truncated_store_is_refused(void **state)
{
    struct bench *b = *state;
    char path[128];
    struct stat st;

    for (uint16_t i = 0; i < 1000; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
    close_writer(b);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 4096), 0);
    assert_refused(b, "truncated");
    assert_int_equal(truncate(path, 100), 0);
    assert_refused(b, "not an audit store");
}

static void foreign_file_is_refused(void **state)
{
    struct bench *b = *state;
    char path[128];
    int fd;

    close_writer(b);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "this is no database\n", 20), 20);
    close(fd);
    assert_refused(b, "not an audit store");
}

static void newer_lmdb_is_refused(void **state)
{
    struct bench *b = *state;
    const uint32_t version = 2;
    char path[128];
    int fd;

    close_writer(b);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, &version, sizeof version, 20), 4);
    close(fd);
    assert_refused(b, "newer");
}

static void missing_store(void **state)
{
    struct bench *b = *state;
    struct audit_reader *r = NULL;

    assert_int_equal(audit_reader_open(&r, "/tmp/waymark-audit-none", NULL), -ENOENT);
    (void)b;
}

static int count_event(void *context, const struct audit_event *e, const char *host)
{
    (void)e;
    (void)host;
    ++*(uint64_t *)context;
    return 0;
}

/* A changed octet in an event: that record is skipped and counted, the others are there. */
static void damaged_event_is_counted(void **state)
{
    struct bench *b = *state;
    uint64_t n = 0, damaged;
    struct audit_reader *r;
    char path[128];
    uint8_t page[4096];
    bool hit = false;
    int fd;

    for (uint16_t i = 0; i < 100; i++)
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.damagedone.example", i);
    close_writer(b);
    snprintf(path, sizeof path, "%s/data.mdb", b->dir);
    fd = open(path, O_RDWR);
    for (off_t at = 2 * 4096; !hit && pread(fd, page, sizeof page, at) == 4096; at += 4096) {
        uint8_t *p = memmem(page, sizeof page, "merged-domains", 14),
                *q = memmem(page, sizeof page, "dns1", 4);

        if (p == NULL || q == NULL)
            continue; /* a ledger page */
        for (uint8_t *next = p; next != NULL;
             next = memmem(p + 1, (size_t)(page + sizeof page - p - 1), "merged-domains", 14))
            p = next; /* pages are filled from their end: this one is in use */
        p[0] = 'X';
        hit = pwrite(fd, page, sizeof page, at) == 4096;
    }
    close(fd);
    assert_true(hit);
    r = reader(b);
    assert_int_equal(audit_each_event(r, &(struct audit_range){0}, count_event, &n, &damaged), 0);
    assert_int_equal(damaged, 1);
    assert_int_equal(n, 99);
    audit_reader_close(r);
}

static void ranges(void **state)
{
    struct bench *b = *state;
    struct audit_reader *r;
    uint64_t n = 0, damaged;
    struct found f;

    for (uint16_t i = 0; i < 3000; i++) { /* one an hour */
        ask(b, "10.0.0.1:5000", "_vlmcs._tcp.corp.example", i);
        pass(b, 3600000);
    }
    b->limits.retention_ms = 4000 * day_ms;
    audit_writer_limits(b->w, &b->limits);
    audit_writer_step(b->w, b->now, true);
    f = look_in(b, &(struct audit_range){.since_ms = t0 + 1000 * 3600000ull,
                                         .until_ms = t0 + 1010 * 3600000ull});
    assert_int_equal(f.events, 10);
    assert_int_equal(f.first, 1001);
    f = look_in(b, &(struct audit_range){.after_sequence = 2990});
    assert_int_equal(f.events, 10);
    f = look_in(b, &(struct audit_range){.since_ms = t0 + 9999 * 3600000ull});
    assert_int_equal(f.events, 0);
    r = reader(b);
    assert_int_equal(audit_each_event(r, &(struct audit_range){0}, count_event, &n, &damaged), 0);
    assert_int_equal(n, 3000); /* over several transactions */
    audit_reader_close(r);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_event),
        TEST(events_of_all_rings_are_in_the_order_of_time),
        TEST(commits_at_the_interval),
        TEST(repeats_are_marked),
        TEST(above_the_rate_of_a_client),
        TEST(above_the_rate_of_all),
        TEST(full_ring_leaves_a_gap_record),
        TEST(control_records),
        TEST(sequence_goes_on_after_a_restart),
        TEST(privacy_prefix),
        TEST(rows_above_the_bound_are_one),
        TEST(old_events_go),
        TEST(a_store_that_is_too_large_shrinks),
        TEST(failed_commit_loses_nothing),
        TEST(long_failure_drops_and_says_so),
        TEST(slow_commits_stretch_the_interval),
        TEST(rights),
        TEST(truncated_store_is_refused),
        TEST(foreign_file_is_refused),
        TEST(newer_lmdb_is_refused),
        TEST(missing_store),
        TEST(damaged_event_is_counted),
        TEST(ranges),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
