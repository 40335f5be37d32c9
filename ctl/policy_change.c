/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_change.c -- the course of every change of the policy (policy.h): begin, apply the list,
 * ask and do it again, commit, print what changed and who uses it; and what all the verbs need: the
 * store, and objects as text.
 */
#include "ctl/policy.h"

#include <sys/stat.h>
#include <unistd.h>

#include "audit/store.h"

enum { SHOWN = 8 }; /* of a list; the rest is counted */
#define NO_SERIAL "a serial is needed; policy log lists them"
#define CHANGE_ROW "{object}\t{name}\t{change}[\t{text}][\tcame: {added}|][\twent: {removed}|]"
static const struct ctl_row change_rows[] = {{NULL, ".", CHANGE_ROW}, {0}};
static const char *const states[] = {"same", "new", "changed", "gone"}; /* enum change_state */

int policy_failed(struct ctl *c, const char *what, int err)
{
    const char *state = c->settings->server.state_dir, *hint = "";

    if (err == -EACCES || err == -EPERM || err == -EROFS)
        return ctl_store_error(c, state, err);
    if (err == -EBADMSG)
        hint = "; " STORE_REMEDY;
    else if (err == -EIO)
        hint = "; is the disk full? Nothing was changed. If the disk is sound, " STORE_REMEDY;
    else if (err == -ENOSPC || err == -EDQUOT)
        hint = "; is the disk full? Nothing was changed";
    return ctl_fail(EXIT_FAILED, "cannot %s: %s/policy: %s%s", what, state,
                    err == -EBADMSG ? "it has a damaged record" : strerror(-err), hint);
}

const char *policy_temporary_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    return tmp && *tmp == '/' ? tmp : "/tmp";
}

int policy_open_temporary(struct ctl *c, const struct policy *p, struct store **out)
{
    int rc = policy_open_nowhere(out, policy_temporary_folder(), p, NULL, 0, NULL);

    return rc == 0 ? 0 : policy_failed(c, "make a temporary store", rc);
}

int policy_open(struct ctl *c, enum store_access how, struct store **out)
{
    const char *state = c->settings->server.state_dir;
    int code = ctl_become_user(c), rc;
    char *path = ctl_text("%s/policy", state);
    struct diags d = {0};

    guard_exit(ctl_text("waymarkctl: %s/data.mdb changed while it was read, or the disk cannot "
                        "read it; nothing was changed; " STORE_REMEDY "\n",
                        path),
               EXIT_FAILED);
    if (code == 0 && how == STORE_WRITE && ctl_option(c, "--dry-run") && access(path, F_OK) != 0 &&
        errno == ENOENT) {
        code = policy_open_temporary(c, &(struct policy){.n_rules = 0}, out);
    } else if (code == 0) {
        if (how == STORE_WRITE) /* the first policy comes before the first start */
            (void)mkdir(state, 0750);
        rc = store_open(out, path, how, &d);
        if (rc == -ENOENT && how == STORE_READ)
            code = ctl_fail(EXIT_FAILED,
                            "there is no policy yet in %s: policy import or policy fill makes one",
                            path);
        else if (rc != 0)
            code = rc == -EBADMSG ? ctl_fail(EXIT_FAILED, "%s", d.list[0])
                                  : ctl_store_error(c, path, rc);
    }
    diags_fini(&d);
    free(path);
    return code;
}

/* There is no such serial yet, or any more; its history is damaged; or there is no room. */
static int not_restored(struct ctl *c, int err, uint64_t serial, uint64_t oldest)
{
    if (err == -EBADMSG)
        return policy_failed(c, "make the policy of that serial", err);
    if (err != -ERANGE)
        return ctl_fail(EXIT_FAILED, "cannot make the policy of that serial in %s: %s",
                        policy_temporary_folder(), strerror(-err));
    return ctl_fail(EXIT_NOT_FOUND,
                    "there is no policy of serial %ju: the oldest that is kept is that of serial "
                    "%ju (policy.history, and 64 MB of old values), the newest the present one",
                    (uintmax_t)serial, (uintmax_t)oldest);
}

int policy_open_at(struct ctl *c, const char *at, struct store **out)
{
    uint64_t serial = 0, oldest = 0;
    struct store *present;
    int code, rc;

    if (at && number_parse(&serial, at, UINT64_MAX) != 0)
        return ctl_misused("%s: " NO_SERIAL, at);
    code = policy_open(c, STORE_READ, at ? &present : out);
    if (code != 0 || !at)
        return code;
    rc = policy_open_nowhere(out, policy_temporary_folder(), NULL, present, serial, &oldest);
    store_close(present);
    return rc == 0 ? 0 : not_restored(c, rc, serial, oldest);
}

int policy_read(struct ctl *c, const char *word, struct policy *out, uint64_t *serial)
{
    struct store *store;
    uint64_t found;
    int code, rc;

    if (word && word != ctl_option(c, "--at") && number_parse(&found, word, UINT64_MAX) != 0)
        return policy_file_read(word, POLICY_WHOLE, out);
    code = policy_open_at(c, word, &store);
    if (code != 0)
        return code;
    rc = policy_load(store, out, serial ? serial : &found);
    store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    policy_sort(out);
    return 0;
}

const char *policy_member_print(enum policy_kind kind, const void *member, char out[HOST_TEXT])
{
    const struct policy_approved *a = member;

    if (kind == POLICY_NETWORK)
        return prefix_print(member, out);
    if (kind == POLICY_APPROVED)
        return host_print(&(struct policy_host){a->target, a->port, .probe = true}, out);
    return kind == POLICY_POOL ? host_print(member, out)
                               : suffix_print(*(struct suffix *const *)member, out);
}

bool policy_rule_has(const struct policy_rule *r, const char *network)
{
    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], network) == 0)
            return true;
    return r->n_networks == 0 && strcmp(network, "any") == 0;
}

/* "fill from pool x, any client, when missing", and what is no default or (a bit each) differs from
 * before, the comment if it does; is_fill: from the clients on. */
static void print_rule(FILE *f, const struct policy_rule *r, unsigned differs, bool is_fill)
{
    bool any = policy_rule_has(r, "any");
    const char *before = "when ";
    char *text;

    if (!is_fill)
        fprintf(f, "%s%s%s, ", action_names[r->action], r->pool[0] != '\0' ? " from pool " : "",
                r->pool);
    fputs(any ? "any client" : "clients in", f);
    for (size_t i = 0; !any && i < r->n_networks; i++)
        fprintf(f, " %s", r->networks[i]);
    fprintf(f, ", %s", r->when == WORD_ALL ? "always" : "");
    for (unsigned i = 0; r->when != WORD_ALL && i < VERDICT_WORDS; i++)
        if (r->when & 1u << i) {
            fprintf(f, "%s%s", before, word_names[i]);
            before = " or ";
        }
    for (const struct field *k = field_find(&policy_rule_map, "ttl"); k->key; k++, differs >>= 1) {
        text = field_text_of(k, r);
        if ((differs & 1) != 0 || (k[1].key && policy_rule_says(r, k)))
            fprintf(f, ", %s %s", k->key, text);
        free(text);
    }
}

/* What there is to say of a row; moved: "+1 -2 suffixes" when a file makes those of a rule others,
 * else "". */
static char *row_text(const struct policy_write *w, const struct change *c, const char *moved)
{
    const struct policy_list *members = policy_members_of(c->kind, c->is.name);
    bool adds = c->verb == CHANGE_ADD, is_rule = c->kind == POLICY_RULE;
    bool is_told = c->state != CHANGE_GONE && c->kind != POLICY_APPROVED;
    char *text, one[HOST_TEXT];
    size_t n = 0;
    FILE *f = ctl_open(&text);

    if (c->verb == CHANGE_HEAD && c->state == CHANGE_NEW && !w->change.restores)
        moved = "no suffix yet";
    fputs(moved, f);
    if (is_told && *moved == '\0' &&
        (!is_rule || (c->verb != CHANGE_HEAD && (!w->change.from || c->state == CHANGE_NEW))))
        n = adds && c->more > 0 ? c->more : members->n;
    for (size_t i = 0; i < n && i < SHOWN; i++) {
        policy_member_print(c->kind, (char *)members->at + i * policy_lists[c->kind]->element->size,
                            one);
        fprintf(f, "%s%s", i > 0 ? " " : "", one);
    }
    if (n > SHOWN)
        fprintf(f, " and %zu more", n - SHOWN);
    if (is_told && c->kind == POLICY_POOL && policy_pinned(c->is.pool) > 0)
        fprintf(f, "    one host until %d clients have it", policy_pinned(c->is.pool));
    /* The head of a rule that a file only adds to is not that of the file; a row that restores
     * suffixes has none. */
    if (is_told && is_rule && c->verb != CHANGE_DROP &&
        !(adds && (*moved != '\0' || w->change.restores))) {
        fputs(ftell(f) > 0 ? "    " : "", f);
        print_rule(f, c->is.rule, c->differs, w->is_fill);
    }
    ctl_close(f, &text);
    return text;
}

/* Suffixes of the one rule that the other does not have. */
static json_t *only_in(const struct policy_rule *a, const struct policy_rule *b)
{
    json_t *list = json_array();
    char text[SUFFIX_TEXT];

    for (struct suffix **s = a->suffixes; s < a->suffixes + a->n_suffixes; s++)
        if (b->n_suffixes == 0 ||
            !bsearch(s, b->suffixes, b->n_suffixes, sizeof *s, policy_suffix_compare))
            json_array_append_new(list, json_string(suffix_print(*s, text)));
    return list;
}

/* What was applied, of a file the objects that differ. Notes it for the log. */
static json_t *make_rows(struct policy_write *w)
{
    size_t most = w->c->format == FORMAT_TABLE ? SHOWN : SIZE_MAX;
    json_t *rows = json_array(), *row;
    bool of_file = w->change.from;
    const struct policy_rule *was;

    if (w->noted[0] != '\0')
        policy_change_note(&w->change, w->noted);
    for (const struct change *c = w->change.list; c < w->change.list + w->change.n; c++) {
        const char *object = policy_kind_names[c->kind], *state = states[c->state], *name, *said;
        char host[HOST_TEXT], moved[48] = "", *text, *note;

        if (of_file && c->state == CHANGE_SAME)
            continue;
        if (of_file && c->state == CHANGE_MOVED && c->more + c->less > 0)
            snprintf(moved, sizeof moved, "+%zu -%zu suffixes", c->more, c->less);
        else if (!of_file && c->state == CHANGE_MOVED)
            state = c->verb == CHANGE_ADD ? "more" : c->verb == CHANGE_DROP ? "less" : state;
        name = c->kind == POLICY_APPROVED ? policy_member_print(c->kind, c->is.approved, host)
                                          : c->is.name;
        text = row_text(w, c, moved);
        said = of_file ? moved : text;
        note = ctl_text("%s %s %s%s%s", object, name, state, *said != '\0' ? ": " : "", said);
        if (c->state != CHANGE_SAME)
            policy_change_note(&w->change, note);
        row = json_pack("{s:s,s:s,s:s,s:s,s:o*}", "object", object, "name", name, "change", state,
                        "text", text, "suffixes",
                        *moved != '\0' ? json_sprintf("+%zu -%zu", c->more, c->less) : NULL);
        if (w->was && *moved != '\0' && c->more + c->less <= most) {
            was = policy_find(w->was, POLICY_RULE, name);
            json_object_set_new(row, "added", only_in(c->is.rule, was));
            json_object_set_new(row, "removed", only_in(was, c->is.rule));
        }
        json_array_append_new(rows, row);
        free(note);
        free(text);
    }
    return rows;
}

json_t *policy_text(const char *text)
{
    return text[0] != '\0' ? audit_json_text(text) : json_null();
}

static void print_result(const struct policy_write *w, json_t *rows)
{
    static const struct ctl_row lines[] = {
        {NULL, "changes", CHANGE_ROW},
        {NULL, NULL,
         "[{?dry_run}dry run: nothing is changed, serial {serial}|"
         "{?changed}serial {serial}, author {author}[ (for {for})|], {use}|"
         "nothing to change: the policy is like this already, serial {serial}]"},
        {0},
    };
    /* Whoever reads this store knows the new serial at once. */
    json_t *all, *status = w->dry ? NULL : ctl_api_get(w->c, "/v1/status");
    json_int_t serial = 0;
    int open = 0, in_use;
    const char *use;

    json_unpack(status, "{s:{s:b,s:I}}", "policy", "open", &open, "serial", &serial);
    in_use = open && (uint64_t)serial >= w->change.serial;
    use = !status  ? "waymarkd is not running: takes effect at its start"
          : in_use ? "in use by waymarkd"
                   : "but waymarkd uses another policy, or none: see waymarkctl status";
    all = json_pack("{s:O,s:b,s:b,s:I,s:s,s:o,s:b,s:s}", "changes", rows, "changed",
                    w->change.changed, "dry_run", w->dry, "serial", (json_int_t)w->change.serial,
                    "author", w->change.log.author, "for", policy_text(w->change.log.claimed),
                    "in_use", in_use, "use", use);
    ctl_show_reply(w->c, EXIT_DONE, all, lines);
    json_decref(status);
}

/* Begins a transaction on the policy that is expected. */
static int begin(struct policy_write *w)
{
    int rc = policy_change_begin(&w->change, w->store);

    if (rc == -ESTALE)
        return ctl_fail(EXIT_CONFLICT, POLICY_CONFLICT, (uintmax_t)w->change.serial,
                        (uintmax_t)w->change.if_serial);
    return rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
}

int policy_begin(struct policy_write *w, struct ctl *c)
{
    const char *reason = ctl_option(c, "--reason"), *claimed = ctl_option(c, "--author");
    struct policy_change *change = &w->change;
    int code;

    *w = (struct policy_write){.c = c, .dry = ctl_option(c, "--dry-run")};
    change->arena = ctl_checked(arena_new());
    w->form = (struct form){.d = &w->problems,
                            .arena = change->arena,
                            .kept = change->arena,
                            .has_no_lines = true,
                            .now_ms = c->now.wall_ms};
    change->log.time_ms = c->now.wall_ms;
    change->progress = ctl_progress;
    change->context = c;
    change->history_ms = c->settings->policy.history_ms;
    change->history_bytes = HISTORY_MOST;
    change->bound = ctl_option(c, "--if-serial");
    if (c->settings->policy.require_reason && !w->dry && (!reason || *reason == '\0'))
        return ctl_misused("--reason is needed (policy.require-reason is set)");
    if (reason && !str_copy(change->log.reason, sizeof change->log.reason, reason))
        return ctl_misused("--reason has more than 255 bytes");
    if (claimed && !str_copy(change->log.claimed, sizeof change->log.claimed, claimed))
        return ctl_misused("--author has more than 63 bytes");
    if (ctl_number(c, "--if-serial", UINT64_MAX, &change->if_serial) != 0)
        return EXIT_USAGE;
    ctl_author(c, change->log.author);
    code = policy_open(c, STORE_WRITE, &w->store);
    return code == 0 ? begin(w) : code;
}

static int apply(struct policy_write *w)
{
    const struct change *first = w->change.list;
    uintmax_t gone = 0, before;
    struct policy_counts now;
    int rc = policy_change_apply(&w->change, &w->problems);

    if (rc == 0)
        rc = policy_counts_read(w->change.txn, &now);
    if (rc != 0 && w->problems.all == 0)
        return policy_failed(w->c, "write the policy", rc);
    if (rc != 0)
        return rc == -ENOENT && !w->change.from ? EXIT_NOT_FOUND : EXIT_INVALID;
    /* A file may take away half of the suffixes before anybody is asked. */
    before = now.suffixes;
    for (const struct change *c = first; w->change.from && c < first + w->change.n; c++) {
        gone += c->less;
        before += c->less - c->more;
    }
    if (gone * 2 > before)
        snprintf(w->question, sizeof w->question, "This %s %ju of %ju suffixes. Go on?",
                 w->change.replace ? "removes" : "replaces rules and removes", gone, before);
    return 0;
}

int policy_finish(struct policy_write *w, int code)
{
    bool asked = ctl_option(w->c, "--yes") || w->dry;
    json_t *rows = NULL;
    int rc;

    if (code == 0 && w->problems.all > 0)
        code = EXIT_INVALID;
    for (; code == 0 && (code = apply(w)) == 0; asked = true) {
        json_decref(rows);
        rows = make_rows(w);
        if (asked || w->question[0] == '\0')
            break;
        policy_change_abort(&w->change);
        w->change.bound = true;
        w->change.if_serial = w->change.serial;
        if (w->c->format == FORMAT_TABLE)
            ctl_show(rows, change_rows);
        fflush(stdout);
        code = ctl_ask(w->c, w->question) ? begin(w) : ctl_fail(EXIT_FAILED, "nothing is changed");
    }
    if (code == 0 && !w->dry && (rc = policy_change_commit(&w->change)) != 0)
        code = policy_failed(w->c, "change the policy", rc);
    policy_change_abort(&w->change);
    if (w->problems.all > 0)
        ctl_invalid(&w->problems);
    if (code == 0 && w->was && w->c->format != FORMAT_TABLE)
        table_print(w->c, "changes", "object|name|change|text|added:list|removed:list", rows);
    else if (code == 0 && w->was && json_array_size(rows) == 0)
        ctl_line("no difference");
    else if (code == 0 && w->was)
        ctl_show(rows, change_rows);
    else if (code == 0)
        print_result(w, rows);
    if (code == 0 && w->change.unkept && !w->was)
        ctl_warn("no policy before this change can be restored: it takes away more than the %d MB "
                 "of old values that are kept",
                 HISTORY_MOST >> 20);
    json_decref(rows);
    policy_change_fini(&w->change);
    diags_fini(&w->problems);
    store_close(w->store);
    return code;
}

/* `undo` takes the last change back, `restore` all of them behind a serial. */
int policy_restore(struct ctl *c)
{
    uint64_t serial = 0, oldest = 0;
    bool undo = c->argc == 0;
    struct policy_write w;
    int code, rc;

    if (!undo && number_parse(&serial, c->argv[0], UINT64_MAX) != 0)
        return ctl_misused("%s: " NO_SERIAL, c->argv[0]);
    code = policy_begin(&w, c);
    serial = undo ? w.change.serial - 1 : serial;
    if (code == 0 && undo && w.change.serial == 0)
        code = ctl_fail(EXIT_NOT_FOUND, "the policy was never changed");
    else if (code == 0 && (rc = restore_list(&w.change, serial, &oldest)) != 0)
        code = not_restored(c, rc, serial, oldest);
    snprintf(w.noted, sizeof w.noted, "back to serial %ju", (uintmax_t)serial);
    if (code == 0 && serial < w.change.serial)
        snprintf(w.question, sizeof w.question, "Make the policy what it was at serial %ju%s?",
                 (uintmax_t)serial, serial == 0 ? ", which is empty" : "");
    return policy_finish(&w, code);
}

/* What a change from the one to the other would do, which is made in a store that is nowhere. */
int policy_diff(struct ctl *c)
{
    struct policy a = {.n_rules = 0}, b = a;
    struct policy_write w = {.c = c, .dry = true, .was = &a};
    uint64_t serial;
    /* A file comes first: for the store root becomes another user, who may not read it. */
    bool swap = c->argc > 1 && number_parse(&serial, c->argv[0], UINT64_MAX) == 0;
    int code = policy_read(c, c->argv[swap], swap ? &b : &a, NULL), rc = 0;

    code = code == 0 ? policy_read(c, c->argv[!swap], swap ? &a : &b, NULL) : code;
    code = code == 0 ? policy_open_temporary(c, &a, &w.store) : code;
    code = code == 0 ? begin(&w) : code;
    if (code == 0 && (rc = policy_change_make(&w.change, &b, POLICY_REPLACE)) != 0)
        code = policy_failed(c, "compare the policies", rc);
    code = policy_finish(&w, code);
    policy_fini(&a);
    policy_fini(&b);
    return code;
}
