/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.c -- numbers, durations, sizes and points in time as people write them.
 *
 * Durations and sizes are the same thing, a number and a unit from a table.
 * Units are ordered from the smallest; the printers use the largest one that
 * leaves no rest.
 *
 * strptime(3) reads dates, but takes blanks and missing digits as well: so the
 * shape of a text is looked at first. A local time that does not exist (the hour
 * skipped in spring) becomes the time one hour later; of one that exists twice,
 * the C library chooses.
 */
#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"

struct unit {
    const char *name;
    uint64_t size;
};

static const struct unit durations[] = {
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 60 * 60 * 1000},
    {"d", 24ull * 60 * 60 * 1000},
    {"y", 365ull * 24 * 60 * 60 * 1000},
};

static const struct unit sizes[] = {
    {"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40},
};

/* Reads digits; *end is what follows them. */
static int read_digits(uint64_t *out, const char *text, uint64_t max, const char **end)
{
    size_t n = strspn(text, "0123456789");
    uint64_t v = 0;

    if (n == 0)
        return -EINVAL;
    *end = text + n;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(text[i] - '0');

        if (v > (max - digit) / 10 || digit > max)
            return -ERANGE;
        v = v * 10 + digit;
    }
    *out = v;
    return 0;
}

int number_parse(uint64_t *out, const char *text, uint64_t max)
{
    const char *end;
    uint64_t v;
    int rc = read_digits(&v, text, max, &end);

    if (rc == -EINVAL || *end != '\0')
        return -EINVAL;
    if (rc == 0)
        *out = v;
    return rc;
}

static int parse_units(uint64_t *out, const char *text, const struct unit *units, size_t n,
                       const char *fallback)
{
    const char *name;
    uint64_t v;
    int rc = read_digits(&v, text, UINT64_MAX, &name);

    if (rc == -EINVAL)
        return rc;
    if (*name == '\0')
        name = fallback;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, units[i].name) != 0)
            continue;
        if (rc != 0 || v > UINT64_MAX / units[i].size)
            return -ERANGE;
        *out = v * units[i].size;
        return 0;
    }
    return -EINVAL;
}

static const char *print_units(uint64_t v, const struct unit *units, size_t n,
                               char out[NUMBER_TEXT])
{
    size_t i = n - 1;

    while (i > 0 && v % units[i].size != 0)
        i--;
    snprintf(out, NUMBER_TEXT, "%" PRIu64 "%s", v / units[i].size, units[i].name);
    return out;
}

int duration_parse(uint64_t *ms, const char *text)
{
    return parse_units(ms, text, durations, ARRAY_LEN(durations), "s");
}

const char *duration_print(uint64_t ms, char out[NUMBER_TEXT])
{
    if (ms == 0) /* which every unit divides */
        return strcpy(out, "0s");
    return print_units(ms, durations, ARRAY_LEN(durations), out);
}

int size_parse(uint64_t *bytes, const char *text)
{
    return parse_units(bytes, text, sizes, ARRAY_LEN(sizes), "");
}

const char *size_print(uint64_t bytes, char out[NUMBER_TEXT])
{
    if (bytes == 0)
        return strcpy(out, "0");
    return print_units(bytes, sizes, ARRAY_LEN(sizes), out);
}

int bool_parse(bool *out, const char *text)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return 0;
        }
    }
    return -EINVAL;
}

/* Does the text begin in this shape (0: a digit, T: a blank or a T, Z: a sign)?
 * What follows, or NULL. */
static const char *after_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; shape++, text++) {
        const char *set = *shape == '0'   ? "0123456789"
                          : *shape == 'T' ? "Tt "
                          : *shape == 'Z' ? "+-"
                                          : NULL;

        if (*text == '\0' || (set != NULL ? strchr(set, *text) == NULL : *text != *shape))
            return NULL;
    }
    return text;
}

/* "09:00", "09:00:00", "09:00:00.123", of which milliseconds are kept. Second 60 is
 * a leap second, RFC 3339 5.6; it becomes the second that follows. What follows, or
 * NULL. */
static const char *clock_parse(const char *text, struct tm *tm, unsigned *ms)
{
    const char *end = after_shape(text, "00:00:00");
    size_t n = 0;

    if (after_shape(text, "00:00") == NULL || strptime(text, "%H:%M", tm) != text + 5)
        return NULL;
    if (end == NULL)
        return text[5] == ':' ? NULL : text + 5;
    tm->tm_sec = (text[6] - '0') * 10 + (text[7] - '0');
    if (*end == '.' && (n = strspn(++end, "0123456789")) == 0)
        return NULL;
    for (size_t i = 0; n > 0 && i < 3; i++)
        *ms = *ms * 10 + (i < n ? (unsigned)(end[i] - '0') : 0);
    return tm->tm_sec > 60 ? NULL : end + n;
}

/* A date, a time of today, or both. */
static int date_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    struct tm tm = {.tm_isdst = -1}, day;
    time_t now = (time_t)(now_ms / 1000);
    const char *p = after_shape(text, "0000-00-00"), *end;
    bool is_local = true;
    int64_t seconds;
    unsigned ms = 0;
    int east = 0, hours, minutes;

    if (text[2] == ':') {
        if (localtime_r(&now, &tm) == NULL)
            return -ERANGE;
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        p = clock_parse(text, &tm, &ms);
        if (p == NULL || *p != '\0')
            return -EINVAL;
    } else {
        if (p == NULL || strptime(text, "%Y-%m-%d", &tm) != p)
            return -EINVAL;
        day = tm;
        (void)timegm(&day); /* what is no day becomes one of the month after */
        if (day.tm_mday != tm.tm_mday)
            return -EINVAL;
        if (*p != '\0' &&
            ((p = after_shape(p, "T")) == NULL || (p = clock_parse(p, &tm, &ms)) == NULL))
            return -EINVAL;
        /* "Z" or "+01:00": east of UTC */
        is_local = *p == '\0';
        if (!is_local && !((*p == 'Z' || *p == 'z') && p[1] == '\0')) {
            end = after_shape(p, "Z00:00");
            if (end == NULL || *end != '\0' || sscanf(p + 1, "%d:%d", &hours, &minutes) != 2 ||
                hours > 23 || minutes > 59)
                return -EINVAL;
            east = (hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
        }
    }
    if (tm.tm_year < 70)
        return -ERANGE;
    seconds = is_local ? mktime(&tm) : timegm(&tm) - east;
    if (seconds < 0)
        return -ERANGE;
    *wall_ms = (uint64_t)seconds * 1000 + ms;
    return 0;
}

int time_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    size_t digits = strspn(text, "0123456789");
    bool ahead = text[0] == '+';
    uint64_t by;
    int rc;

    if ((digits == 2 && text[2] == ':') || (digits == 4 && text[4] == '-'))
        return date_parse(wall_ms, text, now_ms);
    if ((rc = duration_parse(&by, text + ahead)) != 0)
        return rc;
    if (strchr("0123456789", text[strlen(text) - 1]) != NULL)
        return -EINVAL; /* no unit: "2026" would be half an hour ago */
    if (ahead ? by > UINT64_MAX - now_ms : by > now_ms)
        return -ERANGE;
    *wall_ms = ahead ? now_ms + by : now_ms - by;
    return 0;
}

/* Stored times may be damaged: what has no calendar date is printed as the
 * number that it is. The length of the date, or 0. */
static size_t print_date(uint64_t wall_ms, bool is_local, char out[NUMBER_TEXT])
{
    const uint64_t year_10000 = 253402300800000;
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (wall_ms < year_10000 && (is_local ? localtime_r(&s, &tm) : gmtime_r(&s, &tm)) != NULL)
        return strftime(out, NUMBER_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, NUMBER_TEXT, "%" PRIu64, wall_ms);
    return 0;
}

const char *time_print_utc(uint64_t wall_ms, char out[NUMBER_TEXT])
{
    size_t n = print_date(wall_ms, false, out);

    if (n > 0)
        snprintf(out + n, NUMBER_TEXT - n, ".%03uZ", (unsigned)(wall_ms % 1000));
    return out;
}

const char *time_print_local(uint64_t wall_ms, char out[NUMBER_TEXT])
{
    if (print_date(wall_ms, true, out) > 0)
        out[10] = ' ';
    return out;
}
