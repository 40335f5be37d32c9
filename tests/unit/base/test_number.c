/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_number.c -- numbers, durations, sizes, yes and no, points in time.
 */
#include <time.h>

#include "base/str.h"
#include "tests/unit/rows.h"

#define S(n) ((uint64_t)(n)*1000)
#define DAY S(86400)
#define NOW S(1795338000) /* 2026-11-22T09:00:00Z */

static int read_small(uint64_t *v, const char *text)
{
    return number_parse(v, text, 10);
}

static int read_number(uint64_t *v, const char *text)
{
    return number_parse(v, text, UINT64_MAX);
}

static int read_duration(uint64_t *v, const char *text)
{
    return units_parse(v, text, unit_time);
}

static int read_size(uint64_t *v, const char *text)
{
    return units_parse(v, text, unit_size);
}

static int read_bool(uint64_t *v, const char *text)
{
    bool yes;
    int rc = bool_parse(&yes, text);

    *v = rc == 0 ? yes : *v;
    return rc;
}

static int read_time(uint64_t *v, const char *text)
{
    return time_parse(v, text, NOW);
}

/* Texts that mean the same, or are refused alike. Of a duration and a size the first is what is
 * printed. Local time is that of Berlin: +1 in winter, +2 in summer. */
static const struct row {
    const char *texts;
    int (*read)(uint64_t *, const char *);
    int rc;
    uint64_t want;
} rows[] = {
    {"0", read_small, 0, 0},
    {"10|010", read_small, 0, 10},
    {"11|100|99999999999999999999999999", read_small, -ERANGE},
    {"18446744073709551615", read_number, 0, UINT64_MAX},
    {"18446744073709551616|99999999999999999999999999", read_number, -ERANGE},
    {"99999999999999999999999999x|| 1|1 |+1|0x1|1.5", read_number, -EINVAL},
    {"300ms", read_duration, 0, 300},
    {"10s", read_duration, 0, S(10)},
    {"5m|300", read_duration, 0, S(300)},
    {"2h", read_duration, 0, S(7200)},
    {"90d", read_duration, 0, 90 * DAY},
    {"2y", read_duration, 0, 730 * DAY},
    {"0s|0|0d", read_duration, 0, 0},
    {"90s|90", read_duration, 0, S(90)},
    {"1500ms", read_duration, 0, 1500},
    {"1s|1000ms", read_duration, 0, 1000},
    {"1y|365d", read_duration, 0, 365 * DAY},
    {"366d", read_duration, 0, 366 * DAY},
    {"18446744073709551615ms", read_duration, 0, UINT64_MAX},
    {"18446744073709551616ms|18446744073709552s", read_duration, -ERANGE},
    {"|s|10 s|10S|1h30m|-1s", read_duration, -EINVAL},
    {"64", read_size, 0, 64},
    {"64K", read_size, 0, 64 << 10},
    {"64M", read_size, 0, 64 << 20},
    {"1G", read_size, 0, 1 << 30},
    {"16T", read_size, 0, 16ull << 40},
    {"1M|1024K", read_size, 0, 1 << 20},
    {"1500", read_size, 0, 1500},
    {"0|0M", read_size, 0, 0},
    {"17179869183G", read_size, 0, 17179869183ull << 30},
    {"17179869184G", read_size, -ERANGE},
    {"|M|64MB|-1", read_size, -EINVAL},
    {"yes|true|on|Yes", read_bool, 0, 1},
    {"no|false|off|FALSE", read_bool, 0, 0},
    {"|1|0|y|yes ", read_bool, -EINVAL},
    {"2026-11-22T09:00:00Z|2026-11-22 09:00:00z|2026-11-22T10:00:00+01:00|2026-11-22T09:00Z|"
     "2026-11-22T03:30:00-05:30|2026-11-23t08:59+23:59|2026-11-22 10:00|10:00|10:00:00",
     read_time, 0, NOW},
    {"2026-11-22T09:00:00.123Z|2026-11-22T09:00:00.1239999999999999999Z|10:00:00.123", read_time, 0,
     NOW + 123},
    {"2026-11-22T09:00:00.5Z", read_time, 0, NOW + 500},
    {"2026-11-22|00:00", read_time, 0, NOW - S(10 * 3600)},
    {"2026-07-01 11:00", read_time, 0, S(1782896400)},
    {"7d", read_time, 0, NOW - 7 * DAY},
    {"+14d", read_time, 0, NOW + 14 * DAY},
    {"1795338000s", read_time, 0, 0},
    {"1970-01-01T00:00:00Z", read_time, 0, 0},
    {"9999-12-31T23:59:59Z", read_time, 0, S(253402300799)},
    {"2016-12-31T23:59:60Z", read_time, 0, S(1483228800)},
    {"2026-03-29 02:30", read_time, 0, S(1774747800)}, /* skipped in Berlin; is 03:30 */
    {"1970-01-01T00:00:00+00:01|1969-12-31|100y|600000000000y", read_time, -ERANGE},
    {"|2026|+5|-7d|++1d|2026-1-2|2026-13-01|2026-02-29|2026-04-31|2026-11-22 |2026-11-22Z|09:00Z|"
     "yesterday",
     read_time, -EINVAL},
    {"2026-11-22 9:00|2026-11-22 24:00|2026-11-22 09:60|2026-11-22 09:00:61|2026-11-22 09:00:00.|"
     "2026-11-22T09:00:00Zx|2026-11-22T09:00:00+1|2026-11-22T09:00:00+24:00|10:00.5|"
     "2026-11-22T09:00:00+01:60|2026-11-22T09:00.5Z|2026-11-22T09:0.50:00Z|2026-11-22 09-00|"
     "2026-11-22T09:00:00.000000000000000000000000000000000000000000x",
     read_time, -EINVAL},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    char out[NUMBER_TEXT], *rest = strdupa(r->texts), *text;

    while ((text = strsep(&rest, "|")) != NULL) {
        uint64_t v = 4711;
        int rc = r->read(&v, text);

        if (rc != r->rc || v != (rc == 0 ? r->want : 4711))
            fail_msg("\"%s\": %d", text, rc);
    }
    if (r->rc == 0 && (r->read == read_duration || r->read == read_size)) {
        units_print(r->want, r->read == read_size ? unit_size : unit_time, out);
        assert_memory_equal(out, r->texts, strcspn(r->texts, "|"));
    }
}

static void time_printed(void **state)
{
    char out[NUMBER_TEXT];
    uint64_t v;

    assert_int_equal(time_parse(&v, "10:00", NOW + S(7)), 0); /* whatever the second is */
    assert_int_equal(v, NOW);

    assert_string_equal(time_print_utc(NOW + 123, out), "2026-11-22T09:00:00.123Z");
    assert_string_equal(time_print_local(NOW + 123, out), "2026-11-22 10:00:00");
    assert_string_equal(time_print_utc(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_print_utc(UINT64_MAX, out), "18446744073709551615");
    assert_string_equal(time_print_local(UINT64_MAX, out), "18446744073709551615");
}

/* TZ is written out, so that no time zone files are needed. */
TESTS("number", setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), tzset(), ROWS(rows, check_row),
      TEST(time_printed))
