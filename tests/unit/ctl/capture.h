/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- what a piece of code, or a command line, writes to stdout and stderr, as texts.
 */
#ifndef TESTS_UNIT_CTL_CAPTURE_H
#define TESTS_UNIT_CTL_CAPTURE_H

#include <sys/mman.h>

#include "ctl/ctl.h"
#include "tests/unit/rows.h"

static struct {
    int file[2], saved[2];
    char text[2][1 << 16]; /* stdout, stderr */
} out;

static const struct ctl_verb *const real[] = {ctl_daemon_verbs, ctl_policy_verbs, ctl_audit_verbs,
                                              ctl_shell_verbs, NULL};

static inline void capture_begin(void)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        out.file[i] = memfd_create("capture", MFD_CLOEXEC);
        out.saved[i] = dup(i + 1);
        dup2(out.file[i], i + 1);
    }
}

static inline void capture_end(void)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        ssize_t n = pread(out.file[i], out.text[i], sizeof out.text[i] - 1, 0);

        out.text[i][n > 0 ? n : 0] = '\0';
        dup2(out.saved[i], i + 1);
        close(out.saved[i]);
        close(out.file[i]);
    }
}

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

#endif
