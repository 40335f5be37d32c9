/* SPDX-License-Identifier: BSD-2-Clause
 *
 * format.h -- whose store is it, and can this version read it?
 */
#ifndef POLICY_FORMAT_H
#define POLICY_FORMAT_H

#include "base/diag.h"
#include "policy/kv.h"

/* 0; -ENOENT nothing was ever stored and create is false; -EBADMSG with a
 * sentence in d; -errno. With create, an empty store becomes one of ours. */
int format_open(struct policy_store *, const char *dir, bool create, struct diags *d);

#endif
