/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.c -- takes events out of the rings, keeps events and ledger.
 *
 *   rings ──drain──▶ batch ──commit──▶ one transaction: events, rows, totals
 *
 * The batch is the only memory of what is not yet on disk: encoded events, each
 * with whether it is stored or only counted. A commit reads it from the
 * beginning and changes nothing outside its transaction, so a failed one is
 * simply done again. Sequence numbers come from the store, inside the
 * transaction. The batch is bounded; when it is full, the rings fill, then drop.
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
#include <stdlib.h>
#include <string.h>

#include "audit/limit.h"
#include "audit/prune.h"
#include "audit/repeat.h"
#include "base/str.h"

enum { RINGS = 1024 };
static const size_t batch_most = (size_t)32 << 20;  /* then the rings wait */
static const size_t batch_early = (size_t)8 << 20;  /* committed before its time */
static const size_t control_room = (size_t)1 << 20; /* above batch_most, for control records */
static const size_t ledger_most = (size_t)16 << 20; /* rows in memory during a commit */
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

enum fate { FATE_STORED, FATE_COUNTED };
struct item {
    uint32_t len;
    uint8_t fate;
    uint8_t kind;
    uint16_t unused;
}; /* the encoded event follows, padded to 8 */

struct audit_writer {
    struct audit_store *store;
    struct audit_txn *txn; /* during a commit */
    char host[RECORD_HOST];
    struct audit_limits limits;
    struct audit_ring *rings[RINGS]; /* borrowed */
    int n_rings;
    struct repeats *repeats;
    struct limiter *limiter;
    struct ledger *ledger;
    struct prune prune;
    uint8_t *batch; /* owned */
    size_t len, size;
    uint64_t questions;          /* in the batch */
    uint64_t lost, lost_from_ms; /* not yet in a gap record */
    uint64_t attempt_ms;         /* monotonic, of the last commit or try */
    uint64_t step_ms, wait_ms;   /* of the last step: when, and what it returned */
    bool committed;              /* the last step did */
    struct audit_event event;    /* scratch */
    struct {
        _Atomic uint64_t recorded, counted, unreadable, repeats, commits, commit_failures, pruned,
            pending;
        _Atomic uint64_t store_bytes, interval_ms, last_commit_wall_ms;
        _Atomic int last_error;
    } stats;
};

/* --- life --------------------------------------------------------------------------- */

static void writer_free(struct audit_writer *w)
{
    audit_store_close(w->store);
    repeats_free(w->repeats);
    limiter_free(w->limiter);
    ledger_free(w->ledger);
    free(w->batch);
    free(w);
}

static int load_row(void *context, struct bytes key, uint8_t *out, size_t *len)
{
    struct audit_writer *w = context;
    struct bytes v;
    int rc = audit_txn_get(w->txn, key, &v);

    if (rc != 0)
        return rc;
    if (v.len > LEDGER_ROW_MAX)
        return -EBADMSG;
    memcpy(out, v.at, v.len);
    *len = v.len;
    return 0;
}

int audit_writer_open(struct audit_writer **out, const char *dir, const char *host,
                      const struct audit_limits *limits, struct diags *d)
{
    struct audit_writer *w = calloc(1, sizeof *w);
    int rc = -ENOMEM;

    if (w == NULL)
        return rc;
    w->repeats = repeats_new();
    w->limiter = limiter_new();
    w->ledger = ledger_new(load_row, w);
    if (w->repeats == NULL || w->limiter == NULL || w->ledger == NULL)
        goto fail;
    rc = audit_store_open(&w->store, dir, true, d);
    if (rc != 0)
        goto fail;
    if (!str_copy(w->host, sizeof w->host, host))
        memcpy(w->host, "?", 2);
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
    limiter_set(w->limiter, limits->max_rate, limits->max_rate_client);
    atomic_store(&w->stats.interval_ms, limits->commit_interval_ms);
    w->prune.age_ms = w->prune.size_ms = w->prune.sweep_ms = 0;
}

/* --- the batch ------------------------------------------------------------------------ */

static size_t item_size(size_t len)
{
    return (sizeof(struct item) + len + 7) & ~(size_t)7;
}

static bool batch_room(struct audit_writer *w, size_t more, size_t most)
{
    size_t size = w->size > 0 ? w->size : 65536;
    uint8_t *p;

    if (w->len + more > most)
        return false;
    while (size < w->len + more)
        size *= 2;
    if (size == w->size)
        return true;
    p = realloc(w->batch, size);
    if (p == NULL)
        return false;
    w->batch = p;
    w->size = size;
    return true;
}

/* Room was made before. */
static uint8_t *batch_add(struct audit_writer *w, enum fate fate, uint8_t kind,
                          const uint8_t *encoded, size_t len)
{
    struct item item = {(uint32_t)len, (uint8_t)fate, kind, 0};
    uint8_t *p = w->batch + w->len;

    memcpy(p, &item, sizeof item);
    memcpy(p + sizeof item, encoded, len);
    w->len += item_size(len);
    if (kind == AUDIT_EVENT)
        w->questions++;
    return p + sizeof item;
}

static void batch_clear(struct audit_writer *w)
{
    w->len = 0;
    w->questions = 0;
    if (w->size > batch_early) { /* a bad hour should not cost memory for ever */
        free(w->batch);
        w->batch = NULL;
        w->size = 0;
    }
}

/* --- rings to batch ---------------------------------------------------------------------- */

static void lose(struct audit_writer *w, uint64_t n, uint64_t from_ms)
{
    if (w->lost == 0 || (from_ms != 0 && from_ms < w->lost_from_ms))
        w->lost_from_ms = from_ms;
    w->lost += n;
}

static void take_event(struct audit_writer *w, const uint8_t *encoded, size_t len, uint64_t wall_ms)
{
    struct audit_event *e = &w->event;
    uint8_t *ip = NULL, *copy;
    bool repeat;
    enum fate fate;

    if (audit_event_decode(e, encoded, len) != 0) {
        atomic_fetch_add(&w->stats.unreadable, 1); /* our own fault, and still accounted for */
        lose(w, 1, wall_ms);
        return;
    }
    if (e->kind != AUDIT_EVENT) {
        batch_add(w, FATE_STORED, e->kind, encoded, len);
        return;
    }
    repeat = repeats_check(w->repeats, e);
    fate = limiter_take(w->limiter, &e->client, e->mono_ms) ? FATE_STORED : FATE_COUNTED;
    if (repeat)
        atomic_fetch_add(&w->stats.repeats, 1);
    if (w->limits.privacy == AUDIT_PREFIX) {
        prefix_mask(e->client.ip, addr_is_v4(&e->client) ? 96 + 24 : 56);
        ip = e->client.ip;
    }
    copy = batch_add(w, fate, e->kind, encoded, len);
    audit_event_stamp(copy, len, 0, repeat, ip);
}

/* The ring whose next event is the oldest of all, or NULL. A client's questions
 * come to several workers, and its last one must be the last. */
static struct audit_ring *oldest(const struct audit_writer *w, const uint8_t **event, size_t *len)
{
    struct audit_ring *found = NULL;
    uint64_t found_ms = 0;

    for (int i = 0; i < w->n_rings; i++) {
        size_t n;
        const uint8_t *p = audit_ring_peek(w->rings[i], &n);
        uint64_t ms = p != NULL ? audit_event_mono(p, n) : 0;

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
static bool drain(struct audit_writer *w, struct now now)
{
    struct audit_ring *ring;
    const uint8_t *p;
    bool any = false;
    size_t len;

    while (batch_room(w, item_size(AUDIT_EVENT_MAX), batch_most) &&
           (ring = oldest(w, &p, &len)) != NULL) {
        take_event(w, p, len, now.wall_ms);
        audit_ring_release(ring);
        any = true;
    }
    for (int i = 0; i < w->n_rings; i++) {
        uint64_t from_ms = 0, n = audit_ring_take_dropped(w->rings[i], &from_ms);

        if (n > 0)
            lose(w, n, from_ms);
    }
    atomic_store(&w->stats.pending, w->questions);
    return any;
}

void audit_writer_control(struct audit_writer *w, enum audit_kind kind, struct now now,
                          const char *text)
{
    struct audit_event e = {.kind = (uint8_t)kind, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};
    uint8_t buf[1024];
    size_t len;

    if (!str_copy(e.text, sizeof e.text, text))
        memcpy(e.text, text, sizeof e.text - 1);
    len = audit_event_encode(&e, buf, sizeof buf);
    if (len > 0 && batch_room(w, item_size(len), batch_most + control_room))
        batch_add(w, FATE_STORED, (uint8_t)kind, buf, len);
}

/* --- batch to store ------------------------------------------------------------------------ */

static int put_row(void *context, struct bytes key, struct bytes row)
{
    struct audit_writer *w = context;

    return audit_txn_put(w->txn, key, row);
}

static int put_rows(struct audit_writer *w)
{
    int rc = ledger_each_row(w->ledger, put_row, w);

    ledger_clear(w->ledger);
    return rc;
}

static int put_item(struct audit_writer *w, struct totals *t, struct ledger_sizes *sizes,
                    const struct item *item, uint8_t *encoded)
{
    int rc = 0;

    if (item->kind == AUDIT_EVENT) {
        rc = audit_event_decode(&w->event, encoded, item->len);
        if (rc == 0)
            rc = ledger_add(w->ledger, &w->event, sizes);
        if (item->fate == FATE_STORED)
            t->recorded++;
        else
            t->counted++;
    }
    if (rc == 0 && item->fate == FATE_STORED)
        rc = record_append(w->txn, t, w->host, encoded, item->len);
    if (rc == 0 && ledger_size(w->ledger) > ledger_most)
        rc = put_rows(w);
    return rc;
}

static int put_batch(struct audit_writer *w, struct totals *t)
{
    struct ledger_sizes sizes = {.most = {w->limits.max_clients, w->limits.max_suffixes,
                                          w->limits.max_suffixes, w->limits.max_suffixes}};
    struct item item;
    int rc = 0;

    memcpy(sizes.rows, t->rows, sizeof sizes.rows);
    for (size_t at = 0; at < w->len && rc == 0; at += item_size(item.len)) {
        memcpy(&item, w->batch + at, sizeof item);
        rc = put_item(w, t, &sizes, &item, w->batch + at + sizeof item);
    }
    if (rc == 0)
        rc = put_rows(w);
    memcpy(t->rows, sizes.rows, sizeof sizes.rows);
    return rc;
}

static int put_gap(struct audit_writer *w, struct totals *t, struct now now)
{
    struct audit_event e = {.kind = AUDIT_GAP, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};

    e.lost = w->lost;
    e.lost_from_ms = w->lost_from_ms;
    t->dropped += w->lost;
    return record_append_event(w->txn, t, w->host, &e);
}

/* One transaction. before and after are the totals around it. */
static int commit_txn(struct audit_writer *w, struct now now, struct totals *before,
                      struct totals *after)
{
    uint64_t bytes;
    int rc = audit_txn_begin(&w->txn, w->store);

    if (rc != 0)
        return rc;
    rc = totals_load(w->txn, before);
    *after = *before;
    if (rc == 0)
        rc = put_batch(w, after);
    if (rc == 0 && w->lost > 0)
        rc = put_gap(w, after, now);
    if (rc == 0)
        rc = totals_save(w->txn, after);
    ledger_clear(w->ledger);
    if (rc != 0) {
        audit_txn_abort(w->txn);
        return rc;
    }
    bytes = audit_txn_bytes(w->txn);
    rc = audit_txn_commit(w->txn);
    if (rc == 0)
        atomic_store(&w->stats.store_bytes, bytes);
    return rc;
}

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    struct totals before, after;
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->len == 0 && w->lost == 0)
        return true;
    w->committed = true;
    rc = commit_txn(w, now, &before, &after);
    atomic_store(&w->stats.last_error, -rc);
    if (rc != 0) {
        atomic_fetch_add(&w->stats.commit_failures, 1);
        return false;
    }
    /* In this order no question is missing from the sum, at any moment. */
    atomic_fetch_add(&w->stats.recorded, after.recorded - before.recorded);
    atomic_fetch_add(&w->stats.counted, after.counted - before.counted);
    atomic_store(&w->stats.pending, 0);
    atomic_fetch_add(&w->stats.commits, 1);
    atomic_store(&w->stats.last_commit_wall_ms, now.wall_ms);
    w->lost = 0;
    batch_clear(w);
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

static bool is_due(const struct audit_writer *w, uint64_t mono_ms)
{
    return mono_ms >= w->attempt_ms + atomic_load(&w->stats.interval_ms) ||
           (w->len >= batch_early && atomic_load(&w->stats.last_error) == 0);
}

static void flush_all(struct audit_writer *w, struct now now)
{
    for (int i = 0; i < 16; i++) { /* a producer may still be pushing */
        bool any = drain(w, now) || w->len > 0;

        if (!commit(w, now) || !any)
            return;
    }
}

uint64_t audit_writer_step(struct audit_writer *w, struct now now, bool flush)
{
    uint64_t wait_ms = idle_ms, next;
    bool any = false;

    adapt(w, now.mono_ms);
    if (flush)
        flush_all(w, now);
    else {
        any = drain(w, now);
        if (is_due(w, now.mono_ms))
            (void)commit(w, now);
    }
    if (atomic_load(&w->stats.last_error) == 0 && prune_due(&w->prune, now.mono_ms)) {
        (void)prune_step(&w->prune, w->store, &w->limits, w->host, now);
        atomic_store(&w->stats.pruned, w->prune.removed);
    }
    if (any || w->prune.by_age || w->prune.by_size || w->prune.sweeping)
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
    struct audit_ring_stats ring;

    memset(out, 0, sizeof *out);
    out->recorded = atomic_load(&w->stats.recorded);
    out->counted = atomic_load(&w->stats.counted);
    out->dropped = atomic_load(&w->stats.unreadable);
    for (int i = 0; i < w->n_rings; i++) {
        audit_ring_stats(w->rings[i], &ring);
        out->dropped += ring.dropped;
    }
    out->repeats = atomic_load(&w->stats.repeats);
    out->commits = atomic_load(&w->stats.commits);
    out->commit_failures = atomic_load(&w->stats.commit_failures);
    out->pruned = atomic_load(&w->stats.pruned);
    out->pending = atomic_load(&w->stats.pending);
    out->store_bytes = atomic_load(&w->stats.store_bytes);
    out->interval_ms = atomic_load(&w->stats.interval_ms);
    out->last_commit_wall_ms = atomic_load(&w->stats.last_commit_wall_ms);
    out->last_error = atomic_load(&w->stats.last_error);
}

void audit_writer_close(struct audit_writer *w, struct now now)
{
    if (w == NULL)
        return;
    flush_all(w, now);
    writer_free(w);
}
