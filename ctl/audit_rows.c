/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_rows.c -- rows of the ledger as JSON objects, which the tables print.
 *
 * A field that a column names is a text, a number or a list of texts; fields
 * with more inside are for --json alone.
 */
#include "ctl/audit.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "audit/json.h"
#include "base/number.h"
#include "wire/present.h"

static void set(json_t *o, const char *key, json_t *value)
{
    (void)json_object_set_new(o, key, value);
}

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

void audit_counts_row(json_t *o, const struct ledger_counts *n)
{
    set(o, "questions", number(n->questions));
    set(o, "attempts", number(n->attempts));
    for (int i = 1; i < AUDIT_OUTCOMES; i++)
        set(o, audit_outcome_names[i], number(n->outcomes[i]));
}

const char *audit_outcomes_print(const struct ledger_counts *n, char out[256])
{
    size_t len = 0;

    snprintf(out, 256, "-");
    for (int i = 1; i < AUDIT_OUTCOMES; i++)
        if (n->outcomes[i] > 0)
            len += (size_t)snprintf(out + len, 256 - len, "%s%llu %s", len > 0 ? ", " : "",
                                    (unsigned long long)n->outcomes[i], audit_outcome_names[i]);
    return out;
}

static json_t *name_json(const struct name *name)
{
    char text[NAME_TEXT];

    return json_string(name_print(name, text));
}

static json_t *time_json(uint64_t ms)
{
    char text[NUMBER_TEXT];

    return json_string(time_print_utc(ms, text));
}

static void set_suffixes(json_t *o, const struct ledger_client *r)
{
    json_t *list = json_array(), *details = json_array();
    const struct ledger_suffix *last = NULL;

    for (int i = 0; i < r->n_suffixes; i++) {
        const struct ledger_suffix *s = &r->suffixes[i];
        json_t *one = json_object();

        if (last == NULL || s->last_ms > last->last_ms)
            last = s;
        json_array_append_new(list, name_json(&s->suffix));
        set(one, "suffix", name_json(&s->suffix));
        set(one, "verdict", json_string(audit_verdict_names[s->verdict]));
        set(one, "outcome", json_string(audit_outcome_names[s->outcome]));
        set(one, "last_asked", time_json(s->last_ms));
        json_array_append_new(details, one);
    }
    set(o, "suffixes", list);
    set(o, "suffix_details", details);
    set(o, "last_outcome",
        last != NULL ? json_string(audit_outcome_names[last->outcome]) : json_null());
}

json_t *audit_client_row(const struct ledger_client *r)
{
    json_t *o = json_object();
    char text[AUDIT_HOST_TEXT];

    set(o, "address", json_string(r->other ? "(other)" : addr_print(&r->client, text)));
    set(o, "first_asked", number(r->first_ms));
    set(o, "last_asked", number(r->last_ms));
    audit_counts_row(o, &r->counts);
    set_suffixes(o, r);
    set(o, "last_host",
        r->last_host.target.len > 1 ? json_string(audit_host_print(&r->last_host, text))
                                    : json_null());
    set(o, "last_host_at", r->last_host_ms > 0 ? number(r->last_host_ms) : json_null());
    set(o, "no_host_since", r->no_host_since_ms > 0 ? number(r->no_host_since_ms) : json_null());
    set(o, "cadence_ms", r->cadence_s > 0 ? number((uint64_t)r->cadence_s * 1000) : json_null());
    return o;
}

json_t *audit_name_row(const struct ledger_name *r, enum ledger_table table)
{
    static const char *const keys[] = {"suffix", "target", "rule"};
    struct audit_host host = {r->name, r->port};
    char text[AUDIT_HOST_TEXT];
    json_t *o = json_object();

    if (r->other)
        set(o, keys[table], json_string("(other)"));
    else if (table == LEDGER_RULE)
        set(o, keys[table], audit_json_text(r->rule));
    else
        set(o, keys[table],
            table == LEDGER_SUFFIX ? name_json(&r->name)
                                   : json_string(audit_host_print(&host, text)));
    set(o, "first_asked", number(r->first_ms));
    set(o, "last_asked", number(r->last_ms));
    set(o, "clients", number(r->clients_hint));
    audit_counts_row(o, &r->counts);
    set(o, "last_verdict", json_string(audit_verdict_names[r->last_verdict]));
    set(o, "last_outcome", json_string(audit_outcome_names[r->last_outcome]));
    set(o, "last_rule", r->last_rule[0] != '\0' ? audit_json_text(r->last_rule) : json_null());
    if (table == LEDGER_TARGET) {
        set(o, "delivered", number(r->delivered));
        set(o, "unapproved", json_boolean(r->unapproved));
    }
    if (table == LEDGER_RULE)
        set(o, "would", number(r->would));
    return o;
}

/* --- order ---------------------------------------------------------------------------- */

struct order {
    const char *key;
    bool ascending;
};

static int compare(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    const json_t *x = json_object_get(*(json_t *const *)a, order->key),
                 *y = json_object_get(*(json_t *const *)b, order->key);
    int r;

    if (json_is_string(x) && json_is_string(y))
        r = strcmp(json_string_value(x), json_string_value(y));
    else if (json_is_array(x) && json_is_array(y))
        r = (json_array_size(x) > json_array_size(y)) - (json_array_size(x) < json_array_size(y));
    else if (json_is_number(x) && json_is_number(y))
        r = (json_integer_value(x) > json_integer_value(y)) -
            (json_integer_value(x) < json_integer_value(y));
    else if (json_is_boolean(x) && json_is_boolean(y))
        r = (int)json_is_true(x) - (int)json_is_true(y);
    else
        return (int)json_is_null(x) - (int)json_is_null(y); /* what is unknown stands last */
    return order->ascending ? r : -r;
}

static void sort_and_cut(json_t **rows, uint64_t limit, struct order order)
{
    size_t n = json_array_size(*rows), keep = limit > 0 && limit < n ? (size_t)limit : n, i;
    json_t **list = ctl_alloc(NULL, n * sizeof *list), *sorted = json_array(), *row;

    json_array_foreach(*rows, i, row) list[i] = row;
    qsort_r(list, n, sizeof *list, compare, &order);
    for (i = 0; i < keep; i++)
        json_array_append(sorted, list[i]);
    free(list);
    json_decref(*rows);
    *rows = sorted;
}

int audit_rows_order(const struct audit_filter *f, const struct column *columns,
                     const char *fallback, json_t **rows)
{
    struct order order = {f->sort != NULL ? f->sort : fallback, f->order_given && f->ascending};
    const char *names[64];
    int n = 0;

    for (const struct column *k = columns; k->key != NULL && n < 63; k++) {
        names[n++] = k->key;
        if (strcmp(k->key, order.key) != 0)
            continue;
        if (!f->order_given) /* words from a to z, all else from the largest */
            order.ascending = k->kind == COLUMN_TEXT;
        sort_and_cut(rows, f->limit, order);
        return 0;
    }
    names[n] = NULL;
    fallback = diag_nearest(f->sort, names);
    return ctl_fail(EXIT_USAGE, "--sort %s: no such column%s%s%s (those of --csv)", f->sort,
                    fallback != NULL ? ", did you mean " : "", fallback != NULL ? fallback : "",
                    fallback != NULL ? "?" : "");
}

void audit_tail_add(struct audit_tail *t, json_t *row)
{
    size_t place = (size_t)(t->limit > 0 ? t->n % t->limit : t->n);

    if (place == t->size) {
        t->size = t->size > 0 ? t->size * 2 : 64;
        t->at = ctl_alloc(t->at, t->size * sizeof *t->at);
    }
    if (t->limit > 0 && t->n >= t->limit)
        json_decref(t->at[place]);
    t->at[place] = row;
    t->n++;
}

json_t *audit_tail_take(struct audit_tail *t)
{
    uint64_t kept = t->limit > 0 && t->n > t->limit ? t->limit : t->n;
    json_t *rows = json_array();

    for (uint64_t i = t->n - kept; i < t->n; i++)
        json_array_append_new(rows, t->at[t->limit > 0 ? i % t->limit : i]);
    free(t->at);
    t->at = NULL;
    t->size = 0;
    return rows;
}

/* --- names of clients -------------------------------------------------------------------- */

static json_t *ptr_of(const char *address)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr *sa;
    char host[NI_MAXHOST];
    struct addr a;
    socklen_t len;

    if (addr_parse(&a, address, 0) != 0)
        return json_null();
    if (addr_is_v4(&a)) {
        memcpy(&v4.sin_addr, a.ip + 12, 4);
        sa = (struct sockaddr *)&v4;
        len = sizeof v4;
    } else {
        memcpy(&v6.sin6_addr, a.ip, 16);
        sa = (struct sockaddr *)&v6;
        len = sizeof v6;
    }
    if (getnameinfo(sa, len, host, sizeof host, NULL, 0, NI_NAMEREQD) != 0)
        return json_null();
    return audit_json_text(host);
}

void audit_rows_names(struct ctl *c, json_t *rows)
{
    json_t *known = json_object(), *row, *name;
    size_t i, n = json_array_size(rows);

    json_array_foreach(rows, i, row)
    {
        const char *address = json_string_value(json_object_get(row, "address"));

        if (address == NULL)
            continue;
        if (json_object_get(known, address) == NULL)
            set(known, address, ptr_of(address));
        name = json_object_get(known, address);
        (void)json_object_set(row, "name", name);
        if (c->stderr_tty && n > 20)
            fprintf(stderr, "\rnames: %zu of %zu%s", i + 1, n, i + 1 == n ? "\n" : "");
    }
    json_decref(known);
}
