/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_filter.c -- from the options of an audit verb to rows of the database.
 *
 * A long list is read in steps, each a transaction of its own: the first puts the
 * numbers of the wanted rows, in their order, into a temporary table; the others
 * read the rows, a thousand at a time.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/number.h"
#include "wire/kms.h"
#include "wire/present.h"

enum { CHUNK = 1000 };

/* --- reading: one function an option, which is given each of its values --------- */

static int read_time(struct ctl *c, const char *option, uint64_t *out)
{
    const char *text = ctl_option(c, option);

    if (text != NULL && time_parse(out, text, c->now.wall_ms) != 0)
        return ctl_fail(EXIT_USAGE,
                        "%s %s: not a time (2026-11-22, \"2026-11-22 09:00\", 09:00, 7d)", option,
                        text);
    return 0;
}

static int read_word(struct audit_term *t, const char *text)
{
    t->value = ctl_text("%s", text);
    return 0;
}

static int read_client(struct audit_term *t, const char *text)
{
    struct prefix prefix;

    return prefix_parse(&prefix, text) == 0
               ? read_word(t, text)
               : ctl_fail(EXIT_USAGE, "--client %s: not an address or prefix", text);
}

/* Also the whole name, as it stands in an event. */
static int read_suffix(struct audit_term *t, const char *text)
{
    bool below = strncmp(text, "*.", 2) == 0;
    struct name name, whole;
    char suffix[NAME_TEXT];

    if (name_parse(&whole, below ? text + 2 : text) != 0)
        return ctl_fail(EXIT_USAGE, "--suffix %s: not a domain name", text);
    name_fold(&whole);
    name = whole;
    if (name_is_vlmcs(&whole))
        name_parent(&whole, 2, &name);
    t->value = ctl_text("%s%s", below ? "." : "", name_print(&name, suffix));
    if (below)
        t->events = t->own = "below(suffix,?)";
    return 0;
}

static int read_outcome(struct audit_term *t, const char *text)
{
    const char *nearest = diag_nearest(text, outcome_names + 1);

    if (str_index(outcome_names + 1, text) >= 0)
        return read_word(t, text);
    return ctl_fail(EXIT_USAGE, "--outcome %s: no such outcome%s%s%s", text,
                    nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* As it stands between spaces in a list: " kms01.contoso.com:1688 ", or without the port. */
static int read_target(struct audit_term *t, const char *text)
{
    const char *colon = strchr(text, ':');
    char *host = ctl_text("%.*s", (int)strcspn(text, ":"), text);
    char target[NAME_TEXT];
    uint64_t port = 0;
    struct name name;
    int rc = name_parse(&name, host);

    free(host);
    if (rc != 0 ||
        (colon != NULL && (number_parse(&port, colon + 1, UINT16_MAX) != 0 || port == 0)))
        return ctl_fail(EXIT_USAGE, "--target %s: not a HOST or HOST:PORT", text);
    name_fold(&name);
    t->value = colon != NULL ? ctl_text(" %s:%u ", name_print(&name, target), (unsigned)port)
                             : ctl_text(" %s:", name_print(&name, target));
    return 0;
}

static const struct reader {
    const char *name;
    unsigned option;
    int (*read)(struct audit_term *, const char *);
    const char *events, *own;
} readers[] = {
    {"--client", OF_CLIENT, read_client, "within(address,?)", "within(address,?)"},
    {"--network", OF_NETWORK, read_word, "instr(' '||networks||' ',' '||?||' ')>0", NULL},
    {"--suffix", OF_SUFFIX, read_suffix, "suffix=?", "suffix=?"},
    {"--outcome", OF_OUTCOME, read_outcome, "outcome=?", NULL},
    {"--rule", OF_RULE, read_word, "rule=?", "rule=?"},
    {"--target", OF_TARGET, read_target, "instr(lower(' '||real_hosts||' '||answer||' '),?)>0",
     "instr(' '||target||' ',?)>0"},
};

static int read_sort(struct audit *a, const struct column *columns)
{
    const char *names[64], *nearest;
    int n = 0;

    a->sort = ctl_option(a->c, "--sort");
    if (a->sort == NULL)
        return 0;
    if (a->sort[0] == '+' || a->sort[0] == '-') {
        a->order_given = true;
        a->ascending = *a->sort++ == '+';
    }
    for (; columns != NULL && columns->key != NULL && n < 63; columns++)
        names[n++] = columns->key;
    names[n] = NULL;
    if (columns == NULL || str_index(names, a->sort) >= 0)
        return 0;
    nearest = diag_nearest(a->sort, names);
    return ctl_fail(EXIT_USAGE, "--sort %s: no such column%s%s%s (those of --csv)", a->sort,
                    nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "?" : "");
}

/* --- the database --------------------------------------------------------------------- */

/* What the reader returned as an exit code; an error is said. */
static int code_of(struct audit *a, int err)
{
    char *path;
    int code;

    if (err == 0)
        return 0;
    path = ctl_text("%s/audit", a->c->settings->server.state_dir);
    if (err == -EBADMSG)
        code = ctl_fail(EXIT_FAILED, "%s is damaged: put back a backup, or move it away", path);
    else if (err == -ETIMEDOUT)
        code = ctl_fail(EXIT_FAILED,
                        "%s: this takes too long: ask for less, with --since or --limit", path);
    else if (err == -EIO && a->reader != NULL)
        code = ctl_fail(EXIT_FAILED, "%s: %s", path, audit_reader_message(a->reader));
    else
        code = ctl_store_error(a->c, path, err);
    free(path);
    return code;
}

static int open_reader(struct audit *a, struct diags *d)
{
    char *path = ctl_text("%s/audit", a->c->settings->server.state_dir);
    int rc = audit_reader_open(&a->reader, path, d);

    free(path);
    return rc;
}

bool audit_reopen(struct audit *a)
{
    return a->reader != NULL || open_reader(a, NULL) == 0;
}

int audit_begin(struct audit *a, struct ctl *c, const struct column *sortable)
{
    const char *limit = ctl_option(c, "--limit"), *text;
    struct diags d;
    int code, rc;

    memset(a, 0, sizeof *a);
    a->c = c;
    a->limit_given = limit != NULL;
    a->names = ctl_option(c, "--names") != NULL;
    a->no_host = ctl_option(c, "--no-host") != NULL;
    if ((code = read_time(c, "--since", &a->since_ms)) != 0 ||
        (code = read_time(c, "--until", &a->until_ms)) != 0 || (code = read_sort(a, sortable)) != 0)
        return code;
    if (limit != NULL && number_parse(&a->limit, limit, INT32_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "--limit %s: not a number", limit);
    if (a->until_ms > 0 && a->since_ms >= a->until_ms)
        return ctl_fail(EXIT_USAGE, "--since is not before --until");
    for (const struct reader *r = readers; r < readers + ARRAY_LEN(readers); r++)
        for (int n = 0; code == 0 && (text = ctl_option_at(c, r->name, n)) != NULL; n++) {
            struct audit_term *t = &a->terms[a->n_terms++]; /* a line has no more options */

            *t = (struct audit_term){.option = r->option, .events = r->events, .own = r->own};
            a->given |= r->option;
            code = r->read(t, text);
        }
    if (code != 0 || (code = ctl_become_user(c)) != 0)
        return code;
    diags_init(&d);
    rc = open_reader(a, &d);
    if (rc == -ENOENT)
        ctl_note("no audit yet: %s/audit is empty, waymarkd has recorded nothing",
                 c->settings->server.state_dir);
    else if (rc == -EBADMSG && d.n > 0)
        code = ctl_fail(EXIT_FAILED, "%s %s", d.list[0].file, d.list[0].text);
    else
        code = code_of(a, rc);
    diags_fini(&d);
    return code;
}

void audit_end(struct audit *a)
{
    audit_reader_close(a->reader);
    for (int i = 0; i < a->n_terms; i++)
        free(a->terms[i].value);
}

/* --- statements ------------------------------------------------------------------------ */

void audit_sql_begin(struct audit_sql *q, const char *text)
{
    str_init(&q->text, q->buf, sizeof q->buf);
    q->n = 0;
    str_add(&q->text, text);
}

void audit_sql_add(struct audit_sql *q, const char *text, int64_t number)
{
    str_add(&q->text, text);
    q->values[q->n++] = (struct audit_value){.number = number};
}

/* The options of the set, as of events or of rows of its own; those of one stand together. */
static void add_terms(struct audit_sql *q, const struct audit *a, unsigned options, bool own)
{
    unsigned open = 0;

    for (int i = 0; i < a->n_terms; i++) {
        const struct audit_term *t = &a->terms[i];

        if (!(options & t->option))
            continue;
        str_addf(&q->text, "%s%s",
                 open == t->option ? " OR "
                 : open != 0       ? ") AND ("
                                   : " AND (",
                 own ? t->own : t->events);
        q->values[q->n++] = (struct audit_value){.text = t->value};
        open = t->option;
    }
    if (open != 0)
        str_add(&q->text, ")");
}

void audit_sql_events(struct audit_sql *q, const struct audit *a)
{
    if (a->since_ms > 0)
        audit_sql_add(q, " AND ms>=?", (int64_t)a->since_ms);
    if (a->until_ms > 0)
        audit_sql_add(q, " AND ms<?", (int64_t)a->until_ms);
    add_terms(q, a, OF_ALL, false);
}

int audit_run(struct audit *a, const struct audit_sql *q, json_t *rows)
{
    bool cut = q->text.cut;

    return code_of(a, cut ? -EMSGSIZE : audit_query(a->reader, q->buf, q->values, q->n, rows));
}

int audit_exec(struct audit *a, const char *sql)
{
    return code_of(a, audit_query(a->reader, sql, NULL, 0, NULL));
}

int audit_first_number(struct audit *a, const char *sql, int64_t *out)
{
    return code_of(a, audit_number(a->reader, sql, NULL, 0, out));
}

int audit_numbers(struct audit *a, int64_t *first, int64_t *last)
{
    return code_of(a, audit_span(a->reader, a->since_ms, a->until_ms, first, last));
}

/* --- rows ------------------------------------------------------------------------------ */

int audit_rows(struct audit *a, const struct audit_list *l, uint64_t limit, json_t *rows)
{
    const char *key = a->sort != NULL ? a->sort : l->order;
    const struct column *k = l->columns;
    size_t before = 1, n = 0;
    bool up = a->ascending;
    struct audit_sql q;
    int code, kind;

    code = audit_exec(a, "CREATE TEMP TABLE IF NOT EXISTS page(place INTEGER PRIMARY KEY,row)");
    if (code == 0)
        code = audit_exec(a, "DELETE FROM page");
    audit_sql_begin(&q, "");
    str_addf(&q.text,
             "INSERT INTO page(row) SELECT row FROM (SELECT %s AS row,%s FROM %s WHERE %s) WHERE 1",
             l->id, l->select, l->table, l->where);
    add_terms(&q, a, l->own, true);
    if (a->no_host)
        str_add(&q.text, " AND no_host_since IS NOT NULL");
    while (k->key != NULL && strcmp(k->key, key) != 0)
        k++;
    kind = column_kind(k);
    if (!a->order_given) /* words from a to z, all else from the largest, what is unknown last */
        up = a->sort != NULL && kind == COLUMN_TEXT;
    str_addf(&q.text,
             kind == COLUMN_LIST   ? " ORDER BY json_array_length(\"%s[]\")%s"
             : kind == COLUMN_FLAG ? " ORDER BY \"%s?\"%s"
                                   : " ORDER BY \"%s\"%s",
             key, up ? " ASC NULLS LAST" : " DESC");
    if (limit > 0)
        audit_sql_add(&q, " LIMIT ?", (int64_t)limit);
    if (code == 0)
        code = audit_run(a, &q, NULL);
    for (int64_t place = 0; code == 0 && n != before; place += CHUNK) {
        audit_sql_begin(&q, "");
        str_addf(&q.text, "SELECT %s FROM page p CROSS JOIN %s ON %s=p.row", l->select, l->table,
                 l->id);
        audit_sql_add(&q, " WHERE place>?", place);
        audit_sql_add(&q, " AND place<=? ORDER BY place", place + CHUNK);
        before = json_array_size(rows);
        code = audit_run(a, &q, rows);
        n = json_array_size(rows);
    }
    if (code == 0 && a->names)
        audit_add_names(a, rows);
    return code;
}

void audit_add_names(struct audit *a, json_t *rows)
{
    json_t *known = json_object(), *row;
    size_t i, n = json_array_size(rows);
    struct sockaddr_storage sa;
    char host[NI_MAXHOST];
    struct addr client;

    json_array_foreach(rows, i, row)
    {
        const char *address = json_string_value(json_object_get(row, "address"));

        if (address == NULL)
            continue;
        if (json_object_get(known, address) == NULL)
            (void)json_object_set_new(known, address,
                                      addr_parse(&client, address, 0) == 0 &&
                                              getnameinfo((struct sockaddr *)&sa,
                                                          addr_to_sockaddr(&client, &sa), host,
                                                          sizeof host, NULL, 0, NI_NAMEREQD) == 0
                                          ? audit_json_text(host)
                                          : json_null());
        (void)json_object_set(row, "name", json_object_get(known, address));
        if (a->c->stderr_tty && n > 20)
            fprintf(stderr, "\rnames: %zu of %zu%s", i + 1, n, i + 1 == n ? "\n" : "");
    }
    json_decref(known);
}
