/* SPDX-License-Identifier: BSD-2-Clause
 *
 * str.h -- a bounded text builder, small text helpers, numbers and times as text, problems; the clocks.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

/* Text in the caller's buffer, always ended by NUL. What does not fit is cut
 * and `cut` stays set; callers check it once, at the end. */
struct str {
    char *text;  /* borrowed */
    size_t len;  /* without the NUL */
    size_t size; /* of the buffer, > 0 */
    bool cut;
};

void str_init(struct str *, char *buf, size_t size);
void str_addf(struct str *, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define str_add(s, text) str_addf(s, "%s", text)
/* What is no printable ASCII as \xNN; a backslash stays. */
void str_add_escaped(struct str *, const void *, size_t);

/* Reads one character of UTF-8 (RFC 3629) from a text ended by NUL. Its length,
 * or 0 when it is none. */
size_t str_utf8(const unsigned char *, uint32_t *code);

/* Characters of a text in UTF-8, which are its columns on a terminal but for wide ones. */
size_t str_width(const char *);
/* Where the word stands in a list that is ended by NULL, or -1. */
int str_index(const char *const *list, const char *word);
/* Copies and returns true, or leaves "" and returns false when too long. */
bool str_copy(char *out, size_t size, const char *text);

/* --- Numbers, durations, sizes and points in time as people write them; every reader accepts the
 * whole text or nothing. */

enum { NUMBER_TEXT = 40 };

/* Ended by a row without a name. A number without a unit has that of the first row. */
struct unit {
    const char *name;
    uint64_t size;
};
extern const struct unit unit_one[];
extern const struct unit unit_time[];    /* s, ms, m, h, d, y (365 days); in ms */
extern const struct unit unit_seconds[]; /* s, m, h, d; in s */
extern const struct unit unit_size[];    /* none, K, M, G, T: powers of 1024; in octets */

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

/* The only place that reads the clocks: below resolver/ and ctl/ time is a parameter, but log lines
 * tell the time, and a query of the audit has a limit. */
struct now {
    uint64_t mono_ms; /* CLOCK_BOOTTIME and two years, so that there are times before the boot:
                       * timers and TTLs; counts in suspend */
    uint64_t wall_ms; /* since 1970, UTC: from/until of rules, the audit */
};
/* Never returns mono_ms 0, which means "never" in timers. */
struct now clock_now(void);
/* Microseconds of CLOCK_MONOTONIC, for latencies. */
uint64_t clock_us(void);

/* --- Problems found in a text, with their place, for humans. Parsers and checks collect them here
 * instead of printing, so that the tool, the daemon and the tests see the same words. */

enum { DIAG_MAX = 200, DIAG_MEANT = 100 };

/* Empty when it is all zeroes. */
struct diags {
    size_t n;             /* kept */
    size_t all;           /* found */
    char *list[DIAG_MAX]; /* owned: "FILE:LINE:COL: text" without a line end */
};

void diags_fini(struct diags *); /* as at first */

/* Adds a problem and returns -EINVAL. d may be NULL: nothing is kept. What is unknown of the
 * place (file NULL, line or column 0) is left out. */
int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...) PRINTF_LIKE(5, 6);
int diags_vadd(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
               va_list) PRINTF_LIKE(5, 0);
#define diags_tell(d, ...) diags_add(d, NULL, 0, 0, __VA_ARGS__) /* of no place */
void diags_print(const struct diags *, FILE *);

/* "; did you mean WORD?" with the word of the list (ended by NULL) that is near enough to be
 * what was meant, or "". Returns out. */
const char *diag_meant(const char *word, const char *const *list, char out[DIAG_MEANT]);
/* The same word by word, for lists that are nowhere whole; *best is 0 at first. */
void diag_nearer(const char *word, const char *other, unsigned *best, char out[DIAG_MEANT]);

#endif
