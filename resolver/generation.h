/* SPDX-License-Identifier: BSD-2-Clause
 *
 * generation.h -- settings with what the machine tells, as workers share them
 * (struct generation, worker.h).
 */
#ifndef RESOLVER_GENERATION_H
#define RESOLVER_GENERATION_H

#include "base/str.h"
#include "resolver/worker.h"

/* A copy of the settings, and the machine's networks as they are now; n_machine
 * is -errno when they cannot be known, which counts as none. NULL when out of
 * memory. */
struct generation *generation_new(const struct settings *);
void generation_free(struct generation *);

/* Appends what the machine has changed between two generations of the same
 * settings: servers and, where they decide who may ask, the networks that only one
 * of them has; nothing when nothing changed. */
void generation_changes(const struct generation *was, const struct generation *is, struct str *out);

#endif
