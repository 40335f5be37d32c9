/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_rights.c -- becoming the daemon's user, and the words when that or a
 * store fails. What changes the process runs in a child.
 */
#include <errno.h>
#include <fcntl.h>
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

/* In a child: the exit code of ctl_become_user(), or 100 when it is not that user alone then. */
static int become(const char *user, uid_t from, uid_t to)
{
    int status;

    settings.server.user = user;
    if (fork() == 0) {
        int code = setuid(from) == 0 ? ctl_become_user(&c) : 99;

        _exit(code == 0 && (geteuid() != to || getuid() != to || (to && setuid(0) == 0)) ? 100
                                                                                         : code);
    }
    wait(&status);
    settings.server.user = "nobody";
    return WEXITSTATUS(status);
}

static void root_becomes_the_user(void **state)
{
    const struct passwd *nobody = getpwnam("nobody");
    char dir[SCRATCH];
    struct stat st;

    if (geteuid() != 0)
        skip();
    scratch_make(dir);
    assert_int_equal(chmod(dir, 0755), 0);
    snprintf(state_dir, sizeof state_dir, "%s/lib/waymark", dir);
    assert_int_equal(become("nobody", 1, 1), 0); /* others stay, */
    assert_int_equal(become("", 0, 0), 0);       /* and so does root without a user */
    assert_int_equal(become("no-such-user", 0, 0), EXIT_FAILED);
    assert_int_equal(access(state_dir, F_OK), -1);
    for (int i = 0; i < 2; i++) { /* at first without the directory and its parent */
        assert_int_equal(become("nobody", 0, nobody->pw_uid), 0);
        assert_int_equal(stat(state_dir, &st), 0);
        assert_true(st.st_uid == nobody->pw_uid && (st.st_mode & 07777) == 0750);
    }
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
    {"root must not", 0, -EACCES, "/x/policy as the user nobody: its owner is another; chown -R"},
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
    int fd = open("/proc/self/loginuid", O_RDONLY);

    if (read(fd, login, sizeof login - 1) > 0 && strcmp(login, "4294967295") != 0)
        skip(); /* the kernel knows better than the environment */
    close(fd);
    setenv("SUDO_USER", r->sudo, 1);
    c.uid = r->uid;
    ctl_author(&c, author);
    assert_string_equal(author, r->author);
}

TESTS("rights", ROWS(rows, check_row), TEST(root_becomes_the_user), ROWS(authors, check_author))
