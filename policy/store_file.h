/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_file.h -- the files of a store, without LMDB.
 */
#ifndef POLICY_STORE_FILE_H
#define POLICY_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"

/* Is data.mdb of that folder whole? Asked before LMDB maps it: that it reaches
 * its last page; whole: every page of it. make: makes the folder. 0; -ENOENT
 * there is no store, and nothing says that there was one; -EBADMSG with a
 * sentence in d; -errno. */
int store_file_prepare(const char *dir, bool make, bool whole, struct diags *d);
void store_file_modes(const char *dir);   /* sets the rights of both files */
int store_file_lockable(const char *dir); /* 0; -errno: the lock file cannot be written */
/* Makes the file reach `more` pages behind its last one, but not beyond that many
 * octets; longer is fine too unless exact. 0 or -errno. */
int store_file_fit(int fd, uint64_t more, uint64_t most, bool exact);
/* "DIR/data.mdb WHAT; REMEDY". -EBADMSG. */
int store_file_damaged(struct diags *d, const char *dir, const char *what);
/* The sentence for a failure that no other place has told. */
void store_file_say_why(struct diags *d, const char *dir, int rc);

#endif
