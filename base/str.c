/* SPDX-License-Identifier: BSD-2-Clause
 *
 * str.c -- a bounded text builder, small text helpers, numbers and times as text, problems; the clocks.
 *
 * Invariant of struct str: len < size and at[len] is NUL, at every moment.
 *
 * strptime(3) reads dates, but takes blanks and missing digits as well: so what it read is printed
 * and compared. A local time that does not exist (the hour skipped in spring) becomes the time
 * one hour later; of one that exists twice, the C library chooses.
 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BEFORE_BOOT_MS (2ull * 365 * 24 * 3600 * 1000)

void str_init(struct str *s, char *buf, size_t size)
{
    *s = (struct str){.text = buf, .size = size};
    buf[0] = '\0';
}

void str_addf(struct str *s, const char *fmt, ...)
{
    size_t room = s->size - s->len; /* with the NUL */
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(s->text + s->len, room, fmt, args);
    va_end(args);
    s->cut = s->cut || n < 0 || (size_t)n >= room;
    s->len += strlen(s->text + s->len);
}

void str_add_escaped(struct str *s, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        str_addf(s, p[i] >= 0x20 && p[i] <= 0x7e ? "%c" : "\\x%02x", p[i]);
}

size_t str_utf8(const unsigned char *p, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = 1;
    uint32_t v = *p;

    if (*p >= 0x80) {
        n = (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;
        v = *p & (0x7fu >> n);
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) /* the NUL at the end too */
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    *code = v;
    return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : n;
}

size_t str_width(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

int str_index(const char *const *list, const char *word)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], word) == 0)
            return i;
    return -1;
}

bool str_copy(char *out, size_t size, const char *text)
{
    bool fits = strlen(text) < size;

    snprintf(out, size, "%s", fits ? text : "");
    return fits;
}

#define DIGITS "0123456789"
#define HOUR (UINT64_C(3600) * 1000)

const struct unit unit_one[] = {{"", 1}, {NULL, 0}};
const struct unit unit_time[] = {{"s", 1000}, {"ms", 1},        {"m", 60 * 1000},
                                 {"h", HOUR}, {"d", 24 * HOUR}, {"y", 8760 * HOUR},
                                 {NULL, 0}};
const struct unit unit_seconds[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
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
    while (*end != '\0' && unit->name && strcmp(end, unit->name) != 0)
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

    for (; v != 0 && unit->name; unit++)
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
    size_t i = 0;

    while (i < ARRAY_LEN(words) && strcasecmp(text, words[i]) != 0)
        i++;
    if (i == ARRAY_LEN(words))
        return -EINVAL;
    *out = i % 2 == 1;
    return 0;
}

/* A date, a time of today, or both. Second 60 is a leap second (RFC 3339 5.6), and becomes the
 * second that follows. */
static int date_parse(uint64_t *wall_ms, const char *text, uint64_t now_ms)
{
    char copy[64] = "", whole[20] = "0000-00-00 00:00:00", back[20], *rest = copy + 10;
    bool is_time = text[2] == ':', is_leap, has_zone;
    time_t now = (time_t)(now_ms / 1000), seconds;
    struct tm tm, same;
    unsigned ms = 0;
    size_t n = 0;
    long east;

    if (localtime_r(&now, &tm) == NULL)
        return -EINVAL;
    if (is_time)
        n = strftime(copy, sizeof copy, "%F ", &tm);
    if (!str_copy(copy + n, sizeof copy - n, text))
        return -EINVAL;
    if (*rest == 'T' || *rest == 't')
        *rest = ' ';
    rest += strspn(rest, " :" DIGITS);
    n = (size_t)(rest - copy);
    if (n != 10 && n != 16 && n != 19)
        return -EINVAL;
    memcpy(whole, copy, n);
    is_leap = strcmp(whole + 16, ":60") == 0;
    if (is_leap)
        memcpy(whole + 16, ":59", 3);
    if (n == 19 && rest[0] == '.' && isdigit((unsigned char)rest[1]))
        for (unsigned weight = 100; isdigit((unsigned char)*++rest); weight /= 10)
            ms += (unsigned)(*rest - '0') * weight;
    tm = (struct tm){.tm_isdst = -1};
    if (strptime(whole, "%F %T", &tm) == NULL)
        return -EINVAL;
    same = tm;
    (void)timegm(&same); /* what is no day becomes one of the month after */
    strftime(back, sizeof back, "%F %T", &same);
    has_zone = *rest != '\0';
    if (has_zone && strcasecmp(rest, "Z") != 0 &&
        (strlen(rest) != 6 || rest[3] != ':' || strptime(rest, "%z", &tm) != rest + 6))
        return -EINVAL;
    east = tm.tm_gmtoff;
    if (strcmp(whole, back) != 0 || (has_zone && (is_time || n == 10)) || labs(east) >= 24 * 3600)
        return -EINVAL;
    seconds = (has_zone ? timegm(&tm) - east : mktime(&tm)) + is_leap;
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
    if (strchr(DIGITS, text[strlen(text) - 1]))
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
    return (struct now){read_us(CLOCK_BOOTTIME) / 1000 + BEFORE_BOOT_MS,
                        read_us(CLOCK_REALTIME) / 1000};
}

uint64_t clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void diags_fini(struct diags *d)
{
    while (d->n > 0)
        free(d->list[--d->n]);
    d->all = 0;
}

/* Behind DIAG_MAX, and when memory is out, problems are only counted: `all` is always right, so
 * nothing passes for valid. */
int diags_vadd(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
               va_list args)
{
    char *text = NULL;
    size_t len;
    FILE *f;

    if (d == NULL || d->all++ >= DIAG_MAX || (f = open_memstream(&text, &len)) == NULL)
        return -EINVAL;
    if (file)
        fprintf(f, "%s:", file);
    if (line != 0)
        fprintf(f, "%u:", line);
    if (line != 0 && column != 0)
        fprintf(f, "%u:", column);
    if (file != NULL || line != 0)
        putc(' ', f);
    vfprintf(f, fmt, args);
    if (fclose(f) != 0 || text == NULL) {
        free(text);
        return -EINVAL;
    }
    /* One line of printable text, whatever the message quotes; UTF-8 stays. */
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    d->list[d->n++] = text;
    return -EINVAL;
}

int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...)
{
    va_list args;

    va_start(args, fmt);
    (void)diags_vadd(d, file, line, column, fmt, args);
    va_end(args);
    return -EINVAL;
}

void diags_print(const struct diags *d, FILE *f)
{
    for (size_t i = 0; i < d->n; i++)
        fprintf(f, "%s\n", d->list[i]);
    if (d->all > d->n)
        fprintf(f, "%zu more problems are not shown\n", d->all - d->n);
}

/* How far words are apart: what remains of the longer one between equal beginnings and ends. */
void diag_nearer(const char *word, const char *other, unsigned *best, char out[DIAG_MEANT])
{
    size_t n = strlen(word), len = strlen(other), all = n < len ? n : len, same = 0, end = 0, far;

    if (*best == 0) { /* so many mistakes are too many */
        *best = n < 4 ? 2 : 3;
        out[0] = '\0';
    }
    while (same < all && strncasecmp(word + same, other + same, 1) == 0)
        same++;
    while (end < all - same && strncasecmp(word + n - end - 1, other + len - end - 1, 1) == 0)
        end++;
    far = (n > len ? n : len) - same - end;
    if (far == 2 && n == len && word[same] == other[same + 1] && word[same + 1] == other[same])
        far = 1; /* swapped */
    if (far >= *best || far >= len)
        return;
    *best = far > 0 ? (unsigned)far : 1; /* nothing is nearer than itself in other letters */
    snprintf(out, DIAG_MEANT, "; did you mean %s?", other);
}

const char *diag_meant(const char *word, const char *const *list, char out[DIAG_MEANT])
{
    unsigned best = 0;

    out[0] = '\0';
    for (; *list; list++)
        diag_nearer(word, *list, &best, out);
    return out;
}
