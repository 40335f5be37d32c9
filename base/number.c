/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.c -- numbers, durations, sizes and points in time as people write
 * them; the clocks.
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
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"

#define DIGITS "0123456789"

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

/* Reads digits, without a sign or blanks; *end is what follows them. */
static int read_digits(uint64_t *out, const char *text, char **end)
{
    if (strspn(text, DIGITS) == 0)
        return -EINVAL;
    errno = 0;
    *out = strtoull(text, end, 10);
    return -errno;
}

int number_parse(uint64_t *out, const char *text, uint64_t max)
{
    uint64_t v;
    char *end;
    int rc = read_digits(&v, text, &end);

    if (rc == -EINVAL || *end != '\0')
        return -EINVAL;
    if (rc != 0 || v > max)
        return -ERANGE;
    *out = v;
    return 0;
}

static int parse_units(uint64_t *out, const char *text, const struct unit *units, size_t n,
                       const char *fallback)
{
    uint64_t v;
    char *end;
    int rc = read_digits(&v, text, &end);
    const char *name = rc != -EINVAL && *end == '\0' ? fallback : end;

    for (size_t i = 0; rc != -EINVAL && i < n; i++) {
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

    while (i > 0 && (v == 0 || v % units[i].size != 0))
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
    if (ms == 0)
        return strcpy(out, "0s");
    return print_units(ms, durations, ARRAY_LEN(durations), out);
}

int size_parse(uint64_t *bytes, const char *text)
{
    return parse_units(bytes, text, sizes, ARRAY_LEN(sizes), "");
}

const char *size_print(uint64_t bytes, char out[NUMBER_TEXT])
{
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
        const char *set = *shape == '0'   ? DIGITS
                          : *shape == 'T' ? "Tt "
                          : *shape == 'Z' ? "+-"
                                          : ":-";

        if (*text == '\0' || strchr(set, *text) == NULL)
            return NULL;
    }
    return text;
}

/* A date, a time of today, or both: with a fraction, of which milliseconds are kept,
 * and with "Z" or how far east of UTC it is. Second 60 is a leap second, RFC 3339 5.6;
 * it becomes the second that follows. */
static int date_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    static const char *const forms[][2] = {{"0000-00-00T00:00:00", "%Y-%m-%dT%H:%M:%S"},
                                           {"0000-00-00T00:00", "%Y-%m-%dT%H:%M"},
                                           {"0000-00-00", "%Y-%m-%d"},
                                           {"00:00:00", "%H:%M:%S"},
                                           {"00:00", "%H:%M"}};
    struct tm tm = {.tm_mday = 1}, day;
    time_t now = (time_t)(now_ms / 1000);
    const char *rest = NULL, *end;
    char copy[24];
    bool is_local;
    int64_t seconds;
    unsigned ms = 0;
    int east = 0, hours, minutes;
    size_t i = 0, n = 0;

    while (i < ARRAY_LEN(forms) && (rest = after_shape(text, forms[i][0])) == NULL)
        i++;
    if (rest == NULL || (i > 2 && localtime_r(&now, &tm) == NULL))
        return -EINVAL;
    snprintf(copy, sizeof copy, "%.*s", (int)(rest - text), text);
    if (i < 2)
        copy[10] = 'T';
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    end = strptime(copy, forms[i][1], &tm);
    if (end == NULL || *end != '\0' || tm.tm_sec > 60)
        return -EINVAL;
    day = tm;
    day.tm_sec = 0;
    (void)timegm(&day); /* what is no day becomes one of the month after */
    if (day.tm_mday != tm.tm_mday)
        return -EINVAL;
    if (i % 3 == 0 && *rest == '.' && (n = strspn(++rest, DIGITS)) == 0)
        return -EINVAL;
    for (size_t k = 0; n > 0 && k < 3; k++)
        ms = ms * 10 + (k < n ? (unsigned)(rest[k] - '0') : 0);
    rest += n;
    is_local = *rest == '\0';
    if (!is_local && (i > 1 || ((*rest != 'Z' && *rest != 'z') || rest[1] != '\0'))) {
        end = i > 1 ? NULL : after_shape(rest, "Z00:00");
        if (end == NULL || *end != '\0' || sscanf(rest + 1, "%d:%d", &hours, &minutes) != 2 ||
            hours > 23 || minutes > 59)
            return -EINVAL;
        east = (hours * 3600 + minutes * 60) * (*rest == '-' ? -1 : 1);
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
    size_t digits = strspn(text, DIGITS);
    bool ahead = text[0] == '+';
    uint64_t by;
    int rc;

    if ((digits == 2 && text[2] == ':') || (digits == 4 && text[4] == '-'))
        return date_parse(wall_ms, text, now_ms);
    if ((rc = duration_parse(&by, text + ahead)) != 0)
        return rc;
    if (strchr(DIGITS, text[strlen(text) - 1]) != NULL)
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

static uint64_t read_us(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t); /* the clocks exist in every Linux that glibc runs on */
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct now clock_now(void)
{
    uint64_t mono_ms = read_us(CLOCK_BOOTTIME) / 1000;

    return (struct now){mono_ms > 0 ? mono_ms : 1, read_us(CLOCK_REALTIME) / 1000};
}

uint64_t clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}
