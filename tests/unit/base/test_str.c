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

    for (int how = 0; how < 3; how++) {
        memset(buf, '#', sizeof buf);
        str_init(&s, buf, r->size);
        if (how == 0)
            str_add(&s, r->text);
        else if (how == 1)
            str_addf(&s, "%s", r->text);
        else
            str_add_bytes(&s, r->text, strlen(r->text));
        assert_string_equal(buf, r->want);
        assert_int_equal(s.len, strlen(r->want));
        assert_int_equal(s.cut, r->cut);
        assert_int_equal(buf[r->size], '#');
        str_add(&s, "");
        assert_int_equal(s.cut, r->cut);
    }
    assert_int_equal(str_copy(buf, r->size, r->text), !r->cut);
    assert_string_equal(buf, r->cut ? "" : r->text);
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

/* The length, and the number where there is one. */
static const struct utf8_row {
    const char *what, *text;
    size_t len;
    uint32_t code;
} utf8_rows[] = {
    {"ASCII", "a", 1, 'a'},
    {"the end", "", 1, 0},
    {"the last of two", "\xdf\xbf", 2, 0x7ff},
    {"the first of two", "\xc2\x80", 2, 0x80},
    {"two that one would do for", "\xc1\xbf", 0, 0},
    {"the first of three", "\xe0\xa0\x80", 3, 0x800},
    {"three that two would do for", "\xe0\x9f\xbf", 0, 0},
    {"before the surrogates", "\xed\x9f\xbf", 3, 0xd7ff},
    {"the first surrogate", "\xed\xa0\x80", 0, 0},
    {"the last surrogate", "\xed\xbf\xbf", 0, 0},
    {"behind the surrogates", "\xee\x80\x80", 3, 0xe000},
    {"the first of four", "\xf0\x90\x80\x80", 4, 0x10000},
    {"the last of all", "\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    {"behind the last", "\xf4\x90\x80\x80", 0, 0},
    {"cut short", "\xe2\x82", 0, 0},
    {"no first octet", "\x80", 0, 0},
    {"no octet of UTF-8", "\xff", 0, 0},
};

static void utf8(void **state)
{
    const struct utf8_row *r = *state;
    uint32_t code = 0;
    size_t n = str_utf8((const unsigned char *)r->text, &code);

    assert_int_equal(n, r->len);
    if (n > 0)
        assert_int_equal(code, r->code);
}

static void columns_and_places_of_words(void **state)
{
    static const char *const list[] = {"a", "ab", NULL};

    assert_int_equal(str_width("f\xc3\xbcr \xf0\x9f\x98\x80"), 5);
    assert_int_equal(str_index(list, "ab"), 1);
    assert_int_equal(str_index(list, "abc"), -1);
}

/* Each piece is filled with its number; a piece that overlaps another, or is
 * given out twice, would be seen at the end. */
static void pieces_of_an_arena(void **state)
{
    enum { PIECES = 3000 };
    static char *piece[PIECES];
    static size_t size[PIECES];
    struct arena *a = arena_new();

    assert_non_null(a);
    for (size_t i = 0; i < PIECES; i++) {
        size[i] = i % 500 == 499 ? 300000 : (i * 37) % 700;
        piece[i] = arena_alloc(a, size[i]);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < size[i]; k++)
            if (piece[i][k] != 0)
                fail_msg("piece %zu is not zeroed", i);
        memset(piece[i], (int)(i % 120 + 1), size[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < size[i]; k++)
            if (piece[i][k] != (char)(i % 120 + 1))
                fail_msg("piece %zu was overwritten", i);
    assert_string_equal(arena_strdup(a, "corp.example"), "corp.example");
    assert_string_equal(arena_strndup(a, "corp.example", 4), "corp");
    assert_string_equal(arena_strndup(a, "x", 100), "x");
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 64));
    arena_free(a);
    arena_free(NULL);
}

int main(void)
{
    ROWS(fit_rows, fit);
    ROWS(escape_rows, escape);
    ROWS(utf8_rows, utf8);
    TEST(columns_and_places_of_words);
    TEST(pieces_of_an_arena);
    return RUN("str");
}
