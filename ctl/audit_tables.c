/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_tables.c -- audit clients, suffixes, targets, rules: a row each.
 *
 * The ledger answers what it can. Where a filter asks for what only events
 * know, the same table is made from the events that pass it, and the foot says
 * so: questions above the rates are in the ledger alone.
 */
#include "ctl/audit.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "audit/schema.h"
#include "base/addr.h"
#include "base/number.h"

/* clang-format off */
/* All columns are those of --csv and --sort; a table shows the narrow set. */
#define OUTCOME_COLUMNS \
    {"passed", "PASSED", COLUMN_NUMBER}, {"filled", "FILLED", COLUMN_NUMBER}, {"replaced", "REPLACED", COLUMN_NUMBER}, \
    {"filtered", "FILTERED", COLUMN_NUMBER}, {"denied", "DENIED", COLUMN_NUMBER}, {"missing", "MISSING", COLUMN_NUMBER}, \
    {"failed", "FAILED", COLUMN_NUMBER}, {"blocked", "BLOCKED", COLUMN_NUMBER}, {"update", "UPDATE", COLUMN_NUMBER}
#define ASKED {"clients", "CLIENTS", COLUMN_NUMBER}, {"questions", "QUESTIONS", COLUMN_NUMBER}, {"attempts", "ATTEMPTS", COLUMN_NUMBER}
#define CLIENT_TAIL \
    {"last_asked", "LAST ASKED", COLUMN_TIME}, {"attempts", "ATTEMPTS", COLUMN_NUMBER}, {"last_outcome", "LAST", COLUMN_TEXT}, \
    {"last_host", "LAST HOST", COLUMN_TEXT}, {"no_host_since", "NO HOST SINCE", COLUMN_TIME}, \
    {"cadence_ms", "EVERY", COLUMN_DURATION_MS}, {"suffixes", "SUFFIXES", COLUMN_LIST}, {0}

static const struct column client_all[] = {
    {"address", "CLIENT", COLUMN_TEXT}, {"name", "NAME", COLUMN_TEXT}, {"first_asked", "FIRST ASKED", COLUMN_TIME},
    {"last_asked", "LAST ASKED", COLUMN_TIME}, {"questions", "QUESTIONS", COLUMN_NUMBER}, {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    OUTCOME_COLUMNS, {"last_outcome", "LAST OUTCOME", COLUMN_TEXT}, {"suffixes", "SUFFIXES", COLUMN_LIST},
    {"last_host", "LAST HOST", COLUMN_TEXT}, {"last_host_at", "GIVEN", COLUMN_TIME},
    {"no_host_since", "NO HOST SINCE", COLUMN_TIME}, {"cadence_ms", "EVERY", COLUMN_DURATION_MS}, {0}};
static const struct column client_narrow[] = {{"address", "CLIENT", COLUMN_TEXT}, CLIENT_TAIL};
static const struct column client_narrow_names[] = {{"address", "CLIENT", COLUMN_TEXT}, {"name", "NAME", COLUMN_TEXT}, CLIENT_TAIL};
static const struct column suffix_all[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT}, ASKED, OUTCOME_COLUMNS, {"last_verdict", "REAL DNS", COLUMN_TEXT},
    {"last_outcome", "LAST OUTCOME", COLUMN_TEXT}, {"last_rule", "RULE", COLUMN_TEXT},
    {"first_asked", "FIRST ASKED", COLUMN_TIME}, {"last_asked", "LAST ASKED", COLUMN_TIME}, {0}};
static const struct column suffix_narrow[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT}, {"clients", "CLIENTS", COLUMN_NUMBER}, {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"passed", "PASSED", COLUMN_NUMBER}, {"filled", "FILLED", COLUMN_NUMBER}, {"missing", "MISSING", COLUMN_NUMBER},
    {"failed", "FAILED", COLUMN_NUMBER}, {"last_verdict", "REAL DNS", COLUMN_TEXT}, {"last_outcome", "LAST", COLUMN_TEXT},
    {"last_rule", "RULE", COLUMN_TEXT}, {"last_asked", "LAST ASKED", COLUMN_TIME}, {0}};
static const struct column target_all[] = {
    {"target", "TARGET", COLUMN_TEXT}, ASKED, {"delivered", "DELIVERED", COLUMN_NUMBER}, {"unapproved", "UNAPPROVED", COLUMN_TEXT},
    OUTCOME_COLUMNS, {"last_outcome", "LAST OUTCOME", COLUMN_TEXT}, {"last_rule", "RULE", COLUMN_TEXT},
    {"first_asked", "FIRST SEEN", COLUMN_TIME}, {"last_asked", "LAST SEEN", COLUMN_TIME}, {0}};
static const struct column target_narrow[] = {
    {"target", "TARGET", COLUMN_TEXT}, {"clients", "CLIENTS", COLUMN_NUMBER}, {"questions", "SEEN", COLUMN_NUMBER},
    {"delivered", "DELIVERED", COLUMN_NUMBER}, {"unapproved", "UNAPPROVED", COLUMN_TEXT}, {"last_outcome", "LAST", COLUMN_TEXT},
    {"last_asked", "LAST SEEN", COLUMN_TIME}, {0}};
static const struct column rule_all[] = {
    {"rule", "RULE", COLUMN_TEXT}, ASKED, {"would", "WOULD", COLUMN_NUMBER}, OUTCOME_COLUMNS, {"last_outcome", "LAST OUTCOME", COLUMN_TEXT},
    {"first_asked", "FIRST USED", COLUMN_TIME}, {"last_asked", "LAST USED", COLUMN_TIME}, {0}};
static const struct column rule_narrow[] = {
    {"rule", "RULE", COLUMN_TEXT}, {"clients", "CLIENTS", COLUMN_NUMBER}, {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"filled", "FILLED", COLUMN_NUMBER}, {"replaced", "REPLACED", COLUMN_NUMBER}, {"filtered", "FILTERED", COLUMN_NUMBER},
    {"denied", "DENIED", COLUMN_NUMBER}, {"passed", "PASSED", COLUMN_NUMBER}, {"would", "WOULD", COLUMN_NUMBER},
    {"last_asked", "LAST USED", COLUMN_TIME}, {0}};

#define COUNTS "n.questions AS questions,n.attempts AS attempts,n.passed AS passed,n.filled AS filled,n.replaced AS replaced," \
    "n.filtered AS filtered,n.denied AS denied,n.missing AS missing,n.failed AS failed,n.blocked AS blocked,n.updates AS \"update\""
#define WHEN "n.first AS first_asked,n.last AS last_asked"
#define NAME(key, own) "n.name AS " key "," WHEN ",ifnull(n.clients,0) AS clients," COUNTS "," \
    SCHEMA_WORD("verdict", "n.verdict") " AS last_verdict," SCHEMA_WORD("outcome", "n.outcome") " AS last_outcome," \
    "(SELECT r.name FROM rule r WHERE r.id=n.rule) AS last_rule" own
#define ITS_SUFFIXES " FROM client_suffix s JOIN suffix u ON u.id=s.suffix WHERE s.id BETWEEN 16*n.id AND 16*n.id+15)"
#define DETAIL "json_object('suffix',u.name,'verdict'," SCHEMA_WORD("verdict", "s.verdict") ",'outcome'," \
    SCHEMA_WORD("outcome", "s.outcome") ",'last_asked',strftime('%Y-%m-%dT%H:%M:%fZ',s.last/1000.0,'unixepoch'))"

const struct audit_list audit_clients = {
    "clients", OF_CLIENT, "client n", "n.id", "1",
    "n.name AS address," WHEN "," COUNTS ",(SELECT json_group_array(u.name)" ITS_SUFFIXES " AS \"suffixes[]\","
    "(SELECT json_group_array(" DETAIL ")" ITS_SUFFIXES " AS \"suffix_details[]\","
    "(SELECT " SCHEMA_WORD("outcome", "s.outcome") " FROM client_suffix s WHERE s.id BETWEEN 16*n.id AND 16*n.id+15"
    " ORDER BY s.last DESC LIMIT 1) AS last_outcome,"
    "(SELECT h.name FROM host h WHERE h.id=n.host) AS last_host,nullif(n.host_at,0) AS last_host_at,"
    "nullif(n.no_host_since,0) AS no_host_since,1000*nullif(n.cadence_s,0) AS cadence_ms",
    "last_asked", client_all, client_narrow,
    "a client is an address: NAT hides many behind one, DHCP gives one to many; who asks another resolver, or has a host "
    "cached, is not here"};

static const struct audit_list lists[] = {
    {"suffixes", OF_SUFFIX, "suffix n", "n.id", "1", NAME("suffix", ""), "attempts", suffix_all, suffix_narrow,
     "a client that is given a host for its first suffix does not ask for its others; what goes to other resolvers is not here"},
    {"targets", OF_TARGET, "host n", "n.id", "1",
     NAME("target", ",ifnull(n.delivered,0) AS delivered,ifnull(n.unapproved,0) AS \"unapproved?\""),
     "questions", target_all, target_narrow,
     "delivered is not used: whether a client then reaches the host, and hosts that clients have cached, DNS does not show"},
    {"rules", OF_RULE, "rule n", "n.id", "1", NAME("rule", ",ifnull(n.would,0) AS would"), "attempts", rule_all, rule_narrow,
     "rules that never acted are not here: waymarkctl policy check"},
};
/* clang-format on */

/* --- names of clients -------------------------------------------------------------------- */

static json_t *ptr_of(const char *address)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr *sa = (const struct sockaddr *)&v6;
    socklen_t len = sizeof v6;
    char host[NI_MAXHOST];
    struct addr a;

    if (addr_parse(&a, address, 0) != 0)
        return json_null();
    memcpy(&v6.sin6_addr, a.ip, 16);
    if (addr_is_v4(&a)) {
        memcpy(&v4.sin_addr, a.ip + 12, 4);
        sa = (const struct sockaddr *)&v4;
        len = sizeof v4;
    }
    if (getnameinfo(sa, len, host, sizeof host, NULL, 0, NI_NAMEREQD) != 0)
        return json_null();
    return audit_json_text(host);
}

void audit_rows_names(struct ctl *c, json_t *rows)
{
    json_t *known = json_object(), *row;
    size_t i, n = json_array_size(rows);

    json_array_foreach(rows, i, row)
    {
        const char *address = json_string_value(json_object_get(row, "address"));

        if (address == NULL)
            continue;
        if (json_object_get(known, address) == NULL)
            (void)json_object_set_new(known, address, ptr_of(address));
        (void)json_object_set(row, "name", json_object_get(known, address));
        if (c->stderr_tty && n > 20)
            fprintf(stderr, "\rnames: %zu of %zu%s", i + 1, n, i + 1 == n ? "\n" : "");
    }
    json_decref(known);
}

/* --- the verbs --------------------------------------------------------------------------- */

static void note_events(struct audit_reader *r)
{
    int64_t n = 0, oldest = 0;
    char text[NUMBER_TEXT];

    (void)audit_number(r, "SELECT count(*) FROM picked", NULL, 0, &n);
    (void)audit_number(r, "SELECT min(ms) FROM picked", NULL, 0, &oldest);
    ctl_note("from %lld events%s%s; questions above the rates are in the whole ledger only",
             (long long)n, n > 0 ? ", the oldest of " : "",
             n > 0 ? time_print_local((uint64_t)oldest, text) : "");
}

static int list(struct ctl *c, struct audit_reader *r, const struct audit_list *l,
                const struct audit_filter *f)
{
    const struct column *columns = l->all;
    json_t *rows = json_array();
    int code = 0;

    if (r != NULL && (f->since_ms > 0 || f->until_ms > 0 || (f->given & ~l->own) != 0)) {
        code = audit_ledger_of_events(c, r, f);
        if (code == 0 && c->format == FORMAT_TABLE)
            note_events(r);
    }
    if (code == 0 && r != NULL)
        code = audit_rows(c, r, l, f, f->limit, rows);
    if (code == 0) {
        if (f->names)
            audit_rows_names(c, rows);
        if (c->format == FORMAT_TABLE)
            columns = l == &audit_clients && f->names ? client_narrow_names : l->narrow;
        if (c->format != FORMAT_TABLE || json_array_size(rows) > 0)
            table_print(c, l->plural, columns, rows);
        else if (r != NULL)
            ctl_note("no %s match", l->plural);
        if (c->format == FORMAT_TABLE && r != NULL)
            ctl_note("%s", l->foot);
    }
    json_decref(rows);
    return code;
}

static int run(struct ctl *c, const struct audit_list *l)
{
    struct audit_filter f;
    struct audit_reader *r = NULL;
    int code = audit_filter_read(c, &f);

    if (code == 0)
        code = audit_sort_check(&f, l->all);
    if (code == 0)
        code = audit_open(c, &r);
    if (code == 0)
        code = list(c, r, l, &f);
    audit_reader_close(r);
    audit_filter_free(&f);
    return code;
}

int audit_run_clients(struct ctl *c)
{
    return run(c, &audit_clients);
}

int audit_run_suffixes(struct ctl *c)
{
    return run(c, &lists[0]);
}

int audit_run_targets(struct ctl *c)
{
    return run(c, &lists[1]);
}

int audit_run_rules(struct ctl *c)
{
    return run(c, &lists[2]);
}
