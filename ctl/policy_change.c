/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_change.c -- the course of every change of the policy (policy.h): begin,
 * make the list, apply it, ask and do it again, commit, print what changed and
 * who uses it.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "wire/present.h"

enum { PRINTED_ROWS = 60 /* of a file's changes */ };

/* What the options of a write say. */
struct terms {
    struct policy_change change;
    char author[64];
    bool bound; /* to serial change.if_serial, which may be 0 */
    bool dry;
};

struct result {
    uint64_t serial;
    bool changed, done;
};

static int read_terms(struct ctl *c, const uint64_t *seen, struct terms *t)
{
    const char *reason = ctl_option(c, "--reason"), *serial = ctl_option(c, "--if-serial");
    const char *claimed = ctl_option(c, "--author");

    *t = (struct terms){.bound = seen != NULL, .dry = ctl_option(c, "--dry-run") != NULL};
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
    policy_rule_words(s, r, w->is_fill);
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
        const struct change *c = &w->list.at[i];
        const char *object = policy_kind_names[c->kind], *state = states[c->state];
        char name[NAME_TEXT + 8], moved[48] = "", raw[POLICY_TEXT], *text, *note;
        const char *noted;
        struct str s;
        json_t *row;

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
        row = json_pack("{s:s, s:s, s:s, s:s}", "object", object, "name", name, "change", state,
                        "text", text);
        if (*moved != '\0')
            json_object_set_new(row, "suffixes", json_string(moved));
        json_array_append_new(rows, row);
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

static int conflict(const struct terms *t, uint64_t present)
{
    return ctl_fail(
        EXIT_CONFLICT,
        "the policy is at serial %llu, not %llu: somebody was faster, nothing is changed",
        (unsigned long long)present, (unsigned long long)t->change.if_serial);
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
        ctl_fail(EXIT_NOT_FOUND, "%s", w->problems.at[0].text);
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
        gone += w->list.at[i].more;
    if (gone * 2 > before.suffixes)
        snprintf(w->question, sizeof w->question, "This %s %llu of %llu suffixes. Go on?",
                 w->list.replace ? "removes" : "replaces rules and removes",
                 (unsigned long long)gone, (unsigned long long)before.suffixes);
    return 0;
}

/* Its work stays unless it is a dry run, or something goes and `ask` says that a
 * person is to be asked first: then done is false. */
static int run_once(struct policy_write *w, struct store *store, const struct terms *t, bool ask,
                    policy_make *make, void *context, json_t **rows, struct result *out)
{
    int code, rc;

    rc = policy_txn_begin(&w->txn, store, &t->change, &out->serial);
    if (rc == -ESTALE)
        return conflict(t, out->serial);
    if (rc != 0)
        return policy_failed(w->c, "change the policy", rc);
    code = t->bound && out->serial != t->change.if_serial ? conflict(t, out->serial)
                                                          : apply(w, make, context);
    if (code == 0) {
        json_decref(*rows);
        *rows = make_rows(w);
    }
    out->done = code == 0 && !t->dry && !(ask && w->question[0] != '\0');
    if (!out->done) {
        policy_txn_abort(w->txn);
        if (w->problems.all > 0)
            ctl_invalid(&w->problems);
        return code;
    }
    rc = policy_txn_commit(w->txn, &out->serial, &out->changed);
    return rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
}

/* Does the daemon use the store? It reads it itself, at the next question; its
 * status therefore knows the new serial at once, if it is the same store. */
static const char *daemon_words(struct ctl *c, uint64_t serial, bool *in_use)
{
    json_t *status = NULL;
    bool alive = ctl_api_alive(c, &status);
    const json_t *policy = json_object_get(status, "policy");
    bool open = json_is_true(json_object_get(policy, "open"));
    json_int_t seen = json_integer_value(json_object_get(policy, "serial"));

    json_decref(status);
    *in_use = alive && open && (uint64_t)seen >= serial;
    if (*in_use)
        return "in use by waymarkd";
    if (!alive)
        return "waymarkd is not running: takes effect at its start";
    return open ? "but waymarkd uses another policy store: see waymarkctl status"
                : "but waymarkd cannot use the policy: see waymarkctl status";
}

static void print_result(const struct policy_write *w, const json_t *rows, const struct terms *t,
                         const struct result *r)
{
    bool in_use = false;
    const char *words = t->dry ? "" : daemon_words(w->c, r->serial, &in_use);
    unsigned long long serial = r->serial;
    json_t *all;

    if (w->c->format == FORMAT_JSON) {
        all = json_pack("{s:O, s:b, s:b, s:I, s:s, s:b}", "changes", rows, "changed",
                        r->changed && !t->dry, "dry_run", t->dry, "serial", (json_int_t)r->serial,
                        "author", t->author, "in_use", in_use);
        table_print_json(all);
        json_decref(all);
        return;
    }
    print_rows(w, rows, !t->dry && !r->changed);
    if (t->dry)
        ctl_line("dry run: nothing is changed, serial %llu", serial);
    else if (!r->changed)
        ctl_line("it is so already: nothing to change, serial %llu", serial);
    else if (t->change.claimed != NULL)
        ctl_line("serial %llu, author %s (for %s), %s", serial, t->author, t->change.claimed,
                 words);
    else
        ctl_line("serial %llu, author %s, %s", serial, t->author, words);
}

int policy_change_in(struct ctl *c, struct store *store, const uint64_t *seen, policy_make *make,
                     void *context)
{
    struct policy_write w = {.c = c};
    struct result r = {0};
    json_t *rows = NULL;
    struct terms t;
    int code = read_terms(c, seen, &t);

    diags_init(&w.problems);
    if (code == 0)
        code = run_once(&w, store, &t, !c->yes, make, context, &rows, &r);
    if (code == 0 && !r.done && !t.dry) {
        t.bound = true;
        t.change.if_serial = r.serial;
        if (c->format == FORMAT_TABLE)
            print_rows(&w, rows, false);
        fflush(stdout);
        code = ctl_ask(c, w.question) ? run_once(&w, store, &t, false, make, context, &rows, &r)
                                      : ctl_fail(EXIT_FAILED, "nothing is changed");
    }
    if (code == 0)
        print_result(&w, rows, &t, &r);
    if (code == 0 && w.remark != NULL)
        ctl_warn("%s", w.remark);
    policy_changes_fini(&w.list);
    diags_fini(&w.problems);
    json_decref(rows);
    return code;
}

int policy_change_run(struct ctl *c, policy_make *make, void *context)
{
    struct store *store;
    int code = policy_open(c, STORE_WRITE, &store);

    if (code != 0)
        return code;
    code = policy_change_in(c, store, NULL, make, context);
    store_close(store);
    return code;
}

int policy_put(struct policy_write *w, void *context)
{
    const struct policy_put *put = context;
    struct policy_counts n;
    int rc;

    policy_txn_counts(w->txn, &n);
    if (!put->how_given && n.networks + n.pools + n.rules + n.approved > 0)
        return ctl_fail(
            EXIT_USAGE,
            "there is a policy already: --merge adds this file to it, --replace puts the file "
            "in its place (--dry-run shows what that would change)");
    rc = policy_changes_make(&w->list, w->txn, put->is, put->how);
    return rc == 0 ? 0 : policy_failed(w->c, "read the policy", rc);
}
