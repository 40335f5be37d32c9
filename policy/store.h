/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- the policy database (LMDB): readers for the daemon's workers, the
 * whole policy and its log for the tool. Changes are in change.h.
 *
 * One transaction per change: what it holds is there whole or not at all, also
 * after a power cut. A reader sees one state from begin to end.
 */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H

#include "policy/model.h"

struct policy_store;  /* opaque; one per process and directory */
struct policy_reader; /* opaque; one per thread */

enum { POLICY_READERS = 512 }; /* at a time, in all processes: each must say the same */
/* READ and WRITE are for a tool: every page is looked at first. SERVE reads and
 * does not wait for that: verify.h tells what shows later. */
enum policy_access { POLICY_READ, POLICY_WRITE, POLICY_SERVE };

/* Opens dir ("STATE/policy"). All but POLICY_READ make it if need be. A store that
 * is unreadable, of a newer format, truncated or damaged, or of which only traces
 * are there: -EBADMSG; missing, with POLICY_READ: -ENOENT; else -errno. d gets one
 * sentence with path and remedy; it may be NULL. */
int policy_store_open(struct policy_store **, const char *dir, enum policy_access, struct diags *d);
void policy_store_close(struct policy_store *);

/* NULL and errno: EUSERS all places are taken, ENOMEM, ... */
struct policy_reader *policy_reader_new(struct policy_store *);
void policy_reader_free(struct policy_reader *);
/* Renews / resets the read transaction; cheap enough for each batch. 0; -EBADMSG
 * the store was found unfit; -errno. A page that cannot be had ends no process:
 * whatever needed it is answered as damaged. */
int policy_reader_begin(struct policy_reader *);
void policy_reader_end(struct policy_reader *);
/* Inside begin/end: identity of the state (LMDB's transaction id) and serial. */
uint64_t policy_reader_state(const struct policy_reader *);
uint64_t policy_reader_serial(struct policy_reader *);
/* Once a minute, by one thread: clears slots of dead readers; how many. */
int policy_store_sweep(struct policy_store *);

struct policy_counts {
    uint64_t serial, networks, pools, rules, suffixes, approved, bytes;
    uint64_t digest;
    uint64_t time_ms;
};
int policy_store_counts(struct policy_store *, struct policy_counts *); /* one thread at a time */

/* --- the tool's reading: at most 1,000 records a transaction; -EAGAIN when the
 * policy moved meanwhile and the read must start again (callers loop). A
 * damaged state hinders nobody: the serial is that of the log's last entry. */
int policy_load(struct policy_store *, struct policy *out, uint64_t *serial); /* the whole policy */

struct policy_log_entry {
    uint64_t serial, time_ms, digest;
    char author[64], claimed[64], reason[256], summary[512];
};
typedef int policy_log_visit(void *context, const struct policy_log_entry *); /* not 0 stops */
int policy_log_each(struct policy_store *, uint64_t since_ms, const char *rule, policy_log_visit *,
                    void *context);

#endif
