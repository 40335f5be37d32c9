/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.c -- numbers, durations and sizes as people write them. Points in
 * time are in number_time.c.
 *
 * Durations and sizes are the same thing, a number and a unit from a table.
 * Units are ordered from the smallest; the printers use the largest one that
 * leaves no rest.
 */
#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"

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
    const char *p = text;
    uint64_t v = 0;
    int rc = 0;

    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');

        if (v > (max - digit) / 10 || digit > max)
            rc = -ERANGE; /* go on: what follows may still be no digit */
        else
            v = v * 10 + digit;
    }
    if (p == text)
        return -EINVAL;
    *end = p;
    *out = v;
    return rc;
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
    static const struct word {
        const char *text;
        bool value;
    } words[] = {
        {"yes", true},    {"no", false}, {"true", true},
        {"false", false}, {"on", true},  {"off", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal_nocase(text, words[i].text)) {
            *out = words[i].value;
            return 0;
        }
    return -EINVAL;
}
