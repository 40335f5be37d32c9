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
#include <signal.h>
#include <unistd.h>

#include "base/file.h"

static const struct ctl_option rule_options[] = {
    {"--suffix", "S", true, "the suffixes are exactly these; policy rule add adds one"},
    {"--network", "NAME", true, "the networks are exactly these; any is every client"},
    {"--action", "fill|replace|filter|deny|pass", false, "what the rule does"},
    {"--when", "W,...", false, "when it acts: missing, failed (fill); unapproved (replace)"},
    {"--pool", "POOL", false, "the pool that fill and replace deliver"},
    {"--ttl", "D", false, "the TTL of the answers, 30s to 1d"},
    {"--mode", "live|shadow|off", false, "shadow: what it would do is only recorded"},
    {"--from", "T", false, "the rule is used from this time on; none: no limit"},
    {"--until", "T", false, "the rule is used until this time; none: no limit"},
    {"--break-dnssec", "yes|no", false, "act also for clients that check DNSSEC signatures"},
    {"--comment", "TEXT", false, "a remark for people"},
    {0},
};

/* A list of the object: what the arguments say, or (NULL) the option, as often as it is given. */
static void read_texts(struct policy_write *w, const struct field *row, const char *option,
                       char **arguments, void *object)
{
    size_t most = ARRAY_LEN(w->c->given) + (size_t)w->c->argc;
    struct yaml_node *nodes = ctl_checked(arena_alloc(w->change.arena, most * sizeof *nodes));
    struct yaml_node list = {.kind = YAML_LIST, .first = nodes};
    const char *text;

    for (; (text = arguments ? *arguments++ : ctl_option_at(w->c, option, (int)list.n)); nodes++) {
        *nodes = (struct yaml_node){.text = text, .quoted = true, .next = nodes + 1};
        list.n++;
    }
    w->form.is_option = false;
    if (list.n > 0)
        field_read(&w->form, row, &list, object);
}

/* The options that are fields of the object; a flag says yes. */
static void read_fields(struct policy_write *w, const struct field *map, void *object)
{
    w->form.is_option = true;
    for (int i = 0; i < w->c->n_given; i++) {
        const struct ctl_option *option = w->c->given[i].option;
        const char *key = option->name + 2, *text = option->value ? w->c->given[i].value : "yes";
        const struct field *row = field_find(map, key);
        const struct yaml_node node = {.text = text, .quoted = true};
        char *clean = ctl_clean(text), *list = ctl_text("[%s]", text);

        if (row && strcmp(key, "comment") == 0 && strcmp(clean, text) != 0)
            form_wrong(&w->form, row, &node,
                       "has control characters, or octets that are not UTF-8");
        else if (row && row->element)
            field_read_text(&w->form, row, list, object);
        else if (row)
            field_read(&w->form, row, &node, object);
        free(clean);
        free(list);
    }
}

/* The members that the network or pool has, with those that are given, or without them. */
static int merge_members(struct policy_write *w, const struct change *a,
                         const union policy_object *was, struct policy_list *list)
{
    size_t size = policy_lists[a->kind]->element->size;
    int (*compare)(const void *, const void *) =
        a->kind == POLICY_POOL ? policy_approved_compare : policy_prefix_compare;
    struct policy_list old = *policy_members_of(a->kind, was), given = *list;
    char *to = ctl_checked(arena_alloc(w->change.arena, (old.n + given.n) * size)), *one,
         text[HOST_TEXT];

    *list = (struct policy_list){to, 0};
    for (one = given.at; one < (char *)given.at + given.n * size; one += size)
        if (a->verb != CHANGE_DROP)
            memcpy(to + list->n++ * size, one, size);
        else if (!lfind(one, old.at, &old.n, size, compare))
            return ctl_fail(EXIT_NOT_FOUND, "%s %s has no %s", policy_kind_names[a->kind],
                            a->is.name, policy_member_print(a->kind, one, text));
    /* What is added takes the place of the same one: its options may differ. */
    for (one = old.at; one < (char *)old.at + old.n * size; one += size)
        if (!lfind(one, given.at, &given.n, size, compare))
            memcpy(to + list->n++ * size, one, size);
    return 0;
}

/* The fields of a rule that are given; others follow from its action. */
static void read_rule(struct policy_write *w, struct policy_rule *r)
{
    enum policy_action was = r->action;

    read_fields(w, &policy_rule_map, r);
    if (r->action != was && !ctl_option(w->c, "--when"))
        r->when = policy_actions[r->action].when;
    if (ctl_option(w->c, "--action") && !policy_actions[r->action].has_pool &&
        !ctl_option(w->c, "--pool"))
        r->pool[0] = '\0';
    read_texts(w, field_find(&policy_rule_map, "networks"), "--network", NULL, r);
}

/* a: the object with the members that come or go; was: it is read into it. */
static int make_object(struct policy_write *w, struct change *a, union policy_object *was)
{
    const char *kind = policy_kind_names[a->kind], *name = a->is.name;
    struct policy_list *list = policy_members_of(a->kind, name), given = *list;
    static const char *const takes[POLICY_KINDS] = {"PREFIX...", "HOST...", [POLICY_RULE] = "..."};
    bool is_rule = a->kind == POLICY_RULE;
    char meant[DIAG_MEANT];
    int rc, code = 0;

    if (a->verb == CHANGE_DROP && given.n == 0) {
        snprintf(w->question, sizeof w->question, "Remove %s %s%s?", kind, name,
                 is_rule ? " with all its suffixes" : "");
        policy_change_add(&w->change, a->kind, CHANGE_REMOVE, name);
        return 0;
    }
    rc = record_get(w->change.txn, a->kind, name, was);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the policy", rc);
    if (rc == -ENOENT && a->verb != CHANGE_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no %s %s%s (policy %s set %s %s makes one)", kind,
                        name, policy_meant(NULL, w->change.txn, a->kind, name, meant), kind, name,
                        takes[a->kind]);
    if (a->verb == CHANGE_DROP)
        snprintf(w->question, sizeof w->question, "Take these out of %s %s?", kind, name);
    if (rc == -ENOENT && is_rule)
        policy_rule_init(&was->rule, name);
    if (rc == 0 || is_rule)
        memcpy(a->is.name, was, sizeof *was);
    *list = given;
    if (is_rule)
        read_rule(w, a->is.rule);
    else if (a->verb != CHANGE_SET)
        code = merge_members(w, a, was, list);
    if (a->kind == POLICY_POOL) {
        read_fields(w, &policy_pool_map, a->is.pool);
        policy_pool_check(a->is.pool, &w->problems); /* sorted, a host is there once */
    }
    policy_object_sort(a->kind, a->is.name);
    if (!is_rule || (a->verb == CHANGE_SET && given.n == 0))
        a->verb = is_rule ? CHANGE_HEAD : CHANGE_SET;
    policy_change_add(&w->change, a->kind, a->verb, a->is.name);
    return code;
}

/* "set NAME MEMBER..." and so on, of the kind that the verb names. */
static int run_object(struct ctl *c)
{
    static const char *const words[] = {"set", "add", "drop", NULL};
    const char *kind = c->verb->verb, *word = c->argv[0], *name = c->argv[1], *option = NULL;
    union policy_object was = {.name = ""}, is = {.name = ""};
    struct change a = {.kind = (enum policy_kind)str_index(policy_kind_names, kind),
                       .is.name = is.name};
    struct policy_write w;
    bool is_rule = a.kind == POLICY_RULE;
    int i = str_index(words, word), code;

    a.verb = (enum change_verb)(CHANGE_SET + i);
    if (is_rule && a.verb == CHANGE_SET)
        option = "--suffix";
    if (a.kind == POLICY_POOL && c->argc == 2 && a.verb == CHANGE_SET)
        a.verb = CHANGE_ADD; /* no host more: only how they are given */
    else if (i < 0 || (option ? c->argc > 2 : c->argc == 2 && a.verb != CHANGE_DROP))
        return ctl_misused("usage: waymarkctl policy %s %s", kind, c->verb->arguments);
    for (const struct ctl_option *o = rule_options; is_rule && !option && o->name; o++)
        if (ctl_option(c, o->name))
            return ctl_misused("policy rule %s takes no %s: policy rule set does", word, o->name);
    code = policy_begin(&w, c);
    if (!str_copy(is.name, POLICY_NAME, name))
        diags_tell(&w.problems, "%s %s: has more than 63 characters", kind, name);
    read_texts(&w, policy_lists[a.kind], option, option ? NULL : c->argv + 2, is.name);
    if (code == 0 && w.problems.all == 0)
        code = make_object(&w, &a, &was);
    code = policy_finish(&w, code);
    policy_object_fini(a.kind, &was);
    return code;
}

static int run_approve(struct ctl *c)
{
    bool takes_back = strcmp(c->verb->verb, "unapprove") == 0;
    struct policy p = {.n_approved = 0};
    struct policy_write w;
    int code = policy_begin(&w, c);

    read_texts(&w, policy_lists[POLICY_APPROVED], NULL, c->argv, &p);
    for (size_t i = 0; i < p.n_approved; i++)
        policy_change_add(&w.change, POLICY_APPROVED, takes_back ? CHANGE_REMOVE : CHANGE_SET,
                          &p.approved[i]);
    if (takes_back)
        strcpy(w.question, "No longer approve this?");
    return policy_finish(&w, code);
}

/* The short way from a suffix to a KMS host: makes or extends the rule fill-POOL[-NETWORK...], and
 * with --host the pool, named after the first host's first label. */
static int run_fill(struct ctl *c)
{
    struct policy_pool pool = {.named_after = true};
    union policy_object was;
    struct policy_rule r;
    struct policy_write w;
    char *unrouted = NULL;
    bool is_live = true;
    int code;

    if (!ctl_option(c, "--pool") == !ctl_option(c, "--host"))
        return ctl_misused("policy fill needs --pool POOL or --host HOST, and not both");
    code = policy_begin(&w, c);
    w.is_fill = true;
    policy_rule_init(&r, "");
    read_fields(&w, &policy_rule_map, &r); /* its pool */
    read_texts(&w, policy_lists[POLICY_RULE], NULL, c->argv, &r);
    read_texts(&w, field_find(&policy_rule_map, "networks"), "--network", NULL, &r);
    policy_object_sort(POLICY_RULE, &r);
    read_texts(&w, policy_lists[POLICY_POOL], "--host", NULL, &pool);
    if (pool.n > 0) {
        import_pool_name(&pool.hosts->target, pool.name);
        strcpy(r.pool, pool.name);
        policy_pool_check(&pool, &w.problems); /* sorted, a host is there once */
        policy_object_sort(POLICY_POOL, &pool);
        policy_change_add(&w.change, POLICY_POOL, CHANGE_SET, &pool);
    }
    if (!import_rule_name(&r))
        diags_tell(&w.problems, "the rule's name would be too long: use policy rule set NAME");
    policy_change_add(&w.change, POLICY_RULE, CHANGE_ADD, &r);
    if (code == 0) {
        unrouted = policy_unrouted(c->settings, &r);
        if (record_get(w.change.txn, POLICY_RULE, r.name, &was) == 0) {
            is_live = was.rule.mode == MODE_LIVE;
            policy_object_fini(POLICY_RULE, &was);
        }
    }
    code = policy_finish(&w, code);
    if (code == 0 && !is_live)
        ctl_warn("the rule's mode is not live: nothing is delivered by it yet");
    if (code == 0 && unrouted)
        ctl_warn("%s", unrouted);
    free(unrouted);
    return code;
}

/* The policy of the store becomes, or gets, this one; unless it is another than was seen. */
static int put(struct ctl *c, const uint64_t *seen, const struct policy *p, enum policy_how how)
{
    struct policy_counts n = {0};
    struct policy_write w;
    int code = policy_begin(&w, c);
    int rc = code == 0 ? policy_counts_read(w.change.txn, &n) : 0;

    if (code == 0 && seen && *seen != w.change.serial)
        code =
            ctl_fail(EXIT_CONFLICT, POLICY_CONFLICT, (uintmax_t)w.change.serial, (uintmax_t)*seen);
    else if (how != POLICY_REPLACE && !ctl_option(c, "--merge") &&
             n.networks + n.pools + n.rules + n.approved > 0)
        code =
            ctl_misused("there is a policy already: --merge adds this file to it, --replace puts "
                        "the file in its place (--dry-run shows what that would change)");
    else if (code == 0 && rc == 0)
        rc = policy_change_make(&w.change, p, how);
    return policy_finish(&w, rc == 0 ? code : policy_failed(c, "read the policy", rc));
}

static int run_import(struct ctl *c)
{
    bool replace = ctl_option(c, "--replace"), merge = ctl_option(c, "--merge");
    const char *name = ctl_option(c, "--format");
    const struct policy_format *format = name ? policy_format_find(name, false) : NULL;
    enum policy_how how;
    struct policy p;
    int code = name && !format ? EXIT_USAGE : 0;

    if (replace && merge)
        code = ctl_misused("--replace and --merge exclude each other");
    if (code == 0)
        code = policy_file_import(c, c->argv[0], &format, merge ? POLICY_PART : POLICY_WHOLE, &p);
    if (code != 0)
        return code;
    how = replace ? POLICY_REPLACE : format->is_whole ? POLICY_MERGE : POLICY_JOIN;
    if (p.n_tests > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", p.n_tests, c->argv[0]);
    code = put(c, NULL, &p, how);
    policy_fini(&p);
    return code;
}

static int run_export(struct ctl *c)
{
    struct policy p;
    const char *name = ctl_option(c, "--format");
    const struct policy_format *format = policy_format_find(name ? name : "yaml", true);
    int code = format ? 0 : EXIT_USAGE, rc;

    if (code == 0 && c->format != FORMAT_TABLE)
        code = ctl_misused("policy export writes --format yaml, csv, zone or powershell; "
                           "policy show has --json and --csv");
    if (code == 0)
        code = policy_read(c, ctl_option(c, "--at"), &p, NULL);
    if (code != 0)
        return code;
    rc = format->write(&p, stdout);
    if (rc == 0 && fflush(stdout) != 0)
        rc = -errno;
    policy_fini(&p);
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write the policy: %s", strerror(-rc));
}

/* A file is $WAYMARK_EDITED to those that are started. */
static const char editor[] =
    "set -f; ${VISUAL:-${EDITOR:-$(command -v sensible-editor || command -v editor || "
    "command -v nano || echo vi)}} \"$WAYMARK_EDITED\"";
static const char diff[] = "diff -u --label policy --label edited - \"$WAYMARK_EDITED\"";

/* The user's editor, else one that is there, until the text is a policy. */
static int edit(struct ctl *c, const char *file, struct policy *out)
{
    int code;

    setenv("WAYMARK_EDITED", file, 1);
    do {
        fflush(NULL);
        code = system(editor);
        if (code != 0)
            return ctl_fail(EXIT_FAILED,
                            WIFSIGNALED(code)
                                ? "the editor was ended by signal %d: nothing is changed"
                                : "the editor ended with status %d: nothing is changed",
                            WIFSIGNALED(code) ? WTERMSIG(code) : WEXITSTATUS(code));
        code = policy_file_read(file, POLICY_WHOLE, out);
    } while (code == EXIT_INVALID && !ctl_option(c, "--yes") && isatty(STDIN_FILENO) &&
             ctl_ask(c, "Edit again?"));
    return code;
}

/* The text lies in a directory of its own (0700), and stays there unless what was typed was applied
 * or left as it was. The editor's variable may have arguments, separated by blanks: the shell splits
 * it, and evaluates nothing in it. */
static int run_edit(struct ctl *c)
{
    char *folder, *file, *text, *typed = NULL;
    bool same = false;
    struct store *store;
    struct policy p;
    uint64_t serial;
    size_t len;
    FILE *f;
    int code = policy_open(c, STORE_WRITE, &store); /* who may not write it need not type */

    if (code == 0) {
        store_close(store);
        code = policy_read(c, NULL, &p, &serial);
    }
    if (code != 0)
        return code;
    f = ctl_open(&text);
    policy_text_write(&p, f);
    ctl_close(f, &text);
    policy_fini(&p);
    folder = ctl_text("%s/waymark-edit-XXXXXX", policy_temporary_folder());
    if (!mkdtemp(folder))
        exit(ctl_fail(EXIT_FAILED, "cannot make %s: %s", folder, strerror(errno)));
    file = ctl_text("%s/policy.yaml", folder);
    f = fopen(file, "wxe");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        code = ctl_fail(EXIT_FAILED, "cannot write %s: %s", file, strerror(errno));
    else
        code = edit(c, file, &p);
    if (code == 0) {
        fflush(NULL);
        signal(SIGPIPE, SIG_IGN); /* diff may be missing, which the shell tells */
        if ((f = popen(diff, "we"))) {
            fputs(text, f);
            same = pclose(f) == 0;
        }
        if (same)
            ctl_line("nothing is changed, serial %ju", (uintmax_t)serial);
        else
            code = ctl_option(c, "--dry-run") || ctl_ask(c, "Apply this?")
                       ? put(c, &serial, &p, POLICY_REPLACE)
                       : ctl_fail(EXIT_FAILED, "nothing is changed");
        policy_fini(&p);
    }
    if ((code != 0 || ctl_option(c, "--dry-run")) &&
        file_read(file, SIZE_MAX / 2, &typed, &len) == 0 && strcmp(typed, text) != 0)
        ctl_note("your text is kept in %s", file);
    else
        unlink(file);
    rmdir(folder); /* not with a text in it */
    free(typed);
    free(text);
    free(file);
    free(folder);
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
#define OPTIONS(...) ((const struct ctl_option[]){__VA_ARGS__, {0}})
#define MEMBERS(what) "set NAME " what "... | add NAME " what "... | drop NAME [" what "...]"
/* clang-format off */
#define AT {"--at", "SERIAL", false, "the policy as it was at this serial (policy log lists them)"}
const struct ctl_verb ctl_policy_verbs[] = {
    {"policy", "show", 0, 2, "[rules | networks | pools | approved | suffixes] [NAME]",
     {OPTIONS({"--limit", "N", false, "print at most N rows"}, AT)}, policy_show,
     "show the policy; without a word, a summary"},
    {"policy", "fill", 1, -1, "SUFFIX...",
     {OPTIONS({"--pool", "POOL", false, "give the hosts of this pool"},
              {"--host", "HOST", true,
               "give this host: FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
              {"--network", "NAME", true, "the rule is for clients in this network only"}),
      write_options}, run_fill,
     "point clients with these suffixes to a pool or host (rule fill-POOL[-NETWORK])"},
    {"policy", "network", 2, -1, MEMBERS("PREFIX"), {write_options}, run_object,
     "change the named sets of clients"},
    {"policy", "pool", 2, -1, MEMBERS("HOST"),
     {OPTIONS({"--allow-public", NULL, false, "the hosts may have public addresses"},
              {"--choice", "all|pin", false,
               "how the hosts are given: pin is one, until enough clients have it"},
              {"--pin-clients", "N", false, "so many clients are enough, 1 to 50 (default 25)"}),
      write_options}, run_object,
     "change the named sets of KMS hosts (HOST as in policy fill)"},
    {"policy", "rule", 2, -1, "set NAME | add NAME SUFFIX... | drop NAME [SUFFIX...]",
     {rule_options, write_options}, run_object,
     "change the rules: set makes or changes one, add and drop change its suffixes"},
    {"policy", "approve", 1, -1, "HOST...", {write_options}, run_approve,
     "accept these hosts where the real DNS names them"},
    {"policy", "unapprove", 1, -1, "HOST...", {write_options}, run_approve,
     "accept these hosts no longer"},
    {"policy", "edit", 0, 0, "", {write_options}, run_edit,
     "change the policy as text in $VISUAL or $EDITOR"},
    {"policy", "import", 1, 1, "FILE",
     {OPTIONS({"--replace", NULL, false, "the policy becomes this file"},
              {"--merge", NULL, false,
               "objects of the file replace those of the same name; all else stays"},
              {"--format", "yaml|csv|zone|rpz|dnsmasq|unbound|publish-list", false,
               "the form of the file (default: what it looks like)"},
              {"--pool", "POOL", false, "of a publish-list, and of rows of csv that name no host"}),
      write_options}, run_import,
     "read a policy from a file; - is standard input"},
    {"policy", "export", 0, 0, "",
     {OPTIONS({"--format", "yaml|csv|zone|powershell", false, "the form (default: yaml)"}, AT)}, run_export,
     "print the policy as text"},
    {"policy", "check", 0, 1, "[FILE]", {NULL}, policy_check,
     "report what is probably not meant, in FILE or in the present policy (exit 7)"},
    {"policy", "test", 1, 1, "FILE",
     {OPTIONS({"--policy", "FILE", false, "try this policy instead of the present one"})},
     policy_test, "run the tests of FILE (exit 7 when one fails)"},
    {"policy", "log", 0, 0, "",
     {OPTIONS({"--since", "T", false, "show the changes since this time"},
              {"--rule", "NAME", false, "show the changes of this rule"})}, policy_log,
     "show the changes: serial, time, author, reason, what"},
    {"policy", "undo", 0, 0, "", {write_options}, policy_restore, "take the last change back"},
    {"policy", "restore", 1, 1, "SERIAL", {write_options}, policy_restore,
     "make the policy what it was at a serial"},
    {"policy", "diff", 1, 2, "A [B]", {NULL}, policy_diff,
     "show what differs from A to B, each a serial or a file (default of B: the present policy)"},
    {0},
};
/* clang-format on */
