/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_log.c -- what an administrator sees on standard error.
 */
#include <sys/stat.h>

#include "base/log.h"
#include "tests/unit/rows.h"

enum stream { NONE, JOURNAL, ANOTHER, CLOSED };

static const struct row {
    const char *what;
    int limit, level;
    const char *text, *want; /* without the time in front */
    enum stream stream;
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
    {"first and last of the printable", LOG_INFO, LOG_INFO, "\x1f ~\x7f", "info: \\x1f ~\\x7f\n"},
    {"an escaped name stays", LOG_INFO, LOG_INFO, "a\\032b.", "info: a\\032b.\n"},
    {"under systemd", LOG_INFO, LOG_INFO, "x", "<6>x\n", JOURNAL},
    {"the journal is that of the parent", LOG_INFO, LOG_INFO, "x", "info: x\n", ANOTHER},
    {"nobody listens", LOG_INFO, LOG_ERR, "x", "", CLOSED},
};

/* Standard error is a pipe for one message. */
static const char *logged(int level, const char *text, enum stream stream, char out[8192])
{
    int pipes[2], saved = dup(STDERR_FILENO), after;
    char id[64];
    struct stat st;
    ssize_t n;

    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    assert_int_equal(fstat(pipes[stream == ANOTHER ? 0 : 1], &st), 0);
    snprintf(id, sizeof id, "%ju:%ju", (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino + (stream == ANOTHER));
    unsetenv("JOURNAL_STREAM");
    if (stream != NONE)
        setenv("JOURNAL_STREAM", id, 1);
    dup2(pipes[1], STDERR_FILENO);
    if (stream == CLOSED)
        close(STDERR_FILENO);
    errno = ERANGE;
    log_msg(level, "%s", text);
    after = errno;
    dup2(saved, STDERR_FILENO);
    assert_int_equal(after, ERANGE); /* whether it is logged or not */
    n = read(pipes[0], out, 8191);
    close(pipes[0]);
    close(pipes[1]);
    close(saved);
    out[n > 0 ? n : 0] = '\0';
    return n > 20 ? out + strlen("2026-11-22 10:00:00 ") : out;
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char out[8192];

    log_set_level(r->limit);
    assert_string_equal(logged(r->level, r->text, r->stream, out), r->want);
}

static void long_message(void **state)
{
    char text[3000], out[8192];
    const char *got;

    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    got = logged(LOG_ERR, text, NONE, out);
    assert_int_equal(strlen(got), strlen("error: ") + 1023 * 4 + strlen("...\n"));
    assert_string_equal(got + strlen(got) - 8, "\\x0a...\n");
}

TESTS("log", ROWS(rows, check_row), TEST(long_message))
