/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_text.c -- policies as text: `policy import`, `export` and `edit`.
 *
 * A file is read with the rights of whoever called, before anything is opened for writing.
 *
 * The text that is edited lies in a directory of its own (0700). The editor's variable may have
 * arguments, separated by blanks: the shell splits it, and evaluates nothing in it. Unless what
 * was typed was applied or left as it was, the file stays and is named.
 */
#include "ctl/policy.h"

#include <signal.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_SIZE = 1 << 30 };

int policy_file_read(const char *path, enum policy_form form, struct policy *out)
{
    const char *name = strcmp(path, "-") == 0 ? "(standard input)" : path;
    struct diags d;
    char *text;
    size_t len;
    int rc = file_read(path, FILE_SIZE, &text, &len), code = 0;

    if (rc != 0)
        return ctl_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        strerror(-rc));
    diags_init(&d);
    if (form == POLICY_ZONE)
        rc = zone_read(out, name, text, len, &d);
    else
        rc = policy_text_read(out, name, text, len, form == POLICY_WHOLE, &d);
    if (rc == -ENOMEM)
        code = ctl_fail(EXIT_FAILED, "out of memory");
    else if (rc < 0)
        code = ctl_invalid(&d);
    else if (rc > 0)
        ctl_note("%d other records are left", rc);
    diags_fini(&d);
    free(text);
    return code;
}

/* Is it a zone? What --format says, or else the end of the file's name; -1: told. */
static int take_format(struct ctl *c, const char *path)
{
    const char *text = ctl_option(c, "--format"), *end = strrchr(path, '.');

    if (text && strcmp(text, "zone") != 0 && strcmp(text, "yaml") != 0) {
        ctl_fail(EXIT_USAGE, "--format %s: formats are yaml and zone", text);
        return -1;
    }
    return text ? text[0] == 'z' : end && (strcmp(end, ".zone") == 0 || strcmp(end, ".db") == 0);
}

/* The policy of the store becomes, or gets, this one. how_given: else the store must be empty. */
static int put(struct ctl *c, const uint64_t *seen, const struct policy *p, enum policy_how how,
               bool how_given)
{
    struct policy_counts n;
    struct policy_write w;
    int code = policy_begin(&w, c, seen), rc = 0;

    if (code == 0) {
        rc = policy_counts_read(w.change.txn, &n);
        if (rc == 0 && (how_given || n.networks + n.pools + n.rules + n.approved == 0))
            rc = policy_change_make(&w.change, p, how);
        else if (rc == 0)
            code = ctl_fail(
                EXIT_USAGE,
                "there is a policy already: --merge adds this file to it, --replace puts the "
                "file in its place (--dry-run shows what that would change)");
    }
    return policy_finish(&w, rc == 0 ? code : policy_failed(c, "read the policy", rc));
}

int policy_import(struct ctl *c)
{
    bool replace = ctl_option(c, "--replace"), merge = ctl_option(c, "--merge");
    struct policy p;
    int zone = take_format(c, c->argv[0]), code = zone < 0 ? EXIT_USAGE : 0;
    enum policy_form form = zone ? POLICY_ZONE : merge ? POLICY_PART : POLICY_WHOLE;
    enum policy_how how = replace ? POLICY_REPLACE : zone ? POLICY_JOIN : POLICY_MERGE;

    if (replace && merge)
        code = ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    if (code == 0)
        code = policy_file_read(c->argv[0], form, &p);
    if (code != 0)
        return code;
    if (p.n_tests > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", p.n_tests, c->argv[0]);
    code = put(c, NULL, &p, how, replace || merge);
    policy_fini(&p);
    return code;
}

int policy_export(struct ctl *c)
{
    struct policy p;
    int zone = take_format(c, ""), code = zone < 0 ? EXIT_USAGE : 0, rc;

    if (code == 0 && c->format != FORMAT_TABLE)
        code = ctl_fail(
            EXIT_USAGE,
            "policy export writes --format yaml or zone; policy show has --json and --csv");
    if (code == 0)
        code = policy_read(c, &p, NULL);
    if (code != 0)
        return code;
    rc = zone ? zone_write(&p, stdout) : policy_text_write(&p, stdout);
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

static char *text_of(const struct policy *p)
{
    char *text;
    FILE *f = ctl_open(&text);

    policy_text_write(p, f);
    ctl_close(f);
    return text;
}

/* The user's editor, else one that is there, until the text is a policy. */
static int edit(struct ctl *c, const char *file, struct policy *out)
{
    int code;

    setenv("WAYMARK_EDITED", file, 1);
    do {
        fflush(NULL);
        code = system(editor);
        if (code != 0)
            return ctl_fail(EXIT_FAILED, "the editor ended with status %d: nothing is changed",
                            code / 256);
        code = policy_file_read(file, POLICY_WHOLE, out);
    } while (code == EXIT_INVALID && !ctl_option(c, "--yes") && isatty(STDIN_FILENO) &&
             ctl_ask(c, "Edit again?"));
    return code;
}

int policy_edit(struct ctl *c)
{
    char *folder, *file, *text, *other = NULL;
    struct store *store;
    struct policy p;
    uint64_t serial;
    size_t len;
    FILE *f;
    int code = policy_open(c, STORE_WRITE, &store); /* who may not write it need not type */

    if (code == 0) {
        store_close(store);
        code = policy_read(c, &p, &serial);
    }
    if (code != 0)
        return code;
    text = text_of(&p);
    policy_fini(&p);
    folder = policy_make_folder("waymark-edit");
    file = ctl_text("%s/policy.yaml", folder);
    f = fopen(file, "wxe");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        code = ctl_fail(EXIT_FAILED, "cannot write %s: %s", file, strerror(errno));
    else
        code = edit(c, file, &p);
    if (code == 0) {
        other = text_of(&p);
        if (strcmp(other, text) == 0) {
            ctl_line("nothing is changed, serial %ju", (uintmax_t)serial);
        } else {
            fflush(NULL);
            signal(SIGPIPE, SIG_IGN); /* diff may be missing, which the shell tells */
            if ((f = popen(diff, "we"))) {
                fputs(text, f);
                pclose(f);
            }
            code = ctl_option(c, "--dry-run") || ctl_ask(c, "Apply this?")
                       ? put(c, &serial, &p, POLICY_REPLACE, true)
                       : ctl_fail(EXIT_FAILED, "nothing is changed");
        }
        free(other);
        policy_fini(&p);
    }
    other = NULL;
    if (code != 0 && file_read(file, SIZE_MAX / 2, &other, &len) == 0 && strcmp(other, text) != 0)
        ctl_note("your text is kept in %s", file);
    else
        unlink(file);
    rmdir(folder); /* not with a text in it */
    free(other);
    free(text);
    free(file);
    free(folder);
    return code;
}
