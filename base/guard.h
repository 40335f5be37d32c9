/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard.h -- reading mapped files that may not be what they should be.
 *
 * A page that the disk does not give is a SIGBUS in the middle of a read, and what a library
 * makes of a damaged page may be a SIGSEGV. guarded() comes back from both with -EFAULT.
 * Everywhere else the two end the process: a bug stays a bug, with its core file.
 */
#ifndef BASE_GUARD_H
#define BASE_GUARD_H

#include <errno.h>
#include <setjmp.h>
#include <stddef.h>

struct guard {
    sigjmp_buf at;
    struct guard *outer;
};
extern _Thread_local struct guard *guard_innermost;

/* rc = call, or -EFAULT when it did not come to its end: what it held is lost,
 * and what it changed may be half done. One guarded() may be within another. */
#define guarded(rc, call)                                                                          \
    do {                                                                                           \
        struct guard guard_here_;                                                                  \
                                                                                                   \
        guard_here_.outer = guard_innermost;                                                       \
        guard_innermost = &guard_here_;                                                            \
        if (sigsetjmp(guard_here_.at, 0) == 0)                                                     \
            (rc) = (call);                                                                         \
        else                                                                                       \
            (rc) = -EFAULT;                                                                        \
        guard_innermost = guard_here_.outer;                                                       \
    } while (0)

/* Takes the two signals, which no thread may block. Any number of times. */
void guard_install(void);
/* As a fault: to the innermost guarded() of this thread. Returns when there is
 * none. For libraries that end the process when they find something amiss. */
void guard_give_up(void);
/* From now on a SIGBUS, or a guard_give_up(), outside of any guarded() prints the text and
 * exits with the code. The text, from malloc(), is owned until the next one. */
void guard_exit(char *text, int code);

#endif
