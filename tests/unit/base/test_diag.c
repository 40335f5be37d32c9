/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_diag.c -- how problems are kept and printed, and which word is suggested.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "tests/unit/rows.h"

static const char *const words[] = {"forward", "listen", "cache-size", "kms",      "ttl",
                                    "mode",    "when",   "networks",   "suffixes", NULL};

static const struct near_row {
    const char *what, *word, *want;
} near_rows[] = {
    {"the word itself", "forward", "forward"},
    {"upper case", "FORWARD", "forward"},
    {"one letter wrong", "forwarb", "forward"},
    {"one letter left out", "forard", "forward"},
    {"one letter too many", "listten", "listen"},
    {"two letters swapped", "lsiten", "listen"},
    {"two mistakes", "netwrosk", "networks"},
    {"underscore for hyphen", "cache_size", "cache-size"},
    {"singular", "suffix", "suffixes"},
    {"three mistakes", "frwrad-to"},
    {"short word, one mistake", "tl", "ttl"},
    {"short word, swapped", "tlt", "ttl"},
    {"short word, two mistakes", "txx"},
    {"something else", "password"},
    {"empty", ""},
    {"longer than any word",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
};

static void nearest(void **state)
{
    const struct near_row *r = *state;
    const char *got = diag_nearest(r->word, words);

    if (r->want == NULL)
        assert_null(got);
    else {
        assert_non_null(got);
        assert_string_equal(got, r->want);
    }
}

static void nearest_of_several(void **state)
{
    static const char *const list[] = {"pools", "pool", "poll", NULL};

    assert_string_equal(diag_nearest("pol", list), "pool");
    assert_string_equal(diag_nearest("poolss", list), "pools");
}

static char *printed(const struct diags *d)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    diags_print(d, f);
    fclose(f);
    return text;
}

static const struct print_row {
    const char *what, *file;
    unsigned line, column;
    const char *want;
} print_rows[] = {
    {"all known", "a.yaml", 3, 7, "a.yaml:3:7: bad x\n"},
    {"no column", "a.yaml", 3, 0, "a.yaml:3: bad x\n"},
    {"no line", "a.yaml", 0, 7, "a.yaml: bad x\n"},
    {"no file", NULL, 3, 7, "3:7: bad x\n"},
    {"no place", NULL, 0, 0, "bad x\n"},
};

static void print(void **state)
{
    const struct print_row *r = *state;
    struct diags d;
    char *text;

    diags_init(&d);
    assert_int_equal(diags_add(&d, r->file, r->line, r->column, "bad %s", "x"), -EINVAL);
    text = printed(&d);
    assert_string_equal(text, r->want);
    free(text);
    diags_fini(&d);
}

static void one_line_each(void **state)
{
    struct diags d;
    char *text;

    diags_init(&d);
    diags_add(&d, NULL, 0, 0, "%s",
              "a\nb\x1b[1m\x7f"
              "c\xc3\xa4");
    text = printed(&d);
    assert_string_equal(text, "a b [1m c\xc3\xa4\n");
    free(text);
    diags_fini(&d);
}

static void many(void **state)
{
    struct diags d;
    char *text;

    diags_init(&d);
    for (unsigned i = 1; i <= DIAG_MAX + 3; i++)
        diags_add(&d, "f", i, 1, "problem");
    assert_int_equal(d.n, DIAG_MAX);
    assert_int_equal(d.all, DIAG_MAX + 3);
    text = printed(&d);
    assert_has(text, "f:200:1: problem\n3 more problems are not shown\n");
    free(text);
    diags_fini(&d);
    assert_int_equal(d.n, 0);
}

static void nobody_listens(void **state)
{
    assert_int_equal(diags_add(NULL, "f", 1, 1, "x"), -EINVAL);
}

int main(void)
{
    ROWS(near_rows, nearest);
    ROWS(print_rows, print);
    TEST(nearest_of_several);
    TEST(one_line_each);
    TEST(many);
    TEST(nobody_listens);
    return RUN("diag");
}
