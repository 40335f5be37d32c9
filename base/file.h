/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file.h -- whole files in and out; why a write failed.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

/* Reads all of a file into memory that the caller frees, with a NUL behind it that
 * *len does not count. -EFBIG above max bytes, or -errno. path "-" is standard
 * input. */
int file_read(const char *path, size_t max, char **out, size_t *len);

/* LMDB says EIO of a write that a full disk has cut short: -ENOSPC if that disk
 * has hardly any room, else rc. */
int file_write_error(int fd, int rc);

#endif
