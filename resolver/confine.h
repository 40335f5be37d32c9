/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.h -- what the process gives up for good once it has its sockets and its user, before its
 * first thread: capabilities, core dumps, files that it does not need (Landlock) and, with
 * server.seccomp, system calls. What it kept is what somebody has who takes it over.
 */
#ifndef RESOLVER_CONFINE_H
#define RESOLVER_CONFINE_H

#include "settings/settings.h"

/* As root, before the user is become: no program that is ever run gets a capability. */
void confine_bounds(void);

/* The rest. 0; -errno with a sentence in d: then the process must end. */
int confine(const struct settings *, struct diags *d);

/* New settings may name files that this process cannot write any more. 0, or -EINVAL with a sentence for each. */
int confine_check(const struct settings *, struct diags *d);

#endif
