/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file.c -- whole files in and out.
 *
 * The size that stat(2) tells is not asked: it is wrong for pipes and /proc,
 * and a file may grow while it is read. The buffer doubles up to max instead.
 */
#include "base/file.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { FIRST_SIZE = 16 * 1024 };

int file_read_stream(FILE *f, size_t max, char **out, size_t *len)
{
    size_t size = FIRST_SIZE, n = 0, got;
    char *buf = malloc(size), *more;
    int rc = -ENOMEM;

    if (buf == NULL)
        return -ENOMEM;
    errno = 0;
    while ((got = fread(buf + n, 1, size - 1 - n, f)) > 0) {
        n += got;
        if (n > max) {
            rc = -EFBIG;
            goto fail;
        }
        if (n < size - 1)
            continue;
        if (size > SIZE_MAX / 2 || (more = realloc(buf, size * 2)) == NULL)
            goto fail;
        buf = more;
        size *= 2;
    }
    if (ferror(f)) {
        rc = errno > 0 ? -errno : -EIO;
        goto fail;
    }
    buf[n] = '\0';
    *out = buf;
    *len = n;
    return 0;
fail:
    free(buf);
    return rc;
}

int file_read(const char *path, size_t max, char **out, size_t *len)
{
    FILE *f;
    int rc;

    if (strcmp(path, "-") == 0)
        return file_read_stream(stdin, max, out, len);
    f = fopen(path, "re");
    if (f == NULL)
        return -errno;
    rc = file_read_stream(f, max, out, len);
    fclose(f);
    return rc;
}

int file_write_error(int fd, int rc)
{
    enum { HARDLY_ANY = 1 << 20 };
    struct statvfs v;

    if (rc != -EIO || fstatvfs(fd, &v) != 0 || v.f_frsize == 0)
        return rc;
    return v.f_bavail < HARDLY_ANY / v.f_frsize ? -ENOSPC : rc;
}
