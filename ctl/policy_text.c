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
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "ctl/zone.h"

enum { FILE_SIZE = 1 << 30, WORDS_MAX = 16 };
extern char **environ;

/* --- files ---------------------------------------------------------------- */

static int read_file(const char *path, char **text, size_t *len)
{
    int rc = file_read(path, FILE_SIZE, text, len);

    if (rc == -ENOENT)
        return ctl_fail(EXIT_NOT_FOUND, "there is no file %s", path);
    if (rc == -EFBIG)
        return ctl_fail(EXIT_INVALID, "%s is greater than 1 GiB", path);
    if (rc != 0)
        return ctl_fail(EXIT_FAILED, "cannot read %s: %s", path, strerror(-rc));
    return 0;
}

static int parsed(int rc, struct diags *d)
{
    int code = rc == 0         ? 0
               : rc == -ENOMEM ? ctl_fail(EXIT_FAILED, "out of memory")
                               : ctl_invalid(d);

    diags_fini(d);
    return code;
}

int policy_file_read(const char *path, bool whole, struct policy *out, struct policy_tests *tests)
{
    struct diags d;
    char *text;
    size_t len;
    int code = read_file(path, &text, &len), rc;

    if (code != 0)
        return code;
    diags_init(&d);
    rc = whole ? policy_text_read_whole(out, tests, path, text, len, &d)
               : policy_text_read(out, tests, path, text, len, &d);
    free(text);
    return parsed(rc, &d);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What --format says, or else the name of the file, which may be NULL. */
static int take_format(struct ctl *c, const char *path, bool *zone)
{
    const char *text = ctl_option(c, "--format");

    *zone = text != NULL ? strcmp(text, "zone") == 0
                         : path != NULL && (ends_with(path, ".zone") || ends_with(path, ".db"));
    if (text != NULL && !*zone && strcmp(text, "yaml") != 0)
        return ctl_fail(EXIT_USAGE, "--format %s: formats are yaml and zone", text);
    return 0;
}

/* --- import, export ------------------------------------------------------- */

static int parse_import(struct ctl *c, bool zone, struct policy *out)
{
    const char *path = strcmp(c->argv[0], "-") == 0 ? "(standard input)" : c->argv[0];
    struct policy_tests tests = {0};
    size_t skipped = 0, suffixes = 0, len;
    uint64_t took;
    struct diags d;
    char *text;
    int code = read_file(c->argv[0], &text, &len), rc;

    if (code != 0)
        return code;
    diags_init(&d);
    if (zone)
        rc = zone_read(out, path, text, len, &skipped, &d);
    else if (ctl_option(c, "--merge") != NULL)
        rc = policy_text_read(out, &tests, path, text, len, &d);
    else
        rc = policy_text_read_whole(out, &tests, path, text, len, &d);
    free(text);
    code = parsed(rc, &d);
    if (code != 0)
        return code;
    if (skipped > 0)
        ctl_note("%zu other records are left", skipped);
    if (tests.n > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", tests.n, path);
    policy_tests_fini(&tests);
    took = clock_now().mono_ms - c->now.mono_ms;
    for (size_t i = 0; i < out->n_rules; i++)
        suffixes += out->rules[i].n_suffixes;
    if (c->stderr_tty && took > 1000)
        ctl_note("read %zu suffixes, %.1f s", suffixes, (double)took / 1000);
    return 0;
}

int policy_import(struct ctl *c)
{
    bool replace = ctl_option(c, "--replace") != NULL, merge = ctl_option(c, "--merge") != NULL;
    struct policy is;
    struct policy_put put = {.is = &is, .how_given = replace || merge};
    bool zone;
    int code;

    if (replace && merge)
        return ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    code = take_format(c, c->argv[0], &zone);
    if (code == 0)
        code = parse_import(c, zone, &is);
    if (code != 0)
        return code;
    put.how = replace ? POLICY_REPLACE : zone ? POLICY_JOIN : POLICY_MERGE;
    code = policy_change_run(c, policy_put, &put);
    policy_fini(&is);
    return code;
}

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

static int run_editor(const char *command, const char *file)
{
    const char *argv[WORDS_MAX + 2];
    char *copy = ctl_text("%s", command), *save = NULL;
    int n = 0, rc;

    for (char *w = strtok_r(copy, " \t", &save); w != NULL && n < WORDS_MAX;
         w = strtok_r(NULL, " \t", &save))
        argv[n++] = w;
    argv[n++] = file;
    argv[n] = NULL;
    rc = n > 1 ? run_program(argv) : -ENOENT;
    free(copy);
    return rc;
}

/* The user's editor, else one that is there. 0 or an exit code. */
static int edit_file(const char *file)
{
    static const char *const usual[] = {"sensible-editor", "editor", "nano", "vi", NULL};
    const char *command = getenv("VISUAL");
    int rc = -ENOENT;

    if (command == NULL || *command == '\0')
        command = getenv("EDITOR");
    if (command != NULL && *command != '\0')
        rc = run_editor(command, file);
    else
        for (int i = 0; usual[i] != NULL && rc == -ENOENT; i++)
            rc = run_editor(command = usual[i], file);
    if (rc == -ENOENT)
        return ctl_fail(EXIT_FAILED, "no editor was found: set VISUAL or EDITOR");
    if (rc < 0)
        return ctl_fail(EXIT_FAILED, "cannot start %s: %s", command, strerror(-rc));
    return rc == 0
               ? 0
               : ctl_fail(EXIT_FAILED, "%s ended with status %d: nothing is changed", command, rc);
}

struct edit {
    char *dir, *file, *before; /* owned */
    bool keep;                 /* file holds work that is not applied */
};

static int write_policy(const struct policy *p, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (f == NULL)
        return ctl_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
    rc = policy_text_write(p, f);
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(-rc));
}

static int make_files(struct edit *e, const struct policy *was)
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
    code = write_policy(was, e->file);
    return code != 0 ? code : write_policy(was, e->before);
}

static bool is_before(const struct edit *e, const char *text, size_t len)
{
    char *before = NULL;
    size_t n;
    bool same = file_read(e->before, SIZE_MAX / 2, &before, &n) == 0 && n == len &&
                memcmp(before, text, n) == 0;

    free(before);
    return same;
}

/* Does the policy print as it did before? */
static bool is_unchanged(const struct edit *e, const struct policy *p)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    bool same = f != NULL && policy_text_write(p, f) == 0;

    same = f != NULL && fclose(f) == 0 && same && is_before(e, text, len);
    free(text);
    return same;
}

static void remove_files(struct edit *e)
{
    char *text = NULL;
    size_t len;

    if (e->dir == NULL)
        return;
    if (e->keep && file_read(e->file, SIZE_MAX / 2, &text, &len) == 0)
        e->keep = !is_before(e, text, len); /* else there is no work in it */
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

static bool ask_again(void)
{
    char answer[16];

    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(stderr, "Edit again? [Y/n] ");
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && answer[0] != 'n' && answer[0] != 'N';
}

static int run_edit(struct ctl *c, struct edit *e, struct store *store)
{
    struct policy p;
    struct policy_put put = {.is = &p, .how = POLICY_REPLACE, .how_given = true};
    uint64_t serial;
    int code = policy_read(c, store, &p, &serial);

    if (code != 0)
        return code;
    code = make_files(e, &p);
    policy_fini(&p);
    if (code != 0)
        return code;
    do {
        code = edit_file(e->file);
        e->keep = true;
        if (code == 0)
            code = policy_file_read(e->file, true, &p, NULL);
    } while (code == EXIT_INVALID && ask_again());
    if (code != 0)
        return code;
    if (is_unchanged(e, &p)) {
        ctl_line("nothing is changed, serial %llu", (unsigned long long)serial);
    } else {
        const char *const argv[] = {"diff",   "-u",      "--label", "policy", "--label",
                                    "edited", e->before, e->file,   NULL};

        if (run_program(argv) == -ENOENT)
            ctl_note("diff is not installed: the changes follow without their lines");
        if (ctl_option(c, "--dry-run") == NULL && !ctl_ask(c, "Apply this?"))
            code = ctl_fail(EXIT_FAILED, "nothing is changed");
        else
            code = policy_change_in(c, store, &serial, policy_put, &put);
    }
    e->keep = code != 0;
    policy_fini(&p);
    return code;
}

int policy_edit(struct ctl *c)
{
    struct edit e = {.keep = false};
    struct store *store;
    int code = policy_open(c, STORE_WRITE, &store);

    if (code != 0)
        return code;
    code = run_edit(c, &e, store);
    store_close(store);
    remove_files(&e);
    return code;
}
