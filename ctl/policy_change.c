/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_change.c -- the course of every change of the policy (policy.h): begin,
 * make the list, apply it, ask and do it again, commit, print what changed and
 * who uses it; and what all the verbs need: the store, and objects as text.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/number.h"
#include "wire/present.h"

enum {
    TRIES = 20,        /* of reading while others write */
    SHOWN = 8,         /* of a list; the rest is counted */
    PRINTED_ROWS = 60, /* of a file */
};

/* --- the store ------------------------------------------------------------ */

int policy_failed(struct ctl *c, const char *what, int err)
{
    const char *state = c->settings->server.state_dir;
    char *path;
    int code;

    if (err == -EACCES || err == -EPERM || err == -EROFS) {
        path = ctl_text("%s/policy", state);
        code = ctl_store_error(c, path, err);
        free(path);
        return code;
    }
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED,
                        "cannot %s: %s/policy/data.mdb has a damaged record; " STORE_REMEDY, what,
                        state);
    if (err == -EIO)
        return ctl_fail(EXIT_FAILED,
                        "cannot %s: the disk cannot read or write %s/policy/data.mdb (%s); nothing "
                        "was changed. Check the disk; if it is sound, " STORE_REMEDY,
                        what, state, strerror(-err));
    if (err == -ENOSPC || err == -EDQUOT)
        return ctl_fail(
            EXIT_FAILED,
            "cannot %s: writing to %s/policy failed (%s); is the disk full? Nothing was changed",
            what, state, strerror(-err));
    return ctl_fail(EXIT_FAILED, "cannot %s: %s", what,
                    err == -ENOMEM ? "out of memory" : strerror(-err));
}

/* LMDB holds its files open and comes back to no name. */
int policy_open_temporary(struct ctl *c, struct store **out)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    const char *tmp = getenv("TMPDIR");
    char *dir = ctl_text("%s/waymark-XXXXXX", tmp != NULL && *tmp == '/' ? tmp : "/tmp");
    int code = 0, rc;

    if (mkdtemp(dir) == NULL) {
        code = ctl_fail(EXIT_FAILED, "cannot make %s: %s", dir, strerror(errno));
        free(dir);
        return code;
    }
    rc = store_open(out, dir, STORE_WRITE, NULL);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = ctl_text("%s/%s", dir, files[i]);

        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
    return rc == 0 ? 0 : policy_failed(c, "make a temporary store", rc);
}

int policy_open(struct ctl *c, enum store_access access, struct store **out)
{
    bool dry = access == STORE_WRITE && ctl_option(c, "--dry-run") != NULL;
    const char *state = c->settings->server.state_dir;
    int code = ctl_become_user(c), rc;
    char *path;
    struct diags d;

    if (code != 0)
        return code;
    path = ctl_text("%s/policy", state);
    guard_exit(
        ctl_text("waymarkctl: %s/data.mdb changed while it was read, or the disk cannot read "
                 "it; nothing was changed; " STORE_REMEDY "\n",
                 path),
        EXIT_FAILED);
    if (dry && (rc = store_open(out, path, STORE_READ, NULL)) == -ENOENT) {
        free(path);
        return policy_open_temporary(c, out);
    }
    if (dry && rc == 0)
        store_close(*out);
    if (access == STORE_WRITE) /* the first policy comes before the first start; else it is there */
        (void)mkdir(state, 0750);
    diags_init(&d);
    rc = store_open(out, path, access, &d);
    if (rc == -ENOENT && access == STORE_READ)
        code =
            ctl_fail(EXIT_FAILED,
                     "there is no policy yet in %s: policy import or policy fill makes one", path);
    else if (rc == -EBADMSG && d.n > 0)
        code = ctl_fail(EXIT_FAILED, "%s", d.list[0].text);
    else if (rc != 0)
        code = ctl_store_error(c, path, rc);
    diags_fini(&d);
    free(path);
    return code;
}

int policy_read(struct ctl *c, struct store *store, struct policy *out, uint64_t *serial)
{
    struct store *own = NULL;
    int code = store == NULL ? policy_open(c, STORE_READ, &own) : 0, rc = -EAGAIN;
    uint64_t unused;

    if (code != 0)
        return code;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = policy_load(store != NULL ? store : own, out, serial != NULL ? serial : &unused);
    store_close(own);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    policy_sort(out);
    return 0;
}

/* --- objects as text ------------------------------------------------------ */

const struct policy_member policy_members[POLICY_KINDS] = {
    [POLICY_NETWORK] = {"prefix", sizeof(struct prefix)},
    [POLICY_POOL] = {"host", sizeof(struct policy_host)},
    [POLICY_APPROVED] = {"host", sizeof(struct policy_approved)},
    [POLICY_RULE] = {"suffix", sizeof(struct suffix)},
};

const char *policy_member_print(enum policy_kind kind, const void *member, char out[HOST_TEXT])
{
    return kind == POLICY_NETWORK ? prefix_print(member, out)
           : kind == POLICY_POOL  ? host_print(member, out, HOST_TEXT)
                                  : suffix_print(member, out);
}

void *policy_take(enum policy_kind kind, const char *const *texts, size_t n, struct diags *d)
{
    const struct policy_member *m = &policy_members[kind];
    char *members = ctl_alloc(NULL, (n + 1) * m->size);

    for (size_t i = 0; i < n; i++) {
        void *one = members + i * m->size;
        const char *why = "is not a prefix like 10.0.0.0/8 or 2001:db8::/32";
        int rc = kind == POLICY_POOL       ? host_parse(one, texts[i], &why)
                 : kind == POLICY_APPROVED ? policy_approved_parse(one, texts[i], &why)
                 : kind == POLICY_RULE     ? suffix_parse(one, texts[i], &why)
                                           : prefix_parse(one, texts[i]);

        if (kind == POLICY_NETWORK && rc == -ERANGE)
            why = "has bits behind its prefix length";
        if (rc != 0)
            diags_add(d, NULL, 0, 0, "%s\"%s\" %s", kind == POLICY_RULE ? "suffix " : "", texts[i],
                      why);
    }
    return members;
}

void policy_list(struct str *s, enum policy_kind kind, const void *members, size_t n)
{
    const struct policy_member *m = &policy_members[kind];
    char text[HOST_TEXT];

    for (size_t i = 0; i < n && i < SHOWN; i++)
        str_addf(s, "%s%s", i > 0 ? " " : "",
                 policy_member_print(kind, (const char *)members + i * m->size, text));
    if (n > SHOWN)
        str_addf(s, " and %zu more", n - SHOWN);
}

/* "fill from pool x, any client, when missing"; is_fill: from the clients on. */
static void rule_words(struct str *s, const struct policy_rule *r, bool is_fill)
{
    unsigned when = policy_when(r->action, r->when);
    bool any = r->n_networks == 0;
    const char *before = "when ";
    char time[NUMBER_TEXT];

    if (!is_fill)
        str_add(s, action_names[r->action]);
    if (!is_fill && r->pool[0] != '\0')
        str_addf(s, " from pool %s", r->pool);
    str_add(s, is_fill ? "" : ", ");
    for (size_t i = 0; i < r->n_networks; i++)
        any = any || strcmp(r->networks[i], "any") == 0;
    str_add(s, any ? "any client" : "clients in");
    for (size_t i = 0; !any && i < r->n_networks; i++)
        str_addf(s, " %s", r->networks[i]);
    str_addf(s, ", %s", when == WORD_ALL ? "always" : "");
    for (unsigned i = 0; when != WORD_ALL && i < VERDICT_WORDS; i++)
        if (when & 1u << i) {
            str_addf(s, "%s%s", before, word_names[i]);
            before = " or ";
        }
    if (is_fill)
        return;
    if (r->mode != MODE_LIVE)
        str_addf(s, ", mode %s", mode_names[r->mode]);
    if (r->ttl != POLICY_TTL_DEFAULT)
        str_addf(s, ", ttl %s", duration_print(r->ttl * UINT64_C(1000), time));
    if (r->from_ms != 0)
        str_addf(s, ", from %s", policy_time_print(r->from_ms, time));
    if (r->until_ms != 0)
        str_addf(s, ", until %s", policy_time_print(r->until_ms, time));
    if (r->break_dnssec)
        str_add(s, ", breaks DNSSEC");
}

/* --- options -------------------------------------------------------------- */

struct run {
    struct policy_write w;
    struct store *store;
    policy_make *make;
    void *context;
    struct policy_change change;
    char author[64];
    bool bound; /* to serial change.if_serial, which may be 0 */
    bool dry;
    json_t *rows; /* of what was done last */
    uint64_t serial;
    bool changed, done;
};

static int read_options(struct run *t, const uint64_t *seen)
{
    struct ctl *c = t->w.c;
    const char *reason = ctl_option(c, "--reason"), *serial = ctl_option(c, "--if-serial");
    const char *claimed = ctl_option(c, "--author");

    t->bound = seen != NULL;
    t->dry = ctl_option(c, "--dry-run") != NULL;
    if (c->settings->policy.require_reason && !t->dry && (reason == NULL || *reason == '\0'))
        return ctl_fail(EXIT_USAGE, "--reason is needed (policy.require-reason is set)");
    if (reason != NULL && strlen(reason) > 255)
        return ctl_fail(EXIT_USAGE, "--reason has more than 255 bytes");
    if (claimed != NULL && strlen(claimed) > 63)
        return ctl_fail(EXIT_USAGE, "--author has more than 63 bytes");
    ctl_author(c, t->author);
    t->change = (struct policy_change){
        .author = t->author,
        .claimed = claimed,
        .reason = reason,
        .now_ms = c->now.wall_ms,
        .if_serial = seen != NULL ? *seen : 0,
        .history_ms = c->settings->policy.history_ms,
    };
    if (serial == NULL)
        return 0;
    if (number_parse(&t->change.if_serial, serial, UINT64_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "--if-serial %s: a number is needed", serial);
    if (seen != NULL && *seen != t->change.if_serial)
        return ctl_fail(EXIT_CONFLICT, "the policy is at serial %llu, not %s: nothing is changed",
                        (unsigned long long)*seen, serial);
    t->bound = true;
    return 0;
}

/* --- rows ----------------------------------------------------------------- */

/* Adds what there is to say of a row; moved: "+1 -2" when a file makes the suffixes
 * of a rule others, else "". */
static void row_text(struct str *s, const struct policy_write *w, const struct change *c,
                     const char *moved)
{
    const struct policy_rule *r = c->is.rule;
    bool of_file = w->list.from != NULL;

    if (c->state == CHANGE_GONE || c->kind == POLICY_APPROVED)
        return;
    if (c->kind == POLICY_NETWORK) {
        policy_list(s, c->kind, c->is.network->prefixes, c->is.network->n);
        return;
    }
    if (c->kind == POLICY_POOL) {
        policy_list(s, c->kind, c->is.pool->hosts, c->is.pool->n);
        return;
    }
    if (*moved != '\0')
        str_addf(s, "%s suffixes", moved);
    else if (c->verb != CHANGE_HEAD && (!of_file || c->state == CHANGE_NEW))
        policy_list(s, POLICY_RULE, r->suffixes,
                    c->verb == CHANGE_ADD && c->more > 0 ? c->more : r->n_suffixes);
    /* The head of a rule that a file only adds to is not that of the file. */
    if (c->verb == CHANGE_DROP || (*moved != '\0' && c->verb == CHANGE_ADD))
        return;
    str_add(s, s->len > 0 ? "    " : "");
    rule_words(s, r, w->is_fill);
}

/* What the list did, as rows; of a file, those that differ. Notes them for the log. */
static json_t *make_rows(struct policy_write *w)
{
    static const char *const states[] = {
        [CHANGE_SAME] = "same",
        [CHANGE_NEW] = "new",
        [CHANGE_MOVED] = "changed",
        [CHANGE_GONE] = "gone",
    };
    bool of_file = w->list.from != NULL;
    json_t *rows = json_array();

    for (size_t i = 0; i < w->list.n; i++) {
        const struct change *c = &w->list.list[i];
        const char *object = policy_kind_names[c->kind], *state = states[c->state];
        char name[NAME_TEXT + 8], moved[48] = "", raw[POLICY_TEXT], *text, *note;
        const char *noted;
        struct str s;

        if (of_file && c->state == CHANGE_SAME)
            continue;
        if (of_file && c->state == CHANGE_MOVED && c->more + c->less > 0)
            snprintf(moved, sizeof moved, "+%zu -%zu", c->more, c->less);
        else if (!of_file && c->state == CHANGE_MOVED)
            state = c->verb == CHANGE_ADD ? "more" : c->verb == CHANGE_DROP ? "less" : state;
        if (c->kind == POLICY_APPROVED)
            snprintf(name + strlen(name_print(&c->is.approved->target, name)), 8, ":%u",
                     (unsigned)c->is.approved->port);
        else
            str_copy(name, sizeof name, c->is.name);
        str_init(&s, raw, sizeof raw);
        row_text(&s, w, c, moved);
        text = ctl_clean(raw); /* JSON takes UTF-8 alone */
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "object", object,
                                              "name", name, "change", state, "text", text,
                                              "suffixes", *moved != '\0' ? moved : NULL));
        noted = of_file ? moved : text;
        note = ctl_text("%s %s %s%s%s%s", object, name, state, *noted != '\0' ? ": " : "", noted,
                        *moved != '\0' ? " suffixes" : "");
        if (c->state != CHANGE_SAME && (!of_file || json_array_size(rows) <= PRINTED_ROWS))
            policy_txn_note(w->txn, note);
        free(note);
        free(text);
    }
    return rows;
}

static const char *cell(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static void print_rows(const struct policy_write *w, const json_t *rows, bool unchanged)
{
    static const char *const keys[] = {"object", "name", "change"};
    size_t n = json_array_size(rows), shown = n;
    int width[ARRAY_LEN(keys)] = {5, 5, 5};

    if (w->list.from != NULL && n > PRINTED_ROWS) {
        shown = PRINTED_ROWS;
        ctl_note("%zu changes, of which the first %d follow", n, PRINTED_ROWS);
    }
    for (size_t i = 0; i < shown; i++)
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            int len = (int)strlen(cell(json_array_get(rows, i), keys[k]));

            width[k] = len > width[k] ? len : width[k];
        }
    for (size_t i = 0; i < shown; i++) {
        const json_t *row = json_array_get(rows, i);
        char *line = ctl_text("%-*s  %-*s  %-*s  %s", width[0], cell(row, "object"), width[1],
                              cell(row, "name"), width[2], unchanged ? "same" : cell(row, "change"),
                              cell(row, "text"));

        for (size_t len = strlen(line); len > 0 && line[len - 1] == ' ';)
            line[--len] = '\0';
        ctl_line("%s", line);
        free(line);
    }
}

/* --- one run -------------------------------------------------------------- */

static int conflict(const struct run *r)
{
    return ctl_fail(
        EXIT_CONFLICT,
        "the policy is at serial %llu, not %llu: somebody else has changed it, nothing is changed",
        (unsigned long long)r->serial, (unsigned long long)r->change.if_serial);
}

static int apply(struct policy_write *w, policy_make *make, void *context)
{
    struct policy_counts before, after;
    uint64_t gone;
    int code, rc;

    policy_txn_counts(w->txn, &before);
    policy_changes_fini(&w->list);
    code = make(w, context);
    if (code != 0)
        return code;
    rc = policy_change_apply(w->txn, &w->list, &w->problems);
    if (rc != 0 && w->problems.all == 0)
        return policy_failed(w->c, "write the policy", rc);
    if (rc == -ENOENT && w->list.from == NULL) {
        ctl_fail(EXIT_NOT_FOUND, "%s", w->problems.list[0].text);
        diags_fini(&w->problems);
        return EXIT_NOT_FOUND;
    }
    if (rc != 0)
        return EXIT_INVALID;
    if (w->list.from == NULL)
        return 0;
    /* A file may take away half of the suffixes before anybody is asked. */
    policy_txn_counts(w->txn, &after);
    gone = before.suffixes - after.suffixes;
    for (size_t i = 0; i < w->list.n; i++)
        gone += w->list.list[i].more;
    if (gone * 2 > before.suffixes)
        snprintf(w->question, sizeof w->question, "This %s %llu of %llu suffixes. Go on?",
                 w->list.replace ? "removes" : "replaces rules and removes",
                 (unsigned long long)gone, (unsigned long long)before.suffixes);
    return 0;
}

/* Its work stays unless it is a dry run, or something goes and `ask` says that a
 * person is to be asked first: then done is false. */
static int run_once(struct run *r, bool ask)
{
    struct policy_write *w = &r->w;
    int code, rc;

    rc = policy_txn_begin(&w->txn, r->store, &r->change, &r->serial);
    if (rc == -ESTALE)
        return conflict(r);
    if (rc != 0)
        return policy_failed(w->c, "change the policy", rc);
    code =
        r->bound && r->serial != r->change.if_serial ? conflict(r) : apply(w, r->make, r->context);
    if (code == 0) {
        json_decref(r->rows);
        r->rows = make_rows(w);
    }
    r->done = code == 0 && !r->dry && !(ask && w->question[0] != '\0');
    if (!r->done) {
        policy_txn_abort(w->txn);
        if (w->problems.all > 0)
            ctl_invalid(&w->problems);
        return code;
    }
    rc = policy_txn_commit(w->txn, &r->serial, &r->changed);
    return rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
}

static void print_result(const struct run *r)
{
    const char *claimed = r->change.claimed, *words = "in use by waymarkd";
    unsigned long long serial = r->serial;
    /* The daemon reads the store itself, at the next question: its status therefore
     * knows the new serial at once, if it uses this store. */
    json_t *all, *status = r->dry ? NULL : ctl_api_status(r->w.c);
    const json_t *policy = json_object_get(status, "policy");
    bool open = json_is_true(json_object_get(policy, "open"));
    bool in_use =
        open && (uint64_t)json_integer_value(json_object_get(policy, "serial")) >= r->serial;

    if (status == NULL)
        words = "waymarkd is not running: takes effect at its start";
    else if (!open)
        words = "but waymarkd cannot use the policy: see waymarkctl status";
    else if (!in_use)
        words = "but waymarkd uses another policy store: see waymarkctl status";
    json_decref(status);
    if (r->w.c->format == FORMAT_JSON) {
        all = json_pack("{s:O, s:b, s:b, s:I, s:s, s:b}", "changes", r->rows, "changed",
                        r->changed && !r->dry, "dry_run", r->dry, "serial", (json_int_t)r->serial,
                        "author", r->author, "in_use", in_use);
        table_print_json(all);
        json_decref(all);
        return;
    }
    print_rows(&r->w, r->rows, !r->dry && !r->changed);
    if (r->dry)
        ctl_line("dry run: nothing is changed, serial %llu", serial);
    else if (!r->changed)
        ctl_line("nothing to change: the policy is like this already, serial %llu", serial);
    else if (claimed != NULL)
        ctl_line("serial %llu, author %s (for %s), %s", serial, r->author, claimed, words);
    else
        ctl_line("serial %llu, author %s, %s", serial, r->author, words);
}

int policy_change_run(struct ctl *c, struct store *store, const uint64_t *seen, policy_make *make,
                      void *context)
{
    struct run r = {.w = {.c = c}, .store = store, .make = make, .context = context};
    int code = store == NULL ? policy_open(c, STORE_WRITE, &r.store) : 0;

    diags_init(&r.w.problems);
    if (code == 0)
        code = read_options(&r, seen);
    if (code == 0)
        code = run_once(&r, !c->yes);
    if (code == 0 && !r.done && !r.dry) {
        r.bound = true;
        r.change.if_serial = r.serial;
        if (c->format == FORMAT_TABLE)
            print_rows(&r.w, r.rows, false);
        fflush(stdout);
        code = ctl_ask(c, r.w.question) ? run_once(&r, false)
                                        : ctl_fail(EXIT_FAILED, "nothing is changed");
    }
    if (code == 0)
        print_result(&r);
    if (code == 0 && r.w.remark != NULL)
        ctl_warn("%s", r.w.remark);
    policy_changes_fini(&r.w.list);
    diags_fini(&r.w.problems);
    json_decref(r.rows);
    if (store == NULL)
        store_close(r.store);
    return code;
}
