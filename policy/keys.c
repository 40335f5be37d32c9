/* SPDX-License-Identifier: BSD-2-Clause
 *
 * keys.c -- keys of the policy store (records.h has the table of tables).
 *
 * A sort key (wire/name.h) has labels from the root on, each ended by 0 and
 * never empty; one more 0 behind it therefore sorts before all names below,
 * and the entries of one name lie together, right before those. Names without
 * octets 0 and 1 always fit: 1 + 254 + 2 + 63 octets.
 */
#include "policy/records.h"

#include <string.h>

#include "base/str.h"

bool table_is_live(uint8_t table)
{
    return table == TABLE_NETWORK || table == TABLE_POOL || table == TABLE_RULE ||
           table == TABLE_SUFFIX || table == TABLE_BELOW || table == TABLE_LISTED;
}

static struct writer key_begin(struct kv_key *k, enum policy_table table)
{
    struct writer w = writer_make(k->at, sizeof k->at);

    writer_u8(&w, (uint8_t)table);
    return w;
}

static void key_end(struct kv_key *k, const struct writer *w)
{
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

void key_named(struct kv_key *k, enum policy_table table, const char *name)
{
    struct writer w = key_begin(k, table);

    writer_bytes(&w, name, strnlen(name, POLICY_NAME));
    key_end(k, &w);
}

void key_number(struct kv_key *k, enum policy_table table, uint64_t v)
{
    struct writer w = key_begin(k, table);

    writer_u64(&w, v);
    key_end(k, &w);
}

void key_range(struct kv_key *k, const uint8_t last[16])
{
    struct writer w = key_begin(k, TABLE_RANGE);

    writer_bytes(&w, last, 16);
    key_end(k, &w);
}

void key_address(struct kv_key *k, const uint8_t ip[16])
{
    struct writer w = key_begin(k, TABLE_ADDRESS);

    writer_bytes(&w, ip, 16);
    key_end(k, &w);
}

void key_target(struct kv_key *k, enum policy_table table, const struct name *target, uint16_t port)
{
    struct writer w = key_begin(k, table);

    put_sort_key(&w, target);
    writer_u16(&w, port);
    key_end(k, &w);
}

void key_suffix(struct kv_key *k, const struct suffix *s, const char *rule)
{
    bool below = s->kind == SUFFIX_BELOW || s->kind == SUFFIX_ANY;
    struct writer w = key_begin(k, below ? TABLE_BELOW : TABLE_SUFFIX);

    put_sort_key(&w, &s->name);
    writer_u8(&w, (uint8_t)s->kind);
    writer_bytes(&w, rule, strnlen(rule, POLICY_NAME));
    key_end(k, &w);
}

void key_host(struct kv_key *k, const struct name *target, const char *rule)
{
    const struct suffix s = {SUFFIX_EXACT, *target};

    key_suffix(k, &s, rule);
    k->at[0] = TABLE_HOST;
}

void key_rule_suffix(struct kv_key *k, const char *rule, const struct suffix *s)
{
    struct writer w = key_begin(k, TABLE_RULE_SUFFIX);

    writer_bytes(&w, rule, strnlen(rule, POLICY_NAME));
    writer_u8(&w, 0);
    if (s != NULL) {
        put_sort_key(&w, &s->name);
        writer_u8(&w, (uint8_t)s->kind);
    }
    key_end(k, &w);
}

static bool copy_name(char out[POLICY_NAME], const uint8_t *at, size_t len)
{
    if (len == 0 || len >= POLICY_NAME || memchr(at, 0, len) != NULL)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

bool key_read_name(const struct kv_bytes *k, char out[POLICY_NAME])
{
    return k->len > 1 && copy_name(out, k->at + 1, k->len - 1);
}

bool key_read_target(const struct kv_bytes *k, struct policy_approved *out)
{
    struct cursor c;

    if (k->len < 4 || k->at[k->len - 3] != 0 ||
        !name_from_sort_key(k->at + 1, k->len - 4, &out->target))
        return false;
    c = cursor_make(k->at + k->len - 2, 2);
    out->port = cursor_u16(&c);
    return true;
}

/* A suffix key without its table: sort key, 0, kind. */
static bool read_suffix(const uint8_t *at, size_t len, struct suffix *out)
{
    if (len < 2 || at[len - 2] != 0 || at[len - 1] > SUFFIX_BARE)
        return false;
    out->kind = (enum suffix_kind)at[len - 1];
    return name_from_sort_key(at, len - 2, &out->name);
}

bool key_read_rule_suffix(const struct kv_bytes *k, char rule[POLICY_NAME], struct suffix *out)
{
    const uint8_t *end = k->len > 1 ? memchr(k->at + 1, 0, k->len - 1) : NULL;
    size_t len;

    if (end == NULL)
        return false;
    len = (size_t)(end - k->at) - 1;
    return copy_name(rule, k->at + 1, len) && read_suffix(end + 1, k->len - len - 2, out);
}

bool key_read_suffix(const struct kv_bytes *k, struct suffix *out, char rule[POLICY_NAME])
{
    size_t at = 1;

    while (at < k->len && k->at[at] != 0) { /* one label */
        const uint8_t *end = memchr(k->at + at, 0, k->len - at);

        if (end == NULL)
            return false;
        at = (size_t)(end - k->at) + 1;
    }
    return at + 2 <= k->len && read_suffix(k->at + 1, at + 1, out) &&
           copy_name(rule, k->at + at + 2, k->len - at - 2);
}
