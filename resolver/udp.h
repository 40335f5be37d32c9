/* SPDX-License-Identifier: BSD-2-Clause
 *
 * udp.h -- questions over UDP, in batches.
 */
#ifndef RESOLVER_UDP_H
#define RESOLVER_UDP_H

#include "resolver/listen.h"

struct udp; /* opaque: a worker's sockets and the buffers that they share */

/* Serves those of the listeners that are UDP and owns their descriptors from here on.
 * NULL when out of memory. */
struct udp *udp_new(struct listen *, const struct listener *, int n);
void udp_free(struct udp *); /* NULL is fine */

/* A late answer. Never blocks; what cannot be sent is counted. */
void udp_send(struct udp *, const struct client *, const uint8_t *, size_t);

#endif
