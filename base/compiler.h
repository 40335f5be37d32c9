/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compiler.h -- attributes that carry part of a contract, and a few macros.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
/* A large variable of the packet path that is written before it is read: the compiler need not fill
 * it with zeros first (-ftrivial-auto-var-init). */
#if __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#else
#define UNINITIALIZED
#endif
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The struct that a member lies in; for what libraries and intrusive lists hand back. */
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

#endif
