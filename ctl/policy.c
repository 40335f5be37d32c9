/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.c -- the verbs of the policy: their table, and those that change one object: set makes or
 * changes it, add adds members, drop removes members or, without any, the object.
 *
 * The keys of policy_rule_map and policy_pool_map are options of `rule set` and `pool set`. What is
 * not given stays as it is.
 */
#include "ctl/policy.h"

#include <search.h>

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

/* What the arguments say, or (NULL) the option, in the arena; every text that is wrong is told. */
static struct policy_list read_members(struct policy_write *w, enum policy_kind kind,
                                       const char *option, char **arguments)
{
    size_t size = policy_members[kind].size, n = 0;
    char *members = policy_alloc(w, (ARRAY_LEN(w->c->given) + (size_t)w->c->argc) * size);
    const char *text, *why;

    for (; (text = arguments ? arguments[n] : ctl_option_at(w->c, option, (int)n)); n++) {
        void *to = members + n * size;

        if (kind == POLICY_RULE) /* a list of pointers */
            to = *(void **)to = policy_alloc(w, sizeof(struct suffix));

        why = kind == POLICY_POOL       ? host_parse(to, text)
              : kind == POLICY_APPROVED ? policy_approved_parse(to, text)
              : kind == POLICY_RULE     ? suffix_parse(to, text)
                                        : prefix_parse(to, text);
        if (why)
            diags_tell(&w->problems, "%s\"%s\" %s", kind == POLICY_RULE ? "suffix " : "", text,
                       why);
    }
    return (struct policy_list){members, n};
}

/* --network, as often as it is given, in the arena. */
static void read_networks(struct policy_write *w, struct policy_rule *r)
{
    const char *text;
    size_t n = 0;

    r->networks = policy_alloc(w, ARRAY_LEN(w->c->given) * sizeof *r->networks);
    for (; (text = ctl_option_at(w->c, "--network", (int)n)); n++)
        if (!str_copy(r->networks[n], POLICY_NAME, text))
            diags_tell(&w->problems, "there is no network %s", text);
    r->n_networks = n;
    policy_object_sort(POLICY_RULE, r);
}

/* The options that are fields of the object. */
static void read_fields(struct policy_write *w, const struct field *map, void *object)
{
    struct form form = {.d = &w->problems, .is_option = true, .now_ms = w->c->now.wall_ms};

    for (int i = 0; i < w->c->n_given; i++) {
        const struct ctl_option *option = w->c->given[i].option;
        const char *key = option->name + 2, *text = w->c->given[i].value;
        const struct field *row = option->value ? field_find(map, key) : NULL;
        const struct yaml_node node = {.kind = YAML_SCALAR, .text = text, .quoted = true};
        char *clean = ctl_clean(text);

        if (row && strcmp(key, "comment") == 0 && strcmp(clean, text) != 0)
            form_wrong(&form, row, &node, "has control characters, or octets that are not UTF-8");
        else if (row)
            field_read(&form, row, &node, object);
        free(clean);
    }
}

/* Equal hosts of a pool that must be refused stay, to be told. */
static void sort_members(enum policy_kind kind, void *object)
{
    if (kind != POLICY_POOL || policy_pool_check(object, NULL) == 0)
        policy_object_sort(kind, object);
}

/* The members that the network or pool has, changed as asked. */
static int make_members(struct policy_write *w, struct change *a, const union policy_object *was)
{
    const struct policy_member *m = &policy_members[a->kind];
    struct policy_list old = *policy_members_of(a->kind, was), *list, given;
    char *to, *one, text[HOST_TEXT];
    size_t n = 0;

    list = policy_members_of(a->kind, a->is.name);
    given = *list;
    to = policy_alloc(w, (old.n + given.n + 1) * m->size);
    for (one = given.at; one < (char *)given.at + given.n * m->size; one += m->size)
        if (a->verb != CHANGE_DROP)
            memcpy(to + n++ * m->size, one, m->size);
        else if (!lfind(one, old.at, &old.n, m->size, m->compare))
            return ctl_fail(EXIT_NOT_FOUND, "%s %s has no %s %s", policy_kind_names[a->kind],
                            a->is.name, m->word, policy_member_print(a->kind, one, text));
    /* What is added takes the place of the same one: its options may differ. */
    for (size_t i = 0; a->verb != CHANGE_SET && i < old.n; i++) {
        one = (char *)old.at + i * m->size;
        if (!lfind(one, given.at, &given.n, m->size, m->compare))
            memcpy(to + n++ * m->size, one, m->size);
    }
    *list = (struct policy_list){to, n};
    if (a->kind == POLICY_POOL) {
        a->is.pool->allow_public = was->pool.allow_public || ctl_option(w->c, "--allow-public");
        a->is.pool->choice = was->pool.choice;
        a->is.pool->pin_clients = was->pool.pin_clients;
        read_fields(w, &policy_pool_map, a->is.pool);
    }
    sort_members(a->kind, a->is.name);
    policy_change_add(&w->change, a->kind, CHANGE_SET, a->is.name);
    return 0;
}

/* The rule with the fields that are given, and its suffixes. */
static void make_rule(struct policy_write *w, const struct change *a, const struct policy_rule *was)
{
    struct policy_rule *r = a->is.rule, given = *r;

    *r = *was;
    r->suffixes = given.suffixes;
    r->n_suffixes = given.n_suffixes;
    if (a->verb == CHANGE_SET)
        read_fields(w, &policy_rule_map, r);
    if (r->action != was->action && !ctl_option(w->c, "--when"))
        r->when = policy_actions[r->action].when;
    if (ctl_option(w->c, "--action") && !policy_actions[r->action].has_pool &&
        !ctl_option(w->c, "--pool"))
        r->pool[0] = '\0';
    if (ctl_option(w->c, "--network"))
        read_networks(w, r);
    policy_object_sort(POLICY_RULE, r);
    policy_change_add(&w->change, POLICY_RULE,
                      a->verb == CHANGE_SET && r->n_suffixes == 0 ? CHANGE_HEAD : a->verb, r);
}

/* a: the object with the members that come or go; was: it is read into it. */
static int make_object(struct policy_write *w, struct change *a, union policy_object *was)
{
    const char *kind = policy_kind_names[a->kind], *name = a->is.name;
    size_t n = policy_members_of(a->kind, name)->n;
    bool is_rule = a->kind == POLICY_RULE;
    char meant[DIAG_MEANT];
    int rc;

    if (a->verb == CHANGE_DROP && n == 0) {
        snprintf(w->question, sizeof w->question, "Remove %s %s%s?", kind, name,
                 is_rule ? " with all its suffixes" : "");
        policy_change_add(&w->change, a->kind, CHANGE_REMOVE, name);
        return 0;
    }
    rc = record_get(w->change.txn, a->kind, name, was);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the policy", rc);
    if (rc == -ENOENT && a->verb != CHANGE_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no %s %s%s (policy %s set makes one)", kind, name,
                        policy_meant(NULL, w->change.txn, a->kind, name, meant), kind);
    if (a->verb == CHANGE_DROP)
        snprintf(w->question, sizeof w->question, "Take these %s out of %s %s?",
                 policy_members[a->kind].words, kind, name);
    if (!is_rule)
        return make_members(w, a, was);
    if (rc == -ENOENT)
        policy_rule_init(&was->rule, name);
    if (rc == -ENOENT && n == 0)
        w->remark = "the rule has no suffix yet and never acts; policy rule add NAME SUFFIX...";
    make_rule(w, a, &was->rule);
    return 0;
}

/* "set NAME MEMBER..." and so on, of the kind that the verb names. */
static int run_object(struct ctl *c)
{
    static const char *const words[] = {"set", "add", "drop", NULL};
    const char *kind = c->verb->verb, *word = c->argv[0], *name = c->argv[1], *option = NULL, *why;
    union policy_object was = {.name = ""}, is = {.name = ""};
    struct change a = {.kind = (enum policy_kind)str_index(policy_kind_names, kind),
                       .is.name = is.name};
    struct policy_write w;
    char meant[DIAG_MEANT];
    bool is_rule = a.kind == POLICY_RULE;
    int i = str_index(words, word), code;

    if (i < 0)
        return ctl_fail(EXIT_USAGE, "policy %s: %s is neither set, add nor drop%s", kind, word,
                        diag_meant(word, words, meant));
    a.verb = (enum change_verb)(CHANGE_SET + i);
    if (is_rule && a.verb == CHANGE_SET)
        option = "--suffix";
    if (option && c->argc > 2)
        return ctl_fail(EXIT_USAGE,
                        "policy rule set takes suffixes as --suffix S; policy rule add %s %s adds "
                        "one",
                        name, c->argv[2]);
    if (a.kind == POLICY_POOL && c->argc == 2 && a.verb == CHANGE_SET &&
        (ctl_option(c, "--choice") || ctl_option(c, "--pin-clients")))
        a.verb = CHANGE_ADD; /* no host more: only how they are given */
    else if (!option && c->argc == 2 && a.verb != CHANGE_DROP)
        return ctl_fail(EXIT_USAGE, "policy %s %s needs a name and at least one %s", kind, word,
                        policy_members[a.kind].word);
    for (const struct ctl_option *o = rule_options; is_rule && !option && o->name; o++)
        if (ctl_option(c, o->name))
            return ctl_fail(EXIT_USAGE, "policy rule %s takes no %s: policy rule set does", word,
                            o->name);
    code = policy_begin(&w, c, NULL);
    if ((why = policy_name_check(name)))
        diags_tell(&w.problems, "%s \"%s\": %s", kind, name, why);
    else
        strcpy(is.name, name);
    *policy_members_of(a.kind, &is) = read_members(&w, a.kind, option, option ? NULL : c->argv + 2);
    if (code == 0 && !why)
        code = make_object(&w, &a, &was);
    code = policy_finish(&w, code);
    policy_object_fini(a.kind, &was);
    return code;
}

static int run_approve(struct ctl *c)
{
    bool takes_back = strcmp(c->verb->verb, "unapprove") == 0;
    struct policy_write w;
    int code = policy_begin(&w, c, NULL);
    struct policy_list hosts = read_members(&w, POLICY_APPROVED, NULL, c->argv);

    for (size_t i = 0; i < hosts.n; i++)
        policy_change_add(&w.change, POLICY_APPROVED, takes_back ? CHANGE_REMOVE : CHANGE_SET,
                          (struct policy_approved *)hosts.at + i);
    if (takes_back)
        snprintf(w.question, sizeof w.question, "No longer approve %s?",
                 hosts.n == 1 ? "this host" : "these hosts");
    return policy_finish(&w, code);
}

/* The short way from a suffix to a KMS host: makes or extends the rule fill-POOL[-NETWORK...], and
 * with --host the pool, named after the first host's first label. */
static int run_fill(struct ctl *c)
{
    const char *pool_name = ctl_option(c, "--pool");
    struct policy_pool pool = {.name = ""};
    union policy_object was = {.name = ""};
    const struct policy_rule *old = &was.rule;
    struct policy_rule r;
    struct policy_write w;
    char *unrouted = NULL;
    int code, rc = -ENOENT;

    if (!pool_name == !ctl_option(c, "--host"))
        return ctl_fail(EXIT_USAGE, "policy fill needs --pool POOL or --host HOST, and not both");
    if (pool_name && !str_copy(pool.name, sizeof pool.name, pool_name))
        return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s", pool_name);
    code = policy_begin(&w, c, NULL);
    w.is_fill = true;
    policy_rule_init(&r, "");
    *policy_members_of(POLICY_RULE, &r) = read_members(&w, POLICY_RULE, NULL, c->argv);
    *policy_members_of(POLICY_POOL, &pool) = read_members(&w, POLICY_POOL, "--host", NULL);
    if (w.problems.all == 0 && pool.n > 0) {
        import_pool_name(&pool.hosts->target, pool.name);
        sort_members(POLICY_POOL, &pool);
        policy_change_add(&w.change, POLICY_POOL, CHANGE_SET, &pool);
    }
    str_copy(r.pool, sizeof r.pool, pool.name);
    read_networks(&w, &r);
    if (!import_rule_name(&r))
        diags_tell(&w.problems, "the rule's name would be too long: use policy rule set NAME");
    policy_change_add(&w.change, POLICY_RULE, CHANGE_ADD, &r);
    if (code == 0)
        rc = record_get(w.change.txn, POLICY_RULE, r.name, &was);
    if (rc != 0 && rc != -ENOENT)
        code = policy_failed(c, "read the rule", rc);
    else if (rc == 0 && (old->action != ACTION_FILL || strcmp(old->pool, r.pool) != 0 ||
                         old->n_networks != r.n_networks ||
                         memcmp(old->networks, r.networks, r.n_networks * POLICY_NAME) != 0))
        diags_tell(&w.problems,
                   "rule %s is there and fills otherwise: use policy rule add, or another name",
                   r.name);
    if (rc == 0 && old->mode != MODE_LIVE)
        w.remark = "the rule's mode is not live: nothing is delivered by it yet";
    if (code == 0)
        unrouted = policy_unrouted(c->settings, &r);
    code = policy_finish(&w, code);
    policy_object_fini(POLICY_RULE, &was);
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
static const struct ctl_option at_options[] = {
    {"--at", "SERIAL", false, "the policy as it was at this serial (policy log lists them)"},
    {0},
};
#define OPTIONS(...) ((const struct ctl_option[]){__VA_ARGS__, {0}})
#define MEMBERS(what) "set NAME " what "... | add NAME " what "... | drop NAME [" what "...]"
/* clang-format off */
const struct ctl_verb ctl_policy_verbs[] = {
    {"policy", "show", 0, 2, "[rules | networks | pools | approved | suffixes] [NAME]",
     {OPTIONS({"--limit", "N", false, "print at most N rows"}), at_options}, policy_show, "show the policy; without a word, a summary"},
    {"policy", "fill", 1, -1, "SUFFIX...",
     {OPTIONS({"--pool", "POOL", false, "give the hosts of this pool"},
              {"--host", "HOST", true, "give this host: FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
              {"--network", "NAME", true, "the rule is for clients in this network only"}), write_options}, run_fill,
     "point clients with these suffixes to a pool or host (rule fill-POOL[-NETWORK])"},
    {"policy", "network", 2, -1, MEMBERS("PREFIX"), {write_options}, run_object, "change the named sets of clients"},
    {"policy", "pool", 2, -1, MEMBERS("HOST"),
     {OPTIONS({"--allow-public", NULL, false, "the hosts may have public addresses"},
              {"--choice", "all|pin", false, "how the hosts are given: pin is one, until enough clients have it"},
              {"--pin-clients", "N", false, "so many clients are enough, 1 to 50 (default 25)"}), write_options}, run_object,
     "change the named sets of KMS hosts (HOST as in policy fill)"},
    {"policy", "rule", 2, -1, "set NAME | add NAME SUFFIX... | drop NAME [SUFFIX...]",
     {rule_options, write_options}, run_object,
     "change the rules: set makes or changes one, add and drop change its suffixes"},
    {"policy", "approve", 1, -1, "HOST...", {write_options}, run_approve,
     "accept these hosts where the real DNS names them"},
    {"policy", "unapprove", 1, -1, "HOST...", {write_options}, run_approve, "accept these hosts no longer"},
    {"policy", "edit", 0, 0, "", {write_options}, policy_edit, "change the policy as text in $VISUAL or $EDITOR"},
    {"policy", "import", 1, 1, "FILE",
     {OPTIONS({"--replace", NULL, false, "the policy becomes this file"},
              {"--merge", NULL, false, "objects of the file replace those of the same name; all else stays"},
              {"--format", "FORMAT", false, "yaml, csv, zone, rpz, dnsmasq, unbound or publish-list (default: what it looks like)"},
              {"--pool", "POOL", false, "of a publish-list, and of rows of csv that name no host"}), write_options}, policy_import,
     "read a policy from a file; - is standard input"},
    {"policy", "export", 0, 0, "", {OPTIONS({"--format", "FORMAT", false, "yaml, csv, zone or powershell"}), at_options}, policy_export,
     "print the policy as text"},
    {"policy", "check", 0, 1, "[FILE]", {NULL}, policy_check,
     "report what is probably not meant, in FILE or in the present policy (exit 7)"},
    {"policy", "test", 1, 1, "FILE",
     {OPTIONS({"--policy", "FILE", false, "try this policy instead of the present one"})}, policy_test,
     "run the tests: of FILE (exit 7 when one fails)"},
    {"policy", "log", 0, 0, "",
     {OPTIONS({"--since", "T", false, "show the changes since this time"},
              {"--rule", "NAME", false, "show the changes of this rule"})}, policy_log, "show the changes: serial, time, author, reason, what"},
    {"policy", "undo", 0, 0, "", {write_options}, policy_restore, "take the last change back"},
    {"policy", "restore", 1, 1, "SERIAL", {write_options}, policy_restore, "make the policy what it was at a serial"},
    {"policy", "diff", 1, 2, "A [B]", {NULL}, policy_diff,
     "show what differs from A to B, each a serial or a file (default of B: the present policy)"},
    {0},
};
/* clang-format on */
