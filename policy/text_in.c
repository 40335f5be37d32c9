/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_in.c -- reading values out of YAML nodes, with problems that say where
 * and what was perhaps meant.
 */
#include "policy/text_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"

static void bad_at(struct text_in *, unsigned line, unsigned column, const char *fmt, va_list)
    PRINTF_LIKE(4, 0);
static void bad_at(struct text_in *in, unsigned line, unsigned column, const char *fmt,
                   va_list args)
{
    char text[1024];
    struct str s;
    int n = vsnprintf(text, sizeof text, fmt, args);
    char clean[2048];

    /* What is quoted from the file may hold anything. */
    str_init(&s, clean, sizeof clean);
    for (int i = 0; i < n && i < (int)sizeof text - 1; i++)
        str_add_bytes(&s, (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? "?" : &text[i], 1);
    diags_add(in->d, in->file, line, column, "%s", clean);
    in->bad = true;
}

void text_bad(struct text_in *in, const struct yaml_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    bad_at(in, node->line, node->column, fmt, args);
    va_end(args);
}

struct policy_place text_key_place(const struct yaml_node *node)
{
    if (node->key != NULL)
        return (struct policy_place){node->key_line, node->key_column};
    return (struct policy_place){node->line, node->column};
}

void text_bad_key(struct text_in *in, const struct yaml_node *node, const char *fmt, ...)
{
    struct policy_place at = text_key_place(node);
    va_list args;

    va_start(args, fmt);
    bad_at(in, at.line, at.column, fmt, args);
    va_end(args);
}

bool text_map(struct text_in *in, const struct yaml_node *node, const char *what,
              const char *const *keys)
{
    if (node->kind != YAML_MAP) {
        text_bad(in, node, "%s must be a mapping (key: value)", what);
        return false;
    }
    for (const struct yaml_node *k = node->first; keys != NULL && k != NULL; k = k->next) {
        const char *near;

        if (policy_lookup(keys, k->key) >= 0)
            continue;
        near = diag_nearest(k->key, keys);
        if (near != NULL)
            text_bad_key(in, k, "unknown key \"%s\" in %s; did you mean \"%s\"?", k->key, what,
                         near);
        else
            text_bad_key(in, k, "unknown key \"%s\" in %s", k->key, what);
    }
    return true;
}

const char *text_scalar(struct text_in *in, const struct yaml_node *node, const char *what)
{
    if (node->kind != YAML_SCALAR) {
        text_bad(in, node, "%s must be one value", what);
        return NULL;
    }
    if (node->text[0] == '\0' && !node->quoted) {
        text_bad_key(in, node, "%s has no value", what);
        return NULL;
    }
    return node->text;
}

size_t text_list(struct text_in *in, const struct yaml_node *node, const char *what,
                 const struct yaml_node **first)
{
    *first = NULL;
    if (node->kind == YAML_SCALAR) {
        *first = node;
        return text_scalar(in, node, what) != NULL ? 1 : 0;
    }
    if (node->kind == YAML_MAP) {
        text_bad(in, node, "%s must be a list: [a, b]", what);
        return 0;
    }
    for (const struct yaml_node *k = node->first; k != NULL; k = k->next)
        if (text_scalar(in, k, what) == NULL)
            return 0;
    *first = node->first;
    return node->n;
}

int text_word(struct text_in *in, const struct yaml_node *node, const char *what,
              const char *const *names)
{
    const char *text = text_scalar(in, node, what), *near;
    char all[256];
    struct str s;
    int i;

    if (text == NULL)
        return -1;
    i = policy_lookup(names, text);
    if (i >= 0)
        return i;
    str_init(&s, all, sizeof all);
    for (int k = 0; names[k] != NULL; k++)
        str_addf(&s, "%s%s", k > 0 ? ", " : "", names[k]);
    near = diag_nearest(text, names);
    if (near != NULL)
        text_bad(in, node, "%s cannot be \"%s\"; did you mean \"%s\"?", what, text, near);
    else
        text_bad(in, node, "%s cannot be \"%s\"; it is one of %s", what, text, all);
    return -1;
}

bool text_bool(struct text_in *in, const struct yaml_node *node, const char *what, bool fallback)
{
    const char *text = text_scalar(in, node, what);
    bool v = fallback;

    if (text != NULL && bool_parse(&v, text) != 0)
        text_bad(in, node, "%s is yes or no, not \"%s\"", what, text);
    return v;
}

uint64_t text_u16(struct text_in *in, const struct yaml_node *node, const char *what)
{
    const char *text = text_scalar(in, node, what);
    uint64_t v = 0;

    if (text != NULL && number_parse(&v, text, UINT16_MAX) != 0) {
        text_bad(in, node, "%s is a number from 0 to 65535, not \"%s\"", what, text);
        v = 0;
    }
    return v;
}

void text_adopt(struct text_in *in, const struct yaml_node *node, struct diags *own)
{
    for (size_t i = 0; i < own->n; i++)
        text_bad_key(in, node, "%s", own->at[i].text);
    if (own->all > 0)
        in->bad = true;
}

void *text_alloc(struct text_in *in, size_t n, size_t size)
{
    void *p = n == 0 ? NULL : calloc(n, size);

    if (n > 0 && p == NULL)
        in->nomem = true;
    return p;
}
