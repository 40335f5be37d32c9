/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.c -- messages to the administrator, on standard error.
 *
 * A line is built in a buffer on the stack and written by one write(2), so
 * that lines of several threads never mix and no lock is needed. A message may
 * quote what a stranger sent: everything but printable ASCII is escaped, or a
 * name could forge a line or steer a terminal.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/str.h"

enum { MESSAGE_MAX = 1024, LINE_MAX_BYTES = 4 * MESSAGE_MAX + 80 };

static atomic_int highest = LOG_LEVEL_INFO;
static atomic_int to_journal = -1; /* -1: not yet found out */

void log_set_level(enum log_level level)
{
    atomic_store(&highest, (int)level);
}

static const char *level_word(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_NOTICE:
        return "notice";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "error";
}

/* JOURNAL_STREAM is "device:inode" of the journal's socket, and is inherited
 * by programs whose standard error is something else: systemd.exec(5). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char mine[64];
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(mine, sizeof mine, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, mine) == 0;
}

static void add_start(struct str *line, enum log_level level)
{
    char time[NUMBER_TEXT];
    int journal = atomic_load(&to_journal);

    if (journal < 0) {
        journal = stderr_is_journal();
        atomic_store(&to_journal, journal);
    }
    if (journal)
        str_addf(line, "<%d>", (int)level);
    else
        str_addf(line, "%s %s: ", time_print_local(clock_now().wall_ms, time), level_word(level));
}

/* A backslash stays as it is: names come here in presentation form, in which
 * it is written already. */
static void add_message(struct str *line, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c <= 0x7e)
            str_add_bytes(line, text, 1);
        else
            str_addf(line, "\\x%02x", c);
    }
}

static void write_line(const struct str *line)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, line->at, line->len);
    while (n < 0 && errno == EINTR);
    /* Where standard error takes nothing there is nobody left to tell. */
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    int saved = errno; /* for %m, and for the caller */
    char message[MESSAGE_MAX], buf[LINE_MAX_BYTES];
    struct str line;
    va_list args;
    int n;

    if ((int)level > atomic_load(&highest))
        return;
    str_init(&line, buf, sizeof buf);
    add_start(&line, level);
    va_start(args, fmt);
    errno = saved;
    n = vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    add_message(&line, n < 0 ? fmt : message);
    if (n >= (int)sizeof message)
        str_add(&line, "...");
    str_add(&line, "\n");
    write_line(&line);
    errno = saved;
}
