/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.h -- what the machine tells: its own addresses and networks, the
 * name servers of its resolv.conf, who holds a port.
 */
#ifndef RESOLVER_MACHINE_H
#define RESOLVER_MACHINE_H

#include "settings/settings.h"

/* The networks of the machine's interfaces, as access rules that allow.
 * *out from malloc. The number, or -errno. */
int machine_networks(struct access_rule **out);

/* Is this one of the machine's own addresses (loopback included)? */
bool machine_owns(const struct addr *);

/* No route may lead to ourselves: what settings/ could not see, since a wildcard
 * listens at addresses that only the machine knows. 0; -EINVAL with a sentence
 * for each. */
int machine_check_routes(const struct settings *, struct diags *d);

/* Servers of a resolv.conf, port 53, at most max; the number or -errno. */
int machine_resolv_conf(const char *path, struct addr *out, int max);

/* Gives settings without `forward:` a route for `.` from /etc/resolv.conf
 * without the addresses we listen on; for a stub of systemd-resolved, from its
 * own file. 0; -EINVAL with a sentence that names the line to write, when none
 * is left. dir: "" in real life, another root in tests. */
int machine_default_route(struct settings *, const char *root, struct diags *d);

/* Who holds the port of this address: "dnsmasq (pid 812)" into out, or "" when
 * it cannot be known (not root, or a socket of another network namespace). */
void machine_port_holder(const struct addr *, bool tcp, char *out, size_t size);

#endif
