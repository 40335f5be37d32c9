/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fields.c -- structs that people write, described by rows.
 *
 * A kind's reader and printer stand side by side, because what is printed must
 * read back the same: comparing two structs, and leaving out defaults, rest on
 * it.
 */
#include "base/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

enum { WORDS = 16 };

/* ---- rows ---- */

const char *field_name(const struct field *f)
{
    const char *dot = strchr(f->key, '.');

    return dot != NULL ? dot + 1 : f->key;
}

bool field_is_in(const struct field *f, const char *section)
{
    size_t n = strlen(section);

    return strncmp(f->key, section, n) == 0 && f->key[n] == '.';
}

const struct field *field_find(const struct field *rows, const char *section, const char *name)
{
    for (; rows->key != NULL; rows++)
        if (section == NULL ? strcmp(rows->key, name) == 0
                            : field_is_in(rows, section) && strcmp(field_name(rows), name) == 0)
            return rows;
    return NULL;
}

const char *field_nearest(const struct field *rows, const char *section, const char *word)
{
    const char *found = NULL;

    for (; rows->key != NULL; rows++) {
        const char *name = section == NULL ? rows->key : field_name(rows);
        const char *const two[] = {found != NULL ? found : name, name, NULL};

        if (section == NULL || field_is_in(rows, section))
            found = diag_nearest(word, two);
    }
    return found;
}

static uint64_t get_number(const void *from, size_t size)
{
    return size == sizeof(uint8_t)    ? *(const uint8_t *)from
           : size == sizeof(uint16_t) ? *(const uint16_t *)from
           : size == sizeof(uint32_t) ? *(const uint32_t *)from
                                      : *(const uint64_t *)from;
}

static void set_number(void *to, size_t size, uint64_t v)
{
    if (size == sizeof(uint8_t))
        *(uint8_t *)to = (uint8_t)v;
    else if (size == sizeof(uint16_t))
        *(uint16_t *)to = (uint16_t)v;
    else if (size == sizeof(uint32_t))
        *(uint32_t *)to = (uint32_t)v;
    else
        *(uint64_t *)to = v;
}

size_t field_count_of(const struct field *f, const void *base)
{
    if (f->count_size == 0)
        return 0;
    return (size_t)get_number((const char *)base + f->count_at, f->count_size);
}

const void *field_element(const struct field *f, const void *base, size_t i)
{
    const char *list = (const char *)base + f->at;

    if ((f->flags & FIELD_INLINE) == 0)
        list = *(const char *const *)(const void *)list;
    return list + i * f->element->size;
}

/* ---- problems ---- */

int form_problem_at(struct form *form, const struct yaml_node *node, bool at_key, const char *fmt,
                    ...)
{
    unsigned line = node == NULL ? 0 : at_key ? node->key_line : node->line;
    unsigned column = node == NULL ? 0 : at_key ? node->key_column : node->column;
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    form->problems++;
    if (form->rc == 0)
        form->rc = -EINVAL;
    if (form->assign != NULL)
        diags_add(form->d, "-o", 0, 0, "%s: %s", form->assign, text != NULL ? text : "");
    else
        diags_add(form->d, form->file, line, column, "%s", text != NULL ? text : "out of memory");
    free(text);
    return -EINVAL;
}

int form_no_memory(struct form *form)
{
    form->rc = -ENOMEM;
    diags_add(form->d, form->file, 0, 0, "out of memory");
    return -ENOMEM;
}

int form_wrong(struct form *form, const struct field *f, const struct yaml_node *node,
               const char *words, const char *why)
{
    char *text = NULL;
    size_t len;
    FILE *out;
    int rc;

    if (form->style == NULL)
        return form_problem(form, node, "--%s \"%s\" %s", f->key, node->text, f->refused);
    if ((out = open_memstream(&text, &len)) == NULL)
        return form_no_memory(form);
    words = words != NULL ? words : f->wrong != NULL ? f->wrong : f->kind->wrong;
    for (const char *p = words; *p != '\0'; p++) {
        if (*p != '%')
            fputc(*p, out);
        else if (*++p == 'k')
            fputs(f->key, out);
        else
            fputs(*p == 't' ? node->text : why, out);
    }
    rc = fclose(out) == 0 ? form_problem(form, node, "%s", text) : form_no_memory(form);
    free(text);
    return rc;
}

/* ---- kinds ---- */

static int read_bool(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    return bool_parse(to, node->text) == 0 ? 0 : form_wrong(form, f, node, NULL, NULL);
}

static void print_bool(const struct field *f, const void *from, struct str *s)
{
    (void)f;
    str_add(s, *(const bool *)from ? "yes" : "no");
}

const struct field_kind kind_bool = {read_bool, print_bool, "%k: \"%t\" is not yes or no", false};

const char *field_in_unit(const struct field *f, uint64_t v, char out[NUMBER_TEXT])
{
    if (f->kind == &kind_size)
        return size_print(v, out);
    if (f->kind == &kind_duration)
        return duration_print(v, out);
    snprintf(out, NUMBER_TEXT, "%" PRIu64, v);
    return out;
}

static int read_number(struct form *form, const struct field *f, const struct yaml_node *node,
                       void *to)
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT], range[2 * NUMBER_TEXT + 8];
    uint64_t v;
    int rc = f->kind == &kind_count  ? number_parse(&v, node->text, UINT64_MAX)
             : f->kind == &kind_size ? size_parse(&v, node->text)
                                     : duration_parse(&v, node->text);

    if (rc == 0 && v >= f->min && v <= f->max) {
        set_number(to, f->size, v);
        return 0;
    }
    if (rc == -EINVAL || f->wrong != NULL)
        return form_wrong(form, f, node, NULL, NULL);
    if (f->max == 0)
        return form_problem(form, node, "%s: only 0 works in this version", f->key);
    snprintf(range, sizeof range, "%s to %s", field_in_unit(f, f->min, least),
             field_in_unit(f, f->max, most));
    return form_wrong(form, f, node, "%k: %t is out of range: %w", range);
}

static void print_number(const struct field *f, const void *from, struct str *s)
{
    char text[NUMBER_TEXT];

    str_add(s, field_in_unit(f, get_number(from, f->size), text));
}

#define DURATIONS "%k: \"%t\" is not a duration like 300ms, 10s, 5m, 2h, 90d"
const struct field_kind kind_count = {read_number, print_number, "%k: \"%t\" is not a number",
                                      false};
const struct field_kind kind_duration = {read_number, print_number, DURATIONS, false};
const struct field_kind kind_size = {read_number, print_number,
                                     "%k: \"%t\" is not a size like 64K, 64M, 1G", false};

static int read_word(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    const char *usable[WORDS + 1], *near;
    size_t i = 0, n;
    char list[256];
    struct str s;

    while (f->words[i] != NULL && strcmp(f->words[i], node->text) != 0)
        i++;
    for (n = i; f->words[n] != NULL; n++)
        ;
    n = f->max > 0 ? f->max - f->min + 1 : n - f->later;
    if (i < n) {
        set_number(to, f->size, f->min + i);
        return 0;
    }
    if (form->style == NULL)
        return form_wrong(form, f, node, NULL, NULL);
    str_init(&s, list, sizeof list);
    for (size_t k = 0; k < n; k++) {
        usable[k] = f->words[k];
        str_addf(&s, "%s%s", k == 0 ? "" : k + 1 == n ? form->style->last : ", ", usable[k]);
    }
    usable[n] = NULL;
    if (f->words[i] != NULL && f->later > 0)
        return form_problem(form, node, "%s %s is not in this version; use %s", field_name(f),
                            node->text, list);
    near = diag_nearest(node->text, usable);
    return form_wrong(form, f, node, near != NULL ? form->style->near : form->style->other,
                      near != NULL ? near : list);
}

static void print_word(const struct field *f, const void *from, struct str *s)
{
    str_add(s, f->words[get_number(from, f->size) - f->min]);
}

const struct field_kind kind_word = {read_word, print_word, NULL, false};

static int read_text(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    const char *why = f->check(node->text), *copy;

    for (const char *p = node->text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            why = "must not have control characters";
    if (why != NULL)
        return form_wrong(form, f, node, NULL, why);
    if ((copy = arena_strdup(form->arena, node->text)) == NULL)
        return form_no_memory(form);
    *(const char **)to = copy;
    return 0;
}

static void print_text(const struct field *f, const void *from, struct str *s)
{
    (void)f;
    yaml_quote(s, *(const char *const *)from);
}

const struct field_kind kind_text = {read_text, print_text, "%k: \"%t\" %w", false};

static int read_prefix(struct form *form, const struct field *f, const struct yaml_node *node,
                       void *to)
{
    int rc = prefix_parse(to, node->text);

    return rc == 0 ? 0
                   : form_wrong(form, f, node, rc == -ERANGE ? form->style->host_bits : NULL, NULL);
}

static void print_prefix(const struct field *f, const void *from, struct str *s)
{
    char text[PREFIX_TEXT];

    (void)f;
    yaml_quote(s, prefix_print(from, text));
}

const struct field_kind kind_prefix = {
    read_prefix, print_prefix, "%k: \"%t\" is not an address or a net like 10.0.0.0/8", false};

/* ---- lists and mappings ---- */

static void print_one(const struct field *f, const void *from, char out[FIELD_TEXT])
{
    struct str s;

    str_init(&s, out, FIELD_TEXT);
    f->kind->print(f, from, &s);
}

/* A node that is no list is a list of one. A list is built aside and, when it is the
 * arena's, put into its field only when every element was read: then it and the node
 * that it came from have the same elements in the same order. A list from malloc
 * always gets its owner. */
static int read_list(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *base)
{
    bool many = node->kind == YAML_LIST || (f->flags & FIELD_NAMED) != 0;
    const struct yaml_node *one = many ? node->first : node;
    size_t all = many ? node->n : 1, n = 0;
    struct field e = *f->element;
    char *list = (f->flags & FIELD_INLINE) != 0 ? (char *)base + f->at
                 : form->arena != NULL          ? arena_alloc(form->arena, (all + 1) * e.size)
                                                : calloc(all + 1, e.size);
    int rc = 0;

    if (list == NULL)
        return form_no_memory(form);
    e.key = e.key != NULL ? e.key : f->key;
    for (; all > 0; all--, one = one->next) {
        char text[FIELD_TEXT], other[FIELD_TEXT];
        bool is_double = false;

        if (field_read(form, &e, one, list + n * e.size) != 0) {
            rc = -EINVAL;
            continue;
        }
        if ((e.flags & FIELD_UNIQUE) != 0)
            print_one(&e, list + n * e.size, text);
        for (size_t i = 0; (e.flags & FIELD_UNIQUE) != 0 && i < n && !is_double; i++) {
            print_one(&e, list + i * e.size, other);
            is_double = strcmp(text, other) == 0;
        }
        if (is_double)
            rc = form_problem(form, one, "%s: %s is listed twice", f->key, one->text);
        else
            n++;
    }
    if (f->count_size != 0 && (rc == 0 || form->arena == NULL)) {
        if ((f->flags & FIELD_INLINE) == 0)
            *(void **)((char *)base + f->at) = list;
        set_number((char *)base + f->count_at, f->count_size, n);
    }
    return rc;
}

static int read_map(struct form *form, const struct field *f, const struct yaml_node *node,
                    void *base)
{
    int rc = 0;

    for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
        const struct field *row = f->rows;

        while (row->key != NULL && strcmp(field_name(row), one->key) != 0)
            row++;
        if (row->key == NULL)
            rc = form->style->unknown(form, f->rows, f->key, one);
    }
    for (const struct field *row = f->rows; row->key != NULL; row++) {
        const char *name = field_name(row);
        const struct yaml_node plain = {.kind = YAML_SCALAR, .text = row->fallback};
        const struct yaml_node *one = yaml_get(node, name);

        if (one == NULL && row->missing != NULL)
            rc = form_problem(form, node, "%s", row->missing);
        else if (one == NULL && row->fallback == NULL)
            rc = form_problem(form, node, "%s: an element has no %s; %s is %s", f->key, name, name,
                              row->help);
        else if ((one != NULL || form->style->defaults) &&
                 field_read(form, row, one != NULL ? one : &plain, base) != 0)
            rc = -EINVAL;
    }
    return rc;
}

int field_read(struct form *form, const struct field *f, const struct yaml_node *node, void *base)
{
    void *field = (char *)base + f->at;
    int rc = 0;

    if ((f->flags & FIELD_EMPTY) != 0 && field_is_empty(node))
        return 0;
    if (f->kind != NULL && f->kind->whole)
        return f->kind->read(form, f, node, field);
    if (form->style != NULL && (rc = form->style->check(form, f, node)) != 0)
        return rc;
    return f->element != NULL ? read_list(form, f, node, base)
           : f->rows != NULL  ? read_map(form, f, node, field)
                              : f->kind->read(form, f, node, field);
}

void field_print(const struct field *f, const void *base, FILE *out)
{
    const void *field = (const char *)base + f->at;
    char text[FIELD_TEXT];

    if (f->element != NULL) {
        for (size_t i = 0; i < field_count_of(f, base); i++) {
            fputs(i == 0 ? "[" : ", ", out);
            field_print(f->element, field_element(f, base, i), out);
        }
        fputs(field_count_of(f, base) == 0 ? "[]" : "]", out);
    } else if (f->rows != NULL) {
        for (const struct field *row = f->rows; row->key != NULL; row++) {
            if ((f->flags & FIELD_BRIEF) != 0 && field_is_default(row, field))
                continue;
            fprintf(out, "%s%s: ", row == f->rows ? "{" : ", ", field_name(row));
            field_print(row, field, out);
        }
        fputc('}', out);
    } else {
        print_one(f, field, text);
        fputs(text, out);
    }
}

char *field_text_of(const struct field *f, const void *base)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return NULL;
    field_print(f, base, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

int field_copy(const struct field *f, void *to, const void *from, struct arena *arena)
{
    size_t n = f->element != NULL ? field_count_of(f, from) : 0;
    const char **text = (const char **)(void *)((char *)to + f->at);
    char *list;

    if (f->element == NULL) {
        memcpy((char *)to + f->at, (const char *)from + f->at, f->size);
        if (f->kind == &kind_text && (*text = arena_strdup(arena, *text)) == NULL)
            return -ENOMEM;
        return 0;
    }
    if (f->count_size == 0)
        return 0;
    if (field_element(f, from, 0) == NULL) { /* not given, which is not an empty list */
        memset((char *)to + f->at, 0, sizeof(void *));
        set_number((char *)to + f->count_at, f->count_size, 0);
        return 0;
    }
    list = arena_alloc(arena, (n + 1) * f->element->size);
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        char *one = list + i * f->element->size;

        memcpy(one, field_element(f, from, i), f->element->size);
        for (const struct field *row = f->element->rows; row != NULL && row->key != NULL; row++)
            if (field_copy(row, one, field_element(f, from, i), arena) != 0)
                return -ENOMEM;
    }
    *(void **)((char *)to + f->at) = list;
    set_number((char *)to + f->count_at, f->count_size, n);
    return 0;
}

bool field_is_default(const struct field *f, const void *base)
{
    char *text = field_text_of(f, base);
    bool same = text != NULL && f->fallback != NULL && strcmp(text, f->fallback) == 0;

    free(text);
    return same;
}
