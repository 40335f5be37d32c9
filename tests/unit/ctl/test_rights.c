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
static char dir[SCRATCH], state_dir[100];
static struct settings settings = {.server = {.state_dir = state_dir}};
static const struct ctl_verb verb = {.noun = "policy", .verb = "fill"};
static struct ctl c = {.verb = &verb, .settings = &settings};

static int set_up(void **state)
{
    scratch_make(dir);
    snprintf(state_dir, sizeof state_dir, "%s/lib/waymark", dir);
    settings.server.user = "nobody";
    return chmod(dir, 0755);
}

static int tear_down(void **state)
{
    scratch_remove(dir);
    return 0;
}

/* ctl_become_user() in a child that is started as this user: its exit code, or 100 + when it is not
 * that of the other afterwards. */
static int become(uid_t from, uid_t to)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int code = from == 0 || setuid(from) == 0 ? ctl_become_user(&c) : 99;

        _exit(code == 0 && (geteuid() != to || getuid() != to || (to != 0 && setuid(0) == 0))
                  ? 100
                  : code);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void root_becomes_the_user(void **state)
{
    const struct passwd *nobody = getpwnam("nobody");
    struct stat st;

    if (geteuid() != 0)
        skip();
    assert_int_equal(become(1, 1), 0); /* others stay */
    settings.server.user = "";
    assert_int_equal(become(0, 0), 0); /* so does root without a user */
    assert_int_equal(access(state_dir, F_OK), -1);
    settings.server.user = "nobody";
    for (int i = 0; i < 2; i++) { /* at first without the directory and its parent */
        assert_int_equal(become(0, nobody->pw_uid), 0);
        assert_int_equal(stat(state_dir, &st), 0);
        assert_int_equal(st.st_uid, nobody->pw_uid);
        assert_int_equal(st.st_mode & 07777, 0750);
    }
    settings.server.user = "no-such-user";
    capture_begin(&out);
    assert_int_equal(ctl_become_user(&c), EXIT_FAILED);
    capture_end(&out);
    assert_has(out.text[1], "the user no-such-user does not exist");
    assert_has(out.text[1], "-o server.user=");
}

static const struct row {
    const char *what;
    uid_t uid;
    int err;
    const char *says;
} rows[] = {
    {"a file system for reading", 0, EROFS, "/x/policy: the file system is read-only"},
    {"no store yet", 0, -ENOENT, "/x/policy does not exist: waymarkd has not run yet"},
    {"root must not", 0, -EACCES,
     "/x/policy as the user nobody: its owner is another; chown -R no"},
    {"a user must not", 1, EPERM, "no permission for /x/policy: sudo waymarkctl policy fill ..."},
    {"a disk that fails", 1, EIO, "cannot open /x/policy: Input/output error"},
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

static void the_author_is_who_logged_in(void **state)
{
    char author[64], login[64] = "";
    FILE *f = fopen("/proc/self/loginuid", "r");

    if (f && fscanf(f, "%63s", login) != 1)
        login[0] = '\0';
    if (f)
        fclose(f);
    if (login[0] != '\0' && strcmp(login, "4294967295") != 0)
        skip(); /* the kernel knows better than the environment */
    setenv("SUDO_USER", "alice\033[2J", 1);
    c.uid = 0;
    ctl_author(&c, author);
    assert_string_equal(author, "alice\\x1b[2J");
    c.uid = 4999999; /* nobody else's word counts */
    ctl_author(&c, author);
    assert_string_equal(author, "uid 4999999");
    unsetenv("SUDO_USER");
    c.uid = 0;
    ctl_author(&c, author);
    assert_string_equal(author, "root");
}

int main(void)
{
    ROWS_WITH(rows, check_row, set_up, tear_down);
    TEST_WITH(root_becomes_the_user, set_up, tear_down);
    TEST(the_author_is_who_logged_in);
    return RUN("rights");
}
