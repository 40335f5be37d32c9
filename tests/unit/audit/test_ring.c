/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_ring.c -- order, the wrap, a full ring, two threads.
 */
#include <pthread.h>
#include <sched.h>

#include "audit/event.h"
#include "tests/unit/audit/sample.h"
#include "tests/unit/rows.h"

static struct audit_event numbered(uint64_t n)
{
    struct audit_event e =
        sample_missing("10.0.0.1", "_vlmcs._tcp.corp.example", (uint16_t)n, 1000 + n);

    e.lost = n;
    memset(e.text, 'x', n * 7 % 100); /* records of many lengths */
    return e;
}

static uint64_t pop(struct audit_ring *r)
{
    struct audit_event e;
    size_t len;
    const uint8_t *p = audit_ring_peek(r, &len);

    if (p == NULL)
        return UINT64_MAX;
    audit_event_unpack(&e, p, len);
    audit_ring_release(r);
    return e.lost;
}

static void sizes(void **state)
{
    assert_null(audit_ring_new(0));
    assert_null(audit_ring_new(1000)); /* no power of two */
    audit_ring_free(NULL);
}

static void in_order_over_the_end(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t in = 0, out = 0;
    struct audit_event e;

    assert_non_null(r);
    assert_int_equal(pop(r), UINT64_MAX);
    for (int turn = 0; turn < 500; turn++) {
        for (int i = 0; i < 7; i++) {
            e = numbered(in);
            assert_true(audit_ring_push(r, &e));
            in++;
        }
        while (out < in)
            assert_int_equal(pop(r), out++);
        assert_int_equal(pop(r), UINT64_MAX);
    }
    audit_ring_free(r);
}

static void full_ring_drops_the_newest(void **state)
{
    struct audit_ring *r = audit_ring_new(2048);
    uint64_t n = 0, since = 0;
    struct audit_event e;

    for (;; n++) {
        e = numbered(n);
        if (!audit_ring_push(r, &e))
            break;
    }
    assert_true(n > 5);
    for (int i = 0; i < 4; i++) {
        e = numbered(n + 50);
        e.wall_ms = 99999;
        audit_ring_push(r, &e);
    }
    assert_int_equal(audit_ring_dropped(r), 5);
    assert_int_equal(audit_ring_take_dropped(r, &since), 5);
    assert_int_equal(since, 1000 + n); /* the first of them */
    assert_int_equal(audit_ring_take_dropped(r, &since), 0);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(pop(r), i);
    e = numbered(7);
    assert_true(audit_ring_push(r, &e)); /* and it goes on */
    assert_int_equal(pop(r), 7);
    audit_ring_free(r);
}

static void peek_is_repeatable(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    struct audit_event e = numbered(1);
    size_t a, b;
    const uint8_t *p;

    audit_ring_push(r, &e);
    e = numbered(2);
    audit_ring_push(r, &e);
    p = audit_ring_peek(r, &a);
    assert_ptr_equal(p, audit_ring_peek(r, &b));
    assert_int_equal(a, b);
    assert_int_equal(pop(r), 1);
    assert_int_equal(pop(r), 2);
    audit_ring_free(r);
}

enum { MANY = 100000 };

static void *produce(void *arg)
{
    for (uint64_t n = 0; n < MANY; n++) {
        struct audit_event e = numbered(n);

        audit_ring_push(arg, &e);
    }
    return NULL;
}

/* What arrives is whole and in order, and with what was dropped it is all. */
static void two_threads(void **state)
{
    struct audit_ring *r = audit_ring_new(16384);
    uint64_t got = 0, last = 0, dropped = 0, since;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
    while (got + dropped < MANY) {
        uint64_t n = pop(r);

        dropped += audit_ring_take_dropped(r, &since);
        if (n == UINT64_MAX) {
            sched_yield();
            continue;
        }
        assert_true(got == 0 || n > last);
        last = n;
        got++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(audit_ring_dropped(r), dropped);
    assert_int_equal(got + dropped, MANY);
    audit_ring_free(r);
}

int main(void)
{
    TEST(sizes);
    TEST(in_order_over_the_end);
    TEST(full_ring_drops_the_newest);
    TEST(peek_is_repeatable);
    TEST(two_threads);
    return RUN("ring");
}
