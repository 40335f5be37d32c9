/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_rights.c -- becoming the daemon's user, and the words when that or a
 * store fails. What changes the process runs in a child.
 */
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

static struct capture out;
static char dir[64], state_dir[100];
static struct settings settings;
static const struct ctl_verb verb = {.noun = "policy", .verb = "fill"};
static struct ctl c = {.verb = &verb, .settings = &settings};

static int set_up(void **state)
{
    strcpy(dir, "/tmp/waymark-rights-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    settings.server.user = "nobody";
    settings.server.state_dir = state_dir;
    return 0;
}

static int tear_down(void **state)
{
    char parent[100];

    rmdir(state_dir);
    snprintf(parent, sizeof parent, "%s/lib", dir);
    rmdir(parent);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

static void need_root(void)
{
    if (geteuid() != 0)
        skip();
}

/* ctl_become_user() in a child: its exit code, or 100 + when the ids are not
 * those of uid afterwards. */
static int become(uid_t uid)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int code = ctl_become_user(&c);

        if (code == 0 && (geteuid() != uid || getuid() != uid || (uid != 0 && setuid(0) == 0)))
            code = 100;
        _exit(code);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void root_becomes_the_user(void **state)
{
    const struct passwd *nobody = getpwnam("nobody");
    struct stat st;

    need_root();
    snprintf(state_dir, sizeof state_dir, "%s/lib/waymark", dir); /* its parent is missing too */
    assert_int_equal(become(nobody->pw_uid), 0);
    assert_int_equal(stat(state_dir, &st), 0);
    assert_int_equal(st.st_uid, nobody->pw_uid);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(become(nobody->pw_uid), 0); /* and again, with the directory */
}

static void no_user_means_stay(void **state)
{
    need_root();
    snprintf(state_dir, sizeof state_dir, "%s/never", dir);
    settings.server.user = "";
    assert_int_equal(become(0), 0);
    assert_int_equal(access(state_dir, F_OK), -1);
}

static void others_stay(void **state)
{
    need_root();
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(ctl_become_user(&c), 0);
    assert_int_equal(geteuid(), 65534);
    assert_int_equal(seteuid(0), 0);
}

static void an_unknown_user_is_named_with_the_remedy(void **state)
{
    int code;

    need_root();
    settings.server.user = "no-such-user";
    capture_begin(&out);
    code = ctl_become_user(&c);
    capture_end(&out);
    assert_int_equal(code, EXIT_FAILED);
    assert_has(out.text[1], "the user no-such-user does not exist");
    assert_has(out.text[1], "-o server.user=");
}

static void words_for_a_store_that_fails(void **state)
{
    static const struct {
        int err;
        const char *root, *other;
    } rows[] = {
        {EROFS, "read-only", "read-only"},
        {ENOENT, "does not exist", "does not exist"},
        {-EACCES, "chown -R nobody: ", "sudo waymarkctl policy fill"},
        {EIO, "Input/output error", "Input/output error"},
    };

    c.uid = getuid();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        capture_begin(&out);
        assert_int_equal(ctl_store_error(&c, "/x/policy", rows[i].err), EXIT_FAILED);
        capture_end(&out);
        assert_has(out.text[1], "/x/policy");
        assert_non_null(strstr(out.text[1], getuid() == 0 ? rows[i].root : rows[i].other));
    }
}

static void the_author_is_who_logged_in(void **state)
{
    char author[64], login[64] = "4294967295";
    FILE *f = fopen("/proc/self/loginuid", "r");

    if (f && fscanf(f, "%63s", login) != 1)
        strcpy(login, "4294967295");
    if (f)
        fclose(f);
    if (strcmp(login, "4294967295") != 0 || getuid() != 0)
        skip(); /* the kernel knows better than the environment */
    setenv("SUDO_USER", "alice\033[2J", 1);
    ctl_author(&c, author);
    assert_string_equal(author, "alice\\x1b[2J");
    unsetenv("SUDO_USER");
    ctl_author(&c, author);
    assert_string_equal(author, "root");
}

int main(void)
{
    TEST_WITH(root_becomes_the_user, set_up, tear_down);
    TEST_WITH(no_user_means_stay, set_up, tear_down);
    TEST_WITH(others_stay, set_up, tear_down);
    TEST_WITH(an_unknown_user_is_named_with_the_remedy, set_up, tear_down);
    TEST_WITH(words_for_a_store_that_fails, set_up, tear_down);
    TEST_WITH(the_author_is_who_logged_in, set_up, tear_down);
    return RUN("rights");
}
