/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bind.h -- the listening sockets, bound before the rights are given up.
 */
#ifndef RESOLVER_BIND_H
#define RESOLVER_BIND_H

#include "base/diag.h"
#include "resolver/worker.h"

/* Binds UDP and TCP on every server.listen, once for each of n workers
 * (SO_REUSEPORT). *out: n * n_each listeners, those of a worker together; from
 * malloc, the caller owns the descriptors. 0; -EINVAL with sentences in d that
 * say who holds the port and which setting to change. */
int bind_listeners(const struct settings *, int n, struct listener **out, int *n_each,
                   struct diags *d);

#endif
