/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.c -- who the tool is: it becomes the user of waymarkd before it
 * touches a store, so that every file has one owner, and remembers who sits at
 * the keyboard, for the log of changes.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum { STATE_MODE = 0750, PARENT_MODE = 0755 };

/* Real user at the program's start, since ctl_become_user() changes it. */
static struct {
    bool set;
    uid_t uid;
} started;

static uid_t started_as(void)
{
    return started.set ? started.uid : getuid();
}

/* mkdir() that also makes the parent, if only that is missing. */
static int make_dir(const char *path)
{
    char *parent, *slash;
    int err = 0;

    if (mkdir(path, STATE_MODE) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    parent = ctl_text("%s", path);
    slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent)
        err = -ENOENT;
    else {
        *slash = '\0';
        if (mkdir(parent, PARENT_MODE) < 0 || mkdir(path, STATE_MODE) < 0)
            err = -errno;
    }
    free(parent);
    return err;
}

/* The state directory is there, and the user's if it is new. 0 or an exit code. */
static int prepare_state_dir(const char *path, const struct passwd *pw)
{
    int fd, err;

    if (access(path, F_OK) == 0)
        return 0;
    err = make_dir(path);
    if (err < 0)
        return ctl_fail(EXIT_FAILED, "cannot make the state directory %s: %s", path,
                        strerror(-err));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, pw->pw_uid, pw->pw_gid) < 0 || fchmod(fd, STATE_MODE) < 0)
        err = ctl_fail(EXIT_FAILED, "cannot give the state directory %s to %s: %s", path,
                       pw->pw_name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return err;
}

/* All of it or nothing: a failure in the middle must not go on as root. */
static bool change_ids(const struct passwd *pw)
{
    uid_t uid = pw->pw_uid, u[3];
    gid_t gid = pw->pw_gid, g[3];

    if (initgroups(pw->pw_name, gid) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return false;
    if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
        return false;
    return u[0] == uid && u[1] == uid && u[2] == uid && g[0] == gid && g[1] == gid && g[2] == gid &&
           setuid(0) < 0;
}

int ctl_become_user(struct ctl *c)
{
    const char *user = c->settings->server.user;
    const struct passwd *pw;
    int code;

    if (!started.set) {
        started.uid = getuid();
        started.set = true;
    }
    if (geteuid() != 0 || user == NULL || *user == '\0')
        return 0;
    errno = 0;
    pw = getpwnam(user);
    if (pw == NULL)
        return ctl_fail(EXIT_FAILED,
                        "the user %s does not exist: make it (systemd-sysusers, or ./setup "
                        "install), or stay root with "
                        "-o server.user=",
                        user);
    code = prepare_state_dir(c->settings->server.state_dir, pw);
    if (code || pw->pw_uid == 0)
        return code;
    if (!change_ids(pw))
        return ctl_fail(EXIT_FAILED, "cannot become the user %s: %s", user, strerror(errno));
    return 0;
}

/* The uid that logged in, whatever sudo and su did since; false when unset. */
static bool login_uid(uid_t *out)
{
    FILE *f = fopen("/proc/self/loginuid", "re");
    unsigned long uid = UINT32_MAX;
    bool got;

    if (f == NULL)
        return false;
    got = fscanf(f, "%lu", &uid) == 1 && uid < UINT32_MAX;
    fclose(f);
    *out = (uid_t)uid;
    return got;
}

static void name_of(uid_t uid, char out[64])
{
    const struct passwd *pw = getpwuid(uid);

    if (pw == NULL || !str_copy(out, 64, pw->pw_name))
        snprintf(out, 64, "uid %lu", (unsigned long)uid);
}

void ctl_author(char out[64])
{
    const char *sudo = getenv("SUDO_USER");
    char *clean;
    uid_t uid;

    if (login_uid(&uid)) {
        name_of(uid, out);
        return;
    }
    /* Only root's word counts: anybody else can set the variable. */
    if (started_as() == 0 && sudo && *sudo) {
        clean = ctl_clean(sudo);
        snprintf(out, 64, "%s", clean);
        free(clean);
        return;
    }
    name_of(started_as(), out);
}

int ctl_store_error(struct ctl *c, const char *path, int err)
{
    const char *noun = c->verb && c->verb->noun ? c->verb->noun : "",
               *verb = c->verb ? c->verb->verb : "";

    err = err < 0 ? -err : err;
    if (err == EROFS)
        return ctl_fail(EXIT_FAILED, "cannot write %s: the file system is read-only", path);
    if (err == EACCES || err == EPERM) {
        if (started_as() == 0)
            return ctl_fail(EXIT_FAILED,
                            "cannot open %s as the user %s: its owner is another; chown -R %s: %s",
                            path, c->settings->server.user, c->settings->server.user,
                            c->settings->server.state_dir);
        return ctl_fail(EXIT_FAILED, "no permission for %s: sudo waymarkctl %s%s%s ...", path, noun,
                        *noun ? " " : "", verb);
    }
    if (err == ENOENT)
        return ctl_fail(
            EXIT_FAILED,
            "%s does not exist: waymarkd has not run yet, or server.state-dir is another", path);
    return ctl_fail(EXIT_FAILED, "cannot open %s: %s", path, strerror(err));
}
