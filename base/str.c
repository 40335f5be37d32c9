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
    s->text = buf;
    s->len = 0;
    s->size = size;
    s->cut = false;
    buf[0] = '\0';
}

void str_add_bytes(struct str *s, const void *bytes, size_t n)
{
    size_t room = s->size - 1 - s->len;

    if (n > room) {
        n = room;
        s->cut = true;
    }
    if (n > 0)
        memcpy(s->text + s->len, bytes, n);
    s->len += n;
    s->text[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
    str_add_bytes(s, text, strlen(text));
}

void str_addf(struct str *s, const char *fmt, ...)
{
    size_t room = s->size - s->len; /* with the NUL */
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(s->text + s->len, room, fmt, args);
    va_end(args);
    if (n < 0) {
        s->text[s->len] = '\0';
        s->cut = true;
    } else if ((size_t)n >= room) {
        s->len = s->size - 1;
        s->cut = true;
    } else {
        s->len += (size_t)n;
    }
}

void str_add_escaped(struct str *s, const void *bytes, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n && !s->cut; i++) {
        char one[4] = {'\\', 'x', hex[p[i] >> 4], hex[p[i] & 15]};
        size_t len = sizeof one;

        if (p[i] == '\\') {
            one[1] = '\\';
            len = 2;
        } else if (p[i] >= 0x20 && p[i] <= 0x7e) {
            one[0] = (char)p[i];
            len = 1;
        }
        if (len > s->size - 1 - s->len)
            s->cut = true; /* half an escape would read as something else */
        else
            str_add_bytes(s, one, len);
    }
}

size_t str_utf8(const unsigned char *p, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80             ? 1
               : (*p & 0xe0) == 0xc0 ? 2
               : (*p & 0xf0) == 0xe0 ? 3
               : (*p & 0xf8) == 0xf0 ? 4
                                     : 0;
    uint32_t v = n == 1 ? *p : *p & (0x7fu >> n);

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
    size_t len = strlen(text);

    if (size == 0)
        return false;
    if (len >= size) {
        out[0] = '\0';
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}
