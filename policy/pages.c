/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages.c -- see pages.h.
 *
 * LMDB 0.9, 64 bit, host byte order:
 *
 *   page        number 8 | 0 2 | kind 2 | lower 2, upper 2 (overflow: pages 4) |
 *               places of the nodes, 2 each, up to lower ... nodes, from upper on
 *   node        low 2 | high 2 | flags 2 | length of the key 2 | key | value
 *               in a branch the first three are the number of the page below,
 *               in a leaf low and high are the length of the value; with the
 *               flag 1 the value is the number of its first overflow page
 *   meta page   page head 16 | magic 4 | version 4 | address 8 | map size 8 |
 *               two trees of 48 | last page 8 | transaction 8
 *   tree        page size 4 (first one only) | flags 2 | depth 2 | branch, leaf,
 *               overflow pages and entries 8 each | root page 8
 *   free pages  transaction (key) ─▶ how many 8 | their numbers, falling, 8 each
 *
 * A transaction writes the meta page that is the older one, n & 1 for the nth.
 * Each page up to the last is reached exactly once: in one of the two trees, or
 * in the list of free pages that one of them holds. So nothing that is found
 * below needs to be repaired or guessed at: it is there once, or it is damaged.
 *
 * Pages of a state are written over by the second transaction after it at the
 * earliest. So what is found amiss counts only if no transaction came since.
 */
#include "policy/pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HEAD = 16,
    NODE = 8,
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW = 4,
    META = 8,
    BIG = 1,
    METAS = 2,
    META_SIZE = 136,
    TREE_AT = 24,
    TREE = 48,
    LAST_AT = 120,
    TXN_AT = 128,
    DATA_VERSION = 1,
    INTEGER_KEYS = 8,
    DEPTH_MAX = 32
};
enum { FREE_PAGES, STORED };
static const uint32_t magic = 0xBEEFC0DE;
static const uint64_t none = UINT64_MAX; /* an empty tree has no root */

struct walk {
    int fd;
    struct pages_meta meta;
    struct pages_walk *ask;
    uint8_t *used;   /* a bit for each page */
    uint64_t n_used; /* meta pages included */
    uint8_t *room;   /* for a page of each level */
    /* The tree that is walked: */
    const struct pages_tree *tree;
    struct pages_tree got; /* what was found of it */
    pages_visit *visit;    /* NULL: values are of no interest */
    void *context;
    struct kv_key last; /* the last key seen */
    bool is_border;     /* it is a branch's: the next one may be equal */
};

struct node {
    struct kv_bytes key;
    uint64_t number; /* of the page below; of octets of the value */
    const uint8_t *value;
    bool is_big;
    size_t size;
};

static uint16_t u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* --- meta pages ----------------------------------------------------------- */

static void tree_read(const uint8_t *p, struct pages_tree *t)
{
    *t = (struct pages_tree){.flags = u16(p + 4),
                             .depth = u16(p + 6),
                             .branches = u64(p + 8),
                             .leaves = u64(p + 16),
                             .overflow = u64(p + 24),
                             .entries = u64(p + 32),
                             .root = u64(p + 40)};
}

static bool tree_is_sane(const struct pages_tree *t, uint32_t flags, uint64_t last)
{
    return t->flags == flags && t->depth <= DEPTH_MAX && (t->root == none || t->root <= last) &&
           (t->root == none) == (t->depth == 0);
}

static int meta_read(int fd, unsigned nth, uint32_t page_size, struct pages_meta *m)
{
    uint8_t page[HEAD + META_SIZE], *b = page + HEAD;
    ssize_t n = pread(fd, page, sizeof page, (off_t)nth * page_size);

    if (n < 0)
        return -errno;
    if (n < (ssize_t)sizeof page || u64(page) != nth || u16(page + 10) != META || u32(b) != magic ||
        u32(b + 4) != DATA_VERSION)
        return -EBADMSG;
    m->page_size = u32(b + TREE_AT);
    tree_read(b + TREE_AT, &m->trees[FREE_PAGES]);
    tree_read(b + TREE_AT + TREE, &m->trees[STORED]);
    m->last = u64(b + LAST_AT);
    m->txn = u64(b + TXN_AT);
    return m->page_size >= 512 && m->page_size <= 32768 &&
                   (m->page_size & (m->page_size - 1)) == 0 && m->last >= METAS - 1 &&
                   m->last < UINT32_MAX && (m->txn == 0 || (m->txn & 1) == nth) &&
                   tree_is_sane(&m->trees[FREE_PAGES], INTEGER_KEYS, m->last) &&
                   tree_is_sane(&m->trees[STORED], 0, m->last)
               ? 0
               : -EBADMSG;
}

int pages_meta(int fd, struct pages_meta *out)
{
    struct pages_meta a, b;
    int rc = meta_read(fd, 0, 0, &a);

    if (rc == 0)
        rc = meta_read(fd, 1, a.page_size, &b);
    if (rc != 0)
        return rc;
    *out = a.txn > b.txn ? a : b;
    /* A new file has two of no transaction. */
    if (a.page_size != b.page_size || (a.txn != b.txn + 1 && b.txn != a.txn + 1 && a.txn != b.txn))
        return -EBADMSG;
    return 0;
}

/* --- pages ---------------------------------------------------------------- */

static int bad(struct walk *w, uint64_t page, const char *what)
{
    snprintf(w->ask->why, sizeof w->ask->why, "page %llu %s", (unsigned long long)page, what);
    return -EBADMSG;
}

static int take(struct walk *w, uint64_t page)
{
    uint8_t bit = (uint8_t)(1 << (page & 7));

    if (page < METAS || page > w->meta.last)
        return bad(w, page, "is named and not there");
    if ((w->used[page / 8] & bit) != 0)
        return bad(w, page, "is used twice");
    w->used[page / 8] |= bit;
    w->n_used++;
    return 0;
}

/* Takes a page and reads the first octets of it. */
static int page_read(struct walk *w, uint64_t page, uint16_t kind, uint8_t *out, size_t size)
{
    int rc = take(w, page);
    ssize_t n;

    if (rc != 0)
        return rc;
    n = pread(w->fd, out, size, (off_t)(page * w->meta.page_size));
    if (n < 0)
        return bad(w, page, strerror(errno));
    if (n < (ssize_t)size)
        return bad(w, page, "is behind the end of the file");
    if (u64(out) != page)
        return bad(w, page, "is another page");
    return u16(out + 10) == kind ? 0 : bad(w, page, "is of the wrong kind");
}

static bool node_read(const struct walk *w, const uint8_t *page, unsigned nth, bool leaf,
                      struct node *n)
{
    size_t at = u16(page + HEAD + 2 * nth), size = w->meta.page_size, key_len;
    const uint8_t *p = page + at;

    if (at < u16(page + 14) || at % 2 != 0 || at + NODE > size)
        return false;
    key_len = u16(p + 6);
    n->key = (struct kv_bytes){p + NODE, key_len};
    n->is_big = leaf && u16(p + 4) == BIG;
    n->number = leaf ? u32(p) : u32(p) | (uint64_t)u16(p + 4) << 32;
    n->value = p + NODE + key_len;
    n->size = NODE + key_len + (!leaf ? 0 : n->is_big ? sizeof(uint64_t) : n->number);
    n->size += n->size % 2;
    return key_len <= KV_KEY_MAX && at + n->size <= size && (!leaf || u16(p + 4) <= BIG);
}

/* Keys rise; what is behind a branch's key is not less than it, what is before is. */
static bool key_follows(struct walk *w, const struct kv_bytes *key, bool is_border)
{
    uint64_t was, is;
    int c;

    if (w->tree == &w->meta.trees[FREE_PAGES]) { /* numbers; all but 0 are behind the first */
        if (key->len != sizeof is)
            return false;
        was = w->last.len > 0 ? u64(w->last.at) : 0;
        is = u64(key->at);
        c = (is > was) - (is < was);
    } else {
        c = key->len > 0 ? kv_compare(key, &w->last) : -1;
    }
    if (c < 0 || (c == 0 && !w->is_border))
        return false;
    w->is_border = is_border;
    w->last.len = key->len;
    memcpy(w->last.at, key->at, key->len);
    return true;
}

static int big_value(struct walk *w, const struct node *n)
{
    uint64_t page = u64(n->value), need = (HEAD - 1 + n->number) / w->meta.page_size + 1;
    struct kv_bytes value = {NULL, (size_t)n->number};
    uint8_t head[HEAD], *at;
    uint32_t pages;
    int rc = page_read(w, page, OVERFLOW, head, sizeof head);

    if (rc != 0)
        return rc;
    pages = u32(head + 12);
    if (pages < need || pages > w->meta.last)
        return bad(w, page, "has not room for its value");
    w->got.overflow += pages;
    for (uint32_t i = 1; i < pages && rc == 0; i++)
        rc = take(w, page + i);
    if (rc != 0 || w->visit == NULL)
        return rc;
    at = malloc(value.len);
    if (at == NULL)
        return -ENOMEM;
    value.at = at;
    if (pread(w->fd, at, value.len, (off_t)(page * w->meta.page_size + HEAD)) != (ssize_t)value.len)
        rc = bad(w, page, "cannot be read");
    if (rc == 0)
        rc = w->visit(w->context, &n->key, &value);
    free(at);
    return rc;
}

static int walk_page(struct walk *w, uint64_t number, unsigned level);

static int visit_node(struct walk *w, uint64_t page, unsigned level, unsigned nth,
                      const struct node *n)
{
    bool leaf = level + 1 == w->tree->depth;
    struct kv_bytes value = {n->value, (size_t)n->number};

    if ((leaf || nth > 0) && !key_follows(w, &n->key, !leaf)) /* a branch's first key is not used */
        return bad(w, page, "has a key in the wrong place");
    if (!leaf)
        return walk_page(w, n->number, level + 1);
    w->got.entries++;
    if (n->is_big)
        return big_value(w, n);
    return w->visit != NULL ? w->visit(w->context, &n->key, &value) : 0;
}

/* Everything at and below it. LMDB has two keys at least in a branch, one in a leaf. */
static int walk_page(struct walk *w, uint64_t number, unsigned level)
{
    uint32_t size = w->meta.page_size;
    uint8_t *page = w->room + (size_t)level * size;
    bool leaf = level + 1 == w->tree->depth;
    size_t filled = 0, lower, upper;
    unsigned keys;
    int rc;

    if (w->ask->stop != NULL && atomic_load(w->ask->stop))
        return -ECANCELED;
    rc = page_read(w, number, leaf ? LEAF : BRANCH, page, size);
    if (rc != 0)
        return rc;
    *(leaf ? &w->got.leaves : &w->got.branches) += 1;
    lower = u16(page + 12);
    upper = u16(page + 14);
    keys = (unsigned)(lower - HEAD) / 2;
    if (lower < HEAD || lower % 2 != 0 || lower > upper || upper > size || keys < (leaf ? 1 : 2))
        return bad(w, number, "has a damaged head");
    for (unsigned i = 0; i < keys && rc == 0; i++) {
        struct node n;

        if (!node_read(w, page, i, leaf, &n))
            return bad(w, number, "has a broken node");
        filled += n.size;
        rc = visit_node(w, number, level, i, &n);
    }
    if (rc == 0 && filled != size - upper)
        return bad(w, number, "has room between its nodes");
    return rc;
}

static int walk_tree(struct walk *w, const struct pages_tree *tree, pages_visit *visit,
                     void *context)
{
    int rc;

    w->tree = tree;
    w->got = (struct pages_tree){.flags = tree->flags, .depth = tree->depth, .root = tree->root};
    w->visit = visit;
    w->context = context;
    w->last.len = 0;
    w->is_border = true;
    rc = tree->root != none ? walk_page(w, tree->root, 0) : 0;
    if (rc == 0 && memcmp(&w->got, tree, sizeof *tree) != 0)
        return bad(w, tree->root, "has not below it what was counted");
    return rc;
}

static int take_free(void *context, const struct kv_bytes *key, const struct kv_bytes *value)
{
    struct walk *w = context;
    uint64_t n = value->len >= 8 ? u64(value->at) : UINT64_MAX;
    int rc = 0;

    (void)key;
    if (value->len % 8 != 0 || n > value->len / 8 - 1)
        return bad(w, w->tree->root, "has below it a damaged list of free pages");
    for (uint64_t i = 1; i <= n && rc == 0; i++)
        rc = take(w, u64(value->at + 8 * i));
    return rc;
}

static int walk_trees(struct walk *w)
{
    int rc;

    w->used = calloc(1, w->meta.last / 8 + 1);
    w->room = malloc((size_t)DEPTH_MAX * w->meta.page_size);
    if (w->used == NULL || w->room == NULL)
        return -ENOMEM;
    w->n_used = METAS;
    rc = walk_tree(w, &w->meta.trees[STORED], w->ask->visit, w->ask->context);
    if (rc == 0)
        rc = walk_tree(w, &w->meta.trees[FREE_PAGES], take_free, w);
    if (rc == 0 && w->n_used != w->meta.last + 1)
        return bad(w, w->meta.last, "is the last one, and not all before it are reached");
    return rc;
}

int pages_walk(int fd, struct pages_walk *ask)
{
    struct walk w = {.fd = fd, .ask = ask};
    struct pages_meta after;
    int rc = pages_meta(fd, &w.meta);

    if (rc == 0)
        rc = walk_trees(&w);
    else
        snprintf(ask->why, sizeof ask->why, "its first pages are damaged");
    free(w.used);
    free(w.room);
    if (rc == -EBADMSG && pages_meta(fd, &after) == 0 && after.txn != w.meta.txn)
        return -EAGAIN;
    return rc;
}
