/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.c -- numbers, durations, sizes and points in time as people write them; the clocks.
 *
 * strptime(3) reads dates, but takes blanks and missing digits as well: so the shape of a text is
 * looked at first. A local time that does not exist (the hour skipped in spring) becomes the time
 * one hour later; of one that exists twice, the C library chooses.
 */
#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"

#define DIGITS "0123456789"
#define HOUR (UINT64_C(3600) * 1000)

const struct unit unit_one[] = {{"", 1}, {NULL, 0}};
const struct unit unit_time[] = {{"s", 1000}, {"ms", 1},        {"m", 60 * 1000},
                                 {"h", HOUR}, {"d", 24 * HOUR}, {"y", 8760 * HOUR},
                                 {NULL, 0}};
const struct unit unit_size[] = {{"", 1},        {"K", 1 << 10},    {"M", 1 << 20},
                                 {"G", 1 << 30}, {"T", 1ull << 40}, {NULL, 0}};

int units_parse(uint64_t *out, const char *text, const struct unit *unit)
{
    uint64_t v;
    char *end;

    if (strspn(text, DIGITS) == 0) /* a sign or blanks, which strtoull(3) takes */
        return -EINVAL;
    errno = 0;
    v = strtoull(text, &end, 10);
    while (*end != '\0' && unit->name != NULL && strcmp(end, unit->name) != 0)
        unit++;
    if (unit->name == NULL)
        return -EINVAL;
    if (errno != 0 || v > UINT64_MAX / unit->size)
        return -ERANGE;
    *out = v * unit->size;
    return 0;
}

const char *units_print(uint64_t v, const struct unit *unit, char out[NUMBER_TEXT])
{
    const struct unit *best = unit; /* the largest that leaves no rest */

    for (; v != 0 && unit->name != NULL; unit++)
        if (v % unit->size == 0 && (unit->size > best->size || v % best->size != 0))
            best = unit;
    snprintf(out, NUMBER_TEXT, "%" PRIu64 "%s", v / best->size, best->name);
    return out;
}

int number_parse(uint64_t *out, const char *text, uint64_t max)
{
    uint64_t v;
    int rc = units_parse(&v, text, unit_one);

    if (rc != 0 || v > max)
        return rc != 0 ? rc : -ERANGE;
    *out = v;
    return 0;
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

/* A date, a time of today, or both. Second 60 is a leap second (RFC 3339 5.6), and becomes the
 * second that follows. */
static int date_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    static const char *const forms[][2] = {{"0000-00-00T00:00:00+00:00", "%FT%T%z"},
                                           {"0000-00-00T00:00:00Z", "%FT%T%z"},
                                           {"0000-00-00T00:00+00:00", "%FT%R%z"},
                                           {"0000-00-00T00:00Z", "%FT%R%z"},
                                           {"0000-00-00T00:00:00", "%FT%T"},
                                           {"0000-00-00T00:00", "%FT%R"},
                                           {"0000-00-00", "%F"},
                                           {"00:00:00", "%T"},
                                           {"00:00", "%R"}};
    const char *dot = strchrnul(text, '.'), *rest = dot + (*dot == '.'), *format = NULL, *end;
    size_t n = *dot == '.' ? strspn(rest, DIGITS) : 0, before = (size_t)(dot - text);
    char copy[32] = "", shape[sizeof copy];
    time_t now = (time_t)(now_ms / 1000), seconds;
    struct tm tm = {.tm_mday = 1}, day;
    unsigned ms = 0;
    long east;

    for (size_t k = 0; n > 0 && k < 3; k++)
        ms = ms * 10 + (k < n ? (unsigned)(rest[k] - '0') : 0);
    if (before + strlen(rest + n) >= sizeof copy)
        return -EINVAL;
    snprintf(copy, sizeof copy, "%.*s%s", (int)before, text, rest + n);
    copy[10] = copy[10] == ' ' ? 'T' : copy[10];
    for (size_t i = 0; i < sizeof copy; i++) {
        copy[i] = (char)toupper((unsigned char)copy[i]);
        shape[i] = copy[i];
        if (isdigit((unsigned char)copy[i]))
            shape[i] = '0';
        else if (i > 10 && copy[i] == '-')
            shape[i] = '+';
    }
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(shape, forms[i][0]) == 0)
            format = forms[i][1];
    if (format == NULL || (format[1] != 'F' && localtime_r(&now, &tm) == NULL) ||
        (*dot == '.' && (n == 0 || strstr(format, "%T") == NULL ||
                         before != (format[1] == 'F' ? 19 : 8)))) /* behind the seconds */
        return -EINVAL;
    tm.tm_sec = 0;
    tm.tm_isdst = -1;
    end = strptime(copy, format, &tm);
    east = strchr(format, 'z') != NULL ? tm.tm_gmtoff : 0;
    if (end == NULL || *end != '\0' || tm.tm_sec > 60 || labs(east) >= 24 * 3600)
        return -EINVAL;
    day = tm;
    day.tm_sec = 0;
    (void)timegm(&day); /* what is no day becomes one of the month after */
    if (day.tm_mday != tm.tm_mday)
        return -EINVAL;
    seconds = strchr(format, 'z') != NULL ? timegm(&tm) - east : mktime(&tm);
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
    if ((rc = units_parse(&by, text + ahead, unit_time)) != 0)
        return rc;
    if (strchr(DIGITS, text[strlen(text) - 1]) != NULL)
        return -EINVAL; /* no unit: "2026" would be half an hour ago */
    if (ahead ? by > UINT64_MAX - now_ms : by > now_ms)
        return -ERANGE;
    *wall_ms = ahead ? now_ms + by : now_ms - by;
    return 0;
}

/* Stored times may be damaged: what has no calendar date is printed as the number that it is. */
const char *time_print(uint64_t wall_ms, bool is_local, char out[NUMBER_TEXT])
{
    const uint64_t year_10000 = 253402300800000;
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n;

    snprintf(out, NUMBER_TEXT, "%" PRIu64, wall_ms);
    if (wall_ms >= year_10000 || (is_local ? localtime_r(&s, &tm) : gmtime_r(&s, &tm)) == NULL)
        return out;
    n = strftime(out, NUMBER_TEXT, "%F %T", &tm);
    if (!is_local)
        snprintf(out + n, NUMBER_TEXT - n, ".%03uZ", (unsigned)(wall_ms % 1000));
    out[10] = is_local ? ' ' : 'T';
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
