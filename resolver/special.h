/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special.h -- names that are answered here and never forwarded.
 */
#ifndef RESOLVER_SPECIAL_H
#define RESOLVER_SPECIAL_H

#include "resolver/query.h"
#include "resolver/view.h"

/* What is said here of the name, when it is special; -1: it is ordinary. */
int special_rcode(const struct query *);
/* Answers q if its name is special: true and the length in q->out_len. */
bool special_answer(const struct view *, struct query *, struct now);

#endif
