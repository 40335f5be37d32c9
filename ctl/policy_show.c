/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_show.c -- `policy show`: the policy as tables, and `policy log`.
 */
#include "ctl/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "wire/present.h"

enum { TABLE_ROWS = 1000 /* of suffixes on a screen */ };

static json_t *time_value(uint64_t ms)
{
    return ms == 0 ? json_null() : json_integer((json_int_t)ms);
}

static json_t *text_value(const char *text)
{
    char *clean;
    json_t *v;

    if (*text == '\0')
        return json_null();
    clean = ctl_clean(text);
    v = json_string(clean);
    free(clean);
    return v;
}

static json_t *host_values(const struct policy_pool *p)
{
    char text[HOST_TEXT];
    json_t *list = json_array();

    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(list, json_string(host_print(&p->hosts[i], text, sizeof text)));
    return list;
}

static json_t *prefix_values(const struct policy_network *w)
{
    char text[PREFIX_TEXT];
    json_t *list = json_array();

    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(list, json_string(prefix_print(&w->prefixes[i], text)));
    return list;
}

static json_t *network_values(const struct policy_rule *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->n_networks; i++)
        json_array_append_new(list, json_string(r->networks[i]));
    return list;
}

static json_t *when_values(const struct policy_rule *r)
{
    unsigned when = policy_when(r->action, r->when);
    json_t *list = json_array();

    for (unsigned i = 0; i < VERDICT_WORDS; i++)
        if (when & 1u << i)
            json_array_append_new(list, json_string(word_names[i]));
    return list;
}

/* --- lists ---------------------------------------------------------------- */

static const struct column network_columns[] = {
    {"name", "NETWORK", COLUMN_TEXT}, {"prefixes", "PREFIXES", COLUMN_LIST}, {0}};
static const struct column pool_columns[] = {{"name", "POOL", COLUMN_TEXT},
                                             {"hosts", "HOSTS", COLUMN_LIST},
                                             {"allow_public", "PUBLIC", COLUMN_TEXT},
                                             {0}};
static const struct column approved_columns[] = {
    {"host", "HOST", COLUMN_TEXT}, {"port", "PORT", COLUMN_NUMBER}, {"by", "BY", COLUMN_TEXT}, {0}};
static const struct column suffix_columns[] = {
    {"suffix", "SUFFIX", COLUMN_TEXT}, {"rule", "RULE", COLUMN_TEXT}, {0}};
static const struct column rule_columns[] = {
    {"name", "RULE", COLUMN_TEXT},           {"action", "ACTION", COLUMN_TEXT},
    {"mode", "MODE", COLUMN_TEXT},           {"networks", "NETWORKS", COLUMN_LIST},
    {"suffixes", "SUFFIXES", COLUMN_NUMBER}, {"when", "WHEN", COLUMN_LIST},
    {"pool", "POOL", COLUMN_TEXT},           {"ttl_s", "TTL", COLUMN_NUMBER},
    {"from", "FROM", COLUMN_TIME},           {"until", "UNTIL", COLUMN_TIME},
    {"comment", "COMMENT", COLUMN_TEXT},     {0}};

static json_t *network_row(const struct policy *p, size_t i)
{
    return json_pack("{s:s, s:o}", "name", p->networks[i].name, "prefixes",
                     prefix_values(&p->networks[i]));
}

static json_t *pool_row(const struct policy *p, size_t i)
{
    return json_pack("{s:s, s:o, s:b}", "name", p->pools[i].name, "hosts",
                     host_values(&p->pools[i]), "allow_public", p->pools[i].allow_public);
}

static json_t *rule_row(const struct policy *p, size_t i)
{
    const struct policy_rule *r = &p->rules[i];

    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:b, s:o}", "name",
                     r->name, "action", action_names[r->action], "mode", mode_names[r->mode],
                     "networks", network_values(r), "suffixes", (json_int_t)r->n_suffixes, "when",
                     when_values(r), "pool", text_value(r->pool), "ttl_s", (json_int_t)r->ttl,
                     "from", time_value(r->from_ms), "until", time_value(r->until_ms),
                     "break_dnssec", r->break_dnssec, "comment", text_value(r->comment));
}

static json_t *approved_row(const struct name *target, uint16_t port, const char *pool)
{
    char name[NAME_TEXT], *by = pool != NULL ? ctl_text("pool %s", pool) : ctl_text("list");
    json_t *row =
        json_pack("{s:s, s:i, s:s}", "host", name_print(target, name), "port", (int)port, "by", by);

    free(by);
    return row;
}

/* Rows of one kind; name NULL: of all objects. */
typedef json_t *make_rows(const struct policy *, const char *name, size_t limit, size_t *left);

static json_t *network_rows(const struct policy *p, const char *name, size_t limit, size_t *left)
{
    json_t *rows = json_array();

    (void)limit, (void)left;
    for (size_t i = 0; i < p->n_networks; i++)
        if (name == NULL || strcmp(name, p->networks[i].name) == 0)
            json_array_append_new(rows, network_row(p, i));
    return rows;
}

static json_t *pool_rows(const struct policy *p, const char *name, size_t limit, size_t *left)
{
    json_t *rows = json_array();

    (void)limit, (void)left;
    for (size_t i = 0; i < p->n_pools; i++)
        if (name == NULL || strcmp(name, p->pools[i].name) == 0)
            json_array_append_new(rows, pool_row(p, i));
    return rows;
}

static json_t *rule_rows(const struct policy *p, const char *name, size_t limit, size_t *left)
{
    json_t *rows = json_array();

    (void)limit, (void)left;
    for (size_t i = 0; i < p->n_rules; i++)
        if (name == NULL || strcmp(name, p->rules[i].name) == 0)
            json_array_append_new(rows, rule_row(p, i));
    return rows;
}

static json_t *approved_rows(const struct policy *p, const char *name, size_t limit, size_t *left)
{
    json_t *rows = json_array();
    struct name wanted = {.len = 1};

    (void)limit, (void)left;
    if (name != NULL && name_parse(&wanted, name) != 0)
        return rows;
    name_fold(&wanted);
    for (size_t i = 0; i < p->n_approved; i++)
        if (name == NULL || name_equal(&wanted, &p->approved[i].target))
            json_array_append_new(rows,
                                  approved_row(&p->approved[i].target, p->approved[i].port, NULL));
    for (size_t i = 0; i < p->n_pools; i++)
        for (size_t k = 0; k < p->pools[i].n; k++) {
            const struct policy_host *h = &p->pools[i].hosts[k];

            if (name == NULL || name_equal(&wanted, &h->target))
                json_array_append_new(rows, approved_row(&h->target, h->port, p->pools[i].name));
        }
    return rows;
}

/* name: of a rule. */
static json_t *suffix_rows(const struct policy *p, const char *name, size_t limit, size_t *left)
{
    json_t *rows = json_array();
    char text[SUFFIX_TEXT];

    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];

        if (name != NULL && strcmp(name, r->name) != 0)
            continue;
        for (size_t k = 0; k < r->n_suffixes; k++) {
            if (json_array_size(rows) >= limit) {
                *left += r->n_suffixes - k;
                break;
            }
            json_array_append_new(rows,
                                  json_pack("{s:s, s:s}", "suffix",
                                            suffix_print(&r->suffixes[k], text), "rule", r->name));
        }
    }
    return rows;
}

static const struct kind {
    const char *word, *one;
    const struct column *columns;
    make_rows *make;
} kinds[] = {
    {"rules", "rule", rule_columns, rule_rows},
    {"networks", "network", network_columns, network_rows},
    {"pools", "pool", pool_columns, pool_rows},
    {"approved", "approved host", approved_columns, approved_rows},
    {"suffixes", "rule", suffix_columns, suffix_rows},
};
static const char *const kind_words[] = {"rules",    "networks", "pools",
                                         "approved", "suffixes", NULL};

static int show_kind(struct ctl *c, const struct kind *k, const char *name)
{
    struct policy p;
    uint64_t serial;
    size_t limit, left = 0;
    json_t *rows;
    int code;

    if (!policy_limit(c, c->format == FORMAT_TABLE ? TABLE_ROWS : SIZE_MAX, &limit))
        return EXIT_USAGE;
    code = policy_open_read(c, &p, &serial);
    if (code != 0)
        return code;
    rows = k->make(&p, name, limit, &left);
    if (name != NULL && json_array_size(rows) == 0 &&
        !(k->make == suffix_rows && policy_find_rule(&p, name) != NULL))
        code = ctl_fail(EXIT_NOT_FOUND, "there is no %s %s", k->one, name);
    while (k->make != suffix_rows && json_array_size(rows) > limit) {
        json_array_remove(rows, json_array_size(rows) - 1);
        left++;
    }
    if (code == 0)
        table_print(c, k->word, k->columns, rows);
    if (left > 0)
        ctl_note("%zu more; --limit shows more of them", left);
    json_decref(rows);
    policy_fini(&p);
    return code;
}

/* --- the summary ---------------------------------------------------------- */

static const struct column summary_columns[] = {{"serial", "serial", COLUMN_NUMBER},
                                                {"digest", "digest", COLUMN_TEXT},
                                                {"time", "changed", COLUMN_TIME},
                                                {"rules", "rules", COLUMN_NUMBER},
                                                {"suffixes", "suffixes", COLUMN_NUMBER},
                                                {"networks", "networks", COLUMN_NUMBER},
                                                {"pools", "pools", COLUMN_NUMBER},
                                                {"approved", "approved", COLUMN_NUMBER},
                                                {"path", "store", COLUMN_TEXT},
                                                {"bytes", "bytes", COLUMN_NUMBER},
                                                {0}};

static int show_summary(struct ctl *c)
{
    struct policy_counts n;
    struct policy_store *store;
    char digest[16], *path;
    json_t *object;
    int code = policy_open(c, POLICY_READ, &store), rc;

    if (code != 0)
        return code;
    rc = policy_store_counts(store, &n);
    policy_store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    snprintf(digest, sizeof digest, "%08lx", (unsigned long)(n.digest >> 32));
    path = ctl_text("%s/policy", c->settings->server.state_dir);
    object = json_pack(
        "{s:I, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "serial", (json_int_t)n.serial,
        "digest", digest, "time", time_value(n.time_ms), "rules", (json_int_t)n.rules, "suffixes",
        (json_int_t)n.suffixes, "networks", (json_int_t)n.networks, "pools", (json_int_t)n.pools,
        "approved", (json_int_t)n.approved, "path", text_value(path), "bytes", (json_int_t)n.bytes);
    table_print_object(c, summary_columns, object);
    json_decref(object);
    free(path);
    return 0;
}

int policy_show(struct ctl *c)
{
    const char *near;
    int i;

    if (c->argc == 0)
        return show_summary(c);
    i = str_index(kind_words, c->argv[0]);
    if (i >= 0)
        return show_kind(c, &kinds[i], c->argc > 1 ? c->argv[1] : NULL);
    near = diag_nearest(c->argv[0], kind_words);
    return ctl_fail(EXIT_USAGE,
                    "policy show %s: rules, networks, pools, approved or suffixes%s%s%s",
                    c->argv[0], near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* --- the log -------------------------------------------------------------- */

static const struct column log_columns[] = {{"serial", "SERIAL", COLUMN_NUMBER},
                                            {"time", "TIME", COLUMN_TIME},
                                            {"author", "AUTHOR", COLUMN_TEXT},
                                            {"for", "FOR", COLUMN_TEXT},
                                            {"reason", "REASON", COLUMN_TEXT},
                                            {"summary", "WHAT", COLUMN_TEXT},
                                            {0}};

static int add_entry(void *context, const struct policy_log_entry *e)
{
    char digest[16];

    snprintf(digest, sizeof digest, "%08lx", (unsigned long)(e->digest >> 32));
    json_array_append_new(
        context, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:s}", "serial", (json_int_t)e->serial,
                           "time", time_value(e->time_ms), "author", text_value(e->author), "for",
                           text_value(e->claimed), "reason", text_value(e->reason), "summary",
                           text_value(e->summary), "digest", digest));
    return 0;
}

int policy_log(struct ctl *c)
{
    const char *since = ctl_option(c, "--since");
    struct policy_store *store;
    uint64_t since_ms = 0;
    json_t *rows;
    int code, rc;

    if (since != NULL && time_parse(&since_ms, since, c->now.wall_ms) != 0)
        return ctl_fail(EXIT_USAGE,
                        "--since %s: a time like \"2026-11-22 09:00\", or 7d for seven days ago",
                        since);
    code = policy_open(c, POLICY_READ, &store);
    if (code != 0)
        return code;
    rows = json_array();
    rc = policy_log_each(store, since_ms, ctl_option(c, "--rule"), add_entry, rows);
    policy_store_close(store);
    if (rc != 0)
        code = policy_failed(c, "read the log", rc);
    else
        table_print(c, "changes", log_columns, rows);
    json_decref(rows);
    return code;
}
