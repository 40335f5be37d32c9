/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store.h -- the policy database (LMDB): readers for the daemon's workers,
 * transactions for the tool.
 *
 * One transaction per change: what it holds is there whole or not at all, also
 * after a power cut. A reader sees one state from begin to end.
 */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H

#include "policy/model.h"

struct policy_store;  /* opaque; one per process and directory */
struct policy_reader; /* opaque; one per thread */
struct policy_txn;    /* opaque; one writer at a time, in all processes */

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

/* --- one change */
struct policy_change {
    const char *author, *claimed, *reason;
    uint64_t now_ms;
    uint64_t if_serial; /* 0 = any */
    uint64_t history_ms;
};
/* A damaged state is made again from the other records; the log says so.
 * 0; -ESTALE the serial is not if_serial (then *serial is the present one); -errno. Waits for another writer. */
int policy_txn_begin(struct policy_txn **, struct policy_store *, const struct policy_change *,
                     uint64_t *serial);
void policy_txn_abort(struct policy_txn *); /* NULL is fine */
/* Writes serial, log entry, digest, ranges, and commits with a sync. *serial is
 * the new one; when nothing differed, nothing is written, the serial stays and
 * *changed is false. The transaction is gone either way. -E2BIG: an address
 * would be in more than 16 networks. */
int policy_txn_commit(struct policy_txn *, uint64_t *serial, bool *changed);

/* Inside a transaction. put = create or replace. A rule's suffixes are kept
 * apart: rule_put ignores suffixes when n_suffixes is 0 and sets exactly those
 * given when it is not; suffix_add/drop change one. del: -ENOENT, or -EBUSY
 * when it is in use (pool, network; then users lists rule names).
 * -EINVAL: refused by model.h's checks, or a wide suffix without networks;
 * -ENOENT: the rule, or a pool or network that it names, is not there (put
 * those first); -ENAMETOOLONG: a name of octets 0 and 1 too long for a key.
 * After these nothing has changed and the transaction goes on; any other
 * failure makes the commit fail too. */
int policy_txn_network_put(struct policy_txn *, const struct policy_network *);
int policy_txn_pool_put(struct policy_txn *, const struct policy_pool *);
int policy_txn_rule_put(struct policy_txn *, const struct policy_rule *);
int policy_txn_suffix_add(struct policy_txn *, const char *rule, const struct suffix *,
                          bool *was_there);
int policy_txn_suffix_drop(struct policy_txn *, const char *rule,
                           const struct suffix *); /* -ENOENT */
int policy_txn_network_del(struct policy_txn *, const char *name, struct diags *users);
int policy_txn_pool_del(struct policy_txn *, const char *name, struct diags *users);
int policy_txn_rule_del(struct policy_txn *, const char *name);
int policy_txn_approve(struct policy_txn *, const struct policy_approved *, bool *was_there);
int policy_txn_unapprove(struct policy_txn *, const struct policy_approved *);
int policy_txn_clear(struct policy_txn *); /* everything but the log: for --replace */

/* Look-ups inside a transaction; the caller gives the result to _fini. -ENOENT. */
int policy_txn_network_get(struct policy_txn *, const char *name, struct policy_network *out);
int policy_txn_pool_get(struct policy_txn *, const char *name, struct policy_pool *out);
int policy_txn_rule_get(struct policy_txn *, const char *name,
                        struct policy_rule *out); /* without suffixes */
/* Makes `summary` of the log entry say this (adds, "; " between). */
void policy_txn_note(struct policy_txn *, const char *text);

#endif
