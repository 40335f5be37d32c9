/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_rights.c -- becoming the daemon's user, and the words when that or a
 * store fails. What changes the process runs in a child.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/ctl/capture.h"
#include "tests/unit/scratch.h"

static struct capture out;
static char state_dir[100];
static struct settings settings = {.server = {.state_dir = state_dir, .user = "nobody"}};
static struct ctl c = {.called = "policy fill", .settings = &settings};

static const struct become_row {
    const char *what;
    uid_t from;
    const char *user, *is, *says;
} becomes[] = {
    {"root becomes the user", 0, "nobody", "nobody", ""},
    {"others stay", 1, "nobody", "daemon", ""},
    {"root stays without a user", 0, "", "root", ""},
    {"a user that is none", 0, "no-such-user", NULL,
     "waymarkctl: the user no-such-user does not exist: "},
};

/* In a child; its exit code is that of ctl_become_user(), or 100 when it is another user afterwards
 * or can go back. The second time the directory and its parent are there. */
static void check_become(void **state)
{
    const struct become_row *r = *state;
    const struct passwd *is = r->is ? getpwnam(r->is) : NULL;
    char dir[SCRATCH];
    struct stat st;
    int status;
    pid_t child;

    if (geteuid() != 0)
        skip();
    scratch_make(dir);
    assert_int_equal(chmod(dir, 0755), 0);
    snprintf(state_dir, sizeof state_dir, "%s/lib/waymark", dir);
    settings.server.user = r->user;
    for (int i = 0; i < 2; i++) {
        capture_begin(&out);
        if ((child = fork()) == 0) {
            int code = setuid(r->from) == 0 ? ctl_become_user(&c) : 99;

            fflush(stderr);
            _exit(code == 0 && (geteuid() != is->pw_uid || getuid() != is->pw_uid ||
                                (is->pw_uid != 0 && setuid(0) == 0))
                      ? 100
                      : code);
        }
        waitpid(child, &status, 0);
        capture_end(&out);
        assert_int_equal(WEXITSTATUS(status), is ? EXIT_DONE : EXIT_FAILED);
        assert_has(out.text[1], r->says);
        assert_int_equal(stat(state_dir, &st), r->user == r->is ? 0 : -1);
        if (r->user == r->is)
            assert_true(st.st_uid == is->pw_uid && (st.st_mode & 07777) == 0750);
    }
    settings.server.user = "nobody";
    scratch_remove(dir);
}

static const struct row {
    const char *what;
    uid_t uid;
    int err;
    const char *says;
} rows[] = {
    {"a file system for reading", 0, EROFS, "cannot open /x/policy: Read-only file system"},
    {"no store yet", 0, -ENOENT, "/x/policy does not exist: waymarkd has not run yet"},
    {"root must not", 0, -EACCES,
     "/x/policy as the user nobody: its owner is another; chown -R no"},
    {"a user must not", 1, EPERM, "no permission for /x/policy: sudo waymarkctl policy fill ..."},
};

static void check_row(void **state)
{
    const struct row *r = *state;

    c.uid = r->uid;
    capture_begin(&out);
    assert_int_equal(ctl_store_error(&c, "/x/policy", r->err), EXIT_FAILED);
    capture_end(&out);
    assert_has(out.text[1], r->says);
}

static const struct author_row {
    const char *what;
    uid_t uid;
    const char *sudo, *author;
} authors[] = {
    {"the author is who called sudo", 0, "alice\033[2J", "alice\\x1b[2J"},
    {"only root's word counts", 4999999, "alice", "uid 4999999"},
    {"root without sudo", 0, "", "root"},
};

static void check_author(void **state)
{
    const struct author_row *r = *state;
    char author[64], login[16] = "";
    FILE *f = fopen("/proc/self/loginuid", "r");

    if (f && fgets(login, sizeof login, f) == NULL)
        login[0] = '\0';
    if (f)
        fclose(f);
    if (login[0] && strcmp(login, "4294967295") != 0)
        skip(); /* the kernel knows better than the environment */
    setenv("SUDO_USER", r->sudo, 1);
    c.uid = r->uid;
    ctl_author(&c, author);
    assert_string_equal(author, r->author);
}

int main(void)
{
    ROWS(rows, check_row);
    ROWS(becomes, check_become);
    ROWS(authors, check_author);
    return RUN("rights");
}
