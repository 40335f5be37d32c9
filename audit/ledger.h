/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.h -- what is known of each client, suffix, target, rule and hour.
 *
 * Rows that events touch are kept in memory, changed there, and written once a
 * commit, sooner when they are many. A question counts in `questions` and under
 * its outcome; an attempt is a question that is no repeat. So the outcomes of a
 * row add up to its questions.
 */
#ifndef AUDIT_LEDGER_H
#define AUDIT_LEDGER_H

#include "audit/event.h"
#include "audit/store.h"
#include "base/hash.h"

struct ledger; /* opaque */

/* The store is borrowed, the key copied. NULL: out of memory. */
struct ledger *ledger_new(struct audit_store *, const struct hash_key *);
void ledger_free(struct ledger *);
/* Above these a new client or name counts in the row (other). */
void ledger_bounds(struct ledger *, uint64_t clients, uint64_t names);

/* What the event that is stored says of its client and suffix. */
struct ledger_ids {
    int64_t client, suffix; /* 0: they have no row of their own */
    int64_t previous;       /* the client's event before; 0 = none */
};
/* Counts one event, stored under that sequence number or (0) only counted. 0 or
 * -errno; after an error, and after a rollback, ledger_clear(). */
int ledger_add(struct ledger *, const struct audit_event *, int64_t sequence, struct ledger_ids *);
/* The next event but one is that: its client's row is brought near. */
void ledger_expect(struct ledger *, const struct audit_event *);
/* Writes what was touched since; what takes too much memory is forgotten then. */
int ledger_save(struct ledger *);
void ledger_clear(struct ledger *);

#endif
