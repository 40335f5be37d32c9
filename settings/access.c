/* SPDX-License-Identifier: BSD-2-Clause
 *
 * access.c -- who may ask.
 *
 * The list is walked for each packet: it is short in practice, and its order
 * says nothing, so that nobody has to think about it.
 */
#include "settings/settings.h"

#include <stddef.h>

#include "settings/rules.h"

/* The longest rule that matches, or NULL. */
static const struct access_rule *longest(const struct access_rule *rules, int n,
                                         const struct addr *client, bool loopback)
{
    const struct access_rule *best = NULL;
    bool v4 = addr_is_v4(client);

    for (int i = 0; i < n; i++) {
        const struct prefix *net = &rules[i].net;

        if (best != NULL && net->len <= best->net.len)
            continue;
        if (!prefix_contains(net, client->ip) || rules_is_v4_net(net) != v4)
            continue;
        if (!loopback || rules_is_loopback_net(net))
            best = &rules[i];
    }
    return best;
}

enum access_action settings_access(const struct settings *s, const struct access_rule *machine,
                                   int n_machine, const struct addr *client)
{
    bool loopback = addr_is_loopback(client);
    const struct access_rule *rule = s->access_given
                                         ? longest(s->access, s->n_access, client, loopback)
                                         : longest(machine, n_machine, client, loopback);

    if (rule != NULL)
        return rule->action;
    return loopback ? ACCESS_ALLOW : ACCESS_REFUSE;
}
