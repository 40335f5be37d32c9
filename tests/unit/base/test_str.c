/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_str.c -- the bounded text builder never overruns and says when it cut; memory that is given
 * back at once: zeroed, aligned, apart.
 */
#include "base/arena.h"
#include "base/str.h"
#include "tests/unit/rows.h"

static const struct fit_row {
    const char *what;
    size_t size;
    const char *text, *want;
    int cut;
} fit_rows[] = {
    {"fits", 8, "abc", "abc", 0},        {"fits exactly", 4, "abc", "abc", 0},
    {"one too long", 3, "abc", "ab", 1}, {"no room at all", 1, "abc", "", 1},
    {"empty text", 1, "", "", 0},
};

static void fit(void **state)
{
    const struct fit_row *r = *state;
    char buf[16];
    struct str s;

    memset(buf, '#', sizeof buf);
    str_init(&s, buf, r->size);
    str_add(&s, r->text);
    str_add(&s, "");
    assert_string_equal(buf, r->want);
    assert_int_equal(s.len, strlen(r->want));
    assert_int_equal(s.cut, r->cut);
    assert_int_equal(buf[r->size], '#');
    assert_int_equal(str_copy(buf, r->size, r->text), !r->cut);
    assert_string_equal(buf, r->cut ? "" : r->text);
    assert_int_equal(buf[r->size], '#');
    assert_false(str_copy(NULL, 0, r->text));
}

static void columns_and_places_of_words(void **state)
{
    static const char *const list[] = {"a", "ab", NULL};
    uint32_t code;

    assert_int_equal(str_width("f\xc3\xbcr \xf0\x9f\x98\x80"), 5);
    assert_int_equal(str_utf8((const unsigned char *)"\x7f", &code), 1);
    assert_int_equal(code, 0x7f);
    assert_int_equal(str_utf8((const unsigned char *)"\x80", &code), 0);
    assert_int_equal(str_utf8((const unsigned char *)"\xc2\x80", &code), 2);
    assert_int_equal(code, 0x80);
    assert_int_equal(str_index(list, "ab"), 1);
    assert_int_equal(str_index(list, "abc"), -1);
}

static void pieces_of_an_arena(void **state)
{
    static const char zero[100];
    struct arena *a = arena_new();

    for (size_t i = 0; i < sizeof zero; i++) {
        char *piece = arena_alloc(a, i);

        assert_int_equal((uintptr_t)piece % alignof(max_align_t), 0);
        assert_memory_equal(piece, zero, i);
        memset(piece, 7, i);
    }
    assert_string_equal(arena_strdup(a, "corp.example"), "corp.example");
    assert_string_equal(arena_strndup(a, "corp.example", 4), "corp");
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_free(a);
    arena_free(NULL);
}

TESTS("str", ROWS(fit_rows, fit), TEST(columns_and_places_of_words), TEST(pieces_of_an_arena))
