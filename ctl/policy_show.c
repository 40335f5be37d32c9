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

#include "policy/decide.h"

enum { TABLE_ROWS = 1000 /* of suffixes on a screen */, UNROUTED = 8 /* in a sentence */ };

/* What is listed: objects of a kind, and this: */
enum { SUFFIXES = POLICY_KINDS };
static const char *const words[] = {"networks", "pools", "approved", "rules", "suffixes", NULL};

/* Rows of one kind; what is over the limit is counted. */
struct listing {
    const char *name; /* of an object, or NULL: all */
    json_t *rows;
    uint64_t limit, left;
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
    const size_t size = policy_lists[kind]->element->size;
    json_t *list = json_array(), *when;
    const struct policy_rule *r = &o->rule;
    char text[HOST_TEXT];

    for (size_t i = 0; kind != POLICY_RULE && i < members->n; i++) {
        policy_member_print(kind, (char *)members->at + i * size, text);
        json_array_append_new(list, json_string(text));
    }
    if (kind == POLICY_NETWORK)
        return json_pack("{s:s,s:o}", "name", o->name, "prefixes", list);
    if (kind == POLICY_POOL)
        return json_pack(
            "{s:s,s:o,s:b,s:s,s:o?}", "name", o->name, "hosts", list, "allow_public",
            o->pool.allow_public, "choice", choice_names[o->pool.choice], "pin_clients",
            o->pool.choice == CHOICE_PIN ? json_integer(policy_pinned(&o->pool)) : NULL);
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

static const char *const columns[] = {
    [POLICY_NETWORK] = "name=NETWORK|prefixes:list",
    [POLICY_POOL] = "name=POOL|hosts:list|choice|pin_clients:n/5=UNTIL|allow_public/4=PUBLIC",
    [POLICY_APPROVED] = "host|port:n|by",
    [POLICY_RULE] = ("name=RULE|action|mode|networks:list|suffixes:n|when:list/2|pool|ttl_s:n/5=TTL"
                     "|from:time/4|until:time/3|comment/6"),
    [SUFFIXES] = "suffix|rule",
};

/* What the daemon knows of a pool's hosts, in its row. */
static void add_health(json_t *row, const json_t *health, const struct policy_pool *p)
{
    char text[HOST_TEXT], name[NAME_TEXT];
    json_t *list = json_array(), *one;

    for (const struct policy_host *h = p->hosts; h < p->hosts + p->n; h++) {
        one = json_pack("{s:s,s:s,s:i,s:s}", "pool", p->name, "host", name_print(&h->target, name),
                        "port", (int)h->port, "state", h->probe ? "unknown" : "not probed");
        if (h->probe)
            json_object_update(
                one, json_object_get(health, policy_member_print(POLICY_APPROVED, h, text)));
        json_array_append_new(list, one);
    }
    json_object_set_new(row, "health", list);
}

/* One rule, each field in words. */
static const struct ctl_row rule_lines[] = {
    {"rule", NULL, "{name}[: {comment}]"},
    {"does", NULL, "{does}[{?pool}{pool}[: {hosts}]|]"},
    {"when", NULL, "[{?always}whatever the real DNS says|the real DNS says: {when}]"},
    {"clients", NULL, "in [{networks}|any network, or none]"},
    {"mode", NULL, "[{?mode=live}live|{?mode=off}off: it never acts|shadow: it is recorded only]"},
    {"valid", NULL,
     "[{?from=0}{?until=0}at any time|][{?from=0}|from {from:time} ][{?until=0}|until "
     "{until:time}]"},
    {"TTL", NULL, "{ttl_s:span}"},
    {"DNSSEC", NULL, "[{?break_dnssec}acts also|never acts] on signed answers for validators"},
    {"suffixes", "suffix_names", "{.}"},
    {"suffixes", NULL, "[{?suffix_names}|{?suffixes=0}none: it never acts|{suffixes}]"},
    {0},
};

/* What those need beside the row of the table; how many suffixes are left out. */
static uint64_t add_words(json_t *row, const struct policy *p, const struct policy_rule *r,
                          uint64_t limit)
{
    const union policy_object *pool = policy_find(p, POLICY_POOL, r->pool);
    json_t *list = json_array(), *of_pool = pool ? object_row(POLICY_POOL, pool) : NULL;
    char text[SUFFIX_TEXT];
    size_t i;

    for (i = 0; i < r->n_suffixes && i < limit; i++)
        json_array_append_new(list, json_string(suffix_print(r->suffixes[i], text)));
    json_object_update_new(row,
                           json_pack("{s:s,s:O?,s:o,s:b}", "does", policy_actions[r->action].deed,
                                     "hosts", json_object_get(of_pool, "hosts"), "suffix_names",
                                     list, "always", r->when == WORD_ALL));
    json_decref(of_pool);
    return r->n_suffixes - i;
}

static int show_list(struct ctl *c, int what, const char *name)
{
    enum policy_kind kind = what == SUFFIXES ? POLICY_RULE : (enum policy_kind)what;
    struct listing l = {.name = name, .limit = c->format == FORMAT_TABLE ? TABLE_ROWS : SIZE_MAX};
    const union policy_object *o;
    json_t *health, *hosts, *row;
    char text[SUFFIX_TEXT], meant[DIAG_MEANT];
    struct policy p;
    int code = ctl_number(c, "--limit", SIZE_MAX, &l.limit);

    if (code == 0)
        code = policy_read(c, ctl_option(c, "--at"), &p, NULL);
    if (code != 0)
        return code;
    l.rows = json_array();
    health = kind == POLICY_POOL ? ctl_health(c) : NULL;
    hosts = json_array();
    for (size_t i = 0; (o = policy_object(&p, kind, i)); i++) {
        if (kind == POLICY_APPROVED)
            add_listed_host(&l, &o->approved, "list", "");
        else if (what != SUFFIXES && wants(&l, o->name)) {
            json_array_append_new(l.rows, row = object_row(kind, o));
            if (health)
                add_health(row, health, &o->pool);
            json_array_extend(hosts, json_object_get(row, "health"));
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
        code = ctl_fail(EXIT_NOT_FOUND, "there is no %s%s %s%s", policy_kind_names[kind],
                        kind == POLICY_APPROVED ? " host" : "", name,
                        policy_meant(kind != POLICY_APPROVED ? &p : NULL, NULL, kind, name, meant));
    else if (name && what == POLICY_RULE && c->format == FORMAT_TABLE)
        ctl_show(json_array_get(l.rows, 0), rule_lines);
    else
        table_print(c, words[what], columns[what], l.rows);
    if (c->format == FORMAT_TABLE && json_array_size(hosts) > 0) {
        ctl_line("%s", "");
        table_print(c, "hosts", "pool|host|port:n|state|since:time|last_error|addresses:list/2",
                    hosts);
    }
    json_decref(hosts);
    json_decref(health);
    if (l.left > 0)
        ctl_note("%ju more; --limit shows more of them", (uintmax_t)l.left);
    json_decref(l.rows);
    policy_fini(&p);
    return code;
}

int policy_show(struct ctl *c)
{
    char digest[POLICY_DIGEST_TEXT];
    struct policy_counts n;
    struct store *store;
    json_t *object;
    int code, rc, i = c->argc > 0 ? str_index(words, c->argv[0]) : -1;

    if (i >= 0)
        return show_list(c, i, c->argc > 1 ? c->argv[1] : NULL);
    if (c->argc > 0)
        return ctl_misused("usage: waymarkctl policy show %s", c->verb->arguments);
    code = policy_open_at(c, ctl_option(c, "--at"), &store);
    if (code != 0)
        return code;
    rc = policy_store_counts(store, &n);
    store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    object = json_pack(
        "{s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o?,s:I}", "serial", (json_int_t)n.serial, "digest",
        policy_digest_print(n.digest, digest), "time", (json_int_t)n.time_ms, "rules",
        (json_int_t)n.rules, "suffixes", (json_int_t)n.suffixes, "networks", (json_int_t)n.networks,
        "pools", (json_int_t)n.pools, "approved", (json_int_t)n.approved, "path",
        json_sprintf("%s/policy", c->settings->server.state_dir), "bytes", (json_int_t)n.bytes);
    table_print(c, NULL,
                "serial:n|digest|time:time=changed|rules:n|suffixes:n|networks:n|pools:n|approved:"
                "n|path=store|bytes:n",
                object);
    json_decref(object);
    return 0;
}

int policy_log(struct ctl *c)
{
    struct policy_log_entry e = {.serial = 0};
    char digest[POLICY_DIGEST_TEXT];
    struct store_txn *t = NULL;
    struct store *store;
    uint64_t since_ms = 0;
    json_t *rows;
    int code = ctl_number(c, "--since", 0, &since_ms), rc;

    if (code == 0)
        code = policy_open(c, STORE_READ, &store);
    if (code != 0)
        return code;
    rows = json_array();
    rc = store_begin(store, false, &t);
    while (rc == 0 && (rc = log_next(t, since_ms, ctl_option(c, "--rule"), &e)) == 0)
        json_array_append_new(
            rows,
            json_pack("{s:I,s:I,s:o,s:o,s:o,s:o,s:s}", "serial", (json_int_t)e.serial, "time",
                      (json_int_t)e.time_ms, "author", policy_text(e.author), "for",
                      policy_text(e.claimed), "reason", policy_text(e.reason), "summary",
                      policy_text(e.summary), "digest", policy_digest_print(e.digest, digest)));
    store_end(t);
    store_close(store);
    if (rc != -ENOENT)
        code = policy_failed(c, "read the log", rc);
    else
        table_print(c, "changes", "serial:n|time:time|author|for/2|reason/1|summary=WHAT", rows);
    json_decref(rows);
    return code;
}

/* Adds a sentence about its subject, and takes its text. */
static void add_finding(json_t *rows, const char *what, const char *name, char *text)
{
    json_array_append_new(rows, json_pack("{s:s+,s:s}", "subject", what, name, "text", text));
    free(text);
}
#define FOUND(what, name, ...) add_finding(rows, what, name, ctl_text(__VA_ARGS__))
#define FOUND_RULE(name, ...) FOUND("rule ", name, __VA_ARGS__)

static void check_rule(json_t *rows, const struct policy_rule *r, uint64_t now_ms)
{
    char text[SUFFIX_TEXT], when[NUMBER_TEXT];

    if (r->mode == MODE_OFF)
        FOUND_RULE(r->name, "never acts: its mode is off");
    if (r->until_ms != 0 && r->until_ms <= now_ms)
        FOUND_RULE(r->name, "never acts: it expired at %s", policy_time_print(r->until_ms, when));
    if (r->n_suffixes == 0)
        FOUND_RULE(r->name, "never acts: it has no suffix");
    for (size_t i = 0; i < r->n_suffixes; i++) {
        const struct suffix *s = r->suffixes[i];

        suffix_print(s, text);
        if (s->below && s->name.labels == 0 && policy_rule_has(r, "any") &&
            policy_actions[r->action].has_pool)
            FOUND_RULE(r->name, "action %s for every suffix of every client: a catch-all",
                       action_names[r->action]);
        if (s->name.labels == 1 && !s->below)
            FOUND_RULE(
                r->name,
                "suffix %s has one label: is one missing? Without a route of its own (forward) "
                "its question goes to the default servers",
                text);
        if (s->name.labels > 0 && s->name.data[1] == '_')
            FOUND_RULE(r->name, "suffix %s begins with an underscore; no domain of a client does",
                       text);
        if (s->name.labels == 4 && strspn(text, "0123456789.*") == strlen(text))
            FOUND_RULE(r->name, "suffix %s looks like an address", text);
    }
}

enum { PAIRS = 200 /* that are reported */, MEETING = 64 /* rules compared at one name */ };

struct use {
    const struct suffix *suffix;
    const struct policy_rule *rule;
};
struct pair { /* both have the suffix, or (is_below) the front has x and the back *.x */
    const struct policy_rule *front, *back;
    bool is_below;
    size_t n;
    const struct suffix *example;
};

/* Do they decide for the same clients, and otherwise? */
static bool compete(const struct policy_rule *a, const struct policy_rule *b, bool is_below)
{
    bool meet = policy_rule_has(a, "any") && policy_rule_has(b, "any");

    for (size_t i = 0; !meet && i < b->n_networks; i++)
        meet = policy_rule_has(a, b->networks[i]);
    if (a == b || a->mode != b->mode || !meet)
        return false;
    if (is_below)
        return a->action != b->action || strcmp(a->pool, b->pool) != 0;
    return (a->when & b->when) != 0 && (a->until_ms == 0 || b->from_ms < a->until_ms) &&
           (b->until_ms == 0 || a->from_ms < b->until_ms);
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
    if (n > 0) /* each begins with its suffix */
        qsort(uses, n, sizeof *uses, policy_suffix_compare);
    for (size_t back = 0; back < n; back++) {
        const struct suffix *s = uses[back].suffix, *first = uses[begin].suffix;

        if (!name_equal(&s->name, &first->name) ||
            (s->below != first->below && s->name.labels == 0))
            begin = back;
        for (size_t front = begin; front < back && back - begin < MEETING; front++) {
            const struct policy_rule *x = uses[front].rule, *y = uses[back].rule;
            bool below = uses[front].suffix->below != s->below;
            /* Rules of the same suffix are tried by their names. */
            const struct policy_rule *a = below || x < y ? x : y, *b = a == x ? y : x;

            for (q = pairs; q < end && (q->front != a || q->back != b || q->is_below != below);)
                q++;
            if (q == pairs + PAIRS || !compete(a, b, below))
                continue;
            if (q == end)
                *end++ = (struct pair){a, b, below, 0, uses[front].suffix};
            q->n++;
        }
    }
    for (q = pairs; q < end; q++) {
        const char *front = q->front->name, *back = q->back->name;
        char text[SUFFIX_TEXT], more[48] = "";

        suffix_print(q->example, text);
        if (q->n > 1)
            snprintf(more, sizeof more, " and %zu more suffixes", q->n - 1);
        if (q->is_below)
            FOUND_RULE(back, "has *.%s%s, while rule %s decides otherwise for %s itself", text,
                       more, front, text);
        else
            FOUND_RULE(back, "comes behind rule %s for %s%s, by their names alone", front, text,
                       more);
    }
    if (end == pairs + PAIRS)
        FOUND("rules", "", "more pairs of rules meet than are listed here");
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
            FOUND("network ", w->name, "no rule uses it");
        for (const struct prefix *x = w->prefixes; x < w->prefixes + w->n; x++) {
            const struct policy_network *other = p->networks;

            /* A client in two networks by the same prefix: which is the nearer one? */
            while (!bsearch(x, other->prefixes, other->n, sizeof *x, policy_prefix_compare))
                other++;
            if (other != w)
                FOUND("network ", w->name,
                      "has prefix %s as network %s has: neither is nearer to its clients",
                      prefix_print(x, text), other->name);
        }
    }
    for (const struct policy_pool *pool = p->pools; pool < p->pools + p->n_pools; pool++) {
        for (k = 0; k < p->n_rules && strcmp(p->rules[k].pool, pool->name) != 0;)
            k++;
        if (k == p->n_rules)
            FOUND("pool ", pool->name, "no rule delivers it; its hosts count as approved");
    }
    check_pairs(rows, p, now_ms);
    return rows;
}

char *policy_unrouted(const struct settings *s, const struct policy_rule *r)
{
    char *list, *text = NULL, suffix[SUFFIX_TEXT];
    FILE *f = ctl_open(&list);
    size_t n = 0;

    for (struct suffix **x = r->suffixes; x < r->suffixes + r->n_suffixes; x++) {
        const struct name *name = &(*x)->name;
        bool has_route = name->labels == 0; /* of * and . the default servers are all there is */

        for (const struct route *k = s->routes; k < s->routes + s->n_routes; k++)
            has_route |= k->zone.labels > 0 && name_is_under(name, &k->zone);
        if (!has_route && n++ < UNROUTED)
            fprintf(f, " %s", suffix_print(*x, suffix));
    }
    ctl_close(f, &list);
    if (n > 0)
        text = ctl_text("no route for%s%s; whether %s missing is judged by the default servers "
                        "(forward: zone .)",
                        list, n > UNROUTED ? " and more" : "",
                        n == 1 ? "its record is" : "their records are");
    free(list);
    return text;
}

static void check_hosts(struct ctl *c, json_t *rows, const struct policy *p)
{
    static const char down[] = "host {host}:{port} is down since {since:time}: {last_error}";
    json_t *health = p->n_pools > 0 ? ctl_health(c) : NULL, *one;
    char host[HOST_TEXT];
    const char *state;

    for (const struct policy_pool *pool = p->pools; health && pool < p->pools + p->n_pools; pool++)
        for (const struct policy_host *h = pool->hosts; h < pool->hosts + pool->n; h++) {
            one = json_object_get(health, policy_member_print(POLICY_APPROVED, h, host));
            state = json_string_value(json_object_get(one, "state"));
            if (h->probe && state && strcmp(state, "down") == 0)
                add_finding(rows, "pool ", pool->name, ctl_expand(one, down));
        }
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
    int code = c->argc > 0 ? policy_file_read(c->argv[0], POLICY_WHOLE, &p)
                           : policy_read(c, NULL, &p, NULL);

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
    if (live && s->kms.mode != MODE_LIVE)
        FOUND("kms.mode", "", "is %s",
              s->kms.mode == MODE_OFF ? "off: no rule can act"
                                      : "shadow: decisions are recorded, and none is delivered");
    code = json_array_size(rows) > 0 ? EXIT_PROBLEMS : 0;
    if (code != 0 || c->format != FORMAT_TABLE)
        table_print(c, "findings", "subject|text=FINDING", rows);
    else
        ctl_line("no findings");
    json_decref(rows);
    policy_fini(&p);
    return code;
}

/* Adds its row, and counts it when it failed. 0 or -errno. */
static int run_test(struct ctl *c, struct policy_reader *r, const struct policy_test *t,
                    json_t *rows, size_t *failed)
{
    bool present = t->verdict == VERDICT_PRESENT || t->verdict == VERDICT_UNAPPROVED, given;
    struct srv srv = {.port = POLICY_KMS_PORT, .target = t->real_host};
    const struct policy_real real = {
        .verdict = present ? VERDICT_PRESENT : t->verdict, .srv = &srv, .n_srv = present};
    struct policy_client client;
    struct name service, qname;
    const struct policy_ask ask = {
        .qname = &qname, .client = &client, .wall_ms = c->now.wall_ms, .limit = MODE_LIVE};
    static struct policy_decision d; /* large */
    char suffix[SUFFIX_TEXT], address[ADDR_TEXT], text[NAME_TEXT];
    const char *host = t->host.labels > 0 ? name_print(&t->host, text) : "";
    const char *result = "ok", *expect = t->expect != 0 ? outcome_names[t->expect] : "";
    int rc = policy_client_find(r, &t->client, &client);

    if (rc != 0)
        return rc;
    (void)name_parse(&service, "_vlmcs._tcp");
    (void)name_join(&service, &t->suffix->name, &qname); /* whatever is a suffix fits */
    /* A host that is not named is ".", the one that is never unapproved, or one
     * that nobody can approve. */
    if (t->real_host.labels == 0 && t->verdict == VERDICT_UNAPPROVED)
        name_parse(&srv.target, "unapproved.invalid");
    policy_decide(r, &ask, &real, &d);
    given = t->host.labels == 0 ||
            (present && name_equal(&srv.target, &t->host) &&
             (d.outcome == OUTCOME_PASSED || (d.outcome == OUTCOME_FILTERED && !d.unapproved[0])));
    for (unsigned i = 0; i < d.n_hosts; i++)
        given |= name_equal(&d.hosts[i].target, &t->host);
    if (t->expect != 0 && d.outcome != t->expect)
        result = "FAILED: other outcome";
    else if (!given)
        result = "FAILED: host not given";
    *failed += result[0] == 'F';
    return json_array_append_new(
        rows,
        json_pack("{s:I,s:s,s:s,s:s,s:s++,s:s,s:s?,s:s}", "line", (json_int_t)t->line, "suffix",
                  suffix_print(t->suffix, suffix), "client", addr_print(&t->client, address),
                  "verdict", verdict_names[t->verdict], "expect", expect,
                  *expect && *host ? " " : "", host, "outcome", outcome_names[d.outcome], "rule",
                  d.rule[0] ? d.rule : NULL, "result", result));
}

int policy_test(struct ctl *c)
{
    const char *file = ctl_option(c, "--policy");
    struct policy_reader *r = NULL;
    struct store *store = NULL;
    json_t *rows;
    struct policy p, of = {.n_rules = 0};
    size_t failed = 0;
    int code = policy_file_read(c->argv[0], POLICY_PART, &p), rc = 0;

    if (code != 0)
        return code;
    rows = json_array();
    if (p.n_tests == 0)
        code = ctl_fail(EXIT_INVALID, "%s has no section tests:", c->argv[0]);
    else if (!file)
        code = policy_open(c, STORE_READ, &store);
    else if ((code = policy_file_read(file, POLICY_WHOLE, &of)) == 0)
        code = policy_open_temporary(c, &of, &store);
    if (code == 0)
        rc = (r = policy_reader_new(store)) ? store_reader_begin(r->txn) : -ENOMEM;
    for (size_t i = 0; i < p.n_tests && code == 0 && rc == 0; i++)
        rc = run_test(c, r, &p.tests[i], rows, &failed);
    policy_reader_free(r);
    store_close(store);
    if (rc != 0)
        code = policy_failed(c, "try the policy", rc);
    if (code == 0) {
        table_print(c, "tests", "line:n|suffix|client|verdict|expect|outcome=GOT|rule|result",
                    rows);
        code = failed > 0 ? ctl_fail(EXIT_PROBLEMS, "%zu of %zu tests failed", failed, p.n_tests)
                          : ctl_note("%zu tests passed", p.n_tests);
    }
    json_decref(rows);
    policy_fini(&of);
    policy_fini(&p);
    return code;
}
