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

/* The policy of the store becomes, or gets, this one. */
struct put {
    const struct policy *is; /* borrowed */
    enum policy_how how;
    bool how_given; /* else the store must be empty */
};

static int make_put(struct policy_write *w, void *context)
{
    const struct put *put = context;
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

int policy_import(struct ctl *c)
{
    bool replace = ctl_option(c, "--replace") != NULL, merge = ctl_option(c, "--merge") != NULL;
    struct policy_tests tests = {0};
    struct policy is;
    struct put put = {.is = &is, .how_given = replace || merge};
    size_t skipped = 0, suffixes = 0;
    uint64_t took;
    bool zone;
    int code;

    if (replace && merge)
        return ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    code = take_format(c, c->argv[0], &zone);
    if (code == 0)
        code = policy_file_read(c->argv[0],
                                zone    ? POLICY_ZONE
                                : merge ? POLICY_PART
                                        : POLICY_WHOLE,
                                &is, &tests, &skipped);
    if (code != 0)
        return code;
    if (skipped > 0)
        ctl_note("%zu other records are left", skipped);
    if (tests.n > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", tests.n, c->argv[0]);
    policy_tests_fini(&tests);
    for (size_t i = 0; i < is.n_rules; i++)
        suffixes += is.rules[i].n_suffixes;
    took = clock_now().mono_ms - c->now.mono_ms;
    if (c->stderr_tty && took > 1000)
        ctl_note("read %zu suffixes, %.1f s", suffixes, (double)took / 1000);
    put.how = replace ? POLICY_REPLACE : zone ? POLICY_JOIN : POLICY_MERGE;
    code = policy_change_run(c, NULL, NULL, make_put, &put);
    policy_fini(&is);
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
        char *copy, *save = NULL;
        int n = 0;

        if (commands[i] == NULL || commands[i][strspn(commands[i], " \t")] == '\0')
            continue;
        copy = ctl_text("%s", commands[i]);
        for (char *w = strtok_r(copy, " \t", &save); w != NULL && n < WORDS_MAX;
             w = strtok_r(NULL, " \t", &save))
            argv[n++] = w;
        argv[n] = file;
        rc = run_program(argv);
        free(copy);
        if (rc == 0)
            return 0;
        if (rc > 0)
            return ctl_fail(EXIT_FAILED, "%s ended with status %d: nothing is changed", commands[i],
                            rc);
        if (rc != -ENOENT)
            return ctl_fail(EXIT_FAILED, "cannot start %s: %s", commands[i], strerror(-rc));
        if (i < 2) /* the user's own, and no other is wanted */
            break;
    }
    return ctl_fail(EXIT_FAILED, "no editor was found: set VISUAL or EDITOR");
}

struct edit {
    char *dir, *file, *before; /* owned; NULL until they are there */
    char *text;                /* what both began with; owned */
    size_t len;
    bool keep; /* file holds work that is not applied */
};

static char *text_of(const struct policy *p, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);

    if (f == NULL || policy_text_write(p, f) != 0 || fclose(f) != 0)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    return text;
}

static int make_files(struct edit *e)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = ctl_text("%s/waymark-edit-XXXXXX", tmp != NULL && *tmp == '/' ? tmp : "/tmp");
    int code;

    if (mkdtemp(dir) == NULL) {
        code = ctl_fail(EXIT_FAILED, "cannot make %s: %s", dir, strerror(errno));
        free(dir);
        return code;
    }
    e->dir = dir;
    e->file = ctl_text("%s/policy.yaml", dir);
    e->before = ctl_text("%s/policy.yaml.before", dir);
    for (int i = 0; i < 2; i++) {
        const char *path = i == 0 ? e->file : e->before;
        FILE *f = fopen(path, "wxe");
        bool ok = f != NULL && fwrite(e->text, 1, e->len, f) == e->len;

        if (f == NULL || fclose(f) != 0 || !ok)
            return ctl_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
    }
    return 0;
}

static void remove_files(struct edit *e)
{
    char *text = NULL;
    size_t len;

    if (e->dir == NULL)
        return;
    if (e->keep && file_read(e->file, SIZE_MAX / 2, &text, &len) == 0)
        e->keep = len != e->len || memcmp(text, e->text, len) != 0;
    unlink(e->before);
    if (e->keep) {
        ctl_note("your text is kept in %s", e->file);
    } else {
        unlink(e->file);
        rmdir(e->dir);
    }
    free(text);
    free(e->before);
    free(e->file);
    free(e->dir);
}

/* Shows what was edited, and does it if it is wanted. */
static int apply_edit(struct ctl *c, struct store *store, const struct edit *e,
                      const struct policy *p, uint64_t serial)
{
    const char *const diff[] = {"diff",   "-u",      "--label", "policy", "--label",
                                "edited", e->before, e->file,   NULL};
    struct put put = {.is = p, .how = POLICY_REPLACE, .how_given = true};
    size_t len;
    char *text = text_of(p, &len);
    bool same = len == e->len && memcmp(text, e->text, len) == 0;

    free(text);
    if (same) {
        ctl_line("nothing is changed, serial %llu", (unsigned long long)serial);
        return 0;
    }
    if (run_program(diff) == -ENOENT)
        ctl_note("diff is not installed: the changes follow without their lines");
    if (ctl_option(c, "--dry-run") == NULL && !ctl_ask(c, "Apply this?"))
        return ctl_fail(EXIT_FAILED, "nothing is changed");
    return policy_change_run(c, store, &serial, make_put, &put);
}

int policy_edit(struct ctl *c)
{
    struct edit e = {.keep = false};
    struct store *store;
    struct policy p;
    uint64_t serial;
    char answer[16];
    int code = policy_open(c, STORE_WRITE, &store);

    if (code != 0)
        return code;
    code = policy_read(c, store, &p, &serial);
    if (code != 0)
        goto done;
    e.text = text_of(&p, &e.len);
    policy_fini(&p);
    code = make_files(&e);
    if (code != 0)
        goto done;
    do {
        code = edit_file(e.file);
        e.keep = true;
        if (code == 0)
            code = policy_file_read(e.file, POLICY_WHOLE, &p, NULL, NULL);
        if (code != EXIT_INVALID || !isatty(STDIN_FILENO))
            break;
        fprintf(stderr, "Edit again? [Y/n] ");
        fflush(stderr);
    } while (fgets(answer, sizeof answer, stdin) != NULL && answer[0] != 'n' && answer[0] != 'N');
    if (code == 0) {
        code = apply_edit(c, store, &e, &p, serial);
        policy_fini(&p);
        e.keep = code != 0;
    }
done:
    store_close(store);
    remove_files(&e);
    free(e.text);
    return code;
}
