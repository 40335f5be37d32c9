/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_open.c -- the way of the audit verbs to the database.
 *
 * What is long is done in steps, each a transaction of its own: first the
 * numbers of the rows that are wanted, in their order, into a temporary table;
 * then the rows, a thousand at a time.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/event.h"
#include "audit/schema.h"

enum { CHUNK = 1000, STEP = 20000 };

int audit_fault(struct ctl *c, struct audit_reader *r, int err)
{
    char *path = ctl_text("%s/audit", c->settings->server.state_dir);
    int rc;

    if (err == -EBADMSG)
        rc = ctl_fail(EXIT_FAILED, "%s is damaged: put back a backup, or move it away", path);
    else if (err == -ETIMEDOUT)
        rc = ctl_fail(EXIT_FAILED, "%s: this takes too long: ask for less, with --since or --limit",
                      path);
    else if (err == -EIO && r != NULL)
        rc = ctl_fail(EXIT_FAILED, "%s: %s", path, audit_reader_message(r));
    else
        rc = ctl_store_error(c, path, err);
    free(path);
    return rc;
}

int audit_open(struct ctl *c, struct audit_reader **out)
{
    char *path = ctl_text("%s/audit", c->settings->server.state_dir);
    struct diags d;
    int code = ctl_become_user(c), rc;

    *out = NULL;
    diags_init(&d);
    if (code == 0) {
        rc = audit_reader_open(out, path, &d);
        if (rc == -ENOENT)
            ctl_note("no audit yet: %s is empty, waymarkd has recorded nothing", path);
        else if (rc == -EBADMSG && d.n > 0)
            code = ctl_fail(EXIT_FAILED, "%s %s", d.at[0].file, d.at[0].text);
        else if (rc != 0)
            code = ctl_store_error(c, path, rc);
    }
    diags_fini(&d);
    free(path);
    return code;
}

int audit_run(struct ctl *c, struct audit_reader *r, const struct audit_sql *q, json_t *rows)
{
    int rc = q->text.cut ? -EMSGSIZE : audit_query(r, q->buf, q->values, q->n, rows);

    return rc != 0 ? audit_fault(c, r, rc) : 0;
}

int audit_exec(struct ctl *c, struct audit_reader *r, const char *sql)
{
    int rc = audit_query(r, sql, NULL, 0, NULL);

    return rc != 0 ? audit_fault(c, r, rc) : 0;
}

/* --- lists ------------------------------------------------------------------------------ */

int audit_sort_check(const struct audit_filter *f, const struct column *columns)
{
    const char *names[64], *nearest;
    int n = 0;

    if (f->sort == NULL)
        return 0;
    for (; columns->key != NULL && n < 63; columns++) {
        names[n++] = columns->key;
        if (strcmp(columns->key, f->sort) == 0)
            return 0;
    }
    names[n] = NULL;
    nearest = diag_nearest(f->sort, names);
    return ctl_fail(EXIT_USAGE, "--sort %s: no such column%s%s%s (those of --csv)", f->sort,
                    nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "?" : "");
}

/* Words from a to z, all else from the largest, what is unknown last. */
static void add_order(struct audit_sql *q, const struct audit_list *l, const struct audit_filter *f)
{
    const char *key = f->sort != NULL ? f->sort : l->order;
    const struct column *k = l->all;
    bool up = f->ascending;

    while (k->key != NULL && strcmp(k->key, key) != 0)
        k++;
    if (!f->order_given)
        up = f->sort != NULL && k->kind == COLUMN_TEXT;
    if (k->kind == COLUMN_LIST)
        str_addf(&q->text, " ORDER BY json_array_length(\"%s[]\") %s", key, up ? "ASC" : "DESC");
    else if (strcmp(key, "unapproved") == 0 || strcmp(key, "repeat") == 0)
        str_addf(&q->text, " ORDER BY \"%s?\" %s", key, up ? "ASC" : "DESC");
    else
        str_addf(&q->text, " ORDER BY \"%s\" %s", key, up ? "ASC NULLS LAST" : "DESC");
}

static int fill_page(struct ctl *c, struct audit_reader *r, const struct audit_list *l,
                     const struct audit_filter *f, uint64_t limit)
{
    struct audit_sql q;
    int code =
        audit_exec(c, r, "CREATE TEMP TABLE IF NOT EXISTS page(place INTEGER PRIMARY KEY,row)");

    audit_sql_begin(&q, "");
    str_addf(&q.text,
             "INSERT INTO page(row) SELECT row FROM (SELECT %s AS row,%s FROM %s WHERE %s) WHERE 1",
             l->id, l->select, l->table, l->where);
    audit_sql_filter(&q, f, l->own, true);
    if (f->no_host)
        str_add(&q.text, " AND no_host_since IS NOT NULL");
    add_order(&q, l, f);
    if (limit > 0)
        audit_sql_add(&q, " LIMIT ?", (int64_t)limit);
    if (code == 0)
        code = audit_exec(c, r, "DELETE FROM page");
    return code == 0 ? audit_run(c, r, &q, NULL) : code;
}

int audit_rows(struct ctl *c, struct audit_reader *r, const struct audit_list *l,
               const struct audit_filter *f, uint64_t limit, json_t *rows)
{
    int code = fill_page(c, r, l, f, limit);
    size_t before = 0;
    struct audit_sql q;

    for (int64_t at = 0; code == 0; at += CHUNK) {
        audit_sql_begin(&q, "");
        str_addf(&q.text, "SELECT %s FROM page p CROSS JOIN %s ON %s=p.row", l->select, l->table,
                 l->id);
        audit_sql_add(&q, " WHERE place>?", at);
        audit_sql_add(&q, " AND place<=? ORDER BY place", at + CHUNK);
        before = json_array_size(rows);
        code = audit_run(c, r, &q, rows);
        if (json_array_size(rows) == before)
            break;
    }
    return code;
}

const char *audit_outcomes_print(const json_t *row, char out[256])
{
    struct str s;

    str_init(&s, out, 256);
    for (int i = 1; i < OUTCOMES; i++) {
        json_int_t n = json_integer_value(json_object_get(row, outcome_names[i]));

        if (n > 0)
            str_addf(&s, "%s%lld %s", s.len > 0 ? ", " : "", (long long)n, outcome_names[i]);
    }
    return s.len > 0 ? out : "-";
}

/* --- events ------------------------------------------------------------------------------ */

int audit_find_newest(struct ctl *c, struct audit_reader *r, const struct audit_filter *f,
                      uint64_t limit)
{
    int64_t first, last, found = 0;
    struct audit_sql q;
    int rc = audit_span(r, f->since_ms, f->until_ms, &first, &last);
    int code = rc != 0 ? audit_fault(c, r, rc)
                       : audit_exec(c, r, "CREATE TEMP TABLE found(row INTEGER PRIMARY KEY)");

    for (; code == 0 && last >= first && last > 0; last -= STEP) {
        audit_sql_begin(&q, "INSERT INTO found SELECT sequence FROM events");
        audit_sql_add(&q, " WHERE sequence>?", last - STEP);
        audit_sql_add(&q, " AND sequence<=?", last);
        audit_sql_events(&q, f);
        audit_sql_add(&q, " ORDER BY sequence DESC LIMIT ?",
                      limit > 0 ? (int64_t)limit - found : -1);
        code = audit_run(c, r, &q, NULL);
        if (code == 0 && limit > 0)
            (void)audit_number(r, "SELECT count(*) FROM found", NULL, 0, &found);
        if (limit > 0 && found >= (int64_t)limit)
            break;
    }
    return code;
}
