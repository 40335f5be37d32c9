/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- the audit store as the tool reads it: events in order, ledger
 * tables. At most 1,000 records a transaction; nothing is held while a caller
 * prints.
 */
#ifndef AUDIT_READ_H
#define AUDIT_READ_H

#include "audit/event.h"
#include "base/diag.h"

struct audit_reader; /* opaque */

int audit_reader_open(struct audit_reader **, const char *dir,
                      struct diags *d); /* 0, -ENOENT, -EBADMSG, -errno */
void audit_reader_close(struct audit_reader *);

struct audit_range {
    uint64_t since_ms, until_ms;
    uint64_t after_sequence;
}; /* 0 = open */
/* Not 0 from the visitor stops (and is returned). damaged counts records that were skipped. */
typedef int audit_event_visit(void *context, const struct audit_event *, const char *host);
int audit_each_event(struct audit_reader *, const struct audit_range *, audit_event_visit *,
                     void *context, uint64_t *damaged);

enum { LEDGER_SUFFIXES = 16 };
struct ledger_counts {
    uint64_t questions, attempts, outcomes[AUDIT_OUTCOMES];
};
struct ledger_suffix {
    struct name suffix;
    uint8_t verdict, outcome;
    uint64_t last_ms;
};
struct ledger_client {
    struct addr client;
    uint64_t first_ms, last_ms, last_host_ms, no_host_since_ms; /* 0 = never / has one */
    struct ledger_counts counts;
    struct audit_host last_host; /* target root = none */
    uint32_t cadence_s;          /* smoothed time between attempts, 0 = unknown */
    uint8_t n_suffixes;
    struct ledger_suffix suffixes[LEDGER_SUFFIXES];
    bool other; /* the row (other): above audit.max-clients */
};
struct ledger_name { /* a suffix, a target or a rule */
    struct name name;
    char rule[AUDIT_TEXT];
    uint16_t port;
    uint64_t first_ms, last_ms, clients_hint; /* clients: distinct ones, bounded estimate */
    struct ledger_counts counts;
    uint8_t last_verdict, last_outcome;
    char last_rule[AUDIT_TEXT];
    uint64_t delivered; /* target: questions whose answer named it */
    uint64_t would;     /* rule: questions that it would have decided, in shadow */
    bool unapproved;    /* target: seen in real answers, not named by the policy */
    bool other;
};
struct ledger_hour {
    uint64_t start_ms;
    struct ledger_counts counts;
};

enum ledger_table { LEDGER_SUFFIX, LEDGER_TARGET, LEDGER_RULE };
typedef int ledger_client_visit(void *context, const struct ledger_client *);
typedef int ledger_name_visit(void *context, const struct ledger_name *);
typedef int ledger_hour_visit(void *context, const struct ledger_hour *);
int ledger_each_client(struct audit_reader *, ledger_client_visit *, void *);
int ledger_client_get(struct audit_reader *, const struct addr *,
                      struct ledger_client *); /* 0, -ENOENT */
int ledger_each_name(struct audit_reader *, enum ledger_table, ledger_name_visit *, void *);
int ledger_each_hour(struct audit_reader *, uint64_t since_ms, uint64_t until_ms,
                     ledger_hour_visit *, void *);

struct audit_totals {
    uint64_t records, recorded, counted, dropped, first_ms, last_ms, bytes, last_sequence, clients,
        suffixes;
};
int audit_totals(struct audit_reader *, struct audit_totals *);

#endif
