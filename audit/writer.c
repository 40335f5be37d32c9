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
 * Events are removed oldest first. After each commit: when the audit takes more
 * than 90 % of max-size, down to 88 %, so that one removal is worth its record.
 * Every hour: those older than the retention. Each removal takes a range of
 * numbers from the beginning, writes a prune record, and removes what only those
 * events named. Every six hours ledger rows go that no question touched for
 * ledger-retention and that no event names.
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
#include "base/hash.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/pack.h"
#include "wire/present.h"
#include "wire/types.h"

enum { STEP = 100000, CHUNK = 2000, FREE_PAGES = 2000 };
enum { RINGS = 1024, SEEN_SETS = 16384, KNOWN_SETS = 4096 };
enum { WAYS = 4, ALL_BURST_S = 1, CLIENT_BURST_S = 10 };
enum { HOSTS_TEXT = AUDIT_HOSTS * (NAME_TEXT + 8) };
enum {
    BIT_REPEAT = 1,
    BIT_CACHED = 2,
    BIT_DO = 4,
    BIT_RD = 8,
    BIT_CD = 16,
    BIT_AD = 32,
    BIT_TCP = 64
};
static const size_t batch_most = (size_t)32 << 20;  /* then the rings wait */
static const size_t batch_early = (size_t)8 << 20;  /* committed before its time */
static const size_t control_room = (size_t)1 << 20; /* above batch_most, for control records */
static const uint64_t wal_most = (uint64_t)16 << 20, wal_least = (uint64_t)256 << 10;
static const uint64_t minute_ms = 60000, hour_ms = 3600000, epoch_ms = 24 * 3600000;
static const uint64_t repeat_ms = 10000; /* a client resends within it */
static const uint64_t interval_most_ms = 10000, busy_ms = 50, idle_ms = 200;

/* What was seen lately: sets of four places, found by a hash; what is new takes the
 * place of its set whose ms is the smallest. So a flood of new things makes the
 * table forget, and no more. */
struct recent {
    size_t sets; /* a power of two */
    struct recent_place {
        uint64_t hash; /* 0 = empty */
        uint64_t ms;   /* the user's: of its last or its first use */
        uint64_t value;
    } places[][WAYS];
};

/* What repeats from event to event is stored once and named by a number. The
 * writer remembers these numbers for a day, or until the process ends; then it
 * begins new ones and notes that in a row of `epoch`. When old events are removed,
 * that row tells which stored texts nothing names any more. */
struct records {
    struct audit_store *store;
    struct recent *known; /* hash of an answer or text: its number */
    char forwarder[256];
    struct hash_key secret;
    bool begun;                  /* the numbers below are known; false after a rollback */
    uint64_t epoch_at_ms;        /* monotonic */
    int64_t event, answer, text; /* the next ones */
};

#define STAT(name) _Atomic uint64_t name;

struct audit_writer {
    struct audit_store *store;
    struct audit_limits limits;
    struct audit_ring *rings[RINGS]; /* borrowed */
    int n_rings;
    struct recent_place bucket; /* of all: thousandths of a token; hash 0: not begun */
    struct recent *seen;        /* buckets of each client, and questions */
    struct ledger *ledger;
    struct records records;
    struct { /* when to look next (monotonic), and what is not finished */
        uint64_t age_ms, sweep_ms;
        bool going_on;
    } prune;
    uint8_t *batch; /* mapped; pages that are not used cost nothing */
    size_t len;
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

/* --- what was seen lately --------------------------------------------------------------- */

static struct recent *recent_new(size_t sets)
{
    struct recent *r = calloc(1, sizeof *r + sets * sizeof *r->places);

    if (r != NULL)
        r->sets = sets;
    return r;
}

/* The place of the hash. Not seen lately: *found false, ms and value 0. */
static struct recent_place *recent_find(struct recent *r, uint64_t hash, bool *found)
{
    struct recent_place *set = r->places[(size_t)(hash >> 32) & (r->sets - 1)], *oldest = set;

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
        client = recent_find(w->seen, hash_bytes(&fixed, a->ip, sizeof a->ip), &known);
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
    p = recent_find(w->seen, hash_bytes(&fixed, buf, key.len), &found);
    if (found && e->mono_ms < p->ms + repeat_ms)
        return true;
    p->ms = e->mono_ms;
    return false;
}

/* --- life --------------------------------------------------------------------------- */

static void writer_free(struct audit_writer *w)
{
    ledger_free(w->ledger);
    free(w->records.known);
    free(w->seen);
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
    struct random random;
    int rc = -ENOMEM;

    if (w == NULL)
        return rc;
    w->batch = mmap(NULL, batch_most + control_room, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    w->seen = recent_new(SEEN_SETS);
    w->records.known = recent_new(KNOWN_SETS);
    if (w->batch == MAP_FAILED || w->seen == NULL || w->records.known == NULL)
        goto fail;
    rc = audit_store_open(&w->store, dir,
                          part > wal_most || part == 0 ? wal_most
                          : part < wal_least           ? wal_least
                                                       : part,
                          d);
    if (rc != 0)
        goto fail;
    rc = -ENOMEM;
    random_init(&random);
    random_bytes(&random, &w->records.secret, sizeof w->records.secret);
    w->ledger = ledger_new(w->store, &w->records.secret);
    if (w->ledger == NULL)
        goto fail;
    w->records.store = w->store;
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
    w->bucket.hash = 0;
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

/* --- events and control records as rows --------------------------------------------------- */

/* Before each record, in a transaction: makes known what number it gets. 0 or -errno. */
static int records_next(struct records *r, uint64_t mono_ms)
{
    int64_t last[3];
    int rc;

    if (r->begun && mono_ms < r->epoch_at_ms + epoch_ms)
        return 0;
    /* Numbers begin anew: what is stored from here on names nothing that lies before. */
    rc = audit_store_flush(r->store);
    if (rc == 0)
        rc = audit_store_sql(r->store, last,
                             "SELECT max((SELECT ifnull(max(id),0)FROM event),"
                             "(SELECT ifnull(max(event),1)FROM epoch)-1),"
                             "max((SELECT ifnull(max(id),0)FROM answer),"
                             "(SELECT ifnull(max(answer),1)FROM epoch)-1),"
                             "max((SELECT ifnull(max(id),0)FROM text),"
                             "(SELECT ifnull(max(text),1)FROM epoch)-1)");
    if (rc != 1)
        return rc;
    memset(r->known->places, 0, r->known->sets * sizeof *r->known->places);
    r->event = last[0] + 1;
    r->answer = last[1] + 1;
    r->text = last[2] + 1;
    r->epoch_at_ms = mono_ms;
    rc = audit_store_sql(r->store, NULL, "INSERT OR REPLACE INTO epoch VALUES(?,?,?)", r->event,
                         r->answer, r->text);
    r->begun = rc == 0;
    return rc;
}

/* The number of what has that hash: a known one, or the next, which is new then. */
static int64_t number_of(struct records *r, uint64_t hash, int64_t *next, bool *known)
{
    struct recent_place *place = recent_find(r->known, hash, known);

    if (!*known) {
        place->ms = (uint64_t)r->event; /* the newest stay */
        place->value = (uint64_t)(*next)++;
    }
    return (int64_t)place->value;
}

/* The number of a text; NULL has none. */
static int intern_text(struct records *r, const char *text, int64_t *id)
{
    bool known = true;

    *id = 0;
    if (text != NULL)
        *id = number_of(r, hash_bytes(&r->secret, text, strlen(text)), &r->text, &known);
    return known ? 0 : audit_store_insert(r->store, STORE_TEXT, "it", *id, text);
}

static void put_hosts(struct writer *w, const struct audit_host *hosts, uint8_t n)
{
    writer_u8(w, n);
    for (uint8_t i = 0; i < n; i++) {
        writer_bytes(w, hosts[i].target.data, hosts[i].target.len);
        writer_u16(w, hosts[i].port);
    }
}

/* "kms01.contoso.com:1688 kms02.contoso.com:1688" */
static const char *hosts_print(const struct audit_host *hosts, uint8_t n, char out[HOSTS_TEXT])
{
    char name[NAME_TEXT];
    struct str s;

    str_init(&s, out, HOSTS_TEXT);
    for (uint8_t i = 0; i < n; i++)
        str_addf(&s, "%s%s:%u", i > 0 ? " " : "", name_print(&hosts[i].target, name),
                 hosts[i].port);
    return out;
}

static const char *word_or_null(const char *const *words, uint8_t n)
{
    return n > 0 ? words[n] : NULL;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int intern_answer(struct records *r, const struct audit_event *e, int64_t *id)
{
    char type[TYPE_TEXT], rcode[TYPE_TEXT], real_rcode[TYPE_TEXT], server[ADDR_TEXT];
    char real[HOSTS_TEXT], unapproved[HOSTS_TEXT], answer[HOSTS_TEXT];
    const uint8_t words[] = {e->verdict, e->outcome, e->reason, e->would};
    uint8_t buf[AUDIT_EVENT_MAX];
    struct writer w = writer_make(buf, sizeof buf);
    bool known;

    /* All that its row says, and nothing that changes from event to event. */
    writer_bytes(&w, words, sizeof words);
    writer_bytes(&w, e->server.ip, sizeof e->server.ip);
    writer_u16(&w, e->server.port);
    writer_u16(&w, e->qtype);
    writer_u16(&w, e->rcode);
    writer_u16(&w, e->real_rcode);
    writer_bytes(&w, e->rule, strlen(e->rule) + 1);
    writer_bytes(&w, e->would_rule, strlen(e->would_rule) + 1);
    writer_bytes(&w, e->text, strlen(e->text) + 1);
    put_hosts(&w, e->real, e->n_real);
    put_hosts(&w, e->answer, e->n_answer);
    put_hosts(&w, e->unapproved, e->n_unapproved);
    *id = number_of(r, hash_bytes(&r->secret, buf, w.len), &r->answer, &known);
    if (known)
        return 0;
    return audit_store_insert(
        r->store, STORE_ANSWER, "itttttttttttitttt", *id, r->forwarder, type_print(e->qtype, type),
        outcome_names[e->outcome], reason_names[e->reason], word_or_null(verdict_names, e->verdict),
        addr_is_any(&e->server) ? NULL : addr_print_port(&e->server, server),
        rcode_print(e->real_rcode, real_rcode), hosts_print(e->real, e->n_real, real),
        hosts_print(e->unapproved, e->n_unapproved, unapproved), rcode_print(e->rcode, rcode),
        hosts_print(e->answer, e->n_answer, answer), (int64_t)(audit_client_error(e) & 0xffff),
        text_or_null(e->rule), word_or_null(outcome_names, e->would), text_or_null(e->would_rule),
        text_or_null(e->text));
}

static int add_question(struct records *r, const struct audit_event *e,
                        const struct ledger_ids *ids)
{
    union store_event row = {
        .id = r->event,
        .ms = (int64_t)e->wall_ms,
        .client = ids->client,
        .port = e->client.port,
        .suffix = ids->suffix,
        .dns_id = e->id,
        .bits = (e->repeat ? BIT_REPEAT : 0) | (e->cached ? BIT_CACHED : 0) |
                (e->edns_do ? BIT_DO : 0) | (e->flags & DNS_RD ? BIT_RD : 0) |
                (e->flags & DNS_CD ? BIT_CD : 0) | (e->flags & DNS_AD ? BIT_AD : 0) |
                (e->transport == AUDIT_TCP ? BIT_TCP : 0),
        .serial = (int64_t)e->policy_serial,
        .real_ms = e->real_ms,
        .latency_us = e->latency_us,
        .previous = ids->previous,
    };
    char text[NAME_TEXT], list[AUDIT_EVENT_NETWORKS * AUDIT_TEXT];
    struct name name, folded = e->qname;
    struct addr address = e->client;
    struct str networks;
    bool plain; /* the name as it was asked is what its suffix says */
    int rc = 0;

    address.scope = 0;
    name_fold(&folded);
    plain = name_equal(&folded, &e->qname) && name_is_vlmcs(&folded) &&
            folded.data[folded.len - 2] != '.'; /* nor does its text end like a root's */
    str_init(&networks, list, sizeof list);
    for (uint8_t i = 0; i < e->n_networks; i++)
        str_addf(&networks, "%s%s", i > 0 ? " " : "", e->networks[i]);
    if (ids->client == 0) { /* the ledger has no row: the number of its text, as -id */
        rc = intern_text(r, addr_print(&address, text), &row.client);
        row.client = -row.client;
    }
    if (ids->suffix == 0 && rc == 0) {
        audit_event_suffix(e, &name);
        rc = intern_text(r, name_print(&name, text), &row.suffix);
        row.suffix = -row.suffix;
    }
    if (rc == 0)
        rc = intern_text(r, plain ? NULL : name_print(&e->qname, text), &row.asked);
    if (rc == 0)
        rc = intern_answer(r, e, &row.answer);
    if (rc == 0)
        rc = intern_text(r, text_or_null(list), &row.networks);
    if (rc == 0)
        rc = audit_store_put(r->store, STORE_EVENT, row.numbers, NULL);
    r->event += rc == 0;
    return rc;
}

static int add_control(struct records *r, const struct audit_event *e)
{
    bool counts = e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE; /* how many, and since when */
    int rc = records_next(r, e->mono_ms);

    if (rc == 0)
        rc = audit_store_insert(r->store, STORE_CONTROL, counts ? "itttii" : "ittt", r->event,
                                r->forwarder, audit_kind_names[e->kind], e->text, (int64_t)e->lost,
                                (int64_t)e->lost_from_ms);
    if (rc == 0)
        rc = audit_store_sql(r->store, NULL, "INSERT INTO event(id,ms) VALUES(?,?)", r->event,
                             e->wall_ms);
    r->event += rc == 0;
    return rc;
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
        struct ledger_ids ids;

        memcpy(&len, w->batch + i, sizeof len);
        next = i + item_size(len);
        if (next < w->len)
            ledger_expect(w->ledger, (const void *)(w->batch + next + sizeof len));
        audit_event_unpack(&w->event, w->batch + i + sizeof len, len);
        if (e->kind != AUDIT_EVENT) {
            rc = add_control(&w->records, e);
            continue;
        }
        rc = records_next(&w->records, e->mono_ms);
        if (rc == 0)
            rc = ledger_add(w->ledger, e, e->counted ? 0 : w->records.event, &ids);
        if (rc == 0 && !e->counted)
            rc = add_question(&w->records, e, &ids);
        *(e->counted ? &sums->counted : &sums->recorded) += 1;
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

/* True when nothing is left to be committed. */
static bool commit(struct audit_writer *w, struct now now)
{
    struct audit_event gap = {.kind = AUDIT_GAP,
                              .wall_ms = now.wall_ms,
                              .mono_ms = now.mono_ms,
                              .lost = w->lost,
                              .lost_from_ms = w->lost_from_ms};
    struct sums sums = {0};
    int rc;

    w->attempt_ms = now.mono_ms;
    if (w->len == 0 && w->lost == 0)
        return true;
    w->committed = true;
    rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    if (rc == 0)
        rc = put_batch(w, &sums);
    if (rc == 0 && w->lost > 0)
        rc = add_control(&w->records, &gap);
    if (rc == 0)
        rc = audit_store_sql(w->store, NULL,
                             "UPDATE meta SET value=value+CASE name WHEN 'recorded' THEN ? "
                             "WHEN 'counted' THEN ? WHEN 'dropped' THEN ? ELSE 0 END",
                             sums.recorded, sums.counted, w->lost);
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
    atomic_store(&w->stats.store_bytes, bytes_in_use(w->store));
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
    return true;
}

/* --- retention by days and by bytes ---------------------------------------------------------- */

static bool too_large(const struct audit_limits *limits, uint64_t bytes, uint64_t percent)
{
    return limits->max_size > 0 && bytes > limits->max_size / 100 * percent;
}

static int64_t cutoff(uint64_t wall_ms, uint64_t retention_ms)
{
    return retention_ms > 0 && wall_ms > retention_ms ? (int64_t)(wall_ms - retention_ms) : 0;
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
    int64_t found[2] = {0}; /* the last time, how many */
    int rc = audit_store_sql(store, found, "SELECT max(ms),count(*) FROM event WHERE id<?", end);

    if (rc >= 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM event WHERE id<?", end);
    if (rc == 0)
        record->lost += (uint64_t)found[1];
    if ((uint64_t)found[0] > record->lost_from_ms)
        record->lost_from_ms = (uint64_t)found[0];
    return rc;
}

/* The events that are too old, up to the first that is not, then those that are too many;
 * *removed: how many. */
static int cut_events(struct audit_writer *w, struct now now, uint64_t *removed)
{
    struct audit_store *store = w->store;
    struct audit_event e = {
        .kind = AUDIT_PRUNE, .wall_ms = now.wall_ms, .mono_ms = now.mono_ms, .text = "retention"};
    int64_t begin = 0, end, epoch[3] = {0};
    uint64_t percent = 90;
    int rc = first_event(store, &begin);

    if (rc == 0 && (w->prune.going_on || now.mono_ms >= w->prune.age_ms)) {
        end = begin + STEP;
        rc = audit_store_sql(store, &end,
                             "SELECT id FROM event WHERE ms>=? AND id<? ORDER BY id LIMIT 1",
                             cutoff(now.wall_ms, w->limits.retention_ms), end);
        if (rc >= 0)
            rc = cut(store, end, &e);
        w->prune.age_ms = now.mono_ms + hour_ms;
    }
    for (end = begin + CHUNK; rc == 0 && end <= begin + STEP; end += CHUNK) {
        if (!too_large(&w->limits, bytes_in_use(store), percent))
            break;
        percent = 88;
        rc = cut(store, end, &e);
    }
    w->prune.going_on = e.lost >= STEP;
    if (rc != 0 || e.lost == 0)
        return rc;
    rc = add_control(&w->records, &e);
    *removed = e.lost;
    /* What only removed events have named is older than the epoch of the first that is left. */
    if (rc == 0)
        rc = first_event(store, &begin);
    if (rc == 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM control WHERE id<?", begin);
    if (rc == 0)
        rc = audit_store_sql(store, epoch,
                             "SELECT event,answer,text FROM epoch WHERE event<=? "
                             "ORDER BY event DESC LIMIT 1",
                             begin);
    if (rc == 1)
        rc = audit_store_sql(store, NULL, "DELETE FROM epoch WHERE event<?", epoch[0]);
    if (rc == 0)
        rc = audit_store_sql(store, NULL, "DELETE FROM answer WHERE id<?", epoch[1]);
    return rc == 0 ? audit_store_sql(store, NULL, "DELETE FROM text WHERE id<?", epoch[2]) : rc;
}

/* One step in a transaction of its own; a failed one is tried again in a minute. */
static void prune(struct audit_writer *w, struct now now)
{
    int64_t first = INT64_MAX /* no event names anything */, pages[3];
    uint64_t removed = 0;
    int rc = audit_store_sql(w->store, NULL, "BEGIN IMMEDIATE");
    bool swept = rc == 0 && now.mono_ms >= w->prune.sweep_ms;

    if (rc == 0)
        rc = cut_events(w, now, &removed);
    if (rc == 0 && swept) {
        w->prune.sweep_ms = now.mono_ms + 6 * hour_ms;
        rc = first_event(w->store, &first);
        if (rc == 0)
            rc = audit_store_sweep(w->store, cutoff(now.wall_ms, w->limits.ledger_retention_ms),
                                   first);
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
        w->records.begun = false;
        w->prune.age_ms = w->prune.sweep_ms = now.mono_ms + minute_ms;
        w->prune.going_on = false;
    }
    if (rc != 0 || swept)
        ledger_clear(w->ledger);
    if (rc == 0)
        atomic_fetch_add(&w->stats.pruned, removed);
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
        (w->prune.going_on || now.mono_ms >= w->prune.age_ms || now.mono_ms >= w->prune.sweep_ms ||
         (w->committed && too_large(&w->limits, atomic_load(&w->stats.store_bytes), 90))))
        prune(w, now);
    if (any || w->prune.going_on)
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
