/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_machine_watch.c -- which changes of files are a sign, and when it is given.
 *
 * The kernel queues an event before the call that made it returns, so nothing here
 * waits: the loop runs over what is there.
 */
#include <errno.h>
#include <event2/event.h>
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

#include "resolver/machine.h"
#include "tests/unit/rows.h"

/* Commands of the shell, in the folder that is the root, which has etc/resolv.conf and
 * run: what is changed first, and what is to be a sign then. */
static const struct row {
    const char *what, *first, *change;
    bool sign;
} rows[] = {
    {"file written", ":", "echo x >>etc/resolv.conf", true},
    {"file removed", ":", "rm etc/resolv.conf", true},
    {"file may be read by others", ":", "chmod 640 etc/resolv.conf", true},
    {"file appears", "rm etc/resolv.conf", "echo x >etc/resolv.conf", true},
    {"file replaced", "echo x >etc/new", "mv etc/new etc/resolv.conf", true},
    {"file only read", ":", "cat etc/resolv.conf", false},
    {"its neighbour written", ":", "echo x >etc/resolv.conf.new", false},
    {"its folder goes", ":", "mv etc old", true},
    {"its folder comes", "mv etc old", "mv old etc", true},
    {"what was its folder", "mv etc old; mkdir etc", "echo x >>old/resolv.conf", false},
    {"file of systemd-resolved appears", "mkdir -p run/systemd/resolve",
     "echo x >run/systemd/resolve/resolv.conf", true},
    {"folder on the way to it appears", "mkdir run/systemd", "mkdir run/systemd/resolve", true},
    {"other folder beside it", "mkdir run/systemd", "mkdir run/systemd/other", false},
    {"target of a link", "mkdir a; echo x >a/f; ln -sf ../a/f etc/resolv.conf", "echo x >>a/f",
     true},
    {"folder of the target", "mkdir a; ln -sf ../a/f etc/resolv.conf", "mv a b", true},
    {"second link of a chain",
     "echo x >f; echo x >g; ln -s f second; ln -sf ../second etc/resolv.conf",
     "ln -s g new; mv -T new second", true},
    {"target of a chain", "echo x >f; ln -s f second; ln -sf ../second etc/resolv.conf",
     "echo x >>f", true},
    {"links of folders", "mkdir -p a/b; ln -s a/b c; ln -sf .././c//f etc/resolv.conf",
     "echo x >a/b/f", true},
    {"absolute link", "ln -sf $PWD/run/f etc/resolv.conf", "echo x >run/f", true},
    {"what the link named before",
     "echo x >f; ln -sf ../f etc/resolv.conf; ln -sf ../g etc/resolv.conf", "echo x >>f", false},
    {"links in a circle", "ln -s b a; ln -s a b; ln -sf ../a etc/resolv.conf", "rm etc/resolv.conf",
     true},
};

struct world {
    char root[64];
    struct event_base *base;
    struct machine_watch *watch;
    int calls;
};

static void count(void *context)
{
    ((struct world *)context)->calls++;
}

static void shell(const struct world *w, const char *command)
{
    char text[512];

    snprintf(text, sizeof text, "cd %s && { %s; } >/dev/null", w->root, command);
    assert_int_equal(system(text), 0);
}

/* All that is due now. */
static void run(const struct world *w)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static void begin(struct world *w, unsigned quiet_ms, unsigned most_ms)
{
    *w = (struct world){.root = "/tmp/test_machine_watch.XXXXXX"};
    assert_non_null(mkdtemp(w->root));
    shell(w, "mkdir etc run && echo x >etc/resolv.conf");
    assert_non_null(w->base = event_base_new());
    w->watch = machine_watch_new(w->base, w->root, quiet_ms, most_ms, count, w);
    assert_non_null(w->watch);
    assert_int_equal(machine_watch_error(w->watch), 0);
    run(w);
}

static void end(struct world *w)
{
    machine_watch_free(w->watch);
    event_base_free(w->base);
    shell(w, "rm -r $PWD");
}

static void check_row(void **state)
{
    const struct row *r = *state;
    struct world w;

    begin(&w, 0, 0);
    assert_int_equal(w.calls, 1); /* once after the start */
    shell(&w, r->first);
    run(&w);
    w.calls = 0;
    shell(&w, r->change);
    run(&w);
    assert_int_equal(w.calls > 0, r->sign);
    end(&w);
}

static void waits_until_it_is_quiet(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 3600000, 3600000);
    assert_int_equal(w.calls, 0);
    shell(&w, "echo x >>etc/resolv.conf");
    run(&w);
    assert_int_equal(w.calls, 0);
    end(&w);
}

static void does_not_wait_for_ever(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 3600000, 300);
    while (w.calls == 0) { /* never quiet */
        machine_watch_again(w.watch);
        run(&w);
    }
    machine_watch_again(w.watch);
    run(&w);
    assert_int_equal(w.calls, 1); /* this one waits anew */
    end(&w);
}

static int count_watches(void)
{
    char path[64], line[256];
    int n = 0;

    for (int fd = 3; fd < 64; fd++) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        if ((f = fopen(path, "r")) == NULL)
            continue;
        while (fgets(line, sizeof line, f) != NULL)
            n += strncmp(line, "inotify wd:", 11) == 0;
        fclose(f);
    }
    return n;
}

static void what_has_left_the_way_is_watched_no_more(void **state)
{
    struct world w;
    int n;

    (void)state;
    begin(&w, 0, 0);
    n = count_watches();
    assert_true(n >= 4); /* the root, tmp, etc and the file at least */
    shell(&w, "mkdir a b; echo x >a/f; ln -sf ../a/f etc/resolv.conf");
    run(&w);
    assert_int_equal(count_watches(), n + 1);
    shell(&w, "echo x >b/f; ln -sf ../b/f etc/resolv.conf");
    run(&w);
    assert_int_equal(count_watches(), n + 1);
    end(&w);
}

static void no_such_thing_as_a_watch(void **state)
{
    (void)state;
    machine_watch_again(NULL);
    machine_watch_free(NULL);
}

static void folder_that_is_not_for_us(void **state)
{
    struct world w;

    (void)state;
    if (geteuid() == 0) /* from whom nothing is hidden */
        assert_int_equal(seteuid(65534), 0);
    begin(&w, 0, 0);
    shell(&w, "chmod 311 etc");
    run(&w);
    assert_int_equal(machine_watch_error(w.watch), EACCES);
    shell(&w, "chmod 755 etc");
    run(&w);
    assert_int_equal(machine_watch_error(w.watch), 0);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    end(&w);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(rows) + 5];
    size_t n = 0;

    ROWS(rows, check_row);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(waits_until_it_is_quiet);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(does_not_wait_for_ever);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(what_has_left_the_way_is_watched_no_more);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(no_such_thing_as_a_watch);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(folder_that_is_not_for_us);
    return cmocka_run_group_tests_name("machine_watch", tests, NULL, NULL);
}
