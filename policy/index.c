/* SPDX-License-Identifier: BSD-2-Clause
 *
 * index.c -- the index of suffixes: longest match by ordered look-ups.
 *
 *   S example. corp. 0 0 rule       corp.example
 *   W 0 2 rule                      *
 *   W example. corp. 0 1 rule       *.corp.example
 *
 * Seek the whole name in one table, then its parents in the other, which is
 * small in most policies and stays in the processor's cache. Where nothing was
 * found, the key before the place tells how far to go up: an entry of a parent
 * would sort before the place and after any key that shares fewer labels with
 * it. So a question with 120 labels costs no more than the policy has levels.
 */
#include "policy/index.h"

#include <errno.h>
#include <string.h>

struct walk {
    struct store_txn *txn;
    uint8_t key[2 * NAME_MAX_WIRE];     /* sort key of the whole name */
    uint16_t ends[NAME_MAX_LABELS + 1]; /* ends[d]: its first d labels, from the root */
    unsigned labels;
    index_visit *visit;
    void *context;
};

static void begin(struct walk *w, const struct name *name)
{
    size_t len = name->labels > 0 ? name_sort_key(name, w->key, sizeof w->key) : 0;
    unsigned d = 0;

    w->ends[0] = 0;
    for (size_t i = 0; i < len && d < name->labels; i++)
        if (w->key[i] == 0)
            w->ends[++d] = (uint16_t)(i + 1);
    w->labels = d;
}

/* The key of the entries of that kind at that depth; rule names follow it. */
static void make_key(const struct walk *w, unsigned depth, enum suffix_kind kind,
                     struct store_key *k)
{
    bool below = kind == SUFFIX_BELOW || kind == SUFFIX_ANY;
    struct writer to = writer_make(k->data, sizeof k->data);

    writer_u8(&to, below ? TABLE_BELOW : TABLE_SUFFIX);
    writer_bytes(&to, w->key, w->ends[depth]);
    writer_u8(&to, 0);
    writer_u8(&to, (uint8_t)kind);
    k->len = to.len; /* two octets for each of a name, and three more: it fits */
}

/* Visits the entries of that kind at that depth. *left: when there are none, below which
 * depth there may be some; 0: nowhere. What is looked for in the whole table may be damaged. */
static int visit_at(struct walk *w, unsigned depth, enum suffix_kind kind, unsigned *left)
{
    struct store_record r;
    struct store_key k;
    bool any = false;
    size_t n, i = 0;
    int rc;

    make_key(w, depth, kind, &k);
    *left = depth;
    for (rc = store_seek(w->txn, &k, 1, &r); rc == 0; rc = store_next(w->txn, &k, 1, &r)) {
        struct index_hit hit = {kind, depth, {r.key.data + k.len, r.key.len - k.len}};

        if (r.key.len <= k.len || memcmp(r.key.data, k.data, k.len) != 0)
            break;
        if (hit.rule.len >= POLICY_NAME)
            return -EBADMSG;
        any = true;
        rc = w->visit(w->context, &hit);
        if (rc != 0)
            return rc;
    }
    if (rc != 0 && rc != -ENOENT)
        return rc;
    if (any || depth == 0)
        return 0;
    rc = store_prev(w->txn, &k, 1, &r);
    if (rc == -ENOENT)
        *left = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    if (store_compare(&r.key, &k) >= 0)
        return -EBADMSG;
    /* The labels that it and the name have in common. */
    n = r.key.len - 1 < w->ends[depth] ? r.key.len - 1 : w->ends[depth];
    while (i < n && r.key.data[1 + i] == w->key[i])
        i++;
    while (depth > 0 && w->ends[depth] > i)
        depth--;
    *left = depth < *left ? depth + 1 : depth; /* else: another kind at this very depth */
    return 0;
}

int index_walk(struct store_txn *t, const struct name *suffix, index_visit *visit, void *context)
{
    struct walk w = {.txn = t, .visit = visit, .context = context};
    unsigned depth, unused;
    int rc;

    begin(&w, suffix);
    depth = w.labels;
    rc = visit_at(&w, depth, depth == 0 ? SUFFIX_BARE : SUFFIX_EXACT, &unused);
    while (rc == 0 && depth-- > 0)
        rc = visit_at(&w, depth, depth == 0 ? SUFFIX_ANY : SUFFIX_BELOW, &depth);
    return rc;
}

int index_walk_host(struct store_txn *t, const struct name *target, index_visit *visit,
                    void *context)
{
    struct store_key host, last, user;
    struct store_record r;
    char pool[POLICY_NAME];
    int rc;

    key_host(&host, target, "");
    last = host;
    while ((rc = store_after(t, &last, host.len, &r)) == 0) {
        struct index_hit hit = {.kind = SUFFIX_EXACT, .labels = target->labels};

        store_key_copy(&last, &r.key);
        if (last.len - host.len >= POLICY_NAME)
            return -EBADMSG;
        memcpy(pool, last.data + host.len, last.len - host.len);
        pool[last.len - host.len] = '\0';
        key_user(&user, TABLE_POOL, pool, "");
        for (rc = store_seek(t, &user, user.len, &r); rc == 0;
             rc = store_next(t, &user, user.len, &r)) {
            hit.rule = (struct store_bytes){r.key.data + user.len, r.key.len - user.len};
            if (hit.rule.len == 0 || hit.rule.len >= POLICY_NAME)
                return -EBADMSG;
            rc = visit(context, &hit);
            if (rc != 0)
                return rc;
        }
        if (rc != -ENOENT)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

/* --- for explanations ----------------------------------------------------- */

static int visit_below(struct walk *w, enum policy_table table, unsigned n)
{
    struct store_record r;
    struct store_key k;
    size_t prefix;
    int rc;

    make_key(w, w->labels, SUFFIX_BARE, &k);
    k.data[0] = (uint8_t)table;
    prefix = k.len - 2;
    /* The first one behind all entries of the name itself. */
    for (rc = store_seek(w->txn, &k, prefix, &r); rc == 0 && n-- > 0;
         rc = store_next(w->txn, &k, prefix, &r)) {
        struct index_hit hit;
        char rule[POLICY_NAME];
        struct suffix s;

        if (!key_read_suffix(&r.key, &s, rule))
            return -EBADMSG;
        hit = (struct index_hit){s.kind, s.name.labels, {NULL, strlen(rule)}};
        hit.rule.data = r.key.data + r.key.len - hit.rule.len; /* the end of the key */
        rc = w->visit(w->context, &hit);
        if (rc != 0)
            return rc;
    }
    return rc == -ENOENT ? 0 : rc;
}

int index_walk_near(struct store_txn *t, const struct name *suffix, unsigned below,
                    index_visit *visit, void *context)
{
    struct walk w = {.txn = t, .visit = visit, .context = context};
    unsigned unused;
    int rc;

    begin(&w, suffix);
    if (w.labels == 0)
        return 0;
    rc = visit_at(&w, w.labels, SUFFIX_BELOW, &unused);
    for (unsigned d = w.labels; d-- > 1 && rc == 0;)
        rc = visit_at(&w, d, SUFFIX_EXACT, &unused);
    if (rc == 0)
        rc = visit_below(&w, TABLE_SUFFIX, below);
    return rc == 0 ? visit_below(&w, TABLE_BELOW, below) : rc;
}
