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

#include "base/random.h"

const enum policy_table policy_tables[POLICY_KINDS] = {TABLE_NETWORK, TABLE_POOL, TABLE_LISTED,
                                                       TABLE_RULE};

/* Whose domain a number follows. */
static const uint8_t numbered[] = {TABLE_LISTED, TABLE_APPROVED};

void key_make(struct store_key *k, enum policy_table table, const struct key_parts *p)
{
    struct writer w = writer_make(k->data, sizeof k->data);
    size_t n;

    writer_u8(&w, (uint8_t)table);
    if (p->front) {
        writer_bytes(&w, p->front, strnlen(p->front, POLICY_NAME));
        writer_u8(&w, 0);
    }
    if (p->ip && table == TABLE_PREFIX)
        writer_u8(&w, (uint8_t)(128 - p->number));
    if (p->ip)
        writer_bytes(&w, p->ip, 16);
    if (p->domain) {
        if (p->domain->labels > 0) {
            n = name_sort_key(p->domain, k->data + w.len, w.size - w.len);
            w.len += n;
            w.full = n == 0;
        }
        writer_u8(&w, 0);
        if (memchr(numbered, (int)table, sizeof numbered))
            writer_u16(&w, (uint16_t)p->number);
    }
    if (p->owner)
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
    if (len == 0 || len >= POLICY_NAME || memchr(data, 0, len))
        return false;
    memcpy(out, data, len);
    out[len] = '\0';
    return true;
}

/* A sort key, and the 0 behind it. */
static void domain_read(struct cursor *c, struct name *out)
{
    size_t left = cursor_left(c), n = left;
    const uint8_t *key = c->pos, *end = memmem(key, left, "\0", 2);

    if (left > 0 && key[0] == 0)
        n = 0;
    else if (end)
        n = (size_t)(end + 1 - key);
    if (cursor_take(c, n + 1) == NULL || !name_from_sort_key(key, n, out))
        c->bad = true;
}

bool key_read(const struct store_bytes *k, struct policy_key *out)
{
    struct cursor c = cursor_make(k->data, k->len);
    uint8_t table = cursor_u8(&c);
    const uint8_t *ip;
    size_t n;

    if (table == TABLE_PREFIX) {
        n = cursor_u8(&c);
        ip = cursor_take(&c, 16);
        if (n > 128 || ip == NULL)
            return false;
        out->prefix.len = (uint8_t)(128 - n);
        memcpy(out->prefix.ip, ip, 16);
    }
    if (memchr("sblAH", table, 5)) { /* those with a domain */
        domain_read(&c, &out->suffix.name);
        out->port = memchr(numbered, table, sizeof numbered) != NULL ? cursor_u16(&c) : 0;
        out->suffix.below = table == TABLE_BELOW;
    }
    n = cursor_left(&c);
    if (c.bad || table == TABLE_LISTED)
        return !c.bad && n == 0;
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
    p->choice = cursor_u8(&c);
    p->pin_clients = cursor_u8(&c);
    if (n > POLICY_POOL_HOSTS || allows > 1 || p->choice >= CHOICES ||
        p->pin_clients > POLICY_PIN_MAX)
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
    return !c.bad && cursor_left(&c) == 0;
}

/* What of the struct is stored, and zeroes behind the ends of its texts. */
static void write_padded(struct writer *w, const char *text, size_t size)
{
    uint8_t *p = writer_room(w, size);

    if (p)
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
        writer_u8(&w, (uint8_t)p->choice);
        writer_u8(&w, p->pin_clients);
    }
    for (size_t i = 0; kind == POLICY_POOL && i < p->n; i++) {
        const struct policy_host *h = &p->hosts[i];

        writer_bytes(&w, h->target.data, h->target.len);
        writer_bytes(&w, (const char *)h + HOST_FIRST, HOST_SIZE);
        for (unsigned k = 0; k < h->n_addresses; k++)
            writer_bytes(&w, h->addresses[k].ip, sizeof h->addresses[k].ip);
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

bool key_read_object(enum policy_kind kind, const struct store_bytes *key, void *object)
{
    struct policy_approved *a = object;
    struct policy_key k;

    if (!key_read(key, &k))
        return false;
    if (kind == POLICY_APPROVED)
        *a = (struct policy_approved){k.suffix.name, k.port};
    else
        memcpy(object, k.owner, sizeof k.owner);
    return true;
}

static void *copy_of(const void *from, size_t size)
{
    void *copy = malloc(size + 1);

    return copy ? memcpy(copy, from, size) : NULL;
}

int record_read(enum policy_kind kind, const struct store_record *record, void *object)
{
    const struct store_bytes *value = &record->value;
    struct policy_network *n = object;
    struct policy_pool *p = object;
    struct policy_rule *r = object;
    int rc = 0;

    if (!key_read_object(kind, &record->key, object) || value->data == NULL ||
        (kind == POLICY_RULE && !rule_read(r, value)) ||
        (kind == POLICY_APPROVED && value->len > 0))
        return -EBADMSG;
    if (kind == POLICY_RULE) {
        r->networks = copy_of(r->networks, r->n_networks * sizeof *r->networks);
        rc = r->networks ? 0 : -ENOMEM;
    } else if (kind == POLICY_NETWORK) {
        n->n = value->len / sizeof *n->prefixes;
        n->prefixes = copy_of(value->data, value->len);
        if (n->prefixes == NULL || n->n == 0 || n->n * sizeof *n->prefixes != value->len)
            rc = n->prefixes == NULL ? -ENOMEM : -EBADMSG;
        for (size_t i = 0; i < n->n && rc == 0; i++)
            rc = n->prefixes[i].len <= 128 ? 0 : -EBADMSG;
    } else if (kind == POLICY_POOL) {
        p->hosts = calloc(value->len < 2 ? 1 : value->data[1] + 1u, sizeof *p->hosts);
        rc = p->hosts == NULL ? -ENOMEM : pool_read(p, value) ? 0 : -EBADMSG;
    }
    if (rc != 0)
        policy_object_fini(kind, object);
    return rc;
}

static void entry_set(struct store_txn *t, bool put, enum policy_table table,
                      const struct key_parts *parts)
{
    struct store_key k;

    key_make(&k, table, parts);
    (void)(put ? store_put(t, &k, "", 0) : store_del(t, &k));
}

void entries_set(struct store_txn *t, bool put, enum policy_kind kind, const void *object)
{
    const struct policy_network *net = object;
    const struct policy_approved *a = object;
    const struct policy_pool *p = object;
    const struct policy_rule *r = object;
    struct key_parts parts = {.owner = object};

    for (size_t i = 0; kind == POLICY_NETWORK && i < net->n; i++) {
        parts.ip = net->prefixes[i].ip;
        parts.number = net->prefixes[i].len;
        entry_set(t, put, TABLE_PREFIX, &parts);
    }
    for (size_t i = 0; kind == POLICY_POOL && i < p->n; i++) {
        const struct policy_host *h = &p->hosts[i];

        parts = (struct key_parts){.domain = &h->target, .number = h->port, .owner = p->name};
        entry_set(t, put, TABLE_APPROVED, &parts);
        if (h->n_addresses > 0)
            entry_set(t, put, TABLE_HOST, &parts);
        for (unsigned k = 0; k < h->n_addresses; k++)
            entry_set(t, put, TABLE_ADDRESS,
                      &(struct key_parts){.ip = h->addresses[k].ip, .owner = p->name});
    }
    if (kind == POLICY_APPROVED)
        entry_set(t, put, TABLE_APPROVED,
                  &(struct key_parts){.domain = &a->target, .number = a->port});
    for (size_t i = 0; kind == POLICY_RULE && i <= r->n_networks; i++) {
        parts.front = i < r->n_networks ? r->networks[i] : r->pool;
        if (parts.front[0] != '\0')
            entry_set(t, put, i < r->n_networks ? TABLE_NETWORK_USER : TABLE_POOL_USER, &parts);
    }
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

void serial_key(struct store_key *k, enum policy_table table, uint64_t serial)
{
    struct writer w = writer_make(k->data, sizeof k->data);

    writer_u8(&w, (uint8_t)table);
    writer_u64(&w, serial);
    k->len = w.len;
}

int serial_end(struct store_txn *t, enum policy_table table, bool last, uint64_t *serial,
               struct store_record *out)
{
    const struct store_key k = {1, {(uint8_t)table}}, behind = {1, {(uint8_t)(table + 1)}};
    int rc = store_step(t, STORE_SEEK, last ? &behind : &k, !last, out);

    if (last && (rc == 0 || rc == -EBADMSG || rc == -ENOENT))
        rc = store_step(t, STORE_PREV, &k, 1, out);
    *serial = 0;
    if (rc != 0 && rc != -EBADMSG)
        return rc == -ENOENT ? 0 : rc;
    if (out->key.len <= sizeof *serial)
        return -EBADMSG;
    *serial = bytes_number(out->key.data + 1, sizeof *serial);
    return 0;
}

static int read_entry(const struct store_record *r, struct policy_log_entry *e)
{
    const struct store_bytes *v = &r->value;

    if (v->len <= offsetof(struct policy_log_entry, rules) || v->len > sizeof *e)
        return -EBADMSG;
    memcpy(e, v->data, v->len);
    return r->key.len == 1 + sizeof e->serial &&
                   bytes_number(r->key.data + 1, sizeof e->serial) == e->serial &&
                   v->data[v->len - 1] == 0 && e->author[sizeof e->author - 1] == 0 &&
                   e->claimed[sizeof e->claimed - 1] == 0 && e->reason[sizeof e->reason - 1] == 0 &&
                   e->summary[sizeof e->summary - 1] == 0
               ? 0
               : -EBADMSG;
}

int log_next(struct store_txn *t, uint64_t since_ms, const char *rule, struct policy_log_entry *e)
{
    char word[POLICY_NAME + 2];
    struct store_record r;
    struct store_key k;
    int rc;

    snprintf(word, sizeof word, " %s ", rule ? rule : "");
    do {
        serial_key(&k, TABLE_LOG, e->serial + 1);
        rc = store_step(t, STORE_SEEK, &k, 1, &r);
        if (rc == 0)
            rc = read_entry(&r, e);
    } while (rc == 0 && (e->time_ms < since_ms ||
                         (rule != NULL && e->rules[0] != '*' && strstr(e->rules, word) == NULL)));
    return rc;
}

struct policy_reader *policy_reader_new(struct store *store)
{
    struct policy_reader *r = calloc(1, sizeof *r);

    if (r && (r->txn = store_reader_new(store)) == NULL) {
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
    uint64_t state = store_state(r->txn);
    struct store_record last;

    if (r->serial_of != state && serial_end(r->txn, TABLE_LOG, true, &r->serial, &last) != 0)
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
    struct policy_log_entry e = {.time_ms = 0};
    struct store_record last;
    int rc;

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
    rc = serial_end(t, TABLE_LOG, true, &out->serial, &last);
    if (rc == 0 && out->serial > 0 && read_entry(&last, &e) == 0)
        out->time_ms = e.time_ms;
    return rc;
}

int policy_store_counts(struct store *store, struct policy_counts *out)
{
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    if (rc != 0)
        return rc;
    store_guarded(rc, t, policy_counts_read(t, out));
    out->bytes = store_health(store).bytes;
    store_end(t);
    return rc;
}

int policy_load(struct store *store, struct policy *out, uint64_t *serial)
{
    struct store_key table = {.len = 1};
    struct store_record r;
    struct policy_key k;
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    *out = (struct policy){0};
    if (rc != 0)
        return rc;
    rc = serial_end(t, TABLE_LOG, true, serial, &r) == 0 ? -ENOENT : -EBADMSG;
    for (enum policy_kind kind = 0; kind < POLICY_KINDS && rc == -ENOENT; kind++) {
        table.data[0] = (uint8_t)policy_tables[kind];
        STORE_EACH(rc, t, &table, &r) {
            void *object = policy_add(out, kind); /* what cannot be read stays in it, empty */

            rc = object == NULL ? -ENOMEM : record_read(kind, &r, object);
        }
    }
    for (int below = 0; below < 2 && rc == -ENOENT; below++) {
        table.data[0] = below ? TABLE_BELOW : TABLE_SUFFIX;
        STORE_EACH(rc, t, &table, &r) {
            struct policy_rule *rule = NULL;

            if (key_read(&r.key, &k))
                rule = policy_find(out, POLICY_RULE, k.owner);
            rc = rule ? policy_rule_add(&out->kept, rule, &k.suffix) : -EBADMSG;
        }
    }
    store_end(t);
    if (rc == -ENOENT)
        return 0;
    policy_fini(out);
    return rc;
}

/* --- in which networks is a client? ---------------------------------------

   Each prefix of each network is an entry, a key of its length, its address and the network; the
   longest come first. A reader knows of its state which lengths there are and, by a filter, nearly
   which prefixes: a client costs one look-up for each prefix that it is in. */

static unsigned prefix_bit(const struct prefix *p)
{
    uint64_t half[2];

    memcpy(half, p->ip, sizeof half);
    return (unsigned)(((half[0] ^ half[1]) + p->len) * UINT64_C(0x9e3779b97f4a7c15) >> 53);
}

/* Length, and first and last octet of the first label: a hash of all of the name would cost
 * each negative answer more than the look-ups that it spares. */
static unsigned host_bit(const struct name *n)
{
    return (n->len + 64u * n->data[n->labels > 0] + 8u * n->data[n->data[0]]) % FILTER_BITS;
}

static bool filter_has(const struct filter *f, unsigned bit)
{
    return (f->bits[bit / 64] >> bit % 64 & 1) != 0;
}

/* When there are too many, or one is damaged, the filter lets all through. */
static int read_filter(struct store_txn *t, enum policy_table table, struct filter *f)
{
    const struct store_key first = {1, {(uint8_t)table}};
    struct store_record r;
    struct policy_key k;
    int rc, n = 0;

    *f = (struct filter){.state = 0};
    STORE_EACH(rc, t, &first, &r) {
        unsigned bit;

        if (n++ == FILTER_MAX || !key_read(&r.key, &k))
            break;
        bit = table == TABLE_HOST ? host_bit(&k.suffix.name) : prefix_bit(&k.prefix);
        f->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    if (rc != -ENOENT)
        memset(f->bits, 0xff, sizeof f->bits);
    f->state = store_state(t); /* not before: a fault may end the reading anywhere */
    return 0;
}

bool policy_may_be_host(struct policy_reader *r, const struct name *name)
{
    int rc = 0;

    if (UNLIKELY(r->hosts.state != store_state(r->txn)))
        store_guarded(rc, r->txn, read_filter(r->txn, TABLE_HOST, &r->hosts));
    return rc == 0 && filter_has(&r->hosts, host_bit(name));
}

/* Which lengths there are, then the filter. */
static int read_prefixes(struct store_txn *t, struct prefix_filter *f)
{
    struct store_key k = {1, {TABLE_PREFIX}};
    struct store_record r;
    int rc;

    *f = (struct prefix_filter){.n = 0};
    while ((rc = store_step(t, STORE_SEEK, &k, 1, &r)) == 0) {
        if (r.key.len < 2 || r.key.data[1] > 128)
            return -EBADMSG;
        f->lengths[f->n++] = (uint8_t)(128 - r.key.data[1]);
        k.len = 2;
        k.data[1] = (uint8_t)(r.key.data[1] + 1);
    }
    return rc == -ENOENT ? read_filter(t, TABLE_PREFIX, &f->filter) : rc;
}

/* The key is the same for all clients that are in the same networks by the same lengths: a
 * network of ten thousand branches is one client for the decision cache. */
static int find_networks(struct store_txn *t, struct prefix_filter *f, struct policy_client *c)
{
    struct prefix p;
    int rc;

    if (f->filter.state != store_state(t) && (rc = read_prefixes(t, f)) != 0)
        return rc;
    memcpy(p.ip, c->addr.ip, sizeof p.ip);
    c->n_networks = 0;
    c->key = 0;
    for (unsigned i = 0; i < f->n; i++) {
        struct store_record r;
        char name[POLICY_NAME];
        struct store_key k;
        int n;

        p.len = f->lengths[i];
        if (p.len < 96 && addr_is_v4(&c->addr)) /* the longest come first, and these are of IPv6 */
            break;
        prefix_mask(p.ip, p.len);
        if (!filter_has(&f->filter, prefix_bit(&p)))
            continue;
        key_make(&k, TABLE_PREFIX, &(struct key_parts){.ip = p.ip, .number = p.len});
        STORE_EACH(rc, t, &k, &r) {
            if (!record_name(name, r.key.data + k.len, r.key.len - k.len))
                return -EBADMSG;
            for (n = 0; n < c->n_networks && strcmp(c->networks[n], name) != 0;)
                n++;
            if (n < c->n_networks)
                continue;                    /* by a longer prefix of it */
            if (n == POLICY_CLIENT_NETWORKS) /* those farther out do not count */
                return 0;
            strcpy(c->networks[n], name);
            c->prefixes[n] = p;
            c->key = hash_bytes(&(struct hash_key){c->key, p.len}, name, strlen(name));
            c->n_networks++;
        }
        if (rc != -ENOENT)
            return rc;
    }
    return 0;
}

int policy_client_find(struct policy_reader *r, const struct addr *addr, struct policy_client *out)
{
    int rc;

    out->addr = *addr;
    store_guarded(rc, r->txn, find_networks(r->txn, &r->prefixes, out));
    if (rc == 0)
        return 0;
    out->key = POLICY_CLIENT_DAMAGED;
    out->n_networks = 0;
    return -EBADMSG;
}
