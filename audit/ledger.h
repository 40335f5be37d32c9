/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.h -- from an event to rows of the database: its own, and what is known of
 * its client, suffix, targets, rules and hour. Private to audit/.
 *
 * A question counts in `questions` and under its outcome, so the outcomes of a row add
 * up to its questions; an attempt is a question that is no repeat.
 */
#ifndef AUDIT_LEDGER_H
#define AUDIT_LEDGER_H

#include "audit/event.h"
#include "audit/store.h"

struct ledger; /* opaque */

/* The store is borrowed; forwarder is the daemon's name in events. 0 or -errno;
 * ledger_free() either way. */
int ledger_new(struct ledger **, struct audit_store *, const char *forwarder);
void ledger_free(struct ledger *);
/* Above these a new client or name counts in the row (other). */
void ledger_bounds(struct ledger *, uint64_t clients, uint64_t names);

/* No event names what others have in common with it that far before. */
enum { LEDGER_SHARED = 20000 };

/* Takes a question, with the record that it was unpacked from, or a control record (NULL). An error
 * is the store's; after it, ledger_clear(). */
void ledger_add(struct ledger *, const struct audit_event *, const struct audit_record *);
/* The head of the chain as it is now, in words for a record. False: nothing was added to it since
 * the last record that told one. */
bool ledger_head(struct ledger *, char *out, size_t size);
/* The next record begins a segment of the chain. */
void ledger_cut(struct ledger *);
/* Writes what was touched since; what takes too much memory is forgotten then. */
void ledger_save(struct ledger *);
void ledger_clear(struct ledger *);

#endif
