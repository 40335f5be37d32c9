/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compiler.h -- attributes that carry part of a contract, and two macros.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PREFETCH(p) __builtin_prefetch(p)

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

#endif
