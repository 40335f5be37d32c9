/* SPDX-License-Identifier: BSD-2-Clause
 *
 * str.c -- a bounded text builder, and small text helpers.
 *
 * Invariant of struct str: len < size and at[len] is NUL, at every moment.
 */
#include "base/str.h"

#include <stdio.h>
#include <string.h>

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
    for (int i = 0; list[i] != NULL; i++)
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
