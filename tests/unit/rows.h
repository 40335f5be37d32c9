/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows.h -- a table of named rows as named tests: each row appears in the
 * output under its `what`. For a main() that has `tests` and `n`.
 */
#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

#include "base/compiler.h"

#define ROWS(rows, check)                                                                          \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)                                                   \
        tests[n++] = (struct CMUnitTest)                                                           \
        {                                                                                          \
            rows[i].what, check, NULL, NULL, (void *)&rows[i]                                      \
        }

#endif
