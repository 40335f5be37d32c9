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

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct bench));
    bench_start(*state);
    return 0;
}

static int teardown(void **state)
{
    bench_end(*state);
    free(*state);
    return 0;
}

static void ask_many(struct bench *b, unsigned n)
{
    struct audit_event e = sample_filled("10.0.0.1:5000", "_vlmcs._tcp.corp.example", 0, 0);

    for (; n > 0; n--, e.id++)
        bench_push(b, &e);
}

/* Whenever the writer is killed, what was committed is there and whole. */
static void killed_100_times(void **state)
{
    struct bench *b = *state;
    int64_t had = 0;
    char got[1024];

    bench_close(b);
    for (unsigned round = 0; round < 100; round++) {
        int said[2], status;
        pid_t pid;
        char octet;

        assert_int_equal(pipe(said), 0);
        pid = fork();
        if (pid == 0) {
            bench_open(b, 1 << 20);
            for (;;) {
                ask_many(b, 200);
                audit_writer_step(b->w, b->now, true);
                if (write(said[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        close(said[1]);
        for (unsigned i = 0; i <= round % 4; i++)
            assert_int_equal(read(said[0], &octet, 1), 1);
        usleep(round * 37 % 900); /* wherever it then is */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(said[0]);
        had += (int64_t)(round % 4 + 1) * 200;
        bench_query(b,
                    "SELECT (SELECT count(*) FROM event),(SELECT sum(value) FROM meta),"
                    "(SELECT sum(questions) FROM clients),integrity_check "
                    "FROM pragma_integrity_check",
                    got);
        assert_true(strtoll(got, NULL, 10) >= had); /* all that was said, at least */
        had = strtoll(got, NULL, 10);
        assert_has(got, " ok");
        assert_int_equal(bench_number(b, "SELECT (SELECT count(*) FROM event)=(SELECT sum(value) "
                                         "FROM meta) AND (SELECT sum(value) FROM meta)="
                                         "(SELECT sum(questions) FROM clients)"),
                         1);
    }
    bench_open(b, 1 << 20);
}

/* --- the files --------------------------------------------------------------------------------- */

static void rights(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct bench *b = *state;
    char path[128];
    struct stat st;

    bench_end(b);
    umask(077);
    bench_start(b);
    umask(022);
    ask_many(b, 1);
    bench_close(b); /* the log stays, for those who may only read */
    assert_int_equal(stat(b->dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(path, sizeof path, "%s%s", b->file, ends[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
    }
    assert_int_equal(bench_number(b, "SELECT count(*) FROM event"), 1);
}

static void truncate_to(const char *path, const char *text)
{
    assert_int_equal(truncate(path, strtol(text, NULL, 10)), 0);
}

static void write_at(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    for (off_t at = strtol(text, NULL, 10); at < 20000; at += 20)
        assert_int_equal(pwrite(fd, "this is no database\n", 20, at), 20);
    close(fd);
}

static void write_number(const char *path, const char *text) /* "offset:big-endian number" */
{
    uint32_t n = (uint32_t)strtoul(strchr(text, ':') + 1, NULL, 10);
    uint8_t octets[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    int fd = open(path, O_WRONLY);

    assert_int_equal(pwrite(fd, octets, 4, strtol(text, NULL, 10)), 4);
    close(fd);
}

static const struct damage_row {
    const char *what;
    void (*damage)(const char *path, const char *argument);
    const char *argument, *why;
} damages[] = {
    {"cut within its head", truncate_to, "60", "damaged"},
    {"cut behind its head", truncate_to, "100", "damaged"},
    {"cut within its pages", truncate_to, "40000", "damaged"},
    {"its last page lost", truncate_to, "45056", "damaged"},
    {"another file", write_at, "0", "damaged"},
    {"its tables overwritten", write_at, "100", "damaged"},
    {"a newer format", write_number, "60:3", "newer"},
    {"an older format", write_number, "60:1", "older"},
    {"a database of something else", write_number, "68:77", "something else"},
};

static void damaged_file_is_refused_and_left_alone(void **state)
{
    const struct damage_row *row = *state;
    struct audit_writer *w = NULL;
    struct audit_store *r = NULL;
    struct stat before, after;
    struct bench b;
    struct diags d;

    bench_start(&b);
    ask_many(&b, 1000);
    bench_close(&b);
    row->damage(b.file, row->argument);
    assert_int_equal(stat(b.file, &before), 0);
    diags_init(&d);
    assert_int_equal(audit_writer_open(&w, b.dir, "dns1", &b.limits, NULL, 0, &d), -EBADMSG);
    assert_int_equal(d.n, 1);
    assert_has(d.list[0], row->why);
    assert_has(d.list[0], b.file);
    assert_has(d.list[0], "move"); /* a remedy */
    diags_fini(&d);
    assert_int_equal(audit_store_open(&r, b.dir, 0, NULL), -EBADMSG);
    assert_int_equal(stat(b.file, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    bench_end(&b);
}

static void missing_and_empty(void **state)
{
    struct bench *b = *state;
    struct audit_store *r = NULL;

    assert_int_equal(audit_store_open(&r, "/tmp/waymark-audit-none", 0, NULL), -ENOENT);
    bench_close(b);
    truncate_to(b->file, "0");
    assert_int_equal(audit_store_open(&r, b->dir, 0, NULL), -ENOENT);
    bench_open(b, 1 << 16); /* a new one */
    assert_int_equal(bench_number(b, "SELECT count(*) FROM event"), 0);
    assert_int_equal(bench_number(b, "PRAGMA auto_vacuum"), 2);
}

/* Nobody who reads keeps the log from being written into the database. */
static void query_without_end_is_ended(void **state)
{
    struct bench *b = *state;
    struct audit_store *r;

    assert_int_equal(audit_store_open(&r, b->dir, 0, NULL), 0);
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
