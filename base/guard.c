/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guard.c -- faults within a guarded call become an error.
 *
 * sigsetjmp() does not keep the mask of signals, which would be a system call
 * for each guarded(): the handler sets it back, before it jumps.
 */
#include "base/guard.h"

#include <signal.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

_Thread_local struct guard *guard_innermost;
static char *exit_text;
static int exit_code;

void guard_give_up(void)
{
    if (guard_innermost)
        siglongjmp(guard_innermost->at, 1);
    if (exit_text) {
        (void)!write(STDERR_FILENO, exit_text, strlen(exit_text));
        _exit(exit_code);
    }
}

/* A fault that is nobody's comes again at once, and ends the process then; a signal
 * that somebody sent does not. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    const ucontext_t *at = context;
    bool is_fault = info->si_code > 0;

    if (is_fault && (guard_innermost != NULL || number == SIGBUS)) {
        pthread_sigmask(SIG_SETMASK, &at->uc_sigmask, NULL);
        guard_give_up();
    }
    signal(number, SIG_DFL);
    if (!is_fault)
        raise(number);
}

void guard_install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

void guard_exit(char *text, int code)
{
    free(exit_text);
    exit_text = text;
    exit_code = code;
    guard_install();
}
