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
 * is that of the first event that names it, and no event LEDGER_SHARED numbers later
 * does: so what only removed events have named can be told by its number.
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
enum { IN_SHADOW = -1 };
/* Bits of an event, as the view reads them. */
enum { REPEAT = 1, CACHED = 2, DNSSEC_OK = 4, RD = 8, CD = 16, AD = 32, TCP = 64 };
static const uint64_t hour_ms = 3600000;
/* Two suffixes asked within this time are one search. */
static const int64_t same_search_ms = 60000;
/* Of the hashes that are stored. */
static const struct hash_key stored = {0x636c69656e742121u, 0x736b657463682121u};

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
    enum store_table table;
    uint8_t n_slots, n_sketch;
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

/* In numbers[], an outcome's place without its number: passed is behind attempts. */
enum { OUTCOME_NUMBER = (offsetof(struct row, attempts) - offsetof(struct row, id)) / 8 };

/* In the order of the tables, so that their pages are visited once each. */
struct touched {
    uint64_t order;
    struct row *row;
};

struct ledger {
    struct audit_store *store;
    const struct audit_event *event; /* that is being added */
    uint32_t client;                 /* hash of its client */
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

void ledger_clear(struct ledger *l)
{
    arena_free(l->arena);
    memset(l->places, 0, sizeof l->places);
    l->arena = NULL;
    l->n = l->n_touched = 0;
    l->next = 0; /* nor is it known what the database holds */
}

void ledger_free(struct ledger *l)
{
    if (l != NULL)
        arena_free(l->arena);
    free(l);
}

/* --- rows in memory ---------------------------------------------------------------- */

/* What a row is about is its key: the octets of an address, of a name (with a port for a
 * host), a rule's text, an hour. None: the row (other). Where it is, or, if that is empty,
 * where it goes with this hash. */
static struct place *place_of(struct ledger *l, enum store_table t, const void *key, size_t len,
                              uint64_t *hash)
{
    const struct hash_key secret = {l->secret.k0 ^ (uint64_t)t, l->secret.k1};
    struct place *p;

    *hash = hash_bytes(&secret, key, len) | 1;
    p = &l->places[*hash >> 32 & (PLACES - 1)];
    while (p->hash != 0 && p->hash != *hash)
        p = p + 1 < l->places + PLACES ? p + 1 : l->places;
    return p;
}

/* The name of its row in the database. */
static const char *name_of(enum store_table t, const void *key, size_t len, char out[KEY_TEXT])
{
    struct cursor c = cursor_make(key, len);
    struct addr client = {.port = 0};
    struct name name;

    if (len == 0) {
        str_copy(out, KEY_TEXT, "(other)");
    } else if (t == STORE_CLIENT) {
        memcpy(client.ip, key, sizeof client.ip);
        addr_print(&client, out);
    } else if (t == STORE_RULE) {
        str_copy(out, KEY_TEXT, key);
    } else {
        name_read(&c, &name);
        name_print(&name, out);
        if (t == STORE_HOST)
            snprintf(out + strlen(out), 8, ":%u", cursor_u16(&c));
    }
    return out;
}

/* What the database holds, in numbers. */
static int load_numbers(struct ledger *l)
{
    int rc = 1;

    for (int t = 0; t < STORE_LEDGER && rc == 1; t++) {
        const char *table = store_kinds[t].name;
        char sql[256];
        int64_t n[2];

        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM %s),"
                 "ifnull((SELECT seq FROM sqlite_sequence WHERE name='%s'),0)",
                 table, table);
        rc = audit_store_sql(l->store, n, sql);
        l->count[t] = n[0];
        l->last_id[t] = n[1];
    }
    if (rc == 1)
        rc = audit_store_sql(l->store, &l->next, "SELECT ifnull(max(id),0)+1 FROM event");
    return rc == 1 ? 0 : rc;
}

/* The row of a key, or of (other) when there are too many; a new one is loaded or
 * begun. */
static int find(struct ledger *l, enum store_table t, const void *key, size_t len, struct row **out)
{
    struct row row = {.table = t, .other = len == 0};
    int64_t slots[STORE_SLOTS][STORE_SLOT_NUMBERS];
    size_t size = sizeof row.sketch;
    uint64_t hash;
    struct place *place = place_of(l, t, key, len, &hash);
    char name[KEY_TEXT];
    int found, n = 0;

    if (place->hash != 0) {
        *out = place->row;
        return 0;
    }
    if (t == STORE_HOUR)
        memcpy(&row.id, key, sizeof row.id);
    else
        name_of(t, key, len, name);
    found = audit_store_get(l->store, t, name, row.id, row.numbers, row.sketch, &size);
    if (found == 0 && !row.other && l->count[t] >= l->most[t])
        return find(l, t, NULL, 0, out);
    if (found > 0 && t == STORE_CLIENT)
        n = audit_store_get(l->store, STORE_SLOT, NULL, row.id, slots[0], NULL, NULL);
    if (found < 0 || n < 0)
        return found < 0 ? found : n;
    row.n_sketch = (uint8_t)(found > 0 ? size / sizeof *row.sketch : 0);
    for (int i = 0; i < n; i++) {
        const int64_t *v = slots[i], k = v[0] % STORE_SLOTS; /* id suffix last verdict outcome */

        row.n_slots = (uint8_t)(k + 1);
        row.slots[k] = (struct slot){v[2], (uint32_t)v[1], (uint8_t)v[3], (uint8_t)v[4], false};
    }
    if (l->arena == NULL && (l->arena = arena_new()) == NULL)
        return -ENOMEM;
    if (found == 0 && t != STORE_HOUR) {
        if ((row.name = arena_strdup(l->arena, name)) == NULL)
            return -ENOMEM;
        row.id = ++l->last_id[t];
        l->count[t]++;
    }
    /* The slots are most of a row, and only clients have them. */
    size = t == STORE_CLIENT ? sizeof row : offsetof(struct row, sketch) + sizeof row.sketch;
    if ((*out = arena_alloc(l->arena, size)) == NULL)
        return -ENOMEM;
    memcpy(*out, &row, size);
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

void ledger_expect(struct ledger *l, const void *packed)
{
    const uint8_t *ip = ((const struct audit_event *)packed)->client.ip; /* packed as it is */
    uint64_t hash;
    const struct place *p = place_of(l, STORE_CLIENT, ip, 16, &hash);

    if (p->hash != 0)
        prefetch_row(p->row);
}

static int by_order(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

int ledger_save(struct ledger *l)
{
    struct audit_store *store = l->store;
    int rc = 0;

    qsort(l->touched, l->n_touched, sizeof *l->touched, by_order);
    for (size_t i = 0; i < l->n_touched && rc == 0; i++) {
        struct row *r = l->touched[i].row;
        const enum store_table t = r->table;

        prefetch_row(l->touched[i + AHEAD < l->n_touched ? i + AHEAD : i].row);
        audit_store_number(store, t, r->id);
        audit_store_text(store, t, r->name);
        for (int k = 1; k < store_kinds[t].n; k++)
            audit_store_number(store, t, r->numbers[k]);
        if (r->n_sketch > 0)
            audit_store_blob(store, t, r->sketch, r->n_sketch * sizeof *r->sketch);
        rc = audit_store_row(store, t);
        for (int k = 0; k < r->n_slots && rc == 0; k++) {
            struct slot *s = &r->slots[k];

            if (!s->touched)
                continue;
            audit_store_number(store, STORE_SLOT, STORE_SLOTS * r->id + k);
            audit_store_number(store, STORE_SLOT, s->suffix);
            audit_store_number(store, STORE_SLOT, s->last);
            audit_store_number(store, STORE_SLOT, s->verdict);
            audit_store_number(store, STORE_SLOT, s->outcome);
            rc = audit_store_row(store, STORE_SLOT);
            s->touched = false;
        }
        r->touched = false;
        r->name = NULL;
    }
    if (rc == 0)
        rc = audit_store_flush(store);
    l->n_touched = 0;
    if (l->n > ROWS)
        ledger_clear(l);
    return rc;
}

/* --- counting ---------------------------------------------------------------------- */

/* What the event does to every row that it touches. decided: its outcome is the row's
 * too; false: of a rule in shadow. */
static void count_event(struct ledger *l, struct row *r, bool decided)
{
    const struct audit_event *e = l->event;
    int64_t ms = (int64_t)e->wall_ms;

    if (decided) {
        r->questions++;
        r->attempts += !e->repeat;
        if (e->outcome >= OUTCOME_PASSED && e->outcome < OUTCOMES)
            r->numbers[OUTCOME_NUMBER + e->outcome]++;
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
static void sketch_add(struct row *r, uint32_t hash)
{
    int i = r->n_sketch;

    while (i > 0 && r->sketch[i - 1] > hash)
        i--;
    if (i == SKETCH || (i > 0 && r->sketch[i - 1] == hash))
        return;
    if (r->n_sketch < SKETCH)
        r->n_sketch++;
    memmove(r->sketch + i + 1, r->sketch + i, ((size_t)r->n_sketch - 1 - (size_t)i) * sizeof hash);
    r->sketch[i] = hash;
    r->clients = r->n_sketch < SKETCH ? r->n_sketch
                                      : (int64_t)((uint64_t)(SKETCH - 1) * UINT32_MAX /
                                                  ((uint64_t)r->sketch[SKETCH - 1] + 1));
}

/* The row of a name. rule: the row of the rule that decided, 0 = none; IN_SHADOW: the
 * name is that of a rule that would have. */
static int add_name(struct ledger *l, enum store_table t, const void *key, size_t len, int64_t rule,
                    struct row **out)
{
    int rc = find(l, t, key, len, out);
    struct row *r = *out;

    if (rc != 0)
        return rc;
    sketch_add(r, l->client);
    r->verdict = l->event->verdict;
    if (rule != IN_SHADOW) {
        r->outcome = l->event->outcome;
        r->rule = rule;
    } else {
        r->would++;
    }
    count_event(l, r, rule != IN_SHADOW);
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
static int add_targets(struct ledger *l, int64_t rule, int64_t *given)
{
    const struct audit_event *e = l->event;

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
        if ((rc = add_name(l, STORE_HOST, key, w.len, rule, &r)) != 0)
            return rc;
        r->delivered += host_in(h, e->answer, e->n_answer);
        if (real)
            r->unapproved = host_in(h, e->unapproved, e->n_unapproved);
        if (e->n_answer > 0 && host_in(h, e->answer, 1))
            *given = r->id;
    }
    return 0;
}

/* suffix: its row; host: of the first host that the client was given. */
static void add_client(struct ledger *l, struct row *r, const struct row *suffix, int64_t host)
{
    const struct audit_event *e = l->event;
    bool asks = e->outcome != OUTCOME_UPDATE && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY);
    int64_t ms = (int64_t)e->wall_ms, gap = r->last > 0 ? ms - r->last : 0;
    int i = 0, oldest = 0;

    /* The suffix's place in the list; when that is full, of the one that was asked for longest ago. */
    for (; i < r->n_slots && r->slots[i].suffix != suffix->id; i++)
        if (r->slots[i].last < r->slots[oldest].last)
            oldest = i;
    if (i == STORE_SLOTS)
        i = oldest;
    else if (i == r->n_slots)
        r->n_slots++;
    r->slots[i] = (struct slot){ms, (uint32_t)suffix->id, e->verdict, e->outcome, true};
    if (gap >= same_search_ms && !e->repeat && !r->other)
        r->cadence_s = r->cadence_s == 0 ? gap / 1000 : (3 * r->cadence_s + gap / 1000) / 4;
    if (asks && e->n_answer > 0) {
        r->host = host;
        r->host_at = ms;
        r->no_host_since = 0;
    } else if (asks && r->no_host_since == 0) {
        r->no_host_since = ms;
    }
    count_event(l, r, true);
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
static int put_answer(struct ledger *l)
{
    const struct audit_event *e = l->event;
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
        addr_is(&e->server, ADDR_ANY) ? NULL : addr_print_port(&e->server, server),
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
    const size_t n = e->kind == AUDIT_EVENT ? ARRAY_LEN(texts) : 3;
    const enum store_table t = STORE_ANSWER;
    struct str s;

    str_init(&s, networks, sizeof networks);
    for (uint8_t i = 0; i < e->n_networks; i++)
        str_addf(&s, "%s%s", i > 0 ? " " : "", e->networks[i]);
    audit_store_number(l->store, t, l->next);
    audit_store_number(l->store, t, audit_client_error(e) & 0xffff);
    for (int i = 0; i < 2; i++)
        if (e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE)
            audit_store_number(l->store, t, (int64_t)(i == 0 ? e->lost : e->lost_from_ms));
        else
            audit_store_text(l->store, t, NULL);
    for (size_t i = 0; i < n; i++)
        audit_store_text(l->store, t, texts[i]);
    return audit_store_row(l->store, t);
}

/* The number of a row, or, where it is that of (other), the name of the key. */
static void put_reference(struct ledger *l, const struct row *r, const void *key, size_t len)
{
    char text[KEY_TEXT];

    if (r->other)
        audit_store_text(l->store, STORE_EVENT, name_of(r->table, key, len, text));
    else
        audit_store_number(l->store, STORE_EVENT, r->id);
}

/* The head of a row of events: its number, when, and the row of answers. */
static void put_time(struct ledger *l, int64_t answer)
{
    audit_store_number(l->store, STORE_EVENT, l->next++);
    audit_store_number(l->store, STORE_EVENT, (int64_t)l->event->wall_ms);
    audit_store_number(l->store, STORE_EVENT, answer);
}

/* The row of a question. answer: what it has in common with others; the rows of its
 * client and of its suffix, the name. */
static int put_question(struct ledger *l, int64_t answer, const struct row *client,
                        int64_t previous, const struct row *suffix, const struct name *name)
{
    static const uint8_t discovery[] = "\6_vlmcs\4_tcp";
    const size_t before = sizeof discovery - 1;
    const struct audit_event *e = l->event;
    const int64_t numbers[] = {
        e->client.port,
        e->id,
        (e->repeat ? REPEAT : 0) | (e->cached ? CACHED : 0) | (e->edns_do ? DNSSEC_OK : 0) |
            (e->flags & DNS_RD ? RD : 0) | (e->flags & DNS_CD ? CD : 0) |
            (e->flags & DNS_AD ? AD : 0) | (e->transport == AUDIT_TCP ? TCP : 0),
        (int64_t)e->policy_serial,
        e->real_ms,
        e->latency_us,
        previous,
    };
    const struct name *asked = &e->qname;
    char text[NAME_TEXT];
    bool plain;

    put_time(l, answer);
    put_reference(l, client, e->client.ip, sizeof e->client.ip);
    put_reference(l, suffix, name->data, name->len);
    /* The name as it was asked, when it is not what the suffix's text says. */
    plain = asked->len == before + name->len && memcmp(asked->data, discovery, before) == 0 &&
            memcmp(asked->data + before, name->data, name->len) == 0 &&
            (name->len == 1 || name->data[name->len - 2] != '.');
    audit_store_text(l->store, STORE_EVENT, plain ? NULL : name_print(asked, text));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        audit_store_number(l->store, STORE_EVENT, numbers[i]);
    return audit_store_row(l->store, STORE_EVENT);
}

int ledger_add(struct ledger *l, const struct audit_event *e, const uint8_t *packed, size_t len)
{
    const int64_t hour = (int64_t)(e->wall_ms / hour_ms);
    int64_t rule_id = 0, host_id = 0, previous;
    struct row *rule, *suffix, *client, *at_hour;
    struct place *shared;
    struct name name;
    uint64_t hash;
    size_t start;
    int rc = l->next > 0 ? 0 : load_numbers(l);

    l->event = e;
    if (rc == 0 && e->kind != AUDIT_EVENT)
        rc = put_answer(l);
    if (rc != 0)
        return rc;
    if (e->kind != AUDIT_EVENT) {
        put_time(l, l->next);
        return audit_store_row(l->store, STORE_EVENT);
    }
    l->client = (uint32_t)hash_bytes(&stored, e->client.ip, sizeof e->client.ip);
    audit_event_suffix(e, &name);
    if (e->rule[0] != '\0') {
        rc = add_name(l, STORE_RULE, e->rule, strlen(e->rule), 0, &rule);
        rule_id = rc == 0 ? rule->id : 0;
    }
    if (rc == 0 && e->would_rule[0] != '\0')
        rc = add_name(l, STORE_RULE, e->would_rule, strlen(e->would_rule), IN_SHADOW, &rule);
    if (rc == 0)
        rc = add_targets(l, rule_id, &host_id);
    if (rc == 0)
        rc = add_name(l, STORE_SUFFIX, name.data, name.len, rule_id, &suffix);
    if (rc == 0)
        rc = find(l, STORE_CLIENT, e->client.ip, sizeof e->client.ip, &client);
    if (rc == 0)
        rc = find(l, STORE_HOUR, &hour, sizeof hour, &at_hour);
    if (rc != 0)
        return rc;
    previous = client->other ? 0 : client->event;
    add_client(l, client, suffix, host_id);
    count_event(l, at_hour, true);
    if (!e->counted) {
        /* Behind the name, packed events are the same for many. */
        start = offsetof(struct audit_event, qname) + offsetof(struct name, data) + e->qname.len;
        shared = place_of(l, STORE_ANSWER, packed + start, len - start, &hash);
        if (shared->hash == 0 || l->next - shared->shared >= LEDGER_SHARED) {
            l->n += shared->hash == 0;
            *shared = (struct place){.hash = hash, .shared = l->next};
            rc = put_answer(l);
        }
        if (rc == 0)
            rc = put_question(l, shared->shared, client, previous, suffix, &name);
    }
    if (rc == 0 && (l->n_touched > TOUCHED - FEW || l->n > PLACES / 2))
        rc = ledger_save(l);
    return rc;
}
