/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_file.c -- whole files in memory; becoming a user, and whose the directories are then.
 * What changes the process runs in a child.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "tests/unit/scratch.h"

/* A file of so many octets, or the path. */
static const struct row {
    const char *what;
    size_t size, max;
    int rc;
    const char *path;
} rows[] = {
    {"empty", 0, 0, 0},
    {"one byte too many", 2, 1, -EFBIG},
    {"one part", 16 * 1024, 1 << 20, 0},
    {"more than one part", 16 * 1024 + 1, 1 << 20, 0},
    {"just the limit", 100000, 100000, 0},
    {"just above the limit", 100001, 100000, -EFBIG},
    {"no limit", 100000, SIZE_MAX, 0},
    {"no such file", 0, 100, -ENOENT, "/no/such/file"},
    {"a folder", 0, 100, -EISDIR, "/"},
    {"no path", 0, 100, -ENOENT, ""},
};

static void read_back(void **state)
{
    const struct row *r = *state;
    char path[] = "/tmp/test_file.XXXXXX", *got = NULL, *all = calloc(1, r->size + 1);
    size_t len = 0;
    int fd = mkstemp(path);

    for (size_t i = 0; i < r->size; i++)
        all[i] = (char)(i % 251);
    assert_int_equal(write(fd, all, r->size), r->size);
    close(fd);
    assert_int_equal(file_read(r->path != NULL ? r->path : path, r->max, &got, &len), r->rc);
    unlink(path);
    if (r->rc == 0) {
        assert_int_equal(len, r->size);
        assert_memory_equal(got, all, len + 1);
    } else
        assert_null(got);
    free(got);
    free(all);
}

enum { NOBODY = 65534 };

/* Commands of the shell before, in a folder of its own; the directory there that is
 * asked for; what the problem says, or who the process and who owns the directory then. */
static const struct user_row {
    const char *what, *before, *user, *dir;
    unsigned as; /* the process before */
    const char *problem;
    unsigned uid, owner, mode;
} user_rows[] = {
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
static int become(const struct user_row *r, const char *path)
{
    const struct user_dir dirs[] = {{"x", path}, {NULL, NULL}};
    struct stat st;
    struct diags d = {0};
    int rc;

    umask(077); /* what is made has its mode all the same */
    if (r->as != 0 && setresuid(r->as, r->as, r->as) != 0)
        return 1;
    rc = user_become(r->user, dirs, &d);
    if (r->problem != NULL)
        return rc == 0 || d.n != 1 || strstr(d.list[0], r->problem) == NULL || geteuid() != 0;
    if (rc != 0 || d.n != 0 || getuid() != r->uid || geteuid() != r->uid)
        return 2;
    if (r->uid != 0 && r->as == 0 && (getgid() == 0 || setuid(0) == 0 || setgid(0) == 0))
        return 3;
    if (stat(path, &st) != 0 || st.st_uid != r->owner || (st.st_mode & 07777) != r->mode)
        return 4;
    return 0;
}

static void check_user(void **state)
{
    const struct user_row *r = *state;
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

TESTS("file", ROWS(rows, read_back), ROWS(user_rows, check_user))
