/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_store.c -- the file: a writer that is killed, rights, damage, readers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/audit/bench.h"

static struct bench bench;

static int setup(void **state)
{
    bench_start(&bench);
    return 0;
}

static int teardown(void **state)
{
    bench_end(&bench);
    return 0;
}

static void ask_many(unsigned n)
{
    struct audit_event e = sample_missing("10.0.0.1:5000", "_vlmcs._tcp.corp.example");

    for (; n > 0; n--, e.id++)
        bench_push(&bench, 0, &e);
}

/* Whenever the writer is killed, what was committed is there and whole. */
static void killed_100_times(void **state)
{
    long long had = 0, events, sums, questions;
    char octet, ok[3];

    bench_close(&bench);
    for (unsigned round = 0; round < 100; round++) {
        int said[2], status;
        pid_t pid;

        assert_int_equal(pipe(said), 0);
        pid = fork();
        for (bool open = false; pid == 0; open = true) {
            if (!open)
                bench_open(&bench, 1 << 20);
            ask_many(200);
            audit_writer_step(bench.w, bench.now, true);
            if (write(said[1], "x", 1) != 1)
                _exit(1);
        }
        close(said[1]);
        for (unsigned i = 0; i <= round % 4; i++)
            assert_int_equal(read(said[0], &octet, 1), 1);
        usleep(round * 37 % 900); /* wherever it then is */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(said[0]);
        had += (round % 4 + 1) * 200;
        assert_int_equal(
            sscanf(bench_query(&bench, "SELECT (SELECT count(*) FROM event),(SELECT sum(value) "
                                       "FROM meta),(SELECT sum(questions) FROM clients),"
                                       "integrity_check FROM pragma_integrity_check"),
                   "%lld %lld %lld %2s", &events, &sums, &questions, ok),
            4);
        assert_true(events >= had); /* all that was said, at least */
        assert_int_equal(events, sums);
        assert_int_equal(events, questions);
        assert_string_equal(ok, "ok");
        had = events;
    }
}

static void rights(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[128];
    struct stat st;

    bench_end(&bench);
    umask(077);
    bench_start(&bench);
    umask(022);
    ask_many(1);
    bench_close(&bench); /* the log stays, for those who may only read */
    assert_int_equal(stat(bench.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(path, sizeof path, "%s%s", bench.file, ends[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
    }
    assert_string_equal(bench_query(&bench, "SELECT count(*) FROM event"), "1");
}

/* The file is cut, or overwritten from here to there with the text again and again. */
static const struct damage_row {
    const char *what, *why;
    off_t from, to;
    const char *text; /* NULL: it is cut */
    size_t len;
} damages[] = {
    {"cut within its head", "damaged", 60},
    {"cut behind its head", "damaged", 100},
    {"cut within its pages", "damaged", 40000},
    {"its last page lost", "damaged", 45056},
    {"another file", "damaged", 0, 20000, "this is no database\n", 20},
    {"its tables overwritten", "damaged", 100, 20000, "this is no database\n", 20},
    {"a newer format", "newer", 60, 64, "\0\0\0\3", 4},
    {"an older format", "older", 60, 64, "\0\0\0\1", 4},
    {"a database of something else", "something else", 68, 72, "\0\0\0M", 4},
};

static void damaged_file_is_refused_and_left_alone(void **state)
{
    const struct damage_row *row = *state;
    struct audit_writer *w = NULL;
    struct audit_store *r = NULL;
    struct stat before, after;
    struct diags d;
    int fd;

    bench_start(&bench);
    ask_many(1000);
    bench_close(&bench);
    fd = open(bench.file, O_WRONLY | O_CLOEXEC);
    for (off_t at = row->from; at < row->to; at += (off_t)row->len)
        assert_int_equal(pwrite(fd, row->text, row->len, at), row->len);
    assert_true(row->text != NULL || ftruncate(fd, row->from) == 0);
    assert_int_equal(fstat(fd, &before), 0);
    close(fd);
    diags_init(&d);
    assert_int_equal(audit_writer_open(&w, bench.dir, "dns1", &bench.limits, NULL, 0, &d),
                     -EBADMSG);
    assert_int_equal(d.n, 1);
    assert_has(d.list[0], row->why);
    assert_has(d.list[0], bench.file);
    assert_has(d.list[0], "move"); /* a remedy */
    diags_fini(&d);
    assert_int_equal(audit_store_open(&r, bench.dir, 0, NULL), -EBADMSG);
    assert_int_equal(stat(bench.file, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    bench_end(&bench);
}

static void missing_and_empty(void **state)
{
    struct audit_store *r = NULL;

    assert_int_equal(audit_store_open(&r, "/tmp/waymark-audit-none", 0, NULL), -ENOENT);
    bench_close(&bench);
    assert_int_equal(truncate(bench.file, 0), 0);
    assert_int_equal(audit_store_open(&r, bench.dir, 0, NULL), -ENOENT);
    bench_open(&bench, 1 << 16); /* a new one */
    assert_string_equal(
        bench_query(&bench,
                    "SELECT auto_vacuum,(SELECT count(*) FROM event) FROM pragma_auto_vacuum"),
        "2 0");
}

/* Nobody who reads keeps the log from being written into the database. */
static void query_without_end_is_ended(void **state)
{
    struct audit_store *r;

    assert_int_equal(audit_store_open(&r, bench.dir, 0, NULL), 0);
    assert_int_equal(audit_query(r,
                                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
                                 "SELECT count(*) FROM n,event",
                                 NULL, NULL),
                     -ETIMEDOUT);
    assert_int_equal(audit_query(r, "DELETE FROM event", NULL, NULL), -EACCES);
    audit_store_close(r);
}

int main(void)
{
    TEST_WITH(killed_100_times, setup, teardown);
    TEST_WITH(rights, setup, teardown);
    TEST_WITH(missing_and_empty, setup, teardown);
    TEST_WITH(query_without_end_is_ended, setup, teardown);
    ROWS(damages, damaged_file_is_refused_and_left_alone);
    return RUN("store");
}
