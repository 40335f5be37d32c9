/* SPDX-License-Identifier: BSD-2-Clause
 *
 * number.h -- numbers, durations, sizes and points in time as people write them; every reader
 * accepts the whole text or nothing. And the only place that reads the clocks: below resolver/ and
 * ctl/ time is a parameter, but log lines tell the time, and a query of the audit has a limit.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT = 40 };

/* Ended by a row without a name. A number without a unit has that of the first row. */
struct unit {
    const char *name;
    uint64_t size;
};
extern const struct unit unit_one[];
extern const struct unit unit_time[]; /* s, ms, m, h, d, y (365 days); in ms */
extern const struct unit unit_size[]; /* none, K, M, G, T: powers of 1024; in octets */

/* Decimal digits and the name of a unit. 0; -EINVAL; -ERANGE. */
int units_parse(uint64_t *out, const char *text, const struct unit *);
/* The shortest exact form: 90000 ms -> "90s", 86400000 -> "1d". Returns out. */
const char *units_print(uint64_t, const struct unit *, char out[NUMBER_TEXT]);
/* Digits only. 0; -EINVAL; -ERANGE above max. */
int number_parse(uint64_t *out, const char *text, uint64_t max);

/* yes/no, true/false, on/off. */
int bool_parse(bool *out, const char *text);

/* A point in time: RFC 3339, "2026-11-22 09:00", "2026-11-22", "09:00" (today)
 * in local time; "7d" (ago), "+14d" (ahead), counted from now_ms. */
int time_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms);
/* 2026-11-22T09:00:00.123Z, and 2026-11-22 10:00:00. Return out. */
const char *time_print(uint64_t wall_ms, bool is_local, char out[NUMBER_TEXT]);
#define time_print_utc(wall_ms, out) time_print(wall_ms, false, out)
#define time_print_local(wall_ms, out) time_print(wall_ms, true, out)

struct now {
    uint64_t mono_ms; /* CLOCK_BOOTTIME: timers and TTLs; counts in suspend */
    uint64_t wall_ms; /* since 1970, UTC: from/until of rules, the audit */
};
/* Never returns mono_ms 0, which means "never" in timers. */
struct now clock_now(void);
/* Microseconds of CLOCK_MONOTONIC, for latencies. */
uint64_t clock_us(void);

#endif
