/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_change.c -- the course of every change of the policy (policy.h):
 * begin, run, ask and run again, commit, say what changed and who uses it.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"

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

void policy_row(struct policy_write *w, const char *object, const char *name, const char *change,
                const char *fmt, ...)
{
    va_list args;
    char *text, *raw;

    va_start(args, fmt);
    if (vasprintf(&raw, fmt, args) < 0)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    va_end(args);
    text = ctl_clean(raw); /* JSON takes UTF-8 alone */
    free(raw);
    json_array_append_new(w->rows, json_pack("{s:s, s:s, s:s, s:s}", "object", object, "name", name,
                                             "change", change, "text", text));
    if (strcmp(change, "same") != 0 && w->txn != NULL) {
        char *note =
            ctl_text("%s %s %s%s%s", object, name, change, *text != '\0' ? ": " : "", text);

        policy_txn_note(w->txn, note);
        free(note);
    }
    free(text);
}

int policy_bad(struct policy_write *w, const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    va_end(args);
    diags_add(&w->problems, NULL, 0, 0, "%s", text);
    free(text);
    return EXIT_INVALID;
}

/* --- options -------------------------------------------------------------- */

static int read_terms(struct ctl *c, struct policy_seen seen, struct terms *t)
{
    const char *reason = ctl_option(c, "--reason"), *serial = ctl_option(c, "--if-serial");

    *t = (struct terms){.dry = ctl_option(c, "--dry-run") != NULL};
    if (c->settings->policy.require_reason && !t->dry && (reason == NULL || *reason == '\0'))
        return ctl_fail(EXIT_USAGE, "--reason is needed (policy.require-reason is set)");
    if (reason != NULL && strlen(reason) > 255)
        return ctl_fail(EXIT_USAGE, "--reason has more than 255 bytes");
    if (ctl_option(c, "--author") != NULL && strlen(ctl_option(c, "--author")) > 63)
        return ctl_fail(EXIT_USAGE, "--author has more than 63 bytes");
    t->change = (struct policy_change){
        .claimed = ctl_option(c, "--author"),
        .reason = reason,
        .now_ms = c->now.wall_ms,
        .if_serial = seen.serial,
        .history_ms = c->settings->policy.history_ms,
    };
    t->bound = seen.bound;
    if (serial == NULL)
        return 0;
    if (number_parse(&t->change.if_serial, serial, UINT64_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "--if-serial %s: a number is needed", serial);
    if (seen.bound && seen.serial != t->change.if_serial)
        return ctl_fail(EXIT_CONFLICT, "the policy is at serial %llu, not %s: nothing is changed",
                        (unsigned long long)seen.serial, serial);
    t->bound = true;
    return 0;
}

/* --- one run -------------------------------------------------------------- */

static int conflict(const struct terms *t, uint64_t present)
{
    return ctl_fail(
        EXIT_CONFLICT,
        "the policy is at serial %llu, not %llu: somebody was faster, nothing is changed",
        (unsigned long long)present, (unsigned long long)t->change.if_serial);
}

/* Runs fn in a transaction. Its work stays unless it is a dry run, or something
 * goes and `ask` says that a person is to be asked first: then done is false. */
static int run_once(struct policy_write *w, struct policy_store *store, const struct terms *t,
                    bool ask, policy_write_fn *fn, void *context, struct result *out)
{
    int code, rc;

    json_array_clear(w->rows);
    rc = policy_txn_begin(&w->txn, store, &t->change, &out->serial);
    if (rc == -ESTALE)
        return conflict(t, out->serial);
    if (rc != 0)
        return policy_failed(w->c, "change the policy", rc);
    code =
        t->bound && out->serial != t->change.if_serial ? conflict(t, out->serial) : fn(w, context);
    out->done = code == 0 && !t->dry && !(ask && w->removes);
    if (!out->done) {
        policy_txn_abort(w->txn);
        w->txn = NULL;
        if (w->problems.all > 0)
            ctl_invalid(&w->problems);
        return code;
    }
    rc = policy_txn_commit(w->txn, &out->serial, &out->changed);
    w->txn = NULL;
    return rc == 0 ? 0 : policy_failed(w->c, "change the policy", rc);
}

/* --- what is said --------------------------------------------------------- */

static void widen(int *width, const json_t *row, const char *key)
{
    int n = (int)json_string_length(json_object_get(row, key));

    *width = n > *width ? n : *width;
}

static void print_rows(const struct policy_write *w, bool unchanged)
{
    int object = 5, name = 5, change = 5;
    const json_t *row;
    size_t i;

    json_array_foreach(w->rows, i, row)
    {
        widen(&object, row, "object");
        widen(&name, row, "name");
        widen(&change, row, "change");
    }
    json_array_foreach(w->rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        const char *state = unchanged ? "same" : json_string_value(json_object_get(row, "change"));
        char *line = ctl_text("%-*s  %-*s  %-*s  %s", object,
                              json_string_value(json_object_get(row, "object")), name,
                              json_string_value(json_object_get(row, "name")), change, state, text);

        for (size_t n = strlen(line); n > 0 && line[n - 1] == ' ';)
            line[--n] = '\0';
        ctl_line("%s", line);
        free(line);
    }
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

static void say_json(const struct policy_write *w, const struct terms *t, const struct result *r,
                     bool in_use)
{
    json_t *all = json_pack("{s:O, s:b, s:b, s:I, s:s, s:b}", "changes", w->rows, "changed",
                            r->changed && !t->dry, "dry_run", t->dry, "serial",
                            (json_int_t)r->serial, "author", t->author, "in_use", in_use);

    table_print_json(all);
    json_decref(all);
}

static void say_result(const struct policy_write *w, const struct terms *t, const struct result *r)
{
    bool in_use = false;
    const char *words = t->dry ? "" : daemon_words(w->c, r->serial, &in_use);

    if (w->c->format == FORMAT_JSON) {
        say_json(w, t, r, in_use);
        return;
    }
    print_rows(w, !t->dry && !r->changed);
    if (t->dry)
        ctl_line("dry run: nothing is changed, serial %llu", (unsigned long long)r->serial);
    else if (!r->changed)
        ctl_line("it is so already: nothing to change, serial %llu", (unsigned long long)r->serial);
    else
        ctl_line("serial %llu, author %s%s%s%s, %s", (unsigned long long)r->serial, t->author,
                 t->change.claimed != NULL ? " (for " : "",
                 t->change.claimed != NULL ? t->change.claimed : "",
                 t->change.claimed != NULL ? ")" : "", words);
}

static bool confirmed(struct policy_write *w)
{
    if (w->c->format == FORMAT_TABLE)
        print_rows(w, false);
    fflush(stdout);
    return ctl_ask(w->c, w->question[0] != '\0' ? w->question : "This removes something. Go on?");
}

int policy_change_in(struct ctl *c, struct policy_store *store, struct policy_seen seen,
                     policy_write_fn *fn, void *context)
{
    struct policy_write w = {.c = c, .rows = json_array()};
    struct result r = {0};
    struct terms t;
    int code = read_terms(c, seen, &t);
    bool ask = ctl_option(c, "--yes") == NULL;

    diags_init(&w.problems);
    ctl_author(w.c, t.author);
    t.change.author = t.author;
    if (code == 0)
        code = run_once(&w, store, &t, ask, fn, context, &r);
    if (code == 0 && !r.done && !t.dry) {
        t.bound = true;
        t.change.if_serial = r.serial;
        code = confirmed(&w) ? run_once(&w, store, &t, false, fn, context, &r)
                             : ctl_fail(EXIT_FAILED, "nothing is changed");
    }
    if (code == 0)
        say_result(&w, &t, &r);
    if (code == 0 && w.remark != NULL)
        ctl_warn("%s", w.remark);
    diags_fini(&w.problems);
    json_decref(w.rows);
    return code;
}

int policy_change_run(struct ctl *c, policy_write_fn *fn, void *context)
{
    struct policy_store *store;
    int code;

    code = policy_open(c, POLICY_WRITE, &store);
    if (code != 0)
        return code;
    code = policy_change_in(c, store, (struct policy_seen){0}, fn, context);
    policy_store_close(store);
    return code;
}
