/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz.h -- what every fuzz target has.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must be true of every input. */
#define must(condition) ((condition) ? (void)0 : must_fail(__FILE__, __LINE__, #condition))

static inline _Noreturn void must_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: it must be that %s\n", file, line, condition);
    abort();
}

#endif
