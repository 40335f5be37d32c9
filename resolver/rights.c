/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.c -- see rights.h.
 */
#include "resolver/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_directory(const char *key, const char *path, uid_t uid, gid_t gid, struct diags *d)
{
    struct stat st;
    bool made = mkdir(path, 0750) == 0;

    if (!made && errno != EEXIST)
        return diags_add(d, NULL, 0, 0,
                         "%s: %s cannot be made: %s; make its parent, or set another", key, path,
                         strerror(errno));
    if (made && geteuid() == 0 && chown(path, uid, gid) != 0)
        return diags_add(d, NULL, 0, 0, "%s: %s cannot be given to server.user: %s", key, path,
                         strerror(errno));
    if (made && chmod(path, 0750) != 0) /* whatever the umask said */
        return diags_add(d, NULL, 0, 0, "%s: %s: chmod: %s", key, path, strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return diags_add(d, NULL, 0, 0, "%s: %s is not a directory", key, path);
    return 0;
}

static int make_directories(const struct settings *s, uid_t uid, gid_t gid, struct diags *d)
{
    int rc = make_directory("server.state-dir", s->server.state_dir, uid, gid, d);

    return rc != 0 ? rc : make_directory("server.run-dir", s->server.run_dir, uid, gid, d);
}

static int become(const struct passwd *pw, struct diags *d)
{
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return diags_add(d, NULL, 0, 0, "cannot become user %s: %s", pw->pw_name, strerror(errno));
    if (pw->pw_uid != 0 && (setuid(0) == 0 || setgid(0) == 0))
        return diags_add(d, NULL, 0, 0, "became user %s, but could go back to root", pw->pw_name);
    return 0;
}

int rights_take(const struct settings *s, struct diags *d)
{
    const struct passwd *pw;
    int rc;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (geteuid() != 0 || s->server.user[0] == '\0')
        return make_directories(s, geteuid(), getegid(), d);
    if ((pw = getpwnam(s->server.user)) == NULL)
        return diags_add(
            d, NULL, 0, 0,
            "user %s does not exist: make it (systemd-sysusers, after ./setup install; or "
            "useradd --system %s), or set server.user",
            s->server.user, s->server.user);
    if ((rc = make_directories(s, pw->pw_uid, pw->pw_gid, d)) != 0)
        return rc;
    return become(pw, d);
}
