/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- what a piece of code writes to stdout and stderr, as texts.
 */
#ifndef TESTS_UNIT_CTL_CAPTURE_H
#define TESTS_UNIT_CTL_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CAPTURE_SIZE = 1 << 16 };

struct capture {
    int file[2], saved[2];
    char text[2][CAPTURE_SIZE]; /* stdout, stderr */
};

static inline void capture_begin(struct capture *c)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        c->file[i] = memfd_create("capture", MFD_CLOEXEC);
        c->saved[i] = dup(i + 1);
        dup2(c->file[i], i + 1);
    }
}

static inline void capture_end(struct capture *c)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        ssize_t n = pread(c->file[i], c->text[i], CAPTURE_SIZE - 1, 0);

        c->text[i][n > 0 ? n : 0] = '\0';
        dup2(c->saved[i], i + 1);
        close(c->saved[i]);
        close(c->file[i]);
    }
}

#endif
