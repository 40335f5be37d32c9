/* SPDX-License-Identifier: BSD-2-Clause
 *
 * connection.h -- one TCP connection of a client: framing, pipelining, limits.
 */
#ifndef RESOLVER_CONNECTION_H
#define RESOLVER_CONNECTION_H

#include "resolver/listen_tcp.h"

/* Takes the descriptor: serves it; at a limit the longest idle connection makes
 * room, or when none is idle the new one is closed. */
void connection_new(struct connections *, int fd, const struct addr *client, uint16_t listener);

#endif
