/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.h -- a handler of the API that has a file of its own. The table is
 * daemon_routes[] in routes.c; field names are those of waymarkctl --json.
 */
#ifndef RESOLVER_ROUTES_H
#define RESOLVER_ROUTES_H

#include "resolver/daemon.h"

/* Takes the daemon as context and answers its request once. */
void routes_explain(void *, struct control_request *);

#endif
