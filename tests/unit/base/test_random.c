/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_random.c -- the buffer of random bytes: order, refill, wiping, fairness.
 */
#include <string.h>

#include "base/random.h"
#include "tests/unit/rows.h"

/* Bytes 1, 2, 3, ... and how often it was asked. */
struct counter {
    uint8_t next;
    unsigned fills;
};

static void fill_counting(void *context, uint8_t *out, size_t len)
{
    struct counter *c = context;

    c->fills++;
    for (size_t i = 0; i < len; i++)
        out[i] = ++c->next;
}

static void bytes_come_in_order(void **state)
{
    struct counter c = {0, 0};
    struct random r;
    uint8_t out[2000];

    r = (struct random){.fill = fill_counting, .context = &c};
    assert_int_equal(c.fills, 0);
    random_bytes(&r, out, 3);
    random_bytes(&r, out + 3, 0);
    random_bytes(&r, out + 3, sizeof out - 3);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], (uint8_t)(i + 1));
    assert_int_equal(c.fills, 2);
}

static void used_bytes_are_wiped(void **state)
{
    struct counter c = {0, 0};
    struct random r;
    uint8_t zero[7] = {0};
    uint8_t out[7];

    r = (struct random){.fill = fill_counting, .context = &c};
    random_bytes(&r, out, 7);
    assert_memory_equal(r.buf, zero, 7);
    assert_int_not_equal(r.buf[7], 0);
    assert_int_equal(r.left, sizeof r.buf - 7);
}

static void numbers_use_their_bytes(void **state)
{
    struct counter c = {0, 0};
    struct random r;

    r = (struct random){.fill = fill_counting, .context = &c};
    random_u16(&r);
    assert_int_equal(r.left, sizeof r.buf - 2);
    random_below(&r, 1);
    assert_int_equal(r.left, sizeof r.buf - 6);
}

/* Gives the 32-bit words 0, then `step`, 2 * `step`, ... */
struct walker {
    uint32_t at, step;
};

static void fill_walking(void *context, uint8_t *out, size_t len)
{
    struct walker *w = context;

    for (size_t i = 0; i + 4 <= len; i += 4, w->at += w->step)
        memcpy(out + i, &w->at, 4);
}

static const struct below_row {
    const char *what;
    uint32_t n;
} below_rows[] = {
    {"below 1", 1}, {"below 2", 2},   {"below 3", 3},
    {"below 7", 7}, {"below 10", 10}, {"below 100", 100},
};

/* With words spread evenly over all values, each result comes equally often,
 * but for the few words drawn again. */
static void below_is_even(void **state)
{
    const struct below_row *row = *state;
    struct walker w = {0, 1u << 18};
    struct random r;
    unsigned count[100] = {0}, draws = 1u << 14;

    r = (struct random){.fill = fill_walking, .context = &w};
    for (unsigned i = 0; i < draws; i++) {
        uint32_t v = random_below(&r, row->n);

        assert_true(v < row->n);
        count[v]++;
    }
    for (uint32_t v = 0; v < row->n; v++)
        assert_in_range(count[v], draws / row->n - 1, draws / row->n + 4);
}

/* Of 2^32 words, 2^32 mod n must be redrawn. For n = 3 * 2^30 the unfair words
 * are every fourth: 0, 4, 8 ... draw again. */
static void below_redraws_unfair_words(void **state)
{
    static const uint32_t n = 3u << 30;
    struct walker w = {0, 1};
    struct random r;

    r = (struct random){.fill = fill_walking, .context = &w};
    assert_int_equal(random_below(&r, n), 0); /* word 0 is refused, 1 gives 0 */
    assert_int_equal(r.left, sizeof r.buf - 8);
    assert_int_equal(random_below(&r, n), 1);
    assert_int_equal(random_below(&r, n), 2);
    assert_int_equal(random_below(&r, n), 3); /* word 4 is refused, 5 gives 3 */
    assert_int_equal(r.left, sizeof r.buf - 24);
}

static void kernel_bytes_differ(void **state)
{
    struct random a, b;
    uint8_t x[64], y[64];

    random_init(&a);
    random_init(&b);
    random_bytes(&a, x, sizeof x);
    random_bytes(&b, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
    random_bytes(&a, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

int main(void)
{
    ROWS(below_rows, below_is_even);
    TEST(bytes_come_in_order);
    TEST(used_bytes_are_wiped);
    TEST(numbers_use_their_bytes);
    TEST(below_redraws_unfair_words);
    TEST(kernel_bytes_differ);
    return RUN("random");
}
