/* SPDX-License-Identifier: BSD-2-Clause
 *
 * diag.c -- problems found in a text, with their place, for humans.
 *
 * list[] grows to DIAG_MAX; behind that, and when memory is out, problems are
 * only counted: `all` is always right, so nothing passes for valid.
 */
#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 }; /* longer words are not compared */

void diags_init(struct diags *d)
{
    memset(d, 0, sizeof *d);
}

void diags_fini(struct diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->list[i].file);
        free(d->list[i].text);
    }
    free(d->list);
    diags_init(d);
}

int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...)
{
    struct diag one = {.line = line, .column = column}, *more;
    va_list args;
    int n;

    if (d == NULL || d->all++ >= DIAG_MAX || d->n >= DIAG_MAX)
        return -EINVAL;
    va_start(args, fmt);
    n = vasprintf(&one.text, fmt, args);
    va_end(args);
    if (n < 0)
        return -EINVAL;
    /* One line of printable text, whatever the message quotes; UTF-8 stays. */
    for (char *p = one.text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    if ((file != NULL && (one.file = strdup(file)) == NULL) ||
        (more = realloc(d->list, (d->n + 1) * sizeof *more)) == NULL) {
        free(one.file);
        free(one.text);
        return -EINVAL;
    }
    d->list = more;
    d->list[d->n++] = one;
    return -EINVAL;
}

char *diag_text(const struct diag *one)
{
    char place[32] = "", *text;
    const char *file = one->file != NULL ? one->file : "";

    if (one->line != 0 && one->column != 0)
        snprintf(place, sizeof place, "%u:%u:", one->line, one->column);
    else if (one->line != 0)
        snprintf(place, sizeof place, "%u:", one->line);
    if (asprintf(&text, "%s%s%s%s%s", file, one->file != NULL ? ":" : "", place,
                 one->file != NULL || one->line != 0 ? " " : "", one->text) < 0)
        return NULL;
    return text;
}

void diags_print(const struct diags *d, FILE *f)
{
    for (size_t i = 0; i < d->n; i++) {
        char *text = diag_text(&d->list[i]);

        fprintf(f, "%s\n", text != NULL ? text : d->list[i].text);
        free(text);
    }
    if (d->all > d->n)
        fprintf(f, "%zu more problems are not shown\n", d->all - d->n);
}

/* Damerau-Levenshtein in its restricted form: inserted, left out, wrong and
 * swapped characters. Three rows are enough for it. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;

    for (size_t j = 0; j <= nb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned wrong = a[i - 1] != b[j - 1];

            row[j] = last[j - 1] + wrong;
            if (last[j] + 1 < row[j])
                row[j] = last[j] + 1;
            if (row[j - 1] + 1 < row[j])
                row[j] = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[nb];
}

const char *diag_nearest(const char *word, const char *const *list)
{
    size_t n = strlen(word);
    unsigned limit = n < 4 ? 1 : 2;
    unsigned best = limit + 1;
    const char *found = NULL;

    if (n == 0 || n > WORD_MAX)
        return NULL;
    for (; *list != NULL; list++) {
        size_t len = strlen(*list);
        unsigned far;

        if (len > WORD_MAX)
            continue;
        far = strcasecmp(word, *list) == 0 ? 0 : distance(word, n, *list, len);
        if (far < best && far < len) {
            best = far;
            found = *list;
        }
    }
    return found;
}
