/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_pages.c -- the pages of a store that is served: damaged before it is
 * opened, and while it is.
 */
#include "script.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

enum { PAGE = 4096, SUFFIXES = 1500 };

static const struct policy_real nxdomain = {.verdict = VERDICT_NXDOMAIN};

static int data_open(const struct fixture *f)
{
    int fd = open(f->data, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void page_get(int fd, uint64_t page, uint8_t out[PAGE])
{
    assert_int_equal(pread(fd, out, PAGE, (off_t)page * PAGE), PAGE);
}

static void page_put(int fd, uint64_t page, const uint8_t in[PAGE])
{
    assert_int_equal(pwrite(fd, in, PAGE, (off_t)page * PAGE), PAGE);
}

static uint64_t number_at(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Three changes: the tree of suffixes has a branch, a pool has pages of its own,
 * and some pages are free. */
static void fill(struct fixture *f, int suffixes)
{
    char pool[8192] = "";
    struct policy_change *t;

    fixture_policy(f, BASE);
    for (int i = 0; i < 60; i++)
        snprintf(pool + strlen(pool), sizeof pool - strlen(pool),
                 " kms-%d.a-name-that-takes-some-room.example", i);
    fixture_policy(f, "pool large%s", pool);
    t = fixture_begin(f, 1);
    for (int i = 0; i < suffixes; i++)
        assert_int_equal(fixture_apply(t, "+suffix r n%d.example", i), 0);
    fixture_commit(t);
}

enum where { NEWEST, OLDER, ROOT, LEAF, MIDDLE_LEAF, NEXT_LEAF, BIG_VALUE, FREE_ROOT };

/* Octet `at` of that page is set, or one more for MORE, two less for LESS, or xored for XOR + bits. From NODE on,
 * at is within the page's first node, from NODE_2 on within the second. */
enum { NODE = 10000, NODE_2 = 20000, MORE = 255, XOR = 256, LESS = 1000 };

static const struct row {
    const char *what;
    enum where where;
    unsigned at, is;
    const char *why; /* NULL: it is no damage */
} rows[] = {
    {"pages: magic", NEWEST, 16, XOR + 1, "first pages"},
    {"pages: magic of the older state", OLDER, 16, XOR + 1, "first pages"},
    {"pages: version", NEWEST, 20, 2, "first pages"},
    {"pages: number of a meta page", NEWEST, 0, XOR + 2, "first pages"},
    {"pages: kind of a meta page", OLDER, 10, 9, "first pages"},
    {"pages: size of a page, no power of 2", NEWEST, 41, 0x18, "first pages"},
    {"pages: size of a page, 0", NEWEST, 41, 0, "first pages"},
    {"pages: size of a page, 128 K", NEWEST, 42, 2, "first pages"},
    {"pages: size of a page, another", OLDER, 41, 0x20, "first pages"},
    {"pages: flags of the free pages", NEWEST, 44, 4, "first pages"},
    {"pages: flags of what is stored", NEWEST, 92, 4, "first pages"},
    {"pages: depth 33", NEWEST, 94, 33, "first pages"},
    {"pages: depth 32", NEWEST, 94, 32, "wrong kind"},
    {"pages: depth 0 with a root", NEWEST, 94, 0, "first pages"},
    {"pages: depth 1", NEWEST, 94, 1, "wrong kind"},
    {"pages: number of branches", NEWEST, 96, XOR + 1, "counted"},
    {"pages: number of leaves", NEWEST, 104, XOR + 1, "counted"},
    {"pages: number of overflow pages", NEWEST, 112, XOR + 1, "counted"},
    {"pages: number of entries", NEWEST, 120, XOR + 1, "counted"},
    {"pages: number of entries of the free pages", NEWEST, 72, XOR + 1, "counted"},
    {"pages: root behind the end", NEWEST, 129, 1, "first pages"},
    {"pages: last page, more", NEWEST, 136, XOR + 128, "not all before it"},
    {"pages: last page, far more", NEWEST, 143, 1, "first pages"},
    {"pages: the older state looks newer", OLDER, 144, 11, "first pages"},
    {"pages: the newest state looks old", NEWEST, 144, 0, "first pages"},
    {"pages: transaction of the other page", OLDER, 144, 6, "first pages"},
    {"pages: counts of the older state", OLDER, 120, XOR + 1},
    {"pages: number of the root", ROOT, 0, XOR + 1, "is another page"},
    {"pages: kind of the root", ROOT, 10, 2, "wrong kind"},
    {"pages: flags of the root", ROOT, 10, 0x11, "wrong kind"},
    {"pages: number of a leaf", LEAF, 7, 1, "is another page"},
    {"pages: end of the places, odd", LEAF, 12, XOR + 1, "damaged head"},
    {"pages: end of the places, behind the nodes", LEAF, 13, 0x0f, "damaged head"},
    {"pages: a leaf without places", LEAF, 12, 16, "damaged head"},
    {"pages: a branch with one place", ROOT, 12, 18, "damaged head"},
    {"pages: begin of the nodes, behind the first", LEAF, 15, 0x0f, "broken node"},
    {"pages: begin of the nodes, before the first", LEAF, 14, LESS, "room between"},
    {"pages: begin of the nodes, behind the page", LEAF, 15, 0x11, "damaged head"},
    {"pages: place of a node, odd", LEAF, 16, XOR + 1, "broken node"},
    {"pages: place of a node, in the head", LEAF, 17, 0, "broken node"},
    {"pages: place of a node, behind the page", LEAF, 17, 0x10, "broken node"},
    {"pages: length of a value, another", LEAF, NODE, 2, "room between"},
    {"pages: length of a value, behind the page", LEAF, NODE + 2, 1, "broken node"},
    {"pages: flags of a node", LEAF, NODE + 4, 4, "broken node"},
    {"pages: key without octets", LEAF, NODE + 6, 0, "wrong place"},
    {"pages: key of more than 511 octets", LEAF, NODE + 7, 2, "broken node"},
    {"pages: key behind the next one", LEAF, NODE + 8, 0xcc, "wrong place"},
    {"pages: key before its border", MIDDLE_LEAF, NODE + 8, 0x20, "wrong place"},
    {"pages: border behind its keys", ROOT, NODE_2 + 8, 0x7f, "wrong place"},
    {"pages: border before the keys on its left", ROOT, NODE_2 + 8, 0x20, "wrong place"},
    {"pages: first key of a branch, not used", ROOT, NODE + 6},
    {"pages: page below, behind the end", ROOT, NODE + 2, 1, "is named and not there"},
    {"pages: page below, far behind the end", ROOT, NODE + 4, 1, "is named and not there"},
    {"pages: page below, a meta page", ROOT, NODE, 1, "is named and not there"},
    {"pages: number of an overflow page", BIG_VALUE, 0, XOR + 1, "is another page"},
    {"pages: kind of an overflow page", BIG_VALUE, 10, 2, "wrong kind"},
    {"pages: no overflow pages", BIG_VALUE, 12, 0, "has not room"},
    {"pages: one overflow page more", BIG_VALUE, 12, 2, "is damaged"},
    {"pages: many overflow pages", BIG_VALUE, 15, 1, "has not room"},
    {"pages: list of free pages, longer", FREE_ROOT, NODE + 18, 1, "damaged list"},
    {"pages: list of free pages, longer by one", FREE_ROOT, NODE + 16, MORE, "damaged list"},
    {"pages: list of free pages, empty", FREE_ROOT, NODE + 16, 0, "not all before it"},
    {"pages: free page, a meta page", FREE_ROOT, NODE + 24, 1, "is named and not there"},
    {"pages: free page, behind the end", FREE_ROOT, NODE + 25, 1, "is named and not there"},
    {"pages: free page, the root", FREE_ROOT, NODE + 24, XOR, "used twice"},
    {"pages: transaction of free pages, too short", FREE_ROOT, NODE + 6, 6, "wrong place"},
};

/* Number of the page below, or of the value, of the nth node. */
static uint64_t below(const uint8_t *page, unsigned nth)
{
    uint16_t place;
    uint32_t low;

    memcpy(&place, page + 16 + 2 * nth, 2);
    memcpy(&low, page + place, 4);
    return low;
}

/* The first value that has pages of its own, in the leaves below the root. */
static uint64_t big_value(int fd, const uint8_t *root)
{
    uint8_t leaf[PAGE];

    for (unsigned i = 0; i < 1000; i++) {
        page_get(fd, below(root, i), leaf);
        for (unsigned n = 0; n < (unsigned)(leaf[12] | leaf[13] << 8) / 2 - 8; n++) {
            const uint8_t *node = leaf + (leaf[16 + 2 * n] | leaf[17 + 2 * n] << 8);

            if (node[4] == 1)
                return number_at(node + 8 + node[6]);
        }
    }
    fail();
    return 0;
}

static uint64_t find_page(int fd, enum where where)
{
    static const unsigned nth[] = {[LEAF] = 0, [MIDDLE_LEAF] = 5, [NEXT_LEAF] = 6};
    uint8_t metas[2][PAGE], root[PAGE];
    uint64_t newest;

    page_get(fd, 0, metas[0]);
    page_get(fd, 1, metas[1]);
    newest = number_at(metas[1] + 144) > number_at(metas[0] + 144);
    page_get(fd, number_at(metas[newest] + 128), root);
    return where == NEWEST      ? newest
           : where == OLDER     ? !newest
           : where == ROOT      ? number_at(root)
           : where == BIG_VALUE ? big_value(fd, root)
           : where == FREE_ROOT ? number_at(metas[newest] + 80)
                                : below(root, nth[where]);
}

static void walk_says(int fd, const char *why)
{
    struct pages_walk walk = {.visit = NULL};
    int rc = pages_walk(fd, &walk);

    if (rc != (why != NULL ? -EBADMSG : 0) || (why != NULL && strstr(walk.why, why) == NULL))
        fail_msg("%d, no \"%s\" in: %s", rc, why != NULL ? why : "", walk.why);
}

/* A copy of a store, which each row leaves as it was. */
static int copy_of_store(void)
{
    static int copy = -1;
    struct fixture f;

    if (copy >= 0)
        return copy;
    fixture_folder(&f);
    fixture_open(&f);
    fill(&f, SUFFIXES);
    copy = memfd_create("store", MFD_CLOEXEC);
    assert_true(sendfile(copy, data_open(&f), NULL, counts_of(&f).bytes) > 0);
    fixture_remove(&f);
    return copy;
}

static void finds_it(void **state)
{
    const struct row *r = *state;
    uint8_t page[PAGE], bad[PAGE];
    unsigned at = r->at;
    uint64_t number;
    uint16_t place;
    int fd = copy_of_store();

    number = find_page(fd, r->where);
    page_get(fd, number, page);
    memcpy(bad, page, PAGE);
    if (at >= NODE) {
        memcpy(&place, page + 16 + (at >= NODE_2 ? 2 : 0), 2);
        at = at % NODE + place;
    }
    if (r->is == XOR)
        bad[at] = (uint8_t)find_page(fd, ROOT);
    else if (r->is == MORE)
        bad[at]++;
    else if (r->is == LESS)
        bad[at] -= 2;
    else
        bad[at] = (uint8_t)(r->is > XOR ? page[at] ^ r->is : r->is);
    page_put(fd, number, bad);
    walk_says(fd, r->why);
    page_put(fd, number, page);
    walk_says(fd, NULL);
}

/* Two changes at least, after which pages of the state that is walked are written over. */
static void disturb(void *context, const struct store_record *r)
{
    static unsigned n;

    for (int i = 0; i < 3 && n < 60 && r != NULL; i++, n++)
        fixture_policy(context, "rule n%u deny n%u.example", n, n);
}

/* What others write meanwhile is no damage. */
static void changes_in_between(void **state)
{
    struct fixture *f = *state;
    struct pages_walk walk = {.visit = disturb, .context = f};
    int fd;

    fill(f, 100);
    fd = data_open(f);
    assert_int_equal(pages_walk(fd, &walk), -EAGAIN);
    assert_int_equal(pages_walk(fd, &walk), 0);
    close(fd);
    assert_sound(f);
}

/* Whatever LMDB makes of it: trees of one key and of many, lists of free pages that need a tree,
 * the longest key, a value that fills its pages, and pages that are never written: taken at the
 * end and given back. */
static void all_that_lmdb_writes(void **state)
{
    struct fixture *f = *state;
    struct store_key k = {STORE_KEY_MAX, "z"};
    static uint8_t value[24 * PAGE];
    unsigned shorter = 0;
    uint8_t meta[PAGE];
    struct store_txn *t;
    struct stat st;
    int fd = data_open(f);

    for (unsigned i = 12; i > 0; i--) {
        fixture_policy(f, "rule x deny n%u.example", i);
        assert_int_equal(store_begin(f->store, true, &t), 0);
        assert_int_equal(store_put(t, &k, value, (13 - i) * 2 * PAGE - 16 - 9), STORE_ADDED);
        assert_int_equal(i > 1 ? store_del(t, &k) : 0, 0);
        assert_int_equal(store_commit(t), 0);
        page_get(fd, find_page(fd, NEWEST), meta);
        assert_int_equal(fstat(fd, &st), 0);
        shorter += (uint64_t)st.st_size / PAGE <= number_at(meta + 136);
        walk_says(fd, NULL);
    }
    assert_true(shorter > 0);
    /* While it reads, nothing that is freed is used again. */
    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    for (int i = 0; i < 400; i++) {
        fixture_policy(f, i < 200 ? "rule n%d deny n%d.example" : "-rule n%d", i % 200, i % 200);
        walk_says(fd, NULL);
        if (i == 200)
            store_end(f->reader->txn);
    }
    close(fd);
    assert_sound(f);
}

/* A tool that changes the store need not read what nobody has written since its last change. */
static void a_change_leaves_a_seal(void **state)
{
    struct fixture *f = *state;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    uint8_t page[PAGE];
    uint64_t number;
    struct stat st;
    int fd;

    fill(f, SUFFIXES);
    fd = data_open(f);
    assert_int_equal(fstat(fd, &st), 0);
    number = find_page(fd, MIDDLE_LEAF);
    page_get(fd, number, page);
    page[PAGE - 2] ^= 1; /* the last one may be none of a node */
    page_put(fd, number, page);
    script_open(f, "write", "is damaged");
    times[1] = st.st_mtim; /* as nobody does it */
    times[1].tv_sec--;
    assert_int_equal(futimens(fd, times), 0);
    script_open(f, "write", "is damaged");
    times[1].tv_sec++;
    assert_int_equal(futimens(fd, times), 0);
    script_open(f, "write", "");
    page_put(fd, number, page); /* somebody else writes meanwhile: then it leaves none */
    fixture_policy(f, "net x 10.0.0.0/8");
    script_open(f, "write", "is damaged");
    close(fd);
}

/* Two leaves change places: each is whole, and a search finds other names. */
static void swapped_pages(void **state)
{
    struct fixture *f = *state;
    const atomic_bool stop = true;
    uint8_t a[PAGE], b[PAGE];
    int fd;

    fill(f, SUFFIXES);
    fixture_serve(f);
    fd = data_open(f);
    page_get(fd, find_page(fd, MIDDLE_LEAF), a);
    page_get(fd, find_page(fd, NEXT_LEAF), b);
    page_put(fd, number_at(a), b);
    page_put(fd, number_at(b), a);
    assert_int_equal(store_verify(f->store, STORE_WRITE, &stop, NULL), -ECANCELED);
    assert_int_equal(store_reader_begin(f->reader->txn), 0); /* nobody knows it yet */
    store_end(f->reader->txn);
    verify_says(f, "no rule acts");
    assert_int_equal(store_reader_begin(f->reader->txn), -EBADMSG);
    assert_int_equal(policy_store_counts(f->store, &(struct policy_counts){0}), -EBADMSG);
    fixture_close(f);
    script_open(f, "read", "is another page");
    script_open(f, "write", "is another page");
    script_open(f, "serve", "is another page");

    page_put(fd, number_at(a), a);
    page_put(fd, number_at(b), b);
    close(fd);
    fixture_serve(f);
    assert_sound(f);
    assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
}

/* Somebody cuts the file that is mapped: each function of a decision meets the fault as the
 * first one, all others of the batch are answered too, and so is the next batch; and all is
 * well when the file is there again. */
static void cut_while_open(void **state)
{
    struct fixture *f = *state;
    struct fixture_question q;
    struct policy_trial trial;
    struct policy_match m;
    struct policy_client client;
    uint64_t faults = 0;
    uint8_t *copy;
    struct stat st;
    int fd;

    fill(f, SUFFIXES);
    fixture_serve(f);
    fd = data_open(f);
    assert_int_equal(fstat(fd, &st), 0);
    copy = malloc((size_t)st.st_size);
    assert_int_equal(pread(fd, copy, (size_t)st.st_size, 0), st.st_size);
    for (int first = 0; first < 5; first++) {
        static struct policy_decision d;

        assert_int_equal(store_reader_begin(f->reader->txn), 0);
        fixture_ask(f, "corp.example", "10.20.1.1", &q);
        assert_int_equal(ftruncate(fd, 0), 0);
        for (int step = first; step < first + 5; step++) {
            if (step % 5 == 0)
                assert_int_equal(policy_client_find(f->reader, &q.client.addr, &client), -EBADMSG);
            else if (step % 5 == 1)
                assert_false(policy_is_host_address(f->reader, &q.client.addr));
            else if (step % 5 == 2)
                policy_decide(f->reader, &q.ask, &nxdomain, &d);
            else if (step % 5 == 3)
                assert_int_equal(policy_explain(f->reader, &q.ask, &d, &trial, 1), 0);
            else
                policy_match(f->reader, &q.ask, &m);
            assert_int_equal(store_health(f->store).faults, faults + 1); /* of the batch */
            assert_int_equal(pwrite(fd, copy, (size_t)st.st_size, 0), st.st_size); /* too late */
        }
        assert_false(policy_decide_blind(f->reader, &q.ask, &m, &d));
        assert_int_equal(d.reason, REASON_DAMAGED);
        assert_int_equal(d.outcome, OUTCOME_MISSING);
        assert_true(client.key == POLICY_CLIENT_DAMAGED);
        store_end(f->reader->txn);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(store_reader_begin(f->reader->txn), -EIO);
        assert_int_equal(policy_store_counts(f->store, &(struct policy_counts){0}), -EIO);
        assert_int_equal(store_verify(f->store, STORE_WRITE, NULL, NULL), -EBADMSG);
        faults += 3;
        assert_int_equal(store_health(f->store).faults, faults);
        assert_int_equal(pwrite(fd, copy, (size_t)st.st_size, 0), st.st_size);
        assert_sound(f);
        assert_string_equal(outcome(f, "corp.example", "10.1.1.1"), "filled rule r");
    }
    free(copy);
    close(fd);
}

TESTS("pages", FIXTURE_TEST(changes_in_between), FIXTURE_TEST(all_that_lmdb_writes),
      FIXTURE_TEST(a_change_leaves_a_seal), FIXTURE_TEST(swapped_pages),
      FIXTURE_TEST(cut_while_open), ROWS(rows, finds_it))
