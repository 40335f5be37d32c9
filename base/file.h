/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file.h -- whole files in; the user that a program becomes, and the directories of that user.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/str.h"

/* Reads all of a file ("-": standard input) into memory that the caller frees, with a NUL
 * behind it that *len does not count. -EFBIG above max bytes, or -errno. */
int file_read(const char *path, size_t max, char **out, size_t *len);

struct user_dir {
    const char *key; /* the setting that names it, for messages; NULL ends a list */
    const char *path;
};

/* As root: makes the directories (0750, and a missing parent, 0755), gives what it made to the
 * user, and becomes that user with its groups. Not root, or name "": stays, makes them as it
 * is. What is there already is left. 0; -EINVAL with a sentence in d: then the process may be
 * neither, and must end. */
int user_become(const char *name, const struct user_dir *dirs, struct diags *d);

#endif
