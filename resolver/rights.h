/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.h -- which user the daemon is, and the directories that user owns.
 *
 * The daemon binds its sockets, then becomes server.user for good, then opens
 * the stores: so every file has one owner.
 */
#ifndef RESOLVER_RIGHTS_H
#define RESOLVER_RIGHTS_H

#include "base/diag.h"
#include "settings/settings.h"

/* As root: makes state and run directory (0750, owned by server.user) if need
 * be, and becomes server.user with its groups; verified to be irreversible.
 * Not root, or user "": stays, makes the directories as it is. 0; -EINVAL with
 * a sentence in d. */
int rights_take(const struct settings *, struct diags *d);

#endif
