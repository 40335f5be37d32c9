/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scratch.h -- a folder of the test's own.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <ftw.h>

#include "tests/unit/rows.h"

enum { SCRATCH = 32 };

/* In memory, where there is some: tests of stores commit a few thousand times. */
static inline void scratch_make(char dir[SCRATCH])
{
    bool shm = access("/dev/shm", W_OK) == 0;

    snprintf(dir, SCRATCH, "%s/waymark-XXXXXX", shm ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static inline void scratch_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *where)
{
    return remove(path);
}

/* With all that is in it. */
static inline void scratch_remove(const char *dir)
{
    assert_int_equal(nftw(dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
