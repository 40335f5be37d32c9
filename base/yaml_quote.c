/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yaml_quote.c -- writes a text as one YAML scalar (yaml.h).
 *
 * Plain is only what nobody has to think about: a letter, digit, "_" or "/",
 * then also . - + : and single blanks inside. That is stricter than YAML, and reads
 * back the same in a block, in [ ] and in { }.
 */
#include "base/yaml.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Like snprintf: `n` counts on when the buffer is full. */
struct writer {
    char *out;
    size_t size, n;
};

static void put(struct writer *w, char c)
{
    if (w->n + 1 < w->size)
        w->out[w->n] = c;
    w->n++;
}

static void put_text(struct writer *w, const char *text)
{
    for (; *text != '\0'; text++)
        put(w, *text);
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '/';
}

static bool is_plain(const char *text)
{
    if (!is_word_char(text[0]))
        return false;
    for (const char *p = text + 1; *p != '\0'; p++) {
        if (is_word_char(*p) || *p == '.' || *p == '-' || *p == '+')
            continue;
        if (*p != ':' && *p != ' ')
            return false;
        if (p[1] == '\0' || p[1] == ' ')
            return false; /* ends a key; would be lost */
    }
    return true;
}

/* Reads one character of UTF-8, as RFC 3629 has it, and returns its length;
 * 0 when it is none. */
static size_t utf8_read(const unsigned char *p, uint32_t *out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xc2 && *p < 0xe0 ? 2
               : (*p & 0xf0) == 0xe0     ? 3
               : (*p & 0xf8) == 0xf0     ? 4
                                         : 0;
    uint32_t v;

    if (n <= 1) {
        *out = *p;
        return n;
    }
    v = *p & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) /* the NUL at the end too */
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    *out = v;
    return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : n;
}

/* Characters that a reader would refuse, or take for a line break. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static void put_escape(struct writer *w, uint32_t c)
{
    char text[16];

    if (c == '\n')
        put_text(w, "\\n");
    else if (c == '\t')
        put_text(w, "\\t");
    else if (c == '\r')
        put_text(w, "\\r");
    else {
        snprintf(text, sizeof text, c <= 0xff ? "\\x%02x" : "\\u%04x", (unsigned)c);
        put_text(w, text);
    }
}

/* Bytes that are no UTF-8 cannot stand in YAML; each becomes the Latin-1
 * character of the same number. Names come here in presentation form, where
 * such bytes are written \DDD. */
static void put_quoted(struct writer *w, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    put(w, '"');
    while (*p != '\0') {
        uint32_t c;
        size_t n = utf8_read(p, &c);

        if (n == 0) {
            put_escape(w, *p++);
            continue;
        }
        if (needs_escape(c)) {
            put_escape(w, c);
        } else {
            if (c == '"' || c == '\\')
                put(w, '\\');
            for (size_t i = 0; i < n; i++)
                put(w, (char)p[i]);
        }
        p += n;
    }
    put(w, '"');
}

size_t yaml_quote(const char *text, char *out, size_t size)
{
    struct writer w = {.out = out, .size = size};

    if (is_plain(text))
        put_text(&w, text);
    else
        put_quoted(&w, text);
    if (size > 0)
        out[w.n < size ? w.n : size - 1] = '\0';
    return w.n;
}
