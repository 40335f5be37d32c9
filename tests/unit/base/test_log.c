/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_log.c -- what an administrator sees on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"
#include "base/log.h"
#include "tests/unit/rows.h"

/* Logs one message with standard error turned into a pipe; what came out,
 * without the time in front. */
static const char *logged(int level, const char *text, char out[8192])
{
    int pipes[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_true(saved >= 0);
    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    dup2(pipes[1], STDERR_FILENO);
    errno = ERANGE;
    log_msg(level, "%s", text);
    assert_int_equal(errno, ERANGE); /* whether it is logged or not */
    dup2(saved, STDERR_FILENO);
    n = read(pipes[0], out, 8191);
    close(pipes[0]);
    close(pipes[1]);
    close(saved);
    out[n > 0 ? n : 0] = '\0';
    return n > 20 ? out + strlen("2026-11-22 10:00:00 ") : out;
}

static const struct row {
    const char *what;
    int limit, level;
    const char *text, *want;
} rows[] = {
    {"error", LOG_INFO, LOG_ERR, "x", "error: x\n"},
    {"warning", LOG_INFO, LOG_WARNING, "x", "warning: x\n"},
    {"notice", LOG_INFO, LOG_NOTICE, "x", "notice: x\n"},
    {"info", LOG_INFO, LOG_INFO, "x", "info: x\n"},
    {"debug is not asked for", LOG_INFO, LOG_DEBUG, "x", ""},
    {"debug", LOG_DEBUG, LOG_DEBUG, "x", "debug: x\n"},
    {"info is not asked for", LOG_NOTICE, LOG_INFO, "x", ""},
    {"a forged line", LOG_INFO, LOG_INFO, "a\nerror: b", "info: a\\x0aerror: b\n"},
    {"a terminal sequence", LOG_INFO, LOG_INFO, "\x1b[2J\xc2\x9b", "info: \\x1b[2J\\xc2\\x9b\n"},
    {"an escaped name stays", LOG_INFO, LOG_INFO, "a\\032b.", "info: a\\032b.\n"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    char out[8192];

    log_set_level(r->limit);
    assert_string_equal(logged(r->level, r->text, out), r->want);
    log_set_level(LOG_INFO);
}

/* The first test: the process looks at its standard error once. */
static void under_systemd(void **state)
{
    char out[64] = "", id[64];
    struct stat st;
    int pipes[2];

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(fstat(pipes[1], &st), 0);
    snprintf(id, sizeof id, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    if (fork() == 0) {
        setenv("JOURNAL_STREAM", id, 1);
        dup2(pipes[1], STDERR_FILENO);
        log_info("x");
        _exit(0);
    }
    wait(NULL);
    assert_true(read(pipes[0], out, sizeof out - 1) > 0);
    assert_string_equal(out, "<6>x\n");
    close(pipes[0]);
    close(pipes[1]);
}

static void long_message(void **state)
{
    char text[3000], out[8192];
    const char *got;

    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    got = logged(LOG_INFO, text, out);
    assert_int_equal(strlen(got), strlen("info: ") + 1023 * 4 + strlen("...\n"));
    assert_string_equal(got + strlen(got) - 8, "\\x0a...\n");
}

static void nobody_listens(void **state)
{
    int saved = dup(STDERR_FILENO), after;

    close(STDERR_FILENO);
    errno = ERANGE;
    log_error("x");
    after = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(after, ERANGE);
}

static void clocks_go(void **state)
{
    struct now a = clock_now(), b = clock_now();

    assert_true(a.mono_ms > 0);
    assert_true(b.mono_ms >= a.mono_ms);
    assert_true(a.wall_ms > 1577836800000u); /* 2020 */
}

int main(void)
{
    TEST(under_systemd);
    ROWS(rows, check_row);
    TEST(long_message);
    TEST(nobody_listens);
    TEST(clocks_go);
    return RUN("log");
}
