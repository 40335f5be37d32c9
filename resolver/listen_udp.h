/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listen_udp.h -- questions over UDP, in batches.
 */
#ifndef RESOLVER_LISTEN_UDP_H
#define RESOLVER_LISTEN_UDP_H

#include "resolver/listen.h"

struct listen_udp;       /* opaque: one socket */
struct listen_udp_batch; /* opaque: buffers that a worker's sockets share */

struct listen_udp_batch *listen_udp_batch_new(void); /* NULL when out of memory */
void listen_udp_batch_free(struct listen_udp_batch *);

/* Owns fd from here on, also on failure. number: goes into struct client. */
struct listen_udp *listen_udp_new(struct listen *, struct listen_udp_batch *, int fd,
                                  const struct addr *local, bool wildcard, uint16_t number);
void listen_udp_free(struct listen_udp *);

/* A late answer. Never blocks; what cannot be sent is counted. */
void listen_udp_send(struct listen_udp *, const struct client *, const uint8_t *, size_t);

#endif
