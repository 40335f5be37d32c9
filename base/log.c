/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.c -- messages to the administrator, on standard error.
 *
 * A line is written by one write(2), so that lines of several threads never mix. A message
 * may quote what a stranger sent, so everything but printable ASCII is escaped: otherwise a
 * name could forge a line or steer a terminal.
 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum { MESSAGE_MAX = 1024, LINE_MAX_BYTES = 4 * MESSAGE_MAX + 80 };

const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static atomic_int highest = LOG_INFO;

void log_set_level(int level)
{
    atomic_store(&highest, level);
}

void log_msg(int level, const char *fmt, ...)
{
    int saved = errno; /* for %m, and for the caller */
    char message[MESSAGE_MAX], buf[LINE_MAX_BYTES], time[NUMBER_TEXT];
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st = {0};
    struct str line;
    va_list args;
    ssize_t written;
    int n;

    if (level > atomic_load(&highest))
        return;
    /* "device:inode" of the journal's socket: programs inherit it whose standard error is
     * something else, systemd.exec(5). */
    (void)fstat(STDERR_FILENO, &st);
    snprintf(message, sizeof message, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    str_init(&line, buf, sizeof buf);
    if (stream && strcmp(stream, message) == 0)
        str_addf(&line, "<%d>", level);
    else
        str_addf(&line, "%s %s: ", time_print_local(clock_now().wall_ms, time),
                 log_levels[level - LOG_ERR]);
    va_start(args, fmt);
    errno = saved;
    n = vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    /* A backslash stays: names come here in presentation form, which has escaped it. */
    str_add_escaped(&line, message, n < 0 ? 0 : strlen(message));
    str_add(&line, n >= (int)sizeof message ? "...\n" : "\n");
    do /* where standard error takes nothing there is nobody left to tell */
        written = write(STDERR_FILENO, line.text, line.len);
    while (written < 0 && errno == EINTR);
    errno = saved;
}
