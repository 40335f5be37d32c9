/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.h -- takes events out of the rings, keeps events and ledger.
 *
 * One writer, in one thread that resolver/threads.c owns; it reads no clock. A step that comes
 * later than the one before asked for shows how long the commit took. A failed commit is tried
 * again; rings fill meanwhile, then drop and count, and a gap record says so when the disk is back.
 */
#ifndef AUDIT_WRITER_H
#define AUDIT_WRITER_H

#include "audit/event.h"
#include "audit/output.h"

struct audit_writer; /* opaque */

struct audit_limits {
    uint64_t retention_ms, ledger_retention_ms, max_size, commit_interval_ms;
    uint32_t max_rate, max_rate_client, max_clients, max_suffixes;
    struct audit_privacy privacy;
};

/* recorded: stored as events; counted: in ledger rows only (above the rates); pending: in the batch. */
/* clang-format off */
#define AUDIT_WRITER_STATS(X) X(recorded) X(counted) X(repeats) X(commits) X(commit_failures) X(pruned) X(pending) \
    X(store_bytes) X(interval_ms) X(last_commit_wall_ms)
/* clang-format on */
#define AUDIT_WRITER_STAT(name) uint64_t name;
struct audit_writer_stats {
    AUDIT_WRITER_STATS(AUDIT_WRITER_STAT)
    uint64_t dropped; /* ring full */
    int last_error;   /* errno of the last failed commit, 0 after a good one */
};

/* dir is "STATE/audit"; made if need be. host is the forwarder's name in events. The rings,
 * and their list, are borrowed until the end.
 * 0; -EBADMSG with one sentence (path and remedy) in d; -errno. */
int audit_writer_open(struct audit_writer **, const char *dir, const char *host,
                      const struct audit_limits *, struct audit_ring *const *, int n_rings,
                      struct diags *d);
void audit_writer_limits(struct audit_writer *,
                         const struct audit_limits *); /* after a reload; writer thread */
/* Its own, to be set and asked by any thread. */
struct audit_outputs *audit_writer_outputs(struct audit_writer *);
/* Drains, counts, commits if the interval is over or `flush`. Returns ms until the next step wants to run. */
uint64_t audit_writer_step(struct audit_writer *, struct now, bool flush);
/* A control record (start, stop, settings, policy): stored with the next commit. Writer thread. */
void audit_writer_control(struct audit_writer *, enum audit_kind, struct now, const char *text);
void audit_writer_stats(struct audit_writer *, struct audit_writer_stats *); /* any thread */
/* For the tool, with a writer that has no rings: a daemon's own notices that another one wrote. */
/* Removes records from before that time. 0, with how many; -errno. */
int audit_writer_prune(struct audit_writer *, struct now, uint64_t before_ms, const char *by,
                       uint64_t *removed);
/* Forgets the client that is recorded as name: its address and its salt go, its records stay, as
 * those of nobody, and so does the chain. With since or until (0: open) only those from that time; the
 * others keep the name, which the chain does not prove any more. 0, with how many records; not wiped:
 * who reads the database makes it keep for a while, in its octets, what is gone; -ENOENT: there is
 * nothing to forget; -errno. */
int audit_writer_forget(struct audit_writer *, struct now, const char *name, uint64_t since_ms,
                        uint64_t until_ms, const char *by, uint64_t *records, bool *wiped);
/* Flushes what it can and closes. recorded + counted + dropped = pushed + dropped then, unless the disk fails. */
void audit_writer_close(struct audit_writer *, struct now);

#endif
