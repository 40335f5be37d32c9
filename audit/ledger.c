/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what one event does to the rows that it touches.
 *
 * A row is taken from memory, else loaded, else begun; it stays in memory after
 * the commit, so that a client that asks often is read once. Rows are found by
 * a hash with a secret key alone; a name is spelled out only for a row that is
 * not in memory.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/recent.h"
#include "base/hash.h"
#include "base/str.h"
#include "wire/present.h"
#include "wire/types.h"
#include "wire/writer.h"

enum { SLOTS = 16, FIRST_SIZE = 1024 };
static const size_t memory_most = (size_t)24 << 20;
static const uint64_t hour_ms = 3600000;
/* Two suffixes asked within this time are one search. */
static const int64_t same_search_ms = 60000;

/* One suffix of a client. */
struct slot {
    int64_t suffix, last;
    uint8_t verdict, outcome;
    bool touched;
};

struct row {
    uint64_t hash;
    char *new_name; /* owned; NULL: it is stored already */
    bool touched, other;
    uint8_t table;
    uint8_t n_slots, size_slots;
    struct slot *slots; /* owned; of a client */
    struct store_row stored;
};

/* In the order of the tables: they are written so. */
struct touched {
    uint64_t order;
    struct row *row;
};

struct ledger {
    struct audit_store *store;
    struct hash_key secret;
    struct row **rows; /* owned; a power of two of places, open addressing */
    size_t n, size;
    struct touched *touched; /* owned */
    size_t n_touched, size_touched;
    size_t bytes, bytes_touched;
    bool counted; /* rows[] and last_id[] are known */
    int64_t count[STORE_TABLES], last_id[STORE_TABLES], most[STORE_TABLES];
};

/* What a row is about; only the members of its table are set. */
struct subject {
    enum store_table table;
    const struct addr *client;
    const struct name *name;
    uint16_t port;
    const char *rule;
    int64_t hour;
};

struct ledger *ledger_new(struct audit_store *store)
{
    struct ledger *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->store = store;
    store_random(&l->secret, sizeof l->secret);
    return l;
}

void ledger_bounds(struct ledger *l, uint64_t clients, uint64_t names)
{
    for (int t = 0; t < STORE_TABLES; t++)
        l->most[t] = (int64_t)(t == STORE_CLIENT ? clients : names);
    l->most[STORE_HOUR] = INT64_MAX;
}

static void forget_rows(struct ledger *l)
{
    for (size_t i = 0; i < l->size; i++)
        if (l->rows[i] != NULL) {
            free(l->rows[i]->slots);
            free(l->rows[i]->new_name);
            free(l->rows[i]);
        }
    free(l->rows);
    l->rows = NULL;
    l->n = l->size = l->n_touched = l->bytes = l->bytes_touched = 0;
}

void ledger_clear(struct ledger *l)
{
    forget_rows(l);
    l->counted = false; /* nor is it known what the database holds */
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    ledger_clear(l);
    free(l->touched);
    free(l);
}

size_t ledger_touched(const struct ledger *l)
{
    return l->bytes_touched;
}

/* --- rows in memory ---------------------------------------------------------------- */

static struct row **place_of(const struct ledger *l, uint64_t hash)
{
    size_t i = (size_t)hash & (l->size - 1);

    while (l->rows[i] != NULL && l->rows[i]->hash != hash)
        i = (i + 1) & (l->size - 1);
    return &l->rows[i];
}

static int grow(struct ledger *l)
{
    struct row **old = l->rows;
    size_t n = l->size;

    if (2 * l->n < l->size)
        return 0;
    l->rows = calloc(n > 0 ? 2 * n : FIRST_SIZE, sizeof(struct row *));
    if (l->rows == NULL) {
        l->rows = old;
        return -ENOMEM;
    }
    l->size = n > 0 ? 2 * n : FIRST_SIZE;
    for (size_t i = 0; i < n; i++)
        if (old[i] != NULL)
            *place_of(l, old[i]->hash) = old[i];
    free(old);
    return 0;
}

static size_t row_size(enum store_table table)
{
    return table == STORE_CLIENT ? offsetof(struct row, stored.sketch) : sizeof(struct row);
}

static int touch(struct ledger *l, struct row *r)
{
    if (r->touched)
        return 0;
    if (l->n_touched == l->size_touched) {
        size_t size = l->size_touched > 0 ? 2 * l->size_touched : FIRST_SIZE;
        struct touched *p = realloc(l->touched, size * sizeof *p);

        if (p == NULL)
            return -ENOMEM;
        l->touched = p;
        l->size_touched = size;
    }
    r->touched = true;
    l->touched[l->n_touched++] =
        (struct touched){(uint64_t)r->table << 56 | (uint64_t)r->stored.id, r};
    l->bytes_touched += row_size((enum store_table)r->table) + r->n_slots * sizeof(struct slot);
    return 0;
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
        name_fold_copy(writer_room(&w, s->name->len), s->name->at, s->name->len);
    writer_u16(&w, s->port);
    writer_u64(&w, (uint64_t)s->hour);
    return hash_bytes(&l->secret, buf, w.len);
}

/* The name of its row in the database. */
static const char *name_of(const struct subject *s, char out[NAME_TEXT + 8])
{
    struct addr client;
    struct name name;

    out[0] = '\0';
    if (s->client != NULL) {
        client = *s->client;
        client.scope = 0;
        addr_print(&client, out);
    } else if (s->rule != NULL) {
        str_copy(out, NAME_TEXT, s->rule);
    } else if (s->name != NULL) {
        name = *s->name;
        name_fold(&name);
        name_print(&name, out);
        if (s->table == STORE_HOST)
            snprintf(out + strlen(out), 8, ":%u", s->port);
    }
    return out;
}

/* --- rows in and out ------------------------------------------------------------------ */

static int count_rows(struct ledger *l)
{
    for (int t = 0; t < STORE_TABLES && !l->counted; t++) {
        int rc = store_count(l->store, (enum store_table)t, &l->count[t], &l->last_id[t]);

        if (rc != 0)
            return rc;
    }
    l->counted = true;
    return 0;
}

static struct slot *add_slot(struct ledger *l, struct row *r)
{
    if (r->n_slots == r->size_slots) {
        uint8_t size = r->size_slots > 0 ? (uint8_t)(2 * r->size_slots) : 1;
        struct slot *p = realloc(r->slots, size * sizeof *p);

        if (p == NULL)
            return NULL;
        l->bytes += (size_t)(size - r->size_slots) * sizeof *p;
        memset(p + r->size_slots, 0, (size_t)(size - r->size_slots) * sizeof *p);
        r->slots = p;
        r->size_slots = size;
    }
    return &r->slots[r->n_slots++];
}

static int load_slots(struct ledger *l, struct row *r)
{
    int64_t v[5], first = SLOTS * r->stored.id, at = first;
    int rc;

    while ((rc = store_run(l->store, STORE_GET_SLOT, v, "ii", at, first + SLOTS - 1)) == 1) {
        at = v[0] + 1;
        while (v[0] - first >= r->n_slots)
            if (add_slot(l, r) == NULL)
                return -ENOMEM;
        r->slots[v[0] - first] = (struct slot){v[1], v[2], (uint8_t)v[3], (uint8_t)v[4], false};
    }
    return rc;
}

/* Loads the row, or begins it: under its own name, or under that of (other). */
static int load(struct ledger *l, struct row *r, const struct subject *s, bool other)
{
    char name[NAME_TEXT + 8];
    const char *text = other ? "(other)" : name_of(s, name);
    int rc;

    r->stored.id = s->hour;
    rc = store_row_get(l->store, s->table, s->table == STORE_HOUR ? NULL : text, &r->stored);
    if (rc == 0 && s->table == STORE_CLIENT)
        rc = load_slots(l, r);
    if (rc != -ENOENT)
        return rc;
    if (!other && l->count[s->table] >= l->most[s->table])
        return -EDQUOT;
    r->new_name = strdup(text);
    if (s->table != STORE_HOUR)
        r->stored.id = ++l->last_id[s->table];
    l->count[s->table] += !other;
    return r->new_name != NULL ? 0 : -ENOMEM;
}

static int find(struct ledger *l, const struct subject *s, struct row **out, bool other)
{
    static const struct subject nobody[STORE_TABLES] = {{.table = STORE_CLIENT},
                                                        {.table = STORE_SUFFIX},
                                                        {.table = STORE_HOST},
                                                        {.table = STORE_RULE},
                                                        {.table = STORE_HOUR}};
    uint64_t hash = hash_of(l, other ? &nobody[s->table] : s);
    struct row **place, *r;
    int rc = count_rows(l);

    if (rc == 0)
        rc = grow(l);
    if (rc != 0)
        return rc;
    place = place_of(l, hash);
    if (*place != NULL) {
        *out = *place;
        return 0;
    }
    r = calloc(1, row_size(s->table));
    if (r == NULL)
        return -ENOMEM;
    r->hash = hash;
    r->table = (uint8_t)s->table;
    r->other = other;
    rc = load(l, r, s, other);
    if (rc != 0) {
        free(r->slots);
        free(r->new_name);
        free(r);
        return rc == -EDQUOT ? find(l, s, out, true) : rc;
    }
    l->bytes += row_size(s->table);
    l->n++;
    *out = *place = r;
    return 0;
}

static int save_row(struct ledger *l, struct row *r)
{
    int rc = store_row_put(l->store, (enum store_table)r->table, r->new_name, &r->stored);

    free(r->new_name);
    r->new_name = NULL;
    r->touched = false;
    for (int64_t i = 0; i < r->n_slots && rc == 0; i++) {
        struct slot *s = &r->slots[i];

        if (s->touched)
            rc = store_run(l->store, STORE_PUT_SLOT, NULL, "iiiii", SLOTS * r->stored.id + i,
                           s->suffix, s->last, (int64_t)s->verdict, (int64_t)s->outcome);
        s->touched = false;
    }
    return rc;
}

static int by_order(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

int ledger_save(struct ledger *l)
{
    int rc = 0;

    if (l->n_touched > 0)
        qsort(l->touched, l->n_touched, sizeof *l->touched, by_order);
    for (size_t i = 0; i < l->n_touched && rc == 0; i++)
        rc = save_row(l, l->touched[i].row);
    l->n_touched = l->bytes_touched = 0;
    if (l->bytes > memory_most)
        forget_rows(l);
    return rc;
}

/* --- counting ---------------------------------------------------------------------- */

static void count(struct row *r, const struct audit_event *e, int64_t sequence)
{
    int64_t *n = r->stored.n, ms = (int64_t)e->wall_ms;

    if (n[N_FIRST] == 0 || ms < n[N_FIRST])
        n[N_FIRST] = ms;
    if (ms > n[N_LAST])
        n[N_LAST] = ms;
    if (sequence > 0)
        n[N_EVENT] = sequence;
}

static void count_outcome(struct row *r, const struct audit_event *e)
{
    r->stored.n[N_QUESTIONS]++;
    r->stored.n[N_ATTEMPTS] += !e->repeat;
    if (e->outcome >= OUTCOME_PASSED && e->outcome < OUTCOMES)
        r->stored.n[N_OUTCOMES + e->outcome - OUTCOME_PASSED]++;
}

/* The suffix's place in the client's list; when that is full, the one that was
 * asked for longest ago gives way. */
static int set_slot(struct ledger *l, struct row *r, const struct audit_event *e, int64_t suffix)
{
    struct slot *s = NULL;

    for (int i = 0; i < r->n_slots; i++) {
        if (r->slots[i].suffix == suffix) {
            s = &r->slots[i];
            break;
        }
        if (s == NULL || r->slots[i].last < s->last)
            s = &r->slots[i];
    }
    if ((s == NULL || s->suffix != suffix) && r->n_slots < SLOTS)
        s = add_slot(l, r);
    if (s == NULL)
        return -ENOMEM;
    *s = (struct slot){suffix, (int64_t)e->wall_ms, e->verdict, e->outcome, true};
    return 0;
}

static int add_host(struct ledger *l, const struct audit_host *h, struct row **row)
{
    return find(l, &(struct subject){.table = STORE_HOST, .name = &h->target, .port = h->port}, row,
                false);
}

/* Does it have a host now, and since when not? */
static int update_host(struct ledger *l, int64_t *n, const struct audit_event *e)
{
    struct row *host;
    int rc;

    if (e->outcome == OUTCOME_UPDATE || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY))
        return 0; /* did not ask for a host */
    if (e->n_answer == 0) {
        if (n[N_NO_HOST_SINCE] == 0)
            n[N_NO_HOST_SINCE] = (int64_t)e->wall_ms;
        return 0;
    }
    rc = add_host(l, &e->answer[0], &host);
    if (rc == 0) {
        n[N_HOST] = host->stored.id;
        n[N_HOST_AT] = (int64_t)e->wall_ms;
        n[N_NO_HOST_SINCE] = 0;
    }
    return rc;
}

static int add_client(struct ledger *l, const struct audit_event *e, int64_t sequence,
                      const struct row *suffix, struct ledger_ids *ids)
{
    struct row *r;
    int64_t *n, gap;
    int rc = find(l, &(struct subject){.table = STORE_CLIENT, .client = &e->client}, &r, false);

    if (rc != 0)
        return rc;
    n = r->stored.n;
    if (!r->other) {
        ids->client = r->stored.id;
        ids->previous = n[N_EVENT];
    }
    gap = n[N_LAST] > 0 ? (int64_t)e->wall_ms - n[N_LAST] : 0;
    if (gap >= same_search_ms && !e->repeat && !r->other)
        n[N_CADENCE_S] = n[N_CADENCE_S] == 0 ? gap / 1000 : (3 * n[N_CADENCE_S] + gap / 1000) / 4;
    count(r, e, sequence);
    count_outcome(r, e);
    rc = set_slot(l, r, e, suffix->stored.id);
    if (rc == 0)
        rc = update_host(l, n, e);
    return rc == 0 ? touch(l, r) : rc;
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
    row->n[N_CLIENTS] = row->n_sketch;
    if (row->n_sketch == STORE_SKETCH)
        row->n[N_CLIENTS] = (int64_t)((uint64_t)(STORE_SKETCH - 1) * UINT32_MAX /
                                      ((uint64_t)row->sketch[STORE_SKETCH - 1] + 1));
}

/* The row of a name. decided: the event's outcome is its; a rule in shadow only
 * would have decided. */
static int add_name(struct ledger *l, const struct audit_event *e, int64_t sequence,
                    const struct subject *s, int64_t rule, bool decided, struct row **out)
{
    struct row *r;
    int rc = find(l, s, &r, false);

    if (rc != 0)
        return rc;
    count(r, e, sequence);
    sketch_add(&r->stored, &e->client);
    r->stored.n[N_VERDICT] = e->verdict;
    if (decided) {
        count_outcome(r, e);
        r->stored.n[N_OUTCOME] = e->outcome;
        r->stored.n[N_RULE] = rule;
    } else {
        r->stored.n[N_WOULD]++;
    }
    *out = r;
    return touch(l, r);
}

static bool host_in(const struct audit_host *h, const struct audit_host *list, uint8_t n)
{
    for (uint8_t i = 0; i < n; i++)
        if (list[i].port == h->port && name_equal_fold(&list[i].target, &h->target))
            return true;
    return false;
}

/* Each target once: those of the real answer, then those that only ours had. */
static int add_targets(struct ledger *l, const struct audit_event *e, int64_t sequence,
                       int64_t rule)
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
        r->stored.n[N_DELIVERED] += host_in(h, e->answer, e->n_answer);
        if (real)
            r->stored.n[N_UNAPPROVED] = host_in(h, e->unapproved, e->n_unapproved);
    }
    return 0;
}

static int add_hour(struct ledger *l, const struct audit_event *e, int64_t sequence)
{
    struct subject s = {.table = STORE_HOUR, .hour = (int64_t)(e->wall_ms / hour_ms)};
    struct row *r;
    int rc = find(l, &s, &r, false);

    if (rc != 0)
        return rc;
    count(r, e, sequence);
    count_outcome(r, e);
    return touch(l, r);
}

int ledger_add(struct ledger *l, const struct audit_event *e, int64_t sequence,
               struct ledger_ids *ids)
{
    struct subject rule = {.table = STORE_RULE, .rule = e->rule},
                   would = {.table = STORE_RULE, .rule = e->would_rule};
    struct name name;
    struct subject suffix = {.table = STORE_SUFFIX, .name = &name};
    struct row *r;
    int64_t rule_id = 0;
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
        rc = add_name(l, e, sequence, &suffix, rule_id, true, &r);
    if (rc == 0) {
        ids->suffix = r->other ? 0 : r->stored.id;
        rc = add_client(l, e, sequence, r, ids);
    }
    if (rc == 0)
        rc = add_targets(l, e, sequence, rule_id);
    return rc == 0 ? add_hour(l, e, sequence) : rc;
}
