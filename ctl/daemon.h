/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon.h -- the verbs that talk to the daemon, and what they share: fields
 * of its JSON, which may be missing in another version.
 */
#ifndef CTL_DAEMON_H
#define CTL_DAEMON_H

#include "ctl/ctl.h"

int daemon_status(struct ctl *);
int daemon_stats(struct ctl *);
int daemon_upstreams(struct ctl *);
int daemon_reload(struct ctl *);
int daemon_cache_get(struct ctl *);
int daemon_cache_flush(struct ctl *);
int daemon_explain(struct ctl *);
int daemon_query(struct ctl *);

/* The field's text, or `without` if there is none. */
const char *field_text(const json_t *object, const char *key, const char *without);
/* The field's number; 0 if there is none. */
long long field_number(const json_t *object, const char *key);
bool field_true(const json_t *object, const char *key);
/* The texts of an array, or one member of each object, joined. Freed by the caller. */
char *field_joined(const json_t *array, const char *member, const char *between);

/* Text for a part of a URL; freed by the caller. */
char *url_escape(const char *text);

#endif
