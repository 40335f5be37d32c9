/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine.h -- what the machine tells: its own addresses and networks, and the
 * name servers of its resolv.conf.
 */
#ifndef RESOLVER_MACHINE_H
#define RESOLVER_MACHINE_H

#include "settings/settings.h"

/* settings->machine: the networks of the interfaces, each once. */
void machine_networks(struct settings *);

/* Fits the routes of settings to the machine as it is now. No route may lead to ourselves: such
 * servers are left out. Without `forward:` there is a route for `.` from /etc/resolv.conf without
 * ourselves; for a stub of systemd-resolved, from its own file. 0; -ENOMEM; -EINVAL with a sentence
 * for each problem: settings that are new must not be used then; those that were good once are as
 * good as they can be: a route may have no server, and when resolv.conf has none any more, those of
 * before stay. root: "" in real life, another one in tests. */
int machine_routes(struct settings *, const char *root, struct diags *d);

/* Another one when an address of an interface or a file that names servers has changed. */
uint64_t machine_fingerprint(const char *root);

#endif
