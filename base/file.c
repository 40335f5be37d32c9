/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file.c -- whole files in and out.
 *
 * The size that stat(2) tells is not asked: it is wrong for pipes and /proc,
 * and a file may grow while it is read. The buffer doubles up to max instead.
 */
#include "base/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { FIRST_SIZE = 16 * 1024 };

int file_read(const char *path, size_t max, char **out, size_t *len)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    size_t size = FIRST_SIZE, n = 0, got;
    char *buf, *more;
    int rc = 0;

    if (f == NULL)
        return -errno;
    buf = malloc(size);
    while (buf != NULL && n <= max && (got = fread(buf + n, 1, size - 1 - n, f)) > 0) {
        n += got;
        if (n < size - 1)
            continue;
        size *= 2;
        more = realloc(buf, size);
        if (more == NULL)
            free(buf);
        buf = more;
    }
    if (buf == NULL)
        rc = -ENOMEM;
    else if (n > max)
        rc = -EFBIG;
    else if (ferror(f))
        rc = errno > 0 ? -errno : -EIO;
    if (!is_stdin)
        fclose(f);
    if (rc != 0 || buf == NULL) {
        free(buf);
        return rc;
    }
    buf[n] = '\0';
    *out = buf;
    *len = n;
    return 0;
}

int file_write_error(int fd, int rc)
{
    enum { HARDLY_ANY = 1 << 20 };
    struct statvfs v;

    if (rc != -EIO || fstatvfs(fd, &v) != 0 || v.f_frsize == 0)
        return rc;
    return v.f_bavail < HARDLY_ANY / v.f_frsize ? -ENOSPC : rc;
}
