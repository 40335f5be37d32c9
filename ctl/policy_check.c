/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_check.c -- `policy check`: the findings of policy/check.c, and those
 * that need the settings: suffixes without a route, and kms.mode.
 */
#include "ctl/policy.h"

#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {
    {"subject", "SUBJECT", COLUMN_TEXT}, {"text", "FINDING", COLUMN_TEXT}, {0}};

static void add_finding(void *context, const char *subject, const char *text)
{
    json_array_append_new(context, json_pack("{s:s, s:s}", "subject", subject, "text", text));
}

/* Only where some zones have a route: else the default servers are all there is. */
static void check_routes(const struct settings *s, const struct policy *p, json_t *rows)
{
    bool any = false;

    for (int i = 0; i < s->n_routes; i++)
        any = any || s->routes[i].zone.labels > 0;
    for (size_t i = 0; any && i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        char *list, *subject, *text;
        size_t n;

        if (r->action != ACTION_FILL || r->mode == MODE_OFF)
            continue;
        list = policy_unrouted(s, r->suffixes, r->n_suffixes, &n);
        if (list == NULL)
            continue;
        subject = ctl_text("rule %s", r->name);
        text =
            ctl_text("no route for %s: the default servers say whether a record is missing", list);
        add_finding(rows, subject, text);
        free(text);
        free(subject);
        free(list);
    }
}

static void check_mode(const struct settings *s, const struct policy *p, json_t *rows)
{
    bool live = false;

    for (size_t i = 0; i < p->n_rules; i++)
        live = live || p->rules[i].mode == MODE_LIVE;
    if (live && s->kms.mode == MODE_OFF)
        add_finding(rows, "kms.mode", "is off: no rule can act");
    if (live && s->kms.mode == MODE_SHADOW)
        add_finding(rows, "kms.mode", "is shadow: rules are recorded, and none is delivered");
}

int policy_check_verb(struct ctl *c)
{
    struct policy p;
    uint64_t serial;
    json_t *rows;
    size_t n;
    int code = c->argc > 0 ? policy_file_policy(c->argv[0], true, &p, NULL)
                           : policy_open_read(c, &p, &serial);

    if (code != 0)
        return code;
    rows = json_array();
    policy_check(&p, c->now.wall_ms, add_finding, rows);
    check_routes(c->settings, &p, rows);
    check_mode(c->settings, &p, rows);
    n = json_array_size(rows);
    if (n > 0 || c->format != FORMAT_TABLE)
        table_print(c, "findings", columns, rows);
    else
        ctl_line("no findings");
    json_decref(rows);
    policy_fini(&p);
    return n > 0 ? EXIT_PROBLEMS : 0;
}
