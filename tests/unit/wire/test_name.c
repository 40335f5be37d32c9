/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_name.c -- domain names in wire form.
 */
#include "wire/name.h"
#include "wire/types.h"
#include "tests/unit/rows.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1
#define D60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"
#define D62 D60 "12"
#define L63 "?" D62 "3"

/* What is read: octets behind a header of 12, and where in them to begin. */
static const struct read_row {
    const char *what;
    const uint8_t *at;
    size_t len, begin;
    const char *want; /* NULL: refused */
    size_t behind;    /* octets of the message that the name takes */
} read_rows[] = {
    {"root", BYTES("\0"), 0, "", 1},
    {"two labels", BYTES("\1a\2bc\0"), 0, "\1a\2bc", 6},
    {"case is kept", BYTES("\2Ab\0"), 0, "\2Ab", 4},
    {"any octet may be in a label", BYTES("\3.\xff\1\0"), 0, "\3.\xff\1", 5},
    {"label of 63", BYTES(L63 "\0"), 0, L63, 65},
    {"pointer", BYTES("\1a\0\1b\xc0\x0c"), 3, "\1b\1a", 4},
    {"pointer alone", BYTES("\1a\0\xc0\x0c"), 3, "\1a", 2},
    {"pointer to a pointer", BYTES("\1a\0\xc0\x0c\xc0\x0f"), 5, "\1a", 2},
    {"pointer to a root", BYTES("\1a\0\1b\xc0\x0e"), 3, "\1b", 4},
    {"pointer to itself", BYTES("\xc0\x0c")},
    {"pointer forward", BYTES("\xc0\x0e\1a\0")},
    {"pointer into its own labels", BYTES("\1a\1b\xc0\x0e")},
    {"pointer to the begin of its own labels", BYTES("\1a\xc0\x0c")},
    {"pointer back, whose labels run into it again", BYTES("\1a\1b\xc0\x0c"), 2},
    {"pointer back to a label that holds it", BYTES("\5\0\xc0\x0c\0\0\0"), 2},
    {"pointer into the header", BYTES("\1a\xc0\x02")},
    {"half a pointer", BYTES("\1a\xc0")},
    {"label kind 0x40", BYTES("\x41z\0")},
    {"label kind 0x80", BYTES("\x81z\0")},
    {"no root", BYTES("\1a")},
    {"label over the end", BYTES("\5ab")},
    {"label up to the very end", BYTES("\2ab")},
    {"nothing", BYTES("")},
};

static void check_read(void **state)
{
    const struct read_row *r = *state;
    uint8_t message[200] = {0};
    struct cursor c;
    struct name name, plain;
    size_t want = r->want != NULL ? strlen(r->want) + 1 : 1;

    memcpy(message + DNS_HEADER, r->at, r->len);
    c = cursor_make(message, DNS_HEADER + r->len);
    (void)cursor_take(&c, DNS_HEADER + r->begin);
    name_read(&c, &name);
    assert_int_equal(c.bad, r->want == NULL);
    assert_int_equal(name.len, want);
    assert_memory_equal(name.data, r->want != NULL ? r->want : "", want);
    if (r->want != NULL)
        assert_int_equal((size_t)(c.pos - c.start), DNS_HEADER + r->begin + r->behind);
    /* A plain one is folded, and has no pointer. */
    c.pos = c.start + DNS_HEADER + r->begin;
    c.bad = false;
    name_read_plain(&c, &plain);
    name_fold(&name);
    assert_int_equal(c.bad, r->want == NULL || r->behind != want);
    assert_true(name_equal(&plain, c.bad ? &(struct name){.len = 1} : &name));
}

/* A chain of pointers, each two octets behind the one before. */
static void check_hops(void **state)
{
    uint8_t message[DNS_HEADER + 1 + 2 * 127] = {0};
    struct cursor c = cursor_make(message, sizeof message);
    struct name name;

    for (unsigned at = DNS_HEADER + 1, to = DNS_HEADER; at < sizeof message; to = at, at += 2) {
        message[at] = (uint8_t)(0xc0 | to >> 8);
        message[at + 1] = (uint8_t)to;
    }
    c.pos = c.end - 4;
    name_read(&c, &name);
    assert_false(c.bad);
    c.pos = c.end - 2; /* the 127th */
    name_read(&c, &name);
    assert_true(c.bad);
}

/* 127 labels of one octet: 255 octets, the longest name there is. And the work for many of
 * them in one message is bounded. */
static void check_longest(void **state)
{
    uint8_t message[DNS_HEADER + 257];
    struct cursor c;
    struct name name;
    unsigned n = 0;

    for (unsigned labels = 127; labels <= 128; labels++) {
        for (size_t i = 0; i < sizeof message; i++)
            message[i] = i % 2 == 0 ? 1 : 'x';
        message[DNS_HEADER + 2 * labels] = 0;
        for (int plain = 0; plain < 2; plain++) {
            c = cursor_make(message, sizeof message);
            c.pos += DNS_HEADER;
            (plain ? name_read_plain : name_read)(&c, &name);
            assert_int_equal(c.bad, labels == 128);
            assert_int_equal(name.len, c.bad ? 1 : 255);
            assert_int_equal(name.labels, c.bad ? 0 : 127);
        }
    }
    message[DNS_HEADER + 254] = 0;
    c = cursor_make(message, sizeof message);
    for (; !c.bad && n < 5000; n++) {
        c.pos = c.start + DNS_HEADER;
        name_read(&c, &name);
    }
    assert_in_range(n, 200, 300);
    /* A label is one step of it. */
    message[DNS_HEADER + 2] = 0;
    c = cursor_make(message, sizeof message);
    c.steps = NAME_MAX_STEPS - 1;
    for (int last = 1; last >= 0; last--) {
        c.pos = c.start + DNS_HEADER;
        name_read(&c, &name);
        assert_int_equal(c.bad, last == 0);
    }
}

static struct name make(const char *labels)
{
    struct cursor c = cursor_make(labels, strlen(labels) + 1);
    struct name name;

    name_read(&c, &name);
    assert_false(c.bad);
    return name;
}

static void check_fold(void **state)
{
    for (unsigned i = 0; i < 256; i++) {
        uint8_t in[9], out[9];
        uint8_t want = i >= 'A' && i <= 'Z' ? (uint8_t)(i + 32) : (uint8_t)i;

        memset(in, (int)i, sizeof in); /* eight at a time, and the one behind */
        name_fold_copy(out, in, sizeof in);
        assert_int_equal(out[0], want);
        assert_int_equal(out[7], want);
        assert_int_equal(out[8], want);
        assert_int_equal(name_fold_octet((uint8_t)i), want);
    }
}

static const struct pair_row {
    const char *what, *a, *b;
    bool same_octets, same, under;
} pair_rows[] = {
    {"the same", "\1a\7example", "\1a\7example", true, true, true},
    {"another case", "\1A\7exAMple", "\1a\7Example", false, true, true},
    {"below", "\1a\7example", "\7EXAMPLE", false, false, true},
    {"above", "\7example", "\1a\7example", false, false, false},
    {"the root is above all", "\1a\7example", "", false, false, true},
    {"the root is under itself", "", "", true, true, true},
    {"end of a label only", "\10xexample", "\7example", false, false, false},
    {"same octets, other labels", "\1a\4\3foo", "\3foo", false, false, false},
    {"@ and ` are no case pair", "\1@", "\1`", false, false, false},
    {"[ and { are no case pair", "\1[", "\1{", false, false, false},
    {"UTF-8 is not folded", "\2\xc3\x84", "\2\xc3\xa4", false, false, false},
    {"sibling", "\1a\7example", "\1b\7example", false, false, false},
    {"longer than eight octets, last differs", "\12abcdefghij", "\12abcdefghik", false, false,
     false},
};

static void check_pair(void **state)
{
    const struct pair_row *r = *state;
    struct name a = make(r->a), b = make(r->b);

    assert_int_equal(name_equal(&a, &b), r->same_octets);
    assert_int_equal(name_equal_fold(&a, &b), r->same);
    assert_int_equal(name_is_under(&a, &b), r->under);
}

static void check_parts(void **state)
{
    struct name name = make("\6_vlmcs\4_tcp\4corp\7example"), out, back = make("\1x");
    struct name front = make(L63 L63 L63), fits = make("=" D60 "1"), over = make(">" D62);

    name_parent(&name, 2, &out);
    assert_true(name_equal(&out, &(struct name){14, 2, "\4corp\7example"}));
    name_parent(&name, 4, &out);
    assert_true(out.len == 1 && out.labels == 0);
    name_parent(&name, 1, &name); /* in place */
    assert_int_equal(name.labels, 3);
    assert_true(name_join(&back, &name, &back));
    assert_memory_equal(back.data, "\1x\4_tcp\4corp\7example", back.len);
    assert_int_equal(back.labels, 4);
    assert_false(name_join(&front, &over, &out));
    assert_int_equal(out.len, 1);
    assert_true(name_join(&front, &fits, &out));
    assert_int_equal(out.len, 255);
}

/* In the order of their keys; each octet of the longest is escaped. */
static void check_sort_order(void **state)
{
    static const char *const in_order[] = {
        "\3com",    "\1A\3com", "\1a\1a\3com", "\1z\1a\3com", "\2aa\3com",
        "\1b\3com", "\4comx",   "\1a\4comx",   "\2\xc3\xa4",
    };
    struct name longest = {
        .len = 255, .labels = 4, .data = {63, [64] = 63, [128] = 63, [192] = 61}};
    uint8_t keys[2][512] = {{0}};

    for (size_t i = 0; i < ARRAY_LEN(in_order); i++) {
        struct name name = make(in_order[i]);
        uint8_t *key = memset(keys[i % 2], 0, sizeof keys[0]);
        size_t len = name_sort_key(&name, key, sizeof keys[0]);

        assert_true(memcmp(keys[(i + 1) % 2], key, sizeof keys[0]) < 0);
        assert_int_equal(name_sort_key(&name, key, len - 1), 0);
    }
    assert_int_equal(name_sort_key(&longest, keys[0], sizeof keys[0]), 2 * 250 + 4);
    assert_int_equal(name_sort_key(&(struct name){1, 0, {0}}, keys[0], sizeof keys[0]), 0);
    longest = (struct name){.len = 5, .labels = 1, .data = {3, 0, 1, 2, 0}};
    assert_int_equal(name_sort_key(&longest, keys[0], sizeof keys[0]), 6);
    assert_memory_equal(keys[0], "\1\1\1\2\2\0", 6);
}

static const struct read_row bad_keys[] = {
    {"capital letter", BYTES("A\0")},
    {"no end of the label", BYTES("a")},
    {"empty label", BYTES("\0")},
    {"empty label behind another", BYTES("a\0\0")},
    {"escape of nothing", BYTES("\1")},
    {"escape of another octet", BYTES("\1\3\0")},
    {"label of 64", BYTES("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234\0")},
    {"256 octets", BYTES(D62 "1\0" D62 "1\0" D62 "1\0" D62 "\0")},
};

static void check_bad_key(void **state)
{
    const struct read_row *r = *state;
    struct name out = make("\1o");

    assert_false(name_from_sort_key(r->at, r->len, &out));
    assert_int_equal(out.len, 3);
}

TESTS("name", TEST(check_hops), TEST(check_longest), TEST(check_fold), TEST(check_parts),
      TEST(check_sort_order), ROWS(read_rows, check_read), ROWS(pair_rows, check_pair),
      ROWS(bad_keys, check_bad_key))
