/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_change.c -- the course of every change of the policy (policy.h): begin, apply the list,
 * ask and do it again, commit, print what changed and who uses it; and what all the verbs need: the
 * store, and objects as text.
 */
#include "ctl/policy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/store.h"
#include "policy/restore.h"
#include "wire/present.h"

enum { SHOWN = 8 }; /* of a list; the rest is counted */
/* clang-format off */
static const char *const states[] = {
    [CHANGE_SAME] = "same", [CHANGE_NEW] = "new", [CHANGE_MOVED] = "changed", [CHANGE_GONE] = "gone"};
/* clang-format on */

int policy_failed(struct ctl *c, const char *what, int err)
{
    const char *state = c->settings->server.state_dir, *hint = "";

    if (err == -EACCES || err == -EPERM || err == -EROFS)
        return ctl_store_error(c, state, err);
    if (err == -EBADMSG)
        hint = "; " STORE_REMEDY;
    else if (err == -EIO)
        hint = "; nothing was changed. Check the disk; if it is sound, " STORE_REMEDY;
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

char *policy_make_folder(const char *name)
{
    char *path = ctl_text("%s/%s-XXXXXX", policy_temporary_folder(), name);

    if (!mkdtemp(path))
        exit(ctl_fail(EXIT_FAILED, "cannot make %s: %s", path, strerror(errno)));
    return path;
}

int policy_open_temporary(struct ctl *c, const struct policy *p, struct store **out)
{
    struct policy_change change = {.log = {.author = "test", .time_ms = c->now.wall_ms}};
    int rc = store_open_nowhere(out, policy_temporary_folder(), NULL);

    if (rc == 0 && p && (rc = policy_change_put(*out, &change, p, NULL)) != 0) {
        store_close(*out);
        *out = NULL;
    }
    return rc == 0 ? 0 : policy_failed(c, "make a temporary store", rc);
}

int policy_open(struct ctl *c, enum store_access access, struct store **out)
{
    const char *state = c->settings->server.state_dir;
    int code = ctl_become_user(c), rc;
    char *path = ctl_text("%s/policy", state);
    struct diags d;
    struct stat st;

    diags_init(&d);
    guard_exit(ctl_text("waymarkctl: %s/data.mdb changed while it was read, or the disk cannot "
                        "read it; nothing was changed; " STORE_REMEDY "\n",
                        path),
               EXIT_FAILED);
    if (code == 0 && access == STORE_WRITE && ctl_option(c, "--dry-run") && stat(path, &st) != 0 &&
        errno == ENOENT) {
        code = policy_open_temporary(c, NULL, out);
    } else if (code == 0) {
        if (access == STORE_WRITE) /* the first policy comes before the first start */
            (void)mkdir(state, 0750);
        rc = store_open(out, path, access, &d);
        if (rc == -ENOENT && access == STORE_READ)
            code = ctl_fail(EXIT_FAILED,
                            "there is no policy yet in %s: policy import or policy fill makes one",
                            path);
        else if (rc == -EBADMSG && d.n > 0)
            code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
        else if (rc != 0)
            code = ctl_store_error(c, path, rc);
    }
    diags_fini(&d);
    free(path);
    return code;
}

int policy_not_kept(uint64_t serial, uint64_t oldest)
{
    return ctl_fail(EXIT_NOT_FOUND,
                    "there is no policy of serial %ju: the oldest that is kept is that of serial "
                    "%ju (policy.history, and 64 MB of old values), the newest the present one",
                    (uintmax_t)serial, (uintmax_t)oldest);
}

int policy_open_serial(struct ctl *c, uint64_t serial, struct store **out)
{
    uint64_t oldest = 0;
    struct store *present;
    int code = policy_open(c, STORE_READ, &present), rc;

    if (code != 0)
        return code;
    rc = restore_open(out, present, policy_temporary_folder(), serial, &oldest);
    store_close(present);
    if (rc == -ERANGE)
        return policy_not_kept(serial, oldest);
    if (rc == -EBADMSG)
        return policy_failed(c, "make the policy of that serial", rc);
    return rc == 0 ? 0
                   : ctl_fail(EXIT_FAILED, "cannot make the policy of that serial in %s: %s",
                              policy_temporary_folder(), strerror(-rc));
}

int policy_open_at(struct ctl *c, struct store **out)
{
    uint64_t serial = 0;
    int code = ctl_number(c, "--at", UINT64_MAX, &serial);

    if (code != 0)
        return code;
    return ctl_option(c, "--at") ? policy_open_serial(c, serial, out)
                                 : policy_open(c, STORE_READ, out);
}

int policy_read_store(struct ctl *c, struct store *store, struct policy *out, uint64_t *serial)
{
    int rc = policy_load(store, out, serial ? serial : &(uint64_t){0});

    store_close(store);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    policy_sort(out);
    return 0;
}

int policy_read(struct ctl *c, struct policy *out, uint64_t *serial)
{
    struct store *store;
    int code = policy_open_at(c, &store);

    if (code != 0)
        return code;
    return policy_read_store(c, store, out, serial);
}

const struct policy_member policy_members[POLICY_KINDS] = {
    [POLICY_NETWORK] = {"prefix", "prefixes", sizeof(struct prefix), policy_prefix_compare},
    [POLICY_POOL] = {"host", "hosts", sizeof(struct policy_host), policy_approved_compare},
    [POLICY_APPROVED] = {"host", "hosts", sizeof(struct policy_approved), policy_approved_compare},
    [POLICY_RULE] = {"suffix", "suffixes", sizeof(struct suffix *), policy_suffix_compare},
};

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

void policy_list(FILE *f, enum policy_kind kind, const void *members, size_t n)
{
    const struct policy_member *m = &policy_members[kind];
    char text[HOST_TEXT];

    for (size_t i = 0; i < n && i < SHOWN; i++)
        fprintf(f, "%s%s", i > 0 ? " " : "",
                policy_member_print(kind, (const char *)members + i * m->size, text));
    if (n > SHOWN)
        fprintf(f, " and %zu more", n - SHOWN);
}

bool policy_rule_has(const struct policy_rule *r, const char *network)
{
    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], network) == 0)
            return true;
    return r->n_networks == 0 && strcmp(network, "any") == 0;
}

/* "fill from pool x, any client, when missing"; is_fill: from the clients on. */
static void print_rule(FILE *f, const struct policy_rule *r, bool is_fill)
{
    bool any = policy_rule_has(r, "any");
    const char *before = "when ";
    char time[NUMBER_TEXT];

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
    if (r->mode != MODE_LIVE)
        fprintf(f, ", mode %s", mode_names[r->mode]);
    if (r->ttl != POLICY_TTL_DEFAULT)
        fprintf(f, ", ttl %s", units_print(r->ttl * UINT64_C(1000), unit_time, time));
    if (r->from_ms != 0)
        fprintf(f, ", from %s", policy_time_print(r->from_ms, time));
    if (r->until_ms != 0)
        fprintf(f, ", until %s", policy_time_print(r->until_ms, time));
    fputs(r->break_dnssec ? ", breaks DNSSEC" : "", f);
}

/* What there is to say of a row; moved: "+1 -2" when a file makes the suffixes of a rule others,
 * else "". */
static void print_row(FILE *f, const struct policy_write *w, const struct change *c,
                      const char *moved)
{
    const struct policy_list *members = policy_members_of(c->kind, c->is.name);
    bool adds = c->verb == CHANGE_ADD, is_rule = c->kind == POLICY_RULE;

    if (c->state == CHANGE_GONE || c->kind == POLICY_APPROVED)
        return;
    if (*moved != '\0')
        fprintf(f, "%s suffixes", moved);
    else if (!is_rule || (c->verb != CHANGE_HEAD && (!w->change.from || c->state == CHANGE_NEW)))
        policy_list(f, c->kind, members->at, adds && c->more > 0 ? c->more : members->n);
    if (c->kind == POLICY_POOL && policy_pinned(c->is.pool) > 0)
        fprintf(f, "    one host until %d clients have it", policy_pinned(c->is.pool));
    /* The head of a rule that a file only adds to is not that of the file; a row that restores
     * suffixes has none. */
    if (!is_rule || c->verb == CHANGE_DROP || (adds && (*moved != '\0' || w->change.restores)))
        return;
    fputs(ftell(f) > 0 ? "    " : "", f);
    print_rule(f, c->is.rule, w->is_fill);
}

/* Of a file, the objects that differ. Notes them for the log. */
json_t *policy_rows(struct policy_write *w)
{
    bool of_file = w->change.from;
    json_t *rows = json_array();

    if (w->noted[0] != '\0')
        policy_change_note(&w->change, w->noted);
    for (const struct change *c = w->change.list; c < w->change.list + w->change.n; c++) {
        const char *object = policy_kind_names[c->kind], *state = states[c->state], *noted;
        char name[HOST_TEXT], moved[48] = "", *text, *note;
        FILE *f;

        if (of_file && c->state == CHANGE_SAME)
            continue;
        if (of_file && c->state == CHANGE_MOVED && c->more + c->less > 0)
            snprintf(moved, sizeof moved, "+%zu -%zu", c->more, c->less);
        else if (!of_file && c->state == CHANGE_MOVED)
            state = c->verb == CHANGE_ADD ? "more" : c->verb == CHANGE_DROP ? "less" : state;
        if (c->kind == POLICY_APPROVED)
            policy_member_print(c->kind, c->is.approved, name);
        else
            str_copy(name, sizeof name, c->is.name);
        f = ctl_open(&text);
        print_row(f, w, c, moved);
        ctl_close(f);
        noted = of_file ? moved : text;
        note = ctl_text("%s %s %s%s%s%s", object, name, state, *noted != '\0' ? ": " : "", noted,
                        *moved != '\0' ? " suffixes" : "");
        if (c->state != CHANGE_SAME)
            policy_change_note(&w->change, note);
        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s,s:s*}", "object", object, "name",
                                              name, "change", state, "text", text, "suffixes",
                                              *moved != '\0' ? moved : NULL));
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
        {NULL, "changes", POLICY_ROW},
        {NULL, NULL,
         "[{?dry_run}dry run: nothing is changed, serial {serial}|"
         "{?changed}serial {serial}, author {author}[ (for {for})|], {use}|"
         "nothing to change: the policy is like this already, serial {serial}]"},
        {0},
    };
    /* Whoever reads this store knows the new serial at once. */
    json_t *all, *status = w->dry ? NULL : ctl_api_status(w->c);
    json_int_t serial = 0;
    int open = 0, in_use;
    const char *use;

    json_unpack(status, "{s:{s:b,s:I}}", "policy", "open", &open, "serial", &serial);
    in_use = open && (uint64_t)serial >= w->change.serial;
    use = !status   ? "waymarkd is not running: takes effect at its start"
          : !open   ? "but waymarkd cannot use the policy: see waymarkctl status"
          : !in_use ? "but waymarkd uses another policy store: see waymarkctl status"
                    : "in use by waymarkd";
    all = json_pack("{s:O,s:b,s:b,s:I,s:s,s:o,s:b,s:s}", "changes", rows, "changed",
                    w->change.changed, "dry_run", w->dry, "serial", (json_int_t)w->change.serial,
                    "author", w->change.log.author, "for", policy_text(w->change.log.claimed),
                    "in_use", in_use, "use", use);
    if (w->c->format == FORMAT_JSON)
        table_print_json(all);
    else
        ctl_show(all, lines);
    json_decref(all);
    json_decref(status);
}

static int conflict(uintmax_t is, uintmax_t wanted)
{
    return ctl_fail(EXIT_CONFLICT, "the policy is at serial %ju, not %ju: nothing is changed", is,
                    wanted);
}

/* Begins a transaction on the policy that is expected. */
static int begin(struct policy_write *w)
{
    int rc = policy_change_begin(&w->change, w->store);

    if (rc == -ESTALE)
        return conflict(w->change.serial, w->change.if_serial);
    return rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
}

void *policy_alloc(struct policy_write *w, size_t size)
{
    void *p = w->change.arena ? arena_alloc(w->change.arena, size) : NULL;

    if (!p)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    return p;
}

static void show_written(void *c, size_t done, size_t all)
{
    ctl_progress(c, "writing", done, all);
}

int policy_begin(struct policy_write *w, struct ctl *c, const uint64_t *seen)
{
    const char *reason = ctl_option(c, "--reason"), *claimed = ctl_option(c, "--author");
    struct policy_change *change = &w->change;
    int code;

    *w = (struct policy_write){.c = c, .dry = ctl_option(c, "--dry-run")};
    diags_init(&w->problems);
    change->arena = arena_new();
    change->log.time_ms = c->now.wall_ms;
    change->progress = show_written;
    change->context = c;
    change->history_ms = c->settings->policy.history_ms;
    change->history_bytes = HISTORY_MOST;
    change->bound = seen || ctl_option(c, "--if-serial");
    change->if_serial = seen ? *seen : 0;
    if (c->settings->policy.require_reason && !w->dry && (!reason || *reason == '\0'))
        return ctl_fail(EXIT_USAGE, "--reason is needed (policy.require-reason is set)");
    if (reason && !str_copy(change->log.reason, sizeof change->log.reason, reason))
        return ctl_fail(EXIT_USAGE, "--reason has more than 255 bytes");
    if (claimed && !str_copy(change->log.claimed, sizeof change->log.claimed, claimed))
        return ctl_fail(EXIT_USAGE, "--author has more than 63 bytes");
    if (ctl_number(c, "--if-serial", UINT64_MAX, &change->if_serial) != 0)
        return EXIT_USAGE;
    if (seen && *seen != change->if_serial)
        return conflict(*seen, change->if_serial);
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
    if (rc == 0 && w->is_fill && first->kind == POLICY_POOL && first->state == CHANGE_MOVED)
        rc = diags_tell(&w->problems,
                        "pool %s is there with other hosts: use --pool %s, or policy pool add %s "
                        "HOST...",
                        first->is.name, first->is.name, first->is.name);
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
    for (; code == 0; asked = true) {
        code = apply(w);
        if (code != 0)
            break;
        json_decref(rows);
        rows = policy_rows(w);
        if (asked || w->question[0] == '\0')
            break;
        policy_change_abort(&w->change);
        w->change.bound = true;
        w->change.if_serial = w->change.serial;
        if (w->c->format == FORMAT_TABLE)
            ctl_show(rows, (const struct ctl_row[]){{NULL, ".", POLICY_ROW}, {0}});
        fflush(stdout);
        code = ctl_ask(w->c, w->question) ? begin(w) : ctl_fail(EXIT_FAILED, "nothing is changed");
    }
    if (code == 0 && !w->dry) {
        rc = policy_change_commit(&w->change);
        code = rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
    }
    policy_change_abort(&w->change);
    if (w->problems.all > 0)
        ctl_invalid(&w->problems);
    if (code == 0)
        print_result(w, rows);
    if (code == 0 && w->remark)
        ctl_warn("%s", w->remark);
    if (code == 0 && w->change.history.left)
        ctl_warn("no policy before this change can be restored: it takes away more than the %d MB "
                 "of old values that are kept",
                 HISTORY_MOST >> 20);
    json_decref(rows);
    policy_change_fini(&w->change);
    diags_fini(&w->problems);
    store_close(w->store);
    return code;
}
