/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what one event does to the rows that it touches.
 *
 * A row is taken from memory, else loaded, else begun; it stays in memory after the commit, so that
 * a client that asks often is read once. Rows are found by a hash with a secret key alone; a name
 * is spelled out only for a row that is not in memory. All of them lie in one arena and are
 * forgotten together. Rows reach SQLite by the dozen: a statement takes BULK.
 *
 * Each event joins a chain (chain.h), of which a segment is a row that is written with them.
 *
 * What many events have in common is a row, too, which is written once and named by the
 * number of its first event, but not LEDGER_SHARED events later: so what only removed
 * events have named can be told by its number.
 */
#include "audit/ledger.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/random.h"
#include "wire/message.h"
#include "wire/types.h"

/* Rows in memory; an event touches fewer than two lists of hosts have octets. */
enum { ROWS = 65536, TOUCHED = ROWS + 2 * AUDIT_HOSTS, PLACES = 2 * ROWS, BULK = 32 };
enum { SKETCH = 32, SLOTS = 16 /* suffixes of a client */ };
enum { KEY_TEXT = NAME_TEXT + 8, SQL_TEXT = 8192 };
enum { IN_SHADOW = -1 };
/* Bits of an event, as the view reads them. */
enum { REPEAT = 1, CACHED = 2, DNSSEC_OK = 4, RD = 8, CD = 16, AD = 32, TCP = 64 };
static const uint64_t hour_ms = 3600000;
/* Of a segment of the chain; as retention removes whole ones, it is short in time, too. */
enum { SEGMENT = 1000 };
static const int64_t segment_ms = 600000;
/* Two suffixes asked within this time are one search. */
static const int64_t same_search_ms = 60000;
/* Of the hashes that are stored. */
static const struct hash_key stored = {0x636c69656e742121u, 0x736b657463682121u};

/* clang-format off */
/* Those of the ledger, which have a name but for the hour, come first. */
enum table { CLIENT, SUFFIX, HOST, RULE, HOUR, LEDGER,
             SLOT = LEDGER, EVENT, ANSWER, CHAIN, TABLES };
enum { NUMBERS = 1 SQL_COMMON(SQL_ONE) SQL_OF_NAME(SQL_ONE), ANSWER_WIDTH = 21 };
static const struct kind {
    const char *name, *columns;
    const char *fixed; /* those that are written once, behind the others */
    int width;         /* all columns, with the id */
    const char *find;  /* the condition on the rows that are wanted */
} kinds[TABLES] = {
    {"client", SQL_CLIENT ",sketch", ",name,salt,digest", 5 SQL_COMMON(SQL_ONE) SQL_OF_CLIENT(SQL_ONE), "name=?"},
    {"suffix", SQL_NAME ",sketch", ",name", NUMBERS + 2, "name=?"},
    {"host", SQL_NAME ",sketch", ",name", NUMBERS + 2, "name=?"},
    {"rule", SQL_NAME ",sketch", ",name", NUMBERS + 2, "name=?"},
    {"hour", SQL_HOUR ",sketch", ",name", 3 SQL_COMMON(SQL_ONE), "id=?"},
    {"client_suffix", SQL_SLOT, "", 5, "id BETWEEN 16*?1 AND 16*?1+15"},
    {"event", SQL_EVENT, "", 13, NULL},
    {"answer", SQL_ANSWER, "", ANSWER_WIDTH, NULL},
    {"chain", SQL_CHAIN, "", 4, "id=(SELECT max(id) FROM chain)"},
};
/* clang-format on */

/* What a column is given; a text that is NULL is NULL there. */
struct value {
    enum { IS_NUMBER, IS_TEXT, IS_BLOB } is;
    int64_t n; /* or how many octets */
    const void *p;
};
/* clang-format off */
#define N(x) {IS_NUMBER, (int64_t)(x), NULL}
#define T(x) {IS_TEXT, 0, x}
#define T_OR_NULL(x) T((x)[0] != '\0' ? (x) : NULL)
/* clang-format on */
static const struct value nothing = T(NULL);

/* One suffix of a client; 0: there is none. */
struct slot {
    int64_t last;
    uint32_t suffix;
    uint8_t verdict, outcome;
    bool touched;
};

#define MEMBER(name) int64_t name;
struct row {
    const char *name;             /* of a new one, until it is written */
    uint8_t salt[CHAIN_DIGEST];   /* the same of a client */
    uint8_t digest[CHAIN_DIGEST]; /* of a client, with its salt; of a suffix */
    enum table table;
    uint8_t n_sketch;
    bool touched, other;
    uint64_t count; /* of the last event that was counted in it */
    union {
        int64_t numbers[NUMBERS];
        /* clang-format off */
        struct {
            int64_t id;
            SQL_COMMON(MEMBER)
            union {
                struct { SQL_OF_CLIENT(MEMBER) };
                struct { SQL_OF_NAME(MEMBER) };
            };
        };
        /* clang-format on */
    };
    union {
        struct slot slots[SLOTS]; /* of a client */
        uint32_t sketch[SKETCH];  /* of a name: smallest hashes of clients */
    };
};

/* In numbers[], an outcome's place without its number: passed is behind attempts. */
enum { OUTCOME_NUMBER = (offsetof(struct row, attempts) - offsetof(struct row, id)) / 8 };

struct ledger {
    struct audit_store *store;
    sqlite3_stmt *find[TABLES]; /* of a name or hour, slots of a client, the end of the chain */
    struct {
        sqlite3_stmt *q;
        int rows; /* that wait in it */
    } put[TABLES];
    const struct audit_event *event; /* that is being added */
    uint64_t count;                  /* of events, as of this one */
    uint32_t client;                 /* hash of its client */
    const char *forwarder;
    struct hash_key secret;
    struct random random;
    struct chain *digest, *chain; /* for what is made at once; of the segment */
    struct segment {
        int64_t first, last, first_ms;                /* first 0: it has no record yet */
        uint8_t before[CHAIN_HEAD], head[CHAIN_HEAD]; /* head: when it was last asked for */
    } segment;                                        /* of the chain, at its end */
    bool untold;                                      /* the head, by a record */
    struct arena *arena;                              /* rows */
    struct row spare;                                 /* of an event that there is no memory for */
    struct {
        long long n_of[LEDGER], last_id[LEDGER]; /* of each table: rows, and the id given last */
        long long next;                          /* number of the next event; 0: nothing is known */
    } known;
    int64_t most_clients, most_names;
    size_t n, n_touched;
    struct place {
        uint64_t hash; /* 0: empty */
        union {
            struct row *row;
            struct shared {     /* what events have in common */
                int64_t number; /* of the answer; 0: none is recorded */
                uint8_t digest[CHAIN_DIGEST];
                struct row *rule, *host; /* once found; host: the only one that it gives */
            } * shared;
        };
    } places[PLACES]; /* open addressing */
    /* In the order of the tables, so that their pages are visited once each. */
    struct touched {
        uint64_t order;
        struct row *row;
    } touched[TOUCHED];
};

/* Those of a table: that which writes BULK rows, of which those without an id are not
 * there; that which finds the row of a name or hour. */
static int prepare_rows(struct ledger *l, enum table t)
{
    const struct kind *k = &kinds[t];
    char text[SQL_TEXT];
    struct str sql;
    int rc;

    str_init(&sql, text, sizeof text);
    str_addf(&sql, "INSERT%s INTO %s(id%s%s)", t == SLOT || t == CHAIN ? " OR REPLACE" : "",
             k->name, k->columns, k->fixed);
    for (int row = 0; row < BULK; row++) {
        str_add(&sql, row > 0 ? " UNION ALL SELECT ?" : " SELECT ?");
        for (int i = 1; i < k->width; i++)
            str_add(&sql, ",?");
        str_addf(&sql, " WHERE ?%d NOTNULL", row * k->width + 1);
    }
    if (t < LEDGER) /* where it is there, what is fixed stays, and its place in the index */
        str_addf(&sql, " ON CONFLICT(id) DO UPDATE SET (%s)=(", k->columns + 1);
    for (const char *c = k->columns; t < LEDGER && c != NULL; c = strchr(c + 1, ','))
        str_addf(&sql, "%sexcluded.%.*s", c == k->columns ? "" : ",", (int)strcspn(c + 1, ","),
                 c + 1);
    str_add(&sql, t < LEDGER ? ")" : "");
    rc = audit_store_prepare(l->store, text, &l->put[t].q);
    if (rc != 0 || k->find == NULL)
        return rc;
    snprintf(text, sizeof text, "SELECT id%s%s FROM %s WHERE %s", k->columns,
             t == CLIENT ? ",digest" : "", k->name, k->find);
    return audit_store_prepare(l->store, text, &l->find[t]);
}

static void flush_rows(struct ledger *l, enum table t)
{
    for (int i = l->put[t].rows; i > 0 && i < BULK; i++)
        sqlite3_bind_null(l->put[t].q, i * kinds[t].width + 1); /* no row has that id */
    if (l->put[t].rows > 0)
        (void)audit_store_step(l->store, l->put[t].q);
    l->put[t].rows = 0;
}

/* Writes a row, once there are BULK; columns behind the nth are NULL. */
static void put_row(struct ledger *l, enum table t, const struct value *v, int n)
{
    sqlite3_stmt *q = l->put[t].q;
    int at = l->put[t].rows * kinds[t].width + 1;

    for (int i = 0; i < kinds[t].width; i++, at++)
        if (i < n && v[i].is == IS_NUMBER)
            sqlite3_bind_int64(q, at, v[i].n);
        else if (i < n && v[i].is == IS_BLOB)
            sqlite3_bind_blob(q, at, v[i].p, (int)v[i].n, SQLITE_STATIC);
        else
            sqlite3_bind_text(q, at, i < n ? v[i].p : NULL, -1, SQLITE_TRANSIENT);
    if (++l->put[t].rows == BULK)
        flush_rows(l, t);
}

int ledger_new(struct ledger **out, struct audit_store *store, const char *forwarder)
{
    struct ledger *l = *out = calloc(1, sizeof *l);
    int rc = 0;

    if (l == NULL || (l->chain = chain_new()) == NULL || (l->digest = chain_new()) == NULL)
        return -ENOMEM;
    random_bytes(&l->random, &l->secret, sizeof l->secret);
    l->store = store;
    l->forwarder = forwarder;
    for (enum table t = 0; t < TABLES && rc == 0; t++)
        rc = prepare_rows(l, t);
    return rc;
}

void ledger_bounds(struct ledger *l, uint64_t clients, uint64_t names)
{
    l->most_clients = (int64_t)clients;
    l->most_names = (int64_t)names;
    ledger_clear(l);
}

void ledger_clear(struct ledger *l)
{
    arena_free(l->arena);
    memset(l->places, 0, sizeof l->places);
    for (enum table t = 0; t < TABLES; t++)
        l->put[t].rows = 0;
    l->arena = NULL;
    l->n = l->n_touched = 0;
    l->known.next = l->segment.first = 0;
}

/* Zeroed; without memory it is always the same. */
static void *allocate(struct ledger *l, size_t size)
{
    void *p = NULL;

    if (l->arena != NULL || (l->arena = arena_new()) != NULL)
        p = arena_alloc(l->arena, size);
    if (p)
        return p;
    audit_store_fail(l->store, -ENOMEM);
    return memset(&l->spare, 0, sizeof l->spare);
}

void ledger_free(struct ledger *l)
{
    if (l) {
        arena_free(l->arena);
        chain_free(l->chain);
        chain_free(l->digest);
    }
    free(l); /* the statements end with the store */
}

/* The place of a key, empty when it is new: the octets of an address or of a name, the text of a
 * host or rule, an hour; none: the row (other). */
static struct place *place_of(struct ledger *l, enum table t, const void *key, size_t len)
{
    const struct hash_key secret = {l->secret.k0 ^ (uint64_t)t, l->secret.k1};
    const uint64_t hash = hash_bytes(&secret, key, len) | 1;
    struct place *p = &l->places[hash >> 32 & (PLACES - 1)];

    while (p->hash != 0 && p->hash != hash)
        p = p + 1 < l->places + PLACES ? p + 1 : l->places;
    l->n += p->hash == 0;
    p->hash = hash;
    return p;
}

/* The name of its row in the database. */
static const char *name_of(enum table t, const void *key, size_t len, char out[KEY_TEXT])
{
    struct cursor c = cursor_make(key, len);
    struct name name;

    if (len == 0) {
        str_copy(out, KEY_TEXT, "(other)");
    } else if (t == HOUR) {
        snprintf(out, KEY_TEXT, "%lld", *(const long long *)key);
    } else if (t == CLIENT) {
        audit_client_print(key, out);
    } else if (t == RULE || t == HOST) {
        str_copy(out, KEY_TEXT, key);
    } else {
        name_read(&c, &name);
        name_print(&name, out);
    }
    return out;
}

/* The digest of a text, behind a salt if there is one. */
static void digest_text(struct ledger *l, const uint8_t *salt, const char *text,
                        uint8_t digest[CHAIN_DIGEST])
{
    chain_begin(l->digest, NULL);
    if (salt)
        chain_value(l->digest, salt, CHAIN_DIGEST);
    chain_value(l->digest, text, strlen(text));
    chain_end(l->digest, digest);
}

/* The row of a key that is not in memory: it is loaded, or begun; NULL: there are too many. */
static struct row *load_row(struct ledger *l, enum table t, const void *key, size_t len)
{
    const int64_t most = t == CLIENT ? l->most_clients : t == HOUR ? INT64_MAX : l->most_names;
    const int n = kinds[t].width - 2 - 2 * (t == CLIENT);
    sqlite3_stmt *q = l->find[t];
    char name[KEY_TEXT];
    struct row *r;
    bool is_new;
    int size;

    sqlite3_bind_text(q, 1, name_of(t, key, len, name), -1, SQLITE_STATIC);
    is_new = audit_store_step(l->store, q) != 1;
    if (is_new && len > 0 && l->known.n_of[t] >= most)
        return NULL;
    /* Slots are most of a row. */
    r = allocate(l, t == CLIENT ? sizeof *r : offsetof(struct row, sketch[SKETCH]));
    r->table = t;
    r->other = len == 0;
    if (is_new && t == CLIENT && !r->other) {
        random_bytes(&l->random, r->salt, CHAIN_DIGEST);
        digest_text(l, r->salt, name, r->digest);
    } else if (t == SUFFIX) {
        digest_text(l, NULL, name, r->digest);
    }
    if (is_new) {
        l->known.n_of[t]++;
        r->id = t == HOUR ? strtoll(name, NULL, 10) : ++l->known.last_id[t];
        r->name = l->arena ? arena_strndup(l->arena, name, sizeof name) : NULL;
        if (r->name == NULL)
            audit_store_fail(l->store, -ENOMEM);
        return r;
    }
    for (int i = 0; i < n; i++)
        r->numbers[i] = sqlite3_column_int64(q, i);
    size = sqlite3_column_bytes(q, n);
    if (t != CLIENT && size > 0 && size <= (int)sizeof r->sketch) {
        memcpy(r->sketch, sqlite3_column_blob(q, n), (size_t)size);
        r->n_sketch = (uint8_t)((size_t)size / sizeof *r->sketch);
    }
    if (t == CLIENT && sqlite3_column_bytes(q, n + 1) == CHAIN_DIGEST)
        memcpy(r->digest, sqlite3_column_blob(q, n + 1), CHAIN_DIGEST);
    sqlite3_reset(q);
    q = l->find[SLOT];
    sqlite3_bind_int64(q, 1, r->id);
    while (t == CLIENT && audit_store_step(l->store, q) == 1) {
        r->slots[sqlite3_column_int64(q, 0) % SLOTS] = (struct slot){
            .suffix = (uint32_t)sqlite3_column_int64(q, 1),
            .last = sqlite3_column_int64(q, 2),
            .verdict = (uint8_t)sqlite3_column_int(q, 3),
            .outcome = (uint8_t)sqlite3_column_int(q, 4),
        };
    }
    return r;
}

/* The row of a key, or of (other) when there are too many. */
static struct row *find_row(struct ledger *l, enum table t, const void *key, size_t len)
{
    struct place *place = place_of(l, t, key, len);

    if (place->row == NULL && (place->row = load_row(l, t, key, len)) == NULL)
        place->row = find_row(l, t, NULL, 0);
    return place->row;
}

static int by_order(const void *a, const void *b)
{
    const struct touched *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

/* Writes the segment as far as it has come. */
static void save_segment(struct ledger *l)
{
    struct segment *s = &l->segment;
    const struct value row[] = {
        N(s->first), N(s->last), {IS_BLOB, CHAIN_HEAD, s->before}, {IS_BLOB, CHAIN_HEAD, s->head}};

    if (s->first == 0)
        return;
    chain_head(l->chain, s->head);
    put_row(l, CHAIN, row, 4);
    flush_rows(l, CHAIN);
}

static void chain_join(struct chain *c, const struct value *v)
{
    if (v->is == IS_NUMBER)
        chain_number(c, v->n);
    else
        chain_value(c, v->p, v->p ? strlen(v->p) : 0);
}

/* A row of event joins the chain, with the digest of its answer; of a question (suffix is not NULL)
 * also those of its suffix and of its client, NULL: which has no row. */
static void add_to_chain(struct ledger *l, const struct value *row, int n, const uint8_t *answer,
                         const uint8_t *suffix, const uint8_t *client)
{
    enum { ID, MS, ASKED = 5, PORT, PREVIOUS = 12 /* which may change */ };
    struct segment *s = &l->segment;
    uint8_t who[CHAIN_DIGEST];

    if (s->first != 0 &&
        (s->last - s->first + 1 >= SEGMENT || llabs(row[MS].n - s->first_ms) > segment_ms)) {
        save_segment(l);
        s->first = 0;
    }
    if (s->first == 0) {
        s->first = row[ID].n;
        s->first_ms = row[MS].n;
        memcpy(s->before, s->head, CHAIN_HEAD);
        chain_begin(l->chain, s->head);
    }
    s->last = row[ID].n;
    l->untold = l->event->kind != AUDIT_HEAD;
    chain_number(l->chain, row[ID].n);
    chain_number(l->chain, row[MS].n);
    chain_value(l->chain, answer, CHAIN_DIGEST);
    if (suffix) {
        chain_begin(l->digest, NULL);
        chain_value(l->digest, client, CHAIN_DIGEST);
        chain_number(l->digest, row[ID].n);
        chain_end(l->digest, who);
    }
    chain_value(l->chain, suffix ? who : NULL, CHAIN_DIGEST);
    chain_value(l->chain, suffix, CHAIN_DIGEST);
    for (int i = ASKED; i < PREVIOUS; i++)
        chain_join(l->chain, i < n ? &row[i] : &nothing);
}

void ledger_save(struct ledger *l)
{
    save_segment(l);
    qsort(l->touched, l->n_touched, sizeof *l->touched, by_order);
    for (size_t i = 0; i < l->n_touched; i++) {
        struct row *r = l->touched[i].row;
        const int n = kinds[r->table].width - 2 - 2 * (r->table == CLIENT);
        struct value v[NUMBERS + 4];

        for (int k = 0; k < n; k++)
            v[k] = (struct value)N(r->numbers[k]);
        v[n] = (struct value){IS_BLOB, r->n_sketch * (int64_t)sizeof *r->sketch,
                              r->n_sketch > 0 ? r->sketch : NULL};
        v[n + 1] = (struct value)T(r->name);
        v[n + 2] = (struct value){IS_BLOB, CHAIN_DIGEST, r->other ? NULL : r->salt};
        v[n + 3] = (struct value){IS_BLOB, CHAIN_DIGEST, r->digest};
        put_row(l, r->table, v, n + (r->table == CLIENT ? 4 : 2));
        r->touched = false;
        r->name = NULL;
        for (int k = 0; r->table == CLIENT && k < SLOTS; k++) {
            struct slot *s = &r->slots[k];
            const struct value slot[] = {N(SLOTS * r->id + k), N(s->suffix), N(s->last),
                                         N(s->verdict), N(s->outcome)};

            if (s->touched)
                put_row(l, SLOT, slot, 5);
            s->touched = false;
        }
    }
    for (enum table t = 0; t < TABLES; t++)
        flush_rows(l, t);
    l->n_touched = 0;
    if (l->n > ROWS)
        ledger_clear(l);
}

/* What the event does to every row that it touches. decided: its outcome is the row's
 * too; false: of a rule in shadow. */
static void count_event(struct ledger *l, struct row *r, bool decided)
{
    const struct audit_event *e = l->event;
    int64_t ms = (int64_t)e->wall_ms;

    if (decided) {
        r->questions++;
        r->attempts += !e->repeat;
        r->numbers[OUTCOME_NUMBER + e->outcome]++;
    }
    if (r->first == 0 || ms < r->first)
        r->first = ms;
    if (ms > r->last)
        r->last = ms;
    r->count = l->count;
    if (!e->counted)
        r->event = l->known.next;
    if (!r->touched)
        l->touched[l->n_touched++] =
            (struct touched){(uint64_t)r->table << 56 | (uint64_t)r->id, r};
    r->touched = true;
}

/* The row of a name. rule: the row of the rule that decided, 0 = none; IN_SHADOW: the
 * name is that of a rule that would have. */
static void add_name(struct ledger *l, struct row *r, int64_t rule)
{
    int n, i;

    r->verdict = l->event->verdict;
    if (rule != IN_SHADOW) {
        r->outcome = l->event->outcome;
        r->rule = rule;
    } else {
        r->would++;
    }
    count_event(l, r, rule != IN_SHADOW);
    /* The SKETCH smallest hashes of clients, sorted. */
    for (i = n = r->n_sketch; i > 0 && r->sketch[i - 1] > l->client; i--)
        ;
    if (i == SKETCH || (i > 0 && r->sketch[i - 1] == l->client))
        return;
    n += n < SKETCH;
    memmove(r->sketch + i + 1, r->sketch + i, (size_t)(n - 1 - i) * sizeof *r->sketch);
    r->sketch[i] = l->client;
    r->n_sketch = (uint8_t)n;
    /* The k-th smallest of n evenly spread ones lies at k/(n+1) of their range. */
    r->clients = n < SKETCH ? n : (n - 1ll) * UINT32_MAX / ((int64_t)r->sketch[SKETCH - 1] + 1);
}

/* A list of hosts, to be taken apart. */
static char *fold_hosts(char out[AUDIT_HOSTS], const char *list)
{
    name_fold_copy((uint8_t *)out, (const uint8_t *)list, strlen(list) + 1);
    return out;
}

/* What is known of a host from the first answer of the real DNS that names it though the policy
 * does not; nothing once the policy does. client: its row; told: that of the answer. */
static void note_unapproved(const struct ledger *l, struct row *r, const char *host,
                            const struct row *client, int64_t told)
{
    char list[AUDIT_HOSTS], *rest = fold_hosts(list, l->event->unapproved), *at;

    while ((at = strsep(&rest, " ")) != NULL && strcmp(at, host) != 0)
        ;
    if (at == NULL) {
        r->unapproved = r->asker = r->told = 0;
    } else if (r->unapproved == 0) {
        r->unapproved = (int64_t)l->event->wall_ms;
        r->asker = client->other ? 0 : client->id;
        r->told = told;
    }
}

static void add_target(struct ledger *l, struct row *r, bool given, int64_t rule)
{
    if (r->count == l->count)
        return;
    add_name(l, r, rule);
    r->delivered += given;
}

/* Each target once: those that the client was given, or else those of the real answer.
 * The row of the first, or 0. */
static int64_t add_targets(struct ledger *l, bool given, int64_t rule, const struct row *client,
                           struct shared *answer)
{
    char list[AUDIT_HOSTS] UNINITIALIZED,
        *rest = fold_hosts(list, given ? l->event->answer : l->event->real);
    struct row *first = NULL;

    for (char *host; (host = strsep(&rest, " ")) != NULL && *host != '\0';) {
        struct row *r = find_row(l, HOST, host, strlen(host));

        if (given && !first)
            answer->host = rest ? NULL : r;
        first = first ? first : r;
        add_target(l, r, given, rule);
        if (!given)
            note_unapproved(l, r, host, client, answer->number);
    }
    return first ? first->id : 0;
}

/* suffix: its row; host: of the first host that the client was given. */
static void add_client(struct ledger *l, struct row *r, const struct row *suffix, int64_t host)
{
    const struct audit_event *e = l->event;
    bool asks = e->outcome != OUTCOME_UPDATE && (e->qtype == TYPE_SRV || e->qtype == TYPE_ANY);
    int64_t ms = (int64_t)e->wall_ms, gap = r->last > 0 ? ms - r->last : 0;
    int i = 0;

    /* The suffix's place in the list, or one that is free; or of what was asked for longest ago. */
    for (int k = 0; k < SLOTS && r->slots[i].suffix != suffix->id; k++)
        if (r->slots[k].suffix == suffix->id || r->slots[k].last < r->slots[i].last)
            i = k;
    r->slots[i] = (struct slot){ms, (uint32_t)suffix->id, e->verdict, e->outcome, true};
    if (gap >= same_search_ms && !e->repeat && !r->other)
        r->cadence_s = r->cadence_s == 0 ? gap / 1000 : (3 * r->cadence_s + gap / 1000) / 4;
    if (asks && e->answer[0] != '\0') {
        r->host = host;
        r->host_at = ms;
        r->no_host_since = 0;
    } else if (asks && r->no_host_since == 0 && ms > r->host_at) {
        /* Of questions that workers took in one millisecond nobody knows the order. */
        r->no_host_since = ms;
    }
    count_event(l, r, true);
}

/* What the event says that others say as well, and all of a control record. */
static void put_answer(struct ledger *l, uint8_t digest[CHAIN_DIGEST])
{
    const struct audit_event *e = l->event;
    const bool lost = e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE;
    char type[TYPE_TEXT], rcode[TYPE_TEXT], real_rcode[TYPE_TEXT], server[ADDR_TEXT];
    const struct value row[] = {
        N(l->known.next),
        N(audit_client_error(e) & 0xffff),
        {lost ? IS_NUMBER : IS_TEXT, (int64_t)e->lost, NULL},
        {lost ? IS_NUMBER : IS_TEXT, (int64_t)e->lost_from_ms, NULL},
        T(l->forwarder),
        T(audit_kind_names[e->kind]),
        T_OR_NULL(e->text),
        T(type_print(e->qtype, type)), /* from here on, of a question */
        T(outcome_names[e->outcome]),
        T(reason_names[e->reason]),
        T(e->verdict > 0 ? verdict_names[e->verdict] : NULL),
        T(addr_is(&e->server, ADDR_ANY) ? NULL : addr_print_port(&e->server, server)),
        T(rcode_print(e->real_rcode, real_rcode)),
        T(e->real),
        T(e->unapproved),
        T(rcode_print(e->rcode, rcode)),
        T(e->answer),
        T_OR_NULL(e->rule),
        T(e->would > 0 ? outcome_names[e->would] : NULL),
        T_OR_NULL(e->would_rule),
        T_OR_NULL(e->networks),
    };
    const int n = e->kind == AUDIT_EVENT ? ANSWER_WIDTH : 7;

    chain_begin(l->digest, NULL);
    chain_value(l->digest, "answer", 6);
    for (int i = 1; i < ANSWER_WIDTH; i++)
        chain_join(l->digest, i < n ? &row[i] : &nothing);
    chain_end(l->digest, digest);
    put_row(l, ANSWER, row, n);
}

/* What the question has in common with others. */
static struct shared *share_answer(struct ledger *l, const struct audit_record *record)
{
    /* Behind the name, packed events are the same for many. */
    const size_t start = offsetof(struct audit_event, qname.data) + l->event->qname.len;
    struct place *p =
        place_of(l, ANSWER, (const uint8_t *)&record->event + start, record->len - start);

    if (p->shared == NULL)
        p->shared = allocate(l, sizeof *p->shared);
    if (p->shared->number == 0 || l->known.next - p->shared->number >= LEDGER_SHARED) {
        p->shared->number = l->known.next;
        put_answer(l, p->shared->digest);
    }
    return p->shared;
}

/* The number of a row, or, where it is that of (other), the name of the key. */
static struct value reference(const struct row *r, const void *key, size_t len, char text[KEY_TEXT])
{
    return r->other ? (struct value)T(name_of(r->table, key, len, text)) : (struct value)N(r->id);
}

/* The row of a question. answer: what it has in common with others; the rows of its
 * client and of its suffix, the name. */
static void put_question(struct ledger *l, const struct shared *answer, const struct row *client,
                         int64_t previous, const struct row *suffix, const struct name *name)
{
    const struct audit_event *e = l->event;
    char text[NAME_TEXT] UNINITIALIZED, client_name[KEY_TEXT] UNINITIALIZED,
        suffix_name[KEY_TEXT] UNINITIALIZED;
    static const uint8_t discovery[] = "\6_vlmcs\4_tcp";
    const size_t before = sizeof discovery - 1;
    /* The name as it was asked, when it is not what the suffix's text says. */
    const bool plain = e->qname.len == before + name->len &&
                       memcmp(e->qname.data, discovery, before) == 0 &&
                       memcmp(e->qname.data + before, name->data, name->len) == 0 &&
                       (name->len == 1 || name->data[name->len - 2] != '.');
    const struct value row[] = {
        N(l->known.next++),
        N(e->wall_ms),
        N(answer->number),
        reference(client, e->client.ip, sizeof e->client.ip, client_name),
        reference(suffix, name->data, name->len, suffix_name),
        T(plain ? NULL : name_print(&e->qname, text)),
        N(e->client.port),
        N(e->id),
        N((e->repeat ? REPEAT : 0) | (e->cached ? CACHED : 0) | (e->edns_do ? DNSSEC_OK : 0) |
          (e->flags & DNS_RD ? RD : 0) | (e->flags & DNS_CD ? CD : 0) |
          (e->flags & DNS_AD ? AD : 0) | (e->transport == AUDIT_TCP ? TCP : 0)),
        N(e->policy_serial),
        N(e->real_ms),
        N(e->latency_us),
        N(previous),
    };
    uint8_t digest[CHAIN_DIGEST];

    memcpy(digest, suffix->digest, sizeof digest);
    if (suffix->other)
        digest_text(l, NULL, suffix_name, digest);
    add_to_chain(l, row, ARRAY_LEN(row), answer->digest, digest,
                 client->other ? NULL : client->digest);
    put_row(l, EVENT, row, ARRAY_LEN(row));
}

#define COUNT(table) "(SELECT count(*) FROM " table "),"
#define LAST(table) "(SELECT seq FROM sqlite_sequence WHERE name='" table "'),"
static const char known_sql[] = "SELECT " COUNT("client") COUNT("suffix") COUNT("host")
    COUNT("rule") COUNT("hour") LAST("client") LAST("suffix") LAST("host") LAST("rule")
        LAST("hour") "(SELECT ifnull(max(id),0)+1 FROM event)";

/* Reads what the database has, if need be, and where its chain ends. False: there was an error. */
static bool know(struct ledger *l)
{
    sqlite3_stmt *q = l->find[CHAIN];

    if (l->known.next != 0)
        return true;
    memset(&l->segment, 0, sizeof l->segment);
    if (audit_store_step(l->store, q) == 1) {
        if (sqlite3_column_bytes(q, 3) == CHAIN_HEAD)
            memcpy(l->segment.head, sqlite3_column_blob(q, 3), CHAIN_HEAD);
        sqlite3_reset(q);
    }
    return audit_sql(l->store, (void *)&l->known, known_sql) == 1;
}

void ledger_cut(struct ledger *l)
{
    (void)know(l);
    l->segment.first = 0;
}

bool ledger_head(struct ledger *l, char *out, size_t size)
{
    struct str s;

    if (!know(l) || !l->untold)
        return false;
    if (l->segment.first != 0)
        chain_head(l->chain, l->segment.head);
    str_init(&s, out, size);
    for (size_t i = 0; i < CHAIN_HEAD; i++)
        str_addf(&s, "%02x", l->segment.head[i]);
    str_addf(&s, " up to record %lld", l->known.next - 1);
    return true;
}

void ledger_add(struct ledger *l, const struct audit_event *e, const struct audit_record *record)
{
    const long long hour = (long long)(e->wall_ms / hour_ms);
    struct shared none = {.number = 0}, *answer = &none;
    int64_t rule = 0, host, previous;
    struct row *suffix, *client;
    struct name name;

    if (!know(l))
        return;
    l->event = e;
    if (e->kind != AUDIT_EVENT) {
        const struct value row[] = {N(l->known.next), N(e->wall_ms), N(l->known.next)};

        put_answer(l, none.digest);
        add_to_chain(l, row, 3, none.digest, NULL, NULL);
        l->known.next++;
        put_row(l, EVENT, row, 3);
        return;
    }
    l->count++;
    /* Of its row, which stays when its address is forgotten: of the address it could be found by trying. */
    client = find_row(l, CLIENT, e->client.ip, sizeof e->client.ip);
    l->client = (uint32_t)(client->other ? hash_bytes(&l->secret, e->client.ip, sizeof e->client.ip)
                                         : hash_bytes(&stored, &client->id, sizeof client->id));
    name = e->qname; /* an UPDATE names its zone */
    if (name_is_vlmcs(&name))
        name_parent(&e->qname, 2, &name);
    name_fold(&name);
    if (!e->counted)
        answer = share_answer(l, record);
    if (e->rule[0] != '\0') {
        if (!answer->rule)
            answer->rule = find_row(l, RULE, e->rule, strlen(e->rule));
        add_name(l, answer->rule, 0);
        rule = answer->rule->id;
    }
    if (e->would_rule[0] != '\0')
        add_name(l, find_row(l, RULE, e->would_rule, strlen(e->would_rule)), IN_SHADOW);
    if (answer->host)
        add_target(l, answer->host, true, rule);
    host = answer->host ? answer->host->id : add_targets(l, true, rule, client, answer);
    if (e->real[0] != '\0')
        (void)add_targets(l, false, rule, client, answer);
    suffix = find_row(l, SUFFIX, name.data, name.len);
    previous = client->other ? 0 : client->event;
    add_name(l, suffix, rule);
    add_client(l, client, suffix, host);
    count_event(l, find_row(l, HOUR, &hour, sizeof hour), true);
    if (!e->counted)
        put_question(l, answer, client, previous, suffix, &name);
    if (l->n > ROWS)
        ledger_save(l);
}
