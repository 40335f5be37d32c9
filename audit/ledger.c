/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what one event does to the rows that it touches.
 *
 *   keys   'C' address   'S' suffix   'T' target port   'R' rule   'H' hour
 *          the table's letter alone: the row (other)
 *
 * A row is taken from the touched ones, else loaded, else begun; changed as a
 * struct; and put back as bytes. Counting so costs a few hundred nanoseconds
 * and holds a row of thousands of clients in little memory.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/codec.h"
#include "audit/rows.h"
#include "base/hash.h"
#include "wire/types.h"

static const uint64_t hour_ms = 3600000;
/* Two suffixes asked within this time are one search. */
static const uint64_t same_search_ms = 60000;

struct ledger {
    struct rows rows;
    ledger_load *load;
    void *context;
    uint8_t scratch[LEDGER_ROW_MAX];
};

struct ledger *ledger_new(ledger_load *load, void *context)
{
    struct ledger *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    rows_init(&l->rows);
    l->load = load;
    l->context = context;
    return l;
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    rows_fini(&l->rows);
    free(l);
}

void ledger_clear(struct ledger *l)
{
    rows_clear(&l->rows);
}

size_t ledger_size(const struct ledger *l)
{
    return l->rows.bytes;
}

int ledger_each_row(struct ledger *l, ledger_row_visit *visit, void *context)
{
    int rc = 0;

    for (size_t i = 0; i < l->rows.n && rc == 0; i++)
        rc = visit(context, row_key(l->rows.at[i]), row_value(l->rows.at[i]));
    return rc;
}

/* --- keys --------------------------------------------------------------------- */

struct bytes ledger_client_key(uint8_t out[STORE_KEY_MAX], const struct addr *a)
{
    out[0] = STORE_CLIENT;
    memcpy(out + 1, a->ip, sizeof a->ip);
    return (struct bytes){out, 1 + sizeof a->ip};
}

static const uint8_t table_of[LEDGER_KINDS] = {STORE_CLIENT, STORE_SUFFIX, STORE_TARGET,
                                               STORE_RULE};

bool ledger_key_kind(struct bytes key, enum ledger_kind *kind)
{
    if (key.len < 2)
        return false;
    for (int k = 0; k < LEDGER_KINDS; k++)
        if (table_of[k] == key.at[0]) {
            *kind = (enum ledger_kind)k;
            return true;
        }
    return false;
}

static struct bytes name_key(uint8_t out[STORE_KEY_MAX], enum ledger_kind kind,
                             const struct name *name, uint16_t port)
{
    struct writer w = writer_make(out, STORE_KEY_MAX);

    writer_u8(&w, table_of[kind]);
    name_fold_copy(writer_room(&w, name->len), name->at, name->len);
    if (kind == LEDGER_OF_TARGETS)
        writer_u16(&w, port);
    return (struct bytes){out, w.len};
}

static struct bytes rule_key(uint8_t out[STORE_KEY_MAX], const char *rule)
{
    size_t len = strnlen(rule, AUDIT_TEXT - 1);

    out[0] = STORE_RULE;
    memcpy(out + 1, rule, len);
    return (struct bytes){out, 1 + len};
}

/* --- rows in and out ------------------------------------------------------------ */

/* The bytes of the row: 0 and *row; -ENOENT there is none yet; -EBADMSG what is
 * stored is damaged. */
static int find_row(struct ledger *l, struct bytes key, struct bytes *row)
{
    size_t len = 0;
    int rc;

    *row = rows_get(&l->rows, key);
    if (row->at != NULL)
        return 0;
    rc = l->load != NULL ? l->load(l->context, key, l->scratch, &len) : -ENOENT;
    *row = (struct bytes){l->scratch, len};
    return rc;
}

/* As find_row(); when there is no row and the table is full, *key becomes that
 * of the row (other). A new row is counted. */
static int find_or_begin(struct ledger *l, enum ledger_kind kind, struct bytes *key,
                         struct bytes *row, struct ledger_sizes *sizes)
{
    int rc = find_row(l, *key, row);

    if (rc != -ENOENT)
        return rc;
    if (sizes->rows[kind] < sizes->most[kind]) {
        sizes->rows[kind]++;
        return rc;
    }
    key->len = 1;
    return find_row(l, *key, row);
}

static int put_row(struct ledger *l, struct bytes key, size_t len)
{
    return len > 0 ? rows_put(&l->rows, key, (struct bytes){l->scratch, len}) : -EMSGSIZE;
}

/* --- counting ---------------------------------------------------------------------- */

static void count(struct ledger_counts *n, const struct audit_event *e)
{
    n->questions++;
    if (!e->repeat)
        n->attempts++;
    if (e->outcome < AUDIT_OUTCOMES)
        n->outcomes[e->outcome]++;
}

static void see(uint64_t *first_ms, uint64_t *last_ms, uint64_t now_ms)
{
    if (*first_ms == 0 || now_ms < *first_ms)
        *first_ms = now_ms;
    if (now_ms > *last_ms)
        *last_ms = now_ms;
}

/* The suffix's place in the client's list; when that is full, the one that was
 * asked for longest ago gives way. */
static struct ledger_suffix *suffix_place(struct ledger_client *r, const struct name *suffix)
{
    struct ledger_suffix *oldest = &r->suffixes[0];

    for (int i = 0; i < r->n_suffixes; i++) {
        if (name_equal_fold(&r->suffixes[i].suffix, suffix))
            return &r->suffixes[i];
        if (r->suffixes[i].last_ms < oldest->last_ms)
            oldest = &r->suffixes[i];
    }
    return r->n_suffixes < LEDGER_SUFFIXES ? &r->suffixes[r->n_suffixes++] : oldest;
}

static void update_client(struct ledger_client *r, const struct audit_event *e,
                          const struct name *suffix)
{
    uint64_t gap = e->wall_ms > r->last_ms && r->last_ms > 0 ? e->wall_ms - r->last_ms : 0;
    struct ledger_suffix *s = suffix_place(r, suffix);

    if (gap >= same_search_ms && !e->repeat && !r->other) {
        uint64_t s_gap = gap / 1000 < UINT32_MAX ? gap / 1000 : UINT32_MAX;

        r->cadence_s = r->cadence_s == 0 ? (uint32_t)s_gap
                                         : (uint32_t)((3 * (uint64_t)r->cadence_s + s_gap) / 4);
    }
    count(&r->counts, e);
    see(&r->first_ms, &r->last_ms, e->wall_ms);
    *s = (struct ledger_suffix){*suffix, e->verdict, e->outcome, e->wall_ms};
    if (e->outcome == AUDIT_UPDATE || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY))
        return; /* did not ask for a host */
    if (e->n_answer > 0) {
        r->last_host = e->answer[0];
        r->last_host_ms = e->wall_ms;
        r->no_host_since_ms = 0;
    } else if (r->no_host_since_ms == 0) {
        r->no_host_since_ms = e->wall_ms;
    }
}

static int add_client(struct ledger *l, const struct audit_event *e, const struct name *suffix,
                      struct ledger_sizes *sizes)
{
    struct ledger_client r;
    uint8_t buf[STORE_KEY_MAX];
    struct bytes key = ledger_client_key(buf, &e->client), row;
    int rc = find_or_begin(l, LEDGER_OF_CLIENTS, &key, &row, sizes);

    if (rc == 0)
        rc = ledger_client_decode(&r, row.at, row.len);
    if (rc == -ENOENT || rc == -EBADMSG) {
        memset(&r, 0, sizeof r);
        r.other = key.len == 1;
        if (!r.other)
            r.client = e->client;
        r.client.port = 0;
    } else if (rc != 0) {
        return rc;
    }
    update_client(&r, e, suffix);
    return put_row(l, key, ledger_client_encode(&r, l->scratch, sizeof l->scratch));
}

/* Keeps the LEDGER_SKETCH smallest hashes, sorted. */
static void sketch_add(struct ledger_name_row *row, const struct addr *client)
{
    static const struct hash_key fixed = {0x636c69656e742121u,
                                          0x736b657463682121u}; /* hashes are stored */
    uint32_t h = (uint32_t)hash_bytes(&fixed, client->ip, sizeof client->ip);
    int i = row->n_sketch;

    while (i > 0 && row->sketch[i - 1] > h)
        i--;
    if (i == LEDGER_SKETCH || (i > 0 && row->sketch[i - 1] == h))
        return;
    if (row->n_sketch < LEDGER_SKETCH)
        row->n_sketch++;
    memmove(row->sketch + i + 1, row->sketch + i,
            ((size_t)row->n_sketch - 1 - (size_t)i) * sizeof *row->sketch);
    row->sketch[i] = h;
}

/* What a row about a name is told of an event. */
struct naming {
    enum ledger_kind kind;
    const struct name *name; /* NULL: a rule */
    const char *rule;        /* NULL: a name */
    uint16_t port;
    bool real, unapproved, delivered, would;
};

static void update_name(struct ledger_name_row *row, const struct audit_event *e,
                        const struct naming *n)
{
    struct ledger_name *r = &row->name;

    see(&r->first_ms, &r->last_ms, e->wall_ms);
    sketch_add(row, &e->client);
    r->last_verdict = e->verdict;
    if (n->would) {
        r->would++;
        return; /* decided nothing */
    }
    count(&r->counts, e);
    r->last_outcome = e->outcome;
    memcpy(r->last_rule, e->rule, sizeof r->last_rule);
    if (n->delivered)
        r->delivered++;
    if (n->real)
        r->unapproved = n->unapproved;
}

static int add_name(struct ledger *l, const struct audit_event *e, const struct naming *n,
                    struct ledger_sizes *sizes)
{
    struct ledger_name_row r;
    uint8_t buf[STORE_KEY_MAX];
    struct bytes key = n->name != NULL ? name_key(buf, n->kind, n->name, n->port)
                                       : rule_key(buf, n->rule),
                 row;
    int rc = find_or_begin(l, n->kind, &key, &row, sizes);

    if (rc == 0)
        rc = ledger_name_decode(&r, row.at, row.len);
    if (rc == -ENOENT || rc == -EBADMSG) {
        memset(&r, 0, sizeof r);
        r.name.other = key.len == 1;
        r.name.name.len = 1;
        if (!r.name.other && n->name != NULL) {
            r.name.name = *n->name;
            name_fold(&r.name.name);
            r.name.port = n->port;
        } else if (!r.name.other) {
            memcpy(r.name.rule, key.at + 1, key.len - 1);
        }
    } else if (rc != 0) {
        return rc;
    }
    update_name(&r, e, n);
    return put_row(l, key, ledger_name_encode(&r, l->scratch, sizeof l->scratch));
}

static bool host_in(const struct audit_host *h, const struct audit_host *list, uint8_t n)
{
    for (uint8_t i = 0; i < n; i++)
        if (list[i].port == h->port && name_equal_fold(&list[i].target, &h->target))
            return true;
    return false;
}

/* Each target once: those of the real answer, then those that only ours had. */
static int add_targets(struct ledger *l, const struct audit_event *e, struct ledger_sizes *sizes)
{
    struct naming n = {.kind = LEDGER_OF_TARGETS};
    int rc = 0;

    for (uint8_t i = 0; i < e->n_real && rc == 0; i++) {
        const struct audit_host *h = &e->real[i];

        if (host_in(h, e->real, i))
            continue;
        n.name = &h->target;
        n.port = h->port;
        n.real = true;
        n.unapproved = host_in(h, e->unapproved, e->n_unapproved);
        n.delivered = host_in(h, e->answer, e->n_answer);
        rc = add_name(l, e, &n, sizes);
    }
    for (uint8_t i = 0; i < e->n_answer && rc == 0; i++) {
        const struct audit_host *h = &e->answer[i];

        if (host_in(h, e->real, e->n_real) || host_in(h, e->answer, i))
            continue;
        n = (struct naming){
            .kind = LEDGER_OF_TARGETS, .name = &h->target, .port = h->port, .delivered = true};
        rc = add_name(l, e, &n, sizes);
    }
    return rc;
}

static int add_rules(struct ledger *l, const struct audit_event *e, struct ledger_sizes *sizes)
{
    struct naming n = {.kind = LEDGER_OF_RULES, .rule = e->rule};
    int rc = e->rule[0] != '\0' ? add_name(l, e, &n, sizes) : 0;

    if (rc != 0 || e->would_rule[0] == '\0')
        return rc;
    n.rule = e->would_rule;
    n.would = true;
    return add_name(l, e, &n, sizes);
}

static int add_hour(struct ledger *l, const struct audit_event *e)
{
    struct ledger_hour r;
    uint8_t buf[9];
    uint64_t start = e->wall_ms - e->wall_ms % hour_ms;
    struct bytes key = audit_key_number(buf, STORE_HOUR, start), row;
    int rc = find_row(l, key, &row);

    if (rc == 0)
        rc = ledger_hour_decode(&r, row.at, row.len);
    if (rc == -ENOENT || rc == -EBADMSG)
        r = (struct ledger_hour){.start_ms = start};
    else if (rc != 0)
        return rc;
    count(&r.counts, e);
    return put_row(l, key, ledger_hour_encode(&r, l->scratch, sizeof l->scratch));
}

int ledger_add(struct ledger *l, const struct audit_event *e, struct ledger_sizes *sizes)
{
    struct name suffix;
    struct naming n = {.kind = LEDGER_OF_SUFFIXES, .name = &suffix};
    int rc;

    audit_event_suffix(e, &suffix);
    rc = add_client(l, e, &suffix, sizes);
    if (rc == 0)
        rc = add_name(l, e, &n, sizes);
    if (rc == 0)
        rc = add_targets(l, e, sizes);
    if (rc == 0)
        rc = add_rules(l, e, sizes);
    return rc == 0 ? add_hour(l, e) : rc;
}
