/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_file.h -- is data.mdb whole? Asked before LMDB maps it.
 */
#ifndef POLICY_STORE_FILE_H
#define POLICY_STORE_FILE_H

#include <stdint.h>

#include "base/diag.h"

/* 0; -ENOENT no file, or one that was never written to; -EBADMSG with a
 * sentence in d; -errno likewise. */
int store_file_check(const char *path, struct diags *d);

#endif
