/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.c -- rows to an aligned table, CSV or JSON.
 *
 * A table is aligned by code points, not octets; wide East Asian characters
 * would be off by one, which names in DNS never are. Cells are cleaned for the
 * terminal in all forms but JSON, where the encoder escapes.
 */
#include "ctl/table.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/str.h"

enum { RANKS = RANK_WIDE / RANK(1) };

enum column_kind column_kind(const struct column *k)
{
    return (enum column_kind)(k->kind & (RANK(1) - 1));
}

static int rank_of(const struct column *k)
{
    return k->kind / RANK(1);
}

/* --- cells */

static char *list_text(const json_t *list)
{
    char *text = NULL;
    size_t len, i;
    FILE *f = open_memstream(&text, &len);
    json_t *item;

    json_array_foreach(list, i, item)
    {
        const char *word = json_string_value(item);

        fprintf(f, "%s%s", i ? " " : "", word ? word : "?");
    }
    fclose(f);
    return text;
}

/* 51 -> "51 ms", 93784000 -> "1 d 2 h". */
static char *span_text(long long ms)
{
    static const struct {
        long long ms, part;
        const char *unit, *of;
    } units[] = {
        {86400000, 3600000, "d", "h"},
        {3600000, 60000, "h", "m"},
        {60000, 1000, "m", "s"},
    };

    if (ms < 1000)
        return ctl_text("%lld ms", ms);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (ms >= units[i].ms)
            return ctl_text("%lld %s %lld %s", ms / units[i].ms, units[i].unit,
                            ms % units[i].ms / units[i].part, units[i].of);
    return ctl_text("%lld.%lld s", ms / 1000, ms % 1000 / 100);
}

static char *number_text(long long n, int kind, enum ctl_format format)
{
    char time[NUMBER_TEXT];

    if (kind == COLUMN_TIME && n <= 0)
        return ctl_text("%s", format == FORMAT_TABLE ? "-" : "");
    if (kind == COLUMN_TIME)
        return ctl_text("%s", format == FORMAT_TABLE ? time_print_local((uint64_t)n, time)
                                                     : time_print_utc((uint64_t)n, time));
    if (kind == COLUMN_DURATION_MS && format == FORMAT_TABLE)
        return span_text(n);
    return ctl_text("%lld", n);
}

/* A value as text for a table or CSV; freed by the caller. */
static char *cell_text(const json_t *value, int kind, enum ctl_format format)
{
    const char *nothing = format == FORMAT_TABLE ? "-" : "";

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        return ctl_text("%s", *json_string_value(value) ? json_string_value(value) : nothing);
    case JSON_INTEGER:
        return number_text(json_integer_value(value), kind, format);
    case JSON_REAL:
        return ctl_text("%.*f", format == FORMAT_TABLE ? 1 : 3, json_real_value(value));
    case JSON_TRUE:
        return ctl_text("yes");
    case JSON_FALSE:
        return ctl_text("no");
    case JSON_ARRAY:
        return json_array_size(value) ? list_text(value) : ctl_text("%s", nothing);
    case JSON_OBJECT:
    case JSON_NULL:
        break;
    }
    return ctl_text("%s", nothing);
}

static char *clean_cell(const json_t *row, const struct column *column, enum ctl_format format)
{
    char *text = cell_text(json_object_get(row, column->key), column_kind(column), format);
    char *clean = ctl_clean(text);

    free(text);
    return clean;
}

static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* --- CSV, RFC 4180 */

static void csv_put(const char *text, bool guard, bool last)
{
    bool quote;

    guard = guard && *text && strchr("=+-@\t\r", *text) != NULL;
    quote = strpbrk(text, ",\"\r\n;\t") != NULL;
    if (quote)
        putchar('"');
    if (guard)
        putchar('\'');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    if (quote)
        putchar('"');
    fputs(last ? "\r\n" : ",", stdout);
}

static void csv_header(const struct column *columns)
{
    for (; columns->key; columns++)
        csv_put(columns->key, false, columns[1].key == NULL);
}

static void csv_row(const struct column *columns, const json_t *row)
{
    for (; columns->key; columns++) {
        char *text = clean_cell(row, columns, FORMAT_CSV);

        csv_put(text, !json_is_number(json_object_get(row, columns->key)), columns[1].key == NULL);
        free(text);
    }
}

/* --- JSON */

void table_print_json(const json_t *value)
{
    /* Beyond ASCII there are characters that steer a terminal. */
    size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

    json_dumpf(value, stdout, JSON_INDENT(2) | ascii);
    putchar('\n');
}

/* --- the table */

static size_t count_columns(const struct column *columns)
{
    size_t n = 0;

    while (columns[n].key)
        n++;
    return n;
}

static char *title_of(const struct column *k)
{
    char *title = ctl_text("%s", k->title ? k->title : k->key);

    for (char *p = title; k->title == NULL && *p; p++)
        *p = *p == '_' ? ' ' : (char)toupper(*p);
    return title;
}

/* One line of the columns that have a width; cells belong to the caller. Numbers stand right. */
static void print_line(const struct column *columns, char *const *cells, const size_t *width,
                       const char *on, const char *off)
{
    int between = 0;

    for (int k = 0; columns[k].key; k++) {
        int kind = column_kind(&columns[k]);
        bool right = kind == COLUMN_NUMBER || kind == COLUMN_DURATION_MS;
        int pad = (int)(width[k] - width_of(cells[k]));

        if (width[k] == 0)
            continue;
        printf("%*s%s%s%s", between + (right ? pad : 0), "", on, cells[k], off);
        between = (right ? 0 : pad) + 2;
    }
    putchar('\n');
}

/* Takes the width of columns until the line fits, and says which. */
static void fit(const struct ctl *c, const struct column *columns, size_t *width)
{
    size_t n = count_columns(columns), sum = 0;
    char left_out[256];
    struct str s;

    str_init(&s, left_out, sizeof left_out);
    for (size_t k = 0; k < n; k++)
        sum += width[k] > 0 ? width[k] + 2 : 0;
    for (int rank = RANKS - 1; rank > 0 && !c->wide; rank--)
        for (size_t k = n; k-- > 0 && c->width > 0 && sum > c->width + 2;)
            if (rank_of(&columns[k]) == rank && width[k] > 0) {
                str_addf(&s, " %s", columns[k].key);
                sum -= width[k] + 2;
                width[k] = 0;
            }
    if (s.len > 0)
        ctl_note("too narrow for:%s (--wide shows them)", left_out);
}

static void print_rows_table(const struct ctl *c, const struct column *columns, const json_t *rows)
{
    size_t n_rows = json_array_size(rows), n = count_columns(columns);
    size_t *width = ctl_alloc(NULL, n * sizeof *width);
    char **cells = ctl_alloc(NULL, (n_rows + 1) * n * sizeof *cells);

    for (size_t k = 0; k < n; k++) {
        bool any = rank_of(&columns[k]) == 0, wide = rank_of(&columns[k]) == RANKS;

        cells[k] = title_of(&columns[k]);
        width[k] = width_of(cells[k]);
        for (size_t i = 0; i < n_rows; i++) {
            const json_t *row = json_array_get(rows, i),
                         *value = json_object_get(row, columns[k].key);
            char *cell = clean_cell(row, &columns[k], FORMAT_TABLE);
            size_t w = width_of(cell);

            any |= value && !json_is_null(value);
            cells[(i + 1) * n + k] = cell;
            width[k] = w > width[k] ? w : width[k];
        }
        if (!any || (wide && !c->wide))
            width[k] = 0;
    }
    fit(c, columns, width);
    for (size_t i = 0; i <= n_rows; i++)
        print_line(columns, cells + i * n, width, i == 0 && c->colour ? "\033[1m" : "",
                   i == 0 && c->colour ? "\033[0m" : "");
    for (size_t i = 0; i < (n_rows + 1) * n; i++)
        free(cells[i]);
    free(cells);
    free(width);
}

/* --- all forms */

/* A copy of the object in which the columns of times are RFC 3339. */
static json_t *with_times(const struct column *columns, const json_t *object)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)object);
    char time[NUMBER_TEXT];

    for (; copy && columns->key; columns++) {
        const json_t *value = json_object_get(copy, columns->key);
        json_int_t ms = json_integer_value(value);

        if (column_kind(columns) == COLUMN_TIME && json_is_integer(value))
            json_object_set_new(copy, columns->key,
                                ms > 0 ? json_string(time_print_utc((uint64_t)ms, time))
                                       : json_null());
    }
    return copy;
}

void table_print(struct ctl *c, const char *plural, const struct column *columns,
                 const json_t *rows)
{
    json_t *document, *list;
    const json_t *row;
    size_t i;

    switch (c->format) {
    case FORMAT_JSON:
        list = json_array();
        json_array_foreach(rows, i, row) json_array_append_new(list, with_times(columns, row));
        document = json_pack("{s:o}", plural, list);
        table_print_json(document);
        json_decref(document);
        break;
    case FORMAT_CSV:
        csv_header(columns);
        json_array_foreach(rows, i, row) csv_row(columns, row);
        break;
    case FORMAT_TABLE:
        print_rows_table(c, columns, rows);
        break;
    }
}

void table_print_object(struct ctl *c, const struct column *columns, const json_t *object)
{
    size_t widest = 0;
    json_t *copy;

    switch (c->format) {
    case FORMAT_JSON:
        copy = with_times(columns, object);
        table_print_json(copy);
        json_decref(copy);
        break;
    case FORMAT_CSV:
        csv_header(columns);
        csv_row(columns, object);
        break;
    case FORMAT_TABLE:
        for (const struct column *k = columns; k->key; k++)
            widest = width_of(k->title) > widest ? width_of(k->title) : widest;
        for (; columns->key; columns++) {
            char *text = clean_cell(object, columns, FORMAT_TABLE);

            printf("%s%*s  %s\n", columns->title, (int)(widest - width_of(columns->title)), "",
                   text);
            free(text);
        }
        break;
    }
}
