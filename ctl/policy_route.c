/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_route.c -- which suffixes have no route of their own: whether their
 * record is missing is then said by the default servers, which may not know
 * an internal domain at all.
 */
#include "ctl/policy.h"

#include <stdlib.h>

#include "base/str.h"

bool policy_has_route(const struct settings *s, const struct suffix *suffix)
{
    if (suffix->kind == SUFFIX_ANY || suffix->kind == SUFFIX_BARE)
        return true; /* the default servers are what there is to ask */
    for (int i = 0; i < s->n_routes; i++)
        if (s->routes[i].zone.labels > 0 && name_is_under(&suffix->name, &s->routes[i].zone))
            return true;
    return false;
}

char *policy_unrouted(const struct settings *s, const struct suffix *at, size_t n, size_t *count)
{
    struct suffix first[9];
    size_t kept = 0;
    char *list, *words;

    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (policy_has_route(s, &at[i]))
            continue;
        if (kept < ARRAY_LEN(first))
            first[kept++] = at[i];
        (*count)++;
    }
    if (*count == 0)
        return NULL;
    list = policy_suffix_list(first, kept < 8 ? kept : 8);
    words = *count > 8 ? ctl_text("%s and %zu more", list, *count - 8) : ctl_text("%s", list);
    free(list);
    return words;
}
