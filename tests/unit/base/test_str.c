/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_str.c -- the bounded text builder never overruns and says when it cut; memory that is given
 * back at once: zeroed, aligned, apart.
 */
#include <stdlib.h>
#include <string.h>

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

static const struct escape_row {
    const char *what;
    size_t size;
    const char *text;
    size_t len;
    const char *want;
    int cut;
} escape_rows[] = {
    {"printable", 32, "a~ b\\", 5, "a~ b\\", 0},
    {"control characters", 32, "\n\x1f\x7f", 3, "\\x0a\\x1f\\x7f", 0},
    {"NUL inside", 32, "a\0b", 3, "a\\x00b", 0},
    {"high bytes", 32, "\x80\xff", 2, "\\x80\\xff", 0},
    {"an escape that does not fit", 5, "ab\n", 3, "ab\\x", 1},
    {"an escape that just fits", 7, "ab\n", 3, "ab\\x0a", 0},
};

static void escape(void **state)
{
    const struct escape_row *r = *state;
    char buf[32];
    struct str s;

    str_init(&s, buf, r->size);
    str_add_escaped(&s, r->text, r->len);
    assert_string_equal(buf, r->want);
    assert_int_equal(s.cut, r->cut);
}

/* Characters, their length and, where it is not 0, their number. */
static const struct utf8_row {
    const char *what, *texts;
    size_t len;
    uint32_t code;
} utf8_rows[] = {
    {"ASCII", "a", 1, 'a'},
    {"the end", "", 1, 0},
    {"first of two", "\xc2\x80", 2, 0x80},
    {"last of two", "\xdf\xbf", 2, 0x7ff},
    {"first of three", "\xe0\xa0\x80", 3, 0x800},
    {"before the surrogates", "\xed\x9f\xbf", 3, 0xd7ff},
    {"behind the surrogates", "\xee\x80\x80", 3, 0xe000},
    {"first of four", "\xf0\x90\x80\x80", 4, 0x10000},
    {"last of all", "\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    {"longer than need be", "\xc1\xbf|\xe0\x9f\xbf|\xf0\x8f\xbf\xbf"},
    {"surrogates", "\xed\xa0\x80|\xed\xbf\xbf"},
    {"cut short, behind the last, no beginning", "\xe2\x82|\xf4\x90\x80\x80|\x80|\xff"},
};

static void utf8(void **state)
{
    const struct utf8_row *r = *state;
    char *rest = strdupa(r->texts), *text;
    uint32_t code = 0;

    while ((text = strsep(&rest, "|")) != NULL) {
        assert_int_equal(str_utf8((const unsigned char *)text, &code), r->len);
        assert_true(r->len == 0 || code == r->code);
    }
}

static void columns_and_places_of_words(void **state)
{
    static const char *const list[] = {"a", "ab", NULL};

    assert_int_equal(str_width("f\xc3\xbcr \xf0\x9f\x98\x80"), 5);
    assert_int_equal(str_index(list, "ab"), 1);
    assert_int_equal(str_index(list, "abc"), -1);
}

/* A piece that overlaps another, or is given out twice, would be seen at the end. */
static void pieces_of_an_arena(void **state)
{
    char *piece[100];
    struct arena *a = arena_new();

    assert_non_null(a);
    for (size_t i = 0; i < ARRAY_LEN(piece); i++) {
        piece[i] = arena_alloc(a, 37 * i);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < 37 * i; k++)
            assert_int_equal(piece[i][k], 0);
        memset(piece[i], (int)i, 37 * i);
    }
    for (size_t i = 0; i < ARRAY_LEN(piece); i++)
        for (size_t k = 0; k < 37 * i; k++)
            assert_int_equal(piece[i][k], i);
    assert_string_equal(arena_strdup(a, "corp.example"), "corp.example");
    assert_string_equal(arena_strndup(a, "corp.example", 4), "corp");
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_free(a);
    arena_free(NULL);
}

TESTS("str", ROWS(fit_rows, fit), ROWS(escape_rows, escape), ROWS(utf8_rows, utf8),
      TEST(columns_and_places_of_words), TEST(pieces_of_an_arena))
