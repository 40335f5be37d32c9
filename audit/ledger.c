/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what one event does to the rows that it touches.
 *
 * A row is taken from memory, else loaded, else begun; it stays in memory after
 * the commit, so that a client that asks often is read once. Rows are found by
 * a hash with a secret key alone; a name is spelled out only for a row that is
 * not in memory. All of them lie in one arena and are forgotten together.
 *
 * What many events have in common is a row, too, which is written once. Its number
 * is that of the first event that names it, and no event SHARED numbers later does:
 * so what only removed events have named can be told by its number.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/pack.h"
#include "wire/present.h"
#include "wire/types.h"

/* Rows in memory and rows that wait to be written; an event touches a few dozen
 * at most, two of each rule and one of each host. */
enum { ROWS = 65536, TOUCHED = 65536, FEW = 64, PLACES = 4 * ROWS };
enum { SKETCH = 32, AHEAD = 4, KEY_TEXT = NAME_TEXT + 8 };
enum { HOSTS_TEXT = AUDIT_HOSTS * (NAME_TEXT + 8) };
/* Bits of an event, as the view reads them. */
enum { REPEAT = 1, CACHED = 2, DNSSEC_OK = 4, RD = 8, CD = 16, AD = 32, TCP = 64 };
static const uint64_t hour_ms = 3600000;
/* Two suffixes asked within this time are one search. */
static const int64_t same_search_ms = 60000;

/* One suffix of a client. */
struct slot {
    int64_t last;
    uint32_t suffix;
    uint8_t verdict, outcome;
    bool touched;
};

#define MEMBER(name) int64_t name;
struct row {
    const char *name; /* of a new one, until it is written */
    uint8_t table, n_slots, n_sketch;
    bool touched, other;
    union {
        int64_t numbers[STORE_NUMBERS];
        struct {
            int64_t id;
            SCHEMA_COMMON(MEMBER)
            union {
                struct {
                    SCHEMA_OF_CLIENT(MEMBER)
                };
                struct {
                    SCHEMA_OF_NAME(MEMBER)
                };
            };
        };
    };
    union {
        struct slot slots[STORE_SLOTS]; /* of a client */
        uint32_t sketch[SKETCH];        /* of a name: the smallest hashes of its clients */
    };
};

/* In the order of the tables, so that their pages are visited once each. */
struct touched {
    uint64_t order;
    struct row *row;
};

struct ledger {
    struct audit_store *store;
    const char *forwarder;
    struct hash_key secret;
    struct arena *arena; /* rows and their names */
    size_t n, n_touched;
    int64_t next; /* number of the next event; 0: it is not known, nor are those below */
    int64_t count[STORE_LEDGER], last_id[STORE_LEDGER], most[STORE_LEDGER];
    struct place {
        uint64_t hash; /* 0: empty */
        union {
            struct row *row;
            int64_t shared; /* the number of what events have in common */
        };
    } places[PLACES]; /* open addressing */
    struct touched touched[TOUCHED];
};

struct ledger *ledger_new(struct audit_store *store, const char *forwarder)
{
    struct ledger *l = calloc(1, sizeof *l);
    struct random random;

    if (l == NULL)
        return NULL;
    random_init(&random);
    random_bytes(&random, &l->secret, sizeof l->secret);
    l->store = store;
    l->forwarder = forwarder;
    return l;
}

void ledger_bounds(struct ledger *l, uint64_t clients, uint64_t names)
{
    for (int t = 0; t < STORE_LEDGER; t++)
        l->most[t] = t == STORE_HOUR ? INT64_MAX : (int64_t)(t == STORE_CLIENT ? clients : names);
}

static void forget_rows(struct ledger *l)
{
    arena_free(l->arena);
    memset(l->places, 0, sizeof l->places);
    l->arena = NULL;
    l->n = l->n_touched = 0;
}

void ledger_clear(struct ledger *l)
{
    forget_rows(l);
    l->next = 0; /* nor is it known what the database holds */
}

void ledger_free(struct ledger *l)
{
    if (l != NULL)
        arena_free(l->arena);
    free(l);
}

/* --- rows in memory ---------------------------------------------------------------- */

/* What a row is about: the octets of an address, of a name (with a port for a host), a
 * rule's text, an hour. None: the row (other). */
struct subject {
    enum store_table table;
    const void *key;
    size_t len;
};

/* Where it is, or, if that is empty, where it goes with this hash. */
static struct place *place_of(struct ledger *l, const struct subject *s, uint64_t *hash)
{
    const struct hash_key key = {l->secret.k0 ^ (uint64_t)s->table, l->secret.k1};
    struct place *p;

    *hash = hash_bytes(&key, s->key, s->len) | 1;
    p = &l->places[*hash >> 32 & (PLACES - 1)];
    while (p->hash != 0 && p->hash != *hash)
        p = p + 1 < l->places + PLACES ? p + 1 : l->places;
    return p;
}

/* The name of its row in the database. */
static const char *name_of(const struct subject *s, char out[KEY_TEXT])
{
    struct cursor c = cursor_make(s->key, s->len);
    struct addr client = {.port = 0};
    struct name name;

    if (s->len == 0) {
        str_copy(out, KEY_TEXT, "(other)");
    } else if (s->table == STORE_CLIENT) {
        memcpy(client.ip, s->key, sizeof client.ip);
        addr_print(&client, out);
    } else if (s->table == STORE_RULE) {
        str_copy(out, KEY_TEXT, s->key);
    } else {
        name_read(&c, &name);
        name_print(&name, out);
        if (s->table == STORE_HOST)
            snprintf(out + strlen(out), 8, ":%u", cursor_u16(&c));
    }
    return out;
}

/* What the database holds, in numbers. */
static int begin(struct ledger *l)
{
    int rc = 1;

    for (int t = 0; t < STORE_LEDGER && rc == 1; t++) {
        const char *table = store_kinds[t].name;
        char sql[256];
        int64_t n[2];

        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM %s)-(SELECT count(*) FROM %s WHERE name='(other)'),"
                 "ifnull((SELECT seq FROM sqlite_sequence WHERE name='%s'),0)",
                 table, table, table);
        rc = audit_store_sql(l->store, n, sql);
        l->count[t] = n[0];
        l->last_id[t] = n[1];
    }
    if (rc == 1)
        rc = audit_store_sql(l->store, &l->next, "SELECT ifnull(max(id),0)+1 FROM event");
    return rc == 1 ? 0 : rc;
}

/* The row of the subject, or of (other) when there are too many; a new one is
 * loaded or begun. */
static int find(struct ledger *l, const struct subject *s, struct row **out)
{
    struct row row = {.table = (uint8_t)s->table, .other = s->len == 0};
    int64_t slots[STORE_SLOTS][STORE_SLOT_NUMBERS];
    size_t size = sizeof row.sketch;
    uint64_t hash;
    struct place *place = place_of(l, s, &hash);
    char name[KEY_TEXT];
    int found, n = 0;

    if (place->hash != 0) {
        *out = place->row;
        return 0;
    }
    if (s->table == STORE_HOUR)
        memcpy(&row.id, s->key, sizeof row.id);
    else
        name_of(s, name);
    found = audit_store_get(l->store, s->table, name, row.id, row.numbers, row.sketch, &size);
    if (found == 0 && !row.other && l->count[s->table] >= l->most[s->table])
        return find(l, &(struct subject){s->table, NULL, 0}, out);
    if (found > 0 && s->table == STORE_CLIENT)
        n = audit_store_get(l->store, STORE_SLOT, NULL, row.id, slots[0], NULL, NULL);
    if (found < 0 || n < 0)
        return found < 0 ? found : n;
    if (found > 0)
        row.n_sketch = (uint8_t)(size / sizeof *row.sketch);
    for (int i = 0; i < n; i++) {
        const int64_t *v = slots[i], k = v[0] % STORE_SLOTS; /* id suffix last verdict outcome */

        row.n_slots = (uint8_t)(k + 1);
        row.slots[k] = (struct slot){v[2], (uint32_t)v[1], (uint8_t)v[3], (uint8_t)v[4], false};
    }
    if (l->arena == NULL && (l->arena = arena_new()) == NULL)
        return -ENOMEM;
    if (found == 0 && s->table != STORE_HOUR) {
        row.name = arena_strdup(l->arena, name);
        if (row.name == NULL)
            return -ENOMEM;
        row.id = ++l->last_id[s->table];
        l->count[s->table] += !row.other;
    }
    *out = arena_alloc(l->arena, sizeof row);
    if (*out == NULL)
        return -ENOMEM;
    memcpy(*out, &row, sizeof row);
    *place = (struct place){hash, {*out}};
    l->n++;
    return 0;
}

/* Rows lie far apart, and a row is several lines of the processor's cache. */
static void prefetch_row(const struct row *r)
{
    for (size_t at = 0; at < offsetof(struct row, slots) + 64; at += 64)
        PREFETCH((const uint8_t *)r + at);
}

void ledger_expect(struct ledger *l, const struct addr *client)
{
    uint64_t hash;
    const struct place *p =
        place_of(l, &(struct subject){STORE_CLIENT, client->ip, sizeof client->ip}, &hash);

    if (p->hash != 0)
        prefetch_row(p->row);
}

static int by_order(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static int save_row(struct audit_store *store, struct row *r)
{
    enum store_table t = (enum store_table)r->table;
    int rc = 0;

    audit_store_number(store, t, r->id);
    audit_store_text(store, t, r->name);
    for (int i = 1; i < store_kinds[t].n; i++)
        audit_store_number(store, t, r->numbers[i]);
    if (r->n_sketch > 0)
        audit_store_blob(store, t, r->sketch, r->n_sketch * sizeof *r->sketch);
    r->touched = false;
    r->name = NULL;
    for (int i = 0; i < r->n_slots && rc == 0; i++) {
        struct slot *s = &r->slots[i];
        const int64_t numbers[] = {STORE_SLOTS * r->id + i, s->suffix, s->last, s->verdict,
                                   s->outcome};

        if (!s->touched)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
            audit_store_number(store, STORE_SLOT, numbers[k]);
        s->touched = false;
        rc = audit_store_row(store, STORE_SLOT);
    }
    return rc == 0 ? audit_store_row(store, t) : rc;
}

int ledger_save(struct ledger *l)
{
    int rc = 0;

    qsort(l->touched, l->n_touched, sizeof *l->touched, by_order);
    for (size_t i = 0; i < l->n_touched && rc == 0; i++) {
        prefetch_row(l->touched[i + AHEAD < l->n_touched ? i + AHEAD : i].row);
        rc = save_row(l->store, l->touched[i].row);
    }
    if (rc == 0)
        rc = audit_store_flush(l->store);
    l->n_touched = 0;
    if (l->n > ROWS)
        forget_rows(l);
    return rc;
}

/* --- counting ---------------------------------------------------------------------- */

/* What the event does to every row that it touches. decided: its outcome is the row's
 * too; false: of a rule in shadow. */
static void count(struct ledger *l, struct row *r, const struct audit_event *e, bool decided)
{
    int64_t ms = (int64_t)e->wall_ms;

    if (decided) {
        r->questions++;
        r->attempts += !e->repeat;
        if (e->outcome >= OUTCOME_PASSED && e->outcome < OUTCOMES) /* passed is behind attempts */
            r->numbers[offsetof(struct row, attempts) / 8 - offsetof(struct row, numbers) / 8 +
                       e->outcome]++;
    }
    if (r->first == 0 || ms < r->first)
        r->first = ms;
    if (ms > r->last)
        r->last = ms;
    if (!e->counted)
        r->event = l->next;
    if (!r->touched)
        l->touched[l->n_touched++] =
            (struct touched){(uint64_t)r->table << 56 | (uint64_t)r->id, r};
    r->touched = true;
}

/* Keeps the SKETCH smallest hashes of clients, sorted. The k-th smallest of n evenly
 * spread ones lies at k/(n+1) of their range. */
static void sketch_add(struct row *r, uint32_t h)
{
    int i = r->n_sketch;

    if (i == SKETCH && r->sketch[i - 1] < h)
        return;
    while (i > 0 && r->sketch[i - 1] > h)
        i--;
    if (i > 0 && r->sketch[i - 1] == h)
        return;
    if (r->n_sketch < SKETCH)
        r->n_sketch++;
    memmove(r->sketch + i + 1, r->sketch + i, ((size_t)r->n_sketch - 1 - (size_t)i) * sizeof h);
    r->sketch[i] = h;
    r->clients = r->n_sketch;
    if (r->n_sketch == SKETCH)
        r->clients =
            (int64_t)((uint64_t)(SKETCH - 1) * UINT32_MAX / ((uint64_t)r->sketch[SKETCH - 1] + 1));
}

/* The row of a name. decided: the event's outcome is its; a rule in shadow only
 * would have decided. */
static int add_name(struct ledger *l, const struct audit_event *e, const struct subject *s,
                    uint32_t client, int64_t rule, bool decided, struct row **out)
{
    int rc = find(l, s, out);
    struct row *r = *out;

    if (rc != 0)
        return rc;
    sketch_add(r, client);
    r->verdict = e->verdict;
    if (decided) {
        r->outcome = e->outcome;
        r->rule = rule;
    } else {
        r->would++;
    }
    count(l, r, e, decided);
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
static int add_targets(struct ledger *l, const struct audit_event *e, uint32_t client, int64_t rule,
                       int64_t *given)
{
    for (int i = 0; i < e->n_real + e->n_answer; i++) {
        bool real = i < e->n_real;
        uint8_t at = (uint8_t)(real ? i : i - e->n_real), key[NAME_MAX_WIRE + 2];
        const struct audit_host *list = real ? e->real : e->answer, *h = &list[at];
        struct writer w = writer_make(key, sizeof key);
        struct row *r;
        int rc;

        if (host_in(h, list, at) || (!real && host_in(h, e->real, e->n_real)))
            continue;
        name_fold_copy(writer_room(&w, h->target.len), h->target.data, h->target.len);
        writer_u16(&w, h->port);
        rc = add_name(l, e, &(struct subject){STORE_HOST, key, w.len}, client, rule, true, &r);
        if (rc != 0)
            return rc;
        r->delivered += host_in(h, e->answer, e->n_answer);
        if (real)
            r->unapproved = host_in(h, e->unapproved, e->n_unapproved);
        if (e->n_answer > 0 && host_in(h, e->answer, 1))
            *given = r->id;
    }
    return 0;
}

/* The client's row. host: of the first host that it was given. */
static void add_client(struct ledger *l, struct row *r, const struct audit_event *e,
                       uint32_t suffix, int64_t host)
{
    bool asks = e->outcome != OUTCOME_UPDATE && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY);
    int64_t ms = (int64_t)e->wall_ms, gap = r->last > 0 ? ms - r->last : 0;
    struct slot *slot = r->slots;
    int i = 0;

    /* The suffix's place in the list; when that is full, of the one that was asked for longest ago. */
    while (i < r->n_slots && r->slots[i].suffix != suffix)
        i++;
    if (i == r->n_slots && i < STORE_SLOTS)
        r->n_slots++;
    for (int k = 0; i == STORE_SLOTS && k < STORE_SLOTS; k++)
        slot = r->slots[k].last < slot->last ? &r->slots[k] : slot;
    *(i < STORE_SLOTS ? &r->slots[i] : slot) =
        (struct slot){ms, suffix, e->verdict, e->outcome, true};
    if (gap >= same_search_ms && !e->repeat && !r->other)
        r->cadence_s = r->cadence_s == 0 ? gap / 1000 : (3 * r->cadence_s + gap / 1000) / 4;
    if (asks && e->n_answer > 0) {
        r->host = host;
        r->host_at = ms;
        r->no_host_since = 0;
    } else if (asks && r->no_host_since == 0) {
        r->no_host_since = ms;
    }
    count(l, r, e, true);
}

/* --- events ------------------------------------------------------------------------- */

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

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* What the event says that others say as well, and all of a control record. */
static int put_answer(struct ledger *l, const struct audit_event *e)
{
    char type[TYPE_TEXT], rcode[TYPE_TEXT], real_rcode[TYPE_TEXT], server[ADDR_TEXT];
    char real[HOSTS_TEXT], unapproved[HOSTS_TEXT], answer[HOSTS_TEXT];
    char networks[AUDIT_EVENT_NETWORKS * AUDIT_TEXT];
    const char *const texts[] = {
        l->forwarder,
        audit_kind_names[e->kind],
        text_or_null(e->text),
        type_print(e->qtype, type), /* from here on, of a question */
        outcome_names[e->outcome],
        reason_names[e->reason],
        e->verdict > 0 ? verdict_names[e->verdict] : NULL,
        addr_is_any(&e->server) ? NULL : addr_print_port(&e->server, server),
        rcode_print(e->real_rcode, real_rcode),
        hosts_print(e->real, e->n_real, real),
        hosts_print(e->unapproved, e->n_unapproved, unapproved),
        rcode_print(e->rcode, rcode),
        hosts_print(e->answer, e->n_answer, answer),
        text_or_null(e->rule),
        e->would > 0 ? outcome_names[e->would] : NULL,
        text_or_null(e->would_rule),
        e->n_networks > 0 ? networks : NULL,
    };
    const enum store_table t = STORE_ANSWER;
    struct str s;

    str_init(&s, networks, sizeof networks);
    for (uint8_t i = 0; i < e->n_networks; i++)
        str_addf(&s, "%s%s", i > 0 ? " " : "", e->networks[i]);
    audit_store_number(l->store, t, l->next);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        audit_store_text(l->store, t, i < 3 || e->kind == AUDIT_EVENT ? texts[i] : NULL);
    audit_store_number(l->store, t, audit_client_error(e) & 0xffff);
    if (e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE) {
        audit_store_number(l->store, t, (int64_t)e->lost);
        audit_store_number(l->store, t, (int64_t)e->lost_from_ms);
    }
    return audit_store_row(l->store, t);
}

/* The row of a question, or of a control record, which ends early. answer: what it has
 * in common with others; client, suffix: NULL where they are texts. */
static int put_event(struct ledger *l, const struct audit_event *e, int64_t answer,
                     const struct row *client, const struct row *suffix, const struct name *name,
                     int64_t previous)
{
    const int64_t bits = (e->repeat ? REPEAT : 0) | (e->cached ? CACHED : 0) |
                         (e->edns_do ? DNSSEC_OK : 0) | (e->flags & DNS_RD ? RD : 0) |
                         (e->flags & DNS_CD ? CD : 0) | (e->flags & DNS_AD ? AD : 0) |
                         (e->transport == AUDIT_TCP ? TCP : 0);
    const int64_t rest[] = {e->client.port, e->id,         bits,    (int64_t)e->policy_serial,
                            e->real_ms,     e->latency_us, previous};
    static const uint8_t discovery[] = "\6_vlmcs\4_tcp";
    const size_t before = sizeof discovery - 1;
    const enum store_table t = STORE_EVENT;
    struct addr address = e->client;
    char text[NAME_TEXT];

    audit_store_number(l->store, t, l->next);
    audit_store_number(l->store, t, (int64_t)e->wall_ms);
    audit_store_number(l->store, t, answer);
    if (e->kind == AUDIT_EVENT) {
        address.scope = 0;
        if (client->other)
            audit_store_text(l->store, t, addr_print(&address, text));
        else
            audit_store_number(l->store, t, client->id);
        if (suffix->other)
            audit_store_text(l->store, t, name_print(name, text));
        else
            audit_store_number(l->store, t, suffix->id);
        /* The name as it was asked, if it is not what its suffix says. */
        if (e->qname.len == before + name->len && memcmp(e->qname.data, discovery, before) == 0 &&
            memcmp(e->qname.data + before, name->data, name->len) == 0 &&
            (name->len == 1 || name->data[name->len - 2] != '.'))
            audit_store_text(l->store, t, NULL);
        else
            audit_store_text(l->store, t, name_print(&e->qname, text));
        for (size_t i = 0; i < ARRAY_LEN(rest); i++)
            audit_store_number(l->store, t, rest[i]);
    }
    l->next++;
    return audit_store_row(l->store, t);
}

int ledger_add(struct ledger *l, const struct audit_event *e, const uint8_t *packed, size_t len)
{
    static const struct hash_key fixed = {0x636c69656e742121u,
                                          0x736b657463682121u}; /* hashes are stored */
    const uint32_t of_client = (uint32_t)hash_bytes(&fixed, e->client.ip, sizeof e->client.ip);
    const int64_t hour = (int64_t)(e->wall_ms / hour_ms);
    int64_t rule_id = 0, host_id = 0, previous;
    struct row *rule, *suffix, *client, *at_hour;
    struct place *shared;
    struct name name;
    uint64_t hash;
    size_t start;
    int rc = l->next > 0 ? 0 : begin(l);

    if (rc == 0 && e->kind != AUDIT_EVENT) {
        rc = put_answer(l, e);
        return rc == 0 ? put_event(l, e, l->next, NULL, NULL, NULL, 0) : rc;
    }
    audit_event_suffix(e, &name);
    if (rc == 0 && e->rule[0] != '\0') {
        rc = add_name(l, e, &(struct subject){STORE_RULE, e->rule, strlen(e->rule)}, of_client, 0,
                      true, &rule);
        rule_id = rc == 0 ? rule->id : 0;
    }
    if (rc == 0 && e->would_rule[0] != '\0')
        rc = add_name(l, e, &(struct subject){STORE_RULE, e->would_rule, strlen(e->would_rule)},
                      of_client, 0, false, &rule);
    if (rc == 0)
        rc = add_targets(l, e, of_client, rule_id, &host_id);
    if (rc == 0)
        rc = add_name(l, e, &(struct subject){STORE_SUFFIX, name.data, name.len}, of_client,
                      rule_id, true, &suffix);
    if (rc == 0)
        rc = find(l, &(struct subject){STORE_CLIENT, e->client.ip, sizeof e->client.ip}, &client);
    if (rc == 0)
        rc = find(l, &(struct subject){STORE_HOUR, &hour, sizeof hour}, &at_hour);
    if (rc != 0)
        return rc;
    previous = client->other ? 0 : client->event;
    add_client(l, client, e, (uint32_t)suffix->id, host_id);
    count(l, at_hour, e, true);
    if (!e->counted) {
        start = audit_event_shared(e);
        shared = place_of(l, &(struct subject){STORE_ANSWER, packed + start, len - start}, &hash);
        if (shared->hash == 0 || l->next - shared->shared >= LEDGER_SHARED) {
            l->n += shared->hash == 0;
            *shared = (struct place){.hash = hash, .shared = l->next};
            rc = put_answer(l, e);
        }
        if (rc == 0)
            rc = put_event(l, e, shared->shared, client, suffix, &name, previous);
    }
    if (rc == 0 && l->n_touched > TOUCHED - FEW)
        rc = ledger_save(l);
    return rc;
}
