/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_file.c -- whole files in memory: sizes around the limits, and errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/rows.h"

static const struct row {
    const char *what;
    size_t size, max;
    int rc;
} rows[] = {
    {"empty", 0, 0, 0},
    {"one byte", 1, 1, 0},
    {"one byte too many", 2, 1, -EFBIG},
    {"as large as the first buffer", 16 * 1024 - 1, 1 << 20, 0},
    {"one larger than the first buffer", 16 * 1024, 1 << 20, 0},
    {"just the limit", 100000, 100000, 0},
    {"just above the limit", 100001, 100000, -EFBIG},
    {"no limit", 100000, SIZE_MAX, 0},
};

static void read_back(void **state)
{
    const struct row *r = *state;
    char path[] = "/tmp/test_file.XXXXXX", *got = NULL;
    size_t len = 0;
    int fd = mkstemp(path);
    FILE *f;

    assert_true(fd >= 0);
    f = fdopen(fd, "w");
    assert_non_null(f);
    for (size_t i = 0; i < r->size; i++)
        putc((int)(i % 251), f);
    fclose(f);
    assert_int_equal(file_read(path, r->max, &got, &len), r->rc);
    unlink(path);
    if (r->rc != 0) {
        assert_null(got);
        return;
    }
    assert_int_equal(len, r->size);
    assert_int_equal(got[len], '\0');
    for (size_t i = 0; i < r->size; i++)
        if ((uint8_t)got[i] != i % 251)
            fail_msg("byte %zu is wrong", i);
    free(got);
}

static const struct error_row {
    const char *path;
    int rc;
} error_rows[] = {
    {"/no/such/file", -ENOENT},
    {"/", -EISDIR},
    {"", -ENOENT},
};

static void error(void **state)
{
    const struct error_row *r = *state;
    char *got = NULL;
    size_t len;

    assert_int_equal(file_read(r->path, 100, &got, &len), r->rc);
    assert_null(got);
}

/* On a disk with room an error is what it says. (For one without: tests/live/test_audit_live.py) */
static void why_a_write_failed(void **state)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

    assert_true(fd >= 0);
    assert_int_equal(file_write_error(fd, -EIO), -EIO);
    assert_int_equal(file_write_error(fd, -EDQUOT), -EDQUOT);
    assert_int_equal(file_write_error(fd, 0), 0);
    assert_int_equal(file_write_error(-1, -EIO), -EIO);
    close(fd);
}

int main(void)
{
    ROWS(rows, read_back);
    ROWS(error_rows, error);
    TEST(why_a_write_failed);
    return RUN("file");
}
