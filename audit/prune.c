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
static int count_pages(struct audit_store *store, int64_t out[3])
{
    int rc =
        audit_store_sql(store, out,
                        "SELECT p.page_count-f.freelist_count,f.freelist_count,s.page_size FROM "
                        "pragma_page_count p,pragma_freelist_count f,pragma_page_size s");

    return rc == 0 ? -EIO : rc < 0 ? rc : 0;
}

uint64_t prune_bytes(struct audit_store *store)
{
    int64_t p[3];

    return count_pages(store, p) == 0 ? (uint64_t)(p[0] * p[2]) : 0;
}

/* The number of the first event; *first stays when there is none. */
static int first_event(struct audit_store *store, int64_t *first)
{
    int rc = audit_store_sql(store, first, "SELECT id FROM event ORDER BY id LIMIT 1");

    return rc < 0 ? rc : 0;
}

/* Removes the events before `end`; the record says how many, and up to when. */
static int cut(struct audit_store *store, int64_t end, struct audit_event *record)
{
    int64_t last_ms = 0;
    int rc = audit_store_sql(store, &last_ms, "SELECT max(ms) FROM event WHERE id<?", end);

    if (rc >= 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM event WHERE id<?", end);
    if (rc == 0)
        record->lost += (uint64_t)audit_store_changes(store);
    if ((uint64_t)last_ms > record->lost_from_ms)
        record->lost_from_ms = (uint64_t)last_ms;
    return rc;
}

/* Removes what only removed events have named: what is older than the epoch of
 * the first that is left. */
static int cut_named(struct audit_store *store)
{
    int64_t first = 0, epoch[3];
    int rc = first_event(store, &first);

    if (rc == 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM control WHERE id<?", first);
    if (rc == 0)
        rc = audit_store_sql(store, epoch,
                             "SELECT event,answer,text FROM epoch WHERE event<=? "
                             "ORDER BY event DESC LIMIT 1",
                             first);
    if (rc == 1)
        rc = audit_store_sql(store, NULL, "DELETE FROM epoch WHERE event<?", epoch[0]);
    if (rc == 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM answer WHERE id<?", epoch[1]);
    return rc == 0 ? audit_store_sql(store, NULL, "DELETE FROM text WHERE id<?", epoch[2]) : rc;
}

/* The events that are too old, up to the first that is not, then those that are too many. */
static int cut_events(struct prune *p, struct audit_store *store, struct records *records,
                      const struct audit_limits *limits, struct now now)
{
    struct audit_event e = {
        .kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms, .text = "retention"};
    int64_t begin = 0, end, sequence;
    uint64_t percent = 90;
    int rc = first_event(store, &begin);

    if (rc == 0 && (p->going_on || now.mono_ms >= p->age_ms)) {
        end = begin + STEP;
        rc = audit_store_sql(store, &end, "SELECT id FROM event WHERE ms>=? AND id<? LIMIT 1",
                             cutoff(now.wall_ms, limits->retention_ms), end);
        if (rc >= 0)
            rc = cut(store, end, &e);
        p->age_ms = now.mono_ms + hour_ms;
    }
    for (end = begin + CHUNK; rc == 0 && end <= begin + STEP; end += CHUNK) {
        if (!too_large(limits, prune_bytes(store), percent))
            break;
        percent = 88;
        rc = cut(store, end, &e);
    }
    p->going_on = e.lost >= STEP;
    if (rc != 0 || e.lost == 0)
        return rc;
    rc = records_next(records, now.mono_ms, &sequence);
    if (rc == 0)
        rc = records_add(records, &e, NULL);
    p->removed += e.lost;
    return rc == 0 ? cut_named(store) : rc;
}

int prune_step(struct prune *p, struct audit_store *store, struct records *records,
               const struct audit_limits *limits, struct now now, bool *swept)
{
    int64_t first = INT64_MAX /* no event names anything */, pages[3];
    uint64_t removed = p->removed;
    int rc = audit_store_sql(store, NULL, "BEGIN IMMEDIATE");

    *swept = rc == 0 && now.mono_ms >= p->sweep_ms;
    if (rc == 0)
        rc = cut_events(p, store, records, limits, now);
    if (rc == 0 && *swept) {
        p->sweep_ms = now.mono_ms + 6 * hour_ms;
        rc = first_event(store, &first);
        if (rc == 0)
            rc = audit_store_sweep(store, cutoff(now.wall_ms, limits->ledger_retention_ms), first);
    }
    if (rc == 0)
        rc = count_pages(store, pages);
    /* A file that has become much too large gives back what it does not need. */
    if (rc == 0 && pages[1] > FREE_PAGES && pages[1] > pages[0] / 8)
        rc = audit_store_sql(store, NULL, "PRAGMA incremental_vacuum(2000)");
    if (rc == 0)
        rc = audit_store_sql(store, NULL, "COMMIT");
    if (rc != 0) {
        audit_store_rollback(store);
        records->begun = false;
        p->age_ms = p->sweep_ms = now.mono_ms + minute_ms;
        p->going_on = false;
        p->removed = removed;
    }
    return rc;
}
