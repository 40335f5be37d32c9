/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy.h -- the PROXY protocol, version 2: the head that a load balancer writes in front of what
 * a client sends, with the client's address. By haproxy's doc/proxy-protocol.txt, section 2.2.
 */
#ifndef WIRE_PROXY_H
#define WIRE_PROXY_H

#include "base/addr.h"
#include "wire/pack.h"

/* Moves behind the head; *client becomes the client's address, and stays what it is for what the
 * balancer asks on its own behalf (LOCAL) or says of no Internet address. 0; -EAGAIN: it is not
 * whole (over TCP: more may come); -EBADMSG: it is none. */
int proxy_read(struct cursor *, bool stream, struct addr *client);

#endif
