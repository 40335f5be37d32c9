/* SPDX-License-Identifier: BSD-2-Clause
 *
 * problem.c -- what is wrong in settings, with its place: FILE:LINE:COL, or
 * the -o argument, which has no lines.
 */
#include "settings/read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 5, 0))) static void add(struct reader *r, const struct source *source,
                                                      unsigned line, unsigned column,
                                                      const char *fmt, va_list args)
{
    char *text = NULL;

    if (r->rc == 0)
        r->rc = -EINVAL;
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    if (source->assign != NULL)
        diags_add(r->d, "-o", 0, 0, "%s: %s", source->assign, text != NULL ? text : "");
    else
        diags_add(r->d, source->file, line, column, "%s", text != NULL ? text : "out of memory");
    free(text);
}

int read_problem(struct reader *r, const struct yaml_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(r, &r->source, node != NULL ? node->line : 0, node != NULL ? node->column : 0, fmt, args);
    va_end(args);
    return -EINVAL;
}

int read_problem_key(struct reader *r, const struct yaml_node *node, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(r, &r->source, node->key_line != 0 ? node->key_line : node->line,
        node->key_line != 0 ? node->key_column : node->column, fmt, args);
    va_end(args);
    return -EINVAL;
}

int read_problem_origin(struct reader *r, const struct origin *from, const struct yaml_node *node,
                        const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(r, &from->source, node != NULL ? node->line : 0, node != NULL ? node->column : 0, fmt,
        args);
    va_end(args);
    return -EINVAL;
}

int read_out_of_memory(struct reader *r)
{
    if (r->rc == 0)
        r->rc = -ENOMEM;
    diags_add(r->d, r->source.file, 0, 0, "out of memory");
    return -ENOMEM;
}

/* Another section has an option of that name: the line slipped. */
static const struct option *option_elsewhere(const char *name)
{
    for (const struct option *o = settings_options; o->key != NULL; o++)
        if (strcmp(option_name(o), name) == 0)
            return o;
    return NULL;
}

int read_unknown_key(struct reader *r, const struct yaml_node *node, const struct option *rows,
                     const char *section)
{
    const char *names[OPTIONS_MAX + 1], *near;
    const struct option *other;
    size_t n = 0;

    for (const struct option *o = rows; o->key != NULL && n < OPTIONS_MAX; o++)
        if (option_is_in(o, section))
            names[n++] = option_name(o);
    names[n] = NULL;
    near = diag_nearest(node->key, names);
    if (near != NULL)
        return read_problem_key(r, node, "unknown option \"%s\" in %s; did you mean \"%s\"?",
                                node->key, section, near);
    other = option_elsewhere(node->key);
    if (other != NULL)
        return read_problem_key(r, node, "unknown option \"%s\" in %s; it is %s", node->key,
                                section, other->key);
    return read_problem_key(r, node,
                            "unknown option \"%s\" in %s; waymarkd --print-sample lists "
                            "all options",
                            node->key, section);
}
