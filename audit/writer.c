/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.c -- takes events out of the rings, keeps events and ledger.
 *
 *   rings ──drain──▶ batch ──commit──▶ one transaction: events, rows, totals
 *
 * The batch is the only memory of what is not yet on disk: packed events, each
 * with a mark whether it is stored or only counted. A commit reads the batch from
 * its beginning. When it fails, everything is forgotten that was learnt in it, so
 * it can simply be done again. The batch is bounded; when it is full, the rings
 * fill, then drop.
 *
 * Of the questions that a ring dropped only the number is known: it is added to
 * the totals together with a gap record.
 *
 * Events are removed oldest first: every hour those older than the retention, and
 * after a commit a fiftieth when the audit takes more than 90 % of max-size, so that one
 * removal is worth its record. Each removal takes a range of numbers from the
 * beginning, writes a prune record, and removes what only those events named. Every
 * six hours ledger rows go that no question touched for ledger-retention and that no
 * event names.
 *
 * This file reads no clock. The caller tells the time at each step; a step that
 * comes later than the one before asked for shows how long the commit took.
 */
#include "audit/writer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "audit/ledger.h"
#include "audit/store.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/pack.h"

enum { STEP = 100000 /* events of a removal, at most */, FREE_PAGES = 2000 };
enum { SEEN_SETS = 16384, WAYS = 4 };
enum { ALL_BURST_S = 1, CLIENT_BURST_S = 10 };
static const size_t batch_most = (size_t)32 << 20; /* then the rings wait */
static const size_t batch_early = (size_t)8 << 20; /* committed before its time */
static const size_t page = 4096;
static const size_t control_room = (size_t)1 << 20; /* above batch_most, for control records */
static const uint64_t wal_most = (uint64_t)16 << 20, wal_least = (uint64_t)256 << 10;
static const uint64_t minute_ms = 60000, hour_ms = 3600000;
static const uint64_t repeat_ms = 10000; /* a client resends within it */
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

/* What was seen lately, in sets of four places, found by a hash; what is new takes the
 * place of its set whose ms is the smallest. So a flood of new things makes the
 * table forget, and no more. */
struct recent {
    uint64_t hash;
    uint64_t ms;    /* monotonic, of a question's first use, of a bucket's last; 0: new */
    uint64_t value; /* of a bucket: thousandths of a token */
};

#define STAT(name) _Atomic uint64_t name;

struct audit_writer {
    struct audit_store *store;
    struct ledger *ledger;
    char forwarder[256];
    struct audit_limits limits;
    struct audit_ring *const *rings; /* borrowed */
    int n_rings;
    struct recent bucket;                /* of all clients together */
    struct recent seen[SEEN_SETS][WAYS]; /* buckets of each client, and questions */
    uint8_t *batch;
    size_t len;
    uint64_t dropped;            /* of all rings, as far as it is known here */
    uint64_t lost, lost_from_ms; /* of them, not yet in a gap record; since when */
    uint64_t drained_ms;         /* the last step, by the wall clock: what is lost came later */
    uint64_t age_ms, sweep_ms;   /* when to look for what is old (monotonic) */
    bool pruning;                /* the last step did, and there may be more to remove */
    uint64_t attempt_ms;         /* monotonic, of the last commit or try */
    uint64_t step_ms, wait_ms;   /* of the last step: when, and what it returned */
    bool committed;              /* the last step did, or tried */
    struct audit_event event;    /* scratch */
    struct {
        AUDIT_WRITER_STATS(STAT)
        _Atomic int last_error;
    } stats;
};

/* --- life --------------------------------------------------------------------------- */

int audit_writer_open(struct audit_writer **out, const char *dir, const char *host,
                      const struct audit_limits *limits, struct audit_ring *const *rings, int n,
                      struct diags *d)
{
    struct audit_writer *w = calloc(1, sizeof *w);
    uint64_t wal = limits->max_size / 16; /* the log beside the database */
    int rc = -ENOMEM;

    if (w == NULL || (w->batch = aligned_alloc(page, batch_most + control_room)) == NULL)
        goto fail;
    wal = wal > wal_most || wal == 0 ? wal_most : wal < wal_least ? wal_least : wal;
    if ((rc = audit_store_open(&w->store, dir, wal, d)) != 0)
        goto fail;
    rc = -ENOMEM;
    if ((w->ledger = ledger_new(w->store, w->forwarder)) == NULL)
        goto fail;
    if (!str_copy(w->forwarder, sizeof w->forwarder, host))
        memcpy(w->forwarder, "?", 2);
    w->rings = rings;
    w->n_rings = n;
    audit_writer_limits(w, limits);
    *out = w;
    return 0;
fail:
    if (w != NULL) {
        audit_store_close(w->store);
        free(w->batch);
    }
    free(w);
    return rc;
}

void audit_writer_limits(struct audit_writer *w, const struct audit_limits *limits)
{
    w->limits = *limits;
    w->bucket.ms = 0;
    ledger_bounds(w->ledger, limits->max_clients, limits->max_suffixes);
    atomic_store(&w->stats.interval_ms, limits->commit_interval_ms);
    w->age_ms = w->sweep_ms = 0;
}

/* --- what was seen lately --------------------------------------------------------------- */

static struct recent *recent_find(struct audit_writer *w, const void *key, size_t len)
{
    static const struct hash_key fixed = {0x7265706561742121u, 0x7175657374696f6eu};
    uint64_t hash = hash_bytes(&fixed, key, len);
    struct recent *set = w->seen[hash & (SEEN_SETS - 1)], *oldest = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i];
        if (set[i].ms < oldest->ms)
            oldest = &set[i];
    }
    *oldest = (struct recent){.hash = hash};
    return oldest;
}

/* Fills the bucket for the time since its last use, a new one at once; true when
 * it has a token. A rate per second is one of thousandths per millisecond. */
static bool refill(struct recent *b, uint64_t rate, uint64_t burst_s, uint64_t now_ms)
{
    uint64_t most = rate * burst_s * 1000, passed = now_ms > b->ms ? now_ms - b->ms : 0;

    b->value += passed > burst_s * 1000 || b->ms == 0 ? most : passed * rate;
    if (b->value > most)
        b->value = most;
    b->ms += passed; /* workers' clocks may be a little apart */
    return b->value >= 1000;
}

/* Takes a token of both rates, or none and returns false. A client may save up
 * for 10 s, all together for 1 s. A client that is new starts with a full bucket:
 * a flood of invented addresses makes the table forget, which the bucket for all
 * then bounds. */
static bool take_token(struct audit_writer *w, const struct audit_event *e)
{
    struct recent none = {.value = 1000}, *client = &none, *all = &none;

    if (w->limits.max_rate_client > 0) {
        client = recent_find(w, e->client.ip, sizeof e->client.ip);
        if (!refill(client, w->limits.max_rate_client, CLIENT_BURST_S, e->mono_ms))
            return false;
    }
    if (w->limits.max_rate > 0) {
        all = &w->bucket;
        if (!refill(all, w->limits.max_rate, ALL_BURST_S, e->mono_ms))
            return false;
    }
    client->value -= 1000;
    all->value -= 1000;
    return true;
}

/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. The time counts from the first asking: a Windows
 * client resends at 1, 2, 4 and 8 s, and one that never changes its ID is not a
 * repeat for ever. A table that forgets early makes attempts out of repeats and
 * loses no question. */
static bool is_repeat(struct audit_writer *w, const struct audit_event *e)
{
    uint8_t buf[16 + 4 + NAME_MAX_WIRE];
    struct writer key = writer_make(buf, sizeof buf);
    struct recent *p;

    writer_bytes(&key, e->client.ip, sizeof e->client.ip);
    writer_u16(&key, e->client.port);
    writer_u16(&key, e->id);
    name_fold_copy(writer_room(&key, e->qname.len), e->qname.data, e->qname.len);
    p = recent_find(w, buf, key.len);
    if (p->ms > 0 && e->mono_ms < p->ms + repeat_ms)
        return true;
    p->ms = e->mono_ms;
    return false;
}

/* --- the batch ------------------------------------------------------------------------ */

static size_t item_size(size_t len)
{
    return (sizeof len + len + 7) & ~(size_t)7; /* its length, then the packed event */
}

/* Where the packed event now is; NULL: the batch is full. */
static void *batch_add(struct audit_writer *w, size_t most, const void *packed, size_t len)
{
    uint8_t *item = w->batch + w->len;

    if (w->len + item_size(len) > most)
        return NULL;
    memcpy(item, &len, sizeof len);
    memcpy(item + sizeof len, packed, len);
    w->len += item_size(len);
    return item + sizeof len;
}

/* --- rings to batch ---------------------------------------------------------------------- */

/* Empties the rings, in the order of time: a client's questions come to several
 * workers, and its last one must be the last. True when anything came. */
static bool drain(struct audit_writer *w, struct now now)
{
    uint64_t n_questions = 0, dropped = 0;
    struct audit_event *e;

    for (;;) {
        const struct audit_event *oldest = NULL, *next;
        size_t len = 0, n;
        int from = 0;

        for (int i = 0; i < w->n_rings; i++)
            if ((next = audit_ring_peek(w->rings[i], &n)) != NULL &&
                (oldest == NULL || next->mono_ms < oldest->mono_ms)) {
                oldest = next;
                from = i;
                len = n;
            }
        if (oldest == NULL || (e = batch_add(w, batch_most, oldest, len)) == NULL)
            break;
        audit_ring_release(w->rings[from]);
        e->repeat = is_repeat(w, e);
        e->counted = !take_token(w, e);
        if (e->repeat)
            atomic_fetch_add(&w->stats.repeats, 1);
        if (w->limits.prefix_only)
            prefix_mask(e->client.ip, addr_is_v4(&e->client) ? 96 + 24 : 56);
        n_questions += e->kind == AUDIT_EVENT;
    }
    for (int i = 0; i < w->n_rings; i++)
        dropped += audit_ring_dropped(w->rings[i]);
    if (w->lost == 0)
        w->lost_from_ms = w->drained_ms;
    w->lost += dropped - w->dropped;
    w->dropped = dropped;
    w->drained_ms = now.wall_ms;
    atomic_fetch_add(&w->stats.pending, n_questions);
    return n_questions > 0;
}

void audit_writer_control(struct audit_writer *w, enum audit_kind kind, struct now now,
                          const char *text)
{
    struct audit_event e = {.kind = (uint8_t)kind, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};
    uint8_t packed[AUDIT_EVENT_MAX];
    size_t len;

    snprintf(e.text, sizeof e.text, "%s", text);
    len = audit_event_pack(&e, packed, sizeof packed);
    (void)batch_add(w, batch_most + control_room, packed, len);
}

/* --- batch to store ------------------------------------------------------------------------ */

/* The end of a transaction in which rc was returned: all of it, or nothing and what was
 * learnt in it is forgotten. */
static int end_transaction(struct audit_writer *w, int rc)
{
    int64_t pages[3]; /* in use, free, octets of one */

    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "COMMIT");
    if (rc != 0) {
        audit_store_rollback(w->store);
        ledger_clear(w->ledger);
        return rc;
    }
    if (audit_store_sql(w->store, pages,
                        "SELECT p.page_count-f.freelist_count,f.freelist_count,s.page_size FROM "
                        "pragma_page_count p,pragma_freelist_count f,pragma_page_size s") != 1)
        return 0;
    atomic_store(&w->stats.store_bytes, (uint64_t)(pages[0] * pages[2]));
    /* A file that has become much too large gives back what it does not need. */
    if (pages[1] > FREE_PAGES && pages[1] > pages[0] / 8)
        (void)audit_store_sql(w->store, NULL, "PRAGMA incremental_vacuum(2000)");
    return 0;
}

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    const struct audit_event gap = {.kind = AUDIT_GAP,
                                    .wall_ms = now.wall_ms,
                                    .mono_ms = now.mono_ms,
                                    .lost = w->lost,
                                    .lost_from_ms = w->lost_from_ms};
    uint64_t recorded = 0, counted = 0;
    size_t len, next;
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->len == 0 && w->lost == 0)
        return true;
    w->committed = true;
    rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < w->len && rc == 0; i = next) {
        const uint8_t *packed = w->batch + i + sizeof len;

        memcpy(&len, w->batch + i, sizeof len);
        next = i + item_size(len);
        if (next < w->len)
            ledger_expect(w->ledger, w->batch + next + sizeof len);
        audit_event_unpack(&w->event, packed, len);
        rc = ledger_add(w->ledger, &w->event, packed, len);
        recorded += w->event.kind == AUDIT_EVENT && !w->event.counted;
        counted += w->event.kind == AUDIT_EVENT && w->event.counted;
    }
    if (rc == 0 && w->lost > 0)
        rc = ledger_add(w->ledger, &gap, NULL, 0);
    if (rc == 0)
        rc = ledger_save(w->ledger);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL,
                             "UPDATE meta SET value=value+CASE name WHEN 'recorded' THEN ? "
                             "WHEN 'counted' THEN ? WHEN 'dropped' THEN ? ELSE 0 END",
                             recorded, counted, w->lost);
    rc = end_transaction(w, rc);
    atomic_store(&w->stats.last_error, -rc);
    if (rc != 0) {
        atomic_fetch_add(&w->stats.commit_failures, 1);
        return false;
    }
    /* In this order no question is missing from the sum, at any moment. */
    atomic_fetch_add(&w->stats.recorded, recorded);
    atomic_fetch_add(&w->stats.counted, counted);
    atomic_store(&w->stats.pending, 0);
    atomic_fetch_add(&w->stats.commits, 1);
    atomic_store(&w->stats.last_commit_wall_ms, now.wall_ms);
    if (w->len > batch_early) /* one busy hour does not cost its memory for ever */
        (void)madvise(w->batch, batch_most + control_room, MADV_DONTNEED);
    w->lost = w->len = 0;
    return true;
}

/* --- retention by days and by bytes ---------------------------------------------------------- */

static bool too_large(struct audit_writer *w)
{
    return w->limits.max_size > 0 &&
           atomic_load(&w->stats.store_bytes) > w->limits.max_size / 100 * 90;
}

static int64_t cutoff(struct now now, uint64_t retention_ms)
{
    return retention_ms > 0 && now.wall_ms > retention_ms ? (int64_t)(now.wall_ms - retention_ms)
                                                          : 0;
}

/* Removes the oldest events: those that are too old, and a part of those that are too
 * many. A record says how many, and up to when. */
static int cut_events(struct audit_writer *w, struct now now, uint64_t *removed)
{
    struct audit_event e = {
        .kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms, .text = "retention"};
    int64_t ends[2], found[2], end, part;
    int rc = audit_store_sql(w->store, ends, "SELECT min(id),max(id) FROM event");

    if (rc < 0)
        return rc;
    part = (ends[1] - ends[0]) / 50;
    end = ends[0] + STEP < ends[1] + 1 ? ends[0] + STEP : ends[1] + 1;
    rc = audit_store_sql(w->store, &end,
                         "SELECT id FROM event WHERE id<? AND ms>=? ORDER BY id LIMIT 1", end,
                         cutoff(now, w->limits.retention_ms));
    if (rc >= 0 && end == ends[0] && too_large(w))
        end += part < STEP ? part : STEP;
    if (rc >= 0)
        rc = audit_store_sql(w->store, found, "SELECT max(ms),count(*) FROM event WHERE id<?", end);
    if (rc < 0 || found[1] == 0)
        return rc < 0 ? rc : 0;
    e.lost_from_ms = (uint64_t)found[0];
    e.lost = *removed = (uint64_t)found[1];
    rc = audit_store_sql(w->store, NULL, "DELETE FROM event WHERE id<?", end);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "DELETE FROM answer WHERE id<?", end - LEDGER_SHARED);
    if (rc == 0)
        rc = ledger_add(w->ledger, &e, NULL, 0);
    return rc == 0 ? ledger_save(w->ledger) : rc;
}

/* One step in a transaction of its own; a failed one is tried again in a minute. */
static void prune(struct audit_writer *w, struct now now)
{
    bool sweep = now.mono_ms >= w->sweep_ms;
    uint64_t removed = 0;
    char sql[128];
    int rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");

    if (rc == 0)
        rc = cut_events(w, now, &removed);
    /* Rows of the ledger that were last touched before then, and that no event names. */
    for (int t = 0; t <= STORE_SLOT && rc == 0 && sweep; t++) {
        snprintf(sql, sizeof sql, "DELETE FROM %s WHERE last<?%s", store_kinds[t].name,
                 t == STORE_SLOT ? "" : " AND event<ifnull((SELECT min(id) FROM event),1)");
        rc = audit_store_sql(w->store, NULL, sql, cutoff(now, w->limits.ledger_retention_ms));
    }
    rc = end_transaction(w, rc);
    if (rc == 0 && sweep)
        ledger_clear(w->ledger);
    w->pruning = rc == 0 && removed > 0;
    w->age_ms = now.mono_ms + (rc == 0 ? hour_ms : minute_ms);
    if (sweep)
        w->sweep_ms = now.mono_ms + (rc == 0 ? 6 * hour_ms : minute_ms);
    atomic_fetch_add(&w->stats.pruned, rc == 0 ? removed : 0);
}

/* --- steps ------------------------------------------------------------------------------------ */

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
    uint64_t interval = atomic_load(&w->stats.interval_ms), due = w->step_ms + w->wait_ms;
    uint64_t took = now.mono_ms > due ? now.mono_ms - due : 0, next;
    bool any = false;

    /* A commit that took more than half of the interval doubles it; quick ones bring it back. */
    if (w->committed && took > interval / 2)
        interval = interval * 2 < interval_most_ms ? interval * 2 : interval_most_ms;
    else if (w->committed && took < interval / 8)
        interval /= 2;
    if (interval < w->limits.commit_interval_ms)
        interval = w->limits.commit_interval_ms;
    atomic_store(&w->stats.interval_ms, interval);
    w->committed = false;
    if (flush)
        flush_all(w, now);
    else
        any = drain(w, now);
    if (!flush && (now.mono_ms >= w->attempt_ms + interval ||
                   (w->len >= batch_early && atomic_load(&w->stats.last_error) == 0)))
        (void)commit(w, now);
    if (atomic_load(&w->stats.last_error) == 0 &&
        (w->pruning || now.mono_ms >= w->age_ms || now.mono_ms >= w->sweep_ms ||
         (w->committed && too_large(w))))
        prune(w, now);
    w->step_ms = now.mono_ms;
    w->wait_ms = any || w->pruning ? busy_ms : idle_ms;
    next = w->attempt_ms + interval;
    if (w->len > 0 && next < now.mono_ms + w->wait_ms)
        w->wait_ms = next > now.mono_ms ? next - now.mono_ms : 1;
    return w->wait_ms;
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
    ledger_free(w->ledger);
    audit_store_close(w->store);
    free(w->batch);
    free(w);
}
