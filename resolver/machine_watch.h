/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine_watch.h -- says when what machine.h tells may have changed: the
 * addresses of the interfaces, and the files that name servers.
 */
#ifndef RESOLVER_MACHINE_WATCH_H
#define RESOLVER_MACHINE_WATCH_H

struct machine_watch; /* opaque */
struct event_base;

typedef void machine_changed(void *context);

/* Calls `changed` in the thread of the base: quiet_ms after the last sign of a
 * change, most_ms after the first at the latest; and once after the start, for
 * what changed before. root as in machine_default_route(). NULL when out of
 * memory. */
struct machine_watch *machine_watch_new(struct event_base *, const char *root, unsigned quiet_ms,
                                        unsigned most_ms, machine_changed *, void *context);
void machine_watch_free(struct machine_watch *);

/* As if there were a sign: `changed` is called once more. NULL is fine. */
void machine_watch_again(struct machine_watch *);

/* 0, or the errno of what cannot be watched at present. */
int machine_watch_error(const struct machine_watch *);

#endif
