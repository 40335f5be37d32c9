/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen_tcp.h -- questions over TCP (RFC 7766): several on one connection,
 * answered in the order in which the answers come.
 */
#ifndef RESOLVER_LISTEN_TCP_H
#define RESOLVER_LISTEN_TCP_H

#include "resolver/listen.h"

struct listen_tcp;  /* opaque: one listening socket */
struct connections; /* opaque: all connections of a worker */

struct connections *connections_new(struct listen *); /* NULL when out of memory */
/* Closes them all. */
void connections_free(struct connections *);
unsigned connections_count(const struct connections *); /* any thread may read */
/* A late answer; to nobody, if the connection is gone. */
void connections_send(struct connections *, const struct client *, const uint8_t *, size_t);

/* Owns fd (listening) from here on, also on failure. */
struct listen_tcp *listen_tcp_new(struct listen *, struct connections *, int fd, uint16_t number);
void listen_tcp_free(struct listen_tcp *);

#endif
