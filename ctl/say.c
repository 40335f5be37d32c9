/* SPDX-License-Identifier: BSD-2-Clause
 *
 * say.c -- everything that the tool says in words: errors, remarks, questions
 * and single lines of data.
 *
 * Names and comments come from the network and from other people, so no text
 * reaches the terminal before ctl_clean() has seen it.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

void *ctl_alloc(void *old, size_t size)
{
    void *p = realloc(old, size > 0 ? size : 1);

    if (p == NULL) {
        fputs("waymarkctl: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return p;
}

static char *format(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
static char *format(const char *fmt, va_list args)
{
    char *text;

    if (vasprintf(&text, fmt, args) < 0) {
        fputs("waymarkctl: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return text;
}

char *ctl_text(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    text = format(fmt, args);
    va_end(args);
    return text;
}

static bool is_harmless(unsigned code)
{
    static const struct {
        unsigned first, last;
    } harmful[] = {
        {0, 0x1f},          {0x7f, 0x9f}, /* control characters */
        {0x61c, 0x61c},     {0x200b, 0x200f},
        {0x2028, 0x202e}, /* lines, directions, nothing to see */
        {0x2060, 0x206f},   {0xfeff, 0xfeff},
        {0xe0000, 0xe007f},
    };

    for (size_t i = 0; i < ARRAY_LEN(harmful); i++)
        if (code >= harmful[i].first && code <= harmful[i].last)
            return false;
    return true;
}

char *ctl_clean(const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    char *out = ctl_alloc(NULL, strlen(text) * 4 + 1), *to = out;
    uint32_t code;

    while (*p) {
        size_t n = str_utf8(p, &code);

        if (n == 0) { /* an octet that is none */
            n = 1;
            code = 0;
        }
        if (code ==
            '\t') { /* between the fields of a record: no terminal is harmed, columns stay */
            *to++ = ' ';
            p++;
            continue;
        }
        if (is_harmless(code)) {
            memcpy(to, p, n);
            to += n;
            p += n;
            continue;
        }
        for (; n > 0; n--, p++) {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = hex[*p >> 4];
            *to++ = hex[*p & 15];
        }
    }
    *to = '\0';
    return out;
}

/* Takes the text. */
static void put(FILE *f, const char *before, char *text)
{
    char *clean = ctl_clean(text);

    fprintf(f, "%s%s\n", before, clean);
    free(clean);
    free(text);
}

#define SAY(f, before)                                                                             \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        fflush(stdout); /* keep the order */                                                       \
        put((f), (before), format(fmt, args));                                                     \
        va_end(args);                                                                              \
    } while (0)

int ctl_fail(enum exit_code code, const char *fmt, ...)
{
    SAY(stderr, "waymarkctl: ");
    return (int)code;
}

void ctl_warn(const char *fmt, ...)
{
    SAY(stderr, "warning: ");
}

void ctl_note(const char *fmt, ...)
{
    SAY(stderr, "");
}

void ctl_line(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    put(stdout, "", format(fmt, args));
    va_end(args);
}

int ctl_invalid(const struct diags *d)
{
    char *text = NULL, *line, *next;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    if (f == NULL)
        return ctl_fail(EXIT_INVALID, "the input is invalid");
    diags_print(d, f);
    fclose(f);
    for (line = text; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        ctl_note("%s", line);
    }
    free(text);
    return EXIT_INVALID;
}

bool ctl_ask(struct ctl *c, const char *question)
{
    char answer[16], *clean;

    if (ctl_option(c, "--yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        ctl_fail(EXIT_FAILED, "%s (nobody can be asked here: give --yes)", question);
        return false;
    }
    clean = ctl_clean(question);
    fprintf(stderr, "%s [y/N] ", clean);
    free(clean);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    answer[strcspn(answer, "\n")] = '\0';
    return strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0;
}
