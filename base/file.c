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
    int rc = f == NULL ? -errno : 0;
    size_t size = FIRST_SIZE, n = 0, got;
    char *buf = malloc(size), *more;

    if (rc == 0 && buf == NULL)
        rc = -ENOMEM;
    while (rc == 0 && (got = fread(buf + n, 1, size - 1 - n, f)) > 0) {
        n += got;
        if (n > max) {
            rc = -EFBIG;
        } else if (n == size - 1) {
            size *= 2;
            if ((more = realloc(buf, size)) == NULL)
                rc = -ENOMEM;
            else
                buf = more;
        }
    }
    if (rc == 0 && ferror(f))
        rc = errno > 0 ? -errno : -EIO;
    if (f != NULL && !is_stdin)
        fclose(f);
    if (rc != 0) {
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
