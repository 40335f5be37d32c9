/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_file.h -- the files of a store, without LMDB.
 */
#ifndef POLICY_STORE_FILE_H
#define POLICY_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"

/* Is data.mdb of that folder whole? Asked before LMDB maps it. make: makes the
 * folder, and no file is fine. 0; -ENOENT no file, or one that was never
 * written to; -EBADMSG with a sentence in d; -errno, perhaps with one. */
int store_file_prepare(const char *dir, bool make, struct diags *d);
void store_file_modes(const char *dir); /* sets the rights of both files */
/* Makes the file that long; longer is fine too unless exact. 0 or -errno. */
int store_file_fit(int fd, uint64_t octets, bool exact);
/* The sentence for a failure that no other place has told. */
void store_file_say_why(struct diags *d, const char *dir, int rc);

#endif
