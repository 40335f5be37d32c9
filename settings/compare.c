/* SPDX-License-Identifier: BSD-2-Clause
 *
 * compare.c -- what a reload changes, and what it must leave as it is; a copy.
 *
 * Values are compared as printed: what reads back the same is the same.
 */
#include "settings/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "settings/options.h"
#include "settings/value.h"

/* The value as text that the caller frees, or NULL. */
static char *text_of(const struct option *o, const struct settings *s)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (f == NULL)
        return NULL;
    if (option_is_given(o, s))
        value_print(o, s, f);
    else
        fputs("none", f);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int settings_compare(const struct settings *was, const struct settings *is, settings_change *change,
                     void *context)
{
    int changed = 0;

    for (const struct option *o = settings_options; o->key != NULL; o++) {
        char *before = text_of(o, was), *after = text_of(o, is);

        if (before == NULL || after == NULL) {
            changed = -ENOMEM;
        } else if (strcmp(before, after) != 0) {
            changed++;
            if (change != NULL)
                change(context, o->key, before, after, (o->flags & OPTION_RESTART) != 0);
        }
        free(before);
        free(after);
        if (changed < 0)
            return changed;
    }
    return changed;
}

int settings_copy(struct settings **out, const struct settings *was)
{
    struct arena *arena = arena_new();
    struct settings *s = arena != NULL ? arena_alloc(arena, sizeof *s) : NULL;

    if (s == NULL)
        goto fail;
    *s = *was;
    s->arena = arena;
    for (const struct option *o = settings_options; o->key != NULL; o++)
        if (value_copy(o, s, was, arena) != 0)
            goto fail;
    *out = s;
    return 0;
fail:
    arena_free(arena);
    return -ENOMEM;
}

int settings_keep_fixed(struct settings *is, const struct settings *was)
{
    for (const struct option *o = settings_options; o->key != NULL; o++)
        if ((o->flags & OPTION_RESTART) != 0 && value_copy(o, is, was, is->arena) != 0)
            return -ENOMEM;
    return settings_check(is, NULL);
}
