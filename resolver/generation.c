/* SPDX-License-Identifier: BSD-2-Clause
 *
 * generation.c -- see generation.h.
 */
#include "resolver/generation.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/machine.h"
#include "wire/present.h"

struct generation *generation_new(const struct settings *s)
{
    struct generation *g = calloc(1, sizeof *g);

    if (g == NULL || settings_copy(&g->settings, s) != 0) {
        free(g);
        return NULL;
    }
    g->n_machine = machine_networks(&g->machine);
    return g;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    settings_free(g->settings);
    free(g->machine);
    free(g);
}

static void add_servers(struct str *out, const struct route *r)
{
    char text[ADDR_TEXT];

    for (int i = 0; i < r->n_servers; i++)
        str_addf(out, " %s", addr_print_port(&r->servers[i], text));
    if (r->n_servers == 0)
        str_add(out, " none");
}

/* Their order counts, which a route's id does not tell. */
static bool same_servers(const struct route *a, const struct route *b)
{
    for (int i = 0; i < a->n_servers && i < b->n_servers; i++)
        if (!addr_same(&a->servers[i], &b->servers[i]))
            return false;
    return a->n_servers == b->n_servers;
}

static bool has_network(const struct generation *g, const struct prefix *net)
{
    for (int i = 0; i < g->n_machine; i++)
        if (g->machine[i].net.len == net->len && memcmp(g->machine[i].net.ip, net->ip, 16) == 0)
            return true;
    return false;
}

/* Those of `of` that the other has not; true when there are any. */
static bool add_networks(struct str *out, const struct generation *of,
                         const struct generation *other)
{
    char text[PREFIX_TEXT];
    bool any = false;

    for (int i = 0; i < of->n_machine; i++) {
        if (has_network(other, &of->machine[i].net))
            continue;
        str_addf(out, " %s", prefix_print(&of->machine[i].net, text));
        any = true;
    }
    if (!any)
        str_add(out, " none");
    return any;
}

void generation_changes(const struct generation *was, const struct generation *is, struct str *out)
{
    const char *between = "";
    char zone[NAME_TEXT], text[1024];
    struct str networks;
    bool gone, come;

    for (int i = 0; i < is->settings->n_routes; i++) {
        const struct route *before = &was->settings->routes[i], *after = &is->settings->routes[i];

        if (same_servers(before, after))
            continue;
        str_addf(out, "%sservers of %s", between, name_print(&after->zone, zone));
        add_servers(out, before);
        str_add(out, " ->");
        add_servers(out, after);
        between = ", ";
    }
    str_init(&networks, text, sizeof text);
    gone = add_networks(&networks, was, is);
    str_add(&networks, " ->");
    come = add_networks(&networks, is, was);
    if ((gone || come) && !is->settings->access_given)
        str_addf(out, "%snetworks%s", between, text);
}
