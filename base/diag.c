/* SPDX-License-Identifier: BSD-2-Clause
 *
 * diag.c -- problems found in a text, with their place, for humans.
 *
 * at[] grows to DIAG_MAX; behind that, and when memory is out, problems are
 * only counted: `all` is always right, so nothing passes for valid.
 */
#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { WORD_MAX = 64 }; /* longer words are not compared */

void diags_init(struct diags *d)
{
    memset(d, 0, sizeof *d);
}

void diags_fini(struct diags *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->at[i].file);
        free(d->at[i].text);
    }
    free(d->at);
    diags_init(d);
}

/* Room for one more, in steps of 16. */
static struct diag *next_slot(struct diags *d)
{
    struct diag *more;

    if (d->n >= DIAG_MAX)
        return NULL;
    if (d->n % 16 == 0) {
        more = realloc(d->at, (d->n + 16) * sizeof *more);
        if (more == NULL)
            return NULL;
        d->at = more;
    }
    return &d->at[d->n];
}

/* One line of printable text, whatever the message quotes; UTF-8 stays. */
static void make_one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

int diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
              ...)
{
    struct diag *slot;
    va_list args;
    int n;

    if (d == NULL)
        return -EINVAL;
    d->all++;
    slot = next_slot(d);
    if (slot == NULL)
        return -EINVAL;
    slot->file = NULL;
    if (file != NULL && (slot->file = strdup(file)) == NULL)
        return -EINVAL;
    va_start(args, fmt);
    n = vasprintf(&slot->text, fmt, args);
    va_end(args);
    if (n < 0) {
        free(slot->file);
        return -EINVAL;
    }
    make_one_line(slot->text);
    slot->line = line;
    slot->column = column;
    d->n++;
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
        char *text = diag_text(&d->at[i]);

        fprintf(f, "%s\n", text != NULL ? text : d->at[i].text);
        free(text);
    }
    if (d->all > d->n)
        fprintf(f, "%zu more problems are not shown\n", d->all - d->n);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
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

            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + wrong);
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
        far = str_equal_nocase(word, *list) ? 0 : distance(word, n, *list, len);
        if (far < best && far < len) {
            best = far;
            found = *list;
        }
    }
    return found;
}
