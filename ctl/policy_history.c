/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_history.c -- the policy as it was: `policy undo`, `restore` and `diff`. policy/restore.h
 * does the work.
 */
#include "ctl/policy.h"

#include "policy/restore.h"

enum { SHOWN = 8 };

/* A serial, a file, or (NULL) the present policy. */
static int read_side(struct ctl *c, const char *word, struct policy *out)
{
    struct store *store;
    uint64_t serial;
    int code;

    if (!word)
        return policy_read(c, out, NULL);
    if (number_parse(&serial, word, UINT64_MAX) != 0)
        return policy_file_read(word, POLICY_WHOLE, out);
    code = policy_open_serial(c, serial, &store);
    if (code != 0)
        return code;
    return policy_read_store(c, store, out, NULL);
}

/* `undo` takes the last change back, `restore` makes the policy of a serial anew. */
int policy_restore(struct ctl *c)
{
    bool undo = strcmp(c->verb->verb, "undo") == 0;
    struct policy_log_entry log = {.serial = 0};
    struct policy p = {.n_rules = 0};
    uint64_t serial = 0, oldest = 0;
    struct policy_write w;
    char time[NUMBER_TEXT];
    int code = 0, rc = 0;

    if (!undo && number_parse(&serial, c->argv[0], UINT64_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "%s: a serial is needed; policy log lists them", c->argv[0]);
    if (!undo && (code = read_side(c, c->argv[0], &p)) != 0)
        return code;
    code = policy_begin(&w, c, NULL);
    if (code == 0 && undo && w.change.serial == 0)
        code = ctl_fail(EXIT_NOT_FOUND, "the policy was never changed");
    if (code == 0) {
        serial = undo ? w.change.serial - 1 : serial;
        rc = undo ? restore_list(&w.change, serial, &oldest)
                  : policy_change_make(&w.change, &p, POLICY_REPLACE);
    }
    if (rc == -ERANGE)
        code = policy_not_kept(serial, oldest);
    else if (rc != 0)
        code = policy_failed(c, "read the history", rc);
    if (code == 0 && serial > 0)
        rc = log_find(w.change.txn, serial, &log);
    snprintf(w.noted, sizeof w.noted, "back to serial %ju", (uintmax_t)serial);
    if (code == 0 && serial < w.change.serial)
        snprintf(w.question, sizeof w.question,
                 serial == 0 ? "Make the policy empty, as it was at first?"
                             : "Make the policy what it was at serial %ju, %s?",
                 (uintmax_t)serial, rc == 0 ? time_print_local(log.time_ms, time) : "long ago");
    code = policy_finish(&w, code);
    policy_fini(&p);
    return code;
}

/* Which suffixes came and went, unless they are more than that. Both lists are sorted. */
static void tell_suffixes(json_t *row, const struct policy_rule *was, const struct policy_rule *is,
                          size_t most)
{
    json_t *went = json_array(), *came = json_array();
    size_t i = 0, k = 0, n = 0;
    char text[SUFFIX_TEXT];

    while (i < was->n_suffixes || k < is->n_suffixes) {
        int d = i == was->n_suffixes  ? 1
                : k == is->n_suffixes ? -1
                                      : suffix_compare(was->suffixes[i], is->suffixes[k]);
        const struct suffix *one = d > 0 ? is->suffixes[k] : was->suffixes[i];

        i += d <= 0;
        k += d >= 0;
        if (d != 0 && n++ < most)
            json_array_append_new(d > 0 ? came : went, json_string(suffix_print(one, text)));
    }
    if (n <= most) {
        json_object_set(row, "added", came);
        json_object_set(row, "removed", went);
    }
    json_decref(came);
    json_decref(went);
}

/* What a change from the one to the other would do, which is made in a store that is nowhere. */
int policy_diff(struct ctl *c)
{
    static const struct column columns[] = {{"object", NULL, COLUMN_TEXT, 0},
                                            {"name", NULL, COLUMN_TEXT, 0},
                                            {"change", NULL, COLUMN_TEXT, 0},
                                            {"text", NULL, COLUMN_TEXT, 0},
                                            {"added", NULL, COLUMN_LIST, 0},
                                            {"removed", NULL, COLUMN_LIST, 0},
                                            {0}};
    static const struct ctl_row lines[] = {
        {NULL, ".", POLICY_ROW "[\tcame: {added}|][\twent: {removed}|]"}, {0}};
    struct policy_write w = {.c = c, .dry = true};
    struct policy a = {.n_rules = 0}, b = a;
    bool is_table = c->format == FORMAT_TABLE;
    json_t *rows = NULL;
    size_t n = 0;
    int code = read_side(c, c->argv[0], &a), rc = 0;

    diags_init(&w.problems);
    code = code == 0 ? read_side(c, c->argv[1], &b) : code;
    code = code == 0 ? policy_open_temporary(c, &a, &w.store) : code;
    if (code == 0)
        rc = policy_change_begin(&w.change, w.store);
    if (code == 0 && rc == 0)
        rc = policy_change_make(&w.change, &b, POLICY_REPLACE);
    if (code == 0 && rc == 0)
        rc = policy_change_apply(&w.change, &w.problems);
    if (w.problems.all > 0)
        code = ctl_invalid(&w.problems);
    else if (rc != 0)
        code = policy_failed(c, "compare the policies", rc);
    if (code == 0)
        rows = policy_rows(&w);
    for (const struct change *k = w.change.list; rows && k < w.change.list + w.change.n; k++) {
        if (k->state == CHANGE_MOVED && k->kind == POLICY_RULE && k->more + k->less > 0)
            tell_suffixes(json_array_get(rows, n), policy_find(&a, POLICY_RULE, k->is.name),
                          k->is.rule, is_table ? SHOWN : SIZE_MAX);
        n += k->state != CHANGE_SAME;
    }
    if (rows && !is_table)
        table_print(c, "changes", columns, rows);
    else if (rows && n == 0)
        ctl_line("no difference");
    else if (rows)
        ctl_show(rows, lines);
    json_decref(rows);
    policy_change_abort(&w.change);
    policy_change_fini(&w.change);
    diags_fini(&w.problems);
    store_close(w.store);
    policy_fini(&a);
    policy_fini(&b);
    return code;
}
