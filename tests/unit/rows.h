/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.h -- a table of named rows as named tests: each row appears in the
 * output under its `what`, or another of its fields. For a main() that has `tests` and `n`. With what
 * cmocka.h wants before it.
 */
#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"

#define ROWS_AS(rows, name, check)                                                                 \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)                                                   \
        tests[n++] = (struct CMUnitTest)                                                           \
        {                                                                                          \
            rows[i].name, check, NULL, NULL, (void *)&rows[i]                                      \
        }
#define ROWS(rows, check) ROWS_AS(rows, what, check)

#endif
