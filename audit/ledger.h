/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.h -- what is known of each client, suffix, target, rule and hour.
 *
 * Rows are values under keys; a struct ledger holds the rows that a run of
 * events touches, so that each is loaded once and written once. The writer
 * loads and stores them in the audit store; the tool builds a ledger of its own
 * from the events that pass a filter.
 *
 * A question counts in `questions` and under its outcome; an attempt is a
 * question that is no repeat. So the outcomes of a row add up to its questions.
 */
#ifndef AUDIT_LEDGER_H
#define AUDIT_LEDGER_H

#include "audit/read.h"
#include "audit/store.h"

enum { LEDGER_ROW_MAX = 8192, LEDGER_SKETCH = 32 };

/* A ledger_name with what it needs to go on counting: the smallest hashes of
 * its clients. Fewer than LEDGER_SKETCH: they are all of them. */
struct ledger_name_row {
    struct ledger_name name;
    uint8_t n_sketch;
    uint32_t sketch[LEDGER_SKETCH];
};

size_t ledger_client_encode(const struct ledger_client *, uint8_t *out, size_t size);
int ledger_client_decode(struct ledger_client *, const uint8_t *, size_t); /* 0, -EBADMSG */
size_t ledger_name_encode(const struct ledger_name_row *, uint8_t *out, size_t size);
int ledger_name_decode(struct ledger_name_row *, const uint8_t *, size_t);
size_t ledger_hour_encode(const struct ledger_hour *, uint8_t *out, size_t size);
int ledger_hour_decode(struct ledger_hour *, const uint8_t *, size_t);

/* How many rows there are, and may be, of each kind. */
enum ledger_kind {
    LEDGER_OF_CLIENTS,
    LEDGER_OF_SUFFIXES,
    LEDGER_OF_TARGETS,
    LEDGER_OF_RULES,
    LEDGER_KINDS
};
struct ledger_sizes {
    uint64_t rows[LEDGER_KINDS], most[LEDGER_KINDS];
};

struct ledger; /* opaque */

/* Copies the stored row to out (LEDGER_ROW_MAX). 0; -ENOENT; -EBADMSG damaged:
 * the row begins anew; other errors end what is being done. */
typedef int ledger_load(void *context, struct bytes key, uint8_t *out, size_t *len);

struct ledger *ledger_new(ledger_load *,
                          void *context); /* load NULL: there are none. NULL: out of memory */
void ledger_free(struct ledger *);
/* Counts one event. sizes grow with new rows; at their limit a new client or
 * name counts in the row (other). 0 or -errno (then the ledger is to be cleared). */
int ledger_add(struct ledger *, const struct audit_event *, struct ledger_sizes *);
typedef int ledger_row_visit(void *context, struct bytes key, struct bytes row); /* not 0 stops */
int ledger_each_row(struct ledger *, ledger_row_visit *, void *context);
void ledger_clear(struct ledger *);
size_t ledger_size(const struct ledger *); /* bytes of its rows */

/* The key of a client; the one-octet key of a table is its row (other). */
struct bytes ledger_client_key(uint8_t out[STORE_KEY_MAX], const struct addr *);
/* The kind of row under a key; false when it is none that is counted (an hour, (other)). */
bool ledger_key_kind(struct bytes key, enum ledger_kind *);

#endif
