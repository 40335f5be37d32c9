/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_show.c -- `policy show`: the policy as tables, and `policy log`.
 */
#include "ctl/policy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"

enum { TABLE_ROWS = 1000 /* of suffixes on a screen */ };

static json_t *members(enum policy_kind kind, const void *all, size_t n)
{
    const struct policy_member *m = &policy_members[kind];
    char text[HOST_TEXT];
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_string(policy_member_print(kind, (const char *)all + i * m->size, text)));
    return list;
}

/* --- lists ---------------------------------------------------------------- */

enum what { RULES, NETWORKS, POOLS, APPROVED, SUFFIXES };
static const char *const words[] = {"rules", "networks", "pools", "approved", "suffixes", NULL};

/* Rows of one kind; what is over the limit is counted. */
struct listing {
    const char *name; /* of an object, or NULL: all */
    json_t *rows;
    size_t limit, left;
};

/* Takes the row of an object of that name. */
static void add(struct listing *l, const char *name, json_t *row)
{
    bool wanted = l->name == NULL || strcasecmp(l->name, name) == 0;

    if (wanted && json_array_size(l->rows) < l->limit)
        json_array_append(l->rows, row);
    else
        l->left += wanted;
    json_decref(row);
}

/* pool "": the host is listed. */
static void add_host(struct listing *l, const struct name *target, uint16_t port, const char *pool)
{
    char text[NAME_TEXT], *by = ctl_text("%s%s", pool[0] != '\0' ? "pool " : "list", pool);

    name_print(target, text);
    add(l, text, json_pack("{s:s, s:i, s:s}", "host", text, "port", (int)port, "by", by));
    free(by);
}

static void add_rule(struct listing *l, const struct policy_rule *r)
{
    json_t *networks = json_array(), *when = json_array();

    for (size_t i = 0; i < r->n_networks; i++)
        json_array_append_new(networks, json_string(r->networks[i]));
    for (unsigned i = 0; i < VERDICT_WORDS; i++)
        if (policy_when(r->action, r->when) & 1u << i)
            json_array_append_new(when, json_string(word_names[i]));
    add(l, r->name,
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:I, s:I, s:I, s:b, s:o}", "name", r->name,
                  "action", action_names[r->action], "mode", mode_names[r->mode], "networks",
                  networks, "suffixes", (json_int_t)r->n_suffixes, "when", when, "pool",
                  policy_text(r->pool), "ttl_s", (json_int_t)r->ttl, "from", (json_int_t)r->from_ms,
                  "until", (json_int_t)r->until_ms, "break_dnssec", r->break_dnssec, "comment",
                  policy_text(r->comment)));
}

static void add_rows(struct listing *l, enum what what, const struct policy *p)
{
    char text[SUFFIX_TEXT];

    for (const struct policy_network *w = p->networks; w < p->networks + p->n_networks; w++)
        if (what == NETWORKS)
            add(l, w->name,
                json_pack("{s:s, s:o}", "name", w->name, "prefixes",
                          members(POLICY_NETWORK, w->prefixes, w->n)));
    for (size_t i = 0; what == APPROVED && i < p->n_approved; i++)
        add_host(l, &p->approved[i].target, p->approved[i].port, "");
    for (const struct policy_pool *pool = p->pools; pool < p->pools + p->n_pools; pool++) {
        if (what == POOLS)
            add(l, pool->name,
                json_pack("{s:s, s:o, s:b}", "name", pool->name, "hosts",
                          members(POLICY_POOL, pool->hosts, pool->n), "allow_public",
                          pool->allow_public));
        for (size_t k = 0; what == APPROVED && k < pool->n; k++)
            add_host(l, &pool->hosts[k].target, pool->hosts[k].port, pool->name);
    }
    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        if (what == RULES)
            add_rule(l, r);
        for (size_t k = 0; what == SUFFIXES && k < r->n_suffixes; k++)
            add(l, r->name,
                json_pack("{s:s, s:s}", "suffix", suffix_print(&r->suffixes[k], text), "rule",
                          r->name));
    }
}

/* clang-format off */
static const struct {
    const char *one;
    struct column columns[12];
} lists[] = {
    [RULES] = {"rule", {
        {"name", "RULE", COLUMN_TEXT}, {"action", "ACTION", COLUMN_TEXT}, {"mode", "MODE", COLUMN_TEXT},
        {"networks", "NETWORKS", COLUMN_LIST}, {"suffixes", "SUFFIXES", COLUMN_NUMBER}, {"when", "WHEN", COLUMN_LIST | RANK(2)},
        {"pool", "POOL", COLUMN_TEXT}, {"ttl_s", "TTL", COLUMN_NUMBER | RANK(5)}, {"from", "FROM", COLUMN_TIME | RANK(4)},
        {"until", "UNTIL", COLUMN_TIME | RANK(3)}, {"comment", "COMMENT", COLUMN_TEXT | RANK(6)}}},
    [NETWORKS] = {"network", {
        {"name", "NETWORK", COLUMN_TEXT}, {"prefixes", "PREFIXES", COLUMN_LIST}}},
    [POOLS] = {"pool", {
        {"name", "POOL", COLUMN_TEXT}, {"hosts", "HOSTS", COLUMN_LIST}, {"allow_public", "PUBLIC", COLUMN_TEXT}}},
    [APPROVED] = {"approved host", {
        {"host", "HOST", COLUMN_TEXT}, {"port", "PORT", COLUMN_NUMBER}, {"by", "BY", COLUMN_TEXT}}},
    [SUFFIXES] = {"rule", {
        {"suffix", "SUFFIX", COLUMN_TEXT}, {"rule", "RULE", COLUMN_TEXT}}},
};
static const struct column summary_columns[] = {
    {"serial", "serial", COLUMN_NUMBER}, {"digest", "digest", COLUMN_TEXT}, {"time", "changed", COLUMN_TIME},
    {"rules", "rules", COLUMN_NUMBER}, {"suffixes", "suffixes", COLUMN_NUMBER}, {"networks", "networks", COLUMN_NUMBER},
    {"pools", "pools", COLUMN_NUMBER}, {"approved", "approved", COLUMN_NUMBER}, {"path", "store", COLUMN_TEXT},
    {"bytes", "bytes", COLUMN_NUMBER}, {0}};
static const struct column log_columns[] = {
    {"serial", "SERIAL", COLUMN_NUMBER}, {"time", "TIME", COLUMN_TIME}, {"author", "AUTHOR", COLUMN_TEXT},
    {"for", "FOR", COLUMN_TEXT | RANK(2)}, {"reason", "REASON", COLUMN_TEXT | RANK(1)}, {"summary", "WHAT", COLUMN_TEXT}, {0}};
/* clang-format on */

static int show_list(struct ctl *c, enum what what, const char *name)
{
    struct listing l = {.name = name, .limit = c->format == FORMAT_TABLE ? TABLE_ROWS : SIZE_MAX};
    const char *limit = ctl_option(c, "--limit");
    struct policy p;
    uint64_t n;
    int code;

    if (limit != NULL && number_parse(&n, limit, SIZE_MAX / 2) != 0)
        return ctl_fail(EXIT_USAGE, "--limit %s: a number is needed", limit);
    l.limit = limit != NULL ? (size_t)n : l.limit;
    code = policy_read(c, NULL, &p, NULL);
    if (code != 0)
        return code;
    l.rows = json_array();
    add_rows(&l, what, &p);
    if (name != NULL && json_array_size(l.rows) + l.left == 0 &&
        (what != SUFFIXES || policy_find(&p, POLICY_RULE, name) == NULL))
        code = ctl_fail(EXIT_NOT_FOUND, "there is no %s %s", lists[what].one, name);
    else
        table_print(c, words[what], lists[what].columns, l.rows);
    if (l.left > 0)
        ctl_note("%zu more; --limit shows more of them", l.left);
    json_decref(l.rows);
    policy_fini(&p);
    return code;
}

int policy_show(struct ctl *c)
{
    char meant[DIAG_MEANT];
    struct policy_counts n;
    struct store *store;
    char digest[16], *path;
    json_t *object;
    int code, rc, i = c->argc > 0 ? str_index(words, c->argv[0]) : -1;

    if (i >= 0)
        return show_list(c, (enum what)i, c->argc > 1 ? c->argv[1] : NULL);
    if (c->argc > 0)
        return ctl_fail(EXIT_USAGE,
                        "policy show %s: rules, networks, pools, approved or suffixes%s",
                        c->argv[0], diag_meant(c->argv[0], words, meant));
    code = policy_open(c, STORE_READ, &store);
    if (code != 0)
        return code;
    rc = policy_store_counts(store, &n);
    store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    snprintf(digest, sizeof digest, "%08lx", (unsigned long)(n.digest >> 32));
    path = ctl_text("%s/policy", c->settings->server.state_dir);
    object =
        json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "serial",
                  (json_int_t)n.serial, "digest", digest, "time", (json_int_t)n.time_ms, "rules",
                  (json_int_t)n.rules, "suffixes", (json_int_t)n.suffixes, "networks",
                  (json_int_t)n.networks, "pools", (json_int_t)n.pools, "approved",
                  (json_int_t)n.approved, "path", policy_text(path), "bytes", (json_int_t)n.bytes);
    table_print(c, NULL, summary_columns, object);
    json_decref(object);
    free(path);
    return 0;
}

/* --- the log -------------------------------------------------------------- */

static int add_entry(void *rows, const struct policy_log_entry *e)
{
    char digest[16];

    snprintf(digest, sizeof digest, "%08lx", (unsigned long)(e->digest >> 32));
    json_array_append_new(rows, json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:s}", "serial",
                                          (json_int_t)e->serial, "time", (json_int_t)e->time_ms,
                                          "author", policy_text(e->author), "for",
                                          policy_text(e->claimed), "reason", policy_text(e->reason),
                                          "summary", policy_text(e->summary), "digest", digest));
    return 0;
}

int policy_log(struct ctl *c)
{
    const char *since = ctl_option(c, "--since");
    struct store *store;
    uint64_t since_ms = 0;
    json_t *rows;
    int code, rc;

    if (since != NULL && time_parse(&since_ms, since, c->now.wall_ms) != 0)
        return ctl_fail(EXIT_USAGE,
                        "--since %s: a time like \"2026-11-22 09:00\", or 7d for seven days ago",
                        since);
    code = policy_open(c, STORE_READ, &store);
    if (code != 0)
        return code;
    rows = json_array();
    rc = policy_log_each(store, since_ms, ctl_option(c, "--rule"), add_entry, rows);
    store_close(store);
    if (rc != 0)
        code = policy_failed(c, "read the log", rc);
    else
        table_print(c, "changes", log_columns, rows);
    json_decref(rows);
    return code;
}
