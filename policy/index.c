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

#include "policy/records.h"

struct probe {
    struct kv *kv;
    uint8_t key[2 * NAME_MAX_WIRE];     /* sort key of the whole name */
    uint16_t ends[NAME_MAX_LABELS + 1]; /* ends[d]: its first d labels, from the root */
    unsigned labels;
    index_visit *visit;
    void *context;
};

static bool probe_init(struct probe *p, struct kv *kv, const struct name *name)
{
    size_t len = name->labels > 0 ? name_sort_key(name, p->key, sizeof p->key) : 0;
    unsigned d = 0;

    if (name->labels > 0 && len == 0)
        return false;
    p->kv = kv;
    p->labels = name->labels;
    p->ends[0] = 0;
    for (size_t i = 0; i < len && d < p->labels; i++)
        if (p->key[i] == 0)
            p->ends[++d] = (uint16_t)(i + 1);
    return d == p->labels;
}

static enum policy_table table_of(enum suffix_kind kind)
{
    return kind == SUFFIX_BELOW || kind == SUFFIX_ANY ? TABLE_BELOW : TABLE_SUFFIX;
}

/* The key of the entries of that kind at that depth; rule names follow it. */
static bool probe_key(const struct probe *p, unsigned depth, enum suffix_kind kind,
                      struct kv_key *k)
{
    struct writer w = writer_make(k->at, sizeof k->at);

    writer_u8(&w, (uint8_t)table_of(kind));
    writer_bytes(&w, p->key, p->ends[depth]);
    writer_u8(&w, 0);
    writer_u8(&w, (uint8_t)kind);
    k->len = w.full ? 0 : w.len;
    return !w.full;
}

/* Of the same table as the key that was looked for? */
static bool is_ours(const struct kv_entry *e, const struct kv_key *place)
{
    return e->key.len > 0 && e->key.at[0] == place->at[0];
}

/* Visits the entries that begin with k, from e on, where rc is how e was read. */
static int visit_run(struct probe *p, const struct kv_key *k, unsigned depth, struct kv_entry *e,
                     int rc, bool *any)
{
    *any = false;
    while ((rc == 0 || rc == -EBADMSG) && kv_begins(&e->key, k)) {
        struct index_hit hit = {
            (enum suffix_kind)k->at[k->len - 1], depth, {e->key.at + k->len, e->key.len - k->len}};

        if (rc != 0 || hit.rule.len == 0 || hit.rule.len >= POLICY_NAME)
            return -EBADMSG;
        *any = true;
        rc = p->visit(p->context, &hit);
        if (rc != 0)
            return rc;
        rc = kv_next(p->kv, e);
    }
    if (rc == -EBADMSG)
        return is_ours(e, k) ? rc : 0; /* the next table's is not our trouble */
    return rc == -ENOENT ? 0 : rc;
}

/* The labels that e's key and the name at that depth have in common. */
static unsigned common_labels(const struct probe *p, const struct kv_entry *e, unsigned depth)
{
    size_t n = e->key.len - 1, i = 0;

    if (n > p->ends[depth])
        n = p->ends[depth];
    while (i < n && e->key.at[1 + i] == p->key[i])
        i++;
    while (depth > 0 && p->ends[depth] > i)
        depth--;
    return depth;
}

/* Nothing at this depth: below which one may there be something? 0: nowhere. */
static int depths_left(struct probe *p, const struct kv_key *place, unsigned depth, unsigned *left)
{
    struct kv_entry e;
    int rc = kv_prev(p->kv, &e);
    unsigned common;

    *left = 0;
    if (rc == -ENOENT || (e.key.at != NULL && !is_ours(&e, place)))
        return 0;
    if (rc != 0 || kv_compare(&e.key, place) >= 0)
        return rc != 0 ? rc : -EBADMSG;
    common = common_labels(p, &e, depth);
    *left = common < depth ? common + 1 : depth; /* another kind at this very depth */
    return 0;
}

/* The entries of the name itself. */
static int walk_whole(struct probe *p)
{
    enum suffix_kind kind = p->labels == 0 ? SUFFIX_BARE : SUFFIX_EXACT;
    struct kv_entry e;
    struct kv_key k;
    unsigned left;
    bool any;
    int rc;

    if (!probe_key(p, p->labels, kind, &k))
        return 0;
    rc = visit_run(p, &k, p->labels, &e, kv_seek(p->kv, &k, &e), &any);
    if (rc == 0 && !any && p->labels > 0)
        rc = depths_left(p, &k, p->labels, &left); /* is the neighbour sound? */
    return rc;
}

int index_walk(struct kv *kv, const struct name *suffix, index_visit *visit, void *context)
{
    struct probe p = {.visit = visit, .context = context};
    unsigned depth = suffix->labels;
    int rc;

    if (!probe_init(&p, kv, suffix))
        return 0; /* longer than any key: no suffix is like it */
    rc = walk_whole(&p);
    while (rc == 0 && depth-- > 0) {
        struct kv_entry e;
        struct kv_key k;
        bool any;

        if (!probe_key(&p, depth, depth == 0 ? SUFFIX_ANY : SUFFIX_BELOW, &k))
            return 0;
        rc = visit_run(&p, &k, depth, &e, kv_seek(kv, &k, &e), &any);
        if (rc == 0 && !any && depth > 0)
            rc = depths_left(&p, &k, depth, &depth);
    }
    return rc;
}

/* --- hosts ----------------------------------------------------------------- */

int index_walk_host(struct kv *kv, const struct name *target, index_visit *visit, void *context)
{
    struct probe p = {.visit = visit, .context = context};
    struct kv_entry e;
    struct kv_key k;
    bool any;

    if (!probe_init(&p, kv, target) || !probe_key(&p, p.labels, SUFFIX_EXACT, &k))
        return 0;
    k.at[0] = TABLE_HOST;
    return visit_run(&p, &k, p.labels, &e, kv_seek(kv, &k, &e), &any);
}

void index_read_hosts(struct kv *kv, struct host_filter *f)
{
    enum { NAMES_MAX = 512 };
    char rule[POLICY_NAME];
    struct kv_key table;
    struct kv_entry e;
    struct suffix s;
    int rc, n = 0;

    memset(f->bits, 0, sizeof f->bits);
    key_named(&table, TABLE_HOST, "");
    for (rc = kv_seek(kv, &table, &e); e.key.at != NULL && kv_begins(&e.key, &table);
         rc = kv_next(kv, &e)) {
        unsigned bit;

        if (rc != 0 || ++n > NAMES_MAX || !key_read_suffix(&e.key, &s, rule)) {
            memset(f->bits, 0xff, sizeof f->bits);
            break;
        }
        bit = host_filter_bit(&s.name);
        f->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    f->known = true; /* not before: a fault may end the reading anywhere */
}

/* --- for explanations ----------------------------------------------------- */

static int visit_at(struct probe *p, unsigned depth, enum suffix_kind kind)
{
    struct kv_entry e;
    struct kv_key k;
    bool any;

    if (!probe_key(p, depth, kind, &k))
        return 0;
    return visit_run(p, &k, depth, &e, kv_seek(p->kv, &k, &e), &any);
}

static int visit_below(struct probe *p, enum policy_table table, unsigned n)
{
    struct kv_entry e;
    struct kv_key k;
    int rc;

    if (p->labels == 0 || !probe_key(p, p->labels, SUFFIX_BARE, &k))
        return 0;
    k.at[0] = (uint8_t)table;
    rc = kv_seek(p->kv, &k, &e); /* behind all entries of the name itself */
    k.len -= 2;
    while (rc == 0 && n-- > 0 && kv_begins(&e.key, &k)) {
        struct index_hit hit = {.kind = SUFFIX_EXACT};
        char rule[POLICY_NAME];
        struct suffix s;

        if (!key_read_suffix(&e.key, &s, rule))
            return -EBADMSG;
        hit.kind = s.kind;
        hit.labels = s.name.labels;
        hit.rule.len = strlen(rule); /* the end of the key */
        hit.rule.at = e.key.at + e.key.len - hit.rule.len;
        rc = p->visit(p->context, &hit);
        if (rc == 0)
            rc = kv_next(p->kv, &e);
    }
    return rc == -ENOENT ? 0 : rc;
}

int index_walk_near(struct kv *kv, const struct name *suffix, unsigned below, index_visit *visit,
                    void *context)
{
    struct probe p = {.visit = visit, .context = context};
    int rc = 0;

    if (!probe_init(&p, kv, suffix))
        return 0;
    if (p.labels > 0)
        rc = visit_at(&p, p.labels, SUFFIX_BELOW);
    for (unsigned d = p.labels; d-- > 1 && rc == 0;)
        rc = visit_at(&p, d, SUFFIX_EXACT);
    if (rc == 0)
        rc = visit_below(&p, TABLE_SUFFIX, below);
    return rc == 0 ? visit_below(&p, TABLE_BELOW, below) : rc;
}
