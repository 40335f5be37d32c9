/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- what a piece of code, or a command line, writes to stdout and stderr, as texts.
 */
#ifndef TESTS_UNIT_CTL_CAPTURE_H
#define TESTS_UNIT_CTL_CAPTURE_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { CAPTURE_SIZE = 1 << 16, CAPTURE_WORDS = 32 };

struct capture {
    int file[2], saved[2];
    char text[2][CAPTURE_SIZE]; /* stdout, stderr */
};

static inline void capture_begin(struct capture *c)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        c->file[i] = memfd_create("capture", MFD_CLOEXEC);
        c->saved[i] = dup(i + 1);
        dup2(c->file[i], i + 1);
    }
}

static inline void capture_end(struct capture *c)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        ssize_t n = pread(c->file[i], c->text[i], CAPTURE_SIZE - 1, 0);

        c->text[i][n > 0 ? n : 0] = '\0';
        dup2(c->saved[i], i + 1);
        close(c->saved[i]);
        close(c->file[i]);
    }
}

/* Runs a command line: first, then line, words by space (first may be NULL). The exit code. */
static inline int capture_line(struct capture *c, const struct ctl_verb *const *tables,
                               const char *first, const char *line)
{
    char copy[1024], *argv[CAPTURE_WORDS] = {"waymarkctl"}, *save = NULL;
    int argc = 1, code;

    snprintf(copy, sizeof copy, "%s %s", first ? first : "", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    capture_begin(c);
    code = cli_main(tables, argc, argv);
    capture_end(c);
    return code;
}

#endif
