/* SPDX-License-Identifier: BSD-2-Clause
 *
 * print.c -- all that the tool prints: single lines, screens made of templates, and rows as an
 * aligned table, CSV or JSON.
 *
 * Names and comments come from the network and from other people, so no text reaches the terminal
 * before ctl_clean() has seen it; in JSON the encoder escapes. Columns are aligned by code
 * points, not octets; wide East Asian characters would be off by one, which names in DNS never are.
 */
#include "ctl/ctl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/str.h"

enum { LABEL = 10, COLUMNS = 64, TABS = 8, FIELD = 64, RANKS = RANK_WIDE / RANK(1) };

/* --- memory and lines */

static _Noreturn void fail_memory(void)
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

char *ctl_text(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        fail_memory();
    va_end(args);
    return text;
}

static void close_text(FILE *f)
{
    if (f == NULL || fclose(f) != 0)
        fail_memory();
}

static void put_clean(FILE *f, const char *text)
{
    static const struct {
        unsigned first, last;
    } harmful[] = {
        {0, 0x1f}, /* control characters; 0 stands for an octet that is not UTF-8 */
        {0x7f, 0x9f},     {0x61c, 0x61c}, /* directions of writing, line ends, what cannot be seen */
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
    };
    const unsigned char *p = (const unsigned char *)text;
    uint32_t code;
    size_t n, i;

    for (; f && *p; p += n) {
        n = str_utf8(p, &code);
        if (n == 0) {
            n = 1;
            code = 0;
        }
        for (i = 0; i < ARRAY_LEN(harmful); i++)
            if (code >= harmful[i].first && code <= harmful[i].last)
                break;
        if (code == '\t') /* between the fields of a record: the columns stay */
            putc(' ', f);
        else if (i == ARRAY_LEN(harmful))
            fwrite(p, 1, n, f);
        else
            for (i = 0; i < n; i++)
                fprintf(f, "\\x%02x", p[i]);
    }
}

char *ctl_clean(const char *text)
{
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);

    put_clean(f, text);
    close_text(f);
    return out;
}

int ctl_say(FILE *f, const char *before, int code, const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        fail_memory();
    va_end(args);
    if (f == stderr)
        fflush(stdout); /* keep the order */
    fputs(before, f);
    put_clean(f, text);
    putc('\n', f);
    free(text);
    return code;
}

int ctl_invalid(const struct diags *d)
{
    for (size_t i = 0; i < d->n; i++)
        ctl_note("%s", d->list[i]);
    if (d->all > d->n)
        ctl_note("%zu more problems are not shown", d->all - d->n);
    return EXIT_INVALID;
}

bool ctl_ask(const struct ctl *c, const char *question)
{
    char answer[16] = "";

    if (c->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        ctl_fail(EXIT_FAILED, "%s (there is no terminal to ask on: give --yes)", question);
        return false;
    }
    put_clean(stderr, question);
    fputs(" [y/N] ", stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    return strcmp(answer, "y\n") == 0 || strcmp(answer, "Y\n") == 0 || strcmp(answer, "yes\n") == 0;
}

/* --- values */

static void print_span(FILE *f, long long ms)
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

/* A value as it is, harmless to a terminal; `between` the members of an array. */
static void print_json(FILE *f, const json_t *value, const char *nothing, const char *between)
{
    const json_t *item;
    size_t i;

    if (json_is_string(value) && json_string_length(value) > 0)
        put_clean(f, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(f, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(f, "%.1f", json_real_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "yes" : "no", f);
    else if (json_array_size(value) == 0)
        fputs(nothing, f);
    json_array_foreach(value, i, item)
    {
        fputs(i > 0 ? between : "", f);
        print_json(f, item, "?", between);
    }
}

/* --- screens */

static const json_t *find_value(const json_t *object, const char *path)
{
    char copy[FIELD], *rest = copy, *key;

    snprintf(copy, sizeof copy, "%s", path);
    while (object && (key = strsep(&rest, ".")) != NULL)
        if (*key != '\0')
            object = json_is_array(object) ? json_array_get(object, strtoul(key, NULL, 10))
                                           : json_object_get(object, key);
    return object;
}

/* One field in the form that the template asks for; of its copy, without the braces, nothing is
 * kept. False: it is missing, null, false or empty, or another word. */
static bool print_field(FILE *f, const json_t *object, char *field)
{
    bool asked_only = field[0] == '?';
    char *form = strpbrk(field, ":="), end = form ? *form : '\0', text[NUMBER_TEXT];
    const json_t *v;
    long long n;

    if (form)
        *form++ = '\0';
    else
        form = "";
    v = find_value(object, field + asked_only);
    n = json_integer_value(v);
    if (end == '=')
        return json_is_string(v) && strcmp(json_string_value(v), form) == 0;
    if (strcmp(form, "time") == 0)
        fputs(n > 0 ? time_print_local((uint64_t)n, text) : "never", f);
    else if (strcmp(form, "span") == 0)
        print_span(f, n * 1000);
    else if (strcmp(form, "mib") == 0)
        fprintf(f, "%.1f", (double)n / 1048576);
    else if (strcmp(form, "s") == 0)
        fputs(n == 1 ? "" : "s", f);
    else if (strcmp(form, "y") == 0)
        fputs(n == 1 ? "y" : "ies", f);
    else if (strcmp(form, "lines") == 0)
        print_json(f, v, "", "\n  ");
    else if (end == ':')
        fprintf(f, "%*s", (int)(atol(form) > ftell(f) ? atol(form) - ftell(f) : 0), "");
    else if (!asked_only)
        print_json(f, v, "-", " ");
    return json_is_number(v) || json_is_true(v) || json_string_length(v) > 0 ||
           json_array_size(v) > 0 || json_object_size(v) > 0;
}

/* Expands a template up to its end, or to that of the alternative within; *t is moved to it. The
 * caller frees; *whole: no field in it was missing. */
static char *expand(const json_t *object, const char **t, bool *whole)
{
    char *out = NULL, *part, field[FIELD];
    size_t size, len;
    bool found, all;
    FILE *f = open_memstream(&out, &size);

    *whole = true;
    while (f && **t != '\0' && **t != '|' && **t != ']') {
        len = strcspn(*t, "{[|]");
        fwrite(*t, 1, len, f);
        *t += len;
        if (**t == '{') {
            len = strcspn(*t, "}");
            snprintf(field, sizeof field, "%.*s", (int)len - 1, *t + 1);
            *t += len + 1;
            *whole = print_field(f, object, field) && *whole;
        }
        if (**t != '[')
            continue;
        found = false;
        do {
            (*t)++;
            part = expand(object, t, &all);
            fputs(all && !found ? part : "", f);
            found = found || all;
            free(part);
        } while (**t == '|');
        (*t)++;
    }
    close_text(f);
    return out;
}

void ctl_show(const json_t *object, const struct ctl_row *row)
{
    for (; row->template; row++) {
        const json_t *about = row->about ? find_value(object, row->about) : object;
        size_t n = json_is_array(about) ? json_array_size(about) : json_is_object(about);
        int width[TABS] = {0};

        for (int print = 0; print < 2; print++) /* at first, the widths are found */
            for (size_t i = 0; i < n; i++) {
                const char *template = row->template;
                bool whole;
                const json_t *item = json_is_array(about) ? json_array_get(about, i) : about;
                char *text = expand(item, &template, &whole);
                char *rest = *text ? text : NULL, *part;

                if (print && rest && row->label)
                    printf("%-*s", LABEL, i == 0 ? row->label : "");
                for (int k = 0; (part = strsep(&rest, "\t")) != NULL; k++) {
                    int len = (int)str_width(part);

                    if (print)
                        printf("%s%*s%s", part, rest && *rest ? width[k] - len + 2 : 0, "",
                               rest ? "" : "\n");
                    else if (rest && len > width[k])
                        width[k] = len;
                }
                free(text);
            }
    }
}

/* --- tables */

int column_kind(const struct column *k)
{
    return k->kind & (RANK(1) - 1);
}

/* A copy of a row for its format: times become texts, and all columns but in JSON; what has no
 * value becomes null. In CSV no text is a formula. */
static json_t *with_texts(const struct column *k, const json_t *row, enum ctl_format format)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)row);
    char *text = NULL, time[NUMBER_TEXT];
    size_t len;

    for (; k->key; k++) {
        const json_t *value = json_object_get(row, k->key);
        json_int_t n = json_integer_value(value);
        int kind = column_kind(k);
        bool formula;
        FILE *f;

        if (format == FORMAT_JSON && kind != COLUMN_TIME)
            continue;
        f = open_memstream(&text, &len);
        if (f && kind == COLUMN_TIME && n > 0)
            fputs(format == FORMAT_TABLE ? time_print_local((uint64_t)n, time)
                                         : time_print_utc((uint64_t)n, time),
                  f);
        else if (f && kind == COLUMN_DURATION_MS && format == FORMAT_TABLE &&
                 json_is_integer(value))
            print_span(f, n);
        else if (f && kind != COLUMN_TIME)
            print_json(f, value, "", " ");
        close_text(f);
        formula = format == FORMAT_CSV && !json_is_number(value) && strchr("=+-@\t\r", *text);
        json_object_set_new(copy, k->key,
                            *text ? json_sprintf("%s%s", formula ? "'" : "", text) : json_null());
        free(text);
    }
    return copy;
}

static const char *cell_of(const json_t *line, const struct column *k, const char *nothing)
{
    const char *text = json_string_value(json_object_get(line, k->key));

    return text ? text : nothing;
}

void table_print_json(const json_t *value)
{
    /* Beyond ASCII there are characters that steer a terminal. */
    size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

    json_dumpf(value, stdout, JSON_INDENT(2) | ascii);
    putchar('\n');
}

/* The first line is the head. Numbers stand right. */
static void table_lines(const struct ctl *c, const struct column *columns, const json_t *lines)
{
    size_t n, i, sum = 0, width[COLUMNS] = {0};
    const json_t *line;
    char left_out[256];
    struct str s;

    for (n = 0; n < COLUMNS && columns[n].key; n++) {
        const struct column *k = &columns[n];
        bool any = k->kind < RANK(1);

        json_array_foreach(lines, i, line)
        {
            size_t w = str_width(cell_of(line, k, "-"));

            any = any || (i > 0 && !json_is_null(json_object_get(line, k->key)));
            width[n] = w > width[n] ? w : width[n];
        }
        if (!any || (k->kind >= RANK_WIDE && !c->wide))
            width[n] = 0;
        sum += width[n] > 0 ? width[n] + 2 : 0;
    }
    /* Columns lose their width until the line fits. */
    str_init(&s, left_out, sizeof left_out);
    for (int rank = RANKS; rank > 0 && !c->wide; rank--)
        for (size_t k = n; k-- > 0 && c->width > 0 && sum > c->width + 2;)
            if (columns[k].kind / RANK(1) == rank && width[k] > 0) {
                str_addf(&s, " %s", columns[k].key);
                sum -= width[k] + 2;
                width[k] = 0;
            }
    if (s.len > 0)
        ctl_note("too narrow for:%s (--wide shows them)", left_out);
    json_array_foreach(lines, i, line)
    {
        const char *on = i == 0 && c->colour ? "\033[1m" : "", *off = *on ? "\033[0m" : "";
        int between = 0;

        for (size_t k = 0; k < n; k++) {
            int kind = column_kind(&columns[k]);
            bool right = kind == COLUMN_NUMBER || kind == COLUMN_DURATION_MS;
            const char *text = cell_of(line, &columns[k], "-");
            int pad = (int)(width[k] - str_width(text));

            if (width[k] == 0)
                continue;
            printf("%*s%s%s%s", between + (right ? pad : 0), "", on, text, off);
            between = (right ? 0 : pad) + 2;
        }
        putchar('\n');
    }
}

void table_print(struct ctl *c, const char *plural, const struct column *columns,
                 const json_t *rows)
{
    static const struct ctl_row pairs[] = {{NULL, ".", "{title}\t{value}"}, {0}};
    json_t *list = json_array(), *head = json_object(), *document = json_array(), *row = NULL;
    size_t i, n = plural ? json_array_size(rows) : 1;

    for (const struct column *k = columns; k->key; k++) {
        char *title = ctl_text("%s", k->title && c->format == FORMAT_TABLE ? k->title : k->key);

        for (char *p = title; k->title == NULL && c->format == FORMAT_TABLE && *p; p++)
            *p = *p == '_' ? ' ' : (char)toupper(*p);
        json_object_set_new(head, k->key, json_string(title));
        free(title);
    }
    json_array_append_new(list, head);
    for (i = 0; i < n; i++) {
        row = with_texts(columns, plural ? json_array_get(rows, i) : rows, c->format);
        json_array_append_new(list, row);
    }
    if (c->format == FORMAT_JSON) {
        json_array_remove(list, 0);
        json_array_append_new(document,
                              plural ? json_pack("{s:O}", plural, list) : json_incref(row));
        table_print_json(json_array_get(document, 0));
    } else if (c->format == FORMAT_CSV) {
        json_array_foreach(list, i, row) for (const struct column *k = columns; k->key; k++)
        {
            const char *text = cell_of(row, k, "");
            const char *quote = strpbrk(text, ",\"\r\n;\t") ? "\"" : ""; /* RFC 4180 */

            fputs(quote, stdout);
            for (; *text; text++)
                printf("%s%c", *text == '"' ? "\"" : "", *text);
            printf("%s%s", quote, k[1].key ? "," : "\r\n");
        }
    } else if (plural) {
        table_lines(c, columns, list);
    } else {
        for (; columns->key; columns++)
            json_array_append_new(document,
                                  json_pack("{s:s, s:O?}", "title", cell_of(head, columns, ""),
                                            "value", json_object_get(row, columns->key)));
        ctl_show(document, pairs);
    }
    json_decref(document);
    json_decref(list);
}
