/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prune.c -- retention by days and by bytes.
 *
 * Events go oldest first: above 90 % of max-size, down to 88 %, so that a step is
 * worth its record, looked at after each commit; and when they are older than the
 * retention, looked at every hour. Each step removes a range of numbers at the
 * beginning, says so in a prune record, and takes along what only those events
 * named. Ledger rows that nobody touched for ledger-retention, and that no event
 * names, are swept every six hours.
 */
#include "audit/prune.h"

#include <errno.h>
#include <string.h>

enum { STEP = 100000, CHUNK = 2000, FREE_PAGES = 2000 };
static const uint64_t minute_ms = 60000, hour_ms = 3600000;

static bool too_large(const struct audit_limits *limits, uint64_t bytes, uint64_t percent)
{
    return limits->max_size > 0 && bytes > limits->max_size / 100 * percent;
}

bool prune_due(const struct prune *p, const struct audit_limits *limits, uint64_t bytes,
               uint64_t mono_ms)
{
    return p->going_on || mono_ms >= p->age_ms || mono_ms >= p->sweep_ms ||
           too_large(limits, bytes, 90);
}

static int64_t cutoff(uint64_t wall_ms, uint64_t retention_ms)
{
    return retention_ms > 0 && wall_ms > retention_ms ? (int64_t)(wall_ms - retention_ms) : 0;
}

/* Pages in use, free ones, octets of a page. */
static int pages(struct audit_store *store, int64_t out[3])
{
    int rc = store_run(store, STORE_PAGES, out, "");

    return rc < 0 ? rc : rc == 1 ? 0 : -EIO;
}

uint64_t prune_bytes(struct audit_store *store)
{
    int64_t p[3];

    return pages(store, p) == 0 ? (uint64_t)(p[0] * p[2]) : 0;
}

/* Removes the events before `end`, which come after those removed so far. */
static int cut(struct audit_store *store, int64_t end, struct audit_event *record)
{
    int64_t upto[1] = {0};
    int rc = store_run(store, STORE_LATEST, upto, "i", end);

    if (rc >= 0)
        rc = store_run(store, STORE_CUT_EVENTS, NULL, "i", end);
    if (rc == 0)
        record->lost += (uint64_t)store_changes(store);
    if ((uint64_t)upto[0] > record->lost_from_ms)
        record->lost_from_ms = (uint64_t)upto[0];
    return rc;
}

/* Events older than before_ms, from number `begin` on: up to the first that is not. */
static int cut_old(struct audit_store *store, int64_t before_ms, int64_t begin,
                   struct audit_event *record)
{
    int64_t end[1] = {begin + STEP};
    int rc = store_run(store, STORE_FIRST_YOUNGER, end, "ii", before_ms, end[0]);

    return rc < 0 ? rc : cut(store, end[0], record);
}

static int cut_surplus(struct audit_store *store, const struct audit_limits *limits, int64_t begin,
                       struct audit_event *record)
{
    uint64_t percent = 90;
    int rc = 0;

    for (int64_t end = begin + CHUNK; rc == 0 && end <= begin + STEP; end += CHUNK) {
        if (!too_large(limits, prune_bytes(store), percent))
            break;
        percent = 88;
        rc = cut(store, end, record);
    }
    return rc;
}

/* What only removed events have named: older than the epoch of the first one left. */
static int cut_named(struct audit_store *store, int64_t first)
{
    int64_t epoch[3];
    int rc = store_run(store, STORE_CUT_CONTROLS, NULL, "i", first);

    if (rc == 0)
        rc = store_run(store, STORE_OLDEST_EPOCH, epoch, "i", first);
    if (rc != 1)
        return rc;
    rc = store_run(store, STORE_CUT_EPOCHS, NULL, "i", epoch[0]);
    if (rc == 0)
        rc = store_run(store, STORE_CUT_ANSWERS, NULL, "i", epoch[1]);
    return rc == 0 ? store_run(store, STORE_CUT_TEXTS, NULL, "i", epoch[2]) : rc;
}

static int prune_events(struct prune *p, struct audit_store *store, struct records *records,
                        const struct audit_limits *limits, struct now now)
{
    struct audit_event e = {
        .kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms, .text = "retention"};
    int64_t sequence, first[2], begin;
    int rc = store_run(store, STORE_FIRST_EVENT, first, "");

    if (rc != 1)
        return rc;
    begin = first[0];
    if (p->going_on || now.mono_ms >= p->age_ms) {
        rc = cut_old(store, cutoff(now.wall_ms, limits->retention_ms), begin, &e);
        p->age_ms = now.mono_ms + hour_ms;
    } else {
        rc = 0;
    }
    if (rc == 0)
        rc = cut_surplus(store, limits, begin, &e);
    p->going_on = e.lost >= STEP;
    if (rc != 0 || e.lost == 0)
        return rc;
    rc = records_next(records, now.mono_ms, &sequence);
    if (rc == 0)
        rc = records_add(records, &e, NULL);
    if (rc == 0)
        rc = store_run(store, STORE_FIRST_EVENT, first, "") < 0 ? -EIO : 0;
    if (rc == 0)
        rc = cut_named(store, first[0]);
    p->removed += e.lost;
    return rc;
}

static int sweep(struct audit_store *store, int64_t before_ms)
{
    int64_t first[2] = {0};
    int rc = store_run(store, STORE_FIRST_EVENT, first, "");

    if (rc == 0)
        first[0] = INT64_MAX; /* no event names anything */
    for (int s = STORE_SWEEP_CLIENTS; rc >= 0 && s <= STORE_SWEEP_HOURS; s++)
        rc = store_run(store, (enum store_statement)s, NULL, "ii", before_ms, first[0]);
    return rc == 0 ? store_run(store, STORE_SWEEP_SLOTS, NULL, "i", before_ms) : rc;
}

static int prune_in(struct prune *p, struct audit_store *store, struct records *records,
                    const struct audit_limits *limits, struct now now, bool *swept)
{
    int64_t page[3];
    int rc = prune_events(p, store, records, limits, now);

    if (rc == 0 && now.mono_ms >= p->sweep_ms) {
        *swept = true;
        rc = sweep(store, cutoff(now.wall_ms, limits->ledger_retention_ms));
    }
    if (rc == 0)
        rc = pages(store, page);
    /* A file that has become much too large gives back what it does not need. */
    if (rc == 0 && page[1] > FREE_PAGES && page[1] > page[0] / 8)
        rc = store_run(store, STORE_VACUUM, NULL, "");
    return rc;
}

int prune_step(struct prune *p, struct audit_store *store, struct records *records,
               const struct audit_limits *limits, struct now now, bool *swept)
{
    struct prune was = *p;
    int rc = store_run(store, STORE_BEGIN, NULL, "");

    *swept = false;
    if (rc == 0)
        rc = prune_in(p, store, records, limits, now, swept);
    if (rc == 0)
        rc = store_run(store, STORE_COMMIT, NULL, "");
    if (rc != 0) {
        store_rollback(store);
        records_clear(records);
        *p = was;
        p->going_on = false;
    }
    if (rc != 0)
        p->age_ms = p->sweep_ms = now.mono_ms + minute_ms;
    else if (*swept)
        p->sweep_ms = now.mono_ms + 6 * hour_ms;
    return rc;
}
