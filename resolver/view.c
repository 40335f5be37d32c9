/* SPDX-License-Identifier: BSD-2-Clause
 *
 * view.c -- look-ups in what answering may see.
 */
#include "resolver/view.h"

const struct route *view_route(const struct view *v, const struct name *name, uint16_t qtype)
{
    const struct route *best = NULL;
    const unsigned skip = qtype == TYPE_DS && name->labels > 0; /* DS is the parent's */

    for (int i = 0; i < v->settings->n_routes; i++) {
        const struct route *r = &v->settings->routes[i];

        if ((best == NULL || r->zone.labels > best->zone.labels) &&
            r->zone.labels + skip <= name->labels && name_is_under(name, &r->zone))
            best = r;
    }
    return best;
}

bool view_policy(const struct view *v)
{
    if (v->policy == NULL)
        return false;
    if (!*v->policy_begun)
        *v->policy_begun = policy_reader_begin(v->policy) == 0;
    return *v->policy_begun;
}

void view_policy_end(const struct view *v)
{
    if (v->policy != NULL && *v->policy_begun)
        policy_reader_end(v->policy);
    *v->policy_begun = false;
}
