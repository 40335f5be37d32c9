/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.c -- the verbs of the policy: their table, and those that change one
 * object: set makes or changes it, add adds members, drop removes members or,
 * without any, the object.
 *
 * What `rule set` may change is in policy_rule_map: their keys are its options.
 * What is not given stays as it is.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

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

/* What a line asks for: an object, and members that come or go. */
struct asked {
    enum policy_kind kind;
    enum change_verb verb; /* SET, ADD or DROP */
    const char *name;
    void *members; /* in the arena */
    size_t n;
};

/* The values of an option; how many. */
static size_t option_texts(struct ctl *c, const char *option, const char *out[ARRAY_LEN(c->given)])
{
    size_t n = 0;

    while (n < ARRAY_LEN(c->given) && (out[n] = ctl_option_at(c, option, (int)n)))
        n++;
    return n;
}

/* NULL, or why it cannot be. */
static const char *parse_member(enum policy_kind kind, void *to, const char *text)
{
    int rc;

    if (kind == POLICY_POOL)
        return host_parse(to, text);
    if (kind == POLICY_APPROVED)
        return policy_approved_parse(to, text);
    if (kind == POLICY_RULE)
        return suffix_parse(to, text);
    rc = prefix_parse(to, text);
    if (rc == -ERANGE)
        return "has bits behind its prefix length";
    return rc != 0 ? "is not a prefix like 10.0.0.0/8 or 2001:db8::/32" : NULL;
}

/* What the texts say, in the arena; every text that is wrong is told. */
static void *read_members(struct policy_write *w, enum policy_kind kind, const char *const *texts,
                          size_t n)
{
    size_t size = policy_members[kind].size;
    char *members = policy_alloc(w, (n + 1) * size);
    const char *why;

    for (size_t i = 0; i < n; i++)
        if ((why = parse_member(kind, members + i * size, texts[i])))
            diags_add(&w->problems, NULL, 0, 0, "%s\"%s\" %s", kind == POLICY_RULE ? "suffix " : "",
                      texts[i], why);
    return members;
}

/* --network, as often as it is given, in the arena. */
static void read_networks(struct policy_write *w, struct policy_rule *r)
{
    const char *texts[ARRAY_LEN(w->c->given)];

    r->n_networks = option_texts(w->c, "--network", texts);
    r->networks = policy_alloc(w, (r->n_networks + 1) * sizeof *r->networks);
    for (size_t i = 0; i < r->n_networks; i++)
        if (!str_copy(r->networks[i], POLICY_NAME, texts[i]))
            diags_add(&w->problems, NULL, 0, 0, "there is no network %s", texts[i]);
    policy_object_sort(POLICY_RULE, r);
}

/* --- set, add, drop ------------------------------------------------------- */

/* Equal hosts of a pool that must be refused stay, to be told. */
static void sort_members(enum policy_kind kind, void *object)
{
    if (kind != POLICY_POOL || policy_pool_check(object, NULL) == 0)
        policy_object_sort(kind, object);
}

/* The network or pool with the members that it has, changed as asked. */
static int make_members(struct policy_write *w, const struct asked *a,
                        const union policy_object *was)
{
    const struct policy_member *m = &policy_members[a->kind];
    const struct policy_list *list = policy_members_of(a->kind, was);
    const char *given = a->members, *old = list->at;
    size_t n_old = list->n, n_given = a->n, n = 0;
    union policy_object *made = policy_alloc(w, sizeof *made);
    char *to = policy_alloc(w, (n_old + n_given + 1) * m->size), text[HOST_TEXT];

    for (size_t i = 0; i < n_given; i++)
        if (a->verb != CHANGE_DROP)
            memcpy(to + n++ * m->size, given + i * m->size, m->size);
        else if (!lfind(given + i * m->size, old, &n_old, m->size, m->compare))
            return ctl_fail(EXIT_NOT_FOUND, "%s %s has no %s %s", policy_kind_names[a->kind],
                            a->name, m->word,
                            policy_member_print(a->kind, given + i * m->size, text));
    /* What is added takes the place of the same one: its options may differ. */
    for (size_t i = 0; a->verb != CHANGE_SET && i < n_old; i++)
        if (!lfind(old + i * m->size, given, &n_given, m->size, m->compare))
            memcpy(to + n++ * m->size, old + i * m->size, m->size);
    *made = *was;
    str_copy(made->name, sizeof made->name, a->name);
    *policy_members_of(a->kind, made) = (struct policy_list){to, n};
    if (ctl_option(w->c, "--allow-public"))
        made->pool.allow_public = true;
    sort_members(a->kind, made);
    policy_change_add(&w->change, a->kind, CHANGE_SET, made);
    return 0;
}

/* The rule with the fields that are given, and its suffixes. */
static void make_rule(struct policy_write *w, const struct asked *a, struct policy_rule *r)
{
    struct form form = {.d = &w->problems, .is_option = true, .now_ms = w->c->now.wall_ms};
    enum change_verb verb = a->verb;
    enum policy_action was = r->action;

    for (int i = 0; verb == CHANGE_SET && i < w->c->n_given; i++) {
        const char *key = w->c->given[i].option->name + 2, *text = w->c->given[i].value;
        const struct field *row = field_find(&policy_rule_map, key);
        const struct yaml_node node = {.kind = YAML_SCALAR, .text = text, .quoted = true};
        char *clean = ctl_clean(text ? text : "");

        if (row && strcmp(key, "comment") == 0 && strcmp(clean, text) != 0)
            form_wrong(&form, row, &node, "has control characters, or octets that are not UTF-8");
        else if (row)
            field_read(&form, row, &node, r);
        free(clean);
    }
    if (r->action != was && !ctl_option(w->c, "--when"))
        r->when = policy_actions[r->action].when;
    if (ctl_option(w->c, "--action") && !policy_actions[r->action].has_pool &&
        !ctl_option(w->c, "--pool"))
        r->pool[0] = '\0';
    if (ctl_option(w->c, "--network"))
        read_networks(w, r);
    r->suffixes = a->members;
    r->n_suffixes = a->n;
    policy_object_sort(POLICY_RULE, r);
    if (verb == CHANGE_SET && a->n == 0)
        verb = CHANGE_HEAD;
    policy_change_add(&w->change, POLICY_RULE, verb, r);
}

static int make_object(struct policy_write *w, const struct asked *a, union policy_object *was)
{
    const char *kind = policy_kind_names[a->kind];
    struct policy_rule *r;
    int rc;

    if (a->verb == CHANGE_DROP && a->n == 0) {
        snprintf(w->question, sizeof w->question, "Remove %s %s%s?", kind, a->name,
                 a->kind == POLICY_RULE ? " with all its suffixes" : "");
        policy_change_add(&w->change, a->kind, CHANGE_REMOVE, a->name);
        return 0;
    }
    rc = record_get(w->change.txn, a->kind, a->name, was);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the policy", rc);
    if (rc == -ENOENT && a->verb != CHANGE_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no %s %s (policy %s set makes one)", kind,
                        a->name, kind);
    if (a->verb == CHANGE_DROP)
        snprintf(w->question, sizeof w->question, "Take these %s out of %s %s?",
                 policy_members[a->kind].words, kind, a->name);
    if (a->kind != POLICY_RULE)
        return make_members(w, a, was);
    r = policy_alloc(w, sizeof *r);
    *r = was->rule;
    if (rc == -ENOENT)
        policy_rule_init(r, a->name);
    if (rc == -ENOENT && a->n == 0)
        w->remark = "the rule has no suffix yet and never acts; policy rule add NAME SUFFIX...";
    make_rule(w, a, r);
    return 0;
}

/* "set NAME MEMBER..." and so on, of the kind that the verb names. `rule set` takes
 * its suffixes as an option, beside those of its fields. */
static int run_object(struct ctl *c)
{
    static const char *const words[] = {"set", "add", "drop", NULL};
    static const enum change_verb verbs[] = {CHANGE_SET, CHANGE_ADD, CHANGE_DROP};
    const char *given[ARRAY_LEN(c->given)], *const *texts = (const char *const *)c->argv + 2, *why;
    const char *kind = c->verb->verb, *word = c->argv[0];
    int i = str_index(words, word), code;
    struct asked a = {.kind = (enum policy_kind)str_index(policy_kind_names, kind),
                      .name = c->argv[1],
                      .n = (size_t)c->argc - 2};
    union policy_object was = {.name = ""};
    struct policy_write w;
    char meant[DIAG_MEANT];
    bool is_rule = a.kind == POLICY_RULE;

    if (i < 0)
        return ctl_fail(EXIT_USAGE, "policy %s: %s is neither set, add nor drop%s", kind, word,
                        diag_meant(word, words, meant));
    a.verb = verbs[i];
    if (is_rule && a.verb == CHANGE_SET) {
        if (a.n > 0)
            return ctl_fail(EXIT_USAGE,
                            "policy rule set takes suffixes as --suffix S; policy rule add %s %s "
                            "adds one",
                            a.name, texts[0]);
        a.n = option_texts(c, "--suffix", given);
        texts = given;
    } else if (a.n == 0 && a.verb != CHANGE_DROP) {
        return ctl_fail(EXIT_USAGE, "policy %s %s needs a name and at least one %s", kind, word,
                        policy_members[a.kind].word);
    }
    for (int k = 0; is_rule && a.verb != CHANGE_SET && k < c->n_given; k++) {
        const struct ctl_option *o = c->given[k].option;

        if (o >= rule_options && o < rule_options + ARRAY_LEN(rule_options))
            return ctl_fail(EXIT_USAGE, "policy rule %s takes no %s: policy rule set does", word,
                            o->name);
    }
    code = policy_begin(&w, c, NULL);
    if ((why = policy_name_check(a.name)))
        diags_add(&w.problems, NULL, 0, 0, "%s \"%s\": %s", kind, a.name, why);
    a.members = read_members(&w, a.kind, texts, a.n);
    if (code == 0)
        code = make_object(&w, &a, &was);
    code = policy_finish(&w, code);
    policy_object_fini(a.kind, &was);
    return code;
}

static int run_approve(struct ctl *c)
{
    bool takes_back = strcmp(c->verb->verb, "unapprove") == 0;
    struct policy_approved *hosts;
    struct policy_write w;
    int code = policy_begin(&w, c, NULL);

    hosts = read_members(&w, POLICY_APPROVED, (const char *const *)c->argv, (size_t)c->argc);
    for (int i = 0; i < c->argc; i++)
        policy_change_add(&w.change, POLICY_APPROVED, takes_back ? CHANGE_REMOVE : CHANGE_SET,
                          &hosts[i]);
    if (takes_back)
        snprintf(w.question, sizeof w.question, "No longer approve %s?",
                 c->argc == 1 ? "this host" : "these hosts");
    return policy_finish(&w, code);
}

/* --- fill ----------------------------------------------------------------- */

/* Is a rule of that name there, and does it fill otherwise? */
static int check_filler(struct policy_write *w, const struct policy_rule *r)
{
    union policy_object there;
    int rc = record_get(w->change.txn, POLICY_RULE, r->name, &there);
    const struct policy_rule *old = &there.rule;

    if (rc != 0)
        return rc == -ENOENT ? 0 : policy_failed(w->c, "read the rule", rc);
    if (old->action != ACTION_FILL || strcmp(old->pool, r->pool) != 0 ||
        old->n_networks != r->n_networks ||
        memcmp(old->networks, r->networks, r->n_networks * sizeof *r->networks) != 0)
        diags_add(&w->problems, NULL, 0, 0,
                  "rule %s is there and fills otherwise: use policy rule add, or another name",
                  r->name);
    if (old->mode != MODE_LIVE)
        w->remark = "the rule's mode is not live: nothing is delivered by it yet";
    policy_object_fini(POLICY_RULE, &there);
    return 0;
}

/* The short way from a suffix to a KMS host: makes or extends the rule
 * fill-POOL[-NETWORK...], and with --host the pool, named after the first host's
 * first label. */
static int run_fill(struct ctl *c)
{
    const char *pool_name = ctl_option(c, "--pool"), *texts[ARRAY_LEN(c->given)];
    struct policy_pool pool = {.n = option_texts(c, "--host", texts)};
    struct policy_rule r;
    struct policy_write w;
    char *unrouted = NULL;
    struct str s;
    int code;

    if (!pool_name == (pool.n == 0))
        return ctl_fail(EXIT_USAGE, "policy fill needs --pool POOL or --host HOST, and not both");
    if (pool_name && !str_copy(pool.name, sizeof pool.name, pool_name))
        return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s", pool_name);
    code = policy_begin(&w, c, NULL);
    w.is_fill = true;
    policy_rule_init(&r, "");
    r.n_suffixes = (size_t)c->argc;
    r.suffixes = read_members(&w, POLICY_RULE, (const char *const *)c->argv, r.n_suffixes);
    pool.hosts = read_members(&w, POLICY_POOL, texts, pool.n);
    if (w.problems.all == 0 && pool.n > 0) {
        zone_pool_name(&pool.hosts->target, pool.name);
        sort_members(POLICY_POOL, &pool);
        policy_change_add(&w.change, POLICY_POOL, CHANGE_SET, &pool);
    }
    str_copy(r.pool, sizeof r.pool, pool.name);
    read_networks(&w, &r);
    str_init(&s, r.name, sizeof r.name);
    str_addf(&s, "fill-%s", r.pool);
    for (size_t i = 0; i < r.n_networks; i++)
        str_addf(&s, "-%s", r.networks[i]);
    if (s.cut)
        diags_add(&w.problems, NULL, 0, 0,
                  "the rule's name would be too long: use policy rule set NAME");
    policy_change_add(&w.change, POLICY_RULE, CHANGE_ADD, &r);
    if (code == 0)
        code = check_filler(&w, &r);
    if (code == 0)
        unrouted = policy_unrouted(c->settings, &r);
    code = policy_finish(&w, code);
    if (code == 0 && unrouted)
        ctl_warn("%s", unrouted);
    free(unrouted);
    return code;
}

static const struct ctl_option write_options[] = {
    {"--reason", "TEXT", false, "why, for the log (policy.require-reason may demand it)"},
    {"--author", "TEXT", false, "on whose behalf; the log keeps it beside the login name"},
    {"--dry-run", NULL, false, "say what would change, and change nothing"},
    {"--if-serial", "N", false, "only if the policy is still at serial N (else exit 6)"},
    {"--yes", NULL, false, "do not ask before something is removed"},
    {0},
};
static const struct ctl_option fill_options[] = {
    {"--pool", "POOL", false, "give the hosts of this pool"},
    {"--host", "HOST", true, "give this host: FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
    {"--network", "NAME", true, "the rule is for clients in this network only"},
    {0},
};
static const struct ctl_option import_options[] = {
    {"--replace", NULL, false, "the policy becomes this file"},
    {"--merge", NULL, false, "objects of the file replace those of the same name; all else stays"},
    {"--format", "FORMAT", false, "yaml or zone (default: by the name of the file)"},
    {0},
};
static const struct ctl_option log_options[] = {
    {"--since", "T", false, "show the changes since this time"},
    {"--rule", "NAME", false, "show the changes of this rule"},
    {0},
};
#define OPTION(...) ((const struct ctl_option[]){{__VA_ARGS__}, {0}})
#define MEMBERS(what) "set NAME " what "... | add NAME " what "... | drop NAME [" what "...]"
/* clang-format off */
const struct ctl_verb ctl_policy_verbs[] = {
    {"policy", "show", 0, 2, "[rules | networks | pools | approved | suffixes] [NAME]",
     {OPTION("--limit", "N", false, "print at most N rows")}, policy_show, "show the policy; without a word, a summary"},
    {"policy", "fill", 1, -1, "SUFFIX...", {fill_options, write_options}, run_fill,
     "point clients with these suffixes to a pool or host (rule fill-POOL[-NETWORK])"},
    {"policy", "network", 2, -1, MEMBERS("PREFIX"), {write_options}, run_object, "change the named sets of clients"},
    {"policy", "pool", 2, -1, MEMBERS("HOST"),
     {OPTION("--allow-public", NULL, false, "the hosts may have public addresses"), write_options}, run_object,
     "change the named sets of KMS hosts (HOST as in policy fill)"},
    {"policy", "rule", 2, -1, "set NAME | add NAME SUFFIX... | drop NAME [SUFFIX...]",
     {rule_options, write_options}, run_object,
     "change the rules: set makes or changes one, add and drop change its suffixes"},
    {"policy", "approve", 1, -1, "HOST...", {write_options}, run_approve,
     "accept these hosts where the real DNS names them"},
    {"policy", "unapprove", 1, -1, "HOST...", {write_options}, run_approve, "accept these hosts no longer"},
    {"policy", "edit", 0, 0, "", {write_options}, policy_edit, "change the policy as text in $VISUAL or $EDITOR"},
    {"policy", "import", 1, 1, "FILE", {import_options, write_options}, policy_import,
     "read a policy from a file; - is standard input"},
    {"policy", "export", 0, 0, "", {OPTION("--format", "FORMAT", false, "yaml or zone")}, policy_export,
     "print the policy as text"},
    {"policy", "check", 0, 1, "[FILE]", {NULL}, policy_check,
     "report what is probably not meant, in FILE or in the present policy (exit 7)"},
    {"policy", "test", 1, 1, "FILE",
     {OPTION("--policy", "FILE", false, "try this policy instead of the present one")}, policy_test,
     "run the tests: of FILE (exit 7 when one fails)"},
    {"policy", "log", 0, 0, "", {log_options}, policy_log, "show the changes: serial, time, author, reason, what"},
    {0},
};
/* clang-format on */
