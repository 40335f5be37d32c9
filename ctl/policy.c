/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.c -- the verbs of the policy: their table, and those that change one
 * object: set makes or changes it, add adds members, drop removes members or,
 * without any, the object.
 *
 * What `rule set` may change is in policy_rule_rows: their keys are its options.
 * What is not given stays as it is.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* What a line asks for, and what it makes of an object in the present run. */
struct asked {
    enum policy_kind kind;
    enum change_verb verb; /* SET, ADD or DROP; of approved hosts SET or REMOVE */
    const char *name;
    void *members; /* owned */
    size_t n;
    union policy_object made; /* owned but for a rule's suffixes, which are the members */
};

static void forget_made(struct asked *a)
{
    if (a->kind == POLICY_RULE)
        a->made.rule.suffixes = NULL;
    policy_object_fini(a->kind, &a->made);
    a->made = (union policy_object){.name = ""};
}

/* The values of an option, as texts; how many. */
static size_t option_texts(struct ctl *c, const char *option, const char *out[ARRAY_LEN(c->given)])
{
    size_t n = 0;

    while (n < ARRAY_LEN(c->given) && (out[n] = ctl_option_at(c, option, (int)n)) != NULL)
        n++;
    return n;
}

/* --- networks and pools --------------------------------------------------- */

/* Is it there, whatever its options? */
static bool has_member(enum policy_kind kind, const void *members, size_t n, const void *one)
{
    const struct policy_host *hosts = members, *host = one;
    const struct prefix *prefixes = members, *prefix = one;

    for (size_t i = 0; i < n; i++)
        if (kind == POLICY_POOL
                ? hosts[i].port == host->port && name_equal(&hosts[i].target, &host->target)
                : prefix_same(&prefixes[i], prefix))
            return true;
    return false;
}

/* The network or pool with the members that it has, changed as asked. */
static int make_members(struct policy_write *w, struct asked *a, const union policy_object *was)
{
    const struct policy_member *m = &policy_members[a->kind];
    bool is_pool = a->kind == POLICY_POOL;
    const void *there = is_pool ? (void *)was->pool.hosts : (void *)was->network.prefixes;
    size_t n_there = is_pool ? was->pool.n : was->network.n, n = 0;
    const char *kind = policy_kind_names[a->kind], *old = there, *given = a->members;
    void *members = ctl_alloc(NULL, (n_there + a->n + 1) * m->size);
    char *to = members, text[HOST_TEXT];

    /* What is added takes the place of the same one: its options may differ. */
    for (size_t i = 0; a->verb != CHANGE_SET && i < n_there; i++)
        if (!has_member(a->kind, given, a->n, old + i * m->size))
            memcpy(to + n++ * m->size, old + i * m->size, m->size);
    for (size_t i = 0; a->verb != CHANGE_DROP && i < a->n; i++)
        memcpy(to + n++ * m->size, given + i * m->size, m->size);
    if (is_pool)
        a->made.pool = (struct policy_pool){
            .hosts = members,
            .n = n,
            .allow_public = was->pool.allow_public || ctl_option(w->c, "--allow-public") != NULL,
        };
    else
        a->made.network = (struct policy_network){.prefixes = members, .n = n};
    str_copy(a->made.name, sizeof a->made.name, a->name);
    for (size_t i = 0; a->verb == CHANGE_DROP && i < a->n; i++)
        if (!has_member(a->kind, old, n_there, given + i * m->size))
            return ctl_fail(EXIT_NOT_FOUND, "%s %s has no %s %s", kind, a->name, m->word,
                            policy_member_print(a->kind, given + i * m->size, text));
    if (n == 0) {
        diags_add(&w->problems, NULL, 0, 0,
                  "%s %s would be left without a %s; policy %s drop %s removes it", kind, a->name,
                  m->word, kind, a->name);
        return EXIT_INVALID;
    }
    if (!is_pool)
        policy_object_sort(POLICY_NETWORK, &a->made.network);
    else if (policy_pool_check(&a->made.pool, NULL) == 0) /* of two equal hosts both are told */
        policy_object_sort(POLICY_POOL, &a->made.pool);
    if (a->verb == CHANGE_DROP)
        snprintf(w->question, sizeof w->question, "Take these %s out of %s %s?",
                 is_pool ? "hosts" : "prefixes", kind, a->name);
    policy_changes_add(&w->list, a->kind, CHANGE_SET, &a->made);
    return 0;
}

/* --- rule set ------------------------------------------------------------- */

/* The option of a row, which sets it, or NULL when it is not given. */
static const char *given_option(struct ctl *c, const struct field *row)
{
    char option[32];

    snprintf(option, sizeof option, "--%s", row->key);
    return row->element == NULL ? ctl_option(c, option) : NULL;
}

static void set_fields(struct policy_rule *r, struct ctl *c, struct diags *d)
{
    struct form form = {.d = d, .now_ms = c->now.wall_ms};
    enum policy_action was = r->action;
    const char *comment = ctl_option(c, "--comment"), *networks[ARRAY_LEN(c->given)], *why;
    size_t n = option_texts(c, "--network", networks);
    char *clean = comment != NULL ? ctl_clean(comment) : NULL;

    for (const struct field *row = policy_rule_rows; row->key != NULL; row++) {
        const char *text = given_option(c, row);
        const struct yaml_node node = {.kind = YAML_SCALAR, .text = text, .quoted = true};

        if (text != NULL && text == comment && strcmp(clean, text) != 0)
            form_problem(&form, &node,
                         "--comment \"%s\" has control characters, or octets that are not UTF-8",
                         text);
        else if (text != NULL)
            field_read(&form, row, &node, r);
    }
    free(clean);
    if (r->action != was && ctl_option(c, "--when") == NULL)
        r->when = policy_actions[r->action].when;
    if (ctl_option(c, "--action") != NULL && !policy_actions[r->action].has_pool &&
        ctl_option(c, "--pool") == NULL)
        r->pool[0] = '\0';
    if (n > 0) {
        free(r->networks);
        r->networks = ctl_alloc(NULL, n * sizeof *r->networks);
        r->n_networks = 0;
    }
    if (n > POLICY_RULE_NETWORKS)
        diags_add(d, NULL, 0, 0, "rule %s: has more than %d networks", r->name,
                  POLICY_RULE_NETWORKS);
    for (size_t i = 0; i < n; i++)
        if (strcmp(networks[i], "any") != 0 && policy_name_check(networks[i], &why) != 0)
            diags_add(d, NULL, 0, 0, "network \"%s\": %s", networks[i], why);
        else
            str_copy(r->networks[r->n_networks++], POLICY_NAME, networks[i]);
    policy_object_sort(POLICY_RULE, r);
}

/* --- set, add, drop ------------------------------------------------------- */

static int make_object(struct policy_write *w, void *context)
{
    struct asked *a = context;
    const char *kind = policy_kind_names[a->kind];
    struct policy_rule *r = &a->made.rule;
    enum change_verb verb = a->verb;
    union policy_object was;
    int code, rc;

    forget_made(a);
    if (verb == CHANGE_DROP && a->n == 0) {
        snprintf(w->question, sizeof w->question, "Remove %s %s%s?", kind, a->name,
                 a->kind == POLICY_RULE ? " with all its suffixes" : "");
        policy_changes_add(&w->list, a->kind, CHANGE_REMOVE, a->name);
        return 0;
    }
    rc = policy_txn_get(w->txn, a->kind, a->name, &was);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the policy", rc);
    if (rc == -ENOENT && verb != CHANGE_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no %s %s (policy %s set makes one)", kind,
                        a->name, kind);
    if (a->kind != POLICY_RULE) {
        code = make_members(w, a, &was);
        policy_object_fini(a->kind, &was);
        return code;
    }
    *r = was.rule;
    if (rc == -ENOENT)
        policy_rule_init(r, a->name);
    if (verb == CHANGE_SET) {
        set_fields(r, w->c, &w->problems);
        verb = a->n > 0 ? CHANGE_SET : CHANGE_HEAD;
        if (rc == -ENOENT && a->n == 0)
            w->remark = "the rule has no suffix yet and never acts; policy rule add NAME SUFFIX...";
    }
    if (w->problems.all > 0)
        return EXIT_INVALID;
    r->suffixes = a->members;
    r->n_suffixes = a->n;
    if (verb == CHANGE_DROP)
        snprintf(w->question, sizeof w->question, "Take these suffixes out of rule %s?", a->name);
    policy_changes_add(&w->list, POLICY_RULE, verb, r);
    return 0;
}

/* "set NAME MEMBER..." and so on, of the kind that the verb names. `rule set` takes
 * its suffixes as an option, beside those of its fields. */
static int run_object(struct ctl *c)
{
    static const char *const words[] = {"set", "add", "drop", NULL};
    static const enum change_verb verbs[] = {CHANGE_SET, CHANGE_ADD, CHANGE_DROP};
    const char *suffixes[ARRAY_LEN(c->given)], *const *texts = (const char *const *)c->argv + 2;
    const char *near = diag_nearest(c->argv[0], words), *why, *extra = NULL;
    int i = str_index(words, c->argv[0]), kind = str_index(policy_kind_names, c->verb->verb), code;
    struct asked a = {.kind = (enum policy_kind)kind, .name = c->argv[1]};
    bool is_set;
    struct policy_rule r;
    struct diags d;

    if (i < 0)
        return ctl_fail(EXIT_USAGE, "policy %s: %s is neither set, add nor drop%s%s%s",
                        c->verb->verb, c->argv[0], near ? "; did you mean " : "", near ? near : "",
                        near ? "?" : "");
    a.verb = verbs[i];
    a.n = (size_t)c->argc - 2;
    is_set = a.kind == POLICY_RULE && a.verb == CHANGE_SET;
    if (is_set && a.n > 0)
        return ctl_fail(
            EXIT_USAGE,
            "policy rule set takes suffixes as --suffix S; policy rule add %s %s adds one", a.name,
            texts[0]);
    if (a.kind == POLICY_RULE && !is_set) {
        for (const struct field *row = policy_rule_rows; row->key != NULL; row++)
            extra = extra == NULL && given_option(c, row) != NULL ? row->key : extra;
        extra = extra == NULL && ctl_option(c, "--suffix") != NULL ? "suffix" : extra;
        extra = extra == NULL && ctl_option(c, "--network") != NULL ? "network" : extra;
    }
    if (extra != NULL)
        return ctl_fail(EXIT_USAGE, "policy rule %s takes no --%s: policy rule set does", words[i],
                        extra);
    if (a.n == 0 && a.verb != CHANGE_DROP && !is_set)
        return ctl_fail(EXIT_USAGE, "policy %s %s needs a name and at least one %s", c->verb->verb,
                        words[i], policy_members[kind].word);
    if (is_set) {
        a.n = option_texts(c, "--suffix", suffixes);
        texts = suffixes;
    }
    diags_init(&d);
    if (policy_name_check(a.name, &why) != 0)
        diags_add(&d, NULL, 0, 0, "%s \"%s\": %s", c->verb->verb, a.name, why);
    a.members = policy_take(a.kind, texts, a.n, &d);
    if (a.kind == POLICY_RULE && d.all == 0) { /* without doubles */
        r = (struct policy_rule){.suffixes = a.members, .n_suffixes = a.n};
        policy_object_sort(POLICY_RULE, &r);
        a.n = r.n_suffixes;
    }
    code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, NULL, NULL, make_object, &a);
    forget_made(&a);
    free(a.members);
    diags_fini(&d);
    return code;
}

/* --- approve, unapprove --------------------------------------------------- */

static int make_approved(struct policy_write *w, void *context)
{
    const struct asked *a = context;
    const struct policy_approved *all = a->members;

    for (size_t i = 0; i < a->n; i++)
        policy_changes_add(&w->list, POLICY_APPROVED, a->verb, &all[i]);
    if (a->verb == CHANGE_REMOVE)
        snprintf(w->question, sizeof w->question, "No longer approve %s?",
                 a->n == 1 ? "this host" : "these hosts");
    return 0;
}

static int run_approve(struct ctl *c)
{
    bool takes_back = strcmp(c->verb->verb, "unapprove") == 0;
    struct asked a = {.kind = POLICY_APPROVED,
                      .verb = takes_back ? CHANGE_REMOVE : CHANGE_SET,
                      .n = (size_t)c->argc};
    struct diags d;
    int code;

    diags_init(&d);
    a.members = policy_take(a.kind, (const char *const *)c->argv, a.n, &d);
    code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, NULL, NULL, make_approved, &a);
    free(a.members);
    diags_fini(&d);
    return code;
}

/* --- fill ----------------------------------------------------------------- */

/* The short way from a suffix to a KMS host: makes or extends the rule
 * fill-POOL[-NETWORK...], and with --host the pool, named after the first host's
 * first label. */
struct fill {
    struct policy_pool pool; /* n 0: --pool, only the name counts */
    struct policy_rule rule; /* the head that it must have, and the suffixes */
};

static int make_fill(struct policy_write *w, void *context)
{
    struct fill *f = context;
    struct policy_rule *r = &f->rule;
    char text[HOST_TEXT], other[HOST_TEXT];
    union policy_object there;
    bool fits = true;
    int rc;

    w->is_fill = true;
    if (f->pool.n > 0) {
        rc = policy_txn_get(w->txn, POLICY_POOL, f->pool.name, &there);
        if (rc != 0 && rc != -ENOENT)
            return policy_failed(w->c, "read the pool", rc);
        if (rc == 0) {
            policy_object_sort(POLICY_POOL, &there.pool);
            fits = there.pool.n == f->pool.n;
            for (size_t i = 0; fits && i < f->pool.n; i++)
                fits = strcmp(host_print(&there.pool.hosts[i], text, sizeof text),
                              host_print(&f->pool.hosts[i], other, sizeof other)) == 0;
            f->pool.allow_public = there.pool.allow_public;
            policy_object_fini(POLICY_POOL, &there.pool);
        }
        if (!fits) {
            diags_add(&w->problems, NULL, 0, 0,
                      "pool %s is there with other hosts: use --pool %s, or policy pool add %s "
                      "HOST...",
                      f->pool.name, f->pool.name, f->pool.name);
            return EXIT_INVALID;
        }
        policy_changes_add(&w->list, POLICY_POOL, CHANGE_SET, &f->pool);
    }
    rc = policy_txn_get(w->txn, POLICY_RULE, r->name, &there);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the rule", rc);
    if (rc == 0) {
        policy_object_sort(POLICY_RULE, &there.rule);
        fits = there.rule.action == ACTION_FILL && strcmp(there.rule.pool, r->pool) == 0 &&
               there.rule.n_networks == r->n_networks;
        for (size_t i = 0; fits && i < r->n_networks; i++)
            fits = strcmp(there.rule.networks[i], r->networks[i]) == 0;
        if (there.rule.mode != MODE_LIVE)
            w->remark = "the rule's mode is not live: nothing is delivered by it yet";
        policy_object_fini(POLICY_RULE, &there.rule);
    }
    if (!fits) {
        diags_add(&w->problems, NULL, 0, 0,
                  "rule %s is there and fills otherwise: use policy rule add, or another name",
                  r->name);
        return EXIT_INVALID;
    }
    policy_changes_add(&w->list, POLICY_RULE, CHANGE_ADD, r);
    return 0;
}

/* Takes the line apart; what is wrong with its values goes to d. */
static int take_fill(struct ctl *c, struct fill *f, struct diags *d)
{
    const char *pool = ctl_option(c, "--pool"), *texts[ARRAY_LEN(c->given)], *why;
    size_t n_hosts = option_texts(c, "--host", texts), n;
    struct policy_rule *r = &f->rule;
    char name[4096];
    struct str s;

    if ((pool != NULL) == (n_hosts > 0))
        return ctl_fail(EXIT_USAGE, "policy fill needs --pool POOL or --host HOST, and not both");
    if (pool != NULL && !str_copy(f->pool.name, sizeof f->pool.name, pool))
        return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s", pool);
    f->pool.hosts = policy_take(POLICY_POOL, texts, n_hosts, d);
    f->pool.n = n_hosts;
    if (d->all == 0 && n_hosts > 0) {
        zone_pool_name(&f->pool.hosts[0].target, f->pool.name);
        if (policy_pool_check(&f->pool, d) == 0)
            policy_object_sort(POLICY_POOL, &f->pool);
    }
    if (d->all > 0)
        return 0;
    policy_rule_init(r, "");
    str_copy(r->pool, sizeof r->pool, f->pool.name);
    n = option_texts(c, "--network", texts);
    r->networks = ctl_alloc(NULL, (n + 1) * sizeof *r->networks);
    for (size_t i = 0; i < n; i++)
        if (!str_copy(r->networks[r->n_networks++], POLICY_NAME, texts[i]))
            return ctl_fail(EXIT_NOT_FOUND, "there is no network %s", texts[i]);
    policy_object_sort(POLICY_RULE, r);
    str_init(&s, name, sizeof name);
    str_addf(&s, "fill-%s", r->pool);
    for (size_t i = 0; i < r->n_networks; i++)
        str_addf(&s, "-%s", r->networks[i]);
    if (s.cut || policy_name_check(name, &why) != 0)
        diags_add(d, NULL, 0, 0, "the rule's name would be %s: %s; use policy rule set NAME", name,
                  s.cut ? "too long" : why);
    else
        str_copy(r->name, sizeof r->name, name);
    return 0;
}

static int run_fill(struct ctl *c)
{
    size_t n = (size_t)c->argc, n_unrouted = 0;
    char unrouted[POLICY_TEXT];
    struct suffix *suffixes;
    struct str s;
    struct fill f = {0};
    struct diags d;
    int code;

    diags_init(&d);
    str_init(&s, unrouted, sizeof unrouted);
    suffixes = policy_take(POLICY_RULE, (const char *const *)c->argv, n, &d);
    code = take_fill(c, &f, &d);
    f.rule.suffixes = suffixes;
    f.rule.n_suffixes = n;
    if (code == 0 && d.all > 0)
        code = ctl_invalid(&d);
    if (code == 0) {
        n_unrouted = policy_unrouted(&s, c->settings, suffixes, n);
        code = policy_change_run(c, NULL, NULL, make_fill, &f);
    }
    if (code == 0 && n_unrouted > 0)
        ctl_warn("no route for %s; whether %s is judged by the default servers (forward: zone .)",
                 unrouted, n_unrouted == 1 ? "its record is missing" : "their records are missing");
    policy_object_fini(POLICY_POOL, &f.pool);
    policy_object_fini(POLICY_RULE, &f.rule);
    diags_fini(&d);
    return code;
}

/* --- the table ------------------------------------------------------------ */

static const struct ctl_option write_options[] = {
    {"--reason", "TEXT", false,
     "why the policy changes, for the log (policy.require-reason may demand it)"},
    {"--author", "TEXT", false, "on whose behalf; the log keeps it beside the login name"},
    {"--dry-run", NULL, false, "say what would change, and change nothing"},
    {"--if-serial", "N", false, "change only if the policy is still at serial N (else exit 6)"},
    {"--yes", NULL, false, "do not ask before something is removed"},
    {0},
};
static const struct ctl_option fill_options[] = {
    {"--pool", "POOL", false, "give the hosts of this pool"},
    {"--host", "HOST", true, "give this host: FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
    {"--network", "NAME", true, "the rule is for clients in this network only"},
    {0},
};
static const struct ctl_option pool_options[] = {
    {"--allow-public", NULL, false, "the hosts may have public addresses"},
    {0},
};
static const struct ctl_option rule_options[] = {
    {"--suffix", "S", true, "the suffixes are exactly these; policy rule add adds one"},
    {"--network", "NAME", true, "the networks are exactly these; any is every client"},
    {"--action", "A", false, "fill, replace, filter, deny or pass"},
    {"--when", "W,...", false, "when it acts: missing, failed (fill); unapproved (replace)"},
    {"--pool", "POOL", false, "the pool that fill and replace deliver"},
    {"--ttl", "D", false, "the TTL of the answers, 30s to 1d"},
    {"--mode", "M", false, "live, shadow or off"},
    {"--from", "T", false, "the rule is used from this time on; none: no limit"},
    {"--until", "T", false, "the rule is used until this time; none: no limit"},
    {"--break-dnssec", "yes|no", false, "act also for clients that check DNSSEC signatures"},
    {"--comment", "TEXT", false, "a remark for people"},
    {0},
};
static const struct ctl_option import_options[] = {
    {"--replace", NULL, false, "the policy becomes this file"},
    {"--merge", NULL, false, "objects of the file replace those of the same name; all else stays"},
    {"--format", "FORMAT", false, "yaml or zone (default: by the name of the file)"},
    {0},
};
static const struct ctl_option export_options[] = {
    {"--format", "FORMAT", false, "yaml or zone"},
    {0},
};
static const struct ctl_option test_options[] = {
    {"--policy", "FILE", false, "try this policy instead of the present one"},
    {0},
};
static const struct ctl_option log_options[] = {
    {"--since", "T", false, "show the changes since this time"},
    {"--rule", "NAME", false, "show the changes of this rule"},
    {0},
};
static const struct ctl_option show_options[] = {
    {"--limit", "N", false, "print at most N rows"},
    {0},
};

#define MEMBERS(what) "set NAME " what "... | add NAME " what "... | drop NAME [" what "...]"
/* clang-format off */
const struct ctl_verb ctl_policy_verbs[] = {
    {"policy", "show", 0, 2, "[rules | networks | pools | approved | suffixes] [NAME]", {show_options},
     policy_show, "show the policy; without a word, a summary"},
    {"policy", "fill", 1, -1, "SUFFIX...", {fill_options, write_options}, run_fill,
     "point clients with these suffixes to a pool or host (rule fill-POOL[-NETWORK])"},
    {"policy", "network", 2, -1, MEMBERS("PREFIX"), {write_options}, run_object, "change the named sets of clients"},
    {"policy", "pool", 2, -1, MEMBERS("HOST"), {pool_options, write_options}, run_object,
     "change the named sets of KMS hosts; HOST = FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
    {"policy", "rule", 2, -1, "set NAME | add NAME SUFFIX... | drop NAME [SUFFIX...]",
     {rule_options, write_options}, run_object,
     "change the rules: set makes or changes one, add and drop change its suffixes"},
    {"policy", "approve", 1, -1, "HOST...", {write_options}, run_approve,
     "accept these hosts where the real DNS names them"},
    {"policy", "unapprove", 1, -1, "HOST...", {write_options}, run_approve, "accept these hosts no longer"},
    {"policy", "edit", 0, 0, "", {write_options}, policy_edit, "change the policy as text in $VISUAL or $EDITOR"},
    {"policy", "import", 1, 1, "FILE", {import_options, write_options}, policy_import,
     "read a policy from a file; - is standard input"},
    {"policy", "export", 0, 0, "", {export_options}, policy_export, "print the policy as text"},
    {"policy", "check", 0, 1, "[FILE]", {NULL}, policy_check,
     "report what is probably not meant, in FILE or in the present policy (exit 7)"},
    {"policy", "test", 1, 1, "FILE", {test_options}, policy_test, "run the tests in the section tests: of FILE (exit 7 when one fails)"},
    {"policy", "log", 0, 0, "", {log_options}, policy_log, "show the changes: serial, time, author, reason, what"},
    {0},
};
/* clang-format on */
