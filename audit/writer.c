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

#include "audit/ledger.h"
#include "audit/store.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/pack.h"

enum { STEP = 100000 /* events of a removal */, FREE_PAGES = 2000 };
enum { RINGS = 1024, SEEN_SETS = 16384 };
enum { WAYS = 4, ALL_BURST_S = 1, CLIENT_BURST_S = 10 };
static const size_t batch_most = (size_t)32 << 20;  /* then the rings wait */
static const size_t batch_early = (size_t)8 << 20;  /* committed before its time */
static const size_t control_room = (size_t)1 << 20; /* above batch_most, for control records */
static const uint64_t wal_most = (uint64_t)16 << 20, wal_least = (uint64_t)256 << 10;
static const uint64_t minute_ms = 60000, hour_ms = 3600000;
static const uint64_t repeat_ms = 10000; /* a client resends within it */
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

/* What was seen lately: sets of four places, found by a hash; what is new takes the
 * place of its set whose ms is the smallest. So a flood of new things makes the
 * table forget, and no more. */
struct recent_place {
    uint64_t hash; /* 0 = empty */
    uint64_t ms;   /* of a question's first use, of a bucket's last */
    uint64_t value;
};

#define STAT(name) _Atomic uint64_t name;

struct audit_writer {
    struct audit_store *store;
    struct audit_limits limits;
    struct audit_ring *rings[RINGS]; /* borrowed */
    int n_rings;
    char forwarder[256];
    struct ledger *ledger;
    struct recent_place bucket; /* of all: thousandths of a token; hash 0: not begun */
    struct recent_place seen[SEEN_SETS][WAYS]; /* buckets of each client, and questions */
    uint8_t *batch;
    size_t len;
    uint64_t lost, lost_from_ms; /* not yet in a gap record */
    uint64_t age_ms, sweep_ms;   /* when to look for what is old (monotonic) */
    uint64_t attempt_ms;         /* monotonic, of the last commit or try */
    uint64_t step_ms, wait_ms;   /* of the last step: when, and what it returned */
    bool committed;              /* the last step did */
    struct audit_event event;    /* scratch */
    struct {
        AUDIT_WRITER_STATS(STAT)
        _Atomic int last_error;
    } stats;
};

/* --- what was seen lately --------------------------------------------------------------- */

/* The place of the hash. Not seen lately: *found false, ms and value 0. */
static struct recent_place *recent_find(struct audit_writer *w, uint64_t hash, bool *found)
{
    struct recent_place *set = w->seen[hash >> 32 & (SEEN_SETS - 1)], *oldest = set;

    hash |= 1;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            *found = true;
            return &set[i];
        }
        if (set[i].ms < oldest->ms)
            oldest = &set[i];
    }
    *found = false;
    *oldest = (struct recent_place){.hash = hash};
    return oldest;
}

/* Fills the bucket for the time since its last use, a new one at once; true when
 * it has a token. A rate per second is one of thousandths per millisecond. */
static bool refill(struct recent_place *b, bool known, uint64_t rate, uint64_t burst_s,
                   uint64_t now_ms)
{
    uint64_t most = rate * burst_s * 1000, passed = now_ms > b->ms ? now_ms - b->ms : 0;

    if (!known || passed > burst_s * 1000 || b->value + passed * rate > most)
        b->value = most;
    else
        b->value += passed * rate;
    if (now_ms > b->ms)
        b->ms = now_ms; /* workers' clocks may be a little apart */
    return b->value >= 1000;
}

/* Takes a token of both rates, or none and returns false. A client may save up
 * for 10 s, all together for 1 s. A client that is new starts with a full bucket:
 * a flood of invented addresses makes the table forget, which the bucket for all
 * then bounds. */
static bool take_token(struct audit_writer *w, const struct addr *a, uint64_t mono_ms)
{
    static const struct hash_key fixed = {0x6c696d69742121u, 0x636c69656e742121u};
    struct recent_place *client = NULL;
    bool known;

    if (w->limits.max_rate_client > 0) {
        client = recent_find(w, hash_bytes(&fixed, a->ip, sizeof a->ip), &known);
        if (!refill(client, known, w->limits.max_rate_client, CLIENT_BURST_S, mono_ms))
            return false;
    }
    if (w->limits.max_rate > 0) {
        known = w->bucket.hash != 0;
        w->bucket.hash = 1;
        if (!refill(&w->bucket, known, w->limits.max_rate, ALL_BURST_S, mono_ms))
            return false;
        w->bucket.value -= 1000;
    }
    if (client != NULL)
        client->value -= 1000;
    return true;
}

/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. The time counts from the first asking: a Windows
 * client resends at 1, 2, 4 and 8 s, and one that never changes its ID is not a
 * repeat for ever. A table that forgets early makes attempts out of repeats and
 * loses no question. */
static bool is_repeat(struct audit_writer *w, const struct audit_event *e)
{
    static const struct hash_key fixed = {0x7265706561742121u, 0x7175657374696f6eu};
    uint8_t buf[16 + 4 + NAME_MAX_WIRE];
    struct writer key = writer_make(buf, sizeof buf);
    struct recent_place *p;
    bool found;

    writer_bytes(&key, e->client.ip, sizeof e->client.ip);
    writer_u16(&key, e->client.port);
    writer_u16(&key, e->id);
    name_fold_copy(writer_room(&key, e->qname.len), e->qname.data, e->qname.len);
    p = recent_find(w, hash_bytes(&fixed, buf, key.len), &found);
    if (found && e->mono_ms < p->ms + repeat_ms)
        return true;
    p->ms = e->mono_ms;
    return false;
}

/* --- life --------------------------------------------------------------------------- */

static void writer_free(struct audit_writer *w)
{
    ledger_free(w->ledger);
    audit_store_close(w->store);
    free(w->batch);
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
    w->batch = malloc(batch_most + control_room); /* pages that are not used cost nothing */
    if (w->batch == NULL)
        goto fail;
    rc = audit_store_open(&w->store, dir,
                          part > wal_most || part == 0 ? wal_most
                          : part < wal_least           ? wal_least
                                                       : part,
                          d);
    if (rc != 0)
        goto fail;
    rc = -ENOMEM;
    w->ledger = ledger_new(w->store, w->forwarder);
    if (w->ledger == NULL)
        goto fail;
    if (!str_copy(w->forwarder, sizeof w->forwarder, host))
        memcpy(w->forwarder, "?", 2);
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
    w->bucket.hash = 0;
    ledger_bounds(w->ledger, limits->max_clients, limits->max_suffixes);
    atomic_store(&w->stats.interval_ms, limits->commit_interval_ms);
    w->age_ms = w->sweep_ms = 0;
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

/* Empties the rings, in the order of time: a client's questions come to several
 * workers, and its last one must be the last. True when anything came. */
static bool drain(struct audit_writer *w)
{
    uint64_t n_questions = 0;
    struct audit_event *e;

    while ((e = batch_next(w, batch_most)) != NULL) {
        struct audit_ring *oldest = NULL;
        const uint8_t *first = NULL;
        uint64_t oldest_ms = 0;
        size_t len = 0;

        for (int i = 0; i < w->n_rings; i++) {
            size_t n;
            const uint8_t *packed = audit_ring_peek(w->rings[i], &n);
            uint64_t ms = packed != NULL ? audit_event_mono(packed) : 0;

            if (packed == NULL || (oldest != NULL && ms >= oldest_ms))
                continue;
            oldest = w->rings[i];
            oldest_ms = ms;
            first = packed;
            len = n;
        }
        if (oldest == NULL)
            break;
        memcpy(e, first, len); /* as in an event up to the end of qname */
        audit_ring_release(oldest);
        e->repeat = is_repeat(w, e);
        e->counted = !take_token(w, &e->client, e->mono_ms);
        if (e->repeat)
            atomic_fetch_add(&w->stats.repeats, 1);
        if (w->limits.prefix_only)
            prefix_mask(e->client.ip, addr_is_v4(&e->client) ? 96 + 24 : 56);
        n_questions += e->kind == AUDIT_EVENT;
        batch_add(w, len);
    }
    for (int i = 0; i < w->n_rings; i++) {
        uint64_t from_ms = 0, n = audit_ring_take_dropped(w->rings[i], &from_ms);

        if (n > 0 && (w->lost == 0 || (from_ms != 0 && from_ms < w->lost_from_ms)))
            w->lost_from_ms = from_ms;
        w->lost += n;
    }
    atomic_fetch_add(&w->stats.pending, n_questions);
    return n_questions > 0;
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

static int put_batch(struct audit_writer *w, uint64_t *recorded, uint64_t *counted)
{
    const struct audit_event *e = &w->event;
    size_t len, next;
    int rc = 0;

    for (size_t i = 0; i < w->len && rc == 0; i = next) {
        const uint8_t *packed = w->batch + i + sizeof len;

        memcpy(&len, w->batch + i, sizeof len);
        next = i + item_size(len);
        if (next < w->len)
            ledger_expect(w->ledger, &((const struct audit_event *)(const void *)(w->batch + next +
                                                                                  sizeof len))
                                          ->client);
        audit_event_unpack(&w->event, packed, len);
        rc = ledger_add(w->ledger, e, packed, len);
        if (e->kind == AUDIT_EVENT)
            *(e->counted ? counted : recorded) += 1;
    }
    return rc == 0 ? ledger_save(w->ledger) : rc;
}

/* Pages in use, free ones, octets of a page. */
static int count_pages(struct audit_store *store, int64_t out[3])
{
    int rc =
        audit_store_sql(store, out,
                        "SELECT p.page_count-f.freelist_count,f.freelist_count,s.page_size FROM "
                        "pragma_page_count p,pragma_freelist_count f,pragma_page_size s");

    return rc == 0 ? -EIO : rc < 0 ? rc : 0;
}

static uint64_t bytes_in_use(struct audit_store *store)
{
    int64_t p[3];

    return count_pages(store, p) == 0 ? (uint64_t)(p[0] * p[2]) : 0;
}

/* A control record that the writer makes itself. */
static int add_record(struct audit_writer *w, const struct audit_event *e)
{
    int rc = ledger_add(w->ledger, e, NULL, 0);

    return rc == 0 ? ledger_save(w->ledger) : rc;
}

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    struct audit_event gap = {.kind = AUDIT_GAP,
                              .wall_ms = now.wall_ms,
                              .mono_ms = now.mono_ms,
                              .lost = w->lost,
                              .lost_from_ms = w->lost_from_ms};
    uint64_t recorded = 0, counted = 0;
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->len == 0 && w->lost == 0)
        return true;
    w->committed = true;
    rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    if (rc == 0)
        rc = put_batch(w, &recorded, &counted);
    if (rc == 0 && w->lost > 0)
        rc = add_record(w, &gap);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL,
                             "UPDATE meta SET value=value+CASE name WHEN 'recorded' THEN ? "
                             "WHEN 'counted' THEN ? WHEN 'dropped' THEN ? ELSE 0 END",
                             recorded, counted, w->lost);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "COMMIT");
    atomic_store(&w->stats.last_error, -rc);
    if (rc != 0) {
        audit_store_rollback(w->store);
        ledger_clear(w->ledger);
        atomic_fetch_add(&w->stats.commit_failures, 1);
        return false;
    }
    atomic_store(&w->stats.store_bytes, bytes_in_use(w->store));
    /* In this order no question is missing from the sum, at any moment. */
    atomic_fetch_add(&w->stats.recorded, recorded);
    atomic_fetch_add(&w->stats.counted, counted);
    atomic_store(&w->stats.pending, 0);
    atomic_fetch_add(&w->stats.commits, 1);
    atomic_store(&w->stats.last_commit_wall_ms, now.wall_ms);
    w->lost = 0;
    w->len = 0;
    return true;
}

/* --- retention by days and by bytes ---------------------------------------------------------- */

static bool too_large(struct audit_writer *w)
{
    return w->limits.max_size > 0 &&
           atomic_load(&w->stats.store_bytes) > w->limits.max_size / 100 * 90;
}

static int64_t cutoff(uint64_t wall_ms, uint64_t retention_ms)
{
    return retention_ms > 0 && wall_ms > retention_ms ? (int64_t)(wall_ms - retention_ms) : 0;
}

/* Removes the oldest events: those that are too old, and a part of those that are too
 * many. The record says how many, and up to when. */
static int cut_events(struct audit_writer *w, struct now now, uint64_t *removed)
{
    struct audit_event e = {
        .kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms, .text = "retention"};
    int64_t ends[2] = {0}, begin, end, found[2];
    int rc =
        audit_store_sql(w->store, ends, "SELECT ifnull(min(id),0),ifnull(max(id),0) FROM event");

    begin = end = ends[0];
    if (rc == 1 && now.mono_ms >= w->age_ms) {
        end = begin + STEP;
        rc = audit_store_sql(w->store, &end,
                             "SELECT id FROM event WHERE ms>=? AND id<? ORDER BY id LIMIT 1",
                             cutoff(now.wall_ms, w->limits.retention_ms), end);
        w->age_ms = now.mono_ms + (rc == 0 ? 0 : hour_ms); /* there may be more of them */
    }
    if (rc >= 0 && end == begin && too_large(w))
        end += (ends[1] - begin) / 50 + 1;
    if (rc < 0 || end == begin)
        return rc < 0 ? rc : 0;
    rc = audit_store_sql(w->store, found, "SELECT ifnull(max(ms),0),count(*) FROM event WHERE id<?",
                         end);
    if (rc < 0 || found[1] == 0)
        return rc < 0 ? rc : 0;
    e.lost_from_ms = (uint64_t)found[0];
    e.lost = *removed = (uint64_t)found[1];
    rc = audit_store_sql(w->store, NULL, "DELETE FROM event WHERE id<?", end);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "DELETE FROM answer WHERE id<?", end - LEDGER_SHARED);
    return rc == 0 ? add_record(w, &e) : rc;
}

/* Removes rows of the ledger that were last touched before that time, and that no event
 * names. */
static int sweep(struct audit_writer *w, int64_t before_ms)
{
    int rc = audit_store_sql(w->store, NULL, "DELETE FROM client_suffix WHERE last<?", before_ms);
    char sql[128];

    for (int t = 0; t < STORE_LEDGER && rc == 0; t++) {
        snprintf(sql, sizeof sql,
                 "DELETE FROM %s WHERE last<? AND event<ifnull((SELECT min(id) FROM event),1)",
                 store_kinds[t].name);
        rc = audit_store_sql(w->store, NULL, sql, before_ms);
    }
    return rc;
}

/* One step in a transaction of its own; a failed one is tried again in a minute. */
static void prune(struct audit_writer *w, struct now now)
{
    uint64_t removed = 0;
    int64_t pages[3];
    int rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    bool swept = rc == 0 && now.mono_ms >= w->sweep_ms;

    if (rc == 0)
        rc = cut_events(w, now, &removed);
    if (rc == 0 && swept) {
        w->sweep_ms = now.mono_ms + 6 * hour_ms;
        rc = sweep(w, cutoff(now.wall_ms, w->limits.ledger_retention_ms));
    }
    if (rc == 0)
        rc = count_pages(w->store, pages);
    /* A file that has become much too large gives back what it does not need. */
    if (rc == 0 && pages[1] > FREE_PAGES && pages[1] > pages[0] / 8)
        rc = audit_store_sql(w->store, NULL, "PRAGMA incremental_vacuum(2000)");
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL, "COMMIT");
    if (rc != 0) {
        audit_store_rollback(w->store);
        w->age_ms = w->sweep_ms = now.mono_ms + minute_ms;
    }
    if (rc != 0 || swept)
        ledger_clear(w->ledger);
    if (rc == 0) {
        atomic_fetch_add(&w->stats.pruned, removed);
        atomic_store(&w->stats.store_bytes, (uint64_t)(pages[0] * pages[2]));
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

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
    uint64_t interval = atomic_load(&w->stats.interval_ms), due = w->step_ms + w->wait_ms;
    uint64_t took = now.mono_ms > due ? now.mono_ms - due : 0, wait_ms = idle_ms, next;
    bool any = false;

    /* A commit that took more than half of the interval doubles it; quick ones bring it back. */
    if (w->committed && took > interval / 2)
        interval = interval * 2 < interval_most_ms ? interval * 2 : interval_most_ms;
    else if (w->committed && took < interval / 8)
        interval /= 2;
    if (w->committed && interval < w->limits.commit_interval_ms)
        interval = w->limits.commit_interval_ms;
    atomic_store(&w->stats.interval_ms, interval);
    w->committed = false;
    if (flush) {
        flush_all(w, now);
    } else {
        any = drain(w);
        if (now.mono_ms >= w->attempt_ms + interval ||
            (w->len >= batch_early && atomic_load(&w->stats.last_error) == 0))
            (void)commit(w, now);
    }
    if (atomic_load(&w->stats.last_error) == 0 &&
        (now.mono_ms >= w->age_ms || now.mono_ms >= w->sweep_ms || too_large(w)))
        prune(w, now);
    if (any || now.mono_ms >= w->age_ms || too_large(w))
        wait_ms = busy_ms;
    next = w->attempt_ms + interval;
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
