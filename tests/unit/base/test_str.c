/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_str.c -- the bounded text builder never overruns and says when it cut.
 */
#include <string.h>

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
    }
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

static void cut_stays(void **state)
{
    char buf[4];
    struct str s;

    str_init(&s, buf, sizeof buf);
    str_add(&s, "abcdef");
    str_add(&s, "");
    str_addf(&s, "%d", 1);
    assert_true(s.cut);
    assert_string_equal(buf, "abc");
}

static void parts_are_joined(void **state)
{
    char buf[16];
    struct str s;

    str_init(&s, buf, sizeof buf);
    str_add(&s, "a=");
    str_addf(&s, "%d;", 12);
    str_add_bytes(&s, "xyz", 2);
    assert_string_equal(buf, "a=12;xy");
    assert_int_equal(s.len, 7);
}

static void copy(void **state)
{
    char out[4] = "###";

    assert_true(str_copy(out, sizeof out, "abc"));
    assert_string_equal(out, "abc");
    assert_false(str_copy(out, sizeof out, "abcd"));
    assert_string_equal(out, "");
    assert_false(str_copy(NULL, 0, "a"));
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

int main(void)
{
    ROWS(fit_rows, fit);
    ROWS(escape_rows, escape);
    ROWS(utf8_rows, utf8);
    TEST(cut_stays);
    TEST(parts_are_joined);
    TEST(copy);
    return RUN("str");
}
