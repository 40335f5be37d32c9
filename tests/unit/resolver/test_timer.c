/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_timer.c -- the heap gives its timers back in the order of their times,
 * whatever was set, moved and cleared before; compared with a plain search.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "resolver/timer.h"

enum { N = 200, STEPS = 20000 };

static uint32_t seed = 7;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* The earliest of those that are set, by search; 0 = none. */
static uint64_t earliest(const struct io_timer *t)
{
    uint64_t first = 0;

    for (int i = 0; i < N; i++)
        if (t[i].slot != 0 && (first == 0 || t[i].at_ms < first))
            first = t[i].at_ms;
    return first;
}

static void test_random_use(void **state)
{
    static struct io_timer t[N];
    struct timers h;

    (void)state;
    assert_int_equal(timers_init(&h, 4), 0); /* grows */
    for (int step = 0; step < STEPS; step++) {
        struct io_timer *one = &t[next_random(N)];

        switch (next_random(4)) {
        case 0:
        case 1:
            assert_true(timers_set(&h, one, 1 + next_random(1000)));
            break;
        case 2:
            timers_clear(&h, one);
            assert_int_equal(one->slot, 0);
            break;
        case 3: {
            uint64_t first = earliest(t);
            struct io_timer *due = timers_take(&h, 500);

            if (first == 0 || first > 500) {
                assert_null(due);
            } else {
                assert_non_null(due);
                assert_int_equal(due->slot, 0);
            }
            break;
        }
        }
        assert_int_equal(timers_next(&h), earliest(t));
    }
    timers_fini(&h);
}

static void test_order(void **state)
{
    static const uint64_t times[] = {50, 10, 40, 10, 30, 20};
    struct io_timer t[ARRAY_LEN(times)] = {0};
    struct timers h;
    uint64_t last = 0;
    size_t n = 0;

    (void)state;
    assert_int_equal(timers_init(&h, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        assert_true(timers_set(&h, &t[i], times[i]));
    assert_null(timers_take(&h, 9));
    for (uint64_t at = timers_next(&h); at != 0; at = timers_next(&h)) {
        assert_true(at >= last);
        assert_non_null(timers_take(&h, at));
        last = at;
        n++;
    }
    assert_int_equal(n, ARRAY_LEN(times));
    timers_fini(&h);
}

static void test_fini_leaves_timers_unset(void **state)
{
    struct io_timer t = {0};
    struct timers h;

    (void)state;
    assert_int_equal(timers_init(&h, 1), 0);
    assert_true(timers_set(&h, &t, 5));
    timers_fini(&h);
    assert_int_equal(t.slot, 0);
    timers_clear(&h, &t); /* not set: fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_random_use),
        cmocka_unit_test(test_fini_leaves_timers_unset),
    };

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
