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

int column_kind(const struct column *k)
{
    return k->kind & (RANK(1) - 1);
}

static int rank_of(const struct column *k)
{
    return k->kind / RANK(1);
}

/* --- cells */

/* A value as text for a table or CSV, harmless to a terminal; freed by the caller. */
static char *cell_of(const json_t *row, const struct column *column, enum ctl_format format)
{
    const json_t *value = json_object_get(row, column->key), *item;
    const char *nothing = format == FORMAT_TABLE ? "-" : "", *text;
    json_int_t n = json_integer_value(value);
    char *cell = NULL, *clean, time[NUMBER_TEXT];
    size_t len, i;
    FILE *f = open_memstream(&cell, &len);

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        fputs(json_string_value(value), f);
        break;
    case JSON_INTEGER:
        if (column_kind(column) == COLUMN_TIME && n > 0)
            fputs(format == FORMAT_TABLE ? time_print_local((uint64_t)n, time)
                                         : time_print_utc((uint64_t)n, time),
                  f);
        else if (column_kind(column) == COLUMN_DURATION_MS && format == FORMAT_TABLE)
            ctl_print_span(f, n);
        else if (column_kind(column) != COLUMN_TIME)
            fprintf(f, "%lld", (long long)n);
        break;
    case JSON_REAL:
        fprintf(f, "%.*f", format == FORMAT_TABLE ? 1 : 3, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        fputs(json_is_true(value) ? "yes" : "no", f);
        break;
    case JSON_ARRAY:
        json_array_foreach(value, i, item)
        {
            text = json_string_value(item);
            fprintf(f, "%s%s", i ? " " : "", text ? text : "?");
        }
        break;
    case JSON_OBJECT:
    case JSON_NULL:
        break;
    }
    fclose(f);
    clean = ctl_clean(*cell ? cell : nothing);
    free(cell);
    return clean;
}

/* --- CSV, RFC 4180 */

/* A row, or (NULL) the header. */
static void csv_line(const struct column *columns, const json_t *row)
{
    for (; columns->key; columns++) {
        char *cell = row ? cell_of(row, columns, FORMAT_CSV) : ctl_text("%s", columns->key);
        bool guard = row && !json_is_number(json_object_get(row, columns->key));
        bool quote = strpbrk(cell, ",\"\r\n;\t") != NULL;

        fputs(quote ? "\"" : "", stdout);
        if (guard && *cell && strchr("=+-@\t\r", *cell) != NULL)
            putchar('\'');
        for (const char *p = cell; *p; p++) {
            if (*p == '"')
                putchar('"');
            putchar(*p);
        }
        fputs(quote ? "\"" : "", stdout);
        fputs(columns[1].key == NULL ? "\r\n" : ",", stdout);
        free(cell);
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

/* One line of the columns that have a width; cells belong to the caller. Numbers stand right. */
static void print_line(const struct column *columns, char *const *cells, const size_t *width,
                       const char *on, const char *off)
{
    int between = 0;

    for (int k = 0; columns[k].key; k++) {
        int kind = column_kind(&columns[k]);
        bool right = kind == COLUMN_NUMBER || kind == COLUMN_DURATION_MS;
        int pad = (int)(width[k] - str_width(cells[k]));

        if (width[k] == 0)
            continue;
        printf("%*s%s%s%s", between + (right ? pad : 0), "", on, cells[k], off);
        between = (right ? 0 : pad) + 2;
    }
    putchar('\n');
}

static void print_rows_table(const struct ctl *c, const struct column *columns, const json_t *rows)
{
    size_t n_rows = json_array_size(rows), n = 0, sum = 0, *width;
    char **cells, left_out[256];
    struct str s;

    while (columns[n].key)
        n++;
    width = ctl_alloc(NULL, n * sizeof *width);
    cells = ctl_alloc(NULL, (n_rows + 1) * n * sizeof *cells);
    for (size_t k = 0; k < n; k++) {
        bool any = rank_of(&columns[k]) == 0, wide = rank_of(&columns[k]) == RANKS;

        cells[k] = ctl_text("%s", columns[k].title ? columns[k].title : columns[k].key);
        for (char *p = cells[k]; columns[k].title == NULL && *p; p++)
            *p = *p == '_' ? ' ' : (char)toupper(*p);
        width[k] = str_width(cells[k]);
        for (size_t i = 0; i < n_rows; i++) {
            const json_t *row = json_array_get(rows, i),
                         *value = json_object_get(row, columns[k].key);
            char *cell = cell_of(row, &columns[k], FORMAT_TABLE);
            size_t w = str_width(cell);

            any |= value && !json_is_null(value);
            cells[(i + 1) * n + k] = cell;
            width[k] = w > width[k] ? w : width[k];
        }
        if (!any || (wide && !c->wide))
            width[k] = 0;
        sum += width[k] > 0 ? width[k] + 2 : 0;
    }
    /* Columns lose their width until the line fits. */
    str_init(&s, left_out, sizeof left_out);
    for (int rank = RANKS - 1; rank > 0 && !c->wide; rank--)
        for (size_t k = n; k-- > 0 && c->width > 0 && sum > c->width + 2;)
            if (rank_of(&columns[k]) == rank && width[k] > 0) {
                str_addf(&s, " %s", columns[k].key);
                sum -= width[k] + 2;
                width[k] = 0;
            }
    if (s.len > 0)
        ctl_note("too narrow for:%s (--wide shows them)", left_out);
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
        csv_line(columns, NULL);
        json_array_foreach(rows, i, row) csv_line(columns, row);
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
        csv_line(columns, NULL);
        csv_line(columns, object);
        break;
    case FORMAT_TABLE:
        for (const struct column *k = columns; k->key; k++)
            widest = str_width(k->title) > widest ? str_width(k->title) : widest;
        for (; columns->key; columns++) {
            char *text = cell_of(object, columns, FORMAT_TABLE);

            printf("%s%*s  %s\n", columns->title, (int)(widest - str_width(columns->title)), "",
                   text);
            free(text);
        }
        break;
    }
}
