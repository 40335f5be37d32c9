/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.h -- rows in, an aligned table, CSV or JSON out: one code for every
 * verb that lists something.
 *
 * The columns' `key` is the field name in JSON and the header in CSV; `title`
 * heads the table. Values are JSON values; the table prints null as "-".
 * CSV guards cells that begin with = + - @ tab or CR with a leading '.
 *
 * CSV has all columns. A table on a terminal that is too narrow for it leaves
 * out columns, those of the highest rank first, and says which; --wide shows
 * all. A column with a rank is also left out when no row has a value for it.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <jansson.h>

#include "ctl/ctl.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_TIME /* ms since 1970: table local, else RFC 3339 UTC */,
    COLUMN_LIST /* array of texts */,
    COLUMN_DURATION_MS,
    COLUMN_FLAG /* boolean */
};
/* Added to the kind of a column that need not stay: RANK(1) to RANK(8), or
 * RANK_WIDE for what a table has with --wide only. */
#define RANK(n) ((n) << 4)
#define RANK_WIDE RANK(9)
struct column {
    const char *key, *title; /* NULL: the key in capitals */
    int kind;
};
int column_kind(const struct column *); /* without its rank */

/* Prints rows (an array of objects; fields not named by a column appear in
 * JSON only) as {"plural": [...]}, CSV or a table, as c->format says. */
void table_print(struct ctl *c, const char *plural, const struct column *columns,
                 const json_t *rows);
/* An object as "name  value" lines, or as the JSON document itself. */
void table_print_object(struct ctl *c, const struct column *columns, const json_t *object);
/* Prints a JSON document to stdout, its fields in their order. */
void table_print_json(const json_t *);

#endif
