/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages.c -- is an LMDB file (0.9, 64 bit, host byte order) whole?
 *
 * The structs below are its pages, as they lie in the file. Behind the head of a branch or
 * leaf are the places of its nodes, up to `lower`; the nodes lie from `upper` to the end. In a
 * branch the first three fields of a node are the number of the page below; in a leaf low and
 * high are the length of the value, and with the flag BIG the value is the number of its first
 * overflow page. The tree of free pages has the transaction as key, and as value how many there
 * are and then their numbers.
 *
 * A transaction writes the meta page that is the older one, n & 1 for the nth. Each page up to
 * the last is reached exactly once: in one of the two trees, or in the list of free pages that
 * one of them holds. Pages of a state are written over by the second transaction after it at the
 * earliest. So what is found amiss counts only if no transaction came since.
 */
#include "store/store.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BRANCH = 1, LEAF = 2, OVERFLOW = 4, META = 8 }; /* kinds of pages */
enum { BIG = 1 };                                      /* flag of a node */
enum { INTEGER_KEYS = 8 };                             /* flag of a tree */
enum { FREE_PAGES, STORED, TREES };
enum { METAS = 2, DATA_VERSION = 1, DEPTH_MAX = 32, KEY_MAX = 511 };
enum { UNWRITTEN = 1 << 20 }; /* so many pages, taken and given back, the file may lack */
static const uint32_t magic = 0xBEEFC0DE;
static const uint64_t none = UINT64_MAX; /* an empty tree has no root */

struct head {
    uint64_t number;
    uint16_t unused, kind;
    union {
        struct {
            uint16_t lower, upper;
        };
        uint32_t pages; /* of an overflow page: how many follow one another */
    };
};

struct node {
    uint16_t low, high, flags, key_len;
    uint8_t key[]; /* and the value behind it */
};

struct tree {
    uint32_t page_size; /* only in the first one */
    uint16_t flags, depth;
    uint64_t branches, leaves, overflow, entries, root;
};

struct meta {
    struct head head;
    uint32_t magic, version;
    uint64_t address, map_size;
    struct tree trees[TREES];
    uint64_t last, txn; /* the last page; the transaction that wrote this */
};

struct walk {
    int fd;
    struct pages_walk *ask;
    struct meta meta;
    uint32_t page_size;
    uint8_t *used;   /* a bit for each page */
    uint64_t n_used; /* meta pages included */
    uint8_t *levels; /* room for a page of each */
    /* The tree that is walked, and what was found of it. */
    const struct tree *tree;
    struct tree found;
    uint8_t last_key[KEY_MAX];
    size_t last_len;
    bool is_border; /* the last key is a branch's: the next one may be equal */
};

/* The newest state. -EBADMSG: there are no two meta pages of one file. */
static int newest(int fd, struct meta *out)
{
    struct meta metas[METAS];
    struct stat st;
    uint32_t size = 0;

    if (fstat(fd, &st) != 0)
        return -errno;
    for (unsigned nth = 0; nth < METAS; nth++) {
        struct meta *m = &metas[nth];
        ssize_t n = pread(fd, m, sizeof *m, (off_t)nth * size);

        if (n < 0)
            return -errno;
        if (n < (ssize_t)sizeof *m || m->head.number != nth || m->head.kind != META ||
            m->magic != magic || m->version != DATA_VERSION)
            return -EBADMSG;
        size = m->trees[FREE_PAGES].page_size;
        if (size < 512 || size > 32768 || (size & (size - 1)) != 0 || m->last < METAS - 1 ||
            m->last > (uint64_t)st.st_size / size + UNWRITTEN ||
            (m->txn != 0 && (m->txn & 1) != nth))
            return -EBADMSG;
        for (int i = 0; i < TREES; i++) {
            const struct tree *t = &m->trees[i];

            if (t->flags != (i == FREE_PAGES ? INTEGER_KEYS : 0) || t->depth > DEPTH_MAX ||
                (t->root != none && t->root > m->last) || (t->root == none) != (t->depth == 0) ||
                (m->txn == 0 && t->root != none)) /* of a new file */
                return -EBADMSG;
        }
    }
    *out = metas[0].txn > metas[1].txn ? metas[0] : metas[1];
    /* They are of two transactions, one after the other; in a new file of none. */
    return metas[0].trees[FREE_PAGES].page_size == size && metas[0].txn - metas[1].txn + 1 <= 2
               ? 0
               : -EBADMSG;
}

static int bad(struct walk *w, uint64_t page, const char *what)
{
    snprintf(w->ask->why, sizeof w->ask->why, "is damaged: page %llu %s", (unsigned long long)page,
             what);
    return -EBADMSG;
}

static int use_page(struct walk *w, uint64_t page)
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

/* Uses a page and reads the first octets of it. */
static int read_page(struct walk *w, uint64_t page, uint16_t kind, void *out, size_t size)
{
    const struct head *h = out;
    int rc = use_page(w, page);
    ssize_t n;

    if (rc != 0)
        return rc;
    n = pread(w->fd, out, size, (off_t)(page * w->page_size));
    if (n < (ssize_t)size)
        return bad(w, page, n < 0 ? strerror(errno) : "is behind the end of the file");
    if (h->number != page)
        return bad(w, page, "is another page");
    return h->kind == kind ? 0 : bad(w, page, "is of the wrong kind");
}

/* Keys rise; what is behind a branch's key is not less than it, what is before is. */
static bool key_follows(struct walk *w, const struct node *n, bool is_border)
{
    size_t len = n->key_len, less = len < w->last_len ? len : w->last_len;
    uint8_t key[KEY_MAX];
    uint64_t number;
    int c;

    memcpy(key, n->key, len);
    if (w->tree == &w->meta.trees[FREE_PAGES]) { /* its keys are numbers of this machine */
        if (len != sizeof number)
            return false;
        memcpy(&number, key, len);
        number = htobe64(number);
        memcpy(key, &number, len);
    }
    c = memcmp(key, w->last_key, less);
    c = c != 0 ? c : (len > w->last_len) - (len < w->last_len);
    if (len == 0 || c < 0 || (c == 0 && !w->is_border))
        return false;
    w->is_border = is_border;
    w->last_len = len;
    memcpy(w->last_key, key, len);
    return true;
}

/* A record of the tree, or a list of free pages. */
static int visit(struct walk *w, const struct store_record *r)
{
    uint64_t n = UINT64_MAX, page;
    int rc = 0;

    if (w->tree == &w->meta.trees[STORED]) {
        if (w->ask->visit)
            w->ask->visit(w->ask->context, r);
        return 0;
    }
    if (r->value.len >= sizeof n)
        memcpy(&n, r->value.data, sizeof n);
    if (r->value.len % sizeof n != 0 || n >= r->value.len / sizeof n)
        return bad(w, w->tree->root, "has below it a damaged list of free pages");
    for (uint64_t i = 1; i <= n && rc == 0; i++) {
        memcpy(&page, r->value.data + i * sizeof page, sizeof page);
        rc = use_page(w, page);
    }
    return rc;
}

/* A value that has pages of its own. */
static int walk_big(struct walk *w, struct store_record *r)
{
    uint64_t page, need = (sizeof(struct head) - 1 + r->value.len) / w->page_size + 1;
    struct head *h = need <= w->meta.last ? malloc(sizeof *h + r->value.len) : NULL;
    int rc;

    memcpy(&page, r->value.data, sizeof page);
    if (h == NULL)
        return need <= w->meta.last ? -ENOMEM : bad(w, page, "has not room for its value");
    rc = read_page(w, page, OVERFLOW, h, sizeof *h + r->value.len);
    if (rc == 0 && (h->pages < need || h->pages > w->meta.last))
        rc = bad(w, page, "has not room for its value");
    for (uint32_t i = 1; rc == 0 && i < h->pages; i++)
        rc = use_page(w, page + i);
    w->found.overflow += rc == 0 ? h->pages : 0;
    r->value.data = (const uint8_t *)(h + 1);
    if (rc == 0)
        rc = visit(w, r);
    free(h);
    return rc;
}

/* Everything at and below it. LMDB has two keys at least in a branch, one in a leaf. */
static int walk_page(struct walk *w, uint64_t number, unsigned level)
{
    uint8_t *page = w->levels + (size_t)level * w->page_size;
    const struct head *h = (const void *)page;
    const uint16_t *places = (const void *)(h + 1);
    bool leaf = level + 1 == w->tree->depth;
    size_t filled = 0;
    unsigned keys;
    int rc;

    if (w->ask->stop && atomic_load(w->ask->stop))
        return -ECANCELED;
    rc = read_page(w, number, leaf ? LEAF : BRANCH, page, w->page_size);
    if (rc != 0)
        return rc;
    *(leaf ? &w->found.leaves : &w->found.branches) += 1;
    keys = (unsigned)(h->lower - sizeof *h) / 2;
    if (h->lower < sizeof *h || h->lower % 2 != 0 || h->lower > h->upper ||
        h->upper > w->page_size || keys < (leaf ? 1 : 2))
        return bad(w, number, "has a damaged head");
    for (unsigned i = 0; i < keys; i++) {
        const struct node *n = (const void *)(page + places[i]);
        struct store_record r;
        size_t size;

        if (places[i] < h->upper || places[i] % 2 != 0 || places[i] + sizeof *n > w->page_size)
            return bad(w, number, "has a broken node");
        r = (struct store_record){
            {n->key, n->key_len},
            {n->key + n->key_len, n->low | (size_t)n->high << 16},
        };
        size = sizeof *n + n->key_len;
        if (leaf)
            size += n->flags == BIG ? sizeof(uint64_t) : r.value.len;
        size += size % 2;
        filled += size;
        if (n->key_len > KEY_MAX || places[i] + size > w->page_size || (leaf && n->flags > BIG))
            return bad(w, number, "has a broken node");
        if ((leaf || i > 0) && !key_follows(w, n, !leaf)) /* a branch's first key is not used */
            return bad(w, number, "has a key in the wrong place");
        w->found.entries += leaf;
        if (!leaf)
            rc = walk_page(w, r.value.len | (uint64_t)n->flags << 32, level + 1);
        else if (n->flags == BIG)
            rc = walk_big(w, &r);
        else
            rc = visit(w, &r);
        if (rc != 0)
            return rc;
    }
    return filled == w->page_size - h->upper ? 0 : bad(w, number, "has room between its nodes");
}

int pages_walk(int fd, struct pages_walk *ask)
{
    struct walk w = {.fd = fd, .ask = ask, .n_used = METAS};
    struct meta after;
    unsigned depth = 1;
    int rc = newest(fd, &w.meta);

    snprintf(ask->why, sizeof ask->why, "is damaged in its first pages, or no policy store");
    if (rc != 0)
        return rc;
    ask->state = w.meta.txn;
    if (ask->brief)
        return 0;
    w.page_size = w.meta.trees[FREE_PAGES].page_size;
    w.used = calloc(1, w.meta.last / 8 + 1);
    for (int i = 0; i < TREES; i++)
        depth = w.meta.trees[i].depth > depth ? w.meta.trees[i].depth : depth;
    w.levels = malloc((size_t)depth * w.page_size);
    rc = w.used == NULL || w.levels == NULL ? -ENOMEM : 0;
    for (int i = STORED; i >= FREE_PAGES && rc == 0; i--) {
        const struct tree *t = w.tree = &w.meta.trees[i];

        w.found = (struct tree){t->page_size, t->flags, t->depth, 0, 0, 0, 0, t->root};
        w.last_len = 0;
        w.is_border = true;
        if (t->root != none)
            rc = walk_page(&w, t->root, 0);
        if (rc == 0 && memcmp(&w.found, t, sizeof *t) != 0)
            rc = bad(&w, t->root, "has not below it what was counted");
    }
    if (rc == 0 && w.n_used != w.meta.last + 1)
        rc = bad(&w, w.meta.last, "is the last one, and not all before it are reached");
    free(w.used);
    free(w.levels);
    return rc == -EBADMSG && newest(fd, &after) == 0 && after.txn != w.meta.txn ? -EAGAIN : rc;
}
