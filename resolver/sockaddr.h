/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sockaddr.h -- struct addr to sockaddr and back.
 */
#ifndef RESOLVER_SOCKADDR_H
#define RESOLVER_SOCKADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/addr.h"

/* An IPv4 address becomes AF_INET. Returns the length to pass on. */
socklen_t sockaddr_from_addr(const struct addr *, struct sockaddr_storage *out);
/* False (out untouched) for other families. */
bool sockaddr_to_addr(const struct sockaddr *, struct addr *out);

#endif
