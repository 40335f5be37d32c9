/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_text.c -- `policy import` and `policy export`.
 *
 * The file is read with the rights of whoever called, parsed and sorted before
 * anything is opened for writing, and compared with the present policy before
 * the transaction that writes it: that one insists on the serial that was
 * compared.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/zone.h"

enum { PRINTED_ROWS = 60 };

static const char *const formats[] = {"yaml", "zone", NULL};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* 0 and *zone, or EXIT_USAGE. path NULL: there is none to guess from. */
static int take_format(struct ctl *c, const char *path, bool *zone)
{
    const char *text = ctl_option(c, "--format");
    int i;

    *zone = path != NULL && (ends_with(path, ".zone") || ends_with(path, ".db"));
    if (text == NULL)
        return 0;
    i = str_index(formats, text);
    if (i < 0)
        return ctl_fail(EXIT_USAGE, "--format %s: formats are yaml and zone", text);
    *zone = i == 1;
    return 0;
}

/* --- import --------------------------------------------------------------- */

struct import {
    const char *path;
    bool zone;
    struct policy is;
};

static size_t count_suffixes(const struct policy *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_rules; i++)
        n += p->rules[i].n_suffixes;
    return n;
}

static int parse(struct ctl *c, struct import *im, const char *text, size_t len)
{
    struct policy_tests tests = {0};
    size_t skipped = 0;
    struct diags d;
    int rc;

    diags_init(&d);
    if (im->zone)
        rc = zone_read(&im->is, im->path, text, len, &skipped, &d);
    else if (ctl_option(c, "--merge") != NULL)
        rc = policy_text_read(&im->is, &tests, im->path, text, len, &d);
    else
        rc = policy_text_read_whole(&im->is, &tests, im->path, text, len, &d);
    if (rc == -ENOMEM)
        rc = ctl_fail(EXIT_FAILED, "out of memory");
    else if (rc != 0)
        rc = ctl_invalid(&d);
    else if (skipped > 0)
        ctl_note("%zu other records are left", skipped);
    else if (tests.n > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", tests.n, im->path);
    if (rc == 0 && c->stderr_tty && clock_now().mono_ms - c->now.mono_ms > 1000)
        ctl_note("read %zu suffixes, %.1f s", count_suffixes(&im->is),
                 (double)(clock_now().mono_ms - c->now.mono_ms) / 1000);
    policy_tests_fini(&tests);
    diags_fini(&d);
    return rc;
}

int policy_put(struct policy_write *w, void *context)
{
    const struct policy_put *put = context;
    struct policy_diff *diff = put->diff;
    size_t n = json_array_size(diff->rows);
    int rc;

    rc = policy_apply(w->txn, put->is, put->how == POLICY_REPLACE, put->how == POLICY_JOIN,
                      &w->problems);
    if (w->problems.all > 0)
        return EXIT_INVALID;
    if (rc != 0)
        return policy_failed(w->c, "write the policy", rc);
    if (w->c->format == FORMAT_JSON || n <= PRINTED_ROWS) {
        json_array_extend(w->rows, diff->rows);
    } else {
        for (size_t i = 0; i < PRINTED_ROWS; i++)
            json_array_append(w->rows, json_array_get(diff->rows, i));
        ctl_note("%zu changes, of which the first %d follow", n, PRINTED_ROWS);
    }
    for (size_t i = 0; i < n && i < PRINTED_ROWS; i++) {
        const json_t *row = json_array_get(diff->rows, i);
        const char *moved = json_string_value(json_object_get(row, "suffixes"));
        char *note =
            ctl_text("%s %s %s%s%s%s", json_string_value(json_object_get(row, "object")),
                     json_string_value(json_object_get(row, "name")),
                     json_string_value(json_object_get(row, "change")), moved != NULL ? ": " : "",
                     moved != NULL ? moved : "", moved != NULL ? " suffixes" : "");

        policy_txn_note(w->txn, note);
        free(note);
    }
    w->removes = diff->suffixes_gone * 2 > diff->suffixes_was;
    snprintf(w->question, sizeof w->question, "This %s %llu of %llu suffixes. Go on?",
             put->how == POLICY_MERGE ? "replaces rules and removes" : "removes",
             (unsigned long long)diff->suffixes_gone, (unsigned long long)diff->suffixes_was);
    return 0;
}

static int import_into(struct ctl *c, struct policy_store *store, const struct import *im)
{
    bool replace = ctl_option(c, "--replace") != NULL, merge = ctl_option(c, "--merge") != NULL;
    struct policy was;
    struct policy_seen seen = {.bound = true};
    struct policy_diff diff;
    struct policy_put put = {.is = &im->is,
                             .diff = &diff,
                             .how = replace    ? POLICY_REPLACE
                                    : im->zone ? POLICY_JOIN
                                               : POLICY_MERGE};
    struct diags d;
    int code;

    policy_init(&was);
    code = policy_read(c, store, &was, &seen.serial);
    if (code != 0)
        return code;
    if (!policy_is_empty(&was) && !replace && !merge) {
        policy_fini(&was);
        return ctl_fail(
            EXIT_USAGE,
            "there is a policy already: --merge adds this file to it, --replace puts the file "
            "in its place (--dry-run shows what that would change)");
    }
    diags_init(&d);
    if ((replace || policy_is_empty(&was)) && policy_verify(&im->is, im->path, &d) != 0)
        code = ctl_invalid(&d);
    diags_fini(&d);
    if (code == 0) {
        policy_compare(&was, &im->is, put.how, &diff);
        policy_fini(&was); /* a great policy is not kept twice while writing */
        code = policy_change_in(c, store, seen, policy_put, &put);
        json_decref(diff.rows);
    }
    policy_fini(&was);
    return code;
}

int policy_import(struct ctl *c)
{
    struct import im = {.path = c->argv[0]};
    struct policy_store *store;
    char *text = NULL;
    size_t len;
    int code;

    if (ctl_option(c, "--replace") != NULL && ctl_option(c, "--merge") != NULL)
        return ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    code = take_format(c, im.path, &im.zone);
    if (code == 0)
        code = policy_file_read(im.path, &text, &len);
    if (code == 0) {
        if (strcmp(im.path, "-") == 0)
            im.path = "(standard input)";
        code = parse(c, &im, text, len);
        free(text);
    }
    if (code != 0)
        return code;
    code = policy_open(c, POLICY_WRITE, &store);
    if (code == 0) {
        code = import_into(c, store, &im);
        policy_store_close(store);
    }
    policy_fini(&im.is);
    return code;
}

/* --- export --------------------------------------------------------------- */

int policy_export(struct ctl *c)
{
    struct policy p;
    uint64_t serial;
    bool zone;
    int code = take_format(c, NULL, &zone), rc;

    if (code == 0 && c->format != FORMAT_TABLE)
        code = ctl_fail(
            EXIT_USAGE,
            "policy export writes --format yaml or zone; policy show has --json and --csv");
    if (code == 0)
        code = policy_open_read(c, &p, &serial);
    if (code != 0)
        return code;
    rc = zone ? zone_write(&p, stdout) : policy_text_write(&p, stdout);
    if (rc == 0 && fflush(stdout) != 0)
        rc = -errno;
    policy_fini(&p);
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write the policy: %s", strerror(-rc));
}
