/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.h -- cmocka, the headers that most tests need, and a table of named rows as named tests: each row appears in the output under
 * its first member. A program ends with TESTS("name", ...), a list of ROWS() and TEST().
 */
#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/compiler.h"

/* cmocka hands its state to every test, also to those that have no use for it; and a row ends
 * with the last member that it has something to say of. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static struct CMUnitTest rows_tests[1024];
static size_t rows_n;

static inline void rows_add(const char *name, CMUnitTestFunction check, CMFixtureFunction set_up,
                            CMFixtureFunction tear_down, const void *row)
{
    assert_true(rows_n < ARRAY_LEN(rows_tests));
    rows_tests[rows_n++] =
        (struct CMUnitTest){name, check, set_up, tear_down, (void *)(uintptr_t)row};
}

static inline void rows_add_all(const void *rows, size_t n, size_t size, CMUnitTestFunction check,
                                CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    for (const char *row = rows; n > 0; n--, row += size)
        rows_add(*(const char *const *)(const void *)row, check, set_up, tear_down, row);
}

/* check(&row) for each row, between set_up() and tear_down(), which may be NULL. */
#define ROWS_WITH(rows, check, set_up, tear_down)                                                  \
    rows_add_all(rows, ARRAY_LEN(rows), sizeof *(rows), check, set_up, tear_down)
#define ROWS(rows, check) ROWS_WITH(rows, check, NULL, NULL)
#define TEST_WITH(f, set_up, tear_down) rows_add(#f, f, set_up, tear_down, NULL)
#define TEST(f) TEST_WITH(f, NULL, NULL)
#define RUN(name) _cmocka_run_group_tests(name, rows_tests, rows_n, NULL, NULL)
/* A main() of these, where nothing else is to be done. */
#define TESTS(name, ...)                                                                           \
    int main(void)                                                                                 \
    {                                                                                              \
        return __VA_ARGS__, RUN(name);                                                             \
    }

/* Has it the part, or, when that begins with "!", the rest of it not? */
static inline bool has_or_not(const char *text, const char *part)
{
    bool is_not = part[0] == '!';

    return (strstr(text, part + is_not) == NULL) == is_not;
}

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, text);
}

#endif
