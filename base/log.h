/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log.h -- messages to the administrator, on standard error.
 *
 * Used by resolver/ and nowhere below it: the packet path counts and does not log. Under
 * systemd a line begins with its "<level>" prefix, sd-daemon(3); else with the time.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <syslog.h>

#include "base/compiler.h"

/* "error" to "debug", which are LOG_ERR to LOG_DEBUG of syslog(3); ended by NULL. */
extern const char *const log_levels[];

void log_set_level(int level);
/* One line; control characters are escaped. Thread-safe, one write(2). */
void log_msg(int level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_msg(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_msg(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
