/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.h -- cmocka, and a table of named rows as named tests: each row appears in the output under
 * its first member. A main() is a list of ROWS() and TEST(), then RUN().
 */
#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

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

/* check(&row) for each row, between set_up() and tear_down(), which may be NULL. */
#define ROWS_WITH(rows, check, set_up, tear_down)                                                  \
    for (size_t i_ = 0; i_ < ARRAY_LEN(rows); i_++)                                                \
    rows_add(*(const char *const *)(const void *)&(rows)[i_], check, set_up, tear_down, &(rows)[i_])
#define ROWS(rows, check) ROWS_WITH(rows, check, NULL, NULL)
#define TEST_WITH(f, set_up, tear_down) rows_add(#f, f, set_up, tear_down, NULL)
#define TEST(f) TEST_WITH(f, NULL, NULL)
#define RUN(name) _cmocka_run_group_tests(name, rows_tests, rows_n, NULL, NULL)

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, text);
}

#endif
