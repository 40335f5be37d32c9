/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_user.c -- becoming a user, and whose the directories are then. What changes
 * the process runs in a child.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/scratch.h"

enum { NOBODY = 65534 };

/* Commands of the shell before, in a folder of its own; the directory there that is
 * asked for; what the problem says, or who the process and who owns the directory then. */
static const struct row {
    const char *what, *before, *user, *dir;
    unsigned as; /* the process before */
    const char *problem;
    unsigned uid, owner, mode;
} rows[] = {
    {"new", ":", "nobody", "a", 0, NULL, NOBODY, NOBODY, 0750},
    {"its parent is missing too", ":", "nobody", "a/b", 0, NULL, NOBODY, NOBODY, 0750},
    {"more than that is missing", ":", "nobody", "a/b/c", 0, "c cannot be made", 0, 0, 0},
    {"there already", "mkdir -m 700 a", "nobody", "a", 0, NULL, NOBODY, 0, 0700},
    {"there by a link", "mkdir -m 700 b; ln -s b a", "nobody", "a", 0, NULL, NOBODY, 0, 0700},
    {"no directory", "touch a", "nobody", "a", 0, "a is not a directory", 0, 0, 0},
    {"a link to nowhere", "ln -s b a", "nobody", "a", 0, "a is not a directory", 0, 0, 0},
    {"stays root", ":", "", "a", 0, NULL, 0, 0, 0750},
    {"root by name", ":", "root", "a", 0, NULL, 0, 0, 0750},
    {"somebody else stays", "chmod 777 .", "root", "a", NOBODY, NULL, NOBODY, NOBODY, 0750},
    {"no such user", ":", "no-such-user", "a", 0, "the user no-such-user does not exist", 0, 0, 0},
};

/* In the child: 0 when all is as the row says. */
static int become(const struct row *r, const char *path)
{
    const struct user_dir dirs[] = {{"x", path}, {NULL, NULL}};
    struct stat st;
    struct diags d;
    int rc;

    diags_init(&d);
    umask(077); /* what is made has its mode all the same */
    if (r->as != 0 && setresuid(r->as, r->as, r->as) != 0)
        return 1;
    rc = user_become(r->user, dirs, &d);
    if (r->problem != NULL)
        return rc == 0 || d.n != 1 || strstr(d.list[0].text, r->problem) == NULL || geteuid() != 0;
    if (rc != 0 || d.n != 0 || getuid() != r->uid || geteuid() != r->uid)
        return 2;
    if (r->uid != 0 && r->as == 0 && (getgid() == 0 || setuid(0) == 0 || setgid(0) == 0))
        return 3;
    if (stat(path, &st) != 0 || st.st_uid != r->owner || (st.st_mode & 07777) != r->mode)
        return 4;
    return 0;
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char root[SCRATCH], text[200];
    int status;
    pid_t child;

    if (geteuid() != 0)
        skip();
    scratch_make(root);
    assert_int_equal(chmod(root, 0755), 0);
    snprintf(text, sizeof text, "cd %s && { %s; }", root, r->before);
    assert_int_equal(system(text), 0);
    snprintf(text, sizeof text, "%s/%s", root, r->dir);
    assert_true((child = fork()) >= 0);
    if (child == 0)
        _exit(become(r, text));
    assert_int_equal(waitpid(child, &status, 0), child);
    scratch_remove(root);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    ROWS(rows, check_row);
    return RUN("user");
}
