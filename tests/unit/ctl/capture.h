/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- what a command line writes to stdout and stderr, as texts.
 */
#ifndef TESTS_UNIT_CTL_CAPTURE_H
#define TESTS_UNIT_CTL_CAPTURE_H

#include "ctl/ctl.h"
#include "tests/unit/capture.h"
#include "tests/unit/rows.h"

static const struct ctl_verb *const real[] = {ctl_daemon_verbs, ctl_policy_verbs, ctl_audit_verbs,
                                              ctl_shell_verbs, NULL};

/* Runs a command line of words by space; _ is an empty one. The exit code. */
static inline int PRINTF_LIKE(2, 3)
    capture_line(const struct ctl_verb *const *tables, const char *fmt, ...)
{
    char line[1024], *argv[32] = {"waymarkctl"}, *save = NULL;
    int argc = 1, code;
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(w, "_") == 0 ? "" : w;
    capture_begin();
    code = cli_main(tables, argc, argv);
    capture_end();
    return code;
}

/* Is the part on stdout or stderr, or, when it begins with "!", the rest of it on neither? */
static inline bool capture_said(const char *part)
{
    bool on_stdout = has_or_not(out.text[0], part), on_stderr = has_or_not(out.text[1], part);

    return part[0] == '!' ? on_stdout && on_stderr : on_stdout || on_stderr;
}

#endif
