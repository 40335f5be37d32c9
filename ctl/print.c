/* SPDX-License-Identifier: BSD-2-Clause
 *
 * print.c -- all that the tool prints: lines, screens, and rows as a table, CSV or JSON.
 *
 * Names and comments come from the network and from other people, so no text reaches the terminal
 * before put_clean() has seen it; in JSON the encoder escapes. Columns are aligned by code points.
 */
#include "ctl/ctl.h"

#include <ctype.h>
#include <err.h>
#include <signal.h>
#include <unistd.h>

enum { LABEL = 10, TABS = 8, FIELD = 64 };

void *ctl_checked(void *p)
{
    if (p == NULL)
        errx(EXIT_FAILED, "out of memory");
    return p;
}

void *ctl_alloc(void *old, size_t size)
{
    return ctl_checked(realloc(old, size > 0 ? size : 1));
}

char *ctl_text(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    text = vasprintf(&text, fmt, args) < 0 ? NULL : text;
    va_end(args);
    return ctl_checked(text);
}

FILE *ctl_open(char **text)
{
    static size_t len; /* nobody asks for it */

    return ctl_checked(open_memstream(text, &len));
}

void ctl_close(FILE *f, char *const *text)
{
    if (fclose(f) != 0 || *text == NULL)
        ctl_checked(NULL);
}

/* html: as a text between markup. */
static void put_clean(FILE *f, const char *text, bool html)
{
    static const char marks[] = "&<>\"", *const as[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    static const struct {
        unsigned first, last;
    } harmful[] = {
        {0, 0x1f}, /* control characters; 0 stands for an octet that is not UTF-8 */
        {0x7f, 0x9f},     {0x61c, 0x61c}, /* directions of writing, line ends, what cannot be seen */
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe007f},
    };
    const unsigned char *p = (const unsigned char *)text;
    const char *mark;
    uint32_t code;
    size_t n, i;

    for (; *p; p += n) {
        n = str_utf8(p, &code);
        code = n > 0 ? code : 0;
        n = n > 0 ? n : 1;
        for (i = 0; i < ARRAY_LEN(harmful); i++)
            if (code >= harmful[i].first && code <= harmful[i].last)
                break;
        if (code == '\t') /* between the fields of a record: the columns stay */
            putc(' ', f);
        else if (html && (mark = strchr(marks, *p)) != NULL)
            fputs(as[mark - marks], f);
        else if (i == ARRAY_LEN(harmful))
            fwrite(p, 1, n, f);
        else
            for (i = 0; i < n; i++)
                fprintf(f, "\\x%02x", p[i]);
    }
}

char *ctl_clean(const char *text)
{
    char *out;
    FILE *f = ctl_open(&out);

    put_clean(f, text, false);
    ctl_close(f, &out);
    return out;
}

int ctl_say(FILE *f, const char *before, int code, char *text)
{
    if (f == stderr)
        fflush(stdout); /* keep the order */
    fputs(before, f);
    put_clean(f, text, false);
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

static void interrupt(int number)
{
    (void)number; /* it ends the reading */
}

bool ctl_ask(const struct ctl *c, const char *question)
{
    struct sigaction once = {.sa_handler = interrupt}, was;
    char answer[16];
    bool answered;

    if (ctl_option(c, "--yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        ctl_fail(EXIT_FAILED, "%s (there is no terminal to ask on: give --yes)", question);
        return false;
    }
    sigaction(SIGINT, &once, &was); /* Ctrl-C is a no: whoever asks has perhaps to tidy up */
    put_clean(stderr, question, false);
    fputs(" [y/N] ", stderr);
    answered = fgets(answer, sizeof answer, stdin) != NULL;
    sigaction(SIGINT, &was, NULL);
    if (!answered)
        fputc('\n', stderr);
    return answered && rpmatch(answer) > 0;
}

void ctl_progress(const void *ctl, size_t done, size_t all)
{
    enum { FIRST_US = 1000000, STEP_US = 100000, WIDTH = 40 };
    const struct ctl *c = ctl;
    static const char full[WIDTH + 1] = "########################################";
    static uint64_t began, shown; /* one thread prints */
    uint64_t now = c->stderr_tty ? clock_us() : 0;
    size_t part = all > 0 ? done * WIDTH / all : WIDTH;

    if (now == 0)
        return;
    began = began > 0 ? began : now;
    if (done >= all && shown > 0) {
        fputs("\r\033[K", stderr);
        shown = 0;
    } else if (done < all && now - began > FIRST_US && now - shown > STEP_US) {
        fprintf(stderr, "\r%s [%-*.*s] %zu %%", c->called, WIDTH, (int)part, full,
                part * 100 / WIDTH);
        shown = now;
    }
}

bool ctl_is_formula(const char *cell)
{
    cell += strspn(cell, "'");
    return *cell != '\0' && strchr("=+-@\t\r", *cell);
}

void ctl_cell(FILE *f, const char *text, bool is_text)
{
    const char *quote = strpbrk(text, ",\"\r\n;\t") ? "\"" : "";

    fprintf(f, "%s%s", quote, is_text && ctl_is_formula(text) ? "'" : "");
    for (const char *p = text; *p; p++)
        fprintf(f, "%s%c", *p == '"' ? "\"" : "", *p);
    fputs(quote, f);
}

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
        put_clean(f, json_string_value(value), false);
    else if (json_is_number(value))
        json_dumpf(value, f, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
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

static const json_t *find_value(const json_t *object, const char *path)
{
    char copy[FIELD], *rest = copy, *key;

    snprintf(copy, sizeof copy, "%s", path);
    while (object && (key = strsep(&rest, ".")) != NULL)
        if (*key != '\0')
            object = json_object_get(object, key);
    return object;
}

/* One field in the form that the template asks for; the copy of it is cut up. False: it is
 * missing, null, false or empty, or another word. */
static bool print_field(FILE *f, const json_t *object, char *field)
{
    bool asked_only = field[0] == '?';
    char *form = field + strcspn(field, ":="), end = *form, text[NUMBER_TEXT];
    const json_t *v;
    long long n;

    if (end)
        *form++ = '\0';
    v = find_value(object, field + asked_only);
    n = json_integer_value(v);
    if (end == '=')
        return json_is_string(v) ? strcmp(json_string_value(v), form) == 0
                                 : json_is_integer(v) && n == atoll(form);
    if (strcmp(form, "time") == 0)
        fputs(n > 0 ? time_print_local((uint64_t)n, text) : "never", f);
    else if (strcmp(form, "span") == 0)
        print_span(f, n * 1000);
    else if (strcmp(form, "mib") == 0)
        fprintf(f, "%.1f", (double)n / 1048576);
    else if (strcmp(form, "lines") == 0)
        print_json(f, v, "", "\n  ");
    else if (strcmp(form, "html") == 0)
        put_clean(f, json_string_value(v), true);
    else if (end == ':')
        fprintf(f, "%*s", (int)(atol(form) > ftell(f) ? atol(form) - ftell(f) : 0), "");
    else if (!asked_only)
        print_json(f, v, "-", " ");
    return json_is_number(v) || json_is_true(v) || json_string_length(v) > 0 ||
           json_array_size(v) > 0 || json_object_size(v) > 0;
}

/* Expands a template up to its end, or to that of the alternative within, where *t is then. The
 * caller frees. *whole: no field in it was missing. */
static char *expand(const json_t *object, const char **t, bool *whole)
{
    char *out, *part, field[FIELD];
    FILE *f = ctl_open(&out);
    bool found, all;
    size_t len;

    *whole = true;
    while (**t != '\0' && **t != '|' && **t != ']') {
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
        for (found = false; *(*t)++ != ']'; free(part)) {
            part = expand(object, t, &all);
            fputs(all && !found ? part : "", f);
            found = found || all;
        }
    }
    ctl_close(f, &out);
    return out;
}

char *ctl_expand(const json_t *object, const char *template)
{
    bool whole;

    return expand(object, &template, &whole);
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

struct column *table_columns(const char *text)
{
    static const char *const kinds[] = {"text", "n", "time", "list", "span", "flag", NULL};
    const size_t len = strlen(text) + 1;
    struct column *columns = ctl_alloc(NULL, (COLUMNS_MOST + 1) * sizeof *columns + len);
    struct column *k = columns;
    char *rest = memcpy(columns + COLUMNS_MOST + 1, text, len), *key, *title, *rank, *kind;

    for (; (key = title = strsep(&rest, "|")) != NULL; k++) {
        rank = strsep(&title, "=");
        kind = strsep(&rank, "/");
        strsep(&kind, ":");
        *k = (struct column){key, title, kind ? str_index(kinds, kind) : 0, rank ? atoi(rank) : 0};
    }
    *k = (struct column){0};
    return columns;
}

/* What stands in a column at a row, counted from 1; 0: its title, in small letters without rows. The
 * caller frees. */
static char *table_cell(const struct ctl *c, const struct column *k, const json_t *rows, size_t i)
{
    bool table = c->format <= FORMAT_HTML, named = table && k->title;
    const json_t *value = json_object_get(i > 0 ? json_array_get(rows, i - 1) : NULL, k->key);
    const char *nothing = table ? "-" : "";
    json_int_t n = json_integer_value(value);
    char *text, time[NUMBER_TEXT];
    FILE *f = ctl_open(&text);

    if (i == 0)
        for (const char *p = named ? k->title : k->key; *p; p++)
            putc(named || !table ? *p : *p == '_' ? ' ' : rows ? toupper(*p) : *p, f);
    else if (k->kind == COLUMN_TIME)
        fputs(n <= 0 ? nothing : time_print((uint64_t)n, table, time), f);
    else if (k->kind == COLUMN_SPAN && table && json_is_integer(value))
        print_span(f, n);
    else
        print_json(f, value, nothing, " ");
    ctl_close(f, &text);
    return text;
}

void table_dump_json(const json_t *value, size_t flags)
{
    /* Beyond ASCII there are characters that steer a terminal. */
    json_dumpf(value, stdout, flags | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    putchar('\n');
}

/* With their titles: CSV; markup; or an aligned table. Numbers stand right. The width of a column is
 * that of its cells; 0: it is left out. */
static void print_rows(const struct ctl *c, const struct column *columns, const json_t *rows)
{
    const bool html = c->format == FORMAT_HTML, csv = c->format == FORMAT_CSV;
    const bool wide = ctl_option(c, "--wide") != NULL;
    const bool narrow = c->format == FORMAT_TABLE && c->width > 0 && !wide;
    size_t n, sum = 0, width[COLUMNS_MOST] = {0};
    char left_out[256];
    struct str s;

    for (n = 0; columns[n].key; n++) {
        bool any = csv || columns[n].rank == 0;

        for (size_t i = 0; i <= json_array_size(rows) && !csv; i++) {
            char *text = table_cell(c, &columns[n], rows, i);

            any = any || (i > 0 && strcmp(text, "-") != 0);
            width[n] = width[n] > str_width(text) ? width[n] : str_width(text);
            free(text);
        }
        width[n] = csv || !any || (columns[n].rank == WIDEST && !wide) ? csv : width[n];
        sum += width[n] > 0 ? width[n] + 2 : 0;
    }
    /* Columns lose their width until the line fits. */
    str_init(&s, left_out, sizeof left_out);
    for (int rank = WIDEST; rank > 0 && narrow; rank--)
        for (size_t k = n; k-- > 0 && sum > c->width + 2;)
            if (columns[k].rank == rank && width[k] > 0) {
                str_addf(&s, " %s", columns[k].key);
                sum -= width[k] + 2;
                width[k] = 0;
            }
    if (s.len > 0)
        ctl_note("too narrow for:%s (--wide shows them)", left_out);
    for (size_t i = 0; i <= json_array_size(rows); i++) {
        const char *on = i == 0 && c->colour ? "\033[1m" : "", *off = *on ? "\033[0m" : "";
        int between = 0;

        fputs(!html ? "" : i == 0 ? "<thead><tr>" : "<tr>", stdout);
        for (size_t k = 0; k < n; k++) {
            int kind = columns[k].kind;
            bool right = kind == COLUMN_NUMBER || kind == COLUMN_SPAN;
            char *text = table_cell(c, &columns[k], rows, i);
            int pad = (int)(width[k] - str_width(text));

            if (csv) {
                fputs(k > 0 ? "," : "", stdout);
                ctl_cell(stdout, text, kind != COLUMN_NUMBER);
            } else if (html && width[k] > 0) {
                fputs(i == 0 ? "<th" : "<td", stdout);
                fputs(right ? " class=\"n\">" : ">", stdout);
                put_clean(stdout, text, true);
                fputs(i == 0 ? "</th>" : "</td>", stdout);
            } else if (width[k] > 0) {
                printf("%*s%s%s%s", between + (right ? pad : 0), "", on, text, off);
                between = (right ? 0 : pad) + 2;
            }
            free(text);
        }
        puts(csv ? "\r" : !html ? "" : i == 0 ? "</tr></thead>\n<tbody>" : "</tr>");
    }
}

void table_print_columns(const struct ctl *c, const char *plural, const struct column *columns,
                         json_t *rows)
{
    static const struct ctl_row pairs[] = {{NULL, ".", "{title}\t{value}"}, {0}};
    json_t *list = plural ? json_incref(rows) : json_pack("[O]", rows), *shown = NULL, *row;
    char time[NUMBER_TEXT];
    json_int_t ms;
    size_t i;

    if (c->format == FORMAT_JSON) {
        json_array_foreach(list, i, row) for (const struct column *k = columns; k->key; k++)
        {
            ms = json_integer_value(json_object_get(row, k->key));
            if (k->kind == COLUMN_TIME)
                json_object_set_new(row, k->key,
                                    ms > 0 ? json_string(time_print_utc((uint64_t)ms, time))
                                           : json_null());
        }
        shown = plural ? json_pack("{s:O}", plural, rows) : json_incref(rows);
        table_print_json(shown);
    } else if (plural || c->format == FORMAT_CSV) {
        print_rows(c, columns, list);
    } else {
        shown = json_array();
        for (const struct column *k = columns; k->key; k++) {
            char *title = table_cell(c, k, NULL, 0), *text = table_cell(c, k, list, 1);

            json_array_append_new(shown, json_pack("{s:s, s:s}", "title", title, "value", text));
            free(title);
            free(text);
        }
        ctl_show(shown, pairs);
    }
    json_decref(shown);
    json_decref(list);
}

void table_print(const struct ctl *c, const char *plural, const char *text, json_t *rows)
{
    struct column *columns = table_columns(text);

    table_print_columns(c, plural, columns, rows);
    free(columns);
}
