/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.h -- what a client gets. The whole of Waymark's judgement is behind
 * these functions: access, parse, policy, special names, cache. Pure: same
 * view and arguments, same answer; no socket, clock, malloc or log; the only
 * outside read is the policy map.
 *
 * The order access, parse, policy, cache, upstream, policy is fixed: a cached
 * answer never reaches a refused client; an NXDOMAIN cached for a parent never
 * hides a policy name.
 *
 * Walk of a question:
 *   answer_read(q)              FORWARD here means: go on with; IGNORE: forget it
 *   answer_query(q, NULL)       SEND, DROP, or FORWARD: the real DNS must be asked
 *   answer_query(q, came)       SEND (never FORWARD; WAIT only where came is pending)
 * After SEND or DROP, q->has_event says whether an audit event is to be pushed.
 */
#ifndef RESOLVER_ANSWER_H
#define RESOLVER_ANSWER_H

#include "resolver/real.h"

/* Access, strict parse of q->wire, key and hash, route. Sets all of q but
 * client, arrived, wire and out, which the caller has set. */
enum answer answer_read(const struct view *, struct query *, struct now);

enum answer answer_query(const struct view *, struct query *, const struct real *came, struct now);

#endif
