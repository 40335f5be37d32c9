/* SPDX-License-Identifier: BSD-2-Clause
 *
 * writer.c -- takes events out of the rings, keeps events and ledger.
 *
 *   rings ──drain──▶ batch ──commit──▶ one transaction: events, rows, totals
 *
 * The batch is all memory of what is not yet on disk: records of the rings, each with a
 * mark whether it is stored or only counted. When a commit fails, everything is forgotten
 * that was learnt in it, so it can simply be done again. Of what the rings dropped only
 * the number is known: it is added to the totals together with a gap record.
 *
 * Events are removed oldest first: every hour those older than the retention, and
 * after a commit a fiftieth when the audit takes more than 90 % of max-size, so that one
 * removal is worth its record.
 */
#include "audit/writer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "audit/ledger.h"
#include "base/random.h"

enum { STEP = 100000 /* events of a removal */, FREE_PAGES = 2000 };
enum { SEEN_SETS = 16384, WAYS = 4 };
enum { PAGE = 4096, BATCH = 32 << 20, CONTROL_ROOM = 1 << 20 /* of it, without questions */ };
enum { BATCH_EARLY = 8 << 20 /* committed before its time */, BATCH_KEPT = 1 << 20 };
enum { WAL_MOST = 16 << 20, WAL_LEAST = 256 << 10 };
static const uint64_t minute_ms = 60000, hour_ms = 3600000, second_ns = 1000000000;
static const int64_t day_ms = 86400000;
static const uint64_t repeat_ns = 10000000000; /* a client resends within it */
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

struct audit_writer {
    struct audit_store *store;
    struct ledger *ledger;
    struct audit_outputs *outputs;
    char forwarder[256];
    struct audit_limits limits;
    struct audit_ring *const *rings;
    int n_rings;
    uint64_t all_ns; /* as in `seen`, of all clients together */
    /* What was seen lately, found by a hash: a question, until it is no repeat; a client, until
     * it has saved up all it may. What is new takes the place of its set that ends first: a
     * flood of new things makes the table forget, and no more. */
    _Alignas(64) struct recent { /* a set is a cache line */
        uint64_t hash, until_ns; /* monotonic */
    } seen[SEEN_SETS][WAYS];
    uint8_t *batch;
    size_t len;
    uint64_t lost, lost_from_ms; /* not yet in a gap record; since when */
    uint64_t drained_ms;         /* by the wall clock: what is lost came later */
    uint64_t age_ms;             /* when to look for what is old */
    int64_t clock_ms;            /* the wall clock was so far ahead of the monotonic one */
    uint64_t doubt_ms;           /* by its time nothing is removed before then, monotonic */
    uint64_t head_ms;            /* when to tell the head of the chain; 0: not known yet */
    long long version;           /* of the database, without our own changes */
    bool pruning;                /* there may be more to remove */
    uint64_t attempt_ms;         /* of the last commit or try */
    uint64_t step_ms, wait_ms;   /* of the last step: when, and what it returned */
    bool committed;              /* the last step did, or tried */
    struct audit_event event;
    struct audit_writer_stats stats, told;
    pthread_mutex_t lock; /* of told */
};

static void writer_free(struct audit_writer *w)
{
    audit_outputs_free(w->outputs);
    ledger_free(w->ledger);
    audit_store_close(w->store);
    free(w->batch);
    free(w);
}

int audit_writer_open(struct audit_writer **out, const char *dir, const char *host,
                      const struct audit_limits *limits, struct audit_ring *const *rings, int n,
                      struct diags *d)
{
    struct audit_writer *w = aligned_alloc(_Alignof(struct audit_writer), sizeof *w);
    uint64_t wal = limits->max_size / 16; /* the log beside the database */
    long long newest = 0;
    int rc = -ENOMEM;

    if (w == NULL)
        return rc;
    memset(w, 0, sizeof *w);
    wal = wal > WAL_MOST ? WAL_MOST : wal < WAL_LEAST ? WAL_LEAST : wal;
    w->batch = aligned_alloc(PAGE, BATCH);
    w->outputs = audit_outputs_new(dir);
    if (w->batch && w->outputs)
        rc = audit_store_open(&w->store, dir, wal, d);
    if (rc == 0)
        rc = ledger_new(&w->ledger, w->store, w->forwarder);
    if (rc != 0) {
        writer_free(w);
        return rc;
    }
    snprintf(w->forwarder, sizeof w->forwarder, "%s", host);
    w->rings = rings;
    w->n_rings = n;
    pthread_mutex_init(&w->lock, NULL);
    audit_writer_limits(w, limits);
    /* A clock that went ahead within a day of the newest record is still doubted: then what was a day
     * before that is older, by more than the hour in which there is a record. */
    (void)audit_sql(
        w->store, &newest,
        "SELECT min(ms,ifnull((SELECT e.ms+26*3600000 FROM chain c JOIN event e ON e.id="
        "c.id WHERE e.ms<n.ms-24*3600000 ORDER BY c.id DESC LIMIT 1),ms)) "
        "FROM event n ORDER BY id DESC LIMIT 1");
    w->clock_ms = newest > 0 ? newest : INT64_MAX;
    *out = w;
    return 0;
}

void audit_writer_limits(struct audit_writer *w, const struct audit_limits *limits)
{
    w->limits = *limits;
    ledger_bounds(w->ledger, limits->max_clients, limits->max_suffixes);
    w->stats.interval_ms = limits->commit_interval_ms;
    w->age_ms = 0;
}

struct audit_outputs *audit_writer_outputs(struct audit_writer *w)
{
    return w->outputs;
}

static uint64_t *seen_until(struct audit_writer *w, const void *key, size_t len)
{
    static const struct hash_key fixed = {0x7265706561742121u, 0x7175657374696f6eu};
    uint64_t hash = hash_bytes(&fixed, key, len);
    struct recent *set = w->seen[hash & (SEEN_SETS - 1)], *first = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash)
            return &set[i].until_ns;
        if (set[i].until_ns < first->until_ns)
            first = &set[i];
    }
    *first = (struct recent){.hash = hash};
    return &first->until_ns;
}

/* Takes a token of both rates, or none and returns false. A token costs the time in which
 * it comes again; a client may be 10 s of them ahead, all together 1 s. A client that is
 * new, or forgotten, has saved up all it may. */
static bool take_token(struct audit_writer *w, const struct audit_event *e)
{
    const uint64_t now = e->mono_ms * 1000000;
    uint64_t *until = seen_until(w, e->client.ip, sizeof e->client.ip);
    uint64_t all = w->all_ns > now ? w->all_ns : now, client = *until > now ? *until : now;

    all += second_ns / w->limits.max_rate;
    client += second_ns / w->limits.max_rate_client;
    if (all > now + second_ns || client > now + 10 * second_ns)
        return false;
    w->all_ns = all;
    *until = client;
    return true;
}

/* True when the same address, port, ID and name (case ignored) came within the
 * 10 s before; else remembers it. The time counts from the first asking: a Windows
 * client resends at 1, 2, 4 and 8 s, and one that never changes its ID is not a
 * repeat for ever. */
static bool is_repeat(struct audit_writer *w, const struct audit_event *e)
{
    struct {
        uint8_t ip[16];
        uint16_t port, id;
        uint8_t name[NAME_MAX_WIRE];
    } key = {.port = e->client.port, .id = e->id};
    uint64_t now = e->mono_ms * 1000000, *until;

    memcpy(key.ip, e->client.ip, sizeof key.ip);
    name_fold_copy(key.name, e->qname.data, e->qname.len);
    until = seen_until(w, &key, 20u + e->qname.len);
    if (now < *until)
        return true;
    *until = now + repeat_ns;
    return false;
}

/* Empties the rings, in the order of time: a client's questions come to several
 * workers, and its last one must be the last. True when questions came. */
static bool drain(struct audit_writer *w, struct now now)
{
    const uint64_t before = w->stats.pending;
    uint64_t dropped = 0;

    for (;;) {
        const struct audit_record *oldest = NULL, *next;
        struct audit_record *record = (void *)(w->batch + w->len);
        struct audit_event *e = &record->event;
        size_t size;
        int from = 0;

        for (int i = 0; i < w->n_rings; i++)
            if ((next = audit_ring_peek(w->rings[i])) != NULL &&
                (oldest == NULL || next->event.mono_ms < oldest->event.mono_ms)) {
                oldest = next;
                from = i;
            }
        if (oldest == NULL ||
            w->len + (size = audit_record_size(oldest->len)) > BATCH - CONTROL_ROOM)
            break;
        memcpy(record, oldest, size);
        w->len += size;
        audit_ring_release(w->rings[from]);
        e->repeat = is_repeat(w, e);
        e->counted = !take_token(w, e);
        audit_client_hide(e->client.ip, &w->limits.privacy);
        w->stats.repeats += e->repeat;
        w->stats.pending++;
    }
    for (int i = 0; i < w->n_rings; i++)
        dropped += audit_ring_dropped(w->rings[i]);
    if (w->lost == 0)
        w->lost_from_ms = w->drained_ms;
    w->lost += dropped - w->stats.dropped;
    w->stats.dropped = dropped;
    w->drained_ms = now.wall_ms;
    return w->stats.pending > before;
}

void audit_writer_control(struct audit_writer *w, enum audit_kind kind, struct now now,
                          const char *text)
{
    struct audit_event e = {.kind = (uint8_t)kind, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms};
    struct audit_record *record;

    snprintf(e.text, sizeof e.text, "%s", text);
    drain(w, now); /* what came before it */
    if (w->len + audit_record_size(AUDIT_EVENT_MAX) > BATCH)
        return;
    record = (void *)(w->batch + w->len);
    record->len = audit_event_pack(&e, (void *)&record->event, AUDIT_EVENT_MAX);
    w->len += audit_record_size(record->len);
}

/* Who has written since (to forget a client, to prune) may have changed what the ledger knows. */
static void begin_transaction(struct audit_writer *w)
{
    long long version = w->version;

    (void)audit_store_error(w->store);
    (void)audit_sql(w->store, &version, "BEGIN IMMEDIATE;PRAGMA data_version");
    if (version != w->version)
        ledger_clear(w->ledger);
    w->version = version;
    audit_outputs_save(w->outputs, w->store);
}

/* All of it, or after an error nothing, and what was learnt in it is forgotten. */
static int end_transaction(struct audit_writer *w)
{
    long long n[3]; /* pages in use, free; the newest record */
    int rc;

    ledger_save(w->ledger);
    (void)audit_sql(w->store, NULL, "COMMIT");
    if ((rc = audit_store_error(w->store)) != 0) {
        (void)audit_sql(w->store, NULL, "ROLLBACK"); /* may be done */
        ledger_clear(w->ledger);
        return rc;
    }
    if (audit_sql(w->store, n,
                  "SELECT page_count-freelist_count,freelist_count,(SELECT ifnull(max(id),0) "
                  "FROM event) FROM pragma_page_count,pragma_freelist_count") != 1)
        return 0;
    w->stats.store_bytes = (uint64_t)n[0] * PAGE;
    audit_outputs_saved(w->outputs, n[2]);
    /* A file that has become much too large gives back what it does not need. */
    if (n[1] > FREE_PAGES && n[1] > n[0] / 8)
        (void)audit_sql(w->store, NULL, "PRAGMA incremental_vacuum(2000)");
    return 0;
}

/* A control record, within a transaction; n and at_ms are those of a gap or prune. */
static void add_record(struct audit_writer *w, enum audit_kind kind, struct now now, uint64_t n,
                       uint64_t at_ms, const char *text)
{
    struct audit_event *e = &w->event;

    *e = (struct audit_event){
        .kind = (uint8_t)kind, .wall_ms = now.wall_ms, .lost = n, .lost_from_ms = at_ms};
    snprintf(e->text, sizeof e->text, "%s", text);
    ledger_add(w->ledger, e, NULL);
}

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    unsigned long long recorded, counted = 0;
    const struct audit_record *record;
    char head[128];
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->head_ms == 0)
        w->head_ms = now.mono_ms + hour_ms;
    if (w->len == 0 && w->lost == 0 && now.mono_ms < w->head_ms &&
        !audit_outputs_changed(w->outputs))
        return true;
    w->committed = true;
    begin_transaction(w);
    for (size_t i = 0; i < w->len; i += audit_record_size(record->len)) {
        record = (const void *)(w->batch + i);
        audit_event_unpack(&w->event, (const void *)&record->event, record->len);
        ledger_add(w->ledger, &w->event, record);
        counted += w->event.counted;
    }
    recorded = w->stats.pending - counted;
    if (w->lost > 0)
        add_record(w, AUDIT_GAP, now, w->lost, w->lost_from_ms, "");
    /* It goes to all outputs: kept elsewhere, it proves what was here before. */
    if (now.mono_ms >= w->head_ms && ledger_head(w->ledger, head, sizeof head))
        add_record(w, AUDIT_HEAD, now, 0, 0, head);
    (void)audit_sql(w->store, NULL,
                    "UPDATE meta SET value=value+CASE name WHEN 'recorded' THEN %llu "
                    "WHEN 'counted' THEN %llu WHEN 'dropped' THEN %llu ELSE 0 END",
                    recorded, counted, (unsigned long long)w->lost);
    rc = end_transaction(w);
    w->stats.last_error = -rc;
    if (rc != 0) {
        w->stats.commit_failures++;
        return false;
    }
    if (now.mono_ms >= w->head_ms)
        w->head_ms = now.mono_ms + hour_ms;
    w->stats.recorded += recorded;
    w->stats.counted += counted;
    w->stats.pending = 0;
    w->stats.commits++;
    w->stats.last_commit_wall_ms = now.wall_ms;
    /* A busy hour does not cost it for ever; while it lasts, its pages stay. */
    if (w->len <= BATCH_KEPT)
        (void)madvise(w->batch + BATCH_KEPT, BATCH - BATCH_KEPT, MADV_DONTNEED);
    w->lost = w->len = 0;
    return true;
}

static bool too_large(const struct audit_writer *w)
{
    return w->stats.store_bytes > w->limits.max_size / 100 * 90;
}

/* Outputs that lack what goes up to that record go on behind; a record for each tells the gap. */
static void skip_removed(struct audit_writer *w, struct now now, long long last)
{
    json_t *rows = json_array(), *row;
    char sql[256];
    size_t i;

    snprintf(sql, sizeof sql,
             "SELECT 'removed before '||substr(name,1,90)||' got them' AS text,%lld-sequence AS n"
             " FROM output WHERE n>0;UPDATE output SET sequence=max(sequence,%lld)",
             last, last);
    (void)audit_query(w->store, sql, NULL, rows);
    json_array_foreach(rows, i, row)
        add_record(w, AUDIT_GAP, now, (uint64_t)json_integer_value(json_object_get(row, "n")), 0,
                   json_string_value(json_object_get(row, "text")));
    json_decref(rows);
}

/* Removes the oldest events: those that are too old, and a part of those that are too
 * many; a record says how many, and up to when. What only they had in common goes, too, unless a
 * host is known by it, and every hour rows of the ledger that no question touched for long. One
 * step is a transaction of its own; a failed one is tried again in a minute. */
static int prune(struct audit_writer *w, struct now now, const char *by)
{
    static const char *const tables[] = {"client_suffix", "client", "suffix",
                                         "host",          "rule",   "hour"};
    const long long wall_ms = (long long)now.wall_ms;
    const bool hourly = now.mono_ms >= w->age_ms, doubts = now.mono_ms < w->doubt_ms;
    const long long young_ms = doubts ? 0 : wall_ms - (long long)w->limits.retention_ms;
    long long cut[3] = {0}; /* the first that stays; of the others the last ms, how many */
    int rc;

    begin_transaction(w);
    ledger_cut(w->ledger); /* while the last record is there, which may go */
    (void)audit_sql(
        w->store, cut,
        "WITH all_of AS(SELECT min(id) AS a,max(id) AS z FROM event),"
        /* A time ahead of the clock, which was wrong once, says nothing. */
        "sane AS(SELECT a,z,ifnull((SELECT id FROM event WHERE id<a+%d AND ms BETWEEN %lld AND %lld"
        " ORDER BY id LIMIT 1),min(a+%d,z+1)) AS young FROM all_of),"
        "old AS(SELECT a,z,ifnull((SELECT max(id)+1 FROM event WHERE id>=a AND id<sane.young AND "
        "ms<%lld),a) AS young FROM sane)"
        "SELECT stays,max(ms),count(*) FROM event,(SELECT CASE"
        /* Whole segments of the chain, so that what is left can be verified. */
        " WHEN young>z THEN young"
        " WHEN young=a AND %d THEN (SELECT min(id) FROM chain WHERE id>=a+min((z-a)/50,%d))"
        " ELSE (SELECT max(id) FROM chain WHERE id<=young) END AS stays FROM old)WHERE id<stays",
        STEP, young_ms, wall_ms, STEP, young_ms, too_large(w), STEP);
    if (cut[2] > 0) {
        (void)audit_sql(w->store, NULL,
                        "DELETE FROM event WHERE id<%lld;DELETE FROM answer WHERE id<%lld "
                        "AND id NOT IN(SELECT told FROM host);DELETE FROM blind WHERE id<%lld;"
                        "DELETE FROM chain WHERE id<%lld AND id<(SELECT max(id) FROM chain)",
                        cut[0], cut[0] - LEDGER_SHARED, cut[0], cut[0]);
        add_record(w, AUDIT_PRUNE, now, (uint64_t)cut[2], (uint64_t)cut[1], by);
        skip_removed(w, now, cut[0] - 1);
    }
    /* Those that were last touched before then, and that no event names. */
    for (size_t i = 0; i < ARRAY_LEN(tables) && hourly && !doubts; i++)
        (void)audit_sql(w->store, NULL, "DELETE FROM %s WHERE last<%lld%s", tables[i],
                        wall_ms - (long long)w->limits.ledger_retention_ms,
                        i == 0 ? "" : " AND event<ifnull((SELECT min(id) FROM event),1)");
    rc = end_transaction(w);
    w->pruning = rc == 0 && cut[2] > 0;
    if (rc != 0) {
        w->age_ms = now.mono_ms + minute_ms;
        return rc;
    }
    w->stats.pruned += (uint64_t)cut[2];
    if (hourly) {
        ledger_clear(w->ledger);
        w->age_ms = now.mono_ms + hour_ms;
    }
    return 0;
}

int audit_writer_prune(struct audit_writer *w, struct now now, uint64_t before_ms, const char *by,
                       uint64_t *removed)
{
    int rc;

    w->limits.retention_ms = now.wall_ms > before_ms ? now.wall_ms - before_ms : 0;
    w->limits.max_size = UINT64_MAX;
    w->age_ms = UINT64_MAX; /* the ledger stays */
    w->doubt_ms = 0;
    do
        rc = prune(w, now, by);
    while (rc == 0 && w->pruning);
    *removed = w->stats.pruned;
    return rc;
}

/* clang-format off */
/* The records of a client, and whether it has a row; in the end those without one, which have its
 * address, if there are such. */
#define FORGET(how) \
    "CREATE TEMP TABLE story AS WITH RECURSIVE story(row) AS(SELECT event FROM client WHERE name=?1" \
    " UNION ALL SELECT e.previous FROM story JOIN event e ON e.id=row)" \
    "SELECT e.id AS id,ms,ms>=since AND ms<until AS gone FROM span,story JOIN event e ON e.id=row;" \
    "CREATE INDEX temp.by_gone ON story(gone,id);" \
    "CREATE TEMP TABLE own AS SELECT id FROM client WHERE name=?1;" how \
    "UPDATE event SET client='forgotten' FROM span WHERE client=?1 AND ms>=since AND ms<until" \
    " AND EXISTS(SELECT 1 FROM client WHERE name='(other)');" \
    "SELECT changes()+(SELECT count(*) FROM story WHERE gone) AS records," \
    "(SELECT count(*) FROM own) AS rows"
static const char forget_all[] =
    FORGET("UPDATE client SET name='forgotten-'||id,salt=NULL WHERE name=?1;");
/* Two stories: those that are forgotten get a row of their own. In the chain stands for each record what its
 * digest made of it; the digest goes, which would tell whose they are. */
#define IN_SPAN " BETWEEN since AND until-1"
static const char forget_part[] = FORGET(
    "DELETE FROM story WHERE NOT EXISTS(SELECT 1 FROM story WHERE gone);"
    "INSERT OR IGNORE INTO blind SELECT s.id,digest(digest,s.id) FROM story s,client c WHERE c.name=?1;"
    "INSERT INTO client(name,digest,first,last,event)"
    " SELECT 'forgotten-'||(SELECT seq+1 FROM sqlite_sequence WHERE name='client'),"
    "randomblob(16),min(ms),max(ms),max(id) FROM story WHERE gone GROUP BY gone;"
    "UPDATE event SET client=(SELECT max(id) FROM client)"
    " WHERE id IN(SELECT id FROM story WHERE gone);"
    "UPDATE event SET previous=ifnull((SELECT max(s.id) FROM story s WHERE s.id<event.id"
    " AND s.gone=(SELECT gone FROM story o WHERE o.id=event.id)),0)"
    " WHERE id IN(SELECT id FROM story);"
    "UPDATE client SET salt=NULL,digest=randomblob(16),"
    "event=ifnull((SELECT max(id) FROM story WHERE NOT gone),0),"
    /* Nor does the ledger say when it asked then, nor for what. */
    "first=iif(first" IN_SPAN ",ifnull((SELECT min(ms) FROM story WHERE NOT gone),since),first),"
    "last=iif(last" IN_SPAN ",ifnull((SELECT max(ms) FROM story WHERE NOT gone),since),last),"
    "host=iif(host_at" IN_SPAN ",0,host),host_at=iif(host_at" IN_SPAN ",0,host_at),"
    "no_host_since=iif(no_host_since" IN_SPAN ",ifnull((SELECT min(ms) FROM story WHERE NOT gone AND ms>=until),0),"
    "no_host_since) FROM span WHERE name=?1 AND EXISTS(SELECT 1 FROM story);"
    "DELETE FROM client_suffix WHERE id/16=(SELECT id FROM own) AND EXISTS(SELECT 1 FROM story,span WHERE last" IN_SPAN ");"
    "UPDATE host SET asker=(SELECT max(id) FROM client) FROM span WHERE asker=(SELECT id FROM own)"
    " AND unapproved" IN_SPAN " AND EXISTS(SELECT 1 FROM story);");
/* clang-format on */

int audit_writer_forget(struct audit_writer *w, struct now now, const char *name, uint64_t since_ms,
                        uint64_t until_ms, const char *by, uint64_t *records, bool *wiped)
{
    long long busy[3] = {1}; /* is it? and two numbers of pages */
    const bool all = since_ms == 0 && until_ms == 0;
    json_t *rows = json_array();
    json_int_t n = 0, has_row = 0;
    char text[128];
    int rc;

    begin_transaction(w);
    (void)audit_sql(w->store, NULL,
                    "PRAGMA secure_delete=ON;"
                    "CREATE TEMP TABLE span AS SELECT %llu AS since,%llu AS until",
                    (unsigned long long)since_ms,
                    (unsigned long long)(until_ms > 0 ? until_ms : INT64_MAX));
    (void)audit_query(w->store, all ? forget_all : forget_part, name, rows);
    (void)json_unpack(json_array_get(rows, 0), "{s:I,s:I}", "records", &n, "rows", &has_row);
    json_decref(rows);
    *records = (uint64_t)n;
    if (n == 0 && !(all && has_row > 0))
        audit_store_fail(w->store, -ENOENT);
    snprintf(text, sizeof text, "%lld records of a client%s, by %.64s", n,
             all ? "" : " in a span of time", by);
    add_record(w, AUDIT_FORGET, now, 0, 0, text);
    rc = end_transaction(w);
    /* Nor shall the file or its log keep it, which they do while somebody reads. */
    for (int i = 0; rc == 0 && busy[0] != 0 && i < 60; i++) {
        poll(NULL, 0, i > 0 ? 100 : 0);
        (void)audit_sql(w->store, busy, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    *wiped = busy[0] == 0;
    return rc;
}

/* A clock that is moved ahead by more than a day, or is so far behind the newest record, may be
 * wrong, and what is removed does not come back: somebody has a day to correct it. */
static void watch_clock(struct audit_writer *w, struct now now)
{
    int64_t ahead = (int64_t)(now.wall_ms - now.mono_ms);

    if (w->step_ms == 0 && w->clock_ms != INT64_MAX)
        w->clock_ms -= (int64_t)now.mono_ms; /* of the newest record, until now */
    if (w->clock_ms < ahead - day_ms)
        w->doubt_ms = now.mono_ms + (uint64_t)day_ms;
    w->clock_ms = ahead;
}

uint64_t audit_writer_step(struct audit_writer *w, struct now now, bool flush)
{
    uint64_t interval = w->stats.interval_ms, due = w->step_ms + w->wait_ms;
    uint64_t took = now.mono_ms > due ? now.mono_ms - due : 0, next;
    bool any, done = true;

    watch_clock(w, now);
    /* A commit that took more than half of the interval doubles it; quick ones bring it back. */
    if (w->committed && took > interval / 2)
        interval = interval * 2 < interval_most_ms ? interval * 2 : interval_most_ms;
    else if (w->committed && took < interval / 8)
        interval /= 2;
    if (interval < w->limits.commit_interval_ms)
        interval = w->limits.commit_interval_ms;
    w->stats.interval_ms = interval;
    w->committed = false;
    do { /* until rings and batch are empty, if that is wanted */
        any = drain(w, now) || (flush && w->len > 0);
        if (flush || now.mono_ms >= w->attempt_ms + interval ||
            (w->len >= BATCH_EARLY && w->stats.last_error == 0))
            done = commit(w, now);
    } while (flush && any && done);
    if (w->stats.last_error == 0 && w->n_rings > 0 && /* the tool removes what it is told to */
        (w->pruning || now.mono_ms >= w->age_ms || (w->committed && too_large(w))))
        (void)prune(w, now, "retention");
    w->step_ms = now.mono_ms;
    w->wait_ms = any || w->pruning ? busy_ms : idle_ms;
    next = w->attempt_ms + interval;
    if (w->len > 0 && next < now.mono_ms + w->wait_ms)
        w->wait_ms = next > now.mono_ms ? next - now.mono_ms : 1;
    pthread_mutex_lock(&w->lock);
    w->told = w->stats;
    pthread_mutex_unlock(&w->lock);
    return w->wait_ms;
}

void audit_writer_stats(struct audit_writer *w, struct audit_writer_stats *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->told;
    pthread_mutex_unlock(&w->lock);
}

void audit_writer_close(struct audit_writer *w, struct now now)
{
    audit_writer_step(w, now, true);
    audit_outputs_end(w->outputs); /* they get what they can of the last records, too */
    audit_writer_step(w, now, true);
    writer_free(w);
}
