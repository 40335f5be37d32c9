/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h -- messages to the administrator, on standard error.
 *
 * Used by resolver/ (start, stop, reload, faults) and nowhere below it: the
 * packet path counts and does not log. Under systemd (JOURNAL_STREAM set) a
 * line begins with its "<level>" prefix, sd-daemon(3); else with the time.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"

/* The numbers are those of syslog(3). */
enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

void log_set_level(enum log_level);
/* One line; control characters are escaped. Thread-safe, one write(2). */
void log_msg(enum log_level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_msg(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
