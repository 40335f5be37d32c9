/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lists.c -- options whose value is a list: addresses, and records (access
 * rules, routes), which are mappings described by rows of their own.
 *
 * A list is built aside and put into its field only when every element was
 * read, so that a list and the node that it came from always have the same
 * elements in the same order.
 */
#include "settings/value.h"

#include <errno.h>
#include <string.h>

enum { DNS_PORT = 53 };

static int list_check_length(struct reader *r, const struct option *o, const struct yaml_node *node)
{
    if (node->kind == YAML_SCALAR)
        return read_problem(
            r, node, "%s takes a list: write [%s%s%s]", o->key, o->form == FORM_ADDRS ? "\"" : "",
            o->form == FORM_ADDRS ? node->text : "...", o->form == FORM_ADDRS ? "\"" : "");
    if (node->kind != YAML_LIST)
        return read_problem(r, node, "%s takes a list: begin each element with \"- \"", o->key);
    if (node->n < o->min)
        return read_problem(r, node, "%s is empty; write at least one", o->key);
    if (node->n > 0 && o->max == 0)
        return read_problem(r, node, "%s: only [] works in this version", o->key);
    if (node->n > o->max)
        return read_problem(r, node, "%s has %zu elements; at most %u are allowed", o->key, node->n,
                            (unsigned)o->max);
    return 0;
}

static void set_list(const struct option *o, void *base, const void *list, size_t n)
{
    *(const void **)option_field(o, base) = list;
    *(int *)(void *)((char *)base + o->count_at) = (int)n;
}

/* The element of list[0..n) with that address, or n. */
static size_t find_addr(const struct addr *list, size_t n, const struct addr *a)
{
    for (size_t i = 0; i < n; i++)
        if (addr_same(&list[i], a))
            return i;
    return n;
}

static int read_addrs(struct reader *r, const struct option *o, const struct yaml_node *node,
                      void *base)
{
    struct addr *list = arena_alloc(r->s->arena, node->n * sizeof *list);
    size_t n = 0;
    int rc = 0;

    if (list == NULL)
        return read_out_of_memory(r);
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
        if (one->kind != YAML_SCALAR || addr_parse(&list[n], one->text, DNS_PORT) != 0)
            rc = read_problem(r, one,
                              "%s: \"%s\" is not an address; write it like 192.0.2.1, "
                              "\"192.0.2.1:53\", \"2001:db8::1\" or \"[2001:db8::1]:53\"",
                              o->key, one->kind == YAML_SCALAR ? one->text : "[...]");
        else if (find_addr(list, n, &list[n]) < n)
            rc = read_problem(r, one, "%s: %s is listed twice", o->key, one->text);
        else
            n++;
    }
    if (rc == 0)
        set_list(o, base, list, n);
    return rc;
}

/* Reads one mapping: what is not written gets its default, as far as there is
 * one. */
static int read_record(struct reader *r, const struct option *o, const struct yaml_node *node,
                       void *record)
{
    int rc = 0;

    if (node->kind != YAML_MAP)
        return read_problem(r, node, "%s: an element looks like {%s: ..., %s: ...}", o->key,
                            option_name(&o->record->rows[0]), option_name(&o->record->rows[1]));
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
        const struct option *row = option_find(o->record->rows, o->key, one->key);

        if (row == NULL)
            rc = read_unknown_key(r, one, o->record->rows, o->key);
        else if (value_read(r, row, one, record) != 0)
            rc = -EINVAL;
    }
    for (const struct option *row = o->record->rows; row->key != NULL; row++) {
        const char *name = option_name(row);
        struct yaml_node plain = {.kind = YAML_SCALAR, .text = row->fallback};

        if (yaml_get(node, name) != NULL)
            continue;
        if (row->fallback == NULL)
            rc = read_problem(r, node, "%s: an element has no %s; %s is %s", o->key, name, name,
                              row->help);
        else if (value_read(r, row, &plain, record) != 0)
            rc = -EINVAL;
    }
    return rc;
}

static int read_records(struct reader *r, const struct option *o, const struct yaml_node *node,
                        void *base)
{
    size_t size = o->record->size, n = 0;
    char *list = arena_alloc(r->s->arena, (node->n + 1) * size);
    int rc = 0;

    if (list == NULL)
        return read_out_of_memory(r);
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next)
        if (read_record(r, o, one, list + size * n++) != 0)
            rc = -EINVAL;
    if (rc == 0)
        set_list(o, base, list, n);
    return rc;
}

int list_read(struct reader *r, const struct option *o, const struct yaml_node *node, void *base)
{
    int rc = list_check_length(r, o, node);

    if (rc != 0)
        return rc;
    switch (o->form) {
    case FORM_ADDRS:
        return read_addrs(r, o, node, base);
    case FORM_RECORDS:
        return read_records(r, o, node, base);
    case FORM_BOOL:
    case FORM_COUNT:
    case FORM_WORD:
    case FORM_DURATION:
    case FORM_MOMENT:
    case FORM_SIZE:
    case FORM_TEXT:
    case FORM_ZONE:
    case FORM_NET:
    case FORM_EMPTY: /* has passed with the length 0 */
        break;
    }
    return 0;
}

static void print_addrs(const struct addr *list, int n, FILE *f)
{
    char text[ADDR_TEXT];

    for (int i = 0; i < n; i++)
        fprintf(f, "%s\"%s\"", i > 0 ? ", " : "", addr_print_port(&list[i], text));
}

void record_print(const struct option *o, const void *record, FILE *f)
{
    const char *between = "{";

    for (const struct option *row = o->record->rows; row->key != NULL; row++) {
        fprintf(f, "%s%s: ", between, option_name(row));
        value_print(row, record, f);
        between = ", ";
    }
    fputc('}', f);
}

void list_print(const struct option *o, const void *base, FILE *f)
{
    const void *list =
        o->form != FORM_EMPTY ? *(const void *const *)option_field_const(o, base) : NULL;
    int n = o->form != FORM_EMPTY ? option_count(o, base) : 0;

    fputc('[', f);
    if (o->form == FORM_ADDRS)
        print_addrs(list, n, f);
    for (int i = 0; o->form == FORM_RECORDS && i < n; i++) {
        fputs(i > 0 ? ", " : "", f);
        record_print(o, (const char *)list + o->record->size * (size_t)i, f);
    }
    fputc(']', f);
}

int list_copy(const struct option *o, void *to, const void *from, struct arena *arena)
{
    const bool records = o->form == FORM_RECORDS;
    const size_t size = records ? o->record->size : sizeof(struct addr);
    const char *was;
    char *list;
    size_t n;

    if (o->form == FORM_EMPTY)
        return 0;
    was = *(const char *const *)option_field_const(o, from);
    n = (size_t)option_count(o, from);
    list = arena_alloc(arena, n * size);
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n * size; i += size) {
        memcpy(list + i, was + i, size);
        for (const struct option *row = records ? o->record->rows : NULL;
             row != NULL && row->key != NULL; row++)
            if (value_copy(row, list + i, was + i, arena) != 0)
                return -ENOMEM;
    }
    set_list(o, to, list, n);
    return 0;
}
