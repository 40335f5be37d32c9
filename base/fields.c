/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fields.c -- structs that people write, described by rows. What is printed must read back
 * the same: comparing two structs, and leaving out defaults, rest on it.
 */
#include "base/fields.h"

#include <errno.h>
#include <search.h>

#include "base/addr.h"

enum { WIDTH = 80 };

const char *field_name(const struct field *f)
{
    const char *dot = strchr(f->key, '.');

    return dot ? dot + 1 : f->key;
}

static bool is_key_of(const struct field *row, const struct field *map)
{
    size_t n = strcspn(row->key, ".");

    if (row->key[n] == '\0')
        return (map->flags & FIELD_SECTION) == 0;
    return strncmp(row->key, map->key, n) == 0 && map->key[n] == '\0';
}

const struct field *field_find(const struct field *map, const char *name)
{
    for (const struct field *row = map->rows; row->key; row++)
        if (strcmp(field_name(row), name) == 0 && is_key_of(row, map))
            return row;
    return NULL;
}

#define LOW(v, size)                                                                               \
    ((char *)&(v) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(v) - (size) : 0))

static uint64_t get_number(const void *from, size_t size)
{
    uint64_t v = 0;

    memcpy(LOW(v, size), from, size);
    return v;
}

static void set_number(void *to, size_t size, uint64_t v)
{
    memcpy(to, LOW(v, size), size);
}

static size_t count_of(const struct field *f, const void *base)
{
    return (size_t)get_number((const char *)base + f->count_at, f->count_size);
}

static const void *element_of(const struct field *f, const void *base, size_t i)
{
    const char *list = (const char *)base + f->at;

    if ((f->flags & FIELD_INLINE) == 0)
        list = *(const char *const *)(const void *)list;
    return list + i * f->element->size;
}

int form_problem_at(struct form *form, const struct yaml_node *node, bool at_key, const char *fmt,
                    ...)
{
    static const struct yaml_node nowhere;
    const struct yaml_node *at = node && !form->has_no_lines ? node : &nowhere;
    va_list args;

    form->problems++;
    form->rc = form->rc != 0 ? form->rc : -EINVAL;
    va_start(args, fmt);
    (void)diags_vadd(form->d, form->file, at_key ? at->key_line : at->line,
                     at_key ? at->key_column : at->column, fmt, args);
    va_end(args);
    return -EINVAL;
}

int form_no_memory(struct form *form)
{
    form->rc = -ENOMEM;
    diags_add(form->d, form->file, 0, 0, "out of memory");
    return -ENOMEM;
}

int form_wrong(struct form *form, const struct field *f, const struct yaml_node *node,
               const char *why)
{
    return form_problem(form, node, form->is_option ? "--%s \"%.300s\" %s" : "%s: \"%.300s\" %s",
                        f->key, node->text, why ? why : f->kind->wrong);
}

static int read_number(struct form *form, const struct field *f, const struct yaml_node *node,
                       void *to)
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT], range[2 * NUMBER_TEXT + 48];
    const struct unit *units = f->kind->units;
    uint64_t v;
    int rc = units_parse(&v, node->text, units);

    if (rc == -EINVAL)
        return form_wrong(form, f, node, NULL);
    if (rc == 0 && v >= f->min && v <= f->max) {
        set_number(to, f->size, v);
        return 0;
    }
    units_print(f->min, units, least);
    snprintf(range, sizeof range, "is out of range: %s to %s", least,
             units_print(f->max, units, most));
    if (f->min == f->max)
        snprintf(range, sizeof range, "is out of range: only %s works in this version", least);
    return form_wrong(form, f, node, range);
}

static int read_word(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    char list[512];
    struct str s;

    str_init(&s, list, sizeof list);
    for (size_t i = 0; f->words[i] && (f->max == 0 || i <= f->max - f->min); i++) {
        if (strcmp(f->words[i], node->text) == 0) {
            set_number(to, f->size, f->min + i);
            return 0;
        }
        str_addf(&s, "%s%s", i == 0 ? "is none of " : ", ", f->words[i]);
    }
    return form_wrong(form, f, node, list);
}

static int read_value(struct form *form, const struct field *f, const struct yaml_node *node,
                      void *to)
{
    const char *why = NULL, *copy;
    char longer[48];

    if (f->kind == &kind_bool)
        return bool_parse(to, node->text) == 0 ? 0 : form_wrong(form, f, node, NULL);
    if (f->kind == &kind_prefix) {
        why = prefix_parse(to, node->text);
        return why == NULL ? 0 : form_wrong(form, f, node, why);
    }
    snprintf(longer, sizeof longer, "has more than %u characters", (unsigned)f->max);
    why = strlen(node->text) > f->max ? longer : f->check(node->text);
    for (const char *p = node->text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            why = "must not have control characters";
    if (why)
        return form_wrong(form, f, node, why);
    if ((copy = arena_strdup(form->arena, node->text)) == NULL)
        return form_no_memory(form);
    *(const char **)to = copy;
    return 0;
}

static void print_value(const struct field *f, const void *from, FILE *out)
{
    char text[PREFIX_TEXT]; /* which is longer than a number */

    if (f->kind == &kind_bool)
        fputs(*(const bool *)from ? "yes" : "no", out);
    else if (f->kind == &kind_word)
        fputs(f->words[get_number(from, f->size) - f->min], out);
    else if (f->kind == &kind_prefix)
        yaml_print(out, prefix_print(from, text));
    else if (f->kind == &kind_text)
        yaml_print(out, *(const char *const *)from);
    else
        fputs(units_print(get_number(from, f->size), f->kind->units, text), out);
}

/* clang-format off */
const struct field_kind
    kind_bool = {read_value, print_value, "is not yes or no", NULL, false},
    kind_text = {read_value, print_value, NULL, NULL, false},
    kind_prefix = {read_value, print_value, NULL, NULL, false},
    kind_word = {read_word, print_value, NULL, NULL, false},
    kind_count = {read_number, print_value, "is not a number", unit_one, false},
    kind_size = {read_number, print_value, "is not a size like 64K, 64M, 1G", unit_size, false},
    kind_duration = {read_number, print_value, "is not a duration like 300ms, 10s, 5m, 2h, 90d",
                     unit_time, false},
    kind_seconds = {read_number, print_value, "is not a duration in whole seconds like 300s, 5m, 1h",
                    unit_seconds, false};
/* clang-format on */

static int check_shape(struct form *form, const struct field *f, const struct yaml_node *node)
{
    if (f->rows != NULL || (f->flags & FIELD_NAMED) != 0)
        return node->kind == YAML_MAP
                   ? 0
                   : form_problem(form, node, "%s%s must be a mapping (key: value)",
                                  f->size > 0 ? "an element of " : "", f->key);
    if (field_is_empty(node))
        return form_problem_key(form, node, "%s has no value%s", f->key,
                                f->element              ? "; write [] for an empty list"
                                : f->kind == &kind_text ? "; write \"\" for an empty text"
                                                        : "");
    if (f->element == NULL)
        return node->kind == YAML_SCALAR ? 0
                                         : form_problem(form, node, "%s must be one value", f->key);
    if (node->kind == YAML_MAP || (node->kind == YAML_SCALAR && (f->flags & FIELD_LIST) != 0))
        return form_problem(form, node, "%s must be a list: [a, b]", f->key);
    if (node->kind == YAML_LIST && node->n < f->min)
        return form_problem(form, node, "%s is empty; write at least one", f->key);
    if (node->kind == YAML_LIST && f->max > 0 && node->n > f->max)
        return form_problem(form, node, "%s has %zu elements; at most %u are allowed", f->key,
                            node->n, (unsigned)f->max);
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* A node that is no list is a list of one. A list is built aside and, when it is the arena's, put
 * into its field only when every element was read: then it and the node that it came from have the
 * same elements in the same order. A list from malloc always gets its owner. */
static int read_list(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *base)
{
    bool many = node->kind == YAML_LIST || (f->flags & FIELD_NAMED) != 0;
    const struct yaml_node *one = many ? node->first : node;
    size_t all = many ? node->n : 1, n = 0;
    struct field e = *f->element;
    char *list = (f->flags & FIELD_INLINE) != 0 ? (char *)base + f->at
                 : form->arena                  ? arena_alloc(form->arena, (all + 1) * e.size)
                                                : calloc(all + 1, e.size);
    void *seen = NULL; /* what the elements print, or their first keys */
    int rc = 0;

    if (list == NULL)
        return form_no_memory(form);
    e.key = e.key ? e.key : f->key;
    for (; all > 0; all--, one = one->next) {
        char *text = NULL, **known = &text;

        if (field_read(form, &e, one, list + n * e.size) != 0) {
            rc = -EINVAL;
            continue;
        }
        if ((e.flags & FIELD_UNIQUE) != 0)
            text = field_text_of(e.rows ? e.rows : &e, list + n * e.size);
        if (text && (known = tsearch(text, &seen, compare_texts)) == NULL)
            free(text);
        if (known && *known != text) {
            free(text);
            rc = form_problem(form, one, "%s: %s is listed twice", f->key,
                              e.rows == NULL ? one->text : yaml_get(one, field_name(e.rows))->text);
        } else
            n++;
    }
    tdestroy(seen, free);
    if (rc != 0 && form->arena)
        return rc;
    if ((f->flags & FIELD_INLINE) == 0)
        *(void **)((char *)base + f->at) = list;
    set_number((char *)base + f->count_at, f->count_size, n);
    return rc;
}

static int read_map(struct form *form, const struct field *f, const struct yaml_node *node,
                    void *base)
{
    int rc = 0;

    for (const struct yaml_node *one = node->first; one; one = one->next) {
        char meant[DIAG_MEANT] = "";
        unsigned best = 0;

        if (field_find(f, one->key))
            continue;
        for (const struct field *row = f->rows; row->key; row++)
            if (is_key_of(row, f))
                diag_nearer(one->key, field_name(row), &best, meant);
        rc = form_problem_key(form, one, "unknown key \"%s\" in %s%s", one->key, f->key, meant);
    }
    for (const struct field *row = f->rows; row->key; row++) {
        const struct yaml_node *one = yaml_get(node, field_name(row));

        if (!is_key_of(row, f))
            continue;
        if (one)
            rc = field_read(form, row, one, base) != 0 ? -EINVAL : rc;
        else if (row->fallback == NULL && row->computed == NULL)
            rc =
                form_problem_key(form, node, "%s needs %s: %s", f->key, field_name(row), row->help);
        else if ((f->flags & FIELD_DEFAULTS) != 0 &&
                 field_read_text(form, row, row->fallback, base) != 0)
            rc = -EINVAL;
    }
    return rc;
}

int field_read(struct form *form, const struct field *f, const struct yaml_node *node, void *base)
{
    void *field = (char *)base + f->at;

    if ((f->flags & FIELD_EMPTY) != 0 && field_is_empty(node))
        return 0;
    if (f->kind && f->kind->whole)
        return f->kind->read(form, f, node, field);
    if (check_shape(form, f, node) != 0)
        return -EINVAL;
    return f->kind   ? f->kind->read(form, f, node, field)
           : f->rows ? read_map(form, f, node, field)
                     : read_list(form, f, node, base);
}

int field_read_text(struct form *form, const struct field *f, const char *text, void *base)
{
    const struct yaml_node *node;
    int rc = yaml_read(&node, form->arena, NULL, text, strlen(text), NULL);

    if (rc == -EINVAL)
        return form_wrong(form, f, &(struct yaml_node){.text = text},
                          "is not YAML: check its quotes and brackets");
    return rc == 0 ? field_read(form, f, node, base) : form_no_memory(form);
}

void field_print(const struct field *f, const void *base, FILE *out)
{
    const void *field = (const char *)base + f->at;
    const char *between = f->element ? "[" : "{";

    if (f->kind) {
        f->kind->print(f, field, out);
        return;
    }
    for (size_t i = 0; f->element && i < count_of(f, base); i++) {
        fputs(between, out);
        field_print(f->element, element_of(f, base, i), out);
        between = ", ";
    }
    for (const struct field *row = f->rows; row && row->key; row++) {
        if ((f->flags & FIELD_BRIEF) != 0 && field_is_default(row, field))
            continue;
        fprintf(out, "%s%s: ", between, field_name(row));
        field_print(row, field, out);
        between = ", ";
    }
    fprintf(out, "%s%s", between[0] == ',' ? "" : between, f->element ? "]" : "}");
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

bool field_is_default(const struct field *f, const void *base)
{
    char *text = field_text_of(f, base);
    bool same = text && f->fallback && strcmp(text, f->fallback) == 0;

    free(text);
    return same;
}

void field_write(FILE *f, int indent, const char *key, const struct field *row, const void *base)
{
    const struct field *e = row->element;
    size_t n = e ? count_of(row, base) : 0;
    bool in_lines =
        n > WIDTH || (n > 0 && (e->rows != NULL || (e->kind != NULL && e->kind->whole)));
    char *line = in_lines ? NULL : field_text_of(row, base);

    fprintf(f, "%*s%s:", indent, "", key);
    if (line && (e == NULL || n == 0 || (size_t)indent + strlen(key) + 2 + strlen(line) <= WIDTH)) {
        fprintf(f, " %s", line);
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "\n%*s- ", indent + 2, "");
        field_print(e, element_of(row, base, i), f);
    }
    fputc('\n', f);
    free(line);
}
