/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.h -- the API's handlers, shared between routes*.c. The table is
 * daemon_routes[] in routes.c; field names are those of waymarkctl --json.
 */
#ifndef RESOLVER_ROUTES_H
#define RESOLVER_ROUTES_H

#include "resolver/daemon.h"

/* Each takes the daemon as context and answers its request once. */
void routes_status(void *, struct control_request *);
void routes_stats(void *, struct control_request *);
void routes_upstreams(void *, struct control_request *);
void routes_cache_get(void *, struct control_request *);
void routes_cache_flush(void *, struct control_request *);
void routes_reload(void *, struct control_request *);
void routes_explain(void *, struct control_request *);

/* Sum over all workers. */
void routes_sum(struct daemon *, struct worker_stats *);

#endif
