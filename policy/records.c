/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.c -- payloads of the policy store: big-endian fields, texts with one
 * octet of length in front, names in wire form.
 *
 * The numbers of actions, modes, suffix kinds and the bits of `when` are what
 * is stored: enum policy_action and its like grow at the end only. A payload
 * that passed its checksum may still be one that we never wrote: everything
 * read is checked against its limits, and nothing may be left over.
 */
#include "policy/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_BREAK_DNSSEC = 1, FLAG_ALLOW_PUBLIC = 1, FLAG_NO_PROBE = 1 };
enum { WHEN_ALL = WORD_MISSING | WORD_FAILED | WORD_PRESENT | WORD_UNAPPROVED };

static void put_text(struct writer *w, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);

    writer_u8(w, (uint8_t)len);
    writer_bytes(w, text, len);
}

static struct kv_bytes get_text(struct cursor *c)
{
    size_t len = cursor_u8(c);
    const uint8_t *p = cursor_take(c, len);

    return (struct kv_bytes){p, p != NULL ? len : 0};
}

static bool copy_text(char *out, size_t size, const struct kv_bytes *t)
{
    if (t->len >= size || (t->len > 0 && memchr(t->at, 0, t->len) != NULL))
        return false;
    if (t->len > 0)
        memcpy(out, t->at, t->len);
    out[t->len] = '\0';
    return true;
}

struct kv_bytes record_text(struct cursor *c)
{
    struct kv_bytes t = get_text(c);

    if (t.len == 0 || t.len >= POLICY_NAME || memchr(t.at, 0, t.len) != NULL)
        c->bad = true;
    return c->bad ? (struct kv_bytes){NULL, 0} : t;
}

bool record_text_is(const struct kv_bytes *t, const char *text)
{
    return strlen(text) == t->len && memcmp(t->at, text, t->len) == 0;
}

/* --- the state ------------------------------------------------------------ */

void state_key(struct kv_key *k)
{
    key_named(k, TABLE_META, "state");
}

int state_parse(const struct kv_bytes *v, struct policy_state *s)
{
    struct cursor c = cursor_make(v->at, v->len);

    s->serial = cursor_u64(&c);
    s->time_ms = cursor_u64(&c);
    s->digest = cursor_u64(&c);
    s->networks = cursor_u64(&c);
    s->pools = cursor_u64(&c);
    s->rules = cursor_u64(&c);
    s->suffixes = cursor_u64(&c);
    s->approved = cursor_u64(&c);
    return c.bad || cursor_left(&c) != 0 ? -EBADMSG : 0;
}

int state_read(struct kv *kv, struct policy_state *s)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    state_key(&k);
    rc = kv_get(kv, &k, &v);
    if (rc != 0)
        return rc == -ENOENT ? -EBADMSG : rc; /* written together with the format */
    return state_parse(&v, s);
}

int state_write(struct kv *kv, const struct policy_state *s)
{
    const uint64_t fields[] = {s->serial, s->time_ms, s->digest,   s->networks,
                               s->pools,  s->rules,   s->suffixes, s->approved};
    uint8_t buf[sizeof fields];
    struct writer w = writer_make(buf, sizeof buf);
    struct kv_key k;
    int rc;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        writer_u64(&w, fields[i]);
    state_key(&k);
    rc = kv_put(kv, &k, buf, w.len);
    return rc < 0 ? rc : 0;
}

/* --- rules ---------------------------------------------------------------- */

void rule_write(struct writer *w, const struct policy_rule *r)
{
    writer_u8(w, (uint8_t)r->action);
    writer_u8(w, (uint8_t)r->mode);
    writer_u8(w, (uint8_t)r->when);
    writer_u8(w, r->break_dnssec ? FLAG_BREAK_DNSSEC : 0);
    writer_u32(w, r->ttl);
    writer_u64(w, r->from_ms);
    writer_u64(w, r->until_ms);
    put_text(w, r->pool, sizeof r->pool);
    put_text(w, r->comment, sizeof r->comment);
    writer_u8(w, (uint8_t)r->n_networks);
    for (size_t i = 0; i < r->n_networks; i++)
        put_text(w, r->networks[i], sizeof r->networks[i]);
}

bool rule_view_read(struct rule_view *r, const struct kv_bytes *value)
{
    struct cursor c = cursor_make(value->at, value->len);
    uint8_t action = cursor_u8(&c), mode = cursor_u8(&c), when = cursor_u8(&c);
    struct kv_bytes pool;

    if (action >= ACTIONS || mode >= MODES || (when & ~WHEN_ALL) != 0)
        return false;
    r->action = (enum policy_action)action;
    r->mode = (enum kms_mode)mode;
    r->when = when;
    r->break_dnssec = (cursor_u8(&c) & FLAG_BREAK_DNSSEC) != 0;
    r->ttl = cursor_u32(&c);
    r->from_ms = cursor_u64(&c);
    r->until_ms = cursor_u64(&c);
    pool = get_text(&c);
    r->comment = get_text(&c);
    r->n_networks = cursor_u8(&c);
    r->networks = c;
    for (unsigned i = 0; i < r->n_networks; i++)
        record_text(&c);
    return !c.bad && cursor_left(&c) == 0 && r->n_networks <= POLICY_RULE_NETWORKS &&
           copy_text(r->pool, sizeof r->pool, &pool);
}

int rule_read(struct policy_rule *out, const struct kv_bytes *value)
{
    struct policy_rule r = {0};
    struct rule_view v;

    if (!rule_view_read(&v, value) || !copy_text(r.comment, sizeof r.comment, &v.comment))
        return -EBADMSG;
    r.action = v.action;
    r.mode = v.mode;
    r.when = v.when;
    r.break_dnssec = v.break_dnssec;
    r.ttl = v.ttl;
    r.from_ms = v.from_ms;
    r.until_ms = v.until_ms;
    memcpy(r.pool, v.pool, sizeof r.pool);
    if (v.n_networks > 0) {
        r.networks = calloc(v.n_networks, sizeof *r.networks);
        if (r.networks == NULL)
            return -ENOMEM;
    }
    for (; r.n_networks < v.n_networks; r.n_networks++) {
        struct kv_bytes t = record_text(&v.networks);

        copy_text(r.networks[r.n_networks], POLICY_NAME, &t);
    }
    memcpy(r.name, out->name, sizeof r.name);
    *out = r;
    return 0;
}

/* --- pools ---------------------------------------------------------------- */

static void host_write(struct writer *w, const struct policy_host *h)
{
    writer_bytes(w, h->target.at, h->target.len);
    writer_u16(w, h->port);
    writer_u16(w, h->priority);
    writer_u16(w, h->weight);
    writer_u8(w, h->probe ? 0 : FLAG_NO_PROBE);
    writer_u8(w, h->n_addresses);
    for (unsigned i = 0; i < h->n_addresses && i < POLICY_HOST_ADDRESSES; i++)
        writer_bytes(w, h->addresses[i].ip, sizeof h->addresses[i].ip);
}

void pool_write(struct writer *w, const struct policy_pool *p)
{
    writer_u8(w, p->allow_public ? FLAG_ALLOW_PUBLIC : 0);
    writer_u8(w, (uint8_t)p->n);
    for (size_t i = 0; i < p->n; i++)
        host_write(w, &p->hosts[i]);
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

int pool_read_hosts(const struct kv_bytes *value, struct policy_host *out, int max,
                    bool *allow_public)
{
    struct cursor c = cursor_make(value->at, value->len);
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

int pool_read(struct policy_pool *out, const struct kv_bytes *value)
{
    struct policy_host *hosts = calloc(POLICY_POOL_HOSTS, sizeof *hosts), *less;
    int n;

    if (hosts == NULL)
        return -ENOMEM;
    n = pool_read_hosts(value, hosts, POLICY_POOL_HOSTS, &out->allow_public);
    if (n < 0) {
        free(hosts);
        return n;
    }
    less = realloc(hosts, (n > 0 ? (size_t)n : 1) * sizeof *hosts);
    out->hosts = less != NULL ? less : hosts;
    out->n = (size_t)n;
    return 0;
}

/* --- networks ------------------------------------------------------------- */

void network_write(struct writer *w, const struct policy_network *n)
{
    for (size_t i = 0; i < n->n; i++) {
        writer_bytes(w, n->prefixes[i].ip, sizeof n->prefixes[i].ip);
        writer_u8(w, n->prefixes[i].len);
    }
}

int network_read(struct policy_network *out, const struct kv_bytes *value)
{
    struct cursor c = cursor_make(value->at, value->len);
    size_t n = value->len / 17;
    struct prefix *p;

    if (value->len % 17 != 0)
        return -EBADMSG;
    p = calloc(n > 0 ? n : 1, sizeof *p);
    if (p == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        memcpy(p[i].ip, cursor_take(&c, 16), 16);
        p[i].len = cursor_u8(&c);
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
