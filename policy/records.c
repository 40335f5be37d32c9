/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.c -- keys and values of the policy in the store.
 *
 * A sort key (wire/name.h) has labels from the root on, each ended by 0 and
 * never empty; one more 0 behind it therefore sorts before all names below,
 * and the entries of one name lie together, right before those. Names without
 * octets 0 and 1 always fit: 1 + 254 + 3 + 63 octets.
 *
 * Values are big-endian fields, texts with their length in front, and names in
 * wire form. The numbers of actions, modes, suffix kinds and the bits of `when`
 * are what is stored: enum policy_action and its like grow at the end only. A
 * value with a good checksum may still come from another program: every field
 * is checked against its limits, and no octet may be left over.
 */
#include "policy/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_BREAK_DNSSEC = 1, FLAG_ALLOW_PUBLIC = 1, FLAG_NO_PROBE = 1 };
enum { RECORD_LOG_MAX = 8192, PRUNE = 1000 };

const enum policy_table policy_tables[POLICY_KINDS] = {TABLE_NETWORK, TABLE_POOL, TABLE_LISTED,
                                                       TABLE_RULE};

/* --- keys ----------------------------------------------------------------- */

static struct writer key_begin(struct store_key *k, enum policy_table table)
{
    struct writer w = writer_make(k->data, sizeof k->data);

    writer_u8(&w, (uint8_t)table);
    return w;
}

/* The name comes last. */
static void key_end(struct store_key *k, struct writer *w, const char *name)
{
    writer_bytes(w, name, strnlen(name, POLICY_NAME));
    k->len = w->full ? 0 : w->len;
}

static void put_sort_key(struct writer *w, const struct name *name)
{
    size_t n;

    if (name->labels > 0) {
        n = name_sort_key(name, w->start + w->len, w->size - w->len);
        w->len += n;
        w->full |= n == 0;
    }
    writer_u8(w, 0);
}

void key_named(struct store_key *k, enum policy_table table, const char *name)
{
    struct writer w = key_begin(k, table);

    key_end(k, &w, name);
}

static void key_serial(struct store_key *k, uint64_t serial)
{
    struct writer w = key_begin(k, TABLE_LOG);

    writer_u64(&w, serial);
    key_end(k, &w, "");
}

void key_ip(struct store_key *k, enum policy_table table, const uint8_t ip[16], const char *pool)
{
    struct writer w = key_begin(k, table);

    writer_bytes(&w, ip, 16);
    key_end(k, &w, pool);
}

void key_target(struct store_key *k, enum policy_table table, const struct name *target,
                uint16_t port, const char *pool)
{
    struct writer w = key_begin(k, table);

    put_sort_key(&w, target);
    writer_u16(&w, port);
    key_end(k, &w, pool);
}

void key_host(struct store_key *k, const struct name *target, const char *pool)
{
    struct writer w = key_begin(k, TABLE_HOST);

    put_sort_key(&w, target);
    key_end(k, &w, pool);
}

void key_suffix(struct store_key *k, const struct suffix *s, const char *rule)
{
    bool below = s->kind == SUFFIX_BELOW || s->kind == SUFFIX_ANY;
    struct writer w = key_begin(k, below ? TABLE_BELOW : TABLE_SUFFIX);

    put_sort_key(&w, &s->name);
    writer_u8(&w, (uint8_t)s->kind);
    key_end(k, &w, rule);
}

void key_rule_suffix(struct store_key *k, const char *rule, const struct suffix *s)
{
    struct writer w = key_begin(k, TABLE_RULE_SUFFIX);

    writer_bytes(&w, rule, strnlen(rule, POLICY_NAME));
    writer_u8(&w, 0);
    if (s != NULL) {
        put_sort_key(&w, &s->name);
        writer_u8(&w, (uint8_t)s->kind);
    }
    key_end(k, &w, "");
}

void key_user(struct store_key *k, enum policy_table table, const char *name, const char *rule)
{
    struct writer w = key_begin(k, TABLE_USER);

    writer_u8(&w, (uint8_t)table);
    writer_bytes(&w, name, strnlen(name, POLICY_NAME));
    writer_u8(&w, 0);
    key_end(k, &w, rule);
}

bool record_name(char out[POLICY_NAME], const uint8_t *data, size_t len)
{
    if (len == 0 || len >= POLICY_NAME || memchr(data, 0, len) != NULL)
        return false;
    memcpy(out, data, len);
    out[len] = '\0';
    return true;
}

bool key_read_name(const struct store_bytes *k, char out[POLICY_NAME])
{
    return k->len > 1 && record_name(out, k->data + 1, k->len - 1);
}

bool key_read_target(const struct store_bytes *k, struct policy_approved *out)
{
    struct cursor c;

    if (k->len < 4 || k->data[k->len - 3] != 0 ||
        !name_from_sort_key(k->data + 1, k->len - 4, &out->target))
        return false;
    c = cursor_make(k->data + k->len - 2, 2);
    out->port = cursor_u16(&c);
    return true;
}

/* A suffix in a key: sort key, 0, kind. */
static bool read_suffix(const uint8_t *data, size_t len, struct suffix *out)
{
    if (len < 2 || data[len - 2] != 0 || data[len - 1] > SUFFIX_BARE)
        return false;
    out->kind = (enum suffix_kind)data[len - 1];
    return name_from_sort_key(data, len - 2, &out->name);
}

bool key_read_rule_suffix(const struct store_bytes *k, char rule[POLICY_NAME], struct suffix *out)
{
    const uint8_t *end = k->len > 1 ? memchr(k->data + 1, 0, k->len - 1) : NULL;
    size_t len;

    if (end == NULL)
        return false;
    len = (size_t)(end - k->data) - 1;
    return record_name(rule, k->data + 1, len) && read_suffix(end + 1, k->len - len - 2, out);
}

/* How much of a key table and sort key are; 0: it is no such key. */
static size_t sort_key_end(const struct store_bytes *k)
{
    size_t end = 1;

    while (end < k->len && k->data[end] != 0) { /* one label */
        const uint8_t *zero = memchr(k->data + end, 0, k->len - end);

        if (zero == NULL)
            return 0;
        end = (size_t)(zero - k->data) + 1;
    }
    return end < k->len ? end : 0;
}

bool key_read_host(const struct store_bytes *k, struct name *target)
{
    size_t end = sort_key_end(k);

    return end > 0 && name_from_sort_key(k->data + 1, end - 1, target);
}

bool key_read_suffix(const struct store_bytes *k, struct suffix *out, char rule[POLICY_NAME])
{
    size_t n = sort_key_end(k) + 2;

    return n > 2 && n < k->len && read_suffix(k->data + 1, n - 1, out) &&
           record_name(rule, k->data + n, k->len - n);
}

/* --- texts ---------------------------------------------------------------- */

void text_write(struct writer *w, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);

    writer_u16(w, (uint16_t)len);
    writer_bytes(w, text, len);
}

static struct store_bytes text_take(struct cursor *c)
{
    size_t len = cursor_u16(c);
    const uint8_t *p = cursor_take(c, len);

    if (p != NULL && len > 0 && memchr(p, 0, len) != NULL)
        c->bad = true;
    return c->bad ? (struct store_bytes){NULL, 0} : (struct store_bytes){p, len};
}

static void text_read(struct cursor *c, char *out, size_t size)
{
    struct store_bytes t = text_take(c);

    if (t.len >= size) {
        c->bad = true;
        t.len = 0;
    }
    if (t.len > 0)
        memcpy(out, t.data, t.len);
    out[t.len] = '\0';
}

struct store_bytes record_text(struct cursor *c)
{
    struct store_bytes t = text_take(c);

    if (t.len == 0 || t.len >= POLICY_NAME)
        c->bad = true;
    return c->bad ? (struct store_bytes){NULL, 0} : t;
}

bool record_text_is(const struct store_bytes *t, const char *text)
{
    return strlen(text) == t->len && memcmp(t->data, text, t->len) == 0;
}

/* --- rules ---------------------------------------------------------------- */

static void rule_write(struct writer *w, const struct policy_rule *r)
{
    writer_u8(w, (uint8_t)r->action);
    writer_u8(w, (uint8_t)r->mode);
    writer_u8(w, (uint8_t)r->when);
    writer_u8(w, r->break_dnssec ? FLAG_BREAK_DNSSEC : 0);
    writer_u32(w, r->ttl);
    writer_u64(w, r->from_ms);
    writer_u64(w, r->until_ms);
    text_write(w, r->pool, sizeof r->pool);
    text_write(w, r->comment, sizeof r->comment);
    writer_u8(w, (uint8_t)r->n_networks);
    for (size_t i = 0; i < r->n_networks; i++)
        text_write(w, r->networks[i], sizeof r->networks[i]);
}

bool rule_view_read(struct rule_view *r, const struct store_bytes *value)
{
    struct cursor c = cursor_make(value->data, value->len);
    uint8_t action = cursor_u8(&c), mode = cursor_u8(&c), when = cursor_u8(&c);

    if (action >= ACTIONS || mode >= MODES || (when & ~WORD_ALL) != 0)
        return false;
    r->action = (enum policy_action)action;
    r->mode = (enum kms_mode)mode;
    r->when = when;
    r->break_dnssec = (cursor_u8(&c) & FLAG_BREAK_DNSSEC) != 0;
    r->ttl = cursor_u32(&c);
    r->from_ms = cursor_u64(&c);
    r->until_ms = cursor_u64(&c);
    text_read(&c, r->pool, sizeof r->pool);
    r->comment = text_take(&c);
    r->n_networks = cursor_u8(&c);
    r->networks = c;
    for (unsigned i = 0; i < r->n_networks; i++)
        record_text(&c);
    return !c.bad && cursor_left(&c) == 0 && r->n_networks <= POLICY_RULE_NETWORKS &&
           r->comment.len < POLICY_COMMENT;
}

static int rule_read(struct policy_rule *out, const struct store_bytes *value)
{
    struct rule_view v;
    struct policy_rule r;

    if (!rule_view_read(&v, value))
        return -EBADMSG;
    r = (struct policy_rule){.action = v.action,
                             .mode = v.mode,
                             .when = v.when,
                             .break_dnssec = v.break_dnssec,
                             .ttl = v.ttl,
                             .from_ms = v.from_ms,
                             .until_ms = v.until_ms};
    memcpy(r.name, out->name, sizeof r.name);
    memcpy(r.pool, v.pool, sizeof r.pool);
    if (v.comment.len > 0)
        memcpy(r.comment, v.comment.data, v.comment.len);
    if (v.n_networks > 0 && (r.networks = calloc(v.n_networks, sizeof *r.networks)) == NULL)
        return -ENOMEM;
    for (; r.n_networks < v.n_networks; r.n_networks++)
        text_read(&v.networks, r.networks[r.n_networks], POLICY_NAME);
    *out = r;
    return 0;
}

/* --- pools ---------------------------------------------------------------- */

static void pool_write(struct writer *w, const struct policy_pool *p)
{
    writer_u8(w, p->allow_public ? FLAG_ALLOW_PUBLIC : 0);
    writer_u8(w, (uint8_t)p->n);
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_host *h = &p->hosts[i];

        writer_bytes(w, h->target.data, h->target.len);
        writer_u16(w, h->port);
        writer_u16(w, h->priority);
        writer_u16(w, h->weight);
        writer_u8(w, h->probe ? 0 : FLAG_NO_PROBE);
        writer_u8(w, h->n_addresses);
        for (unsigned k = 0; k < h->n_addresses; k++)
            writer_bytes(w, h->addresses[k].ip, sizeof h->addresses[k].ip);
    }
}

static bool host_read(struct cursor *c, struct policy_host *h)
{
    name_read_plain(c, &h->target);
    h->port = cursor_u16(c);
    h->priority = cursor_u16(c);
    h->weight = cursor_u16(c);
    h->probe = (cursor_u8(c) & FLAG_NO_PROBE) == 0;
    h->n_addresses = cursor_u8(c);
    if (h->n_addresses > POLICY_HOST_ADDRESSES)
        return false;
    for (unsigned i = 0; i < h->n_addresses; i++) {
        const uint8_t *ip = cursor_take(c, sizeof h->addresses[i].ip);

        h->addresses[i] = (struct addr){.scope = 0};
        if (ip != NULL)
            memcpy(h->addresses[i].ip, ip, sizeof h->addresses[i].ip);
    }
    return !c->bad;
}

int pool_read_hosts(const struct store_bytes *value, struct policy_host *out, int max,
                    bool *allow_public)
{
    struct cursor c = cursor_make(value->data, value->len);
    uint8_t flags = cursor_u8(&c);
    int n = cursor_u8(&c);

    if (n > max)
        return -EBADMSG;
    for (int i = 0; i < n; i++)
        if (!host_read(&c, &out[i]))
            return -EBADMSG;
    if (c.bad || cursor_left(&c) != 0)
        return -EBADMSG;
    *allow_public = (flags & FLAG_ALLOW_PUBLIC) != 0;
    return n;
}

static int pool_read(struct policy_pool *out, const struct store_bytes *value)
{
    int n = value->len > 1 ? value->data[1] : 0;
    struct policy_host *hosts = calloc(n > 0 ? (size_t)n : 1, sizeof *hosts);

    if (hosts == NULL)
        return -ENOMEM;
    n = n <= POLICY_POOL_HOSTS ? pool_read_hosts(value, hosts, n, &out->allow_public) : -EBADMSG;
    if (n < 0) {
        free(hosts);
        return n;
    }
    out->hosts = hosts;
    out->n = (size_t)n;
    return 0;
}

/* --- networks ------------------------------------------------------------- */

_Static_assert(sizeof(struct prefix) == 17, "it is stored as it is");

static void network_write(struct writer *w, const struct policy_network *n)
{
    writer_bytes(w, n->prefixes, n->n * sizeof *n->prefixes);
}

static int network_read(struct policy_network *out, const struct store_bytes *value)
{
    size_t n = value->len / sizeof *out->prefixes;
    struct prefix *p;

    if (n == 0 || value->len % sizeof *p != 0)
        return -EBADMSG;
    p = malloc(value->len);
    if (p == NULL)
        return -ENOMEM;
    memcpy(p, value->data, value->len);
    for (size_t i = 0; i < n; i++) {
        if (p[i].len > 128) {
            free(p);
            return -EBADMSG;
        }
        prefix_mask(p[i].ip, p[i].len);
    }
    out->prefixes = p;
    out->n = n;
    return 0;
}

int record_read(enum policy_table table, void *object, const struct store_bytes *value)
{
    return table == TABLE_NETWORK ? network_read(object, value)
           : table == TABLE_POOL  ? pool_read(object, value)
                                  : rule_read(object, value);
}

void record_write(enum policy_table table, const void *object, struct writer *w)
{
    if (table == TABLE_NETWORK)
        network_write(w, object);
    else if (table == TABLE_POOL)
        pool_write(w, object);
    else if (table == TABLE_RULE)
        rule_write(w, object);
}

/* --- what follows from a record ------------------------------------------- */

static int set_entry(struct store_txn *t, const struct store_key *k, bool put)
{
    int rc = put ? store_put(t, k, NULL, 0) : store_del(t, k);

    return rc == -ENOENT ? 0 : rc;
}

/* Puts or removes the entries that follow from a record, as far as it can be read. 0 or
 * more, or -errno. */
static int set_entries(struct store_txn *t, const struct store_key *key,
                       const struct store_bytes *value, bool put)
{
    const struct store_bytes bytes = {key->data, key->len};
    struct cursor c = cursor_make(value->data, value->len);
    char name[POLICY_NAME], used[POLICY_NAME];
    struct policy_host h;
    struct rule_view v;
    struct store_key k;
    size_t n;
    int rc = 0;

    switch (key->data[0]) {
    case TABLE_LISTED:
        k = *key;
        k.data[0] = TABLE_APPROVED;
        return set_entry(t, &k, put);
    case TABLE_SUFFIX:
    case TABLE_BELOW:
        n = sort_key_end(&bytes) + 2;
        if (!record_name(name, key->data + n, key->len - n))
            return 0;
        key_rule_suffix(&k, name, NULL);
        memcpy(k.data + k.len, key->data + 1, n - 1); /* as long as the key */
        k.len += n - 1;
        return set_entry(t, &k, put);
    case TABLE_POOL:
        cursor_u8(&c);
        n = cursor_u8(&c);
        while (key_read_name(&bytes, name) && n-- > 0 && rc >= 0 && host_read(&c, &h)) {
            key_target(&k, TABLE_APPROVED, &h.target, h.port, name);
            rc = set_entry(t, &k, put);
            key_host(&k, &h.target, name);
            if (rc >= 0 && h.n_addresses > 0)
                rc = set_entry(t, &k, put);
            for (unsigned i = 0; i < h.n_addresses && rc >= 0; i++) {
                key_ip(&k, TABLE_ADDRESS, h.addresses[i].ip, name);
                rc = set_entry(t, &k, put);
            }
        }
        return rc;
    case TABLE_RULE:
        if (!key_read_name(&bytes, name) || !rule_view_read(&v, value))
            return 0;
        key_user(&k, TABLE_POOL, v.pool, name);
        if (v.pool[0] != '\0')
            rc = set_entry(t, &k, put);
        while (v.n_networks-- > 0 && rc >= 0) {
            text_read(&v.networks, used, sizeof used);
            key_user(&k, TABLE_NETWORK, used, name);
            rc = set_entry(t, &k, put);
        }
        return rc;
    default:
        return 0;
    }
}

/* A copy of the value of a pool or rule: bytes of the map last until the next write. As
 * store_get(); then there is none. */
static int copy_value(struct store_txn *t, const struct store_key *key,
                      uint8_t copy[RECORD_POOL_MAX], struct store_bytes *out)
{
    int rc = store_get(t, key, out);

    if (rc == 0 && out->len > RECORD_POOL_MAX)
        rc = -EBADMSG;
    if (rc == 0 && out->len > 0)
        memcpy(copy, out->data, out->len);
    *out = (struct store_bytes){copy, rc == 0 ? out->len : 0};
    return rc;
}

/* What is damaged gives nothing, and hinders no change. (A suffix and its entry are both
 * in their keys: they are not lost.) */
int record_make_entries(struct store_txn *t)
{
    static const char made[] = {TABLE_APPROVED, TABLE_ADDRESS, TABLE_HOST, TABLE_USER};
    static const char sources[] = {TABLE_LISTED, TABLE_POOL, TABLE_RULE};
    uint8_t copy[RECORD_POOL_MAX];
    int rc = 0;

    for (size_t i = 0; i < sizeof made && rc == 0; i++)
        rc = store_del_all(t, &(struct store_key){1, {(uint8_t)made[i]}});
    for (size_t i = 0; i < sizeof sources && rc == 0; i++) {
        struct store_key k = {1, {(uint8_t)sources[i]}};
        struct store_record r;

        while ((rc = store_after(t, &k, 1, &r)) == 0 || rc == -EBADMSG) {
            struct store_bytes value;

            store_key_copy(&k, &r.key);
            rc = copy_value(t, &k, copy, &value);
            if (rc == 0)
                rc = set_entries(t, &k, &value, true);
            if (rc < 0 && rc != -EBADMSG)
                return rc;
        }
        rc = rc == -ENOENT ? 0 : rc;
    }
    return rc;
}

int record_put(struct store_txn *t, const struct store_key *key, const void *value, size_t len)
{
    bool has_more = key->data[0] == TABLE_POOL || key->data[0] == TABLE_RULE;
    const struct store_bytes is = {value, len};
    uint8_t copy[RECORD_POOL_MAX];
    struct store_bytes was;
    int rc = has_more ? copy_value(t, key, copy, &was) : -ENOENT, put, set = 0;

    put = store_put(t, key, value, len);
    if (put == STORE_REPLACED && rc == 0)
        set = set_entries(t, key, &was, false);
    else if (put == STORE_REPLACED && rc == -EBADMSG)
        set = record_make_entries(t);
    if (put >= 0 && set >= 0) /* also of one that is the same: an entry may be damaged */
        set = set_entries(t, key, &is, true);
    return set < 0 ? set : put;
}

int record_del(struct store_txn *t, const struct store_key *key)
{
    bool has_more = key->data[0] == TABLE_POOL || key->data[0] == TABLE_RULE;
    uint8_t copy[RECORD_POOL_MAX];
    struct store_bytes was = {NULL, 0};
    int lost = has_more ? copy_value(t, key, copy, &was) : 0, rc = store_del(t, key);

    if (rc == 0)
        rc = lost == -EBADMSG ? record_make_entries(t) : set_entries(t, key, &was, false);
    return rc < 0 ? rc : 0;
}

/* --- the log --------------------------------------------------------------

   serial (key) ─▶ time 8 | digest 8 | author, claimed, reason, summary | more 1 |
                   rules: how many 1, then their names */

int log_append(struct store_txn *t, const struct policy_log_entry *e, const struct log_rules *rules)
{
    uint8_t value[RECORD_LOG_MAX];
    struct writer w = writer_make(value, sizeof value);
    struct store_key k;
    int rc;

    writer_u64(&w, e->time_ms);
    writer_u64(&w, e->digest);
    text_write(&w, e->author, sizeof e->author);
    text_write(&w, e->claimed, sizeof e->claimed);
    text_write(&w, e->reason, sizeof e->reason);
    text_write(&w, e->summary, sizeof e->summary);
    writer_u8(&w, rules->more);
    writer_u8(&w, (uint8_t)rules->n);
    for (unsigned i = 0; i < rules->n; i++)
        text_write(&w, rules->names[i], sizeof rules->names[i]);
    key_serial(&k, e->serial);
    rc = store_put(t, &k, value, w.len);
    return rc < 0 ? rc : 0;
}

int log_last(struct store_txn *t, uint64_t *serial, uint64_t *time_ms)
{
    const struct store_key behind = {1, {TABLE_LOG + 1}}, table = {1, {TABLE_LOG}};
    struct store_record r;
    struct cursor c;
    int rc = store_seek(t, &behind, 0, &r);

    *serial = *time_ms = 0;
    if (rc == 0 || rc == -EBADMSG || rc == -ENOENT)
        rc = store_prev(t, &table, 1, &r);
    if (rc == -ENOENT)
        return 0;
    if (rc != 0 && rc != -EBADMSG)
        return rc;
    c = cursor_make(r.key.data + 1, r.key.len - 1);
    *serial = cursor_u64(&c);
    if (c.bad)
        return -EBADMSG;
    c = cursor_make(r.value.data, r.value.len);
    *time_ms = cursor_u64(&c);
    return 0;
}

int log_prune(struct store_txn *t, uint64_t before_ms)
{
    const struct store_key table = {1, {TABLE_LOG}};

    for (unsigned i = 0; i < PRUNE; i++) {
        struct store_record r;
        struct store_key k;
        int rc = store_seek(t, &table, 1, &r);
        struct cursor c = cursor_make(r.value.data, r.value.len);

        /* A damaged entry that is first is of no use either: it goes. */
        if ((rc != 0 && rc != -EBADMSG) || (rc == 0 && cursor_u64(&c) >= before_ms))
            return rc == -ENOENT ? 0 : rc;
        store_key_copy(&k, &r.key);
        rc = store_del(t, &k);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int policy_log_each(struct store *store, uint64_t since_ms, const char *rule,
                    policy_log_visit *visit, void *context)
{
    struct policy_log_entry e = {.serial = 0};
    int rc = 0;

    while (rc == 0) {
        struct store_record r;
        struct store_key k;
        struct store_txn *t;
        struct cursor key, c;
        bool concerned;

        rc = store_begin(store, false, &t);
        if (rc != 0)
            return rc;
        key_serial(&k, e.serial + 1);
        rc = store_seek(t, &k, 1, &r);
        if (rc != 0) {
            store_end(t);
            return rc == -ENOENT ? 0 : rc;
        }
        key = cursor_make(r.key.data + 1, r.key.len - 1);
        c = cursor_make(r.value.data, r.value.len);
        e.serial = cursor_u64(&key);
        e.time_ms = cursor_u64(&c);
        e.digest = cursor_u64(&c);
        text_read(&c, e.author, sizeof e.author);
        text_read(&c, e.claimed, sizeof e.claimed);
        text_read(&c, e.reason, sizeof e.reason);
        text_read(&c, e.summary, sizeof e.summary);
        concerned = cursor_u8(&c) != 0 || rule == NULL;
        for (unsigned n = cursor_u8(&c); n > 0 && !c.bad; n--) {
            struct store_bytes name = record_text(&c);

            concerned |= rule != NULL && !c.bad && record_text_is(&name, rule);
        }
        store_end(t);
        if (key.bad || c.bad)
            return -EBADMSG;
        if (concerned && e.time_ms >= since_ms)
            rc = visit(context, &e); /* nothing is open meanwhile */
    }
    return rc;
}
