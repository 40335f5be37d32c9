/* SPDX-License-Identifier: BSD-2-Clause
 *
 * file.c -- whole files in; the user that a program becomes.
 *
 * The size that stat(2) tells is not asked: it is wrong for pipes and /proc. Daemon and tool
 * make the files of a store as the same user, so every file has one owner.
 */
#include "base/file.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t max, char **out, size_t *len)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(path, "re"), *text;
    char *all = NULL, part[16 * 1024];
    size_t n = 0, got;
    int rc = 0;

    if (in == NULL)
        return -errno;
    text = open_memstream(&all, len);
    while (text && n <= max && (got = fread(part, 1, sizeof part, in)) > 0) {
        fwrite(part, 1, got, text);
        n += got;
    }
    if (n > max)
        rc = -EFBIG;
    else if (text && ferror(in))
        rc = errno > 0 ? -errno : -EIO;
    if (!is_stdin)
        fclose(in);
    /* Out of memory, fclose() says nothing and leaves NULL. */
    if ((text == NULL || fclose(text) != 0 || all == NULL) && rc == 0)
        rc = -ENOMEM;
    if (rc == 0)
        *out = all;
    else
        free(all);
    return rc;
}

/* owner NULL: who makes it. */
static int make_dir(const struct user_dir *dir, const struct passwd *owner, struct diags *d)
{
    mode_t mask = umask(0);
    bool made = mkdir(dir->path, 0750) == 0;
    char parent[PATH_MAX], *slash;
    struct stat st;

    if (!made && errno == ENOENT && str_copy(parent, sizeof parent, dir->path) &&
        (slash = strrchr(parent, '/')) != NULL && slash != parent) {
        *slash = '\0';
        made = mkdir(parent, 0755) == 0 && mkdir(dir->path, 0750) == 0;
    }
    umask(mask);
    if (!made && errno != EEXIST)
        return diags_tell(d, "%s: %s cannot be made: %s; make its parent, or set another", dir->key,
                          dir->path, strerror(errno));
    if (!made && (stat(dir->path, &st) != 0 || !S_ISDIR(st.st_mode)))
        return diags_tell(d, "%s: %s is not a directory", dir->key, dir->path);
    if (made && owner && lchown(dir->path, owner->pw_uid, owner->pw_gid) != 0)
        return diags_tell(d, "%s: %s cannot be given to server.user: %s", dir->key, dir->path,
                          strerror(errno));
    return 0;
}

int user_become(const char *name, const struct user_dir *dirs, struct diags *d)
{
    const struct passwd *pw = NULL;

    if (geteuid() == 0 && name[0] != '\0' && (pw = getpwnam(name)) == NULL)
        return diags_tell(
            d,
            "the user %s does not exist: make it (systemd-sysusers, after ./setup install; or "
            "useradd --system %s), or set another (-o server.user=; empty: stay root)",
            name, name);
    for (; dirs->key; dirs++)
        if (make_dir(dirs, pw, d) != 0)
            return -EINVAL;
    if (pw == NULL)
        return 0;
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return diags_tell(d, "cannot become the user %s: %s", name, strerror(errno));
    return 0;
}
