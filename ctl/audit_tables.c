/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_tables.c -- audit clients, suffixes, targets, rules.
 *
 * The ledger answers what it can. Where a filter asks for what only events
 * know, the same table is made from the events that pass it, and the foot says
 * so: questions above the rates are in the ledger alone.
 */
#include "ctl/audit.h"

#include <stdlib.h>

#include "audit/ledger.h"
#include "base/number.h"

#define OUTCOME_COLUMNS                                                                            \
    {"passed", "PASSED", COLUMN_NUMBER}, {"filled", "FILLED", COLUMN_NUMBER},                      \
        {"replaced", "REPLACED", COLUMN_NUMBER}, {"filtered", "FILTERED", COLUMN_NUMBER},          \
        {"denied", "DENIED", COLUMN_NUMBER}, {"missing", "MISSING", COLUMN_NUMBER},                \
        {"failed", "FAILED", COLUMN_NUMBER}, {"blocked", "BLOCKED", COLUMN_NUMBER},                \
    {                                                                                              \
        "update", "UPDATE", COLUMN_NUMBER                                                          \
    }

/* All columns are those of --csv and --sort; a table shows the narrow set. */
static const struct column client_all[] = {
    {"address", "CLIENT", COLUMN_TEXT},
    {"name", "NAME", COLUMN_TEXT},
    {"first_asked", "FIRST ASKED", COLUMN_TIME},
    {"last_asked", "LAST ASKED", COLUMN_TIME},
    {"questions", "QUESTIONS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    OUTCOME_COLUMNS,
    {"last_outcome", "LAST OUTCOME", COLUMN_TEXT},
    {"suffixes", "SUFFIXES", COLUMN_LIST},
    {"last_host", "LAST HOST", COLUMN_TEXT},
    {"last_host_at", "GIVEN", COLUMN_TIME},
    {"no_host_since", "NO HOST SINCE", COLUMN_TIME},
    {"cadence_ms", "EVERY", COLUMN_DURATION_MS},
    {0},
};
static const struct column client_narrow[] = {
    {"address", "CLIENT", COLUMN_TEXT},
    {"last_asked", "LAST ASKED", COLUMN_TIME},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"last_outcome", "LAST", COLUMN_TEXT},
    {"last_host", "LAST HOST", COLUMN_TEXT},
    {"no_host_since", "NO HOST SINCE", COLUMN_TIME},
    {"cadence_ms", "EVERY", COLUMN_DURATION_MS},
    {"suffixes", "SUFFIXES", COLUMN_LIST},
    {0},
};
static const struct column client_narrow_names[] = {
    {"address", "CLIENT", COLUMN_TEXT},
    {"name", "NAME", COLUMN_TEXT},
    {"last_asked", "LAST ASKED", COLUMN_TIME},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"last_outcome", "LAST", COLUMN_TEXT},
    {"last_host", "LAST HOST", COLUMN_TEXT},
    {"no_host_since", "NO HOST SINCE", COLUMN_TIME},
    {"cadence_ms", "EVERY", COLUMN_DURATION_MS},
    {"suffixes", "SUFFIXES", COLUMN_LIST},
    {0},
};
static const struct column suffix_all[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT},
    {"clients", "CLIENTS", COLUMN_NUMBER},
    {"questions", "QUESTIONS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    OUTCOME_COLUMNS,
    {"last_verdict", "REAL DNS", COLUMN_TEXT},
    {"last_outcome", "LAST OUTCOME", COLUMN_TEXT},
    {"last_rule", "RULE", COLUMN_TEXT},
    {"first_asked", "FIRST ASKED", COLUMN_TIME},
    {"last_asked", "LAST ASKED", COLUMN_TIME},
    {0},
};
static const struct column suffix_narrow[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT},         {"clients", "CLIENTS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},   {"passed", "PASSED", COLUMN_NUMBER},
    {"filled", "FILLED", COLUMN_NUMBER},       {"missing", "MISSING", COLUMN_NUMBER},
    {"failed", "FAILED", COLUMN_NUMBER},       {"last_verdict", "REAL DNS", COLUMN_TEXT},
    {"last_outcome", "LAST", COLUMN_TEXT},     {"last_rule", "RULE", COLUMN_TEXT},
    {"last_asked", "LAST ASKED", COLUMN_TIME}, {0},
};
static const struct column target_all[] = {
    {"target", "TARGET", COLUMN_TEXT},
    {"clients", "CLIENTS", COLUMN_NUMBER},
    {"questions", "QUESTIONS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"delivered", "DELIVERED", COLUMN_NUMBER},
    {"unapproved", "UNAPPROVED", COLUMN_TEXT},
    OUTCOME_COLUMNS,
    {"last_outcome", "LAST OUTCOME", COLUMN_TEXT},
    {"last_rule", "RULE", COLUMN_TEXT},
    {"first_asked", "FIRST SEEN", COLUMN_TIME},
    {"last_asked", "LAST SEEN", COLUMN_TIME},
    {0},
};
static const struct column target_narrow[] = {
    {"target", "TARGET", COLUMN_TEXT},         {"clients", "CLIENTS", COLUMN_NUMBER},
    {"questions", "SEEN", COLUMN_NUMBER},      {"delivered", "DELIVERED", COLUMN_NUMBER},
    {"unapproved", "UNAPPROVED", COLUMN_TEXT}, {"last_outcome", "LAST", COLUMN_TEXT},
    {"last_asked", "LAST SEEN", COLUMN_TIME},  {0},
};
static const struct column rule_all[] = {
    {"rule", "RULE", COLUMN_TEXT},
    {"clients", "CLIENTS", COLUMN_NUMBER},
    {"questions", "QUESTIONS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"would", "WOULD", COLUMN_NUMBER},
    OUTCOME_COLUMNS,
    {"last_outcome", "LAST OUTCOME", COLUMN_TEXT},
    {"first_asked", "FIRST USED", COLUMN_TIME},
    {"last_asked", "LAST USED", COLUMN_TIME},
    {0},
};
static const struct column rule_narrow[] = {
    {"rule", "RULE", COLUMN_TEXT},
    {"clients", "CLIENTS", COLUMN_NUMBER},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"filled", "FILLED", COLUMN_NUMBER},
    {"replaced", "REPLACED", COLUMN_NUMBER},
    {"filtered", "FILTERED", COLUMN_NUMBER},
    {"denied", "DENIED", COLUMN_NUMBER},
    {"passed", "PASSED", COLUMN_NUMBER},
    {"would", "WOULD", COLUMN_NUMBER},
    {"last_asked", "LAST USED", COLUMN_TIME},
    {0},
};

static const struct listing {
    const char *plural;
    uint8_t table;           /* of the ledger's keys */
    enum ledger_table names; /* not for clients */
    unsigned own;            /* filters that the ledger's rows can answer */
    const char *order;
    const struct column *all, *narrow;
    const char *foot;
} listings[] = {
    {"clients", STORE_CLIENT, LEDGER_SUFFIX, OWN_CLIENT, "last_asked", client_all, client_narrow,
     "a client is an address: NAT hides many behind one, DHCP gives one to many; who asks another "
     "resolver, or has a host "
     "cached, is not here"},
    {"suffixes", STORE_SUFFIX, LEDGER_SUFFIX, OWN_SUFFIX, "attempts", suffix_all, suffix_narrow,
     "a client that is given a host for its first suffix does not ask for its others; what goes to "
     "other resolvers is not "
     "here"},
    {"targets", STORE_TARGET, LEDGER_TARGET, OWN_TARGET, "questions", target_all, target_narrow,
     "delivered is not used: whether a client then reaches the host, and hosts that clients have "
     "cached, DNS does not show"},
    {"rules", STORE_RULE, LEDGER_RULE, OWN_RULE, "attempts", rule_all, rule_narrow,
     "rules that never acted are not here: waymarkctl policy check"},
};

/* --- gathering ---------------------------------------------------------------------- */

struct gather {
    const struct listing *listing;
    const struct audit_filter *filter;
    json_t *rows;
};

static int add_client(void *context, const struct ledger_client *r)
{
    struct gather *g = context;

    if (g->filter->no_host && r->no_host_since_ms == 0)
        return 0;
    if (r->other ? g->filter->n_clients > 0 : !audit_filter_client(g->filter, &r->client))
        return 0;
    json_array_append_new(g->rows, audit_client_row(r));
    return 0;
}

static int add_name(void *context, const struct ledger_name *r)
{
    struct gather *g = context;
    const struct audit_filter *f = g->filter;
    bool asked = f->n_suffixes + f->n_targets + f->n_rules > 0, mine = true;

    switch (g->listing->names) {
    case LEDGER_SUFFIX:
        mine = audit_filter_suffix(f, &r->name);
        break;
    case LEDGER_TARGET:
        mine = audit_filter_target(f, &r->name, r->port);
        break;
    case LEDGER_RULE:
        mine = audit_filter_rule(f, r->rule);
        break;
    }
    if (r->other ? !asked : mine)
        json_array_append_new(g->rows, audit_name_row(r, g->listing->names));
    return 0;
}

/* A row of a ledger that was made from events. */
static int add_row(void *context, struct bytes key, struct bytes row)
{
    struct gather *g = context;
    struct ledger_name_row name;
    struct ledger_client client;

    if (key.at[0] != g->listing->table)
        return 0;
    if (key.at[0] == STORE_CLIENT)
        return ledger_client_decode(&client, row.at, row.len) == 0 ? add_client(g, &client) : 0;
    return ledger_name_decode(&name, row.at, row.len) == 0 ? add_name(g, &name.name) : 0;
}

static int gather_events(struct ctl *c, struct audit_reader *r, struct gather *g)
{
    struct audit_scan scan;
    char oldest[NUMBER_TEXT];
    int rc = audit_scan(r, g->filter, &scan);

    if (rc == 0)
        rc = ledger_each_row(scan.ledger, add_row, g);
    ledger_free(scan.ledger);
    if (rc != 0)
        return audit_fault(c, rc);
    audit_damaged(scan.damaged);
    if (c->format == FORMAT_TABLE)
        ctl_note("from %llu events%s%s; questions above the rates are in the whole ledger only",
                 (unsigned long long)scan.events, scan.events > 0 ? ", the oldest of " : "",
                 scan.events > 0 ? time_print_local(scan.oldest_ms, oldest) : "");
    return 0;
}

static int gather_ledger(struct ctl *c, struct audit_reader *r, struct gather *g)
{
    int rc = g->listing->table == STORE_CLIENT
                 ? ledger_each_client(r, add_client, g)
                 : ledger_each_name(r, g->listing->names, add_name, g);

    return rc != 0 ? audit_fault(c, rc) : 0;
}

/* --- printing -------------------------------------------------------------------------- */

static const struct column *columns_for(const struct ctl *c, const struct listing *l,
                                        const struct audit_filter *f)
{
    if (c->format != FORMAT_TABLE)
        return l->all;
    return l->table == STORE_CLIENT && f->names ? client_narrow_names : l->narrow;
}

static int run(struct ctl *c, const struct listing *l)
{
    struct audit_filter f;
    struct gather g = {.listing = l, .filter = &f};
    struct audit_reader *r;
    int code = audit_filter_read(c, &f);

    if (code == 0)
        code = audit_open(c, &r);
    if (code != 0)
        return code;
    g.rows = json_array();
    if (r != NULL)
        code = audit_filter_needs_events(&f, l->own) ? gather_events(c, r, &g)
                                                     : gather_ledger(c, r, &g);
    if (code == 0)
        code = audit_rows_order(&f, l->all, l->order, &g.rows);
    if (code == 0) {
        if (f.names)
            audit_rows_names(c, g.rows);
        if (c->format != FORMAT_TABLE || json_array_size(g.rows) > 0)
            table_print(c, l->plural, columns_for(c, l, &f), g.rows);
        else if (r != NULL)
            ctl_note("no %s match", l->plural);
        if (c->format == FORMAT_TABLE && r != NULL)
            ctl_note("%s", l->foot);
    }
    json_decref(g.rows);
    audit_reader_close(r);
    return code;
}

int audit_run_clients(struct ctl *c)
{
    return run(c, &listings[0]);
}

int audit_run_suffixes(struct ctl *c)
{
    return run(c, &listings[1]);
}

int audit_run_targets(struct ctl *c)
{
    return run(c, &listings[2]);
}

int audit_run_rules(struct ctl *c)
{
    return run(c, &listings[3]);
}
