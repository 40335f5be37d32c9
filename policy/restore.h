/* SPDX-License-Identifier: BSD-2-Clause
 *
 * restore.h -- the policy as it was at an earlier serial, made of the present one and its history.
 */
#ifndef POLICY_RESTORE_H
#define POLICY_RESTORE_H

#include "policy/change.h"

/* Adds to the list, inside the transaction, what makes the policy what it was at that serial: it
 * costs what the changes since then cost. 0; -ERANGE: *oldest is the oldest serial that can be
 * restored, and the present one is the newest; -errno. */
int restore_list(struct policy_change *, uint64_t serial, uint64_t *oldest);

/* A store that is nowhere, as store_open_nowhere(), with the policy as it was, and the log and
 * history up to there: a copy of `from` that was changed back. Errors as above. */
int restore_open(struct store **out, struct store *from, const char *folder, uint64_t serial,
                 uint64_t *oldest);

#endif
