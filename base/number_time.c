/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number_time.c -- points in time as people write them (number.h).
 *
 * With an offset ("Z", "+01:00") the calendar is computed here, because
 * timegm(3) would be the only use of it; without one the text is local time
 * and mktime(3) knows the daylight saving rules. A local time that does not
 * exist (the hour skipped in spring) becomes the time one hour later; of one
 * that exists twice, the C library chooses.
 */
#include "base/number.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct moment {
    unsigned year, month, day, hour, minute, second, ms;
    int offset_minutes; /* east of UTC */
    bool has_offset;
};

/* Reads exactly `digits` digits, moving *p behind them. */
static bool take_digits(const char **p, unsigned digits, unsigned *out)
{
    unsigned v = 0;

    for (unsigned i = 0; i < digits; i++) {
        char c = (*p)[i];

        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (unsigned)(c - '0');
    }
    *p += digits;
    *out = v;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(const char **p, struct moment *m)
{
    return take_digits(p, 4, &m->year) && take_char(p, '-') && take_digits(p, 2, &m->month) &&
           take_char(p, '-') && take_digits(p, 2, &m->day) && m->month >= 1 && m->month <= 12 &&
           m->day >= 1 && m->day <= days_in(m->year, m->month);
}

/* ".123456": milliseconds are kept, the rest is cut. */
static bool take_fraction(const char **p, struct moment *m)
{
    unsigned scale = 100, n = 0;

    for (; **p >= '0' && **p <= '9'; (*p)++, n++) {
        m->ms += (unsigned)(**p - '0') * scale;
        scale /= 10;
    }
    return n > 0;
}

/* "09:00", "09:00:00", "09:00:00.123". Second 60 is a leap second, RFC 3339
 * 5.6; it becomes the second that follows. */
static bool take_clock(const char **p, struct moment *m)
{
    if (!take_digits(p, 2, &m->hour) || !take_char(p, ':') || !take_digits(p, 2, &m->minute) ||
        m->hour > 23 || m->minute > 59)
        return false;
    if (!take_char(p, ':'))
        return true;
    if (!take_digits(p, 2, &m->second) || m->second > 60)
        return false;
    return !take_char(p, '.') || take_fraction(p, m);
}

static bool take_offset(const char **p, struct moment *m)
{
    unsigned hours, minutes;
    bool west = **p == '-';

    m->has_offset = true;
    if (take_char(p, 'Z') || take_char(p, 'z'))
        return true;
    if (!take_char(p, '+') && !take_char(p, '-'))
        return false;
    if (!take_digits(p, 2, &hours) || !take_char(p, ':') || !take_digits(p, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    m->offset_minutes = (int)(hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

/* Days from 1970-01-01; year >= 1970. */
static int64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    int64_t days = 0;

    days += 365 * ((int64_t)year - 1970);
    days += (int64_t)((year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400) - 477;
    for (unsigned i = 1; i < month; i++)
        days += days_in(year, i);
    return days + (int64_t)day - 1;
}

static int to_wall(uint64_t *wall_ms, const struct moment *m)
{
    int64_t seconds;

    if (m->year < 1970)
        return -ERANGE;
    if (m->has_offset) {
        seconds = days_since_1970(m->year, m->month, m->day) * 86400 + (int64_t)m->hour * 3600 +
                  ((int64_t)m->minute - m->offset_minutes) * 60 + (int64_t)m->second;
    } else {
        struct tm tm = {.tm_year = (int)m->year - 1900,
                        .tm_mon = (int)m->month - 1,
                        .tm_mday = (int)m->day,
                        .tm_hour = (int)m->hour,
                        .tm_min = (int)m->minute,
                        .tm_sec = (int)m->second,
                        .tm_isdst = -1};

        seconds = mktime(&tm);
    }
    if (seconds < 0)
        return -ERANGE;
    *wall_ms = (uint64_t)seconds * 1000 + m->ms;
    return 0;
}

/* "09:00" is today's, by the local calendar at now_ms. */
static int today_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    struct moment m = {0};
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;

    if (!take_clock(&text, &m) || *text != '\0')
        return -EINVAL;
    if (localtime_r(&now, &tm) == NULL || tm.tm_year < 70)
        return -ERANGE;
    m.year = (unsigned)tm.tm_year + 1900;
    m.month = (unsigned)tm.tm_mon + 1;
    m.day = (unsigned)tm.tm_mday;
    return to_wall(wall_ms, &m);
}

static int date_parse(uint64_t *wall_ms, const char *text)
{
    struct moment m = {0};

    if (!take_date(&text, &m))
        return -EINVAL;
    if (*text != '\0') {
        if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
            return -EINVAL;
        if (!take_clock(&text, &m) || (*text != '\0' && !take_offset(&text, &m)))
            return -EINVAL;
    }
    return *text == '\0' ? to_wall(wall_ms, &m) : -EINVAL;
}

/* "7d" ago, "+14d" ahead. A number without a unit is no point in time: "2026"
 * would be half an hour ago. */
static int relative_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    bool ahead = text[0] == '+';
    uint64_t by;
    int rc = duration_parse(&by, text + ahead);

    if (rc != 0)
        return rc;
    if (text[strlen(text) - 1] >= '0' && text[strlen(text) - 1] <= '9')
        return -EINVAL;
    if (ahead ? by > UINT64_MAX - now_ms : by > now_ms)
        return -ERANGE;
    *wall_ms = ahead ? now_ms + by : now_ms - by;
    return 0;
}

int time_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 2 && text[2] == ':')
        return today_parse(wall_ms, text, now_ms);
    if (digits == 4 && text[4] == '-')
        return date_parse(wall_ms, text);
    return relative_parse(wall_ms, text, now_ms);
}

/* Stored times may be damaged: what has no calendar date is printed as the
 * number that it is. */
static bool has_date(uint64_t wall_ms)
{
    return wall_ms < 253402300800000u; /* 10000-01-01 */
}

const char *time_print_utc(uint64_t wall_ms, char out[NUMBER_TEXT])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n = 0;

    if (has_date(wall_ms) && gmtime_r(&s, &tm) != NULL)
        n = strftime(out, NUMBER_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (n == 0)
        snprintf(out, NUMBER_TEXT, "%ju", (uintmax_t)wall_ms);
    else
        snprintf(out + n, NUMBER_TEXT - n, ".%03uZ", (unsigned)(wall_ms % 1000));
    return out;
}

const char *time_print_local(uint64_t wall_ms, char out[NUMBER_TEXT])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!has_date(wall_ms) || localtime_r(&s, &tm) == NULL ||
        strftime(out, NUMBER_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, NUMBER_TEXT, "%ju", (uintmax_t)wall_ms);
    return out;
}
