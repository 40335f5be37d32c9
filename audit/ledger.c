/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what one event does to the rows that it touches.
 *
 * A row is taken from memory, else loaded, else begun; it stays in memory after
 * the commit, so that a client that asks often is read once. Rows are found by
 * a hash with a secret key alone; a name is spelled out only for a row that is
 * not in memory. All of them lie in one arena and are forgotten together.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "wire/present.h"
#include "wire/types.h"
#include "wire/pack.h"

/* Rows in memory and rows that wait to be written; an event touches a few dozen
 * at most, two of each rule and one of each host. */
enum { ROWS = 65536, TOUCHED = 65536, FEW = 64, PLACES = 4 * ROWS };
enum { FEW_SLOTS = 4, AHEAD = 4, KEY_TEXT = NAME_TEXT + 8 };
static const uint64_t hour_ms = 3600000;
/* Two suffixes asked within this time are one search. */
static const int64_t same_search_ms = 60000;

/* One suffix of a client; there are many. */
struct slot {
    int64_t last;
    uint32_t suffix;
    uint8_t verdict, outcome;
    bool touched;
};

struct row {
    uint64_t hash;
    struct slot *slots; /* of a client */
    uint8_t n_slots, size_slots;
    uint8_t table;
    bool touched, other;
    struct store_row stored;
};

/* In the order of the tables, so that their pages are visited once each. */
struct touched {
    uint64_t order;
    struct row *row;
};

struct ledger {
    struct audit_store *store;
    struct hash_key secret;
    struct arena *arena; /* rows, their slots and names */
    size_t n, n_touched;
    bool counted; /* the numbers below are known */
    int64_t count[STORE_LEDGER], last_id[STORE_LEDGER], most[STORE_LEDGER];
    struct row *rows[PLACES]; /* open addressing */
    struct touched touched[TOUCHED];
};

/* What a row is about; only the members of its table are set, none for (other). */
struct subject {
    enum store_table table;
    const struct addr *client;
    const struct name *name;
    uint16_t port;
    const char *rule;
    int64_t hour;
};

struct ledger *ledger_new(struct audit_store *store, const struct hash_key *secret)
{
    struct ledger *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->store = store;
    l->secret = *secret;
    return l;
}

void ledger_bounds(struct ledger *l, uint64_t clients, uint64_t names)
{
    for (int t = 0; t < STORE_LEDGER; t++)
        l->most[t] = (int64_t)(t == STORE_CLIENT ? clients : names);
    l->most[STORE_HOUR] = INT64_MAX;
}

static void forget_rows(struct ledger *l)
{
    arena_free(l->arena);
    memset(l->rows, 0, sizeof l->rows);
    l->arena = NULL;
    l->n = l->n_touched = 0;
}

void ledger_clear(struct ledger *l)
{
    forget_rows(l);
    l->counted = false; /* nor is it known what the database holds */
}

void ledger_free(struct ledger *l)
{
    if (l != NULL)
        arena_free(l->arena);
    free(l);
}

/* --- rows in memory ---------------------------------------------------------------- */

static void *alloc(struct ledger *l, size_t size)
{
    if (l->arena == NULL)
        l->arena = arena_new();
    return l->arena != NULL ? arena_alloc(l->arena, size) : NULL;
}

static struct row **place_of(struct ledger *l, uint64_t hash)
{
    size_t i = (size_t)hash % PLACES;

    while (l->rows[i] != NULL && l->rows[i]->hash != hash)
        i = (i + 1) % PLACES;
    return &l->rows[i];
}

static struct slot *add_slot(struct ledger *l, struct row *r)
{
    if (r->n_slots == r->size_slots) {
        uint8_t size = r->size_slots > 0 ? STORE_SLOTS : FEW_SLOTS;
        struct slot *p = alloc(l, size * sizeof *p);

        if (p == NULL)
            return NULL;
        if (r->n_slots > 0)
            memcpy(p, r->slots, r->n_slots * sizeof *p);
        r->slots = p;
        r->size_slots = size;
    }
    return &r->slots[r->n_slots++];
}

static uint64_t hash_of(const struct ledger *l, const struct subject *s)
{
    uint8_t buf[NAME_MAX_WIRE + 32];
    struct writer w = writer_make(buf, sizeof buf);

    writer_u8(&w, (uint8_t)s->table);
    if (s->client != NULL)
        writer_bytes(&w, s->client->ip, sizeof s->client->ip);
    else if (s->rule != NULL)
        writer_bytes(&w, s->rule, strlen(s->rule));
    else if (s->name != NULL)
        name_fold_copy(writer_room(&w, s->name->len), s->name->data, s->name->len);
    writer_u16(&w, s->port);
    writer_u64(&w, (uint64_t)s->hour);
    return hash_bytes(&l->secret, buf, w.len);
}

/* The name of its row in the database. */
static const char *name_of(const struct subject *s, char out[KEY_TEXT])
{
    struct addr client;
    struct name name;

    if (s->client != NULL) {
        client = *s->client;
        client.scope = 0;
        addr_print(&client, out);
    } else if (s->name != NULL) {
        name = *s->name;
        name_fold(&name);
        name_print(&name, out);
        if (s->table == STORE_HOST)
            snprintf(out + strlen(out), 8, ":%u", s->port);
    } else {
        str_copy(out, KEY_TEXT, s->rule != NULL ? s->rule : "(other)");
    }
    return out;
}

/* --- rows in and out ------------------------------------------------------------------ */

/* The row of the subject, or of (other) when there are too many; a new one is
 * loaded or begun. */
static int find(struct ledger *l, const struct subject *s, struct row **out)
{
    const struct subject other = {.table = s->table};
    union store_slot slots[STORE_SLOTS];
    struct row **place, row = {.hash = hash_of(l, s), .table = (uint8_t)s->table};
    char name[KEY_TEXT], *copy = NULL;
    size_t size = s->table == STORE_CLIENT ? offsetof(struct row, stored.sketch) : sizeof row;
    int n = 0, rc = 0;

    for (int t = 0; t < STORE_LEDGER && !l->counted && rc == 0; t++)
        rc = audit_store_count(l->store, (enum store_table)t, &l->count[t], &l->last_id[t]);
    if (rc != 0)
        return rc;
    l->counted = true;
    place = place_of(l, row.hash);
    if (*place != NULL) {
        *out = *place;
        return 0;
    }
    row.other = s->table != STORE_HOUR && !s->client && !s->name && !s->rule;
    row.stored.id = s->hour;
    rc = audit_store_get(l->store, s->table, name_of(s, name), &row.stored);
    if (rc == -ENOENT && !row.other && l->count[s->table] >= l->most[s->table])
        return find(l, &other, out);
    if (rc == 0 && s->table == STORE_CLIENT)
        n = audit_store_get_slots(l->store, row.stored.id, slots);
    if (n < 0 || (rc != 0 && rc != -ENOENT))
        return n < 0 ? n : rc;
    if (rc == -ENOENT && s->table != STORE_HOUR) {
        copy = alloc(l, strlen(name) + 1);
        if (copy == NULL)
            return -ENOMEM;
        row.stored.id = l->last_id[s->table] + 1;
        row.stored.name = strcpy(copy, name);
    }
    for (int i = 0; i < n; i++) {
        const union store_slot *slot = &slots[i];

        while (slot->id % STORE_SLOTS >= row.n_slots)
            if (add_slot(l, &row) == NULL)
                return -ENOMEM;
        row.slots[slot->id % STORE_SLOTS] =
            (struct slot){slot->last, (uint32_t)slot->suffix, (uint8_t)slot->verdict,
                          (uint8_t)slot->outcome, false};
    }
    *place = alloc(l, size);
    if (*place == NULL)
        return -ENOMEM;
    *out = memcpy(*place, &row, size);
    l->n++;
    if (rc == -ENOENT) {
        l->last_id[s->table] += copy != NULL;
        l->count[s->table] += !row.other;
    }
    return 0;
}

/* Rows lie far apart, and a row is several lines of the processor's cache. */
static void prefetch_row(const struct row *r)
{
    for (size_t at = 0; at < offsetof(struct row, stored.sketch); at += 64)
        PREFETCH((const uint8_t *)r + at);
}

void ledger_expect(struct ledger *l, const struct audit_event *e)
{
    const struct subject s = {.table = STORE_CLIENT, .client = &e->client};
    const struct row *r = *place_of(l, hash_of(l, &s));

    if (r != NULL)
        prefetch_row(r);
}

static int by_order(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

int ledger_save(struct ledger *l)
{
    int rc = 0;

    qsort(l->touched, l->n_touched, sizeof *l->touched, by_order);
    for (size_t k = 0; k < l->n_touched && rc == 0; k++) {
        struct row *r = l->touched[k].row;

        prefetch_row(l->touched[k + AHEAD < l->n_touched ? k + AHEAD : k].row);
        rc = audit_store_put(l->store, (enum store_table)r->table, r->stored.numbers, &r->stored);
        r->touched = false;
        r->stored.name = NULL;
        for (int i = 0; i < r->n_slots && rc == 0; i++) {
            struct slot *s = &r->slots[i];
            union store_slot stored = {.id = STORE_SLOTS * r->stored.id + i,
                                       .suffix = s->suffix,
                                       .last = s->last,
                                       .verdict = s->verdict,
                                       .outcome = s->outcome};

            if (s->touched)
                rc = audit_store_put(l->store, STORE_SLOT, stored.numbers, NULL);
            s->touched = false;
        }
    }
    if (rc == 0)
        rc = audit_store_flush(l->store);
    l->n_touched = 0;
    if (l->n > ROWS)
        forget_rows(l);
    return rc;
}

/* --- counting ---------------------------------------------------------------------- */

/* What the event, stored under that number or (0) only counted, does to every row that
 * it touches. decided: its outcome is the row's too; false: of a rule in shadow. */
static void count(struct ledger *l, struct row *r, const struct audit_event *e, int64_t sequence,
                  bool decided)
{
    struct store_row *s = &r->stored;
    int64_t ms = (int64_t)e->wall_ms;

    if (decided) {
        s->questions++;
        s->attempts += !e->repeat;
        if (e->outcome >= OUTCOME_PASSED && e->outcome < OUTCOMES) /* passed is behind attempts */
            s->numbers[offsetof(struct store_row, attempts) / sizeof(int64_t) + e->outcome]++;
    }
    if (s->first == 0 || ms < s->first)
        s->first = ms;
    if (ms > s->last)
        s->last = ms;
    if (sequence > 0)
        s->event = sequence;
    if (!r->touched)
        l->touched[l->n_touched++] =
            (struct touched){(uint64_t)r->table << 56 | (uint64_t)s->id, r};
    r->touched = true;
}

/* host: the row of the first host that it was given. */
static int add_client(struct ledger *l, const struct audit_event *e, int64_t sequence,
                      uint32_t suffix, int64_t host, struct ledger_ids *ids)
{
    bool asks = e->outcome != OUTCOME_UPDATE && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY);
    int64_t ms = (int64_t)e->wall_ms, gap;
    struct slot *slot = NULL;
    struct store_row *s;
    struct row *r;
    int rc = find(l, &(struct subject){.table = STORE_CLIENT, .client = &e->client}, &r);

    if (rc != 0)
        return rc;
    s = &r->stored;
    /* The suffix's place in the list; when that is full, the one that was asked for longest ago. */
    for (int i = 0; i < r->n_slots && (slot == NULL || slot->suffix != suffix); i++)
        if (slot == NULL || r->slots[i].suffix == suffix || r->slots[i].last < slot->last)
            slot = &r->slots[i];
    if ((slot == NULL || slot->suffix != suffix) && r->n_slots < STORE_SLOTS)
        slot = add_slot(l, r);
    if (slot == NULL)
        return -ENOMEM;
    *slot = (struct slot){ms, suffix, e->verdict, e->outcome, true};
    if (!r->other) {
        ids->client = s->id;
        ids->previous = s->event;
    }
    gap = s->last > 0 ? ms - s->last : 0;
    if (gap >= same_search_ms && !e->repeat && !r->other)
        s->cadence_s = s->cadence_s == 0 ? gap / 1000 : (3 * s->cadence_s + gap / 1000) / 4;
    if (asks && e->n_answer > 0) {
        s->host = host;
        s->host_at = ms;
        s->no_host_since = 0;
    } else if (asks && s->no_host_since == 0) {
        s->no_host_since = ms;
    }
    count(l, r, e, sequence, true);
    return 0;
}

/* Keeps the STORE_SKETCH smallest hashes, sorted. The k-th smallest of n evenly
 * spread ones lies at k/(n+1) of their range. */
static void sketch_add(struct store_row *row, const struct addr *client)
{
    static const struct hash_key fixed = {0x636c69656e742121u,
                                          0x736b657463682121u}; /* hashes are stored */
    uint32_t h = (uint32_t)hash_bytes(&fixed, client->ip, sizeof client->ip);
    int i = row->n_sketch;

    while (i > 0 && row->sketch[i - 1] > h)
        i--;
    if (i == STORE_SKETCH || (i > 0 && row->sketch[i - 1] == h))
        return;
    if (row->n_sketch < STORE_SKETCH)
        row->n_sketch++;
    memmove(row->sketch + i + 1, row->sketch + i,
            ((size_t)row->n_sketch - 1 - (size_t)i) * sizeof *row->sketch);
    row->sketch[i] = h;
    row->clients = row->n_sketch;
    if (row->n_sketch == STORE_SKETCH)
        row->clients = (int64_t)((uint64_t)(STORE_SKETCH - 1) * UINT32_MAX /
                                 ((uint64_t)row->sketch[STORE_SKETCH - 1] + 1));
}

/* The row of a name. decided: the event's outcome is its; a rule in shadow only
 * would have decided. */
static int add_name(struct ledger *l, const struct audit_event *e, int64_t sequence,
                    const struct subject *s, int64_t rule, bool decided, struct row **out)
{
    int rc = find(l, s, out);
    struct store_row *row;

    if (rc != 0)
        return rc;
    row = &(*out)->stored;
    sketch_add(row, &e->client);
    row->verdict = e->verdict;
    if (decided) {
        row->outcome = e->outcome;
        row->rule = rule;
    } else {
        row->would++;
    }
    count(l, *out, e, sequence, decided);
    return 0;
}

static bool host_in(const struct audit_host *h, const struct audit_host *list, uint8_t n)
{
    for (uint8_t i = 0; i < n; i++)
        if (list[i].port == h->port && name_equal_fold(&list[i].target, &h->target))
            return true;
    return false;
}

/* Each target once: those of the real answer, then those that only ours had.
 * *given: the row of the first that the client was given. */
static int add_targets(struct ledger *l, const struct audit_event *e, int64_t sequence,
                       int64_t rule, int64_t *given)
{
    for (int i = 0; i < e->n_real + e->n_answer; i++) {
        bool real = i < e->n_real;
        uint8_t at = (uint8_t)(real ? i : i - e->n_real);
        const struct audit_host *list = real ? e->real : e->answer, *h = &list[at];
        struct subject s = {.table = STORE_HOST, .name = &h->target, .port = h->port};
        struct row *r;
        int rc;

        if (host_in(h, list, at) || (!real && host_in(h, e->real, e->n_real)))
            continue;
        rc = add_name(l, e, sequence, &s, rule, true, &r);
        if (rc != 0)
            return rc;
        r->stored.delivered += host_in(h, e->answer, e->n_answer);
        if (real)
            r->stored.unapproved = host_in(h, e->unapproved, e->n_unapproved);
        if (e->n_answer > 0 && host_in(h, e->answer, 1))
            *given = r->stored.id;
    }
    return 0;
}

int ledger_add(struct ledger *l, const struct audit_event *e, int64_t sequence,
               struct ledger_ids *ids)
{
    struct subject rule = {.table = STORE_RULE, .rule = e->rule},
                   would = {.table = STORE_RULE, .rule = e->would_rule},
                   hour = {.table = STORE_HOUR, .hour = (int64_t)(e->wall_ms / hour_ms)};
    struct name name;
    struct subject suffix = {.table = STORE_SUFFIX, .name = &name};
    int64_t rule_id = 0, suffix_id, host_id = 0;
    struct row *r;
    int rc = 0;

    *ids = (struct ledger_ids){0};
    audit_event_suffix(e, &name);
    if (e->rule[0] != '\0') {
        rc = add_name(l, e, sequence, &rule, 0, true, &r);
        rule_id = rc == 0 ? r->stored.id : 0;
    }
    if (rc == 0 && e->would_rule[0] != '\0')
        rc = add_name(l, e, sequence, &would, 0, false, &r);
    if (rc == 0)
        rc = add_targets(l, e, sequence, rule_id, &host_id);
    if (rc == 0)
        rc = add_name(l, e, sequence, &suffix, rule_id, true, &r);
    if (rc != 0)
        return rc;
    suffix_id = r->stored.id;
    ids->suffix = r->other ? 0 : suffix_id;
    rc = add_client(l, e, sequence, (uint32_t)suffix_id, host_id, ids);
    if (rc == 0)
        rc = find(l, &hour, &r);
    if (rc != 0)
        return rc;
    count(l, r, e, sequence, true);
    return l->n_touched > TOUCHED - FEW ? ledger_save(l) : 0;
}
