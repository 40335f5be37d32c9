/* SPDX-License-Identifier: BSD-2-Clause
 *
 * identity.h -- who answers, and which version (RFC 4892).
 */
#ifndef RESOLVER_IDENTITY_H
#define RESOLVER_IDENTITY_H

#include "resolver/query.h"
#include "resolver/view.h"

/* Answers a question of class CH for one of the names that say so, if the
 * settings allow: true and the length in q->out_len. */
bool identity_answer(const struct view *, struct query *);

#endif
