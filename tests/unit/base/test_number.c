/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_number.c -- numbers, durations, sizes, yes and no, points in time.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/number.h"
#include "tests/unit/rows.h"

#define S(n) ((uint64_t)(n)*1000)
#define DAY S(86400)

static const struct number_row {
    const char *text;
    uint64_t max;
    int rc;
    uint64_t want;
} number_rows[] = {
    {"0", 10, 0, 0},
    {"10", 10, 0, 10},
    {"007", 10, 0, 7},
    {"11", 10, -ERANGE, 0},
    {"100", 10, -ERANGE, 0},
    {"5", 3, -ERANGE, 0},
    {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
    {"99999999999999999999999999", UINT64_MAX, -ERANGE, 0},
    {"99999999999999999999999999x", UINT64_MAX, -EINVAL, 0},
    {"", 10, -EINVAL, 0},
    {" 1", 10, -EINVAL, 0},
    {"1 ", 10, -EINVAL, 0},
    {"+1", 10, -EINVAL, 0},
    {"0x1", 10, -EINVAL, 0},
    {"1.5", 10, -EINVAL, 0},
};

static void number(void **state)
{
    const struct number_row *r = *state;
    uint64_t v = 4711;

    assert_int_equal(number_parse(&v, r->text, r->max), r->rc);
    assert_true(v == (r->rc == 0 ? r->want : 4711));
}

/* print: the form that is printed, NULL when the text is that form already */
struct unit_row {
    const char *text;
    int rc;
    uint64_t want;
    const char *print;
};

static const struct unit_row duration_rows[] = {
    {"300ms", 0, 300},
    {"10s", 0, S(10)},
    {"5m", 0, S(300)},
    {"2h", 0, S(7200)},
    {"90d", 0, 90 * DAY},
    {"2y", 0, 730 * DAY},
    {"0", 0, 0, "0s"},
    {"0d", 0, 0, "0s"},
    {"90", 0, S(90), "90s"},
    {"1500ms", 0, 1500},
    {"1000ms", 0, 1000, "1s"},
    {"365d", 0, 365 * DAY, "1y"},
    {"366d", 0, 366 * DAY},
    {"18446744073709551615ms", 0, UINT64_MAX},
    {"18446744073709551616ms", -ERANGE},
    {"18446744073709552s", -ERANGE},
    {"", -EINVAL},
    {"s", -EINVAL},
    {"10 s", -EINVAL},
    {"10S", -EINVAL},
    {"1h30m", -EINVAL},
    {"-1s", -EINVAL},
};

static const struct unit_row size_rows[] = {
    {"64", 0, 64},
    {"64K", 0, 64 << 10},
    {"64M", 0, 64 << 20},
    {"1G", 0, 1 << 30},
    {"16T", 0, 16ull << 40},
    {"1024K", 0, 1 << 20, "1M"},
    {"1500", 0, 1500},
    {"0"},
    {"0M", 0, 0, "0"},
    {"17179869184G", -ERANGE},
    {"17179869183G", 0, 17179869183ull << 30},
    {"", -EINVAL},
    {"M", -EINVAL},
    {"64MB", -EINVAL},
    {"-1", -EINVAL},
};

static void units(const struct unit_row *r, int (*read)(uint64_t *, const char *),
                  const char *(*print)(uint64_t, char *))
{
    uint64_t v = 4711;
    char out[NUMBER_TEXT];

    assert_int_equal(read(&v, r->text), r->rc);
    assert_true(v == (r->rc == 0 ? r->want : 4711));
    if (r->rc == 0)
        assert_string_equal(print(v, out), r->print != NULL ? r->print : r->text);
}

static void duration(void **state)
{
    units(*state, duration_parse, duration_print);
}

static void size(void **state)
{
    units(*state, size_parse, size_print);
}

static const struct bool_row {
    const char *text;
    int rc;
    int want;
} bool_rows[] = {
    {"yes", 0, 1},     {"no", 0, 0},      {"true", 0, 1},       {"false", 0, 0},  {"on", 0, 1},
    {"off", 0, 0},     {"Yes", 0, 1},     {"FALSE", 0, 0},      {"", -EINVAL, 0}, {"1", -EINVAL, 0},
    {"0", -EINVAL, 0}, {"y", -EINVAL, 0}, {"yes ", -EINVAL, 0},
};

static void yes_no(void **state)
{
    const struct bool_row *r = *state;
    bool v = !r->want;

    assert_int_equal(bool_parse(&v, r->text), r->rc);
    if (r->rc == 0)
        assert_int_equal(v, r->want);
}

/* 2026-11-22T09:00:00Z */
#define NOW S(1795338000)

/* Local time is that of Berlin: +1 in winter, +2 in summer. */
static const struct time_row {
    const char *text;
    int rc;
    uint64_t want;
} time_rows[] = {
    {"2026-11-22T09:00:00Z", 0, NOW},
    {"2026-11-22 09:00:00Z", 0, NOW},
    {"2026-11-22T10:00:00+01:00", 0, NOW},
    {"2026-11-22T03:30:00-05:30", 0, NOW},
    {"2026-11-23T08:59:00+23:59", 0, NOW},
    {"2026-11-22T09:00:00.123Z", 0, NOW + 123},
    {"2026-11-22T09:00:00.1239999999999999999Z", 0, NOW + 123},
    {"2026-11-22T09:00:00.5Z", 0, NOW + 500},
    {"2026-11-22T09:00Z", 0, NOW},
    {"2026-11-22 10:00", 0, NOW},
    {"2026-11-22", 0, NOW - S(10 * 3600)},
    {"2026-07-01 11:00", 0, S(1782896400)},
    {"10:00", 0, NOW},
    {"00:00", 0, NOW - S(10 * 3600)},
    {"7d", 0, NOW - 7 * DAY},
    {"+14d", 0, NOW + 14 * DAY},
    {"1970-01-01T00:00:00Z", 0, 0},
    {"9999-12-31T23:59:59Z", 0, S(253402300799)},
    {"2016-12-31T23:59:60Z", 0, S(1483228800)},
    {"2026-03-29 02:30", 0, S(1774747800)}, /* skipped in Berlin; is 03:30 */
    {"1970-01-01T00:00:00+00:01", -ERANGE, 0},
    {"1969-12-31", -ERANGE, 0},
    {"100y", -ERANGE, 0},
    {"600000000000y", -ERANGE, 0},
    {"", -EINVAL, 0},
    {"2026", -EINVAL, 0},
    {"+5", -EINVAL, 0},
    {"-7d", -EINVAL, 0},
    {"++1d", -EINVAL, 0},
    {"2026-1-2", -EINVAL, 0},
    {"2026-13-01", -EINVAL, 0},
    {"2026-02-29", -EINVAL, 0},
    {"2026-04-31", -EINVAL, 0},
    {"2026-11-22 ", -EINVAL, 0},
    {"2026-11-22 9:00", -EINVAL, 0},
    {"2026-11-22 24:00", -EINVAL, 0},
    {"2026-11-22 09:60", -EINVAL, 0},
    {"2026-11-22 09:00:61", -EINVAL, 0},
    {"2026-11-22 09:00:00.", -EINVAL, 0},
    {"2026-11-22T09:00:00Zx", -EINVAL, 0},
    {"2026-11-22T09:00:00+1", -EINVAL, 0},
    {"2026-11-22T09:00:00+24:00", -EINVAL, 0},
    {"2026-11-22Z", -EINVAL, 0},
    {"09:00Z", -EINVAL, 0},
    {"yesterday", -EINVAL, 0},
};

static void point_in_time(void **state)
{
    const struct time_row *r = *state;
    uint64_t v = 4711;

    assert_int_equal(time_parse(&v, r->text, NOW), r->rc);
    assert_true(v == (r->rc == 0 ? r->want : 4711));
}

/* The seconds of now are not those of a time of today. */
static void today_at_any_second(void **state)
{
    uint64_t v;

    assert_int_equal(time_parse(&v, "10:00", NOW + S(7)), 0);
    assert_int_equal(v, NOW);
}

/* The C library computes the same. */
static void every_month_of_a_century(void **state)
{
    for (int month = 0; month < 12 * 130; month++) {
        struct tm tm = {.tm_year = 70, .tm_mon = month, .tm_mday = 1 + month % 28, .tm_hour = 7};
        uint64_t want = S(timegm(&tm)), got = 0;
        char text[NUMBER_TEXT];

        assert_int_equal(time_parse(&got, time_print_utc(want, text), 0), 0);
        assert_true(got == want);
        assert_int_equal(time_parse(&got, time_print_local(want, text), 0), 0);
        assert_true(got == want);
    }
}

static void time_printed(void **state)
{
    char out[NUMBER_TEXT];

    assert_string_equal(time_print_utc(NOW + 123, out), "2026-11-22T09:00:00.123Z");
    assert_string_equal(time_print_local(NOW + 123, out), "2026-11-22 10:00:00");
    assert_string_equal(time_print_utc(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_print_utc(UINT64_MAX, out), "18446744073709551615");
    assert_string_equal(time_print_local(UINT64_MAX, out), "18446744073709551615");
}

int main(void)
{
    /* written out, so that no time zone files are needed */
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    ROWS(number_rows, number);
    ROWS(duration_rows, duration);
    ROWS(size_rows, size);
    ROWS(bool_rows, yes_no);
    ROWS(time_rows, point_in_time);
    TEST(every_month_of_a_century);
    TEST(time_printed);
    TEST(today_at_any_second);
    return RUN("number");
}
