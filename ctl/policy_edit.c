/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_edit.c -- `policy edit`: the text form in an editor, checked, shown as
 * a difference, applied if nobody was faster.
 *
 * The text lies in a directory of its own (0700) with a copy of what it was,
 * for diff(1). Programs are started without a shell; the editor's variable may
 * have arguments, separated by blanks ("code --wait"). What was typed is never
 * lost: unless it was applied or left as it was, the file stays and is named.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

enum { WORDS_MAX = 16 };
extern char **environ;

struct edit {
    struct ctl *c;
    char *dir, *file, *before; /* owned */
    bool keep;                 /* file holds work that is not applied */
    struct policy was, is;
    struct policy_seen seen;
};

/* --- programs ------------------------------------------------------------- */

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

/* --- files ---------------------------------------------------------------- */

static int write_policy(const struct policy *p, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (f == NULL) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    rc = policy_text_write(p, f);
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int make_files(struct edit *e)
{
    const char *tmp = getenv("TMPDIR");
    int rc;

    e->dir = ctl_text("%s/waymark-edit-XXXXXX", tmp != NULL && *tmp == '/' ? tmp : "/tmp");
    if (mkdtemp(e->dir) == NULL) {
        rc = ctl_fail(EXIT_FAILED, "cannot make %s: %s", e->dir, strerror(errno));
        free(e->dir);
        e->dir = NULL;
        return rc;
    }
    e->file = ctl_text("%s/policy.yaml", e->dir);
    e->before = ctl_text("%s/policy.yaml.before", e->dir);
    rc = write_policy(&e->was, e->file);
    if (rc == 0)
        rc = write_policy(&e->was, e->before);
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write %s: %s", e->file, strerror(-rc));
}

/* Is the file still what it was? Then there is no work in it. */
static bool untouched(const struct edit *e)
{
    char *a = NULL, *b = NULL;
    size_t n_a, n_b;
    bool same = file_read(e->file, SIZE_MAX / 2, &a, &n_a) == 0 &&
                file_read(e->before, SIZE_MAX / 2, &b, &n_b) == 0 && n_a == n_b &&
                memcmp(a, b, n_a) == 0;

    free(a);
    free(b);
    return same;
}

static void remove_files(struct edit *e)
{
    if (e->dir == NULL)
        return;
    e->keep = e->keep && !untouched(e);
    unlink(e->before);
    if (e->keep)
        ctl_note("your text is kept in %s", e->file);
    else {
        unlink(e->file);
        rmdir(e->dir);
    }
    free(e->before);
    free(e->file);
    free(e->dir);
}

/* --- the course ----------------------------------------------------------- */

static bool again(void)
{
    char answer[16];

    if (!isatty(STDIN_FILENO))
        return false;
    fprintf(stderr, "Edit again? [Y/n] ");
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) != NULL && answer[0] != 'n' && answer[0] != 'N';
}

/* Rows of the difference stand for it where diff(1) is missing. */
static void show_diff(const struct edit *e)
{
    const char *const argv[] = {"diff",   "-u",      "--label", "policy", "--label",
                                "edited", e->before, e->file,   NULL};

    if (run_program(argv) == -ENOENT)
        ctl_note("diff is not installed: the changes follow without their lines");
}

static int apply(struct edit *e, struct policy_store *store)
{
    struct policy_diff diff;
    struct policy_put put = {.is = &e->is, .how = POLICY_REPLACE, .diff = &diff};
    int code = 0;

    policy_compare(&e->was, &e->is, POLICY_REPLACE, &diff);
    if (json_array_size(diff.rows) == 0) {
        e->keep = false;
        ctl_line("nothing is changed, serial %llu", (unsigned long long)e->seen.serial);
    } else {
        show_diff(e);
        if (ctl_option(e->c, "--dry-run") == NULL && !ctl_ask(e->c, "Apply this?"))
            code = ctl_fail(EXIT_FAILED, "nothing is changed");
        else
            code = policy_change_in(e->c, store, e->seen, policy_put, &put);
        e->keep = code != 0;
    }
    json_decref(diff.rows);
    return code;
}

static int run_edit(struct edit *e, struct policy_store *store)
{
    int code = policy_read(e->c, store, &e->was, &e->seen.serial);

    if (code == 0)
        code = make_files(e);
    if (code != 0)
        return code;
    do {
        code = edit_file(e->file);
        e->keep = true;
        if (code == 0)
            code = policy_file_policy(e->file, true, &e->is, NULL);
    } while (code == EXIT_INVALID && again());
    if (code == 0)
        code = apply(e, store);
    policy_fini(&e->is);
    return code;
}

int policy_edit(struct ctl *c)
{
    struct edit e = {.c = c, .seen = {.bound = true}};
    struct policy_store *store;
    int code = policy_open(c, POLICY_WRITE, &store);

    if (code != 0)
        return code;
    code = run_edit(&e, store);
    policy_store_close(store);
    policy_fini(&e.was);
    remove_files(&e);
    return code;
}
