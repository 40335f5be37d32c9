/* SPDX-License-Identifier: BSD-2-Clause
 *
 * value.c -- one value: from its text into its field, and back.
 *
 * Reading and printing stand side by side, because what is printed must read
 * back the same: --print-config and the comparison of two generations rest on
 * it.
 */
#include "settings/value.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"

static const char text_of_unit[][40] = {
    [FORM_BOOL] = "yes or no",
    [FORM_COUNT] = "a number",
    [FORM_DURATION] = "a duration like 300ms, 10s, 5m, 2h, 90d",
    [FORM_MOMENT] = "a duration like 300ms, 10s, 5m, 2h, 90d",
    [FORM_SIZE] = "a size like 64K, 64M, 1G",
};

const char *value_number(const struct option *o, uint64_t v, char out[NUMBER_TEXT])
{
    if (o->form == FORM_SIZE)
        return size_print(v, out);
    if (o->form == FORM_DURATION || o->form == FORM_MOMENT)
        return duration_print(v, out);
    snprintf(out, NUMBER_TEXT, "%" PRIu64, v);
    return out;
}

static int read_number(struct reader *r, const struct option *o, const struct yaml_node *node,
                       uint64_t *v)
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT];
    int rc = o->form == FORM_COUNT  ? number_parse(v, node->text, UINT64_MAX)
             : o->form == FORM_SIZE ? size_parse(v, node->text)
                                    : duration_parse(v, node->text);

    if (rc == -EINVAL)
        return read_problem(r, node, "%s: \"%s\" is not %s", o->key, node->text,
                            text_of_unit[o->form]);
    if (rc == 0 && *v >= o->min && *v <= o->max)
        return 0;
    if (o->max == 0)
        return read_problem(r, node, "%s: only 0 works in this version", o->key);
    return read_problem(r, node, "%s: %s is out of range: %s to %s", o->key, node->text,
                        value_number(o, o->min, least), value_number(o, o->max, most));
}

/* "a, b or c": the words that may be used. */
static void add_words(struct str *s, const struct option_word *words)
{
    const struct option_word *last = NULL;
    bool first = true;

    for (const struct option_word *w = words; w->text != NULL; w++)
        if (!w->later)
            last = w;
    for (const struct option_word *w = words; w->text != NULL; w++) {
        if (w->later)
            continue;
        str_add(s, first ? "" : w == last ? " or " : ", ");
        str_add(s, w->text);
        first = false;
    }
}

static int read_word(struct reader *r, const struct option *o, const struct yaml_node *node,
                     uint32_t *out)
{
    const char *list[16] = {NULL}, *near;
    char buf[120];
    struct str s;
    size_t n = 0;

    str_init(&s, buf, sizeof buf);
    add_words(&s, o->words);
    for (const struct option_word *w = o->words; w->text != NULL; w++) {
        if (strcmp(w->text, node->text) == 0) {
            if (w->later)
                return read_problem(r, node, "%s %s is not in this version; use %s", option_name(o),
                                    w->text, buf);
            *out = w->value;
            return 0;
        }
        if (n < 15 && !w->later)
            list[n++] = w->text;
    }
    near = diag_nearest(node->text, list);
    if (near != NULL)
        return read_problem(r, node, "%s: unknown word \"%s\"; did you mean \"%s\"?", o->key,
                            node->text, near);
    return read_problem(r, node, "%s: unknown word \"%s\"; use %s", o->key, node->text, buf);
}

static int read_text(struct reader *r, const struct option *o, const struct yaml_node *node,
                     const char **out)
{
    const char *why = o->wrong(node->text);

    for (const char *p = node->text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            why = "must not have control characters";
    if (why != NULL)
        return read_problem(r, node, "%s: \"%s\" %s", o->key, node->text, why);
    why = arena_strdup(r->s->arena, node->text);
    if (why == NULL)
        return read_out_of_memory(r);
    *out = why;
    return 0;
}

static int read_zone(struct reader *r, const struct option *o, const struct yaml_node *node,
                     struct name *out)
{
    struct name zone = {0};

    if (name_parse(&zone, node->text) != 0)
        return read_problem(r, node, "%s: \"%s\" is not a domain name", o->key, node->text);
    if (zone.len > 2 && zone.at[0] == 1 && zone.at[1] == '*')
        return read_problem(r, node, "%s: write the zone without *: it covers all names below it",
                            o->key);
    name_fold(&zone);
    *out = zone;
    return 0;
}

static int read_net(struct reader *r, const struct option *o, const struct yaml_node *node,
                    struct prefix *out)
{
    int rc = prefix_parse(out, node->text);

    if (rc == -ERANGE)
        return read_problem(r, node,
                            "%s: %s has bits behind its length; write the net's first "
                            "address",
                            o->key, node->text);
    if (rc != 0)
        return read_problem(r, node, "%s: \"%s\" is not an address or a net like 10.0.0.0/8",
                            o->key, node->text);
    return 0;
}

static int read_scalar(struct reader *r, const struct option *o, const struct yaml_node *node,
                       void *field)
{
    uint64_t v = 0;
    int rc;

    switch (o->form) {
    case FORM_BOOL:
        if (bool_parse(field, node->text) != 0)
            return read_problem(r, node, "%s: \"%s\" is not %s", o->key, node->text,
                                text_of_unit[o->form]);
        return 0;
    case FORM_COUNT:
    case FORM_MOMENT:
        if ((rc = read_number(r, o, node, &v)) == 0)
            *(uint32_t *)field = (uint32_t)v;
        return rc;
    case FORM_DURATION:
    case FORM_SIZE:
        if ((rc = read_number(r, o, node, &v)) == 0)
            *(uint64_t *)field = v;
        return rc;
    case FORM_WORD:
        return read_word(r, o, node, field);
    case FORM_TEXT:
        return read_text(r, o, node, field);
    case FORM_ZONE:
        return read_zone(r, o, node, field);
    case FORM_NET:
        return read_net(r, o, node, field);
    case FORM_ADDRS:
    case FORM_RECORDS:
    case FORM_EMPTY:
        break; /* value_read() has taken these */
    }
    return -EINVAL;
}

int value_read(struct reader *r, const struct option *o, const struct yaml_node *node, void *base)
{
    bool list = o->form == FORM_ADDRS || o->form == FORM_RECORDS || o->form == FORM_EMPTY;

    if (node->kind == YAML_SCALAR && node->text[0] == '\0' && !node->quoted)
        return read_problem_key(r, node, "%s has no value; %s", o->key,
                                list                   ? "write [] for an empty list"
                                : o->form == FORM_TEXT ? "write \"\" for an empty text"
                                                       : "leave the line out for the default");
    if (list)
        return list_read(r, o, node, base);
    if (node->kind != YAML_SCALAR)
        return read_problem(r, node, "%s takes one value, not a %s", o->key,
                            node->kind == YAML_LIST ? "list" : "mapping");
    return read_scalar(r, o, node, option_field(o, base));
}

static void print_text(const char *text, FILE *f)
{
    char quoted[6 * NAME_TEXT];
    struct str s;

    str_init(&s, quoted, sizeof quoted);
    yaml_quote(&s, text);
    fputs(quoted, f);
}

static void print_word(const struct option *o, uint32_t value, FILE *f)
{
    for (const struct option_word *w = o->words; w->text != NULL; w++)
        if (w->value == value)
            fputs(w->text, f);
}

void value_print(const struct option *o, const void *base, FILE *f)
{
    const void *field = option_field_const(o, base);
    char number[NUMBER_TEXT], net[PREFIX_TEXT], name[NAME_TEXT];

    switch (o->form) {
    case FORM_BOOL:
        fputs(*(const bool *)field ? "yes" : "no", f);
        return;
    case FORM_COUNT:
    case FORM_MOMENT:
        fputs(value_number(o, *(const uint32_t *)field, number), f);
        return;
    case FORM_DURATION:
    case FORM_SIZE:
        fputs(value_number(o, *(const uint64_t *)field, number), f);
        return;
    case FORM_WORD:
        print_word(o, *(const uint32_t *)field, f);
        return;
    case FORM_TEXT:
        print_text(*(const char *const *)field, f);
        return;
    case FORM_ZONE:
        print_text(name_print(field, name), f);
        return;
    case FORM_NET:
        print_text(prefix_print(field, net), f);
        return;
    case FORM_ADDRS:
    case FORM_RECORDS:
    case FORM_EMPTY:
        list_print(o, base, f);
        return;
    }
}

int value_copy(const struct option *o, void *to, const void *from, struct arena *arena)
{
    void *field = option_field(o, to);
    const void *was = option_field_const(o, from);
    const char *text;

    switch (o->form) {
    case FORM_BOOL:
        *(bool *)field = *(const bool *)was;
        return 0;
    case FORM_COUNT:
    case FORM_MOMENT:
    case FORM_WORD:
        *(uint32_t *)field = *(const uint32_t *)was;
        return 0;
    case FORM_DURATION:
    case FORM_SIZE:
        *(uint64_t *)field = *(const uint64_t *)was;
        return 0;
    case FORM_TEXT:
        text = arena_strdup(arena, *(const char *const *)was);
        if (text == NULL)
            return -ENOMEM;
        *(const char **)field = text;
        return 0;
    case FORM_ZONE:
        *(struct name *)field = *(const struct name *)was;
        return 0;
    case FORM_NET:
        *(struct prefix *)field = *(const struct prefix *)was;
        return 0;
    case FORM_ADDRS:
    case FORM_RECORDS:
    case FORM_EMPTY:
        return list_copy(o, to, from, arena);
    }
    return 0;
}
