/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.c -- takes events out of the rings, keeps events and ledger.
 *
 *   rings ──drain──▶ batch ──commit──▶ one transaction: events, rows, totals
 *
 * The batch is the only memory of what is not yet on disk: packed events, each
 * with whether it is stored or only counted. A commit reads it from the
 * beginning; what it learns outside its transaction is forgotten when that
 * fails, so a failed one is simply done again. The batch is bounded; when it is
 * full, the rings fill, then drop.
 *
 * Questions that a ring dropped are known by their number only: they are added
 * to the totals together with a gap record.
 *
 * Nobody here reads a clock: how long a commit took is what lies between two
 * steps beyond the time that the first asked for.
 */
#include "audit/writer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "audit/ledger.h"
#include "audit/prune.h"
#include "audit/record.h"
#include "base/str.h"

enum { RINGS = 1024, SEEN_SETS = 16384, KNOWN_SETS = 4096 };
static const size_t batch_most = (size_t)32 << 20;  /* then the rings wait */
static const size_t batch_early = (size_t)8 << 20;  /* committed before its time */
static const size_t control_room = (size_t)1 << 20; /* above batch_most, for control records */
static const uint64_t wal_most = (uint64_t)16 << 20, wal_least = (uint64_t)256 << 10;
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

#define STAT(name) _Atomic uint64_t name;

struct audit_writer {
    struct audit_store *store;
    struct audit_limits limits;
    struct audit_ring *rings[RINGS]; /* borrowed */
    int n_rings;
    struct limiter limiter;
    struct ledger *ledger;
    struct records records;
    struct prune prune;
    uint8_t *batch; /* mapped; pages that are not used cost nothing */
    size_t len;
    uint64_t questions;          /* in the batch */
    uint64_t lost, lost_from_ms; /* not yet in a gap record */
    uint64_t attempt_ms;         /* monotonic, of the last commit or try */
    uint64_t step_ms, wait_ms;   /* of the last step: when, and what it returned */
    bool committed;              /* the last step did */
    struct audit_event event;    /* scratch */
    struct {
        AUDIT_WRITER_STATS(STAT)
        _Atomic int last_error;
    } stats;
};

/* --- life --------------------------------------------------------------------------- */

static void writer_free(struct audit_writer *w)
{
    ledger_free(w->ledger);
    recent_free(w->records.known);
    recent_free(w->limiter.seen);
    audit_store_close(w->store);
    if (w->batch != MAP_FAILED)
        munmap(w->batch, batch_most + control_room);
    free(w);
}

int audit_writer_open(struct audit_writer **out, const char *dir, const char *host,
                      const struct audit_limits *limits, struct diags *d)
{
    struct audit_writer *w = calloc(1, sizeof *w);
    uint64_t part = limits->max_size / 16; /* for the log beside the database */
    int rc = -ENOMEM;

    if (w == NULL)
        return rc;
    w->batch = mmap(NULL, batch_most + control_room, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->limiter.seen = recent_new(SEEN_SETS);
    w->records.known = recent_new(KNOWN_SETS);
    if (w->batch == MAP_FAILED || w->limiter.seen == NULL || w->records.known == NULL)
        goto fail;
    rc = audit_store_open(&w->store, dir,
                          part > wal_most || part == 0 ? wal_most
                          : part < wal_least           ? wal_least
                                                       : part,
                          d);
    if (rc != 0)
        goto fail;
    rc = -ENOMEM;
    w->ledger = ledger_new(w->store);
    if (w->ledger == NULL)
        goto fail;
    w->records.store = w->store;
    audit_store_random(&w->records.secret, sizeof w->records.secret);
    if (!str_copy(w->records.forwarder, sizeof w->records.forwarder, host))
        memcpy(w->records.forwarder, "?", 2);
    audit_writer_limits(w, limits);
    *out = w;
    return 0;
fail:
    writer_free(w);
    return rc;
}

void audit_writer_attach(struct audit_writer *w, struct audit_ring *ring)
{
    if (w->n_rings < RINGS)
        w->rings[w->n_rings++] = ring;
}

void audit_writer_limits(struct audit_writer *w, const struct audit_limits *limits)
{
    w->limits = *limits;
    w->limiter.all_rate = limits->max_rate;
    w->limiter.client_rate = limits->max_rate_client;
    w->limiter.all.hash = 0;
    ledger_bounds(w->ledger, limits->max_clients, limits->max_suffixes);
    atomic_store(&w->stats.interval_ms, limits->commit_interval_ms);
    w->prune.age_ms = w->prune.sweep_ms = 0;
}

/* --- the batch ------------------------------------------------------------------------ */

static size_t item_size(size_t len)
{
    return (sizeof len + len + 7) & ~(size_t)7; /* its length, then the packed event */
}

/* Where the next packed event goes, with room for the largest; NULL: the batch is full. */
static void *batch_next(struct audit_writer *w, size_t most)
{
    return w->len + item_size(AUDIT_EVENT_MAX) <= most ? w->batch + w->len + sizeof(size_t) : NULL;
}

/* Takes what was packed there. */
static void batch_add(struct audit_writer *w, size_t len)
{
    memcpy(w->batch + w->len, &len, sizeof len);
    w->len += item_size(len);
}

/* --- rings to batch ---------------------------------------------------------------------- */

/* The ring whose next event is the oldest of all, or NULL. A client's questions
 * come to several workers, and its last one must be the last. */
static struct audit_ring *oldest(const struct audit_writer *w, const uint8_t **event, size_t *len)
{
    struct audit_ring *found = NULL;
    uint64_t found_ms = 0;

    for (int i = 0; i < w->n_rings; i++) {
        size_t n;
        const uint8_t *p = audit_ring_peek(w->rings[i], &n);
        uint64_t ms = p != NULL ? audit_event_mono(p) : 0;

        if (p != NULL && (found == NULL || ms < found_ms)) {
            found = w->rings[i];
            found_ms = ms;
            *event = p;
            *len = n;
        }
    }
    return found;
}

/* Empties the rings, in the order of time. True when anything came. */
static bool drain(struct audit_writer *w)
{
    uint64_t before = w->questions;
    struct audit_ring *ring;
    struct audit_event *e;
    const uint8_t *packed;
    size_t len;

    while ((e = batch_next(w, batch_most)) != NULL && (ring = oldest(w, &packed, &len)) != NULL) {
        memcpy(e, packed, len); /* as in an event up to the end of qname */
        audit_ring_release(ring);
        e->repeat = limiter_repeat(&w->limiter, e);
        e->counted = !limiter_take(&w->limiter, &e->client, e->mono_ms);
        if (e->repeat)
            atomic_fetch_add(&w->stats.repeats, 1);
        if (w->limits.privacy == AUDIT_PREFIX)
            prefix_mask(e->client.ip, addr_is_v4(&e->client) ? 96 + 24 : 56);
        w->questions += e->kind == AUDIT_EVENT;
        batch_add(w, len);
    }
    for (int i = 0; i < w->n_rings; i++) {
        uint64_t from_ms = 0, n = audit_ring_take_dropped(w->rings[i], &from_ms);

        if (n > 0 && (w->lost == 0 || (from_ms != 0 && from_ms < w->lost_from_ms)))
            w->lost_from_ms = from_ms;
        w->lost += n;
    }
    atomic_store(&w->stats.pending, w->questions);
    return w->questions > before;
}

void audit_writer_control(struct audit_writer *w, enum audit_kind kind, struct now now,
                          const char *text)
{
    struct audit_event e = {.kind = (uint8_t)kind, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};
    void *next = batch_next(w, batch_most + control_room);

    snprintf(e.text, sizeof e.text, "%s", text);
    if (next != NULL)
        batch_add(w, audit_event_pack(&e, next, AUDIT_EVENT_MAX));
}

/* --- batch to store ------------------------------------------------------------------------ */

struct sums {
    uint64_t recorded, counted;
};

static int put_batch(struct audit_writer *w, struct sums *sums)
{
    const struct audit_event *e = &w->event;
    size_t len, next;
    int rc = 0;

    for (size_t i = 0; i < w->len && rc == 0; i = next) {
        struct ledger_ids ids = {0};
        int64_t sequence;

        memcpy(&len, w->batch + i, sizeof len);
        next = i + item_size(len);
        if (next < w->len)
            ledger_expect(w->ledger, (const void *)(w->batch + next + sizeof len));
        audit_event_unpack(&w->event, w->batch + i + sizeof len, len);
        rc = records_next(&w->records, e->mono_ms, &sequence);
        if (rc == 0 && e->kind == AUDIT_EVENT) {
            rc = ledger_add(w->ledger, e, e->counted ? 0 : sequence, &ids);
            *(e->counted ? &sums->counted : &sums->recorded) += 1;
        }
        if (rc == 0 && !e->counted)
            rc = records_add(&w->records, e, &ids);
    }
    return rc == 0 ? ledger_save(w->ledger) : rc;
}

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    struct audit_event gap = {.kind = AUDIT_GAP,
                              .wall_ms = now.wall_ms,
                              .lost = w->lost,
                              .lost_from_ms = w->lost_from_ms};
    struct sums sums = {0};
    int64_t sequence;
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->len == 0 && w->lost == 0)
        return true;
    w->committed = true;
    rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    if (rc == 0)
        rc = put_batch(w, &sums);
    if (rc == 0 && w->lost > 0)
        rc = records_next(&w->records, now.mono_ms, &sequence);
    if (rc == 0 && w->lost > 0)
        rc = records_add(&w->records, &gap, NULL);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL,
                             "UPDATE meta SET value=value+CASE name WHEN 'recorded' THEN ? "
                             "WHEN 'counted' THEN ? WHEN 'dropped' THEN ? ELSE 0 END",
                             sums.recorded, sums.counted, w->lost);
    if (rc == 0)
        rc = audit_store_flush(w->store);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "COMMIT");
    atomic_store(&w->stats.last_error, -rc);
    if (rc != 0) {
        audit_store_rollback(w->store);
        ledger_clear(w->ledger);
        w->records.begun = false;
        atomic_fetch_add(&w->stats.commit_failures, 1);
        return false;
    }
    atomic_store(&w->stats.store_bytes, prune_bytes(w->store));
    /* In this order no question is missing from the sum, at any moment. */
    atomic_fetch_add(&w->stats.recorded, sums.recorded);
    atomic_fetch_add(&w->stats.counted, sums.counted);
    atomic_store(&w->stats.pending, 0);
    atomic_fetch_add(&w->stats.commits, 1);
    atomic_store(&w->stats.last_commit_wall_ms, now.wall_ms);
    w->lost = 0;
    if (w->len > batch_early) /* a bad hour should not cost memory for ever */
        (void)madvise(w->batch, batch_most + control_room, MADV_DONTNEED);
    w->len = 0;
    w->questions = 0;
    return true;
}

/* --- steps ------------------------------------------------------------------------------------ */

/* A commit that took more than half of the interval doubles it; quick ones bring it back. */
static void adapt(struct audit_writer *w, uint64_t mono_ms)
{
    uint64_t interval = atomic_load(&w->stats.interval_ms);
    uint64_t due = w->step_ms + w->wait_ms, took = mono_ms > due ? mono_ms - due : 0;

    if (!w->committed)
        return;
    w->committed = false;
    if (took > interval / 2)
        interval = interval * 2 < interval_most_ms ? interval * 2 : interval_most_ms;
    else if (took < interval / 8)
        interval /= 2;
    if (interval < w->limits.commit_interval_ms)
        interval = w->limits.commit_interval_ms;
    atomic_store(&w->stats.interval_ms, interval);
}

static void flush_all(struct audit_writer *w, struct now now)
{
    for (int i = 0; i < 16; i++) { /* a producer may still be pushing */
        bool any = drain(w) || w->len > 0;

        if (!commit(w, now) || !any)
            return;
    }
}

uint64_t audit_writer_step(struct audit_writer *w, struct now now, bool flush)
{
    uint64_t wait_ms = idle_ms, next;
    bool any = false, swept;

    adapt(w, now.mono_ms);
    if (flush) {
        flush_all(w, now);
    } else {
        any = drain(w);
        if (now.mono_ms >= w->attempt_ms + atomic_load(&w->stats.interval_ms) ||
            (w->len >= batch_early && atomic_load(&w->stats.last_error) == 0))
            (void)commit(w, now);
    }
    if (atomic_load(&w->stats.last_error) == 0 &&
        prune_due(&w->prune, &w->limits, w->committed ? atomic_load(&w->stats.store_bytes) : 0,
                  now.mono_ms)) {
        if (prune_step(&w->prune, w->store, &w->records, &w->limits, now, &swept) != 0 || swept)
            ledger_clear(w->ledger);
        atomic_store(&w->stats.pruned, w->prune.removed);
    }
    if (any || w->prune.going_on)
        wait_ms = busy_ms;
    next = w->attempt_ms + atomic_load(&w->stats.interval_ms);
    if (w->len > 0 && next < now.mono_ms + wait_ms)
        wait_ms = next > now.mono_ms ? next - now.mono_ms : 1;
    w->step_ms = now.mono_ms;
    w->wait_ms = wait_ms;
    return wait_ms;
}

void audit_writer_stats(struct audit_writer *w, struct audit_writer_stats *out)
{
#define LOAD(name) out->name = atomic_load(&w->stats.name);
    AUDIT_WRITER_STATS(LOAD)
    out->last_error = atomic_load(&w->stats.last_error);
    out->dropped = 0;
    for (int i = 0; i < w->n_rings; i++)
        out->dropped += audit_ring_dropped(w->rings[i]);
}

void audit_writer_close(struct audit_writer *w, struct now now)
{
    if (w == NULL)
        return;
    flush_all(w, now);
    writer_free(w);
}
