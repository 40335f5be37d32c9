/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- the audit as the tool reads it.
 */
#include "audit/read.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/store.h"
#include "base/addr.h"
#include "base/clock.h"
#include "base/str.h"

enum { CHECK_EVERY = 10000 }; /* instructions of SQLite */
static const uint64_t query_most_ms = 5000;
/* Workers and a corrected clock put times a little out of sequence. */
static const uint64_t disorder_ms = 3600000;

struct audit_reader {
    sqlite3 *db;
    uint64_t deadline_ms;
};

/* --- functions ------------------------------------------------------------------- */

static const char *text_of(sqlite3_value *v)
{
    const char *text = (const char *)sqlite3_value_text(v);

    return text != NULL ? text : "";
}

static void within(sqlite3_context *context, int n, sqlite3_value **v)
{
    struct prefix prefix;
    struct addr a;

    (void)n;
    sqlite3_result_int(context, addr_parse(&a, text_of(v[0]), 0) == 0 &&
                                    prefix_parse(&prefix, text_of(v[1])) == 0 &&
                                    prefix_contains(&prefix, a.ip));
}

static void below(sqlite3_context *context, int n, sqlite3_value **v)
{
    const char *name = text_of(v[0]), *parent = text_of(v[1]);
    size_t len = strlen(name), end = strlen(parent);

    (void)n;
    sqlite3_result_int(context, len > end && strcmp(name + len - end, parent) == 0);
}

static int over_time(void *context)
{
    const struct audit_reader *r = context;

    return clock_now().mono_ms > r->deadline_ms;
}

/* --- open and close ----------------------------------------------------------------- */

int audit_reader_open(struct audit_reader **out, const char *dir, struct diags *d)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    struct audit_reader *r = calloc(1, sizeof *r);
    char *path = audit_store_path(dir);
    int rc = r == NULL || path == NULL ? -ENOMEM : access(path, R_OK) != 0 ? -errno : 0;

    if (rc != 0)
        goto done;
    rc = sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (r->db == NULL) {
        rc = -ENOMEM;
        goto done;
    }
    sqlite3_extended_result_codes(r->db, 1);
    sqlite3_busy_timeout(r->db, 1000);
    sqlite3_progress_handler(r->db, CHECK_EVERY, over_time, r);
    r->deadline_ms = clock_now().mono_ms + query_most_ms;
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(r->db, "PRAGMA trusted_schema=OFF;PRAGMA cell_size_check=ON", NULL, NULL,
                          NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(r->db, "within", 2, flags, NULL, within, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_create_function(r->db, "below", 2, flags, NULL, below, NULL, NULL);
    rc = rc == SQLITE_OK ? audit_store_check(r->db, path, d) : audit_store_error(r->db, rc);
done:
    free(path);
    if (rc == 0) {
        *out = r;
        return 0;
    }
    audit_reader_close(r);
    return rc == 1 ? -ENOENT : rc; /* made, and nothing is in it yet */
}

void audit_reader_close(struct audit_reader *r)
{
    if (r == NULL)
        return;
    sqlite3_close(r->db);
    free(r);
}

const char *audit_reader_message(const struct audit_reader *r)
{
    return sqlite3_errmsg(r->db);
}

/* --- queries --------------------------------------------------------------------------- */

json_t *audit_json_text(const char *text)
{
    json_t *v = json_string(text); /* NULL: not UTF-8 */
    char buf[1024];
    struct str s;

    if (v != NULL)
        return v;
    str_init(&s, buf, sizeof buf);
    str_add_escaped(&s, text, strlen(text));
    return json_string(buf);
}

static json_t *row_of(sqlite3_stmt *q)
{
    json_t *row = json_object(), *value;

    for (int i = 0; i < sqlite3_column_count(q); i++) {
        const char *name = sqlite3_column_name(q, i);
        int type = sqlite3_column_type(q, i);
        const char *text = (const char *)sqlite3_column_text(q, i);
        size_t len = strlen(name);
        char mark = len > 0 ? name[len - 1] : '\0';

        if (text == NULL)
            value = json_null();
        else if (mark == '?')
            value = json_boolean(sqlite3_column_int(q, i));
        else if (mark == ']')
            value = json_loads(text, JSON_DECODE_ANY, NULL);
        else if (type == SQLITE_INTEGER)
            value = json_integer(sqlite3_column_int64(q, i));
        else if (type == SQLITE_FLOAT)
            value = json_real(sqlite3_column_double(q, i));
        else
            value = audit_json_text(text);
        (void)json_object_setn_new(row, name, len - (mark == ']' ? 2 : mark == '?'), value);
    }
    return row;
}

int audit_query(struct audit_reader *r, const char *sql, const struct audit_value *values, int n,
                json_t *rows)
{
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(r->db, sql, -1, &q, NULL);

    r->deadline_ms = clock_now().mono_ms + query_most_ms;
    for (int i = 0; i < n && rc == SQLITE_OK; i++)
        rc = values[i].text != NULL ? sqlite3_bind_text(q, i + 1, values[i].text, -1, SQLITE_STATIC)
                                    : sqlite3_bind_int64(q, i + 1, values[i].number);
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(q)) == SQLITE_ROW)
            if (rows != NULL)
                json_array_append_new(rows, row_of(q));
    rc = audit_store_error(r->db, rc);
    sqlite3_finalize(q);
    return rc;
}

int audit_number(struct audit_reader *r, const char *sql, const struct audit_value *values, int n,
                 int64_t *out)
{
    json_t *rows = json_array();
    int rc = audit_query(r, sql, values, n, rows);
    void *field = json_object_iter(json_array_get(rows, 0));

    *out = field != NULL ? json_integer_value(json_object_iter_value(field)) : 0;
    json_decref(rows);
    return rc;
}

/* The first of the numbers low..high whose event is not older; high + 1: none. */
static int find_ms(struct audit_reader *r, uint64_t ms, int64_t low, int64_t high, int64_t *out)
{
    int rc = 0;

    for (high++; low < high && rc == 0;) {
        struct audit_value middle = {.number = low + (high - low) / 2};
        int64_t found;

        rc = audit_number(r, "SELECT ms FROM event WHERE id>=? ORDER BY id LIMIT 1", &middle, 1,
                          &found);
        if (found < (int64_t)ms)
            low = middle.number + 1;
        else
            high = middle.number;
    }
    *out = low;
    return rc;
}

int audit_span(struct audit_reader *r, uint64_t since_ms, uint64_t until_ms, int64_t *first,
               int64_t *last)
{
    int rc = audit_number(r, "SELECT min(id) FROM event", NULL, 0, first);

    if (rc == 0)
        rc = audit_number(r, "SELECT max(id) FROM event", NULL, 0, last);
    if (rc == 0 && since_ms > disorder_ms)
        rc = find_ms(r, since_ms - disorder_ms, *first, *last, first);
    if (rc == 0 && until_ms > 0)
        rc = find_ms(r, until_ms + disorder_ms, *first, *last, last);
    return rc;
}
