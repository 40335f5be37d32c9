/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.c -- keys and values of the policy in the store, and who reads them.
 *
 * A sort key (wire/name.h) has labels from the root on, each ended by 0 and never empty; one more 0
 * behind it therefore sorts before all names below, and the entries of one name lie together, right
 * before those. Names without octets 0 and 1 always fit: 1 + 254 + 3 + 63 octets.
 *
 * Numbers in a value are those of this machine, as in LMDB's own pages: most of a rule is its
 * struct as it is, with zeroes behind the ends of its texts. Actions, modes and the bits of `when`
 * are stored as they are: their enums grow at the end only. A value with a good checksum may still
 * come from another program: every field is checked, and no octet may be left over.
 */
#include "policy/records.h"

#include <stdlib.h>

enum { RECORD_LOG_MAX = 8192, PRUNE = 1000 };

const enum policy_table policy_tables[POLICY_KINDS] = {TABLE_NETWORK, TABLE_POOL, TABLE_LISTED,
                                                       TABLE_RULE};

/* Whose domain a number follows. */
static const uint8_t numbered[] = {TABLE_LISTED, TABLE_APPROVED, TABLE_RULE_SUFFIX};

void key_make(struct store_key *k, enum policy_table table, const struct key_parts *p)
{
    struct writer w = writer_make(k->data, sizeof k->data);
    size_t n;

    writer_u8(&w, (uint8_t)table);
    if (p->front != NULL) {
        writer_bytes(&w, p->front, strnlen(p->front, POLICY_NAME));
        writer_u8(&w, 0);
    }
    if (p->ip != NULL && table == TABLE_PREFIX)
        writer_u8(&w, (uint8_t)(128 - p->number));
    if (p->ip != NULL)
        writer_bytes(&w, p->ip, 16);
    if (p->domain != NULL) {
        if (p->domain->labels > 0) {
            n = name_sort_key(p->domain, k->data + w.len, w.size - w.len);
            w.len += n;
            w.full = n == 0;
        }
        writer_u8(&w, 0);
        if (memchr(numbered, (int)table, sizeof numbered) != NULL)
            writer_u16(&w, (uint16_t)p->number);
    }
    if (p->owner != NULL)
        writer_bytes(&w, p->owner, strnlen(p->owner, POLICY_NAME));
    k->len = w.full ? 0 : w.len;
}

void key_named(struct store_key *k, enum policy_table table, const char *owner)
{
    key_make(k, table, &(struct key_parts){.owner = owner});
}

void key_suffix(struct store_key *k, const struct suffix *s, const char *rule)
{
    key_make(k, s->below ? TABLE_BELOW : TABLE_SUFFIX,
             &(struct key_parts){.domain = &s->name, .owner = rule});
}

void key_object(struct store_key *k, enum policy_kind kind, const void *object)
{
    const struct policy_approved *a = object;

    if (kind == POLICY_APPROVED)
        key_make(k, TABLE_LISTED, &(struct key_parts){.domain = &a->target, .number = a->port});
    else
        key_named(k, policy_tables[kind], object);
}

bool record_name(char out[POLICY_NAME], const uint8_t *data, size_t len)
{
    if (len == 0 || len >= POLICY_NAME || memchr(data, 0, len) != NULL)
        return false;
    memcpy(out, data, len);
    out[len] = '\0';
    return true;
}

/* A text ends with 0. */
static void text_read(struct cursor *c, char *out, size_t size)
{
    size_t n = strnlen((const char *)c->pos, cursor_left(c)) + 1;
    const uint8_t *text = cursor_take(c, n);

    if (text != NULL && n <= size)
        memcpy(out, text, n);
    else
        c->bad = true;
}

/* A sort key, and the 0 behind it. */
static void domain_read(struct cursor *c, struct name *out)
{
    size_t left = cursor_left(c), n = left;
    const uint8_t *key = c->pos, *end = memmem(key, left, "\0", 2);

    if (left > 0 && key[0] == 0)
        n = 0;
    else if (end != NULL)
        n = (size_t)(end + 1 - key);
    if (cursor_take(c, n + 1) == NULL || !name_from_sort_key(key, n, out))
        c->bad = true;
}

bool key_read(const struct store_bytes *k, struct policy_key *out)
{
    struct cursor c = cursor_make(k->data, k->len);
    uint8_t table = cursor_u8(&c);
    bool is_front = table == TABLE_RULE_SUFFIX;
    const uint8_t *ip;
    size_t n;

    if (is_front)
        text_read(&c, out->front, sizeof out->front);
    if (table == TABLE_PREFIX) {
        n = cursor_u8(&c);
        ip = cursor_take(&c, 16);
        if (n > 128 || ip == NULL)
            return false;
        out->prefix.len = (uint8_t)(128 - n);
        memcpy(out->prefix.ip, ip, 16);
    }
    if (memchr("stblAH", table, 6) != NULL) { /* those with a domain */
        domain_read(&c, &out->suffix.name);
        out->port = memchr(numbered, table, sizeof numbered) != NULL ? cursor_u16(&c)
                                                                     : table == TABLE_BELOW;
        if (table == TABLE_RULE_SUFFIX && out->port > 1)
            return false;
        out->suffix.below = out->port == 1;
    }
    if (c.bad || (is_front && out->front[0] == '\0'))
        return false;
    n = cursor_left(&c);
    if (is_front || table == TABLE_LISTED)
        return n == 0;
    return record_name(out->owner, cursor_take(&c, n), n);
}

int entry_step(struct store_txn *t, enum store_step step, const struct store_key *k,
               struct store_bytes *rest)
{
    struct store_record r;
    int rc = store_step(t, step, k, 1, &r);

    if (rc == 0 && r.key.len > k->len && memcmp(r.key.data, k->data, k->len) == 0) {
        *rest = (struct store_bytes){r.key.data + k->len, r.key.len - k->len};
        return 0;
    }
    if (step != STORE_SEEK || (rc != 0 && rc != -ENOENT))
        return rc != 0 ? rc : -ENOENT;
    rc = store_step(t, STORE_PREV, k, 1, &r);
    *rest = r.key;
    if (rc == 0)
        rc = store_compare(&r.key, k) < 0 ? -ENOENT : -EBADMSG;
    return rc;
}

enum {
    RULE_FIRST = offsetof(struct policy_rule, from_ms),
    RULE_SIZE = offsetof(struct policy_rule, break_dnssec) + 1 - RULE_FIRST,
    HOST_FIRST = offsetof(struct policy_host, port),
    HOST_SIZE = 8,
};
_Static_assert(RULE_SIZE == 2 * 8 + 4 * 4 + POLICY_NAME + POLICY_COMMENT + 1, "it has no holes");
_Static_assert(offsetof(struct policy_host, n_addresses) + 1 - HOST_FIRST == HOST_SIZE, "nor this");
_Static_assert(sizeof(struct prefix) == 17, "nor this");

bool rule_read(struct policy_rule *r, const struct store_bytes *value)
{
    char(*networks)[POLICY_NAME] = (void *)(uintptr_t)(value->data + RULE_SIZE);
    size_t n = value->len < RULE_SIZE ? SIZE_MAX : (value->len - RULE_SIZE) / POLICY_NAME;

    if (n > POLICY_RULE_NETWORKS || RULE_SIZE + n * POLICY_NAME != value->len ||
        value->data[RULE_SIZE - 1] > 1) /* break_dnssec */
        return false;
    for (size_t i = 0; i < n; i++)
        if (networks[i][0] == '\0' || memchr(networks[i], 0, POLICY_NAME) == NULL)
            return false;
    memcpy((char *)r + RULE_FIRST, value->data, RULE_SIZE);
    if (r->action >= ACTIONS || r->mode >= MODES || r->when == 0 ||
        (r->when != policy_actions[r->action].when && r->when != policy_actions[r->action].other) ||
        memchr(r->pool, 0, sizeof r->pool) == NULL ||
        memchr(r->comment, 0, sizeof r->comment) == NULL)
        return false;
    r->networks = networks;
    r->n_networks = n;
    return true;
}

bool pool_read(struct policy_pool *p, const struct store_bytes *value)
{
    struct cursor c = cursor_make(value->data, value->len);
    uint8_t allows = cursor_u8(&c), n = cursor_u8(&c);

    p->n = 0;
    p->allow_public = allows != 0;
    if (n > POLICY_POOL_HOSTS || allows > 1)
        return false;
    while (p->n < n) {
        struct policy_host *h = &p->hosts[p->n++];
        const uint8_t *fields, *ip;

        name_read_plain(&c, &h->target);
        fields = cursor_take(&c, HOST_SIZE);
        if (fields == NULL || fields[HOST_SIZE - 1] > POLICY_HOST_ADDRESSES ||
            fields[HOST_SIZE - 2] > 1) /* probe */
            return false;
        memcpy((char *)h + HOST_FIRST, fields, HOST_SIZE);
        for (unsigned i = 0; i < h->n_addresses && (ip = cursor_take(&c, 16)) != NULL; i++) {
            h->addresses[i] = (struct addr){.scope = 0};
            memcpy(h->addresses[i].ip, ip, 16);
        }
    }
    p->choice = CHOICE_ALL;
    p->pin_clients = 0;
    if (cursor_left(&c) > 0) { /* only where they are not the default */
        p->choice = cursor_u8(&c);
        p->pin_clients = cursor_u8(&c);
    }
    if (p->choice >= CHOICES || p->pin_clients > POLICY_PIN_MAX)
        return false;
    return !c.bad && cursor_left(&c) == 0;
}

/* What of the struct is stored, and zeroes behind the ends of its texts. */
static void write_padded(struct writer *w, const char *text, size_t size)
{
    uint8_t *p = writer_room(w, size);

    if (p != NULL)
        memset(mempcpy(p, text, strlen(text)), 0, size - strlen(text));
}

struct store_bytes record_write(enum policy_kind kind, const void *object,
                                uint8_t buffer[RECORD_MAX])
{
    const struct policy_network *n = object;
    const struct policy_pool *p = object;
    const struct policy_rule *r = object;
    struct writer w = writer_make(buffer, RECORD_MAX);

    if (kind == POLICY_NETWORK)
        return (struct store_bytes){(const uint8_t *)n->prefixes, n->n * sizeof *n->prefixes};
    if (kind == POLICY_POOL) {
        writer_u8(&w, p->allow_public);
        writer_u8(&w, (uint8_t)p->n);
    }
    for (size_t i = 0; kind == POLICY_POOL && i < p->n; i++) {
        const struct policy_host *h = &p->hosts[i];

        writer_bytes(&w, h->target.data, h->target.len);
        writer_bytes(&w, (const char *)h + HOST_FIRST, HOST_SIZE);
        for (unsigned k = 0; k < h->n_addresses; k++)
            writer_bytes(&w, h->addresses[k].ip, sizeof h->addresses[k].ip);
    }
    if (kind == POLICY_POOL && (p->choice != CHOICE_ALL || p->pin_clients != 0)) {
        writer_u8(&w, (uint8_t)p->choice);
        writer_u8(&w, p->pin_clients);
    }
    if (kind == POLICY_RULE) {
        writer_bytes(&w, &r->from_ms, offsetof(struct policy_rule, pool) - RULE_FIRST);
        write_padded(&w, r->pool, sizeof r->pool);
        write_padded(&w, r->comment, sizeof r->comment);
        writer_u8(&w, r->break_dnssec);
        for (size_t i = 0; i < r->n_networks; i++)
            write_padded(&w, r->networks[i], POLICY_NAME);
    }
    return (struct store_bytes){buffer, w.len};
}

int record_read(enum policy_kind kind, const struct store_record *record, void *object)
{
    const struct store_bytes *value = &record->value;
    struct policy_approved *a = object;
    struct policy_network *n = object;
    struct policy_pool *p = object;
    struct policy_rule *r = object;
    struct policy_key k;
    const void *borrowed;
    int rc = -EBADMSG;

    if (!key_read(&record->key, &k))
        return -EBADMSG;
    if (kind != POLICY_APPROVED)
        memcpy(object, k.owner, sizeof k.owner);
    switch (kind) {
    case POLICY_NETWORK:
        n->n = value->len / sizeof *n->prefixes;
        if (n->n == 0 || value->len % sizeof *n->prefixes != 0)
            break;
        if ((n->prefixes = malloc(value->len)) == NULL)
            return -ENOMEM;
        memcpy(n->prefixes, value->data, value->len);
        rc = 0;
        for (size_t i = 0; i < n->n && rc == 0; i++)
            rc = n->prefixes[i].len <= 128 ? 0 : -EBADMSG;
        break;
    case POLICY_POOL:
        p->hosts = calloc(value->len < 2 ? 1 : value->data[1] + 1u, sizeof *p->hosts);
        if (p->hosts == NULL)
            return -ENOMEM;
        rc = pool_read(p, value) ? 0 : -EBADMSG;
        break;
    case POLICY_RULE:
        if (!rule_read(r, value))
            break;
        borrowed = r->networks;
        if ((r->networks = calloc(r->n_networks + 1, sizeof *r->networks)) == NULL)
            return -ENOMEM;
        memcpy(r->networks, borrowed, r->n_networks * sizeof *r->networks);
        return 0;
    case POLICY_APPROVED:
        *a = (struct policy_approved){k.suffix.name, k.port};
        return value->len == 0 ? 0 : -EBADMSG;
    case POLICY_KINDS:
        break;
    }
    if (rc != 0)
        policy_object_fini(kind, object);
    return rc;
}

static int set_entry(struct store_txn *t, bool put, enum policy_table table,
                     const struct key_parts *parts)
{
    struct store_key k;
    int rc;

    key_make(&k, table, parts);
    rc = put ? store_put(t, &k, "", 0) : store_del(t, &k);
    return rc == -ENOENT ? 0 : rc;
}

/* Puts or removes the entries that follow from an object. 0 or more, or -errno. */
static int set_entries(struct store_txn *t, bool put, enum policy_kind kind, const void *object)
{
    const struct policy_network *net = object;
    const struct policy_approved *a = object;
    const struct policy_pool *p = object;
    const struct policy_rule *r = object;
    const char *name = object;
    int rc = 0;

    if (kind == POLICY_APPROVED)
        return set_entry(t, put, TABLE_APPROVED,
                         &(struct key_parts){.domain = &a->target, .number = a->port});
    for (size_t i = 0; kind == POLICY_NETWORK && i < net->n && rc >= 0; i++)
        rc = set_entry(t, put, TABLE_PREFIX,
                       &(struct key_parts){.ip = net->prefixes[i].ip,
                                           .number = net->prefixes[i].len,
                                           .owner = name});
    for (size_t i = 0; kind == POLICY_POOL && i < p->n && rc >= 0; i++) {
        const struct policy_host *h = &p->hosts[i];
        const struct key_parts host = {.domain = &h->target, .number = h->port, .owner = name};

        rc = set_entry(t, put, TABLE_APPROVED, &host);
        if (rc >= 0 && h->n_addresses > 0)
            rc = set_entry(t, put, TABLE_HOST, &host);
        for (unsigned k = 0; k < h->n_addresses && rc >= 0; k++)
            rc = set_entry(t, put, TABLE_ADDRESS,
                           &(struct key_parts){.ip = h->addresses[k].ip, .owner = name});
    }
    if (kind == POLICY_RULE && r->pool[0] != '\0')
        rc = set_entry(t, put, TABLE_POOL_USER,
                       &(struct key_parts){.front = r->pool, .owner = name});
    for (size_t i = 0; kind == POLICY_RULE && i < r->n_networks && rc >= 0; i++)
        rc = set_entry(t, put, TABLE_NETWORK_USER,
                       &(struct key_parts){.front = r->networks[i], .owner = name});
    return rc;
}

int record_get(struct store_txn *t, enum policy_kind kind, const void *object,
               union policy_object *out)
{
    struct store_record r;
    struct store_key k;
    int rc;

    *out = (union policy_object){.rule = {.n_networks = 0}};
    key_object(&k, kind, object);
    r.key = (struct store_bytes){k.data, k.len};
    rc = store_get(t, &k, &r.value);
    return rc == 0 ? record_read(kind, &r, out) : rc;
}

int record_set(struct store_txn *t, enum policy_kind kind, const void *object, bool put)
{
    uint8_t buffer[RECORD_MAX];
    struct store_bytes value;
    union policy_object was;
    struct store_key k;
    int rc = record_get(t, kind, object, &was), done = STORE_REPLACED;
    bool was_there = rc == 0;

    if (rc != 0 && (rc != -ENOENT || !put))
        return rc;
    key_object(&k, kind, object);
    if (put) {
        value = record_write(kind, object, buffer);
        rc = done = store_put(t, &k, value.data, value.len);
    } else {
        rc = store_del(t, &k);
    }
    if (rc >= 0 && was_there && done != STORE_SAME)
        rc = set_entries(t, false, kind, &was);
    if (rc >= 0 && put && done != STORE_SAME)
        rc = set_entries(t, true, kind, object);
    policy_object_fini(kind, &was);
    return rc < 0 ? rc : done;
}

int record_set_suffix(struct store_txn *t, const struct suffix *s, const char *rule, bool put)
{
    struct store_key k;
    int rc, entry;

    key_suffix(&k, s, rule);
    rc = put ? store_put(t, &k, "", 0) : store_del(t, &k);
    entry = set_entry(t, put, TABLE_RULE_SUFFIX,
                      &(struct key_parts){.front = rule, .domain = &s->name, .number = s->below});
    return rc >= 0 && entry < 0 ? entry : rc;
}

/* The log: serial (key) ─▶ time 8 | digest 8 | author, claimed, reason, summary, rules; each of
 * these ends with 0. */
static void text_write(struct writer *w, const char *text)
{
    writer_bytes(w, text, strlen(text) + 1);
}

void serial_key(struct store_key *k, enum policy_table table, uint64_t serial)
{
    struct writer w = writer_make(k->data, sizeof k->data);

    writer_u8(&w, (uint8_t)table);
    writer_u64(&w, serial);
    k->len = w.len;
}

int serial_first(struct store_txn *t, enum policy_table table, uint64_t *serial)
{
    const struct store_key k = {1, {(uint8_t)table}};
    struct store_record r;
    struct cursor key;
    int rc = store_step(t, STORE_SEEK, &k, 1, &r);

    *serial = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    key = cursor_make(r.key.data + 1, r.key.len - 1);
    *serial = cursor_u64(&key);
    return key.bad ? -EBADMSG : 0;
}

int serial_last(struct store_txn *t, enum policy_table table, struct store_record *out)
{
    const struct store_key behind = {1, {(uint8_t)(table + 1)}}, k = {1, {(uint8_t)table}};
    int rc = store_step(t, STORE_SEEK, &behind, 0, out);

    if (rc == 0 || rc == -EBADMSG || rc == -ENOENT)
        rc = store_step(t, STORE_PREV, &k, 1, out);
    return rc;
}

int log_append(struct store_txn *t, const struct policy_log_entry *e)
{
    uint8_t value[RECORD_LOG_MAX];
    struct writer w = writer_make(value, sizeof value);
    struct store_key k;
    int rc;

    writer_u64(&w, e->time_ms);
    writer_u64(&w, e->digest);
    text_write(&w, e->author);
    text_write(&w, e->claimed);
    text_write(&w, e->reason);
    text_write(&w, e->summary);
    text_write(&w, e->rules);
    serial_key(&k, TABLE_LOG, e->serial);
    rc = store_put(t, &k, value, w.len);
    return rc < 0 ? rc : 0;
}

int log_last(struct store_txn *t, uint64_t *serial, uint64_t *time_ms)
{
    struct store_record r;
    struct cursor key, value;
    int rc = serial_last(t, TABLE_LOG, &r);

    *serial = *time_ms = 0;
    if (rc != 0 && rc != -EBADMSG)
        return rc == -ENOENT ? 0 : rc;
    key = cursor_make(r.key.data + 1, r.key.len - 1);
    value = cursor_make(r.value.data, r.value.len);
    *serial = cursor_u64(&key);
    *time_ms = cursor_u64(&value);
    return key.bad ? -EBADMSG : 0;
}

static int read_entry(const struct store_record *r, struct policy_log_entry *e)
{
    struct cursor key = cursor_make(r->key.data + 1, r->key.len - 1);
    struct cursor c = cursor_make(r->value.data, r->value.len);

    e->serial = cursor_u64(&key);
    e->time_ms = cursor_u64(&c);
    e->digest = cursor_u64(&c);
    text_read(&c, e->author, sizeof e->author);
    text_read(&c, e->claimed, sizeof e->claimed);
    text_read(&c, e->reason, sizeof e->reason);
    text_read(&c, e->summary, sizeof e->summary);
    text_read(&c, e->rules, sizeof e->rules);
    return c.bad || key.bad ? -EBADMSG : 0;
}

int log_find(struct store_txn *t, uint64_t serial, struct policy_log_entry *e)
{
    struct store_record r;
    struct store_key k;
    int rc;

    serial_key(&k, TABLE_LOG, serial);
    r.key = (struct store_bytes){k.data, k.len};
    rc = store_get(t, &k, &r.value);
    return rc == 0 ? read_entry(&r, e) : rc;
}

int log_rewind(struct store_txn *t, uint64_t serial)
{
    struct store_record r;
    struct store_key k;
    int rc;

    serial_key(&k, TABLE_LOG, serial + 1);
    while ((rc = store_step(t, STORE_SEEK, &k, 1, &r)) == 0) {
        store_key_copy(&k, &r.key);
        rc = store_del(t, &k);
        if (rc != 0)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

int log_prune(struct store_txn *t, uint64_t before_ms)
{
    const struct store_key table = {1, {TABLE_LOG}};
    struct store_record r;
    struct store_key k;
    int rc = 0;

    for (unsigned i = 0; i < PRUNE && rc == 0; i++) {
        struct cursor c;

        rc = store_step(t, STORE_SEEK, &table, 1, &r);
        c = cursor_make(r.value.data, r.value.len);
        if (rc != 0 || cursor_u64(&c) >= before_ms)
            break;
        store_key_copy(&k, &r.key);
        rc = store_del(t, &k);
    }
    return rc == -ENOENT ? 0 : rc;
}

int policy_log_each(struct store *store, uint64_t since_ms, const char *rule,
                    policy_log_visit *visit, void *context)
{
    const struct store_key table = {1, {TABLE_LOG}};
    char word[POLICY_NAME + 2] = "";
    struct policy_log_entry e;
    struct store_record r;
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    if (rc != 0)
        return rc;
    if (rule != NULL)
        snprintf(word, sizeof word, " %s ", rule);
    STORE_EACH(rc, t, &table, &r) {
        rc = read_entry(&r, &e);
        if (rc == 0 && e.time_ms >= since_ms &&
            (e.rules[0] == '*' || strstr(e.rules, word) != NULL))
            visit(context, &e);
    }
    store_end(t);
    return rc == -ENOENT ? 0 : rc;
}

struct policy_reader *policy_reader_new(struct store *store)
{
    struct policy_reader *r = calloc(1, sizeof *r);

    if (r != NULL && (r->txn = store_reader_new(store)) == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void policy_reader_free(struct policy_reader *r)
{
    if (r == NULL)
        return;
    store_reader_free(r->txn);
    free(r);
}

uint64_t policy_reader_serial(struct policy_reader *r)
{
    uint64_t time_ms, state = store_state(r->txn);

    if (r->serial_of != state && log_last(r->txn, &r->serial, &time_ms) != 0)
        return 0;
    r->serial_of = state;
    return r->serial;
}

const char *policy_digest_print(uint64_t digest, char out[POLICY_DIGEST_TEXT])
{
    snprintf(out, POLICY_DIGEST_TEXT, "%08x", (unsigned)(digest >> 32));
    return out;
}

int policy_counts_read(struct store_txn *t, struct policy_counts *out)
{
    const struct store_counts *c = store_counts(t);

    if (c == NULL)
        return -EBADMSG;
    *out = (struct policy_counts){
        .digest = c->digest,
        .networks = store_count(c, TABLE_NETWORK),
        .pools = store_count(c, TABLE_POOL),
        .rules = store_count(c, TABLE_RULE),
        .suffixes = store_count(c, TABLE_SUFFIX) + store_count(c, TABLE_BELOW),
        .approved = store_count(c, TABLE_LISTED),
    };
    return log_last(t, &out->serial, &out->time_ms);
}

int policy_store_counts(struct store *store, struct policy_counts *out)
{
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    if (rc != 0)
        return rc;
    store_guarded(rc, t, policy_counts_read(t, out));
    out->bytes = store_size(store);
    store_end(t);
    return rc;
}

static int load_suffix(struct policy *p, const struct store_bytes *key)
{
    struct policy_rule *r;
    struct policy_key k;

    if (!key_read(key, &k) || (r = policy_find(p, POLICY_RULE, k.front)) == NULL)
        return -EBADMSG;
    return policy_rule_add(p, r, &k.suffix);
}

int policy_load(struct store *store, struct policy *out, uint64_t *serial)
{
    struct store_key table = {.len = 1};
    struct store_record r;
    struct store_txn *t;
    uint64_t time_ms;
    int rc = store_begin(store, false, &t);

    *out = (struct policy){0};
    if (rc != 0)
        return rc;
    rc = log_last(t, serial, &time_ms) == 0 ? -ENOENT : -EBADMSG;
    for (enum policy_kind kind = 0; kind < POLICY_KINDS && rc == -ENOENT; kind++) {
        table.data[0] = (uint8_t)policy_tables[kind];
        STORE_EACH(rc, t, &table, &r) {
            void *object = policy_add(out, kind); /* what cannot be read stays in it, empty */

            rc = object == NULL ? -ENOMEM : record_read(kind, &r, object);
        }
    }
    table.data[0] = TABLE_RULE_SUFFIX;
    if (rc == -ENOENT)
        STORE_EACH(rc, t, &table, &r)
            rc = load_suffix(out, &r.key);
    store_end(t);
    if (rc == -ENOENT)
        return 0;
    policy_fini(out);
    return rc;
}
