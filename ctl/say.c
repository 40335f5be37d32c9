/* SPDX-License-Identifier: BSD-2-Clause
 *
 * say.c -- everything that the tool says in words: errors, remarks, questions
 * and single lines of data.
 *
 * Names and comments come from the network and from other people, so no text
 * reaches the terminal before ctl_clean() has seen it.
 */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/str.h"

static void fail_memory(void) __attribute__((noreturn));
static void fail_memory(void)
{
    fputs("waymarkctl: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

void *ctl_alloc(void *old, size_t size)
{
    void *p = realloc(old, size > 0 ? size : 1);

    if (p == NULL)
        fail_memory();
    return p;
}

static char *format(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
static char *format(const char *fmt, va_list args)
{
    char *text;

    if (vasprintf(&text, fmt, args) < 0)
        fail_memory();
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

char *ctl_clean(const char *text)
{
    static const struct {
        unsigned first, last;
    } harmful[] = {
        {0, 0x1f}, /* control characters; 0 stands for an octet that is not UTF-8 */
        {0x7f, 0x9f},     {0x61c, 0x61c}, /* directions of writing, line ends, what cannot be seen */
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
    };
    const unsigned char *p = (const unsigned char *)text;
    char *out = ctl_alloc(NULL, strlen(text) * 4 + 1), *to = out;
    uint32_t code;

    while (*p) {
        size_t n = str_utf8(p, &code), i = 0;

        if (n == 0) {
            n = 1;
            code = 0;
        }
        while (i < ARRAY_LEN(harmful) && (code < harmful[i].first || code > harmful[i].last))
            i++;
        if (code == '\t') /* between the fields of a record: the columns stay */
            *to++ = ' ';
        else if (i == ARRAY_LEN(harmful))
            to = mempcpy(to, p, n);
        else
            for (i = 0; i < n; i++)
                to += sprintf(to, "\\x%02x", p[i]);
        p += n;
    }
    *to = '\0';
    return out;
}

/* Takes the text. */
static void put(FILE *f, const char *before, char *text)
{
    char *clean = ctl_clean(text);

    if (f == stderr)
        fflush(stdout); /* keep the order */
    fprintf(f, "%s%s\n", before, clean);
    free(clean);
    free(text);
}

#define PUT(f, before)                                                                             \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        put((f), (before), format(fmt, args));                                                     \
        va_end(args);                                                                              \
    } while (0)

int ctl_fail(enum exit_code code, const char *fmt, ...)
{
    PUT(stderr, "waymarkctl: ");
    return (int)code;
}

void ctl_warn(const char *fmt, ...)
{
    PUT(stderr, "warning: ");
}

void ctl_note(const char *fmt, ...)
{
    PUT(stderr, "");
}

void ctl_line(const char *fmt, ...)
{
    PUT(stdout, "");
}

/* --- templates */

void ctl_print_span(FILE *f, long long ms)
{
    const long long second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

    if (ms >= day)
        fprintf(f, "%lld d %lld h", ms / day, ms % day / hour);
    else if (ms >= hour)
        fprintf(f, "%lld h %lld m", ms / hour, ms % hour / minute);
    else if (ms >= minute)
        fprintf(f, "%lld m %lld s", ms / minute, ms % minute / second);
    else if (ms >= second)
        fprintf(f, "%lld.%lld s", ms / second, ms % second / 100);
    else
        fprintf(f, "%lld ms", ms);
}

/* One field in the form that the template asks for; of its copy, without the braces, nothing is
 * kept. False: it is missing, null, false or empty. */
static bool print_field(FILE *f, const json_t *object, char *field)
{
    bool asked_only = field[0] == '?';
    char *form = strpbrk(field, ":|"), when[NUMBER_TEXT];
    const char *without = form && *form == '|' ? form + 1 : "-", *text;
    const json_t *v = object, *item;
    long long n;
    size_t i;

    field += asked_only;
    if (form)
        *form++ = '\0';
    if (form == without || form == NULL)
        form = "";
    for (char *part; v && (part = strsep(&field, ".")) != NULL;)
        v = json_object_get(v, part);
    n = json_is_real(v) ? (long long)json_real_value(v) : json_integer_value(v);
    text = json_string_value(v);
    if (asked_only) {
        /* prints nothing */
    } else if (strcmp(form, "list") == 0) {
        json_array_foreach(v, i, item)
        {
            fprintf(f, "%s%s", i ? " " : "", json_is_string(item) ? json_string_value(item) : "-");
        }
    } else if (strcmp(form, "time") == 0)
        fputs(n > 0 ? time_print_local((uint64_t)n, when) : "never", f);
    else if (strcmp(form, "span") == 0 && n < 60)
        fprintf(f, "0 m %lld s", n);
    else if (strcmp(form, "span") == 0)
        ctl_print_span(f, 1000 * n);
    else if (strcmp(form, "mib") == 0)
        fprintf(f, "%.1f", (double)n / 1048576);
    else if (strcmp(form, "s") == 0)
        fputs(n == 1 ? "" : "s", f);
    else if (json_is_number(v))
        fprintf(f, "%lld", n);
    else
        fputs(text ? text : without, f);
    return json_is_number(v) || json_is_true(v) || (text && *text) || json_array_size(v) > 0 ||
           json_object_size(v) > 0;
}

/* Expands a template up to its end, or to that of the group within; *t is moved over it. The
 * caller frees; *whole: no field in it was missing. */
static char *expand(const json_t *object, const char **t, bool *whole)
{
    char *out = NULL, *part, field[64];
    size_t size, len;
    bool all;
    FILE *f = open_memstream(&out, &size);

    *whole = true;
    while (f && **t != '\0' && **t != ']') {
        len = strcspn(*t, "{[]");
        fwrite(*t, 1, len, f);
        *t += len;
        if (**t == '[') {
            (*t)++;
            part = expand(object, t, &all);
            fputs(all ? part : "", f);
            free(part);
            *t += **t == ']';
        } else if (**t == '{') {
            len = strcspn(*t, "}");
            snprintf(field, sizeof field, "%.*s", (int)len - 1, *t + 1);
            *t += len + 1;
            *whole = print_field(f, object, field) && *whole;
        }
    }
    if (f == NULL || fclose(f) != 0)
        fail_memory();
    return out;
}

char *ctl_expand(const json_t *object, const char *template)
{
    bool whole;

    return expand(object, &template, &whole);
}

void ctl_show(const char *label, const json_t *object, const char *template)
{
    char *text = ctl_expand(object, template);

    ctl_line("%-*s%s", CTL_LABEL, label, text);
    free(text);
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

bool ctl_ask(const struct ctl *c, const char *question)
{
    char answer[16], *clean;

    if (c->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        ctl_fail(EXIT_FAILED, "%s (there is no terminal to ask on: give --yes)", question);
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
