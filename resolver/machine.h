/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.h -- what the machine tells: its own addresses and networks, and the
 * name servers of its resolv.conf.
 */
#ifndef RESOLVER_MACHINE_H
#define RESOLVER_MACHINE_H

#include "settings/settings.h"

/* The networks of the machine's interfaces, each once and sorted, as access rules
 * that allow. *out from malloc. The number, or -errno. */
int machine_networks(struct access_rule **out);

/* No route may lead to ourselves: what settings/ could not see, since a wildcard
 * listens at addresses that only the machine knows. 0; -EINVAL with a sentence
 * for each. */
int machine_check_routes(const struct settings *, struct diags *d);

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

/* Of all addresses of the interfaces and of the files that name servers: another one
 * when something of it has changed. */
uint64_t machine_fingerprint(const char *root);

#endif
