/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.h -- what the machine tells: its own addresses and networks, the
 * name servers of its resolv.conf, who holds a port.
 */
#ifndef RESOLVER_MACHINE_H
#define RESOLVER_MACHINE_H

#include "settings/settings.h"

/* The networks of the machine's interfaces, each once and sorted, as access rules
 * that allow. *out from malloc. The number, or -errno. */
int machine_networks(struct access_rule **out);

/* Is this one of the machine's own addresses (loopback included)? */
bool machine_owns(const struct addr *);

/* No route may lead to ourselves: what settings/ could not see, since a wildcard
 * listens at addresses that only the machine knows. 0; -EINVAL with a sentence
 * for each. */
int machine_check_routes(const struct settings *, struct diags *d);

/* Where the servers are, ended by NULL. The second is read when the first names
 * the stub of systemd-resolved. */
extern const char *const machine_resolv_confs[];

/* Servers of a resolv.conf, port 53, at most max; the number or -errno. */
int machine_resolv_conf(const char *path, struct addr *out, int max);

/* Gives settings without `forward:` a route for `.` from /etc/resolv.conf
 * without the addresses we listen on; for a stub of systemd-resolved, from its
 * own file. 0; -EINVAL with a sentence that names the line to write, when none
 * is left; -ENOMEM. root: "" in real life, another one in tests. */
int machine_default_route(struct settings *, const char *root, struct diags *d);

/* The routes of settings that were good once, as the machine is now. 0; -ENOMEM;
 * -EINVAL with a sentence for each problem: then they are as good as they can be.
 * Servers that have become ourselves are left out, and a route may have none then;
 * where resolv.conf has none any more, those of before stay. */
int machine_update_routes(struct settings *, const char *root, struct diags *d);

/* Who holds the port of this address: "dnsmasq (pid 812)" into out, or "" when
 * it cannot be known (not root, or a socket of another network namespace). */
void machine_port_holder(const struct addr *, bool tcp, char *out, size_t size);

#endif
