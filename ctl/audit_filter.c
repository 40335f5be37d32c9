/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_filter.c -- what the options of the audit verbs ask for.
 */
#include "ctl/audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"

/* --- reading: one function an option, which is given each of its values --------- */

static int read_time(struct ctl *c, const char *option, uint64_t *out)
{
    const char *text = ctl_option(c, option);

    if (text != NULL && time_parse(out, text, c->now.wall_ms) != 0)
        return ctl_fail(EXIT_USAGE,
                        "%s %s: not a time (2026-11-22, \"2026-11-22 09:00\", 09:00, 7d)", option,
                        text);
    return 0;
}

static int add_client(struct audit_filter *f, const char *text)
{
    return prefix_parse(&f->clients[f->n_clients++], text) == 0
               ? 0
               : ctl_fail(EXIT_USAGE, "--client %s: not an address or prefix", text);
}

static int add_network(struct audit_filter *f, const char *text)
{
    f->networks[f->n_networks++] = text;
    return 0;
}

static int add_rule(struct audit_filter *f, const char *text)
{
    f->rules[f->n_rules++] = text;
    return 0;
}

/* Also the whole name, as it stands in an event. */
static int add_suffix(struct audit_filter *f, const char *text)
{
    struct audit_suffix *s = &f->suffixes[f->n_suffixes++];
    struct name whole;

    s->below = strncmp(text, "*.", 2) == 0;
    if (name_parse(&whole, s->below ? text + 2 : text) != 0)
        return ctl_fail(EXIT_USAGE, "--suffix %s: not a domain name", text);
    name_fold(&whole);
    if (name_is_vlmcs(&whole))
        name_parent(&whole, 2, &s->name);
    else
        s->name = whole;
    return 0;
}

static int add_outcome(struct audit_filter *f, const char *text)
{
    const char *nearest;

    for (unsigned i = 1; i < AUDIT_OUTCOMES; i++)
        if (strcmp(text, audit_outcome_names[i]) == 0) {
            f->outcomes |= 1u << i;
            return 0;
        }
    nearest = diag_nearest(text, audit_outcome_names + 1);
    return ctl_fail(EXIT_USAGE, "--outcome %s: no such outcome%s%s%s", text,
                    nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static int add_target(struct audit_filter *f, const char *text)
{
    struct audit_target *t = &f->targets[f->n_targets++];
    const char *colon = strchr(text, ':');
    char *host =
        ctl_text("%.*s", (int)(colon != NULL ? (size_t)(colon - text) : strlen(text)), text);
    uint64_t port = 0;
    int rc = name_parse(&t->name, host);

    free(host);
    if (rc != 0 ||
        (colon != NULL && (number_parse(&port, colon + 1, UINT16_MAX) != 0 || port == 0)))
        return ctl_fail(EXIT_USAGE, "--target %s: not a HOST or HOST:PORT", text);
    name_fold(&t->name);
    t->port = (uint16_t)port;
    return 0;
}

static const struct reader {
    const char *option;
    int (*add)(struct audit_filter *, const char *);
} readers[] = {
    {"--client", add_client},   {"--network", add_network}, {"--suffix", add_suffix},
    {"--outcome", add_outcome}, {"--rule", add_rule},       {"--target", add_target},
};

static int read_order(struct ctl *c, struct audit_filter *f)
{
    const char *limit = ctl_option(c, "--limit");

    f->sort = ctl_option(c, "--sort");
    if (f->sort != NULL && (f->sort[0] == '+' || f->sort[0] == '-')) {
        f->order_given = true;
        f->ascending = *f->sort++ == '+';
    }
    f->limit_given = limit != NULL;
    if (limit != NULL && number_parse(&f->limit, limit, INT32_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "--limit %s: not a number", limit);
    return 0;
}

int audit_filter_read(struct ctl *c, struct audit_filter *f)
{
    const char *text;
    int rc;

    memset(f, 0, sizeof *f);
    if ((rc = read_time(c, "--since", &f->range.since_ms)) != 0 ||
        (rc = read_time(c, "--until", &f->range.until_ms)) != 0 || (rc = read_order(c, f)) != 0)
        return rc;
    if (f->range.until_ms > 0 && f->range.since_ms >= f->range.until_ms)
        return ctl_fail(EXIT_USAGE, "--since is not before --until");
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        for (int n = 0; (text = ctl_option_at(c, readers[i].option, n)) != NULL; n++) {
            if (n == AUDIT_FILTERS)
                return ctl_fail(EXIT_USAGE, "%s: at most %d times", readers[i].option,
                                AUDIT_FILTERS);
            if ((rc = readers[i].add(f, text)) != 0)
                return rc;
        }
    f->names = ctl_option(c, "--names") != NULL;
    f->no_host = ctl_option(c, "--no-host") != NULL;
    return 0;
}

bool audit_filter_needs_events(const struct audit_filter *f, unsigned own)
{
    return f->range.since_ms > 0 || f->range.until_ms > 0 || f->outcomes != 0 ||
           f->n_networks > 0 || (f->n_clients > 0 && !(own & OWN_CLIENT)) ||
           (f->n_suffixes > 0 && !(own & OWN_SUFFIX)) ||
           (f->n_targets > 0 && !(own & OWN_TARGET)) || (f->n_rules > 0 && !(own & OWN_RULE));
}

/* --- matching ------------------------------------------------------------------------ */

bool audit_filter_client(const struct audit_filter *f, const struct addr *a)
{
    for (int i = 0; i < f->n_clients; i++)
        if (prefix_contains(&f->clients[i], a->ip))
            return true;
    return f->n_clients == 0;
}

bool audit_filter_suffix(const struct audit_filter *f, const struct name *suffix)
{
    for (int i = 0; i < f->n_suffixes; i++) {
        const struct audit_suffix *s = &f->suffixes[i];
        bool same = name_equal_fold(suffix, &s->name);

        if (s->below ? !same && name_is_under(suffix, &s->name) : same)
            return true;
    }
    return f->n_suffixes == 0;
}

bool audit_filter_target(const struct audit_filter *f, const struct name *target, uint16_t port)
{
    for (int i = 0; i < f->n_targets; i++)
        if (name_equal_fold(target, &f->targets[i].name) &&
            (f->targets[i].port == 0 || f->targets[i].port == port))
            return true;
    return f->n_targets == 0;
}

bool audit_filter_rule(const struct audit_filter *f, const char *rule)
{
    for (int i = 0; i < f->n_rules; i++)
        if (strcmp(rule, f->rules[i]) == 0)
            return true;
    return f->n_rules == 0;
}

static bool any_network(const struct audit_filter *f, const struct audit_event *e)
{
    for (int i = 0; i < f->n_networks; i++)
        for (int n = 0; n < e->n_networks; n++)
            if (strcmp(f->networks[i], e->networks[n]) == 0)
                return true;
    return f->n_networks == 0;
}

static bool any_target(const struct audit_filter *f, const struct audit_event *e)
{
    for (int i = 0; i < e->n_real; i++)
        if (audit_filter_target(f, &e->real[i].target, e->real[i].port))
            return true;
    for (int i = 0; i < e->n_answer; i++)
        if (audit_filter_target(f, &e->answer[i].target, e->answer[i].port))
            return true;
    return f->n_targets == 0;
}

/* Control records pass where nothing but the time is asked for. */
bool audit_filter_event(const struct audit_filter *f, const struct audit_event *e)
{
    struct name suffix;

    if (e->kind != AUDIT_EVENT)
        return f->outcomes == 0 &&
               f->n_clients + f->n_suffixes + f->n_targets + f->n_networks + f->n_rules == 0;
    if (f->outcomes != 0 && !(f->outcomes & 1u << e->outcome))
        return false;
    if (f->n_suffixes > 0) {
        audit_event_suffix(e, &suffix);
        if (!audit_filter_suffix(f, &suffix))
            return false;
    }
    return audit_filter_client(f, &e->client) && audit_filter_rule(f, e->rule) &&
           any_network(f, e) && any_target(f, e);
}
