/* SPDX-License-Identifier: BSD-2-Clause
 *
 * notify.h -- the sd_notify(3) protocol: one datagram to $NOTIFY_SOCKET.
 */
#ifndef RESOLVER_NOTIFY_H
#define RESOLVER_NOTIFY_H

/* "READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1", "STATUS=...".
 * Does nothing when not started by a service manager. */
void notify(const char *state);

#endif
