/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcp.h -- questions over TCP (RFC 7766): several on one connection, answered in
 * the order in which the answers come. The process ignores SIGPIPE.
 */
#ifndef RESOLVER_TCP_H
#define RESOLVER_TCP_H

#include "resolver/listen.h"

struct tcp; /* opaque: a worker's listening sockets and connections */

/* Serves those of the listeners that are TCP and owns their descriptors from here on.
 * NULL when out of memory. */
struct tcp *tcp_new(struct listen *, const struct listener *, int n);
void tcp_free(struct tcp *); /* closes all; NULL is fine */

/* Takes a descriptor that was accepted: serves it; at a limit the longest idle
 * connection makes room, or when none is idle the new one is closed. */
void tcp_connection(struct tcp *, int fd, const struct addr *client, uint16_t listener);

/* A late answer; to nobody, if the connection is gone. */
void tcp_send(struct tcp *, const struct client *, const uint8_t *, size_t);

#endif
