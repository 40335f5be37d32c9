/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- the audit store as the tool reads it.
 *
 * A chunk of at most 1,000 records is copied inside a transaction, which then
 * ends; the visitor is called after. So nobody's slowness keeps old pages alive.
 */
#include "audit/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/ledger.h"
#include "audit/record.h"

enum { CHUNK = 1000 };
/* Workers and a corrected clock put times a little out of sequence. */
static const uint64_t disorder_ms = 3600000;

struct audit_reader {
    struct audit_store *store;
};

int audit_reader_open(struct audit_reader **out, const char *dir, struct diags *d)
{
    struct audit_reader *r = calloc(1, sizeof *r);
    int rc;

    if (r == NULL)
        return -ENOMEM;
    rc = audit_store_open(&r->store, dir, false, d);
    if (rc != 0) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void audit_reader_close(struct audit_reader *r)
{
    if (r == NULL)
        return;
    audit_store_close(r->store);
    free(r);
}

/* --- copies of entries ------------------------------------------------------------ */

struct copy {
    size_t key, key_len, payload, len;
    bool ok;
};

struct chunk {
    struct copy at[CHUNK];
    int n;
    uint8_t *bytes; /* owned */
    size_t len, size;
};

static int chunk_add(struct chunk *c, const struct entry *e)
{
    size_t more = e->key.len + e->payload.len;
    struct copy *copy = &c->at[c->n];

    if (c->len + more > c->size) {
        size_t size = (c->len + more) * 2 + 65536;
        uint8_t *p = realloc(c->bytes, size);

        if (p == NULL)
            return -ENOMEM;
        c->bytes = p;
        c->size = size;
    }
    *copy = (struct copy){c->len, e->key.len, c->len + e->key.len, e->payload.len, e->ok};
    memcpy(c->bytes + copy->key, e->key.at, e->key.len);
    if (e->payload.len > 0)
        memcpy(c->bytes + copy->payload, e->payload.at, e->payload.len);
    c->len += more;
    c->n++;
    return 0;
}

static struct entry chunk_entry(const struct chunk *c, int i)
{
    const struct copy *copy = &c->at[i];

    return (struct entry){
        {c->bytes + copy->key, copy->key_len}, {c->bytes + copy->payload, copy->len}, copy->ok};
}

/* Fills the chunk with entries of the table of key[0], from key on. */
static int chunk_fill(struct chunk *c, struct audit_store *store, struct bytes key)
{
    struct audit_txn *txn;
    struct entry e;
    int rc = audit_txn_begin(&txn, store);

    c->n = 0;
    c->len = 0;
    if (rc != 0)
        return rc;
    rc = audit_txn_seek(txn, key, &e);
    while (rc == 0 && e.key.at[0] == key.at[0] && c->n < CHUNK) {
        rc = chunk_add(c, &e);
        if (rc == 0)
            rc = audit_txn_next(txn, &e);
    }
    audit_txn_abort(txn);
    return rc == -ENOENT ? 0 : rc;
}

/* Calls visit for each entry of the table from key on. Not 0 stops. */
typedef int entry_visit(void *context, const struct entry *);

static int each_entry(struct audit_store *store, struct bytes first, entry_visit *visit,
                      void *context)
{
    struct chunk *c = calloc(1, sizeof *c);
    uint8_t key[STORE_KEY_MAX + 1];
    size_t len = first.len;
    int rc = 0;

    if (c == NULL)
        return -ENOMEM;
    memcpy(key, first.at, first.len);
    while (rc == 0) {
        rc = chunk_fill(c, store, (struct bytes){key, len});
        for (int i = 0; i < c->n && rc == 0; i++) {
            struct entry e = chunk_entry(c, i);

            rc = visit(context, &e);
        }
        if (c->n < CHUNK || c->at[c->n - 1].key_len > STORE_KEY_MAX)
            break;
        len = c->at[c->n - 1].key_len;
        memcpy(key, c->bytes + c->at[c->n - 1].key, len);
        key[len++] = 0; /* the very next key */
    }
    free(c->bytes);
    free(c);
    return rc;
}

/* --- events ------------------------------------------------------------------------- */

struct events {
    const struct audit_range *range;
    audit_event_visit *visit;
    void *context;
    uint64_t *damaged;
    bool over; /* behind the range */
    struct audit_event event;
    char host[RECORD_HOST];
};

static int visit_event(void *context, const struct entry *entry)
{
    struct events *x = context;
    const struct audit_range *r = x->range;
    uint64_t until = r->until_ms > 0 ? r->until_ms : UINT64_MAX;

    if (record_read(entry, &x->event, x->host) != 0) {
        ++*x->damaged;
        return 0;
    }
    if (x->event.wall_ms >= until) {
        x->over = x->event.wall_ms - until > disorder_ms;
        return x->over ? 1 : 0;
    }
    if (x->event.wall_ms < r->since_ms)
        return 0;
    return x->visit(x->context, &x->event, x->host);
}

/* Time of the first readable event with this sequence or a later one. */
static int time_at(struct audit_txn *txn, uint64_t sequence, uint64_t *wall_ms)
{
    struct audit_event e;
    char host[RECORD_HOST];
    struct entry entry;
    uint8_t key[9];
    int rc = audit_txn_seek(txn, audit_key_number(key, STORE_EVENT, sequence), &entry);

    while (rc == 0 && entry.key.at[0] == STORE_EVENT) {
        if (record_read(&entry, &e, host) == 0) {
            *wall_ms = e.wall_ms;
            return 0;
        }
        rc = audit_txn_next(txn, &entry);
    }
    return rc == 0 ? -ENOENT : rc;
}

/* A sequence number from which on all events lie that are not older than since_ms. */
static int find_since(struct audit_store *store, uint64_t since_ms, uint64_t *sequence)
{
    uint64_t low = 0, high, wall_ms, target = since_ms > disorder_ms ? since_ms - disorder_ms : 0;
    struct audit_txn *txn;
    struct totals t;
    int rc = audit_txn_begin(&txn, store);

    if (rc != 0)
        return rc;
    rc = totals_load(txn, &t);
    high = t.last_sequence + 1;
    while (rc == 0 && low < high) {
        uint64_t middle = low + (high - low) / 2;

        rc = time_at(txn, middle, &wall_ms);
        if (rc == 0 && wall_ms < target)
            low = middle + 1;
        else if (rc == 0 || rc == -ENOENT)
            high = middle;
        if (rc == -ENOENT)
            rc = 0;
    }
    audit_txn_abort(txn);
    *sequence = low;
    return rc;
}

int audit_each_event(struct audit_reader *r, const struct audit_range *range,
                     audit_event_visit *visit, void *context, uint64_t *damaged)
{
    struct events x = {.range = range, .visit = visit, .context = context, .damaged = damaged};
    uint64_t first = 0;
    uint8_t key[9];
    int rc = 0;

    *damaged = 0;
    if (range->since_ms > 0)
        rc = find_since(r->store, range->since_ms, &first);
    if (range->after_sequence >= first)
        first = range->after_sequence + 1;
    if (rc == 0)
        rc = each_entry(r->store, audit_key_number(key, STORE_EVENT, first), visit_event, &x);
    return x.over ? 0 : rc;
}

/* --- ledger -------------------------------------------------------------------------- */

struct rows_of {
    ledger_client_visit *client;
    ledger_name_visit *name;
    ledger_hour_visit *hour;
    void *context;
    uint64_t until_ms; /* of hours */
};

/* A damaged row is left out: it begins anew with the next question. */
static int visit_client(void *context, const struct entry *e)
{
    struct rows_of *x = context;
    struct ledger_client row;

    if (!e->ok || ledger_client_decode(&row, e->payload.at, e->payload.len) != 0)
        return 0;
    return x->client(x->context, &row);
}

static int visit_name(void *context, const struct entry *e)
{
    struct rows_of *x = context;
    struct ledger_name_row row;

    if (!e->ok || ledger_name_decode(&row, e->payload.at, e->payload.len) != 0)
        return 0;
    return x->name(x->context, &row.name);
}

static int visit_hour(void *context, const struct entry *e)
{
    struct rows_of *x = context;
    struct ledger_hour row;

    if (!e->ok || ledger_hour_decode(&row, e->payload.at, e->payload.len) != 0 ||
        row.start_ms >= x->until_ms)
        return 0;
    return x->hour(x->context, &row);
}

int ledger_each_client(struct audit_reader *r, ledger_client_visit *visit, void *context)
{
    static const uint8_t key[] = {STORE_CLIENT};
    struct rows_of x = {.client = visit, .context = context};

    return each_entry(r->store, (struct bytes){key, 1}, visit_client, &x);
}

int ledger_client_get(struct audit_reader *r, const struct addr *a, struct ledger_client *out)
{
    uint8_t key[STORE_KEY_MAX];
    struct audit_txn *txn;
    struct bytes v;
    int rc = audit_txn_begin(&txn, r->store);

    if (rc != 0)
        return rc;
    rc = audit_txn_get(txn, ledger_client_key(key, a), &v);
    if (rc == 0)
        rc = ledger_client_decode(out, v.at, v.len);
    audit_txn_abort(txn);
    return rc;
}

int ledger_each_name(struct audit_reader *r, enum ledger_table table, ledger_name_visit *visit,
                     void *context)
{
    const uint8_t key[] = {table == LEDGER_SUFFIX   ? STORE_SUFFIX
                           : table == LEDGER_TARGET ? STORE_TARGET
                                                    : STORE_RULE};
    struct rows_of x = {.name = visit, .context = context};

    return each_entry(r->store, (struct bytes){key, 1}, visit_name, &x);
}

int ledger_each_hour(struct audit_reader *r, uint64_t since_ms, uint64_t until_ms,
                     ledger_hour_visit *visit, void *context)
{
    struct rows_of x = {
        .hour = visit, .context = context, .until_ms = until_ms > 0 ? until_ms : UINT64_MAX};
    uint8_t key[9];

    return each_entry(r->store, audit_key_number(key, STORE_HOUR, since_ms), visit_hour, &x);
}

/* --- totals ----------------------------------------------------------------------------- */

int audit_totals(struct audit_reader *r, struct audit_totals *out)
{
    static const uint8_t behind[] = {STORE_EVENT + 1};
    struct audit_event e;
    char host[RECORD_HOST];
    struct audit_txn *txn;
    struct entry entry;
    struct totals t;
    uint64_t first = 0;
    uint8_t key[9];
    int rc = audit_txn_begin(&txn, r->store);

    memset(out, 0, sizeof *out);
    if (rc != 0)
        return rc;
    rc = totals_load(txn, &t);
    if (rc == 0) {
        out->recorded = t.recorded;
        out->counted = t.counted;
        out->dropped = t.dropped;
        out->last_sequence = t.last_sequence;
        out->bytes = audit_txn_bytes(txn);
        out->clients = t.rows[LEDGER_OF_CLIENTS];
        out->suffixes = t.rows[LEDGER_OF_SUFFIXES];
        (void)time_at(txn, 0, &out->first_ms);
        if (audit_txn_seek(txn, audit_key_number(key, STORE_EVENT, 0), &entry) == 0)
            first = audit_key_value(entry.key);
        if (first > 0 && audit_txn_before(txn, (struct bytes){behind, 1}, &entry) == 0) {
            out->records = audit_key_value(entry.key) - first + 1; /* without holes between */
            if (record_read(&entry, &e, host) == 0)
                out->last_ms = e.wall_ms;
        }
    }
    audit_txn_abort(txn);
    return rc;
}
