/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recent.c -- a table of fixed size of what was seen lately.
 */
#include "audit/recent.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4 };

struct recent {
    size_t sets;
    struct recent_place places[][WAYS];
};

struct recent *recent_new(size_t sets)
{
    struct recent *r = calloc(1, sizeof *r + sets * sizeof *r->places);

    if (r != NULL)
        r->sets = sets;
    return r;
}

void recent_free(struct recent *r)
{
    free(r);
}

void recent_clear(struct recent *r)
{
    memset(r->places, 0, r->sets * sizeof *r->places);
}

struct recent_place *recent_find(struct recent *r, uint64_t hash, bool *found)
{
    struct recent_place *set = r->places[(size_t)(hash >> 32) & (r->sets - 1)], *oldest = set;

    hash |= 1;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash) {
            *found = true;
            return &set[i];
        }
        if (set[i].ms < oldest->ms)
            oldest = &set[i];
    }
    *found = false;
    *oldest = (struct recent_place){.hash = hash};
    return oldest;
}
