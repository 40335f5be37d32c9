/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special.h -- names that are answered here and never forwarded.
 */
#ifndef RESOLVER_SPECIAL_H
#define RESOLVER_SPECIAL_H

#include "resolver/query.h"

/* The rcode of what is said here of the name, when it is special; -1: it is ordinary.
 * w: NULL, or where its image is written; a negative one can be kept for ttl_s. */
int special_answer(const struct query *, uint32_t ttl_s, struct writer *w);

/* A question of class CH for who answers, or which version: true and *result, unless the
 * settings hide it. */
bool special_identity(const struct view *, struct query *, enum answer *result);

/* The reverse zones of private addresses that are answered here with these
 * settings, as text; "16-31.172.in-addr.arpa" are sixteen. */
typedef void special_visit(void *context, const char *zone);
void special_each_reverse(const struct view *, special_visit *, void *context);

#endif
