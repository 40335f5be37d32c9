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

/* Words, and what is suggested for each. */
static const struct near_row {
    const char *words, *meant;
} near_rows[] = {
    {"forward|FORWARD|forwarb|forard", "forward"},
    {"listten|lsiten", "listen"},
    {"netwrosk", "networks"}, /* two mistakes */
    {"suffix", "suffixes"},
    {"tl|tlt", "ttl"},
    {"pol", "pool"}, /* the nearest of several */
    {"poolss", "pools"},
    {"frwrad-to|txx|password|", NULL}, /* three mistakes; two in a short word */
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
};

static void nearest(void **state)
{
    static const char *const words[] = {"forward",  "listen",   "ttl",  "mode",  "when",
                                        "networks", "suffixes", "pool", "pools", NULL};
    const struct near_row *r = *state;
    char out[DIAG_MEANT], want[DIAG_MEANT] = "", *rest = strdupa(r->words), *word;

    if (r->meant != NULL)
        snprintf(want, sizeof want, "; did you mean %s?", r->meant);
    while ((word = strsep(&rest, "|")) != NULL)
        assert_string_equal(diag_meant(word, words, out), want);
}

static char *printed(const struct diags *d)
{
    static char *text;
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
    const char *text, *want;
} print_rows[] = {
    {"all known", "a.yaml", 3, 7, "x", "a.yaml:3:7: bad x\n"},
    {"no column", "a.yaml", 3, 0, "x", "a.yaml:3: bad x\n"},
    {"no line", "a.yaml", 0, 7, "x", "a.yaml: bad x\n"},
    {"no file", NULL, 3, 7, "x", "3:7: bad x\n"},
    {"no place", NULL, 0, 0, "x", "bad x\n"},
    {"one line each", NULL, 0, 0, "a\nb\x1b[1m\x7f#\xc3\xa4", "bad a b [1m #\xc3\xa4\n"},
};

static void print(void **state)
{
    const struct print_row *r = *state;
    struct diags d;
    char *text;

    diags_init(&d);
    assert_int_equal(diags_add(&d, r->file, r->line, r->column, "bad %s", r->text), -EINVAL);
    assert_int_equal(diags_add(NULL, r->file, r->line, r->column, "bad"), -EINVAL);
    text = printed(&d);
    assert_string_equal(text, r->want);
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

int main(void)
{
    ROWS(near_rows, nearest);
    ROWS(print_rows, print);
    TEST(many);
    return RUN("diag");
}
