/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_show.c -- the verbs that look at the policy and leave it alone.
 *
 * `policy check`: what is allowed and yet probably not meant. All (suffix, rule) pairs are sorted
 * by suffix; rules that meet in a run of equal suffixes are compared there, and findings are kept
 * per pair of rules: two that share a million suffixes are one sentence. Rules of the same suffix
 * and network are tried by name (policy/decide.h): `front` is the first, `back` the other.
 *
 * `policy test`: the section `tests:` of a file, decided by the daemon's own code on the present
 * store, or, with --policy, on one made of that file. kms.mode does not count: a test says what
 * the rules do, also while the switch is off.
 */
#include "ctl/policy.h"

#include <strings.h>

#include "policy/decide.h"
#include "wire/present.h"

enum { TABLE_ROWS = 1000 /* of suffixes on a screen */ };

/* What is listed: objects of a kind, and this: */
enum { SUFFIXES = POLICY_KINDS };
static const char *const words[] = {"networks", "pools", "approved", "rules", "suffixes", NULL};

/* Rows of one kind; what is over the limit is counted. */
struct listing {
    const char *name; /* of an object, or NULL: all */
    json_t *rows;
    size_t limit, left;
};

/* Is a row of an object of that name to be made? */
static bool wants(struct listing *l, const char *name)
{
    bool wanted = !l->name || strcasecmp(l->name, name) == 0;
    bool fits = json_array_size(l->rows) < l->limit;

    l->left += wanted && !fits;
    return wanted && fits;
}

static void add_listed_host(struct listing *l, const struct policy_approved *a, const char *by,
                            const char *pool)
{
    char text[NAME_TEXT];

    if (wants(l, name_print(&a->target, text)))
        json_array_append_new(l->rows, json_pack("{s:s,s:i,s:s+}", "host", text, "port",
                                                 (int)a->port, "by", by, pool));
}

static json_t *object_row(enum policy_kind kind, const union policy_object *o)
{
    const struct policy_list *members = policy_members_of(kind, o);
    json_t *list = json_array(), *when;
    const struct policy_rule *r = &o->rule;
    const int pinned = kind == POLICY_POOL ? policy_pinned(&o->pool) : 0;
    char text[HOST_TEXT];

    for (size_t i = 0; kind != POLICY_RULE && i < members->n; i++)
        json_array_append_new(
            list, json_string(policy_member_print(
                      kind, (char *)members->at + i * policy_members[kind].size, text)));
    if (kind == POLICY_NETWORK)
        return json_pack("{s:s,s:o}", "name", o->name, "prefixes", list);
    if (kind == POLICY_POOL)
        return json_pack("{s:s,s:o,s:b,s:s,s:o?}", "name", o->name, "hosts", list, "allow_public",
                         o->pool.allow_public, "choice", choice_names[o->pool.choice],
                         "pin_clients", pinned > 0 ? json_integer(pinned) : NULL);
    when = json_array();
    for (size_t i = 0; i < r->n_networks; i++)
        json_array_append_new(list, json_string(r->networks[i]));
    for (unsigned i = 0; i < VERDICT_WORDS; i++)
        if (r->when & 1u << i)
            json_array_append_new(when, json_string(word_names[i]));
    return json_pack("{s:s,s:s,s:s,s:o,s:I,s:o,s:o,s:I,s:I,s:I,s:b,s:o}", "name", r->name, "action",
                     action_names[r->action], "mode", mode_names[r->mode], "networks", list,
                     "suffixes", (json_int_t)r->n_suffixes, "when", when, "pool",
                     policy_text(r->pool), "ttl_s", (json_int_t)r->ttl, "from",
                     (json_int_t)r->from_ms, "until", (json_int_t)r->until_ms, "break_dnssec",
                     r->break_dnssec, "comment", policy_text(r->comment));
}

/* clang-format off */
#define T COLUMN_TEXT
#define N COLUMN_NUMBER
#define L COLUMN_LIST
#define TIME COLUMN_TIME
static const struct {
    const char *one;
    struct column columns[12];
} lists[] = {
    [POLICY_NETWORK] = {"network", {{"name", "NETWORK", T, 0}, {"prefixes", NULL, L, 0}}},
    [POLICY_POOL] = {"pool", {{"name", "POOL", T, 0}, {"hosts", NULL, L, 0}, {"choice", NULL, T, 0}, {"pin_clients", "UNTIL", N, 5}, {"allow_public", "PUBLIC", T, 4}}},
    [POLICY_APPROVED] = {"approved host", {{"host", NULL, T, 0}, {"port", NULL, N, 0}, {"by", NULL, T, 0}}},
    [POLICY_RULE] = {"rule", {
        {"name", "RULE", T, 0}, {"action", NULL, T, 0}, {"mode", NULL, T, 0}, {"networks", NULL, L, 0},
        {"suffixes", NULL, N, 0}, {"when", NULL, L, 2}, {"pool", NULL, T, 0}, {"ttl_s", "TTL", N, 5},
        {"from", NULL, TIME, 4}, {"until", NULL, TIME, 3}, {"comment", NULL, T, 6}}},
    [SUFFIXES] = {"rule", {{"suffix", NULL, T, 0}, {"rule", NULL, T, 0}}},
};
static const struct column health_columns[] = {
    {"pool", NULL, T, 0}, {"host", NULL, T, 0}, {"port", NULL, N, 0}, {"state", NULL, T, 0}, {"since", NULL, TIME, 0},
    {"last_error", "LAST ERROR", T, 0}, {"addresses", NULL, L, 2}, {0}};
static const struct column summary_columns[] = {
    {"serial", "serial", N, 0}, {"digest", "digest", T, 0}, {"time", "changed", TIME, 0}, {"rules", "rules", N, 0},
    {"suffixes", "suffixes", N, 0}, {"networks", "networks", N, 0}, {"pools", "pools", N, 0},
    {"approved", "approved", N, 0}, {"path", "store", T, 0}, {"bytes", "bytes", N, 0}, {0}};
static const struct column log_columns[] = {
    {"serial", NULL, N, 0}, {"time", NULL, TIME, 0}, {"author", NULL, T, 0}, {"for", NULL, T, 2},
    {"reason", NULL, T, 1}, {"summary", "WHAT", T, 0}, {0}};
static const struct column finding_columns[] = {{"subject", NULL, T, 0}, {"text", "FINDING", T, 0}, {0}};
static const struct column test_columns[] = {
    {"line", NULL, N, 0}, {"suffix", NULL, T, 0}, {"client", NULL, T, 0}, {"verdict", NULL, T, 0}, {"expect", NULL, T, 0},
    {"outcome", "GOT", T, 0}, {"rule", NULL, T, 0}, {"result", NULL, T, 0}, {0}};
/* clang-format on */

/* What the daemon knows of a host that it tries, or NULL. */
static json_t *find_health(const json_t *health, const struct policy_host *h)
{
    const json_t *known = json_object_get(health, "hosts");
    char name[NAME_TEXT];
    json_t *one;
    size_t i;

    name_print(&h->target, name);
    json_array_foreach(known, i, one)
    {
        if (h->probe && json_is_integer(json_object_get(one, "since")) &&
            strcmp(json_string_value(json_object_get(one, "host")), name) == 0 &&
            json_integer_value(json_object_get(one, "port")) == h->port)
            return one;
    }
    return NULL;
}

/* The same of a pool's hosts, to the list and to the pool's row. */
static void add_health(json_t *list, const json_t *health, const struct policy_pool *p, json_t *row)
{
    json_t *of_pool = json_array(), *o, *one;
    char name[NAME_TEXT];

    for (const struct policy_host *h = p->hosts; h < p->hosts + p->n; h++) {
        o = json_pack("{s:s,s:s,s:i,s:s}", "pool", p->name, "host", name_print(&h->target, name),
                      "port", (int)h->port, "state", h->probe ? "unknown" : "not probed");
        if ((one = find_health(health, h)))
            json_object_update(o, one);
        json_array_append(list, o);
        json_array_append_new(of_pool, o);
    }
    json_object_set_new(row, "health", of_pool);
}

/* One rule, each field in words. */
static const struct ctl_row rule_lines[] = {
    {"rule", NULL, "{name}[: {comment}]"},
    {"does", NULL, "{does}[{?pool}{pool}[: {hosts}]|]"},
    {"when", NULL, "{says}"},
    {"clients", NULL, "in [{networks}|any network, or none]"},
    {"mode", NULL,
     "[{?mode=live}live|{?mode=shadow}shadow: recorded, not delivered|off: it never acts]"},
    {"valid", NULL,
     "[{?from=0}{?until=0}at any time|{?from=0}until {until:time}|{?until=0}from {from:time}|"
     "from {from:time} until {until:time}]"},
    {"TTL", NULL, "{ttl_s:span}"},
    {"DNSSEC", NULL,
     "[{?break_dnssec}acts also on signed answers for clients that check them|"
     "leaves signed answers to clients that check them]"},
    {"suffixes", "suffix_names", "{.}"},
    {"suffixes", NULL, "[{?suffix_names}|{?suffixes=0}none: it never acts|{suffixes}]"},
    {0},
};

/* What those need beside the row of the table; how many suffixes are left out. */
static size_t add_words(json_t *row, const struct policy *p, const struct policy_rule *r,
                        size_t limit)
{
    static const char *const says[VERDICT_WORDS] = {"has no record", "fails", "has a record",
                                                    "names a host that is not approved"};
    const union policy_object *pool = policy_find(p, POLICY_POOL, r->pool);
    json_t *list = json_array(), *of_pool = pool ? object_row(POLICY_POOL, pool) : NULL;
    size_t n = r->n_suffixes < limit ? r->n_suffixes : limit;
    char text[SUFFIX_TEXT];
    struct str s;

    str_init(&s, text, sizeof text);
    str_add(&s, r->when == WORD_ALL ? "whatever the real DNS says" : "");
    for (int i = 0; r->when != WORD_ALL && i < VERDICT_WORDS; i++)
        if (r->when & 1u << i)
            str_addf(&s, "%s%s", s.len == 0 ? "the real DNS " : " or ", says[i]);
    json_object_set_new(row, "says", json_string(text));
    json_object_set_new(row, "does", json_string(policy_actions[r->action].deed));
    json_object_set(row, "hosts", json_object_get(of_pool, "hosts"));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(suffix_print(r->suffixes[i], text)));
    json_object_set_new(row, "suffix_names", list);
    json_decref(of_pool);
    return r->n_suffixes - n;
}

static int show_list(struct ctl *c, int what, const char *name)
{
    enum policy_kind kind = what == SUFFIXES ? POLICY_RULE : (enum policy_kind)what;
    struct listing l = {.name = name};
    const union policy_object *o;
    json_t *health, *hosts, *row;
    char text[SUFFIX_TEXT], meant[DIAG_MEANT];
    uint64_t n = c->format == FORMAT_TABLE ? TABLE_ROWS : SIZE_MAX;
    struct policy p;
    int code = ctl_number(c, "--limit", SIZE_MAX / 2, &n);

    if (code == 0)
        code = policy_read(c, &p, NULL);
    if (code != 0)
        return code;
    l.limit = (size_t)n;
    l.rows = json_array();
    health = kind == POLICY_POOL ? ctl_api_get(c, "/v1/health") : NULL;
    hosts = json_array();
    for (size_t i = 0; (o = policy_object(&p, kind, i)); i++) {
        if (kind == POLICY_APPROVED)
            add_listed_host(&l, &o->approved, "list", "");
        else if (what != SUFFIXES && wants(&l, o->name)) {
            json_array_append_new(l.rows, row = object_row(kind, o));
            if (health)
                add_health(hosts, health, &o->pool, row);
            if (name && kind == POLICY_RULE)
                l.left += add_words(row, &p, &o->rule, l.limit);
        }
        for (size_t k = 0; what == SUFFIXES && k < o->rule.n_suffixes; k++)
            if (wants(&l, o->name)) /* of a million suffixes, few may be shown */
                json_array_append_new(l.rows, json_pack("{s:s,s:s}", "suffix",
                                                        suffix_print(o->rule.suffixes[k], text),
                                                        "rule", o->name));
    }
    for (size_t i = 0; kind == POLICY_APPROVED && i < p.n_pools; i++)
        for (size_t k = 0; k < p.pools[i].n; k++)
            add_listed_host(&l, (const void *)&p.pools[i].hosts[k], "pool ", p.pools[i].name);
    if (name && json_array_size(l.rows) + l.left == 0 &&
        (what != SUFFIXES || !policy_find(&p, POLICY_RULE, name)))
        code = ctl_fail(EXIT_NOT_FOUND, "there is no %s %s%s", lists[what].one, name,
                        policy_meant(kind != POLICY_APPROVED ? &p : NULL, NULL, kind, name, meant));
    else if (name && what == POLICY_RULE && c->format == FORMAT_TABLE)
        ctl_show(json_array_get(l.rows, 0), rule_lines);
    else
        table_print(c, words[what], lists[what].columns, l.rows);
    if (c->format == FORMAT_TABLE && json_array_size(hosts) > 0) {
        ctl_line("%s", "");
        table_print(c, "hosts", health_columns, hosts);
    }
    json_decref(hosts);
    json_decref(health);
    if (l.left > 0)
        ctl_note("%zu more; --limit shows more of them", l.left);
    json_decref(l.rows);
    policy_fini(&p);
    return code;
}

int policy_show(struct ctl *c)
{
    char digest[POLICY_DIGEST_TEXT], meant[DIAG_MEANT], *path;
    struct policy_counts n;
    struct store *store;
    json_t *object;
    int code, rc, i = c->argc > 0 ? str_index(words, c->argv[0]) : -1;

    if (i >= 0)
        return show_list(c, i, c->argc > 1 ? c->argv[1] : NULL);
    if (c->argc > 0)
        return ctl_fail(EXIT_USAGE,
                        "policy show %s: rules, networks, pools, approved or suffixes%s",
                        c->argv[0], diag_meant(c->argv[0], words, meant));
    code = policy_open_at(c, &store);
    if (code != 0)
        return code;
    rc = policy_store_counts(store, &n);
    store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    path = ctl_text("%s/policy", c->settings->server.state_dir);
    object =
        json_pack("{s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I}", "serial", (json_int_t)n.serial,
                  "digest", policy_digest_print(n.digest, digest), "time", (json_int_t)n.time_ms,
                  "rules", (json_int_t)n.rules, "suffixes", (json_int_t)n.suffixes, "networks",
                  (json_int_t)n.networks, "pools", (json_int_t)n.pools, "approved",
                  (json_int_t)n.approved, "path", policy_text(path), "bytes", (json_int_t)n.bytes);
    table_print(c, NULL, summary_columns, object);
    json_decref(object);
    free(path);
    return 0;
}

static void add_entry(void *rows, const struct policy_log_entry *e)
{
    char digest[POLICY_DIGEST_TEXT];

    json_array_append_new(
        rows, json_pack("{s:I,s:I,s:o,s:o,s:o,s:o,s:s}", "serial", (json_int_t)e->serial, "time",
                        (json_int_t)e->time_ms, "author", policy_text(e->author), "for",
                        policy_text(e->claimed), "reason", policy_text(e->reason), "summary",
                        policy_text(e->summary), "digest", policy_digest_print(e->digest, digest)));
}

int policy_log(struct ctl *c)
{
    struct store *store;
    uint64_t since_ms = 0;
    json_t *rows;
    int code = ctl_number(c, "--since", 0, &since_ms), rc;

    if (code == 0)
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

/* Adds a sentence about its subject, and takes its text. */
static void add_finding(json_t *rows, const char *what, const char *name, char *text)
{
    json_array_append_new(rows, json_pack("{s:s+,s:s}", "subject", what, name, "text", text));
    free(text);
}
#define FOUND(rows, what, name, ...) add_finding(rows, what, name, ctl_text(__VA_ARGS__))

static void check_rule(json_t *rows, const struct policy_rule *r, uint64_t now_ms)
{
    bool any = policy_rule_has(r, "any");
    char text[SUFFIX_TEXT], when[NUMBER_TEXT];

    if (r->mode == MODE_OFF)
        FOUND(rows, "rule ", r->name, "never acts: its mode is off");
    if (r->until_ms != 0 && r->until_ms <= now_ms)
        FOUND(rows, "rule ", r->name, "never acts: it expired at %s",
              policy_time_print(r->until_ms, when));
    if (r->n_networks > 1 && any)
        FOUND(rows, "rule ", r->name, "names any beside other networks; any covers them all");
    if (r->n_suffixes == 0)
        FOUND(rows, "rule ", r->name, "never acts: it has no suffix");
    for (size_t i = 0; i < r->n_suffixes; i++) {
        const struct suffix *s = r->suffixes[i];

        suffix_print(s, text);
        if (s->below && s->name.labels == 0 && any && policy_actions[r->action].has_pool)
            FOUND(rows, "rule ", r->name, "action %s for every suffix of every client: a catch-all",
                  action_names[r->action]);
        if (s->name.labels == 1 && !s->below)
            FOUND(rows, "rule ", r->name,
                  "suffix %s has one label: is one missing? Without a route of its own (forward) "
                  "its question goes to the default servers",
                  text);
        if (s->name.labels > 0 && s->name.data[1] == '_')
            FOUND(rows, "rule ", r->name,
                  "suffix %s begins with an underscore; no domain of a client does", text);
        if (s->name.labels == 4 && strspn(text, "0123456789.*") == strlen(text))
            FOUND(rows, "rule ", r->name, "suffix %s looks like an address", text);
    }
}

enum { PAIRS = 200 /* that are reported */, MEETING = 64 /* rules compared at one name */ };

struct use {
    const struct suffix *suffix;
    const struct policy_rule *rule;
};
enum pair_kind { PAIR_NONE, PAIR_TIE, PAIR_HIDES, PAIR_BELOW };
struct pair {
    const struct policy_rule *front, *back;
    enum pair_kind kind;
    size_t n;
    const struct suffix *example;
};

/* Both have the suffix, or (is_below) a has x and b has *.x. */
static enum pair_kind compare_rules(const struct policy_rule *a, const struct policy_rule *b,
                                    bool is_below)
{
    bool all_a = policy_rule_has(a, "any"), all_b = policy_rule_has(b, "any");
    /* Networks of b that a has, too: none, the scopes do not meet; all, a's holds b's. */
    size_t shared = all_a && all_b ? SIZE_MAX : 0;

    for (size_t i = 0; !all_a && !all_b && i < b->n_networks; i++)
        shared += policy_rule_has(a, b->networks[i]);
    if (a == b || a->mode != b->mode || shared == 0)
        return PAIR_NONE;
    if (is_below)
        return a->action != b->action || strcmp(a->pool, b->pool) != 0 ? PAIR_BELOW : PAIR_NONE;
    if ((a->when & b->when) == 0 || (a->until_ms != 0 && b->from_ms >= a->until_ms) ||
        (b->until_ms != 0 && a->from_ms >= b->until_ms))
        return PAIR_NONE;
    if (shared < b->n_networks || (b->when & ~a->when) != 0 || a->from_ms > b->from_ms ||
        (a->until_ms != 0 && (b->until_ms == 0 || b->until_ms > a->until_ms)))
        return PAIR_TIE;
    return PAIR_HIDES;
}

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    int c = suffix_compare(x->suffix, y->suffix);

    return c != 0 ? c : (x->rule > y->rule) - (x->rule < y->rule);
}

/* x and *.x stand next to each other in the order of suffixes: they are one run. */
static void check_pairs(json_t *rows, const struct policy *p, uint64_t now_ms)
{
    struct pair pairs[PAIRS], *end = pairs, *q;
    size_t n = 0, begin = 0;
    struct use *uses = NULL;

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        bool can_act = r->mode != MODE_OFF && (r->until_ms == 0 || r->until_ms > now_ms);

        uses = ctl_alloc(uses, (n + r->n_suffixes) * sizeof *uses);
        for (size_t k = 0; can_act && k < r->n_suffixes; k++)
            uses[n++] = (struct use){r->suffixes[k], r};
    }
    n = policy_sort_unique(uses, n, sizeof *uses, by_use);
    for (size_t back = 0; back < n; back++) {
        const struct suffix *s = uses[back].suffix, *first = uses[begin].suffix;

        if (!name_equal(&s->name, &first->name) ||
            (s->below != first->below && s->name.labels == 0))
            begin = back;
        for (size_t front = begin; front < back && back - begin < MEETING; front++) {
            const struct policy_rule *a = uses[front].rule, *b = uses[back].rule;
            enum pair_kind kind = compare_rules(a, b, uses[front].suffix->below != s->below);

            for (q = pairs; q < end && (q->front != a || q->back != b || q->kind != kind);)
                q++;
            if (kind == PAIR_NONE || q == pairs + PAIRS)
                continue;
            if (q == end)
                *end++ = (struct pair){a, b, kind, 0, uses[front].suffix};
            q->n++;
        }
    }
    for (q = pairs; q < end; q++) {
        const char *front = q->front->name, *back = q->back->name;
        char text[SUFFIX_TEXT], more[48] = "";

        suffix_print(q->example, text);
        if (q->n > 1)
            snprintf(more, sizeof more, " and %zu more suffixes", q->n - 1);
        if (q->kind == PAIR_HIDES)
            FOUND(rows, "rule ", back,
                  "%s %s%s, rule %s has the same scope and is tried first, by its name",
                  q->n == q->back->n_suffixes ? "can never act: for" : "never acts for", text, more,
                  front);
        else if (q->kind == PAIR_TIE)
            FOUND(rows, "rule ", back,
                  "is in a tie with rule %s for %s%s; only the order of their names decides", front,
                  text, more);
        else
            FOUND(rows, "rule ", back, "has *.%s%s, while rule %s decides otherwise for %s itself",
                  text, more, front, text);
    }
    if (end == pairs + PAIRS)
        FOUND(rows, "rules", "", "more pairs of rules meet than are listed here");
    free(uses);
}

json_t *policy_findings(const struct policy *p, uint64_t now_ms)
{
    json_t *rows = json_array();
    char text[PREFIX_TEXT];
    size_t k;

    for (k = 0; k < p->n_rules; k++)
        check_rule(rows, &p->rules[k], now_ms);
    for (const struct policy_network *w = p->networks; w < p->networks + p->n_networks; w++) {
        for (k = 0; k < p->n_rules && !policy_rule_has(&p->rules[k], w->name);)
            k++;
        if (k == p->n_rules)
            FOUND(rows, "network ", w->name, "no rule uses it");
        for (const struct prefix *x = w->prefixes; x < w->prefixes + w->n; x++) {
            const struct policy_network *other = p->networks;

            if (strcmp(strchr(prefix_print(x, text), '/'), "/0") == 0)
                FOUND(rows, "network ", w->name,
                      "%s is every client; the network any is meant for that", text);
            /* A client in two networks by the same prefix: which is the nearer one? */
            while (!bsearch(x, other->prefixes, other->n, sizeof *x, policy_prefix_compare))
                other++;
            if (other != w)
                FOUND(rows, "network ", w->name,
                      "has prefix %s as network %s has: neither is nearer to its clients", text,
                      other->name);
        }
    }
    for (const struct policy_pool *pool = p->pools; pool < p->pools + p->n_pools; pool++) {
        for (k = 0; k < p->n_rules && strcmp(p->rules[k].pool, pool->name) != 0;)
            k++;
        if (k == p->n_rules)
            FOUND(rows, "pool ", pool->name, "no rule delivers it; its hosts count as approved");
    }
    check_pairs(rows, p, now_ms);
    return rows;
}

char *policy_unrouted(const struct settings *s, const struct policy_rule *r)
{
    struct suffix **without = ctl_alloc(NULL, r->n_suffixes * sizeof *without);
    char *text = NULL;
    size_t n = 0;
    FILE *f;

    for (size_t i = 0; i < r->n_suffixes; i++) {
        struct suffix *x = r->suffixes[i];
        /* Of * and . the default servers are what there is to ask. */
        bool has_route = x->name.labels == 0;

        for (const struct route *k = s->routes; k < s->routes + s->n_routes; k++)
            has_route |= k->zone.labels > 0 && name_is_under(&x->name, &k->zone);
        if (!has_route)
            without[n++] = x;
    }
    if (n > 0) {
        f = ctl_open(&text);
        fputs("no route for ", f);
        policy_list(f, POLICY_RULE, without, n);
        fprintf(f, "; whether %s missing is judged by the default servers (forward: zone .)",
                n == 1 ? "its record is" : "their records are");
        ctl_close(f);
    }
    free(without);
    return text;
}

static void check_hosts(struct ctl *c, json_t *rows, const struct policy *p)
{
    json_t *health = p->n_pools > 0 ? ctl_api_get(c, "/v1/health") : NULL;
    char host[HOST_TEXT], since[NUMBER_TEXT];
    const char *state = NULL, *error;
    json_int_t ms;

    for (const struct policy_pool *pool = p->pools; health && pool < p->pools + p->n_pools; pool++)
        for (const struct policy_host *h = pool->hosts; h < pool->hosts + pool->n; h++)
            if (json_unpack(find_health(health, h), "{s:s,s:I,s:s}", "state", &state, "since", &ms,
                            "last_error", &error) == 0 &&
                strcmp(state, "down") == 0)
                FOUND(rows, "pool ", pool->name, "host %s is down since %s: %s",
                      policy_member_print(POLICY_POOL, h, host),
                      time_print_local((uint64_t)ms, since), error);
    if (p->n_pools > 0 && !health)
        ctl_note("waymarkd does not answer: whether the hosts resolve and are up is not known");
    json_decref(health);
}

int policy_check(struct ctl *c)
{
    const struct settings *s = c->settings;
    bool has_routes = false, live = false;
    struct policy p;
    json_t *rows;
    size_t n;
    int code =
        c->argc > 0 ? policy_file_read(c->argv[0], POLICY_WHOLE, &p) : policy_read(c, &p, NULL);

    if (code != 0)
        return code;
    rows = policy_findings(&p, c->now.wall_ms);
    check_hosts(c, rows, &p);
    /* What only the settings tell: where no zone has a route, the default servers are all there is. */
    for (int i = 0; i < s->n_routes; i++)
        has_routes |= s->routes[i].zone.labels > 0;
    for (const struct policy_rule *r = p.rules; r < p.rules + p.n_rules; r++) {
        bool is_asked = has_routes && r->action == ACTION_FILL && r->mode != MODE_OFF;
        char *unrouted = is_asked ? policy_unrouted(s, r) : NULL;

        if (unrouted)
            add_finding(rows, "rule ", r->name, unrouted);
        live |= r->mode == MODE_LIVE;
    }
    if (live && s->kms.mode == MODE_OFF)
        FOUND(rows, "kms.mode", "", "is off: no rule can act");
    if (live && s->kms.mode == MODE_SHADOW)
        FOUND(rows, "kms.mode", "", "is shadow: decisions are recorded, and none is delivered");
    n = json_array_size(rows);
    if (n > 0 || c->format != FORMAT_TABLE)
        table_print(c, "findings", finding_columns, rows);
    else
        ctl_line("no findings");
    json_decref(rows);
    policy_fini(&p);
    return n > 0 ? EXIT_PROBLEMS : 0;
}

/* Adds its row, and counts it when it failed. 0 or -errno. */
static int run_test(struct ctl *c, struct policy_reader *r, const struct policy_test *t,
                    json_t *rows, size_t *failed)
{
    bool present = t->verdict == VERDICT_PRESENT || t->verdict == VERDICT_UNAPPROVED;
    struct srv srv = {.port = POLICY_KMS_PORT, .target = t->real_host};
    const struct policy_real real = {
        .verdict = present ? VERDICT_PRESENT : t->verdict, .srv = &srv, .n_srv = present};
    struct policy_client client;
    struct name service, qname;
    const struct policy_ask ask = {
        .qname = &qname, .client = &client, .wall_ms = c->now.wall_ms, .limit = MODE_LIVE};
    static struct policy_decision d; /* large */
    bool given;
    char suffix[SUFFIX_TEXT], address[ADDR_TEXT], host[NAME_TEXT] = "";
    const char *result = "ok", *expect = t->expect != 0 ? outcome_names[t->expect] : "";
    int rc = store_reader_begin(r->txn); /* once a test: a rule may change meanwhile */

    if (rc == 0 && (rc = policy_client_find(r, &t->client, &client)) != 0)
        store_end(r->txn);
    if (rc != 0)
        return rc;
    (void)name_parse(&service, "_vlmcs._tcp");
    (void)name_join(&service, &t->suffix.name, &qname); /* whatever is a suffix fits */
    /* A host that is not named is ".", the one that is never unapproved, or one
     * that nobody can approve. */
    if (t->real_host.labels == 0 && t->verdict == VERDICT_UNAPPROVED)
        name_parse(&srv.target, "unapproved.invalid");
    policy_decide(r, &ask, &real, &d);
    store_end(r->txn);
    given = t->host.labels == 0 ||
            (present && name_equal(&srv.target, &t->host) &&
             (d.outcome == OUTCOME_PASSED || (d.outcome == OUTCOME_FILTERED && !d.unapproved[0])));
    for (unsigned i = 0; i < d.n_hosts; i++)
        given |= name_equal(&d.hosts[i].target, &t->host);
    if (t->expect != 0 && d.outcome != t->expect)
        result = "FAILED: other outcome";
    else if (!given)
        result = "FAILED: host not given";
    if (t->host.labels > 0)
        name_print(&t->host, host);
    json_array_append_new(
        rows,
        json_pack("{s:I,s:s,s:s,s:s,s:s++,s:s,s:s?,s:s}", "line", (json_int_t)t->line, "suffix",
                  suffix_print(&t->suffix, suffix), "client", addr_print(&t->client, address),
                  "verdict", verdict_names[t->verdict], "expect", expect,
                  *expect && *host ? " " : "", host, "outcome", outcome_names[d.outcome], "rule",
                  d.rule[0] ? d.rule : NULL, "result", result));
    *failed += strcmp(result, "ok") != 0;
    return 0;
}

int policy_test(struct ctl *c)
{
    const char *file = ctl_option(c, "--policy");
    struct policy_reader *r = NULL;
    struct store *store = NULL;
    json_t *rows = NULL;
    struct policy p, of;
    size_t failed = 0;
    int code = policy_file_read(c->argv[0], POLICY_PART, &p), rc = 0;

    if (code != 0)
        return code;
    if (p.n_tests == 0)
        code = ctl_fail(EXIT_INVALID, "%s has no section tests:", c->argv[0]);
    else if (!file)
        code = policy_open(c, STORE_READ, &store);
    else if ((code = policy_file_read(file, POLICY_WHOLE, &of)) == 0) {
        code = policy_open_temporary(c, &of, &store);
        policy_fini(&of);
    }
    if (code != 0)
        goto done;
    rows = json_array();
    if (rc == 0 && !(r = policy_reader_new(store)))
        rc = -ENOMEM;
    for (size_t i = 0; i < p.n_tests && rc == 0; i++)
        rc = run_test(c, r, &p.tests[i], rows, &failed);
    if (rc != 0) {
        code = policy_failed(c, "try the policy", rc);
        goto done;
    }
    table_print(c, "tests", test_columns, rows);
    code = failed > 0 ? ctl_fail(EXIT_PROBLEMS, "%zu of %zu tests failed", failed, p.n_tests)
                      : ctl_note("%zu tests passed", p.n_tests);
done:
    json_decref(rows);
    policy_reader_free(r);
    store_close(store);
    policy_fini(&p);
    return code;
}
