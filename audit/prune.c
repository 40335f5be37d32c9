/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prune.c -- retention by days and by bytes.
 *
 * Events go oldest first: above 90 % of max-size, down to 88 %, so that a run is
 * worth its record; and when they are older than the retention, looked at every
 * hour. A run ends with a prune record that says how many and up to when; what
 * an interrupted run removed is kept in the totals until then. Ledger rows that
 * nobody touched for ledger-retention are swept every six hours.
 */
#include "audit/prune.h"

#include <errno.h>
#include <string.h>

enum { STEP = 4000 };
static const uint64_t minute_ms = 60000, hour_ms = 3600000;

bool prune_due(const struct prune *p, uint64_t mono_ms)
{
    return p->by_age || p->by_size || p->sweeping || mono_ms >= p->age_ms ||
           mono_ms >= p->size_ms || mono_ms >= p->sweep_ms;
}

static uint64_t cutoff(uint64_t wall_ms, uint64_t retention_ms)
{
    return retention_ms > 0 && wall_ms > retention_ms ? wall_ms - retention_ms : 0;
}

/* The record that a walk stands on: does it go? */
static bool event_goes(struct prune *p, struct audit_txn *txn, const struct audit_limits *limits,
                       const struct audit_event *e, uint64_t before_ms)
{
    if (p->by_size && audit_txn_bytes(txn) > limits->max_size / 100 * 88)
        return true;
    p->by_size = false;
    return p->by_age && e->wall_ms < before_ms;
}

static int prune_events(struct prune *p, struct audit_txn *txn, const struct audit_limits *limits,
                        struct totals *t, struct now now)
{
    static const uint8_t first[] = {STORE_EVENT};
    uint64_t before_ms = cutoff(now.wall_ms, limits->retention_ms);
    struct audit_event e;
    char host[RECORD_HOST];
    struct entry entry;
    int rc = audit_txn_seek(txn, (struct bytes){first, 1}, &entry);

    for (int n = 0; rc == 0 && n < STEP; n++) {
        if (record_read(&entry, &e, host) != 0)
            memset(&e, 0, sizeof e); /* damaged: as old as can be */
        if (!event_goes(p, txn, limits, &e, before_ms)) {
            p->by_age = false;
            return 0;
        }
        rc = audit_txn_del_here(txn);
        if (rc != 0)
            return rc;
        t->prune_count++;
        t->pruned++;
        if (e.wall_ms > t->prune_upto_ms)
            t->prune_upto_ms = e.wall_ms;
        rc = audit_txn_next(txn, &entry);
    }
    if (rc == -ENOENT) {
        p->by_age = p->by_size = false; /* nothing left */
        rc = 0;
    }
    return rc;
}

static int end_run(struct audit_txn *txn, const char *host, struct totals *t, struct now now)
{
    struct audit_event e = {.kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};
    int rc;

    e.lost = t->prune_count;
    e.lost_from_ms = t->prune_upto_ms;
    memcpy(e.text, "retention", sizeof "retention");
    rc = record_append_event(txn, t, host, &e);
    t->prune_count = t->prune_upto_ms = 0;
    return rc;
}

/* When the row was last touched; 0 when it cannot be read, so that it goes. */
static uint64_t row_last_ms(const struct entry *e)
{
    struct ledger_client client;
    struct ledger_name_row name;
    struct ledger_hour hour;

    if (!e->ok)
        return 0;
    switch (e->key.at[0]) {
    case STORE_CLIENT:
        return ledger_client_decode(&client, e->payload.at, e->payload.len) == 0 ? client.last_ms
                                                                                 : 0;
    case STORE_SUFFIX:
    case STORE_TARGET:
    case STORE_RULE:
        return ledger_name_decode(&name, e->payload.at, e->payload.len) == 0 ? name.name.last_ms
                                                                             : 0;
    case STORE_HOUR:
        return ledger_hour_decode(&hour, e->payload.at, e->payload.len) == 0 ? hour.start_ms : 0;
    default:
        return UINT64_MAX; /* not of the ledger */
    }
}

static int sweep_ledger(struct prune *p, struct audit_txn *txn, uint64_t before_ms,
                        struct totals *t, bool *changed)
{
    enum ledger_kind kind;
    struct entry e;
    int rc = audit_txn_seek(txn, (struct bytes){p->sweep_at, p->sweep_len}, &e), n = 0;

    for (; rc == 0 && e.key.at[0] < STORE_EVENT && n < STEP; n++) {
        if (row_last_ms(&e) < before_ms) {
            if (ledger_key_kind(e.key, &kind) && t->rows[kind] > 0)
                t->rows[kind]--;
            rc = audit_txn_del_here(txn);
            *changed = true;
        }
        if (rc == 0)
            rc = audit_txn_next(txn, &e);
    }
    p->sweeping =
        rc == 0 && n == STEP && e.key.at[0] < STORE_EVENT && e.key.len <= sizeof p->sweep_at;
    if (p->sweeping) {
        memcpy(p->sweep_at, e.key.at, e.key.len);
        p->sweep_len = e.key.len;
    }
    return rc == -ENOENT ? 0 : rc;
}

static void look_at_clock(struct prune *p, struct audit_txn *txn, const struct audit_limits *limits,
                          uint64_t mono_ms)
{
    if (mono_ms >= p->age_ms) {
        p->by_age = true;
        p->age_ms = mono_ms + hour_ms;
    }
    if (mono_ms >= p->size_ms) {
        p->by_size = limits->max_size > 0 && audit_txn_bytes(txn) > limits->max_size / 100 * 90;
        p->size_ms = mono_ms + minute_ms;
    }
    if (mono_ms >= p->sweep_ms) {
        p->sweeping = true;
        p->sweep_at[0] = STORE_CLIENT; /* the lowest table */
        p->sweep_len = 1;
        p->sweep_ms = mono_ms + 6 * hour_ms;
    }
}

static int prune_in(struct prune *p, struct audit_txn *txn, const struct audit_limits *limits,
                    const char *host, struct now now, bool *changed)
{
    struct totals t;
    uint64_t had;
    int rc = totals_load(txn, &t);

    if (rc != 0)
        return rc;
    had = t.pruned;
    look_at_clock(p, txn, limits, now.mono_ms);
    if (p->by_age || p->by_size)
        rc = prune_events(p, txn, limits, &t, now);
    if (rc == 0 && t.prune_count > 0 && !p->by_age && !p->by_size) {
        rc = end_run(txn, host, &t, now);
        *changed = true;
    }
    if (rc == 0 && p->sweeping)
        rc = sweep_ledger(p, txn, cutoff(now.wall_ms, limits->ledger_retention_ms), &t, changed);
    if (t.pruned != had)
        *changed = true;
    p->removed += t.pruned - had;
    return rc == 0 && *changed ? totals_save(txn, &t) : rc;
}

int prune_step(struct prune *p, struct audit_store *store, const struct audit_limits *limits,
               const char *host, struct now now)
{
    struct prune was = *p;
    struct audit_txn *txn;
    bool changed = false;
    int rc = audit_txn_begin(&txn, store);

    if (rc == 0) {
        rc = prune_in(p, txn, limits, host, now, &changed);
        if (rc == 0 && changed)
            rc = audit_txn_commit(txn);
        else
            audit_txn_abort(txn);
    }
    if (rc != 0) {
        *p = was;
        p->by_age = p->by_size = p->sweeping = false;
        p->age_ms = p->size_ms = p->sweep_ms = now.mono_ms + minute_ms;
    }
    return rc;
}
