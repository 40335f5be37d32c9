/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_guard.c -- faults within guarded(), and faults that are nobody's.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/guard.h"
#include "tests/unit/rows.h"

enum { SIZE = 4096 };

/* Of a file that has no such page any more, or one that nobody may read. */
static volatile char *bad_page(bool lost)
{
    FILE *f = tmpfile();
    char *p;

    assert_int_equal(ftruncate(fileno(f), SIZE), 0);
    p = mmap(NULL, SIZE, lost ? PROT_READ : PROT_NONE, MAP_SHARED, fileno(f), 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(ftruncate(fileno(f), 0), 0);
    fclose(f);
    return p;
}

static int touch(volatile char *p)
{
    return *p + 7;
}

static int give_up(void)
{
    guard_give_up();
    return 8;
}

/* The guard of this thread is not that of another, and one may be within another. */
static void *in_a_thread(void *arg)
{
    static int rc;

    guarded(rc, touch(arg));
    return &rc;
}

static int nested(volatile char *p)
{
    pthread_t thread;
    void *theirs;
    int rc;

    assert_int_equal(pthread_create(&thread, NULL, in_a_thread, (void *)(uintptr_t)p), 0);
    assert_int_equal(pthread_join(thread, &theirs), 0);
    assert_int_equal(*(int *)theirs, -EFAULT);
    guarded(rc, touch(p));
    assert_int_equal(rc, -EFAULT);
    guarded(rc, give_up());
    assert_int_equal(rc, -EFAULT);
    return touch(p);
}

static void faults_come_back(void **state)
{
    volatile char *p = bad_page(true), *closed = bad_page(false);
    char good = 1;
    int rc;

    guard_install();
    for (int i = 0; i < 3; i++) { /* neither signal stays blocked */
        guarded(rc, touch(p));
        assert_int_equal(rc, -EFAULT);
        guarded(rc, touch(closed));
        assert_int_equal(rc, -EFAULT);
        guarded(rc, nested(p));
        assert_int_equal(rc, -EFAULT);
        guarded(rc, touch(&good));
        assert_int_equal(rc, 8);
    }
    assert_int_equal(give_up(), 8); /* nobody to give up to */
}

static int send(int number)
{
    kill(getpid(), number);
    pause();
    return 0;
}

static const struct end {
    const char *what;
    int want; /* signal, or exit code + 1000 */
    int sent; /* this signal to itself; 0: a fault */
    bool in_guard, in_map, with_exit;
} ends[] = {
    {"end: SIGBUS outside", SIGBUS, 0, false, true},
    {"end: SIGSEGV outside", SIGSEGV, 0},
    {"end: SIGBUS sent by somebody", SIGBUS, SIGBUS, true},
    {"end: SIGSEGV sent by somebody", SIGSEGV, SIGSEGV, true},
    {"end: SIGBUS outside, with a text", 1009, 0, false, true, true},
    {"end: SIGSEGV outside is a bug, text or not", SIGSEGV, 0, false, false, true},
    {"end: SIGBUS sent by somebody, with a text", SIGBUS, SIGBUS, false, false, true},
};

static void child(const struct end *e, int out)
{
    const struct rlimit no_core = {0, 0};
    volatile char *volatile p = bad_page(e->in_map);
    int rc;

    signal(SIGBUS, SIG_DFL); /* instead of cmocka's */
    signal(SIGSEGV, SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(out, STDERR_FILENO);
    guard_install();
    guard_install(); /* what was there before is not forgotten */
    if (e->with_exit)
        guard_exit(strdup("a text\n"), 9);
    if (e->in_guard)
        guarded(rc, send(e->sent));
    else
        rc = e->sent != 0 ? send(e->sent) : touch(p);
    _exit(rc != 0);
}

static void ends_as_it_should(void **state)
{
    const struct end *e = *state;
    char said[64] = "";
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    if ((pid = fork()) == 0)
        child(e, fds[1]);
    close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)!read(fds[0], said, sizeof said - 1);
    close(fds[0]);
    assert_int_equal(WIFEXITED(status) ? 1000 + WEXITSTATUS(status) : WTERMSIG(status), e->want);
    assert_string_equal(said, e->want > 1000 ? "a text\n" : "");
}

TESTS("guard", ROWS(ends, ends_as_it_should), TEST(faults_come_back))
