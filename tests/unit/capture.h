/* SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- what a piece of code writes to stdout and stderr, as texts.
 */
#ifndef TESTS_UNIT_CAPTURE_H
#define TESTS_UNIT_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    int file[2], saved[2];
    char text[2][1 << 16]; /* stdout, stderr */
} out;

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

#endif
