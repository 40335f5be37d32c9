/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_text.c -- policies as text: `policy import`, `export` and `edit`.
 *
 * A file is read with the rights of whoever called, and parsed and sorted, before
 * anything is opened for writing.
 *
 * The text that is edited lies in a directory of its own (0700) with a copy of
 * what it was, for diff(1). Programs are started without a shell; the editor's
 * variable may have arguments, separated by blanks ("code --wait"). What was
 * typed is never lost: unless it was applied or left as it was, the file stays
 * and is named.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_SIZE = 1 << 30, WORDS_MAX = 16 };
extern char **environ;

/* --- import, export ------------------------------------------------------- */

int policy_file_read(const char *path, enum policy_form form, struct policy *out,
                     struct policy_tests *tests, size_t *skipped)
{
    const char *name = strcmp(path, "-") == 0 ? "(standard input)" : path;
    struct diags d;
    char *text;
    size_t len;
    int rc = file_read(path, FILE_SIZE, &text, &len), code = 0;

    if (rc == -ENOENT)
        return ctl_fail(EXIT_NOT_FOUND, "there is no file %s", path);
    if (rc == -EFBIG)
        return ctl_fail(EXIT_INVALID, "%s is greater than 1 GiB", path);
    if (rc != 0)
        return ctl_fail(EXIT_FAILED, "cannot read %s: %s", path, strerror(-rc));
    diags_init(&d);
    if (form == POLICY_ZONE)
        rc = zone_read(out, name, text, len, skipped, &d);
    else
        rc = policy_text_read(out, tests, name, text, len, form == POLICY_WHOLE, &d);
    if (rc == -ENOMEM)
        code = ctl_fail(EXIT_FAILED, "out of memory");
    else if (rc != 0)
        code = ctl_invalid(&d);
    diags_fini(&d);
    free(text);
    return code;
}

/* What --format says, or else the end of the file's name, which may be NULL. */
static int take_format(struct ctl *c, const char *path, bool *zone)
{
    const char *text = ctl_option(c, "--format"), *end = path != NULL ? strrchr(path, '.') : NULL;

    *zone = text != NULL ? strcmp(text, "zone") == 0
                         : end != NULL && (strcmp(end, ".zone") == 0 || strcmp(end, ".db") == 0);
    if (text != NULL && !*zone && strcmp(text, "yaml") != 0)
        return ctl_fail(EXIT_USAGE, "--format %s: formats are yaml and zone", text);
    return 0;
}

/* The policy of the store becomes, or gets, this one. how_given: else the store must be empty. */
static int put(struct ctl *c, struct store *store, const uint64_t *seen, const struct policy *p,
               enum policy_how how, bool how_given)
{
    struct policy_counts n;
    struct policy_write w;
    int code, rc = 0;

    policy_write_init(&w, c);
    code = policy_begin(&w, store, seen);
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
    bool replace = ctl_option(c, "--replace") != NULL, merge = ctl_option(c, "--merge") != NULL;
    struct policy_tests tests = {0};
    size_t skipped = 0;
    struct policy p;
    bool zone;
    int code = take_format(c, c->argv[0], &zone);
    enum policy_form form = merge ? POLICY_PART : POLICY_WHOLE;
    enum policy_how how = replace ? POLICY_REPLACE : POLICY_MERGE;

    if (zone)
        form = POLICY_ZONE;
    if (zone && !replace)
        how = POLICY_JOIN;
    if (replace && merge)
        code = ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    if (code == 0)
        code = policy_file_read(c->argv[0], form, &p, &tests, &skipped);
    if (code != 0)
        return code;
    if (skipped > 0)
        ctl_note("%zu other records are left", skipped);
    if (tests.n > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", tests.n, c->argv[0]);
    policy_tests_fini(&tests);
    code = put(c, NULL, NULL, &p, how, replace || merge);
    policy_fini(&p);
    return code;
}

int policy_export(struct ctl *c)
{
    struct policy p;
    bool zone;
    int code = take_format(c, NULL, &zone), rc;

    if (code == 0 && c->format != FORMAT_TABLE)
        code = ctl_fail(
            EXIT_USAGE,
            "policy export writes --format yaml or zone; policy show has --json and --csv");
    if (code == 0)
        code = policy_read(c, NULL, &p, NULL);
    if (code != 0)
        return code;
    rc = zone ? zone_write(&p, stdout) : policy_text_write(&p, stdout);
    if (rc == 0 && fflush(stdout) != 0)
        rc = -errno;
    policy_fini(&p);
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write the policy: %s", strerror(-rc));
}

/* --- edit ----------------------------------------------------------------- */

/* Exit status, or -errno when it could not be started. */
static int run_program(const char *const *argv)
{
    pid_t pid;
    int status, rc;

    fflush(NULL);
    rc = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (rc != 0)
        return -rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The user's editor, else one that is there. 0 or an exit code. */
static int edit_file(const char *file)
{
    const char *commands[] = {getenv("VISUAL"), getenv("EDITOR"), "sensible-editor",
                              "editor",         "nano",           "vi"};
    int rc = -ENOENT;

    for (size_t i = 0; i < ARRAY_LEN(commands) && rc == -ENOENT; i++) {
        const char *argv[WORDS_MAX + 2] = {NULL};
        char *copy = ctl_text("%s", commands[i] != NULL ? commands[i] : ""), *rest = copy;
        int n = 0;

        while (n < WORDS_MAX && (argv[n] = strtok_r(rest, " \t", &rest)) != NULL)
            n++;
        argv[n] = file;
        if (n > 0)
            rc = run_program(argv);
        free(copy);
        if (n > 0 && rc > 0)
            return ctl_fail(EXIT_FAILED, "%s ended with status %d: nothing is changed", commands[i],
                            rc);
        if (n > 0 && rc < 0 && (rc != -ENOENT || i < 2)) /* the user's own: no other is wanted */
            return ctl_fail(EXIT_FAILED, "cannot start %s: %s", commands[i], strerror(-rc));
    }
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "no editor was found: set VISUAL or EDITOR");
}

static char *text_of(const struct policy *p, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);

    if (f == NULL || policy_text_write(p, f) != 0 || fclose(f) != 0)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    return text;
}

static bool write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "wxe");
    bool ok = f != NULL && fwrite(text, 1, len, f) == len;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    if (!ok)
        ctl_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
    return ok;
}

/* Shows what was edited, and does it if it is wanted. */
static int apply_edit(struct ctl *c, struct store *store, uint64_t serial, const struct policy *p,
                      const char *before, const char *file)
{
    const char *const diff[] = {"diff",   "-u",   "--label", "policy", "--label",
                                "edited", before, file,      NULL};

    if (run_program(diff) == -ENOENT)
        ctl_note("diff is not installed: the changes follow without their lines");
    return ctl_option(c, "--dry-run") != NULL || ctl_ask(c, "Apply this?")
               ? put(c, store, &serial, p, POLICY_REPLACE, true)
               : ctl_fail(EXIT_FAILED, "nothing is changed");
}

int policy_edit(struct ctl *c)
{
    char *dir = NULL, *file = NULL, *before = NULL, *text = NULL, *other = NULL, answer[16];
    struct store *store = NULL;
    struct policy p;
    uint64_t serial;
    size_t len, other_len;
    int code = policy_open(c, STORE_WRITE, &store);

    if (code == 0)
        code = policy_read(c, store, &p, &serial);
    if (code != 0)
        goto done;
    text = text_of(&p, &len);
    policy_fini(&p);
    code = EXIT_FAILED;
    if ((dir = policy_make_folder("waymark-edit")) == NULL)
        goto done;
    file = ctl_text("%s/policy.yaml", dir);
    before = ctl_text("%s/policy.yaml.before", dir);
    if (!write_file(file, text, len) || !write_file(before, text, len))
        goto done;
    do {
        code = edit_file(file);
        if (code == 0)
            code = policy_file_read(file, POLICY_WHOLE, &p, NULL, NULL);
        if (code != EXIT_INVALID || !isatty(STDIN_FILENO))
            break;
        fprintf(stderr, "Edit again? [Y/n] ");
        fflush(stderr);
    } while (fgets(answer, sizeof answer, stdin) != NULL && answer[0] != 'n' && answer[0] != 'N');
    if (code == 0) {
        other = text_of(&p, &other_len);
        if (other_len == len && memcmp(other, text, len) == 0)
            ctl_line("nothing is changed, serial %llu", (unsigned long long)serial);
        else
            code = apply_edit(c, store, serial, &p, before, file);
        free(other);
        policy_fini(&p);
    }
    other = NULL;
    if (code != 0 && file_read(file, SIZE_MAX / 2, &other, &other_len) == 0 &&
        (other_len != len || memcmp(other, text, len) != 0))
        ctl_note("your text is kept in %s", file);
    else
        unlink(file);
    unlink(before);
    rmdir(dir); /* not with a text in it */
    free(other);
done:
    store_close(store);
    free(text);
    free(before);
    free(file);
    free(dir);
    return code;
}
