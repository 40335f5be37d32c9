/* SPDX-License-Identifier: BSD-2-Clause
 *
 * html.c -- a page for a mailbox: its style, sections, bars as SVG, tables.
 *
 * Texts come from the network: all are made harmless as for a terminal (ctl_clean), and escaped.
 * Colours are in the style alone, as variables, so that dark and print are a few lines of it.
 */
#include "ctl/ctl.h"

#include "base/str.h"

/* Of a chart, in units of its view box. */
enum { WIDTH = 720, ROW = 22, LEFT = 230, RIGHT = 70, LABEL_MOST = 34 /* characters */ };
enum { COLUMNS = 64 };

/* clang-format off */
#define STYLE \
    ":root{--paper:#fff;--ink:#1b2129;--soft:#5a6571;--line:#d8dde3;--bar:#2f6db0;--mark:#b4462f}\n" \
    "@media(prefers-color-scheme:dark){:root{--paper:#14181d;--ink:#e4e8ec;--soft:#9aa5b1;--line:#313942;--bar:#6aa5de;--mark:#e58b72}}\n" \
    "body{margin:2rem auto;max-width:72rem;padding:0 1rem;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\n" \
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .2rem}p{margin:.3rem 0;color:var(--soft)}a{color:inherit}\n" \
    "svg{width:100%;max-width:46rem;height:auto;display:block;margin:.8rem 0}svg text{fill:var(--ink);font-size:12px}\n" \
    "svg rect{fill:var(--bar)}svg line{stroke:var(--mark);stroke-dasharray:4 3}\n" \
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;margin:.8rem 0}th{font-weight:600;white-space:nowrap}\n" \
    "th,td{text-align:left;vertical-align:top;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\n" \
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n" \
    "@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--bar:#555;--mark:#000}body{margin:0;max-width:none;font-size:10pt}" \
    "table{font-size:8pt}.wide{overflow:visible}thead{display:table-header-group}tr,svg{break-inside:avoid}h2{break-after:avoid}}\n"
#define HEAD \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n" \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>"
/* clang-format on */

/* At most so many characters, then three dots. */
static void put_text(const char *text, size_t most)
{
    char *clean = ctl_clean(text);
    size_t n = 0;

    for (const char *p = clean; *p != '\0'; p++) {
        const char *as = *p == '&'   ? "&amp;"
                         : *p == '<' ? "&lt;"
                         : *p == '>' ? "&gt;"
                         : *p == '"' ? "&quot;"
                                     : NULL;

        if ((*p & 0xc0) != 0x80 && n++ == most) { /* a character begins */
            fputs("&#8230;", stdout);
            break;
        }
        if (as != NULL)
            fputs(as, stdout);
        else
            putchar(*p);
    }
    free(clean);
}

void html_element(const char *open, const char *text, const char *close)
{
    fputs(open, stdout);
    put_text(text, SIZE_MAX);
    puts(close);
}

void html_begin(const char *title, const char *below)
{
    puts(HEAD);
    html_element("<title>", title, "</title>");
    puts("<style>\n" STYLE "</style>\n</head>\n<body>");
    html_element("<h1>", title, "</h1>");
    html_element("<p>", below, "</p>");
}

void html_bars(const char *title, const json_t *rows, json_int_t mark)
{
    const int height = ROW * (int)json_array_size(rows);
    json_int_t n = json_integer_value(json_object_get(json_array_get(rows, 0), "value"));
    const double most = (double)(n > mark ? n : mark > 0 ? mark : 1), room = WIDTH - LEFT - RIGHT;
    const double goal = LEFT + (double)mark / most * room;
    double at;
    const json_t *row;
    size_t i;

    if (height == 0)
        return;
    printf("<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, height);
    html_element("", title, "\">");
    json_array_foreach(rows, i, row)
    {
        const json_t *text = json_object_get(row, "label");
        const char *label = json_is_string(text) ? json_string_value(text) : "-";
        int top = ROW * (int)i;

        n = json_integer_value(json_object_get(row, "value"));
        at = (double)n / most * room;
        html_element("<g><title>", label, "</title>");
        printf("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LEFT - 8, top + 15);
        put_text(label, LABEL_MOST);
        printf("</text><rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"14\"/>"
               "<text x=\"%.1f\" y=\"%d\">%lld</text></g>\n",
               LEFT, top + 4, at, LEFT + 6 + at, top + 15, (long long)n);
    }
    if (mark > 0)
        printf("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\"/>\n", goal, goal, height);
    puts("</svg>");
}

void html_table(const struct ctl *c, const struct column *columns, const json_t *rows, bool link)
{
    bool shown[COLUMNS] = {false};

    if (json_array_size(rows) == 0) {
        html_element("<p>", "None.", "</p>");
        return;
    }
    for (size_t k = 0; k < COLUMNS && columns[k].key; k++)
        shown[k] = table_column_width(c, &columns[k], rows) > 0;
    puts("<div class=\"wide\"><table>\n<thead>");
    for (size_t i = 0; i <= json_array_size(rows); i++) {
        fputs("<tr>", stdout);
        for (size_t k = 0; columns[k].key; k++) {
            bool number = columns[k].kind == COLUMN_NUMBER || columns[k].kind == COLUMN_DURATION_MS;
            char *text = table_cell(c, &columns[k], rows, i);

            if (shown[k]) {
                printf("<%s%s>", i == 0 ? "th" : "td", number ? " class=\"n\"" : "");
                if (link && k == 0 && i > 0) {
                    fputs("<a href=\"#", stdout);
                    put_text(text, SIZE_MAX);
                    fputs("\">", stdout);
                }
                put_text(text, SIZE_MAX);
                fputs(link && k == 0 && i > 0 ? "</a>" : "", stdout);
                fputs(i == 0 ? "</th>" : "</td>", stdout);
            }
            free(text);
        }
        puts(i == 0 ? "</tr>\n</thead>\n<tbody>" : "</tr>");
    }
    puts("</tbody></table></div>");
}
